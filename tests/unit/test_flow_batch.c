/* test_flow_batch.c - many items of one decision at once: with one it is the step by itself; with many it comes to nearly the same, and
 * better than nothing; what is known of candidates changes no bit; rows that do not lie side by side are the same rows. */
#include "tests/kit.h"

#include <math.h>

#include "learner/flow.h"
#include "tests/learn_kit.h"

enum { ARMS = 12, OWN = 6, CONTEXT = 5 };

/* Arms with numbers, some of them 0 (those have no row); what is earned follows from both. */
struct scene {
    struct aft_random random;
    char names[ARMS][8], labels[ARMS][8];
    struct aft_feature own[ARMS][OWN + 1], context[CONTEXT];
    struct aft_candidate arms[ARMS];
    struct aft_example_item item;
    char id[24];
    uint32_t n;
};

static const char *const words[OWN] = {"f0", "f1", "f2", "f3", "f4", "f5"};

/* `place`: where among the features each arm has a word that is its own, as VW's files have it; OWN and more: nowhere. */
static void
scene_init(struct scene *s, uint64_t seed, int place)
{
    memset(s, 0, sizeof *s);
    aft_random_init(&s->random, seed, 4);
    for (uint32_t i = 0; i < ARMS; i++) {
        uint32_t n = 0;
        snprintf(s->names[i], sizeof s->names[i], "arm%u", i);
        snprintf(s->labels[i], sizeof s->labels[i], "w%u", i);
        for (int j = 0; j < OWN; j++) {
            double v = (int)aft_random_below(&s->random, 9) - 4;
            v = v == 0 && place % 2 == 0 ? 5 : v;
            if (j == place)
                s->own[i][n++] = (struct aft_feature){
                    .name = aft_text(s->labels[i]), .type = AFT_FEATURE_NUMBER, .number = 1};
            s->own[i][n++] = (struct aft_feature){
                .name = aft_text(words[j]), .type = AFT_FEATURE_NUMBER, .number = v};
        }
        s->arms[i] = (struct aft_candidate){
            .arm_id = aft_text(s->names[i]), .features = {s->own[i], n}, .known = i + 1};
    }
}

static struct aft_example
scene_open(struct scene *s, uint32_t arms, uint64_t revision)
{
    uint32_t shown = aft_random_below(&s->random, arms);
    double earns = 0;
    for (int j = 0; j < CONTEXT; j++) {
        double x = 2 * aft_random_unit(&s->random) - 1;
        s->context[j] = (struct aft_feature){
            .name = aft_text(words[j]), .type = AFT_FEATURE_NUMBER, .number = x};
        earns += x * s->own[shown][j].number / 8;
    }
    snprintf(s->id, sizeof s->id, "d%u", s->n++);
    s->item = (struct aft_example_item){
        .arm_id = s->arms[shown].arm_id,
        .propensity = 1.0 / arms,
        .reward_micro = aft_random_unit(&s->random) < 0.5 + earns ? AFT_MICRO : 0};
    return (struct aft_example){.phase = AFT_OPEN,
                                .decision_id = aft_text(s->id),
                                .policy = AFT_LITERAL("p"),
                                .context = {s->context, CONTEXT},
                                .candidates = s->arms,
                                .candidates_n = arms,
                                .revision = revision,
                                .items = &s->item,
                                .items_n = 1};
}

static struct aft_learner *
learner_of(const char *reduction, const char *explore)
{
    struct aft_learner_settings s;
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", "flow-squared");
    kit_set(&s, "learner.reduction", reduction);
    kit_set(&s, "learner.weighting", "capped");
    kit_set(&s, "policy.explore", explore);
    return kit_learner(&s);
}

/* One by one: a kind without begin and end. */
static struct afti_kind
plainly(struct aft_learner *l)
{
    struct afti_kind k = *l->table.kind;
    assert_non_null(k.begin);
    k.begin = k.end = NULL;
    return k;
}

static void
run(struct aft_learner *l, uint64_t seed, uint32_t arms, int n, uint64_t revision)
{
    struct scene s;
    struct aft_error e;
    scene_init(&s, seed, (int)(seed % (OWN + 2)));
    for (int i = 0; i < n; i++) {
        struct aft_example x = scene_open(&s, arms, revision);
        if (aft_learner_learn(l, &x, &e) != AFT_OK)
            fail_msg("%s", e.message);
    }
}

/* Root mean square of the differences of weights (or of information) over that of the second's. */
static double
apart(const struct aft_learner *a, const struct aft_learner *b, bool information)
{
    const struct aft_bilinear *x = &a->table.weights.bilinear, *y = &b->table.weights.bilinear;
    const float *v = information ? a->table.grid.plane[0] : x->w;
    const float *w = information ? b->table.grid.plane[0] : y->w;
    double off = 0, all = 0;
    assert_int_equal(aft_bilinear_size(x), aft_bilinear_size(y));
    for (size_t i = 0; i < aft_bilinear_size(x); i++) {
        off += (double)((v[i] - w[i]) * (v[i] - w[i]));
        all += (double)(w[i] * w[i]);
    }
    assert_true(all > 0);
    return sqrt(off / all);
}

