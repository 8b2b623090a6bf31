/* test_task.c - a partition's task over a log and a store in memory: whatever happens to its owners, the examples that a reader takes
 * are those that the joiner makes of the logs and of the ticks that count, byte for byte.
 */
#include "tests/truth.h"

/* ---- a log of its own for each machine; a deaf one reads no more of the clock topic: a stale owner that is slow to read */
struct machine_log {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *inner;
    struct world *w;
    bool deaf;
};
static struct aft_log_reader
    *clock_readers[64]; /* whose reads may be deaf, with the machine they belong to */
static struct machine_log *clock_owners[64];
static size_t clock_readers_n;

static enum aft_err
machine_reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
                    struct aft_log_reader **out, struct aft_error *e)
{
    struct machine_log *m = (struct machine_log *)l;
    AFT_TRY(m->inner->ops->reader_open(m->inner, topic, partition, offset, out, e));
    if (strcmp(topic, aft_config_text(m->w->config, "topics.clock")) == 0) {
        assert_true(clock_readers_n < 64);
        clock_readers[clock_readers_n] = *out;
        clock_owners[clock_readers_n++] = m;
    }
    return AFT_OK;
}

static const struct aft_log_ops *plain_ops;

static enum aft_err
machine_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
             uint32_t *n, bool *at_end, struct aft_error *e)
{
    for (size_t i = 0; i < clock_readers_n; i++)
        if (clock_readers[i] == r && clock_owners[i]->deaf) {
            *n = 0;
            *at_end = false;
            return AFT_OK;
        }
    return plain_ops->read(r, out, max, timeout_ms, n, at_end, e);
}

static void
machine_reader_close(struct aft_log_reader *r)
{
    for (size_t i = 0; i < clock_readers_n; i++)
        if (clock_readers[i] == r) {
            clock_readers[i] = clock_readers[--clock_readers_n];
            clock_owners[i] = clock_owners[clock_readers_n];
            break;
        }
    plain_ops->reader_close(r);
}

#define PASS(name, parameters, arguments)                      \
    static enum aft_err machine_##name parameters              \
    {                                                          \
        struct aft_log *in = ((struct machine_log *)l)->inner; \
        return in->ops->name arguments;                        \
    }
PASS(topic_facts,
     (struct aft_log * l, const char *topic, struct aft_topic_facts *out, struct aft_error *e),
     (in, topic, out, e))
PASS(range,
     (struct aft_log * l, const char *topic, int32_t p, int64_t *begin, int64_t *end,
      struct aft_error *e),
     (in, topic, p, begin, end, e))
PASS(append, (struct aft_log * l, const struct aft_append *a, struct aft_error *e), (in, a, e))
PASS(flush, (struct aft_log * l, int timeout_ms, struct aft_error *e), (in, timeout_ms, e))

static void
machine_poll(struct aft_log *l, int timeout_ms)
{
    struct aft_log *in = ((struct machine_log *)l)->inner;
    in->ops->poll(in, timeout_ms);
}

struct machine {
    struct machine_log log;
    struct aft_store *store;
    struct aft_task *task;
};

static void
machine_open(struct machine *m, struct world *w)
{
    *m = (struct machine){.store = aft_store_mem_new()};
    m->log.inner = aft_log_memory(w->broker);
    plain_ops = m->log.inner->ops;
    m->log.w = w;
    m->log.ops = (struct aft_log_ops){.topic_facts = machine_topic_facts,
                                      .range = machine_range,
                                      .reader_open = machine_reader_open,
                                      .read = machine_read,
                                      .reader_close = machine_reader_close,
                                      .append = machine_append,
                                      .poll = machine_poll,
                                      .flush = machine_flush};
    m->log.log.ops = &m->log.ops;
}

static void
machine_start(struct machine *m, struct world *w, int32_t partition)
{
    struct aft_task_options o = {.config = w->config,
                                 .log = &m->log.log,
                                 .store = m->store,
                                 .clock = world_clock(w),
                                 .partition = partition,
                                 .owner = "a test"};
    m->log.deaf = false;
    WORLD_OK(aft_task_open(&o, &m->task, &world_error));
}

/* kill -9: nothing is drained; what is on its way arrives, its sender is gone. */
static void
machine_kill(struct machine *m)
{
    aft_task_close(m->task);
    m->task = NULL;
    m->log.inner->ops->poll(m->log.inner, 0);
}

static void
machine_step(struct machine *m, int *fenced)
{
    bool busy;
    struct aft_error e;
    enum aft_err err = aft_task_step(m->task, 0, &busy, &e);
    if (err == AFT_E_NOT_OWNER) {
        (*fenced)++;
        machine_kill(m);
    } else if (err != AFT_OK) {
        fail_msg("step: %s (%s)", e.message, aft_err_name(err));
    }
}

