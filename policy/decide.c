/* decide.c - one decision: eligible candidates -> log-weights -> Plackett-Luce with a floor -> slate with its probabilities.
 *
 * The log-weights are rounded to float32 before they are used: what is logged (out->log_weights, design.epsilon) is exactly
 * what was
 * drawn from, so that every probability can be computed again from the record. Slots 0 to 2 have marginals (the third one up to
 * MARGINAL_MAX candidates: it costs n^2); deeper slots have none.
 * One thread a scratch; after the first request of a size nothing is allocated.
 * Invariants: I1 each propensity is in (0, 1]; I2 the slate has min(k, eligible) items, none twice.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/inner.h"

enum { MARGINAL_MAX = 256 };

struct aft_scratch *
aft_scratch_new(void)
{
    struct aft_scratch *s = calloc(1, sizeof *s);
    AFT_ASSERT(s);
    return s;
}

void
aft_scratch_free(struct aft_scratch *s)
{
    if (!s)
        return;
    free(s->catalogue.value);
    free(s->direction);
    free(s->gram);
    free(s->places);
    free(s->folds);
    free(s->x);
    free(s->x2);
    free(s);
}

static enum aft_err
eligible(struct aft_scratch *s, const struct aft_request *r, uint32_t *n, struct aft_error *e)
{
    *n = 0;
    if (r->candidates_n > AFT_CANDIDATES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "%u candidates: at most %u, select some before",
                        r->candidates_n, AFT_CANDIDATES_MAX);
    if (r->k < 1 || r->k > AFT_SLATE_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "%u slots wanted: must be 1 to %u", r->k, AFT_SLATE_MAX);
    for (uint32_t i = 0; i < r->candidates_n; i++)
        if (!r->candidates[i].mask.p)
            s->index[(*n)++] = i;
    if (*n == 0)
        return AFT_FAIL(e, AFT_E_VALUE, "none of %u candidates is eligible", r->candidates_n);
    return AFT_OK;
}

static void
probabilities(struct aft_scratch *s, uint32_t n, const uint32_t *slate, struct aft_decision *out)
{
    double p[AFT_SLATE_MAX], prefix = 1;
    aft_pl_conditionals(s->w, n, slate, out->n, p);
    aft_pl_rests(s->w, n, s->rest);
    for (uint32_t l = 0; l < out->n; l++) {
        struct aft_slot *slot = &out->slots[l];
        prefix *= p[l];
        *slot = (struct aft_slot){
            .candidate = s->index[slate[l]], .propensity = p[l], .prefix = prefix};
        slot->has_marginal = l < 2 || (l == 2 && n <= MARGINAL_MAX);
        if (slot->has_marginal)
            slot->marginal = aft_pl_marginal(s->w, s->rest, n, slate[l], l);
        AFT_INVARIANT(I1, p[l] > 0 && p[l] <= 1);
    }
}

enum aft_err
aft_decide(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
           struct aft_decision *out, struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    uint32_t n = 0, slate[AFT_SLATE_MAX];
    bool uniform = r->baseline || m->uniform || set->explore == AFT_EXPLORE_UNIFORM;
    AFT_TRY(eligible(s, r, &n, e));
    out->n = r->k < n ? r->k : n;
    if (uniform)
        memset(s->log_w, 0, n * sizeof *s->log_w);
    else
        AFT_TRY(afti_log_weights(m, s, r, n, out->n, e));
    for (uint32_t i = 0; i < r->candidates_n; i++)
        s->out[i] = -INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        if (!(fabs(s->log_w[i]) < 1e30))
            return AFT_FAIL(e, AFT_E_VALUE, "candidate %u scores %g: a feature is far too large",
                            s->index[i], s->log_w[i]);
        s->out[s->index[i]] = (float)s->log_w[i];
        s->log_w[i] = (double)s->out[s->index[i]];
    }
    out->design = (struct aft_design){
        .kind = uniform ? AFT_LITERAL("uniform") : AFT_LITERAL("plackett_luce"),
        .temperature = !uniform && set->explore == AFT_EXPLORE_SOFTMAX ? set->temperature : 1,
        .epsilon = uniform ? 0 : set->epsilon,
        .k = (int32_t)r->k,
        .key = r->key};
    aft_pl_weights(s->log_w, n, out->design.epsilon, s->w);
    aft_pl_draw(s->w, s->index, n, aft_hash64(r->key, 0), out->n, slate);
    probabilities(s, n, slate, out);
    out->propensity_kind = !uniform && set->explore == AFT_EXPLORE_THOMPSON
                               ? AFT_PROPENSITY_EXACT_GIVEN_DRAWS
                               : AFT_PROPENSITY_EXACT;
    out->log_weights = s->out;
    return AFT_OK;
}
