/* test_recover.c - a state so large that it is read in a thread of its own (pthread_create in state/ahead_linux.c) comes back as it was; a
 * damaged one is refused in words that name the segment, whatever was read beyond it by then. */
#include "tests/kit.h"

#include "attribution/attribution.h"
#include "state/state.h"

enum { SHOWN = 30000, EACH = 8, USERS = 700, STEP_MS = 40 };

struct state {
    struct aft_store *store;
    uint64_t first, last; /* segments */
    struct aft_digest digest;
    uint64_t open;
};

static void
must(enum aft_err failed, const struct aft_error *e)
{
    if (failed)
        fail_msg("%s (%s:%d)", e->message, e->file, e->line);
}

static enum aft_err
nowhere(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash_after,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash_after, (void)e;
    return AFT_OK;
}

static enum aft_err
open_joiner(struct aft_store *store, struct aft_joiner **j, struct aft_error *e)
{
    struct aft_join_config config = {.window_ms = 1000000,
                                     .grace_ms = 1000,
                                     .open_after_ms = 5000,
                                     .orphan_after_ms = 20000,
                                     .disorder_ms = 500,
                                     .max_future_ms = 3600000,
                                     .open_max = 1 << 20,
                                     .kinds = {{.name = "bought", .weight_micro = AFT_MICRO},
                                               {.name = "rendered", .activates = true}},
                                     .kinds_n = 2};
    struct aft_join_identity who = {"test", 0};
    struct aft_join_out out = {NULL, nowhere};
    return aft_joiner_open(&config, &who, store, &out, j, e);
}

static int64_t
time_of(struct aft_random *r, uint32_t i)
{
    int64_t on_time = INT64_C(1760000000000) + (int64_t)i * STEP_MS;
    return aft_random_below(r, 5) ? on_time : on_time - aft_random_below(r, 3000);
}

/* shown: a decision, or, now and then, the erasure of a user. */
static void
shown(struct aft_joiner *j, struct aft_random *r, uint32_t i)
{
    char decision[24], user[24];
    struct aft_buffer body = {0};
    struct aft_error e;
    struct aft_shown slate[2] = {{.arm_id = aft_text("roth"), .propensity = 0.25},
                                 {.arm_id = aft_text("beneficiary"), .propensity = 0.5}};
    snprintf(decision, sizeof decision, "decision-%u", i);
    snprintf(user, sizeof user, "user-%u", aft_random_below(r, USERS));
    struct aft_impression v = {.decision_id = aft_text(decision),
                               .user_id = aft_text(user),
                               .timestamp_ms = time_of(r, i),
                               .policy = aft_text("p1"),
                               .deferred = aft_random_below(r, 4) == 0,
                               .slate = slate,
                               .slate_n = 2};
    aft_encode_impression(&body, &v);
    must(aft_joiner_take(j, AFT_IMPRESSIONS, i, v.timestamp_ms, AFT_ABSENT, aft_buffer_bytes(&body),
                         &e),
         &e);
    aft_buffer_deinit(&body);
}

/* done: indirect, direct, an activation, some of an impression that is yet to come. */
static void
done(struct aft_joiner *j, struct aft_random *r, uint32_t i)
{
    char id[24], user[24], decision[24];
    struct aft_buffer body = {0};
    struct aft_error e;
    uint32_t kind = aft_random_below(r, 40);
    snprintf(id, sizeof id, "outcome-%u", i);
    snprintf(user, sizeof user, "user-%u", aft_random_below(r, USERS));
    snprintf(decision, sizeof decision, "decision-%u", i * EACH + 100 - aft_random_below(r, 200));
    struct aft_outcome v = {.outcome_id = aft_text(id),
                            .user_id = aft_text(user),
                            .timestamp_ms = time_of(r, i * EACH),
                            .kind = aft_text(kind < 10 ? "rendered" : "bought"),
                            .value_micro = AFT_MICRO};
    if (kind < 20)
        v.decision_id = aft_text(decision);
    aft_encode_outcome(&body, &v);
    must(aft_joiner_take(j, AFT_OUTCOMES, i, v.timestamp_ms, aft_text(user),
                         aft_buffer_bytes(&body), &e),
         &e);
    aft_buffer_deinit(&body);
}

static void
commit(struct aft_joiner *j)
{
    struct aft_error e;
    uint64_t seq;
    must(aft_joiner_run(j, &e), &e);
    aft_joiner_cut(j, AFT_ABSENT, &seq);
    must(aft_joiner_commit(j, &e), &e);
}

static uint64_t
segment_of(struct aft_bytes key)
{
    return aft_load_be64(key.p);
}

