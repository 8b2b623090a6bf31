/* ids.c - the two tables of ids.h. In: hashes, numbers, the floor below which numbers are gone. Out: numbers.
 *
 * Invariants: I1 used < cap wherever cap is not 0, so that every probe ends; I2 from a slot's home to the slot no slot is empty;
 * I3 after a sweep a shard holds no number below the floor, and at most 60 % of its slots are used.
 */
#include "state/ids.h"

#include "state/pages_linux.h"

enum { CAP_MIN = 16 };

/* roomy: the slots of which `n` are 70 %, so that a few more do not make it sweep. */
static uint32_t
roomy(uint64_t n)
{
    uint64_t want = (n * 100 / 70 + CAP_MIN) & ~(uint64_t)(AFT_IDS_LINE - 1);
    AFT_ASSERT(want <= UINT32_MAX / 2);
    return (uint32_t)want;
}

/* cap_for: what a shard of `kept` numbers gets when it had `cap` slots: the same, or so many that 55 % are used. */
static uint32_t
cap_for(uint32_t kept, uint32_t cap)
{
    uint64_t want = ((uint64_t)kept * 100 / 55 + CAP_MIN) & ~(uint64_t)(AFT_IDS_LINE - 1);
    AFT_ASSERT(want <= UINT32_MAX / 2);
    bool roomy = kept < cap / 4 && cap > 4 * CAP_MIN; /* what a flood left behind goes back */
    return (uint64_t)kept * 100 <= (uint64_t)cap * 60 && cap >= CAP_MIN && !roomy ? cap
                                                                                  : (uint32_t)want;
}

static bool
full(uint32_t used, uint32_t cap)
{
    return (uint64_t)(used + 1) * 4 > (uint64_t)cap * 3;
}

/* small: are a shard's bytes too few for a large page of its own? */
static bool
small(size_t bytes)
{
    return bytes < (size_t)2 << 20;
}

/* living: is a number, by its low bits, not below the floor? span: numbers from the floor to the tail, this one included. */
static inline bool
living(uint32_t low, uint64_t tail, uint64_t span)
{
    return (uint32_t)((uint32_t)tail - low) <= span;
}

/* ---- ids */
void
aft_ids_deinit(struct aft_ids *t)
{
    for (int i = 0; i < AFT_IDS_SHARDS && !t->block; i++)
        afti_pages_give(t->shard[i].slots, t->shard[i].cap * sizeof *t->shard[i].slots);
    if (t->block)
        afti_pages_give(t->block, t->slots * sizeof *t->block);
    *t = (struct aft_ids){0};
}

static void
ids_insert(struct aft_ids_shard *s, uint64_t slot)
{
    uint32_t at = aft_ids_home((uint32_t)(slot >> 32), s->cap);
    while (s->slots[at])
        at = at + 1 == s->cap ? 0 : at + 1;
    s->slots[at] = slot;
    s->used++;
    AFT_INVARIANT(I1, s->used < s->cap);
}

static uint32_t
ids_living(const struct aft_ids_shard *s, uint64_t tail, uint64_t span)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->cap; i++)
        n += s->slots[i] != 0 && living((uint32_t)s->slots[i], tail, span);
    return n;
}

/* ids_sweep_here: what is gone leaves, and what lives moves to where it would stand without it. From behind an empty slot, each in turn:
 * whoever is put in again stops at its own place at the latest, so I2 holds for all before it. */
static void
ids_sweep_here(struct aft_ids_shard *s, uint64_t tail, uint64_t span)
{
    uint32_t first = 0, at;
    while (s->slots[first])
        first++;
    s->used = 0;
    at = first;
    do {
        uint64_t slot = s->slots[at];
        s->slots[at] = 0;
        if (slot && living((uint32_t)slot, tail, span))
            ids_insert(s, slot);
        at = at + 1 == s->cap ? 0 : at + 1;
    } while (at != first);
}

/* ids_move: what lives goes to new slots. */
static void
ids_move(struct aft_ids_shard *s, uint64_t *slots, uint32_t cap, uint64_t tail, uint64_t span)
{
    struct aft_ids_shard old = *s;
    *s = (struct aft_ids_shard){slots, cap, 0};
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i] != 0 && living((uint32_t)old.slots[i], tail, span))
            ids_insert(s, old.slots[i]);
}

