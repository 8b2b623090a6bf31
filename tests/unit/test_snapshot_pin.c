/* test_snapshot_pin.c - deltas follow their parents; a pin is served whatever is newer, until it is taken back; who may pin, what is
 * refused, what a set gives to be kept in a file. */
#include "tests/kit.h"

#include "tests/learn_kit.h"

#include <sodium.h>

enum { RECORDS = 64, ROUNDS = 6 };

struct records {
    struct aft_buffer body[RECORDS], key[RECORDS];
    uint32_t n, ends[ROUNDS + 2]; /* ends[r]: behind the records of round r */
};

static enum aft_err
collect(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct records *r = ctx;
    if (r->n == RECORDS)
        return AFT_FAIL(e, AFT_E_FAILED, "too many records");
    aft_buffer_reset(&r->body[r->n]);
    aft_buffer_reset(&r->key[r->n]);
    aft_put_raw(&r->key[r->n], key);
    aft_put_raw(&r->body[r->n++], body);
    return AFT_OK;
}

static enum aft_err
collect_body(void *ctx, struct aft_bytes body, struct aft_error *e)
{
    return collect(ctx, AFT_LITERAL("k"), body, e);
}

static void
records_free(struct records *r)
{
    for (int i = 0; i < RECORDS; i++) {
        aft_buffer_deinit(&r->body[i]);
        aft_buffer_deinit(&r->key[i]);
    }
}

struct class
{
    uint8_t public[32], secret[64];
    struct aft_learner *l;
    struct kit_world w;
    struct records all;
    struct aft_digest digest[ROUNDS + 1];
};

/* Rounds 1 and 4 are full, the others deltas. */
static void
class_open(struct class *c, const char *model)
{
    struct aft_error e;
    struct aft_learner_settings s;
    uint8_t seed[32] = {1};
    memset(c, 0, sizeof *c);
    crypto_sign_seed_keypair(c->public, c->secret, seed);
    kit_world_init(&c->w, 3);
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    c->l = kit_learner(&s);
    struct aft_publish_spec spec = {.model = AFT_LITERAL("m"), .signing_key = c->secret};
    for (spec.round = 1; spec.round <= ROUNDS; spec.round++) {
        for (int i = 0; i < 40; i++) {
            struct aft_example x = kit_open(&c->w, NULL);
            assert_int_equal(aft_learner_learn(c->l, &x, &e), AFT_OK);
        }
        spec.kind = spec.round % 3 == 1 ? AFT_SNAPSHOT_FULL : AFT_SNAPSHOT_DELTA;
        assert_int_equal(aft_learner_publish(c->l, &spec, collect, &c->all, &e), AFT_OK);
        c->all.ends[spec.round] = c->all.n;
        aft_learner_digest(c->l, &c->digest[spec.round]);
    }
}

static void
class_close(struct class *c)
{
    aft_learner_free(c->l);
    kit_world_deinit(&c->w);
    records_free(&c->all);
}

static int64_t
round_of(const struct aft_snapshot_record *r)
{
    return r ? r->round : -1;
}

static struct aft_snapshot_set *
set_of(const struct class *c)
{
    struct aft_snapshot_set *s = aft_snapshot_set_new();
    aft_snapshot_set_key(s, c->public);
    return s;
}

/* Adds records [from, to); returns the last error, and how often something else was served. */
static enum aft_err
add(struct aft_snapshot_set *s, const struct records *r, uint32_t from, uint32_t to, int *wholes)
{
    struct aft_error e;
    enum aft_err last = AFT_OK;
    *wholes = 0;
    for (uint32_t i = from; i < to; i++) {
        bool whole = false;
        enum aft_err err = aft_snapshot_set_add(s, aft_buffer_bytes(&r->body[i]), &whole, &e);
        last = err ? err : last;
        *wholes += whole;
    }
    return last;
}

static void
check_served(const struct class *c, const struct aft_snapshot_set *s, int64_t round)
{
    struct aft_error e;
    const struct aft_snapshot_record *m = aft_snapshot_set_manifest(s);
    assert_int_equal(round_of(m), round);
    assert_memory_equal(&m->manifest.digest, &c->digest[round], sizeof c->digest[round]);
    assert_int_equal(m->manifest.arms_n, KIT_ARMS); /* of all links */
    int64_t shown = 0;
    for (uint32_t i = 0; i < m->manifest.arms_n; i++)
        shown += m->manifest.arms[i].exposures;
    assert_int_equal(shown, 40 * KIT_SLOTS * round);
    struct aft_learner_settings settings;
    aft_learner_settings_default(&settings);
    for (uint32_t i = 0; i < m->manifest.settings_n; i++)
        if (aft_same(m->manifest.settings[i].name, AFT_LITERAL("learner.model")))
            kit_set(&settings, "learner.model",
                    m->manifest.settings[i].value.p[0] == 'r' ? "ridge" : "flow");
    struct aft_learner *l = kit_learner(&settings);
    if (aft_learner_restore(l, s, &e) != AFT_OK) /* it proves the digest */
        fail_msg("%s", e.message);
    aft_learner_free(l);
}

