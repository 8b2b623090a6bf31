/* test_explore.c - every exploration law is a pmf with support, on random scores with ties; the defects of others are not
 * ours. */
#include "tests/kit.h"

#include <math.h>

#include "policy/policy.h"

static void
is_pmf(const double *p, uint32_t n, double low)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(p[i] >= low - 1e-15 && p[i] <= 1 + 1e-15);
        sum += p[i];
    }
    assert_true(fabs(sum - 1) < 1e-12);
}

static void
test_all_are_pmfs(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(4), 0);
    for (long round = 0; round < kit_rounds(3000); round++) {
        double s[20], low[20], high[20], p[20];
        uint32_t votes[10], n = 1 + aft_random_below(&r, 20);
        double gamma = (double[]){0.1, 10, 1000, 1e6}[aft_random_below(&r, 4)];
        for (uint32_t i = 0; i < n; i++) {
            s[i] = aft_random_below(&r, 4) ? aft_random_unit(&r) : 0.5;
            low[i] = fmax(0, s[i] - 0.3 * aft_random_unit(&r));
            high[i] = fmin(1, s[i] + 0.3 * aft_random_unit(&r));
        }
        aft_epsilon_greedy(s, n, 0.05, p);
        is_pmf(p, n, 0.05 / n);
        aft_softmax(s, n, gamma, p);
        is_pmf(p, n, 0);
        aft_squarecb(s, n, gamma, p);
        is_pmf(p, n, 0);
        aft_squarecb_elim(s, low, high, n, gamma, p); /* where another engine goes below zero */
        is_pmf(p, n, 0);
        aft_floor(p, n, 0.2); /* eliminated arms get their support back */
        is_pmf(p, n, 0.2 / n);
        aft_regcb_elim(low, high, n, p);
        is_pmf(p, n, 0);
        for (int i = 0; i < 10; i++)
            votes[i] = aft_random_below(&r, n);
        aft_bag(votes, 10, n, p);
        is_pmf(p, n, 0);
    }
}

static void
test_floor_is_a_projection(void **state)
{
    (void)state;
    double p[4] = {0.97, 0.03, 0, 0};
    aft_floor(p, 4, 0.2);
    assert_true(fabs(p[0] - 0.85) < 1e-15 && p[1] == 0.05 && p[2] == 0.05 && p[3] == 0.05);
    aft_floor(p, 4, 0.2); /* again changes nothing */
    assert_true(fabs(p[0] - 0.85) < 1e-15 && p[1] == 0.05);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_pmfs),
        cmocka_unit_test(test_floor_is_a_projection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
