/* test_0005 - with join.emit=rewarded an impression that got nothing by join.open.after has no OPEN: the first example that a new learner
 * sees may be a REVISE. The flow has no table then, and wrote through a null pointer. There is nothing to move: it counts and goes on.
 */
#include "tests/kit.h"

#include <stdio.h>

#include "tests/learn_kit.h"

static void
a_revision_may_come_first(void **state)
{
    static const char *const models[] = {"flow", "ridge"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kit_world w;
        struct aft_learner_settings s;
        struct aft_error e;
        struct aft_learner_stats stats;
        aft_learner_settings_default(&s);
        kit_set(&s, "learner.model", models[i]);
        kit_world_init(&w, 1);
        struct aft_learner *l = kit_learner(&s);
        struct aft_example x = kit_open(&w, NULL);
        x.phase = AFT_REVISE;
        w.items[0].reward_micro = w.items[0].delta_micro = AFT_MICRO;
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        x = kit_open(&w, NULL);
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        aft_learner_stats(l, &stats);
        assert_int_equal(stats.revised, 1);
        assert_int_equal(stats.learned, KIT_SLOTS);
        aft_learner_free(l);
        kit_world_deinit(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_revision_may_come_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
