/* slate.c - Plackett-Luce slates: weights and conditional probabilities (the draw: race.c; marginals:
 * marginals.c). Pure. Any thread.
 *
 * Why this law: taking ineligible items away leaves the same law over the rest, before and after the draw, so eligibility rules
 * and frequency caps keep the logged probabilities exact. Checked against enumeration in tests/unit/test_slate.c.
 * Invariant: I1 weights are positive and sum to 1 (to rounding).
 */
#include "policy/inner.h"

void
aft_pl_weights(const double *log_w, uint32_t n, double epsilon, double *w)
{
    double under[AFT_CANDIDATES_MAX], sum = 0;
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    afti_span_under(log_w, n, under);
    aft_exps(under, n, w);
    afti_span_cut(w, n, under, -700);
    for (uint32_t i = 0; i < n; i++)
        sum += w[i];
    afti_span_floor(w, n, (1 - epsilon) / sum, epsilon / n);
}

/* Four lanes, so that no addition waits for the one before; w[n ..] up to a multiple of 4: zero. */
static double
sum_of(const double *w, uint32_t n)
{
    aft_wide sum = {0}, x;
    for (uint32_t i = 0; i < n; i += 4) {
        memcpy(&x, w + i, sizeof x);
        sum += x;
    }
    return aft_wide_sum(&sum);
}

void
aft_pl_conditionals(const double *w, uint32_t n, const uint32_t *slate, uint32_t k, double *p)
{
    double left[AFT_CANDIDATES_MAX + 4];
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    memcpy(left, w, n * sizeof *left);
    memset(left + n, 0, 4 * sizeof *left);
    for (uint32_t l = 0; l < k; l++) {
        double q = w[slate[l]] / sum_of(left, n);
        p[l] = q < 1 ? q : 1;
        left[slate[l]] = 0;
    }
}
