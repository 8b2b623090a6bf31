/* test_ridge.c - the additive model against a direct solve; late credit against waiting; the factor made anew against rank-one
 * steps. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "learner/learner.h"

enum { D = 12 };

struct direct {
    double a[D][D], b[D];
};

static void
direct_add(struct direct *d, const double *x, double h, double r)
{
    for (int i = 0; i < D; i++) {
        d->b[i] += h * r * x[i];
        for (int j = 0; j < D; j++)
            d->a[i][j] += h * x[i] * x[j];
    }
}

/* Gaussian elimination with pivoting: nothing in common with the code under test. */
static void
direct_solve(const struct direct *d, const double *right, double *out)
{
    double m[D][D + 1];
    for (int i = 0; i < D; i++) {
        memcpy(m[i], d->a[i], sizeof d->a[i]);
        m[i][D] = right[i];
    }
    for (int c = 0; c < D; c++) {
        int p = c;
        for (int i = c; i < D; i++)
            p = fabs(m[i][c]) > fabs(m[p][c]) ? i : p;
        for (int j = 0; j <= D; j++) {
            double swap = m[c][j];
            m[c][j] = m[p][j];
            m[p][j] = swap;
        }
        for (int i = c + 1; i < D; i++)
            for (int j = D; j >= c; j--)
                m[i][j] -= m[i][c] / m[c][c] * m[c][j];
    }
    for (int i = D - 1; i >= 0; i--) {
        out[i] = m[i][D];
        for (int j = i + 1; j < D; j++)
            out[i] -= m[i][j] * out[j];
        out[i] /= m[i][i];
    }
}

static struct aft_sparse
random_x(struct aft_random *r, double *dense)
{
    struct aft_sparse x = {.n = 0};
    for (uint32_t i = 0; i < D; i++) {
        dense[i] = aft_random_below(r, 3) ? aft_random_normal(r) : 0;
        if (dense[i] != 0) {
            x.column[x.n] = i;
            x.value[x.n++] = dense[i];
        }
    }
    return x;
}

static void
model_init(struct aft_linear *m, struct aft_ridge *r, double lambda)
{
    memset(r, 0, sizeof *r);
    aft_linear_init(m, lambda, 1);
    aft_linear_add_block(m);
    aft_linear_block_grow(m, 0, D);
    aft_ridge_match(r, m);
}

static void
test_equals_a_direct_solve(void **state)
{
    (void)state;
    struct aft_random random;
    aft_random_init(&random, kit_seed(11), 0);
    for (int n = 1; n <= 10000; n = n * 3 + 1) { /* past a refactoring too */
        struct aft_linear m;
        struct aft_ridge r;
        struct direct d = {.b = {0}};
        double dense[D], theta[D], solved[D], y[AFT_LINEAR_COLUMNS];
        model_init(&m, &r, 0.5);
        for (int i = 0; i < D; i++)
            d.a[i][i] = 0.5;
        for (int i = 0; i < n; i++) {
            struct aft_sparse x = random_x(&random, dense);
            double h = 0.1 + 10 * aft_random_unit(&random), reward = aft_random_unit(&random);
            aft_ridge_learn(&r, &m, 0, &x, h, reward);
            direct_add(&d, dense, h, reward);
        }
        direct_solve(&d, d.b, theta);
        for (int i = 0; i < D; i++)
            assert_true(fabs(m.blocks[0].theta[i] - theta[i]) < 1e-9);
        struct aft_sparse x = random_x(&random, dense);
        aft_linear_apply(&m.blocks[0], &x, y);
        direct_solve(&d, dense, solved);
        for (int i = 0; i < D; i++)
            assert_true(fabs(y[i] - solved[i]) < 1e-9);
        for (uint32_t i = 0; i < D; i++) /* symmetric, bit for bit */
            for (uint32_t j = 0; j < i; j++)
                assert_true(m.blocks[0].cov[i * m.blocks[0].stride + j] ==
                            m.blocks[0].cov[j * m.blocks[0].stride + i]);
        aft_ridge_deinit(&r);
        aft_linear_deinit(&m);
    }
}

