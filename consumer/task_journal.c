/* task_journal.c - the clock topic: epochs and ticks, written and read back; and when a log counts as idle.
 *
 * In: the clock topic's records in order; monotonic time. Out: counted ticks to the joiner, our own EPOCH and TICK records, and
 * AFT_E_NOT_OWNER once a newer epoch is read. A tick counts if its epoch is that of the latest EPOCH record before it.
 */
#include <stdlib.h>

#include "consumer/task_inner.h"

#define CLOCK_BATCH 64u

static enum aft_err
clock_append(struct aft_task *t, const struct aft_clock_record *r, enum afti_sent what,
             struct aft_error *e)
{
    aft_buffer_reset(&t->value);
    aft_frame_put_single(&t->value, AFT_RECORD_CLOCK);
    aft_encode_clock(&t->value, r);
    struct aft_append a = {.topic = t->clock_topic,
                           .partition = t->o.partition,
                           .timestamp_ms = -1,
                           .value = aft_buffer_bytes(&t->value)};
    return afti_send(t->o.log, t->box, &a, what, (struct afti_end){0}, e);
}

enum aft_err
afti_epoch_send(struct aft_task *t, struct aft_error *e)
{
    struct aft_clock_record r = {
        .epoch = -1, .kind = AFT_CLOCK_EPOCH, .owner = aft_text(t->o.owner)};
    return clock_append(t, &r, AFTI_SENT_EPOCH, e);
}

static enum aft_err
tick_send(struct aft_task *t, enum aft_log_kind log, int64_t watermark_ms, int64_t now,
          struct aft_error *e)
{
    struct afti_input *in = &t->in[log];
    struct aft_clock_record r = {.epoch = t->epoch,
                                 .kind = AFT_CLOCK_TICK,
                                 .log = log,
                                 .at_offset = in->next_offset,
                                 .watermark_ms = watermark_ms};
    AFT_INVARIANT(I5, !in->tick_on_its_way && in->batch_i == in->batch_n);
    AFT_TRY(clock_append(t, &r, AFTI_SENT_DECISION, e));
    in->tick_on_its_way = true;
    in->tick_ms = watermark_ms;
    in->last_tick_ms = now;
    return AFT_OK;
}

/* ---- reading */
static void
tick_counted(struct aft_task *t, const struct aft_clock_record *r, int64_t offset)
{
    if (t->ticks_n == t->ticks_cap) {
        t->ticks_cap = t->ticks_cap ? 2 * t->ticks_cap : 64;
        t->ticks = realloc(t->ticks, t->ticks_cap * sizeof *t->ticks);
        AFT_ASSERT(t->ticks != NULL);
    }
    t->ticks[t->ticks_n++] =
        (struct afti_counted){offset, t->clock_epoch, r->at_offset, r->watermark_ms, r->log};
    t->ticks_counted++;
    t->dirty = true;
    aft_joiner_tick(t->joiner, r->log, r->at_offset, r->watermark_ms);
    if (r->epoch == t->epoch && r->watermark_ms == t->in[r->log].tick_ms)
        t->in[r->log].tick_on_its_way = false; /* and not for another copy of the one before it */
}

static enum aft_err
clock_record(struct aft_task *t, const struct aft_record_in *in, struct aft_error *e)
{
    struct aft_clock_record r;
    struct aft_bytes body;
    aft_arena_reset(&t->arena);
    enum aft_err err = aft_decoder_body(t->clock_decoder, in->value, &t->arena, &body, e);
    if (err == AFT_OK)
        err = aft_decode_clock(body, &r, e);
    if (err != AFT_OK) {
        if (aft_err_class(err) != AFT_CLASS_DATA)
            return err;
        /* not ours: for every reader alike it decides nothing */
        aft_say("warn", "task",
                "%s partition %d offset %lld is no clock record and is passed over: %s",
                t->clock_topic, t->o.partition, (long long)in->offset, e->message);
    } else if (r.kind == AFT_CLOCK_EPOCH) {
        t->clock_epoch = in->offset;
        if (t->epoch >= 0 && in->offset > t->epoch)
            return AFT_FAIL(e, AFT_E_NOT_OWNER,
                            "partition %d: somebody newer owns it (epoch %lld, ours %lld, by %.*s)",
                            t->o.partition, (long long)in->offset, (long long)t->epoch,
                            (int)r.owner.n, r.owner.p ? (const char *)r.owner.p : "");
    } else if (r.epoch == t->clock_epoch) {
        tick_counted(t, &r, in->offset);
    }
    t->clock_next = in->offset + 1;
    return AFT_OK;
}

