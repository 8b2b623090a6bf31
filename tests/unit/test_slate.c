/* test_slate.c - Plackett-Luce against brute-force enumeration, its draws against its claims, and masks. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "policy/inner.h"

static void
random_weights(struct aft_random *r, uint32_t n, double *w)
{
    double lw[16], epsilon = aft_random_below(r, 2) ? 0.05 : 0.5;
    double spread = (double[]){0.5, 3, 12}[aft_random_below(r, 3)];
    for (uint32_t i = 0; i < n; i++)
        lw[i] = spread * aft_random_normal(r);
    aft_pl_weights(lw, n, epsilon, w);
}

/* Adds the probability of every slate of k to q[slot][item]. */
static void
enumerate(const double *w, uint32_t n, uint32_t k, uint32_t *slate, uint32_t at, double q[3][16])
{
    if (at == k) {
        double p[3], prefix = 1;
        aft_pl_conditionals(w, n, slate, k, p);
        for (uint32_t l = 0; l < k; l++)
            prefix *= p[l];
        for (uint32_t l = 0; l < k; l++)
            q[l][slate[l]] += prefix;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool above = false;
        for (uint32_t m = 0; m < at; m++)
            above |= slate[m] == i;
        if (!above) {
            slate[at] = i;
            enumerate(w, n, k, slate, at + 1, q);
        }
    }
}

static void
test_marginals_equal_enumeration(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(1), 0);
    for (long round = 0; round < kit_rounds(200); round++) {
        uint32_t n = 1 + aft_random_below(&r, 8), k = n < 3 ? n : 3, slate[3];
        double w[16], rest[16], q[3][16] = {{0}};
        random_weights(&r, n, w);
        aft_pl_rests(w, n, rest);
        enumerate(w, n, k, slate, 0, q);
        for (uint32_t l = 0; l < k; l++) {
            double sum = 0;
            for (uint32_t i = 0; i < n; i++) {
                double have = aft_pl_marginal(w, rest, n, i, l);
                assert_true(fabs(have - q[l][i]) < 1e-13);
                sum += have;
            }
            assert_true(fabs(sum - 1) < 1e-12);
        }
    }
}

/* One item with nearly all the mass: 1 - w loses every digit unless the others are added up. */
static void
test_marginals_keep_their_digits(void **state)
{
    (void)state;
    double lw[5] = {0, 700, 0, 1, 2}, w[5], rest[5], q[3][16] = {{0}};
    uint32_t slate[3];
    aft_pl_weights(lw, 5, 1e-6, w);
    aft_pl_rests(w, 5, rest);
    enumerate(w, 5, 3, slate, 0, q);
    for (uint32_t l = 0; l < 3; l++)
        for (uint32_t i = 0; i < 5; i++)
            assert_true(fabs(aft_pl_marginal(w, rest, 5, i, l) / q[l][i] - 1) < 1e-9);
}

/* As they are, to the last digits, and not to a share of the largest alone: weights of every spread, some alike, some next to nothing. */
static void
test_small_marginals_keep_their_digits(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(7), 0);
    for (long round = 0; round < kit_rounds(300); round++) {
        uint32_t n = 3 + aft_random_below(&r, 8), slate[3];
        double lw[16], w[16], rest[16], q[3][16] = {{0}};
        double spread = (double[]){0, 0.3, 3, 12, 40}[aft_random_below(&r, 5)];
        for (uint32_t i = 0; i < n; i++)
            lw[i] = spread * aft_random_normal(&r) * (aft_random_below(&r, 3) ? 1 : 0.01);
        aft_pl_weights(lw, n, aft_random_below(&r, 2) ? 0.05 : 1e-9, w);
        aft_pl_rests(w, n, rest);
        enumerate(w, n, 3, slate, 0, q);
        for (uint32_t l = 0; l < 3; l++)
            for (uint32_t i = 0; i < n; i++)
                assert_true(fabs(aft_pl_marginal(w, rest, n, i, l) / q[l][i] - 1) < 1e-12);
    }
}

/* Where all have gone but one, nobody else stands anywhere: zero, not a number that is none. */
static void
test_marginals_of_no_weight(void **state)
{
    (void)state;
    const double w[4] = {0, 1, 0, 0};
    double rest[4];
    aft_pl_rests(w, 4, rest);
    for (uint32_t l = 0; l < 3; l++)
        for (uint32_t i = 0; i < 4; i++)
            assert_true(aft_pl_marginal(w, rest, 4, i, l) == (i == 1 && l == 0 ? 1 : 0));
}

