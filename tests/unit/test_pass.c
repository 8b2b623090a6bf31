/* test_pass.c - impressions of which a share was logged: each stands for 1 / share, in the model and in every estimate. Streams are learned
 * whole by one learner, thinned by another, and thinned without the share (design.pass) by a third, which must be wrong where it counts. */
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

static struct aft_learner *
learner_of(const char *model, const char *reduction, const char *weighting, const char *forecast)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    kit_set(&s, "learner.reduction", reduction);
    kit_set(&s, "learner.weighting", weighting);
    kit_set(&s, "learner.forecast", forecast);
    kit_set(&s, "policy.explore", "epsilon_greedy");
    return kit_learner(&s);
}

/* Decisions of one slot over ARMS arms without features or context. */
struct stream {
    struct aft_random random;
    struct aft_candidate arms[ARMS];
    struct aft_example_item item;
    struct aft_component click;
    char id[24];
    long n;
};

static void
stream_init(struct stream *s, uint64_t seed)
{
    static const char *const names[ARMS] = {"a", "b", "c", "d"};
    memset(s, 0, sizeof *s);
    aft_random_init(&s->random, seed, 3);
    s->click = (struct aft_component){AFT_LITERAL("click"), AFT_MICRO};
    for (int i = 0; i < ARMS; i++)
        s->arms[i].arm_id = aft_text(names[i]);
}

static struct aft_example
open_one(struct stream *s, uint32_t shown, double p, bool click)
{
    snprintf(s->id, sizeof s->id, "d%ld", s->n++);
    s->item = (struct aft_example_item){.arm_id = s->arms[shown].arm_id,
                                        .propensity = p,
                                        .reward_micro = click ? AFT_MICRO : 0,
                                        .components = &s->click,
                                        .components_n = click};
    return (struct aft_example){.phase = AFT_OPEN,
                                .fire_ms = 60000 * s->n,
                                .timestamp_ms = 60000 * s->n,
                                .decision_id = aft_text(s->id),
                                .policy = AFT_LITERAL("p"),
                                .candidates = s->arms,
                                .candidates_n = ARMS,
                                .items = &s->item,
                                .items_n = 1};
}

static struct aft_example
passed(struct aft_example x, double q)
{
    x.has_design = true;
    x.design.has_pass = true;
    x.design.pass = q;
    return x;
}

static void
learn_and_settle(struct aft_learner *l, struct aft_example x)
{
    learn(l, &x);
    x.phase = AFT_SETTLE;
    learn(l, &x);
}

/* One of the whole: by the personalised policy, or by the baseline that is always logged. In the rush three times as many click, and less of
 * the personalised is logged. */
static struct aft_example
draw(struct stream *s, double *q)
{
    static const double base[ARMS] = {0.3, 0.2, 0.1, 0.05};
    bool rush = aft_random_below(&s->random, 4) == 0, own = aft_random_below(&s->random, 5) > 0;
    uint32_t shown = aft_random_below(&s->random, ARMS);
    if (own && aft_random_unit(&s->random) < 0.6)
        shown = 0;
    double p = !own ? 0.25 : shown == 0 ? 0.7 : 0.1;
    bool click = aft_random_unit(&s->random) < base[shown] * (rush ? 3 : 1);
    struct aft_example x = open_one(s, shown, p, click);
    x.policy = own ? AFT_LITERAL("personalised") : AFT_LITERAL("baseline");
    *q = !own ? 1 : rush ? 0.05 : 0.4;
    return x;
}

/* What is said of policies, arms and models; the learners meet the policies and arms in orders of their own. */
enum {
    DECISIONS,
    ITEMS,
    CTR_OWN,
    CTR_BASE,
    UPLIFT,
    IPS,
    SNIPS,
    DR,
    SHOWN_A,
    RATE_A,
    VALUE_A,
    SCORE_A,
    SAID
};

static const struct afti_arm *
arm_of(struct aft_learner *l, const char *id)
{
    uint32_t at = afti_arms_of(&l->arms, aft_text(id), false, 0);
    assert_true(at != AFT_NOWHERE);
    return &l->arms.v[at];
}

static double
score_of(struct aft_learner *l, struct stream *s, uint32_t arm)
{
    struct afti_table *t = &l->table;
    assert_true(afti_take_context(t, (struct aft_features){0}) && afti_take_slot(t, 0) &&
                afti_take_arm(t, s->arms[arm].arm_id, (struct aft_features){0}, 0));
    t->kind->context(t, false);
    t->kind->item(t, false);
    return t->kind->score(t, &l->members[0]);
}

