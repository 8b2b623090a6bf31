/* test_known.c - a learner that is told which candidates it knows (by number, or by a roster) learns the same, bit for bit, as one
 * that reads them all each time: whatever the features, whenever an arm changes, for every kind of model. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "tests/learn_kit.h"

enum { ARMS = 30, FEATURES = 5, CONTEXT = 4, DECISIONS = 600 };

struct world {
    struct aft_random random;
    char ids[ARMS][48];
    struct aft_feature features[ARMS][FEATURES + 1], context[CONTEXT];
    struct aft_candidate arms[ARMS], offered[ARMS];
    struct aft_example_item items[2];
    uint64_t revision;
    int64_t n;
};

static uint32_t
below(struct world *w, uint32_t n)
{
    return aft_random_below(&w->random, n);
}

/* A number, a word or a flag; zero and false are no terms; what is too large cannot be learned. */
static struct aft_feature
feature(struct world *w, const char *name)
{
    static const char *const words[] = {"sport", "news", "", "a rather long word for a topic"};
    struct aft_feature f = {.name = aft_text(name), .type = (enum aft_feature_type)below(w, 3)};
    if (f.type == AFT_FEATURE_TEXT)
        f.text = aft_text(words[below(w, 4)]);
    else if (f.type == AFT_FEATURE_FLAG)
        f.flag = below(w, 2);
    else
        f.number = below(w, 40) == 0 ? 2e6
                   : below(w, 6)     ? aft_random_normal(&w->random) * (1 + (double)w->n / 100)
                                     : 0;
    return f;
}

static void
renew(struct world *w, uint32_t arm)
{
    static const char *const names[] = {"topic", "length", "age", "fresh",
                                        "a feature of a name of many letters"};
    uint32_t n = 0;
    snprintf(w->ids[arm], sizeof w->ids[arm], "%.*s%u", (int)(arm % 9 * 4),
             "an arm whose name has many letters, ", arm);
    for (uint32_t j = 0; j < FEATURES; j++) {
        if (arm % 3 == 0 &&
            j == arm / 3 % 3) /* a word that no other arm has, as VW's files have it */
            w->features[arm][n++] =
                (struct aft_feature){.name = aft_text(w->ids[arm]), .number = 1 + below(w, 2)};
        if (arm < 20 || below(w, 3))
            w->features[arm][n++] = feature(w, names[j]);
        if (n && arm % 2 &&
            w->features[arm][n - 1].type == AFT_FEATURE_TEXT) /* mostly the same rows */
            w->features[arm][n - 1] = (struct aft_feature){.name = aft_text(names[j]),
                                                           .number = 1 + floor((double)w->n / 100)};
    }
    w->arms[arm] = (struct aft_candidate){
        .arm_id = aft_text(w->ids[arm]), .features = {w->features[arm], n}, .known = arm + 1};
}

/* Some of the arms; later ones come later. Sometimes an arm has changed, and all have new numbers. */
static struct aft_example
next_example(struct world *w)
{
    static const char *const names[] = {"device", "days", "enrolled", "hour"};
    uint32_t n = 0, alive = 10 + (uint32_t)(w->n * (ARMS - 10) / DECISIONS);
    if (w->n % 50 == 0) {
        w->revision++;
        renew(w, below(w, ARMS));
    }
    bool numbers = w->n % 8 > 2; /* the same names, and numbers, some of them 0 */
    for (uint32_t j = 0; j < CONTEXT; j++) {
        w->context[j] = feature(w, names[numbers && w->n % 200 > 100 ? CONTEXT - 1 - j : j]);
        if (numbers && w->context[j].type != AFT_FEATURE_NUMBER)
            w->context[j] = (struct aft_feature){
                .name = w->context[j].name,
                .number = below(w, 8) ? (10 + (double)w->n) * (1 + below(w, 30)) / 10000 : 0};
    }
    for (uint32_t a = 0; a < alive; a++)
        if (below(w, 3)) {
            w->offered[n] = w->arms[a];
            w->offered[n++].mask = below(w, 9) ? AFT_ABSENT : AFT_LITERAL("capped");
        }
    w->offered[n++] = w->arms[ARMS - 1];
    for (uint32_t i = 0; i < 2; i++) {
        const struct aft_candidate *c = &w->offered[(below(w, n - 1) + i) % n];
        w->items[i] =
            (struct aft_example_item){.arm_id = c->arm_id,
                                      .slot = (int32_t)i,
                                      .propensity = 0.1 + 0.8 * aft_random_unit(&w->random),
                                      .features = c->features,
                                      .reward_micro = below(w, 3) ? 0 : AFT_MICRO};
    }
    bool twice = w->n / 60 % 2 && n > 1 && !aft_same(w->items[0].arm_id, w->items[1].arm_id);
    struct aft_example x = {.seq = (uint64_t)w->n,
                            .fire_ms = w->n,
                            .decision_id = AFT_LITERAL("d"),
                            .user_id = AFT_LITERAL("u"),
                            .policy = AFT_LITERAL("p"),
                            .context = {w->context, CONTEXT},
                            .candidates = w->offered,
                            .candidates_n = n,
                            .items = w->items,
                            .items_n = twice ? 2 : 1,
                            .revision = w->revision};
    w->n++;
    return x;
}

