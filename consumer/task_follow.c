/* task_follow.c - beside the owner, muted: a warm standby's task.
 *
 *   start: both journals from where the rider says, to their ends as they were then; the state must fit what is published
 *   then, for ever: journals read on · inputs read as far as the owner says that it committed (I6) · joined · each end of a published
 *   block compared with our own chain · our own state committed, never ahead of what is published
 *   the owner is gone: aft_task_own, and task_owner.c goes on with the state as it is in memory
 *
 * In: the same topics as the owner's, and what it told its group (aft_task_follow). Out: nothing but our own state. An example that
 * we compute before we read it in the topic waits here with its bytes: after a takeover it is ours to write.
 */
#include <stdlib.h>

#include "consumer/task_inner.h"

enum { AHEAD_BYTES_MAX = 8 << 20, BEHIND_MAX = 200000, COMPACT = 4096 };

/* ---- examples that are not published yet */
void
afti_ahead_deinit(struct afti_ahead *a)
{
    aft_buffer_deinit(&a->bodies);
    free(a->v);
}

void
afti_ahead_add(struct aft_task *t, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash)
{
    struct afti_ahead *a = &t->ahead;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 256;
        a->v = realloc(a->v, a->cap * sizeof *a->v);
        AFT_ASSERT(a->v != NULL);
    }
    aft_put_raw(&a->bodies, body);
    a->v[a->n++] = (struct afti_ahead_end){{seq + 1, hash}, a->bodies.n};
}

static void
ahead_drop(struct afti_ahead *a, uint64_t published)
{
    while (a->i < a->n && a->v[a->i].end.seq <= published)
        a->i++;
    if (a->i == a->n) {
        a->i = a->n = 0;
        aft_buffer_reset(&a->bodies);
    } else if (a->i >= COMPACT) {
        size_t gone = a->v[a->i - 1].bytes;
        memmove(a->bodies.p, a->bodies.p + gone, a->bodies.n - gone);
        a->bodies.n -= gone;
        memmove(a->v, a->v + a->i, (a->n - a->i) * sizeof *a->v);
        a->n -= a->i;
        a->i = 0;
        for (size_t k = 0; k < a->n; k++)
            a->v[k].bytes -= gone;
    }
}

/* The ends that the next commit will hold are not needed again. */
static void
ends_prune(struct aft_task *t)
{
    size_t gone = 0;
    while (gone < t->ends_i && t->ends[gone].seq <= t->resume.next_seq)
        gone++;
    if (gone < COMPACT)
        return;
    memmove(t->ends, t->ends + gone, (t->ends_n - gone) * sizeof *t->ends);
    t->ends_n -= gone;
    t->ends_i -= gone;
}

enum aft_err
afti_ahead_settle(struct aft_task *t, struct aft_error *e)
{
    const struct afti_ahead *a = &t->ahead;
    for (; t->ends_i < t->ends_n && t->ends[t->ends_i].seq <= t->next_seq; t->ends_i++) {
        const struct afti_end *theirs = &t->ends[t->ends_i];
        uint64_t first = a->i < a->n ? a->v[a->i].end.seq : UINT64_MAX;
        if (theirs->seq < first)
            continue; /* was compared when it was computed */
        const struct afti_end *ours = &a->v[a->i + (theirs->seq - first)].end;
        AFT_ASSERT(ours->seq == theirs->seq);
        if (ours->hash.low != theirs->hash.low || ours->hash.high != theirs->hash.high)
            return afti_chain_diverged(t, theirs->seq, e);
        t->checked_seq = theirs->seq;
    }
    ahead_drop(&t->ahead, t->published.seq);
    ends_prune(t);
    return AFT_OK;
}

enum aft_err
afti_ahead_send(struct aft_task *t, struct aft_error *e)
{
    struct afti_ahead *a = &t->ahead;
    while (a->i < a->n) {
        const struct afti_ahead_end *x = &a->v[a->i++];
        size_t from = a->i > 1 ? x[-1].bytes : 0;
        struct aft_bytes body = {a->bodies.p + from, x->bytes - from};
        AFT_TRY(afti_example(t, x->end.seq - 1, body, x->end.hash, e));
    }
    a->i = a->n = 0;
    aft_buffer_reset(&a->bodies);
    return AFT_OK;
}

