/* test_quadratic.c - x' C x by float32 factors against x' C x by C: random matrices, and the ones where C's entries cancel. */
#include "tests/kit.h"

#include <math.h>

#include "policy/inner.h"

/* A = I + sum of n outer products of constant and one-hot: collinear, so that C = A^-1 cancels. */
static void
collinear(struct aft_random *r, uint32_t d, long n, struct aft_linear_block *b)
{
    double x[AFTI_FORM_COLUMNS], y[AFTI_FORM_COLUMNS];
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j < d; j++)
            b->cov[(size_t)i * b->stride + j] = i == j;
    for (long t = 0; t < n; t++) {
        double q = 1;
        uint32_t hot = 1 + aft_random_below(r, d > 1 ? d - 1 : 1);
        for (uint32_t i = 0; i < d; i++)
            x[i] = i == 0 || i == hot;
        for (uint32_t i = 0; i < d; i++) {
            y[i] = 0;
            for (uint32_t j = 0; j < d; j++)
                y[i] += b->cov[(size_t)i * b->stride + j] * x[j];
            q += y[i] * x[i];
        }
        for (uint32_t i = 0; i < d; i++)
            for (uint32_t j = 0; j < d; j++)
                b->cov[(size_t)i * b->stride + j] -= y[i] * y[j] / q;
    }
}

static double
plainly(const struct aft_linear_block *b, const double *x)
{
    double sum = 0;
    for (uint32_t i = 0; i < b->d; i++)
        for (uint32_t j = 0; j < b->d; j++)
            sum += x[i] * b->cov[(size_t)i * b->stride + j] * x[j];
    return sum;
}

static void
test_a_form_is_its_matrix(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(31), 0);
    for (long round = 0; round < kit_rounds(60); round++) {
        static struct aft_model m;
        m = (struct aft_model){.weights.kind = AFT_MODEL_RIDGE};
        uint32_t d = 1 + aft_random_below(&r, round % 10 ? 60 : AFTI_FORM_COLUMNS);
        aft_weights_init(&m.weights, AFT_MODEL_RIDGE, 1);
        aft_linear_init(&m.weights.linear, 1, 1);
        aft_policy_settings_default(&m.plan.settings);
        m.plan.settings.explore = AFT_EXPLORE_LINUCB;
        m.plan.settings.scope = AFT_SCOPE_PER_ARM;
        for (uint32_t i = 0; i < d; i++)
            aft_dict_add(&m.weights.linear.columns, 77 + i);
        for (uint32_t k = 0; k < 2; k++) {
            aft_linear_add_block(&m.weights.linear);
            aft_linear_block_grow(&m.weights.linear, k, d);
            collinear(&r, d, round % 3 ? 2000 : 50, aft_linear_block(&m.weights.linear, k, 0));
        }
        const struct aft_linear_block *b = aft_linear_block(&m.weights.linear, 0, 0);
        size_t size = afti_form_size(d);
        afti_forms_make(&m);
        assert_non_null(m.forms);
        for (int k = 0; k < 10; k++) {
            double x[AFTI_FORM_COLUMNS], scale;
            float x32[AFTI_FORM_COLUMNS];
            uint32_t hot = aft_random_below(&r, d);
            for (uint32_t i = 0; i < d; i++)
                x[i] = k < 5 ? (i == 0 || i == hot) : 1e10 * aft_random_normal(&r);
            scale = afti_form_scaled(x, d, x32);
            double have = scale * scale * afti_form_square(m.forms, x32, d), want = plainly(b, x);
            if (fabs(have - want) > 2e-4 * want)
                fail_msg("d = %u: %.9g, should be %.9g", d, have, want);
            double both[2], other = afti_form_square(m.forms + size, x32, d);
            afti_form_squares((const float *const[]){m.forms, m.forms + size}, x32, d, both);
            assert_true(scale * scale * both[0] == have && both[1] == other);
        }
        free(m.forms);
        aft_weights_deinit(&m.weights);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_form_is_its_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