static void
test_beside_one_by_one(void **state)
{
    (void)state;
    static const struct {
        const char *reduction, *explore;
        uint32_t arms;
        int n;
        double weights, information;
    } cases[] = {{"ips", "epsilon_greedy", 2, 400, 1e-4, 1e-5},
                 {"dr", "epsilon_greedy", 2, 400, 1e-4, 1e-5},
                 {"ips", "epsilon_greedy", ARMS, 2000, 0.05, 0.01},
                 {"dr", "epsilon_greedy", ARMS, 2000, 0.05, 0.01},
                 {"iwr", "cover", ARMS, 2000, 0.1, 0.02}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct aft_learner *a = learner_of(cases[i].reduction, cases[i].explore);
        struct aft_learner *b = learner_of(cases[i].reduction, cases[i].explore);
        struct afti_kind one = plainly(b);
        b->table.kind = &one;
        uint64_t seed = kit_seed(70 + i);
        run(a, seed, cases[i].arms, cases[i].n, 0);
        run(b, seed, cases[i].arms, cases[i].n, 0);
        double w = apart(a, b, false), g = apart(a, b, true);
        printf("%s %s, %u arms: weights %.2g, information %.2g apart\n", cases[i].reduction,
               cases[i].explore, cases[i].arms, w, g);
        assert_true(w < cases[i].weights && g < cases[i].information);
        aft_learner_free(a);
        aft_learner_free(b);
    }
}

/* The rest in its place, or copied: nothing of an arm is known, all of it, or under a new revision each few decisions. */
static void
test_known_changes_nothing(void **state)
{
    (void)state;
    static const char *const reductions[] = {"ips", "dr", "iwr"};
    for (uint64_t i = 0; i < 3 * (OWN + 1); i++) {
        struct aft_digest digest[2];
        uint64_t r = i % 3;
        for (int known = 0; known < 2; known++) {
            struct aft_learner *l = learner_of(reductions[r], r == 2 ? "cover" : "epsilon_greedy");
            run(l, kit_seed(80) + i / 3, ARMS, 300, (uint64_t)known);
            aft_learner_digest(l, &digest[known]);
            aft_learner_free(l);
        }
        assert_memory_equal(&digest[0], &digest[1], sizeof digest[0]);
    }
}

/* Counts what the kind itself says. */
static uint32_t followed;
static bool
count_follows(struct afti_table *t, const struct aft_candidate *c)
{
    bool yes = afti_batch_follows(t, c);
    followed += yes;
    return yes;
}

/* A candidate that follows one like it is learned as one whose places were looked for; with an arm's own word at any place, and values
 * that grow as the scales are settled. */
static void
test_followers_change_nothing(void **state)
{
    (void)state;
    for (uint64_t place = 0; place < OWN + 2; place++) {
        struct aft_digest digest[2];
        followed = 0;
        for (int follow = 0; follow < 2; follow++) {
            struct aft_learner *l = learner_of(place % 2 ? "ips" : "dr", "epsilon_greedy");
            struct afti_kind k = *l->table.kind;
            struct aft_error e;
            struct scene s;
            k.follows = follow ? count_follows : NULL;
            l->table.kind = &k;
            scene_init(&s, kit_seed(95) + place, (int)place);
            for (uint64_t i = 0; i < 300; i++) {
                uint64_t revision = 1 + i / 200;
                for (uint32_t j = 0; j < OWN && i == 200; j++) /* one arm's values are larger now */
                    s.own[ARMS / 2][j].number *= 3;
                struct aft_example x = scene_open(&s, ARMS, revision);
                assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
            }
            aft_learner_digest(l, &digest[follow]);
            aft_learner_free(l);
        }
        assert_memory_equal(&digest[0], &digest[1], sizeof digest[0]);
        printf("own word at %u: %u followed\n", (unsigned)place, followed);
        assert_true(followed > 100 || (place > 0 && place < OWN));
    }
}

/* What is followed within a decision, a row's product with the context, is what its weights give in the end. */
static void
test_folds_follow_weights(void **state)
{
    (void)state;
    struct scene s;
    struct aft_error e;
    struct aft_learner *l = learner_of("ips", "epsilon_greedy");
    struct afti_table *t = &l->table;
    struct afti_member *m = &l->members[0];
    scene_init(&s, kit_seed(90), 0);
    for (int i = 0; i < 50; i++) {
        struct aft_example x = scene_open(&s, ARMS, 0);
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
    }
    double from[ARMS], by_fold[ARMS];
    t->kind->begin(t);
    for (int turn = 0; turn < 2; turn++) /* twice, so that the second sees what the first moved */
        for (uint32_t i = 0; i < ARMS; i++) {
            assert_true(afti_take_candidate(t, &s.arms[i], 0));
            t->kind->item(t, true);
            from[i] = turn ? from[i] : t->kind->score(t, m);
            t->kind->learn(t, m, 1, 3);
        }
    const struct afti_batch *b = &t->grid.batch;
    for (uint32_t i = 0; i < ARMS; i++) {
        assert_true(afti_take_candidate(t, &s.arms[i], 0));
        t->kind->item(t, true);
        by_fold[i] = 0;
        for (uint32_t k = 0; k < t->grid.n; k++)
            by_fold[i] += (double)(t->grid.value[k] * afti_batch_fold(b, 0, t->grid.at[k]));
    }
    t->kind->end(t);
    for (uint32_t i = 0; i < ARMS; i++) {
        assert_true(afti_take_candidate(t, &s.arms[i], 0));
        t->kind->item(t, true);
        double now = t->kind->score(t, m);
        assert_true(fabs(now - by_fold[i]) < 1e-4 * (1 + fabs(now)));
        assert_true(fabs(now - 3) < fabs(from[i] - 3));
    }
    aft_learner_free(l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_one_by_one),
        cmocka_unit_test(test_known_changes_nothing),
        cmocka_unit_test(test_followers_change_nothing),
        cmocka_unit_test(test_folds_follow_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
