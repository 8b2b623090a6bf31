/* request.c - an engine's request becomes the house's nouns: copied into the decision's arena and checked (features.c). The copy is
 * what is scored, drawn from and logged, so these agree. One thread a decision. */
#include <stdio.h>

#include "client/client_inner.h"

/* ---- the context */
/* The name at i, where it is the one that stood there last, without a copy; else copied. */
static enum aft_err
take_known(struct aft_client_decision *d, uint32_t i, const struct aft_client_feature *f,
           struct aft_feature *out, struct aft_error *e)
{
    const struct afti_names *k = &d->names;
    if (i >= k->n || !f->name || strcmp(f->name, k->v[i]) != 0)
        return afti_take_feature(&d->arena, f, out, e);
    out->name = (struct aft_bytes){(const uint8_t *)k->v[i], k->bytes[i]};
    return afti_take_value(&d->arena, f, out, e);
}

/* These differ from each other: what fits is kept, up to the first that does not. Those that were kept at their place stay there. */
static void
keep_names(struct afti_names *k, const struct aft_feature *v, uint32_t n)
{
    k->n = 0;
    for (; k->n < n && k->n < AFTI_NAMES_KEPT && v[k->n].name.n < AFTI_NAME_KEPT; k->n++) {
        const struct aft_bytes name = v[k->n].name;
        if ((const char *)name.p != k->v[k->n])
            memcpy(k->v[k->n], name.p, name.n + 1);
        k->bytes[k->n] = (uint8_t)name.n;
    }
}

/* device: one more text feature at the end, or NULL. */
static enum aft_err
take_context(struct aft_client_decision *d, const struct aft_client_request *r,
             struct aft_features *out, struct aft_error *e)
{
    struct aft_feature *v;
    uint32_t n = r->context_n, known = 0;
    AFT_TRY(afti_features_room(&d->arena, n, &v, e));
    for (uint32_t i = 0; i < n; i++)
        AFT_TRY(take_known(d, i, &r->context[i], &v[i], e));
    if (r->device) {
        struct aft_client_feature extra = {"device", AFT_CLIENT_TEXT, 0, r->device};
        AFT_TRY(take_known(d, n, &extra, &v[n], e));
        n++;
    }
    *out = (struct aft_features){v, n};
    while (known < n && known < d->names.n && (const char *)v[known].name.p == d->names.v[known])
        known++;
    if (known == n) /* I1 */
        return AFT_OK;
    AFT_TRY(afti_names_once(v, n, e));
    keep_names(&d->names, v, n);
    return AFT_OK;
}

/* A catalogue's: the table is ours, so that masks can be put into it; what it points to is the catalogue's. */
static enum aft_err
take_catalogue(struct aft_client *c, struct aft_client_decision *d,
               const struct aft_client_request *r, struct aft_error *e)
{
    const struct aft_client_catalogue *k = r->catalogue;
    if (r->candidates || k->client != c)
        return AFT_FAIL(e, AFT_E_VALUE,
                        k->client != c ? "the catalogue is another client's"
                                       : "give candidates or a catalogue, not both");
    d->candidates = aft_arena_take(&d->arena, sizeof *d->candidates * k->n);
    if (!d->candidates)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    memcpy(d->candidates, k->candidates, sizeof *d->candidates * k->n);
    d->subjects = k->subjects;
    d->catalogue = (struct aft_client_catalogue *)(uintptr_t)k; /* to give it back */
    afti_catalogue_hold(k);
    d->request.revision = k->revision;
    d->request.candidates_n = k->n;
    return AFT_OK;
}

static enum aft_err
take_masks(struct aft_client_decision *d, const struct aft_client_request *r, struct aft_error *e)
{
    for (uint32_t i = 0; r->masks && i < d->request.candidates_n; i++)
        if (r->masks[i] && !d->candidates[i].mask.p)
            AFT_TRY(afti_take_text(&d->arena, r->masks[i], AFT_ID_BYTES_MAX, "a mask",
                                   &d->candidates[i].mask, e));
    return AFT_OK;
}

/* ---- features of this request alone: behind the candidate's others, which are then a copy with room for them */
static enum aft_err
count_own(struct aft_client_decision *d, const struct aft_client_own *v, uint32_t n,
          struct aft_error *e)
{
    uint32_t candidates = d->request.candidates_n;
    d->fresh = aft_arena_take(&d->arena, sizeof *d->fresh * candidates);
    if (!d->fresh)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    memset(d->fresh, 0, sizeof *d->fresh * candidates);
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].candidate >= candidates)
            return AFT_FAIL(e, AFT_E_VALUE, "own feature %u is of candidate %u (of %u)", i,
                            v[i].candidate, candidates);
        d->fresh[v[i].candidate]++;
    }
    return AFT_OK;
}

