/* demo_broker.c - the demo over a real broker, in two processes: this one is the engine, `aftertouch run` is the service.
 *
 *   fresh topics -> a configuration file -> spawn the service -> engine over libaftertouch's own Kafka transport, paced
 *   -> closing events move every watermark past the last window -> wait until all has settled -> SIGTERM -> read what came out
 *
 * Event times are the world's; they lie in the past, so no record is ahead of the broker's clock. What is learned when depends on
 * wall time here, so digests differ from run to run. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/demo.h"

extern char **environ;

enum {
    PROPERTIES_MAX = 64,
    POLL_MS = 20,
    READ_MS = 50,
    START_MS = 60000,
    STALL_MS = 90000,
    STOP_MS = 60000,
    TALE = 2000
};
#define SLICE_MS INT64_C(43200000)

struct broker {
    const struct demo_options *o;
    struct aft_config *config;
    struct aft_clock clock;
    struct aft_log *log;
    char file[DEMO_PATH_MAX + 32], service_log[DEMO_PATH_MAX + 32];
    pid_t service; /* 0: none */
    struct demo_engine engine;
    struct demo_examples *examples;
    struct demo_screen *screen;
    int32_t partitions;
    int64_t start_ms, now_ms, end_ms;
};

static int64_t
now_of(struct broker *b)
{
    return b->clock.monotonic_ms(b->clock.ctx);
}

/* ---- the service */
struct file_out {
    FILE *f;
};

static void
write_key(void *ctx, const char *key, const char *value, const char *origin)
{
    struct file_out *out = ctx;
    if (strcmp(origin, "default") != 0)
        fprintf(out->f, "%s=%s\n", key, value);
}

static enum aft_err
write_config(struct broker *b, struct aft_error *e)
{
    struct file_out out = {fopen(b->file, "w")};
    if (!out.f)
        return AFT_FAIL(e, AFT_E_IO, "cannot write %s: %s", b->file, strerror(errno));
    aft_config_each(b->config, write_key, &out);
    if (fclose(out.f) != 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot write %s: %s", b->file, strerror(errno));
    return AFT_OK;
}

static enum aft_err
service_start(struct broker *b, struct aft_error *e)
{
    char name[] = "aftertouch", verb[] = "run", option[] = "--config";
    char *argv[] = {name, verb, option, b->file, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none; /* our blocked signals are not its */
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, b->service_log,
                                     O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    int code = posix_spawn(&b->service, "/proc/self/exe", &files, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (code != 0) {
        b->service = 0;
        return AFT_FAIL(e, AFT_E_FAILED, "cannot start the service: %s", strerror(code));
    }
    return AFT_OK;
}

/* The end of the service's log goes to stderr: its directory may be gone when somebody looks. */
static void
tell_log(struct broker *b)
{
    char text[TALE + 1];
    FILE *f = fopen(b->service_log, "r");
    if (!f)
        return;
    if (fseek(f, -TALE, SEEK_END) != 0)
        rewind(f);
    size_t n = fread(text, 1, TALE, f);
    fprintf(stderr, "... the end of the service's log:\n%.*s\n", (int)n, text);
    fclose(f);
}

static enum aft_err
left(struct broker *b, int status, struct aft_error *e)
{
    b->service = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return AFT_OK;
    tell_log(b);
    if (WIFEXITED(status))
        return AFT_FAIL(e, AFT_E_FAILED, "the service left with exit code %d", WEXITSTATUS(status));
    return AFT_FAIL(e, AFT_E_FAILED, "the service was ended by signal %d", WTERMSIG(status));
}

static enum aft_err
service_check(struct broker *b, struct aft_error *e)
{
    int status;
    AFT_TRY(demo_interrupted(e));
    if (waitpid(b->service, &status, WNOHANG) != b->service)
        return AFT_OK;
    AFT_TRY(left(b, status, e));
    return AFT_FAIL(e, AFT_E_FAILED, "the service left before it was told to");
}

static enum aft_err
service_stop(struct broker *b, struct aft_error *e)
{
    int status;
    int64_t until = now_of(b) + STOP_MS;
    kill(b->service, SIGTERM);
    while (waitpid(b->service, &status, WNOHANG) != b->service) {
        if (now_of(b) > until) {
            kill(b->service, SIGKILL);
            waitpid(b->service, &status, 0);
            b->service = 0;
            tell_log(b);
            return AFT_FAIL(e, AFT_E_FAILED, "the service did not stop within %d s of SIGTERM",
                            STOP_MS / 1000);
        }
        aft_client_poll(b->engine.client, POLL_MS);
    }
    return left(b, status, e);
}

/* ---- opening */
static enum aft_err
open_client(struct broker *b, struct aft_error *e)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_property properties[PROPERTIES_MAX];
    struct aft_client_error why;
    const struct aft_kafka_options *k = aft_config_kafka(b->config);
    if (k->common_n > PROPERTIES_MAX)
        return AFT_FAIL(e, AFT_E_CONFIG, "more than %d kafka.* properties", PROPERTIES_MAX);
    for (uint32_t i = 0; i < k->common_n; i++)
        properties[i] = (struct aft_client_property){k->common[i].name, k->common[i].value};
    o.bootstrap_servers = b->o->kafka;
    o.properties = properties;
    o.properties_n = k->common_n;
    o.impressions_topic = aft_config_text(b->config, "topics.impressions");
    o.outcomes_topic = aft_config_text(b->config, "topics.outcomes");
    o.snapshots_topic = aft_config_text(b->config, "topics.snapshots");
    o.policy = demo_policy_names[DEMO_PERSONALISED];
    o.baseline = demo_policy_names[DEMO_BASELINE];
    o.baseline_share = DEMO_BASELINE_SHARE;
    o.seed = &b->o->seed;
    return demo_error(aft_client_open(&o, &b->engine.client, &why), &why, e);
}

static enum aft_err
open_all(struct broker *b, struct aft_error *e)
{
    b->partitions = (int32_t)aft_config_int(b->config, "topics.partitions");
    if (b->partitions > DEMO_PARTITIONS_MAX)
        return AFT_FAIL(e, AFT_E_CONFIG, "topics.partitions=%d: the demo takes at most %d",
                        b->partitions, DEMO_PARTITIONS_MAX);
    snprintf(b->file, sizeof b->file, "%s/aftertouch.conf", b->o->directory);
    snprintf(b->service_log, sizeof b->service_log, "%s/service.log", b->o->directory);
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(b->config), &b->log, e));
    AFT_TRY(aft_topics_create(b->config, b->log, e));
    AFT_TRY(write_config(b, e));
    AFT_TRY(service_start(b, e));
    AFT_TRY(open_client(b, e));
    return demo_examples_open(b->log, aft_config_text(b->config, "topics.examples"), b->partitions,
                              &b->examples, e);
}

