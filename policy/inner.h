/* inner.h - what the files of policy/ share. Not for other folders.
 *
 *   settings.c, settings_lists.c  text <-> settings               features.c  nouns -> terms (hash, value)
 *   slate.c     log-weights -> slate (race.c draws it, marginals.c: of each slot)   explore.c   scores -> pmf
 *   dict.c      hash -> index                linear.c, bilinear.c, format.c   the weights of a model and their bytes
 *   delta.c     images and what changed      snapshot_*.c   snapshot_inner.h     model.c   a whole set -> a model
 *   spans.c     loops over all candidates, four at a time
 *   plain.c, directions.c, quadratic.c  fast ways to the same scores
 *   score.c     a model's view of a request -> means, variances   law.c   those -> log-weights, by the policy
 *   tally.c     values -> shares   thompson.c  draws -> shares   inside.c, sequence.c   what is done inside the draw
 *   arm_stats.c what a snapshot knows of its arms, as features
 *   decide.c    all of it for one decision
 */
#ifndef AFT_POLICY_INNER_H
#define AFT_POLICY_INNER_H

#include "policy/policy.h"

/* A pmf's logarithm where it is zero: the floor is all that is left. */
#define AFTI_LOG_ZERO (-80.0)

/* What the settings come to when so much has matured (law.c). */
struct afti_law {
    double matured, epsilon, gamma,
        width;    /* floor; SquareCB's; of UCB's and Thompson's deviations */
    bool uniform; /* every decision, whatever the model says */
};

/* arm_stats.c: what a snapshot knows of its arms, by features.arm.stats: bit i asks for the i-th of the names. */
enum { AFTI_ARM_STATS = AFT_ARM_STATS_MAX };
struct afti_arm_stats;
const char *afti_arm_stat_name(uint32_t i);
struct afti_arm_stats *afti_arm_stats_new(const struct aft_manifest *f);
void afti_arm_stats_free(struct afti_arm_stats *s);

struct aft_model {
    struct aft_features_plan plan;
    struct afti_arm_stats *arm_stats; /* or NULL: nobody asked */
    bool uniform;
    struct afti_law law;
    int64_t round;
    char id[65]; /* "" for the uniform one */
    struct aft_weights weights;
    float quantiles[4096];      /* the normal law at (i + 1/2) / 4096; for Thompson alone */
    struct aft_digest identity; /* of the set: settings and weights */
    float *forms;               /* a small per-arm model's blocks: quadratic.c; or NULL */
};

