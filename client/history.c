/* history.c - what each user was shown, clicked and did lately: a table of bounded size, taken at open. Any thread; a lock a shard, held
 * for as long as one user's entries are copied or changed.
 *
 *   add (user, arm or subject, day)  ->  entries of the user: (id, UTC day) -> shown, clicks, done
 *
 * I1 A user's entries are in his slots, each (id, day) once; a subject that is done has one entry, of its last day.
 * I2 A slot is some user's or free. When none is free, the user that was least lately used is forgotten, whole.
 * I3 A user has at most SLOTS_MAX slots; from then on, and when nobody else is left to forget, his oldest entry gives way.
 * I4 What this client logged itself stands beside it in a ring, each user's in a chain, until a record of the history's topic holds it, the
 *    ring comes round, or the user is forgotten: by it an outcome that is taken back is known, and one that is repeated, and what of the
 *    user's figures no record holds yet.
 * Entries older than the long window are used again first. What is there is a function of the calls' order, for each user's shard. */
#include <stdlib.h>

#include "client/client_inner.h"

enum { SHARDS = 16, ENTRIES = 7, RING_SHARE = 8, SLOTS_MAX = AFTI_HISTORY_ENTRIES_MAX / ENTRIES };
#define NONE UINT32_MAX

struct slot {
    uint32_t next, used;
    struct afti_history_entry entries[ENTRIES];
};
struct own { /* I4 */
    struct afti_history_event x;
    uint32_t next, person; /* NONE: the place is free */
};
struct person {
    struct aft_hash128 user;
    uint32_t chain;        /* the next in the bucket, or among those that are free */
    uint32_t newer, older; /* by use */
    uint32_t first, slots; /* the newest slot; it alone may have room */
    uint32_t own;          /* the last that was logged */
};
struct shard {
    pthread_mutex_t lock;
    struct slot *slots;
    struct person *persons;
    uint32_t *buckets;
    uint32_t n; /* of slots, persons and buckets alike */
    uint32_t free_slot, free_person, newest, oldest;
    struct own *ring;
    uint32_t ring_n, ring_next;
    uint64_t users, forgotten;
};
struct afti_history {
    uint32_t long_days;
    struct shard shards[SHARDS];
};

/* ---- the table's life */
static bool
shard_init(struct shard *s, uint32_t n, uint32_t ring_n)
{
    pthread_mutex_init(&s->lock, NULL);
    s->slots = calloc(n, sizeof *s->slots);
    s->persons = calloc(n, sizeof *s->persons);
    s->buckets = calloc(n, sizeof *s->buckets);
    s->ring = calloc(ring_n, sizeof *s->ring);
    s->n = n;
    s->ring_n = ring_n;
    for (uint32_t i = 0; s->ring && i < ring_n; i++)
        s->ring[i].person = NONE;
    s->newest = s->oldest = NONE;
    for (uint32_t i = 0; s->slots && s->persons && s->buckets && i < n; i++) {
        s->slots[i].next = s->persons[i].chain = i + 1 < n ? i + 1 : NONE;
        s->buckets[i] = NONE;
    }
    return s->slots && s->persons && s->buckets && s->ring;
}

static uint32_t
fit(uint64_t n)
{
    return n < 1 ? 1 : n < NONE - 1 ? (uint32_t)n : NONE - 1;
}

struct afti_history *
afti_history_new(uint64_t bytes, uint32_t long_days)
{
    struct afti_history *h = calloc(1, sizeof *h);
    uint64_t each = sizeof(struct slot) + sizeof(struct person) + sizeof(uint32_t);
    uint64_t own = bytes / RING_SHARE / SHARDS / sizeof(struct own),
             n = (bytes - bytes / RING_SHARE) / SHARDS / each;
    bool good = h != NULL;
    for (int i = 0; h && i < SHARDS; i++)
        good &= shard_init(&h->shards[i], fit(n), fit(own));
    if (good) {
        h->long_days = long_days;
        return h;
    }
    afti_history_free(h);
    return NULL;
}

void
afti_history_free(struct afti_history *h)
{
    for (int i = 0; h && i < SHARDS; i++) {
        free(h->shards[i].slots);
        free(h->shards[i].persons);
        free(h->shards[i].buckets);
        free(h->shards[i].ring);
        pthread_mutex_destroy(&h->shards[i].lock);
    }
    free(h);
}

/* ---- users, by use */
static void
unlink_use(struct shard *s, uint32_t at)
{
    struct person *p = &s->persons[at];
    *(p->newer == NONE ? &s->newest : &s->persons[p->newer].older) = p->older;
    *(p->older == NONE ? &s->oldest : &s->persons[p->older].newer) = p->newer;
}

