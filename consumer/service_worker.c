/* service_worker.c - the worker's thread: member of the group over impressions and outcomes, one task for each partition that is ours.
 *
 * In: assignments; the tasks' steps. Out: tasks opened and let go of in order (drained unless the partition is lost), offsets
 * committed to the group for others to see our lag by, statuses to the board.
 * Failures: what may pass (no answer) is waited over; a newer owner: the task is closed, and taken back where no rebalance took the
 * partition from us; anything else stops the service with its exit code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumer/service_inner.h"
#include "consumer/state_dir.h"

struct held {
    int32_t partition;
    struct aft_store *store;
    struct aft_task *task; /* NULL: closed, to be opened again at reopen_ms */
    int64_t reopen_ms, status_ms;
    struct afti_fence fence;
    int64_t told[2];                  /* offsets the group knows */
    int64_t erased, erased_committed; /* users, at the last look; surely in the state on disk */
    uint64_t commits;                 /* at the last look */
    bool owner;
};

struct worker {
    struct aft_service *s;
    struct aft_log *log;
    struct aft_group *group;
    struct held *held;
    size_t held_n, held_cap;
    bool assigned;
    struct afti_trouble trouble;
    char words[400];
};

/* ---- opening and closing one partition */
static enum aft_err
held_open(struct worker *w, struct held *h, struct aft_error *e)
{
    char path[AFTI_PATH_MAX];
    const struct aft_config *c = w->s->config;
    AFT_TRY(afti_state_make(c, e));
    AFT_TRY(afti_state_path(c, h->partition, "", path, e));
    if (!h->store)
        AFT_TRY(aft_store_rocksdb_open(path, &h->store, e));
    struct aft_task_options o = {.config = c,
                                 .log = w->log,
                                 .store = h->store,
                                 .clock = w->s->clock,
                                 .partition = h->partition,
                                 .schemas = w->s->schemas,
                                 .owner = w->s->owner};
    return aft_task_open(&o, &h->task, e);
}

static void
held_close(struct worker *w, struct held *h, bool drain)
{
    struct aft_error e;
    if (h->task && drain && aft_task_drain(h->task, &e) != AFT_OK)
        aft_say("warn", "worker", "partition %d is let go of before its last commit: %s",
                h->partition, e.message);
    aft_task_close(h->task);
    h->task = NULL;
    h->owner = false;
    aft_board_drop(w->s->board, h->partition);
}

static void
held_free(struct worker *w, struct held *h, bool drain)
{
    held_close(w, h, drain);
    if (h->store)
        h->store->ops->close(h->store);
    h->store = NULL;
}

/* ---- assignments */
static void
assigned(struct worker *w, int32_t partition)
{
    for (size_t i = 0; i < w->held_n; i++)
        if (w->held[i].partition == partition)
            return;
    if (w->held_n == w->held_cap) {
        w->held_cap = w->held_cap ? 2 * w->held_cap : 8;
        w->held = realloc(w->held, w->held_cap * sizeof *w->held);
        AFT_ASSERT(w->held != NULL);
    }
    w->held[w->held_n++] = (struct held){.partition = partition, .told = {-1, -1}};
}

static void
revoked(struct worker *w, int32_t partition, bool lost)
{
    for (size_t i = 0; i < w->held_n; i++)
        if (w->held[i].partition == partition) {
            held_free(w, &w->held[i], !lost);
            w->held[i] = w->held[--w->held_n];
            return;
        }
}

static enum aft_err
group_step(struct worker *w, int timeout_ms, struct aft_error *e)
{
    struct aft_assignment a = {.event = AFT_GROUP_NOTHING};
    AFT_TRY(w->log->ops->group_poll(w->group, timeout_ms, &a, e));
    if (a.event == AFT_GROUP_NOTHING)
        return AFT_OK;
    for (uint32_t i = 0; i < a.n; i++)
        if (a.event == AFT_GROUP_ASSIGNED)
            assigned(w, a.partitions[i]);
        else
            revoked(w, a.partitions[i], a.lost);
    w->assigned = a.event == AFT_GROUP_ASSIGNED;
    aft_say("info", "worker", "%u partitions %s, %zu held now", a.n,
            a.event == AFT_GROUP_ASSIGNED ? "assigned"
            : a.lost                      ? "lost"
                                          : "revoked",
            w->held_n);
    return AFT_OK;
}

/* ---- working */
static void
tell_group(struct worker *w, struct held *h)
{
    int64_t now[2];
    static const char *const keys[2] = {"topics.impressions", "topics.outcomes"};
    aft_task_committed(h->task, now);
    for (int log = 0; log < 2; log++)
        if (now[log] > h->told[log]) {
            w->log->ops->group_commit(w->group, aft_config_text(w->s->config, keys[log]),
                                      h->partition, now[log]);
            h->told[log] = now[log];
        }
}

/* What is to be done beside the work; what fails of it does not stop the work. Two commits after a look hold what was seen then:
 * the first one's cut may have been older. */
