/* weights.h - the weights of a model, as the learner keeps them and as the client scores them; part of policy/policy.h.
 *
 *   linear    theta and the covariance inv(A) over a dictionary of columns; one block shared, or one an arm (ridge, LinUCB,
 *   Thompson)
 *   bilinear  score = r' W x: a row per thing of the arm (constant, identity, its features), a column per term of the context;
 *   all
 *             crosses are in it. Rows are folded with the context once a decision.
 * Dictionaries hold columns in order of first appearance in learned examples, so they are a function of the examples.
 */
#ifndef AFT_POLICY_WEIGHTS_H
#define AFT_POLICY_WEIGHTS_H

#include "policy/features.h"

#define AFT_NOWHERE UINT32_MAX
#define AFT_LINEAR_COLUMNS 512u /* the last AFT_LINEAR_RESERVED take what no longer fits, by hash */
#define AFT_LINEAR_RESERVED 16u

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
    struct aft_dict columns, arms; /* arms: hash of the id -> block (per arm) */
    struct aft_linear_block *blocks;
    uint32_t blocks_n, blocks_cap;
};
void aft_linear_init(struct aft_linear *m, double lambda);
void aft_linear_deinit(struct aft_linear *m);
/* aft_linear_sparse: terms -> columns, appended to x. grow: unknown terms get a column while there is room (learner only);
 * returns how many went into the reserved columns. */
uint32_t aft_linear_sparse(struct aft_linear *m, const struct aft_term *t, uint32_t n, bool grow,
                           struct aft_sparse *x);
/* The same for a model that must not change. */
void aft_linear_resolve(const struct aft_linear *m, const struct aft_term *t, uint32_t n,
                        struct aft_sparse *x);
/* aft_linear_columns: how many columns a block must have now. aft_linear_block_grow: makes room; new columns are the prior's. */
uint32_t aft_linear_columns(const struct aft_linear *m);
uint32_t aft_linear_add_block(struct aft_linear *m);
void aft_linear_block_grow(struct aft_linear *m, uint32_t block, uint32_t d);
double aft_linear_score(const struct aft_linear_block *b, const struct aft_sparse *x);
/* aft_linear_apply: y = cov x over d; y has room for stride doubles. */
void aft_linear_apply(const struct aft_linear_block *b, const struct aft_sparse *x, double *y);

/* ---- bilinear */
struct aft_bilinear {
    struct aft_dict rows, columns;    /* row 0, column 0: the constant */
    float *w, *v;                     /* rows_cap x stride: weights, variances */
    uint32_t rows_cap, stride, cells; /* cells: rows x stride stays below */
};
void aft_bilinear_init(struct aft_bilinear *m, uint32_t bits);
void aft_bilinear_deinit(struct aft_bilinear *m);
/* aft_bilinear_dot: eight fixed lanes and a fixed tree over stride floats. */
float aft_bilinear_dot(const float *a, const float *b, uint32_t stride);

/* ---- either, and its bytes (format: policy/format.c) */
struct aft_weights {
    enum aft_model_kind kind;
    struct aft_linear linear;
    struct aft_bilinear bilinear;
};
void aft_weights_deinit(struct aft_weights *w);
void aft_weights_encode(const struct aft_weights *w, struct aft_buffer *out);
/* aft_weights_decode: bounded; AFT_E_MALFORMED. *w must be zeroed; deinit it on failure too. */
enum aft_err aft_weights_decode(struct aft_bytes b, struct aft_weights *w,
                                struct aft_error *e) AFT_MUST_CHECK;

#endif