/* What this run made goes with it, unless --dir keeps it; topics that somebody named stay. */
static void
topics_delete(struct broker *b)
{
    struct aft_error e;
    for (size_t i = 0; demo_topics[i]; i++) {
        const char *topic = aft_config_text(b->config, demo_topics[i]);
        if (strncmp(topic, b->o->prefix, strlen(b->o->prefix)) == 0 &&
            b->log->ops->topic_delete(b->log, topic, &e) != AFT_OK)
            fprintf(stderr, "aftertouch demo: %s\n", e.message);
    }
}

static void
close_all(struct broker *b)
{
    struct aft_error e;
    struct aft_client_error why;
    if (b->service && service_stop(b, &e) != AFT_OK)
        fprintf(stderr, "aftertouch demo: %s\n", e.message);
    if (b->engine.client)
        aft_client_close(b->engine.client, 1000, &why);
    if (b->log && b->o->keep)
        fprintf(stderr, "the topics %s* stay, with %s\n", b->o->prefix, b->o->directory);
    else if (b->log)
        topics_delete(b);
    if (b->log)
        b->log->ops->close(b->log);
    aft_world_free(b->engine.world);
    demo_screen_free(b->screen);
}

static void
show(struct broker *b, const char *stage, bool now)
{
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(b->engine.client, &info);
    struct demo_progress p = {.start_ms = b->start_ms,
                              .now_ms = b->now_ms,
                              .end_ms = b->end_ms,
                              .live = &b->engine.live,
                              .credited = UINT64_MAX,
                              .round = info.round,
                              .snapshots = info.snapshots_applied,
                              .stage = stage};
    demo_screen_show(b->screen, &p, now);
}

/* The service owns every partition once its first block, an empty one, stands in each. */
static enum aft_err
wait_owned(struct broker *b, struct aft_error *e)
{
    int64_t until = now_of(b) + START_MS;
    for (;;) {
        AFT_TRY(demo_examples_read(b->examples, READ_MS, e));
        if (demo_examples_owned(b->examples))
            return AFT_OK;
        AFT_TRY(service_check(b, e));
        if (now_of(b) > until) {
            tell_log(b);
            return AFT_FAIL(e, AFT_E_TIMEOUT, "the service does not own all partitions after %d s",
                            START_MS / 1000);
        }
        show(b, "the service starts", false);
    }
}

