/* inner.h - what the files of learner/ share. Not for other folders.
 *
 *   settings.c    text <-> settings, their digest      reduction.c   an item -> weight, or why it is refused
 *   pass.c        of how many decisions a logged one speaks
 *   table.c       the example at hand -> terms; what the members share
 *   grid.c        terms -> rows and columns of a bilinear model       linear.c   terms -> columns and block of a linear one
 *   fold.c        its rows times the context: scores, steps          flow.h, flow_batch.c, flow_item.c   many items of a decision at once
 *   catalogue.c   known candidates -> their rows and values, kept
 *   kinds.c       the table of kinds of models        flow.c, logistic.c   importance-aware flow     ridge.c   exact, additive
 *   forget.c      what is old counts less
 *   forecast.c, forecast_state.c   what is still to come
 *   design.c      settings -> members: sides, voters, regressor      progressive.c   judged before it is learned; auto's choice
 *   arms.c, scoreboard.c, health.c   what is counted   learner.c     one example: dispatch   refused.c   what must not be learned
 *   state.c       the whole state <-> bytes            snapshot.c    publish     restore.c   the way back
 *   sums.c        an additive model, by partition
 *   rounds.c      blocks of all partitions -> examples in the canonical order
 *
 * A learner holds members: models of one kind over the same features and the same dictionaries (policy/weights.h). An item is looked
 * up once for all (kind->context, kind->item); then each member scores or learns it by itself. A function of a model takes the table,
 * which members share, and its member; only a function that takes the learner may see other members.
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
    AFTI_FORGOTTEN_TO,    /* forget.c */
    AFTI_SUPPORTED,       /* learned items whose propensity is known */
    AFTI_GUESSED,         /* progressive decisions whose shown arm was predicted */
    AFTI_DIFFERED,        /* ... where the sides of auto differed */
    AFTI_SWITCHES,        /* of the side that serves */
    AFTI_REFUSED_EXAMPLE, /* as a whole; the last: state.c */
    AFTI_COUNTS
};
enum afti_sum {
    AFTI_WEIGHT,
    AFTI_WEIGHT2,
    AFTI_WEIGHT_RAW,
    AFTI_IPS,
    AFTI_IPS_W,
    AFTI_DR,
    AFTI_CAPPED, /* what the cap took of AFTI_WEIGHT_RAW */
    AFTI_LOSS,
    AFTI_AUTO, /* progressive.c */
    AFTI_AUTO2,
    AFTI_SUMS
};

