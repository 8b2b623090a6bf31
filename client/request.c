/* request.c - an engine's request becomes the house's nouns: copied into the decision's arena, checked against base/bounds.h.
 * The copy is what is scored, drawn from and logged, so these agree. One thread a decision. */
#include <math.h>

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

static enum aft_err
take_candidates(struct aft_client_decision *d, const struct aft_client_request *r,
                struct aft_error *e)
{
    uint32_t n = r->candidates_n;
    if (n == 0 || n > AFT_CANDIDATES_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "%u candidates; give 1 to %u", n, AFT_CANDIDATES_MAX);
    d->candidates = aft_arena_take(&d->arena, sizeof *d->candidates * n);
    d->subjects = aft_arena_take(&d->arena, sizeof *d->subjects * n);
    if (!d->candidates || !d->subjects)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    for (uint32_t i = 0; i < n; i++) {
        const struct aft_client_candidate *from = &r->candidates[i];
        struct aft_candidate *to = &d->candidates[i];
        *to = (struct aft_candidate){0};
        AFT_TRY(take_id(&d->arena, from->arm_id, "a candidate's arm_id", &to->arm_id, e));
        AFT_TRY(
            take_text(&d->arena, from->subject, AFT_ID_BYTES_MAX, "a subject", &d->subjects[i], e));
        AFT_TRY(take_text(&d->arena, from->mask, AFT_ID_BYTES_MAX, "a mask", &to->mask, e));
        AFT_TRY(take_features(&d->arena, from->features, from->features_n, NULL, &to->features, e));
    }
    return arms_once(&d->arena, d->candidates, n, e);
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

enum aft_err
afti_request_arm_stats(struct aft_client_decision *d, const struct aft_model *m,
                       struct aft_error *e)
{
    struct aft_feature more[AFT_ARM_STATS_MAX];
    for (uint32_t i = 0; i < d->request.candidates_n; i++) {
        struct aft_candidate *x = &d->candidates[i];
        uint32_t n = aft_model_arm_stats(m, x->arm_id, d->time_ms, more), at = x->features.n;
        if (n == 0)
            return AFT_OK; /* nobody asked: of no arm */
        struct aft_feature *v = aft_arena_take(&d->arena, sizeof *v * (at + n));
        if (!v || at + n > AFT_FEATURES_MAX)
            return AFT_FAIL(e, AFT_E_LIMIT,
                            "arm %s has %u features, and features.arm.stats adds %u: at most %u",
                            (const char *)x->arm_id.p, at, n, AFT_FEATURES_MAX);
        if (at)
            memcpy(v, x->features.v, sizeof *v * at);
        for (uint32_t j = 0; j < n; j++)
            if (!has(&x->features, more[j].name))
                v[at++] = more[j];
        x->features = (struct aft_features){v, at};
    }
    return AFT_OK;
}

enum aft_err
afti_request_take(struct aft_client *c, struct aft_client_decision *d,
                  const struct aft_client_request *r, struct aft_error *e)
{
    char made[33];
    struct aft_arena *a = &d->arena;
    struct aft_bytes id;
    aft_arena_reset(a);
    if (r->k < 1 || r->k > AFT_SLATE_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "k is %u; give 1 to %u", r->k, AFT_SLATE_MAX);
    AFT_TRY(take_id(a, r->user_id, "user_id", &d->user, e));
    AFT_TRY(take_text(a, r->session_id, AFT_ID_BYTES_MAX, "session_id", &d->session, e));
    if (!r->decision_id)
        afti_id_new(&c->ids, AFTI_ID_DECISION, made);
    AFT_TRY(take_id(a, r->decision_id ? r->decision_id : made, "decision_id", &id, e));
    d->view.decision_id = (const char *)id.p;
    d->view.user_id = (const char *)d->user.p;
    d->request = (struct aft_request){.k = r->k, .candidates_n = r->candidates_n, .key = id};
    if (r->key)
        AFT_TRY(take_id(a, r->key, "key", &d->request.key, e));
    AFT_TRY(take_features(a, r->context, r->context_n, r->device, &d->request.context, e));
    AFT_TRY(take_candidates(d, r, e));
    d->request.candidates = d->candidates;
    d->request.baseline =
        afti_on_baseline(c->options.baseline_share, c->options.baseline_salt, d->user);
    d->time_ms = r->time_ms ? r->time_ms : afti_client_now(c);
    d->deferred = r->deferred;
    return AFT_OK;
}
