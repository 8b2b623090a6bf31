/* decide.c - one decision: eligible candidates -> log-weights -> Plackett-Luce with a floor -> slate with its probabilities;
 * where topics count, the sequence of sequence.c instead.
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

struct drawn {
    uint32_t slate[AFT_SLATE_MAX], k, marginals; /* the first so many slots have a marginal */
    double p[AFT_SLATE_MAX], marginal[AFT_SLATE_MAX];
};

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
    free(s->catalogue.square);
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
    uint32_t have = 0;
    for (uint32_t i = 0; i < r->candidates_n; i++) { /* without a jump that depends on the masks */
        s->index[have] = i;
        have += !r->candidates[i].mask.p;
    }
    if (have == 0)
        return AFT_FAIL(e, AFT_E_VALUE, "none of %u candidates is eligible", r->candidates_n);
    *n = have;
    return AFT_OK;
}

/* Plackett-Luce: closed forms. */
static void
draw_plain(struct aft_scratch *s, uint32_t n, const struct aft_design *design, struct drawn *d)
{
    struct aft_bytes key = design->key;
    aft_pl_weights(s->log_w, n, design->epsilon, s->w);
    aft_pl_draw(s->w, s->index, n, aft_hash64(key, 0), d->k, d->slate);
    aft_pl_conditionals(s->w, n, d->slate, d->k, d->p);
    aft_pl_rests(s->w, n, s->rest);
    for (; d->marginals < d->k && d->marginals < (n <= MARGINAL_MAX ? 3 : 2); d->marginals++)
        d->marginal[d->marginals] =
            aft_pl_marginal(s->w, s->rest, n, d->slate[d->marginals], d->marginals);
}

static struct afti_sequence
sequence_of(const struct aft_policy_settings *set, const struct aft_scratch *s, uint32_t n,
            double epsilon)
{
    return (struct afti_sequence){.w = s->w,
                                  .topic = s->topic,
                                  .wanted = s->wanted,
                                  .n = n,
                                  .epsilon = epsilon,
                                  .repeat = set->diversity,
                                  .uncovered = set->coverage_factor};
}

static void
draw_diverse(const struct aft_policy_settings *set, struct aft_scratch *s, uint32_t n,
             const struct aft_design *design, struct drawn *d)
{
    aft_pl_weights(s->log_w, n, 0, s->w);
    struct afti_sequence q = sequence_of(set, s, n, design->epsilon);
    afti_sequence_draw(&q, s->index, aft_hash64(design->key, 0), d->k, d->slate);
    afti_sequence_conditionals(&q, d->slate, d->k, d->p);
    d->marginals = afti_sequence_marginals(&q, d->slate, d->k, d->marginal);
}

static void
report(const struct aft_scratch *s, const struct drawn *d, struct aft_decision *out)
{
    double prefix = 1;
    for (uint32_t l = 0; l < d->k; l++) {
        prefix *= d->p[l];
        out->slots[l] = (struct aft_slot){.candidate = s->index[d->slate[l]],
                                          .propensity = d->p[l],
                                          .prefix = prefix,
                                          .has_marginal = l < d->marginals};
        if (l < d->marginals)
            out->slots[l].marginal = d->marginal[l];
        AFT_INVARIANT(I1, d->p[l] > 0 && d->p[l] <= 1);
    }
    out->n = d->k;
}

/* s->out of the eligible, in their order, to their places among all. Backwards: they move up. */
static void
spread_out(struct aft_scratch *s, uint32_t all, uint32_t n)
{
    if (n == all)
        return;
    for (uint32_t i = all; i-- > 0;)
        s->out[i] = n > 0 && s->index[n - 1] == i ? s->out[--n] : -INFINITY;
}

/* s->log_w of the eligible, as float32, and out->log_weights of all. */
static enum aft_err
weigh(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
      uint32_t k, bool uniform, struct aft_error *e)
{
    if (uniform) {
        memset(s->log_w, 0, n * sizeof *s->log_w);
    } else {
        AFT_TRY(afti_log_weights(m, s, r, n, k, e));
        AFT_TRY(afti_raise(m, s, r, n, e));
    }
    bool sane = afti_span_within(s->log_w, n, 1e30);
    for (uint32_t i = 0; !sane && i < n; i++)
        if (!(fabs(s->log_w[i]) < 1e30))
            return AFT_FAIL(e, AFT_E_VALUE, "candidate %u scores %g: a feature is far too large",
                            s->index[i], s->log_w[i]);
    afti_span_narrow(s->log_w, n, s->out);
    spread_out(s, r->candidates_n, n);
    return AFT_OK;
}

