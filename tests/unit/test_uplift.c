/* Uplift: against a bootstrap over users on made-up data, its coverage of the truth, and its edges. */
#include "tests/kit.h"

#include <math.h>

#include "evaluate/evaluate.h"

enum { USERS = 400, DRAWS = 2000 };

struct user {
    double y, d;
};

/* A user has 1..30 tiles and an inclination of his own: clicks within him hang together. */
static void
make(struct aft_random *r, double ctr, struct user *u, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        double own = ctr * aft_exp(0.6 * aft_random_normal(r) - 0.18);
        u[i] = (struct user){0, 1 + aft_random_below(r, 30)};
        for (uint32_t t = 0; t < (uint32_t)u[i].d; t++)
            u[i].y += aft_random_unit(r) < own;
    }
}

static struct aft_ratio
ratio_of(const struct user *u, uint32_t n)
{
    struct aft_ratio r = {0};
    for (uint32_t i = 0; i < n; i++)
        aft_ratio_add(&r, u[i].y, u[i].d);
    return r;
}

static double
resampled(struct aft_random *r, const struct user *u, uint32_t n)
{
    double y = 0, d = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct user *x = &u[aft_random_below(r, n)];
        y += x->y;
        d += x->d;
    }
    return y / d;
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
agrees_with_a_bootstrap(void **state)
{
    (void)state;
    struct aft_random r;
    static struct user a[USERS], b[USERS];
    static double draws[DRAWS];
    struct aft_interval x;
    aft_random_init(&r, kit_seed(11), 0);
    make(&r, 0.12, a, USERS);
    make(&r, 0.07, b, USERS);
    struct aft_ratio ra = ratio_of(a, USERS), rb = ratio_of(b, USERS);
    assert_true(aft_uplift(&ra, &rb, AFT_Z_95, &x));
    for (int i = 0; i < DRAWS; i++)
        draws[i] = resampled(&r, a, USERS) / resampled(&r, b, USERS) - 1;
    qsort(draws, DRAWS, sizeof *draws, by_value);
    double low = draws[DRAWS * 25 / 1000], high = draws[DRAWS * 975 / 1000];
    double width = high - low;
    printf("uplift %.4f [%.4f, %.4f], bootstrap [%.4f, %.4f]\n", x.estimate, x.low, x.high, low,
           high);
    assert_true(fabs(x.low - low) < 0.15 * width);
    assert_true(fabs(x.high - high) < 0.15 * width);
}

/* 95 % of intervals hold the truth: with 600 of them, between 92 % and 98 % (more than 3 standard errors either way). */
static void
covers_the_truth(void **state)
{
    (void)state;
    struct aft_random r;
    static struct user a[150], b[150];
    aft_random_init(&r, kit_seed(12), 0);
    int held = 0, rounds = 600;
    for (int i = 0; i < rounds; i++) {
        struct aft_interval x;
        make(&r, 0.15, a, 150);
        make(&r, 0.10, b, 150);
        struct aft_ratio ra = ratio_of(a, 150), rb = ratio_of(b, 150);
        assert_true(aft_uplift(&ra, &rb, AFT_Z_95, &x));
        held += x.low <= 0.5 && 0.5 <= x.high;
    }
    printf("%d of %d intervals hold the truth\n", held, rounds);
    assert_in_range(held, rounds * 92 / 100, rounds * 98 / 100);
}

static void
says_nothing_where_nothing_can_be_said(void **state)
{
    (void)state;
    struct aft_ratio none = {0}, one = {0}, two = {0}, zero = {0};
    struct aft_interval x;
    aft_ratio_add(&none, 5, 0); /* no tiles: no user */
    assert_int_equal(none.users, 0);
    aft_ratio_add(&one, 1, 10);
    aft_ratio_add(&two, 1, 10);
    aft_ratio_add(&two, 3, 20);
    aft_ratio_add(&zero, 0, 10);
    aft_ratio_add(&zero, 0, 20);
    assert_false(aft_uplift(&none, &two, AFT_Z_95, &x));
    assert_false(aft_uplift(&one, &two, AFT_Z_95, &x));
    assert_false(aft_uplift(&two, &zero, AFT_Z_95, &x));
    assert_true(aft_uplift(&two, &two, AFT_Z_95, &x));
    assert_true(x.estimate == 0 && x.low < 0 && x.high > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_bootstrap),
        cmocka_unit_test(covers_the_truth),
        cmocka_unit_test(says_nothing_where_nothing_can_be_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
