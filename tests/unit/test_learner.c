/* test_learner.c - the whole way: examples -> learner -> snapshot -> set -> model -> decisions; and back: restore and go on. */
#include "tests/kit.h"

#include <math.h>

#include "tests/learn_kit.h"

static const char *const flavours[][2] = {
    {"ridge", "shared"},
    {"ridge", "per_arm"},
    {"flow", "shared"},
};
static const char *const explores[] = {"epsilon_greedy", "softmax", "linucb", "thompson"};

static struct aft_learner_settings
settings_of(int flavour, const char *explore)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "features.interactions", "device*topic, device*slot");
    kit_set(&s, "features.buckets.days", "7,14,30,60");
    kit_set(&s, "learner.model", flavours[flavour][0]);
    kit_set(&s, "learner.scope", flavours[flavour][1]);
    kit_set(&s, "policy.explore", explore);
    return s;
}

static void
learn(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_error e;
    if (aft_learner_learn(l, x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

/* An example's way: opened without its clicks, revised with them, settled. */
static void
learn_late(struct aft_learner *l, struct aft_example x, struct kit_world *w)
{
    int64_t reward[KIT_SLOTS];
    for (uint32_t i = 0; i < x.items_n; i++) {
        reward[i] = w->items[i].reward_micro;
        w->items[i].reward_micro = 0;
    }
    learn(l, &x);
    x.phase = AFT_REVISE;
    for (uint32_t i = 0; i < x.items_n; i++)
        w->items[i].reward_micro = w->items[i].delta_micro = reward[i];
    learn(l, &x);
    x.phase = AFT_SETTLE;
    learn(l, &x);
}

static double
ctr(struct kit_world *w, const struct aft_model *m, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        struct aft_example x = kit_open(w, m);
        for (uint32_t j = 0; j < x.items_n; j++)
            sum += kit_chance(w, (uint32_t)atoi((const char *)x.items[j].arm_id.p + 4));
    }
    return sum / n;
}

static void
test_learning_pays(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(5);
    for (int f = 0; f < 3; f++)
        for (int x = 0; x < 4; x++) {
            struct kit_world w;
            struct aft_error e;
            struct aft_model *m = NULL;
            struct aft_learner_settings s = settings_of(f, explores[x]);
            struct aft_learner *l = kit_learner(&s);
            struct kit_follower follower = {.set = aft_snapshot_set_new()};
            kit_world_init(&w, seed);
            for (int i = 0; i < 3000; i++)
                learn_late(l, kit_open(&w, NULL), &w);
            kit_publish(l, 1, &follower);
            assert_int_equal(follower.whole, 1);
            assert_int_equal(aft_model_load(follower.set, &m, &e), AFT_OK);
            double base = ctr(&w, NULL, 500), ours = ctr(&w, m, 500);
            printf("%s/%s %s: uniform %.3f, ours %.3f\n", flavours[f][0], flavours[f][1],
                   explores[x], base, ours);
            assert_true(ours > 1.5 * base);
            aft_model_free(m);
            aft_snapshot_set_free(follower.set);
            aft_learner_free(l);
            kit_world_deinit(&w);
        }
}

static void
digests_equal(const struct aft_learner *a, const struct aft_learner *b)
{
    struct aft_digest x, y;
    aft_learner_digest(a, &x);
    aft_learner_digest(b, &y);
    assert_memory_equal(&x, &y, sizeof x);
}

/* Features that are finite, and as far apart as they may be: what is judged stays a number, and what is published can be restored. */
static void
test_sizes_far_apart(void **state)
{
    static const char *const models[] = {"flow", "flow-squared", "ridge", "vw", "bayes"};
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct aft_learner_settings s;
        struct kit_world w;
        struct aft_learner_stats stats;
        struct aft_error e;
        aft_learner_settings_default(&s);
        kit_set(&s, "learner.model", models[i]);
        struct aft_learner *l = kit_learner(&s), *r = kit_learner(&s);
        kit_world_init(&w, kit_seed(71));
        for (int n = 0; n < 2000; n++) {
            double size = n % 300 < 199 ? 1e-99 : 1;
            for (int k = 0; k < n % 300 % 100; k++)
                size *= 10;
            size = size > 1e6 ? 1e6 : size;
            for (int k = 0; k < KIT_ARMS && n > 1000; k++)
                w.arm_features[k][1].number = size > 1 ? 1 : k % 2 ? size : 0.1 * k;
            struct aft_example x = kit_open(&w, NULL);
            w.context[1].number = size;
            assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        }
        aft_learner_stats(l, &stats);
        if (!isfinite(stats.progressive_ips) || !isfinite(stats.progressive_dr) ||
            !isfinite(stats.mean_weight) || !isfinite(stats.progressive_loss))
            fail_msg("%s: ips %g dr %g", models[i], stats.progressive_ips, stats.progressive_dr);
        struct kit_follower f = {.set = aft_snapshot_set_new()};
        kit_publish(l, 1, &f);
        if (aft_learner_restore(r, f.set, &e) != AFT_OK)
            fail_msg("%s: %s", models[i], e.message);
        aft_snapshot_set_free(f.set);
        aft_learner_free(l);
        aft_learner_free(r);
        kit_world_deinit(&w);
    }
}

/* publish -> restore -> continue = never stopped, for every model. */
static void
test_restore_goes_on(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(6);
    for (int f = 0; f < 3; f++) {
        struct kit_world w, again;
        struct aft_error e;
        struct aft_learner_settings s = settings_of(f, "linucb");
        struct aft_learner *l = kit_learner(&s), *r = kit_learner(&s);
        struct kit_follower follower = {.set = aft_snapshot_set_new()};
        kit_world_init(&w, seed);
        kit_world_init(&again, seed);
        for (int i = 0; i < 700; i++) {
            learn_late(l, kit_open(&w, NULL), &w);
            kit_open(&again, NULL);
        }
        kit_publish(l, 1, &follower);
        learn_late(r, kit_open(&w, NULL), &w); /* what it knew before is gone after a restore */
        kit_open(&again, NULL);
        assert_int_equal(aft_learner_restore(r, follower.set, &e), AFT_OK);
        digests_equal(l, r);
        for (int i = 0; i < 5000; i++) {
            learn_late(l, kit_open(&w, NULL), &w);
            learn_late(r, kit_open(&again, NULL), &again);
        }
        digests_equal(l, r);
        kit_publish(l, 2, &follower);
        assert_int_equal(follower.whole, 2);
        assert_true(aft_snapshot_set_manifest(follower.set)->manifest.has_parent);
        aft_snapshot_set_free(follower.set);
        aft_learner_free(l);
        aft_learner_free(r);
        kit_world_deinit(&w);
        kit_world_deinit(&again);
    }
}

static void
test_other_settings_are_refused(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_error e;
    struct aft_learner_settings s = settings_of(0, "linucb"), t = s;
    struct kit_follower follower = {.set = aft_snapshot_set_new()};
    kit_world_init(&w, 1);
    struct aft_learner *l = kit_learner(&s);
    learn_late(l, kit_open(&w, NULL), &w);
    kit_publish(l, 1, &follower);
    kit_set(&t, "policy.epsilon", "0.2"); /* how it decides may change */
    struct aft_learner *r = kit_learner(&t);
    assert_int_equal(aft_learner_restore(r, follower.set, &e), AFT_OK);
    aft_learner_free(r);
    kit_set(&t, "learner.lambda", "2"); /* what it learned may not */
    r = kit_learner(&t);
    assert_int_equal(aft_learner_restore(r, follower.set, &e), AFT_E_CONFIG);
    aft_learner_free(r);
    aft_learner_free(l);
    aft_snapshot_set_free(follower.set);
    kit_world_deinit(&w);
}

/* What must not be learned is counted by reason, and changes no weight. */
static void
test_refusals(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_learner_settings s = settings_of(2, "softmax");
    struct aft_learner *l = kit_learner(&s);
    struct aft_learner_stats st;
    kit_world_init(&w, 1);
    struct aft_example x = kit_open(&w, NULL);
    x.propensity_kind = AFT_PROPENSITY_UNKNOWN;
    learn(l, &x);
    x.propensity_kind = AFT_PROPENSITY_EXACT;
    w.items[0].propensity = 0;
    w.items[1].reward_micro = 2 * AFT_MICRO;
    w.items[2].reward_micro = -1;
    learn(l, &x);
    w.context[1].number = (double)NAN;
    learn(l, &x);
    aft_learner_stats(l, &st);
    assert_int_equal(st.refused_support, 4);
    assert_int_equal(st.refused_reward, 2);
    assert_int_equal(st.refused_feature, 3);
    assert_int_equal(st.learned, 0);
    assert_int_equal(st.columns, 0);
    aft_learner_free(l);
    kit_world_deinit(&w);
}

/* The manifest's sums are those of the settled examples. */
static void
test_scoreboard(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_learner_settings s = settings_of(0, "softmax");
    struct aft_learner *l = kit_learner(&s);
    struct kit_follower follower = {.set = aft_snapshot_set_new()};
    double clicks = 0, squares = 0;
    kit_world_init(&w, kit_seed(7));
    for (int i = 0; i < 400; i++) {
        struct aft_example x = kit_open(&w, NULL);
        double c = 0;
        for (uint32_t j = 0; j < x.items_n; j++)
            c += x.items[j].components_n;
        clicks += c;
        squares += c * c;
        learn_late(l, x, &w);
    }
    kit_publish(l, 1, &follower);
    const struct aft_manifest *f = &aft_snapshot_set_manifest(follower.set)->manifest;
    assert_int_equal(f->scoreboard_n, 1);
    assert_int_equal(f->scoreboard[0].decisions, 400);
    assert_int_equal(f->scoreboard[0].items, 1200);
    assert_true(f->scoreboard[0].clicks == clicks && f->scoreboard[0].value == clicks);
    assert_true(aft_same(f->scoreboard[0].sums[0].name, AFT_LITERAL("clicks2")));
    assert_true(f->scoreboard[0].sums[0].sum == squares);
    int64_t exposures = 0, arm_clicks = 0;
    for (uint32_t i = 0; i < f->arms_n; i++) {
        exposures += f->arms[i].exposures;
        arm_clicks += f->arms[i].clicks;
    }
    assert_int_equal(f->arms_n, KIT_ARMS);
    assert_int_equal(exposures, 1200);
    assert_true((double)arm_clicks == clicks);
    aft_snapshot_set_free(follower.set);
    aft_learner_free(l);
    kit_world_deinit(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learning_pays),   cmocka_unit_test(test_restore_goes_on),
        cmocka_unit_test(test_sizes_far_apart), cmocka_unit_test(test_other_settings_are_refused),
        cmocka_unit_test(test_refusals),        cmocka_unit_test(test_scoreboard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