static void
link_newest(struct shard *s, uint32_t at)
{
    s->persons[at].newer = NONE;
    s->persons[at].older = s->newest;
    *(s->newest == NONE ? &s->oldest : &s->persons[s->newest].newer) = at;
    s->newest = at;
}

static uint32_t *
bucket_of(struct shard *s, struct aft_hash128 user)
{
    return &s->buckets[user.high % s->n];
}

/* The user's slots are free again. */
static void
empty(struct shard *s, struct person *p)
{
    uint32_t last = p->first;
    while (last != NONE && s->slots[last].next != NONE)
        last = s->slots[last].next;
    if (last != NONE) {
        s->slots[last].next = s->free_slot;
        s->free_slot = p->first;
    }
    p->first = NONE;
    p->slots = 0;
}

static void
forget(struct shard *s, uint32_t at)
{
    struct person *p = &s->persons[at];
    uint32_t *link = bucket_of(s, p->user);
    while (*link != at)
        link = &s->persons[*link].chain;
    *link = p->chain;
    unlink_use(s, at);
    empty(s, p);
    for (uint32_t i = p->own; i != NONE; i = s->ring[i].next)
        s->ring[i].person = NONE;
    p->own = NONE;
    p->chain = s->free_person;
    s->free_person = at;
    s->users--;
}

/* The user's place, as the one used last; NONE: he is not here. */
static uint32_t
find(struct shard *s, struct aft_hash128 user)
{
    uint32_t at = *bucket_of(s, user);
    while (at != NONE &&
           (s->persons[at].user.low != user.low || s->persons[at].user.high != user.high))
        at = s->persons[at].chain;
    if (at != NONE) {
        unlink_use(s, at);
        link_newest(s, at);
    }
    return at;
}

static uint32_t
find_or_make(struct shard *s, struct aft_hash128 user)
{
    uint32_t at = find(s, user);
    if (at != NONE)
        return at;
    if (s->free_person == NONE) {
        forget(s, s->oldest);
        s->forgotten++;
    }
    at = s->free_person;
    s->free_person = s->persons[at].chain;
    uint32_t *bucket = bucket_of(s, user);
    s->persons[at] = (struct person){.user = user, .chain = *bucket, .first = NONE, .own = NONE};
    *bucket = at;
    link_newest(s, at);
    s->users++;
    return at;
}

/* ---- entries */
static bool
gives_way_before(const struct afti_history_entry *a, const struct afti_history_entry *b)
{
    return !b || (!a->done != !b->done ? !a->done : a->day < b->day);
}

/* The entry of (id, day); or one to be used again: past the long window; NULL: neither. *oldest: who would give way (I3). */
static struct afti_history_entry *
find_entry(struct shard *s, const struct person *p, const struct afti_history_entry *want,
           uint32_t long_days, struct afti_history_entry **oldest)
{
    struct afti_history_entry *again = NULL;
    *oldest = NULL;
    for (uint32_t at = p->first; at != NONE; at = s->slots[at].next)
        for (uint32_t i = 0; i < s->slots[at].used; i++) {
            struct afti_history_entry *x = &s->slots[at].entries[i];
            if (x->id == want->id && !x->done == !want->done && (x->done || x->day == want->day))
                return x;
            if (!x->done && x->day + long_days <= want->day)
                again = x;
            if (gives_way_before(x, *oldest))
                *oldest = x;
        }
    if (again)
        *again = (struct afti_history_entry){.id = want->id, .day = want->day};
    return again;
}

/* Room for one more; NULL: there is none (I3). at is the newest user. */
static struct afti_history_entry *
new_entry(struct shard *s, uint32_t at)
{
    struct person *p = &s->persons[at];
    if (p->first != NONE && s->slots[p->first].used < ENTRIES)
        return &s->slots[p->first].entries[s->slots[p->first].used++];
    if (p->slots == SLOTS_MAX)
        return NULL;
    while (s->free_slot == NONE && s->oldest != at) {
        forget(s, s->oldest);
        s->forgotten++;
    }
    uint32_t slot = s->free_slot;
    if (slot == NONE)
        return NULL;
    s->free_slot = s->slots[slot].next;
    s->slots[slot] = (struct slot){.next = p->first, .used = 1};
    p->first = slot;
    p->slots++;
    return &s->slots[slot].entries[0];
}

static uint16_t
sum(uint16_t a, uint16_t b)
{
    return a + b > UINT16_MAX ? UINT16_MAX : (uint16_t)(a + b);
}

