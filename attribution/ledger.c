/* ledger.c - what is written down of an outcome: its credit, so that it can be applied again after a restart and taken back.
 *
 * Ledger entry: 0 flags u8 (1 click, 2 activates, 4 retracts) | then, each if its flag is set: click time long; decision hash 16 +
 * touch number long; retracted outcome's number long | credits n long | n credits
 * Credit: decision hash 12 (low le64, high le32) | touch number + 1 long | item u8 | kind u8 (rank of its name in the configuration) |
 *         ppm long | unit long | micro long
 * The touch is the live one that had the decision's id when the entry was written; 0: none had it any more. So whoever reads the state
 * again looks nothing up; the hash is for taking back, which goes by id. A retraction's credits are the negated ones. Zeros are an
 * entry without anything.
 */
#include <stdlib.h>

#include "attribution/inner.h"

void
afti_ledger_reset(struct afti_ledger *l)
{
    l->flags = l->note = 0;
    l->credit_n = 0;
}

struct afti_credit *
afti_ledger_add(struct afti_ledger *l)
{
    if (l->credit_n == l->credit_cap) {
        l->credit_cap = l->credit_cap ? l->credit_cap * 2 : 64;
        l->credit = realloc(l->credit, l->credit_cap * sizeof *l->credit);
        AFT_ASSERT(l->credit != NULL);
    }
    return &l->credit[l->credit_n++];
}

static void
put_hash(struct aft_buffer *b, struct aft_hash128 h)
{
    aft_put_le64(b, h.low);
    aft_put_le64(b, h.high);
}

static bool
get_hash(struct aft_reader *r, struct aft_hash128 *h)
{
    if (!aft_get_le64(r, &h->low) || !aft_get_le64(r, &h->high))
        return false;
    *h = aft_id_from(*h);
    return true;
}

void
afti_ledger_encode(struct aft_buffer *b, const struct afti_ledger *l)
{
    aft_put_u8(b, l->flags);
    if (l->flags & AFTI_CLICK)
        aft_put_long(b, l->click_ms);
    if (l->flags & AFTI_ACTIVATES) {
        put_hash(b, l->activated);
        aft_put_long(b, (int64_t)l->activated_touch);
    }
    if (l->flags & AFTI_RETRACTS)
        aft_put_long(b, (int64_t)l->retracted);
    aft_put_long(b, l->credit_n);
    for (uint32_t i = 0; i < l->credit_n; i++) {
        const struct afti_credit *c = &l->credit[i];
        aft_put_le64(b, c->decision.low);
        aft_put_le32(b, (uint32_t)c->decision.high);
        aft_put_long(b, (int64_t)(c->touch + 1));
        aft_put_u8(b, c->item);
        aft_put_u8(b, c->kind);
        aft_put_long(b, c->ppm);
        aft_put_long(b, c->unit);
        aft_put_long(b, c->micro);
    }
}

static bool
get_head(struct aft_reader *r, struct afti_ledger *l, int64_t *n)
{
    int64_t touch, outcome;
    if (!aft_get_u8(r, &l->flags))
        return false;
    if ((l->flags & AFTI_CLICK) && !aft_get_long(r, &l->click_ms))
        return false;
    if (l->flags & AFTI_ACTIVATES) {
        if (!get_hash(r, &l->activated) || !aft_get_long(r, &touch))
            return false;
        l->activated_touch = (uint64_t)touch;
    }
    if (l->flags & AFTI_RETRACTS) {
        if (!aft_get_long(r, &outcome))
            return false;
        l->retracted = (uint64_t)outcome;
    }
    return aft_get_long(r, n) && *n >= 0;
}

static bool
get_decision(struct aft_reader *r, struct aft_hash128 *h)
{
    struct aft_bytes b;
    if (!aft_get_raw(r, 12, &b))
        return false;
    *h = aft_id_from((struct aft_hash128){aft_load_le64(b.p), aft_load_le32(b.p + 8)});
    return true;
}

static bool
get_credit(struct aft_reader *r, struct afti_credit *c)
{
    int64_t ppm, touch;
    if (!get_decision(r, &c->decision) || !aft_get_long(r, &touch) || !aft_get_u8(r, &c->item) ||
        !aft_get_u8(r, &c->kind) || !aft_get_long(r, &ppm) || !aft_get_long(r, &c->unit) ||
        !aft_get_long(r, &c->micro))
        return false;
    c->touch = (uint64_t)touch - 1;
    c->ppm = (uint32_t)ppm;
    return ppm >= 0 && ppm <= AFT_PPM && c->item < AFT_SHOWN_MAX && c->kind < AFT_KINDS_MAX;
}

enum aft_err
afti_ledger_decode(struct aft_reader r, struct afti_ledger *l, struct aft_error *e)
{
    int64_t n;
    afti_ledger_reset(l);
    bool good = get_head(&r, l, &n);
    for (int64_t i = 0; good && i < n; i++)
        good = get_credit(&r, afti_ledger_add(l));
    if (good)
        return AFT_OK;
    return AFT_FAIL(
        e, AFT_E_CORRUPT,
        "a ledger entry of the state is damaged: restore a checkpoint, or rebuild the state "
        "from the logs");
}

enum aft_err
afti_ledger_of(struct aft_joiner *j, const struct aft_seen *s, struct afti_ledger *l,
               struct aft_error *e)
{
    struct aft_redo_record rec;
    AFT_TRY(aft_segments_read(&j->segments, s->ledger, &rec, e));
    struct aft_reader r = aft_reader(rec.payload);
    int64_t number;
    struct aft_bytes id;
    bool good = rec.kind == AFT_REDO_RESOLVED
                    ? aft_get_long(&r, &number)
                    : rec.kind == AFT_REDO_OUTCOME && aft_get_raw(&r, 16, &id);
    if (!good)
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "the state's ledger is not where the index says: restore a checkpoint");
    return afti_ledger_decode(r, l, e);
}