static enum aft_err
make_room(struct aft_client_decision *d, uint32_t candidate, struct aft_error *e)
{
    struct aft_features *f = &d->candidates[candidate].features;
    uint32_t total = f->n + d->fresh[candidate];
    if (total >= AFT_FEATURES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "%u features; at most %u", total, AFT_FEATURES_MAX - 1);
    struct aft_feature *v = aft_arena_take(&d->arena, sizeof *v * total);
    if (!v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    if (f->n)
        memcpy(v, f->v, sizeof *v * f->n);
    f->v = v;
    return AFT_OK;
}

static enum aft_err
take_own(struct aft_client_decision *d, const struct aft_client_own *v, uint32_t n,
         struct aft_error *e)
{
    if (n == 0)
        return AFT_OK;
    AFT_TRY(count_own(d, v, n, e));
    for (uint32_t i = 0; i < d->request.candidates_n; i++)
        if (d->fresh[i])
            AFT_TRY(make_room(d, i, e));
    for (uint32_t i = 0; i < n; i++) {
        struct aft_features *f = &d->candidates[v[i].candidate].features;
        struct aft_feature *to = (struct aft_feature *)(uintptr_t)&f->v[f->n];
        AFT_TRY(afti_take_feature(&d->arena, &v[i].feature, to, e));
        for (uint32_t j = 0; j < f->n; j++)
            if (aft_same(f->v[j].name, to->name))
                return AFT_FAIL(e, AFT_E_VALUE, "feature %s is given twice",
                                (const char *)to->name.p);
        f->n++;
    }
    d->request.fresh = d->fresh;
    return AFT_OK;
}

static enum aft_err
take_recent(struct aft_client_decision *d, const float *recent, struct aft_error *e)
{
    uint32_t n = d->request.candidates_n;
    if (!recent)
        return AFT_OK;
    struct aft_bytes copy =
        aft_arena_copy(&d->arena, (struct aft_bytes){(const uint8_t *)recent, n * sizeof *recent});
    if (!copy.p)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    d->request.recent = (const float *)(const void *)copy.p;
    return AFT_OK;
}

static enum aft_err
take_listed(struct aft_client_decision *d, const struct aft_client_request *r, struct aft_error *e)
{
    struct afti_candidates taken;
    AFT_TRY(afti_candidates_take(&d->arena, r->candidates, r->candidates_n, &taken, e));
    d->candidates = taken.v;
    d->subjects = taken.subjects;
    d->request.alike = taken.alike;
    return AFT_OK;
}

static enum aft_err
take_candidates(struct aft_client *c, struct aft_client_decision *d,
                const struct aft_client_request *r, struct aft_error *e)
{
    d->request.candidates_n = r->candidates_n;
    if (r->catalogue)
        AFT_TRY(take_catalogue(c, d, r, e));
    else
        AFT_TRY(take_listed(d, r, e));
    d->request.candidates = d->candidates;
    AFT_TRY(take_masks(d, r, e));
    AFT_TRY(take_own(d, r->own, r->own_n, e));
    return take_recent(d, r->recent, e);
}

/* "<key>#<epoch>", from epoch 1 on. */
static enum aft_err
take_key(struct aft_client_decision *d, const struct aft_client_request *r, struct aft_bytes id,
         struct aft_error *e)
{
    char text[AFT_ID_BYTES_MAX + 1];
    d->request.key = id;
    if (r->key)
        AFT_TRY(afti_take_id(&d->arena, r->key, "key", &d->request.key, e));
    if (!r->epoch)
        return AFT_OK;
    int n = snprintf(text, sizeof text, "%s#%u", (const char *)d->request.key.p, r->epoch);
    if (n < 0 || (size_t)n >= sizeof text)
        return AFT_FAIL(e, AFT_E_LIMIT, "the key with its epoch is longer than %u bytes",
                        AFT_ID_BYTES_MAX);
    return afti_take_id(&d->arena, text, "key", &d->request.key, e);
}

/* What the engine drew by itself: only where it decides, and the library does not. */
static enum aft_err
take_propensities(const struct aft_client *c, struct aft_client_decision *d,
                  const struct aft_client_request *r, struct aft_error *e)
{
    d->has_propensities = r->propensities != NULL;
    if (!r->propensities)
        return AFT_OK;
    if (c->options.mode != AFT_CLIENT_LOG_ONLY)
        return AFT_FAIL(e, AFT_E_VALUE,
                        "request.propensities are given, but the mode is not AFT_CLIENT_LOG_ONLY");
    if ((unsigned)r->propensities_kind >= AFT_CLIENT_UNKNOWN)
        return AFT_FAIL(e, AFT_E_VALUE,
                        "request.propensities_kind must be exact, exact given draws or estimated");
    d->propensities_kind = (enum aft_propensity_kind)r->propensities_kind;
    for (uint32_t i = 0; i < r->k; i++) {
        d->propensities[i] = r->propensities[i];
        if (!(r->propensities[i] > 0 && r->propensities[i] <= 1))
            return AFT_FAIL(e, AFT_E_VALUE, "propensity %u is %g; give (0, 1]", i,
                            r->propensities[i]);
    }
    return AFT_OK;
}

/* ---- what the snapshot knows of an arm */
static bool
has(const struct aft_features *f, struct aft_bytes name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (aft_same(f->v[i].name, name))
            return true;
    return false;
}

/* Behind the candidate's others, as features of this request alone. */
static enum aft_err
add_stats(struct aft_client_decision *d, uint32_t candidate, const struct aft_feature *more,
          uint32_t n, struct aft_error *e)
{
    struct aft_candidate *x = &d->candidates[candidate];
    uint32_t at = x->features.n;
    struct aft_feature *v = aft_arena_take(&d->arena, sizeof *v * (at + n));
    if (!v || at + n >= AFT_FEATURES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "arm %s has %u features, and features.arm.stats adds %u: at most %u",
                        (const char *)x->arm_id.p, at, n, AFT_FEATURES_MAX - 1);
    if (at)
        memcpy(v, x->features.v, sizeof *v * at);
    for (uint32_t i = 0; i < n; i++)
        if (!has(&x->features, more[i].name))
            v[at++] = more[i];
    d->fresh[candidate] += at - x->features.n;
    x->features = (struct aft_features){v, at};
    return AFT_OK;
}

enum aft_err
afti_request_arm_stats(struct aft_client_decision *d, const struct aft_model *m,
                       struct aft_error *e)
{
    struct aft_feature more[AFT_ARM_STATS_MAX];
    uint32_t candidates = d->request.candidates_n;
    if (aft_model_arm_stats(m, d->candidates[0].arm_id, d->time_ms, more) == 0)
        return AFT_OK; /* nobody asks */
    if (!d->request.fresh)
        AFT_TRY(count_own(d, NULL, 0, e));
    d->request.fresh = d->fresh;
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t n = aft_model_arm_stats(m, d->candidates[i].arm_id, d->time_ms, more);
        AFT_TRY(add_stats(d, i, more, n, e));
    }
    return AFT_OK;
}

