/* test_fmath.c - our exp, log, quantile: accuracy against long double libm (64-bit mantissas: enough to see an ulp of a
 * double), and
 * one hash over a million results, the same from every compiler, optimisation and CPU. */
#include "tests/kit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/base.h"

static double
ulps(double have, long double want)
{
    double near = (double)fabsl(want), ulp = nextafter(near, (double)INFINITY) - near;
    return (double)(fabsl((long double)have - want) / (long double)ulp);
}

static void
test_accuracy(void **state)
{
    (void)state;
    struct aft_random r;
    double worst_exp = 0, worst_log = 0, worst_q = 0;
    aft_random_init(&r, kit_seed(15), 0);
    for (long i = 0; i < kit_rounds(500000); i++) {
        double x = (aft_random_unit(&r) - 0.5) * (i & 1 ? 1400 : 20);
        double l = i & 1 ? aft_exp(x) : aft_random_unit(&r) * 4;
        worst_exp = fmax(worst_exp, ulps(aft_exp(x), expl((long double)x)));
        if (fabs(l - 1) > 1e-3)
            worst_log = fmax(worst_log, ulps(aft_log(l), logl((long double)l)));
        double u =
            i & 1 ? aft_random_unit(&r) / 2 : ldexp(0.5 + aft_random_unit(&r) / 2, -(int)(i % 40));
        double q = aft_normal_quantile(u > 0.5 ? 0.5 : u);
        long double tail = erfcl(-(long double)q / sqrtl(2.0L)) / 2;
        long double slope = expl(-(long double)q * (long double)q / 2) / sqrtl(2 * acosl(-1.0L));
        if (q < -1e-6)
            worst_q = fmax(worst_q, ulps(q, (long double)q -
                                                (tail - (long double)(u > 0.5 ? 0.5 : u)) / slope));
    }
    printf("worst, in ulps of a double: exp %.3f log %.3f quantile %.3f\n", worst_exp, worst_log,
           worst_q);
    assert_true(worst_exp < 0.6 && worst_log < 0.8 && worst_q < 0.75);
}

static void
test_many_exps_are_those_of_one(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(16), 0);
    for (long round = 0; round < kit_rounds(20000); round++) {
        double x[11], y[11];
        uint32_t n = aft_random_below(&r, 12);
        const double odd[] = {0, -0.0, 709, 710, -708, -709, 1e300, -1e300, 1e-300, -745};
        for (uint32_t i = 0; i < n; i++)
            x[i] = aft_random_below(&r, 4) ? (aft_random_unit(&r) - 0.5) * 1500
                                           : odd[aft_random_below(&r, 10)];
        aft_exps(x, n, y);
        for (uint32_t i = 0; i < n; i++) {
            double one = aft_exp(x[i]);
            assert_memory_equal(&one, &y[i], sizeof one);
        }
        aft_exps(x, n, x);
        assert_memory_equal(x, y, n * sizeof *x);
    }
    double nothing[4] = {1, (double)NAN, 2, 3};
    aft_exps(nothing, 4, nothing);
    assert_true(isnan(nothing[1]) && nothing[2] == aft_exp(2));
}

static void
test_edges(void **state)
{
    (void)state;
    assert_true(aft_exp(0) == 1 && aft_log(1) == 0 && aft_normal_quantile(0.5) == 0);
    assert_true(aft_exp(1e9) == aft_exp(709) && aft_exp(-1e9) == aft_exp(-708) &&
                aft_exp(-1e9) > 0);
    assert_true(isnan(aft_exp((double)NAN)));
    assert_true(aft_exp2(10) == 1024 && aft_exp2(-3) == 0.125 && aft_exp2(0) == 1);
    assert_true(aft_logistic(0) == 0.5 && aft_logistic(50) <= 1 && aft_logistic(-800) > 0);
    for (double x = -30; x < 30; x += 0.37)
        assert_true(fabs(aft_logistic(x) + aft_logistic(-x) - 1) < 3e-16);
    for (double u = 0.001; u < 0.5; u += 0.013)
        assert_true(fabs(aft_normal_quantile(u) + aft_normal_quantile(1 - u)) < 1e-13);
}

static uint64_t
fold(uint64_t h, double x)
{
    uint64_t u;
    memcpy(&u, &x, 8);
    return (h ^ u) * 0x100000001b3ull;
}

static void
test_the_same_bits_everywhere(void **state)
{
    (void)state;
    struct aft_random r;
    uint64_t h = 0xcbf29ce484222325ull;
    aft_random_init(&r, 20261123, 0);
    for (int i = 0; i < 250000; i++) {
        double u = aft_random_unit(&r);
        h = fold(h, aft_exp((u - 0.5) * 200));
        h = fold(h, aft_log(aft_random_unit(&r)));
        h = fold(h, aft_normal_quantile(aft_random_unit(&r)));
        h = fold(h, aft_logistic((u - 0.5) * 60));
    }
    assert_true(h == 0x95bbb9c58cdf9d90);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_many_exps_are_those_of_one),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_the_same_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
