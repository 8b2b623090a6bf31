/* test_0015 - a round in which a new learner saw revisions alone has arms, and no column yet. The drift of the weights is then that of nothing;
 * an assertion took the empty image for memory that could not be had, and the service ended.
 */
#include "tests/kit.h"

#include <math.h>
#include <stdio.h>

#include "tests/learn_kit.h"

static void
a_round_of_revisions_alone(void **state)
{
    static const char *const models[] = {"flow",  "flow-squared", "vw",
                                         "ridge", "bayes",        "bayes-full"};
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct kit_world w;
        struct aft_learner_settings s;
        struct aft_error e;
        struct aft_learner_stats stats;
        aft_learner_settings_default(&s);
        kit_set(&s, "learner.model", models[i]);
        kit_world_init(&w, 1);
        struct aft_learner *l = kit_learner(&s);
        struct aft_rounds *rounds = aft_rounds_new(1);
        struct aft_example x = kit_open(&w, NULL);
        x.phase = AFT_REVISE;
        w.items[0].reward_micro = w.items[0].delta_micro = AFT_MICRO;
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        assert_int_equal(aft_rounds_learn(rounds, NULL, 0, l, &e), AFT_OK);
        x = kit_open(&w, NULL);
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        assert_int_equal(aft_rounds_learn(rounds, NULL, 0, l, &e), AFT_OK);
        aft_learner_stats(l, &stats);
        assert_true(isfinite(stats.drift) && stats.drift >= 0);
        aft_rounds_free(rounds);
        aft_learner_free(l);
        kit_world_deinit(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_round_of_revisions_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