/* Rewards that come later, in pieces, some taken back: after all of them the model is the one that had waited. */
static void
test_late_credit_equals_waiting(void **state)
{
    (void)state;
    enum { N = 9000 };
    struct aft_linear late, wait;
    struct aft_ridge rl, rw;
    struct aft_random random;
    static struct aft_sparse x[N];
    static double h[N], reward[N], given[N];
    aft_random_init(&random, kit_seed(12), 0);
    model_init(&late, &rl, 1);
    model_init(&wait, &rw, 1);
    for (int i = 0; i < N; i++) {
        double dense[D];
        x[i] = random_x(&random, dense);
        h[i] = 0.2 + 5 * aft_random_unit(&random);
        reward[i] = aft_random_unit(&random);
        given[i] = aft_random_below(&random, 2) ? 0 : aft_random_unit(&random);
        aft_ridge_learn(&rl, &late, 0, &x[i], h[i], given[i]);
        aft_ridge_learn(&rw, &wait, 0, &x[i], h[i], reward[i]);
        int j = (int)aft_random_below(&random, (uint32_t)i + 1);
        double delta = aft_random_unit(&random) - 0.5;
        aft_ridge_revise(&rl, &late, 0, &x[j], h[j], delta);
        given[j] += delta;
    }
    for (int i = 0; i < N; i++)
        aft_ridge_revise(&rl, &late, 0, &x[i], h[i], reward[i] - given[i]);
    for (int i = 0; i < D; i++)
        assert_true(fabs(late.blocks[0].theta[i] - wait.blocks[0].theta[i]) < 1e-9);
    for (uint32_t i = 0; i < D * late.blocks[0].stride; i++)
        assert_true(late.blocks[0].cov[i] == wait.blocks[0].cov[i]); /* A never saw a reward */
    aft_ridge_deinit(&rl);
    aft_ridge_deinit(&rw);
    aft_linear_deinit(&late);
    aft_linear_deinit(&wait);
}

/* Terms past the room share reserved columns, are counted, and the same for serving as for learning. */
static void
test_overflow_is_shared_not_lost(void **state)
{
    (void)state;
    struct aft_linear m;
    struct aft_sparse x = {.n = 0};
    struct aft_term t[600];
    aft_linear_init(&m, 1, 1);
    for (uint32_t i = 0; i < 600; i++)
        t[i] = (struct aft_term){0x9e3779b97f4a7c15ull * (i + 1), 1, false, 0};
    uint32_t room = AFT_LINEAR_COLUMNS - AFT_LINEAR_RESERVED;
    assert_int_equal(aft_linear_sparse(&m, t, room - 1, true, &x), 0);
    assert_int_equal(aft_linear_columns(&m), room - 1);
    x = (struct aft_sparse){.n = 0};
    aft_linear_resolve(&m, t + 598, 1, &x); /* unknown while there is room */
    assert_true(x.n == 0 && x.unknown == 1);
    x = (struct aft_sparse){.n = 0};
    assert_true(aft_linear_sparse(&m, t, 600, true, &x) > 0);
    assert_int_equal(aft_linear_columns(&m), AFT_LINEAR_COLUMNS);
    double sum = 0;
    for (uint32_t i = 0; i < x.n; i++)
        sum += x.value[i];
    assert_true(sum == 600);
    x = (struct aft_sparse){.n = 0};
    aft_linear_resolve(&m, t + 598, 1, &x);
    assert_true(x.n == 1 && x.column[0] >= room);
    aft_linear_deinit(&m);
}

/* However seldom A is settled, in blocks that take turns and that grow: each element is the sum in the order of learning, bit for bit. */
static void
test_a_is_summed_in_order(void **state)
{
    (void)state;
    enum { BLOCKS = 2, WIDE = 3 * D };
    struct aft_linear m;
    struct aft_ridge r = {.n = 0};
    struct aft_random random;
    static double want[BLOCKS][WIDE][WIDE];
    uint32_t d = D;
    aft_random_init(&random, kit_seed(14), 0);
    aft_linear_init(&m, 2, 1);
    for (uint32_t k = 0; k < BLOCKS; k++) {
        aft_linear_add_block(&m);
        aft_linear_block_grow(&m, k, D);
        for (uint32_t i = 0; i < WIDE; i++)
            want[k][i][i] = 2;
    }
    aft_ridge_match(&r, &m);
    for (int n = 0; n < 3000; n++) {
        uint32_t block = aft_random_below(&random, 20) == 0, few = aft_random_below(&random, 9);
        struct aft_sparse x = {.n = 0};
        double h = 0.2 + aft_random_unit(&random);
        for (uint32_t i = 0; i < d; i++)
            if (few || aft_random_below(&random, 4) == 0) {
                x.column[x.n] = i;
                x.value[x.n++] = aft_random_normal(&random);
            }
        aft_ridge_learn(&r, &m, block, &x, h, aft_random_unit(&random));
        for (uint32_t i = 0; i < x.n; i++)
            for (uint32_t j = 0; j <= i; j++)
                want[block][x.column[i]][x.column[j]] += h * x.value[i] * x.value[j];
        if (n % 700 == 699) {
            d += D / 2;
            for (uint32_t k = 0; k < BLOCKS; k++)
                aft_linear_block_grow(&m, k, d);
            aft_ridge_match(&r, &m);
        }
        if (aft_random_below(&random, 40))
            continue;
        aft_ridge_settle(&r);
        for (uint32_t k = 0; k < BLOCKS; k++)
            for (uint32_t i = 0; i < d; i++)
                for (uint32_t j = 0; j <= i; j++)
                    assert_true(r.blocks[k].a[i * r.blocks[k].stride + j] == want[k][i][j]);
    }
    aft_ridge_deinit(&r);
    aft_linear_deinit(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_a_direct_solve),
        cmocka_unit_test(test_late_credit_equals_waiting),
        cmocka_unit_test(test_overflow_is_shared_not_lost),
        cmocka_unit_test(test_a_is_summed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