static enum aft_err
take_rest(struct aft_client *c, struct aft_client_decision *d, const struct aft_client_request *r,
          struct aft_error *e)
{
    struct aft_client_request more = *r;
    if (!d->prescored) /* with what is known of the user; a record's context is of then */
        AFT_TRY(afti_history_extend(c, d, &more, e));
    AFT_TRY(take_context(d, &more, &d->request.context, e));
    AFT_TRY(take_candidates(c, d, &more, e));
    if (d->prescored)
        AFT_TRY(afti_prescored_match(d, e));
    return take_propensities(c, d, r, e);
}

enum aft_err
afti_request_take(struct aft_client *c, struct aft_client_decision *d, struct aft_client_request *r,
                  struct aft_error *e)
{
    char made[33];
    struct aft_arena *a = &d->arena;
    struct aft_bytes id;
    aft_arena_reset(a);
    if (r->k < 1 || r->k > AFT_SLATE_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "k is %u; give 1 to %u", r->k, AFT_SLATE_MAX);
    d->prescored = r->prescored != NULL;
    if (d->prescored)
        AFT_TRY(afti_prescored_take(c, d, r, e));
    AFT_TRY(afti_take_id(a, r->user_id, "user_id", &d->user, e));
    AFT_TRY(afti_take_text(a, r->session_id, AFT_ID_BYTES_MAX, "session_id", &d->session, e));
    if (!r->decision_id)
        afti_id_new(&c->ids, AFTI_ID_DECISION, made);
    AFT_TRY(afti_take_id(a, r->decision_id ? r->decision_id : made, "decision_id", &id, e));
    d->view.decision_id = (const char *)id.p;
    d->view.user_id = (const char *)d->user.p;
    d->request = (struct aft_request){.k = r->k};
    AFT_TRY(take_key(d, r, id, e));
    d->time_ms = r->time_ms ? r->time_ms : afti_client_now(c);
    AFT_TRY(take_rest(c, d, r, e));
    d->request.baseline =
        c->options.mode == AFT_CLIENT_LIVE &&
        afti_on_baseline(c->options.baseline_share, c->options.baseline_salt, d->user);
    d->deferred = r->deferred;
    return AFT_OK;
}
