/* clock_real.c - the machine's clocks behind base/clock.h. Any thread. */
#include <time.h>

#include "log/log.h"

static int64_t
read_ms(clockid_t which)
{
    struct timespec t;
    int failed = clock_gettime(which, &t);
    AFT_ASSERT(failed == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t
wall_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_REALTIME);
}

static int64_t
monotonic_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_MONOTONIC);
}

struct aft_clock
aft_clock_real(void)
{
    return (struct aft_clock){NULL, wall_ms, monotonic_ms};
}
