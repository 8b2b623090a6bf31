/* task.c - one partition's life: open, step, drain, close; and how it stands.
 *
 * In: aft_log, aft_store, aft_clock, the configuration. Out: examples, ticks, dead letters, committed state. One thread.
 * A step that fails with a RETRY error may be repeated; after any other error the task is closed and, if wanted, opened anew.
 */
#include <stdio.h>
#include <stdlib.h>

#include "consumer/task_inner.h"

#define UNSENT_WAIT_MS 5
#define DRAIN_POLL_MS 20
#define DRAIN_STEPS 1500 /* half a minute */

static enum aft_err
decoders_open(struct aft_task *t, struct aft_error *e)
{
    static const enum aft_record records[2] = {AFT_RECORD_IMPRESSION, AFT_RECORD_OUTCOME};
    static const struct aft_schema_port nobody = {0}; /* the journals are ours, in our own frame */
    for (int i = 0; i < 2; i++)
        AFT_TRY(aft_decoder_new(records[i], t->o.schemas, &t->in[i].decoder, e));
    AFT_TRY(aft_decoder_new(AFT_RECORD_CLOCK, nobody, &t->clock_decoder, e));
    return aft_decoder_new(AFT_RECORD_EXAMPLE_BLOCK, nobody, &t->examples_decoder, e);
}

/* With more partitions a user's key leads to another one than before: what is held of him here meets nothing any more. */
static enum aft_err
same_partitions(const struct aft_task *t, struct aft_error *e)
{
    if (t->rider.partitions == 0 || t->rider.partitions == t->partitions)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_CONFIG,
                    "%s has %d partitions, and had %lld when the state of partition %d was "
                    "written: users have moved between them, so impressions and outcomes no longer "
                    "meet: create all topics anew with the partitions wanted, under a new app.id",
                    t->in[AFT_IMPRESSIONS].topic, t->partitions, (long long)t->rider.partitions,
                    t->o.partition);
}

static enum aft_err
joiner_open(struct aft_task *t, struct aft_error *e)
{
    struct aft_join_identity identity = {aft_config_text(t->o.config, "app.id"), t->o.partition};
    struct aft_join_out here = {t, afti_example}, out = t->o.examples ? *t->o.examples : here;
    int64_t began_ms = t->o.clock.monotonic_ms(t->o.clock.ctx);
    AFT_TRY(
        aft_joiner_open(aft_config_join(t->o.config), &identity, t->o.store, &out, &t->joiner, e));
    aft_joiner_resume(t->joiner, &t->resume);
    t->fresh = t->resume.rider.p == NULL;
    t->recovery_ms = t->fresh ? -1 : t->o.clock.monotonic_ms(t->o.clock.ctx) - began_ms;
    t->rider = (struct afti_rider){.clock_epoch = -1, .examples_epoch = -1};
    if (!t->fresh) {
        AFT_TRY(afti_rider_decode(t->resume.rider, &t->rider, e));
        AFT_TRY(same_partitions(t, e));
        t->published_known = true;
        t->published = (struct afti_end){t->rider.seq, t->rider.hash};
        AFT_TRY(afti_end_add(t, t->rider.seq, t->rider.hash, e));
    }
    t->clock_epoch = t->rider.clock_epoch;
    t->examples_epoch = t->rider.examples_epoch;
    return AFT_OK;
}

static enum aft_err
topics_open(struct aft_task *t, struct aft_error *e)
{
    struct aft_topic_facts facts;
    const struct aft_config *c = t->o.config;
    t->in[AFT_IMPRESSIONS].topic = aft_config_text(c, "topics.impressions");
    t->in[AFT_OUTCOMES].topic = aft_config_text(c, "topics.outcomes");
    t->clock_topic = aft_config_text(c, "topics.clock");
    t->examples_topic = aft_config_text(c, "topics.examples");
    t->dead_topic = aft_config_text(c, "topics.dead.letters");
    AFT_TRY(t->o.log->ops->topic_facts(t->o.log, t->in[AFT_IMPRESSIONS].topic, &facts, e));
    t->partitions = facts.partitions;
    if (t->o.partition >= facts.partitions)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "%s has %d partitions, so there is no partition %d: create it with "
                        "aftertouch topics create",
                        t->in[AFT_IMPRESSIONS].topic, facts.partitions, t->o.partition);
    return AFT_OK;
}

