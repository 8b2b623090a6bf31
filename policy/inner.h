/* inner.h - what the files of policy/ share. Not for other folders.
 *
 *   settings.c  text <-> settings            features.c  nouns -> terms (hash, value)
 *   slate.c     log-weights -> slate         explore.c   scores -> pmf
 *   dict.c      hash -> index                linear.c, bilinear.c, format.c   the weights of a model and their bytes
 *   snapshot_set.c  records -> a whole set   model.c     a whole set -> a model
 *   score.c     a model's view of a request -> log-weights                    decide.c   all of it for one decision
 */
#ifndef AFT_POLICY_INNER_H
#define AFT_POLICY_INNER_H

#include "policy/policy.h"

struct aft_model {
    struct aft_features_plan plan;
    bool uniform;
    int64_t round;
    char id[65]; /* "" for the uniform one */
    struct aft_weights weights;
    float quantiles[4096]; /* the normal law at (i + 1/2) / 4096, for Thompson's draws */
};

/* A term of a candidate, resolved: a column (linear) or a row (bilinear). */
struct afti_place {
    uint32_t at;
    double value;
};

struct aft_scratch {
    struct aft_encoded context, arm;
    struct aft_term terms[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    struct aft_sparse shared, own;
    uint32_t index[AFT_CANDIDATES_MAX]; /* eligible candidates */
    double log_w[AFT_CANDIDATES_MAX], w[AFT_CANDIDATES_MAX], rest[AFT_CANDIDATES_MAX];
    double mean[AFT_CANDIDATES_MAX], variance[AFT_CANDIDATES_MAX];
    double value[AFT_CANDIDATES_MAX], tally[AFT_CANDIDATES_MAX], normal[AFT_CANDIDATES_MAX + 8];
    float out[AFT_CANDIDATES_MAX];
    double shared_apply[AFT_LINEAR_COLUMNS], own_apply[AFT_LINEAR_COLUMNS];
    uint32_t start[AFT_CANDIDATES_MAX + 1]; /* a candidate's places */
    /* these grow to the largest request, or to the model */
    struct afti_place *places;
    size_t places_n, places_cap;
    double *gram; /* GRAM_MAX x GRAM_MAX, once asked for */
    float *x, *x2;
    size_t x_cap;
    struct afti_fold {
        double mean, variance, dense;
        uint32_t stamp;
    } * folds; /* a row of a bilinear model times this context */
    size_t folds_cap;
    uint32_t stamp;
};

/* afti_log_weights: fills s->log_w[0 .. n) for the eligible s->index[0 .. n). */
enum aft_err afti_log_weights(const struct aft_model *m, struct aft_scratch *s,
                              const struct aft_request *r, uint32_t n, uint32_t k,
                              struct aft_error *e) AFT_MUST_CHECK;

#endif
