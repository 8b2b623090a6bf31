/* test_0009 - a record that no topic with a broker's defaults takes, and that cannot be read, went to the dead letters as it was; the broker
 * refused it, and so the service stopped at the same record again and again. It is cut, and says what its size was.
 */
#include "tests/world.h"

static uint32_t letters, cut;

static void
letter(void *ctx, const struct aft_record_in *r)
{
    (void)ctx;
    letters++;
    assert_true(r->key.n + r->value.n <= AFT_BLOCK_BYTES_MAX);
    for (uint32_t i = 0; i < r->headers_n; i++)
        if (aft_same(r->headers[i].name, AFT_LITERAL("aftertouch.cut")))
            cut += aft_same(r->headers[i].value, AFT_LITERAL("2000000"));
}

static void
it_is_cut(void **state)
{
    (void)state;
    struct world w;
    struct aft_task *t;
    bool busy;
    uint8_t *large = calloc(1, 2000000);
    world_open(&w, 1, 1);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = w.log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .owner = "a test"};
    world_put(&w, "topics.impressions", 0, "user", (struct aft_bytes){large, 2000000});
    world_put(&w, "topics.impressions", 0, "user", (struct aft_bytes){large, 20});
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    for (int i = 0; i < 50; i++)
        WORLD_OK(aft_task_step(t, 0, &busy, &world_error));
    aft_task_close(t);
    w.log->ops->poll(w.log, 0);
    world_each(&w, "topics.dead.letters", 0, letter, NULL);
    assert_int_equal(letters, 2);
    assert_int_equal(cut, 1);
    store->ops->close(store);
    world_close(&w);
    free(large);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