struct afti_arm {
    struct aft_bytes id; /* owned */
    int64_t exposures, settled, clicks, reward_micro, first_seen_ms, last_seen_ms;
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

/* ---- what the members share: features and places */
/* A context before: nothing but short names with numbers that are not zero. While the next has the same names, in the same order,
 * its terms are the same but for their values. A zero is then a term of value 0 where that is as good as none (`zeros`). */
struct afti_before {
    uint8_t name[AFT_FEATURES_MAX][AFT_NAME_BYTES], length[AFT_FEATURES_MAX];
    uint32_t n;   /* 0: it was another */
    int32_t slot; /* that terms.shared has the places for, without pairs; -1: none */
    double top;   /* of the example at hand: its largest number */
    bool again;   /* it has those names */
    bool zeros;   /* a bilinear model without pairs */
};
struct afti_terms { /* of the example at hand */
    struct aft_features_plan plan;
    struct aft_encoded context, arm;
    struct aft_term shared[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    struct aft_term own[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
    uint32_t shared_n, own_n;
    int32_t slot;                             /* that shared[] is for; -1: not made yet */
    bool slot_good, plain, identity, crosses; /* plain: aft_features_plain of the plan */
    struct aft_known context_names[AFT_NAMES], arm_names[AFT_NAMES];
    struct afti_before before;
};
struct afti_scale { /* of a row or column: running maximum of |x|, sightings (up to 64) */
    float max;
    uint32_t seen;
};
struct afti_fold { /* a member's row times the context at hand */
    float value;
    uint32_t stamp;
};
/* ---- a decision's items at once; flow_batch.c */
struct afti_batch_place { /* of a row: its slot, where the stamp is of now */
    uint32_t stamp, slot;
};
enum { AFTI_PLANES = 2, AFTI_ITEM_ROWS = AFT_TERMS_MAX + AFT_INTERACTIONS_MAX + 1 };
struct afti_batch {
    struct afti_batch_place *places; /* by row */
    uint32_t *rows;                  /* by slot */
    float *v;                        /* [slot / 4][member][field][slot % 4] */
    float *unit;                     /* [slot][member][column]: its steps */
    size_t unit_cap;
    uint32_t places_cap, cap, n, now, stride, members;
    uint32_t at[AFTI_ITEM_ROWS], slot[AFTI_ITEM_ROWS]; /* of the item at hand: rows, slots */
    uint32_t item_n;       /* of the last one that was not at home, as at[] */
    uint32_t home, home_n; /* the slot before, and the rows of an item; 0: none yet */
    uint32_t home_at[AFTI_ITEM_ROWS];
    uint64_t item;      /* its number (grid.items) */
    float used;         /* what it adds to Q */
    float lead[2];      /* its values: of two rows, */
    const float *rest;  /* and of the others, read in fours */
    uint32_t word;      /* of the entry of one that others may follow, where quick */
    bool open, at_home; /* at_home: its slots from the fourth on lie side by side, after `home` */
    bool quick;
    bool unsure[AFT_MEMBERS_MAX]; /* some of those may have no steps yet, of a member */
};
struct afti_grid { /* for bilinear kinds; grid.c */
    float
        *plane[AFTI_PLANES]; /* what a kind keeps for each weight, laid out as weights.bilinear.w */
    struct afti_scale *rows, *columns;
    uint32_t rows_cap, columns_cap;
    struct afti_fold *fold; /* rows_cap x members: of now where the stamp is */
    uint32_t now;
    uint64_t epoch;     /* a new one whenever a fold may have changed */
    float *x, *norm;    /* the context at hand: values, N; columns_cap of each */
    float *steady_norm; /* where norms_steady: N of each column that is not 0 */
    uint32_t column[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];      /* of each shared term */
    uint64_t column_hash[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX]; /* the term that it was */
    bool placed;        /* column[] is complete, and of terms.shared[]'s hashes as they are */
    bool ready, normed; /* x holds terms.shared[]; norm their N */
    bool norms_steady;  /* N change only by a larger |x| */
    bool spread_known;
    float spread;                      /* sum of (x / norm)^2, where it is known (flow.c) */
    uint32_t at[AFTI_ITEM_ROWS];       /* the rows of the item at hand */
    uint32_t position[AFTI_ITEM_ROWS]; /* 0: the constant; i: terms.own[i - 1] */
    float value[AFTI_ITEM_ROWS + 4], scale[AFTI_ITEM_ROWS + 4]; /* read in fours */
    uint32_t n, ordered; /* position[i] is i for the first so many */
    bool steady;    /* scale[] of the rows from the fourth on changes only by a larger |value| */
    uint64_t items; /* how many have been at hand */
    float *step;    /* rate x value for the rows at hand, stride each */
    size_t step_cap;
    struct afti_batch batch;
};
/* ---- known candidates; catalogue.c */
struct afti_shape {
    uint64_t hash, epoch; /* by[] is of this epoch of the grid, and of `member` */
    uint32_t n, member;   /* n: a multiple of 4 */
    const uint32_t *rows; /* AFT_NOWHERE: not there yet, or beyond the arm's terms */
    float *by;            /* what one unit at each is worth */
};
struct afti_entry;
struct afti_entry_terms { /* what is seldom needed */
    const struct afti_entry *entry;
    uint32_t *at;         /* the row of each, AFT_NOWHERE: none yet */
    float *value, *size;  /* of each; its |value|, or -1: its scale is 1 */
    bool whole;           /* all have their rows */
    struct aft_term *own; /* the first is its identity */
    uint32_t own_n;
};
/* What a score needs of an arm: in one line of memory with twelve values. */
struct afti_entry {
    uint32_t shape : 26; /* its number in the catalogue */
    uint32_t place : 3;  /* apart: where among the shape's rows `row` would stand */
    bool good : 1, missing : 1,
        apart : 1;           /* good: its terms can be learned; missing: some have no row yet */
    uint32_t identity, seen; /* its row; rows in the dictionary when all this was resolved */
    uint32_t row;            /* apart: a row that its shape is without */
    float value[];           /* as many as the shape has rows; 0 where there is none */
};
struct afti_catalogue {
    uint64_t revision; /* of what it holds; 0: nothing */
    bool live;         /* the example at hand is under it */
    struct aft_arena arena;
    struct afti_entry **v;           /* by number; NULL: not made */
    struct afti_entry_terms **terms; /* of the same */
    uint32_t cap, shapes_n, shapes_cap, table_n;
    uint32_t parted; /* shapes that were found to be new */
    struct afti_shape *shapes;
    uint32_t *table; /* open addressing: numbers of shapes + 1 */
};
struct afti_place { /* for linear kinds; linear.c: the item at hand */
    struct aft_sparse x;
    uint32_t block; /* AFT_NOWHERE: none yet */
    uint32_t from;  /* columns that the block had before this item */
    /* bayes-full: N of each column, and its prior's variance where N is 1 */
    struct afti_scale scale[AFT_LINEAR_COLUMNS];
    double prior[AFT_LINEAR_COLUMNS];
    uint32_t known; /* columns that have a prior */
};
struct
    afti_judged { /* what progressive.c made of the item that is learned first, by the models as they stand */
    bool there;
    double score[2];      /* of member 0, 1 */
    double logit, chance; /* a score, and its logistic; NaN: none */
};
struct afti_table {
    const struct afti_kind *kind;
    struct afti_terms terms;
    struct aft_weights weights;
    struct afti_grid grid;
    struct afti_place place;
    double lambda; /* of the settings: a bilinear model does not carry it */
    double rate;   /* vw */
    double memory; /* bayes-full: half is forgotten in so many examples; 0: nothing */
    double calm;   /* flow-squared: the rate's factor for the labels at hand, 1 or less */
    struct afti_catalogue catalogue;
    const struct afti_entry_terms *known; /* whose terms stand for terms.own[], or NULL */
    struct afti_judged judged;
    int64_t overflowed; /* terms beyond the dictionaries' room, since the learner asked */
};

/* ---- a member: one model of the learner's kind. Its weights are number `index` of those in the table. */
struct afti_member {
    uint32_t index;
    double q, t;            /* flow, bayes: Q, T; vw: S, T */
    double low, high;       /* vw: the labels' range */
    struct aft_ridge ridge; /* ridge: A, b of its blocks */
};

/* A kind of model, as the learner sees it: kinds.c has one for each of policy/kinds.c. A score is on the kind's own scale; a label is
 * a reward in units (ridge), else reward / reward scale. */
struct afti_kind {
    uint32_t planes; /* floats kept for each weight of a bilinear kind */
    /* The context at hand, and the item at hand -> places, once for all members. grow: what is new gets a place, scales see it. */
    void (*context)(struct afti_table *t, bool grow);
    void (*item)(struct afti_table *t, bool grow);
    double (*score)(struct afti_table *t, const struct afti_member *m);
    /* score[] of the candidates whose terms are plain, without making them; scored[] false: make them (afti_take_arm, item, score),
     * which gives the same bits. NULL: all of them. */
    void (*candidates)(struct afti_table *t, const struct afti_member *m,
                       const struct aft_candidate *c, uint32_t n, double *score, bool *scored);
    /* After context and item with grow. weight > 0. revise: the label of one learned before, with the same item and weight. */
    void (*learn)(struct afti_table *t, struct afti_member *m, double weight, double label);
    /* begin, end: around many items of the example at hand that are learned one after the other, none scored or revised by a member that
     * learns; NULL: nothing is to be done. */
    void (*begin)(struct afti_table *t);
    void (*end)(struct afti_table *t);
    /* follows, between those: a candidate is the item at hand from now on, to be learned by members alone; false: it must be taken. */
    bool (*follows)(struct afti_table *t, const struct aft_candidate *c);
    void (*revise)(struct afti_table *t, struct afti_member *m, double weight, double before,
                   double after);
    /* Into bilinear.v before a snapshot; NULL: it has its covariances already. */
    void (*variances)(const struct afti_table *t, const struct afti_member *m);
    /* What was learned so far counts `keep` of what it did, in (0, 1). */
    void (*forget)(struct afti_table *t, struct afti_member *m, double keep);
    /* What a member keeps beside weights and planes <-> bytes. */
    void (*encode)(const struct afti_table *t, const struct afti_member *m, struct aft_buffer *out);
    bool (*decode)(const struct afti_table *t, struct afti_member *m, struct aft_reader *r);
    /* What they share beside weights <-> bytes; NULL: nothing. */
    void (*encode_shared)(const struct afti_table *t, struct aft_image *image);
    bool (*decode_shared)(struct afti_table *t, struct aft_reader *r);
};
const struct afti_kind *afti_kind_of(enum aft_model_kind kind);

/* ---- design.c: what the settings come to */
struct afti_design {
    enum aft_reduction reduction;
    enum aft_ensemble ensemble;                 /* never auto */
    enum aft_weighting weighting[2];            /* of each side; never auto */
    uint32_t sides, voters, members, regressor; /* regressor: a member, or AFT_NOWHERE */
    bool everything; /* some members regress for every arm that was left */
    bool support;    /* propensities are divided by */
    bool sums;       /* learned by partitions, merged at the end of a round (sums.c) */
};
struct afti_design afti_design_of(const struct aft_learner_settings *s);
enum aft_err afti_design_check(const struct aft_learner_settings *s,
                               struct aft_error *e) AFT_MUST_CHECK;

struct afti_weight { /* of an item */
    double left;     /* arms that were left for its slot */
    double raw;      /* 1 / (p left); 0: p is not known */
    double side[2];  /* by the weighting of each side */
    double stands;   /* for so many decisions: what a step weighs is side x stands */
};

/* ---- pass.c. afti_stands_for: 1 / design.pass; 0: without support. afti_whole: the same as a whole number, right on average. */
double afti_stands_for(const struct aft_example *x);
int64_t afti_whole(const struct aft_example *x);

/* ---- forecast.c: learner.forecast=on */
enum { AFTI_AGES = 11, AFTI_LEVELS = 4 };
struct
    afti_history { /* of items, by the age of their cohort; gained in micro-units, from the level that they were in */
    int64_t opened[AFTI_AGES][AFTI_LEVELS], gained[AFTI_AGES][AFTI_LEVELS];
    int64_t moved[AFTI_AGES][AFTI_LEVELS][AFTI_LEVELS];
    int64_t ended, ended_ms; /* that settled; their ages then, summed */
};
struct afti_cohort {
    int64_t hour, left, settled; /* items that have not, that have settled */
    struct afti_history history;
    double coefficient[AFTI_LEVELS];
    double sum[]; /* [member][level][column] of h x */
};
struct afti_forecast {
    bool exact;                   /* sums of features; else labels */
    uint32_t members, n, spare_n; /* members: that have sums */
    int64_t hour;                 /* of the last pass */
    struct afti_cohort **v;       /* in the order of their hours */
    struct afti_cohort *spare[64];
    struct afti_history settled;
    double value[AFTI_AGES][AFTI_LEVELS]; /* follows from settled */
    double rest[AFTI_LEVELS];             /* likewise */
    double *applied, *next;               /* [member][column] */
};
struct afti_forecast *afti_forecast_new(uint32_t members, bool exact);
void afti_forecast_free(struct afti_forecast *f);
/* afti_forecast_pass: event time has come to counts[AFTI_EVENT_TIME]; before the example at hand. afti_forecast_item: the item at hand
 * was learned or revised with that weight, or settles: it is placed. A member is a side (design.c). */
void afti_forecast_pass(struct aft_learner *l);
void afti_forecast_item(struct aft_learner *l, const struct aft_example *x,
                        const struct aft_example_item *item, const struct afti_weight *w);
/* afti_forecast_labels, where it is not exact, in place of afti_forecast_item: what is added to the item's reward before and after. */
/* afti_forecast_pace: what a revision of an impression of then counts, in [0, 1]. */
double afti_forecast_pace(const struct aft_learner *l, int64_t shown_ms);
void afti_forecast_labels(struct aft_learner *l, const struct aft_example *x,
                          const struct aft_example_item *item, double *before, double *after);
void afti_forecast_forget(struct afti_forecast *f, double keep);
struct afti_cohort *afti_cohort_add(struct afti_forecast *f, int64_t hour);
double *afti_cohort_sum(const struct afti_forecast *f, struct afti_cohort *c, uint32_t member,
                        int level);
void afti_forecast_restored(struct afti_forecast *f);
void afti_forecast_encode(const struct afti_forecast *f, struct aft_image *image);
bool afti_forecast_decode(struct afti_forecast *f, struct aft_reader *r) AFT_MUST_CHECK;

/* What was published last: what the next delta is made from. */
struct afti_published {
    struct aft_image plane[2]; /* WEIGHTS, LEARNER */
    struct aft_digest digest;
    struct aft_arm_status *arms; /* without ids */
    uint32_t arms_n;
    bool there;
};

struct afti_refusal { /* the last; not state */
    bool there;
    enum afti_count why;
    uint64_t seq;
    int32_t slot; /* of the item; -1: of the example */
    uint8_t decision_id[AFT_ID_BYTES_MAX];
    uint32_t decision_n;
    char said[200]; /* of an example: which rule */
};

struct aft_learner {
    struct aft_learner_settings settings;
    struct aft_learner *
        *parts; /* of a learner of sums, by partition, AFT_PARTITIONS_MAX; else NULL */
    bool part;  /* it is such a part: nothing is judged, ridge keeps sums */
    struct afti_design design;
    struct aft_digest configuration;
    struct afti_published published;
    struct afti_table table;
    struct afti_member members[AFT_MEMBERS_MAX];
    uint32_t members_n;
    int64_t counts[AFTI_COUNTS];
    double sums[AFTI_SUMS];
    struct afti_arms arms;
    struct afti_scoreboard scoreboard;
    struct afti_forecast *forecast; /* or NULL */
    /* of the example at hand */
    uint32_t greedy;
    double stands;                 /* of a judged one: for so many decisions */
    uint32_t shown[AFT_SHOWN_MAX]; /* the candidate of each item, or AFT_NOWHERE */
    uint32_t eligible;             /* candidates without a mask */
    double score[2][AFT_CANDIDATES_MAX],
        spare[AFT_CANDIDATES_MAX]; /* of each side, summed over its voters */
    bool scored[AFT_CANDIDATES_MAX];
    double regressed[AFT_CANDIDATES_MAX]; /* by the regressor */
    bool had[AFT_CANDIDATES_MAX];         /* of afti_scores */
    uint32_t top[2];                      /* each side's greedy candidate */
    /* health.c */
    int64_t weights[AFT_HISTOGRAM], rewards[AFT_HISTOGRAM];
    struct afti_image *image; /* of the weights at the last round's end; not state */
    double drift;             /* nor this */
    struct afti_refusal refusal;
};

/* ---- table.c: a noun -> terms; false when a feature cannot be learned (not finite, or above 1e6) */
void afti_table_init(struct afti_table *t, const struct aft_learner_settings *s, uint32_t members);
void afti_table_deinit(struct afti_table *t);
bool afti_take_context(struct afti_table *t, struct aft_features f);
bool afti_take_slot(struct afti_table *t, int32_t slot);
bool afti_take_arm(struct afti_table *t, struct aft_bytes id, struct aft_features f, int32_t slot);
/* afti_take_candidate: as afti_take_arm, by what is known of it where that holds. */
bool afti_take_candidate(struct afti_table *t, const struct aft_candidate *c, int32_t slot);

/* ---- catalogue.c. afti_catalogue_begin: the revision of the example at hand. */
void afti_catalogue_begin(struct afti_catalogue *c, uint64_t revision);
void afti_catalogue_deinit(struct afti_catalogue *c);
/* afti_catalogue_ahead: where a catalogue is larger than the near caches, what a decision will need of it is fetched at once: ids and
 * entries; afti_grid_candidates then does the same for rows. */
enum { AFTI_NEAR = 2048 };
void afti_catalogue_ahead(const struct afti_catalogue *c, const struct aft_candidate *v,
                          uint32_t n);
/* afti_catalogue_shown: what will be learned of a candidate is fetched, while others are scored. */
void afti_catalogue_shown(const struct afti_table *t, const struct aft_candidate *c);
struct afti_entry *afti_catalogue_make(struct afti_table *t, const struct aft_candidate *c);
/* afti_catalogue_entry: of a candidate, up to date; NULL: it is not known, or is not to be learned. */
static inline struct afti_entry *
afti_catalogue_entry(struct afti_table *t, const struct aft_candidate *c)
{
    struct afti_catalogue *k = &t->catalogue;
    if (!c->known || !k->live || t->terms.crosses)
        return NULL;
    if (c->known < k->cap) {
        struct afti_entry *e = k->v[c->known];
        if (e && (!e->missing || e->seen == t->weights.bilinear.rows.n))
            return e->good ? e : NULL;
    }
    return afti_catalogue_make(t, c);
}

/* ---- linear.c and ridge.c's kernels */
void afti_linear_item(struct afti_table *t, bool grow);
double afti_linear_score(struct afti_table *t, const struct afti_member *m);
void afti_ridge_member_learn(struct afti_table *t, struct afti_member *m, double weight,
                             double reward);
void afti_ridge_member_revise(struct afti_table *t, struct afti_member *m, double weight,
                              double before, double after);
/* theta and inv(A) anew from A and b. */
void afti_ridge_refactor(struct aft_linear_block *w, const struct aft_ridge_block *b,
                         double lambda);
/* b += delta over the columns of the one block, with what follows from it. */
void afti_ridge_shift(struct afti_table *t, struct afti_member *m, const double *delta);
void afti_ridge_forget(struct afti_table *t, struct afti_member *m, double keep);
void afti_ridge_encode(const struct afti_table *t, const struct afti_member *m,
                       struct aft_buffer *out);
bool afti_ridge_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r);
void afti_ridge_moments(struct aft_ridge_block *b, const double *dense, uint32_t d, double h);
void afti_ridge_shrink(double *cov, const double *z, uint32_t d, uint32_t stride);

/* ---- grid.c. When terms.shared[] is new, grid.ready must be false. */
void afti_grid_deinit(struct afti_grid *g);
void afti_grid_room(struct afti_table *t, uint32_t rows, uint32_t stride);
void afti_grid_context(struct afti_table *t, bool grow);
void afti_grid_item(struct afti_table *t, bool grow);
double afti_grid_score(struct afti_table *t, const struct afti_member *m);
void afti_grid_candidates(struct afti_table *t, const struct afti_member *m,
                          const struct aft_candidate *c, uint32_t n, double *score, bool *scored);
/* afti_grid_score, _candidates and _move: fold.c. afti_score_now: the item's, by a member that is about to learn it. */
static inline double
afti_score_now(struct afti_table *t, const struct afti_member *m)
{
    return t->judged.there ? t->judged.score[m->index] : afti_grid_score(t, m);
}
/* afti_grid_identity: whether the item's row number i is the arm's identity. afti_grid_norm: N of a cross, as far as it is known. */
static inline bool
afti_grid_identity(const struct afti_table *t, uint32_t i)
{
    return t->grid.position[i] == 1;
}
static inline float
afti_grid_norm(const struct afti_grid *g, uint32_t row, uint32_t column)
{
    float r = g->rows[row].max, c = g->columns[column].max;
    return (r > 0 ? r : 1) * (c > 0 ? c : 1);
}
/* afti_grid_constant: per arm nothing is known, nor to be learned, of the constant's row: it has no variance. */
void afti_grid_constant(const struct afti_table *t);
/* afti_grid_steps: room for the steps of the rows at hand. afti_grid_move: w += u x step, row by row. */
void afti_grid_steps(struct afti_table *t);
void afti_grid_move(struct afti_table *t, const struct afti_member *m, float u);
/* Scales and planes <-> bytes. */
void afti_grid_encode(const struct afti_table *t, struct aft_image *image);
bool afti_grid_decode(struct afti_table *t, struct aft_reader *r);

/* ---- flow.c */
void afti_flow_learn(struct afti_table *t, struct afti_member *m, double weight, double label);
void afti_flow_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                      double after);
void afti_flow_begin(struct afti_table *t);
void afti_flow_end(struct afti_table *t);
bool afti_batch_follows(struct afti_table *t, const struct aft_candidate *c);
void afti_flow_variances(const struct afti_table *t, const struct afti_member *m);
void afti_flow_forget(struct afti_table *t, struct afti_member *m, double keep);
void afti_flow_encode(const struct afti_table *t, const struct afti_member *m,
                      struct aft_buffer *out);
bool afti_flow_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r);