static void
learn(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_error e;
    if (aft_learner_learn(l, x, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

/* Through bytes, as a learner of the service reads it. */
static void
learn_bytes(struct aft_learner *l, struct aft_roster *o, const struct aft_example *x)
{
    struct aft_error e;
    struct aft_arena arena;
    struct aft_buffer b = {0};
    struct aft_example again;
    aft_arena_init(&arena, 1 << 20);
    aft_encode_example(&b, x);
    struct aft_reader r = aft_reader(aft_buffer_bytes(&b));
    assert_int_equal(aft_decode_example_by(o, &r, &arena, &again, &e), AFT_OK);
    learn(l, &again);
    aft_buffer_deinit(&b);
    aft_arena_deinit(&arena);
}

static void
same_digests(struct aft_learner *const *l)
{
    struct aft_digest want, have;
    aft_learner_digest(l[0], &want);
    for (int i = 1; i < 3; i++) {
        aft_learner_digest(l[i], &have);
        assert_memory_equal(&want, &have, sizeof want);
    }
}

static void
revise(struct aft_example *x, struct world *w)
{
    x->phase = AFT_REVISE;
    for (uint32_t i = 0; i < x->items_n; i++) {
        w->items[i].delta_micro = AFT_MICRO - w->items[i].reward_micro;
        w->items[i].reward_micro = AFT_MICRO;
    }
}

/* Another context, of which nothing is learned: what a learner kept of the one before is gone. */
static void
forget_context(struct aft_learner *l, const struct aft_example *x)
{
    struct aft_feature other = {.name = AFT_LITERAL("other"), .number = 1};
    struct aft_example_item item = x->items[0];
    struct aft_example nothing = *x;
    item.delta_micro = 0;
    nothing.phase = AFT_REVISE;
    nothing.items = &item;
    nothing.items_n = 1;
    nothing.context = (struct aft_features){&other, 1};
    nothing.revision = 0;
    learn(l, &nothing);
}

static void
same_ways(const char *model, const char *reduction, const char *interactions, size_t memory)
{
    struct world *w = calloc(1, sizeof *w);
    struct aft_learner_settings s;
    struct aft_learner *l[3];
    struct aft_roster *o = aft_roster_new(memory);
    aft_random_init(&w->random, kit_seed(41), 0);
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    kit_set(&s, "learner.reduction", reduction);
    kit_set(&s, "features.interactions", interactions);
    for (int i = 0; i < 3; i++)
        l[i] = kit_learner(&s);
    for (uint32_t a = 0; a < ARMS; a++)
        renew(w, a);
    for (int i = 0; i < DECISIONS; i++) {
        struct aft_example x = next_example(w);
        for (int late = 0; late < 2; late++) {
            struct aft_example unknown = x;
            unknown.revision = 0;
            forget_context(l[0], &x);
            learn(l[0], &unknown);
            learn(l[1], &x);
            learn_bytes(l[2], o, &x);
            assert_int_equal(aft_learner_greedy(l[0]), aft_learner_greedy(l[1]));
            assert_int_equal(aft_learner_greedy(l[0]), aft_learner_greedy(l[2]));
            revise(&x, w);
        }
        if (i % 100 == 0)
            same_digests(l);
    }
    same_digests(l);
    for (int i = 0; i < 3; i++)
        aft_learner_free(l[i]);
    aft_roster_free(o);
    free(w);
}

static void
same_by_all_ways(const char *model, const char *interactions, size_t memory)
{
    same_ways(model, "iwr", interactions, memory);
}

static void
test_flow(void **state)
{
    (void)state;
    same_by_all_ways("flow", "", 1 << 20);
    same_by_all_ways("flow", "arm*topic,length*age,device*topic,slot*length", 1 << 20);
    same_by_all_ways("flow", "device*hour", 4000); /* a roster that forgets */
}

static void
test_other_bilinear_kinds(void **state)
{
    (void)state;
    same_by_all_ways("flow-squared", "length*age", 1 << 20);
    same_by_all_ways("vw", "device*hour", 1 << 20);
    same_by_all_ways("bayes", "arm*topic", 1 << 20);
}

/* All arms of a decision are learned, one after the other, and their numbers grow. */
static void
test_made_up(void **state)
{
    (void)state;
    same_ways("flow-squared", "ips", "", 1 << 20);
    same_ways("flow-squared", "dr", "", 1 << 20);
}

static void
test_ridge(void **state)
{
    (void)state;
    same_by_all_ways("ridge", "", 1 << 20);
    same_by_all_ways("ridge", "device*topic,arm*days", 1 << 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow),
        cmocka_unit_test(test_other_bilinear_kinds),
        cmocka_unit_test(test_made_up),
        cmocka_unit_test(test_ridge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
