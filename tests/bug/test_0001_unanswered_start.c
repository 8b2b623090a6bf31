/* test_0001 - a start of ownership in which the broker once does not answer: the step is asked for again, as the service does, and the
 * task comes to work. It had closed its reader of the examples before the inputs were open, and read from it again; and it opened
 * readers twice.
 */
#include "tests/world.h"

struct mute_log {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *inner;
    int asked, silent_at; /* the question that gets no answer */
};

static enum aft_err
question(struct mute_log *m, struct aft_error *e)
{
    return ++m->asked == m->silent_at ? AFT_FAIL(e, AFT_E_TIMEOUT, "nobody answers") : AFT_OK;
}

static enum aft_err
mute_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    struct mute_log *m = (struct mute_log *)l;
    return m->inner->ops->topic_facts(m->inner, topic, out, e);
}

static enum aft_err
mute_range(struct aft_log *l, const char *topic, int32_t p, int64_t *begin, int64_t *end,
           struct aft_error *e)
{
    struct mute_log *m = (struct mute_log *)l;
    AFT_TRY(question(m, e));
    return m->inner->ops->range(m->inner, topic, p, begin, end, e);
}

static enum aft_err
mute_reader_open(struct aft_log *l, const char *topic, int32_t p, int64_t offset,
                 struct aft_log_reader **out, struct aft_error *e)
{
    struct mute_log *m = (struct mute_log *)l;
    AFT_TRY(question(m, e));
    return m->inner->ops->reader_open(m->inner, topic, p, offset, out, e);
}

static enum aft_err
mute_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct mute_log *m = (struct mute_log *)l;
    return m->inner->ops->append(m->inner, a, e);
}

static void
mute_poll(struct aft_log *l, int timeout_ms)
{
    struct mute_log *m = (struct mute_log *)l;
    m->inner->ops->poll(m->inner, timeout_ms);
}

static void
mute(struct mute_log *m, struct aft_log *inner, int silent_at)
{
    *m = (struct mute_log){.inner = inner, .silent_at = silent_at};
    m->ops = *inner->ops; /* read and reader_close know their reader alone */
    m->ops.topic_facts = mute_facts;
    m->ops.range = mute_range;
    m->ops.reader_open = mute_reader_open;
    m->ops.append = mute_append;
    m->ops.poll = mute_poll;
    m->log.ops = &m->ops;
}

/* step_until_owner returns how many steps failed. */
static int
step_until_owner(struct aft_task *t, struct mute_log *m)
{
    struct aft_task_status s = {0};
    struct aft_error e;
    bool busy;
    int failed = 0;
    for (int i = 0; i < 50 && !s.owner; i++) {
        enum aft_err err = aft_task_step(t, 0, &busy, &e);
        assert_true(err == AFT_OK || err == AFT_E_TIMEOUT);
        failed += err != AFT_OK;
        int before = m->asked;
        aft_task_status(t, false, &s);
        m->asked = before; /* looking is no part of the start */
    }
    assert_true(s.owner);
    return failed;
}

/* start returns how many questions a start asks; the one of this number is not answered (0: all are). */
static int
start(int silent_at)
{
    struct world w;
    struct mute_log m;
    struct aft_task *t;
    world_open(&w, 1, 1);
    mute(&m, aft_log_memory(w.broker), silent_at);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = &m.log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    assert_int_equal(step_until_owner(t, &m), silent_at > 0);
    aft_task_close(t);
    store->ops->close(store);
    m.inner->ops->close(m.inner);
    world_close(&w);
    return m.asked;
}

static void
any_question_may_stay_unanswered(void **state)
{
    (void)state;
    int questions = start(0);
    assert_true(questions >= 8); /* four topics: a range and a reader each */
    for (int i = 1; i <= questions; i++)
        start(i);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_question_may_stay_unanswered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