/* ---- the other kinds: vw.c, bayes.c (encoded as the flow), bayes_full.c */
void afti_vw_learn(struct afti_table *t, struct afti_member *m, double weight, double label);
void afti_vw_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                    double after);
void afti_vw_variances(const struct afti_table *t, const struct afti_member *m);
void afti_vw_encode(const struct afti_table *t, const struct afti_member *m,
                    struct aft_buffer *out);
bool afti_vw_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r);
void afti_bayes_learn(struct afti_table *t, struct afti_member *m, double weight, double label);
void afti_bayes_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                       double after);
void afti_bayes_variances(const struct afti_table *t, const struct afti_member *m);
void afti_full_item(struct afti_table *t, bool grow);
void afti_full_learn(struct afti_table *t, struct afti_member *m, double weight, double label);
void afti_full_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                      double after);
void afti_full_forget(struct afti_table *t, struct afti_member *m, double keep);
void afti_full_encode(const struct afti_table *t, const struct afti_member *m,
                      struct aft_buffer *out);
bool afti_full_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r);
void afti_full_encode_shared(const struct afti_table *t, struct aft_image *image);
bool afti_full_decode_shared(struct afti_table *t, struct aft_reader *r);
float afti_scale_see(struct afti_scale *s, float size); /* N from now on, with |x| = size seen */
/* ---- sums.c. afti_part: of that partition, made when it is not there. */
struct aft_learner *afti_learner_make(const struct aft_learner_settings *s);
struct aft_learner *afti_part(struct aft_learner *l, uint32_t partition);
void afti_part_encode_places(const struct aft_learner *part, struct aft_buffer *out);
bool afti_part_decode_places(struct aft_learner *part, struct aft_reader *r);

