/* prescored.c - a request whose weights `aftertouch score` made before: the record's candidates meet the request's.
 *
 *   record (a value of the prescored topic) -> context, weights by arm, design, key;   request -> who is a candidate now, masks, k
 *
 * I1 every eligible candidate has the record's weight: one without is masked, and the mask is logged.
 * What is drawn is then exactly Plackett-Luce among those that are eligible now. One thread a decision. */
#include <stdio.h>

#include "client/client_inner.h"

enum { FRAME_BYTES = 10 };

static enum aft_err
read_record(struct aft_client_decision *d, const struct aft_client_request *r, struct aft_error *e)
{
    struct aft_frame frame;
    struct aft_bytes value = {r->prescored, r->prescored_bytes};
    value = aft_arena_copy(&d->arena, value);
    if (!value.p)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    if (value.n < FRAME_BYTES || aft_frame_parse(value, &frame, e) != AFT_OK ||
        frame.kind != AFT_FRAME_SINGLE_OBJECT ||
        frame.fingerprint != aft_record_fingerprint(AFT_RECORD_PRESCORED))
        return AFT_FAIL(e, AFT_E_VALUE,
                        "request.prescored is no value of the prescored topic as `aftertouch "
                        "score` of this version writes it");
    return aft_decode_prescored(frame.body, &d->arena, &d->scored, e);
}

/* What the record and the request say must be of one user and one moment, and nothing twice. */
static enum aft_err
check(const struct aft_client *c, const struct aft_client_decision *d,
      const struct aft_client_request *r, struct aft_error *e)
{
    const struct aft_prescored *p = &d->scored;
    int64_t now = r->time_ms ? r->time_ms : afti_client_now(c);
    if (c->options.mode != AFT_CLIENT_LIVE)
        return AFT_FAIL(e, AFT_E_VALUE, "request.prescored wants the mode AFT_CLIENT_LIVE");
    if (!aft_same(p->user_id, aft_text(r->user_id)))
        return AFT_FAIL(e, AFT_E_VALUE, "the prescored weights are of user %.*s, not of %s",
                        (int)p->user_id.n, (const char *)p->user_id.p, r->user_id);
    if (r->context_n || r->device || r->own_n || r->recent)
        return AFT_FAIL(e, AFT_E_VALUE,
                        "a prescored decision has the context that was scored: leave context, "
                        "device, own and recent of the request empty");
    if (now < p->valid_from_ms || now >= p->valid_until_ms)
        return AFT_FAIL(e, AFT_E_VALUE,
                        "the prescored weights are valid from %lld until before %lld, and it is "
                        "%lld: score again, or decide without them",
                        (long long)p->valid_from_ms, (long long)p->valid_until_ms, (long long)now);
    if (!aft_same(p->design.kind, AFT_LITERAL("plackett_luce")) &&
        !aft_same(p->design.kind, AFT_LITERAL("uniform")))
        return AFT_FAIL(e, AFT_E_VALUE, "weights of the design %.*s cannot be drawn from",
                        (int)p->design.kind.n, (const char *)p->design.kind.p);
    return AFT_OK;
}

static const char *
terminated(struct aft_arena *a, struct aft_bytes b)
{
    char *text = aft_arena_take(a, b.n + 1);
    if (!text)
        return NULL;
    memcpy(text, b.p, b.n);
    text[b.n] = '\0';
    return text;
}

/* The record's key, and one decision for the whole window: a repeat of it changes nothing in the log. */
static enum aft_err
name(struct aft_client_decision *d, struct aft_client_request *r, struct aft_error *e)
{
    const char *key = terminated(&d->arena, d->scored.design.key);
    char id[AFT_ID_BYTES_MAX + 16];
    if (!key)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    r->key = r->key ? r->key : key;
    if (r->decision_id)
        return AFT_OK;
    int n = r->epoch ? snprintf(id, sizeof id, "%s#%u", r->key, r->epoch)
                     : snprintf(id, sizeof id, "%s", r->key);
    if (n < 0 || (size_t)n > AFT_ID_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "the key with its epoch is longer than %u bytes; give a decision_id",
                        AFT_ID_BYTES_MAX);
    r->decision_id = terminated(&d->arena, aft_text(id));
    return r->decision_id ? AFT_OK : AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
}

enum aft_err
afti_prescored_take(const struct aft_client *c, struct aft_client_decision *d,
                    struct aft_client_request *r, struct aft_error *e)
{
    if (!r->user_id)
        return AFT_FAIL(e, AFT_E_VALUE, "user_id is missing or empty");
    AFT_TRY(read_record(d, r, e));
    AFT_TRY(check(c, d, r, e));
    return name(d, r, e);
}

/* Mostly both lists have one order. */
static const struct aft_prescored_candidate *
find(const struct aft_prescored *p, struct aft_bytes arm, uint32_t at)
{
    if (at < p->candidates_n && aft_same(p->candidates[at].arm_id, arm))
        return &p->candidates[at];
    for (uint32_t i = 0; i < p->candidates_n; i++)
        if (aft_same(p->candidates[i].arm_id, arm))
            return &p->candidates[i];
    return NULL;
}

enum aft_err
afti_prescored_match(struct aft_client_decision *d, struct aft_error *e)
{
    const struct aft_prescored *p = &d->scored;
    uint32_t n = d->request.candidates_n;
    float *weights = aft_arena_take(&d->arena, sizeof *weights * n);
    if (!weights)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    for (uint32_t i = 0; i < n; i++) {
        struct aft_candidate *to = &d->candidates[i];
        const struct aft_prescored_candidate *from = find(p, to->arm_id, i);
        bool weighed = from && from->has_log_weight;
        weights[i] = weighed ? from->log_weight : 0;
        if (from && from->features.n)
            to->features = from->features;
        if (!weighed && !to->mask.p)
            to->mask = from && from->mask.p ? from->mask : AFT_LITERAL("not prescored");
        AFT_INVARIANT(I1, weighed || to->mask.p);
    }
    d->request.context = p->context;
    d->request.revision = 0; /* the table is this decision's own now */
    d->request.alike = 0;
    d->given = (struct aft_given){weights, p->design, p->propensity_kind};
    if (aft_same(p->design.kind, AFT_LITERAL("uniform"))) /* shown as a C string */
        d->given.design.kind = AFT_LITERAL("uniform");
    else
        d->given.design.kind = AFT_LITERAL("plackett_luce");
    return AFT_OK;
}
