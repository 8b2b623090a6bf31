/* score_user.c - one request -> one Prescored. In: what the user is, who is a candidate; the model. Out: weights, design, marginals.
 *
 * I1 the key is "<user>/<valid_from>": whoever asks with it, at scoring or at rendering, has the same draw.
 * I2 the weights are those that aft_decide draws from, and the marginals those that it would report.
 * A function of its arguments: equal input, equal bytes. One thread a score_user. */
#include <stdio.h>
#include <string.h>

#include "cmd/score.h"

enum { KEY_BYTES = AFT_ID_BYTES_MAX + 32, SHARED_REVISION = 1, THIRD_MAX = 256 };

static enum aft_err
full(struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
}

/* ---- who is a candidate */
static struct aft_candidate *
of_arm(struct aft_candidate *v, uint32_t n, struct aft_bytes arm)
{
    for (uint32_t i = 0; i < n; i++)
        if (aft_same(v[i].arm_id, arm))
            return &v[i];
    return NULL;
}

static enum aft_err
each_once(struct aft_arena *a, const struct aft_candidate *v, uint32_t n, struct aft_error *e)
{
    uint32_t size = 4;
    while (size < 2 * n)
        size *= 2;
    uint32_t *table = aft_arena_take(a, sizeof *table * size);
    if (!table)
        return full(e);
    memset(table, 0, sizeof *table * size);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)aft_hash64(v[i].arm_id, 0) & (size - 1);
        for (; table[at]; at = (at + 1) & (size - 1))
            if (aft_same(v[table[at] - 1].arm_id, v[i].arm_id))
                return AFT_FAIL(e, AFT_E_VALUE, "arm %.*s is a candidate twice", (int)v[i].arm_id.n,
                                (const char *)v[i].arm_id.p);
        table[at] = i + 1;
    }
    return AFT_OK;
}

/* features.arm.stats, behind the candidate's own of other names, as a client puts them there. */
static enum aft_err
add_stats(const struct score_user *s, struct aft_arena *a, struct aft_candidate *c,
          struct aft_error *e)
{
    struct aft_feature more[AFT_ARM_STATS_MAX];
    uint32_t n = aft_model_arm_stats(s->model, c->arm_id, s->valid_from_ms, more);
    uint32_t at = c->features.n;
    if (n == 0)
        return AFT_OK;
    struct aft_feature *v = aft_arena_take(a, sizeof *v * (at + n));
    if (!v || at + n >= AFT_FEATURES_MAX)
        return full(e);
    if (at)
        memcpy(v, c->features.v, sizeof *v * at);
    for (uint32_t i = 0; i < n; i++) {
        bool own = false;
        for (uint32_t j = 0; j < c->features.n; j++)
            own = own || aft_same(v[j].name, more[i].name);
        if (!own)
            v[at++] = more[i];
    }
    c->features = (struct aft_features){v, at};
    return AFT_OK;
}

enum aft_err
score_begin(struct score_user *s, struct aft_error *e)
{
    struct aft_feature more[AFT_ARM_STATS_MAX];
    s->stats = aft_model_arm_stats(s->model, AFT_LITERAL("any"), s->valid_from_ms, more) > 0;
    for (uint32_t i = 0; i < s->catalogue.n; i++)
        AFT_TRY(add_stats(s, &s->catalogue.arena, &s->catalogue.v[i], e));
    return AFT_OK;
}

/* The request's own candidates; those named without features have the catalogue's. */
static enum aft_err
own_candidates(struct score_user *s, const struct aft_score_request *q, struct aft_candidate **out,
               struct aft_error *e)
{
    struct aft_candidate *v = aft_arena_take(&s->arena, sizeof *v * q->candidates_n);
    if (!v)
        return full(e);
    memcpy(v, q->candidates, sizeof *v * q->candidates_n);
    AFT_TRY(each_once(&s->arena, v, q->candidates_n, e));
    for (uint32_t i = 0; i < q->candidates_n; i++) {
        struct aft_candidate *known = v[i].features.n || !s->catalogue.n
                                          ? NULL
                                          : of_arm(s->catalogue.v, s->catalogue.n, v[i].arm_id);
        if (known)
            v[i].features = known->features;
        else
            AFT_TRY(add_stats(s, &s->arena, &v[i], e));
    }
    *out = v;
    return AFT_OK;
}

/* An arm that is no candidate can be masked: it is passed over. */
static void
put_masks(const struct aft_score_request *q, struct aft_candidate *v, uint32_t n)
{
    for (uint32_t i = 0; i < q->masks_n; i++) {
        struct aft_candidate *c = of_arm(v, n, q->masks[i].name);
        if (c && !c->mask.p)
            c->mask = q->masks[i].value;
    }
}

static enum aft_err
take_context(struct score_user *s, const struct aft_score_request *q, struct aft_features *out,
             struct aft_error *e)
{
    *out = q->context;
    if (!q->device.p)
        return AFT_OK;
    for (uint32_t i = 0; i < q->context.n; i++)
        if (aft_same(q->context.v[i].name, AFT_LITERAL("device")))
            return AFT_FAIL(e, AFT_E_VALUE, "device stands in the request and in its context");
    struct aft_feature *v = aft_arena_take(&s->arena, sizeof *v * (q->context.n + 1));
    if (!v)
        return full(e);
    if (q->context.n)
        memcpy(v, q->context.v, sizeof *v * q->context.n);
    v[q->context.n] = (struct aft_feature){
        .name = AFT_LITERAL("device"), .type = AFT_FEATURE_TEXT, .text = q->device};
    *out = (struct aft_features){v, q->context.n + 1};
    return AFT_OK;
}

