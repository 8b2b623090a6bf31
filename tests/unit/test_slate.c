/* test_slate.c - Plackett-Luce against brute-force enumeration, its draws against its claims, and masks. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "policy/policy.h"

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marginals_equal_enumeration),
        cmocka_unit_test(test_marginals_keep_their_digits),
        cmocka_unit_test(test_draws_follow_the_claims),
        cmocka_unit_test(test_masking_after_equals_masking_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
