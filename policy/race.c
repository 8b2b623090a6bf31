/* race.c - who is shown: candidate i has a time E_i / w_i, E_i exponential and keyed by (key, candidate); the first k make the slate, which
 * is Plackett-Luce (Yellott 1977). Pure. Any thread.
 *
 * E = -log u, u of 52 bits: half a Philox block (base/random.h) each, candidates 2 pair and 2 pair + 1 share one. Most lose by far, and
 * 1 - u < -log u < (1 - u) / u: so the times are bounded first, four at a time, and only those that may win have a logarithm.
 * Invariants: I1 a slate holds no item twice; I2 whoever is left out by its bounds is not among the first k.
 */
#include <math.h>

#include "policy/inner.h"

/* ---- bits */
enum { RACES = 8 };
typedef uint64_t two __attribute__((vector_size(16)));
#define LOW ((two){0xffffffff, 0xffffffff})
#define BOTH(x) ((two){(x), (x)})

/* a x k, both below 2^32: one instruction, which gcc does not find by itself. */
static inline two
times(two a, uint32_t k)
{
#if defined(__SSE2__) && !defined(__clang__)
    typedef int ints __attribute__((vector_size(16)));
    return (two)__builtin_ia32_pmuludq128((ints)a, (ints)BOTH(k));
#else
    return (a & LOW) * BOTH(k);
#endif
}

struct blocks { /* two, side by side */
    two c0, c1, c2, c3;
};

static inline void
mix(struct blocks *b, uint32_t k0, uint32_t k1)
{
    two p0 = times(b->c0, 0xd2511f53u), p1 = times(b->c2, 0xcd9e8d57u);
    b->c0 = (p1 >> 32) ^ b->c1 ^ BOTH(k0);
    b->c2 = (p0 >> 32) ^ b->c3 ^ BOTH(k1);
    b->c1 = p1 & LOW;
    b->c3 = p0 & LOW;
}

/* Of candidates 2 pair .. 2 pair + 7: four blocks, the words of aft_philox. */
static void
races(uint64_t key, uint32_t pair, uint64_t out[RACES])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    struct blocks b[2] = {{.c0 = {pair, pair + 1}, .c2 = {1, 1}},
                          {.c0 = {pair + 2, pair + 3}, .c2 = {1, 1}}};
    for (int round = 0; round < 10; round++) {
        mix(&b[0], k0, k1);
        mix(&b[1], k0, k1);
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    for (int h = 0; h < 2; h++) {
        two even = (b[h].c0 << 32 | b[h].c1) >> 12, odd = (b[h].c2 << 32 | b[h].c3) >> 12;
        out[4 * h] = even[0];
        out[4 * h + 1] = odd[0];
        out[4 * h + 2] = even[1];
        out[4 * h + 3] = odd[1];
    }
}

/* Of each of the candidates, which are mostly in a row. */
static void
bits_of(const uint32_t *index, uint32_t n, uint64_t key, uint64_t *bits)
{
    uint64_t found[RACES];
    uint32_t from = 0, known = 0; /* found is of candidates from .. from + known - 1 */
    for (uint32_t i = 0; i < n; i++) {
        if (index[i] - from >= known) {
            from = index[i] & ~1u;
            known = RACES;
            races(key, from / 2, found);
        }
        bits[i] = found[index[i] - from];
    }
}

static double
exponential(uint64_t bits)
{
    return -aft_log(((double)bits + 0.5) * 0x1p-52);
}

void
afti_race(const uint32_t *index, uint32_t n, uint64_t key, double *e)
{
    uint64_t bits[AFT_CANDIDATES_MAX];
    AFT_ASSERT(n <= AFT_CANDIDATES_MAX);
    bits_of(index, n, key, bits);
    for (uint32_t i = 0; i < n; i++)
        e[i] = exponential(bits[i]);
}

/* ---- bounds */
typedef uint64_t four __attribute__((vector_size(32)));
typedef int64_t choice __attribute__((vector_size(32)));
#define ALL(x) ((aft_wide){(x), (x), (x), (x)})
#define SMALLER(a, b) ((aft_wide)(((choice)(a) & ((a) < (b))) | ((choice)(b) & ~((a) < (b)))))

/* low[i] and, by lane, the least upper bound of those in it; the margins are far above all rounding. n: a multiple of 8. A weight of
 * zero has bounds without end. */
AFT_WIDE void
afti_race_bounds(const double *w, const uint64_t *bits, uint32_t n, double *low, double least[8])
{
    aft_wide even = ALL((double)INFINITY), odd = even;
    for (uint32_t i = 0; i < n; i += 4) {
        four b;
        aft_wide weight;
        memcpy(&b, bits + i, sizeof b);
        memcpy(&weight, w + i, sizeof weight);
        b |= (four){0x4330000000000000u, 0x4330000000000000u, 0x4330000000000000u,
                    0x4330000000000000u};
        aft_wide u = ((aft_wide)b - ALL(0x1p52) + ALL(0.5)) * ALL(0x1p-52); /* b as a number */
        aft_wide time = (ALL(1) - u) / weight, most = time * ALL(1.000001) / u;
        time *= ALL(0.999999);
        memcpy(low + i, &time, sizeof time);
        if (i & 4)
            odd = SMALLER(most, odd);
        else
            even = SMALLER(most, even);
    }
    memcpy(least, &even, sizeof even);
    memcpy(least + 4, &odd, sizeof odd);
}

/* A time that at least k reach: the k-th of the lanes' least. */
static double
bar_of(double least[8], uint32_t k)
{
    for (uint32_t j = 0; j < k; j++)
        for (uint32_t i = 7; i > j; i--) {
            double a = least[i - 1], b = least[i];
            least[i - 1] = b < a ? b : a;
            least[i] = b < a ? a : b;
        }
    return least[k - 1];
}

/* Those that may be among the first k, in order; how many. */
static uint32_t
contenders(const double *w, const uint64_t *bits, uint32_t n, uint32_t k, uint32_t *hit)
{
    double weight[AFT_CANDIDATES_MAX + 8], low[AFT_CANDIDATES_MAX + 8], least[8];
    uint32_t hits = 0, whole = n + (8 - n % 8) % 8;
    memcpy(weight, w, n * sizeof *w);
    memset(weight + n, 0, (whole - n) * sizeof *w); /* never first */
    afti_race_bounds(weight, bits, whole, low, least);
    double bar = bar_of(least, k);
    memset(hit, 0, k * sizeof *hit);
    for (uint32_t i = 0; i < n; i++) {
        hit[hits] = i;
        hits += low[i] <= bar;
    }
    AFT_INVARIANT(I2, hits >= k);
    return hits;
}

/* ---- the draw */
void
aft_pl_draw(const double *w, const uint32_t *index, uint32_t n, uint64_t key, uint32_t k,
            uint32_t *slate)
{
    uint64_t bits[AFT_CANDIDATES_MAX + 8];
    uint32_t hit[AFT_CANDIDATES_MAX + 1], have = 0;
    double best[AFT_SLATE_MAX];
    AFT_ASSERT(k > 0 && k <= n && k <= AFT_SLATE_MAX && n <= AFT_CANDIDATES_MAX);
    bits_of(index, n, key, bits);
    memset(bits + n, 0, 8 * sizeof *bits);
    uint32_t hits = contenders(w, bits, n, k, hit);
    for (uint32_t h = 0; h < hits; h++) {
        uint32_t i = hit[h];
        double time = w[i] > 0 ? exponential(bits[i]) / w[i] : 1e308;
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
