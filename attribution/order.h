/* order.h - one log's place in the canonical order: effective times, watermark, ticks, a reorder buffer. Inner to attribution/.
 * What each function does to the order is semantics.md, "Order". */
#ifndef AFT_ATTRIBUTION_ORDER_H
#define AFT_ATTRIBUTION_ORDER_H

#include "attribution/attribution.h"

#define AFTI_NONE INT64_MIN

struct afti_slab; /* bytes of many records, freed when the last of them is done */

struct afti_event {
    int64_t e, offset, ts;
    struct aft_bytes body; /* absent: an erasure of `user` */
    struct aft_hash128 id, user;
    struct aft_log_mark before; /* this log's state before this record */
    struct afti_slab *slab;
    uint32_t chain; /* of unused ones */
    bool deferred;
    uint8_t items; /* of the slate */
};

struct afti_tick {
    int64_t at_offset, watermark_ms;
};

struct afti_key {
    int64_t e, offset;
    uint32_t event;
};

struct afti_log {
    int64_t disorder_ms;
    struct aft_log_mark now; /* before the next record */
    struct afti_key *ring;   /* sorted by (e, offset) */
    uint64_t head, tail, cap;
    struct afti_event *events; /* by index; unused ones are chained */
    uint32_t events_n, events_cap, events_free;
    struct afti_tick *ticks; /* not yet in effect, by at_offset */
    size_t ticks_n, ticks_cap;
    struct aft_disorder disorder;
    struct afti_slab *filling, *spare;
    size_t slab_bytes;
};

void afti_log_init(struct afti_log *l, int64_t disorder_ms, struct aft_log_mark from);
void afti_log_deinit(struct afti_log *l);

/* afti_log_watermark: AFTI_NONE before the first record or tick. */
int64_t afti_log_watermark(const struct afti_log *l);

/* afti_log_tick: takes effect before the first record at or beyond at_offset; at once when no such record can still come. */
void afti_log_tick(struct afti_log *l, int64_t at_offset, int64_t watermark_ms);
/* afti_log_reached: every record below next_offset was given; ticks up to there take effect. */
void afti_log_reached(struct afti_log *l, int64_t next_offset);

/* afti_log_effective: the effective time that a record of this ts gets here and now; for an erasure (ts AFTI_NONE) the greatest
 * time shown, AFTI_NONE when nothing was. */
int64_t afti_log_effective(const struct afti_log *l, int64_t ts);

/* afti_log_next: the event to be filled for the record that is added next: e, offset, ts, body, id, user, deferred, items; the same until
 * then. afti_log_add puts it in its place (its bytes are copied) and moves the watermark. */
struct afti_event *afti_log_next(struct afti_log *l);
void afti_log_add(struct afti_log *l);
/* afti_log_pass: the same, but for a record that takes no place (it was processed before a restart). */
void afti_log_pass(struct afti_log *l, int64_t offset, int64_t ts);

static inline const struct afti_key *
afti_log_first(const struct afti_log *l)
{
    return l->head == l->tail ? NULL : &l->ring[l->head & (l->cap - 1)];
}
/* afti_log_ahead: the event k places behind the first, NULL when there are not so many. */
static inline const struct afti_event *
afti_log_ahead(const struct afti_log *l, uint64_t k)
{
    return l->tail - l->head > k ? &l->events[l->ring[(l->head + k) & (l->cap - 1)].event] : NULL;
}
/* afti_log_take: the first event; its bytes live until afti_log_done. */
struct afti_event *afti_log_take(struct afti_log *l, uint32_t *event);
void afti_log_done(struct afti_log *l, uint32_t event);

/* afti_log_low: where this log must be read again from: the state before the lowest offset still waiting. */
struct aft_log_mark afti_log_low(const struct afti_log *l);
size_t afti_log_memory(const struct afti_log *l);

#endif