/* ---- forget.c. afti_forget: to the event time reached. afti_age: what an impression shown then is to be learned with, besides its weight. */
void afti_forget(struct aft_learner *l);
double afti_age(const struct aft_learner *l, int64_t shown_ms);

/* The arm's index (known arms alone: AFT_NOWHERE); added when add. */
uint32_t afti_arms_of(struct afti_arms *a, struct aft_bytes id, bool add, int64_t now_ms);
/* afti_arm_add: what came of the same arm elsewhere. afti_arm_empty: nothing did; its id stays, and when it was seen first. */
void afti_arm_add(struct afti_arm *a, const struct afti_arm *more);
void afti_arm_empty(struct afti_arm *a);
struct aft_arm_status afti_arm_status(const struct afti_arm *a);
void afti_arms_deinit(struct afti_arms *a);
void afti_scoreboard_settle(struct afti_scoreboard *s, const struct aft_example *x);
struct afti_policy *afti_scoreboard_of(struct afti_scoreboard *s, struct aft_bytes name);
void afti_scoreboard_deinit(struct afti_scoreboard *s);
const char *afti_cross_name(int i);

/* ---- reduction.c. afti_item_candidates: which candidate each item is (l->shown), and how many are eligible. afti_item_weight:
 * AFTI_COUNTS when it may be learned, else the reason's counter. afti_item_learn: learned or revised, by all members that want it; it is at
 * hand (learner.c's prepare). afti_copies: how often an ensemble's voter learns a decision. */
