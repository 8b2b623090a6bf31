/* slate.c - Plackett-Luce slates: weights, conditional and marginal probabilities (the draw: race.c). Pure. Any thread.
 *
 * Why this law: taking ineligible items away leaves the same law over the rest, before and after the draw, so eligibility rules
 * and frequency caps keep the logged probabilities exact. Checked against enumeration in tests/unit/test_slate.c.
 * Invariant: I1 weights are positive and sum to 1 (to rounding).
 */
#include "policy/inner.h"

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

/* Four lanes, so that no addition waits for the one before; w[n ..] up to a multiple of 4: zero. */
static double
sum_of(const double *w, uint32_t n)
{
    aft_wide sum = {0}, x;
    for (uint32_t i = 0; i < n; i += 4) {
        memcpy(&x, w + i, sizeof x);
        sum += x;
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
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

/* From both ends at once: neither sum waits for the other. */
void
aft_pl_rests(const double *w, uint32_t n, double *rest)
{
    double before = 0, behind = 0, after[AFT_CANDIDATES_MAX];
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    for (uint32_t i = 0, j = n; i < n; i++) {
        rest[i] = before;
        before += w[i];
        after[--j] = behind;
        behind += w[j];
    }
    for (uint32_t i = 0; i < n; i++)
        rest[i] += after[i];
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

/* ---- slot 2: w_i * sum over the pairs {j, m} that may stand above, in both orders:
 * w_j w_m (1 / (1 - w_j) + 1 / (1 - w_m)) / (1 - w_j - w_m), with 1 - w as the sum of the others.
 * What is left when j and m are gone, without cancellation: the rest of the larger less the smaller. Only where those are the two
 * largest of all can that lose digits: they stand at 0 and 1, and what is left of them is added up. */
struct others {
    double w[AFT_CANDIDATES_MAX + 8], rest[AFT_CANDIDATES_MAX + 8], inverse[AFT_CANDIDATES_MAX + 8];
    uint32_t n;
};

static void
swap_in(struct others *o, uint32_t to)
{
    uint32_t best = to;
    double top = o->w[to];
    for (uint32_t j = to + 1; j < o->n; j++) {
        best = o->w[j] > top ? j : best;
        top = o->w[j] > top ? o->w[j] : top;
    }
    double w = o->w[to], rest = o->rest[to];
    o->w[to] = o->w[best];
    o->rest[to] = o->rest[best];
    o->w[best] = w;
    o->rest[best] = rest;
}

/* All that may stand above i, the two largest first; eight beyond the last weigh nothing. */
static void
others_of(const double *w, const double *rest, uint32_t n, uint32_t i, struct others *o)
{
    o->n = 0;
    for (uint32_t j = 0; j < n; j++) { /* without a jump that depends on the weights */
        o->w[o->n] = w[j];
        o->rest[o->n] = rest[j];
        o->n += j != i && w[j] > 0;
    }
    for (uint32_t to = 0; to < 2 && to < o->n; to++)
        swap_in(o, to);
    for (uint32_t j = 0; j < 8; j++) {
        o->w[o->n + j] = 0;
        o->rest[o->n + j] = 1;
    }
    for (uint32_t j = 0; j < o->n + 4; j += 4) {
        aft_wide rest4;
        memcpy(&rest4, o->rest + j, sizeof rest4);
        rest4 = (aft_wide){1, 1, 1, 1} / rest4;
        memcpy(o->inverse + j, &rest4, sizeof rest4);
    }
}

typedef int64_t choice __attribute__((vector_size(32)));
#define SMALLER(a, b) ((aft_wide)(((choice)(a) & ((a) < (b))) | ((choice)(b) & ~((a) < (b)))))

/* The pairs (j, j + apart), four at a time. */
AFT_WIDE double
afti_pl_pairs(const double *w, const double *rest, const double *inverse, uint32_t n)
{
    aft_wide sum = {0};
    for (uint32_t apart = 2; apart < n; apart++)
        for (uint32_t j = 0; j + apart < n; j += 4) {
            aft_wide wj, wm, rj, rm, aj, am;
            memcpy(&wj, w + j, sizeof wj);
            memcpy(&wm, w + j + apart, sizeof wm);
            memcpy(&rj, rest + j, sizeof rj);
            memcpy(&rm, rest + j + apart, sizeof rm);
            memcpy(&aj, inverse + j, sizeof aj);
            memcpy(&am, inverse + j + apart, sizeof am);
            sum += wj * wm * (aj + am) / (SMALLER(rj, rm) - SMALLER(wj, wm));
        }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static double
marginal_third(const double *w, const double *rest, uint32_t n, uint32_t i)
{
    struct others o;
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    others_of(w, rest, n, i, &o);
    if (o.n < 2)
        return 0;
    double left = w[i], sum = afti_pl_pairs(o.w, o.rest, o.inverse, o.n);
    for (uint32_t j = 2; j < o.n; j++)
        left += o.w[j];
    sum += o.w[0] * o.w[1] * (o.inverse[0] + o.inverse[1]) / left;
    for (uint32_t j = 1; j + 1 < o.n; j++) {
        double r = o.rest[j] < o.rest[j + 1] ? o.rest[j] : o.rest[j + 1];
        double v = o.w[j] < o.w[j + 1] ? o.w[j] : o.w[j + 1];
        sum += o.w[j] * o.w[j + 1] * (o.inverse[j] + o.inverse[j + 1]) / (r - v);
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
