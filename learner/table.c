/* table.c - what the members of a learner share: the terms of the example at hand, the weights, their places. One thread.
 * A feature can be learned where it is finite and at most 1e6: else declare buckets for it, or scale it. */
#include <math.h>

#include "learner/inner.h"

static const double largest = 1e6;

void
afti_table_init(struct afti_table *t, const struct aft_learner_settings *s, uint32_t members)
{
    bool bilinear = aft_model_traits(s->policy.model)->bilinear;
    t->kind = afti_kind_of(s->policy.model);
    t->lambda = s->lambda;
    t->rate = s->rate;
    t->memory = s->memory;
    aft_features_plan_init(&t->terms.plan, &s->policy);
    t->terms.plain = aft_features_plain(&t->terms.plan, !bilinear);
    t->terms.crosses = !bilinear;
    t->terms.identity = bilinear || s->policy.scope == AFT_SCOPE_SHARED;
    aft_weights_init(&t->weights, s->policy.model, members);
    aft_linear_init(&t->weights.linear, s->lambda, members);
    aft_bilinear_init(&t->weights.bilinear, s->policy.bits, members);
}

void
afti_table_deinit(struct afti_table *t)
{
    aft_weights_deinit(&t->weights);
    afti_grid_deinit(&t->grid);
    afti_catalogue_deinit(&t->catalogue);
}

/* ---- the context */
static void
remember(struct afti_terms *s, struct aft_features f)
{
    struct afti_before *b = &s->before;
    bool usual = s->context.n == f.n && f.n <= AFT_FEATURES_MAX;
    for (uint32_t i = 0; usual && i < s->plan.sides_n; i++)
        usual = !s->context.side[i];
    for (uint32_t i = 0; usual && i < f.n; i++) {
        usual = s->context.v[i].number && aft_name_words(f.v[i].name, &b->low[i], &b->high[i]);
        b->length[i] = f.v[i].name.n;
    }
    b->n = usual ? f.n : 0;
    b->slot = -1;
}

/* The same names again: their values into s->context. False: it must be encoded. */
static bool
repeats(struct afti_terms *s, struct aft_features f)
{
    const struct afti_before *b = &s->before;
    if (b->n == 0 || f.n != b->n)
        return false;
    for (uint32_t i = 0; i < f.n; i++) {
        const struct aft_feature *x = &f.v[i];
        uint64_t low, high;
        if (x->type != AFT_FEATURE_NUMBER || x->name.n != b->length[i] ||
            !aft_name_words(x->name, &low, &high) || ((low ^ b->low[i]) | (high ^ b->high[i])))
            return false;
        if (x->number == 0 || x->number - x->number != 0)
            return false;
        s->context.v[i].value = x->number;
    }
    return true;
}

bool
afti_take_context(struct afti_table *t, struct aft_features f)
{
    struct afti_terms *s = &t->terms;
    struct aft_error e;
    s->slot = -1;
    s->before.again = repeats(s, f);
    if (s->before.again)
        return true;
    s->before.n = 0;
    if (aft_encode_context_known(&s->plan, s->context_names, f, &s->context, &e) != AFT_OK)
        return false;
    remember(s, f);
    return true;
}

/* terms.shared for a slot: the constant, the context, the slot, pairs. */
static void
share(struct afti_terms *s, int32_t slot)
{
    struct afti_before *b = &s->before;
    if (b->n && b->again && b->slot == slot) {
        for (uint32_t i = 0; i < b->n; i++)
            s->shared[i + 1].value = s->context.v[i].value;
        return;
    }
    s->shared_n = aft_terms_shared(&s->plan, &s->context, slot, s->shared);
    b->slot = s->plan.settings.interactions_n ? -1 : slot;
}

bool
afti_take_slot(struct afti_table *t, int32_t slot)
{
    struct afti_terms *s = &t->terms;
    if (slot >= 0 && s->slot == slot)
        return s->slot_good;
    share(s, slot);
    s->slot = slot;
    s->slot_good = true;
    t->grid.ready = false;
    for (uint32_t i = 0; i < s->shared_n; i++)
        s->slot_good = s->slot_good && fabs(s->shared[i].value) <= largest;
    return s->slot_good;
}

bool
afti_take_arm(struct afti_table *t, struct aft_bytes id, struct aft_features f, int32_t slot)
{
    struct afti_terms *s = &t->terms;
    struct aft_error e;
    t->known = NULL;
    if (aft_encode_arm_known(&s->plan, s->arm_names, id, f, &s->arm, &e) != AFT_OK)
        return false;
    s->own_n = aft_terms_own(&s->plan, &s->context, &s->arm, slot, s->identity, s->crosses, s->own);
    for (uint32_t i = 0; i < s->own_n; i++)
        if (!(fabs(s->own[i].value) <= largest))
            return false;
    return true;
}

bool
afti_take_candidate(struct afti_table *t, const struct aft_candidate *c, int32_t slot)
{
    const struct afti_entry *e = afti_catalogue_entry(t, c);
    if (!e)
        return afti_take_arm(t, c->arm_id, c->features, slot);
    t->known = t->catalogue.terms[c->known];
    t->terms.own_n = e->own_n;
    memcpy(t->terms.own, t->known->own, e->own_n * sizeof *t->terms.own);
    return true;
}
