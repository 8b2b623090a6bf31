/* test_reductions.c - what is regressed, by whom, with what weight: made-up rewards, auto's choice, ensembles, health, and all of it
 * stopped and gone on. */
#include "tests/kit.h"

#include <math.h>

#include "learner/inner.h"
#include "tests/learn_kit.h"

enum { ARMS = 4 };

static void
learn(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_error e;
    if (aft_learner_learn(l, x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

static void
settings(struct aft_learner_settings *s, const char *model, const char *reduction,
         const char *weighting)
{
    aft_learner_settings_default(s);
    kit_set(s, "learner.model", model);
    kit_set(s, "learner.reduction", reduction);
    kit_set(s, "learner.weighting", weighting);
    kit_set(s, "policy.explore", "epsilon_greedy");
}

/* Decisions of one slot over ARMS arms without features or context. */
struct bare {
    struct aft_random random;
    struct aft_candidate arms[ARMS];
    struct aft_example_item item;
    uint32_t shown;
    char id[24];
    long n;
};

static void
bare_init(struct bare *b, uint64_t seed)
{
    static const char *const names[ARMS] = {"a", "b", "c", "d"};
    memset(b, 0, sizeof *b);
    aft_random_init(&b->random, seed, 3);
    for (int i = 0; i < ARMS; i++)
        b->arms[i].arm_id = aft_text(names[i]);
}

static struct aft_example
bare_open(struct bare *b, uint32_t shown, double p, double reward)
{
    b->shown = shown;
    snprintf(b->id, sizeof b->id, "d%ld", b->n++);
    b->item = (struct aft_example_item){.arm_id = b->arms[shown].arm_id,
                                        .propensity = p,
                                        .reward_micro = (int64_t)rint(reward * AFT_MICRO)};
    return (struct aft_example){.phase = AFT_OPEN,
                                .decision_id = aft_text(b->id),
                                .policy = AFT_LITERAL("p"),
                                .candidates = b->arms,
                                .candidates_n = ARMS,
                                .items = &b->item,
                                .items_n = 1};
}

/* A ridge model of (constant, arm), fed by hand with rewards for all arms. */
struct by_hand {
    struct aft_linear m;
    struct aft_ridge r;
};

static void
by_hand_init(struct by_hand *h)
{
    memset(h, 0, sizeof *h);
    aft_linear_init(&h->m, 1, 1);
    aft_linear_add_block(&h->m);
    aft_linear_block_grow(&h->m, 0, 1 + ARMS);
    aft_ridge_match(&h->r, &h->m);
}

static struct aft_sparse
of_arm(uint32_t arm)
{
    return (struct aft_sparse){.column = {0, 1 + arm}, .value = {1, 1}, .n = 2};
}

static double
hand_score(struct by_hand *h, uint32_t arm)
{
    struct aft_sparse x = of_arm(arm);
    return aft_linear_score(&h->m.blocks[0], &x);
}

static void
hand_learn(struct by_hand *h, uint32_t arm, double reward)
{
    struct aft_sparse x = of_arm(arm);
    aft_ridge_learn(&h->r, &h->m, 0, &x, 1, reward);
}

static double
learned_score(struct aft_learner *l, uint32_t member, struct bare *b, uint32_t arm)
{
    struct afti_table *t = &l->table;
    assert_true(afti_take_context(t, (struct aft_features){0}) && afti_take_slot(t, 0) &&
                afti_take_arm(t, b->arms[arm].arm_id, (struct aft_features){0}, 0));
    t->kind->context(t, false);
    t->kind->item(t, false);
    return t->kind->score(t, &l->members[member]);
}

/* ips and dr regress what the functions of the specification make up; a reward that comes later ends in the same model. */
static void
test_made_up_rewards(void **state)
{
    (void)state;
    for (int dr = 0; dr < 2; dr++)
        for (int late = 0; late < 2; late++) {
            struct aft_learner_settings s;
            struct by_hand h, q;
            struct bare b;
            bare_init(&b, kit_seed(51));
            by_hand_init(&h);
            by_hand_init(&q);
            settings(&s, "ridge", dr ? "dr" : "ips", "iwr");
            struct aft_learner *l = kit_learner(&s);
            assert_int_equal(l->members_n, 1 + dr);
            for (int i = 0; i < 600; i++) {
                double value[ARMS], made[ARMS], p = 0.05 + 0.9 * aft_random_unit(&b.random);
                uint32_t shown = aft_random_below(&b.random, ARMS);
                double reward = (double)aft_random_below(&b.random, 3) - 0.5;
                for (uint32_t a = 0; a < ARMS; a++)
                    value[a] = hand_score(&q, a);
                if (dr)
                    aft_dr_rewards(value, ARMS, shown, reward, p, 0, made);
                else
                    aft_ips_rewards(ARMS, shown, reward, p, 0, made);
                for (uint32_t a = 0; a < ARMS; a++)
                    hand_learn(&h, a, made[a]);
                hand_learn(&q, shown, reward);
                struct aft_example x = bare_open(&b, shown, p, late ? 0 : reward);
                learn(l, &x);
                x.phase = AFT_REVISE;
                b.item.reward_micro = b.item.delta_micro = (int64_t)rint(reward * AFT_MICRO);
                if (late)
                    learn(l, &x);
            }
            for (uint32_t a = 0; a < ARMS; a++)
                assert_true(fabs(learned_score(l, 0, &b, a) - hand_score(&h, a)) < 1e-9);
            aft_learner_free(l);
            aft_ridge_deinit(&h.r);
            aft_ridge_deinit(&q.r);
            aft_linear_deinit(&h.m);
            aft_linear_deinit(&q.m);
        }
}

/* Settings that cannot be are refused with what to do. */
static void
test_impossible_designs(void **state)
{
    (void)state;
    static const char *const wrong[][4] = {{"flow", "dr", "auto", "none"},
                                           {"bayes-full", "ips", "auto", "none"},
                                           {"flow", "iwr", "auto", "cover"},
                                           {"ridge", "dr", "none", "none"},
                                           {"vw", "ips", "sqrt", "none"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct aft_learner_settings s;
        struct aft_learner *l = NULL;
        struct aft_error e;
        settings(&s, wrong[i][0], wrong[i][1], wrong[i][2]);
        kit_set(&s, "learner.ensemble", wrong[i][3]);
        assert_int_equal(aft_learner_new(&s, &l, &e), AFT_E_CONFIG);
        assert_non_null(strstr(e.message, "learner."));
    }
}

/* A logger that knows more than the features: arm a is shown when it will be clicked. Without weights a looks best; b is. */
static void
confounded(struct aft_learner *l, struct bare *b, bool hidden, int n)
{
    for (int i = 0; i < n; i++) {
        bool luck = aft_random_below(&b->random, 2);
        double p_a = hidden ? (luck ? 0.9 : 0.1) : 0.5;
        uint32_t shown = aft_random_unit(&b->random) < p_a ? 0 : 1;
        double chance = shown == 1 ? (hidden ? 0.65 : 0.3) : luck ? 0.9 : 0.1;
        double reward = aft_random_unit(&b->random) < chance;
        struct aft_example x = bare_open(b, shown, shown ? 1 - p_a : p_a, reward);
        x.candidates_n = 2;
        learn(l, &x);
    }
}

static void
test_auto_chooses(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(52);
    static const char *const models[] = {"ridge", "flow", "bayes-full"};
    for (int m = 0; m < 3; m++)
        for (int hidden = 0; hidden < 2; hidden++) {
            struct aft_learner_settings s;
            struct aft_learner_stats st;
            struct bare b;
            bare_init(&b, seed);
            settings(&s, models[m], "iwr", "auto");
            struct aft_learner *l = kit_learner(&s);
            assert_int_equal(l->members_n, 2);
            confounded(l, &b, hidden, 10000);
            aft_learner_stats(l, &st);
            printf("%s, %s: weighted %d after %lld switches, dr %.3f\n", models[m],
                   hidden ? "hidden" : "open", st.serving_weighted,
                   (long long)st.weighting_switches, st.progressive_dr);
            assert_int_equal(st.serving_weighted, hidden);
            assert_int_equal(st.weighting_switches, hidden);
            struct kit_follower f = {.set = aft_snapshot_set_new()};
            kit_publish(l, 1, &f);
            const struct aft_manifest *mf = &aft_snapshot_set_manifest(f.set)->manifest;
            const struct aft_setting *last = &mf->settings[mf->settings_n - 1];
            assert_true(aft_same(last->name, AFT_LITERAL("learner.weighting.serving")));
            assert_true(aft_same(last->value, aft_text(hidden ? "capped" : "none")));
            aft_snapshot_set_free(f.set);
            aft_learner_free(l);
        }
}

/* Nothing hidden: the logger goes by what the context says, and the model, an arm's mean beside the context's, is too small for the truth:
 * what b earns beyond a differs by stratum. Unweighted, strata count by p (1 - p) of their b; capped, nearly alike, but for the last,
 * which the cap keeps small. So for some truths the one has the sign right, for others the other. */
struct truth {
    double beyond[3];
    bool weighted; /* who is right */
};

static void
live_in(struct aft_learner *l, struct bare *b, const struct truth *w, int n, int64_t *clock)
{
    static const char *const names[] = {"x", "y", "z"};
    static const double p_b[] = {0.5, 0.05, 0.005};
    for (int i = 0; i < n; i++) {
        uint32_t z = aft_random_below(&b->random, 3);
        uint32_t shown = aft_random_unit(&b->random) < p_b[z];
        double chance = 0.5 + (shown ? 0.5 : -0.5) * w->beyond[z];
        double reward = aft_random_unit(&b->random) < chance;
        struct aft_example x = bare_open(b, shown, shown ? p_b[z] : 1 - p_b[z], reward);
        struct aft_feature stratum = {
            .name = AFT_LITERAL("z"), .type = AFT_FEATURE_TEXT, .text = aft_text(names[z])};
        x.context = (struct aft_features){&stratum, 1};
        x.candidates_n = 2;
        x.fire_ms = x.timestamp_ms = ++*clock;
        learn(l, &x);
    }
}

static void
test_auto_follows_the_truth(void **state)
{
    (void)state;
    static const struct truth unweighted = {{0.2, -0.5, 0.6}, false},
                              weighted = {{-0.25, 0.7, 0.3}, true};
    const struct truth *const lives[] = {&unweighted, &weighted, &unweighted};
    static const int decisions[] = {40000, 120000, 300000};
    struct aft_learner_settings s;
    struct bare b;
    int64_t clock = 1000000;
    bare_init(&b, kit_seed(56));
    settings(&s, "ridge", "iwr", "auto");
    kit_set(&s, "learner.half.life", "8s"); /* a decision a millisecond */
    struct aft_learner *l = kit_learner(&s);
    for (int k = 0; k < 3; k++) {
        struct aft_learner_stats st;
        live_in(l, &b, lives[k], decisions[k], &clock);
        aft_learner_stats(l, &st);
        printf("life %d: weighted %d after %lld switches\n", k, st.serving_weighted,
               (long long)st.weighting_switches);
        assert_int_equal(st.serving_weighted, lives[k]->weighted);
        assert_true(st.weighting_switches >= k);
    }
    aft_learner_free(l);
}

/* Poisson(1), the same for the same decision and voter, whatever else is learned. */
static void
test_copies(void **state)
{
    (void)state;
    enum { N = 200000 };
    double sum = 0, squares = 0, both = 0;
    for (int i = 0; i < N; i++) {
        char id[24];
        snprintf(id, sizeof id, "decision %d", i);
        double a = afti_copies(aft_text(id), 0), b = afti_copies(aft_text(id), 1);
        assert_true(a == (double)afti_copies(aft_text(id), 0));
        sum += a;
        squares += a * a;
        both += a * b;
    }
    assert_true(fabs(sum / N - 1) < 0.012);
    assert_true(fabs(squares / N - 2) < 0.05);
    assert_true(fabs(both / N - 1) < 0.02);
}

/* Bagging's members differ, and late credit reaches those that learned alone: at once and late agree member by member. */
static void
test_bagging(void **state)
{
    (void)state;
    struct aft_learner_settings s;
    struct aft_learner *l[2];
    struct bare b[2];
    settings(&s, "ridge", "iwr", "capped");
    kit_set(&s, "policy.explore", "bagging");
    for (int late = 0; late < 2; late++) {
        l[late] = kit_learner(&s);
        bare_init(&b[late], 53);
        assert_int_equal(l[late]->members_n, 5);
        for (int i = 0; i < 500; i++) {
            uint32_t shown = aft_random_below(&b[late].random, ARMS);
            double reward = aft_random_below(&b[late].random, 2);
            struct aft_example x = bare_open(&b[late], shown, 0.25, late ? 0 : reward);
            learn(l[late], &x);
            x.phase = AFT_REVISE;
            b[late].item.reward_micro = b[late].item.delta_micro = (int64_t)reward * AFT_MICRO;
            if (late)
                learn(l[late], &x);
        }
    }
    for (uint32_t m = 0; m < 5; m++)
        for (uint32_t a = 0; a < ARMS; a++) {
            double at_once = learned_score(l[0], m, &b[0], a);
            assert_true(fabs(at_once - learned_score(l[1], m, &b[1], a)) < 1e-9);
            assert_true(m == 0 || at_once != learned_score(l[0], 0, &b[0], a));
        }
    aft_learner_free(l[0]);
    aft_learner_free(l[1]);
}

/* Cover's members spread over arms that are about as good as each other; with a clear best they agree on it. */
static void
test_cover(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(54);
    for (int clear = 0; clear < 2; clear++) {
        struct aft_learner_settings s;
        struct bare b;
        uint32_t picked[ARMS] = {0}, arms = 0;
        bare_init(&b, seed);
        settings(&s, "ridge", "iwr", "auto");
        kit_set(&s, "policy.explore", "cover");
        kit_set(&s, "learner.members", "4");
        kit_set(&s, "learner.psi", clear ? "0.01" : "2");
        struct aft_learner *l = kit_learner(&s);
        assert_int_equal(l->members_n, 5);
        assert_int_equal(l->table.weights.voters, 4);
        for (int i = 0; i < 3000; i++) {
            uint32_t shown = aft_random_below(&b.random, ARMS);
            double chance = clear && shown == 2 ? 0.8 : 0.3;
            struct aft_example x = bare_open(&b, shown, 0.25, aft_random_unit(&b.random) < chance);
            learn(l, &x);
            for (uint32_t m = 0; i >= 2000 && m < 4; m++) {
                uint32_t best = 0;
                for (uint32_t a = 1; a < ARMS; a++)
                    if (learned_score(l, m, &b, a) > learned_score(l, m, &b, best))
                        best = a;
                picked[best]++;
            }
        }
        for (int a = 0; a < ARMS; a++)
            arms += picked[a] > 100;
        printf("cover, %s: %u %u %u %u\n", clear ? "one is best" : "none is", picked[0], picked[1],
               picked[2], picked[3]);
        assert_true(clear ? picked[2] == 4000 : arms >= 2);
        aft_learner_free(l);
    }
}

/* Whatever the design: published, restored and gone on is as never stopped; and says how it goes. */
static void
goes_on(const char *model, const char *reduction, const char *weighting, const char *ensemble)
{
    struct aft_learner_settings s;
    struct kit_follower f = {.set = aft_snapshot_set_new()};
    struct kit_world w, again;
    struct aft_digest x, y;
    struct aft_error e;
    settings(&s, model, reduction, weighting);
    kit_set(&s, "learner.ensemble", ensemble);
    kit_set(&s, "learner.members", "3");
    kit_set(&s, "learner.half.life", "1h");
    struct aft_learner *l = kit_learner(&s), *r = kit_learner(&s);
    kit_world_init(&w, 55);
    kit_world_init(&again, 55);
    for (int i = 0; i < 90; i++) {
        struct kit_world *one = i < 60 ? &w : NULL;
        for (int k = 0; k < 2; k++) {
            struct kit_world *at = one ? one : k ? &again : &w;
            struct aft_learner *into = k ? r : l;
            if (one && k)
                continue;
            struct aft_example v = kit_open(at, NULL);
            learn(into, &v);
            v.phase = AFT_REVISE;
            at->items[i % 3].delta_micro =
                at->items[i % 3].reward_micro ? -AFT_MICRO / 2 : AFT_MICRO;
            at->items[i % 3].reward_micro += at->items[i % 3].delta_micro;
            learn(into, &v);
            v.phase = AFT_SETTLE;
            learn(into, &v);
        }
        if (i == 59) {
            kit_publish(l, 1, &f);
            if (aft_learner_restore(r, f.set, &e) != AFT_OK)
                fail_msg("%s %s %s %s: %s", model, reduction, weighting, ensemble, e.message);
            for (int j = 0; j < 60; j++)
                kit_open(&again, NULL);
        }
    }
    aft_learner_digest(l, &x);
    aft_learner_digest(r, &y);
    if (memcmp(&x, &y, sizeof x) != 0)
        fail_msg("%s %s %s %s: digests differ", model, reduction, weighting, ensemble);
    aft_snapshot_set_free(f.set);
    aft_learner_free(l);
    aft_learner_free(r);
    kit_world_deinit(&w);
    kit_world_deinit(&again);
}

static void
test_every_design_goes_on(void **state)
{
    (void)state;
    static const char *const models[] = {"ridge", "flow",  "flow-squared",
                                         "vw",    "bayes", "bayes-full"};
    static const char *const weightings[] = {"none", "iwr", "capped", "sqrt", "auto"};
    for (int m = 0; m < 6; m++) {
        bool any = m == 0 || m == 2 || m == 3;
        goes_on(models[m], "dm", "auto", "none");
        for (int w = 0; w < 5; w++)
            goes_on(models[m], "iwr", weightings[w], "none");
        goes_on(models[m], "iwr", "auto", "bagging");
        for (int w = 1; any && w < 5; w += w == 2 ? 2 : 1) {
            goes_on(models[m], "ips", weightings[w], "none");
            goes_on(models[m], "dr", weightings[w], "bagging");
            goes_on(models[m], "iwr", weightings[w], "cover");
        }
    }
}

/* Refused by reason, never learned; what was learned is in the histograms. */
static void
test_health(void **state)
{
    (void)state;
    struct aft_learner_settings s;
    struct aft_learner_stats st;
    struct aft_arm_status arm;
    struct bare b;
    bare_init(&b, kit_seed(56));
    settings(&s, "flow", "iwr", "capped");
    kit_set(&s, "learner.weight.cap", "2");
    struct aft_learner *l = kit_learner(&s);
    int64_t items = 0, settled = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t shown = aft_random_unit(&b.random) < 0.85 ? 0 : 1 + aft_random_below(&b.random, 3);
        double p = shown ? 0.05 : 0.85;
        struct aft_example x =
            bare_open(&b, shown, p, aft_random_unit(&b.random) < (shown == 2 ? 0.6 : 0.2));
        learn(l, &x);
        x.phase = AFT_SETTLE;
        learn(l, &x);
    }
    aft_learner_stats(l, &st);
    for (uint32_t i = 0; i < AFT_HISTOGRAM; i++) {
        items += st.weights[i];
        settled += st.rewards[i];
        assert_true(i == 0 || aft_histogram_bound(i) > aft_histogram_bound(i - 1));
    }
    assert_int_equal(items, st.learned);
    assert_int_equal(settled, 20000);
    assert_true(fabs(st.mean_weight - 1) < 0.05);
    double capped = 0.15 * (5 - 2); /* a share of 0.15 has h = 5, and is cut to 2 */
    assert_true(fabs(st.capped_mass - capped) < 0.03 && fabs(st.mean_used - (1 - capped)) < 0.05);
    assert_true(st.effective_n < 20000 && st.effective_n > 5000);
    assert_true(st.progressive_loss > 0.1 && st.progressive_loss < 0.25);
    uint32_t first = 0; /* arms stand in the order in which they were first seen */
    while (aft_learner_arm(l, first, &arm) && !aft_same(arm.arm_id, AFT_LITERAL("a")))
        first++;
    assert_true(first < ARMS && arm.exposures > 16000);
    assert_false(aft_learner_arm(l, ARMS, &arm));
    struct aft_example x = bare_open(&b, 1, (double)NAN, 0);
    learn(l, &x);
    x = bare_open(&b, 1, 1e-12, 0); /* h beyond a million, but capped: learned */
    learn(l, &x);
    x = bare_open(&b, 1, 0.5, 1.5);
    learn(l, &x);
    aft_learner_stats(l, &st);
    assert_int_equal(st.refused_support, 1);
    assert_int_equal(st.refused_reward, 1);
    assert_int_equal(st.learned, 20001);
    afti_health_round(l);
    x = bare_open(&b, 1, 0.5, 1);
    learn(l, &x);
    afti_health_round(l);
    aft_learner_stats(l, &st);
    assert_true(st.drift > 0 && st.drift < 0.5);
    aft_learner_free(l);
}

/* What an explanation says of an item is what learning it does. */
static void
test_treatment(void **state)
{
    (void)state;
    struct aft_learner_settings s;
    struct aft_treatment t;
    struct bare b;
    bare_init(&b, kit_seed(57));
    settings(&s, "flow", "iwr", "capped");
    kit_set(&s, "learner.weight.cap", "2");
    struct aft_learner *l = kit_learner(&s);
    struct aft_example x = bare_open(&b, 0, 0.5, 1);
    aft_learner_treatment(l, &x, 0, &t);
    assert_null(t.refused);
    assert_true(t.raw == 0.5 && t.left == ARMS && t.weight[0] == 0.5 && t.sides == 1);
    x = bare_open(&b, 1, 0.05, 0);
    aft_learner_treatment(l, &x, 0, &t);
    assert_true(!t.refused && t.raw == 1 / (0.05 * 4) && t.weight[0] == 2);
    x = bare_open(&b, 1, (double)NAN, 0);
    aft_learner_treatment(l, &x, 0, &t);
    assert_string_equal(t.refused, "support");
    x = bare_open(&b, 1, 0.5, 1.5);
    aft_learner_treatment(l, &x, 0, &t);
    assert_string_equal(t.refused, "reward");
    aft_learner_free(l);
    settings(&s, "ridge", "iwr", "iwr");
    kit_set(&s, "policy.explore", "bagging");
    l = kit_learner(&s);
    x = bare_open(&b, 1, 1e-12, 0);
    aft_learner_treatment(l, &x, 0, &t);
    assert_string_equal(t.refused, "weight");
    x = bare_open(&b, 1, 0.5, 0);
    aft_learner_treatment(l, &x, 0, &t);
    assert_true(!t.refused && t.voters > 1);
    for (uint32_t j = 0; j < t.voters; j++)
        assert_int_equal(t.copies[j], afti_copies(x.decision_id, j));
    aft_learner_free(l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_up_rewards), cmocka_unit_test(test_impossible_designs),
        cmocka_unit_test(test_auto_chooses),    cmocka_unit_test(test_auto_follows_the_truth),
        cmocka_unit_test(test_copies),          cmocka_unit_test(test_bagging),
        cmocka_unit_test(test_cover),           cmocka_unit_test(test_every_design_goes_on),
        cmocka_unit_test(test_health),          cmocka_unit_test(test_treatment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