static void
machine_close(struct machine *m)
{
    if (m->task)
        machine_kill(m);
    m->store->ops->close(m->store);
    m->log.inner->ops->close(m->log.inner);
}

/* Until both logs are read, idle time has closed every window, and all is committed. */
static void
run_to_the_end(struct world *w, struct machine *m, int32_t partition)
{
    int fenced = 0;
    struct aft_task_status s;
    if (!m->task)
        machine_start(m, w, partition);
    for (int i = 0; i < 600; i++) {
        w->now_ms += i < 590 ? 500 : 0; /* at last, what was written is read back */
        machine_step(m, &fenced);
        assert_int_equal(fenced, 0);
    }
    WORLD_OK(aft_task_drain(m->task, &world_error));
    aft_task_status(m->task, true, &s);
    assert_true(s.owner && s.caught_up);
    assert_int_equal(s.published_seq, s.next_seq);
    assert_int_equal(s.committed_offset[0], s.end_offset[0]);
    assert_int_equal(s.committed_offset[1], s.end_offset[1]);
}

static int64_t dead_seen;
static void
dead_letter_in(void *ctx, const struct aft_record_in *r)
{
    bool *seen = ctx;
    char topic[64] = "", offset[32] = "";
    for (uint32_t i = 0; i < r->headers_n; i++) {
        struct aft_bytes name = r->headers[i].name, v = r->headers[i].value;
        if (aft_same(name, AFT_LITERAL("aftertouch.topic")))
            snprintf(topic, sizeof topic, "%.*s", (int)v.n, (const char *)v.p);
        if (aft_same(name, AFT_LITERAL("aftertouch.offset")))
            snprintf(offset, sizeof offset, "%.*s", (int)v.n, (const char *)v.p);
    }
    assert_int_equal(r->headers_n, 5);
    assert_true(r->key.p != NULL && r->value.p != NULL);
    long at = strtol(offset, NULL, 10);
    assert_true(at >= 0 && at < 5000);
    at += strcmp(topic, "outcomes") == 0 ? 5000 : 0;
    dead_seen += !seen[at];
    seen[at] = true;
}

/* ---- the cases */
static void
check_all(struct world *w, int32_t partition, const struct aft_task_status *s)
{
    struct truth_result truth;
    struct world_examples got;
    static bool seen[10000];
    truth_of(w, partition, &truth);
    world_examples_read(w, partition, &got);
    compare(&got, &truth.examples, true);
    assert_int_equal(got.n, s->next_seq);
    assert_memory_equal(&truth.digest, &s->state, sizeof truth.digest);
    assert_memory_equal(&truth.counts.fates, &s->join.fates, sizeof truth.counts.fates);
    memset(seen, 0, sizeof seen);
    dead_seen = 0;
    world_each(w, "topics.dead.letters", partition, dead_letter_in, seen);
    assert_int_equal(dead_seen, truth.dead);
    truth_free(&truth);
    world_examples_free(&got);
}

static void
one_owner_undisturbed(void **state)
{
    (void)state;
    struct world w;
    struct machine m;
    int fenced = 0;
    world_open(&w, kit_seed(11), 3);
    machine_open(&m, &w);
    machine_start(&m, &w, 1);
    for (int i = 0; i < 3000; i++) {
        world_happen(&w, 1);
        if (i % 3 == 0)
            machine_step(&m, &fenced);
    }
    run_to_the_end(&w, &m, 1);
    struct aft_task_status s;
    aft_task_status(m.task, true, &s);
    assert_true(s.next_seq > 500 && s.ticks > 20 && s.dead_letters > 20 && s.commits > 20);
    assert_int_equal(s.duplicates_muted, 0);
    assert_int_equal(s.keyed[0].wrong + s.keyed[1].wrong > 0,
                     aft_partition_of(aft_text("torn"), 3) != 1);
    check_all(&w, 1, &s);
    machine_close(&m);
    world_close(&w);
}

/* The watermarks of two idle logs go on as the clock does, however the steps fall: never ahead of it. */
static void
idle_logs_keep_the_clocks_pace(void **state)
{
    (void)state;
    struct world w;
    struct machine m;
    struct aft_task_status s;
    int fenced = 0;
    world_open(&w, kit_seed(17), 1);
    machine_open(&m, &w);
    machine_start(&m, &w, 0);
    for (int i = 0; i < 300; i++) {
        world_happen(&w, 0);
        machine_step(&m, &fenced);
    }
    for (int i = 0; i < 5000; i++) {
        w.now_ms += aft_random_below(&w.r, 400);
        machine_step(&m, &fenced);
        aft_task_status(m.task, false, &s);
        assert_true(s.watermark_ms[0] <= w.now_ms && s.watermark_ms[1] <= w.now_ms);
    }
    assert_true(s.watermark_ms[0] > w.now_ms - 10000 && s.watermark_ms[1] > w.now_ms - 10000);
    machine_close(&m);
    world_close(&w);
}

