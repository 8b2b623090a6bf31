/* mutants.c - production made wrong from outside: the linker (--wrap, tests/CMakeLists.txt) leads calls between production's own objects
 * through here, in the program of test_mutants alone. Each is one thing that semantics.md forbids. Sound, nothing changes.
 */
#include "tests/sim/mutants.h"
#include "consumer/task_inner.h"

static struct {
    enum sim_mutant now;
    bool judging;          /* the judge's joiner and reader are sound */
    struct aft_task *task; /* whose code runs just now */
} mutant;

void
sim_mutate(enum sim_mutant m)
{
    mutant.now = m;
}

void
sim_mutate_judging(bool on)
{
    mutant.judging = on;
}

static bool
is(enum sim_mutant m)
{
    return mutant.now == m && !mutant.judging;
}

#define WRAP(type, name, ...)        \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

/* SIM_LATE_AT_ARRIVAL: a record is late where the other log, as far as it happens to have arrived, is past it. */
WRAP(enum aft_err, aft_joiner_take, struct aft_joiner *j, enum aft_log_kind log, int64_t offset,
     int64_t log_timestamp_ms, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    int64_t other = aft_joiner_watermark(j, (enum aft_log_kind)(1 - (int)log));
    if (is(SIM_LATE_AT_ARRIVAL) && other > 0)
        aft_joiner_tick(j, log, offset, other);
    return __real_aft_joiner_take(j, log, offset, log_timestamp_ms, key, body, e);
}

/* SIM_NO_READBACK: a tick takes effect as it is sent. */
WRAP(void, aft_encode_clock, struct aft_buffer *b, const struct aft_clock_record *r)
{
    __real_aft_encode_clock(b, r);
    if (is(SIM_NO_READBACK) && mutant.task && r->kind == AFT_CLOCK_TICK)
        aft_joiner_tick(mutant.task->joiner, r->log, r->at_offset, r->watermark_ms);
}

WRAP(enum aft_err, afti_idle, struct aft_task *t, struct aft_error *e)
{
    mutant.task = t;
    enum aft_err err = __real_afti_idle(t, e);
    mutant.task = NULL;
    return err;
}

/* SIM_CLOCK_EPOCH: an owner takes any tick for one of the epoch in force. */
WRAP(enum aft_err, aft_decode_clock, struct aft_bytes body, struct aft_clock_record *out,
     struct aft_error *e)
{
    enum aft_err err = __real_aft_decode_clock(body, out, e);
    if (err == AFT_OK && is(SIM_CLOCK_EPOCH) && mutant.task && out->kind == AFT_CLOCK_TICK)
        out->epoch = mutant.task->clock_epoch;
    return err;
}

WRAP(enum aft_err, afti_clock_read, struct aft_task *t, int timeout_ms, uint32_t *n,
     struct aft_error *e)
{
    mutant.task = t;
    enum aft_err err = __real_afti_clock_read(t, timeout_ms, n, e);
    mutant.task = NULL;
    return err;
}

/* SIM_OWNER_EPOCH: to an owner that starts, no block of the examples is stale. */
WRAP(enum aft_err, aft_decode_block, struct aft_bytes body, struct aft_block *out,
     struct aft_error *e)
{
    enum aft_err err = __real_aft_decode_block(body, out, e);
    const struct aft_task *t = mutant.task;
    if (err == AFT_OK && is(SIM_OWNER_EPOCH) && t && out->epoch < t->examples_epoch)
        out->epoch = t->examples_epoch;
    return err;
}

WRAP(enum aft_err, afti_own_step, struct aft_task *t, int timeout_ms, struct aft_error *e)
{
    mutant.task = t;
    enum aft_err err = __real_afti_own_step(t, timeout_ms, e);
    mutant.task = NULL;
    return err;
}