/* at is the newest user. */
static void
add(struct shard *s, uint32_t at, const struct afti_history_entry *more, uint32_t long_days)
{
    struct afti_history_entry *oldest;
    struct afti_history_entry *x = find_entry(s, &s->persons[at], more, long_days, &oldest);
    if (!x && (x = new_entry(s, at)) == NULL)
        x = oldest; /* I3: a shard without a free slot, and this user its only one */
    AFT_INVARIANT(I3, x != NULL);
    if (x->id != more->id || !x->done != !more->done || (!x->done && x->day != more->day))
        *x = (struct afti_history_entry){.id = more->id, .day = more->day};
    x->day = more->day > x->day ? more->day : x->day;
    x->shown = sum(x->shown, more->shown);
    x->clicks = sum(x->clicks, more->clicks);
    x->done = sum(x->done, more->done);
}

static uint32_t
copy(const struct shard *s, const struct person *p, struct afti_history_entry *out)
{
    uint32_t n = 0;
    for (uint32_t at = p->first; at != NONE; at = s->slots[at].next) {
        memcpy(out + n, s->slots[at].entries, s->slots[at].used * sizeof *out);
        n += s->slots[at].used;
    }
    return n;
}

void
afti_history_put(struct afti_history *h, struct aft_hash128 user,
                 const struct afti_history_entry *entries, uint32_t n)
{
    struct shard *s = &h->shards[user.low % SHARDS];
    pthread_mutex_lock(&s->lock);
    uint32_t at = n ? find_or_make(s, user) : NONE;
    for (uint32_t i = 0; i < n; i++)
        add(s, at, &entries[i], h->long_days);
    pthread_mutex_unlock(&s->lock);
}

/* ---- what this client logged itself (I4) */
static struct afti_history_entry
entry_of(const struct afti_history_event *x)
{
    return (struct afti_history_entry){.id = x->id,
                                       .day = x->day,
                                       .shown = x->what == AFT_HISTORY_SHOWN,
                                       .clicks = x->what == AFT_HISTORY_CLICKED,
                                       .done = x->what == AFT_HISTORY_DONE};
}

static void
own_drop(struct shard *s, uint32_t i)
{
    uint32_t *link = &s->persons[s->ring[i].person].own;
    while (*link != i)
        link = &s->ring[*link].next;
    *link = s->ring[i].next;
    s->ring[i].person = NONE;
}

static void
own_push(struct shard *s, uint32_t at, const struct afti_history_event *x)
{
    uint32_t i = s->ring_next;
    s->ring_next = i + 1 < s->ring_n ? i + 1 : 0;
    if (s->ring[i].person != NONE)
        own_drop(s, i);
    s->ring[i] = (struct own){*x, s->persons[at].own, at};
    s->persons[at].own = i;
}

/* The outcome of this event, or that it was taken back. */
static struct own *
own_outcome(struct shard *s, uint32_t at, uint64_t event)
{
    uint32_t i = s->persons[at].own;
    while (i != NONE && (s->ring[i].x.event != event || s->ring[i].x.what == AFT_HISTORY_SHOWN))
        i = s->ring[i].next;
    return i == NONE ? NULL : &s->ring[i];
}

static struct afti_history_entry *
counted(struct shard *s, uint32_t at, const struct afti_history_event *x)
{
    bool done = x->what == AFT_HISTORY_DONE;
    for (uint32_t k = s->persons[at].first; k != NONE; k = s->slots[k].next)
        for (uint32_t i = 0; i < s->slots[k].used; i++) {
            struct afti_history_entry *v = &s->slots[k].entries[i];
            if (v->id == x->id && (done ? v->done > 0 : v->clicks > 0 && v->day == x->day))
                return v;
        }
    return NULL;
}

/* x counts no more. An entry without anything is the next to be used again. */
static void
take_back(struct shard *s, uint32_t at, const struct afti_history_event *x)
{
    struct afti_history_entry *v = counted(s, at, x);
    if (v && x->what == AFT_HISTORY_DONE && --v->done == 0)
        *v = (struct afti_history_entry){0};
    else if (v && x->what == AFT_HISTORY_CLICKED)
        v->clicks--;
}

static void
log_one(struct shard *s, uint32_t at, const struct afti_history_event *x, uint32_t long_days)
{
    struct own *was = x->what == AFT_HISTORY_SHOWN ? NULL : own_outcome(s, at, x->event);
    struct afti_history_entry more = entry_of(x);
    if (!was) {
        own_push(s, at, x);
        if (x->what != AFT_HISTORY_RETRACTED)
            add(s, at, &more, long_days);
    } else if (x->what == AFT_HISTORY_RETRACTED && was->x.what != AFT_HISTORY_RETRACTED) {
        struct afti_history_event gone = was->x;
        was->x.what = AFT_HISTORY_RETRACTED;
        take_back(s, at, &gone);
    } /* else it is repeated */
}

void
afti_history_log(struct afti_history *h, struct aft_bytes user,
                 const struct afti_history_event *events, uint32_t n)
{
    struct aft_hash128 id = aft_hash128(user, (struct aft_hash128){0, 0});
    struct shard *s = &h->shards[id.low % SHARDS];
    pthread_mutex_lock(&s->lock);
    uint32_t at = n ? find_or_make(s, id) : NONE;
    for (uint32_t i = 0; i < n; i++)
        log_one(s, at, &events[i], h->long_days);
    pthread_mutex_unlock(&s->lock);
}

