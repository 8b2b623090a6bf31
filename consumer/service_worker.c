/* service_worker.c - the worker's thread: member of the group over impressions and outcomes, one task for each partition that is ours.
 *
 * In: assignments; the tasks' steps. Out: tasks opened and let go of in order (drained unless the partition is lost), offsets
 * committed to the group for others to see our lag by, statuses to the board.
 * Failures: what may pass (no answer) is waited over; a newer owner: the task is closed, and taken back where no rebalance took the
 * partition from us; anything else stops the service with its exit code.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumer/service_inner.h"
#include "consumer/state_dir.h"

enum { BEATS = 4 }; /* in the time after which a standby takes over */

/* ---- opening and closing one partition */
static void
tell_recovery(const struct afti_held *h)
{
    struct aft_task_status status;
    aft_task_status(h->task, false, &status);
    if (status.recovery_ms >= 0)
        aft_say("info", "worker",
                "partition %d: %lld open impressions back from the state in %lld ms", h->partition,
                (long long)status.join.open, (long long)status.recovery_ms);
}

static enum aft_err
held_open(struct afti_worker *w, struct afti_held *h, struct aft_error *e)
{
    char path[AFTI_PATH_MAX];
    const struct aft_config *c = w->s->config;
    AFT_TRY(afti_state_make(c, e));
    AFT_TRY(afti_state_path(c, h->partition, "", path, e));
    if (!h->store)
        AFT_TRY(aft_store_rocksdb_open_with(path, aft_config_rocksdb(c), &h->store, e));
    struct aft_task_options o = {.config = c,
                                 .log = w->log,
                                 .store = h->store,
                                 .clock = w->s->clock,
                                 .partition = h->partition,
                                 .schemas = w->s->schemas,
                                 .owner = w->s->owner,
                                 .follow = w->s->standby && !h->ours};
    AFT_TRY(aft_task_open(&o, &h->task, e));
    tell_recovery(h);
    h->life_ms = afti_now(w->s); /* opening a large state takes its time */
    return AFT_OK;
}

void
afti_held_close(struct afti_worker *w, struct afti_held *h, bool drain)
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
held_free(struct afti_worker *w, struct afti_held *h, bool drain)
{
    afti_held_close(w, h, drain);
    if (h->store)
        h->store->ops->close(h->store);
    h->store = NULL;
}

/* ---- assignments */
struct afti_held *
afti_held_add(struct afti_worker *w, int32_t partition)
{
    for (size_t i = 0; i < w->held_n; i++)
        if (w->held[i].partition == partition)
            return &w->held[i];
    if (w->held_n == w->held_cap) {
        w->held_cap = w->held_cap ? 2 * w->held_cap : 8;
        w->held = realloc(w->held, w->held_cap * sizeof *w->held);
        AFT_ASSERT(w->held != NULL);
    }
    w->held[w->held_n] = (struct afti_held){.partition = partition, .told = {-1, -1}};
    return &w->held[w->held_n++];
}

static void
revoked(struct afti_worker *w, int32_t partition, bool lost)
{
    for (size_t i = 0; i < w->held_n; i++)
        if (w->held[i].partition == partition && w->s->standby) {
            afti_standby_let_go(w, &w->held[i], !lost);
            return;
        } else if (w->held[i].partition == partition) {
            held_free(w, &w->held[i], !lost);
            w->held[i] = w->held[--w->held_n];
            return;
        }
}

static enum aft_err
group_step(struct afti_worker *w, int timeout_ms, struct aft_error *e)
{
    struct aft_assignment a = {.event = AFT_GROUP_NOTHING};
    const struct timespec pause = {0, timeout_ms * 1000000L};
    if (!w->group) { /* a standby is no member */
        nanosleep(&pause, NULL);
        return AFT_OK;
    }
    AFT_TRY(w->log->ops->group_poll(w->group, timeout_ms, &a, e));
    if (a.event == AFT_GROUP_NOTHING)
        return AFT_OK;
    for (uint32_t i = 0; i < a.n; i++)
        if (a.event == AFT_GROUP_ASSIGNED)
            afti_held_add(w, a.partitions[i])->assigned = true;
        else
            revoked(w, a.partitions[i], a.lost);
    w->assigned = a.event == AFT_GROUP_ASSIGNED;
    if (w->s->standby)
        afti_standby_assigned(w);
    aft_say("info", "worker", "%u partitions %s, %zu held now", a.n,
            a.event == AFT_GROUP_ASSIGNED ? "assigned"
            : a.lost                      ? "lost"
                                          : "revoked",
            w->held_n);
    return AFT_OK;
}

