/* demo_embedded.c - the closed loop in one process.
 *
 *   visits of the next slice of simulated time -> the client library decides -> impressions; due outcomes -> log
 *   -> a task a partition joins -> learning takes a round -> a snapshot -> the client follows it -> better decisions
 *
 * One thread on the embedded log; the clock is the world's. So the same seed, size and configuration give the same bytes, every time. */
#include <stdio.h>
#include <string.h>

#include "cmd/demo.h"

enum { PUMP_MAX = 100000 };
#define SLICE_MS INT64_C(43200000) /* half a day */
#define TAIL_DAYS 60               /* by then every window has closed, or something is wrong */

struct embedded {
    const struct demo_options *o;
    struct aft_config *config;
    int64_t now_ms; /* the world's time: all clocks show it */
    struct aft_embedded *broker;
    int32_t partitions;
    struct aft_log *task_logs[DEMO_PARTITIONS_MAX], *learning_log, *engine_log, *report_log;
    struct aft_store *stores[DEMO_PARTITIONS_MAX];
    struct aft_task *tasks[DEMO_PARTITIONS_MAX];
    struct aft_learning *learning;
    struct demo_port port;
    struct demo_engine engine;
    struct demo_examples *examples;
    struct demo_screen *screen;
    struct aft_board *board; /* with its page; NULL: no port was asked for */
    struct aft_page *page;
    int64_t start_ms, end_ms;
};

static int64_t
world_ms(void *ctx)
{
    return ((struct embedded *)ctx)->now_ms;
}

static struct aft_clock
world_clock(struct embedded *m)
{
    return (struct aft_clock){.ctx = m, .wall_ms = world_ms, .monotonic_ms = world_ms};
}

static enum aft_err
open_tasks(struct embedded *m, struct aft_error *e)
{
    char path[DEMO_PATH_MAX + 64];
    for (int32_t p = 0; p < m->partitions; p++) {
        snprintf(path, sizeof path, "%s/state-%d", m->o->directory, p);
        AFT_TRY(aft_store_rocksdb_open_with(path, aft_config_rocksdb(m->config), &m->stores[p], e));
        m->task_logs[p] = aft_log_embedded(m->broker);
        struct aft_task_options o = {.config = m->config,
                                     .log = m->task_logs[p],
                                     .store = m->stores[p],
                                     .clock = world_clock(m),
                                     .partition = p,
                                     .owner = "demo"};
        AFT_TRY(aft_task_open(&o, &m->tasks[p], e));
    }
    struct aft_learning_options l = {.config = m->config,
                                     .log = m->learning_log,
                                     .clock = world_clock(m),
                                     .partitions = m->partitions,
                                     .owner = "demo"};
    return aft_learning_open(&l, &m->learning, e);
}

static enum aft_err
open_engine(struct embedded *m, struct aft_error *e)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    m->port = (struct demo_port){.log = m->engine_log,
                                 .topics = {aft_config_text(m->config, "topics.impressions"),
                                            aft_config_text(m->config, "topics.outcomes")},
                                 .snapshots = aft_config_text(m->config, "topics.snapshots")};
    struct aft_client_transport transport = demo_port_transport(&m->port);
    o.policy = demo_policy_names[DEMO_PERSONALISED];
    o.baseline = demo_policy_names[DEMO_BASELINE];
    o.baseline_share = DEMO_BASELINE_SHARE;
    o.seed = &m->o->seed;
    o.now_ms = world_ms;
    o.clock = m;
    return aft_client_open_over(&o, &transport, &m->engine.client, e);
}

static enum aft_err
open_page(struct embedded *m, struct aft_error *e)
{
    const char *listen = aft_config_text(m->config, "http.listen");
    if (!listen[0])
        return AFT_OK;
    m->board = aft_board_new(aft_clock_real());
    AFT_TRY(aft_page_start(listen, m->board, &m->page, e));
    aft_board_state(m->board, true, "");
    fprintf(stderr, "demo: live page on http://127.0.0.1:%d/\n", aft_page_port(m->page));
    return AFT_OK;
}