static void
chores(struct worker *w, struct held *h, const struct aft_task_status *status)
{
    struct aft_error e;
    if (status->commits >= h->commits + 2 || status->commits < h->commits) {
        h->erased_committed = status->commits < h->commits ? h->erased_committed : h->erased;
        h->erased = status->join.counts.erased_users;
        h->commits = status->commits;
    }
    struct aft_chore chore = {h->partition, h->erased_committed,
                              w->s->clock.wall_ms(w->s->clock.ctx)};
    if (h->owner && aft_chores(w->s->config, h->store, &chore, &e) != AFT_OK)
        aft_say("warn", "worker", "partition %d: %s", h->partition, e.message);
}

/* Every few seconds. */
static void
tell_board(struct worker *w, struct held *h)
{
    struct aft_task_status status;
    aft_task_status(h->task, false, &status);
    aft_board_task(w->s->board, &status);
    h->owner = status.owner;
    h->status_ms = afti_now(w->s);
    chores(w, h, &status);
}

/* A step failed: wait over it, or await the rebalance, or give up (the error goes on). */
static enum aft_err
step_failed(struct worker *w, struct held *h, struct aft_error *e)
{
    int64_t now = afti_now(w->s);
    if (e->code == AFT_E_NOT_OWNER) {
        aft_say("warn", "worker", "%s; letting go of it", e->message);
        held_close(w, h, false);
        return afti_fenced(&h->fence, now)
                   ? AFT_OK
                   : AFT_FAIL(e, AFT_E_NOT_OWNER,
                              "partition %d is taken again and again by somebody who is not in our "
                              "consumer group; is another process running on these topics?",
                              h->partition);
    }
    if (!afti_passing(e->code))
        return e->code;
    snprintf(w->words, sizeof w->words, "%s", e->message);
    afti_trouble(w->s, &w->trouble, "worker", e);
    if (aft_err_class(e->code) != AFT_CLASS_RETRY || !h->task) {
        held_close(w, h, false);
        h->reopen_ms = now + AFTI_RETRY_MS;
    }
    return AFT_OK;
}

static enum aft_err
held_step(struct worker *w, struct held *h, bool *busy, struct aft_error *e)
{
    int64_t now = afti_now(w->s);
    bool did = false;
    if (!h->task) {
        if (now < h->reopen_ms || afti_fence_waits(&h->fence, now))
            return AFT_OK;
        enum aft_err err = held_open(w, h, e);
        return err == AFT_OK ? AFT_OK : step_failed(w, h, e);
    }
    enum aft_err err = aft_task_step(h->task, 0, &did, e);
    if (err != AFT_OK)
        return step_failed(w, h, e);
    *busy = *busy || did;
    tell_group(w, h);
    if (!h->owner || now - h->status_ms >= AFTI_STATUS_MS)
        tell_board(w, h);
    return AFT_OK;
}

static void
tell_state(struct worker *w)
{
    bool ready = w->assigned, well = true;
    for (size_t i = 0; i < w->held_n; i++) {
        ready = ready && w->held[i].owner;
        well = well && w->held[i].task;
    }
    if (well) {
        w->words[0] = '\0';
        w->trouble.now = false;
    }
    afti_service_state(w->s, ready, w->words);
}

static enum aft_err
worker_loop(struct worker *w, struct aft_error *e)
{
    bool busy = false;
    int64_t told_ms = 0, busy_ms = 0;
    while (!afti_service_stopping(w->s)) {
        int64_t now = afti_now(w->s);
        busy_ms = busy ? now : busy_ms;
        int idle = now - busy_ms < 1000 ? AFTI_EAGER_MS : AFTI_IDLE_MS;
        enum aft_err err = group_step(w, busy ? 0 : idle, e);
        if (err != AFT_OK && !afti_passing(err))
            return err;
        if (err != AFT_OK) {
            struct timespec pause = {0, 200000000};
            afti_trouble(w->s, &w->trouble, "worker", e);
            nanosleep(&pause, NULL);
        }
        busy = false;
        for (size_t i = 0; i < w->held_n; i++)
            AFT_TRY(held_step(w, &w->held[i], &busy, e));
        if (!busy || afti_now(w->s) - told_ms > AFTI_STATUS_MS) {
            tell_state(w);
            told_ms = afti_now(w->s);
        }
    }
    return AFT_OK;
}

static enum aft_err
worker_run(struct worker *w, struct aft_error *e)
{
    const struct aft_config *c = w->s->config;
    const char *topics[2] = {aft_config_text(c, "topics.impressions"),
                             aft_config_text(c, "topics.outcomes")};
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(c), &w->log, e));
    AFT_TRY(w->log->ops->group_open(w->log, aft_config_text(c, "app.id"), topics, 2, &w->group, e));
    return worker_loop(w, e);
}

void *
afti_worker_main(void *service)
{
    struct worker w = {.s = service};
    struct aft_error e;
    enum aft_err err = worker_run(&w, &e);
    if (err != AFT_OK)
        afti_service_failed(w.s, &e);
    for (size_t i = 0; i < w.held_n; i++) {
        held_close(&w, &w.held[i], err == AFT_OK);
        held_free(&w, &w.held[i], false);
    }
    if (w.group)
        w.log->ops->group_close(w.group);
    if (w.log)
        w.log->ops->close(w.log);
    free(w.held);
    return NULL;
}
