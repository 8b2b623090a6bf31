/* design.c - what the settings come to: which members there are, what each regresses, with what weight. Pure. Any thread.
 *
 *   sides    one, or two under weighting=auto: members of the same kind that differ in the weight of an example alone, side 0
 *            without (none), side 1 capped. One side serves (auto.c).
 *   voters   of a side: one; in an ensemble learner.members, the client scores them all
 *   regressor   one member more, unweighted, of what was shown alone: reduction=dr and cover take from it what an arm would have earned
 * Members lie side by side: side 0's voters, side 1's, the regressor.
 * learner.ensemble=auto follows policy.explore: bagging and cover want members. SquareCB and RegCB want the regression as it is
 * (arXiv 2002.04926, 1803.01088), so under those policies the reduction is dm. Another policy.explore of these is another model.
 * learner.shards: an additive model is learned as sums by partition (sums.c). There auto, which wants a model to judge each example by
 * before the next one, is `none`, the side that it begins with.
 */
#include "learner/inner.h"

static enum aft_ensemble
ensemble_of(const struct aft_learner_settings *s)
{
    if (s->ensemble != AFT_ENSEMBLE_AUTO)
        return s->ensemble;
    return s->policy.explore == AFT_EXPLORE_BAGGING ? AFT_ENSEMBLE_BAGGING
           : s->policy.explore == AFT_EXPLORE_COVER ? AFT_ENSEMBLE_COVER
                                                    : AFT_ENSEMBLE_NONE;
}

static bool
regresses(enum aft_explore e)
{
    return e == AFT_EXPLORE_SQUARECB || e == AFT_EXPLORE_SQUARECB_ELIM ||
           e == AFT_EXPLORE_REGCB_ELIM || e == AFT_EXPLORE_REGCB_OPT;
}

/* Whether what an example adds depends on neither the model nor the other examples. */
static bool
additive(const struct aft_learner_settings *s, const struct afti_design *d)
{
    return s->policy.model == AFT_MODEL_RIDGE && !s->forecast && s->half_life_ms == 0 &&
           d->reduction != AFT_REDUCTION_DR && d->ensemble != AFT_ENSEMBLE_COVER;
}

struct afti_design
afti_design_of(const struct aft_learner_settings *s)
{
    struct afti_design d = {.ensemble = ensemble_of(s), .sides = 1, .regressor = AFT_NOWHERE};
    bool made_up, plain;
    d.reduction = regresses(s->policy.explore) ? AFT_REDUCTION_DM : s->reduction;
    d.voters = d.ensemble == AFT_ENSEMBLE_NONE ? 1 : s->members;
    made_up = d.reduction == AFT_REDUCTION_IPS || d.reduction == AFT_REDUCTION_DR;
    plain = d.reduction == AFT_REDUCTION_DM;
    d.weighting[0] = plain ? AFT_WEIGHTING_NONE : s->weighting;
    d.weighting[1] = AFT_WEIGHTING_CAPPED;
    d.sums = s->shards > 0 && additive(s, &d);
    if (d.weighting[0] == AFT_WEIGHTING_AUTO) {
        bool one = made_up || d.ensemble == AFT_ENSEMBLE_COVER;
        d.sides = one || d.sums ? 1 : 2;
        d.weighting[0] = one ? AFT_WEIGHTING_CAPPED : AFT_WEIGHTING_NONE;
    }
    d.members = d.sides * d.voters;
    d.everything = made_up || d.ensemble == AFT_ENSEMBLE_COVER;
    if (d.reduction == AFT_REDUCTION_DR || d.ensemble == AFT_ENSEMBLE_COVER)
        d.regressor = d.members++;
    d.support = d.everything || d.sides == 2 || d.weighting[0] != AFT_WEIGHTING_NONE;
    AFT_ASSERT(d.members <= AFT_MEMBERS_MAX);
    return d;
}

enum aft_err
afti_design_check(const struct aft_learner_settings *s, struct aft_error *e)
{
    struct afti_design d = afti_design_of(s);
    const struct aft_model_traits *t = aft_model_traits(s->policy.model);
    bool made_up = d.reduction == AFT_REDUCTION_IPS || d.reduction == AFT_REDUCTION_DR;
    if (d.everything && t->logistic)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.reduction=ips and dr, and cover, regress made-up rewards that "
                        "leave [0, 1], which learner.model=%s cannot: take ridge, flow-squared or "
                        "vw",
                        t->name);
    if (s->shards > 1 && !d.sums)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.shards=%u: only sums can be shared: learner.model=ridge with "
                        "learner.reduction=iwr, dm or ips, learner.half.life=0, "
                        "learner.forecast=off and no cover; else leave learner.shards at 0",
                        s->shards);
    if (s->forecast && d.everything)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.forecast=on: what is forecast is added to the reward of what was "
                        "shown, and learner.reduction=ips and dr, and cover, make up others: take "
                        "iwr or dm, or set learner.forecast=off");
    if (made_up && (s->weighting == AFT_WEIGHTING_NONE || s->weighting == AFT_WEIGHTING_SQRT))
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.reduction=%s divides by the propensity: learner.weighting must be "
                        "auto, iwr or capped; unweighted is learner.reduction=dm",
                        d.reduction == AFT_REDUCTION_IPS ? "ips" : "dr");
    return AFT_OK;
}
