/* test_fmath_mpfr.c - our exp, log, quantile, logistic and exp2 against MPFR at 200 bits: none is further from the truth than base/fmath.h
 * says (below one ulp, but for logistic), over the whole of its domain. Built where libmpfr-dev is (./test installs it). */
#include "tests/kit.h"

#include <math.h>

#include <mpfr.h>

#include "base/base.h"

enum { BITS = 200 };

struct truth {
    mpfr_t x, y, z, have;
};

static void
truth_init(struct truth *t)
{
    mpfr_init2(t->x, BITS);
    mpfr_init2(t->y, BITS);
    mpfr_init2(t->z, BITS);
    mpfr_init2(t->have, BITS);
}

static void
truth_clear(struct truth *t)
{
    mpfr_clear(t->x);
    mpfr_clear(t->y);
    mpfr_clear(t->z);
    mpfr_clear(t->have);
    mpfr_free_cache();
}

/* |have - y| in ulps of the double nearest to y. */
static double
ulps(struct truth *t, double have)
{
    double near = fabs(mpfr_get_d(t->y, MPFR_RNDN));
    double ulp = nextafter(near, (double)INFINITY) - near;
    mpfr_set_d(t->have, have, MPFR_RNDN);
    mpfr_sub(t->have, t->have, t->y, MPFR_RNDN);
    mpfr_div_d(t->have, t->have, ulp, MPFR_RNDN);
    return fabs(mpfr_get_d(t->have, MPFR_RNDN));
}

static double
of_exp(struct truth *t, double x)
{
    mpfr_set_d(t->x, x, MPFR_RNDN);
    mpfr_exp(t->y, t->x, MPFR_RNDN);
    return ulps(t, aft_exp(x));
}

static double
of_exp2(struct truth *t, double x)
{
    mpfr_set_d(t->x, x, MPFR_RNDN);
    mpfr_exp2(t->y, t->x, MPFR_RNDN);
    return ulps(t, aft_exp2(x));
}

static double
of_log(struct truth *t, double x)
{
    if (x == 1)
        return aft_log(x) == 0 ? 0 : 2;
    mpfr_set_d(t->x, x, MPFR_RNDN);
    mpfr_log(t->y, t->x, MPFR_RNDN);
    return ulps(t, aft_log(x));
}

static double
of_logistic(struct truth *t, double x)
{
    mpfr_set_d(t->x, -x, MPFR_RNDN);
    mpfr_exp(t->y, t->x, MPFR_RNDN);
    mpfr_add_ui(t->y, t->y, 1, MPFR_RNDN);
    mpfr_ui_div(t->y, 1, t->y, MPFR_RNDN);
    return ulps(t, aft_logistic(x));
}

/* The true quantile by one step of Newton from ours, which is right to 2^-50 or so: the law's tail there, less u, by the density. */
static double
of_quantile(struct truth *t, double u)
{
    double q = aft_normal_quantile(u);
    if (u == 0.5)
        return q == 0 ? 0 : 2;
    mpfr_set_ui(t->z, 2, MPFR_RNDN);
    mpfr_sqrt(t->z, t->z, MPFR_RNDN);
    mpfr_set_d(t->x, -q, MPFR_RNDN);
    mpfr_div(t->z, t->x, t->z, MPFR_RNDN);
    mpfr_erfc(t->y, t->z, MPFR_RNDN);
    mpfr_div_ui(t->y, t->y, 2, MPFR_RNDN);
    mpfr_sub_d(t->y, t->y, u, MPFR_RNDN);
    mpfr_sqr(t->z, t->z, MPFR_RNDN);
    mpfr_exp(t->z, t->z, MPFR_RNDN); /* exp(q^2 / 2) */
    mpfr_mul(t->y, t->y, t->z, MPFR_RNDN);
    mpfr_const_pi(t->z, MPFR_RNDN);
    mpfr_mul_ui(t->z, t->z, 2, MPFR_RNDN);
    mpfr_sqrt(t->z, t->z, MPFR_RNDN);
    mpfr_mul(t->y, t->y, t->z, MPFR_RNDN);
    mpfr_d_sub(t->y, q, t->y, MPFR_RNDN);
    return ulps(t, q);
}

static double
keep_worst(double *worst, double now)
{
    return *worst = now > *worst ? now : *worst;
}

static void
test_within_what_is_claimed(void **state)
{
    (void)state;
    struct aft_random r;
    struct truth t;
    double e = 0, e2 = 0, l = 0, q = 0, s = 0;
    aft_random_init(&r, kit_seed(17), 0);
    truth_init(&t);
    for (long i = 0; i < kit_rounds(40000); i++) {
        double u = aft_random_unit(&r), span = i & 1 ? 1400 : 4;
        double tiny = ldexp(0.5 + u / 2, -(int)aft_random_below(&r, 53));
        keep_worst(&e, of_exp(&t, (u - 0.5) * span));
        keep_worst(&e2, of_exp2(&t, (u - 0.5) * span));
        keep_worst(&s, of_logistic(&t, (u - 0.5) * (i & 1 ? 1200 : 80)));
        keep_worst(&l, of_log(&t, i & 1 ? ldexp(1 + u, (int)aft_random_below(&r, 2000) - 1000)
                                        : 1 + (u - 0.5) * tiny));
        keep_worst(&q, of_quantile(&t, i & 1 ? u : tiny));
    }
    truth_clear(&t);
    printf("worst, in ulps: exp %.3f exp2 %.3f log %.3f quantile %.3f logistic %.3f\n", e, e2, l, q,
           s);
    assert_true(e < 0.53 && l < 0.77 && q < 0.6);
    assert_true(e2 < 0.53 && s < 2); /* logistic: a quotient of what is rounded already */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_within_what_is_claimed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
