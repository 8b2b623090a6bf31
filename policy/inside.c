/* inside.c - what a policy wants of every slate besides reward, done to the weights before the draw, so that it is in the
 * probabilities: how many slots a device has, fatigue, the least exposure of an arm, topics. One thread a scratch.
 *
 *   repetition     log w -= policy.repetition x how often the candidate was shown to this user lately
 *   exposure       w >= policy.min.exposure (or .min.exposure.<arm>); what is above shrinks by one factor. Where the least
 *                  exposures add up to more than there is, each gets its part of it
 *   topics         sequence.c
 */
#include <math.h>

#include "policy/inner.h"

/* The feature of that name, looked for where the last one stood first. */
static const struct aft_feature *
feature_of(struct aft_features f, struct aft_bytes name, uint32_t *at)
{
    if (*at < f.n && aft_same(f.v[*at].name, name))
        return &f.v[*at];
    for (uint32_t i = 0; i < f.n; i++)
        if (aft_same(f.v[i].name, name)) {
            *at = i;
            return &f.v[i];
        }
    return NULL;
}

uint32_t
afti_slots_of(const struct aft_model *m, const struct aft_request *r)
{
    const struct aft_policy_settings *s = &m->plan.settings;
    uint32_t at = r->context.n ? r->context.n - 1 : 0; /* the client puts it last */
    if (s->slots_n == 0)
        return r->k;
    const struct aft_feature *f = feature_of(r->context, AFT_LITERAL("device"), &at);
    for (uint32_t i = 0; f && f->type == AFT_FEATURE_TEXT && i < s->slots_n; i++)
        if (aft_same(f->text, aft_text(s->slots[i].name)))
            return r->k < (uint32_t)s->slots[i].value ? r->k : (uint32_t)s->slots[i].value;
    return r->k;
}

/* ---- repetition */
static enum aft_err
tire(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
     struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    struct aft_bytes name = aft_text(set->repetition_feature);
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        double shown = 0;
        if (r->recent) {
            shown = (double)r->recent[s->index[i]];
        } else {
            const struct aft_feature *f =
                feature_of(r->candidates[s->index[i]].features, name, &at);
            shown = f && f->type == AFT_FEATURE_NUMBER ? f->number : 0;
        }
        if (!(shown >= 0 && shown <= 1e9))
            return AFT_FAIL(e, AFT_E_VALUE,
                            "candidate %u was shown %g times lately: must be a number from 0",
                            s->index[i], shown);
        s->log_w[i] -= set->repetition * shown;
    }
    return AFT_OK;
}

/* ---- least exposure */
static double
least_of(const struct aft_policy_settings *set, struct aft_bytes arm)
{
    for (uint32_t i = 0; i < set->exposures_n; i++)
        if (aft_same(arm, aft_text(set->exposures[i].name)))
            return set->exposures[i].value;
    return set->min_exposure;
}

/* p in place: each at least low[i], what is above shrinks by one factor, again until nothing is below. sum(low) < 1. */
static void
raise_to(double *p, const double *low, uint32_t n)
{
    bool fixed[AFT_CANDIDATES_MAX] = {false};
    double scale = 1;
    for (bool again = true; again;) {
        double mass = 0, held = 0;
        again = false;
        for (uint32_t i = 0; i < n; i++) {
            mass += fixed[i] ? 0 : p[i];
            held += fixed[i] ? low[i] : 0;
        }
        scale = mass > 0 ? (1 - held) / mass : 0;
        for (uint32_t i = 0; i < n; i++)
            if (!fixed[i] && p[i] * scale < low[i])
                fixed[i] = again = true;
    }
    for (uint32_t i = 0; i < n; i++)
        p[i] = fixed[i] ? low[i] : p[i] * scale;
}

/* The floor adds epsilon / n to all, later; and what is logged is a float32: a margin of a few of its roundings. */
static void
expose(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n)
{
    double epsilon = afti_floor_of(m, n), sum = 0;
    if (epsilon >= 1)
        return;
    for (uint32_t i = 0; i < n; i++) {
        double least = least_of(&m->plan.settings, r->candidates[s->index[i]].arm_id);
        double low = (least * (1 + 1e-5) - epsilon / n) / (1 - epsilon);
        s->low[i] = low > 0 ? low : 0;
        sum += s->low[i];
    }
    aft_pl_weights(s->log_w, n, 0, s->pmf);
    if (sum >= 1)
        for (uint32_t i = 0; i < n; i++)
            s->pmf[i] = s->low[i] / sum;
    else
        raise_to(s->pmf, s->low, n);
    for (uint32_t i = 0; i < n; i++)
        s->log_w[i] = s->pmf[i] > 1e-34 ? aft_log(s->pmf[i]) : AFTI_LOG_ZERO;
}

enum aft_err
afti_raise(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
           uint32_t n, struct aft_error *e)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    if (set->repetition > 0)
        AFT_TRY(tire(m, s, r, n, e));
    if (set->min_exposure > 0 || set->exposures_n)
        expose(m, s, r, n);
    return AFT_OK;
}

/* ---- topics */
bool
afti_diverse(const struct aft_policy_settings *s)
{
    return s->diversity < 1 || (s->coverage_n > 0 && s->coverage_factor < 1);
}

void
afti_topics(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
            uint32_t n)
{
    const struct aft_policy_settings *set = &m->plan.settings;
    struct aft_bytes name = aft_text(set->topic_feature);
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct aft_feature *f = feature_of(r->candidates[s->index[i]].features, name, &at);
        s->topic[i] = 0;
        s->wanted[i] = 0;
        if (!f || f->type != AFT_FEATURE_TEXT || f->text.n == 0)
            continue;
        s->topic[i] = aft_hash64(f->text, 0) | 1;
        for (uint32_t j = 0; j < set->coverage_n; j++)
            if (aft_same(f->text, aft_text(set->coverage[j])))
                s->wanted[i] = j + 1;
    }
}
