/* learner.c - one example: what is counted, what is learned. One thread. The only way into a model.
 *
 *   OPEN    each item with support is learned with the reward so far; arms' exposures and reward; progressive estimates
 *   REVISE  each item's change is learned again as late credit; arms' reward
 *   SETTLE  scoreboard, arms' clicks           ERASE  counted (what was learned stays in the sums: it holds no user)
 * Progressive estimates: before it learns a decision, the model names its greedy arm for the top slot; IPS, SNIPS and DR of
 * that arm's
 * reward at OPEN over the decisions with candidates and support (an estimate of what greedy serving would earn early, not in
 * the end).
 * An item that OPEN refused is refused by REVISE too: the reasons do not depend on the reward, but for the flow's label range.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

enum aft_err
aft_learner_new(const struct aft_learner_settings *s, struct aft_learner **out, struct aft_error *e)
{
    if (aft_model_traits(s->policy.model)->bilinear && s->policy.scope == AFT_SCOPE_PER_ARM)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.scope=per_arm: learner.model=%s has every arm's own weights "
                        "anyway; use learner.scope=shared",
                        aft_model_traits(s->policy.model)->name);
    if (s->forecast && (s->policy.model != AFT_MODEL_RIDGE || s->policy.scope != AFT_SCOPE_SHARED))
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.forecast=on: only learner.model=ridge with learner.scope=shared "
                        "takes a forecast back exactly; set learner.forecast=off");
    struct aft_learner *l = calloc(1, sizeof *l);
    AFT_ASSERT(l);
    l->settings = *s;
    aft_learner_settings_digest(s, &l->configuration);
    l->members_n = 1;
    afti_table_init(&l->table, s, l->members_n);
    for (uint32_t i = 0; i < l->members_n; i++)
        l->members[i].index = l->members[i].ridge.member = i;
    if (s->forecast && l->members_n != 1) {
        aft_learner_free(l);
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "learner.forecast=on: not with an ensemble, whose members weigh by "
                        "themselves; set learner.forecast=off");
    }
    l->forecast = s->forecast ? afti_forecast_new(l->members_n) : NULL;
    *out = l;
    return AFT_OK;
}

void
aft_learner_free(struct aft_learner *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; i < l->members_n; i++)
        aft_ridge_deinit(&l->members[i].ridge);
    afti_table_deinit(&l->table);
    afti_published_deinit(&l->published);
    afti_arms_deinit(&l->arms);
    afti_scoreboard_deinit(&l->scoreboard);
    afti_forecast_free(l->forecast);
    free(l);
}

static bool
logistic(const struct aft_learner *l)
{
    return aft_model_traits(l->settings.policy.model)->logistic;
}

/* Rewards are divided by it to be labels. */
static double
unit(const struct aft_learner *l)
{
    return l->settings.policy.model == AFT_MODEL_RIDGE ? 1 : l->settings.reward_scale;
}

/* A member's score of a candidate; false when it cannot be scored. Rewards grow with scores. */
static bool
score(struct aft_learner *l, const struct afti_member *m, const struct aft_candidate *c,
      double *out)
{
    if (!afti_take_candidate(&l->table, c, 0))
        return false;
    l->table.kind->item(&l->table, false);
    *out = l->table.kind->score(&l->table, m);
    return true;
}

static double
reward_of(const struct aft_learner *l, double score)
{
    return (logistic(l) ? aft_logistic(score) : score) * unit(l);
}

static const struct aft_example_item *
top_item(const struct aft_example *x)
{
    for (uint32_t i = 0; i < x->items_n; i++)
        if (x->items[i].slot == 0)
            return &x->items[i];
    return NULL;
}

/* Those that need no terms of their own. */
static void
score_plain(struct aft_learner *l, const struct afti_member *m, const struct aft_example *x)
{
    l->table.kind->context(&l->table, false);
    if (l->table.kind->candidates)
        l->table.kind->candidates(&l->table, m, x->candidates, x->candidates_n, l->score,
                                  l->scored);
    else
        memset(l->scored, 0, x->candidates_n * sizeof *l->scored);
}

/* Which candidate is on top, its score, and that of the one that was shown. */
static void
greedy(struct aft_learner *l, const struct aft_example *x, uint32_t top, double *best,
       double *shown, bool *has_shown)
{
    const struct afti_member *m = &l->members[l->table.weights.first];
    l->greedy = AFT_NOWHERE;
    *has_shown = false;
    score_plain(l, m, x);
    for (uint32_t i = 0; i < x->candidates_n; i++) {
        const struct aft_candidate *c = &x->candidates[i];
        if (c->mask.p || (!l->scored[i] && !score(l, m, c, &l->score[i])))
            continue;
        if (i == top) {
            *shown = l->score[i];
            *has_shown = true;
        }
        if (l->greedy == AFT_NOWHERE || l->score[i] > *best) {
            l->greedy = i;
            *best = l->score[i];
        }
    }
}

