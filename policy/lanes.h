/* lanes.h - kernels over eight fixed lanes; part of policy/policy.h. A lane's order of additions and the tree that ends it are
 * written out, so the bits are the same for every compiler, -O and vector width.
 */
#ifndef AFT_POLICY_LANES_H
#define AFT_POLICY_LANES_H

#include "base/base.h"

typedef float aft_floats __attribute__((vector_size(16)));
typedef double aft_doubles __attribute__((vector_size(16)));
typedef float aft_wide_floats __attribute__((vector_size(32)));

/* The tree over eight lanes. */
static inline float
aft_lanes_sum(const aft_wide_floats *v)
{
    aft_floats low, high;
    memcpy(&low, v, sizeof low);
    memcpy(&high, (const uint8_t *)v + sizeof low, sizeof high);
    low += high;
    return (low[0] + low[2]) + (low[1] + low[3]);
}

/* Lanes 0-3 and 4-7, then (0+4)+(2+6) + (1+5)+(3+7). n: a multiple of 8. */
static inline float
aft_dot8(const float *a, const float *b, uint32_t n)
{
    aft_floats low = {0}, high = {0}, x, y;
    for (uint32_t i = 0; i < n; i += 8) {
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        low += x * y;
        memcpy(&x, a + i + 4, sizeof x);
        memcpy(&y, b + i + 4, sizeof y);
        high += x * y;
    }
    low += high;
    return (low[0] + low[2]) + (low[1] + low[3]);
}

/* y += f x. n: a multiple of 8. */
static inline void
aft_add8(float *restrict y, const float *restrict x, float f, uint32_t n)
{
    aft_floats k = {f, f, f, f}, a, b;
    for (uint32_t i = 0; i < n; i += 4) {
        memcpy(&a, y + i, sizeof a);
        memcpy(&b, x + i, sizeof b);
        a += k * b;
        memcpy(y + i, &a, sizeof a);
    }
}

/* y += f x over eight doubles, each by itself: any width gives the same bits. */
static inline void
aft_add_lanes(double *y, const double *x, double f)
{
    aft_wide k = {f, f, f, f}, a, b;
    for (uint32_t i = 0; i < 8; i += 4) {
        memcpy(&a, y + i, sizeof a);
        memcpy(&b, x + i, sizeof b);
        a += k * b;
        memcpy(y + i, &a, sizeof a);
    }
}

#endif
