/* test_fates.c - the state says of every outcome that it remembers what became of it, and says the same after it was read again.
 * The scripted outcomes have each fate that a record can have; the random ones have a fate unless they wait. */
#include "tests/kit.h"

#include "attribution/inner.h"
#include "tests/join_cases.h"

static const struct aft_join_identity who = {"fates", 0};
static const struct aft_join_config rules = {
    .window_ms = 1000,
    .grace_ms = 1000000,
    .open_after_ms = 100,
    .orphan_after_ms = 300,
    .disorder_ms = 0,
    .max_future_ms = 1000000000,
    .open_max = 1000,
    .kinds = {{.name = "buy", .weight_micro = AFT_MICRO, .count_first = true},
              {.name = "seen", .activates = true}},
    .kinds_n = 2};

static enum aft_err
example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash, (void)e;
    return AFT_OK;
}

static struct aft_joiner *
opened(const struct aft_join_config *c, struct aft_store *store)
{
    const struct aft_join_out out = {NULL, example};
    struct aft_joiner *j = NULL;
    struct aft_error e;
    if (aft_joiner_open(c, &who, store, &out, &j, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return j;
}

static void
step(struct aft_joiner *j)
{
    struct aft_error e;
    uint64_t seq;
    if (aft_joiner_run(j, &e) != AFT_OK)
        fail_msg("%s", e.message);
    aft_joiner_cut(j, AFT_ABSENT, &seq);
    if (aft_joiner_commit(j, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

static void
give(struct aft_joiner *j, enum aft_log_kind log, int64_t offset, struct aft_bytes key,
     struct aft_buffer *body)
{
    struct aft_error e;
    struct aft_bytes bytes = body ? aft_buffer_bytes(body) : AFT_ABSENT;
    if (aft_joiner_take(j, log, offset, 1000000, key, bytes, &e) != AFT_OK)
        fail_msg("%s", e.message);
    if (body)
        aft_buffer_reset(body);
}

/* ---- the script: what is below 1800 is processed; the erasures stand at 1600, behind what was shown then */
struct shown {
    const char *id, *user; /* id NULL: the user is erased */
    int64_t at;
    bool deferred;
};
static const struct shown impressions[] = {
    {"d1", "u1", 1000, false}, {"d2", "u2", 1000, true},  {"d3", "u4", 1000, false},
    {"d4", "u1", 1600, false}, {"d5", "u1", 1500, false}, /* late: at 1600 */
    {NULL, "u3", 0, false},    {NULL, "u4", 0, false},    {"d9", "u9", 9000, false},
};

enum { DIRECT = 1, WAITED = 2, TAKEN_BACK = 4, ERASED = 8 };
struct happened {
    int64_t at;
    const char *id, *user, *kind, *decision, *arm, *retracts;
    enum aft_fate fate;
    unsigned flags;
    int64_t until; /* 0: nothing is known of a wait */
};
static const struct happened outcomes[] = {
    {1100, "o-direct", "u1", "buy", "d1", "a", NULL, AFT_FATE_credited, DIRECT, 0},
    {1110, "o-repeat", "u1", "buy", "d1", "a", NULL, AFT_FATE_repeat, DIRECT, 0},
    {1120, "o-arm", "u1", "buy", "d1", "z", NULL, AFT_FATE_unknown_arm, DIRECT, 0},
    {900, "o-early", "u1", "buy", "d1", "a", NULL, AFT_FATE_outside_window, DIRECT, 0},
    {1140, "o-organic", "u7", "buy", NULL, NULL, NULL, AFT_FATE_organic, 0, 0},
    {1150, "o-seen", "u2", "seen", "d2", NULL, NULL, AFT_FATE_activation, DIRECT, 0},
    {1160, "o-back", "u2", "buy", NULL, NULL, NULL, AFT_FATE_credited, TAKEN_BACK, 0},
    {1170, "r-back", "u2", "buy", NULL, NULL, "o-back", AFT_FATE_retraction, 0, 0},
    {1180, "r-never", "u2", "buy", NULL, NULL, "o-x", AFT_FATE_retraction_of_unknown, 0, 0},
    {1190, "o-lost", "u4", "buy", "d3", "a", NULL, AFT_FATE_credited, DIRECT | ERASED, 0},
    {1195, "o-touch", "u1", "buy", NULL, NULL, NULL, AFT_FATE_organic, 0, 0}, /* d1 had its buy */
    {1200, "o-orphan", "u1", "buy", "d8", NULL, NULL, AFT_FATE_orphan, DIRECT | WAITED, 1500},
    {1210, "o-orphan-3", "u3", "buy", "d8", NULL, NULL, AFT_FATE_orphan, DIRECT, 0}, /* erased */
    {1550, "o-before", "u1", "buy", "d4", NULL, NULL, AFT_FATE_outside_window, DIRECT | WAITED, 0},
    {1560, "o-late", "u1", "buy", "d5", NULL, NULL, AFT_FATE_credited, DIRECT | WAITED, 1600},
    {1570, "o-withdrawn", "u1", "buy", "d8", NULL, NULL, AFT_FATE_withdrawn, DIRECT | WAITED, 0},
    {1580, "r-withdrawn", "u1", "buy", NULL, NULL, "o-withdrawn", AFT_FATE_retraction, 0, 0},
    {1590, "o-erased", "u3", "buy", "d8", NULL, NULL, AFT_FATE_erased, DIRECT, 0},
    {1700, "o-waits", "u1", "buy", "d7", NULL, NULL, AFT_FATE_UNTOLD, DIRECT, 2000},
    {1800, "o-end", "u1", "buy", NULL, NULL, NULL, AFT_FATE_UNTOLD, 0, 0},
};
enum { OUTCOMES = sizeof outcomes / sizeof *outcomes };

static void
happen(struct aft_joiner *j)
{
    struct aft_shown slate = {.arm_id = AFT_LITERAL("a"), .propensity = 0.5};
    struct aft_buffer b = {0};
    for (size_t i = 0; i < sizeof impressions / sizeof *impressions; i++) {
        const struct shown *s = &impressions[i];
        struct aft_impression v = {.decision_id = aft_text(s->id ? s->id : ""),
                                   .user_id = aft_text(s->user),
                                   .timestamp_ms = s->at,
                                   .policy = AFT_LITERAL("p"),
                                   .slate = &slate,
                                   .slate_n = 1,
                                   .deferred = s->deferred};
        if (s->id)
            aft_encode_impression(&b, &v);
        give(j, AFT_IMPRESSIONS, (int64_t)i, aft_text(s->user), s->id ? &b : NULL);
    }
    for (size_t i = 0; i < OUTCOMES; i++) {
        const struct happened *s = &outcomes[i];
        struct aft_outcome o = {.outcome_id = aft_text(s->id),
                                .user_id = aft_text(s->user),
                                .timestamp_ms = s->at,
                                .kind = aft_text(s->kind),
                                .value_micro = AFT_MICRO};
        if (s->decision)
            o.decision_id = aft_text(s->decision);
        if (s->arm)
            o.arm_id = aft_text(s->arm);
        if (s->retracts)
            o.retracts = aft_text(s->retracts);
        aft_encode_outcome(&b, &o);
        give(j, AFT_OUTCOMES, (int64_t)i, aft_text(s->user), &b);
    }
    aft_buffer_deinit(&b);
}

static void
hear(void *ctx, const struct aft_explained_credit *c)
{
    bool *erased = ctx;
    assert_true(c->held || c->erased);
    *erased |= c->erased;
}

static void
expect(struct aft_joiner *j, const struct happened *s)
{
    struct aft_explained_outcome x;
    struct aft_error e;
    bool erased = false;
    const struct aft_explain_sink sink = {&erased, hear};
    assert_int_equal(aft_joiner_explain_outcome(j, aft_text(s->id), &x, &sink, &e), AFT_OK);
    unsigned flags = (x.direct ? DIRECT : 0u) | (x.waited ? WAITED : 0u) |
                     (x.taken_back ? TAKEN_BACK : 0u) | (erased ? ERASED : 0u);
    int64_t until = s->until ? s->until : INT64_MIN;
    bool credit = s->fate == AFT_FATE_credited && !x.taken_back;
    if (!x.known || x.fate != s->fate || flags != s->flags || x.until_ms != until ||
        x.waiting != (s->fate == AFT_FATE_UNTOLD) || x.ppm != (credit ? AFT_PPM : 0))
        fail_msg("%s: known %d, fate %s, flags %u, waiting %d, until %lld, %u ppm", s->id, x.known,
                 aft_fate_name(x.fate), flags, x.waiting, (long long)x.until_ms, x.ppm);
}

/* noted counts the scripted outcomes of each fate; the joiner's own counts must be the same: none was counted and not noted. */
static void
as_counted(struct aft_joiner *j)
{
    struct aft_join_counts c;
    int64_t noted[AFT_FATES_END] = {0};
    for (size_t i = 0; i + 1 < OUTCOMES; i++)
        noted[outcomes[i].fate]++;
    aft_joiner_counts(j, &c);
#define X(n)                                                                     \
    assert_int_equal(c.fates.n, noted[AFT_FATE_##n]);                            \
    assert_true(noted[AFT_FATE_##n] > 0 || AFT_FATE_##n == AFT_FATE_duplicate || \
                AFT_FATE_##n == AFT_FATE_unknown_kind);
    AFT_FATES(X)
#undef X
}

static void
every_fate(void **state)
{
    (void)state;
    struct aft_store *store = aft_store_mem_new();
    struct aft_joiner *j = opened(&rules, store);
    happen(j);
    step(j);
    as_counted(j);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i + 1 < OUTCOMES; i++)
            expect(j, &outcomes[i]);
        aft_joiner_close(j);
        j = opened(&rules, store);
    }
    aft_joiner_close(j);
    store->ops->close(store);
}

/* ---- a state without notes, or with one of a fate that there is not */
static void
note_all(struct aft_store *store, uint8_t note)
{
    struct aft_buffer b = {0};
    struct aft_redo_record r;
    struct aft_error e;
    uint8_t key[AFT_KEY_BYTES];
    bool found = true;
    for (uint64_t segment = 1; found; segment++) {
        aft_key_make(key, segment, AFT_KEY_SEGMENT);
        struct aft_put put = {.key = {key, sizeof key}};
        aft_buffer_reset(&b);
        assert_int_equal(store->ops->get(store, put.key, &b, &found, &e), AFT_OK);
        if (!found)
            continue;
        size_t at = AFT_SEGMENT_HEAD, record = at;
        for (; aft_redo_next(aft_buffer_bytes(&b), &at, &r); record = at)
            if (r.kind == AFT_REDO_OUTCOME || r.kind == AFT_REDO_RESOLVED)
                b.p[record + 1] = note;
        put.value = aft_buffer_bytes(&b);
        assert_int_equal(store->ops->commit(store, &put, 1, &e), AFT_OK);
    }
    aft_buffer_deinit(&b);
}

static void
other_notes(void **state)
{
    (void)state;
    struct aft_store *store = aft_store_mem_new();
    const struct aft_join_out out = {NULL, example};
    struct aft_explained_outcome x;
    struct aft_error e;
    bool erased = false;
    const struct aft_explain_sink sink = {&erased, hear};
    struct aft_joiner *j = opened(&rules, store);
    happen(j);
    step(j);
    aft_joiner_close(j);
    note_all(store, 0);
    j = opened(&rules, store);
    assert_int_equal(aft_joiner_explain_outcome(j, aft_text("o-direct"), &x, &sink, &e), AFT_OK);
    assert_true(x.known && x.fate == AFT_FATE_UNTOLD && x.ppm == AFT_PPM && !x.taken_back);
    aft_joiner_close(j);
    note_all(store, AFT_FATES_END);
    assert_int_equal(aft_joiner_open(&rules, &who, store, &out, &j, &e), AFT_E_CORRUPT);
    assert_non_null(strstr(e.message, "a fate that there is not"));
    store->ops->close(store);
}

/* ---- at random */
static uint64_t
same_notes(const struct aft_index *a, const struct aft_index *b)
{
    assert_true(a->seen_head == b->seen_head && a->seen_tail == b->seen_tail);
    for (uint64_t n = a->seen_head; n < a->seen_tail; n++) {
        const struct aft_seen *s = aft_index_seen(a, n);
        assert_int_equal(s->note, aft_index_seen(b, n)->note);
        assert_int_equal(s->waiting, (s->note & ~AFTI_DIRECT) == AFT_FATE_UNTOLD);
    }
    return a->seen_tail - a->seen_head;
}

/* half: of each log, so that much is remembered. */
static void
feed_half(struct aft_joiner *j, const struct join_case *c)
{
    struct aft_error e;
    for (int log = 0; log < 2; log++)
        for (size_t i = 0; i < c->n[log] / 2; i++) {
            const struct case_record *v = &c->log[log][i];
            enum aft_err failed =
                aft_joiner_take(j, (enum aft_log_kind)log, (int64_t)i, v->arrival,
                                aft_text(v->user), (struct aft_bytes){v->body, v->body_n}, &e);
            assert_true(failed == AFT_OK || aft_err_class(failed) == AFT_CLASS_DATA);
        }
}

static void
none_without(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(5), looked = 0;
    for (long round = kit_rounds(100); round > 0; round--, seed++) {
        struct join_case c;
        case_make(&c, seed);
        struct aft_store *store = aft_store_mem_new();
        struct aft_joiner *j = opened(&c.config, store);
        feed_half(j, &c);
        step(j);
        struct aft_joiner *again = opened(&c.config, store);
        looked += same_notes(&j->index, &again->index);
        aft_joiner_close(again);
        aft_joiner_close(j);
        store->ops->close(store);
        case_free(&c);
    }
    assert_true(looked > 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_fate), cmocka_unit_test(other_notes),
                                       cmocka_unit_test(none_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
