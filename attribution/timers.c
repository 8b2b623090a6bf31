/* timers.c - open, settle, orphan, forget, at their time. Nothing of this is stored: a timer is a function of its touch.
 *
 * A timer has a fire time and an order of creation; they fire by (fire, creation), after the events of their own millisecond. A touch n
 * creates open (unless deferred), then settle: creation 4n and 4n + 1; an activation between touches n and n + 1: 4n + 2.
 *   open        e + open_after: ascends along the ring: a cursor
 *   settle      ts + window + grace: ascends for those that came on time (ts = e): a cursor; the late ones are in a heap
 *   activation  e of the outcome + open_after: ascends: a queue
 * Orphan and forget touch nothing that the others see, so their order among these is free: cursors too.
 *
 * Invariants: I1 fire never falls from one timer to the next; I2 cursors never pass a touch whose timer has not fired.
 * A timer goes by decision id: that of a touch that is gone meets a newer touch of the same id ("stale"). Since the gone one may not
 * be in the state any more when it is read again, this alone is written down.
 */
#include <stdlib.h>

#include "attribution/inner.h"

enum source { NOBODY, OPEN, SETTLE, LATE, ACTIVATION };

struct due {
    enum source source;
    int64_t fire;
    uint64_t born;
};

void
afti_timers_init(struct afti_timers *t, uint64_t first_touch)
{
    t->open = t->settle = first_touch;
    t->open_seen = t->settle_seen = 0;
    t->orphan = 0;
    t->late_n = 0;
    t->activation_head = t->activation_tail = 0;
}

void
afti_timers_deinit(struct afti_timers *t)
{
    free(t->late);
    free(t->activation);
    *t = (struct afti_timers){0};
}

static bool
sooner(const struct afti_late *a, const struct afti_late *b)
{
    return a->fire != b->fire ? a->fire < b->fire : a->touch < b->touch;
}

void
afti_timers_late(struct aft_joiner *j, uint64_t touch)
{
    struct afti_timers *t = &j->timers;
    struct afti_late v = {afti_settle_of(j, aft_touch_ts(aft_index_touch(&j->index, touch))),
                          touch};
    AFTI_ROOM(t->late, t->late_n + 1, t->late_cap);
    size_t i = t->late_n++;
    for (; i > 0 && sooner(&v, &t->late[(i - 1) / 2]); i = (i - 1) / 2)
        t->late[i] = t->late[(i - 1) / 2];
    t->late[i] = v;
}

static uint64_t
pop_late(struct afti_timers *t)
{
    uint64_t touch = t->late[0].touch;
    struct afti_late v = t->late[--t->late_n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->late_n; i = child) {
        if (child + 1 < t->late_n && sooner(&t->late[child + 1], &t->late[child]))
            child++;
        if (!sooner(&t->late[child], &v))
            break;
        t->late[i] = t->late[child];
    }
    t->late[i] = v;
    return touch;
}

void
afti_timers_activate(struct aft_joiner *j, const struct afti_activation *a)
{
    struct afti_timers *t = &j->timers;
    if (t->activation_tail - t->activation_head == t->activation_cap) {
        uint64_t cap = t->activation_cap ? t->activation_cap * 2 : 64;
        struct afti_activation *wide = malloc(cap * sizeof *wide);
        AFT_ASSERT(wide != NULL);
        for (uint64_t i = t->activation_head; i < t->activation_tail; i++)
            wide[i & (cap - 1)] = t->activation[i & (t->activation_cap - 1)];
        free(t->activation);
        t->activation = wide;
        t->activation_cap = cap;
    }
    t->activation[t->activation_tail++ & (t->activation_cap - 1)] = *a;
}

static void
consider(struct due *d, enum source source, int64_t fire, uint64_t born)
{
    if (d->source == NOBODY || fire < d->fire || (fire == d->fire && born < d->born))
        *d = (struct due){source, fire, born};
}

/* look_at_cursors: when the timers of both cursors' touches fire, looked at once a touch. */
static void
look_at_cursors(struct aft_joiner *j)
{
    const struct aft_index *x = &j->index;
    struct afti_timers *t = &j->timers;
    if (t->open_seen != t->open + 1) {
        while (t->open < x->tail && (aft_index_touch(x, t->open)->flags & AFT_TOUCH_DEFERRED))
            t->open++;
        t->open_seen = t->open < x->tail ? t->open + 1 : 0;
        if (t->open_seen)
            t->open_fire = aft_touch_e(aft_index_touch(x, t->open)) + j->config.open_after_ms;
    }
    if (t->settle_seen != t->settle + 1) {
        while (t->settle < x->tail && aft_index_touch(x, t->settle)->late != 0)
            t->settle++;
        t->settle_seen = t->settle < x->tail ? t->settle + 1 : 0;
        if (t->settle_seen)
            t->settle_fire = afti_settle_of(j, aft_touch_ts(aft_index_touch(x, t->settle)));
    }
}

