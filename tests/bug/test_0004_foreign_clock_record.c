/* test_0004 - a record in the clock topic that is not ours and names a schema, while the registry does not answer: the batch it came in was
 * given up, and with it the owner's own EPOCH and ticks. The journals are ours alone, in our own frame: they need no registry.
 */
#include "tests/world.h"

static enum aft_err
not_now(void *ctx, uint32_t id, struct aft_buffer *json, struct aft_error *e)
{
    (void)ctx, (void)json;
    return AFT_FAIL(e, AFT_E_AGAIN, "the registry does not answer for schema %u", id);
}

static void
a_foreign_record_is_passed_over(void **state)
{
    (void)state;
    struct world w;
    struct aft_task *t;
    struct aft_task_status s = {0};
    bool busy;
    world_open(&w, 3, 1);
    world_put(&w, "topics.clock", 0, "", AFT_LITERAL("\0\0\0\0\7 what is this"));
    struct aft_log *log = aft_log_memory(w.broker);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .schemas = {.by_id = not_now},
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    for (int i = 0; i < 20 && !s.owner; i++) {
        WORLD_OK(aft_task_step(t, 0, &busy, &world_error));
        aft_task_status(t, false, &s);
    }
    assert_true(s.owner);
    aft_task_close(t);
    log->ops->poll(log, 0);
    store->ops->close(store);
    log->ops->close(log);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_foreign_record_is_passed_over)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
