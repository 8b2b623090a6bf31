/* task_commit.c - state follows outputs: cut, wait until what it covers is acknowledged and nobody newer is in the clock topic (I4),
 * commit. The rider of a commit says from where clock and examples must be read again.
 */
#include "consumer/task_inner.h"

#define RIDER_VERSION 2u
#define RIDER_1_BYTES 64u

void
afti_rider_encode(const struct afti_rider *r, uint8_t out[AFTI_RIDER_BYTES])
{
    aft_store_le64(out, RIDER_VERSION);
    aft_store_le64(out + 8, (uint64_t)r->clock_offset);
    aft_store_le64(out + 16, (uint64_t)r->clock_epoch);
    aft_store_le64(out + 24, (uint64_t)r->examples_offset);
    aft_store_le64(out + 32, (uint64_t)r->examples_epoch);
    aft_store_le64(out + 40, r->seq);
    aft_store_le64(out + 48, r->hash.low);
    aft_store_le64(out + 56, r->hash.high);
    aft_store_le64(out + 64, (uint64_t)r->partitions);
}

enum aft_err
afti_rider_decode(struct aft_bytes b, struct afti_rider *out, struct aft_error *e)
{
    uint64_t version = b.n >= 8 ? aft_load_le64(b.p) : 0;
    if (b.n != (version == 1 ? RIDER_1_BYTES : AFTI_RIDER_BYTES) || version > RIDER_VERSION)
        return AFT_FAIL(
            e, AFT_E_CORRUPT,
            "the state's commit record does not say where the journals go on (%zu bytes); "
            "it was written by another version: restore a checkpoint",
            b.n);
    *out = (struct afti_rider){.clock_offset = (int64_t)aft_load_le64(b.p + 8),
                               .clock_epoch = (int64_t)aft_load_le64(b.p + 16),
                               .examples_offset = (int64_t)aft_load_le64(b.p + 24),
                               .examples_epoch = (int64_t)aft_load_le64(b.p + 32),
                               .seq = aft_load_le64(b.p + 40),
                               .hash = {aft_load_le64(b.p + 48), aft_load_le64(b.p + 56)},
                               .partitions = version == 1 ? 0 : (int64_t)aft_load_le64(b.p + 64)};
    return AFT_OK;
}

/* What is known now is older than the cut: reading from there again is safe, and short. */
static struct afti_rider
rider_now(struct aft_task *t)
{
    afti_ticks_prune(t);
    struct afti_rider r = {.clock_offset = t->clock_next,
                           .clock_epoch = t->clock_epoch,
                           .examples_offset = t->box->acked_offset,
                           .examples_epoch = t->epoch < 0 ? t->examples_epoch : t->epoch,
                           .seq = t->box->acked.seq,
                           .hash = t->box->acked.hash,
                           .partitions = t->partitions};
    if (t->ticks_n) {
        r.clock_offset = t->ticks[0].clock_offset;
        r.clock_epoch = t->ticks[0].epoch_before;
    }
    return r;
}

static enum aft_err
cut(struct aft_task *t, struct aft_error *e)
{
    uint8_t bytes[AFTI_RIDER_BYTES];
    struct afti_rider rider = rider_now(t);
    AFT_TRY(afti_block_send(t, e));
    afti_rider_encode(&rider, bytes);
    aft_joiner_cut(t->joiner, (struct aft_bytes){bytes, sizeof bytes}, &t->cut_seq);
    AFT_ASSERT(t->cut_seq <= t->next_seq);
    t->cut_dead = t->box->dead_sent;
    t->clock_target = -1;
    t->cut = true;
    t->dirty = false;
    t->last_cut_ms = t->o.clock.monotonic_ms(t->o.clock.ctx);
    return AFT_OK;
}

/* I4: *free once the clock topic was read to an end that was asked for after the cut. A newer epoch on the way is an error there. */
static enum aft_err
nobody_newer(struct aft_task *t, bool *clear, struct aft_error *e)
{
    int64_t begin;
    uint32_t n;
    if (t->clock_target < 0)
        AFT_TRY(t->o.log->ops->range(t->o.log, t->clock_topic, t->o.partition, &begin,
                                     &t->clock_target, e));
    if (t->clock_next < t->clock_target)
        AFT_TRY(afti_clock_read(t, 0, &n, e));
    *clear = t->clock_next >= t->clock_target;
    return AFT_OK;
}

static enum aft_err
commit(struct aft_task *t, struct aft_error *e)
{
    AFT_INVARIANT(I4, t->box->acked.seq >= t->cut_seq && t->clock_next >= t->clock_target);
    AFT_TRY(aft_joiner_commit(t->joiner, e));
    aft_joiner_resume(t->joiner, &t->resume);
    t->cut = false;
    t->fresh = false;
    t->commits++;
    return AFT_OK;
}

static bool
due(const struct aft_task *t, bool now)
{
    size_t bytes = aft_joiner_uncommitted(t->joiner);
    if (!t->dirty && bytes == 0)
        return false;
    int64_t age = t->o.clock.monotonic_ms(t->o.clock.ctx) - t->last_cut_ms;
    return now || age >= t->commit_interval_ms || bytes >= t->commit_bytes;
}

enum aft_err
afti_commit_step(struct aft_task *t, bool now, struct aft_error *e)
{
    bool clear = false;
    if (!t->cut && due(t, now))
        AFT_TRY(cut(t, e));
    if (!t->cut || t->box->acked.seq < t->cut_seq || t->box->dead_acked < t->cut_dead)
        return AFT_OK;
    AFT_TRY(nobody_newer(t, &clear, e));
    return clear ? commit(t, e) : AFT_OK;
}