static void
progressive(struct aft_learner *l, const struct aft_example *x)
{
    const struct aft_example_item *top = top_item(x);
    double best = 0, shown = 0;
    bool has_shown;
    l->greedy = AFT_NOWHERE;
    if (!top || !(top->propensity > 0) || x->propensity_kind == AFT_PROPENSITY_UNKNOWN ||
        x->candidates_n > AFT_CANDIDATES_MAX || !afti_take_slot(&l->table, 0))
        return;
    greedy(l, x, l->shown[top - x->items], &best, &shown, &has_shown);
    if (l->greedy == AFT_NOWHERE)
        return;
    best = reward_of(l, best);
    shown = has_shown ? reward_of(l, shown) : 0;
    double reward = (double)top->reward_micro / AFT_MICRO;
    double w = l->greedy == l->shown[top - x->items] ? 1 / top->propensity : 0;
    l->counts[AFTI_PROGRESSIVE]++;
    l->sums[AFTI_IPS] += w * reward;
    l->sums[AFTI_IPS_W] += w;
    l->sums[AFTI_DR] += best + w * (reward - shown);
}

/* An item's terms: by the candidate with that arm where it has features, else by its own. */
static bool
take_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item)
{
    uint32_t at = l->shown[item - x->items];
    if (at != AFT_NOWHERE && (x->candidates[at].features.n || !item->features.n))
        return afti_take_candidate(&l->table, &x->candidates[at], item->slot);
    return afti_take_arm(&l->table, item->arm_id, item->features, item->slot);
}

/* Everything that must hold before an item touches a model; AFTI_COUNTS: it may. */
static enum afti_count
prepare(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item,
        double *weight, double *raw)
{
    double scale = l->settings.reward_scale * AFT_MICRO;
    enum afti_count why = afti_item_weight(l, x, item, weight, raw);
    if (why != AFTI_COUNTS)
        return why;
    double now = (double)item->reward_micro, before = now - (double)item->delta_micro;
    if (logistic(l) &&
        (now < 0 || now > scale || (x->phase == AFT_REVISE && (before < 0 || before > scale))))
        return AFTI_REFUSED_REWARD;
    return afti_take_slot(&l->table, item->slot) && take_item(l, x, item) ? AFTI_COUNTS
                                                                          : AFTI_REFUSED_FEATURE;
}

/* The item at hand -> places. */
static void
place(struct aft_learner *l, bool context, bool item)
{
    l->table.kind->context(&l->table, context);
    l->table.kind->item(&l->table, item);
    l->counts[AFTI_OVERFLOWED] += l->table.overflowed;
    l->table.overflowed = 0;
}

static void
open_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item)
{
    double weight, raw, label = (double)item->reward_micro / AFT_MICRO / unit(l);
    uint32_t arm = afti_arms_of(&l->arms, item->arm_id, true, x->timestamp_ms);
    if (arm != AFT_NOWHERE) {
        l->arms.v[arm].exposures++;
        l->arms.v[arm].reward_micro += item->reward_micro;
    }
    enum afti_count why = prepare(l, x, item, &weight, &raw);
    if (why != AFTI_COUNTS) {
        l->counts[why]++;
        return;
    }
    place(l, true, true);
    l->table.kind->learn(&l->table, &l->members[0], weight * afti_age(l, x->timestamp_ms), label);
    if (l->forecast)
        afti_forecast_item(l, x, item, weight * afti_age(l, x->timestamp_ms));
    l->counts[AFTI_LEARNED]++;
    l->sums[AFTI_WEIGHT] += weight;
    l->sums[AFTI_WEIGHT2] += weight * weight;
    l->sums[AFTI_WEIGHT_RAW] += raw;
}

static void
revise_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item)
{
    double weight, raw, scale = unit(l) * AFT_MICRO;
    uint32_t arm = afti_arms_of(&l->arms, item->arm_id, true, x->timestamp_ms);
    if (arm != AFT_NOWHERE)
        l->arms.v[arm].reward_micro += item->delta_micro;
    enum afti_count why = prepare(l, x, item, &weight, &raw);
    if (why != AFTI_COUNTS) {
        l->counts[why]++;
        return;
    }
    place(l, false, true);
    l->table.kind->revise(&l->table, &l->members[0], weight * afti_age(l, x->timestamp_ms),
                          (double)(item->reward_micro - item->delta_micro) / scale,
                          (double)item->reward_micro / scale);
    if (l->forecast)
        afti_forecast_item(l, x, item, weight * afti_age(l, x->timestamp_ms));
    l->counts[AFTI_REVISED]++;
}

