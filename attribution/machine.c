/* machine.c - the sequential machine: an impression, an outcome, an erasure, each in its place of the canonical order.
 *
 * Each change of the state is a record appended to the segments; applying the records again (recover.c) rebuilds the index.
 * Invariant: I1 a record is written before the index knows of it, so that numbers in a segment's head are those of its records.
 */
#include "attribution/inner.h"

struct aft_place
afti_append(struct aft_joiner *j, enum aft_redo kind, const struct afti_event *v,
            struct aft_bytes head, struct aft_bytes tail)
{
    struct aft_segment_record a = {.kind = kind,
                                   .e = v->e,
                                   .offset = v->offset,
                                   .head = head,
                                   .tail = tail,
                                   .first_touch = j->index.tail,
                                   .first_outcome = j->index.seen_tail};
    if (kind == AFT_REDO_IMPRESSION)
        a.note = (uint8_t)(v->items | (v->deferred ? AFT_NOTE_DEFERRED : 0));
    else if (kind == AFT_REDO_OUTCOME || kind == AFT_REDO_RESOLVED)
        a.note = j->ledger.note;
    AFT_ASSERT(!j->replaying);
    return aft_segments_append(&j->segments, &a);
}

static struct aft_bytes
hash_bytes(uint8_t out[16], struct aft_hash128 h)
{
    aft_store_le64(out, h.low);
    aft_store_le64(out + 8, h.high);
    return (struct aft_bytes){out, 16};
}

/* ---- outcomes that waited for this impression */

/* resolve attributes one waiting outcome, now that its impression is there. */
static enum aft_err
resolve(struct aft_joiner *j, const struct afti_event *v, uint64_t n, struct aft_error *e)
{
    struct aft_waiting *w = aft_index_waiting(&j->index, n);
    struct aft_redo_record rec;
    struct aft_outcome o;
    AFT_TRY(aft_segments_read(&j->segments, w->at, &rec, e));
    if (rec.kind != AFT_REDO_WAITING || rec.payload.n < 16)
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "a waiting outcome is not where the index says: restore a checkpoint");
    aft_buffer_reset(&j->waited);
    aft_put_raw(&j->waited, (struct aft_bytes){rec.payload.p + 16, rec.payload.n - 16});
    AFT_TRY(aft_decode_outcome(aft_buffer_bytes(&j->waited), &j->arena, &o, e));
    int kind = afti_kind(&j->config, o.kind);
    if (kind < 0 || !aft_same_id(aft_id_of(o.decision_id), v->id))
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "a waiting outcome of the state is damaged: restore a checkpoint");
    AFT_TRY(afti_attribute(j, &o, (uint8_t)kind, e));
    aft_buffer_reset(&j->bytes);
    aft_put_long(&j->bytes, (int64_t)w->outcome);
    afti_ledger_encode(&j->bytes, &j->ledger);
    struct aft_place at =
        afti_append(j, AFT_REDO_RESOLVED, v, aft_buffer_bytes(&j->bytes), AFT_ABSENT);
    uint64_t outcome = w->outcome;
    aft_index_waited(&j->index, n);
    aft_index_seen(&j->index, outcome)->note = j->ledger.note;
    if (j->ledger.credit_n)
        aft_index_seen(&j->index, outcome)->ledger = at;
    return afti_apply(j, v->e, at.segment, &j->ledger, o.outcome_id, e);
}

static enum aft_err
resolve_all(struct aft_joiner *j, const struct afti_event *v, struct aft_error *e)
{
    struct aft_index *x = &j->index;
    uint64_t n;
    size_t waiting = 0;
    if (!aft_index_awaits(x, v->id, &n))
        return AFT_OK;
    for (;;) { /* newest first along the chain; they are resolved oldest first */
        const struct aft_waiting *w = aft_index_waiting(x, n);
        if (w->live)
            waiting++;
        if (w->before == 0 || n - w->before < x->waiting_head)
            break;
        n -= w->before;
    }
    for (; waiting > 0; n++) {
        const struct aft_waiting *w = aft_index_waiting(x, n);
        if (!w->live || !aft_same_id(w->decision, v->id))
            continue;
        AFT_TRY(resolve(j, v, n, e));
        waiting--;
    }
    return AFT_OK;
}

/* ---- impressions */
enum aft_err
afti_open_max(const struct aft_joiner *j, uint64_t more, struct aft_error *e)
{
    if (j->index.live + more <= j->config.open_max)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_CONFIG,
                    "%llu impressions are open, and join.max.open allows %llu: raise it (at most "
                    "85 bytes of memory each), or shorten join.window",
                    (unsigned long long)j->index.live, (unsigned long long)j->config.open_max);
}

