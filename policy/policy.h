/* policy.h - from features to a slate with honest probabilities. Shared by the client (serving) and the learner (training), so
 * that there is no skew between them. Pure: randomness is a function of the decision's key.
 *
 *      features (hash, buckets, interactions)  ->  score by the model  ->  explore: log-weights or a pmf with a floor
 *      ->  draw a slate (Plackett-Luce, one pass)  ->  conditional, prefix and marginal probabilities, exact
 */
#ifndef AFT_POLICY_POLICY_H
#define AFT_POLICY_POLICY_H

#include "wire/wire.h"

/* ---- settings: what an engine needs to know to decide; they travel in the manifest as strings (the configuration's own keys) */
enum aft_explore {
    AFT_EXPLORE_UNIFORM,        /* the randomised baseline */
    AFT_EXPLORE_FIRST,          /* uniform until so much has matured, greedy from then on */
    AFT_EXPLORE_EPSILON_GREEDY, /* constant, or decaying with what has matured */
    AFT_EXPLORE_SOFTMAX, /* Plackett-Luce over score / temperature, floored in weight space: the default */
    AFT_EXPLORE_SQUARECB,
    AFT_EXPLORE_SQUARECB_ELIM,
    AFT_EXPLORE_REGCB_ELIM,
    AFT_EXPLORE_REGCB_OPT,
    AFT_EXPLORE_BAGGING, /* votes of the model's members */
    AFT_EXPLORE_COVER,
    AFT_EXPLORE_UCB,
    AFT_EXPLORE_LINUCB,
    AFT_EXPLORE_THOMPSON /* tally of keyed draws, floored: exact given the draws */
};
/* Of widths: the whole covariance, or its diagonal alone. */
enum aft_covariance { AFT_COVARIANCE_FULL, AFT_COVARIANCE_DIAGONAL };
enum aft_model_kind {
    AFT_MODEL_RIDGE,
    AFT_MODEL_FLOW,
    AFT_MODEL_FLOW_SQUARED,
    AFT_MODEL_VW,
    AFT_MODEL_BAYES,
    AFT_MODEL_BAYES_FULL
};
enum aft_scope { AFT_SCOPE_SHARED, AFT_SCOPE_PER_ARM };

#define AFT_INTERACTIONS_MAX 64
#define AFT_EXPOSURES_MAX 32
#define AFT_DEVICES_MAX 8
#define AFT_TOPICS_MAX 16
#define AFT_BUCKETS_MAX 32
#define AFT_BUCKET_EDGES_MAX 32
struct
    aft_interaction { /* a product of two features' indicators or values; "slot" and "arm" are features too */
    char left[64], right[64];
};
struct aft_buckets { /* a number becomes one-hot of the interval it falls in */
    char name[64];
    double edges[AFT_BUCKET_EDGES_MAX]; /* ascending */
    uint32_t n;
};
struct aft_named_number { /* of an arm, of a device */
    char name[64];
    double value;
};
struct aft_policy_settings {
    uint32_t bits;      /* features.bits */
    uint32_t arm_stats; /* features.arm.stats: which, arm_stats.c */
    struct aft_interaction interactions[AFT_INTERACTIONS_MAX];
    uint32_t interactions_n;
    struct aft_buckets buckets[AFT_BUCKETS_MAX];
    uint32_t buckets_n;
    enum aft_model_kind model;
    enum aft_scope scope;
    enum aft_explore explore;
    double epsilon, temperature, alpha; /* floor; softmax; width of UCB and Thompson */
    uint32_t draws;                     /* Thompson's tally */
    /* docs/POLICIES.md has the formulas; "matured" counts settled examples, so that nothing runs ahead of what is known */
    double epsilon_decay, epsilon_min, first, gamma, gamma_power, c0, reward_min, reward_max;
    enum aft_covariance covariance;
    /* inside the draw */
    double min_exposure, diversity, coverage_factor, repetition;
    struct aft_named_number exposures[AFT_EXPOSURES_MAX], slots[AFT_DEVICES_MAX];
    uint32_t exposures_n, slots_n;
    char topic_feature[64], repetition_feature[64], coverage[AFT_TOPICS_MAX][64];
    uint32_t coverage_n;
};

/* aft_policy_settings_default: the defaults of the configuration. aft_policy_set: one key of the configuration ("policy.epsilon",
 * "features.interactions", "features.buckets.days", "learner.model", ...); AFT_E_CONFIG says what is allowed;
 * *known = false for a key that is not the policy's. aft_policy_settings_each: every setting as key and text, sorted by key. */
void aft_policy_settings_default(struct aft_policy_settings *s);
enum aft_err aft_policy_set(struct aft_policy_settings *s, const char *key, const char *value,
                            bool *known, struct aft_error *e) AFT_MUST_CHECK;
void aft_policy_settings_each(const struct aft_policy_settings *s,
                              void (*each)(void *ctx, const char *key, const char *value),
                              void *ctx);