/* ---- working */
static const char *const inputs[2] = {"topics.impressions", "topics.outcomes"};

static void
tell_group(struct afti_worker *w, struct afti_held *h)
{
    int64_t now[2];
    if (!w->group)
        return;
    aft_task_committed(h->task, now);
    for (int log = 0; log < 2; log++)
        if (now[log] > h->told[log]) {
            w->log->ops->group_commit(w->group, aft_config_text(w->s->config, inputs[log]),
                                      h->partition, now[log]);
            h->told[log] = now[log];
        }
}

/* A sign for standbys, several times in standby.after: our epoch, a count, and how far we committed. */
static enum aft_err
give_sign(struct afti_worker *w, struct afti_held *h, struct aft_error *e)
{
    int64_t at[2], now = afti_now(w->s), epoch = aft_task_epoch(h->task);
    struct aft_mark mark;
    if (epoch < 0 || now - h->beat_ms < w->beat_interval_ms)
        return AFT_OK;
    h->beat_ms = now;
    h->beats++;
    aft_task_committed(h->task, at);
    for (int log = 0; log < 2; log++) {
        if (log != AFT_IMPRESSIONS && at[log] == h->marked[log])
            continue; /* the impressions' mark is the sign */
        h->marked[log] = mark.offset = at[log];
        snprintf(mark.note, sizeof mark.note, "%" PRId64 " %" PRIu64, epoch, h->beats);
        AFT_TRY(w->log->ops->mark_put(w->log, w->marks_name,
                                      aft_config_text(w->s->config, inputs[log]), h->partition,
                                      &mark, e));
    }
    return AFT_OK;
}

/* What is to be done beside the work; what fails of it does not stop the work. Two commits after a look hold what was seen then:
 * the first one's cut may have been older. */
static void
chores(struct afti_worker *w, struct afti_held *h, const struct aft_task_status *status)
{
    struct aft_error e;
    if (status->commits >= h->commits + 2 || status->commits < h->commits) {
        h->erased_committed = status->commits < h->commits ? h->erased_committed : h->erased;
        h->erased = status->join.counts.erased_users;
        h->commits = status->commits;
    }
    struct aft_chore chore = {h->partition, h->erased_committed,
                              w->s->clock.wall_ms(w->s->clock.ctx)};
    if ((h->owner || status->follows) && aft_chores(w->s->config, h->store, &chore, &e) != AFT_OK)
        aft_say("warn", "worker", "partition %d: %s", h->partition, e.message);
}

/* The partition stands still until the registry answers: that is said, and it is not ready. */
static void
registry_watch(struct afti_worker *w, struct afti_held *h, const struct aft_task_status *status)
{
    struct aft_error e;
    h->waits = status->waits_for[0] != '\0';
    if (!h->waits)
        return;
    aft_error_set(&e, AFT_E_AGAIN, __FILE__, __LINE__, "%s", status->waits_for);
    snprintf(w->words, sizeof w->words, "%s", status->waits_for);
    afti_trouble(w->s, &w->trouble, "worker", &e);
}

/* Every few seconds. */
static void
tell_board(struct afti_worker *w, struct afti_held *h)
{
    struct aft_task_status status;
    aft_task_status(h->task, false, &status);
    aft_board_task(w->s->board, &status);
    if (status.owner && !h->owner && h->taken_ms) {
        aft_say("info", "worker", "partition %d: taken over in %lld ms", h->partition,
                (long long)(afti_now(w->s) - h->taken_ms));
        h->taken_ms = 0;
    }
    h->owner = status.owner;
    h->status_ms = afti_now(w->s);
    registry_watch(w, h, &status);
    afti_watch(w->s, h, &status);
    chores(w, h, &status);
}