static enum aft_err
open_all(struct embedded *m, struct aft_error *e)
{
    char path[DEMO_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/topics", m->o->directory);
    AFT_TRY(aft_embedded_open(path, world_clock(m), &m->broker, e));
    m->learning_log = aft_log_embedded(m->broker);
    m->engine_log = aft_log_embedded(m->broker);
    m->report_log = aft_log_embedded(m->broker);
    AFT_TRY(aft_topics_create(m->config, m->report_log, e));
    AFT_TRY(open_tasks(m, e));
    AFT_TRY(open_engine(m, e));
    AFT_TRY(demo_examples_open(m->report_log, aft_config_text(m->config, "topics.examples"),
                               m->partitions, &m->examples, e));
    return open_page(m, e);
}

static void
close_log(struct aft_log *log)
{
    if (log)
        log->ops->close(log);
}

static void
close_all(struct embedded *m)
{
    struct aft_client_error why;
    if (m->page)
        aft_page_stop(m->page);
    if (m->board)
        aft_board_free(m->board);
    demo_examples_close(m->examples);
    if (m->engine.client)
        aft_client_close(m->engine.client, 0, &why);
    aft_learning_close(m->learning);
    for (int32_t p = 0; p < m->partitions; p++) {
        aft_task_close(m->tasks[p]);
        if (m->stores[p])
            m->stores[p]->ops->close(m->stores[p]);
        close_log(m->task_logs[p]);
    }
    close_log(m->learning_log);
    close_log(m->engine_log);
    close_log(m->report_log);
    if (m->broker)
        aft_embedded_close(m->broker);
    aft_world_free(m->engine.world);
    demo_screen_free(m->screen);
}

/* Tasks and learning take steps until none finds anything to do at this moment. */
static enum aft_err
pump(struct embedded *m, struct aft_error *e)
{
    bool any = true;
    for (int i = 0; any; i++) {
        any = false;
        if (i == PUMP_MAX)
            return AFT_FAIL(e, AFT_E_FAILED, "tasks and learning never came to rest: a bug");
        for (int32_t p = 0; p < m->partitions; p++) {
            bool busy = false;
            AFT_TRY(aft_task_step(m->tasks[p], 0, &busy, e));
            any |= busy;
        }
        bool busy = false;
        AFT_TRY(aft_learning_step(m->learning, 0, &busy, e));
        any |= busy;
    }
    aft_client_poll(m->engine.client, 0);
    return AFT_OK;
}

static void
show(struct embedded *m, const char *stage, bool now)
{
    struct aft_client_info info = AFT_CLIENT_INFO;
    struct demo_progress p = {.start_ms = m->start_ms,
                              .now_ms = m->now_ms,
                              .end_ms = m->end_ms,
                              .live = &m->engine.live,
                              .stage = stage};
    for (int32_t i = 0; i < m->partitions; i++) {
        struct aft_task_status s;
        aft_task_status(m->tasks[i], false, &s);
        p.credited += (uint64_t)s.join.fates.credited;
        if (m->board)
            aft_board_task(m->board, &s);
    }
    if (m->board) {
        struct aft_learning_status l;
        aft_learning_status(m->learning, &l);
        aft_board_learning(m->board, &l);
    }
    aft_client_info(m->engine.client, &info);
    p.round = info.round;
    p.snapshots = info.snapshots_applied;
    demo_screen_show(m->screen, &p, now);
}

static enum aft_err
loop(struct embedded *m, struct aft_error *e)
{
    int64_t world_end = aft_world_end_ms(m->engine.world),
            last = world_end + TAIL_DAYS * AFT_WORLD_DAY_MS;
    bool settled = false;
    m->end_ms = world_end + (AFT_WORLD_TASK_DAYS + 1) * AFT_WORLD_DAY_MS;
    for (m->now_ms = m->start_ms + SLICE_MS; !settled; m->now_ms += SLICE_MS) {
        AFT_TRY(demo_interrupted(e));
        AFT_TRY(demo_engine_slice(&m->engine, m->now_ms, e));
        AFT_TRY(pump(m, e));
        AFT_TRY(demo_examples_read(m->examples, 0, e));
        settled =
            m->now_ms >= m->end_ms && demo_examples_settled(m->examples) == m->engine.live.visits;
        if (m->now_ms > last)
            return AFT_FAIL(e, AFT_E_FAILED,
                            "%llu of %llu impressions have settled, long after the last",
                            (unsigned long long)demo_examples_settled(m->examples),
                            (unsigned long long)m->engine.live.visits);
        show(m, m->now_ms < world_end ? "participants come and go" : "the last windows close",
             false);
    }
    for (int32_t p = 0; p < m->partitions; p++)
        AFT_TRY(aft_task_drain(m->tasks[p], e));
    AFT_TRY(aft_learning_finish(m->learning, e));
    aft_client_poll(m->engine.client, 0);
    AFT_TRY(demo_examples_read(m->examples, 0, e));
    show(m, "done", true);
    return AFT_OK;
}

static void
result(struct embedded *m, struct demo_result *r)
{
    struct aft_learning_status l;
    for (int32_t p = 0; p < m->partitions; p++) {
        struct aft_task_status s;
        aft_task_status(m->tasks[p], true, &s);
        demo_counts_add(&r->join, &s.join);
        r->dead_letters += s.dead_letters;
        r->state[p] = s.state;
    }
    aft_learning_status(m->learning, &l);
    aft_hex(l.digest.b, sizeof l.digest.b, r->model);
    r->round = l.round;
    r->snapshots = (uint64_t)l.snapshots;
    r->examples = m->examples;
    r->live = m->engine.live;
    r->partitions = m->partitions;
    aft_world_reference(m->engine.world, &r->reference);
}

int
demo_embedded_run(struct aft_config *config, const struct demo_options *o)
{
    struct aft_error e;
    struct aft_world_options w;
    struct embedded m = {.o = o, .config = config};
    struct aft_clock real = aft_clock_real();
    int64_t began_ms = real.monotonic_ms(real.ctx);
    aft_world_options_default(&w);
    w.seed = o->seed;
    w.participants = demo_participants(o);
    m.start_ms = m.now_ms = w.start_ms;
    m.partitions = (int32_t)aft_config_int(config, "topics.partitions");
    m.engine.world = aft_world_new(&w);
    m.screen = demo_screen_new();
    enum aft_err err = AFT_OK;
    if (m.partitions > DEMO_PARTITIONS_MAX)
        err = AFT_FAIL(&e, AFT_E_CONFIG, "topics.partitions=%d: the demo takes at most %d",
                       m.partitions, DEMO_PARTITIONS_MAX);
    if (err == AFT_OK)
        err = open_all(&m, &e);
    if (err == AFT_OK)
        err = loop(&m, &e);
    int code = err == AFT_OK ? 0 : cmd_fail("demo", &e);
    if (err == AFT_OK) {
        struct demo_result r = {.o = o, .participants = w.participants};
        r.elapsed_s = (double)(real.monotonic_ms(real.ctx) - began_ms) / 1000;
        r.simulated_days = (m.now_ms - m.start_ms) / AFT_WORLD_DAY_MS;
        result(&m, &r);
        code = demo_report(&r);
    }
    close_all(&m);
    return code;
}
