/* ridge.h - the additive model by itself, over resolved columns; part of learner/learner.h. One thread.
 *
 *   A = lambda I + sum h x x'     b = sum h r x     theta = inv(A) b     width of x: x' inv(A) x     (arXiv 1003.0146)
 * theta and inv(A) live in the weights (policy/weights.h) of one member, A and b here, block by block.
 */
#ifndef AFT_LEARNER_RIDGE_H
#define AFT_LEARNER_RIDGE_H

#include "policy/policy.h"

struct aft_ridge_block { /* beside aft_linear_block(.., i, member), same stride */
    double *a, *b;       /* lower triangle of A, when aft_ridge_settle was called; b */
    uint32_t stride;
    bool changed; /* of sums: since whoever reads it said no */
    int64_t updates;
};
struct aft_ridge_queue; /* what A has still to get: ridge.c */
struct aft_ridge {      /* zeroed: of member 0 */
    struct aft_ridge_block *blocks;
    struct aft_ridge_queue *queue;
    uint32_t n, cap, member;
    bool sums; /* A and b alone, A without lambda: the weights are not kept up (sums.c) */
    double y[AFT_LINEAR_COLUMNS], dense[AFT_LINEAR_COLUMNS]; /* at hand */
};
void aft_ridge_deinit(struct aft_ridge *r);
/* aft_ridge_match: rows for the blocks and columns that the weights have and this has not: the prior's. */
void aft_ridge_match(struct aft_ridge *r, const struct aft_linear *m);
/* aft_ridge_settle: into A what was learned and is still queued. It changes no bit of A whether it is called seldom or often. */
void aft_ridge_settle(const struct aft_ridge *r);
/* aft_ridge_learn: one example of weight h > 0; x's columns must be below the block's d. aft_ridge_revise: the reward of one
 * learned
 * before, with the same x and weight, changed by delta: exact, whenever it comes. */
void aft_ridge_learn(struct aft_ridge *r, struct aft_linear *m, uint32_t block,
                     const struct aft_sparse *x, double weight, double reward);
void aft_ridge_revise(struct aft_ridge *r, struct aft_linear *m, uint32_t block,
                      const struct aft_sparse *x, double weight, double delta);

#endif