static int
make_state(void **state)
{
    struct state *s = calloc(1, sizeof *s);
    struct aft_random r;
    struct aft_joiner *j;
    struct aft_error e;
    struct aft_join_counts counts;
    struct aft_store_scan *scan;
    struct aft_put at;
    aft_random_init(&r, kit_seed(17), 0);
    s->store = aft_store_mem_new();
    must(open_joiner(s->store, &j, &e), &e);
    for (uint32_t i = 0; i < SHOWN; i++) {
        shown(j, &r, i);
        if (i % EACH == 0)
            done(j, &r, i / EACH);
        if (i % 4000 == 3999)
            commit(j);
    }
    commit(j);
    aft_joiner_digest(j, &s->digest);
    aft_joiner_counts(j, &counts);
    s->open = (uint64_t)counts.open;
    aft_joiner_close(j);
    must(s->store->ops->scan_open(s->store, AFT_LITERAL("\0"), &scan, &e), &e);
    for (bool end = false; s->store->ops->scan_next(scan, &at, &end, &e) == AFT_OK && !end;) {
        if (at.key.p[8] != AFT_KEY_SEGMENT)
            continue;
        s->first = s->first ? s->first : segment_of(at.key);
        s->last = segment_of(at.key);
    }
    s->store->ops->scan_close(scan);
    *state = s;
    return 0;
}

static int
drop_state(void **state)
{
    struct state *s = *state;
    s->store->ops->close(s->store);
    free(s);
    return 0;
}

static void
comes_back(void **state)
{
    const struct state *s = *state;
    struct aft_joiner *j;
    struct aft_error e;
    struct aft_digest again;
    struct aft_join_counts counts;
    assert_true(s->last - s->first > 300); /* else nobody reads beside */
    for (int i = 0; i < 3; i++) {
        must(open_joiner(s->store, &j, &e), &e);
        aft_joiner_digest(j, &again);
        aft_joiner_counts(j, &counts);
        assert_memory_equal(again.b, s->digest.b, sizeof again.b);
        assert_int_equal(counts.open, s->open);
        aft_joiner_close(j);
    }
}

/* ---- damages */
enum damage { GONE, SHORT, HEAD, NUMBER, TIME, LONG, DAMAGES };

/* harm: bytes, of a segment, as they are after it. */
static void
harm(struct aft_buffer *b, enum damage how)
{
    AFT_ASSERT(b->p != NULL && b->n > AFT_SEGMENT_HEAD + AFT_REDO_HEAD);
    switch (how) {
    case GONE:
        return;
    case SHORT:
        b->n -= 3;
        return;
    case HEAD:
        b->p[1] ^= 1;
        return;
    case NUMBER: /* the first touch's */
        aft_store_le64(b->p + 4, aft_load_le64(b->p + 4) + 1);
        return;
    case TIME: /* of the first record: after the others' */
        aft_store_le64(b->p + AFT_SEGMENT_HEAD + 6,
                       aft_load_le64(b->p + AFT_SEGMENT_HEAD + 6) + 1000000);
        return;
    case LONG:
        aft_put_u8(b, 0);
        return;
    case DAMAGES:
        return;
    }
}

static void
refused(const struct state *s, uint64_t segment, enum damage how)
{
    uint8_t key[AFT_KEY_BYTES];
    char name[60];
    struct aft_buffer was = {0}, is = {0};
    struct aft_error e;
    struct aft_joiner *j;
    bool found;
    aft_key_make(key, segment, AFT_KEY_SEGMENT);
    struct aft_bytes k = {key, sizeof key};
    must(s->store->ops->get(s->store, k, &was, &found, &e), &e);
    assert_true(found);
    aft_put_raw(&is, aft_buffer_bytes(&was));
    harm(&is, how);
    struct aft_put put = {k, how == GONE ? AFT_ABSENT : aft_buffer_bytes(&is)};
    must(s->store->ops->commit(s->store, &put, 1, &e), &e);
    assert_int_equal(open_joiner(s->store, &j, &e), AFT_E_CORRUPT);
    if (how == NUMBER && segment == s->first) /* the count begins there: the next does not follow */
        segment++;
    snprintf(name, sizeof name, "segment %llu", (unsigned long long)segment);
    if (!strstr(e.message, name) &&
        !(how == TIME && strstr(e.message, "segment"))) /* or the next */
        fail_msg("damage %d of %s: %s", (int)how, name, e.message);
    put.value = aft_buffer_bytes(&was);
    must(s->store->ops->commit(s->store, &put, 1, &e), &e);
    aft_buffer_deinit(&was);
    aft_buffer_deinit(&is);
}

static void
damage_is_named(void **state)
{
    const struct state *s = *state;
    uint64_t at[] = {s->first, s->first + 1, s->first + (s->last - s->first) / 2, s->last};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (enum damage how = GONE; how < DAMAGES; how++)
            if (!(how == TIME && at[i] == s->last)) /* then it is its commit record that differs */
                refused(s, at[i], how);
    comes_back(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_back),
                                       cmocka_unit_test(damage_is_named)};
    return cmocka_run_group_tests(tests, make_state, drop_state);
}