/* A step failed: wait over it, or await the rebalance, or give up (the error goes on). */
static enum aft_err
step_failed(struct afti_worker *w, struct afti_held *h, struct aft_error *e)
{
    int64_t now = afti_now(w->s);
    if (e->code == AFT_E_NOT_OWNER) {
        aft_say("warn", "worker", "%s; letting go of it", e->message);
        if (w->s->standby && !h->assigned) {
            afti_standby_let_go(w, h, false);
            return AFT_OK;
        }
        afti_held_close(w, h, false);
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
        afti_held_close(w, h, false);
        h->reopen_ms = now + AFTI_RETRY_MS;
    }
    return AFT_OK;
}

static enum aft_err
held_step(struct afti_worker *w, struct afti_held *h, bool *busy, struct aft_error *e)
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
    AFT_TRY(give_sign(w, h, e));
    bool restless = !h->owner && (h->ours || !w->s->standby); /* it becomes the owner soon */
    if (restless || now - h->status_ms >= AFTI_STATUS_MS)
        tell_board(w, h);
    return AFT_OK;
}

static void
tell_state(struct afti_worker *w)
{
    bool ready = w->assigned || w->s->standby, well = true;
    for (size_t i = 0; i < w->held_n; i++) {
        ready = ready && !w->held[i].waits && (w->held[i].owner || afti_standby_level(&w->held[i]));
        well = well && w->held[i].task && !w->held[i].waits;
    }
    if (well) {
        w->words[0] = '\0';
        w->trouble.now = false;
    }
    afti_service_state(w->s, ready, w->words);
}

static enum aft_err
worker_loop(struct afti_worker *w, struct aft_error *e)
{
    bool busy = false;
    int64_t told_ms = 0, busy_ms = 0;
    while (!afti_service_stopping(w->s)) {
        if (w->s->standby)
            AFT_TRY(afti_standby_watch(w, e));
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

enum aft_err
afti_worker_join(struct afti_worker *w, struct aft_error *e)
{
    const struct aft_config *c = w->s->config;
    const char *topics[2] = {aft_config_text(c, inputs[0]), aft_config_text(c, inputs[1])};
    return w->log->ops->group_open(w->log, aft_config_text(c, "app.id"), topics, 2, &w->group, e);
}

/* placed: before anything is opened: clients' and stores' threads inherit it. */
static enum aft_err
placed(const struct aft_config *c, struct aft_error *e)
{
    int core;
    if (!aft_config_int(c, "join.one.core"))
        return AFT_OK;
    AFT_TRY(aft_one_core(&core, e));
    aft_say("info", "worker", "stays on core %d with its connections (join.one.core)", core);
    return AFT_OK;
}

static enum aft_err
worker_run(struct afti_worker *w, struct aft_error *e)
{
    AFT_TRY(placed(w->s->config, e));
    snprintf(w->marks_name, sizeof w->marks_name, "%s-owners",
             aft_config_text(w->s->config, "app.id"));
    w->beat_interval_ms = aft_config_int(w->s->config, "standby.after") / BEATS;
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(w->s->config), &w->log, e));
    if (w->s->standby)
        afti_standby_begin(w);
    else
        AFT_TRY(afti_worker_join(w, e));
    return worker_loop(w, e);
}

void *
afti_worker_main(void *service)
{
    struct afti_worker w = {.s = service};
    struct aft_error e;
    enum aft_err err = worker_run(&w, &e);
    if (err != AFT_OK)
        afti_service_failed(w.s, &e);
    for (size_t i = 0; i < w.held_n; i++) {
        afti_held_close(&w, &w.held[i], err == AFT_OK);
        held_free(&w, &w.held[i], false);
    }
    if (w.group)
        w.log->ops->group_close(w.group);
    if (w.log)
        w.log->ops->close(w.log);
    free(w.held);
    free(w.marks);
    return NULL;
}