enum aft_err
afti_impression(struct aft_joiner *j, const struct afti_event *v, struct aft_error *e)
{
    uint64_t n;
    struct aft_ids_probe ended;
    if (aft_index_find_end(&j->index, v->id, &n, &ended)) {
        j->counts.counts.duplicate_impression++;
        return AFT_OK;
    }
    if (afti_settle_of(j, v->ts) < v->e) {
        j->counts.counts.expired_impression++;
        return AFT_OK;
    }
    AFT_TRY(afti_open_max(j, 1, e));
    struct aft_place at = afti_append(j, AFT_REDO_IMPRESSION, v, v->body, AFT_ABSENT);
    struct aft_touch t =
        aft_touch_make(v->id, v->ts, v->e,
                       AFT_TOUCH_LIVE | (v->deferred ? AFT_TOUCH_DEFERRED : AFT_TOUCH_ACTIVE), at);
    t.items = v->items;
    n = aft_index_add_at(&j->index, &t, &v->user, &ended);
    if (v->e != v->ts)
        afti_timers_late(j, n);
    return resolve_all(j, v, e);
}

/* ---- outcomes */

/* see writes an outcome with the ledger entry in j->ledger down, and remembers it. */
static struct aft_place
see(struct aft_joiner *j, const struct afti_event *v, struct aft_hash128 id)
{
    uint8_t head[16];
    aft_buffer_reset(&j->bytes);
    afti_ledger_encode(&j->bytes, &j->ledger);
    struct aft_seen s = {.id = id, .e = v->e, .note = j->ledger.note};
    s.at = afti_append(j, AFT_REDO_OUTCOME, v, hash_bytes(head, id), aft_buffer_bytes(&j->bytes));
    if (j->ledger.credit_n && !(j->ledger.flags & AFTI_RETRACTS))
        s.ledger = s.at;
    aft_index_see(&j->index, &s);
    return s.at;
}

static void
wait_for(struct aft_joiner *j, const struct afti_event *v, struct aft_hash128 id,
         struct aft_hash128 decision, struct aft_hash128 user)
{
    uint8_t head[16];
    struct aft_seen s = {.id = id, .e = v->e, .waiting = true};
    s.at = afti_append(j, AFT_REDO_WAITING, v, hash_bytes(head, id), v->body);
    struct aft_waiting w = {.decision = decision, .user = user, .e = v->e, .at = s.at};
    w.outcome = aft_index_see(&j->index, &s);
    aft_index_wait(&j->index, &w);
}

/* withdraw: what was to be taken back still waits for its impression. */
static void
withdraw(struct aft_joiner *j, const struct afti_event *v, uint64_t outcome)
{
    uint64_t n;
    bool waits = aft_index_waiting_of(&j->index, outcome, &n);
    AFT_ASSERT(waits);
    j->ledger.note = AFTI_DIRECT;
    AFTI_FATE(j, withdrawn);
    aft_index_seen(&j->index, outcome)->note = j->ledger.note;
    aft_buffer_reset(&j->bytes);
    aft_put_long(&j->bytes, (int64_t)outcome);
    afti_ledger_encode(&j->bytes, &j->ledger);
    afti_append(j, AFT_REDO_RESOLVED, v, aft_buffer_bytes(&j->bytes), AFT_ABSENT);
    aft_index_waited(&j->index, n);
    afti_ledger_reset(&j->ledger);
    AFTI_FATE(j, retraction);
}

/* take_back fills j->ledger with the negated credit of an outcome. */
static enum aft_err
take_back(struct aft_joiner *j, uint64_t outcome, struct aft_error *e)
{
    AFT_TRY(afti_ledger_of(j, aft_index_seen(&j->index, outcome), &j->taken_back, e));
    j->ledger.flags |= AFTI_RETRACTS;
    j->ledger.retracted = outcome;
    for (uint32_t i = 0; i < j->taken_back.credit_n; i++) {
        struct afti_credit c = j->taken_back.credit[i];
        c.unit = (int64_t)(0 - (uint64_t)c.unit);
        c.micro = (int64_t)(0 - (uint64_t)c.micro);
        if (!aft_index_find(&j->index, c.decision, &c.touch)) /* who has the id now */
            c.touch = AFTI_NO_TOUCH;
        j->counts.counts.credit_ppm -= c.ppm;
        *afti_ledger_add(&j->ledger) = c;
    }
    AFTI_FATE(j, retraction);
    j->counts.counts.retracted++;
    return AFT_OK;
}