/* settings_lists.c: the settings that are lists, and families of named numbers. */
struct afti_named {
    struct aft_named_number *v;
    uint32_t *n, cap;
    double low, high;
    bool whole;
};
enum aft_err afti_set_named(struct afti_named *f, const char *key, const char *name,
                            const char *value, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_set_interactions(struct aft_policy_settings *s, const char *value,
                                   struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_set_buckets(struct aft_policy_settings *s, const char *key, const char *name,
                              const char *value, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_set_topics(struct aft_policy_settings *s, const char *key, const char *value,
                             struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_set_arm_stats(struct aft_policy_settings *s, const char *key, const char *value,
                                struct aft_error *e) AFT_MUST_CHECK;
void afti_print_arm_stats(const struct aft_policy_settings *s, char *out, size_t size);
void afti_print_interactions(const struct aft_policy_settings *s, char *out, size_t size);
void afti_print_edges(const struct aft_buckets *b, char *out, size_t size);
void afti_print_topics(const struct aft_policy_settings *s, char *out, size_t size);

/* quadratic.c: x' C x as the square of L' x, C = L L'. A form has afti_form_size(d) floats. */
#define AFTI_FORM_COLUMNS 128u
size_t afti_form_size(uint32_t d);
/* afti_forms_make: where the model is one and wants variances. */
void afti_forms_make(struct aft_model *m);
/* afti_form_scaled: x divided by what it returns. afti_form_square: of such an x; times the square of that it is x' C x.
 * afti_form_squares: by two forms. */
double afti_form_scaled(const double *x, uint32_t d, float *out);
double afti_form_square(const float *form, const float *x, uint32_t d);
void afti_form_squares(const float *const form[2], const float *x, uint32_t d, double out[2]);
double afti_form_dot(const double *a, const double *b, size_t n);
/* spans.c, each over x[0 .. n): x = more + x; out = x / by; out = x by; whether all are between -limit and limit (NaN is not); x as
 * floats, and as what those are; under = x - the largest, which is returned (n > 0); x = 0 where under < least; x = x scale + floor. */
void afti_span_add(double *x, uint32_t n, double more);
void afti_span_divide(const double *x, uint32_t n, double by, double *out);
void afti_span_times(const double *x, uint32_t n, double by, double *out);
bool afti_span_within(const double *x, uint32_t n, double limit);
void afti_span_narrow(double *x, uint32_t n, float *narrow);
double afti_span_under(const double *x, uint32_t n, double *under);
void afti_span_cut(double *x, uint32_t n, const double *under, double least);
void afti_span_floor(double *x, uint32_t n, double scale, double floor);

/* the kernels of marginals.c and plain.c */
double afti_pl_less(const double *w, uint32_t n, double *rest);
double afti_pl_firsts(const double *w, const double *rest, uint32_t n);
double afti_pl_beside(const double *w, const double *inverse, uint32_t n, double v, double rest);
void afti_pl_powers(const double *w, const double *rest, double *inverse, uint32_t n,
                    double *power);
double afti_pl_light(const double *w, const double *rest, const double *inverse, uint32_t n,
                     const double *power);
void afti_plain_rows(const double *value, const double *by, uint32_t rows, uint32_t stride,
                     uint32_t width, double *sum);

/* afti_whole: n up to a multiple of 8: whole vectors. */
static inline uint32_t
afti_whole(uint32_t n)
{
    return n + (8 - n % 8) % 8;
}

/* A term of a candidate, resolved: a column (linear) or a row (bilinear). */
struct afti_place {
    uint32_t at;
    double value;
};

/* The candidates of one revision, resolved: their features as a table of rows (a place each) by candidates. plain.c */
struct afti_catalogue {
    uint64_t revision; /* 0: none */
    uint32_t n, stride, rows;
    bool usable;
    uint32_t
        summed; /* sum[] is a linear model's, of that member (index + 1); 0: not yet. Its `start` is always zero */
    uint32_t identity[AFT_CANDIDATES_MAX], place[2 * AFT_FEATURES_MAX];
    double by[2 * AFT_FEATURES_MAX], sum[AFT_CANDIDATES_MAX + 8];
    double *value, *square; /* rows x stride, of each */
    size_t value_cap;
    double unknown[AFT_CANDIDATES_MAX]; /* sum of squares of what the model has no place for */
};

#define AFTI_DIRECTIONS 64u
#define AFTI_RANKS 16u /* the greedy mass goes at most so deep; at least AFT_SLATE_MAX */

struct aft_scratch {
    struct aft_encoded context, arm;
    struct aft_term terms[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    struct aft_sparse shared, own;
    uint32_t member;                    /* whose scores are being made */
    uint32_t index[AFT_CANDIDATES_MAX]; /* eligible candidates */
    double log_w[AFT_CANDIDATES_MAX], w[AFT_CANDIDATES_MAX], rest[AFT_CANDIDATES_MAX];
    double mean[AFT_CANDIDATES_MAX + 8], variance[AFT_CANDIDATES_MAX + 8];
    double value[AFT_CANDIDATES_MAX + 8], tally[AFT_CANDIDATES_MAX], pmf[AFT_CANDIDATES_MAX],
        low[AFT_CANDIDATES_MAX], high[AFT_CANDIDATES_MAX];
    double normal[AFT_CANDIDATES_MAX + AFTI_DIRECTIONS + 24];
    float out[AFT_CANDIDATES_MAX];
    uint64_t topic[AFT_CANDIDATES_MAX];
    uint32_t wanted[AFT_CANDIDATES_MAX];
    double shared_apply[AFT_LINEAR_COLUMNS], own_apply[AFT_LINEAR_COLUMNS];
    uint32_t start[AFT_CANDIDATES_MAX + 1];                           /* a candidate's places */
    struct afti_place own_rows[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX]; /* one candidate's */
    /* these grow to the largest request, or to the model */
    struct afti_place *places;
    size_t places_n, places_cap;
    double *direction; /* deviation of each candidate along each direction that some share */
    size_t direction_cap;
    uint32_t directions;
    bool joint;   /* gram holds their covariance */
    double *gram; /* GRAM_MAX x GRAM_MAX, once asked for */
    float *x, *x2;
    size_t x_cap;
    double unknown; /* squares of the context's terms that have no column */
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
    float form_x32[AFTI_FORM_COLUMNS];
};

/* A row of a bilinear model times the context, made at most once a decision. */
struct afti_fold *afti_fold(const struct aft_bilinear *b, struct aft_scratch *s, uint32_t row,
                            double unknown, bool variance);
/* afti_plain_means: s->mean[0 .. n) where no terms need to be made, with the same bits; false: make them. `start`: the score of
 * what all share. */
bool afti_plain_means(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                      uint32_t n, double start);

/* The same for variances of a bilinear model, before its means are asked for; by revision alone. */
struct afti_unknown {
    double context,
        prior; /* squares of the context's terms that have no column; of all of its terms */
};
/* afti_plain_table: the candidates are those of a revision, as a table. afti_plain_resolved: and what is the request's own is plain.
 * afti_plain_own: then, one's rows into s->own_rows and the squares of what has none; how many. afti_plain_fresh: of what is the request's
 * own alone, behind `rows` of them, and onto *unknown; UINT32_MAX: it is not plain. */
bool afti_plain_table(const struct aft_model *m, struct aft_scratch *s,
                      const struct aft_request *r);
uint32_t afti_plain_fresh(const struct aft_model *m, struct aft_scratch *s,
                          const struct aft_request *r, uint32_t candidate, uint32_t rows,
                          double *unknown);
bool afti_plain_resolved(const struct aft_model *m, struct aft_scratch *s,
                         const struct aft_request *r);
uint32_t afti_plain_own(const struct aft_model *m, struct aft_scratch *s,
                        const struct aft_request *r, uint32_t candidate, double *unknown);
/* directions.c: for Thompson, s->direction and s->variance (what is a candidate's own), as score.c lays them from places; by revision.
 * false: take the long way. afti_directions_room: room for so many. */
bool afti_plain_directions(const struct aft_model *m, struct aft_scratch *s,
                           const struct aft_request *r, uint32_t n, struct afti_unknown unknown);
void afti_directions_room(struct aft_scratch *s, uint32_t n, uint32_t directions);
bool afti_plain_variances(const struct aft_model *m, struct aft_scratch *s,
                          const struct aft_request *r, uint32_t n, struct afti_unknown unknown);

/* tally.c. afti_shares: share[r], r < k, of the r-th best; they add up to 1. afti_spread: `mass` over the best k (<= AFTI_RANKS) of
 * s->value[0 .. n), into s->tally[]; afti_spread_shares: by these shares, and s->value[n ..] up to a multiple of 8 is minus infinity. */
double afti_deviation(double variance);
void afti_shares(uint32_t k, double *share);
void afti_spread(struct aft_scratch *s, uint32_t n, uint32_t k, double mass);
void afti_spread_shares(struct aft_scratch *s, uint32_t n, uint32_t k, const double *share,
                        double mass);
/* afti_best_of: where the best `room` (<= AFTI_RANKS + 1) stand, in order; false where two of them are alike (and then best is of no use).
 * value[n ..] up to a multiple of 8: minus infinity. */
bool afti_best_of(const double *value, uint32_t n, uint32_t room, uint32_t best[AFTI_RANKS + 1]);
/* afti_lead: a pmf of who leads; the best others follow. Into s->tally[]. */
void afti_lead(struct aft_scratch *s, const double *p, uint32_t n, uint32_t k);

/* thompson.c. afti_thompson: draws, tallied into s->tally[]. afti_draw_normals: of one draw, into out[0 .. n) and up to 19 more.
 * afti_draw_values: s->mean + s->variance x normal + the directions, up to a multiple of 8. */
#define AFTI_GRAM_MAX 128u
void afti_draw_normals(const float *quantiles, uint64_t key, uint32_t draw, uint32_t n,
                       double *out);
void afti_draw_values(struct aft_scratch *s, uint32_t n, double alpha);
void afti_thompson(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                   uint32_t n, uint32_t k);

/* score.c. afti_moments: as member s->member sees it, s->mean[0 .. n), and s->variance[0 .. n) where wanted, of the eligible
 * s->index[0 .. n); all of them finite.
 * gram: and how they vary together, where that is not by themselves (s->joint, s->directions). */
struct afti_want {
    bool variance, gram;
};
enum aft_err afti_moments(const struct aft_model *m, struct aft_scratch *s,
                          const struct aft_request *r, uint32_t n, struct afti_want want,
                          struct aft_error *e) AFT_MUST_CHECK;

/* Behind s->places. */
void afti_keep_places(struct aft_scratch *s, const struct afti_place *v, uint32_t n);

/* afti_moments_again: as another member sees it; the request and the model are those of the call before. */
enum aft_err afti_moments_again(const struct aft_model *m, struct aft_scratch *s,
                                const struct aft_request *r, uint32_t n, struct afti_want want,
                                struct aft_error *e) AFT_MUST_CHECK;

/* law.c. afti_wants: what a law reads of a model. afti_law_of: when `matured` examples have settled. afti_log_weights: fills
 * s->log_w[0 .. n) for the eligible s->index[0 .. n). afti_floor_of: the epsilon of a decision among n. */
struct afti_want afti_wants(const struct aft_policy_settings *s);
struct afti_law afti_law_of(const struct aft_policy_settings *s, double matured);
enum aft_err afti_log_weights(const struct aft_model *m, struct aft_scratch *s,
                              const struct aft_request *r, uint32_t n, uint32_t k,
                              struct aft_error *e) AFT_MUST_CHECK;
double afti_floor_of(const struct aft_model *m, uint32_t n);

/* inside.c: what is done to the weights inside the draw, so that it is in the probabilities. afti_raise: repetition, then the
 * least exposure; in s->log_w. afti_diverse: whether slates need a sequence. afti_topics: then, s->topic and s->wanted. */
enum aft_err afti_raise(const struct aft_model *m, struct aft_scratch *s,
                        const struct aft_request *r, uint32_t n,
                        struct aft_error *e) AFT_MUST_CHECK;
uint32_t afti_slots_of(const struct aft_model *m, const struct aft_request *r);
bool afti_diverse(const struct aft_policy_settings *s);
void afti_topics(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t n);

/* sequence.c: a slate whose weights depend on the topics above. w: as of Plackett-Luce without a floor. */
struct afti_sequence {
    const double *w;
    const uint64_t *topic;  /* 0: none */
    const uint32_t *wanted; /* index + 1 of the declared topic that it is of; 0: none */
    uint32_t n;
    double epsilon, repeat, uncovered;
};
void afti_sequence_draw(const struct afti_sequence *q, const uint32_t *index, uint64_t key,
                        uint32_t k, uint32_t *slate);
void afti_sequence_conditionals(const struct afti_sequence *q, const uint32_t *slate, uint32_t k,
                                double *p);
/* By enumeration: how many of the k slots got theirs. */
uint32_t afti_sequence_marginals(const struct afti_sequence *q, const uint32_t *slate, uint32_t k,
                                 double *marginal);
/* race.c: the exponential variable of each candidate in the race named by `key`. */
void afti_race(const uint32_t *index, uint32_t n, uint64_t key, double *e);
void afti_race_bounds(const double *w, const uint64_t *bits, uint32_t n, double *low,
                      double least[8]);

#endif