/* ---- the loop */
/* Visits are spread over the wall time that was asked for, so that what is learned can still be used. */
static enum aft_err
engine_loop(struct broker *b, struct aft_error *e)
{
    int64_t began = now_of(b), slices = (b->end_ms - b->start_ms) / SLICE_MS + 1;
    struct aft_client_error why;
    for (int64_t i = 1; i <= slices; i++) {
        b->now_ms = b->start_ms + i * SLICE_MS;
        AFT_TRY(demo_engine_slice(&b->engine, b->now_ms, e));
        AFT_TRY(service_check(b, e));
        int64_t due = began + i * b->o->seconds * 1000 / slices;
        do {
            int64_t left_ms = due - now_of(b);
            aft_client_poll(b->engine.client, left_ms > POLL_MS ? POLL_MS
                                              : left_ms > 0     ? (int)left_ms
                                                                : 0);
            show(b, "participants come and go", false);
        } while (now_of(b) < due);
    }
    return demo_error(aft_client_flush(b->engine.client, 30000, &why), &why, e);
}

/* What moves a partition's watermarks past every window: an impression and an outcome later than all. Being the last of their logs they
 * are never processed themselves. (Waiting for idle ticks would do too, but where a day takes a fraction of a second a log that
 * is merely late must not be called idle: join.idle.after is long here.) */
static enum aft_err
close_partition(struct broker *b, const char *user, int64_t time_ms, struct aft_error *e)
{
    const struct aft_client_candidate only = {.arm_id = "closing"};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    struct aft_client_decision *d;
    struct aft_client_error why;
    r.user_id = x.user_id = user;
    r.time_ms = x.time_ms = time_ms;
    r.candidates = &only;
    r.candidates_n = 1;
    x.kind = "click";
    AFT_TRY(demo_error(aft_client_decide(b->engine.client, &r, &d, &why), &why, e));
    enum aft_err err = demo_error(aft_client_log_impression(b->engine.client, d, &why), &why, e);
    aft_client_decision_free(b->engine.client, d);
    AFT_TRY(err);
    return demo_error(aft_client_log_outcome(b->engine.client, &x, &why), &why, e);
}

static enum aft_err
closing_events(struct broker *b, struct aft_error *e)
{
    const struct aft_join_config *j = aft_config_join(b->config);
    struct aft_client_error why;
    char user[32];
    int64_t time_ms =
        b->end_ms + j->window_ms + j->grace_ms + j->open_after_ms + 2 * j->disorder_ms;
    for (int32_t p = 0; p < b->partitions; p++) {
        for (int i = 0; i == 0 || aft_partition_of(aft_text(user), b->partitions) != p; i++)
            snprintf(user, sizeof user, "closing-%d-%d", p, i);
        AFT_TRY(close_partition(b, user, time_ms, e));
    }
    return demo_error(aft_client_flush(b->engine.client, 30000, &why), &why, e);
}

static enum aft_err
wait_settled(struct broker *b, struct aft_error *e)
{
    uint64_t before = 0;
    int64_t moved = now_of(b);
    for (;;) {
        AFT_TRY(demo_examples_read(b->examples, READ_MS, e));
        uint64_t settled = demo_examples_settled(b->examples);
        if (settled >= b->engine.live.visits)
            return AFT_OK;
        if (settled != before)
            moved = now_of(b);
        before = settled;
        AFT_TRY(service_check(b, e));
        if (now_of(b) - moved > STALL_MS) {
            tell_log(b);
            return AFT_FAIL(e, AFT_E_TIMEOUT,
                            "%llu of %llu impressions have settled, and no more come",
                            (unsigned long long)settled, (unsigned long long)b->engine.live.visits);
        }
        aft_client_poll(b->engine.client, 0);
        show(b, "the last windows close", false);
    }
}

/* ---- what came out: fates from the state that the service left, the model from the snapshots topic */
static enum aft_err
no_example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 after,
           struct aft_error *e)
{
    (void)ctx;
    (void)body;
    (void)after;
    return AFT_FAIL(e, AFT_E_FAILED, "example %llu from a state that is only looked at",
                    (unsigned long long)seq);
}

