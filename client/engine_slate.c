/* engine_slate.c - what is shown when the model does not decide: the first k eligible candidates, in the order the engine gave them.
 * apprentice  a rule without chance: each has propensity 1, which is exact
 * log-only    the engine's own draw: its propensities where it gave them, else 0, and the kind says that they are not known
 * Any thread, one a decision.
 * I1 the slate has min(k, eligible) items, in the order given. */
#include <math.h>

#include "client/client_inner.h"

static struct aft_slot
slot_of(const struct aft_client *c, const struct aft_client_decision *d, uint32_t candidate,
        uint32_t at, double prefix)
{
    bool ruled = c->options.mode == AFT_CLIENT_APPRENTICE;
    double p = ruled ? 1 : d->has_propensities ? d->propensities[at] : 0;
    return (struct aft_slot){.candidate = candidate,
                             .propensity = p,
                             .prefix = prefix * p,
                             .marginal = ruled ? 1 : 0,
                             .has_marginal = ruled};
}

enum aft_err
afti_engine_slate(const struct aft_client *c, struct aft_client_decision *d, struct aft_error *e)
{
    const struct aft_request *r = &d->request;
    struct aft_decision *out = &d->drawn;
    bool ruled = c->options.mode == AFT_CLIENT_APPRENTICE;
    double prefix = 1;
    *out = (struct aft_decision){.log_weights =
                                     aft_arena_take(&d->arena, sizeof(float) * r->candidates_n)};
    if (!out->log_weights)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    for (uint32_t i = 0; i < r->candidates_n; i++) {
        bool masked = r->candidates[i].mask.p != NULL;
        out->log_weights[i] = masked ? -INFINITY : 0;
        if (masked || out->n == r->k)
            continue;
        out->slots[out->n] = slot_of(c, d, i, out->n, prefix);
        prefix = out->slots[out->n++].prefix;
    }
    if (out->n == 0)
        return AFT_FAIL(e, AFT_E_VALUE, "none of %u candidates is eligible", r->candidates_n);
    AFT_INVARIANT(I1, out->n <= r->k);
    out->design =
        (struct aft_design){.kind = ruled ? AFT_LITERAL("deterministic") : AFT_LITERAL("engine"),
                            .temperature = 1,
                            .k = (int32_t)r->k,
                            .key = r->key};
    out->propensity_kind = ruled                 ? AFT_PROPENSITY_EXACT
                           : d->has_propensities ? d->propensities_kind
                                                 : AFT_PROPENSITY_UNKNOWN;
    return AFT_OK;
}
