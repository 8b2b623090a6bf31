/* digest.c - the state's meaning in 32 bytes: the same whatever the batching, the commits, the restarts. Pure.
 * What the future depends on is in it (touches with their credit, pending timers, outcomes, waiting, seq, hash, the place), nothing else
 * (numbers of touches, places in segments, what is kept a little longer than needed). */
#include "attribution/inner.h"

static void
number(struct aft_digester *d, int64_t v)
{
    uint8_t b[8];
    aft_store_le64(b, (uint64_t)v);
    aft_digester_update(d, (struct aft_bytes){b, sizeof b});
}

static void
hash(struct aft_digester *d, struct aft_hash128 h)
{
    number(d, (int64_t)h.low);
    number(d, (int64_t)h.high);
}

static void
one_touch(struct aft_digester *d, const struct aft_joiner *j, const struct aft_touch *t)
{
    bool live = t->flags & AFT_TOUCH_LIVE;
    bool to_open =
        !(t->flags & AFT_TOUCH_DEFERRED) && aft_touch_e(t) + j->config.open_after_ms >= j->fired;
    if (!live && !to_open && afti_settle_of(j, aft_touch_ts(t)) < j->fired)
        return;
    hash(d, aft_touch_id(t));
    number(d, aft_touch_ts(t));
    number(d, aft_touch_e(t));
    number(d, live ? t->flags &
                         (AFT_TOUCH_LIVE | AFT_TOUCH_OPENED | AFT_TOUCH_ACTIVE | AFT_TOUCH_DEFERRED)
                   : t->flags & AFT_TOUCH_DEFERRED);
    for (const struct aft_cell *c = aft_index_cells(&j->index, t->cells); live && c;
         c = aft_index_cells(&j->index, c->next)) {
        number(d, c->item << 8 | c->kind);
        number(d, c->unit);
        number(d, c->micro);
    }
    number(d, -1);
}

static void
outcomes(struct aft_digester *d, const struct aft_index *x)
{
    for (uint64_t n = x->seen_head; n < x->seen_tail; n++) {
        const struct aft_seen *s = aft_index_seen(x, n);
        hash(d, s->id);
        number(d, s->e);
        number(d, s->waiting | (s->ledger.segment != 0) << 1);
    }
    number(d, -2);
    for (uint64_t n = x->waiting_head; n < x->waiting_tail; n++) {
        const struct aft_waiting *w = aft_index_waiting(x, n);
        if (!w->live)
            continue;
        hash(d, w->decision);
        hash(d, w->user);
        number(d, w->e);
    }
    number(d, -3);
}

void
aft_joiner_digest(const struct aft_joiner *j, struct aft_digest *out)
{
    struct aft_digester d;
    struct aft_join_counts counts;
    const struct afti_timers *t = &j->timers;
    aft_digester_init(&d);
    number(&d, (int64_t)j->seq);
    hash(&d, j->hash);
    number(&d, j->place_e);
    number(&d, j->place_log);
    number(&d, j->place_offset);
    number(&d, j->fired);
    for (uint64_t n = j->index.head; n < j->index.tail; n++)
        one_touch(&d, j, aft_index_touch(&j->index, n));
    outcomes(&d, &j->index);
    for (uint64_t i = t->activation_head; i < t->activation_tail; i++) {
        hash(&d, t->activation[i & (t->activation_cap - 1)].id);
        number(&d, t->activation[i & (t->activation_cap - 1)].fire);
    }
    aft_joiner_counts(j, &counts);
    counts.future = 0; /* of records that may be ahead of the place */
    for (int i = 0; i < (int)AFTI_COUNTS; i++) {
        int64_t v;
        memcpy(&v, (const char *)&counts + (size_t)i * 8, 8);
        number(&d, v);
    }
    aft_digester_final(&d, out);
}
