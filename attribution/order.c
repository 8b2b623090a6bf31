/* order.c - the reorder buffer: a ring of keys sorted by (e, offset), the events beside it, their bytes in slabs.
 *
 * e = max(ts, watermark before); watermark = max(greatest ts - disorder, tick). A record comes late into the ring only by as much
 * as its log is out of order, so the insertion is short.
 *
 * Invariants: I1 the ring ascends by (e, offset); I2 e of a new record >= watermark, so what was released stays below it;
 * I3 afti_log_low().next_offset <= the offset of everything in the ring.
 */
#include "attribution/order.h"

#include <stdlib.h>

enum { SLAB_BYTES = 256 << 10, RING_MIN = 1024 };
#define NO_EVENT UINT32_MAX

struct afti_slab {
    struct afti_slab *next;
    size_t used, cap;
    uint32_t refs;
    uint8_t bytes[];
};

void
afti_log_init(struct afti_log *l, int64_t disorder_ms, struct aft_log_mark from)
{
    *l = (struct afti_log){.disorder_ms = disorder_ms, .now = from, .events_free = NO_EVENT};
}

void
afti_log_deinit(struct afti_log *l)
{
    while (l->head < l->tail) {
        uint32_t event;
        afti_log_take(l, &event);
        afti_log_done(l, event);
    }
    free(l->filling);
    for (struct afti_slab *s = l->spare, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(l->ring);
    free(l->events);
    free(l->ticks);
    *l = (struct afti_log){0};
}

int64_t
afti_log_watermark(const struct afti_log *l)
{
    int64_t shown = l->now.most_ms == AFTI_NONE ? AFTI_NONE : l->now.most_ms - l->disorder_ms;
    return shown > l->now.tick_ms ? shown : l->now.tick_ms;
}

int64_t
afti_log_effective(const struct afti_log *l, int64_t ts)
{
    if (ts == AFTI_NONE)
        return l->now.most_ms > l->now.tick_ms ? l->now.most_ms : l->now.tick_ms;
    int64_t w = afti_log_watermark(l);
    return ts > w ? ts : w;
}

/* take_effect: ticks at or before this offset count from now on. */
static void
take_effect(struct afti_log *l, int64_t offset)
{
    size_t n = 0;
    for (; n < l->ticks_n && l->ticks[n].at_offset <= offset; n++) {
        int64_t w = l->ticks[n].watermark_ms > 0 ? l->ticks[n].watermark_ms : 0;
        l->now.tick_ms = w > l->now.tick_ms ? w : l->now.tick_ms;
    }
    l->ticks_n -= n;
    if (n && l->ticks_n)
        memmove(l->ticks, l->ticks + n, l->ticks_n * sizeof *l->ticks);
}

void
afti_log_tick(struct afti_log *l, int64_t at_offset, int64_t watermark_ms)
{
    if (l->ticks_n == l->ticks_cap) {
        l->ticks_cap = l->ticks_cap ? l->ticks_cap * 2 : 16;
        l->ticks = realloc(l->ticks, l->ticks_cap * sizeof *l->ticks);
        AFT_ASSERT(l->ticks != NULL);
    }
    size_t i = l->ticks_n++;
    for (; i > 0 && l->ticks[i - 1].at_offset > at_offset; i--)
        l->ticks[i] = l->ticks[i - 1];
    l->ticks[i] = (struct afti_tick){at_offset, watermark_ms};
    take_effect(l, l->now.next_offset);
}

void
afti_log_reached(struct afti_log *l, int64_t next_offset)
{
    if (next_offset > l->now.next_offset)
        l->now.next_offset = next_offset;
    take_effect(l, l->now.next_offset);
}

static struct afti_slab *
slab_with(struct afti_log *l, size_t n)
{
    if (l->filling && l->filling->cap - l->filling->used >= n)
        return l->filling;
    if (l->filling && l->filling->refs == 0) { /* all of it is done: it goes back */
        l->filling->next = l->spare;
        l->spare = l->filling;
    }
    l->filling = NULL;
    struct afti_slab **at = &l->spare;
    while (*at && (*at)->cap < n)
        at = &(*at)->next;
    struct afti_slab *s = *at;
    if (s) {
        *at = s->next;
    } else {
        size_t cap = n > SLAB_BYTES ? n : SLAB_BYTES;
        s = malloc(sizeof *s + cap);
        AFT_ASSERT(s != NULL);
        s->cap = cap;
        l->slab_bytes += cap;
    }
    s->used = 0;
    s->refs = 0;
    return l->filling = s;
}

struct afti_event *
afti_log_next(struct afti_log *l)
{
    if (l->events_free != NO_EVENT)
        return &l->events[l->events_free];
    if (l->events_n == l->events_cap) {
        l->events_cap = l->events_cap ? l->events_cap * 2 : RING_MIN;
        l->events = realloc(l->events, l->events_cap * sizeof *l->events);
        AFT_ASSERT(l->events != NULL);
    }
    l->events[l->events_n].chain = NO_EVENT;
    l->events_free = l->events_n++;
    return &l->events[l->events_free];
}

static void
insert(struct afti_log *l, struct afti_key k)
{
    if (l->tail - l->head == l->cap) {
        uint64_t cap = l->cap ? l->cap * 2 : RING_MIN;
        struct afti_key *wide = malloc(cap * sizeof *wide);
        AFT_ASSERT(wide != NULL);
        for (uint64_t i = l->head; i < l->tail; i++)
            wide[i & (cap - 1)] = l->ring[i & (l->cap - 1)];
        free(l->ring);
        l->ring = wide;
        l->cap = cap;
    }
    uint64_t mask = l->cap - 1, i = l->tail++;
    for (; i > l->head && l->ring[(i - 1) & mask].e > k.e; i--)
        l->ring[i & mask] = l->ring[(i - 1) & mask];
    l->ring[i & mask] = k;
}

void
aft_disorder_add(struct aft_disorder *d, uint64_t by_ms)
{
    uint32_t k = 0;
    d->sum_ms += by_ms;
    for (; by_ms && k < AFT_DISORDER_BUCKETS - 1; k++)
        by_ms >>= 1;
    d->n[k]++;
}

int64_t
aft_disorder_suggested(const struct aft_disorder *d)
{
    uint64_t all = 0, within = 0;
    for (uint32_t k = 0; k < AFT_DISORDER_BUCKETS; k++)
        all += d->n[k];
    for (uint32_t k = 0; k < AFT_DISORDER_BUCKETS; k++) {
        within += d->n[k];
        if (within >= all - all / 10000)
            return k == 0 ? 0 : INT64_C(1) << k;
    }
    return 0;
}

static void
shown(struct afti_log *l, int64_t offset, int64_t ts)
{
    if (ts != AFTI_NONE && l->now.most_ms != AFTI_NONE && ts < l->now.most_ms)
        aft_disorder_add(&l->disorder, (uint64_t)(l->now.most_ms - ts));
    else if (ts != AFTI_NONE)
        l->disorder.n[0]++;
    if (ts != AFTI_NONE && ts > l->now.most_ms)
        l->now.most_ms = ts;
    l->now.next_offset = offset + 1;
    take_effect(l, l->now.next_offset);
}

/* keep copies a record's bytes into a slab. */
static void
keep(struct afti_log *l, struct afti_event *v)
{
    struct afti_slab *s = slab_with(l, v->body.n);
    uint8_t *to = s->bytes + s->used;
    memcpy(to, v->body.p, v->body.n);
    v->body.p = to;
    s->used += v->body.n;
    s->refs++;
    v->slab = s;
}

void
afti_log_add(struct afti_log *l)
{
    uint32_t i = l->events_free;
    struct afti_event *v = &l->events[i];
    AFT_INVARIANT(I2, v->e >= afti_log_watermark(l));
    l->events_free = v->chain;
    v->before = l->now;
    v->before.next_offset = v->offset;
    v->slab = NULL;
    int64_t ts = v->body.p ? v->ts : AFTI_NONE;
    if (v->body.p)
        keep(l, v);
    insert(l, (struct afti_key){v->e, v->offset, i});
    shown(l, v->offset, ts);
}

void
afti_log_pass(struct afti_log *l, int64_t offset, int64_t ts)
{
    shown(l, offset, ts);
}

struct afti_event *
afti_log_take(struct afti_log *l, uint32_t *event)
{
    AFT_ASSERT(l->head < l->tail);
    *event = l->ring[l->head++ & (l->cap - 1)].event;
    return &l->events[*event];
}

void
afti_log_done(struct afti_log *l, uint32_t event)
{
    struct afti_slab *s = l->events[event].slab;
    l->events[event].chain = l->events_free;
    l->events_free = event;
    if (!s)
        return;
    s->refs--;
    if (s->refs == 0 && s != l->filling) {
        s->next = l->spare;
        l->spare = s;
    } else if (s->refs == 0) {
        s->used = 0;
    }
}

struct aft_log_mark
afti_log_low(const struct afti_log *l)
{
    struct aft_log_mark low = l->now;
    for (uint64_t i = l->head; i < l->tail; i++) {
        const struct afti_event *v = &l->events[l->ring[i & (l->cap - 1)].event];
        if (v->offset < low.next_offset)
            low = v->before;
    }
    return low;
}

size_t
afti_log_memory(const struct afti_log *l)
{
    return l->cap * sizeof *l->ring + l->events_cap * sizeof *l->events +
           l->ticks_cap * sizeof *l->ticks + l->slab_bytes;
}
