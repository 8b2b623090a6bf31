/* test_plain.c - the fast ways to a score give the bits of the long one: candidates read each time, resolved by revision, and
 * made into terms (which a feature with a long name and no value brings about: it adds nothing); buffers that are used again; and the
 * same for the learner. */
#include "tests/kit.h"

#include <string.h>

#include "learner/learner.h"
#include "policy/inner.h"

enum { ARMS = 37, OWN = 9, CONTEXT = 6, ELIGIBLE = ARMS - 3 };

static const char *const nothing = "a feature with a name that is too long to be kept";

struct world {
    struct aft_random random;
    char names[OWN][24], ids[ARMS][24], context_names[CONTEXT][8];
    struct aft_feature context[CONTEXT], own[ARMS][OWN + 1];
    struct aft_candidate arms[ARMS];
    uint32_t alike; /* so many of all candidates' first are the same numbers */
};

/* Some have all features, some a few, some a word among the numbers (`words`); ids and names of all lengths. */
static void
fill(struct world *w, bool words)
{
    static const char *const long_name = "twenty-letters-name-";
    w->alike = aft_random_below(&w->random, words ? 5 : OWN + 1);
    for (uint32_t i = 0; i < CONTEXT; i++) {
        snprintf(w->context_names[i], sizeof w->context_names[i], "u%u", i);
        w->context[i] = (struct aft_feature){.name = aft_text(w->context_names[i]),
                                             .number = 2 * aft_random_unit(&w->random) - 1};
    }
    for (uint32_t j = 0; j < OWN; j++)
        snprintf(w->names[j], sizeof w->names[j], "%.*s%u", (int)(words ? 2 * j : j), long_name, j);
    for (uint32_t a = 0; a < ARMS; a++) {
        uint32_t n = 0;
        snprintf(w->ids[a], sizeof w->ids[a], "%.*s%u", (int)(a % (words ? 18 : 14)), long_name, a);
        for (uint32_t j = 0; j < OWN; j++) {
            if (a > 10 && j >= w->alike && aft_random_below(&w->random, 3) == 0)
                continue;
            struct aft_feature *f = &w->own[a][n++];
            *f = (struct aft_feature){.name = aft_text(w->names[j]),
                                      .number = 2 * aft_random_unit(&w->random) - 1};
            if (words && j == 4 && a % 5 == 0) {
                f->type = AFT_FEATURE_TEXT;
                f->text = AFT_LITERAL("word");
            }
        }
        w->own[a][n] = (struct aft_feature){.name = aft_text(nothing)}; /* of no value */
        w->arms[a] =
            (struct aft_candidate){.arm_id = aft_text(w->ids[a]), .features = {w->own[a], n}};
    }
    w->arms[3].mask = w->arms[17].mask = AFT_LITERAL("capped");
}

/* Short ids, and nothing but those. */
static void
bare(struct world *w)
{
    for (uint32_t a = 0; a < ARMS; a++) {
        snprintf(w->ids[a], sizeof w->ids[a], "%u", a);
        w->arms[a].arm_id = aft_text(w->ids[a]);
        w->own[a][0] = (struct aft_feature){.name = aft_text(nothing)};
        w->arms[a].features.n = 0;
    }
}

/* With the feature of no value, or without it. */
static void
lengthen(struct world *w, int by)
{
    for (uint32_t a = 0; a < ARMS; a++)
        w->arms[a].features.n += (uint32_t)by;
}

static enum aft_err
follow(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    bool whole;
    (void)key;
    return aft_snapshot_set_add(ctx, body, &whole, e);
}

static struct aft_learner *
learner_of(const char *model, const char *scope, const char *explore)
{
    struct aft_learner_settings s;
    struct aft_learner *l = NULL;
    struct aft_error e;
    bool known;
    aft_learner_settings_default(&s);
    assert_int_equal(aft_learner_set(&s, "learner.model", model, &known, &e), AFT_OK);
    assert_int_equal(aft_learner_set(&s, "learner.scope", scope, &known, &e), AFT_OK);
    assert_int_equal(aft_learner_set(&s, "policy.explore", explore, &known, &e), AFT_OK);
    assert_int_equal(aft_learner_new(&s, &l, &e), AFT_OK);
    return l;
}

static void
learn_one(struct aft_learner *l, struct world *w, uint32_t shown, bool click)
{
    struct aft_error e;
    struct aft_example_item item = {.arm_id = w->arms[shown].arm_id,
                                    .propensity = 1. / ARMS,
                                    .features = w->arms[shown].features,
                                    .reward_micro = click ? AFT_MICRO : 0};
    struct aft_example x = {.context = {w->context, CONTEXT},
                            .candidates = w->arms,
                            .candidates_n = ARMS,
                            .items = &item,
                            .items_n = 1};
    assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
}

