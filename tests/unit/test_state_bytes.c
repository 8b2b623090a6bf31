/* test_state_bytes.c - what stands in a state directory, byte by byte: whoever changes it so that it would be read otherwise
 * raises AFT_COMMIT_FORMAT, and a state of another format is refused in words. */
#include "tests/kit.h"

#include "attribution/attribution.h"

static const struct aft_join_identity who = {"bytes", 1};
static const struct aft_join_config rules = {
    .window_ms = 1000000,
    .grace_ms = 1000,
    .open_after_ms = 1000,
    .orphan_after_ms = 1000,
    .disorder_ms = 10,
    .max_future_ms = 1000000,
    .open_max = 100,
    .kinds = {{.name = "buy", .weight_micro = 2 * AFT_MICRO, .rule = AFT_RULE_LAST_TOUCH},
              {.name = "seen", .weight_micro = 0, .activates = true}},
    .kinds_n = 2};

static enum aft_err
example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash, (void)e;
    return AFT_OK;
}

static struct aft_joiner *
joiner(struct aft_store *store, enum aft_err want, struct aft_error *e)
{
    const struct aft_join_out out = {NULL, example};
    struct aft_joiner *j = NULL;
    enum aft_err got = aft_joiner_open(&rules, &who, store, &out, &j, e);
    if (got != want)
        fail_msg("%s", got ? e->message : "opened");
    return j;
}

static void
give(struct aft_joiner *j, enum aft_log_kind log, int64_t offset, struct aft_buffer *body)
{
    struct aft_error e;
    if (aft_joiner_take(j, log, offset, 5000, AFT_ABSENT, aft_buffer_bytes(body), &e) != AFT_OK)
        fail_msg("%s", e.message);
    aft_buffer_reset(body);
}

static void
impressions(struct aft_joiner *j, struct aft_buffer *b)
{
    struct aft_shown slate[2] = {{.arm_id = AFT_LITERAL("a"), .propensity = 0.5},
                                 {.arm_id = AFT_LITERAL("b"), .propensity = 0.5}};
    struct aft_impression v = {.decision_id = AFT_LITERAL("d1"),
                               .user_id = AFT_LITERAL("u"),
                               .timestamp_ms = 1000,
                               .policy = AFT_LITERAL("p"),
                               .slate = slate,
                               .slate_n = 2};
    aft_encode_impression(b, &v);
    give(j, AFT_IMPRESSIONS, 0, b);
    v.decision_id = AFT_LITERAL("d2");
    v.timestamp_ms = 1100;
    v.deferred = true;
    v.slate_n = 1;
    aft_encode_impression(b, &v);
    give(j, AFT_IMPRESSIONS, 1, b);
    v.decision_id = AFT_LITERAL("d3"); /* only its time matters */
    v.timestamp_ms = 5000;
    aft_encode_impression(b, &v);
    give(j, AFT_IMPRESSIONS, 2, b);
}

static void
outcomes(struct aft_joiner *j, struct aft_buffer *b)
{
    struct aft_outcome seen = {.outcome_id = AFT_LITERAL("o0"),
                               .user_id = AFT_LITERAL("u"),
                               .timestamp_ms = 1150,
                               .kind = AFT_LITERAL("seen"),
                               .decision_id = AFT_LITERAL("d2")};
    struct aft_outcome o = {.outcome_id = AFT_LITERAL("o1"),
                            .user_id = AFT_LITERAL("u"),
                            .timestamp_ms = 1200,
                            .kind = AFT_LITERAL("buy"),
                            .value_micro = AFT_MICRO};
    struct aft_outcome back = o, wait = o, end = o;
    aft_encode_outcome(b, &seen);
    give(j, AFT_OUTCOMES, 0, b);
    aft_encode_outcome(b, &o);
    give(j, AFT_OUTCOMES, 1, b);
    back.outcome_id = AFT_LITERAL("o2");
    back.timestamp_ms = 1300;
    back.retracts = AFT_LITERAL("o1");
    aft_encode_outcome(b, &back);
    give(j, AFT_OUTCOMES, 2, b);
    wait.outcome_id = AFT_LITERAL("o3");
    wait.timestamp_ms = 1400;
    wait.decision_id = AFT_LITERAL("d9");
    aft_encode_outcome(b, &wait);
    give(j, AFT_OUTCOMES, 3, b);
    end.outcome_id = AFT_LITERAL("o4");
    end.timestamp_ms = 5000;
    aft_encode_outcome(b, &end);
    give(j, AFT_OUTCOMES, 4, b);
}