void afti_item_candidates(struct aft_learner *l, const struct aft_example *x);
enum afti_count afti_item_weight(const struct aft_learner *l, const struct aft_example *x,
                                 const struct aft_example_item *item, struct afti_weight *w);
void afti_item_learn(struct aft_learner *l, const struct aft_example *x,
                     const struct aft_example_item *item, const struct afti_weight *w);
uint32_t afti_copies(struct aft_bytes decision, uint32_t member);
/* afti_take_item: its terms, by the candidate that it is where that has features, else by its own. learner.c */
bool afti_take_item(struct aft_learner *l, const struct aft_example *x,
                    const struct aft_example_item *item);

/* ---- progressive.c. afti_unit: rewards are divided by it to be labels. afti_scores: what a member says of the candidates that are
 * known, in the slot at hand; those that it gave are l->had[]. */
void afti_scores(struct aft_learner *l, const struct afti_member *m, const struct aft_example *x,
                 double *score);
void afti_progressive(struct aft_learner *l, const struct aft_example *x);
void afti_progressive_late(struct aft_learner *l, const struct aft_example *x);
uint32_t afti_serving(const struct aft_learner *l); /* the side */
bool afti_logistic(const struct aft_learner *l);
double afti_unit(const struct aft_learner *l);

/* ---- refused.c. afti_refuse_example: what breaks a rule as a whole is counted; true: nothing of it is to be learned. afti_refuse: an item,
 * or NULL for all of them. afti_add: *sum += more, as far as there are numbers. */
