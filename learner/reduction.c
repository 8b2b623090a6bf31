/* reduction.c - from a logged item to a regression example: may it be learned, and with what weight. Pure. Any thread.
 *
 *   dm: weight 1.   iwr (Bietti et al., arXiv 1802.04064, also "mtr"): h = 1 / (p m), p the item's propensity given what
 *   stands above it,
 *   m the eligible arms that were left for its slot, so that uniform logging has weight 1. Then by learner.weighting: iwr h,
 *   capped min(h, cap), sqrt sqrt(h), none 1. A log without candidates counts the arms that the learner knows.
 * Refused: no support (propensity 0, or of unknown kind where a weight is made of it); a weight that is not finite or above 1e6.
 */
#include <math.h>

#include "learner/inner.h"

uint32_t
afti_item_candidate(const struct aft_example *x, const struct aft_example_item *item)
{
    uint64_t tag = aft_id_tag(item->arm_id);
    for (uint32_t i = 0; i < x->candidates_n; i++)
        if (aft_id_tag(x->candidates[i].arm_id) == tag &&
            aft_same(x->candidates[i].arm_id, item->arm_id))
            return i;
    return AFT_NOWHERE;
}

static double
arms_left(const struct aft_learner *l, const struct aft_example *x,
          const struct aft_example_item *item)
{
    uint32_t eligible = 0, above = 0;
    for (uint32_t i = 0; i < x->candidates_n; i++)
        eligible += !x->candidates[i].mask.p;
    for (uint32_t i = 0; i < x->items_n; i++)
        above += x->items[i].slot < item->slot;
    if (x->candidates_n == 0)
        eligible = l->arms.index.n;
    return eligible > above ? (double)(eligible - above) : 1;
}

enum afti_count
afti_item_weight(const struct aft_learner *l, const struct aft_example *x,
                 const struct aft_example_item *item, double *weight, double *raw)
{
    const struct aft_learner_settings *s = &l->settings;
    bool plain = s->reduction == AFT_REDUCTION_DM || s->weighting == AFT_WEIGHTING_NONE;
    *weight = *raw = 1;
    if (plain)
        return AFTI_COUNTS;
    if (!(item->propensity > 0) || x->propensity_kind == AFT_PROPENSITY_UNKNOWN)
        return AFTI_REFUSED_SUPPORT;
    double h = 1 / (item->propensity * arms_left(l, x, item));
    *raw = h;
    *weight = s->weighting == AFT_WEIGHTING_SQRT                          ? sqrt(h)
              : s->weighting == AFT_WEIGHTING_CAPPED && h > s->weight_cap ? s->weight_cap
                                                                          : h;
    return *weight <= 1e6 ? AFTI_COUNTS : AFTI_REFUSED_WEIGHT;
}
