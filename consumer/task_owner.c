/* task_owner.c - the ownership protocol: who starts to work on a partition first says so in both journals and reads them up to there.
 *
 *   EPOCH -> clock[p], acknowledged: its offset is our epoch -> an empty block with this epoch -> examples[p], acknowledged ->
 *   clock[p] read up to our EPOCH: every tick that counts -> examples[p] read up to our block: the next seq and the chain's hash.
 *
 * In: both journals from where the rider says. Out: ticks to the joiner; published seq and hash; the ends of published blocks that
 * will be computed again.
 */
#include <stdlib.h>

#include "consumer/task_inner.h"

#define EXAMPLES_BATCH 64u

static bool
same_hash(struct aft_hash128 a, struct aft_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* Where a journal is read from: the rider's place; without a state its beginning. */
static enum aft_err
start_of(struct aft_task *t, const char *topic, int64_t from, int64_t *out, struct aft_error *e)
{
    int64_t begin, end;
    AFT_TRY(t->o.log->ops->range(t->o.log, topic, t->o.partition, &begin, &end, e));
    *out = t->fresh ? begin : from;
    if (*out >= begin && *out <= end)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_GAP,
                    "%s partition %d: the state goes on at offset %lld, the log holds %lld to "
                    "%lld: restore a checkpoint that fits, "
                    "or start under a new app.id",
                    topic, t->o.partition, (long long)*out, (long long)begin, (long long)end);
}

enum aft_err
afti_readers_open(struct aft_task *t, struct aft_error *e)
{
    if (t->examples) /* a follower's: it goes on where it is */
        return AFT_OK;
    AFT_TRY(start_of(t, t->clock_topic, t->rider.clock_offset, &t->clock_next, e));
    AFT_TRY(start_of(t, t->examples_topic, t->rider.examples_offset, &t->examples_next, e));
    if (!t->clock) /* it is open where this step is repeated */
        AFT_TRY(t->o.log->ops->reader_open(t->o.log, t->clock_topic, t->o.partition, t->clock_next,
                                           &t->clock, e));
    return t->o.log->ops->reader_open(t->o.log, t->examples_topic, t->o.partition, t->examples_next,
                                      &t->examples, e);
}

/* ---- the end of a published block */
enum aft_err
afti_end_add(struct aft_task *t, uint64_t seq, struct aft_hash128 hash, struct aft_error *e)
{
    if (seq <= t->resume.next_seq)
        return AFT_OK;
    size_t i = t->ends_n;
    while (i > 0 && t->ends[i - 1].seq > seq)
        i--;
    if (i > 0 && t->ends[i - 1].seq == seq)
        return same_hash(t->ends[i - 1].hash, hash)
                   ? AFT_OK
                   : AFT_FAIL(e, AFT_E_DIVERGENCE,
                              "%s partition %d holds two different chains up to example %llu",
                              t->examples_topic, t->o.partition, (unsigned long long)seq);
    if (t->ends_n == t->ends_cap) {
        t->ends_cap = t->ends_cap ? 2 * t->ends_cap : 64;
        t->ends = realloc(t->ends, t->ends_cap * sizeof *t->ends);
        AFT_ASSERT(t->ends != NULL);
    }
    memmove(t->ends + i + 1, t->ends + i, (t->ends_n - i) * sizeof *t->ends);
    t->ends[i] = (struct afti_end){seq, hash};
    t->ends_n++;
    return AFT_OK;
}

/* The block that holds the end of our state's chain, or begins there: from that end on its examples must lead to its hash. What our
 * state computes later is compared too, but a state of other topics may compute nothing before the inputs' next records. */
