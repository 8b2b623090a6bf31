/* clock.h - the port through which wall time comes in. Only edges read it; attribution, state, policy and learner cannot.
 * The real one is consumer/clock.c; tests and the demo on the embedded log bring one that they move by hand. */
#ifndef AFT_BASE_CLOCK_H
#define AFT_BASE_CLOCK_H

#include <stdint.h>

struct aft_clock {
    void *ctx;
    int64_t (*wall_ms)(void *ctx);      /* milliseconds since 1970, UTC */
    int64_t (*monotonic_ms)(void *ctx); /* never goes back; its zero means nothing */
};

#endif
