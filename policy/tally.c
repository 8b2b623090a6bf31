/* tally.c - values of the candidates -> shares of the greedy mass. One thread a scratch.
 *
 * Over K slots the greedy mass is spread over the best K by rank, 1 : 1/5 : 1/25 ..., normalised (over one slot: all of it on the
 * best), so that the lower slots too prefer the next best.
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

void
afti_shares(uint32_t k, double *share)
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

/* ---- the best of many: few jumps that depend on the values. They are random, and a jump that is guessed wrong costs more than all else */
#define LEAST(a, b) ((b) < (a) ? (b) : (a))
#define MOST(a, b) ((b) > (a) ? (b) : (a))
#define ORDER(a, b)                  \
    do {                             \
        double least_ = LEAST(a, b); \
        a = MOST(a, b), b = least_;  \
    } while (0)

/* A value that at least `room` reach. lane[]: the best of eight groups, each of which one reaches: so the fourth of these does for four, and
 * the last for eight. Both fours in order, the fourth of all is the least of what is larger at either end. */
static inline __attribute__((always_inline)) double
reached(const double lane[8], uint32_t room)
{
    double a = lane[0], b = lane[1], c = lane[2], d = lane[3];
    double p = lane[4], q = lane[5], r = lane[6], s = lane[7];
    if (room > 8)
        return -(double)INFINITY;
    ORDER(a, b);
    ORDER(c, d);
    ORDER(p, q);
    ORDER(r, s);
    ORDER(a, c);
    ORDER(b, d);
    ORDER(p, r);
    ORDER(q, s);
    ORDER(b, c);
    ORDER(q, r);
    if (room > 4)
        return LEAST(d, s);
    a = MOST(a, s), b = MOST(b, r), c = MOST(c, q), d = MOST(d, p);
    a = LEAST(a, b), c = LEAST(c, d);
    return LEAST(a, c);
}

/* Which of up to 64 values, a multiple of 8, reach the bar: bit i for the i-th. */
static inline uint64_t
reach(const double *value, uint32_t n, double bar)
{
    aft_wide_bits even = {0}, odd = {0}, bit = {1, 2, 4, 8};
    for (uint32_t i = 0; i < n; i += 8, bit <<= 8) {
        aft_wide x;
        memcpy(&x, value + i, sizeof x);
        even |= bit & (aft_wide_bits)(x >= AFT_ALL(bar));
        memcpy(&x, value + i + 4, sizeof x);
        odd |= bit & (aft_wide_bits)(x >= AFT_ALL(bar));
    }
    even |= odd << 4;
    return (even[0] | even[2]) | (even[1] | even[3]);
}

/* Those that reach the bar: where they stand, and their values. */
struct hits {
    double value[AFT_CANDIDATES_MAX + 16];
    uint32_t at[AFT_CANDIDATES_MAX + 16], n;
};

static bool
best_of_hits(struct hits *h, uint32_t room, uint32_t *best)
{
    bool apart = true;
    double last = (double)INFINITY;
    for (uint32_t j = 0; j < room; j++) {
        uint32_t at = 0;
        double top = h->value[0];
        for (uint32_t i = 1; i < h->n; i++) {
            double v = h->value[i];
            at = v > top ? i : at;
            top = v > top ? v : top;
        }
        best[j] = h->at[at];
        h->at[at] = h->at[--h->n];
        h->value[at] = h->value[h->n];
        apart &= j == 0 || last > top;
        last = top;
    }
    return apart;
}

/* The same of eight (some of them nobody, at minus infinity): one's rank is how many are better; two that are alike leave the next rank
 * to nobody. Always eight, so that no jump depends on how many there are. */
static inline __attribute__((always_inline)) bool
best_of_eight(const struct hits *h, uint32_t room, uint32_t *best)
{
    uint64_t rank[8], taken = 0, wanted = ((uint64_t)1 << room) - 1;
    aft_choice low_rank = {0}, high_rank = {0};
    aft_wide low, high;
    memcpy(&low, h->value, sizeof low);
    memcpy(&high, h->value + 4, sizeof high);
#define AGAINST(i) \
    low_rank -= AFT_ALL(h->value[i]) > low, high_rank -= AFT_ALL(h->value[i]) > high /* true: -1 */
    AGAINST(0), AGAINST(1), AGAINST(2), AGAINST(3);
    AGAINST(4), AGAINST(5), AGAINST(6), AGAINST(7);
    memcpy(rank, &low_rank, sizeof low_rank);
    memcpy(rank + 4, &high_rank, sizeof high_rank);
#define PUT(i) best[rank[i]] = h->at[i], taken |= (uint64_t)1 << rank[i]
    PUT(0), PUT(1), PUT(2), PUT(3), PUT(4), PUT(5), PUT(6), PUT(7);
    return (taken & wanted) == wanted;
}

AFT_WIDE bool
afti_best_of(const double *value, uint32_t n, uint32_t room, uint32_t best[AFTI_RANKS + 1])
{
    struct hits h;
    uint32_t whole = afti_whole(n), hits = 0;
    double lane[8];
    aft_wide even, odd, x;
    memcpy(&even, value, sizeof even);
    memcpy(&odd, value + 4, sizeof odd);
    for (uint32_t i = 8; i < whole; i += 8) {
        memcpy(&x, value + i, sizeof x);
        even = AFT_LARGER(x, even);
        memcpy(&x, value + i + 4, sizeof x);
        odd = AFT_LARGER(x, odd);
    }
    memcpy(lane, &even, sizeof even);
    memcpy(lane + 4, &odd, sizeof odd);
    double bar = reached(lane, room);
    for (uint32_t i = 0; i < whole; i += 64)
        for (uint64_t in = reach(value + i, whole - i < 64 ? whole - i : 64, bar); in;
             in &= in - 1) {
            uint32_t at = i + (uint32_t)__builtin_ctzll(in);
            h.at[hits] = at;
            h.value[hits++] = value[at];
        }
    AFT_ASSERT(hits >= room);
    h.n = hits;
    if (hits > 8)
        return best_of_hits(&h, room, best);
    x = AFT_ALL(-(double)INFINITY);
    memcpy(h.value + hits, &x, sizeof x);
    memcpy(h.value + hits + 4, &x, sizeof x);
    memset(h.at + hits, 0, 8 * sizeof *h.at);
    return best_of_eight(&h, room, best);
}

void
afti_spread_shares(struct aft_scratch *s, uint32_t n, uint32_t k, const double *share, double mass)
{
    uint32_t best[AFTI_RANKS + 1];
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
    double share[AFTI_RANKS] = {0};
    afti_shares(k, share);
    for (uint32_t i = n; i % 8; i++)
        s->value[i] = -(double)INFINITY;
    afti_spread_shares(s, n, k, share, mass);
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
    double share[AFTI_RANKS] = {0}, sums[AFTI_RANKS + 1] = {0}, above = 0;
    afti_shares(k, share);
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
