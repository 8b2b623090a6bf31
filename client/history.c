/* history.c - what each user was shown, clicked and did lately: a table of bounded size, taken at open. Any thread; a lock a shard, held
 * for as long as one user's entries are copied or changed.
 *
 *   add (user, arm or subject, day)  ->  entries of the user: (id, UTC day) -> shown, clicks, done
 *
 * I1 A user's entries are in his slots, each (id, day) once; a subject that is done has one entry, of its last day.
 * I2 A slot is some user's or free. When none is free, the user that was least lately used is forgotten, whole.
 * I3 A user has at most SLOTS_MAX slots; from then on, and when nobody else is left to forget, his oldest entry gives way.
 * Entries older than the long window are used again first. What is there is a function of the calls' order, for each user's shard. */
#include <stdlib.h>

#include "client/client_inner.h"

enum { SHARDS = 16, ENTRIES = 7, SLOTS_MAX = AFTI_HISTORY_ENTRIES_MAX / ENTRIES };
#define NONE UINT32_MAX

struct slot {
    uint32_t next, used;
    struct afti_history_entry entries[ENTRIES];
};
struct person {
    struct aft_hash128 user;
    uint32_t chain;        /* the next in the bucket, or among those that are free */
    uint32_t newer, older; /* by use */
    uint32_t first, slots; /* the newest slot; it alone may have room */
};
struct shard {
    pthread_mutex_t lock;
    struct slot *slots;
    struct person *persons;
    uint32_t *buckets;
    uint32_t n; /* of slots, persons and buckets alike */
    uint32_t free_slot, free_person, newest, oldest;
    uint64_t users, forgotten;
};
struct afti_history {
    uint32_t long_days;
    struct shard shards[SHARDS];
};

/* ---- the table's life */
static bool
shard_init(struct shard *s, uint32_t n)
{
    pthread_mutex_init(&s->lock, NULL);
    s->slots = calloc(n, sizeof *s->slots);
    s->persons = calloc(n, sizeof *s->persons);
    s->buckets = calloc(n, sizeof *s->buckets);
    s->n = n;
    s->newest = s->oldest = NONE;
    for (uint32_t i = 0; s->slots && s->persons && s->buckets && i < n; i++) {
        s->slots[i].next = s->persons[i].chain = i + 1 < n ? i + 1 : NONE;
        s->buckets[i] = NONE;
    }
    return s->slots && s->persons && s->buckets;
}

struct afti_history *
afti_history_new(uint64_t bytes, uint32_t long_days)
{
    struct afti_history *h = calloc(1, sizeof *h);
    uint64_t each = sizeof(struct slot) + sizeof(struct person) + sizeof(uint32_t);
    uint64_t n = bytes / SHARDS / each;
    bool good = h != NULL;
    for (int i = 0; h && i < SHARDS; i++)
        good &= shard_init(&h->shards[i], n < 1 ? 1 : n < NONE - 1 ? (uint32_t)n : NONE - 1);
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

static void
forget(struct shard *s, uint32_t at)
{
    struct person *p = &s->persons[at];
    uint32_t *link = bucket_of(s, p->user), last = p->first;
    while (*link != at)
        link = &s->persons[*link].chain;
    *link = p->chain;
    unlink_use(s, at);
    while (last != NONE && s->slots[last].next != NONE)
        last = s->slots[last].next;
    if (last != NONE) {
        s->slots[last].next = s->free_slot;
        s->free_slot = p->first;
    }
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
    s->persons[at] = (struct person){.user = user, .chain = *bucket, .first = NONE};
    *bucket = at;
    link_newest(s, at);
    s->users++;
    return at;
}

/* ---- entries */
static bool
gives_way_before(const struct afti_history_entry *a, const struct afti_history_entry *b)
{
    return !b || (a->done != b->done ? a->done < b->done : a->day < b->day);
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
            if (x->id == want->id && x->done == want->done && (x->done || x->day == want->day))
                return x;
            if (!x->done && x->day + long_days <= want->day)
                again = x;
            if (gives_way_before(x, *oldest))
                *oldest = x;
        }
    if (again)
        *again = (struct afti_history_entry){.id = want->id, .day = want->day, .done = want->done};
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

static void
add(struct shard *s, struct aft_hash128 user, const struct afti_history_entry *more,
    uint32_t long_days)
{
    struct afti_history_entry *oldest;
    uint32_t at = find_or_make(s, user);
    struct afti_history_entry *x = find_entry(s, &s->persons[at], more, long_days, &oldest);
    if (!x && (x = new_entry(s, at)) == NULL)
        x = oldest; /* I3: a shard without a free slot, and this user its only one */
    AFT_INVARIANT(I3, x != NULL);
    if (x->id != more->id || x->done != more->done || (!x->done && x->day != more->day))
        *x = (struct afti_history_entry){.id = more->id, .day = more->day, .done = more->done};
    x->day = more->day > x->day ? more->day : x->day;
    x->shown = sum(x->shown, more->shown);
    x->clicks = sum(x->clicks, more->clicks);
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
    for (uint32_t i = 0; i < n; i++)
        add(s, user, &entries[i], h->long_days);
    pthread_mutex_unlock(&s->lock);
}

void
afti_history_add(struct afti_history *h, struct aft_bytes user,
                 const struct afti_history_entry *entries, uint32_t n)
{
    afti_history_put(h, aft_hash128(user, (struct aft_hash128){0, 0}), entries, n);
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
