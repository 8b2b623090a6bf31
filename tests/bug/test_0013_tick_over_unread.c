/* test_0013_tick_over_unread.c - a log counted as idle because it had been read to its end a while ago, though it had not been looked
 * at since: the other log kept the task busy. Its watermark was raised over records that were there, and they were late.
 */
#include "tests/world.h"

#include "attribution/attribution.h"

static void
impression_at(struct world *w, int64_t ts)
{
    int64_t now = w->now_ms;
    w->ahead_ms = ts - now + 450;
    world_impression(w, 0);
    w->ahead_ms = 0;
}

static void
outcome_at(struct world *w, int64_t ts)
{
    w->ahead_ms = ts - w->now_ms + 450;
    world_outcome(w, 0);
    w->ahead_ms = 0;
}

static void
unread_records_are_not_late(void **state)
{
    (void)state;
    struct world w;
    struct aft_task *task;
    struct aft_task_status s;
    bool busy;
    struct aft_store *store = aft_store_mem_new();
    world_open(&w, kit_seed(1), 1);
    world_set(&w, "join.disorder", "2s"); /* nothing else is late */
    WORLD_OK(aft_config_check(w.config, &world_error));
    struct aft_task_options o = {.config = w.config,
                                 .log = w.log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .owner = "a test"};
    int64_t t = w.now_ms;
    outcome_at(&w, t);
    WORLD_OK(aft_task_open(&o, &task, &world_error));
    for (int i = 0; i < 20; i++)
        WORLD_OK(aft_task_step(task, 0, &busy, &world_error)); /* the outcomes are at their end */
    w.now_ms += 20000;
    for (int i = 0; i < 500; i++)
        impression_at(&w, t - 60000);
    for (int i = 0; i < 500; i++)
        impression_at(&w, t + 15000);
    outcome_at(&w, t + 10000);
    for (int i = 0; i < 40; i++)
        WORLD_OK(aft_task_step(task, 0, &busy, &world_error));
    aft_task_status(task, false, &s);
    assert_int_equal(s.consumed[AFT_IMPRESSIONS], 1000);
    assert_int_equal(s.consumed[AFT_OUTCOMES], 2);
    w.now_ms += 100000;
    for (int i = 0; i < 40; i++)
        WORLD_OK(aft_task_step(task, 0, &busy, &world_error));
    aft_task_status(task, false, &s);
    assert_int_equal(s.join.outcomes, 2);
    assert_int_equal(s.join.late, 0);
    aft_task_close(task);
    store->ops->close(store);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unread_records_are_not_late)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