/* ---- what comes of it */
/* The probabilities of the slots, of the eligible s->index[0 .. n). */
static enum aft_err
put_marginals(struct score_user *s, uint32_t n, uint32_t slots, double epsilon,
              struct aft_prescored_candidate *c, struct aft_error *e)
{
    double *v = aft_arena_take(&s->arena, sizeof *v * (n * slots + 1));
    if (!v)
        return full(e);
    aft_pl_weights(s->log_w, n, epsilon, s->w);
    aft_pl_rests(s->w, n, s->rest);
    for (uint32_t i = 0; i < n; i++) {
        struct aft_prescored_candidate *to = &c[s->index[i]];
        to->marginals = v + (size_t)i * slots;
        to->marginals_n = slots;
        for (uint32_t l = 0; l < slots; l++)
            v[(size_t)i * slots + l] = aft_pl_marginal(s->w, s->rest, n, i, l);
    }
    return AFT_OK;
}

static enum aft_err
report(struct score_user *s, const struct aft_request *r, const struct aft_decision *d,
       struct aft_prescored *out, struct aft_error *e)
{
    uint32_t n = 0, slots = s->marginals;
    struct aft_prescored_candidate *c = aft_arena_take(&s->arena, sizeof *c * r->candidates_n);
    bool own = r->revision == 0 || s->stats;
    if (!c)
        return full(e);
    for (uint32_t i = 0; i < r->candidates_n; i++) {
        const struct aft_candidate *from = &r->candidates[i];
        c[i] = (struct aft_prescored_candidate){.arm_id = from->arm_id, .mask = from->mask};
        if (own)
            c[i].features = from->features;
        if (from->mask.p)
            continue;
        c[i].has_log_weight = true;
        c[i].log_weight = d->log_weights[i];
        s->log_w[n] = (double)d->log_weights[i];
        s->index[n++] = i;
    }
    slots = slots > d->n ? d->n : slots;
    slots = slots > 2 && n > THIRD_MAX ? 2 : slots; /* the third costs n^3 */
    AFT_TRY(put_marginals(s, n, slots, d->design.epsilon, c, e));
    out->candidates = c;
    out->candidates_n = r->candidates_n;
    out->design = d->design;
    out->propensity_kind = d->propensity_kind;
    return AFT_OK;
}

static enum aft_err
decide(struct score_user *s, const struct aft_request *r, struct aft_prescored *out, bool *none,
       struct aft_error *e)
{
    struct aft_decision d;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->candidates_n; i++)
        n += r->candidates[i].mask.p == NULL;
    *none = n == 0;
    if (*none)
        return AFT_OK;
    AFT_TRY(aft_decide(s->model, s->scratch, r, &d, e));
    if (aft_same(d.design.kind, AFT_LITERAL("diverse")))
        return AFT_FAIL(e, AFT_E_VALUE,
                        "the snapshot's policy weighs topics within a slate (policy.diversity, "
                        "policy.coverage): such weights cannot be drawn from later; decide live, "
                        "or score a model without them");
    return report(s, r, &d, out, e);
}

enum aft_err
score_user(struct score_user *s, const struct aft_score_request *q, struct aft_prescored *out,
           bool *none, struct aft_error *e)
{
    char key[KEY_BYTES];
    struct aft_request r = {.k = (uint32_t)q->k};
    struct aft_candidate *v = s->catalogue.v;
    aft_arena_reset(&s->arena);
    if (!q->candidates_n && !s->catalogue.n)
        return AFT_FAIL(e, AFT_E_VALUE, "no candidates, and no --candidates to take them from");
    if (q->candidates_n)
        AFT_TRY(own_candidates(s, q, &v, e));
    r.candidates_n = q->candidates_n ? q->candidates_n : s->catalogue.n;
    r.candidates = v;
    r.revision = q->candidates_n ? 0 : SHARED_REVISION;
    AFT_TRY(take_context(s, q, &r.context, e));
    int n = snprintf(key, sizeof key, "%.*s/%lld", (int)q->user_id.n, (const char *)q->user_id.p,
                     (long long)s->valid_from_ms);
    AFT_INVARIANT(I1, n > 0 && n < KEY_BYTES);
    r.key = aft_arena_copy(&s->arena, (struct aft_bytes){(const uint8_t *)key, (size_t)n});
    if (!r.key.p)
        return full(e);
    *out = (struct aft_prescored){.user_id = q->user_id,
                                  .snapshot = aft_model_snapshot_id(s->model),
                                  .round = aft_model_round(s->model),
                                  .valid_from_ms = s->valid_from_ms,
                                  .valid_until_ms = s->valid_until_ms,
                                  .context = r.context};
    put_masks(q, v, r.candidates_n);
    enum aft_err err = decide(s, &r, out, none, e);
    for (uint32_t i = 0; r.revision && q->masks_n && i < r.candidates_n; i++)
        v[i].mask = AFT_ABSENT;
    return err;
}
