/* tally.c - values of the candidates -> shares of the greedy mass; Thompson's draws and their tally. One thread a scratch.
 *
 * Over K slots the greedy mass is spread over the best K by rank, 1 : 1/5 : 1/25 ..., normalised (over one slot: all of it on the
 * best), so that the lower slots too prefer the next best. Thompson spreads every draw's mass that way and tallies.
 * Thompson's draws are joint over the candidates: mean + L g, L L' = alpha^2 Gram, g from a table of 4096 normal quantiles indexed
 * by words keyed by (decision key, draw): what is logged is exact given the draws, whatever their law, so they may be coarse.
 * Where candidates share up to AFTI_DIRECTIONS rows of a bilinear model, L is those rows and each candidate's own; else
 * Cholesky's. Above AFTI_GRAM_MAX candidates each is then drawn by itself (no n^2).
 */
#include <math.h>

#include "policy/inner.h"

static const double rank_ratio = 0.2;

/* Rounding may leave a variance of nothing below zero. */
double
afti_deviation(double variance)
{
    return variance > 0 ? sqrt(variance) : 0;
}

_Static_assert(AFTI_RANKS >= AFT_SLATE_MAX, "a rank for each slot");

/* share[r], r < k, adds up to 1. */
static void
shares_of(uint32_t k, double *share)
{
    double total = 0, at = 1;
    for (uint32_t l = 0; l < k; l++, at *= rank_ratio)
        total += share[l] = at;
    for (uint32_t l = 0; l < k; l++)
        share[l] /= total;
}

/* ---- values -> tally: the greedy mass over the best k by rank, split evenly over ties */
static void
spread_ties(struct aft_scratch *s, uint32_t n, uint32_t k, const double *share, double mass)
{
    bool taken[AFT_CANDIDATES_MAX] = {false};
    for (uint32_t l = 0; l < k;) {
        double best = -(double)INFINITY, sum = 0;
        uint32_t ties = 0;
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && (s->value[i] > best || ties == 0)) {
                best = s->value[i];
                ties = 1;
            } else if (!taken[i] && s->value[i] == best) {
                ties++;
            }
        for (uint32_t j = l; j < k && j < l + ties; j++)
            sum += share[j];
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && s->value[i] == best) {
                taken[i] = true;
                s->tally[i] += mass * sum / ties;
            }
        l += ties;
    }
}

/* A value that at least `room` reach: of four (eight) groups each has one that reaches its best, so all of them reach the least of
 * these. */
static inline double
reached(const double lane[8], uint32_t room)
{
    double bar = (double)INFINITY;
    for (uint32_t j = 0; j < 4; j++) {
        double low = lane[j] < lane[j + 4] ? lane[j] : lane[j + 4];
        double high = lane[j] < lane[j + 4] ? lane[j + 4] : lane[j];
        double of = room <= 4 ? high : low;
        bar = of < bar ? of : bar;
    }
    return room <= 8 ? bar : -(double)INFINITY;
}

/* Which of up to 64 values, from a multiple of 4 on, reach the bar: bit i for the i-th. */
static inline uint64_t
reach(const double *value, uint32_t n, double bar)
{
    aft_wide_bits found = {0}, bit = {1, 2, 4, 8};
    for (uint32_t i = 0; i < n; i += 4, bit <<= 4) {
        aft_wide x;
        memcpy(&x, value + i, sizeof x);
        found |= bit & (aft_wide_bits)(x >= AFT_ALL(bar));
    }
    return (found[0] | found[2]) | (found[1] | found[3]);
}

/* The best `room` in order; false where two of them are alike. value[n ..] up to a multiple of 8: minus infinity. Few jumps that
 * depend on the values: they are random, and a jump that is guessed wrong costs more than all the rest. */
AFT_WIDE bool
afti_best_of(const double *value, uint32_t n, uint32_t room, uint32_t *best)
{
    uint32_t hit[AFT_CANDIDATES_MAX + 8], hits = 0;
    double lane[8];
    aft_wide even, odd, x;
    memcpy(&even, value, sizeof even);
    memcpy(&odd, value + 4, sizeof odd);
    for (uint32_t i = 8; i < n; i += 8) {
        memcpy(&x, value + i, sizeof x);
        even = AFT_LARGER(x, even);
        memcpy(&x, value + i + 4, sizeof x);
        odd = AFT_LARGER(x, odd);
    }
    memcpy(lane, &even, sizeof even);
    memcpy(lane + 4, &odd, sizeof odd);
    double bar = reached(lane, room);
    for (uint32_t i = 0; i < n; i += 64)
        for (uint64_t in = reach(value + i, n - i < 64 ? n - i : 64, bar); in; in &= in - 1)
            hit[hits++] = i + (uint32_t)__builtin_ctzll(in);
    AFT_ASSERT(hits >= room);
    for (uint32_t j = 0; j < room; j++) {
        uint32_t at = 0;
        double top = value[hit[0]];
        for (uint32_t h = 1; h < hits; h++) {
            double v = value[hit[h]];
            at = v > top ? h : at;
            top = v > top ? v : top;
        }
        best[j] = hit[at];
        hit[at] = hit[--hits];
    }
    bool apart = true;
    for (uint32_t j = 0; j + 1 < room; j++)
        apart &= value[best[j]] > value[best[j + 1]];
    return apart;
}