bool afti_refuse_example(struct aft_learner *l, const struct aft_example *x);
void afti_refuse(struct aft_learner *l, const struct aft_example *x,
                 const struct aft_example_item *item, enum afti_count why);
static inline void
afti_add(int64_t *sum, int64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = more > 0 ? INT64_MAX : INT64_MIN;
}

/* ---- health.c */
void afti_health_learned(struct aft_learner *l, const struct afti_weight *w);
void afti_health_settled(struct aft_learner *l, const struct aft_example_item *item);
void afti_health_round(struct aft_learner *l);
void afti_health_deinit(struct aft_learner *l);

/* snapshot.c. afti_published_take: the planes as they are now, their digest, and what the arms' counts are. */
void afti_published_take(const struct aft_learner *l, struct afti_published *out);
void afti_published_deinit(struct afti_published *p);

bool afti_get_finite(struct aft_reader *r, double *out);
/* The LEARNER plane: everything but the weights. */
void afti_state_encode(const struct aft_learner *l, struct aft_image *image);
enum aft_err afti_state_decode(struct aft_learner *l, struct aft_bytes b,
                               struct aft_error *e) AFT_MUST_CHECK;

void afti_settings_each(const struct aft_learner_settings *s,
                        void (*each)(void *ctx, const char *key, const char *value), void *ctx);

#endif