static enum aft_err
retract(struct aft_joiner *j, const struct afti_event *v, const struct aft_outcome *o,
        struct aft_hash128 id, struct aft_error *e)
{
    uint64_t n;
    afti_ledger_reset(&j->ledger);
    if (!aft_index_seen_before(&j->index, aft_id_of(o->retracts), &n)) {
        AFTI_FATE(j, retraction_of_unknown);
    } else if (aft_index_seen(&j->index, n)->waiting) {
        withdraw(j, v, n);
    } else if (aft_index_seen(&j->index, n)->ledger.segment == 0) {
        AFTI_FATE(j, retraction_of_unknown);
    } else {
        AFT_TRY(take_back(j, n, e));
    }
    struct aft_place at = see(j, v, id);
    return afti_apply(j, v->e, at.segment, &j->ledger, o->outcome_id, e);
}

enum aft_err
afti_outcome(struct aft_joiner *j, const struct afti_event *v, struct aft_error *e)
{
    struct aft_outcome o;
    uint64_t n;
    AFT_TRY(aft_decode_outcome(v->body, &j->arena, &o, e));
    int kind = afti_kind(&j->config, o.kind);
    struct aft_hash128 id = v->id;
    if (kind < 0 && !o.retracts.p) {
        j->counts.fates.unknown_kind++;
        return AFT_OK;
    }
    if (aft_index_seen_before(&j->index, id, &n)) {
        j->counts.fates.duplicate++;
        return AFT_OK;
    }
    if (o.retracts.p)
        return retract(j, v, &o, id, e);
    if (o.decision_id.p && !aft_index_find(&j->index, aft_id_of(o.decision_id), &n)) {
        wait_for(j, v, id, aft_id_of(o.decision_id), v->user);
        return AFT_OK;
    }
    AFT_TRY(afti_attribute(j, &o, (uint8_t)kind, e));
    struct aft_place at = see(j, v, id);
    return afti_apply(j, v->e, at.segment, &j->ledger, o.outcome_id, e);
}

/* ---- erasures */

static void
wipe_touch(struct aft_joiner *j, uint64_t n)
{
    struct aft_touch *t = aft_index_touch(&j->index, n);
    uint8_t payload[AFT_ERASED_BYTES];
    if (t->flags & AFT_TOUCH_WIPED)
        return;
    t->flags |= AFT_TOUCH_WIPED;
    hash_bytes(payload, aft_touch_id(t));
    aft_store_le64(payload + 16, (uint64_t)aft_touch_ts(t));
    payload[24] = (t->flags & AFT_TOUCH_DEFERRED) != 0;
    afti_wipe_later(j, aft_touch_place(t), AFT_REDO_ERASED, 0,
                    (struct aft_bytes){payload, sizeof payload});
}

static enum aft_err
erase_touches(struct aft_joiner *j, const struct afti_event *v, struct aft_error *e)
{
    struct aft_index *x = &j->index;
    size_t live = 0;
    uint64_t n;
    for (bool more = aft_index_newest(x, v->user, &n); more; more = aft_index_before(x, n, &n)) {
        const struct aft_touch *t = aft_index_touch(x, n);
        wipe_touch(j, n);
        if (!(t->flags & AFT_TOUCH_LIVE))
            continue;
        AFTI_ROOM(j->ranked, live + 1, j->ranked_cap);
        j->ranked[live++] =
            (struct afti_ranked){.a = (uint64_t)aft_touch_ts(t) ^ (UINT64_C(1) << 63), .b = n};
    }
    if (live > 1)
        afti_sort(j->ranked, live); /* by ts, then offset: what its example goes by */
    for (size_t i = 0; i < live; i++) {
        n = j->ranked[i].b;
        if (aft_index_touch(x, n)->flags & AFT_TOUCH_OPENED)
            AFT_TRY(afti_emit(j, AFT_ERASE, v->e, n, AFT_ABSENT, NULL, e));
        aft_index_drop(x, n);
    }
    return AFT_OK;
}

enum aft_err
afti_erase(struct aft_joiner *j, const struct afti_event *v, struct aft_error *e)
{
    struct aft_index *x = &j->index;
    AFT_TRY(erase_touches(j, v, e));
    for (uint64_t n = x->waiting_head; n < x->waiting_tail; n++) {
        struct aft_waiting *w = aft_index_waiting(x, n);
        if (w->wiped || !aft_same_id(w->user, v->user))
            continue;
        w->wiped = true;
        if (w->live) {
            aft_index_waited(x, n);
            aft_index_seen(x, w->outcome)->note = AFT_FATE_erased | AFTI_DIRECT;
            j->counts.fates.erased++;
        }
        uint8_t note = w->outcome >= x->seen_head ? aft_index_seen(x, w->outcome)->note : 0;
        afti_wipe_later(j, w->at, AFT_REDO_OUTCOME, note, AFT_ABSENT);
    }
    j->counts.counts.erased_users++;
    j->erased = true;
    return AFT_OK;
}
