/* random.h - a counter-based generator: Philox4x32-10 (Salmon et al., SC 2011; known answers in tests/golden).
 *
 * A draw is a function of (key, counter), so neither order nor threads nor replay change it. Keys come from decision ids
 * and seeds; nothing here reads a clock or the system's entropy.
 */
#ifndef AFT_BASE_RANDOM_H
#define AFT_BASE_RANDOM_H

#include <stdint.h>

/* aft_philox: one block of four words. */
void aft_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* A stream of draws from one key: (key, stream) name it, `position` counts blocks. Copy it to fork it. */
struct aft_random {
    uint64_t key, stream, position;
    uint32_t block[4];
    unsigned left; /* words of block not yet used */
};
void aft_random_init(struct aft_random *r, uint64_t key, uint64_t stream);
uint32_t aft_random_u32(struct aft_random *r);
uint64_t aft_random_u64(struct aft_random *r);
/* aft_random_unit is uniform in (0, 1): (k + 1/2) / 2^52; never 0, never 1. */
double aft_random_unit(struct aft_random *r);
/* aft_random_below is uniform in 0 .. n-1 (n > 0) by multiplication and rejection: no modulo bias. */
uint32_t aft_random_below(struct aft_random *r, uint32_t n);
double aft_random_normal(struct aft_random *r);
double aft_random_exponential(struct aft_random *r);

#endif