/* stored: a state with every kind of record but what erasing leaves. */
static struct aft_store *
stored(void)
{
    struct aft_store *store = aft_store_mem_new();
    struct aft_buffer b = {0};
    struct aft_error e;
    uint64_t seq;
    struct aft_joiner *j = joiner(store, AFT_OK, &e);
    impressions(j, &b);
    outcomes(j, &b);
    assert_int_equal(aft_joiner_run(j, &e), AFT_OK);
    aft_joiner_cut(j, AFT_LITERAL("rider"), &seq);
    assert_int_equal(aft_joiner_commit(j, &e), AFT_OK);
    aft_joiner_close(j);
    aft_buffer_deinit(&b);
    return store;
}

static void
value_of(struct aft_store *store, uint64_t segment, uint8_t type, struct aft_buffer *out)
{
    uint8_t key[AFT_KEY_BYTES];
    struct aft_error e;
    bool found;
    aft_key_make(key, segment, type);
    assert_int_equal(store->ops->get(store, (struct aft_bytes){key, sizeof key}, out, &found, &e),
                     AFT_OK);
    assert_true(found);
}

/* expect_bytes: in lower-case hexadecimal, spaces for the reader. */
static void
expect_bytes(struct aft_bytes got, const char *want)
{
    char hex[4096] = "";
    size_t n = 0;
    assert_true(got.n * 2 < sizeof hex);
    for (size_t i = 0; i < got.n; i++)
        n += (size_t)snprintf(hex + n, sizeof hex - n, "%02x", got.p[i]);
    const char *p = hex;
    for (; *want; want++)
        if (*want != ' ' && *want != *p++)
            fail_msg("other bytes, first at %zu:\n%s", (size_t)(p - 1 - hex) / 2, hex);
    assert_int_equal(*p, '\0');
}

/* Head: magic, first touch, first outcome. Records: kind and pad, note (items, 128: deferred; fate, 128: direct), size, e, offset;
 * payload: two impressions (the second is deferred); "seen", which activates the second; its credit: decision, touch 1 as an Avro
 * long of 2, item, kind, ppm, unit, micro; what takes it back; an outcome that waits. */
static void
a_segment(void **state)
{
    (void)state;
    struct aft_store *store = stored();
    struct aft_buffer b = {0};
    value_of(store, 1, AFT_KEY_SEGMENT, &b);
    expect_bytes(aft_buffer_bytes(&b),
                 "41465332 0000000000000000 0000000000000000 "
                 "01 02 2e000000 e803000000000000 0000000000000000 "
                 "0464310275d00f000270000000000004026100000000000000e03f000000026200000000000000e0 "
                 "3f0000000000 "
                 "01 81 20000000 4c04000000000000 0100000000000000 "
                 "04643202759811000270000001000002026100000000000000e03f0000000000 "
                 "03 8c 23000000 7e04000000000000 0000000000000000 "
                 "e8841d03cec22936deb5116400000000 "
                 "02eb47e5238bb400937cfaaeb3000000000200 "
                 "03 01 2b000000 b004000000000000 0100000000000000 "
                 "cf98106f3e85ce3b12df6ef700000000 "
                 "0002eb47e5238bb400937cfaaeb304000080897a80897a8092f401 "
                 "03 07 2c000000 1405000000000000 0200000000000000 "
                 "8e896eddddb7d5e7a260baf900000000 "
                 "040202eb47e5238bb400937cfaaeb304000080897aff887aff91f401 "
                 "04 00 2b000000 7805000000000000 0300000000000000 "
                 "30c7b6ce203104085416012500000000 "
                 "046f330275f01506627579000000000000f03f0204643900000000 ");
    aft_buffer_deinit(&b);
    store->ops->close(store);
}

static void
another_format(void **state)
{
    (void)state;
    struct aft_store *store = stored();
    struct aft_buffer b = {0};
    struct aft_error e;
    uint8_t key[AFT_KEY_BYTES];
    value_of(store, 1, AFT_KEY_COMMIT, &b);
    assert_int_equal(b.p[4], 2 * AFT_COMMIT_FORMAT); /* an Avro long behind "AFC1" */
    for (int by = -1; by <= 1; by += 2) {
        b.p[4] = (uint8_t)(2 * (AFT_COMMIT_FORMAT + by));
        aft_store_le64(b.p + b.n - 8, aft_hash64((struct aft_bytes){b.p, b.n - 8}, 0));
        aft_key_make(key, 1, AFT_KEY_COMMIT);
        struct aft_put put = {{key, sizeof key}, aft_buffer_bytes(&b)};
        assert_int_equal(store->ops->commit(store, &put, 1, &e), AFT_OK);
        joiner(store, AFT_E_CORRUPT, &e);
        assert_non_null(strstr(e.message, "a format that this version (format 2) does not read"));
    }
    aft_buffer_deinit(&b);
    store->ops->close(store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_segment),
                                       cmocka_unit_test(another_format)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
