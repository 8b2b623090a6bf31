/* codec_history.c - History: bytes <-> struct aft_history.
 * user_id, impressions_to, outcomes_to, entries of (what, ?name, day, ids) (wire/schemas/history.avsc).
 * Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

uint64_t
aft_history_id(struct aft_bytes id)
{
    return aft_hash64(id, 0) & AFT_HISTORY_ID_MAX;
}

/* `left`: how many more events the record may hold. */
static enum aft_err
ids(struct afti_in *in, struct aft_history_entry *out, uint32_t *left)
{
    struct afti_list l = {.max = *left, .size = sizeof *out->ids};
    uint32_t more;
    AFT_TRY(afti_block(in, "entries.ids", &l, &more));
    while (more) {
        for (; more; more--) {
            int64_t id;
            AFT_TRY(afti_long(in, "entries.ids", &id));
            if (id < 0 || (uint64_t)id > AFT_HISTORY_ID_MAX)
                return afti_wrong(in, "entries.ids", "is no hash of 48 bits");
            ((uint64_t *)l.v)[l.n++] = (uint64_t)id;
        }
        AFT_TRY(afti_block(in, "entries.ids", &l, &more));
    }
    out->ids = l.v;
    out->ids_n = l.n;
    *left -= l.n;
    return AFT_OK;
}

static enum aft_err
entry(struct afti_in *in, struct aft_history_entry *out, uint32_t *left)
{
    unsigned what;
    int32_t day;
    AFT_TRY(afti_index(in, "entries.what", AFT_HISTORY_RETRACTED + 1, &what));
    out->what = (enum aft_history_what)what;
    AFT_TRY(afti_maybe_id(in, "entries.name", &out->name));
    AFT_TRY(afti_int(in, "entries.day", &day));
    if (day < 0 || day > UINT16_MAX)
        return afti_wrong(in, "entries.day", "is not in 0 .. 65535");
    out->day = (uint16_t)day;
    return ids(in, out, left);
}

enum aft_err
aft_decode_history(struct aft_bytes body, struct aft_arena *a, struct aft_history *out,
                   struct aft_error *e)
{
    struct afti_in in;
    struct afti_list l = {.max = AFT_HISTORY_EVENTS_MAX, .size = sizeof *out->entries};
    uint32_t more, left = AFT_HISTORY_EVENTS_MAX;
    AFT_TRY(afti_open(&in, "History", body, a, e));
    AFT_TRY(afti_text(&in, "user_id", AFT_ID_BYTES_MAX, &out->user_id));
    AFT_TRY(afti_long(&in, "impressions_to", &out->to[AFT_IMPRESSIONS]));
    AFT_TRY(afti_long(&in, "outcomes_to", &out->to[AFT_OUTCOMES]));
    AFT_TRY(afti_block(&in, "entries", &l, &more));
    while (more) {
        for (; more; more--)
            AFT_TRY(entry(&in, (struct aft_history_entry *)l.v + l.n++, &left));
        AFT_TRY(afti_block(&in, "entries", &l, &more));
    }
    out->entries = l.v;
    out->entries_n = l.n;
    return afti_close(&in);
}

void
aft_encode_history(struct aft_buffer *b, const struct aft_history *v)
{
    aft_put_bytes(b, v->user_id);
    aft_put_long(b, v->to[AFT_IMPRESSIONS]);
    aft_put_long(b, v->to[AFT_OUTCOMES]);
    afti_put_count(b, v->entries_n);
    for (uint32_t i = 0; i < v->entries_n; i++) {
        const struct aft_history_entry *x = &v->entries[i];
        aft_put_long(b, (int64_t)x->what);
        afti_put_maybe(b, x->name);
        aft_put_long(b, x->day);
        afti_put_count(b, x->ids_n);
        for (uint32_t j = 0; j < x->ids_n; j++)
            aft_put_long(b, (int64_t)x->ids[j]);
        afti_put_end(b);
    }
    afti_put_end(b);
}