static enum aft_err
block_continues(struct aft_task *t, const struct aft_block *b, struct aft_error *e)
{
    uint64_t held = t->resume.next_seq, end = b->first_seq + b->n;
    struct aft_hash128 hash = t->resume.hash;
    struct aft_reader r = aft_reader(b->examples);
    struct aft_example x;
    if (t->fresh || t->warm || b->first_seq > held || end < held)
        return AFT_OK;
    for (uint64_t seq = b->first_seq; seq < end; seq++) {
        const uint8_t *from = r.p;
        if (aft_decode_example(&r, &t->arena, &x, e) != AFT_OK)
            return AFT_FAIL(e, AFT_E_CORRUPT, "%s partition %d: example %llu cannot be read",
                            t->examples_topic, t->o.partition, (unsigned long long)seq);
        if (seq >= held)
            hash = aft_hash128((struct aft_bytes){from, (size_t)(r.p - from)}, hash);
    }
    return same_hash(hash, b->hash)
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_DIVERGENCE,
                          "%s partition %d: the published examples (up to %llu) do not go on from "
                          "the state's chain of %llu; the state is of other topics, or one of the "
                          "two was changed: restore a checkpoint that fits, or start under a new "
                          "app.id",
                          t->examples_topic, t->o.partition, (unsigned long long)end - 1,
                          (unsigned long long)held);
}

static enum aft_err
block_seen(struct aft_task *t, const struct aft_block *b, int64_t offset, struct aft_error *e)
{
    if (b->epoch < t->examples_epoch)
        return AFT_OK; /* a stale owner's */
    if (t->epoch >= 0 && b->epoch > t->epoch)
        return AFT_FAIL(e, AFT_E_NOT_OWNER,
                        "partition %d: somebody newer writes its examples (epoch %lld, ours %lld)",
                        t->o.partition, (long long)b->epoch, (long long)t->epoch);
    t->examples_epoch = b->epoch;
    if (b->n == 0)
        return AFT_OK;
    uint64_t end = b->first_seq + b->n;
    if (t->published_known && b->first_seq > t->published.seq)
        return AFT_FAIL(
            e, AFT_E_GAP,
            "%s partition %d offset %lld: example %llu follows %llu; records are missing",
            t->examples_topic, t->o.partition, (long long)offset, (unsigned long long)b->first_seq,
            (unsigned long long)t->published.seq);
    if (!t->published_known && b->first_seq != 0)
        return AFT_FAIL(e, AFT_E_GAP,
                        "%s partition %d begins with example %llu and there is no state: restore a "
                        "checkpoint, or start under a new "
                        "app.id and new topics",
                        t->examples_topic, t->o.partition, (unsigned long long)b->first_seq);
    if (!t->published_known || end > t->published.seq)
        t->published = (struct afti_end){end, b->hash};
    t->published_known = true;
    AFT_TRY(block_continues(t, b, e));
    return afti_end_add(t, end, b->hash, e);
}

static enum aft_err
examples_record(struct aft_task *t, const struct aft_record_in *in, struct aft_error *e)
{
    struct aft_bytes body;
    struct aft_block block;
    aft_arena_reset(&t->arena);
    enum aft_err err = aft_decoder_body(t->examples_decoder, in->value, &t->arena, &body, e);
    if (err == AFT_OK)
        err = aft_decode_block(body, &block, e);
    if (err == AFT_OK)
        err = block_seen(t, &block, in->offset, e);
    else if (aft_err_class(err) == AFT_CLASS_DATA)
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "%s partition %d offset %lld is no block of examples; something else "
                        "writes to this topic",
                        t->examples_topic, t->o.partition, (long long)in->offset);
    t->examples_next = in->offset + 1;
    return err;
}

enum aft_err
afti_examples_read(struct aft_task *t, int64_t last, int timeout_ms, uint32_t *n,
                   struct aft_error *e)
{
    struct aft_record_in batch[EXAMPLES_BATCH];
    bool at_end;
    *n = 0;
    AFT_TRY(t->o.log->ops->read(t->examples, batch, EXAMPLES_BATCH, timeout_ms, n, &at_end, e));
    for (uint32_t i = 0; i < *n && t->examples_next <= last; i++)
        AFT_TRY(examples_record(t, &batch[i], e));
    return AFT_OK;
}

