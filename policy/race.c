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
enum { RACES = 16 };
#define MULTIPLIER_0 0xd2511f53u
#define MULTIPLIER_1 0xcd9e8d57u
#define WEYL_0 0x9e3779b9u
#define WEYL_1 0xbb67ae85u
#define ROUNDS 10

/* One round of Philox over four words of as many blocks as a vector has lanes, a word in the lower half of each; p0 and p1 are c0 and c2
 * times their multipliers. */
#define MIX(c0, c1, c2, c3, p0, p1, k0, k1, low) \
    do {                                         \
        c0 = (p1) >> 32 ^ c1 ^ (k0);             \
        c2 = (p0) >> 32 ^ c3 ^ (k1);             \
        c1 = (p1) & (low);                       \
        c3 = (p0) & (low);                       \
    } while (0)

typedef uint64_t two __attribute__((vector_size(16)));
#define BOTH(x) ((two){(x), (x)})

/* a x k, both below 2^32: one instruction, which gcc does not find by itself. */
static inline two
times(two a, uint32_t k)
{
#if defined(__SSE2__) && !defined(__clang__)
    typedef int ints __attribute__((vector_size(16)));
    return (two)__builtin_ia32_pmuludq128((ints)a, (ints)BOTH(k));
#else
    return (a & BOTH(0xffffffff)) * BOTH(k);
#endif
}

/* Of candidates 2 pair .. 2 pair + 7: four blocks, the words of aft_philox. */
static void
races8(uint64_t key, uint32_t pair, uint64_t out[8])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    two a0 = {pair, pair + 1}, a1 = {0}, a2 = {1, 1}, a3 = {0};
    two b0 = {pair + 2, pair + 3}, b1 = {0}, b2 = {1, 1}, b3 = {0};
    for (int round = 0; round < ROUNDS; round++) {
        two p0 = times(a0, MULTIPLIER_0), p1 = times(a2, MULTIPLIER_1);
        two q0 = times(b0, MULTIPLIER_0), q1 = times(b2, MULTIPLIER_1);
        MIX(a0, a1, a2, a3, p0, p1, BOTH(k0), BOTH(k1), BOTH(0xffffffff));
        MIX(b0, b1, b2, b3, q0, q1, BOTH(k0), BOTH(k1), BOTH(0xffffffff));
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    two even = (a0 << 32 | a1) >> 12, odd = (a2 << 32 | a3) >> 12;
    out[0] = even[0], out[1] = odd[0], out[2] = even[1], out[3] = odd[1];
    even = (b0 << 32 | b1) >> 12, odd = (b2 << 32 | b3) >> 12;
    out[4] = even[0], out[5] = odd[0], out[6] = even[1], out[7] = odd[1];
}

#if AFT_WIDE_TWICE
#define FOUR(x) ((aft_wide_bits){(x), (x), (x), (x)})
typedef int ints __attribute__((vector_size(32)));
#define TIMES(a, k) ((aft_wide_bits)__builtin_ia32_pmuludq256((ints)(a), (ints)FOUR(k)))

/* Twice as many, four blocks side by side. */
__attribute__((target("avx2"))) static void
races_avx2(uint64_t key, uint32_t pair, uint64_t out[RACES])
{
    const aft_wide_bits low = FOUR(0xffffffff), lane = {0, 1, 2, 3};
    aft_wide_bits k0 = FOUR((uint32_t)key), k1 = FOUR((uint32_t)(key >> 32)), a1 = {0}, a3 = {0};
    aft_wide_bits b1 = {0}, b3 = {0}, a0 = lane + FOUR(pair), b0 = a0 + FOUR(4), a2 = FOUR(1),
                  b2 = a2;
    for (int round = 0; round < ROUNDS; round++) {
        aft_wide_bits p0 = TIMES(a0, MULTIPLIER_0), p1 = TIMES(a2, MULTIPLIER_1);
        aft_wide_bits q0 = TIMES(b0, MULTIPLIER_0), q1 = TIMES(b2, MULTIPLIER_1);
        MIX(a0, a1, a2, a3, p0, p1, k0, k1, low);
        MIX(b0, b1, b2, b3, q0, q1, k0, k1, low);
        k0 = (k0 + FOUR(WEYL_0)) & low;
        k1 = (k1 + FOUR(WEYL_1)) & low;
    }
    aft_wide_bits even[2] = {(a0 << 32 | a1) >> 12, (b0 << 32 | b1) >> 12};
    aft_wide_bits odd[2] = {(a2 << 32 | a3) >> 12, (b2 << 32 | b3) >> 12};
    for (int h = 0; h < 2; h++) {
        aft_wide_bits first = __builtin_shuffle(even[h], odd[h], (aft_wide_bits){0, 4, 1, 5});
        aft_wide_bits last = __builtin_shuffle(even[h], odd[h], (aft_wide_bits){2, 6, 3, 7});
        memcpy(out + 8 * h, &first, sizeof first);
        memcpy(out + 8 * h + 4, &last, sizeof last);
    }
}
#endif

static void
races(uint64_t key, uint32_t pair, uint64_t out[RACES])
{
#if AFT_WIDE_TWICE
    if (__builtin_cpu_supports("avx2")) {
        races_avx2(key, pair, out);
        return;
    }
#endif
    races8(key, pair, out);
    races8(key, pair + 4, out + 8);
}

/* Of each of the candidates, which ascend and are mostly in a row. */
static void
bits_of(const uint32_t *index, uint32_t n, uint64_t key, uint64_t *bits)
{
    uint64_t found[RACES];
    uint32_t from = 0, known = 0; /* found is of candidates from .. from + known - 1 */
    for (uint32_t i = 0; i < n;) {
        if (index[i] % 2 == 0 && i + RACES <= n && index[i + RACES - 1] - index[i] == RACES - 1) {
            races(key, index[i] / 2, bits + i);
            i += RACES;
            continue;
        }
        if (index[i] - from >= known) {
            from = index[i] & ~1u;
            known = RACES;
            races(key, from / 2, found);
        }
        bits[i] = found[index[i] - from];
        i++;
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
/* low[i] and, by lane, the least upper bound of those in it; the margins are far above all rounding. n > 0: a multiple of 8. A weight of
 * zero has bounds without end. */
AFT_WIDE void
afti_race_bounds(const double *w, const uint64_t *bits, uint32_t n, double *low, double least[8])
{
    aft_wide even = AFT_ALL((double)INFINITY), odd = even;
    uint32_t i = 0;
    do {
        aft_wide_bits b;
        aft_wide weight;
        memcpy(&b, bits + i, sizeof b);
        memcpy(&weight, w + i, sizeof weight);
        b |= (aft_wide_bits){0x4330000000000000u, 0x4330000000000000u, 0x4330000000000000u,
                             0x4330000000000000u};
        aft_wide u =
            ((aft_wide)b - AFT_ALL(0x1p52) + AFT_ALL(0.5)) * AFT_ALL(0x1p-52); /* b as a number */
        aft_wide time = (AFT_ALL(1) - u) / weight, most = time * AFT_ALL(1.000001) / u;
        time *= AFT_ALL(0.999999);
        memcpy(low + i, &time, sizeof time);
        if (i & 4)
            odd = AFT_SMALLER(most, odd);
        else
            even = AFT_SMALLER(most, even);
        i += 4;
    } while (i < n);
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
    uint32_t hits = 0, whole = afti_whole(n);
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
