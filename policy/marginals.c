/* marginals.c - the probability that an item is shown in slot 0, 1 or 2 at all, of a Plackett-Luce slate. Pure. Any thread.
 *
 * With w the weights, r_j = 1 - w_j as the sum of the others, sums over j, m other than i and each other:
 *   slot 0   w_i
 *   slot 1   w_i sum_j w_j / r_j                                    who may stand first
 *   slot 2   w_i sum_jm (w_j / r_j) w_m / (r_j - w_m)               who may stand first and second
 * The last sum takes n^2 divisions as it stands. Of those that weigh little it takes n: w_m / (r_j - w_m) = sum_k (w_m / r_j)^k, k = 1, 2,
 * ..., and the powers of w_m are added up once for all j (a geometric series whose ratio is 1/9 at most: after sixteen terms the rest is
 * less than a rounding). The pairs that a heavy one makes are taken one by one; heavy is who weighs more than a tenth of all the others
 * together, nine at most, and where that is one alone, the next as well.
 *
 * Invariants: I1 weights are positive and sum to 1 (to rounding); I2 no sum loses digits: a rest is 1 - w only where w is less than half;
 * r_j - w_m is taken from the r of the larger, which cancels only where those are the two largest of all, both heavy then: what is left of
 * them is added up. What a light one makes with itself is in the series and taken away again: a tenth of what all make, at most.
 */
#include "policy/inner.h"

#define LIGHT 0.1
#define NOTHING 1e-290 /* what remains without an item beside which nobody weighs anything */
enum { TERMS = 16, HEAVY = 12 };

/* ---- what remains without each */
/* rest = sum - w; n: a multiple of 4. */
AFT_WIDE double
afti_pl_less(const double *w, uint32_t n, double *rest)
{
    aft_wide sum = {0}, v;
    for (uint32_t j = 0; j < n; j += 4) {
        memcpy(&v, w + j, sizeof v);
        sum += v;
    }
    double all = aft_wide_sum(&sum);
    for (uint32_t j = 0; j < n; j += 4) {
        memcpy(&v, w + j, sizeof v);
        v = AFT_ALL(all) - v;
        memcpy(rest + j, &v, sizeof v);
    }
    return all;
}

void
aft_pl_rests(const double *w, uint32_t n, double *rest)
{
    double whole[AFT_CANDIDATES_MAX + 4], less[AFT_CANDIDATES_MAX + 4];
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    memcpy(whole, w, n * sizeof *w);
    memset(whole + n, 0, 4 * sizeof *w);
    double half = 0.5 * afti_pl_less(whole, n + (4 - n % 4) % 4, less);
    memcpy(rest, less, n * sizeof *rest);
    for (uint32_t i = 0; i < n; i++) /* one at most: I2 */
        if (rest[i] < half) {
            rest[i] = 0;
            for (uint32_t j = 0; j < n; j++)
                rest[i] += j == i ? 0 : w[j];
        }
}

/* All but i, which weighs nothing here; as do those beyond the last, up to a multiple of 8. */
struct others {
    double w[AFT_CANDIDATES_MAX + 8], rest[AFT_CANDIDATES_MAX + 8], inverse[AFT_CANDIDATES_MAX + 8];
    uint32_t n, whole;
    uint32_t heavy[HEAVY], heavy_n;
};

static void
others_of(const double *w, const double *rest, uint32_t n, uint32_t i, struct others *o)
{
    o->n = n;
    o->whole = afti_whole(n);
    memcpy(o->w, w, n * sizeof *w);
    memcpy(o->rest, rest, n * sizeof *rest);
    o->w[i] = 0;
    o->rest[i] = 1;
    for (uint32_t j = n; j < o->whole; j++) {
        o->w[j] = 0;
        o->rest[j] = 1;
    }
}

/* ---- slot 1 */
AFT_WIDE double
afti_pl_firsts(const double *w, const double *rest, uint32_t n)
{
    aft_wide sum = {0}, v, r;
    for (uint32_t j = 0; j < n; j += 4) {
        memcpy(&v, w + j, sizeof v);
        memcpy(&r, rest + j, sizeof r);
        sum += v / AFT_LARGER(r, AFT_ALL(NOTHING));
    }
    return aft_wide_sum(&sum);
}

static double
second(const double *w, const double *rest, uint32_t n, uint32_t i)
{
    struct others o;
    others_of(w, rest, n, i, &o);
    return w[i] * afti_pl_firsts(o.w, o.rest, o.whole);
}

/* ---- slot 2, the heavy */
static uint32_t
heaviest(const double *w, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t j = 1; j < n; j++)
        best = w[j] > w[best] ? j : best;
    return best;
}

/* The larger of the heavy from `at` on to its place. */
static void
put_first(struct others *o, uint32_t at)
{
    for (uint32_t h = at + 1; h < o->heavy_n; h++)
        if (o->w[o->heavy[h]] > o->w[o->heavy[at]]) {
            uint32_t j = o->heavy[at];
            o->heavy[at] = o->heavy[h];
            o->heavy[h] = j;
        }
}

/* The two largest come first. They keep their weights in `of`, and have none among the others from now on. */
static void
take_heavy(struct others *o, double light, double of[HEAVY])
{
    o->heavy_n = 0;
    for (uint32_t j = 0; j < o->n; j++) { /* without a jump that depends on the weights */
        o->heavy[o->heavy_n] = j;
        o->heavy_n += o->w[j] > light;
        AFT_INVARIANT(I1, o->heavy_n < HEAVY);
    }
    put_first(o, 0);
    put_first(o, 1);
    for (uint32_t h = 0; h < o->heavy_n; h++) {
        uint32_t j = o->heavy[h];
        of[h] = o->w[j];
        o->w[j] = 0;
        o->rest[j] = o->rest[j] > NOTHING ? o->rest[j] : NOTHING;
        if (o->heavy_n == 1)
            o->heavy[o->heavy_n++] = heaviest(o->w, o->n);
    }
}

