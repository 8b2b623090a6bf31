/* test_0008 - a state that was written over three partitions was gone on with over four: users' keys lead elsewhere then, and their credit is
 * lost in silence. The commit record's rider says how many there were; riders of version 1 do not, and are read all the same.
 */
#include "tests/world.h"

#include "consumer/task_inner.h"

static enum aft_err
open_task(struct world *w, struct aft_store *store, struct aft_task **out)
{
    struct aft_task_options o = {.config = w->config,
                                 .log = w->log,
                                 .store = store,
                                 .clock = world_clock(w),
                                 .owner = "a test"};
    return aft_task_open(&o, out, &world_error);
}

static void
work(struct world *w, struct aft_store *store)
{
    struct aft_task *t;
    bool busy;
    WORLD_OK(open_task(w, store, &t));
    for (int i = 0; i < 300; i++) {
        if (i % 3 == 0)
            world_happen(w, 0);
        WORLD_OK(aft_task_step(t, 0, &busy, &world_error));
    }
    WORLD_OK(aft_task_drain(t, &world_error));
    aft_task_close(t);
    w->log->ops->poll(w->log, 0);
}

static void
another_number_of_partitions_is_refused(void **state)
{
    (void)state;
    struct world three, four;
    struct aft_task *t;
    struct aft_store *store = aft_store_mem_new();
    world_open(&three, 1, 3);
    work(&three, store);
    WORLD_OK(open_task(&three, store, &t));
    aft_task_close(t);
    world_open(&four, 1, 4);
    assert_int_equal(open_task(&four, store, &t), AFT_E_CONFIG);
    assert_non_null(strstr(world_error.message, "has 4 partitions, and had 3"));
    store->ops->close(store);
    world_close(&three);
    world_close(&four);
}

static void
a_rider_of_version_1_is_read(void **state)
{
    (void)state;
    struct afti_rider r = {.clock_offset = 5, .seq = 7, .partitions = 3}, back;
    uint8_t bytes[AFTI_RIDER_BYTES];
    afti_rider_encode(&r, bytes);
    WORLD_OK(afti_rider_decode((struct aft_bytes){bytes, sizeof bytes}, &back, &world_error));
    assert_int_equal(back.partitions, 3);
    bytes[0] = 1;
    assert_int_equal(
        afti_rider_decode((struct aft_bytes){bytes, sizeof bytes}, &back, &world_error),
        AFT_E_CORRUPT);
    WORLD_OK(afti_rider_decode((struct aft_bytes){bytes, 64}, &back, &world_error));
    assert_int_equal(back.partitions, 0);
    assert_int_equal(back.seq, 7);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(another_number_of_partitions_is_refused),
                                       cmocka_unit_test(a_rider_of_version_1_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
