/* request.c - an engine's request becomes the house's nouns: copied into the decision's arena, checked against base/bounds.h.
 * The copy is what is scored, drawn from and logged, so these agree. One thread a decision. */
#include <math.h>
#include <stdio.h>

#include "client/client_inner.h"

static enum aft_err
take_text(struct aft_arena *a, const char *s, size_t max, const char *what, struct aft_bytes *out,
          struct aft_error *e)
{
    *out = AFT_ABSENT;
    if (!s)
        return AFT_OK;
    size_t n = strnlen(s, max + 1);
    if (n > max)
        return AFT_FAIL(e, AFT_E_LIMIT, "%s is longer than %zu bytes", what, max);
    /* with its NUL: the slate shows it as a C string */
    struct aft_bytes copy = aft_arena_copy(a, (struct aft_bytes){(const uint8_t *)s, n + 1});
    if (!copy.p)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    *out = (struct aft_bytes){copy.p, n};
    return AFT_OK;
}

static enum aft_err
take_id(struct aft_arena *a, const char *s, const char *what, struct aft_bytes *out,
        struct aft_error *e)
{
    AFT_TRY(take_text(a, s, AFT_ID_BYTES_MAX, what, out, e));
    if (!out->n)
        return AFT_FAIL(e, AFT_E_VALUE, "%s is missing or empty", what);
    return AFT_OK;
}

static enum aft_err
take_feature(struct aft_arena *a, const struct aft_client_feature *f, struct aft_feature *out,
             struct aft_error *e)
{
    AFT_TRY(take_id(a, f->name, "a feature's name", &out->name, e));
    switch (f->type) {
    case AFT_CLIENT_NUMBER:
        if (!isfinite(f->number))
            return AFT_FAIL(e, AFT_E_VALUE, "feature %s is not finite", f->name);
        out->type = AFT_FEATURE_NUMBER;
        out->number = f->number;
        return AFT_OK;
    case AFT_CLIENT_FLAG:
        out->type = AFT_FEATURE_FLAG;
        out->flag = f->number != 0;
        return AFT_OK;
    case AFT_CLIENT_TEXT:
        out->type = AFT_FEATURE_TEXT;
        AFT_TRY(take_text(a, f->text, AFT_TEXT_BYTES_MAX, f->name, &out->text, e));
        if (!out->text.p)
            return AFT_FAIL(e, AFT_E_VALUE, "feature %s is a text without one", f->name);
        return AFT_OK;
    }
    return AFT_FAIL(e, AFT_E_VALUE, "feature %s has the unknown type %d", f->name, (int)f->type);
}

static enum aft_err
each_once(const struct aft_feature *v, uint32_t n, struct aft_error *e)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t j = 0; j < i; j++)
            if (aft_same(v[i].name, v[j].name))
                return AFT_FAIL(e, AFT_E_VALUE, "feature %s is given twice",
                                (const char *)v[i].name.p);
    return AFT_OK;
}

/* device: one more text feature at the end, or NULL. */
static enum aft_err
take_features(struct aft_arena *a, const struct aft_client_feature *f, uint32_t n,
              const char *device, struct aft_features *out, struct aft_error *e)
{
    uint32_t total = n + (device != NULL);
    if (n >= AFT_FEATURES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "%u features; at most %u", n, AFT_FEATURES_MAX - 1);
    struct aft_feature *v = aft_arena_take(a, sizeof *v * (total ? total : 1));
    if (!v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    for (uint32_t i = 0; i < n; i++)
        AFT_TRY(take_feature(a, &f[i], &v[i], e));
    if (device) {
        struct aft_client_feature extra = {"device", AFT_CLIENT_TEXT, 0, device};
        AFT_TRY(take_feature(a, &extra, &v[n], e));
    }
    *out = (struct aft_features){v, total};
    return each_once(v, total, e);
}

/* No arm twice: an open table of the arms' hashes, half full at most. */
static enum aft_err
arms_once(struct aft_arena *a, const struct aft_candidate *v, uint32_t n, struct aft_error *e)
{
    uint32_t size = 4;
    while (size < 2 * n)
        size *= 2;
    uint32_t *table = aft_arena_take(a, sizeof *table * size);
    if (!table)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    memset(table, 0, sizeof *table * size);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)aft_hash64(v[i].arm_id, 0) & (size - 1);
        for (; table[at]; at = (at + 1) & (size - 1))
            if (aft_same(v[table[at] - 1].arm_id, v[i].arm_id))
                return AFT_FAIL(e, AFT_E_VALUE, "arm %s is a candidate twice",
                                (const char *)v[i].arm_id.p);
        table[at] = i + 1;
    }
    return AFT_OK;
}

