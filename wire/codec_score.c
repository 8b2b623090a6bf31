/* codec_score.c - ScoreRequest and Prescored: bytes <-> struct aft_score_request, struct aft_prescored.
 * ScoreRequest: user_id, context, ?device, k, candidates, masks (wire/schemas/score_request.avsc).
 * Prescored: user_id, ?snapshot, round, propensity_kind, valid_from, valid_until, context, candidates, design (prescored.avsc).
 * Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

/* ---- requests */
static enum aft_err
masks(struct afti_in *in, struct aft_score_request *out)
{
    struct afti_list l = {.max = AFT_CANDIDATES_MAX, .size = sizeof *out->masks};
    uint32_t more;
    AFT_TRY(afti_block(in, "masks", &l, &more));
    while (more) {
        for (; more; more--) {
            struct aft_setting *m = (struct aft_setting *)l.v + l.n++;
            AFT_TRY(afti_id(in, "masks.arm_id", &m->name));
            AFT_TRY(afti_text(in, "masks.reason", AFT_ID_BYTES_MAX, &m->value));
        }
        AFT_TRY(afti_block(in, "masks", &l, &more));
    }
    out->masks = l.v;
    out->masks_n = l.n;
    return AFT_OK;
}

enum aft_err
aft_decode_score_request(struct aft_bytes body, struct aft_arena *a, struct aft_score_request *out,
                         struct aft_error *e)
{
    struct afti_in in;
    struct aft_bytes raw;
    AFT_TRY(afti_open(&in, "ScoreRequest", body, a, e));
    AFT_TRY(afti_id(&in, "user_id", &out->user_id));
    AFT_TRY(afti_features(&in, "context", &out->context, NULL));
    AFT_TRY(afti_maybe_text(&in, "device", AFT_TEXT_BYTES_MAX, &out->device));
    AFT_TRY(afti_int(&in, "k", &out->k));
    AFT_TRY(afti_candidates(&in, &out->candidates, &out->candidates_n, &raw));
    AFT_TRY(masks(&in, out));
    return afti_close(&in);
}

void
aft_encode_score_request(struct aft_buffer *b, const struct aft_score_request *v)
{
    aft_put_bytes(b, v->user_id);
    afti_put_features(b, v->context);
    afti_put_maybe(b, v->device);
    aft_put_long(b, v->k);
    afti_put_candidates(b, v->candidates, v->candidates_n);
    afti_put_count(b, v->masks_n);
    for (uint32_t i = 0; i < v->masks_n; i++) {
        aft_put_bytes(b, v->masks[i].name);
        aft_put_bytes(b, v->masks[i].value);
    }
    afti_put_end(b);
}

/* ---- what was scored */
static enum aft_err
marginals(struct afti_in *in, struct aft_prescored_candidate *c)
{
    struct afti_list l = {.max = AFT_SLATE_MAX, .size = sizeof *c->marginals};
    uint32_t more;
    AFT_TRY(afti_block(in, "candidates.marginals", &l, &more));
    while (more) {
        for (; more; more--) {
            double *p = (double *)l.v + l.n++;
            AFT_TRY(afti_double(in, "candidates.marginals", p));
            if (!(*p >= 0 && *p <= 1))
                return afti_wrong(in, "candidates.marginals", "is not in [0, 1]");
        }
        AFT_TRY(afti_block(in, "candidates.marginals", &l, &more));
    }
    c->marginals = l.v;
    c->marginals_n = l.n;
    return AFT_OK;
}

static enum aft_err
candidate(struct afti_in *in, struct aft_prescored_candidate *c)
{
    AFT_TRY(afti_id(in, "candidates.arm_id", &c->arm_id));
    AFT_TRY(afti_features(in, "candidates.features", &c->features, NULL));
    AFT_TRY(afti_null(in, "candidates.log_weight", &c->has_log_weight));
    c->log_weight = 0;
    if (c->has_log_weight) {
        if (!aft_get_float(&in->r, &c->log_weight))
            return afti_malformed(in, "candidates.log_weight");
        if (!(c->log_weight > -1e30F && c->log_weight < 1e30F))
            return afti_wrong(in, "candidates.log_weight", "is past 1e30 in size");
    }
    AFT_TRY(afti_maybe_text(in, "candidates.mask", AFT_TEXT_BYTES_MAX, &c->mask));
    return marginals(in, c);
}

