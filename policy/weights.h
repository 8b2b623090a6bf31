/* weights.h - the weights of a model, as the learner keeps them and as the client scores them; part of policy/policy.h.
 *
 *   linear    theta and the covariance inv(A) over a dictionary of columns; one block shared, or one an arm (ridge, LinUCB,
 *   Thompson)
 *   bilinear  score = r' W x: a row per thing of the arm (constant, identity, its features), a column per term of the context;
 *   all
 *             crosses are in it. Rows are folded with the context once a decision.
 * Dictionaries hold columns in order of first appearance in learned examples, so they are a function of the examples.
 *
 * Members: a model holds one or more models of one kind over the same features and the same dictionaries. What a context and an
 * arm are is looked up once; then each member costs a dot more. Member 0 is all there is unless the learner was asked for an
 * ensemble (bagging, cover) or learns several side by side (weighting=auto, reduction=dr). Those that decide are `first` to
 * `first + voters - 1` of struct aft_weights: one: score with it; several: an ensemble, score with each. The rest are the
 * learner's own. A row's, and a block's, members lie side by side: aft_bilinear_at, aft_linear_block.
 */
#ifndef AFT_POLICY_WEIGHTS_H
#define AFT_POLICY_WEIGHTS_H

#include "policy/features.h"

#define AFT_NOWHERE UINT32_MAX
#define AFT_LINEAR_COLUMNS 512u /* the last AFT_LINEAR_RESERVED take what no longer fits, by hash */
#define AFT_LINEAR_RESERVED 16u
#define AFT_MEMBERS_MAX 32u

/* ---- hash -> index, in order of first appearance */
struct aft_dict {
    uint64_t *keys; /* [n] */
    uint32_t *table;
    uint32_t n, cap, table_n;
};
void aft_dict_deinit(struct aft_dict *d);
uint32_t aft_dict_find(const struct aft_dict *d, uint64_t key); /* AFT_NOWHERE: absent */
uint32_t aft_dict_add(struct aft_dict *d, uint64_t key);        /* finds or appends */

/* ---- linear */
struct aft_sparse { /* no column twice */
    uint32_t column[AFT_LINEAR_COLUMNS];
    double value[AFT_LINEAR_COLUMNS];
    uint32_t n;
    double
        unknown; /* sum of squares of values whose column is not known: they score 0 and widen by 1 / lambda */
};
struct aft_linear_block {
    uint32_t d,
        stride; /* columns in use; doubles a row of cov (a multiple of 8, zero or identity/lambda beyond d) */
    double *theta, *cov;
};
struct aft_linear {
    double lambda;
    struct aft_dict columns, arms;   /* arms: hash of the id -> block (per arm) */
    struct aft_linear_block *blocks; /* blocks_n x members */
    uint32_t blocks_n, blocks_cap, members;
};
void aft_linear_init(struct aft_linear *m, double lambda, uint32_t members);
/* aft_linear_block: a member's own block of that number (0: the shared one; else the arm's). */
static inline struct aft_linear_block *
aft_linear_block(const struct aft_linear *m, uint32_t block, uint32_t member)
{
    return &m->blocks[(size_t)block * m->members + member];
}
void aft_linear_deinit(struct aft_linear *m);
/* aft_linear_sparse: terms -> columns, appended to x. grow: unknown terms get a column while there is room (learner only);
 * returns how many went into the reserved columns. */
uint32_t aft_linear_sparse(struct aft_linear *m, const struct aft_term *t, uint32_t n, bool grow,
                           struct aft_sparse *x);
/* The same for a model that must not change. */
void aft_linear_resolve(const struct aft_linear *m, const struct aft_term *t, uint32_t n,
                        struct aft_sparse *x);
/* aft_linear_columns: how many columns a block must have now. aft_linear_add_block: one for each member. aft_linear_block_grow:
 * makes room in each member's; new columns are the prior's. */
uint32_t aft_linear_columns(const struct aft_linear *m);
uint32_t aft_linear_add_block(struct aft_linear *m);
void aft_linear_block_grow(struct aft_linear *m, uint32_t block, uint32_t d);
double aft_linear_score(const struct aft_linear_block *b, const struct aft_sparse *x);
/* aft_linear_apply: y = cov x over d; y has room for stride doubles. */
void aft_linear_apply(const struct aft_linear_block *b, const struct aft_sparse *x, double *y);

/* ---- bilinear */
struct aft_bilinear {
    struct aft_dict rows, columns; /* row 0, column 0: the constant */
    float *w, *v;                  /* rows_cap x members x stride: weights, variances */
    uint32_t rows_cap, stride, members;
    uint32_t cells; /* rows x stride stays below */
};
void aft_bilinear_init(struct aft_bilinear *m, uint32_t bits, uint32_t members);
/* aft_bilinear_at: where a member's row begins, in w and v. */
static inline size_t
aft_bilinear_at(const struct aft_bilinear *m, uint32_t row, uint32_t member)
{
    return ((size_t)row * m->members + member) * m->stride;
}
static inline size_t
aft_bilinear_size(const struct aft_bilinear *m) /* floats in use, of w as of v */
{
    return (size_t)m->rows.n * m->members * m->stride;
}
void aft_bilinear_deinit(struct aft_bilinear *m);
/* aft_bilinear_dots: a[0] b[0] and a[1] b[1], eight fixed lanes and a fixed tree over stride floats each: aft_dot8's bits. */
void aft_bilinear_dots(const float *const a[2], const float *const b[2], uint32_t stride,
                       float out[2]);

/* ---- what a kind of model is: how its weights lie and what a score means. kinds.c */
struct aft_model_traits {
    const char *name; /* learner.model */
    bool bilinear;    /* else linear */
    bool
        logistic; /* scores are log-odds of reward / reward scale; else rewards (ridge's) or rewards / scale */
};
const struct aft_model_traits *aft_model_traits(enum aft_model_kind kind);
/* aft_model_words: the n names, for the parser. */
const struct aft_word *aft_model_words(uint32_t *n);

/* ---- either, and its bytes (format: policy/format.c) */
struct aft_weights {
    enum aft_model_kind kind;
    uint32_t members, first, voters; /* first .. first + voters - 1 decide */
    struct aft_linear linear;
    struct aft_bilinear bilinear;
};
/* aft_weights_init: empty; all members vote. */
void aft_weights_init(struct aft_weights *w, enum aft_model_kind kind, uint32_t members);
void aft_weights_deinit(struct aft_weights *w);
void aft_weights_encode(const struct aft_weights *w, struct aft_buffer *out);
/* aft_weights_image: the same bytes, with their sections: rows and blocks, so that deltas are those that changed. */
struct aft_image;
void aft_weights_image(const struct aft_weights *w, struct aft_image *image);
/* aft_weights_decode: bounded; AFT_E_MALFORMED. *w must be zeroed; deinit it on failure too. */
enum aft_err aft_weights_decode(struct aft_bytes b, struct aft_weights *w,
                                struct aft_error *e) AFT_MUST_CHECK;

#endif