/* Chi-squared of first and second places over many keyed draws; 7 degrees of freedom, 1e-6 quantile 39.9. */
static void
test_draws_follow_the_claims(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(2), 0);
    double w[8], rest[8];
    random_weights(&r, 8, w);
    aft_pl_rests(w, 8, rest);
    const uint32_t index[8] = {0, 1, 3, 4, 9, 10, 11, 900};
    long n = 200000, count[3][8] = {{0}};
    for (long i = 0; i < n; i++) {
        uint32_t slate[3];
        aft_pl_draw(w, index, 8, (uint64_t)i * 0x9e3779b97f4a7c15ull + 5, 3, slate);
        for (int l = 0; l < 3; l++)
            count[l][slate[l]]++;
    }
    for (uint32_t l = 0; l < 3; l++) {
        double chi = 0;
        for (uint32_t i = 0; i < 8; i++) {
            double want = (double)n * aft_pl_marginal(w, rest, 8, i, l),
                   d = (double)count[l][i] - want;
            chi += d * d / want;
        }
        assert_true(chi < 39.9);
    }
}

/* The race of those that stay is the same race: masking after the draw = masking before it. */
static void
test_masking_after_equals_masking_before(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(3), 0);
    for (long round = 0; round < kit_rounds(500); round++) {
        double w[8], kept_w[8];
        uint32_t all[8], index[8], slate[8], masked[3], n = 0;
        random_weights(&r, 8, w);
        uint64_t key = aft_random_u64(&r);
        bool gone[8];
        for (uint32_t i = 0; i < 8; i++) {
            all[i] = i;
            gone[i] = i != 3 && i != 5 && i != 6 && aft_random_below(&r, 2);
            if (!gone[i]) {
                index[n] = i;
                kept_w[n++] = w[i];
            }
        }
        aft_pl_draw(w, all, 8, key, 8, slate);
        aft_pl_draw(kept_w, index, n, key, 3, masked);
        for (uint32_t i = 0, l = 0; l < 3; i++)
            if (!gone[slate[i]])
                assert_int_equal(slate[i], index[masked[l++]]);
    }
}

/* The first k of all times, each with its logarithm: what bounds leave out, four candidates at a time, must not show. */
static void
test_bounds_leave_out_losers_alone(void **state)
{
    (void)state;
    static double w[AFT_CANDIDATES_MAX], e[AFT_CANDIDATES_MAX];
    static uint32_t index[AFT_CANDIDATES_MAX];
    struct aft_random r;
    aft_random_init(&r, kit_seed(17), 0);
    for (long round = kit_rounds(3000); round > 0; round--) {
        uint32_t n = 1 + aft_random_below(&r, aft_random_below(&r, 20) ? 60 : AFT_CANDIDATES_MAX);
        uint32_t k = 1 + aft_random_below(&r, n < AFT_SLATE_MAX ? n : AFT_SLATE_MAX);
        uint32_t gaps = aft_random_below(&r, 3), zeros = aft_random_below(&r, 4);
        uint32_t slate[AFT_SLATE_MAX];
        uint64_t key = aft_random_u64(&r);
        double spread = aft_random_below(&r, 2) ? 1 : 30;
        for (uint32_t i = 0; i < n; i++) {
            index[i] = (i ? index[i - 1] + 1 : 0) + (gaps ? aft_random_below(&r, 4 * gaps) : 0);
            w[i] = aft_exp(spread * aft_random_normal(&r));
            if (zeros && aft_random_below(&r, 4) < zeros)
                w[i] = 0;
        }
        aft_pl_draw(w, index, n, key, k, slate);
        afti_race(index, n, key, e);
        for (uint32_t l = 0; l < k; l++) {
            uint32_t best = n;
            double least = 0;
            for (uint32_t i = 0; i < n; i++) {
                double time = w[i] > 0 ? e[i] / w[i] : 1e308;
                if (e[i] < 0 || (best < n && time >= least))
                    continue;
                best = i;
                least = time;
            }
            assert_int_equal(slate[l], best);
            e[best] = -1; /* has won */
        }
    }
}

/* The words of the generator that the log's readers can run themselves. */
static void
test_races_are_keyed_by_philox(void **state)
{
    (void)state;
    static const uint32_t index[] = {0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 998, 999};
    enum { N = sizeof index / sizeof *index };
    const uint64_t key = 0x0123456789abcdefu;
    const uint32_t halves[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    double e[N];
    afti_race(index, N, key, e);
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t counter[4] = {index[i] / 2, 0, 1, 0}, h = 2 * (index[i] & 1);
        uint32_t u[4];
        aft_philox(halves, counter, u);
        uint64_t bits = ((uint64_t)u[h] << 32 | u[h + 1]) >> 12;
        assert_true(e[i] == -aft_log(((double)bits + 0.5) * 0x1p-52));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marginals_equal_enumeration),
        cmocka_unit_test(test_marginals_keep_their_digits),
        cmocka_unit_test(test_small_marginals_keep_their_digits),
        cmocka_unit_test(test_marginals_of_no_weight),
        cmocka_unit_test(test_draws_follow_the_claims),
        cmocka_unit_test(test_masking_after_equals_masking_before),
        cmocka_unit_test(test_bounds_leave_out_losers_alone),
        cmocka_unit_test(test_races_are_keyed_by_philox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