static enum aft_err
candidates(struct afti_in *in, struct aft_prescored *out)
{
    struct afti_list l = {.max = AFT_CANDIDATES_MAX, .size = sizeof *out->candidates};
    uint32_t more;
    AFT_TRY(afti_block(in, "candidates", &l, &more));
    while (more) {
        for (; more; more--)
            AFT_TRY(candidate(in, (struct aft_prescored_candidate *)l.v + l.n++));
        AFT_TRY(afti_block(in, "candidates", &l, &more));
    }
    out->candidates = l.v;
    out->candidates_n = l.n;
    return AFT_OK;
}

static enum aft_err
design(struct afti_in *in, struct aft_design *d)
{
    AFT_TRY(afti_id(in, "design.kind", &d->kind));
    AFT_TRY(afti_double(in, "design.temperature", &d->temperature));
    AFT_TRY(afti_double(in, "design.epsilon", &d->epsilon));
    if (!(d->epsilon >= 0 && d->epsilon <= 1))
        return afti_wrong(in, "design.epsilon", "is not in [0, 1]");
    AFT_TRY(afti_int(in, "design.k", &d->k));
    return afti_text(in, "design.key", AFT_TEXT_BYTES_MAX, &d->key);
}

enum aft_err
aft_decode_prescored(struct aft_bytes body, struct aft_arena *a, struct aft_prescored *out,
                     struct aft_error *e)
{
    struct afti_in in;
    AFT_TRY(afti_open(&in, "Prescored", body, a, e));
    AFT_TRY(afti_id(&in, "user_id", &out->user_id));
    AFT_TRY(afti_maybe_id(&in, "snapshot", &out->snapshot));
    AFT_TRY(afti_long(&in, "round", &out->round));
    AFT_TRY(afti_propensity_kind(&in, &out->propensity_kind));
    AFT_TRY(afti_time(&in, "valid_from", &out->valid_from_ms));
    AFT_TRY(afti_time(&in, "valid_until", &out->valid_until_ms));
    AFT_TRY(afti_features(&in, "context", &out->context, NULL));
    AFT_TRY(candidates(&in, out));
    out->design = (struct aft_design){0}; /* pass and shadow are of decisions, not of weights */
    AFT_TRY(design(&in, &out->design));
    return afti_close(&in);
}

static void
put_candidate(struct aft_buffer *b, const struct aft_prescored_candidate *c)
{
    aft_put_bytes(b, c->arm_id);
    afti_put_features(b, c->features);
    aft_put_long(b, c->has_log_weight);
    if (c->has_log_weight)
        aft_put_float(b, c->log_weight);
    afti_put_maybe(b, c->mask);
    afti_put_count(b, c->marginals_n);
    for (uint32_t i = 0; i < c->marginals_n; i++)
        aft_put_double(b, c->marginals[i]);
    afti_put_end(b);
}

void
aft_encode_prescored(struct aft_buffer *b, const struct aft_prescored *v)
{
    aft_put_bytes(b, v->user_id);
    afti_put_maybe(b, v->snapshot);
    aft_put_long(b, v->round);
    aft_put_long(b, (int64_t)v->propensity_kind);
    aft_put_long(b, v->valid_from_ms);
    aft_put_long(b, v->valid_until_ms);
    afti_put_features(b, v->context);
    afti_put_count(b, v->candidates_n);
    for (uint32_t i = 0; i < v->candidates_n; i++)
        put_candidate(b, &v->candidates[i]);
    afti_put_end(b);
    aft_put_bytes(b, v->design.kind);
    aft_put_double(b, v->design.temperature);
    aft_put_double(b, v->design.epsilon);
    aft_put_long(b, v->design.k);
    aft_put_bytes(b, v->design.key);
}