/* What the light make with one heavy (v, and what remains without it), in both orders. */
AFT_WIDE double
afti_pl_beside(const double *w, const double *inverse, uint32_t n, double v, double rest)
{
    aft_wide sum = {0}, wj, aj, r = AFT_ALL(rest), a = AFT_ALL(1 / rest);
    for (uint32_t j = 0; j < n; j += 4) {
        memcpy(&wj, w + j, sizeof wj);
        memcpy(&aj, inverse + j, sizeof aj);
        sum += wj * (aj + a) / (r - wj);
    }
    return v * aft_wide_sum(&sum);
}

/* What the heavy make with each other; `left`: what remains without the first two. */
static double
heavy_pairs(const struct others *o, const double *of, double left)
{
    double sum = 0;
    for (uint32_t a = 1; a < o->heavy_n && of[a] > 0; a++)
        for (uint32_t b = 0; b < a; b++) {
            uint32_t x = o->heavy[a], y = o->heavy[b];
            double r = of[a] < of[b] ? o->rest[y] - of[a] : o->rest[x] - of[b];
            sum += of[a] * of[b] * (o->inverse[x] + o->inverse[y]) / (a == 1 ? left : r);
        }
    return sum;
}

/* ---- slot 2, the light */
/* The eight sums of p, p v, .. p v^7 into power[0 .. 8); p becomes p v^8. */
static inline __attribute__((always_inline)) void
eight_powers(const double *w, double *p, uint32_t n, double *power)
{
    aft_wide s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0};
    for (uint32_t j = 0; j < n; j += 4) {
        aft_wide v, x;
        memcpy(&v, w + j, sizeof v);
        memcpy(&x, p + j, sizeof x);
        s0 += x, x *= v;
        s1 += x, x *= v;
        s2 += x, x *= v;
        s3 += x, x *= v;
        s4 += x, x *= v;
        s5 += x, x *= v;
        s6 += x, x *= v;
        s7 += x, x *= v;
        memcpy(p + j, &x, sizeof x);
    }
    power[0] = aft_wide_sum(&s0), power[1] = aft_wide_sum(&s1), power[2] = aft_wide_sum(&s2),
    power[3] = aft_wide_sum(&s3);
    power[4] = aft_wide_sum(&s4), power[5] = aft_wide_sum(&s5), power[6] = aft_wide_sum(&s6),
    power[7] = aft_wide_sum(&s7);
}

/* inverse = 1 / rest; power[k] = the sum of w^(k + 1). */
AFT_WIDE void
afti_pl_powers(const double *w, const double *rest, double *inverse, uint32_t n, double *power)
{
    double p[AFT_CANDIDATES_MAX + 8];
    for (uint32_t j = 0; j < n; j += 4) {
        aft_wide r;
        memcpy(&r, rest + j, sizeof r);
        r = AFT_ALL(1) / r;
        memcpy(inverse + j, &r, sizeof r);
    }
    memcpy(p, w, n * sizeof *p);
    eight_powers(w, p, n, power);
    eight_powers(w, p, n, power + 8);
}

/* sum_j w_j / r_j (sum_k power[k] / r_j^(k + 1) - w_j / (r_j - w_j)), eight j at once. n: a multiple of 8 */
AFT_WIDE double
afti_pl_light(const double *w, const double *rest, const double *inverse, uint32_t n,
              const double *power)
{
    aft_wide even = {0}, odd = {0};
    for (uint32_t j = 0; j < n; j += 8) {
        aft_wide v, u, r, q, a, b, x = AFT_ALL(power[TERMS - 1]), y = x;
        memcpy(&v, w + j, sizeof v);
        memcpy(&u, w + j + 4, sizeof u);
        memcpy(&r, rest + j, sizeof r);
        memcpy(&q, rest + j + 4, sizeof q);
        memcpy(&a, inverse + j, sizeof a);
        memcpy(&b, inverse + j + 4, sizeof b);
        for (int k = TERMS - 2; k >= 0; k--) {
            x = x * a + AFT_ALL(power[k]);
            y = y * b + AFT_ALL(power[k]);
        }
        even += v * a * (x * a - v / (r - v));
        odd += u * b * (y * b - u / (q - u));
    }
    even += odd;
    return aft_wide_sum(&even);
}

static double
third(const double *w, const double *rest, uint32_t n, uint32_t i)
{
    struct others o;
    double of[HEAVY] = {0}, power[TERMS], left = w[i];
    others_of(w, rest, n, i, &o);
    take_heavy(&o, LIGHT * rest[i], of);
    afti_pl_powers(o.w, o.rest, o.inverse, o.whole, power);
    left += power[0];
    for (uint32_t h = 2; h < o.heavy_n; h++)
        left += of[h];
    double sum = afti_pl_light(o.w, o.rest, o.inverse, o.whole, power);
    for (uint32_t h = 0; h < o.heavy_n; h++)
        sum += afti_pl_beside(o.w, o.inverse, o.whole, of[h], o.rest[o.heavy[h]]);
    return w[i] * (sum + heavy_pairs(&o, of, left));
}

double
aft_pl_marginal(const double *w, const double *rest, uint32_t n, uint32_t i, uint32_t l)
{
    AFT_ASSERT(i < n && l < 3 && l < n && n <= AFT_CANDIDATES_MAX);
    double q = l == 0 ? w[i] : l == 1 ? second(w, rest, n, i) : third(w, rest, n, i);
    return q > 1 ? 1 : q;
}
