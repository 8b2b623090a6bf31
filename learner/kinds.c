/* kinds.c - the table of kinds of models, as the learner sees them; policy/kinds.c has their names. Pure. Any thread. */
#include "learner/inner.h"

/* A linear model needs its columns with the item at hand alone. */
static void
no_context(struct afti_table *t, bool grow)
{
    (void)t;
    (void)grow;
}

#define LINEAR .context = no_context, .item = afti_linear_item, .score = afti_linear_score
#define BILINEAR                                                                    \
    .context = afti_grid_context, .item = afti_grid_item, .score = afti_grid_score, \
    .candidates = afti_grid_candidates

static const struct afti_kind kinds[] = {
    [AFT_MODEL_RIDGE] = {LINEAR, .learn = afti_ridge_member_learn,
                         .revise = afti_ridge_member_revise, .forget = afti_ridge_forget,
                         .encode = afti_ridge_encode, .decode = afti_ridge_decode},
    [AFT_MODEL_FLOW] = {BILINEAR, .planes = 1, .learn = afti_flow_learn, .revise = afti_flow_revise,
                        .forget = afti_flow_forget, .encode = afti_flow_encode,
                        .decode = afti_flow_decode},
};

const struct afti_kind *
afti_kind_of(enum aft_model_kind kind)
{
    AFT_ASSERT((uint32_t)kind < sizeof kinds / sizeof *kinds);
    return &kinds[kind];
}