static void
say(struct aft_learner *l, struct stream *s, double *out)
{
    struct aft_learner_stats stats;
    (void)afti_scoreboard_of(&l->scoreboard, AFT_LITERAL("baseline")); /* both stand now */
    const struct afti_policy *own = afti_scoreboard_of(&l->scoreboard, AFT_LITERAL("personalised"));
    const struct afti_policy *base = afti_scoreboard_of(&l->scoreboard, AFT_LITERAL("baseline"));
    const struct afti_arm *a = arm_of(l, "a"), *b = arm_of(l, "b");
    aft_learner_stats(l, &stats);
    out[DECISIONS] = (double)own->decisions;
    out[ITEMS] = (double)own->items;
    out[CTR_OWN] = own->clicks / (double)own->items;
    out[CTR_BASE] = base->clicks / (double)base->items;
    out[UPLIFT] = out[CTR_OWN] / out[CTR_BASE] - 1;
    out[IPS] = stats.progressive_ips;
    out[SNIPS] = stats.progressive_snips;
    out[DR] = stats.progressive_dr;
    out[SHOWN_A] = (double)a->exposures;
    out[RATE_A] = (double)a->clicks / (double)a->settled;
    out[VALUE_A] = (double)a->reward_micro / AFT_MICRO / (double)a->exposures;
    out[SCORE_A] = score_of(l, s, 0);
    assert_true(b->settled == b->exposures && a->settled == a->exposures);
}

/* 120,000 decisions of the personalised policy, of which some 37,500 are logged. Tolerances: five standard errors of what the share adds,
 * by hand. All but the baseline's own rate must be wrong without the share. */
static void
test_estimates_are_of_the_whole(void **state)
{
    (void)state;
    enum { N = 150000 };
    static const double within[SAID] = {
        [DECISIONS] = 5000, [ITEMS] = 5000,  [CTR_OWN] = 0.02, [CTR_BASE] = 1e-9,
        [UPLIFT] = 0.1,     [IPS] = 0.03,    [SNIPS] = 0.02,   [DR] = 0.02,
        [SHOWN_A] = 5000,   [RATE_A] = 0.02, [VALUE_A] = 0.02, [SCORE_A] = 0.02};
    struct aft_learner *l[3]; /* of the whole, thinned, thinned and not told */
    struct stream s;
    double q, said[3][SAID];
    int wrong = 0;
    stream_init(&s, kit_seed(71));
    for (int i = 0; i < 3; i++)
        l[i] = learner_of("ridge", "iwr", "none", "off");
    for (int i = 0; i < N; i++) {
        struct aft_example x = draw(&s, &q);
        learn_and_settle(l[0], x);
        if (aft_random_unit(&s.random) >= q)
            continue;
        learn_and_settle(l[1], q < 1 ? passed(x, q) : x);
        learn_and_settle(l[2], x);
    }
    for (int i = 0; i < 3; i++)
        say(l[i], &s, said[i]);
    for (int i = 0; i < SAID; i++) {
        if (!(fabs(said[1][i] - said[0][i]) <= within[i]))
            fail_msg("%d: %g of the share, %g of the whole", i, said[1][i], said[0][i]);
        wrong += fabs(said[2][i] - said[0][i]) > within[i];
    }
    assert_int_equal(wrong, SAID - 1); /* the check can fail */
    for (int i = 0; i < 3; i++)
        aft_learner_free(l[i]);
}

/* The variance that the sums give is that of the thinned sums: over many small streams, the CTR's standardised error is about 1. */
static void
test_the_interval_has_the_sampling_in_it(void **state)
{
    (void)state;
    enum { STREAMS = 400, N = 300 };
    struct afti_scoreboard board;
    struct stream s;
    double z2 = 0;
    stream_init(&s, kit_seed(72));
    for (int k = 0; k < STREAMS; k++) {
        memset(&board, 0, sizeof board);
        for (int i = 0; i < N; i++) {
            bool rush = aft_random_below(&s.random, 2);
            bool click = aft_random_unit(&s.random) < (rush ? 0.6 : 0.2);
            double q = rush ? 0.3 : 0.7;
            struct aft_example x = passed(open_one(&s, 0, 0.5, click), q);
            if (aft_random_unit(&s.random) < q)
                afti_scoreboard_settle(&board, &x);
        }
        const struct afti_policy *p = &board.v[0];
        double n = (double)p->items, r = p->clicks / n;
        double v =
            (p->cross[AFTI_CC] - 2 * r * p->cross[AFTI_CI] + r * r * p->cross[AFTI_II]) / n / n;
        z2 += (r - 0.4) * (r - 0.4) / v / STREAMS;
        afti_scoreboard_deinit(&board);
    }
    assert_true(z2 > 0.7 && z2 < 1.4); /* sd of it 0.07 */
}

