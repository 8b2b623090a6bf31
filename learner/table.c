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
    t->terms.identity = s->policy.scope == AFT_SCOPE_SHARED;
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

bool
afti_take_context(struct afti_table *t, struct aft_features f)
{
    struct afti_terms *s = &t->terms;
    struct aft_error e;
    s->slot = -1;
    return aft_encode_context_known(&s->plan, s->context_names, f, &s->context, &e) == AFT_OK;
}

bool
afti_take_slot(struct afti_table *t, int32_t slot)
{
    struct afti_terms *s = &t->terms;
    if (slot >= 0 && s->slot == slot)
        return s->slot_good;
    s->shared_n = aft_terms_shared(&s->plan, &s->context, slot, s->shared);
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
