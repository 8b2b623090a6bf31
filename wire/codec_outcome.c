/* codec_outcome.c - Outcome: bytes <-> struct aft_outcome.
 * Fields in order: outcome_id, user_id, timestamp, kind, value, ?decision_id, ?arm_id, ?subject, ?session_id, ?retracts
 * (wire/schemas/outcome.avsc). Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

bool
aft_value_micro(double value, int64_t *micro)
{
    if (!(value >= -9e12 && value <= 9e12))
        return false;
    double scaled = value * 1e6;
    int64_t whole = (int64_t)scaled; /* towards zero; the rest below is exact */
    double rest = scaled - (double)whole;
    bool odd = whole & 1;
    if (rest > 0.5 || (rest == 0.5 && odd))
        whole++;
    else if (rest < -0.5 || (rest == -0.5 && odd))
        whole--;
    *micro = whole;
    return true;
}

enum aft_err
aft_decode_outcome(struct aft_bytes body, struct aft_arena *a, struct aft_outcome *out,
                   struct aft_error *e)
{
    struct afti_in in;
    double value;
    AFT_TRY(afti_open(&in, "Outcome", body, a, e));
    AFT_TRY(afti_id(&in, "outcome_id", &out->outcome_id));
    AFT_TRY(afti_id(&in, "user_id", &out->user_id));
    AFT_TRY(afti_time(&in, "timestamp", &out->timestamp_ms));
    AFT_TRY(afti_id(&in, "kind", &out->kind));
    AFT_TRY(afti_double(&in, "value", &value));
    if (!aft_value_micro(value, &out->value_micro))
        return afti_wrong(&in, "value", "is past 9e12 in size");
    AFT_TRY(afti_maybe_id(&in, "decision_id", &out->decision_id));
    AFT_TRY(afti_maybe_id(&in, "arm_id", &out->arm_id));
    AFT_TRY(afti_maybe_id(&in, "subject", &out->subject));
    AFT_TRY(afti_maybe_id(&in, "session_id", &out->session_id));
    AFT_TRY(afti_maybe_id(&in, "retracts", &out->retracts));
    return afti_close(&in);
}

void
aft_encode_outcome(struct aft_buffer *b, const struct aft_outcome *v)
{
    aft_put_bytes(b, v->outcome_id);
    aft_put_bytes(b, v->user_id);
    aft_put_long(b, v->timestamp_ms);
    aft_put_bytes(b, v->kind);
    aft_put_double(b, (double)v->value_micro / AFT_MICRO);
    afti_put_maybe(b, v->decision_id);
    afti_put_maybe(b, v->arm_id);
    afti_put_maybe(b, v->subject);
    afti_put_maybe(b, v->session_id);
    afti_put_maybe(b, v->retracts);
}