/* What was forecast of an item is taken back when it settles: then its reward is all there is. */
static void
settle_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item)
{
    double weight, raw;
    if (prepare(l, x, item, &weight, &raw) != AFTI_COUNTS)
        return;
    place(l, false, true);
    afti_forecast_item(l, x, item, weight * afti_age(l, x->timestamp_ms));
}

static void
settle(struct aft_learner *l, const struct aft_example *x)
{
    l->counts[AFTI_SETTLED]++;
    afti_scoreboard_settle(&l->scoreboard, x);
    for (uint32_t i = 0; i < x->items_n; i++) {
        const struct aft_example_item *item = &x->items[i];
        uint32_t arm = afti_arms_of(&l->arms, item->arm_id, true, x->timestamp_ms);
        for (uint32_t j = 0; j < item->components_n && arm != AFT_NOWHERE; j++)
            if (aft_same(item->components[j].kind, AFT_LITERAL("click")))
                l->arms.v[arm].clicks += item->components[j].micro / AFT_MICRO;
    }
}

/* The context of the example, encoded; without it no item can be learned. And which candidate each item is. */
static bool
context(struct aft_learner *l, const struct aft_example *x)
{
    afti_catalogue_begin(&l->table.catalogue, x->revision);
    for (uint32_t i = 0; i < x->items_n; i++)
        l->shown[i] = afti_item_candidate(x, &x->items[i]);
    if (afti_take_context(&l->table, x->context))
        return true;
    l->counts[AFTI_REFUSED_FEATURE] += x->items_n;
    return false;
}

enum aft_err
aft_learner_learn(struct aft_learner *l, const struct aft_example *x, struct aft_error *e)
{
    if (x->items_n > AFT_SHOWN_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "an example of %u items: at most %u", x->items_n,
                        AFT_SHOWN_MAX);
    if (x->fire_ms > l->counts[AFTI_EVENT_TIME])
        l->counts[AFTI_EVENT_TIME] = x->fire_ms;
    afti_forget(l);
    if (l->forecast)
        afti_forecast_pass(l);
    switch (x->phase) {
    case AFT_OPEN:
        if (!context(l, x))
            return AFT_OK;
        progressive(l, x);
        for (uint32_t i = 0; i < x->items_n; i++)
            open_item(l, x, &x->items[i]);
        return AFT_OK;
    case AFT_REVISE:
        if (!context(l, x))
            return AFT_OK;
        for (uint32_t i = 0; i < x->items_n; i++)
            if (x->items[i].delta_micro)
                revise_item(l, x, &x->items[i]);
        return AFT_OK;
    case AFT_SETTLE:
        for (uint32_t i = 0; l->forecast && i < x->items_n && (i > 0 || context(l, x)); i++)
            settle_item(l, x, &x->items[i]);
        settle(l, x);
        return AFT_OK;
    case AFT_ERASE:
        l->counts[AFTI_ERASED]++;
        return AFT_OK;
    }
    AFT_NEVER();
}

uint32_t
aft_learner_greedy(const struct aft_learner *l)
{
    return l->greedy;
}

void
aft_learner_stats(const struct aft_learner *l, struct aft_learner_stats *out)
{
    const int64_t *c = l->counts;
    const double *s = l->sums;
    const struct aft_weights *w = &l->table.weights;
    double n = c[AFTI_LEARNED] ? (double)c[AFTI_LEARNED] : 1;
    double p = c[AFTI_PROGRESSIVE] ? (double)c[AFTI_PROGRESSIVE] : 1;
    *out = (struct aft_learner_stats){
        .learned = c[AFTI_LEARNED],
        .revised = c[AFTI_REVISED],
        .settled = c[AFTI_SETTLED],
        .erased = c[AFTI_ERASED],
        .refused_support = c[AFTI_REFUSED_SUPPORT],
        .refused_weight = c[AFTI_REFUSED_WEIGHT],
        .refused_reward = c[AFTI_REFUSED_REWARD],
        .refused_feature = c[AFTI_REFUSED_FEATURE],
        .mean_weight = s[AFTI_WEIGHT] / n,
        .effective_n = s[AFTI_WEIGHT2] > 0 ? s[AFTI_WEIGHT] * s[AFTI_WEIGHT] / s[AFTI_WEIGHT2] : 0,
        .capped_mass = l->settings.weighting == AFT_WEIGHTING_CAPPED && s[AFTI_WEIGHT_RAW] > 0
                           ? (s[AFTI_WEIGHT_RAW] - s[AFTI_WEIGHT]) / s[AFTI_WEIGHT_RAW]
                           : 0,
        .progressive_ips = s[AFTI_IPS] / p,
        .progressive_snips = s[AFTI_IPS_W] > 0 ? s[AFTI_IPS] / s[AFTI_IPS_W] : 0,
        .progressive_dr = s[AFTI_DR] / p,
        .arms = l->arms.index.n,
        .columns = w->bilinear.columns.n + w->linear.columns.n};
}
