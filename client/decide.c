/* decide.c - a request becomes a slate; a late mask closes it up. Any thread, one a decision.
 *
 * I1 the slate shown and the slate logged are the same aft_decision, drawn by the model held in `slot`.
 * A late mask is decided again: same model, same key, the dropped ones masked. Policies draw by keyed ranks of candidates, so
 * what survives keeps its order, and the probabilities are those of deciding among the survivors. */
#include "client/client_inner.h"

static enum aft_client_propensity
propensity_of(enum aft_propensity_kind k)
{
    switch (k) {
    case AFT_PROPENSITY_EXACT:
        return AFT_CLIENT_EXACT;
    case AFT_PROPENSITY_EXACT_GIVEN_DRAWS:
        return AFT_CLIENT_EXACT_GIVEN_DRAWS;
    case AFT_PROPENSITY_ESTIMATED:
        return AFT_CLIENT_ESTIMATED;
    case AFT_PROPENSITY_UNKNOWN:
        return AFT_CLIENT_UNKNOWN;
    }
    AFT_NEVER();
}

static void
show(struct aft_client_decision *d)
{
    const struct aft_decision *drawn = &d->drawn;
    AFT_ASSERT(drawn->n >= 1 && drawn->n <= AFT_SLATE_MAX);
    for (uint32_t i = 0; i < drawn->n; i++) {
        const struct aft_slot *s = &drawn->slots[i];
        d->slots[i] =
            (struct aft_client_slot){.arm_id = (const char *)d->candidates[s->candidate].arm_id.p,
                                     .candidate = s->candidate,
                                     .conditional = s->propensity,
                                     .prefix = s->prefix,
                                     .marginal = s->marginal,
                                     .has_marginal = s->has_marginal};
    }
    d->view.propensity = propensity_of(drawn->propensity_kind);
    d->view.design = (const char *)drawn->design.kind.p;
    d->view.n = drawn->n;
    d->view.slots = d->slots;
    d->view.log_weights = drawn->log_weights;
    d->view.candidates_n = d->request.candidates_n;
    d->view.time_ms = d->time_ms;
}

/* By the model that is held, by weights that were given, or as the engine had it. */
static enum aft_err
draw(struct aft_client *c, struct aft_client_decision *d, struct aft_error *e)
{
    if (c->options.mode != AFT_CLIENT_LIVE)
        return afti_engine_slate(c, d, e);
    if (d->prescored && !d->request.baseline)
        return aft_decide_given(&d->given, d->scratch, &d->request, &d->drawn, e);
    return aft_decide(c->cell.slots[d->slot].model, d->scratch, &d->request, &d->drawn, e);
}

static enum aft_err
decide(struct aft_client *c, struct aft_client_decision *d, struct aft_client_request *r,
       struct aft_error *e)
{
    AFT_TRY(afti_request_take(c, d, r, e));
    d->slot = afti_cell_take(&c->cell);
    d->holds = true;
    const struct aft_model *m = c->cell.slots[d->slot].model;
    bool live = c->options.mode == AFT_CLIENT_LIVE;
    if (!d->prescored) /* they were scored with those of then */
        AFT_TRY(afti_request_arm_stats(d, m, e));
    AFT_TRY(draw(c, d, e));
    struct aft_bytes snapshot = d->prescored ? d->scored.snapshot : aft_model_snapshot_id(m);
    int64_t round = d->prescored ? d->scored.round : aft_model_round(m);
    bool chosen = live && snapshot.p && !d->request.baseline;
    d->view.snapshot_id = NULL;
    if (chosen) {
        char *text = aft_arena_take(&d->arena, snapshot.n + 1);
        if (!text)
            return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
        memcpy(text, snapshot.p, snapshot.n);
        text[snapshot.n] = '\0';
        d->view.snapshot_id = text;
    }
    d->view.round = chosen ? round : 0;
    d->view.baseline = d->request.baseline;
    d->view.policy = !live                 ? c->options.engine_policy
                     : d->request.baseline ? c->options.baseline
                                           : c->options.policy;
    d->view.size = sizeof d->view;
    show(d);
    return AFT_OK;
}