/* ids_resize: every shard gets `cap` slots, in one block if they are small. */
static void
ids_resize(struct aft_ids *t, uint32_t cap, uint64_t tail, uint64_t span)
{
    struct aft_ids old = *t;
    t->slots = (uint64_t)cap * AFT_IDS_SHARDS;
    t->block = small(cap * sizeof *t->block) ? afti_pages_take(t->slots * sizeof *t->block) : NULL;
    for (uint32_t i = 0; i < AFT_IDS_SHARDS; i++)
        ids_move(&t->shard[i],
                 t->block ? t->block + (size_t)i * cap : afti_pages_take(cap * sizeof *t->block),
                 cap, tail, span);
    aft_ids_deinit(&old);
}

static void
ids_sweep(struct aft_ids *t, struct aft_ids_shard *s, uint64_t floor, uint64_t tail)
{
    uint64_t span = tail - floor;
    uint32_t kept = ids_living(s, tail, span), cap = cap_for(kept, s->cap);
    if (cap == s->cap) {
        ids_sweep_here(s, tail, span);
    } else if (t->block || small(cap * sizeof *s->slots)) {
        for (int i = 0; i < AFT_IDS_SHARDS; i++) {
            uint32_t own = cap_for(ids_living(&t->shard[i], tail, span), 0);
            cap = own > cap ? own : cap;
        }
        ids_resize(t, cap, tail, span);
    } else {
        struct aft_ids_shard old = *s;
        t->slots += cap;
        t->slots -= old.cap;
        ids_move(s, afti_pages_take(cap * sizeof *s->slots), cap, tail, span);
        afti_pages_give(old.slots, old.cap * sizeof *old.slots);
    }
}

void
aft_ids_room(struct aft_ids *t, uint64_t n)
{
    uint64_t each = n / AFT_IDS_SHARDS, spread = 0;
    while (spread * spread < 16 * each) /* four standard deviations of a shard's share */
        spread++;
    AFT_ASSERT(t->slots == 0);
    if (n)
        ids_resize(t, roomy(each + spread), 0, 0);
}

void
aft_ids_put(struct aft_ids *t, uint64_t hash, uint64_t number, uint64_t floor, uint64_t most)
{
    struct aft_ids_shard *s = &t->shard[hash >> AFT_IDS_SHIFT];
    AFT_ASSERT(number <= most);
    if (full(s->used, s->cap))
        ids_sweep(t, s, floor, most);
    ids_insert(s, (uint64_t)aft_ids_tag(hash) << 32 | (uint32_t)number);
}

void
aft_ids_put_at(struct aft_ids *t, uint64_t hash, uint64_t number, uint64_t floor, uint64_t most,
               const struct aft_ids_probe *ended)
{
    struct aft_ids_shard *s = &t->shard[hash >> AFT_IDS_SHIFT];
    if (full(s->used, s->cap)) {
        aft_ids_put(t, hash, number, floor, most);
        return;
    }
    AFT_ASSERT(number <= most && ended->slots == s->slots && s->slots[ended->at] == 0);
    s->slots[ended->at] = (uint64_t)aft_ids_tag(hash) << 32 | (uint32_t)number;
    s->used++;
}

/* ---- users */
void
aft_users_deinit(struct aft_users *t)
{
    for (int i = 0; i < AFT_IDS_SHARDS && !t->block; i++)
        afti_pages_give(t->shard[i].slots, t->shard[i].cap * sizeof *t->shard[i].slots);
    if (t->block)
        afti_pages_give(t->block, t->slots * sizeof *t->block);
    *t = (struct aft_users){0};
}

static struct aft_users_slot *
users_find(const struct aft_users_shard *s, struct aft_hash128 user)
{
    AFT_ASSERT(s->cap != 0);
    struct aft_users_slot *u = &s->slots[aft_users_home(user.low, s->cap)];
    while (u->low && (u->low != user.low || u->high != (uint32_t)user.high))
        u = u + 1 == s->slots + s->cap ? s->slots : u + 1;
    return u;
}

