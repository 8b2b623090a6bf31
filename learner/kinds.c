/* kinds.c - the table of kinds of models, as the learner sees them; policy/kinds.c has their names. Pure. Any thread. */
#include "learner/inner.h"

/* A linear model needs its columns with the item at hand alone. */
static void
no_context(struct afti_table *t, bool grow)
{
    (void)t;
    (void)grow;
}

#define LINEAR .context = no_context, .score = afti_linear_score
#define BILINEAR                                                                    \
    .context = afti_grid_context, .item = afti_grid_item, .score = afti_grid_score, \
    .candidates = afti_grid_candidates, .encode_shared = afti_grid_encode,          \
    .decode_shared = afti_grid_decode
#define FLOW                                                                       \
    BILINEAR, .planes = 1, .forget = afti_flow_forget, .encode = afti_flow_encode, \
              .decode = afti_flow_decode

static const struct afti_kind kinds[] = {
    [AFT_MODEL_RIDGE] = {LINEAR, .item = afti_linear_item, .learn = afti_ridge_member_learn,
                         .revise = afti_ridge_member_revise, .forget = afti_ridge_forget,
                         .encode = afti_ridge_encode, .decode = afti_ridge_decode},
    [AFT_MODEL_FLOW] = {FLOW, .learn = afti_flow_learn, .revise = afti_flow_revise,
                        .variances = afti_flow_variances},
    [AFT_MODEL_FLOW_SQUARED] = {FLOW, .learn = afti_flow_learn, .revise = afti_flow_revise,
                                .begin = afti_flow_begin, .end = afti_flow_end,
                                .follows = afti_batch_follows, .variances = afti_flow_variances},
    [AFT_MODEL_VW] = {BILINEAR, .planes = 2, .learn = afti_vw_learn, .revise = afti_vw_revise,
                      .forget = afti_flow_forget, .variances = afti_vw_variances,
                      .encode = afti_vw_encode, .decode = afti_vw_decode},
    [AFT_MODEL_BAYES] = {FLOW, .learn = afti_bayes_learn, .revise = afti_bayes_revise,
                         .variances = afti_bayes_variances},
    [AFT_MODEL_BAYES_FULL] = {LINEAR, .item = afti_full_item, .learn = afti_full_learn,
                              .revise = afti_full_revise, .forget = afti_full_forget,
                              .encode = afti_full_encode, .decode = afti_full_decode,
                              .encode_shared = afti_full_encode_shared,
                              .decode_shared = afti_full_decode_shared},
};

const struct afti_kind *
afti_kind_of(enum aft_model_kind kind)
{
    AFT_ASSERT((uint32_t)kind < sizeof kinds / sizeof *kinds);
    return &kinds[kind];
}