static struct aft_model *
trained(struct world *w, const char *model, const char *scope, const char *explore)
{
    struct aft_learner *l = learner_of(model, scope, explore);
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_publish_spec spec = {.model = AFT_LITERAL("m"), .round = 1};
    struct aft_model *m = NULL;
    struct aft_error e;
    for (int i = 0; i < 400; i++) {
        fill(w, true);
        if (strcmp(scope, "per_arm") == 0)
            bare(w);
        learn_one(l, w, aft_random_below(&w->random, ARMS - 5), aft_random_below(&w->random, 2));
    }
    assert_int_equal(aft_learner_publish(l, &spec, follow, set, &e), AFT_OK);
    assert_int_equal(aft_model_load(set, &m, &e), AFT_OK);
    aft_snapshot_set_free(set);
    aft_learner_free(l);
    return m;
}

static struct aft_request
request_of(const struct world *w)
{
    return (struct aft_request){.context = {w->context, CONTEXT},
                                .candidates = w->arms,
                                .candidates_n = ARMS,
                                .k = 3,
                                .key = AFT_LITERAL("key")};
}

/* What is decided, into bits. */
static void
decide_request(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
               float out[ARMS + 9])
{
    struct aft_decision d;
    struct aft_error e;
    assert_int_equal(aft_decide(m, s, r, &d, &e), AFT_OK);
    memcpy(out, d.log_weights, ARMS * sizeof *out);
    for (uint32_t l = 0; l < 3; l++) {
        out[ARMS + 3 * l] = (float)d.slots[l].candidate;
        out[ARMS + 3 * l + 1] = (float)d.slots[l].propensity;
        out[ARMS + 3 * l + 2] = (float)d.slots[l].marginal;
    }
}

static void
decide_fresh(const struct aft_model *m, struct aft_scratch *s, const struct world *w,
             uint64_t revision, const uint32_t *fresh, float out[ARMS + 9])
{
    struct aft_request r = request_of(w);
    r.revision = revision;
    r.fresh = fresh;
    decide_request(m, s, &r, out);
}

static void
decide_alike(const struct aft_model *m, struct aft_scratch *s, const struct world *w,
             uint32_t alike, float out[ARMS + 9])
{
    struct aft_request r = request_of(w);
    r.alike = alike;
    decide_request(m, s, &r, out);
}

static void
decide(const struct aft_model *m, struct aft_scratch *s, const struct world *w, uint64_t revision,
       float out[ARMS + 9])
{
    decide_fresh(m, s, w, revision, NULL, out);
}

/* The last decision's variances are those, where the law reads any. */
static void
same_variances(const struct aft_model *m, const struct aft_scratch *s, const double *variance)
{
    if (afti_wants(&m->plan.settings).variance)
        assert_memory_equal(s->variance, variance, ELIGIBLE * sizeof *variance);
}

static void
same_by_all_ways(const char *model, const char *explore, uint64_t seed)
{
    static struct world w;
    float by_terms[ARMS + 9], walked[ARMS + 9], table[ARMS + 9], alike[ARMS + 9];
    double variance[ELIGIBLE];
    struct aft_scratch *s = aft_scratch_new();
    aft_random_init(&w.random, seed, 0);
    struct aft_model *m = trained(&w, model, "shared", explore);
    for (uint64_t i = 1; i <= 200; i++) { /* the same buffers hold other names and values */
        fill(&w, i % 3 == 0);
        for (int again = 0; again < 2; again++) {
            decide(m, s, &w, i, table);
            memcpy(variance, s->variance, sizeof variance);
            decide(m, s, &w, 0, walked);
            same_variances(m, s, variance);
            decide_alike(m, s, &w, again ? w.alike : w.alike / 2, alike);
            same_variances(m, s, variance);
            assert_memory_equal(alike, walked, sizeof walked);
            lengthen(&w, 1);
            decide(m, s, &w, 0, by_terms);
            same_variances(m, s, variance);
            lengthen(&w, -1);
            assert_memory_equal(by_terms, walked, sizeof walked);
            assert_memory_equal(by_terms, table, sizeof table);
            w.context[2].number = 0.25; /* another context, the same candidates */
            w.arms[5].mask = AFT_LITERAL("capped");
        }
        w.names[2][0] ^= (char)(i & 1); /* a name that changes where it stands */
        w.ids[1][0] ^= (char)(i & 1);
        decide(m, s, &w, 0, walked);
        lengthen(&w, 1);
        decide(m, s, &w, 0, by_terms);
        assert_memory_equal(by_terms, walked, sizeof walked);
    }
    aft_model_free(m);
    aft_scratch_free(s);
}

/* A name that the model knows and the arm does not have yet; NULL: there is none. */
static const char *
new_name(struct world *w, const struct aft_features *f, uint32_t from)
{
    for (uint32_t j = from; j < from + OWN; j++) {
        bool there = false;
        for (uint32_t i = 0; i < f->n; i++)
            there = there || aft_same(f->v[i].name, aft_text(w->names[j % OWN]));
        if (!there)
            return w->names[j % OWN];
    }
    return NULL;
}