static void
test_deltas(void **state)
{
    (void)state;
    const char *const models[] = {"ridge", "flow"};
    for (int k = 0; k < 2; k++) {
        static struct class c;
        struct aft_snapshot_stats stats;
        int wholes;
        class_open(&c, models[k]);
        struct aft_snapshot_set *s = set_of(&c);
        for (int64_t r = 1; r <= ROUNDS; r++) {
            assert_int_equal(add(s, &c.all, c.all.ends[r - 1], c.all.ends[r], &wholes), AFT_OK);
            assert_int_equal(wholes, 1);
            check_served(&c, s, r);
        }
        aft_snapshot_set_stats(s, &stats);
        assert_true(stats.fulls == 2 && stats.deltas == 4 && stats.links == 2);
        aft_snapshot_set_free(s);
        s = set_of(&c); /* without round 2: round 3 is an orphan, the next full one mends it */
        add(s, &c.all, 0, c.all.ends[1], &wholes);
        assert_int_equal(add(s, &c.all, c.all.ends[2], c.all.ends[3], &wholes), AFT_E_VALUE);
        check_served(&c, s, 1);
        aft_snapshot_set_stats(s, &stats);
        assert_int_equal(stats.refused[AFT_SNAPSHOT_ORPHAN], 1);
        add(s, &c.all, c.all.ends[3], c.all.n, &wholes);
        check_served(&c, s, ROUNDS);
        aft_snapshot_set_free(s);
        class_close(&c);
    }
}

/* All records in any order: manifests wait for their parts, deltas for their parents. */
static void
test_any_order(void **state)
{
    (void)state;
    static struct class c;
    struct aft_random r;
    int wholes;
    class_open(&c, "flow");
    aft_random_init(&r, kit_seed(5), 0);
    for (long k = 0; k < kit_rounds(50); k++) {
        uint32_t order[RECORDS];
        struct aft_snapshot_set *s = set_of(&c);
        for (uint32_t i = 0; i < c.all.n; i++) {
            uint32_t j = aft_random_below(&r, i + 1);
            order[i] = order[j];
            order[j] = i;
        }
        for (uint32_t i = 0; i < c.all.n; i++)
            add(s, &c.all, order[i], order[i] + 1, &wholes);
        check_served(&c, s, ROUNDS);
        aft_snapshot_set_free(s);
    }
    class_close(&c);
}

static void
make_pin(struct class *c, int64_t round, int64_t serial, const uint8_t *key, struct records *out)
{
    struct aft_error e;
    struct aft_bytes bodies[RECORDS];
    uint32_t first = round >= 4 ? c->all.ends[3] : 0, n = 0;
    for (uint32_t i = first; round && i < c->all.ends[round]; i++)
        bodies[n++] = aft_buffer_bytes(&c->all.body[i]);
    struct aft_pin_spec spec = {.model = AFT_LITERAL("m"),
                                .bodies = bodies,
                                .bodies_n = n,
                                .round = round,
                                .serial = serial,
                                .note = AFT_LITERAL("a test"),
                                .signing_key = key};
    if (round)
        spec.digest = c->digest[round];
    out->n = 0;
    assert_int_equal(aft_pin_encode(&spec, collect, out, &e), AFT_OK);
    assert_int_equal(out->n, n + 1);
}