enum aft_err
aft_task_open(const struct aft_task_options *o, struct aft_task **out, struct aft_error *e)
{
    struct aft_task *t = calloc(1, sizeof *t);
    AFT_ASSERT(t != NULL);
    t->o = *o;
    t->epoch = -1;
    t->phase = o->follow ? AFTI_PHASE_FOLLOW : AFTI_PHASE_EPOCH;
    t->follow_examples = -1;
    for (int i = 0; i < 2; i++) {
        t->in[i].limit = o->follow ? 0 : INT64_MAX;
        t->follow_want[i] = -1;
    }
    t->box = afti_outbox_new();
    t->idle_after_ms = aft_config_int(o->config, "join.idle.after");
    t->commit_interval_ms = aft_config_int(o->config, "commit.interval");
    t->commit_bytes = (size_t)aft_config_int(o->config, "commit.bytes");
    aft_arena_init(&t->arena, AFTI_ARENA_MAX);
    enum aft_err err = topics_open(t, e);
    if (err == AFT_OK)
        err = decoders_open(t, e);
    if (err == AFT_OK)
        err = joiner_open(t, e);
    if (err != AFT_OK) {
        aft_task_close(t);
        return err;
    }
    *out = t;
    return AFT_OK;
}

void
aft_task_close(struct aft_task *t)
{
    if (!t)
        return;
    afti_inputs_close(t);
    if (t->clock)
        t->o.log->ops->reader_close(t->clock);
    if (t->examples)
        t->o.log->ops->reader_close(t->examples);
    aft_decoder_free(t->clock_decoder);
    aft_decoder_free(t->examples_decoder);
    if (t->joiner)
        aft_joiner_close(t->joiner);
    afti_outbox_close(t->box);
    aft_arena_deinit(&t->arena);
    aft_buffer_deinit(&t->value);
    aft_buffer_deinit(&t->block);
    afti_ahead_deinit(&t->ahead);
    free(t->ticks);
    free(t->ends);
    free(t);
}

/* ---- stepping */
/* Waits where the next thing will come from: the clock topic for a tick on its way, else the log that is behind. */
static enum aft_err
wait_for_more(struct aft_task *t, int timeout_ms, bool *busy, struct aft_error *e)
{
    uint32_t ticks = 0;
    bool unsent = t->cut || t->block_n;
    int wait = *busy ? 0 : unsent && timeout_ms > UNSENT_WAIT_MS ? UNSENT_WAIT_MS : timeout_ms;
    if (t->box->bytes >= AFTI_INFLIGHT_MAX) {
        t->o.log->ops->poll(t->o.log, timeout_ms);
        return AFT_OK;
    }
    if (!*busy && t->in[aft_joiner_behind(t->joiner)].tick_on_its_way) {
        AFT_TRY(afti_clock_read(t, wait, &ticks, e));
        *busy = ticks > 0;
        wait = 0;
    }
    return afti_inputs_step(t, wait, busy, e);
}

static enum aft_err
work_step(struct aft_task *t, int timeout_ms, bool *busy, struct aft_error *e)
{
    uint32_t ticks;
    t->o.log->ops->poll(t->o.log, 0);
    AFT_TRY(afti_outbox_failed(t->box, e));
    AFT_TRY(afti_clock_read(t, 0, &ticks, e));
    *busy = ticks > 0;
    AFT_TRY(wait_for_more(t, timeout_ms, busy, e));
    AFT_TRY(aft_joiner_run(t->joiner, e));
    AFT_TRY(afti_idle(t, e));
    AFT_TRY(afti_block_step(t, *busy, e));
    AFT_TRY(afti_commit_step(t, false, e));
    t->o.log->ops->poll(t->o.log, 0);
    return afti_outbox_failed(t->box, e);
}

enum aft_err
aft_task_step(struct aft_task *t, int timeout_ms, bool *busy, struct aft_error *e)
{
    *busy = true;
    if (t->phase == AFTI_PHASE_WORK)
        return work_step(t, timeout_ms, busy, e);
    if (t->phase == AFTI_PHASE_FOLLOW)
        return afti_follow_step(t, timeout_ms, busy, e);
    AFT_TRY(afti_outbox_failed(t->box, e));
    return afti_own_step(t, timeout_ms, e);
}

