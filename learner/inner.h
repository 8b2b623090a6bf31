/* inner.h - what the files of learner/ share. Not for other folders.
 *
 *   settings.c    text <-> settings, their digest      reduction.c   an item -> weight, or why it is refused
 *   ridge.c, linear.c     the exact additive model     flow.c, logistic.c   importance-aware logistic flow
 *   arms.c, scoreboard.c   what is counted             learner.c     one example: dispatch and progressive estimates
 *   state.c       the whole state <-> bytes            snapshot.c    publish     restore.c   the way back
 *   rounds.c      blocks of all partitions -> examples in the canonical order
 */
#ifndef AFT_LEARNER_INNER_H
#define AFT_LEARNER_INNER_H

#include "learner/learner.h"

/* ---- what is counted; all of it is state */
enum afti_count {
    AFTI_LEARNED,
    AFTI_REVISED,
    AFTI_SETTLED,
    AFTI_ERASED,
    AFTI_REFUSED_SUPPORT,
    AFTI_REFUSED_WEIGHT,
    AFTI_REFUSED_REWARD,
    AFTI_REFUSED_FEATURE,
    AFTI_OVERFLOWED, /* terms beyond the dictionary's room */
    AFTI_PROGRESSIVE,
    AFTI_EVENT_TIME,
    AFTI_COUNTS
};
enum afti_sum {
    AFTI_WEIGHT,
    AFTI_WEIGHT2,
    AFTI_WEIGHT_RAW,
    AFTI_IPS,
    AFTI_IPS_W,
    AFTI_DR,
    AFTI_SUMS
};

struct afti_arm {
    struct aft_bytes id; /* owned */
    int64_t exposures, clicks, reward_micro, first_seen_ms;
};
struct afti_arms {
    struct aft_dict index; /* hash of the id */
    struct afti_arm *v;
    uint32_t cap;
};
/* One policy's settled decisions. Per decision c = clicks, v = value, i = items shown. */
enum { AFTI_CC, AFTI_CI, AFTI_CV, AFTI_II, AFTI_VV, AFTI_VI, AFTI_CROSS };
struct afti_policy {
    struct aft_bytes name; /* owned */
    int64_t decisions, items;
    double clicks, value, cross[AFTI_CROSS];
};
struct afti_scoreboard {
    struct afti_policy *v;
    uint32_t n, cap;
};

/* ---- models */
/* ridge.c's kernels */
void afti_ridge_moments(struct aft_ridge_block *b, const double *dense, uint32_t d, double h);
void afti_ridge_shrink(double *cov, const double *z, uint32_t d, uint32_t stride);
struct afti_scale { /* of a row or column: running maximum of |x|, sightings (up to 64) */
    float max;
    uint32_t seen;
};
/* One row's part of a step. c: of its crosses; own: of its first column, the row's own weight. */
struct afti_row {
    float *g, *step;
    float value, scale, c, own, phi;
};
struct afti_flow {
    float *g; /* as weights.bilinear.w: information, without labels */
    struct afti_scale *rows, *columns;
    float *fold; /* a row times the context at hand, where stamp says so */
    uint32_t *stamp, now;
    uint32_t rows_cap, columns_cap;
    double q, t;
    float *x, *norm; /* the context at hand: values, N; columns_cap of each */
    float *step;     /* rate x value for the rows at hand, stride each */
    size_t step_cap;
    uint32_t at[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX + 1]; /* the rows at hand */
    float value[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX + 1],
        scale[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX + 1];
    uint32_t n;
    uint32_t column[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX]; /* of each shared term */
    bool ready;                                            /* x holds l->shared[] */
    struct aft_walk walk;
};

/* What was published last: what the next delta is made from. */
struct afti_published {
    struct aft_image plane[2]; /* WEIGHTS, LEARNER */
    struct aft_digest digest;
    struct aft_arm_status *arms; /* without ids */
    uint32_t arms_n;
    bool there;
};