static void
test_pins(void **state)
{
    (void)state;
    static struct class c;
    static struct records pin, old;
    struct aft_snapshot_stats stats;
    int wholes;
    class_open(&c, "flow");
    struct aft_snapshot_set *s = set_of(&c), *learner = set_of(&c);
    aft_snapshot_set_no_pins(learner);
    add(s, &c.all, 0, c.all.ends[4], &wholes);
    make_pin(&c, 2, 10, c.secret, &pin);
    assert_true(aft_same(aft_buffer_bytes(&pin.key[0]), AFT_LITERAL("m/pin/10/0")));
    assert_true(aft_same(aft_buffer_bytes(&pin.key[pin.n - 1]), AFT_LITERAL("m/pin")));
    assert_int_equal(add(s, &pin, 0, pin.n, &wholes), AFT_OK); /* back, since the pin says so */
    assert_int_equal(wholes, 1);
    check_served(&c, s, 2);
    add(learner, &c.all, 0, c.all.n, &wholes);
    assert_int_equal(add(learner, &pin, 0, pin.n, &wholes), AFT_OK);
    check_served(&c, learner, ROUNDS);
    assert_int_equal(add(s, &c.all, c.all.ends[4], c.all.n, &wholes), AFT_OK);
    assert_int_equal(wholes, 0); /* newer ones are kept ready */
    check_served(&c, s, 2);
    assert_int_equal(round_of(aft_snapshot_set_newest(s)), ROUNDS);
    make_pin(&c, 5, 9, c.secret, &old); /* an old one, replayed */
    assert_int_equal(add(s, &old, 0, old.n, &wholes), AFT_E_VALUE);
    make_pin(&c, 5, 11, NULL, &old); /* not signed */
    assert_int_equal(add(s, &old, 0, old.n, &wholes), AFT_E_VALUE);
    make_pin(&c, 6, 11, c.secret, &old);
    assert_int_equal(add(s, &old, 1, old.n, &wholes), AFT_E_VALUE); /* torn */
    make_pin(&c, 5, 11, c.secret, &old);
    check_served(&c, s, 2);
    aft_snapshot_set_stats(s, &stats);
    assert_true(stats.refused[AFT_SNAPSHOT_OLD] == 1 && stats.refused[AFT_SNAPSHOT_FORGED] == 1 &&
                stats.refused[AFT_SNAPSHOT_TORN] == 1 && stats.pinned && stats.pin_serial == 10);
    assert_int_equal(add(s, &old, 0, old.n, &wholes), AFT_OK); /* another pin */
    check_served(&c, s, 5);
    make_pin(&c, 0, 12, c.secret, &pin); /* taken back */
    assert_int_equal(add(s, &pin, 0, pin.n, &wholes), AFT_OK);
    assert_int_equal(wholes, 1);
    check_served(&c, s, ROUNDS);
    assert_int_equal(add(s, &old, 0, old.n, &wholes), AFT_E_VALUE); /* it stays taken back */
    check_served(&c, s, ROUNDS);
    aft_snapshot_set_free(s);
    aft_snapshot_set_free(learner);
    records_free(&pin);
    records_free(&old);
    class_close(&c);
}

/* A pin that says that it holds another set than it does. */
static void
test_a_pin_that_lies(void **state)
{
    (void)state;
    static struct class c;
    static struct records pin;
    int wholes;
    class_open(&c, "ridge");
    struct aft_snapshot_set *s = set_of(&c);
    add(s, &c.all, 0, c.all.n, &wholes);
    struct aft_digest keep = c.digest[2];
    c.digest[2] = c.digest[3];
    make_pin(&c, 2, 1, c.secret, &pin);
    c.digest[2] = keep;
    assert_int_equal(add(s, &pin, 0, pin.n, &wholes), AFT_E_VALUE);
    check_served(&c, s, ROUNDS);
    aft_snapshot_set_free(s);
    records_free(&pin);
    class_close(&c);
}

/* What a set gives makes the same set again: pinned, and with what is newer behind it. */
static void
test_kept_and_read_again(void **state)
{
    (void)state;
    static struct class c;
    static struct records pin, kept;
    struct aft_error e;
    int wholes;
    class_open(&c, "ridge");
    struct aft_snapshot_set *s = set_of(&c), *t = set_of(&c), *u = set_of(&c);
    add(s, &c.all, 0, c.all.n, &wholes);
    assert_int_equal(aft_snapshot_set_each(s, collect_body, &kept, &e), AFT_OK);
    add(t, &kept, 0, kept.n, &wholes);
    check_served(&c, t, ROUNDS);
    make_pin(&c, 3, 7, c.secret, &pin);
    add(s, &pin, 0, pin.n, &wholes);
    kept.n = 0;
    assert_int_equal(aft_snapshot_set_each(s, collect_body, &kept, &e), AFT_OK);
    add(u, &kept, 0, kept.n, &wholes);
    check_served(&c, u, 3);
    assert_int_equal(round_of(aft_snapshot_set_newest(u)), ROUNDS);
    aft_snapshot_set_free(s);
    aft_snapshot_set_free(t);
    aft_snapshot_set_free(u);
    records_free(&pin);
    records_free(&kept);
    class_close(&c);
}

static void
test_keys(void **state)
{
    (void)state;
    struct aft_bytes m = AFT_LITERAL("m");
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m/17/manifest"), m), 17);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m/17/0"), m), 17);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m/0"), m), -1);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m/pin"), m), -1);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m/pin/3/0"), m), -1);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("mm/17/0"), m), -1);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m/99999999999999999999999/0"), m), -1);
    assert_int_equal(aft_snapshot_key_round(AFT_LITERAL("m"), m), -1);
    assert_int_equal(aft_snapshot_key_round(AFT_ABSENT, m), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_a_pin_that_lies),
        cmocka_unit_test(test_kept_and_read_again),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
