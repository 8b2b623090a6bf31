/* codec_impression.c - Impression: bytes <-> struct aft_impression.
 * Fields in order: decision_id, user_id, timestamp, ?session_id, policy, ?snapshot, propensity_kind, deferred, context,
 * candidates, slate, ?design (wire/schemas/impression.avsc). Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

static enum aft_err
shown(struct afti_in *in, enum aft_propensity_kind kind, struct aft_shown *s)
{
    AFT_TRY(afti_id(in, "slate.arm_id", &s->arm_id));
    AFT_TRY(afti_slot(in, "slate.slot", &s->slot));
    AFT_TRY(afti_probability(in, "slate.propensity", kind, &s->propensity));
    AFT_TRY(afti_maybe_probability(in, "slate.marginal", kind, &s->has_marginal, &s->marginal));
    AFT_TRY(afti_maybe_id(in, "slate.subject", &s->subject));
    return afti_features(in, "slate.features", &s->features, &s->raw_features);
}

static enum aft_err
slate(struct afti_in *in, struct aft_impression *out)
{
    struct afti_list l = {.max = AFT_SHOWN_MAX, .size = sizeof *out->slate};
    uint32_t more;
    AFT_TRY(afti_block(in, "slate", &l, &more));
    while (more) {
        for (; more; more--) {
            struct aft_shown *v = l.v;
            AFT_TRY(shown(in, out->propensity_kind, &v[l.n]));
            for (uint32_t i = 0; i < l.n; i++)
                if (aft_same(v[i].arm_id, v[l.n].arm_id))
                    return afti_wrong(in, "slate.arm_id", "stands twice in the slate");
            l.n++;
        }
        AFT_TRY(afti_block(in, "slate", &l, &more));
    }
    out->slate = l.v;
    out->slate_n = l.n;
    return AFT_OK;
}

enum aft_err
aft_decode_impression(struct aft_bytes body, struct aft_arena *a, struct aft_impression *out,
                      struct aft_error *e)
{
    struct afti_in in;
    AFT_TRY(afti_open(&in, "Impression", body, a, e));
    AFT_TRY(afti_id(&in, "decision_id", &out->decision_id));
    AFT_TRY(afti_id(&in, "user_id", &out->user_id));
    AFT_TRY(afti_time(&in, "timestamp", &out->timestamp_ms));
    AFT_TRY(afti_maybe_id(&in, "session_id", &out->session_id));
    AFT_TRY(afti_text(&in, "policy", AFT_TEXT_BYTES_MAX, &out->policy));
    AFT_TRY(afti_maybe_id(&in, "snapshot", &out->snapshot));
    AFT_TRY(afti_propensity_kind(&in, &out->propensity_kind));
    AFT_TRY(afti_bool(&in, "deferred", &out->deferred));
    AFT_TRY(afti_features(&in, "context", &out->context, &out->raw_context));
    AFT_TRY(afti_candidates(&in, &out->candidates, &out->candidates_n, &out->raw_candidates));
    AFT_TRY(slate(&in, out));
    AFT_TRY(afti_design(&in, &out->has_design, &out->design, &out->raw_design));
    return afti_close(&in);
}

static void
put_shown(struct aft_buffer *b, const struct aft_shown *s)
{
    aft_put_bytes(b, s->arm_id);
    aft_put_long(b, s->slot);
    aft_put_double(b, s->propensity);
    aft_put_long(b, s->has_marginal);
    if (s->has_marginal)
        aft_put_double(b, s->marginal);
    afti_put_maybe(b, s->subject);
    afti_put_features(b, s->features);
}

void
aft_encode_impression(struct aft_buffer *b, const struct aft_impression *v)
{
    aft_put_bytes(b, v->decision_id);
    aft_put_bytes(b, v->user_id);
    aft_put_long(b, v->timestamp_ms);
    afti_put_maybe(b, v->session_id);
    aft_put_bytes(b, v->policy);
    afti_put_maybe(b, v->snapshot);
    aft_put_long(b, (int64_t)v->propensity_kind);
    aft_put_u8(b, v->deferred);
    afti_put_features(b, v->context);
    afti_put_candidates(b, v->candidates, v->candidates_n);
    afti_put_count(b, v->slate_n);
    for (uint32_t i = 0; i < v->slate_n; i++)
        put_shown(b, &v->slate[i]);
    afti_put_end(b);
    afti_put_design(b, v->has_design, &v->design);
}
