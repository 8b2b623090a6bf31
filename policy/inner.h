/* inner.h - what the files of policy/ share. Not for other folders.
 *
 *   settings.c  text <-> settings            features.c  nouns -> terms (hash, value)
 *   slate.c     log-weights -> slate         explore.c   scores -> pmf
 *   dict.c      hash -> index                linear.c, bilinear.c, format.c   the weights of a model and their bytes
 *   snapshot_set.c  records -> a whole set   model.c     a whole set -> a model
 *   plain.c, quadratic.c  fast ways to the same scores
 *   score.c     a model's view of a request -> log-weights       tally.c     values -> shares, Thompson
 *                      decide.c   all of it for one decision
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
    float quantiles[4096];      /* the normal law at (i + 1/2) / 4096, for Thompson's draws */
    struct aft_digest identity; /* of the set: settings and weights */
    double *forms;              /* a small per-arm model's blocks: quadratic.c; or NULL */
};

/* quadratic.c: x' C x as one product with the triangle of x x'. */
#define AFTI_FORM_COLUMNS 128u
size_t afti_form_size(uint32_t columns);
/* afti_forms_make: where the model is one and wants variances. */
void afti_forms_make(struct aft_model *m);
/* afti_form_triangle: the products x[i] x[j], j <= i, of d values. */
void afti_form_triangle(const double *x, uint32_t d, double *z);
double afti_form_dot(const double *a, const double *b, size_t n);
/* slate.c's and plain.c's kernels */
double afti_pl_pairs(const double *w, const double *rest, const double *inverse, uint32_t n);
void afti_plain_rows(const double *value, const double *by, uint32_t rows, uint32_t stride,
                     double *sum);

/* A term of a candidate, resolved: a column (linear) or a row (bilinear). */
struct afti_place {
    uint32_t at;
    double value;
};

/* The candidates of one revision, resolved: their features as a table of rows (a place each) by candidates. plain.c */
struct afti_catalogue {
    uint64_t revision; /* 0: none */
    const struct aft_candidate *candidates;
    uint32_t n, stride, rows;
    bool usable;
    uint32_t identity[AFT_CANDIDATES_MAX], place[2 * AFT_FEATURES_MAX];
    double by[2 * AFT_FEATURES_MAX], sum[AFT_CANDIDATES_MAX + 8];
    double *value; /* rows x stride */
    size_t value_cap;
};

#define AFTI_DIRECTIONS 64u

struct aft_scratch {
    struct aft_encoded context, arm;
    struct aft_term terms[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    struct aft_sparse shared, own;
    uint32_t member;                    /* whose scores are being made */
    uint32_t index[AFT_CANDIDATES_MAX]; /* eligible candidates */
    double log_w[AFT_CANDIDATES_MAX], w[AFT_CANDIDATES_MAX], rest[AFT_CANDIDATES_MAX];
    double mean[AFT_CANDIDATES_MAX], variance[AFT_CANDIDATES_MAX];
    double value[AFT_CANDIDATES_MAX + 8], tally[AFT_CANDIDATES_MAX],
        normal[AFT_CANDIDATES_MAX + AFTI_DIRECTIONS + 16];
    float out[AFT_CANDIDATES_MAX];
    double shared_apply[AFT_LINEAR_COLUMNS], own_apply[AFT_LINEAR_COLUMNS];
    uint32_t start[AFT_CANDIDATES_MAX + 1]; /* a candidate's places */
    /* these grow to the largest request, or to the model */
    struct afti_place *places;
    size_t places_n, places_cap;
    double *direction; /* deviation of each candidate along each direction that some share */
    size_t direction_cap;
    uint32_t directions;
    uint32_t best[AFT_SLATE_MAX + 1]; /* of the draw before */
    bool joint;                       /* gram holds their covariance */
    double *gram;                     /* GRAM_MAX x GRAM_MAX, once asked for */
    float *x, *x2;
    size_t x_cap;
    struct afti_fold {
        double mean, variance, dense;
        uint32_t stamp;
    } * folds; /* a row of a bilinear model times this context */
    size_t folds_cap;
    uint32_t stamp;
    /* what is known of the model's names: of model `known_of` */
    struct aft_digest known_of;
    struct aft_known context_names[AFT_NAMES], arm_names[AFT_NAMES], ids[AFT_IDS];
    struct aft_walk walk;
    struct afti_catalogue catalogue;
    double form_x[AFTI_FORM_COLUMNS + 8];
    double form_z[AFTI_FORM_COLUMNS * (AFTI_FORM_COLUMNS + 1) / 2 + 16];
};

/* A row of a bilinear model times the context, made at most once a decision. */
struct afti_fold *afti_fold(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t row,
                            double unknown, bool variance);
/* afti_plain_means: s->mean[0 .. n) where no terms need to be made, with the same bits; false: make them. `start`: the score of
 * what all share. */
bool afti_plain_means(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                      uint32_t n, double start);

/* tally.c. afti_spread: `mass` over the best k of s->value[0 .. n), into s->tally[]. afti_thompson: draws and tally. */
#define AFTI_GRAM_MAX 128u
double afti_deviation(double variance);
void afti_spread(struct aft_scratch *s, uint32_t n, uint32_t k, double mass);
void afti_thompson(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                   uint32_t n, uint32_t k);

/* afti_log_weights: fills s->log_w[0 .. n) for the eligible s->index[0 .. n). */
enum aft_err afti_log_weights(const struct aft_model *m, struct aft_scratch *s,
                              const struct aft_request *r, uint32_t n, uint32_t k,
                              struct aft_error *e) AFT_MUST_CHECK;

#endif
