/* flow.h - what flow.c, flow_batch.c, grid.c and fold.c share. Not for other files. */
#ifndef AFT_LEARNER_FLOW_H
#define AFT_LEARNER_FLOW_H

#include <math.h>

#include "learner/inner.h"

/* A kernel's body with the stride as a constant where it is a usual one. */
#define AFTI_BY_STRIDE(stride, body) \
    switch (stride) {                \
    case 8:                          \
        body(8);                     \
        break;                       \
    case 16:                         \
        body(16);                    \
        break;                       \
    case 24:                         \
        body(24);                    \
        break;                       \
    case 32:                         \
        body(32);                    \
        break;                       \
    default:                         \
        body(stride);                \
    }

static inline void
afti_roots(aft_wide_floats *v)
{
    float t[8];
    memcpy(t, v, sizeof t);
    for (int k = 0; k < 8; k++)
        t[k] = sqrtf(t[k]);
    memcpy(v, t, sizeof t);
}

/* c of a row's crosses with the context, and of its own weight, its first column. */
static inline float
afti_flow_c(const struct afti_grid *g, uint32_t i)
{
    return g->position[i] == 1 ? 0.3f : 1;
}
static inline float
afti_flow_own(const struct afti_grid *g, uint32_t i)
{
    return g->at[i] == 0 ? 3.f : 1.f;
}

/* phi. With squared loss a label that lies far off, as made-up rewards do, is as noisy as it is far. */
double afti_flow_information(const struct afti_table *t, double score, double label);
/* The score that a step of that weight leads to, where q is the sum of s x^2. */
double afti_flow_to(const struct afti_table *t, const struct afti_member *m, double score,
                    double label, double weight, float q);
/* sum (x / N)^2 over the columns of the context at hand. */
float afti_flow_spread(struct afti_table *t);

/* ---- flow_batch.c: one item of many, between afti_flow_begin and afti_flow_end. */
void afti_batch_learn(struct afti_table *t, struct afti_member *m, double weight, double label);
void afti_batch_deinit(struct afti_batch *b);

#endif
