/* test_0012_other_log.c - a topic made anew under the state of the old one: a record that the state had read but not yet processed came
 * back as another, earlier one, and an assertion ended the process. It is an error in words. Found by fuzz_state. */
#include "tests/kit.h"

#include <string.h>

#include "attribution/attribution.h"

static struct aft_error error;

static enum aft_err
example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash, (void)e;
    return AFT_OK;
}

static void
show(struct aft_joiner *j, int64_t offset, const char *id, int64_t ts)
{
    struct aft_buffer b = {0};
    struct aft_shown slate = {.arm_id = AFT_LITERAL("a"), .propensity = 0.5};
    struct aft_impression v = {.decision_id = aft_text(id),
                               .user_id = AFT_LITERAL("u"),
                               .timestamp_ms = ts,
                               .policy = AFT_LITERAL("p"),
                               .slate = &slate,
                               .slate_n = 1};
    aft_encode_impression(&b, &v);
    assert_int_equal(aft_joiner_take(j, AFT_IMPRESSIONS, offset, ts, AFT_LITERAL("u"),
                                     aft_buffer_bytes(&b), &error),
                     AFT_OK);
    aft_buffer_deinit(&b);
}

static struct aft_joiner *
opened(struct aft_store *store)
{
    const struct aft_join_config config = {.window_ms = 3600000,
                                           .open_after_ms = 1000,
                                           .orphan_after_ms = 1000,
                                           .disorder_ms = 1000,
                                           .max_future_ms = 3600000,
                                           .open_max = 1000};
    const struct aft_join_identity identity = {"app", 0};
    const struct aft_join_out out = {.example = example};
    struct aft_joiner *j;
    assert_int_equal(aft_joiner_open(&config, &identity, store, &out, &j, &error), AFT_OK);
    return j;
}

static void
another_log_is_said_in_words(void **state)
{
    (void)state;
    struct aft_store *store = aft_store_mem_new();
    struct aft_joiner *j = opened(store);
    uint64_t seq;
    aft_joiner_tick(j, AFT_OUTCOMES, 0, 40000);
    show(j, 0, "d0", 10000);
    show(j, 1, "d1", 50000); /* waits in the reorder buffer */
    assert_int_equal(aft_joiner_run(j, &error), AFT_OK);
    aft_joiner_cut(j, AFT_ABSENT, &seq);
    assert_int_equal(aft_joiner_commit(j, &error), AFT_OK);
    aft_joiner_close(j);

    j = opened(store);
    show(j, 1, "other", 20000); /* before the 40000 that the state has gone up to */
    show(j, 2, "d2", 60000);
    assert_int_equal(aft_joiner_run(j, &error), AFT_E_CORRUPT);
    assert_non_null(strstr(error.message, "offset 1 of the impressions"));
    aft_joiner_close(j);
    store->ops->close(store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(another_log_is_said_in_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