/* ---- what the history's topic says of a user */
static bool
holds(const struct aft_history_entry *x, uint64_t event)
{
    uint32_t low = 0, high = x->ids_n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (x->ids[middle] < event)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->ids_n && x->ids[low] == event;
}

/* Whether the record knows this event: as it is, or taken back. What is taken back here alone is still unknown to it. */
static bool
knows(const struct afti_history_told *t, const struct afti_history_event *x)
{
    for (uint32_t i = 0; i < t->record->entries_n; i++) {
        const struct aft_history_entry *v = &t->record->entries[i];
        bool outcome = v->what != AFT_HISTORY_SHOWN && x->what != AFT_HISTORY_SHOWN,
             same = outcome ? x->what != AFT_HISTORY_RETRACTED || v->what == x->what
                            : v->what == x->what && t->ids[i] == x->id;
        if (same && holds(v, x->event))
            return true;
    }
    return false;
}

/* How many events of an entry this client does not know to be taken back. */
static uint16_t
standing(struct shard *s, uint32_t at, const struct aft_history_entry *x)
{
    uint32_t n = x->ids_n;
    for (uint32_t i = s->persons[at].own; i != NONE; i = s->ring[i].next)
        n -= s->ring[i].x.what == AFT_HISTORY_RETRACTED && x->what != AFT_HISTORY_SHOWN &&
             holds(x, s->ring[i].x.event);
    return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}

static void
tell(struct shard *s, uint32_t at, const struct afti_history_told *t, uint32_t long_days)
{
    const struct aft_history *x = t->record;
    empty(s, &s->persons[at]);
    for (uint32_t i = s->persons[at].own, next; i != NONE; i = next) {
        next = s->ring[i].next;
        if (knows(t, &s->ring[i].x))
            own_drop(s, i);
    }
    for (uint32_t i = 0; i < x->entries_n; i++) {
        struct afti_history_event one = {0, t->ids[i], x->entries[i].day,
                                         (uint8_t)x->entries[i].what};
        struct afti_history_entry more = entry_of(&one);
        uint16_t n = standing(s, at, &x->entries[i]);
        if (x->entries[i].what == AFT_HISTORY_RETRACTED || n == 0)
            continue;
        more.shown *= n, more.clicks *= n, more.done *= n;
        add(s, at, &more, long_days);
    }
    for (uint32_t i = s->persons[at].own; i != NONE; i = s->ring[i].next) {
        struct afti_history_entry more = entry_of(&s->ring[i].x);
        if (s->ring[i].x.what != AFT_HISTORY_RETRACTED)
            add(s, at, &more, long_days);
    }
}

void
afti_history_tell(struct afti_history *h, struct aft_bytes user,
                  const struct afti_history_told *told)
{
    struct aft_hash128 id = aft_hash128(user, (struct aft_hash128){0, 0});
    struct shard *s = &h->shards[id.low % SHARDS];
    pthread_mutex_lock(&s->lock);
    uint32_t at = told ? find_or_make(s, id) : find(s, id);
    if (told)
        tell(s, at, told, h->long_days);
    else if (at != NONE)
        forget(s, at);
    pthread_mutex_unlock(&s->lock);
}

uint32_t
afti_history_copy(struct afti_history *h, struct aft_bytes user, struct afti_history_entry *out)
{
    struct aft_hash128 id = aft_hash128(user, (struct aft_hash128){0, 0});
    struct shard *s = &h->shards[id.low % SHARDS];
    pthread_mutex_lock(&s->lock);
    uint32_t at = find(s, id), n = at == NONE ? 0 : copy(s, &s->persons[at], out);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void
afti_history_each(struct afti_history *h, afti_history_sink sink, void *ctx)
{
    struct afti_history_entry v[AFTI_HISTORY_ENTRIES_MAX];
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &h->shards[i];
        pthread_mutex_lock(&s->lock);
        for (uint32_t at = s->oldest; at != NONE; at = s->persons[at].newer)
            sink(ctx, s->persons[at].user, v, copy(s, &s->persons[at], v));
        pthread_mutex_unlock(&s->lock);
    }
}

void
afti_history_stats(struct afti_history *h, uint64_t *users, uint64_t *forgotten)
{
    *users = *forgotten = 0;
    for (int i = 0; h && i < SHARDS; i++) {
        pthread_mutex_lock(&h->shards[i].lock);
        *users += h->shards[i].users;
        *forgotten += h->shards[i].forgotten;
        pthread_mutex_unlock(&h->shards[i].lock);
    }
}
