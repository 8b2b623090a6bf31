/* test_0002 - a tick that stands twice in the clock topic: the second copy was taken for the next tick, which was still on its way, so
 * that a log was read on before that one counted (I5 of task_inner.h).
 */
#include "tests/world.h"

struct twice_log {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *inner;
    const char *clock_topic;
    int ticks;
};
static const struct aft_log_ops *plain;

static enum aft_err
twice_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    struct aft_log *in = ((struct twice_log *)l)->inner;
    return plain->topic_facts(in, topic, out, e);
}

static enum aft_err
twice_range(struct aft_log *l, const char *topic, int32_t p, int64_t *begin, int64_t *end,
            struct aft_error *e)
{
    struct aft_log *in = ((struct twice_log *)l)->inner;
    return plain->range(in, topic, p, begin, end, e);
}

static enum aft_err
twice_reader_open(struct aft_log *l, const char *topic, int32_t p, int64_t offset,
                  struct aft_log_reader **out, struct aft_error *e)
{
    struct aft_log *in = ((struct twice_log *)l)->inner;
    return plain->reader_open(in, topic, p, offset, out, e);
}

static enum aft_err
one_by_one(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
           uint32_t *n, bool *at_end, struct aft_error *e)
{
    (void)max;
    return plain->read(r, out, 1, timeout_ms, n, at_end, e);
}

static enum aft_err
twice_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct twice_log *m = (struct twice_log *)l;
    struct aft_append copy = *a;
    struct aft_frame frame;
    struct aft_clock_record r;
    AFT_TRY(plain->append(m->inner, a, e));
    if (strcmp(a->topic, m->clock_topic) != 0)
        return AFT_OK;
    WORLD_OK(aft_frame_parse(a->value, &frame, &world_error));
    WORLD_OK(aft_decode_clock(frame.body, &r, &world_error));
    if (r.kind != AFT_CLOCK_TICK)
        return AFT_OK;
    copy.acked = NULL;
    m->ticks++;
    return plain->append(m->inner, &copy, e);
}

static void
twice_poll(struct aft_log *l, int timeout_ms)
{
    plain->poll(((struct twice_log *)l)->inner, timeout_ms);
}

static void
twice(struct twice_log *m, struct world *w)
{
    *m = (struct twice_log){.inner = aft_log_memory(w->broker)};
    plain = m->inner->ops;
    m->ops = *plain;
    m->ops.topic_facts = twice_facts;
    m->ops.range = twice_range;
    m->ops.reader_open = twice_reader_open;
    m->ops.read = one_by_one;
    m->ops.append = twice_append;
    m->ops.poll = twice_poll;
    m->log.ops = &m->ops;
    m->clock_topic = aft_config_text(w->config, "topics.clock");
}

static void
step(struct aft_task *t, struct aft_task_status *s)
{
    bool busy;
    WORLD_OK(aft_task_step(t, 0, &busy, &world_error));
    aft_task_status(t, false, s);
}

/* Impressions come, outcomes do not: a tick of the outcomes is written, and stands there twice. */
static void
until_ticks(struct world *w, struct aft_task *t, const struct twice_log *m, int ticks)
{
    struct aft_task_status s;
    for (int i = 0; i < 40 && m->ticks < ticks; i++) {
        world_impression(w, 0);
        w->now_ms += 1000;
        step(t, &s);
    }
    assert_int_equal(m->ticks, ticks);
}

static void
a_copy_is_not_the_next_one(void **state)
{
    (void)state;
    struct world w;
    struct twice_log m;
    struct aft_task *t;
    struct aft_task_status s = {0};
    world_open(&w, 3, 1);
    world_set(&w, "commit.interval", "1h"); /* a commit reads the clock topic too */
    WORLD_OK(aft_config_check(w.config, &world_error));
    twice(&m, &w);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = &m.log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    until_ticks(&w, t, &m, 2); /* the first was read back, its copy not yet */
    world_outcome(&w, 0);
    step(t, &s); /* reads the copy */
    assert_int_equal(s.consumed[AFT_OUTCOMES], 0);
    for (int i = 0; i < 5; i++)
        step(t, &s);
    assert_int_equal(s.consumed[AFT_OUTCOMES], 1);
    aft_task_close(t);
    m.inner->ops->poll(m.inner, 0);
    store->ops->close(store);
    m.inner->ops->close(m.inner);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_copy_is_not_the_next_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
