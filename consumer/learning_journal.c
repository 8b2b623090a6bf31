/* learning_journal.c - the rounds topic: who learns, and what each round covers.
 *
 * In: its records in order. Out: rounds that count (L2), queued to be learned (L1); our own EPOCH and ROUND records;
 * AFT_E_NOT_OWNER once a newer epoch is read.
 */
#include <stdlib.h>

#include "consumer/learning_inner.h"

#define JOURNAL_BATCH 64u

static enum aft_err
journal_append(struct aft_learning *l, const struct aft_round_record *r, enum afti_sent what,
               struct aft_error *e)
{
    aft_buffer_reset(&l->value);
    aft_frame_put_single(&l->value, AFT_RECORD_ROUND);
    aft_encode_round(&l->value, r);
    struct aft_append a = {.topic = l->rounds_topic,
                           .partition = 0,
                           .timestamp_ms = -1,
                           .value = aft_buffer_bytes(&l->value)};
    return afti_send(l->o.log, l->box, &a, what, (struct afti_end){0}, e);
}

enum aft_err
afti_learning_epoch_send(struct aft_learning *l, struct aft_error *e)
{
    struct aft_round_record r = {
        .epoch = -1, .kind = AFT_ROUND_EPOCH, .owner = aft_text(l->o.owner)};
    return journal_append(l, &r, AFTI_SENT_EPOCH, e);
}

enum aft_err
afti_round_send(struct aft_learning *l, enum aft_publish publish, struct aft_error *e)
{
    aft_rounds_ends(l->rounds, l->asking);
    struct aft_round_record r = {.epoch = l->epoch,
                                 .kind = AFT_ROUND_ROUND,
                                 .round = l->round + 1,
                                 .ends = l->asking,
                                 .ends_n = (uint32_t)l->o.partitions,
                                 .publish = publish};
    AFT_ASSERT(!l->round_on_its_way && !afti_round_next(l));
    AFT_TRY(journal_append(l, &r, AFTI_SENT_DECISION, e));
    l->round_on_its_way = true;
    l->asked_round = r.round;
    l->last_round_ms = l->o.clock.monotonic_ms(l->o.clock.ctx);
    return AFT_OK;
}

/* ---- the queue of rounds to learn */
struct afti_round *
afti_round_next(struct aft_learning *l)
{
    return l->queue_i < l->queue_n ? &l->queue[l->queue_i] : NULL;
}

void
afti_round_done(struct aft_learning *l)
{
    AFT_ASSERT(l->queue_i < l->queue_n);
    free(l->queue[l->queue_i++].ends);
    if (l->queue_i == l->queue_n)
        l->queue_i = l->queue_n = 0;
}

void
afti_rounds_forget(struct aft_learning *l)
{
    while (afti_round_next(l))
        afti_round_done(l);
    free(l->queue);
    l->queue = NULL;
    l->queue_cap = 0;
}

static void
queue_add(struct aft_learning *l, const struct aft_round_record *r)
{
    if (l->queue_n == l->queue_cap) {
        l->queue_cap = l->queue_cap ? 2 * l->queue_cap : 16;
        l->queue = realloc(l->queue, l->queue_cap * sizeof *l->queue);
        AFT_ASSERT(l->queue != NULL);
    }
    struct aft_end *ends = malloc(((size_t)r->ends_n + 1) * sizeof *ends);
    AFT_ASSERT(ends != NULL);
    if (r->ends_n)
        memcpy(ends, r->ends, r->ends_n * sizeof *ends);
    l->queue[l->queue_n++] = (struct afti_round){r->round, r->publish, ends, r->ends_n};
}

/* ---- reading */
static enum aft_err
round_counted(struct aft_learning *l, const struct aft_round_record *r, int64_t offset,
              struct aft_error *e)
{
    int64_t last = l->queue_i < l->queue_n ? l->queue[l->queue_n - 1].round : l->round;
    if (r->epoch == l->epoch)
        l->round_on_its_way = false;
    for (uint32_t i = 0; i < r->ends_n; i++)
        if (r->ends[i].partition < 0 || r->ends[i].partition >= l->o.partitions)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "%s offset %lld: a round over partition %d, %s has %d: topics of "
                            "another application?",
                            l->rounds_topic, (long long)offset, r->ends[i].partition,
                            l->examples_topic, l->o.partitions);
    if (r->round <= l->round)
        return AFT_OK; /* in the snapshot that was restored */
    if (r->round != last + 1)
        return AFT_FAIL(
            e, AFT_E_GAP,
            "%s offset %lld: round %lld follows %lld; the journal's beginning is gone: restore a "
            "snapshot "
            "that the journal still continues, or start under a new app.id and new topics",
            l->rounds_topic, (long long)offset, (long long)r->round, (long long)last);
    queue_add(l, r);
    return AFT_OK;
}

static enum aft_err
journal_record(struct aft_learning *l, const struct aft_record_in *in, struct aft_error *e)
{
    struct aft_round_record r;
    struct aft_bytes body;
    aft_arena_reset(&l->arena);
    enum aft_err err = aft_decoder_body(l->round_decoder, in->value, &l->arena, &body, e);
    if (err == AFT_OK)
        err = aft_decode_round(body, &l->arena, &r, e);
    if (err != AFT_OK) {
        if (aft_err_class(err) != AFT_CLASS_DATA)
            return err;
        aft_say("warn", "learning", "%s offset %lld is no round record and is passed over: %s",
                l->rounds_topic, (long long)in->offset, e->message);
    } else if (r.kind == AFT_ROUND_EPOCH) {
        l->journal_epoch = in->offset;
        if (l->epoch >= 0 && in->offset > l->epoch)
            return AFT_FAIL(e, AFT_E_NOT_OWNER,
                            "somebody newer learns (epoch %lld, ours %lld, by %.*s)",
                            (long long)in->offset, (long long)l->epoch, (int)r.owner.n,
                            r.owner.p ? (const char *)r.owner.p : "");
    } else if (r.epoch == l->journal_epoch) {
        AFT_TRY(round_counted(l, &r, in->offset, e));
    }
    l->journal_next = in->offset + 1;
    return AFT_OK;
}

enum aft_err
afti_journal_read(struct aft_learning *l, int timeout_ms, uint32_t *n, struct aft_error *e)
{
    struct aft_record_in batch[JOURNAL_BATCH];
    bool at_end;
    *n = 0;
    AFT_TRY(l->o.log->ops->read(l->journal, batch, JOURNAL_BATCH, timeout_ms, n, &at_end, e));
    for (uint32_t i = 0; i < *n; i++)
        AFT_TRY(journal_record(l, &batch[i], e));
    return AFT_OK;
}