enum aft_err
aft_task_drain(struct aft_task *t, struct aft_error *e)
{
    if (t->phase != AFTI_PHASE_WORK)
        return AFT_OK;
    for (int i = 0; i < DRAIN_STEPS; i++) {
        AFT_TRY(afti_outbox_failed(t->box, e));
        AFT_TRY(afti_commit_step(t, true, e));
        if (!t->cut && !t->dirty)
            return AFT_OK;
        t->o.log->ops->poll(t->o.log, DRAIN_POLL_MS);
    }
    return AFT_FAIL(e, AFT_E_TIMEOUT,
                    "partition %d: what was written was not acknowledged in half a minute; it will "
                    "be written again",
                    t->o.partition);
}

/* ---- looking */
static void
status_of_log(struct aft_task *t, enum aft_log_kind log, struct aft_task_status *out)
{
    int64_t begin;
    struct aft_error e;
    out->next_offset[log] = t->in[log].next_offset;
    out->committed_offset[log] = t->resume.next_offset[log];
    out->watermark_ms[log] = aft_joiner_watermark(t->joiner, log);
    out->consumed[log] = t->in[log].consumed;
    out->waiting[log] = aft_joiner_waiting(t->joiner, log);
    aft_joiner_disorder(t->joiner, log, &out->disorder[log]);
    out->keyed[log] = t->in[log].keyed;
    if (t->in[log].moved_ms == 0 || t->in[log].seen_watermark_ms != out->watermark_ms[log])
        t->in[log].moved_ms = out->wall_ms;
    t->in[log].seen_watermark_ms = out->watermark_ms[log];
    if (t->in[log].waits)
        snprintf(out->waits_for, sizeof out->waits_for,
                 "%.80s partition %d waits at offset %lld: %.260s", t->in[log].topic,
                 t->o.partition, (long long)out->next_offset[log], t->in[log].why.message);
    out->moved_ms[log] = t->in[log].moved_ms;
    out->end_offset[log] = -1;
    if (!t->in[log].reader)
        return;
    if (t->o.log->ops->heard_end)
        out->end_offset[log] = t->o.log->ops->heard_end(t->in[log].reader);
    else if (t->o.log->ops->range(t->o.log, t->in[log].topic, t->o.partition, &begin,
                                  &out->end_offset[log], &e) != AFT_OK)
        out->end_offset[log] = -1;
}

void
aft_task_committed(const struct aft_task *t, int64_t out[2])
{
    out[AFT_IMPRESSIONS] = t->resume.next_offset[AFT_IMPRESSIONS];
    out[AFT_OUTCOMES] = t->resume.next_offset[AFT_OUTCOMES];
}

int64_t
aft_task_epoch(const struct aft_task *t)
{
    return t->epoch;
}

void
aft_task_status(struct aft_task *t, bool with_digest, struct aft_task_status *out)
{
    *out = (struct aft_task_status){
        .partition = t->o.partition,
        .epoch = t->epoch,
        .owner = t->phase == AFTI_PHASE_WORK,
        .caught_up = t->phase == AFTI_PHASE_WORK && t->in[0].at_end && t->in[1].at_end &&
                     t->in[0].batch_i == t->in[0].batch_n && t->in[1].batch_i == t->in[1].batch_n,
        .wall_ms = t->o.clock.wall_ms(t->o.clock.ctx),
        .follows = t->phase == AFTI_PHASE_FOLLOW,
        .checked_seq = t->checked_seq,
        .next_seq = t->next_seq,
        .published_seq = t->box->acked.seq,
        .ticks = t->ticks_counted,
        .dead_letters = afti_dead_letters(t),
        .commits = t->commits,
        .duplicates_muted = t->muted,
    };
    memcpy(out->dead_letters_by, t->dead_letters_by, sizeof out->dead_letters_by);
    status_of_log(t, AFT_IMPRESSIONS, out);
    status_of_log(t, AFT_OUTCOMES, out);
    aft_joiner_counts(t->joiner, &out->join);
    if (with_digest)
        aft_joiner_digest(t->joiner, &out->state);
    out->memory_bytes = aft_joiner_memory(t->joiner);
    out->recovery_ms = t->recovery_ms;
    aft_joiner_memory_of(t->joiner, &out->memory);
    out->disk_bytes = t->o.store->ops->bytes(t->o.store);
}