/* ---- the last step: from here on we own the partition */
enum aft_err
afti_chain_fits(const struct aft_task *t, struct aft_error *e)
{
    uint64_t held = t->resume.next_seq;
    if (held > t->published.seq)
        return AFT_FAIL(
            e, AFT_E_GAP,
            "%s partition %d holds %llu examples, the state counted %llu: the topic lost records",
            t->examples_topic, t->o.partition, (unsigned long long)t->published.seq,
            (unsigned long long)held);
    if (held == t->published.seq && !same_hash(t->resume.hash, t->published.hash))
        return AFT_FAIL(
            e, AFT_E_DIVERGENCE,
            "%s partition %d: the state's chain of %llu examples is not the published one",
            t->examples_topic, t->o.partition, (unsigned long long)held);
    return AFT_OK;
}

/* Where the work begins: at the state on disk, or, of a follower, at what it has in memory. */
static void
place_take(struct aft_task *t)
{
    int64_t now = t->o.clock.monotonic_ms(t->o.clock.ctx);
    if (!t->warm)
        t->next_seq = t->resume.next_seq;
    else if (t->next_seq > t->published.seq)
        t->next_seq = t->published.seq; /* what is ahead of it is written now */
    for (int i = 0; i < 2; i++) {
        t->in[i].limit = INT64_MAX;
        t->in[i].last_record_ms = t->in[i].last_tick_ms = now;
    }
    t->box->acked = t->published;
    t->box->acked_offset = t->box->marker_offset + 1;
    t->last_cut_ms = now;
}

static enum aft_err
work_begin(struct aft_task *t, struct aft_error *e)
{
    if (!t->published_known)
        t->published = (struct afti_end){0, t->resume.hash};
    AFT_TRY(t->warm ? afti_ahead_settle(t, e) : afti_chain_fits(t, e));
    AFT_TRY(afti_inputs_open(t, e)); /* the last that may fail: this step may be repeated */
    t->o.log->ops->reader_close(t->examples);
    t->examples = NULL;
    place_take(t);
    /* where a new state begins is committed soon: the logs' beginnings move on */
    t->dirty = t->dirty || t->fresh;
    t->phase = AFTI_PHASE_WORK;
    return afti_ahead_send(t, e);
}

enum aft_err
afti_own_step(struct aft_task *t, int timeout_ms, struct aft_error *e)
{
    uint32_t n;
    switch (t->phase) {
    case AFTI_PHASE_EPOCH:
        AFT_TRY(afti_readers_open(t, e));
        AFT_TRY(afti_epoch_send(t, e));
        t->phase = AFTI_PHASE_EPOCH_WAIT;
        return AFT_OK;
    case AFTI_PHASE_EPOCH_WAIT:
        t->o.log->ops->poll(t->o.log, t->box->epoch_offset < 0 ? timeout_ms : 0);
        if (t->box->epoch_offset < 0)
            return AFT_OK;
        t->epoch = t->box->epoch_offset;
        AFT_TRY(afti_marker_send(t, e));
        t->phase = AFTI_PHASE_MARKER_WAIT;
        return AFT_OK;
    case AFTI_PHASE_MARKER_WAIT:
        t->o.log->ops->poll(t->o.log, t->box->marker_offset < 0 ? timeout_ms : 0);
        if (t->box->marker_offset >= 0)
            t->phase = AFTI_PHASE_CLOCK;
        return AFT_OK;
    case AFTI_PHASE_CLOCK:
        AFT_TRY(afti_clock_read(t, timeout_ms, &n, e));
        if (t->clock_next > t->epoch)
            t->phase = AFTI_PHASE_EXAMPLES;
        return AFT_OK;
    case AFTI_PHASE_EXAMPLES:
        AFT_TRY(afti_examples_read(t, t->box->marker_offset, timeout_ms, &n, e));
        return t->examples_next > t->box->marker_offset ? work_begin(t, e) : AFT_OK;
    case AFTI_PHASE_WORK:
    case AFTI_PHASE_FOLLOW:
        break;
    }
    AFT_NEVER();
}