static struct due
next_due(struct aft_joiner *j)
{
    struct afti_timers *t = &j->timers;
    struct due d = {NOBODY, 0, 0};
    look_at_cursors(j);
    if (t->open_seen)
        consider(&d, OPEN, t->open_fire, 4 * t->open);
    if (t->settle_seen)
        consider(&d, SETTLE, t->settle_fire, 4 * t->settle + 1);
    if (t->late_n)
        consider(&d, LATE, t->late[0].fire, 4 * t->late[0].touch + 1);
    if (t->activation_head < t->activation_tail) {
        const struct afti_activation *a =
            &t->activation[t->activation_head & (t->activation_cap - 1)];
        consider(&d, ACTIVATION, a->fire, 4 * (a->born - 1) + 2);
    }
    return d;
}

static enum aft_err
open_touch(struct aft_joiner *j, int64_t fire, uint64_t n, struct aft_error *e)
{
    struct aft_touch *t = aft_index_touch(&j->index, n);
    int64_t rewards[AFT_SHOWN_MAX];
    if (t->flags & AFT_TOUCH_OPENED)
        return AFT_OK;
    t->flags |= AFT_TOUCH_OPENED;
    if (!t->cells)
        return afti_emit(j, AFT_OPEN, fire, n, AFT_ABSENT, NULL, e);
    memset(rewards, 0, t->items * sizeof rewards[0]);
    for (const struct aft_cell *c = aft_index_cells(&j->index, t->cells); c;
         c = aft_index_cells(&j->index, c->next))
        if (c->kind != AFT_CELL_CLICK)
            rewards[c->item] = (int64_t)((uint64_t)rewards[c->item] + (uint64_t)c->micro);
    return afti_emit(j, AFT_OPEN, fire, n, AFT_ABSENT, rewards, e);
}

static enum aft_err
settle_touch(struct aft_joiner *j, int64_t fire, uint64_t n, struct aft_error *e)
{
    if (aft_index_touch(&j->index, n)->flags & AFT_TOUCH_ACTIVE) {
        AFT_TRY(open_touch(j, fire, n, e));
        AFT_TRY(afti_emit(j, AFT_SETTLE, fire, n, AFT_ABSENT, NULL, e));
    } else {
        j->counts.counts.never_seen++;
    }
    aft_index_drop(&j->index, n);
    return AFT_OK;
}

enum aft_err
afti_timer_act(struct aft_joiner *j, int64_t fire, uint64_t n, bool settle, struct aft_error *e)
{
    return settle ? settle_touch(j, fire, n, e) : open_touch(j, fire, n, e);
}

/* act fires a timer of touch n, or of what has its id now. */
static enum aft_err
act(struct aft_joiner *j, int64_t fire, uint64_t n, struct aft_hash128 id, bool settle,
    struct aft_error *e)
{
    const struct aft_index *x = &j->index;
    if (n >= x->head && n < x->tail && (aft_index_touch(x, n)->flags & AFT_TOUCH_LIVE))
        return afti_timer_act(j, fire, n, settle, e);
    if (j->replaying || !aft_index_find(x, id, &n))
        return AFT_OK;
    uint8_t payload[17];
    struct afti_event when = {.e = fire, .offset = -1};
    aft_store_le64(payload, id.low);
    aft_store_le64(payload + 8, id.high);
    payload[16] = settle;
    afti_append(j, AFT_REDO_STALE, &when, (struct aft_bytes){payload, sizeof payload}, AFT_ABSENT);
    return afti_timer_act(j, fire, n, settle, e);
}

static enum aft_err
fire_one(struct aft_joiner *j, const struct due *d, struct aft_error *e)
{
    struct afti_timers *t = &j->timers;
    struct afti_activation a;
    uint64_t n = 0;
    switch (d->source) {
    case OPEN:
        n = t->open++;
        break;
    case SETTLE:
        n = t->settle++;
        break;
    case LATE:
        n = pop_late(t);
        break;
    case ACTIVATION:
        a = t->activation[t->activation_head++ & (t->activation_cap - 1)];
        return act(j, d->fire, a.touch, a.id, false, e);
    case NOBODY:
        AFT_NEVER();
    }
    return act(j, d->fire, n, aft_touch_id(aft_index_touch(&j->index, n)), d->source != OPEN, e);
}

static void
orphans_and_forgotten(struct aft_joiner *j, int64_t before)
{
    struct aft_index *x = &j->index;
    struct afti_timers *t = &j->timers;
    if (t->orphan < x->waiting_head)
        t->orphan = x->waiting_head;
    for (; t->orphan < x->waiting_tail; t->orphan++) {
        if (aft_index_waiting(x, t->orphan)->e + j->config.orphan_after_ms >= before)
            break;
        if (aft_index_waiting(x, t->orphan)->live) {
            aft_index_waited(x, t->orphan);
            j->counts.fates.orphan++;
        }
    }
    while (x->seen_head < x->seen_tail &&
           afti_settle_of(j, aft_index_seen(x, x->seen_head)->e) < before)
        aft_index_forget(x);
}

enum aft_err
afti_timers_run(struct aft_joiner *j, int64_t before, struct aft_error *e)
{
    int64_t last = INT64_MIN;
    for (struct due d = next_due(j); d.source != NOBODY && d.fire < before; d = next_due(j)) {
        AFT_INVARIANT(I1, d.fire >= last);
        last = d.fire;
        AFT_TRY(fire_one(j, &d, e));
    }
    orphans_and_forgotten(j, before);
    return AFT_OK;
}
