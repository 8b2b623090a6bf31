/* test_snapshot_set.c - only a whole, true, newer set is taken: torn, forged, reordered, replayed and unsigned ones are not. */
#include "tests/kit.h"

#include "tests/learn_kit.h"

#include <sodium.h>

enum { RECORDS = 8 };

struct records {
    struct aft_buffer body[RECORDS];
    int n;
};

static enum aft_err
collect(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct records *r = ctx;
    if (r->n == RECORDS || key.n == 0)
        return AFT_FAIL(e, AFT_E_FAILED, "too many records");
    aft_buffer_reset(&r->body[r->n]);
    aft_put_raw(&r->body[r->n++], body);
    return AFT_OK;
}

static void
publish(struct aft_learner *l, int64_t round, const uint8_t *key, struct records *out)
{
    struct aft_error e;
    struct aft_publish_spec spec = {.model = AFT_LITERAL("m"), .round = round, .signing_key = key};
    out->n = 0;
    assert_int_equal(aft_learner_publish(l, &spec, collect, out, &e), AFT_OK);
    assert_true(out->n >= 3);
}

static struct aft_learner *
some_learner(struct kit_world *w, int n)
{
    struct aft_error e;
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    struct aft_learner *l = kit_learner(&s);
    for (int i = 0; i < n; i++) {
        struct aft_example x = kit_open(w, NULL);
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
    }
    return l;
}

/* Adds all records; returns the last error, and how many sets became whole. */
static enum aft_err
add_all(struct aft_snapshot_set *s, const struct records *r, int *wholes)
{
    struct aft_error e;
    enum aft_err last = AFT_OK;
    *wholes = 0;
    for (int i = 0; i < r->n; i++) {
        bool whole = false;
        enum aft_err err = aft_snapshot_set_add(s, aft_buffer_bytes(&r->body[i]), &whole, &e);
        last = err ? err : last;
        *wholes += whole;
    }
    return last;
}

static void
free_records(struct records *r)
{
    for (int i = 0; i < RECORDS; i++)
        aft_buffer_deinit(&r->body[i]);
}

static int64_t
round_of(const struct aft_snapshot_set *s)
{
    const struct aft_snapshot_record *r = aft_snapshot_set_manifest(s);
    return r ? r->round : -1;
}

static void
test_only_whole_and_newer(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_error e;
    struct records one = {.n = 0}, two = {.n = 0};
    int wholes;
    bool whole;
    kit_world_init(&w, 1);
    struct aft_learner *l = some_learner(&w, 30);
    publish(l, 5, NULL, &one);
    struct aft_example x = kit_open(&w, NULL);
    assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
    publish(l, 9, NULL, &two);
    struct aft_snapshot_set *s = aft_snapshot_set_new();
    struct aft_model *m = NULL;
    assert_int_equal(aft_model_load(s, &m, &e), AFT_E_AGAIN);
    /* the manifest before its parts: torn */
    assert_int_equal(aft_snapshot_set_add(s, aft_buffer_bytes(&one.body[one.n - 1]), &whole, &e),
                     AFT_E_VALUE);
    assert_int_equal(round_of(s), -1);
    assert_int_equal(add_all(s, &one, &wholes), AFT_OK);
    assert_int_equal(wholes, 1);
    assert_int_equal(round_of(s), 5);
    assert_int_equal(add_all(s, &one, &wholes), AFT_OK); /* the same again: no news */
    assert_int_equal(wholes, 0);
    /* a newer manifest whose part is missing: torn, the set before stands */
    for (int i = 1; i < two.n; i++) {
        enum aft_err err = aft_snapshot_set_add(s, aft_buffer_bytes(&two.body[i]), &whole, &e);
        assert_int_equal(err, i == two.n - 1 ? AFT_E_VALUE : AFT_OK);
    }
    assert_non_null(strstr(e.message, "torn"));
    assert_int_equal(round_of(s), 5);
    assert_int_equal(aft_model_load(s, &m, &e), AFT_OK);
    assert_int_equal(aft_model_round(m), 5);
    aft_model_free(m);
    assert_int_equal(add_all(s, &two, &wholes), AFT_OK);
    assert_int_equal(round_of(s), 9);
    assert_int_equal(add_all(s, &one, &wholes), AFT_E_VALUE); /* replayed */
    assert_int_equal(wholes, 0);
    assert_int_equal(round_of(s), 9);
    aft_snapshot_set_free(s);
    aft_learner_free(l);
    free_records(&one);
    free_records(&two);
    kit_world_deinit(&w);
}

/* Any byte of any record changed: refused, or at least never a whole set. */
static void
test_every_forgery_is_refused(void **state)
{
    (void)state;
    struct kit_world w;
    struct records r = {.n = 0};
    struct aft_random random;
    int wholes;
    aft_random_init(&random, kit_seed(9), 0);
    kit_world_init(&w, 1);
    struct aft_learner *l = some_learner(&w, 30);
    publish(l, 5, NULL, &r);
    for (long i = 0; i < kit_rounds(400); i++) {
        struct aft_buffer *b = &r.body[aft_random_below(&random, (uint32_t)r.n)];
        uint8_t *at = b->p + aft_random_below(&random, (uint32_t)b->n);
        uint8_t flip = (uint8_t)(1 + aft_random_below(&random, 255));
        *at ^= flip;
        struct aft_snapshot_set *s = aft_snapshot_set_new();
        add_all(s, &r, &wholes);
        assert_int_equal(wholes, 0);
        aft_snapshot_set_free(s);
        *at ^= flip;
    }
    aft_learner_free(l);
    free_records(&r);
    kit_world_deinit(&w);
}

static void
test_signatures(void **state)
{
    (void)state;
    struct kit_world w;
    struct records good = {.n = 0}, plain = {.n = 0}, other = {.n = 0};
    uint8_t public[32], secret[64], public2[32], secret2[64];
    uint8_t seed[32] = {1}, seed2[32] = {2};
    int wholes;
    crypto_sign_seed_keypair(public, secret, seed);
    crypto_sign_seed_keypair(public2, secret2, seed2);
    kit_world_init(&w, 1);
    struct aft_learner *l = some_learner(&w, 5);
    publish(l, 1, NULL, &plain);
    publish(l, 2, secret2, &other);
    publish(l, 3, secret, &good);
    struct aft_snapshot_set *s = aft_snapshot_set_new();
    aft_snapshot_set_key(s, public);
    assert_int_equal(add_all(s, &plain, &wholes), AFT_E_VALUE);
    assert_int_equal(add_all(s, &other, &wholes), AFT_E_VALUE);
    assert_int_equal(round_of(s), -1);
    assert_int_equal(add_all(s, &good, &wholes), AFT_OK);
    assert_int_equal(round_of(s), 3);
    aft_snapshot_set_free(s);
    aft_learner_free(l);
    free_records(&good);
    free_records(&plain);
    free_records(&other);
    kit_world_deinit(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_whole_and_newer),
        cmocka_unit_test(test_every_forgery_is_refused),
        cmocka_unit_test(test_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
