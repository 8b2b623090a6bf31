/* learner.c - one example: what is counted, what is learned. One thread. The only way into a model.
 *
 *   OPEN    judged before it is learned (progressive.c); each item that may be learned is, with the reward so far (reduction.c); arms
 *   REVISE  each item's change is learned again as late credit; arms' reward
 *   SETTLE  scoreboard, arms' clicks           ERASE  counted (what was learned stays in the sums: it holds no user)
 * An item that OPEN refused is refused by REVISE too: the reasons do not depend on the reward, but for the range of labels.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

struct aft_learner *
afti_learner_make(const struct aft_learner_settings *s)
{
    struct aft_learner *l = calloc(1, sizeof *l);
    AFT_ASSERT(l);
    l->settings = *s;
    l->design = afti_design_of(s);
    aft_learner_settings_digest(s, &l->configuration);
    l->members_n = l->design.members;
    afti_table_init(&l->table, s, l->members_n);
    l->table.weights.voters = l->design.voters;
    for (uint32_t i = 0; i < l->members_n; i++)
        l->members[i].index = l->members[i].ridge.member = i;
    bool exact = s->policy.model == AFT_MODEL_RIDGE && s->policy.scope == AFT_SCOPE_SHARED &&
                 l->design.voters == 1;
    l->forecast = s->forecast ? afti_forecast_new(l->members_n, exact) : NULL;
    l->greedy = AFT_NOWHERE;
    return l;
}

enum aft_err
aft_learner_new(const struct aft_learner_settings *s, struct aft_learner **out, struct aft_error *e)
{
    AFT_TRY(afti_design_check(s, e));
    struct aft_learner *l = afti_learner_make(s);
    if (l->design.sums) {
        l->parts = calloc(AFT_PARTITIONS_MAX, sizeof(struct aft_learner *));
        AFT_ASSERT(l->parts);
    }
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
    afti_health_deinit(l);
    for (uint32_t p = 0; l->parts && p < AFT_PARTITIONS_MAX; p++)
        aft_learner_free(l->parts[p]); /* NOLINT(misc-no-recursion): a part has none */
    free(l->parts);
    free(l);
}

/* An item's terms: by the candidate with that arm where it has features, else by its own. */
bool
afti_take_item(struct aft_learner *l, const struct aft_example *x,
               const struct aft_example_item *item)
{
    uint32_t at = l->shown[item - x->items];
    if (at != AFT_NOWHERE && (x->candidates[at].features.n || !item->features.n))
        return afti_take_candidate(&l->table, &x->candidates[at], item->slot);
    return afti_take_arm(&l->table, item->arm_id, item->features, item->slot);
}

/* Whether a label is in the range of the model's. */
static bool
in_range(const struct aft_learner *l, const struct aft_example *x,
         const struct aft_example_item *item)
{
    double top = l->settings.reward_scale * AFT_MICRO, now = (double)item->reward_micro;
    double before = x->phase == AFT_REVISE ? now - (double)item->delta_micro : now;
    return !afti_logistic(l) || (now >= 0 && now <= top && before >= 0 && before <= top);
}

/* Everything that must hold before an item touches a model; AFTI_COUNTS: it may, and is at hand. */
static enum afti_count
prepare(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item,
        struct afti_weight *w)
{
    struct afti_table *t = &l->table;
    enum afti_count why = afti_item_weight(l, x, item, w);
    if (why != AFTI_COUNTS)
        return why;
    if (!in_range(l, x, item))
        return AFTI_REFUSED_REWARD;
    if (!afti_take_slot(t, item->slot) || !afti_take_item(l, x, item))
        return AFTI_REFUSED_FEATURE;
    t->kind->context(t, x->phase == AFT_OPEN);
    t->kind->item(t, true);
    return AFTI_COUNTS;
}

/* Learned or revised, or counted as refused. */
static void
learn_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item)
{
    struct afti_weight w;
    enum afti_count why = prepare(l, x, item, &w);
    if (why != AFTI_COUNTS) {
        afti_refuse(l, x, item, why);
        return;
    }
    afti_item_learn(l, x, item, &w);
    if (l->forecast && l->forecast->exact)
        afti_forecast_item(l, x, item, &w);
    l->counts[AFTI_OVERFLOWED] += l->table.overflowed;
    l->table.overflowed = 0;
    if (x->phase == AFT_OPEN)
        afti_health_learned(l, &w);
    else
        l->counts[AFTI_REVISED]++;
}

static void
open_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *i)
{
    uint32_t arm = afti_arms_of(&l->arms, i->arm_id, true, x->timestamp_ms);
    if (arm != AFT_NOWHERE) {
        struct afti_arm *a = &l->arms.v[arm];
        a->exposures += afti_whole(x);
        afti_add(&a->reward_micro, afti_whole(x) * i->reward_micro);
        if (x->timestamp_ms > a->last_seen_ms)
            a->last_seen_ms = x->timestamp_ms;
    }
    learn_item(l, x, i);
}

