/* task_output.c - examples out: gathered into blocks; muted and checked below what is published (I2).
 *
 * In: examples from the joiner, in order. Out: records of the examples topic.
 */
#include "consumer/task_inner.h"

/* ---- blocks */
static enum aft_err
block_append(struct aft_task *t, const struct aft_block *block, enum afti_sent what,
             struct aft_error *e)
{
    aft_buffer_reset(&t->value);
    aft_frame_put_single(&t->value, AFT_RECORD_EXAMPLE_BLOCK);
    aft_encode_block(&t->value, block);
    struct aft_append a = {.topic = t->examples_topic,
                           .partition = t->o.partition,
                           .timestamp_ms = -1,
                           .value = aft_buffer_bytes(&t->value)};
    struct afti_end end = {block->first_seq + block->n, block->hash};
    return afti_send(t->o.log, t->box, &a, what, end, e);
}

enum aft_err
afti_marker_send(struct aft_task *t, struct aft_error *e)
{
    struct aft_block empty = {.epoch = t->epoch,
                              .partition = t->o.partition,
                              .first_seq = t->resume.next_seq,
                              .hash = t->resume.hash};
    return block_append(t, &empty, AFTI_SENT_MARKER, e);
}

enum aft_err
afti_block_send(struct aft_task *t, struct aft_error *e)
{
    if (t->block_n == 0)
        return AFT_OK;
    struct aft_block block = {.epoch = t->epoch,
                              .partition = t->o.partition,
                              .first_seq = t->block_first,
                              .hash = t->block_hash,
                              .n = t->block_n,
                              .examples = aft_buffer_bytes(&t->block)};
    AFT_TRY(block_append(t, &block, AFTI_SENT_BLOCK, e));
    aft_buffer_reset(&t->block);
    t->block_n = 0;
    return AFT_OK;
}

enum aft_err
afti_chain_diverged(const struct aft_task *t, uint64_t seq, struct aft_error *e)
{
    unsigned long long last = (unsigned long long)seq - 1;
    if (t->phase != AFTI_PHASE_FOLLOW)
        return AFT_FAIL(e, AFT_E_DIVERGENCE,
                        "%s partition %d: example %llu, computed again, is not what was published; "
                        "the inputs, the clock topic or the state were changed: restore a "
                        "checkpoint, or start under a new app.id",
                        t->examples_topic, t->o.partition, last);
    return AFT_FAIL(e, AFT_E_DIVERGENCE,
                    "%s partition %d: the owner published other examples than this standby "
                    "computes; the first that differs is one of %llu to %llu (before it all are "
                    "the same): aftertouch replay --verify names it, and says which of the two "
                    "states is wrong",
                    t->examples_topic, t->o.partition, (unsigned long long)t->checked_seq, last);
}

enum aft_err
afti_block_step(struct aft_task *t, bool busy, struct aft_error *e)
{
    if (t->block_n == 0)
        return AFT_OK;
    int64_t now = t->o.clock.monotonic_ms(t->o.clock.ctx);
    if (t->block_ms < 0)
        t->block_ms = now;
    return busy && now - t->block_ms < AFTI_BLOCK_AGE_MS ? AFT_OK : afti_block_send(t, e);
}

/* The example stands in the log already: it is not written again, and must be the same where a block ended. */
static enum aft_err
muted(struct aft_task *t, uint64_t seq, struct aft_hash128 hash, struct aft_error *e)
{
    t->muted++;
    while (t->ends_i < t->ends_n && t->ends[t->ends_i].seq <= seq)
        t->ends_i++;
    if (t->ends_i == t->ends_n || t->ends[t->ends_i].seq != seq + 1)
        return AFT_OK;
    struct aft_hash128 published = t->ends[t->ends_i].hash;
    if (published.low != hash.low || published.high != hash.high)
        return afti_chain_diverged(t, seq + 1, e);
    t->checked_seq = seq + 1;
    return AFT_OK;
}

enum aft_err
afti_example(void *task, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash_after,
             struct aft_error *e)
{
    struct aft_task *t = task;
    bool follows = t->phase == AFTI_PHASE_FOLLOW;
    AFT_INVARIANT(I1, (follows || t->phase == AFTI_PHASE_WORK) && seq == t->next_seq);
    t->next_seq = seq + 1;
    t->own_hash = hash_after;
    if (seq < t->published.seq)
        return muted(t, seq, hash_after, e);
    if (follows) {
        afti_ahead_add(t, seq, body, hash_after);
        return AFT_OK;
    }
    if (t->block_n && t->block.n + body.n > AFT_BLOCK_BYTES_MAX)
        AFT_TRY(afti_block_send(t, e));
    if (t->block_n == 0) {
        t->block_first = seq;
        t->block_ms = -1;
    }
    aft_put_raw(&t->block, body);
    t->block_n++;
    t->block_hash = hash_after;
    if (t->block_n == AFT_BLOCK_EXAMPLES_MAX || t->block.n >= AFTI_BLOCK_SEND_BYTES)
        AFT_TRY(afti_block_send(t, e));
    return AFT_OK;
}