/* Late credit with a share equals waiting, and both equal a ridge by hand with weights 1/q. */
static void
test_late_credit_equals_waiting(void **state)
{
    (void)state;
    enum { N = 2000 };
    static struct aft_example_item items[N];
    static double q[N];
    static bool click[N];
    struct aft_learner *late = learner_of("ridge", "iwr", "iwr", "off");
    struct aft_learner *wait = learner_of("ridge", "iwr", "iwr", "off");
    struct aft_learner *told = learner_of("ridge", "iwr", "none", "off");
    struct stream s;
    double sums[ARMS][2] = {{0}};
    stream_init(&s, kit_seed(73));
    for (int i = 0; i < N; i++) {
        uint32_t arm = aft_random_below(&s.random, ARMS);
        click[i] = aft_random_below(&s.random, 3) == 0;
        q[i] = i % 5 ? 0.001 + 0.999 * aft_random_unit(&s.random) : 1;
        learn_and_settle(wait, passed(open_one(&s, arm, 0.25, click[i]), q[i]));
        learn_and_settle(told, passed(open_one(&s, arm, 0.25, click[i]), q[i]));
        struct aft_example x = passed(open_one(&s, arm, 0.25, false), q[i]);
        learn(late, &x);
        items[i] = s.item;
        sums[arm][0] += 1 / q[i];
        sums[arm][1] += click[i] ? 1 / q[i] : 0;
    }
    for (int i = N - 1; i >= 0; i--) { /* in another order */
        s.item = items[i];
        struct aft_example x = passed(open_one(&s, 0, 0.25, false), q[i]);
        s.item = items[i];
        s.item.reward_micro = s.item.delta_micro = click[i] ? AFT_MICRO : 0;
        x.phase = AFT_REVISE;
        if (click[i])
            learn(late, &x);
    }
    for (uint32_t a = 0; a < ARMS; a++) {
        double waited = score_of(wait, &s, a), mean = sums[a][1] / sums[a][0];
        assert_true(fabs(score_of(late, &s, a) - waited) < 1e-9);
        assert_true(fabs(score_of(told, &s, a) - waited) < 1e-9); /* uniform logging: h = 1 */
        assert_true(fabs(mean - waited) < 0.01);                  /* lambda is little beside sums */
    }
    aft_learner_free(late);
    aft_learner_free(wait);
    aft_learner_free(told);
}

/* Half logged is each learned twice: the model, its forecast, the arms. */
static void
test_half_is_twice(void **state)
{
    (void)state;
    struct aft_learner *half = learner_of("ridge", "iwr", "capped", "on");
    struct aft_learner *twice = learner_of("ridge", "iwr", "capped", "on");
    struct stream s;
    stream_init(&s, kit_seed(74));
    for (int i = 0; i < 4000; i++) {
        double q;
        struct aft_example x = draw(&s, &q);
        int64_t reward = s.item.reward_micro;
        struct aft_learner *to[3] = {half, twice, twice};
        for (int k = 0; k < 3; k++) {
            struct aft_example y = k ? x : passed(x, 0.5);
            s.item.reward_micro = s.item.delta_micro = 0;
            learn(to[k], &y);
            s.item.reward_micro = s.item.delta_micro = reward;
            y.phase = AFT_REVISE;
            y.fire_ms += 30 * 60000;
            learn(to[k], &y);
            s.item.delta_micro = 0;
            y.phase = AFT_SETTLE;
            y.fire_ms += 200 * 60000;
            learn(to[k], &y);
        }
    }
    for (uint32_t a = 0; a < ARMS; a++) {
        struct afti_arm h = *arm_of(half, (const char[]){(char)('a' + (int)a), 0});
        struct afti_arm t = *arm_of(twice, (const char[]){(char)('a' + (int)a), 0});
        assert_true(fabs(score_of(half, &s, a) - score_of(twice, &s, a)) < 1e-9);
        assert_true(h.exposures == t.exposures && h.clicks == t.clicks && h.settled == t.settled);
        assert_true(h.reward_micro == t.reward_micro && h.exposures > 0);
    }
    double value = aft_learner_forecast(twice, 0, 0);
    assert_true(value > 0.1 && fabs(aft_learner_forecast(half, 0, 0) - value) < 1e-12);
    aft_learner_free(half);
    aft_learner_free(twice);
}

/* The cap is for the propensity's part; 1/q comes after it, for every weighting. */
static void
test_the_cap_is_on_the_propensity(void **state)
{
    (void)state;
    static const struct {
        const char *weighting;
        double all, quarter;
    } cases[] = {{"none", 1, 4}, {"iwr", 100, 400}, {"capped", 20, 80}, {"sqrt", 10, 40}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct aft_learner_settings set;
        struct aft_treatment t;
        struct stream s;
        aft_learner_settings_default(&set);
        kit_set(&set, "learner.model", "ridge");
        kit_set(&set, "learner.weighting", cases[i].weighting);
        kit_set(&set, "learner.weight.cap", "20");
        struct aft_learner *l = kit_learner(&set);
        stream_init(&s, 1);
        struct aft_example x = open_one(&s, 0, 0.0025, false), y = passed(x, 0.25);
        aft_learner_treatment(l, &x, 0, &t);
        assert_true(!t.refused && fabs(t.weight[0] - cases[i].all) < 1e-9);
        aft_learner_treatment(l, &y, 0, &t);
        assert_true(!t.refused && fabs(t.weight[0] - cases[i].quarter) < 1e-9);
        assert_true(fabs(t.raw - 100) < 1e-9);
        aft_learner_free(l);
    }
}

