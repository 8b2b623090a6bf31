/* refused.c - what must not be learned: an example that breaks a bound or a rule as a whole, and the words for it. One thread.
 *
 * Of an example as a whole: one that its reader refused (aft_decode_example_by); more than AFT_SHOWN_MAX items; a slot outside 0 .. 31;
 * an arm that stands twice; times and amounts beyond 2^53, so that no sum of them leaves the range of its numbers.
 * Items are refused one by one: reduction.c, learner.c. The last refusal is kept in words; that is no state.
 */
#include <stdio.h>

#include "learner/inner.h"

static const int64_t most = (int64_t)1 << 53;

static bool
within(int64_t v)
{
    return v >= -most && v <= most;
}

static const char *
broken_item(const struct aft_example_item *item)
{
    if (item->slot < 0 || item->slot >= (int32_t)AFT_SHOWN_MAX)
        return "an item's slot is not in 0 .. 31";
    if (!within(item->reward_micro) || !within(item->delta_micro))
        return "a reward is beyond 9e9";
    for (uint32_t i = 0; i < item->components_n; i++)
        if (!within(item->components[i].micro))
            return "a component of a reward is beyond 9e9";
    return NULL;
}

/* The rule that it breaks, or NULL. */
static const char *
broken(const struct aft_example *x)
{
    if (x->refused)
        return x->refused;
    if (x->items_n > AFT_SHOWN_MAX)
        return "it has more than 32 items";
    if (!within(x->fire_ms) || !within(x->timestamp_ms))
        return "one of its times is none in milliseconds since 1970";
    const char *why = NULL;
    for (uint32_t i = 0; i < x->items_n && !why; i++) {
        why = broken_item(&x->items[i]);
        for (uint32_t j = 0; j < i && !why; j++)
            if (aft_same(x->items[j].arm_id, x->items[i].arm_id))
                why = "an arm stands twice among its items";
    }
    return why;
}

static void
remember(struct aft_learner *l, const struct aft_example *x, int32_t slot, enum afti_count why)
{
    struct afti_refusal *f = &l->refusal;
    f->there = true;
    f->why = why;
    f->seq = x->seq;
    f->slot = slot;
    f->decision_n = x->decision_id.n < sizeof f->decision_id ? (uint32_t)x->decision_id.n
                                                             : (uint32_t)sizeof f->decision_id;
    if (f->decision_n)
        memcpy(f->decision_id, x->decision_id.p, f->decision_n);
    f->said[0] = 0;
}

bool
afti_refuse_example(struct aft_learner *l, const struct aft_example *x)
{
    const char *why = broken(x);
    if (!why)
        return false;
    l->counts[AFTI_REFUSED_EXAMPLE]++;
    remember(l, x, -1, AFTI_REFUSED_EXAMPLE);
    snprintf(l->refusal.said, sizeof l->refusal.said, "%s", why);
    return true;
}

void
afti_refuse(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item,
            enum afti_count why)
{
    l->counts[why] += item ? 1 : x->items_n;
    if (item || x->items_n)
        remember(l, x, item ? item->slot : -1, why);
}

/* ---- in words */
static const char *
reason(const struct afti_refusal *f)
{
    switch (f->why) {
    case AFTI_REFUSED_SUPPORT:
        return "support: its propensity is no probability above 0, or of unknown kind, or it is no "
               "candidate, or design.pass is below "
               "0.001; log the probability with which it was shown, and all candidates";
    case AFTI_REFUSED_WEIGHT:
        return "weight: 1 / (p m) is above a million or not finite; log larger propensities, or "
               "set learner.weighting=capped";
    case AFTI_REFUSED_REWARD:
        return "reward: outside 0 .. learner.reward.scale; raise it, or take a model whose labels "
               "may be any number";
    case AFTI_REFUSED_FEATURE:
        return "feature: one is not finite, or above a million; correct or scale it";
    default:
        return f->said;
    }
}

bool
aft_learner_refused(struct aft_learner *l, uint32_t partition, struct aft_error *why)
{
    struct aft_learner *of = l->parts ? l->parts[partition] : l;
    struct afti_refusal *f = of ? &of->refusal : NULL;
    char slot[24] = "";
    if (!f || !f->there)
        return false;
    f->there = false;
    if (f->slot >= 0)
        snprintf(slot, sizeof slot, ", slot %d", f->slot);
    AFT_FAIL(why, AFT_E_VALUE, "seq %llu%s%.*s%s: %s", (unsigned long long)f->seq,
             f->decision_n ? ", decision " : "", (int)(f->decision_n < 80 ? f->decision_n : 80),
             (const char *)f->decision_id, slot, reason(f));
    return true;
}