enum aft_err
afti_clock_read(struct aft_task *t, int timeout_ms, uint32_t *n, struct aft_error *e)
{
    struct aft_record_in batch[CLOCK_BATCH];
    bool at_end;
    *n = 0;
    AFT_TRY(t->o.log->ops->read(t->clock, batch, CLOCK_BATCH, timeout_ms, n, &at_end, e));
    for (uint32_t i = 0; i < *n; i++)
        AFT_TRY(clock_record(t, &batch[i], e));
    return AFT_OK;
}

/* Ticks that the committed state surely holds are forgotten, and those that a later one of the same place outdoes: the first
 * that is left says from where the clock topic must be read again. */
void
afti_ticks_prune(struct aft_task *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->ticks_n; i++) {
        const struct afti_counted *k = &t->ticks[i];
        bool needed = k->at_offset >= t->resume.next_offset[k->log];
        for (size_t m = i + 1; needed && m < t->ticks_n; m++)
            needed = t->ticks[m].log != k->log || t->ticks[m].at_offset != k->at_offset ||
                     t->ticks[m].watermark_ms < k->watermark_ms;
        if (needed)
            t->ticks[kept++] = *k;
    }
    t->ticks_n = kept;
}

/* ---- idle logs: quiet for long, and looked at just now (its end of a while ago is no end) */
static bool
quiet(const struct aft_task *t, enum aft_log_kind log, int64_t now)
{
    const struct afti_input *in = &t->in[log];
    return in->at_end && in->batch_i == in->batch_n && now - in->last_record_ms >= t->idle_after_ms;
}

/* One log is idle and the other one is ahead: raise it to the other's watermark, not more often than ten times in idle_after. */
static enum aft_err
follow(struct aft_task *t, enum aft_log_kind log, int64_t now, struct aft_error *e)
{
    const struct afti_input *in = &t->in[log];
    int64_t mine = aft_joiner_watermark(t->joiner, log),
            other = aft_joiner_watermark(t->joiner, (enum aft_log_kind)(1 - (int)log));
    if (in->tick_on_its_way || other <= mine || now - in->last_tick_ms < t->idle_after_ms / 10)
        return AFT_OK;
    return tick_send(t, log, other, now, e);
}

/* Both are idle: both go on at the wall clock's pace from where they stood. */
static enum aft_err
pace(struct aft_task *t, int64_t now, struct aft_error *e)
{
    int64_t level = INT64_MIN;
    for (int log = 0; log < 2; log++) {
        int64_t w = aft_joiner_watermark(t->joiner, (enum aft_log_kind)log);
        level = w > level ? w : level;
        if (t->in[log].tick_on_its_way)
            return AFT_OK;
    }
    if (level == INT64_MIN)
        return AFT_OK; /* nothing was ever read: there is no place to go on from */
    if (!t->pacing) {
        t->pacing = true;
        t->pace_watermark_ms = level;
        t->pace_anchor_ms = t->in[0].last_record_ms > t->in[1].last_record_ms
                                ? t->in[0].last_record_ms
                                : t->in[1].last_record_ms;
    }
    for (int log = 0; log < 2; log++)
        if (now - t->in[log].last_tick_ms >= t->idle_after_ms)
            AFT_TRY(tick_send(t, (enum aft_log_kind)log,
                              t->pace_watermark_ms + (now - t->pace_anchor_ms), now, e));
    return AFT_OK;
}

enum aft_err
afti_idle(struct aft_task *t, struct aft_error *e)
{
    int64_t now = t->o.clock.monotonic_ms(t->o.clock.ctx);
    bool imp = quiet(t, AFT_IMPRESSIONS, now), out = quiet(t, AFT_OUTCOMES, now);
    bool imp_looked = t->in[AFT_IMPRESSIONS].looked, out_looked = t->in[AFT_OUTCOMES].looked;
    t->pacing = t->pacing && imp && out;
    if (imp && out)
        return imp_looked && out_looked ? pace(t, now, e) : AFT_OK;
    if (imp && imp_looked)
        return follow(t, AFT_IMPRESSIONS, now, e);
    if (out && out_looked)
        return follow(t, AFT_OUTCOMES, now, e);
    return AFT_OK;
}
