/* table.c - what the members of a learner share: the terms of the example at hand, the weights, their places. One thread.
 * A feature can be learned where it is finite and at most 1e6: else declare buckets for it, or scale it. Below 1e-18 it is 0. */
#include <float.h>
#include <math.h>

#include "learner/inner.h"

static const double largest = 1e6, least = 1e-18;

/* A value whose square a float cannot hold counts as 0: what divides by it would leave no number behind. */
static inline double
heard(double value)
{
    return fabs(value) < least ? 0 : value;
}

void
afti_table_init(struct afti_table *t, const struct aft_learner_settings *s, uint32_t members)
{
    bool bilinear = aft_model_traits(s->policy.model)->bilinear;
    t->kind = afti_kind_of(s->policy.model);
    t->lambda = s->lambda;
    t->rate = s->rate;
    t->memory = s->memory;
    t->calm = 1;
    t->judged.logit = (double)NAN;
    aft_features_plan_init(&t->terms.plan, &s->policy);
    t->terms.plain = aft_features_plain(&t->terms.plan, !bilinear);
    t->terms.crosses = !bilinear;
    t->terms.before.zeros = bilinear && !s->policy.interactions_n;
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
        struct aft_bytes name = f.v[i].name;
        usual = s->context.v[i].number && name.n && name.n <= AFT_NAME_BYTES;
        b->length[i] = usual ? (uint8_t)name.n : 0;
        memcpy(b->name[i], name.p, b->length[i]);
    }
    b->n = usual ? f.n : 0;
    b->slot = -1;
}

/* Whether the n bytes (1 .. AFT_NAME_BYTES) at p are those at kept: from both ends, in words. */
static inline bool
same_name(const uint8_t *kept, size_t n, const uint8_t *p)
{
    if (n == 1)
        return p[0] == kept[0];
    if (n < 4)
        return aft_load_le16(p) == aft_load_le16(kept) &&
               aft_load_le16(p + n - 2) == aft_load_le16(kept + n - 2);
    if (n < 8)
        return aft_load_le32(p) == aft_load_le32(kept) &&
               aft_load_le32(p + n - 4) == aft_load_le32(kept + n - 4);
    return aft_load_le64(p) == aft_load_le64(kept) &&
           aft_load_le64(p + n - 8) == aft_load_le64(kept + n - 8);
}

/* The same names again: their values into s->context. False: it must be encoded. */
static bool
repeats(struct afti_terms *s, struct aft_features f)
{
    struct afti_before *b = &s->before;
    double top = 0;
    if (b->n == 0 || f.n != b->n)
        return false;
    for (uint32_t i = 0; i < f.n; i++) {
        const struct aft_feature *x = &f.v[i];
        size_t n = b->length[i];
        if (((size_t)(x->type ^ AFT_FEATURE_NUMBER) | (x->name.n ^ n)) != 0 ||
            !same_name(b->name[i], n, x->name.p))
            return false;
        double size = fabs(x->number);
        if (!((size >= least || (b->zeros && size == 0)) && size <= DBL_MAX))
            return false;
        top = size > top ? size : top;
        s->context.v[i].value = x->number;
    }
    b->top = top;
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
share(struct afti_table *t, int32_t slot)
{
    struct afti_terms *s = &t->terms;
    struct afti_before *b = &s->before;
    s->slot_good = true;
    if (b->n && b->again && b->slot == slot) {
        for (uint32_t i = 0; i < b->n; i++)
            s->shared[i + 1].value = s->context.v[i].value;
        s->slot_good = b->top <= largest;
        return;
    }
    t->grid.placed = false;
    s->shared_n = aft_terms_shared(&s->plan, &s->context, slot, s->shared);
    b->slot = s->plan.settings.interactions_n ? -1 : slot;
    for (uint32_t i = 0; i < s->shared_n; i++) {
        s->shared[i].value = heard(s->shared[i].value);
        s->slot_good = s->slot_good && fabs(s->shared[i].value) <= largest;
    }
}

bool
afti_take_slot(struct afti_table *t, int32_t slot)
{
    struct afti_terms *s = &t->terms;
    if (slot >= 0 && s->slot == slot)
        return s->slot_good;
    share(t, slot);
    s->slot = slot;
    t->grid.ready = false;
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
    for (uint32_t i = 0; i < s->own_n; i++) {
        s->own[i].value = heard(s->own[i].value);
        if (!(fabs(s->own[i].value) <= largest))
            return false;
    }
    return true;
}

bool
afti_take_candidate(struct afti_table *t, const struct aft_candidate *c, int32_t slot)
{
    const struct afti_entry *e = afti_catalogue_entry(t, c);
    if (!e)
        return afti_take_arm(t, c->arm_id, c->features, slot);
    t->known = t->catalogue.terms[c->known];
    t->terms.own_n = t->known->own_n;
    return true;
}