/* Auto's sides are compared by what a decision stands for. */
static void
test_auto_weighs_its_comparison(void **state)
{
    (void)state;
    struct aft_learner *l[2] = {learner_of("flow", "iwr", "auto", "off"),
                                learner_of("flow", "iwr", "auto", "off")};
    struct stream s;
    bool differed = false;
    stream_init(&s, kit_seed(75));
    for (int i = 0; i < 3000 && !differed; i++) {
        double q, d[2], before = l[0]->sums[AFTI_AUTO];
        struct aft_example x = draw(&s, &q);
        int64_t count = l[0]->counts[AFTI_DIFFERED];
        struct aft_example y = passed(x, 0.25);
        struct aft_digest a, b;
        aft_learner_digest(l[0], &a);
        aft_learner_digest(l[1], &b);
        assert_memory_equal(&a, &b, sizeof a);
        learn(l[0], &x);
        if (l[0]->counts[AFTI_DIFFERED] == count || l[0]->sums[AFTI_AUTO] == before) {
            learn(l[1], &x);
            continue;
        }
        learn(l[1], &y);
        differed = true;
        for (int k = 0; k < 2; k++)
            d[k] = l[k]->sums[AFTI_AUTO] - before * 0x1.ffff4p-1;
        assert_true(fabs(d[1] / d[0] - 4) < 1e-6);
    }
    assert_true(differed);
    aft_learner_free(l[0]);
    aft_learner_free(l[1]);
}

static void
test_what_is_no_share_is_refused(void **state)
{
    (void)state;
    const double bad[] = {0, -0.5, 1.0000001, 2, 0.000999, (double)NAN, HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct aft_learner *l = learner_of("flow", "iwr", "auto", "on");
        struct aft_learner_stats stats;
        struct stream s;
        stream_init(&s, 1);
        learn_and_settle(l, passed(open_one(&s, 0, 0.25, true), bad[i]));
        aft_learner_stats(l, &stats);
        assert_true(stats.learned == 0 && stats.refused_support == 1 && stats.mean_used == 0);
        assert_true(l->counts[AFTI_PROGRESSIVE] == 0 && l->scoreboard.n == 0);
        assert_true(arm_of(l, "a")->exposures == 0 && arm_of(l, "a")->clicks == 0);
        learn_and_settle(l, passed(open_one(&s, 0, 0.25, true), 0.001)); /* the least */
        aft_learner_stats(l, &stats);
        assert_true(stats.learned == 1 && stats.refused_support == 1);
        assert_true(arm_of(l, "a")->exposures == 1000);
        aft_learner_free(l);
    }
}

/* No share said, and a share of 1: the same bits. */
static void
test_all_is_as_before(void **state)
{
    (void)state;
    static const char *const how[][3] = {{"ridge", "iwr", "on"},
                                         {"flow", "iwr", "on"},
                                         {"vw", "dr", "off"},
                                         {"bayes-full", "iwr", "off"},
                                         {"ridge", "ips", "off"}};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        struct aft_learner *l[2];
        struct aft_digest d[2];
        struct stream s;
        stream_init(&s, kit_seed(76));
        for (int k = 0; k < 2; k++)
            l[k] = learner_of(how[i][0], how[i][1], "capped", how[i][2]);
        for (int n = 0; n < 500; n++) {
            double q;
            struct aft_example x = draw(&s, &q);
            learn_and_settle(l[0], x);
            learn_and_settle(l[1], passed(x, 1));
        }
        for (int k = 0; k < 2; k++) {
            aft_learner_digest(l[k], &d[k]);
            aft_learner_free(l[k]);
        }
        assert_memory_equal(&d[0], &d[1], sizeof d[0]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimates_are_of_the_whole),
        cmocka_unit_test(test_the_interval_has_the_sampling_in_it),
        cmocka_unit_test(test_late_credit_equals_waiting),
        cmocka_unit_test(test_half_is_twice),
        cmocka_unit_test(test_the_cap_is_on_the_propensity),
        cmocka_unit_test(test_auto_weighs_its_comparison),
        cmocka_unit_test(test_what_is_no_share_is_refused),
        cmocka_unit_test(test_all_is_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
