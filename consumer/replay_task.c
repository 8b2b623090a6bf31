/* replay_task.c - one partition again: a task over a frozen log, without the ownership protocol and without appends.
 *
 * In: the clock topic whole (which ticks count), then both inputs up to their ends. Out: examples to the check; with `into`,
 * committed state.
 * The records go through task_input.c and task_journal.c, as at work. No tick is made here: those that count stand in the
 * clock topic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumer/replay_inner.h"

enum { STEP_MS = 200, STILL_STEPS = 150, NEAR_RECORDS = 64, LOOSE_COMMIT_BYTES = 16 << 20 };
enum { PAUSE_MS = 2, PAUSES_MAX = 15000 };

/* ---- the journal */
enum aft_err
afti_replay_clock(struct aft_task *t, int64_t from, struct aft_error *e)
{
    struct aft_log *log = t->o.log;
    int64_t begin, end;
    uint32_t n;
    int still = 0;
    AFT_TRY(log->ops->range(log, t->clock_topic, t->o.partition, &begin, &end, e));
    t->clock_next = from > begin ? from : begin;
    t->rider.clock_offset = t->clock_next;
    AFT_TRY(
        log->ops->reader_open(log, t->clock_topic, t->o.partition, t->clock_next, &t->clock, e));
    while (t->clock_next < end) {
        AFT_TRY(afti_clock_read(t, STEP_MS, &n, e));
        still = n ? 0 : still + 1;
        if (still == STILL_STEPS)
            return AFT_FAIL(e, AFT_E_TIMEOUT, "%s partition %d: no answer; is the broker there?",
                            t->clock_topic, t->o.partition);
    }
    return AFT_OK;
}

/* ---- commits (P2) */
/* Ticks that the last commit surely holds are forgotten: what is left tells from where a task must read the clock topic. */
static void
ticks_forget(struct aft_task *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->ticks_n; i++)
        if (t->ticks[i].at_offset >= t->resume.next_offset[t->ticks[i].log])
            t->ticks[kept++] = t->ticks[i];
    t->ticks_n = kept;
}

enum aft_err
afti_replay_commit(struct afti_replay *r, struct aft_error *e)
{
    struct aft_task *t = r->task;
    uint64_t seq;
    uint8_t bytes[AFTI_RIDER_BYTES];
    struct afti_rider rider = r->published.passed;
    ticks_forget(t);
    rider.clock_offset = t->ticks_n ? t->ticks[0].clock_offset : t->clock_next;
    rider.clock_epoch = t->ticks_n ? t->ticks[0].epoch_before : t->clock_epoch;
    afti_rider_encode(&rider, bytes);
    aft_joiner_cut(t->joiner, (struct aft_bytes){bytes, sizeof bytes}, &seq);
    AFT_INVARIANT(P2, !r->o.into || (r->beyond == 0 && seq <= t->next_seq));
    AFT_TRY(aft_joiner_commit(t->joiner, e));
    aft_joiner_resume(t->joiner, &t->resume);
    t->dirty = false;
    r->part->commits++;
    return AFT_OK;
}

/* Seldom, so that memory holds the open window and not all that was read; into a directory after every batch where the end of the examples
 * is near: the last one before it counts. */
static enum aft_err
commit_step(struct afti_replay *r, bool last, struct aft_error *e)
{
    const struct afti_published *p = &r->published;
    bool near = r->o.into && (last || p->done || p->end - p->next_offset <= NEAR_RECORDS);
    size_t bytes = aft_joiner_uncommitted(r->task->joiner);
    if ((r->o.into && r->beyond) || (bytes < LOOSE_COMMIT_BYTES && !(near && r->task->dirty)))
        return AFT_OK;
    return afti_replay_commit(r, e);
}

/* ---- the inputs */
static int64_t
read_so_far(const struct afti_replay *r)
{
    int64_t n = 0;
    for (int log = 0; log < 2; log++)
        n += r->task->in[log].next_offset - r->begin[log];
    return n;
}

static void
tell(struct afti_replay *r)
{
    const struct aft_joiner *j = r->task->joiner;
    int64_t a = aft_joiner_watermark(j, AFT_IMPRESSIONS), b = aft_joiner_watermark(j, AFT_OUTCOMES);
    const struct aft_join_config *c = aft_config_join(r->o.config);
    struct aft_replay_part *part = r->part;
    part->records = read_so_far(r);
    part->event_ms = a < b ? a : b;
    part->ticks = (int64_t)r->task->ticks_counted;
    part->dead_letters = (int64_t)afti_dead_letters(r->task);
    if (r->warm_ms == INT64_MIN && part->event_ms != INT64_MIN)
        r->warm_ms =
            (a > b ? a : b) + c->disorder_ms + c->orphan_after_ms + 2 * c->window_ms + c->grace_ms;
    if (r->o.progress)
        r->o.progress(r->o.ctx, r->result, part);
}

static bool
input_read(const struct afti_input *in, int64_t end)
{
    return in->batch_i == in->batch_n && (in->next_offset >= end || in->at_end);
}