enum aft_err
afti_candidates_take(struct aft_arena *a, const struct aft_client_candidate *v, uint32_t n,
                     struct aft_candidate **candidates, struct aft_bytes **subjects,
                     struct aft_error *e)
{
    if (n == 0 || n > AFT_CANDIDATES_MAX || !v)
        return AFT_FAIL(e, AFT_E_VALUE, "%u candidates; give 1 to %u", v ? n : 0,
                        AFT_CANDIDATES_MAX);
    *candidates = aft_arena_take(a, sizeof **candidates * n);
    *subjects = aft_arena_take(a, sizeof **subjects * n);
    if (!*candidates || !*subjects)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    for (uint32_t i = 0; i < n; i++) {
        const struct aft_client_candidate *from = &v[i];
        struct aft_candidate *to = &(*candidates)[i];
        *to = (struct aft_candidate){0};
        AFT_TRY(take_id(a, from->arm_id, "a candidate's arm_id", &to->arm_id, e));
        AFT_TRY(take_text(a, from->subject, AFT_ID_BYTES_MAX, "a subject", &(*subjects)[i], e));
        AFT_TRY(take_text(a, from->mask, AFT_ID_BYTES_MAX, "a mask", &to->mask, e));
        AFT_TRY(take_features(a, from->features, from->features_n, NULL, &to->features, e));
    }
    return arms_once(a, *candidates, n, e);
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
            AFT_TRY(take_text(&d->arena, r->masks[i], AFT_ID_BYTES_MAX, "a mask",
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
        AFT_TRY(take_feature(&d->arena, &v[i].feature, to, e));
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
take_candidates(struct aft_client *c, struct aft_client_decision *d,
                const struct aft_client_request *r, struct aft_error *e)
{
    d->request.candidates_n = r->candidates_n;
    if (r->catalogue)
        AFT_TRY(take_catalogue(c, d, r, e));
    else
        AFT_TRY(afti_candidates_take(&d->arena, r->candidates, r->candidates_n, &d->candidates,
                                     &d->subjects, e));
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
        AFT_TRY(take_id(&d->arena, r->key, "key", &d->request.key, e));
    if (!r->epoch)
        return AFT_OK;
    int n = snprintf(text, sizeof text, "%s#%u", (const char *)d->request.key.p, r->epoch);
    if (n < 0 || (size_t)n >= sizeof text)
        return AFT_FAIL(e, AFT_E_LIMIT, "the key with its epoch is longer than %u bytes",
                        AFT_ID_BYTES_MAX);
    return take_id(&d->arena, text, "key", &d->request.key, e);
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

static enum aft_err
take_rest(struct aft_client *c, struct aft_client_decision *d, const struct aft_client_request *r,
          struct aft_error *e)
{
    AFT_TRY(take_features(&d->arena, r->context, r->context_n, r->device, &d->request.context, e));
    AFT_TRY(take_candidates(c, d, r, e));
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
    AFT_TRY(take_id(a, r->user_id, "user_id", &d->user, e));
    AFT_TRY(take_text(a, r->session_id, AFT_ID_BYTES_MAX, "session_id", &d->session, e));
    if (!r->decision_id)
        afti_id_new(&c->ids, AFTI_ID_DECISION, made);
    AFT_TRY(take_id(a, r->decision_id ? r->decision_id : made, "decision_id", &id, e));
    d->view.decision_id = (const char *)id.p;
    d->view.user_id = (const char *)d->user.p;
    d->request = (struct aft_request){.k = r->k};
    AFT_TRY(take_key(d, r, id, e));
    AFT_TRY(take_rest(c, d, r, e));
    d->request.baseline =
        c->options.mode == AFT_CLIENT_LIVE &&
        afti_on_baseline(c->options.baseline_share, c->options.baseline_salt, d->user);
    d->time_ms = r->time_ms ? r->time_ms : afti_client_now(c);
    d->deferred = r->deferred;
    return AFT_OK;
}