static void
let_go(struct aft_client *c, struct aft_client_decision *d)
{
    if (d->holds)
        afti_cell_give(&c->cell, d->slot);
    aft_client_catalogue_free(d->catalogue);
    d->catalogue = NULL;
    d->holds = false;
    d->logged = false;
    afti_decisions_give(&c->pool, d);
}

enum aft_client_code
aft_client_decide(struct aft_client *c, const struct aft_client_request *request,
                  struct aft_client_decision **decision, struct aft_client_error *why)
{
    struct aft_error e;
    struct aft_client_request whole = AFT_CLIENT_REQUEST;
    *decision = NULL;
    if (request->size > sizeof whole)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE,
                     "the request is of a newer library (%zu bytes); update this one",
                     request->size),
            &e, why);
    memcpy(&whole, request, request->size);
    struct aft_client_decision *d = afti_decisions_take(&c->pool);
    if (!d)
        return afti_client_public(AFT_FAIL(&e, AFT_E_NOMEM, "no memory for a decision"), &e, why);
    enum aft_err err = decide(c, d, &whole, &e);
    if (err != AFT_OK) {
        let_go(c, d);
        return afti_client_public(err, &e, why);
    }
    atomic_fetch_add_explicit(&c->decisions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->held, 1, memory_order_relaxed);
    *decision = d;
    return AFT_CLIENT_OK;
}

const struct aft_client_slate *
aft_client_decision_slate(const struct aft_client_decision *d)
{
    return &d->view;
}

/* Marks and decides again; *marked of the list were newly masked. */
static enum aft_err
mask(struct aft_client *c, struct aft_client_decision *d, const uint32_t *candidates, uint32_t n,
     struct aft_bytes reason, struct aft_error *e)
{
    for (uint32_t i = 0; i < n; i++) {
        if (candidates[i] >= d->request.candidates_n)
            return AFT_FAIL(e, AFT_E_VALUE, "there is no candidate %u (of %u)", candidates[i],
                            d->request.candidates_n);
        struct aft_candidate *x = &d->candidates[candidates[i]];
        if (!x->mask.p)
            x->mask = reason;
    }
    return draw(c, d, e);
}

/* Takes back the marks that carry this very reason (the same bytes in memory) and restores the slate. */
static void
unmask(struct aft_client *c, struct aft_client_decision *d, struct aft_bytes reason)
{
    struct aft_error ignored;
    for (uint32_t i = 0; i < d->request.candidates_n; i++)
        if (d->candidates[i].mask.p == reason.p)
            d->candidates[i].mask = AFT_ABSENT;
    enum aft_err err = draw(c, d, &ignored);
    AFT_INVARIANT(I1, err == AFT_OK); /* it could be decided before */
}

enum aft_client_code
aft_client_decision_mask(struct aft_client *c, struct aft_client_decision *d,
                         const uint32_t *candidates, uint32_t candidates_n, const char *reason,
                         struct aft_client_error *why)
{
    struct aft_error e;
    struct aft_bytes text = aft_text(reason ? reason : "dropped");
    if (d->logged)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE,
                     "decision %s is logged already; mask before aft_client_log_impression",
                     d->view.decision_id),
            &e, why);
    if (c->options.mode == AFT_CLIENT_LOG_ONLY)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE,
                     "what is logged only is logged as the engine drew it: mask before deciding"),
            &e, why);
    if (text.n == 0 || text.n > AFT_ID_BYTES_MAX)
        return afti_client_public(AFT_FAIL(&e, AFT_E_VALUE,
                                           "the reason has %zu bytes; give 1 to %u", text.n,
                                           AFT_ID_BYTES_MAX),
                                  &e, why);
    text = aft_arena_copy(&d->arena, text);
    if (!text.p)
        return afti_client_public(AFT_FAIL(&e, AFT_E_LIMIT, "the request is too big"), &e, why);
    enum aft_err err = mask(c, d, candidates, candidates_n, text, &e);
    if (err != AFT_OK)
        unmask(c, d, text);
    show(d);
    return afti_client_public(err, &e, why);
}

void
aft_client_decision_free(struct aft_client *c, struct aft_client_decision *d)
{
    if (!d)
        return;
    uint64_t before = atomic_fetch_sub_explicit(&c->held, 1, memory_order_relaxed);
    AFT_ASSERT(before > 0);
    let_go(c, d);
}