/* The building stones of such tables, for the learner's own: a word among some; a finite number in [low, high]. */
struct aft_word {
    const char *text;
    int value;
};
enum aft_err aft_set_word(const struct aft_word *words, uint32_t n, const char *key,
                          const char *value, int *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_set_number(const char *key, const char *value, double low, double high,
                            double *out, struct aft_error *e) AFT_MUST_CHECK;
const char *aft_word_of(const struct aft_word *words, uint32_t n, int value);

/* ---- a model: immutable, shared by any number of threads */
struct aft_model;
struct aft_snapshot_set; /* policy/snapshot.h */
/* aft_model_uniform: knows nothing; every decision is uniform over the eligible, with true probabilities. */
struct aft_model *aft_model_uniform(void);
void aft_model_free(struct aft_model *m);
struct aft_bytes
aft_model_snapshot_id(const struct aft_model *m); /* hex digest, or absent for the uniform one */
int64_t aft_model_round(const struct aft_model *m);

/* aft_model_arm_stats: what the model's snapshot knows of an arm at that time (Unix, ms), as the features that features.arm.stats names
 * (arm_stats.c: arm.ctr, ...), at most AFT_ARM_STATS_MAX; returns how many: 0 where nobody asked, and of the uniform model. Names are
 * static. Whoever decides puts them beside the arm's own features, before the decision, and logs them with it. Any thread. */
enum { AFT_ARM_STATS_MAX = 5 };
uint32_t aft_model_arm_stats(const struct aft_model *m, struct aft_bytes arm_id, int64_t time_ms,
                             struct aft_feature out[AFT_ARM_STATS_MAX]);

/* aft_model_load: what a set serves (policy/snapshot.h) -> a model. AFT_E_AGAIN: nothing yet. */
enum aft_err aft_model_load(const struct aft_snapshot_set *s, struct aft_model **out,
                            struct aft_error *e) AFT_MUST_CHECK;

/* ---- deciding */
#define AFT_ALIKE_MAX 1e30
struct aft_request {
    struct aft_features context;
    const struct aft_candidate *candidates; /* one with a mask is not eligible */
    uint32_t candidates_n;
    uint32_t
        k; /* slots wanted, 1 .. AFT_SLATE_MAX; fewer eligible, or policy.slots.<device>: a shorter slate */
    struct aft_bytes key; /* what the draw is keyed by: normally the decision id */
    bool baseline;        /* decide uniformly at random, whatever the model says */
    /* 0, or a number of the caller's choice, by which it promises: whenever this scratch has seen the same revision, ids and features
     * (not masks) of the candidates_n candidates were what they are now, bytes and all, wherever they lay. They are then resolved once
     * a snapshot, and a decision no longer reads them. A change of anything wants a new number. Results are the same. */
    uint64_t revision;
    /* 0, or of how many features at the beginning of each candidate the caller promises: they are numbers of -AFT_ALIKE_MAX to
     * AFT_ALIKE_MAX under the first candidate's names in its order, at the same addresses. They are then not looked at again one by one.
     * Results are the same. */
    uint32_t alike;
    /* NULL, or of each candidate (candidates_n of them): how many of its last features are this request's and not the revision's. */
    const uint32_t *fresh;
    /* NULL, or how often each candidate was shown to this user lately (candidates_n of them, finite, >= 0); instead of the feature
     * that policy.repetition.feature names. They may change while the revision stays. */
    const float *recent;
};
struct aft_slot {
    uint32_t candidate; /* index into candidates */
    double propensity;  /* given what stands above */
    double prefix;      /* of the slate down to here */
    double marginal;    /* of this arm in this slot at all */
    bool has_marginal;
};
struct aft_decision {
    struct aft_slot slots[AFT_SLATE_MAX];
    uint32_t n;
    enum aft_propensity_kind propensity_kind;
    struct aft_design design; /* kind is static text; key borrows from the request */
    float *log_weights;       /* candidates_n of them, in the scratch; not eligible: -inf */
};
/* A scratch belongs to one thread; it grows to the largest request and then never allocates. */
struct aft_scratch;
struct aft_scratch *aft_scratch_new(void);
void aft_scratch_free(struct aft_scratch *s);
/* aft_decide: the same model, request and key give the same slate and the same bits. AFT_E_LIMIT (too many candidates),
 * AFT_E_VALUE
 * (no eligible candidate, k out of range, a non-finite feature). out->log_weights lives until the scratch is used again. */
enum aft_err aft_decide(const struct aft_model *m, struct aft_scratch *s,
                        const struct aft_request *r, struct aft_decision *out,
                        struct aft_error *e) AFT_MUST_CHECK;

/* aft_decide_given: as aft_decide, from weights that a model gave before (its log_weights and its design, of kind "plackett_luce" or
 * "uniform"; a "diverse" slate has no weights of its own). With the masks, k and key of then it is the decision of then, bit by bit;
 * with others it is exactly the draw among those that are eligible now. r: `baseline` and the features are not read. */
struct aft_given {
    const float *log_weights; /* candidates_n of them; of the eligible: finite */
    struct aft_design design;
    enum aft_propensity_kind propensity_kind;
};
enum aft_err aft_decide_given(const struct aft_given *g, struct aft_scratch *s,
                              const struct aft_request *r, struct aft_decision *out,
                              struct aft_error *e) AFT_MUST_CHECK;
/* aft_shadow: what this model would have made of a slate that something else chose: p[l] is its probability of slate[l] (indices into the
 * request's candidates, all eligible), given those above. As aft_decide; r->k changes nothing, the key only Thompson's draws. */
enum aft_err aft_shadow(const struct aft_model *m, struct aft_scratch *s,
                        const struct aft_request *r, const uint32_t *slate, uint32_t n, double *p,
                        struct aft_error *e) AFT_MUST_CHECK;

/* ---- the parts, for the learner and for off-policy evaluation: the same code that serves */
#include "policy/delta.h"
#include "policy/design.h"
#include "policy/features.h"
#include "policy/lanes.h"
#include "policy/names.h"
#include "policy/snapshot.h"
#include "policy/weights.h"

#endif