static void
killed_at_any_step(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(21), muted = 0, restarts = 0;
    for (long k = 0; k < kit_rounds(12); k++) {
        struct world w;
        struct machine m;
        struct aft_task_status s;
        int fenced = 0;
        world_open(&w, seed + (uint64_t)k, 1);
        machine_open(&m, &w);
        for (int i = 0; i < 1500; i++) {
            if (aft_random_below(&w.r, 3))
                world_happen(&w, 0);
            if (!m.task)
                machine_start(&m, &w, 0);
            machine_step(&m, &fenced);
            if (aft_random_below(&w.r, 25) == 0) {
                aft_task_status(m.task, false, &s);
                muted += s.duplicates_muted;
                restarts++;
                machine_kill(&m);
            }
        }
        run_to_the_end(&w, &m, 0);
        aft_task_status(m.task, true, &s);
        assert_int_equal(fenced, 0);
        assert_true(s.next_seq > 100);
        check_all(&w, 0, &s);
        machine_close(&m);
        world_close(&w);
    }
    printf("%llu restarts, %llu examples computed again\n", (unsigned long long)restarts,
           (unsigned long long)muted);
    assert_true(muted > 100);
}

/* Three machines with a store each; any of them may think it owns the partition, be deaf to the journal, or die. */
static void
many_owners(void **state)
{
    (void)state;
    enum { MACHINES = 3 };
    uint64_t seed = kit_seed(31), stale = 0, stale_ticks = 0;
    int fenced = 0;
    for (long k = 0; k < kit_rounds(40); k++) {
        struct world w;
        struct machine m[MACHINES];
        struct truth_result truth;
        struct world_examples got;
        world_open(&w, seed + (uint64_t)k, 1);
        for (int i = 0; i < MACHINES; i++)
            machine_open(&m[i], &w);
        for (int i = 0; i < 2500; i++) {
            struct machine *one = &m[aft_random_below(&w.r, MACHINES)];
            uint32_t x = aft_random_below(&w.r, 100);
            if (x < 30)
                world_happen(&w, 0);
            else if (!one->task)
                x < 40 ? machine_start(one, &w, 0) : (void)0;
            else if (x < 32)
                machine_kill(one);
            else if (x < 36)
                one->log.deaf = true;
            else if (x < 38)
                one->log.deaf = false;
            else
                machine_step(one, &fenced);
        }
        for (int i = 0; i < MACHINES; i++)
            if (m[i].task)
                machine_kill(&m[i]);
        for (int i = 0; i < MACHINES; i++) { /* every store must be one that can go on */
            struct aft_task_status s;
            run_to_the_end(&w, &m[i], 0);
            aft_task_status(m[i].task, true, &s);
            machine_kill(&m[i]);
            check_all(&w, 0, &s);
        }
        truth_of(&w, 0, &truth);
        world_examples_read(&w, 0, &got);
        stale += got.stale;
        stale_ticks += truth.stale_ticks;
        truth_free(&truth);
        world_examples_free(&got);
        for (int i = 0; i < MACHINES; i++)
            machine_close(&m[i]);
        world_close(&w);
    }
    printf("%d fenced, %llu stale blocks, %llu stale ticks\n", fenced, (unsigned long long)stale,
           (unsigned long long)stale_ticks);
    assert_true(fenced > 20 && stale > 20 && stale_ticks > 20); /* or it proves little */
}

/* Somebody wrote other examples than the logs give: the first block end that is passed again says so. */
static void
divergence_is_named(void **state)
{
    (void)state;
    struct world w;
    struct machine a, b;
    struct aft_error e;
    bool busy;
    enum aft_err err = AFT_OK;
    world_open(&w, kit_seed(41), 1);
    machine_open(&a, &w);
    machine_open(&b, &w); /* an empty store: everything is computed again */
    for (int i = 0; i < 400; i++)
        world_happen(&w, 0);
    run_to_the_end(&w, &a, 0);
    machine_kill(&a);
    world_set(&w, "join.open.after", "4s");
    WORLD_OK(aft_config_check(w.config, &world_error));
    machine_start(&b, &w, 0);
    for (int i = 0; i < 400 && err == AFT_OK; i++)
        err = aft_task_step(b.task, 0, &busy, &e);
    assert_int_equal(err, AFT_E_DIVERGENCE);
    assert_non_null(strstr(e.message, "partition 0: example "));
    machine_close(&a);
    machine_close(&b);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_owner_undisturbed), cmocka_unit_test(idle_logs_keep_the_clocks_pace),
        cmocka_unit_test(killed_at_any_step),    cmocka_unit_test(many_owners),
        cmocka_unit_test(divergence_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