static void
revise_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *i)
{
    uint32_t arm = afti_arms_of(&l->arms, i->arm_id, true, x->timestamp_ms);
    if (arm != AFT_NOWHERE)
        afti_add(&l->arms.v[arm].reward_micro, afti_whole(x) * i->delta_micro);
    learn_item(l, x, i);
}

/* What was forecast of an item is taken back when it settles: then its reward is all there is. */
static void
settle_item(struct aft_learner *l, const struct aft_example *x, const struct aft_example_item *item)
{
    struct afti_weight w;
    if (prepare(l, x, item, &w) == AFTI_COUNTS) {
        if (l->forecast->exact)
            afti_forecast_item(l, x, item, &w);
        else
            afti_item_learn(l, x, item, &w);
    }
    l->counts[AFTI_OVERFLOWED] += l->table.overflowed;
    l->table.overflowed = 0;
}

static void
settle(struct aft_learner *l, const struct aft_example *x)
{
    int64_t whole = afti_whole(x);
    l->counts[AFTI_SETTLED]++;
    afti_scoreboard_settle(&l->scoreboard, x);
    for (uint32_t i = 0; i < x->items_n; i++) {
        const struct aft_example_item *item = &x->items[i];
        afti_health_settled(l, item);
        uint32_t arm = afti_arms_of(&l->arms, item->arm_id, true, x->timestamp_ms);
        if (arm != AFT_NOWHERE)
            l->arms.v[arm].settled += whole;
        for (uint32_t j = 0; j < item->components_n && arm != AFT_NOWHERE; j++)
            if (aft_same(item->components[j].kind, AFT_LITERAL("click")))
                afti_add(&l->arms.v[arm].clicks, whole * (item->components[j].micro / AFT_MICRO));
    }
}

/* The context of the example, encoded; without it no item can be learned. And which candidate each item is, how many are eligible. */
static bool
context(struct aft_learner *l, const struct aft_example *x)
{
    afti_catalogue_begin(&l->table.catalogue, x->revision);
    afti_catalogue_ahead(&l->table.catalogue, x->candidates, x->candidates_n);
    afti_item_candidates(l, x);
    if (x->items_n && l->shown[0] != AFT_NOWHERE)
        afti_catalogue_shown(&l->table, &x->candidates[l->shown[0]]);
    if (afti_take_context(&l->table, x->context))
        return true;
    afti_refuse(l, x, NULL, AFTI_REFUSED_FEATURE);
    return false;
}

enum aft_err
aft_learner_learn(struct aft_learner *l, const struct aft_example *x, struct aft_error *e)
{
    if (l->parts)
        return aft_learner_sum(l, 0, x, e); /* NOLINT(misc-no-recursion): a part has none */
    if (x->phase == AFT_OPEN)
        l->greedy = AFT_NOWHERE;
    if (afti_refuse_example(l, x))
        return AFT_OK;
    if (x->fire_ms > l->counts[AFTI_EVENT_TIME])
        l->counts[AFTI_EVENT_TIME] = x->fire_ms;
    afti_forget(l);
    if (l->forecast)
        afti_forecast_pass(l);
    switch (x->phase) {
    case AFT_OPEN:
        if (!context(l, x))
            return AFT_OK;
        if (!l->part)
            afti_progressive(l, x);
        for (uint32_t i = 0; i < x->items_n; i++) {
            open_item(l, x, &x->items[i]);
            l->table.judged.there = false;
        }
        return AFT_OK;
    case AFT_REVISE:
        if (!context(l, x))
            return AFT_OK;
        afti_progressive_late(l, x);
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

/* ---- asked */
static const char *
refused_name(enum afti_count why)
{
    switch (why) {
    case AFTI_REFUSED_SUPPORT:
        return "support";
    case AFTI_REFUSED_WEIGHT:
        return "weight";
    case AFTI_REFUSED_REWARD:
        return "reward";
    case AFTI_REFUSED_FEATURE:
        return "feature";
    default:
        return NULL;
    }
}

void
aft_learner_treatment(struct aft_learner *l, const struct aft_example *x, uint32_t item,
                      struct aft_treatment *out)
{
    struct afti_weight w = {0};
    const struct afti_design *d = &l->design;
    AFT_ASSERT(item < x->items_n && x->items_n <= AFT_SHOWN_MAX);
    enum afti_count why = context(l, x) ? prepare(l, x, &x->items[item], &w) : AFTI_REFUSED_FEATURE;
    *out = (struct aft_treatment){.refused = refused_name(why),
                                  .left = w.left,
                                  .raw = w.raw,
                                  .weight = {w.side[0] * w.stands, w.side[1] * w.stands},
                                  .sides = d->sides,
                                  .voters = d->voters};
    AFT_ASSERT(d->voters <= sizeof out->copies / sizeof *out->copies);
    for (uint32_t j = 0; j < d->voters; j++)
        out->copies[j] = d->ensemble == AFT_ENSEMBLE_BAGGING ? afti_copies(x->decision_id, j) : 1;
}
