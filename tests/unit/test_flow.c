/* test_flow.c - the exact logistic step against its differential equation; the model that uses it, early and late. */
#include "tests/kit.h"

#include <math.h>

#include "tests/learn_kit.h"

/* df/da = t - logistic(f) by the classic fourth-order method. */
static double
integrate(double f, double t, double a, int steps)
{
    double h = a / steps;
    for (int i = 0; i < steps; i++) {
        double k1 = t - 1 / (1 + exp(-f)), k2 = t - 1 / (1 + exp(-(f + h / 2 * k1)));
        double k3 = t - 1 / (1 + exp(-(f + h / 2 * k2))), k4 = t - 1 / (1 + exp(-(f + h * k3)));
        f += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
    return f;
}

static void
test_step_solves_its_equation(void **state)
{
    (void)state;
    const double labels[] = {0, 1, 0.05, 0.2, 0.5, 0.7, 0.999};
    for (int i = 0; i < 7; i++)
        for (double f = -8; f <= 8; f += 0.7)
            for (double a = 1e-4; a < 100; a *= 7) {
                double have = aft_logistic_flow(f, labels[i], a);
                assert_true(fabs(have - integrate(f, labels[i], a, 20000)) < 1e-8);
            }
}

static void
test_step_never_overshoots(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(13), 0);
    assert_true(fabs(aft_logistic_flow(0, 0.2, 1000) - log(0.25)) < 1e-9);
    for (long i = 0; i < kit_rounds(20000); i++) {
        double t = aft_random_unit(&r), f = 8 * aft_random_normal(&r), limit = log(t / (1 - t));
        double a = exp(6 * aft_random_normal(&r)), b = aft_logistic_flow(f, t, a);
        assert_true(f < limit ? b >= f && b <= limit + 1e-12 : b <= f && b >= limit - 1e-12);
        /* twice half a step = one step */
        double twice = aft_logistic_flow(aft_logistic_flow(f, t, a / 2), t, a / 2);
        assert_true(fabs(twice - b) < 1e-9 * (1 + fabs(b)));
    }
}

static struct aft_learner *
flow_learner(void)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", "flow");
    kit_set(&s, "learner.weighting", "none");
    return kit_learner(&s);
}

static double
progressive(struct aft_learner *l)
{
    struct aft_learner_stats st;
    aft_learner_stats(l, &st);
    return st.progressive_dr;
}

/* Clicks that come a hundred decisions late teach nearly as well as clicks at once, and far better than none. */
static void
test_late_clicks_teach(void **state)
{
    (void)state;
    enum { N = 4000, LATE = 100 };
    struct aft_error e;
    struct kit_world at_once, late;
    static struct {
        struct kit_world w;
        struct aft_example x;
        int64_t reward[KIT_SLOTS];
    } queue[LATE];
    kit_world_init(&at_once, kit_seed(14));
    kit_world_init(&late, kit_seed(14));
    struct aft_learner *a = flow_learner(), *b = flow_learner();
    for (int i = 0; i < N; i++) {
        struct aft_example x = kit_open(&at_once, NULL);
        assert_int_equal(aft_learner_learn(a, &x, &e), AFT_OK);
        int q = i % LATE;
        if (i >= LATE) { /* what was opened a hundred ago */
            queue[q].x.phase = AFT_REVISE;
            for (int j = 0; j < KIT_SLOTS; j++)
                queue[q].w.items[j].reward_micro = queue[q].w.items[j].delta_micro =
                    queue[q].reward[j];
            assert_int_equal(aft_learner_learn(b, &queue[q].x, &e), AFT_OK);
        }
        x = kit_open(&late, NULL);
        queue[q].w = late;
        queue[q].x = x;
        queue[q].x.context.v = queue[q].w.context;
        queue[q].x.items = queue[q].w.items;
        for (int j = 0; j < KIT_SLOTS; j++) {
            queue[q].reward[j] = late.items[j].reward_micro;
            queue[q].w.items[j].reward_micro = 0;
        }
        assert_int_equal(aft_learner_learn(b, &queue[q].x, &e), AFT_OK);
    }
    struct kit_follower fa = {.set = aft_snapshot_set_new()}, fb = {.set = aft_snapshot_set_new()};
    struct aft_model *ma = NULL, *mb = NULL;
    kit_publish(a, 1, &fa);
    kit_publish(b, 1, &fb);
    assert_int_equal(aft_model_load(fa.set, &ma, &e), AFT_OK);
    assert_int_equal(aft_model_load(fb.set, &mb, &e), AFT_OK);
    double sum[3] = {0};
    for (int i = 0; i < 1500; i++)
        for (int k = 0; k < 3; k++) {
            struct aft_example x = kit_open(&at_once, (struct aft_model *[]){NULL, ma, mb}[k]);
            sum[k] += kit_chance(&at_once, (uint32_t)atoi((const char *)x.items[0].arm_id.p + 4));
        }
    printf("uniform %.3f, at once %.3f, late %.3f; progressive %.3f\n", sum[0] / 1500,
           sum[1] / 1500, sum[2] / 1500, progressive(a));
    assert_true(sum[1] > 1.8 * sum[0]);
    assert_true(sum[2] > 0.85 * sum[1]);
    assert_true(progressive(a) > 0.2); /* the greedy arm's: up to about 0.34 */
    aft_model_free(ma);
    aft_model_free(mb);
    aft_snapshot_set_free(fa.set);
    aft_snapshot_set_free(fb.set);
    aft_learner_free(a);
    aft_learner_free(b);
    kit_world_deinit(&at_once);
    kit_world_deinit(&late);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_solves_its_equation),
        cmocka_unit_test(test_step_never_overshoots),
        cmocka_unit_test(test_late_clicks_teach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
