/* timers.c - open, settle, orphan, forget, at their time. Nothing of this is stored: a timer is a function of its touch.
 *
 * A timer has a fire time and an order of creation; they fire by (fire, creation), after the events of their own millisecond. A touch n
 * creates open (unless deferred), then settle: creation 4n and 4n + 1; an activation between touches n and n + 1: 4n + 2.
 *   open        e + open_after: ascends along the ring: a cursor
 *   settle      ts + window + grace: ascends for those that came on time (ts = e): a cursor; the late ones are in a heap
 *   activation  e of the outcome + open_after: ascends: a queue
 * Orphan and forget touch nothing that the others see, so their order among these is free: cursors too.
 *
 * Invariants: I1 fire never falls from one timer to the next; I2 cursors never pass a touch whose timer has not fired; I3 nothing fires
 * before `quiet`: what an event of time e makes fires at e + the shortest delay or later, but a late settle, which is looked at when it is made.
 * A timer goes by decision id: that of a touch that is gone meets a newer touch of the same id ("stale"). Since the gone one may not
 * be in the state any more when it is read again, this alone is written down.
 */
#include <stdlib.h>

#include "attribution/inner.h"

enum source { OPEN, SETTLE, LATE, ACTIVATION };

struct due {
    enum source source;
    int64_t fire; /* INT64_MAX: never */
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
    t->open_fire = t->settle_fire = INT64_MAX;
    t->quiet = t->quiet_outcomes = INT64_MIN;
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
    t->quiet = v.fire < t->quiet ? v.fire : t->quiet;
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

/* look_at_open, look_at_settle: when the timer of the cursor's touch fires, looked at once a touch. */
static inline void
look_at_open(struct aft_joiner *j)
{
    const struct aft_index *x = &j->index;
    struct afti_timers *t = &j->timers;
    if (t->open_seen == t->open + 1)
        return;
    while (t->open < x->tail && (aft_index_touch(x, t->open)->flags & AFT_TOUCH_DEFERRED))
        t->open++;
    t->open_seen = t->open < x->tail ? t->open + 1 : 0;
    t->open_fire = t->open_seen ? aft_touch_e(aft_index_touch(x, t->open)) + j->config.open_after_ms
                                : INT64_MAX;
}

static inline void
look_at_settle(struct aft_joiner *j)
{
    const struct aft_index *x = &j->index;
    struct afti_timers *t = &j->timers;
    if (t->settle_seen == t->settle + 1)
        return;
    while (t->settle < x->tail && aft_index_touch(x, t->settle)->late != 0)
        t->settle++;
    t->settle_seen = t->settle < x->tail ? t->settle + 1 : 0;
    t->settle_fire =
        t->settle_seen ? afti_settle_of(j, aft_touch_ts(aft_index_touch(x, t->settle))) : INT64_MAX;
}

static inline int64_t
sooner_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline void
consider(struct due *d, enum source source, int64_t fire, uint64_t born)
{
    if (fire < d->fire || (fire == d->fire && born < d->born))
        *d = (struct due){source, fire, born};
}

static inline const struct afti_activation *
first_activation(const struct afti_timers *t)
{
    return t->activation_head < t->activation_tail
               ? &t->activation[t->activation_head & (t->activation_cap - 1)]
               : NULL;
}

/* rare_fire: when the first of the late and the activations fires; there are few or none. */
static inline int64_t
rare_fire(const struct afti_timers *t)
{
    const struct afti_activation *a = first_activation(t);
    return sooner_of(t->late_n ? t->late[0].fire : INT64_MAX, a ? a->fire : INT64_MAX);
}

/* next_due: what fires next, when something does. */
static struct due
next_due(const struct afti_timers *t)
{
    const struct afti_activation *a = first_activation(t);
    struct due d = {OPEN, t->open_fire, 4 * t->open};
    consider(&d, SETTLE, t->settle_fire, 4 * t->settle + 1);
    if (t->late_n)
        consider(&d, LATE, t->late[0].fire, 4 * t->late[0].touch + 1);
    if (a)
        consider(&d, ACTIVATION, a->fire, 4 * (a->born - 1) + 2);
    return d;
}

/* silent: no example of this touch can be rewarded, and no other is wanted; or none at all is. */
static inline bool
silent(const struct aft_joiner *j, const struct aft_touch *t)
{
    return (!t->cells && j->config.emit_rewarded_only) || j->replaying;
}

static enum aft_err
open_touch(struct aft_joiner *j, int64_t fire, uint64_t n, struct aft_error *e)
{
    struct aft_touch *t = aft_index_touch(&j->index, n);
    int64_t rewards[AFT_SHOWN_MAX];
    if (t->flags & AFT_TOUCH_OPENED)
        return AFT_OK;
    t->flags |= AFT_TOUCH_OPENED;
    if (silent(j, t))
        return AFT_OK;
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
    const struct aft_touch *t = aft_index_touch(&j->index, n);
    if (t->flags & AFT_TOUCH_ACTIVE) {
        AFT_TRY(open_touch(j, fire, n, e));
        if (!silent(j, t))
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

/* stale fires the timer of a touch that is gone for what has its id now, if anything has. */
static __attribute__((noinline)) enum aft_err
stale(struct aft_joiner *j, int64_t fire, struct aft_hash128 id, bool settle, struct aft_error *e)
{
    uint64_t n;
    if (j->replaying || !aft_index_find(&j->index, id, &n))
        return AFT_OK;
    uint8_t payload[17];
    struct afti_event when = {.e = fire, .offset = -1};
    aft_store_le64(payload, id.low);
    aft_store_le64(payload + 8, id.high);
    payload[16] = settle;
    afti_append(j, AFT_REDO_STALE, &when, (struct aft_bytes){payload, sizeof payload}, AFT_ABSENT);
    return afti_timer_act(j, fire, n, settle, e);
}

/* act fires a timer of a touch that is in the ring. */
static inline enum aft_err
act(struct aft_joiner *j, int64_t fire, uint64_t n, bool settle, struct aft_error *e)
{
    const struct aft_touch *t = aft_index_touch(&j->index, n);
    if (t->flags & AFT_TOUCH_LIVE)
        return afti_timer_act(j, fire, n, settle, e);
    return stale(j, fire, aft_touch_id(t), settle, e);
}

static __attribute__((noinline)) enum aft_err
activation(struct aft_joiner *j, int64_t fire, struct aft_error *e)
{
    struct afti_timers *t = &j->timers;
    const struct aft_index *x = &j->index;
    const struct afti_activation *a =
        &t->activation[t->activation_head++ & (t->activation_cap - 1)];
    bool there = a->touch >= x->head && a->touch < x->tail &&
                 (aft_index_touch(x, a->touch)->flags & AFT_TOUCH_LIVE);
    return there ? afti_timer_act(j, fire, a->touch, false, e) : stale(j, fire, a->id, false, e);
}

static inline enum aft_err
fire_one(struct aft_joiner *j, const struct due *d, struct aft_error *e)
{
    struct afti_timers *t = &j->timers;
    switch (d->source) {
    case OPEN:
        return act(j, d->fire, t->open++, false, e);
    case SETTLE:
        return act(j, d->fire, t->settle++, true, e);
    case LATE:
        return act(j, d->fire, pop_late(t), true, e);
    case ACTIVATION:
        return activation(j, d->fire, e);
    }
    AFT_NEVER();
}

/* orphans_and_forgotten; returns when the next of them is due, INT64_MAX for never. */
static int64_t
orphans_and_forgotten(struct aft_joiner *j, int64_t before)
{
    struct aft_index *x = &j->index;
    struct afti_timers *t = &j->timers;
    int64_t next = INT64_MAX, forget;
    if (t->orphan < x->waiting_head)
        t->orphan = x->waiting_head;
    for (; t->orphan < x->waiting_tail; t->orphan++) {
        next = aft_index_waiting(x, t->orphan)->e + j->config.orphan_after_ms;
        if (next >= before)
            break;
        next = INT64_MAX;
        if (aft_index_waiting(x, t->orphan)->live) {
            aft_index_waited(x, t->orphan);
            aft_index_seen(x, aft_index_waiting(x, t->orphan)->outcome)->note =
                AFT_FATE_orphan | AFTI_DIRECT;
            j->counts.fates.orphan++;
        }
    }
    for (; x->seen_head < x->seen_tail; aft_index_forget(x))
        if ((forget = afti_settle_of(j, aft_index_seen(x, x->seen_head)->e)) >= before)
            return forget < next ? forget : next;
    return next;
}

/* shortest: how long after an event of time e what it makes fires at the earliest; a late settle is seen to by afti_timers_late. */
static int64_t
shortest(const struct aft_join_config *c)
{
    int64_t least = c->window_ms + c->grace_ms;
    least = c->open_after_ms < least ? c->open_after_ms : least;
    return c->orphan_after_ms < least ? c->orphan_after_ms : least;
}

/* after: a time and some more, the end of time at the latest. */
static inline int64_t
after(int64_t when, int64_t by)
{
    return when > INT64_MAX - by ? INT64_MAX : when + by;
}

/* fire_due fires what is due; *next: when the first of the rest does. An open alone before all others is the usual case. */
static enum aft_err
fire_due(struct aft_joiner *j, int64_t before, int64_t *next, struct aft_error *e)
{
    struct afti_timers *t = &j->timers;
    int64_t last = INT64_MIN;
    for (;; last = *next) {
        look_at_open(j);
        look_at_settle(j);
        int64_t others = sooner_of(t->settle_fire, rare_fire(t));
        *next = sooner_of(t->open_fire, others);
        if (*next >= before)
            return AFT_OK;
        AFT_INVARIANT(I1, *next >= last);
        if (t->open_fire < others) {
            AFT_TRY(act(j, *next, t->open++, false, e));
        } else {
            struct due d = next_due(t);
            AFT_TRY(fire_one(j, &d, e));
        }
    }
}

enum aft_err
afti_timers_run(struct aft_joiner *j, int64_t before, struct aft_error *e)
{
    struct afti_timers *t = &j->timers;
    int64_t next;
    if (before <= t->quiet)
        return AFT_OK;
    AFT_TRY(fire_due(j, before, &next, e));
    int64_t new = after(before, shortest(&j->config));
    if (before > t->quiet_outcomes)
        t->quiet_outcomes = sooner_of(orphans_and_forgotten(j, before), new);
    t->quiet = sooner_of(sooner_of(next, t->quiet_outcomes), new);
    return AFT_OK;
}
