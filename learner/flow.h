/* flow.h - what flow.c, flow_batch.c, grid.c and fold.c share. Not for other files. */
#ifndef AFT_LEARNER_FLOW_H
#define AFT_LEARNER_FLOW_H

#include <math.h>

#include "learner/inner.h"

typedef int afti_signs __attribute__((vector_size(16)));

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

/* phi. With squared loss a label that lies far off, as made-up rewards do, is as noisy as it is far; few do, and what follows from phi
 * need not wait for the score. */
static inline double
afti_flow_information(const struct afti_table *t, double score, double label)
{
    const double squared = 0.5;
    double off = (label - score) * (label - score);
    if (t->weights.kind == AFT_MODEL_FLOW) {
        double p = score == t->judged.logit ? t->judged.chance : aft_logistic(score);
        return p * (1 - p);
    }
    if (__builtin_expect(off > 1, 0))
        return squared * off;
    return squared;
}
/* The score that a step of that weight leads to, where q is the sum of s x^2. */
double afti_flow_to(const struct afti_table *t, const struct afti_member *m, double score,
                    double label, double weight, float q);
/* sum (x / N)^2 over the columns of the context at hand. */
float afti_flow_spread(struct afti_table *t);

/* Whether some of n values is no number (below 0), or above the scale that stands there. Both are read in fours. */
static inline bool
afti_some_other(const float *size, const float *scale, uint32_t n)
{
    afti_signs any = {0};
    aft_floats a, b;
    for (uint32_t i = 0; i < n; i += 4) {
        memcpy(&a, size + i, sizeof a);
        memcpy(&b, scale + i, sizeof b);
        any |= (a > b) | (a < 0);
    }
    return any[0] | any[1] | any[2] | any[3];
}

/* What an entry begins with: shape, place and marks as one word. */
static inline __attribute__((always_inline)) uint32_t
afti_entry_word(const struct afti_entry *e)
{
    uint32_t word;
    memcpy(&word, e, sizeof word);
    return word;
}

/* ---- flow_batch.c, and the arithmetic of an item in flow_item.c. The first LEAD rows of an item stand by themselves. Fields of a slot: where
 * they stand beyond its first. */
enum {
    AFTI_LEAD = 2,
    AFTI_FOLD = 0,
    AFTI_BY = 4,
    AFTI_MOVED = 8,
    AFTI_INFORMATION = 12,
    AFTI_QUAD = 16
};

/* A slot of a member: its fold, and the other fields four floats apart. Four slots lie in one line of memory. */
static inline float *
afti_batch_cell(const struct afti_batch *b, uint32_t member, uint32_t slot)
{
    return b->v + ((size_t)(slot / 4) * b->members + member) * AFTI_QUAD + slot % 4;
}

/* afti_batch_learn: the item at hand, between afti_flow_begin and afti_flow_end. afti_batch_resolve: its slots. */
void afti_batch_learn(struct afti_table *t, struct afti_member *m, double weight, double label);
void afti_batch_resolve(struct afti_table *t);
void afti_batch_deinit(struct afti_batch *b);
/* afti_batch_fold: what follows a row's product with the context; of a row that some item had. */
float afti_batch_fold(const struct afti_batch *b, uint32_t member, uint32_t row);

#endif
