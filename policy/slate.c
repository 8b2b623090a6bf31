/* slate.c - Plackett-Luce slates: weights, draw, conditional and marginal probabilities. Pure. Any thread.
 *
 * Why this law: taking ineligible items away leaves the same law over the rest, before and after the draw, so eligibility rules
 * and frequency caps keep the logged probabilities exact. Checked against enumeration in tests/unit/test_slate.c.
 * Invariants: I1 weights are positive and sum to 1 (to rounding); I2 a slate holds no item twice.
 */
#include "base/base.h"
#include "policy/design.h"

void
aft_pl_weights(const double *log_w, uint32_t n, double epsilon, double *w)
{
    double top = log_w[0], sum = 0;
    for (uint32_t i = 1; i < n; i++)
        top = log_w[i] > top ? log_w[i] : top;
    for (uint32_t i = 0; i < n; i++) {
        double d = log_w[i] - top;
        w[i] = d < -700 ? 0 : aft_exp(d);
        sum += w[i];
    }
    double scale = (1 - epsilon) / sum, floor = epsilon / n;
    for (uint32_t i = 0; i < n; i++)
        w[i] = w[i] * scale + floor;
}

/* The unit-rate exponential of candidate `index` in the race named by `key`: half a Philox block each, so two share one. */
static void
race_pair(uint64_t key, uint32_t pair, double out[2])
{
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    const uint32_t counter[4] = {pair, 0, 1, 0};
    uint32_t u[4];
    aft_philox(k, counter, u);
    for (int h = 0; h < 2; h++) {
        uint64_t bits = (uint64_t)u[2 * h] << 32 | u[2 * h + 1];
        out[h] = -aft_log(((double)(bits >> 12) + 0.5) * 0x1p-52);
    }
}

void
aft_pl_draw(const double *w, const uint32_t *index, uint32_t n, uint64_t key, uint32_t k,
            uint32_t *slate)
{
    double best[AFT_SLATE_MAX], pair[2] = {0, 0};
    uint32_t have = 0, at = UINT32_MAX;
    AFT_ASSERT(k > 0 && k <= n && k <= AFT_SLATE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (index[i] / 2 != at) {
            at = index[i] / 2;
            race_pair(key, at, pair);
        }
        double time = w[i] > 0 ? pair[index[i] & 1] / w[i] : 1e308;
        if (have == k && time >= best[k - 1])
            continue;
        uint32_t j = have < k ? have++ : k - 1;
        for (; j > 0 && best[j - 1] > time; j--) {
            best[j] = best[j - 1];
            slate[j] = slate[j - 1];
        }
        best[j] = time;
        slate[j] = i;
    }
}

void
aft_pl_conditionals(const double *w, uint32_t n, const uint32_t *slate, uint32_t k, double *p)
{
    for (uint32_t l = 0; l < k; l++) {
        double left = 0;
        for (uint32_t i = 0; i < n; i++) {
            bool above = false;
            for (uint32_t m = 0; m < l; m++)
                above |= slate[m] == i;
            left += above ? 0 : w[i];
        }
        p[l] = w[slate[l]] / left;
    }
}

void
aft_pl_rests(const double *w, uint32_t n, double *rest)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        rest[i] = sum;
        sum += w[i];
    }
    sum = 0;
    for (uint32_t i = n; i-- > 0;) {
        rest[i] += sum;
        sum += w[i];
    }
}

/* The weight that is left when j and m are gone, without cancellation: subtract the smaller of the two from the rest of the
 * larger,
 * and where that would lose digits, add the others up. */
static double
rest_of_two(const double *w, const double *rest, uint32_t n, uint32_t j, uint32_t m)
{
    uint32_t big = w[j] >= w[m] ? j : m, small = big == j ? m : j;
    if (w[small] <= 0.5 * rest[big])
        return rest[big] - w[small];
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += i == j || i == m ? 0 : w[i];
    return sum;
}

/* Slot 1: w_i * sum over who may stand first. */
static double
marginal_second(const double *w, const double *rest, uint32_t n, uint32_t i)
{
    double sum = 0;
    for (uint32_t j = 0; j < n; j++)
        if (j != i && w[j] > 0)
            sum += w[j] / rest[j];
    return w[i] * sum;
}

/* Slot 2: w_i * sum over the pairs {j, m} that may stand above, in both orders:
 * w_j w_m (1 / (1 - w_j) + 1 / (1 - w_m)) / (1 - w_j - w_m), with 1 - w as the sum of the others. */
static double
marginal_third(const double *w, const double *rest, uint32_t n, uint32_t i)
{
    double sum = 0;
    for (uint32_t j = 0; j < n; j++) {
        if (j == i || w[j] <= 0)
            continue;
        double a = 1 / rest[j], row = 0;
        for (uint32_t m = j + 1; m < n; m++)
            if (m != i && w[m] > 0)
                row += w[m] * (a * rest[m] + 1) / (rest[m] * rest_of_two(w, rest, n, j, m));
        sum += w[j] * row;
    }
    return w[i] * sum;
}

double
aft_pl_marginal(const double *w, const double *rest, uint32_t n, uint32_t i, uint32_t l)
{
    AFT_ASSERT(i < n && l < 3 && l < n);
    double q = l == 0   ? w[i]
               : l == 1 ? marginal_second(w, rest, n, i)
                        : marginal_third(w, rest, n, i);
    return q > 1 ? 1 : q;
}
