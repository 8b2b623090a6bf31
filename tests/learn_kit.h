/* learn_kit.h - a small world for the learner's tests: contexts, arms, logged decisions, rewards, all from a seed. */
#ifndef AFT_TESTS_LEARN_KIT_H
#define AFT_TESTS_LEARN_KIT_H

#include <string.h>

#include "learner/learner.h"

enum { KIT_ARMS = 12, KIT_SLOTS = 3 };

struct kit_world {
    struct aft_random random;
    struct aft_model *uniform;
    struct aft_scratch *scratch;
    char names[KIT_ARMS][16], topics[KIT_ARMS][16], id[32];
    struct aft_feature arm_features[KIT_ARMS][2], context[4];
    struct aft_candidate candidates[KIT_ARMS];
    struct aft_example_item items[KIT_SLOTS];
    struct aft_component clicks[KIT_SLOTS];
    int64_t n;
};

static inline void
kit_world_init(struct kit_world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    aft_random_init(&w->random, seed, 77);
    w->uniform = aft_model_uniform();
    w->scratch = aft_scratch_new();
    for (int i = 0; i < KIT_ARMS; i++) {
        snprintf(w->names[i], sizeof w->names[i], "arm-%d", i);
        snprintf(w->topics[i], sizeof w->topics[i], "topic-%d", i % 4);
        w->arm_features[i][0] = (struct aft_feature){
            .name = AFT_LITERAL("topic"), .type = AFT_FEATURE_TEXT, .text = aft_text(w->topics[i])};
        w->arm_features[i][1] = (struct aft_feature){
            .name = AFT_LITERAL("length"), .type = AFT_FEATURE_NUMBER, .number = 0.1 * i};
        w->candidates[i].arm_id = aft_text(w->names[i]);
        w->candidates[i].features = (struct aft_features){w->arm_features[i], 2};
    }
}

static inline void
kit_world_deinit(struct kit_world *w)
{
    aft_model_free(w->uniform);
    aft_scratch_free(w->scratch);
}

/* The chance of a click on an arm at the top: by the topic that the device likes, and a little by the arm. */
static inline double
kit_chance(const struct kit_world *w, uint32_t arm)
{
    bool app = w->context[0].text.n == 3 && w->context[0].text.p[0] == 'a';
    return 0.02 + 0.01 * (arm % 3) + (arm % 4 == (app ? 1u : 2u) ? 0.3 : 0);
}

static inline void
kit_context(struct kit_world *w)
{
    bool app = aft_random_below(&w->random, 2);
    w->context[0] = (struct aft_feature){.name = AFT_LITERAL("device"),
                                         .type = AFT_FEATURE_TEXT,
                                         .text = app ? AFT_LITERAL("app") : AFT_LITERAL("web")};
    w->context[1] = (struct aft_feature){.name = AFT_LITERAL("days"),
                                         .type = AFT_FEATURE_NUMBER,
                                         .number = (double)aft_random_below(&w->random, 90)};
    w->context[2] = (struct aft_feature){.name = AFT_LITERAL("enrolled"),
                                         .type = AFT_FEATURE_FLAG,
                                         .flag = aft_random_below(&w->random, 2)};
    snprintf(w->id, sizeof w->id, "decision-%lld", (long long)w->n);
}

/* The next decision, drawn by `m` (NULL: uniform), as an OPEN example with rewards of clicks; slices live in the world. */
static inline struct aft_example
kit_open(struct kit_world *w, const struct aft_model *m)
{
    struct aft_error e;
    struct aft_decision d;
    kit_context(w);
    struct aft_request r = {.context = {w->context, 3},
                            .candidates = w->candidates,
                            .candidates_n = KIT_ARMS,
                            .k = KIT_SLOTS,
                            .key = aft_text(w->id)};
    if (aft_decide(m ? m : w->uniform, w->scratch, &r, &d, &e) != AFT_OK)
        fail_msg("%s", e.message);
    AFT_ASSERT(d.n <= KIT_SLOTS);
    for (uint32_t l = 0; l < d.n; l++) {
        uint32_t arm = d.slots[l].candidate;
        double p = kit_chance(w, arm) * (double[]){1, 0.7, 0.5}[l];
        bool click = aft_random_unit(&w->random) < p;
        w->clicks[l] = (struct aft_component){AFT_LITERAL("click"), AFT_MICRO};
        w->items[l] = (struct aft_example_item){.arm_id = w->candidates[arm].arm_id,
                                                .slot = (int32_t)l,
                                                .propensity = d.slots[l].propensity,
                                                .marginal = d.slots[l].marginal,
                                                .has_marginal = true,
                                                .features = w->candidates[arm].features,
                                                .reward_micro = click ? AFT_MICRO : 0,
                                                .components = &w->clicks[l],
                                                .components_n = click};
    }
    struct aft_example x = {.seq = (uint64_t)w->n,
                            .phase = AFT_OPEN,
                            .fire_ms = 1000 * w->n,
                            .decision_id = aft_text(w->id),
                            .user_id = AFT_LITERAL("u"),
                            .timestamp_ms = 1000 * w->n,
                            .policy = m ? AFT_LITERAL("personalised") : AFT_LITERAL("baseline"),
                            .context = {w->context, 3},
                            .candidates = w->candidates,
                            .candidates_n = KIT_ARMS,
                            .items = w->items,
                            .items_n = d.n,
                            .has_design = true,
                            .design = d.design};
    w->n++;
    return x;
}

static inline void
kit_set(struct aft_learner_settings *s, const char *key, const char *value)
{
    struct aft_error e;
    bool known = false;
    if (aft_learner_set(s, key, value, &known, &e) != AFT_OK || !known)
        fail_msg("%s=%s: %s", key, value, known ? e.message : "unknown");
}

static inline struct aft_learner *
kit_learner(const struct aft_learner_settings *s)
{
    struct aft_error e;
    struct aft_learner *l = NULL;
    if (aft_learner_new(s, &l, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return l;
}

/* A sink that feeds a snapshot set; `whole` counts complete sets. */
struct kit_follower {
    struct aft_snapshot_set *set;
    int whole, records;
};

static inline enum aft_err
kit_follow(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct kit_follower *f = ctx;
    bool whole = false;
    if (key.n == 0)
        return AFT_FAIL(e, AFT_E_FAILED, "no key");
    enum aft_err err = aft_snapshot_set_add(f->set, body, &whole, e);
    f->whole += whole;
    f->records++;
    return err;
}

static inline void
kit_publish(struct aft_learner *l, int64_t round, struct kit_follower *f)
{
    struct aft_error e;
    struct aft_end end = {.partition = 0, .next_seq = round};
    struct aft_publish_spec spec = {
        .model = AFT_LITERAL("m"), .round = round, .ends = &end, .ends_n = 1};
    if (aft_learner_publish(l, &spec, kit_follow, f, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

#endif
