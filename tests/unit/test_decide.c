/* test_decide.c - one decision end to end with the model that knows nothing: uniform, exact, repeatable; and what is refused. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "policy/policy.h"

static struct aft_candidate arms[20];
static char names[20][8];

static void
setup_arms(void)
{
    memset(arms, 0, sizeof arms);
    for (int i = 0; i < 20; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        arms[i].arm_id = aft_text(names[i]);
    }
}

static void
test_uniform_is_uniform(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_model *m = aft_model_uniform();
    struct aft_scratch *s = aft_scratch_new();
    long first[20] = {0}, n = 20000;
    setup_arms();
    arms[7].mask = arms[11].mask = AFT_LITERAL("capped");
    for (long i = 0; i < n; i++) {
        char key[32];
        struct aft_decision d, again;
        snprintf(key, sizeof key, "decision-%ld", i);
        struct aft_request r = {
            .candidates = arms, .candidates_n = 20, .k = 3, .key = aft_text(key)};
        assert_int_equal(aft_decide(m, s, &r, &d, &e), AFT_OK);
        assert_int_equal(d.n, 3);
        assert_int_equal(d.propensity_kind, AFT_PROPENSITY_EXACT);
        double prefix = 1;
        for (uint32_t l = 0; l < 3; l++) {
            assert_true(fabs(d.slots[l].propensity - 1.0 / (18 - l)) < 1e-15);
            assert_true(fabs(d.slots[l].marginal - 1.0 / 18) < 1e-15);
            assert_true(d.slots[l].has_marginal);
            prefix *= d.slots[l].propensity;
            assert_true(d.slots[l].prefix == prefix);
            assert_false(arms[d.slots[l].candidate].mask.p);
        }
        assert_true(isinf(d.log_weights[7]) && d.log_weights[0] == 0);
        first[d.slots[0].candidate]++;
        assert_int_equal(aft_decide(m, s, &r, &again, &e), AFT_OK);
        for (uint32_t l = 0; l < 3; l++)
            assert_true(d.slots[l].candidate == again.slots[l].candidate &&
                        d.slots[l].propensity == again.slots[l].propensity);
    }
    double chi = 0, want = (double)n / 18;
    for (int i = 0; i < 20; i++)
        if (!arms[i].mask.p)
            chi += ((double)first[i] - want) * ((double)first[i] - want) / want;
    assert_true(chi < 62); /* 17 degrees of freedom, 1e-6: 60.6 */
    aft_scratch_free(s);
    aft_model_free(m);
}

static void
test_short_of_candidates(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_model *m = aft_model_uniform();
    struct aft_scratch *s = aft_scratch_new();
    struct aft_decision d;
    setup_arms();
    struct aft_request r = {.candidates = arms, .candidates_n = 2, .k = 3, .key = AFT_LITERAL("k")};
    assert_int_equal(aft_decide(m, s, &r, &d, &e), AFT_OK);
    assert_int_equal(d.n, 2);
    assert_true(d.slots[1].propensity == 1);
    r.k = 0;
    assert_int_equal(aft_decide(m, s, &r, &d, &e), AFT_E_VALUE);
    r.k = 9;
    assert_int_equal(aft_decide(m, s, &r, &d, &e), AFT_E_VALUE);
    r.k = 3;
    r.candidates_n = 0;
    assert_int_equal(aft_decide(m, s, &r, &d, &e), AFT_E_VALUE);
    r.candidates_n = AFT_CANDIDATES_MAX + 1;
    assert_int_equal(aft_decide(m, s, &r, &d, &e), AFT_E_LIMIT);
    aft_scratch_free(s);
    aft_model_free(m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_is_uniform),
        cmocka_unit_test(test_short_of_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