/* The last features of some arms change from request to request, in value and name, or there are none; the others are resolved. */
static void
refresh(struct world *w, uint32_t fresh[ARMS])
{
    for (uint32_t a = 0; a < ARMS; a++) {
        struct aft_features *f = &w->arms[a].features;
        f->n -= fresh[a];
        fresh[a] = a % 3 == 0 ? 0 : aft_random_below(&w->random, 3);
        for (uint32_t i = 0; i < fresh[a]; i++) {
            const char *name = new_name(w, f, aft_random_below(&w->random, OWN));
            w->own[a][f->n++] = (struct aft_feature){.name = aft_text(name ? name : "never met"),
                                                     .number = 2 * aft_random_unit(&w->random) - 1};
        }
        w->own[a][f->n] = (struct aft_feature){.name = aft_text(nothing)};
    }
}

static void
fresh_by_all_ways(const char *model, const char *explore, uint32_t kept, uint64_t seed)
{
    static struct world w;
    uint32_t fresh[ARMS] = {0};
    float by_terms[ARMS + 9], walked[ARMS + 9], table[ARMS + 9];
    struct aft_scratch *s = aft_scratch_new();
    aft_random_init(&w.random, seed, 0);
    struct aft_model *m = trained(&w, model, "shared", explore);
    fill(&w, true);
    for (uint32_t a = 0; a < ARMS; a++) /* room for two more, also of names that no table has */
        w.arms[a].features.n = w.arms[a].features.n > kept ? kept : w.arms[a].features.n;
    for (int i = 0; i < 200; i++) {
        refresh(&w, fresh);
        w.context[1].number = 0.01 * i;
        decide_fresh(m, s, &w, 7, fresh, table);
        decide(m, s, &w, 0, walked);
        lengthen(&w, 1);
        decide(m, s, &w, 0, by_terms);
        lengthen(&w, -1);
        assert_memory_equal(by_terms, walked, sizeof walked);
        assert_memory_equal(by_terms, table, sizeof table);
    }
    aft_model_free(m);
    aft_scratch_free(s);
}

static void
test_fresh_features_by_all_ways(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(8);
    static const char *const explorers[] = {"softmax", "squarecb-elim", "ucb", "thompson"};
    for (int i = 0; i < 4; i++)
        for (uint32_t kept = 0; kept <= 6; kept += 2)
            fresh_by_all_ways("flow", explorers[i], kept, seed + kept);
    fresh_by_all_ways("ridge", "softmax", 6, seed);
}

static void
test_decides_the_same_by_all_ways(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(5);
    same_by_all_ways("ridge", "softmax", seed);
    same_by_all_ways("flow", "softmax", seed);
    same_by_all_ways("ridge", "epsilon_greedy", seed);
    same_by_all_ways("flow", "epsilon_greedy", seed);
    same_by_all_ways("flow", "squarecb-elim", seed);
    same_by_all_ways("flow", "ucb", seed);
    same_by_all_ways("flow", "thompson", seed);
}

/* x' C x by its factors or row by row: not the same bits, but the same order of the arms. */
static void
test_widths_by_factors(void **state)
{
    (void)state;
    static struct world w;
    float rows[ARMS + 9], factors[ARMS + 9];
    struct aft_scratch *s = aft_scratch_new();
    aft_random_init(&w.random, kit_seed(6), 0);
    struct aft_model *m = trained(&w, "ridge", "per_arm", "linucb");
    for (int i = 0; i < 300; i++) {
        fill(&w, false);
        bare(&w); /* the last five nobody has learned */
        decide(m, s, &w, 0, factors);
        lengthen(&w, 1);
        decide(m, s, &w, 0, rows);
        assert_memory_equal(rows, factors, sizeof rows);
    }
    aft_model_free(m);
    aft_scratch_free(s);
}

/* The learner's greedy arm and its progressive estimates: with terms and without. */
static void
test_learns_the_same_by_all_ways(void **state)
{
    (void)state;
    static struct world w;
    struct aft_learner *walked = learner_of("flow", "shared", "softmax");
    struct aft_learner *by_terms = learner_of("flow", "shared", "softmax");
    struct aft_digest a, b;
    aft_random_init(&w.random, kit_seed(7), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t shown = aft_random_below(&w.random, ARMS);
        bool click = aft_random_below(&w.random, 3) == 0;
        fill(&w, i % 3 == 0);
        learn_one(walked, &w, shown, click);
        lengthen(&w, 1);
        learn_one(by_terms, &w, shown, click);
        assert_int_equal(aft_learner_greedy(walked), aft_learner_greedy(by_terms));
    }
    aft_learner_digest(walked, &a);
    aft_learner_digest(by_terms, &b);
    assert_memory_equal(&a, &b, sizeof a);
    aft_learner_free(walked);
    aft_learner_free(by_terms);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decides_the_same_by_all_ways),
        cmocka_unit_test(test_fresh_features_by_all_ways),
        cmocka_unit_test(test_widths_by_factors),
        cmocka_unit_test(test_learns_the_same_by_all_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
