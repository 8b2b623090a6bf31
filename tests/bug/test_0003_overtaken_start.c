/* test_0003 - an owner that is overtaken while it starts, and slow to read the clock topic: the newer owner's blocks stand in the examples
 * before its own empty block. It took them for what it would compute itself, and stopped the service with a divergence that is none. Who
 * reads a newer epoch than its own stops as one who owns the partition no more.
 */
#include "tests/world.h"

struct deaf_log {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *inner;
    const char *clock_topic;
};
static const struct aft_log_ops *plain;
static struct aft_log_reader
    *clock_reader; /* of the clock topic: brings one record, and then no more */
static int clock_records;

static enum aft_err
deaf_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    return plain->topic_facts(((struct deaf_log *)l)->inner, topic, out, e);
}

static enum aft_err
deaf_range(struct aft_log *l, const char *topic, int32_t p, int64_t *begin, int64_t *end,
           struct aft_error *e)
{
    return plain->range(((struct deaf_log *)l)->inner, topic, p, begin, end, e);
}

static enum aft_err
deaf_reader_open(struct aft_log *l, const char *topic, int32_t p, int64_t offset,
                 struct aft_log_reader **out, struct aft_error *e)
{
    struct deaf_log *m = (struct deaf_log *)l;
    AFT_TRY(plain->reader_open(m->inner, topic, p, offset, out, e));
    if (strcmp(topic, m->clock_topic) == 0)
        clock_reader = *out;
    return AFT_OK;
}

static enum aft_err
deaf_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
          uint32_t *n, bool *at_end, struct aft_error *e)
{
    if (r != clock_reader)
        return plain->read(r, out, max, timeout_ms, n, at_end, e);
    *n = 0;
    *at_end = false;
    return clock_records++ ? AFT_OK : plain->read(r, out, 1, timeout_ms, n, at_end, e);
}

static enum aft_err
deaf_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    return plain->append(((struct deaf_log *)l)->inner, a, e);
}

static void
deaf_poll(struct aft_log *l, int timeout_ms)
{
    plain->poll(((struct deaf_log *)l)->inner, timeout_ms);
}

static void
deaf(struct deaf_log *m, struct world *w)
{
    *m = (struct deaf_log){.inner = aft_log_memory(w->broker)};
    plain = m->inner->ops;
    m->ops = *plain;
    m->ops.topic_facts = deaf_facts;
    m->ops.range = deaf_range;
    m->ops.reader_open = deaf_reader_open;
    m->ops.read = deaf_read;
    m->ops.append = deaf_append;
    m->ops.poll = deaf_poll;
    m->log.ops = &m->ops;
    m->clock_topic = aft_config_text(w->config, "topics.clock");
}

/* Somebody newer: its EPOCH is record 1 of the clock topic, its empty block record 0 of the examples. */
static void
overtake(struct world *w)
{
    struct aft_clock_record epoch = {
        .epoch = -1, .kind = AFT_CLOCK_EPOCH, .owner = aft_text("somebody newer")};
    struct aft_block empty = {.epoch = 1};
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_CLOCK);
    aft_encode_clock(&w->value, &epoch);
    world_put(w, "topics.clock", 0, "", aft_buffer_bytes(&w->value));
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_EXAMPLE_BLOCK);
    aft_encode_block(&w->value, &empty);
    world_put(w, "topics.examples", 0, "", aft_buffer_bytes(&w->value));
}

static void
a_newer_epoch_in_the_examples_stops_it(void **state)
{
    (void)state;
    struct world w;
    struct deaf_log m;
    struct aft_task *t;
    struct aft_error e;
    bool busy;
    enum aft_err err = AFT_OK;
    world_open(&w, 3, 1);
    deaf(&m, &w);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = &m.log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    WORLD_OK(aft_task_step(t, 0, &busy, &world_error)); /* its EPOCH is record 0 */
    overtake(&w);
    for (int i = 0; i < 20 && err == AFT_OK; i++)
        err = aft_task_step(t, 0, &busy, &e);
    assert_int_equal(err, AFT_E_NOT_OWNER);
    aft_task_close(t);
    m.inner->ops->poll(m.inner, 0);
    store->ops->close(store);
    m.inner->ops->close(m.inner);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_newer_epoch_in_the_examples_stops_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