static enum aft_err
read_state(struct broker *b, int32_t p, struct demo_result *r, struct aft_error *e)
{
    char path[2 * DEMO_PATH_MAX];
    const char *app = aft_config_text(b->config, "app.id");
    struct aft_store *store;
    struct aft_joiner *j;
    struct aft_join_counts counts;
    struct aft_join_identity identity = {app, p};
    struct aft_join_out out = {NULL, no_example};
    snprintf(path, sizeof path, "%s/%s/%d", aft_config_text(b->config, "state.dir"), app, p);
    AFT_TRY(aft_store_rocksdb_open_with(path, aft_config_rocksdb(b->config), &store, e));
    enum aft_err err = aft_joiner_open(aft_config_join(b->config), &identity, store, &out, &j, e);
    if (err == AFT_OK) {
        aft_joiner_counts(j, &counts);
        aft_joiner_digest(j, &r->state[p]);
        demo_counts_add(&r->join, &counts);
        aft_joiner_close(j);
    }
    store->ops->close(store);
    return err;
}

static enum aft_err
read_model(struct broker *b, struct demo_result *r, struct aft_error *e)
{
    const char *topic = aft_config_text(b->config, "topics.snapshots");
    struct aft_log_reader *reader = NULL;
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_record_in in[8];
    struct aft_frame frame;
    bool at_end = false, whole;
    uint32_t n = 0;
    enum aft_err err = b->log->ops->reader_open(b->log, topic, 0, 0, &reader, e);
    while (err == AFT_OK && !at_end) {
        err = b->log->ops->read(reader, in, 8, 1000, &n, &at_end, e);
        for (uint32_t i = 0; i < n && err == AFT_OK; i++) {
            if (!in[i].value.p) /* an older set's, deleted */
                continue;
            err = aft_frame_parse(in[i].value, &frame, e);
            if (err == AFT_OK)
                err = aft_snapshot_set_add(set, frame.body, &whole, e);
            r->snapshots += err == AFT_OK && whole;
        }
    }
    const struct aft_snapshot_record *m = aft_snapshot_set_manifest(set);
    if (err == AFT_OK && !m)
        err = AFT_FAIL(e, AFT_E_FAILED, "the service published no snapshot");
    if (err == AFT_OK && m) {
        aft_hex(m->manifest.digest.b, sizeof m->manifest.digest.b, r->model);
        r->round = m->round;
    }
    if (reader)
        b->log->ops->reader_close(reader);
    aft_snapshot_set_free(set);
    return err;
}

static enum aft_err
read_result(struct broker *b, struct demo_result *r, struct aft_error *e)
{
    int64_t begin, end;
    r->live = b->engine.live;
    r->partitions = b->partitions;
    aft_world_reference(b->engine.world, &r->reference);
    for (int32_t p = 0; p < b->partitions; p++) {
        AFT_TRY(read_state(b, p, r, e));
        AFT_TRY(b->log->ops->range(b->log, aft_config_text(b->config, "topics.dead.letters"), p,
                                   &begin, &end, e));
        r->dead_letters += (uint64_t)(end - begin);
    }
    return read_model(b, r, e);
}

static enum aft_err
run(struct broker *b, struct demo_result *r, struct aft_error *e)
{
    AFT_TRY(open_all(b, e));
    AFT_TRY(wait_owned(b, e));
    AFT_TRY(engine_loop(b, e));
    AFT_TRY(closing_events(b, e));
    AFT_TRY(wait_settled(b, e));
    AFT_TRY(service_stop(b, e));
    AFT_TRY(demo_examples_read(b->examples, READ_MS, e));
    AFT_TRY(read_result(b, r, e));
    show(b, "done", true);
    return AFT_OK;
}

enum aft_err
demo_broker_run(struct aft_config *c, const struct demo_options *o, struct demo_result *r,
                struct aft_error *e)
{
    struct aft_world_options w;
    struct broker b = {.o = o, .config = c, .clock = aft_clock_real()};
    int64_t began = now_of(&b);
    aft_world_options_default(&w);
    w.seed = o->seed;
    w.participants = r->participants;
    b.engine.world = aft_world_new(&w);
    b.start_ms = b.now_ms = w.start_ms;
    b.end_ms = aft_world_end_ms(b.engine.world) + (AFT_WORLD_TASK_DAYS + 1) * AFT_WORLD_DAY_MS;
    b.screen = demo_screen_new();
    enum aft_err err = run(&b, r, e);
    r->examples = b.examples; /* the caller's from here, also on failure */
    r->elapsed_s = (double)(now_of(&b) - began) / 1000;
    r->simulated_days = (b.now_ms - b.start_ms) / AFT_WORLD_DAY_MS;
    demo_examples_detach(b.examples);
    close_all(&b);
    return err;
}