enum aft_err
aft_decide(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
           struct aft_decision *out, struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    uint32_t n = 0, k;
    bool uniform = r->baseline || m->uniform || m->law.uniform;
    AFT_TRY(eligible(s, r, &n, e));
    k = afti_slots_of(m, r);
    struct drawn d = {.k = k < n ? k : n};
    AFT_TRY(weigh(m, s, r, n, d.k, uniform, e));
    bool diverse = !uniform && afti_diverse(set);
    out->design = (struct aft_design){
        .kind = uniform   ? AFT_LITERAL("uniform")
                : diverse ? AFT_LITERAL("diverse")
                          : AFT_LITERAL("plackett_luce"),
        .temperature = !uniform && set->explore == AFT_EXPLORE_SOFTMAX ? set->temperature : 1,
        .epsilon = uniform ? 0 : afti_floor_of(m, n),
        .k = (int32_t)k,
        .key = r->key};
    if (diverse)
        afti_topics(m, s, r, n);
    if (diverse)
        draw_diverse(set, s, n, &out->design, &d);
    else
        draw_plain(s, n, &out->design, &d);
    report(s, &d, out);
    out->propensity_kind = !uniform && set->explore == AFT_EXPLORE_THOMPSON
                               ? AFT_PROPENSITY_EXACT_GIVEN_DRAWS
                               : AFT_PROPENSITY_EXACT;
    out->log_weights = s->out;
    return AFT_OK;
}

enum aft_err
aft_decide_given(const struct aft_given *g, struct aft_scratch *s, const struct aft_request *r,
                 struct aft_decision *out, struct aft_error *e)
{
    uint32_t n = 0;
    AFT_TRY(eligible(s, r, &n, e));
    struct drawn d = {.k = r->k < n ? r->k : n};
    for (uint32_t i = 0; i < r->candidates_n; i++)
        s->out[i] = -INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        float w = g->log_weights[s->index[i]];
        if (!(fabs((double)w) < 1e30))
            return AFT_FAIL(e, AFT_E_VALUE, "candidate %u has no weight; mask it", s->index[i]);
        s->out[s->index[i]] = w;
        s->log_w[i] = (double)w;
    }
    out->design = g->design;
    out->design.k = (int32_t)r->k;
    out->design.key = r->key;
    draw_plain(s, n, &out->design, &d);
    report(s, &d, out);
    out->propensity_kind = g->propensity_kind;
    out->log_weights = s->out;
    return AFT_OK;
}

/* Where slate[l] stands among the eligible, which are in ascending order. */
static bool
positions_of(const struct aft_scratch *s, uint32_t n, const uint32_t *slate, uint32_t k,
             uint32_t *out)
{
    for (uint32_t l = 0; l < k; l++) {
        uint32_t i = 0;
        while (i < n && s->index[i] != slate[l])
            i++;
        if (i == n)
            return false;
        out[l] = i;
    }
    return true;
}

enum aft_err
aft_shadow(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
           const uint32_t *slate, uint32_t n, double *p, struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    uint32_t all = 0, at[AFT_SLATE_MAX];
    bool uniform = m->uniform || m->law.uniform;
    AFT_TRY(eligible(s, r, &all, e));
    if (n < 1 || n > AFT_SLATE_MAX || !positions_of(s, all, slate, n, at))
        return AFT_FAIL(e, AFT_E_VALUE, "a slate of %u that is not among the eligible", n);
    AFT_TRY(weigh(m, s, r, all, n, uniform, e));
    double epsilon = uniform ? 0 : afti_floor_of(m, all);
    if (uniform || !afti_diverse(set)) {
        aft_pl_weights(s->log_w, all, epsilon, s->w);
        aft_pl_conditionals(s->w, all, at, n, p);
        return AFT_OK;
    }
    afti_topics(m, s, r, all);
    aft_pl_weights(s->log_w, all, 0, s->w);
    struct afti_sequence q = sequence_of(set, s, all, epsilon);
    afti_sequence_conditionals(&q, at, n, p);
    return AFT_OK;
}