/* ---- journals */
static enum aft_err
journals_read(struct aft_task *t, bool *busy, struct aft_error *e)
{
    uint32_t ticks = 0, blocks = 0;
    AFT_TRY(afti_clock_read(t, 0, &ticks, e));
    if (t->published.seq < t->next_seq + BEHIND_MAX)
        AFT_TRY(afti_examples_read(t, INT64_MAX, 0, &blocks, e));
    if (blocks && t->warm)
        AFT_TRY(afti_ahead_settle(t, e));
    t->box->acked = t->published; /* what a commit may cover */
    t->box->acked_offset = t->examples_next;
    *busy = ticks || blocks;
    return AFT_OK;
}

/* The start: the ends of both journals as they are now; then they are read up to there. */
static enum aft_err
start_step(struct aft_task *t, bool *busy, struct aft_error *e)
{
    int64_t begin;
    struct aft_log *log = t->o.log;
    if (t->follow_examples < 0) {
        AFT_TRY(afti_readers_open(t, e));
        if (!t->published_known)
            t->published = (struct afti_end){0, t->resume.hash};
        t->next_seq = t->checked_seq = t->resume.next_seq;
        t->own_hash = t->resume.hash;
        AFT_TRY(log->ops->range(log, t->clock_topic, t->o.partition, &begin, &t->follow_clock, e));
        AFT_TRY(log->ops->range(log, t->examples_topic, t->o.partition, &begin, &t->follow_examples,
                                e));
    }
    AFT_TRY(journals_read(t, busy, e));
    if (t->clock_next < t->follow_clock ||
        (t->examples_next < t->follow_examples && t->published.seq < t->next_seq + BEHIND_MAX))
        return AFT_OK;
    AFT_TRY(afti_chain_fits(t, e));
    AFT_TRY(afti_inputs_open(t, e));
    t->last_cut_ms = t->o.clock.monotonic_ms(t->o.clock.ctx);
    t->dirty = t->fresh;
    t->warm = true;
    *busy = true;
    return AFT_OK;
}

/* ---- as far as the owner */
enum aft_err
aft_task_follow(struct aft_task *t, const int64_t committed[2], struct aft_error *e)
{
    int64_t begin;
    bool more = committed[0] > t->follow_want[0] || committed[1] > t->follow_want[1];
    if (t->phase != AFTI_PHASE_FOLLOW || !t->warm || t->follow_pending || !more)
        return AFT_OK;
    AFT_TRY(t->o.log->ops->range(t->o.log, t->clock_topic, t->o.partition, &begin, &t->follow_clock,
                                 e));
    for (int i = 0; i < 2; i++)
        if (committed[i] > t->follow_want[i])
            t->follow_want[i] = committed[i];
    t->follow_pending = true;
    return AFT_OK;
}

static void
limits_raise(struct aft_task *t) /* I6 */
{
    if (!t->follow_pending || t->clock_next < t->follow_clock)
        return;
    for (int i = 0; i < 2; i++)
        if (t->follow_want[i] > t->in[i].limit)
            t->in[i].limit = t->follow_want[i];
    t->follow_pending = false;
}

enum aft_err
afti_follow_step(struct aft_task *t, int timeout_ms, bool *busy, struct aft_error *e)
{
    bool read = false;
    (void)timeout_ms; /* who follows several waits elsewhere */
    t->o.log->ops->poll(t->o.log, 0);
    if (!t->warm)
        return start_step(t, busy, e);
    AFT_TRY(journals_read(t, busy, e));
    limits_raise(t);
    if (t->ahead.bodies.n < AHEAD_BYTES_MAX) {
        AFT_TRY(afti_inputs_step(t, 0, &read, e));
        AFT_TRY(aft_joiner_run(t->joiner, e));
    }
    *busy = *busy || read;
    return afti_commit_step(t, false, e);
}

void
aft_task_own(struct aft_task *t)
{
    if (t->phase == AFTI_PHASE_FOLLOW)
        t->phase = AFTI_PHASE_EPOCH;
}

void
aft_task_following(const struct aft_task *t, struct aft_task_following *out)
{
    bool level = t->warm && !t->follow_pending;
    for (int i = 0; i < 2; i++)
        level = level && (t->follow_want[i] < 0 || t->in[i].next_offset >= t->in[i].limit);
    *out = (struct aft_task_following){.follows = t->phase == AFTI_PHASE_FOLLOW,
                                       .level = level,
                                       .epoch = t->clock_epoch,
                                       .published_seq = t->published.seq,
                                       .checked_seq = t->checked_seq};
}
