/* shadow.c - another model of the snapshots topic that decides nothing: of each slate that is logged, its probabilities. It costs the
 * caller of aft_client_log_impression a scoring; deciding does not know of it.
 * Threads: following, as snapshot_follow.c; noting, any, one a decision.
 * I1 the shadow's model changes only to one that was whole and verified and could be loaded. */
#include <stdlib.h>

#include "client/client_inner.h"

enum aft_err
afti_shadow_start(struct aft_client *c, struct aft_error *e)
{
    struct afti_shadow *s = &c->shadow;
    if (!c->options.shadow_model)
        return AFT_OK;
    if (!c->options.model || strcmp(c->options.model, c->options.shadow_model) == 0)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "options.shadow_model needs options.model, and another one: the topic holds "
            "both");
    s->set = aft_snapshot_set_new();
    aft_snapshot_set_weights_only(s->set);
    if (c->options.public_key)
        aft_snapshot_set_key(s->set, c->public_key);
    afti_cell_init(&s->cell, aft_model_uniform());
    return AFT_OK;
}

void
afti_shadow_stop(struct aft_client *c)
{
    struct afti_shadow *s = &c->shadow;
    if (!s->set)
        return;
    if (s->pending)
        aft_model_free(s->pending);
    afti_cell_deinit(&s->cell);
    aft_snapshot_set_free(s->set);
    s->set = NULL;
}

void
afti_shadow_put(struct aft_client *c)
{
    struct afti_shadow *s = &c->shadow;
    if (s->pending && afti_cell_put(&s->cell, s->pending)) {
        s->pending = NULL;
        atomic_fetch_add(&s->applied, 1);
    }
}

enum aft_err
afti_shadow_body(struct aft_client *c, struct aft_bytes body, struct aft_error *e)
{
    struct afti_shadow *s = &c->shadow;
    struct aft_model *m;
    bool whole;
    AFT_TRY(aft_snapshot_set_add(s->set, body, &whole, e));
    if (!whole)
        return AFT_OK;
    AFT_TRY(aft_model_load(s->set, &m, e));
    if (s->pending)
        aft_model_free(s->pending);
    s->pending = m;
    afti_shadow_put(c);
    return AFT_OK;
}

/* Into d->drawn.design, by the model that is held. */
static enum aft_err
note(struct aft_client_decision *d, const struct aft_model *m, struct aft_error *e)
{
    uint32_t slate[AFT_SLATE_MAX];
    struct aft_design *design = &d->drawn.design;
    struct aft_bytes id = aft_model_snapshot_id(m);
    if (!id.p) /* none has come yet */
        return AFT_OK;
    if (!d->shadow)
        d->shadow = aft_scratch_new();
    for (uint32_t i = 0; i < d->drawn.n; i++)
        slate[i] = d->drawn.slots[i].candidate;
    AFT_TRY(aft_shadow(m, d->shadow, &d->request, slate, d->drawn.n, d->shadow_p, e));
    AFT_ASSERT(id.n < sizeof d->shadow_id);
    memcpy(d->shadow_id, id.p, id.n);
    design->shadow = (struct aft_bytes){(const uint8_t *)d->shadow_id, id.n};
    design->shadow_p = d->shadow_p;
    design->shadow_n = d->drawn.n;
    return AFT_OK;
}

enum aft_err
afti_shadow_note(struct aft_client *c, struct aft_client_decision *d, struct aft_error *e)
{
    struct afti_shadow *s = &c->shadow;
    if (!s->set)
        return AFT_OK;
    unsigned slot = afti_cell_take(&s->cell);
    enum aft_err err = note(d, s->cell.slots[slot].model, e);
    afti_cell_give(&s->cell, slot);
    return err;
}
