/* test_per_arm.c - learner.scope=per_arm of the bilinear models: theta_a x. What is learned of an arm is the arm's alone; what engines score
 * is what the learner scores; it learns what the context says of each arm. */
#include "tests/kit.h"

#include <math.h>

#include "tests/learn_kit.h"

static const char *const models[] = {"flow", "flow-squared", "vw", "bayes"};
enum { MODELS = 4 };

static struct aft_learner *
learner_of(const char *model, const char *explore)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    kit_set(&s, "learner.scope", "per_arm");
    kit_set(&s, "learner.weighting", "none");
    kit_set(&s, "features.interactions", "device*topic, device*arm_id");
    kit_set(&s, "policy.explore", explore);
    return kit_learner(&s);
}

static struct aft_model *
published(struct aft_learner *l)
{
    struct kit_follower f = {.set = aft_snapshot_set_new()};
    struct aft_model *m = NULL;
    struct aft_error e;
    kit_publish(l, 1, &f);
    assert_int_equal(aft_model_load(f.set, &m, &e), AFT_OK);
    aft_snapshot_set_free(f.set);
    return m;
}

static void
decide(const struct aft_model *m, struct kit_world *w, struct aft_decision *d, float *out)
{
    struct aft_error e;
    struct aft_request r = {.context = {w->context, 3},
                            .candidates = w->candidates,
                            .candidates_n = KIT_ARMS,
                            .k = 1,
                            .key = AFT_LITERAL("k")};
    assert_int_equal(aft_decide(m, w->scratch, &r, d, &e), AFT_OK);
    memcpy(out, d->log_weights, KIT_ARMS * sizeof *out);
}

/* Arm 3 alone is ever shown: of the others, whatever they have in common with it, nothing is known. */
static void
test_an_arm_learns_by_itself(void **state)
{
    (void)state;
    for (int k = 0; k < MODELS; k++) {
        struct kit_world w;
        struct aft_error e;
        struct aft_decision d;
        float weight[KIT_ARMS];
        struct aft_learner *l = learner_of(models[k], "softmax");
        kit_world_init(&w, kit_seed(31));
        for (int i = 0; i < 300; i++) {
            struct aft_example x = kit_open(&w, NULL);
            w.items[0].arm_id = w.candidates[3].arm_id;
            w.items[0].features = w.candidates[3].features;
            w.items[0].reward_micro = i % 5 ? AFT_MICRO : 0;
            x.items_n = 1;
            assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        }
        struct aft_model *m = published(l);
        decide(m, &w, &d, weight);
        assert_true(weight[3] > weight[0] + 1);
        for (int i = 1; i < KIT_ARMS; i++)
            assert_true(i == 3 || weight[i] == weight[0]);
        aft_model_free(m);
        aft_learner_free(l);
        kit_world_deinit(&w);
    }
}

/* It learns which arms each device likes; engines' best arm is the learner's; restored it is the same. */
static void
test_learns_serves_and_restores(void **state)
{
    (void)state;
    for (int k = 0; k < MODELS; k++) {
        struct kit_world w;
        struct aft_error e;
        struct aft_learner_stats stats;
        struct aft_learner *l = learner_of(models[k], "softmax");
        kit_world_init(&w, kit_seed(32));
        for (int i = 0; i < 4000; i++) {
            struct aft_example x = kit_open(&w, NULL);
            assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        }
        aft_learner_stats(l, &stats);
        printf("%s: progressive dr %.3f\n", models[k], stats.progressive_dr);
        assert_true(stats.progressive_dr > 0.2); /* uniform: 0.11; the best: 0.35 */
        struct aft_model *m = published(l);
        for (int i = 0; i < 50; i++) {
            struct aft_decision d;
            float weight[KIT_ARMS];
            struct aft_example x = kit_open(&w, NULL);
            uint32_t best = 0;
            decide(m, &w, &d, weight);
            for (uint32_t j = 1; j < KIT_ARMS; j++)
                best = weight[j] > weight[best] ? j : best;
            struct aft_learner *copy = learner_of(models[k], "softmax");
            struct kit_follower f = {.set = aft_snapshot_set_new()};
            struct aft_digest a, b;
            kit_publish(l, 1, &f);
            assert_int_equal(aft_learner_restore(copy, f.set, &e), AFT_OK);
            aft_learner_digest(l, &a);
            aft_learner_digest(copy, &b);
            assert_memory_equal(&a, &b, sizeof a);
            assert_int_equal(aft_learner_learn(copy, &x, &e), AFT_OK);
            assert_int_equal(aft_learner_greedy(copy), best);
            aft_snapshot_set_free(f.set);
            aft_learner_free(copy);
        }
        aft_model_free(m);
        aft_learner_free(l);
        kit_world_deinit(&w);
    }
}

/* With variances: an arm that nobody has seen is as unsure as its prior, one that was learned is surer. */
static void
test_widths(void **state)
{
    (void)state;
    static const char *const explores[] = {"ucb", "thompson"};
    for (int k = 0; k < 2 * MODELS; k++) {
        struct kit_world w;
        struct aft_error e;
        struct aft_decision d;
        float weight[KIT_ARMS];
        struct aft_learner *l = learner_of(models[k / 2], explores[k % 2]);
        kit_world_init(&w, kit_seed(33));
        for (int i = 0; i < 500; i++) {
            struct aft_example x = kit_open(&w, NULL);
            assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        }
        struct aft_model *m = published(l);
        decide(m, &w, &d, weight);
        for (int i = 0; i < KIT_ARMS; i++)
            assert_true(isfinite(weight[i]));
        assert_int_equal(d.n, 1);
        assert_true(d.slots[0].propensity > 0 && d.slots[0].propensity <= 1);
        aft_model_free(m);
        aft_learner_free(l);
        kit_world_deinit(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_arm_learns_by_itself),
        cmocka_unit_test(test_learns_serves_and_restores),
        cmocka_unit_test(test_widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