static uint32_t
users_living(const struct aft_users_shard *s, uint64_t tail, uint64_t span)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->cap; i++)
        n += s->slots[i].low != 0 && living(s->slots[i].newest, tail, span);
    return n;
}

static void
users_move(struct aft_users_shard *s, struct aft_users_slot *slots, uint32_t cap, uint64_t tail,
           uint64_t span)
{
    struct aft_users_shard old = *s;
    *s = (struct aft_users_shard){slots, cap, 0};
    for (uint32_t i = 0; i < old.cap; i++) {
        const struct aft_users_slot *u = &old.slots[i];
        if (u->low == 0 || !living(u->newest, tail, span))
            continue;
        *users_find(s, (struct aft_hash128){u->low, u->high}) = *u;
        s->used++;
    }
}

static void
users_resize(struct aft_users *t, uint32_t cap, uint64_t tail, uint64_t span)
{
    struct aft_users old = *t;
    t->slots = (uint64_t)cap * AFT_IDS_SHARDS;
    t->block = small(cap * sizeof *t->block) ? afti_pages_take(t->slots * sizeof *t->block) : NULL;
    for (uint32_t i = 0; i < AFT_IDS_SHARDS; i++)
        users_move(&t->shard[i],
                   t->block ? t->block + (size_t)i * cap : afti_pages_take(cap * sizeof *t->block),
                   cap, tail, span);
    aft_users_deinit(&old);
}

/* users_sweep_here: as ids_sweep_here. */
static void
users_sweep_here(struct aft_users_shard *s, uint64_t tail, uint64_t span)
{
    uint32_t first = 0, at;
    while (s->slots[first].low)
        first++;
    s->used = 0;
    at = first;
    do {
        struct aft_users_slot u = s->slots[at];
        s->slots[at].low = 0;
        if (u.low && living(u.newest, tail, span)) {
            *users_find(s, (struct aft_hash128){u.low, u.high}) = u;
            s->used++;
        }
        at = at + 1 == s->cap ? 0 : at + 1;
    } while (at != first);
}

static void
users_sweep(struct aft_users *t, struct aft_users_shard *s, uint64_t floor, uint64_t tail)
{
    uint64_t span = tail - floor;
    uint32_t cap = cap_for(users_living(s, tail, span), s->cap);
    if (cap == s->cap) {
        users_sweep_here(s, tail, span);
    } else if (t->block || small(cap * sizeof *s->slots)) {
        for (int i = 0; i < AFT_IDS_SHARDS; i++) {
            uint32_t own = cap_for(users_living(&t->shard[i], tail, span), 0);
            cap = own > cap ? own : cap;
        }
        users_resize(t, cap, tail, span);
    } else {
        struct aft_users_shard old = *s;
        t->slots += cap;
        t->slots -= old.cap;
        users_move(s, afti_pages_take(cap * sizeof *s->slots), cap, tail, span);
        afti_pages_give(old.slots, old.cap * sizeof *old.slots);
    }
}

bool
aft_users_put(struct aft_users *t, struct aft_hash128 user, uint64_t number, uint64_t floor,
              uint64_t *before)
{
    struct aft_users_shard *s = &t->shard[user.low >> AFT_IDS_SHIFT];
    AFT_ASSERT(user.low != 0);
    if (full(s->used, s->cap))
        users_sweep(t, s, floor, number);
    struct aft_users_slot *u = users_find(s, user);
    bool known = u->low != 0;
    *before = known ? aft_widen(u->newest, number) : 0;
    s->used += !known;
    AFT_INVARIANT(I1, s->used < s->cap);
    *u = (struct aft_users_slot){user.low, (uint32_t)user.high, (uint32_t)number};
    return known && *before >= floor && *before < number;
}

bool
aft_users_newest(const struct aft_users *t, struct aft_hash128 user, uint32_t *low)
{
    const struct aft_users_shard *s = &t->shard[user.low >> AFT_IDS_SHIFT];
    if (!s->cap)
        return false;
    const struct aft_users_slot *u = users_find(s, user);
    *low = u->newest;
    return u->low != 0;
}