struct aft_learner {
    struct aft_learner_settings settings;
    struct aft_digest configuration;
    struct afti_published published;
    struct aft_features_plan plan;
    struct aft_weights weights;
    struct aft_ridge ridge;
    struct afti_flow flow;
    int64_t counts[AFTI_COUNTS];
    double sums[AFTI_SUMS];
    struct afti_arms arms;
    struct afti_scoreboard scoreboard;
    /* of the example at hand */
    struct aft_encoded context, arm;
    struct aft_term shared[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    struct aft_term own[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    uint32_t shared_n, own_n, greedy;
    int32_t slot;          /* that shared[] is for; -1: not made yet */
    bool slot_good, plain; /* plain: aft_features_plain of the plan */
    struct aft_known context_names[AFT_NAMES], arm_names[AFT_NAMES], ids[AFT_IDS];
    struct aft_sparse x;
    /* of its candidates */
    double score[AFT_CANDIDATES_MAX];
    bool scored[AFT_CANDIDATES_MAX];
    uint32_t row[AFT_CANDIDATES_MAX];
};

/* The arm's index (known arms alone: AFT_NOWHERE); added when add. */
uint32_t afti_arms_of(struct afti_arms *a, struct aft_bytes id, bool add, int64_t now_ms);
void afti_arms_deinit(struct afti_arms *a);
void afti_scoreboard_settle(struct afti_scoreboard *s, const struct aft_example *x);
struct afti_policy *afti_scoreboard_of(struct afti_scoreboard *s, struct aft_bytes name);
void afti_scoreboard_deinit(struct afti_scoreboard *s);
const char *afti_cross_name(int i);

/* afti_item_weight: AFTI_COUNTS when the item may be learned (then *weight and *raw), else the reason's counter. */
enum afti_count afti_item_weight(const struct aft_learner *l, const struct aft_example *x,
                                 const struct aft_example_item *item, double *weight, double *raw);
/* afti_item_features: those of the candidate with that arm where it has some, else the item's own. */
struct aft_features afti_item_features(const struct aft_example *x,
                                       const struct aft_example_item *item);

/* A model sees l->shared[] and l->own[] (terms of one item). reward in units (micro / 1e6). */
double afti_linear_score(struct aft_learner *l);
void afti_linear_learn(struct aft_learner *l, double weight, double reward);
void afti_linear_revise(struct aft_learner *l, double weight, double delta);

/* The flow's labels are rewards / reward_scale in [0, 1]; its score is on log-odds. afti_flow_context: for l->shared[]; when that
 * is new, l->flow.ready must be false. */
void afti_flow_context(struct aft_learner *l, bool grow);
double afti_flow_score(struct aft_learner *l);
/* afti_flow_candidates: l->score[] of the candidates whose terms are plain, without making them; l->scored[] false: make them
 * (l->own[]) and ask afti_flow_score, which gives the same bits. */
void afti_flow_candidates(struct aft_learner *l, const struct aft_candidate *c, uint32_t n);
void afti_flow_learn(struct aft_learner *l, double weight, double label);
void afti_flow_revise(struct aft_learner *l, double weight, double before, double after);
float afti_flow_row(const struct afti_row *r, const float *x, const float *norm, uint32_t stride,
                    float *used); /* flow.c's kernel */
void afti_flow_deinit(struct afti_flow *f);
void afti_flow_room(struct aft_learner *l, uint32_t rows, uint32_t stride);
void afti_flow_variances(const struct aft_learner *l);

/* snapshot.c. afti_published_take: the planes as they are now, their digest, and what the arms' counts are. */
void afti_published_take(const struct aft_learner *l, struct afti_published *out);
void afti_published_deinit(struct afti_published *p);

/* The LEARNER plane: everything but the weights. */
void afti_state_encode(const struct aft_learner *l, struct aft_buffer *out);
enum aft_err afti_state_decode(struct aft_learner *l, struct aft_bytes b,
                               struct aft_error *e) AFT_MUST_CHECK;

void afti_settings_each(const struct aft_learner_settings *s,
                        void (*each)(void *ctx, const char *key, const char *value), void *ctx);

#endif