static void
spread(struct aft_scratch *s, uint32_t n, uint32_t k, const double *share, double mass)
{
    uint32_t best[AFTI_RANKS + 1];
    for (uint32_t i = n; i % 8; i++)
        s->value[i] = -(double)INFINITY;
    if (!afti_best_of(s->value, n, k < n ? k + 1 : k, best)) {
        spread_ties(s, n, k, share, mass);
        return;
    }
    for (uint32_t l = 0; l < k; l++)
        s->tally[best[l]] += mass * share[l];
}

void
afti_spread(struct aft_scratch *s, uint32_t n, uint32_t k, double mass)
{
    double share[AFTI_RANKS];
    shares_of(k, share);
    spread(s, n, k, share, mass);
}

/* The mean of follow[a .. a + n), follow[] by its sums. */
static double
mean_follow(const double *sums, uint32_t k, uint32_t a, uint32_t n)
{
    uint32_t to = a + n < k ? a + n : k - 1;
    return n && a < to ? (sums[to] - sums[a]) / n : 0;
}

/* A leader takes the first share, the best others the rest by rank; what a group of alike ones gets is split evenly. A leader who
 * stands above a group (or in it) has left its place: the group moves up by one (or has one less). */
void
afti_lead(struct aft_scratch *s, const double *p, uint32_t n, uint32_t k)
{
    bool taken[AFT_CANDIDATES_MAX] = {false};
    double share[AFTI_RANKS], sums[AFTI_RANKS + 1] = {0}, above = 0;
    shares_of(k, share);
    for (uint32_t l = 1; l < k; l++)
        sums[l] = sums[l - 1] + share[l];
    for (uint32_t i = 0; i < n; i++)
        s->tally[i] += share[0] * p[i];
    for (uint32_t a = 0, ties = 0; k > 1 && a < k && a < n; a += ties) {
        double best = -(double)INFINITY, same = 0, lower = 0;
        for (uint32_t i = 0; i < n; i++)
            best = !taken[i] && s->value[i] > best ? s->value[i] : best;
        ties = 0;
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && s->value[i] == best) {
                ties++;
                same += p[i];
            } else if (!taken[i]) {
                lower += p[i];
            }
        AFT_ASSERT(ties > 0);
        double moved = a ? above * mean_follow(sums, k, a - 1, ties) : 0;
        double fewer = mean_follow(sums, k, a, ties - 1),
               whole = lower * mean_follow(sums, k, a, ties);
        for (uint32_t i = 0; i < n; i++)
            if (!taken[i] && s->value[i] == best) {
                taken[i] = true;
                s->tally[i] += moved + (same - p[i]) * fewer + whole;
            }
        above += same;
    }
}

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

/* SplitMix64 (Steele, Lea, Flood 2014) at a place of its sequence: a counter-based generator of a few operations. */
static inline uint64_t
word_at(uint64_t key, uint64_t at)
{
    uint64_t z = key + (at + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Five of twelve bits each from a word; up to four more than n. */
static void
normals(const struct aft_model *m, uint64_t key, uint32_t draw, uint32_t n, double *out)
{
    const float *q = m->quantiles;
    uint64_t at = (uint64_t)draw << 32;
    for (uint32_t i = 0; i < n; i += 5) {
        uint64_t z = word_at(key, at++);
        out[i] = (double)q[z & 4095];
        out[i + 1] = (double)q[z >> 12 & 4095];
        out[i + 2] = (double)q[z >> 24 & 4095];
        out[i + 3] = (double)q[z >> 36 & 4095];
        out[i + 4] = (double)q[z >> 48 & 4095];
    }
}

/* value = mean + deviation x normal, up to a multiple of 4. */
AFT_WIDE void
afti_own_values(const double *mean, const double *deviation, const double *normal, uint32_t n,
                double *value)
{
    for (uint32_t i = 0; i < n; i += 4) {
        aft_wide x, d, g;
        memcpy(&x, mean + i, sizeof x);
        memcpy(&d, deviation + i, sizeof d);
        memcpy(&g, normal + i, sizeof g);
        x += d * g;
        memcpy(value + i, &x, sizeof x);
    }
}

/* The values of one draw: own deviations, shared directions, or the factor of a Gram matrix. */
static void
draw_values(struct aft_scratch *s, uint32_t n, double alpha)
{
    if (!s->joint) {
        double by[AFTI_DIRECTIONS];
        afti_own_values(s->mean, s->variance, s->normal, n, s->value);
        for (uint32_t j = 0; j < s->directions; j++)
            by[j] = alpha * s->normal[n + j];
        if (s->directions)
            afti_plain_rows(s->direction, by, s->directions, n + (8 - n % 8) % 8, s->value);
        return;
    }
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
    for (uint32_t i = n; i % 8; i++) /* whole vectors: finite, and nothing */
        s->mean[i] = s->variance[i] = 0;
    memset(s->value + n, 0, 8 * sizeof *s->value);
    shares_of(k, share);
    for (uint32_t d = 0; d < set->draws; d++) {
        normals(m, key, d, n + s->directions, s->normal);
        draw_values(s, n, alpha);
        spread(s, n, k, share, 1.0 / set->draws);
    }
}