/* Or: the log that is behind holds no more, and the other one is read as far ahead as any task reads it: nothing more can be processed. */
bool
afti_replay_read(const struct aft_task *t, const int64_t end[2])
{
    int behind = (int)aft_joiner_behind(t->joiner), ahead = 1 - behind;
    if (!input_read(&t->in[behind], end[behind]))
        return false;
    return input_read(&t->in[ahead], end[ahead]) ||
           aft_joiner_waiting(t->joiner, (enum aft_log_kind)ahead) >= AFTI_WAITING_MAX;
}

/* Where the log that is behind has ended, a step does not wait for the other one: the pause does. */
enum aft_err
afti_replay_step(struct afti_replay *r, struct aft_task *t, int *still, struct aft_error *e)
{
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    bool busy = false;
    AFT_TRY(afti_inputs_step(t, 0, &busy, e));
    t->o.log->ops->poll(t->o.log, 0);
    *still = busy ? 0 : *still + 1;
    if (*still == PAUSES_MAX)
        return AFT_FAIL(e, AFT_E_TIMEOUT,
                        "partition %d: no more records come, at %lld of %lld; is the broker "
                        "there, and the registry?",
                        r->partition, (long long)read_so_far(r), (long long)r->part->records_n);
    if (*still)
        nanosleep(&pause, NULL);
    return AFT_OK;
}

static enum aft_err
run(struct afti_replay *r, struct aft_error *e)
{
    AFT_TRY(afti_beside_meet(r, e));
    return aft_joiner_run(r->task->joiner, e);
}

static enum aft_err
inputs_whole(struct afti_replay *r, struct aft_error *e)
{
    struct aft_task *t = r->task;
    int still = 0;
    while (!afti_replay_read(t, r->end)) {
        AFT_TRY(afti_replay_step(r, t, &still, e));
        AFT_TRY(run(r, e));
        AFT_TRY(commit_step(r, false, e));
        tell(r);
    }
    AFT_TRY(run(r, e));
    AFT_TRY(commit_step(r, true, e));
    if (!r->o.archived || r->o.until_ms != INT64_MAX)
        return AFT_OK;
    /* ticks behind the last record that could be archived; behind the last commit too: there is no offset there to go on from */
    for (int log = 0; log < 2; log++)
        aft_joiner_reached(t->joiner, (enum aft_log_kind)log, INT64_MAX);
    return run(r, e);
}

/* ---- one partition */
static enum aft_err
store_open(struct afti_replay *r, struct aft_error *e)
{
    char path[1024];
    if (!r->o.into) {
        r->store = aft_store_mem_new();
        return AFT_OK;
    }
    if (snprintf(path, sizeof path, "%s/%d", r->o.into, r->partition) >= (int)sizeof path)
        return AFT_FAIL(e, AFT_E_USAGE, "--into: the directory's name is too long");
    return aft_store_rocksdb_open_with(path, aft_config_rocksdb(r->o.config), &r->store, e);
}

static enum aft_err
partition_work(struct afti_replay *r, struct aft_error *e)
{
    struct aft_join_out out = {r, afti_check_example};
    struct aft_task_options o = {.config = r->o.config,
                                 .log = r->log,
                                 .store = r->store,
                                 .clock = r->o.clock,
                                 .partition = r->partition,
                                 .schemas = r->o.schemas,
                                 .owner = "replay",
                                 .examples = &out};
    AFT_TRY(aft_task_open(&o, &r->task, e));
    AFT_TRY(afti_replay_clock(r->task, 0, e));
    AFT_TRY(afti_inputs_open(r->task, e));
    if (r->o.into)
        AFT_TRY(
            afti_replay_commit(r, e)); /* the beginning: there is always a state to go on from */
    AFT_TRY(afti_beside_open(r, e));
    AFT_TRY(inputs_whole(r, e));
    if (r->o.until_ms == INT64_MAX)
        AFT_TRY(afti_check_rest(r, e));
    return afti_beside_end(r, e);
}

static void
finish(struct afti_replay *r)
{
    afti_beside_done(r);
    if (r->task) {
        tell(r);
        aft_joiner_counts(r->task->joiner, &r->part->counts);
        aft_joiner_digest(r->task->joiner, &r->part->state);
        aft_task_close(r->task);
    }
    r->log->ops->poll(r->log, 0);
    if (r->store)
        r->store->ops->close(r->store);
    afti_published_close(&r->published);
    r->task = NULL;
    r->store = NULL;
}

enum aft_err
afti_replay_partition(struct afti_replay *r, struct aft_error *e)
{
    r->warm_ms = INT64_MIN;
    r->shift = 0;
    r->beyond = 0;
    r->aligned = r->numbered;
    r->part->event_ms = INT64_MIN;
    enum aft_err err = store_open(r, e);
    if (err == AFT_OK && r->checked)
        err = afti_published_open(r, e);
    if (err == AFT_OK)
        err = partition_work(r, e);
    finish(r);
    return err;
}
