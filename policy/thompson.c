/* thompson.c - Thompson's draws and their tally. One thread a scratch.
 *
 * Draws are joint over the candidates: mean + L g, L L' = alpha^2 Gram, g from a table of 4096 normal quantiles indexed by words keyed by
 * (decision key, draw): what is logged is exact given the draws, whatever their law, so they may be coarse. Where candidates share up to
 * AFTI_DIRECTIONS rows of a bilinear model, L is those rows and each candidate's own; else Cholesky's. Above AFTI_GRAM_MAX candidates
 * each is then drawn by itself (no n^2). Every draw's mass is spread over its best by rank (tally.c), and tallied.
 */
#include <math.h>

#include "policy/inner.h"

/* L L' = gram in place; a pivot that is nothing (two candidates alike) gives an empty column. */
static void
factor(double *g, uint32_t n)
{
    for (uint32_t j = 0; j < n; j++) {
        double *rj = g + (size_t)j * AFTI_GRAM_MAX, d = rj[j], was = rj[j];
        for (uint32_t m = 0; m < j; m++)
            d -= rj[m] * rj[m];
        double root = d > 1e-10 * was ? sqrt(d) : 0;
        rj[j] = root;
        for (uint32_t i = j + 1; i < n; i++) {
            double *ri = g + (size_t)i * AFTI_GRAM_MAX, v = ri[j];
            for (uint32_t m = 0; m < j; m++)
                v -= ri[m] * rj[m];
            ri[j] = root > 0 ? v / root : 0;
        }
    }
}

/* ---- normals
 * SplitMix64 (Steele, Lea, Flood 2014) at a place of its sequence: a counter-based generator of a few operations. Four words at once, five
 * normals of twelve bits each from a word. */
AFT_WIDE void
afti_draw_normals(const float *quantiles, uint64_t key, uint32_t draw, uint32_t n, double *out)
{
    const uint64_t step = 0x9e3779b97f4a7c15ull;
    uint64_t at = ((uint64_t)draw << 32) + 1;
    for (uint32_t i = 0; i < n; i += 20, at += 4, out += 20) {
        uint64_t z0 = key + at * step;
        aft_wide_bits z = {z0, z0 + step, z0 + 2 * step, z0 + 3 * step};
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        for (int j = 0; j < 5; j++, z >>= 12) {
            uint64_t place[4];
            aft_wide_bits low = z & 4095;
            memcpy(place, &low, sizeof low);
            out[j] = (double)quantiles[place[0]];
            out[5 + j] = (double)quantiles[place[1]];
            out[10 + j] = (double)quantiles[place[2]];
            out[15 + j] = (double)quantiles[place[3]];
        }
    }
}

/* ---- values
 * mean + deviation x normal + by[0] direction[0] + by[1] direction[1] ..., each candidate's by itself and in that order. */
#define OWN(t, i)                                  \
    do {                                           \
        aft_wide d_, g_;                           \
        memcpy(&t, s->mean + (i), sizeof t);       \
        memcpy(&d_, s->variance + (i), sizeof d_); \
        memcpy(&g_, s->normal + (i), sizeof g_);   \
        t += d_ * g_;                              \
    } while (0)
#define ALONG(t, at)                \
    do {                            \
        memcpy(&v, (at), sizeof v); \
        t += f * v;                 \
    } while (0)
#define KEEP(t, i) memcpy(s->value + (i), &t, sizeof t)

/* Twenty-four candidates from i on, in registers. */
static inline __attribute__((always_inline)) void
values24(struct aft_scratch *s, uint32_t i, uint32_t stride, const double *by)
{
    aft_wide t0, t1, t2, t3, t4, t5, v;
    OWN(t0, i);
    OWN(t1, i + 4);
    OWN(t2, i + 8);
    OWN(t3, i + 12);
    OWN(t4, i + 16);
    OWN(t5, i + 20);
    for (uint32_t j = 0; j < s->directions; j++) {
        const double *row = s->direction + (size_t)j * stride + i;
        aft_wide f = AFT_ALL(by[j]);
        ALONG(t0, row);
        ALONG(t1, row + 4);
        ALONG(t2, row + 8);
        ALONG(t3, row + 12);
        ALONG(t4, row + 16);
        ALONG(t5, row + 20);
    }
    KEEP(t0, i);
    KEEP(t1, i + 4);
    KEEP(t2, i + 8);
    KEEP(t3, i + 12);
    KEEP(t4, i + 16);
    KEEP(t5, i + 20);
}

static inline __attribute__((always_inline)) void
values8(struct aft_scratch *s, uint32_t i, uint32_t stride, const double *by)
{
    aft_wide t0, t1, v;
    OWN(t0, i);
    OWN(t1, i + 4);
    for (uint32_t j = 0; j < s->directions; j++) {
        const double *row = s->direction + (size_t)j * stride + i;
        aft_wide f = AFT_ALL(by[j]);
        ALONG(t0, row);
        ALONG(t1, row + 4);
    }
    KEEP(t0, i);
    KEEP(t1, i + 4);
}

AFT_WIDE void
afti_draw_values(struct aft_scratch *s, uint32_t n, double alpha)
{
    double by[AFTI_DIRECTIONS];
    uint32_t i = 0, stride = afti_whole(n);
    for (uint32_t j = 0; j < s->directions; j += 4) {
        aft_wide g;
        memcpy(&g, s->normal + n + j, sizeof g);
        g *= AFT_ALL(alpha);
        memcpy(by + j, &g, sizeof g);
    }
    for (; i + 24 <= stride; i += 24)
        values24(s, i, stride, by);
    for (; i < stride; i += 8)
        values8(s, i, stride, by);
}

/* By the factor of a Gram matrix. */
static void
joint_values(struct aft_scratch *s, uint32_t n, double alpha)
{
    for (uint32_t i = 0; i < n; i++) {
        double z = 0;
        for (uint32_t j = 0; j <= i; j++)
            z += s->gram[(size_t)i * AFTI_GRAM_MAX + j] * s->normal[j];
        s->value[i] = s->mean[i] + alpha * z;
    }
}

void
afti_thompson(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
              uint32_t n, uint32_t k)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    double alpha = m->law.width, share[AFTI_RANKS];
    uint64_t key = aft_hash64(r->key, 0);
    if (s->joint)
        factor(s->gram, n);
    for (uint32_t i = 0; i < n; i++) /* times alpha once, not for every draw */
        s->variance[i] = alpha * afti_deviation(s->variance[i]);
    for (uint32_t i = n; i % 8; i++) { /* whole vectors: these are never the best */
        s->mean[i] = s->value[i] = -(double)INFINITY;
        s->variance[i] = 0;
    }
    afti_shares(k, share);
    for (uint32_t d = 0; d < set->draws; d++) {
        afti_draw_normals(m->quantiles, key, d, n + s->directions, s->normal);
        (s->joint ? joint_values : afti_draw_values)(s, n, alpha);
        afti_spread_shares(s, n, k, share, 1.0 / set->draws);
    }
}
