/* ids.h - numbers found by the hash of an id; newest numbers found by the hash of a user. In shards, so that growing pauses briefly.
 *
 * aft_ids     8 bytes a slot: 31 bits of the hash and the low 32 bits of a number. Whoever looks up compares the full id at that number.
 *             Nothing is taken out: a number below the owner's floor is gone, and its slot is swept when its shard is full.
 * aft_users   16 bytes a slot: 96 bits of the hash and the low 32 bits of the user's newest number. A user whose newest is gone is swept.
 *
 * A table is SHARDS arrays, chosen by the top bits of the hash; each is swept, or made a little larger, by itself: the longest pause is
 * 1 / SHARDS of the table. They are few, so that each is large enough for large pages (pages_linux.h) where that matters; smaller ones
 * stand side by side in one block, which is, and grow together.
 * Slots stand in lines of the cache's size; a line's home is the hash scaled to the number of lines, so that a sweep reads and writes
 * in one direction. What does not fit goes to the next line: a look-up costs one line, nearly always.
 * Between 55 and 75 % of the slots are used: 11 to 15 bytes an id, 21 to 29 a user.
 * Numbers in a table span less than 2^32; they are widened by `tail`, one past the greatest. One thread.
 */
#ifndef AFT_STATE_IDS_H
#define AFT_STATE_IDS_H

#include "base/base.h"

enum {
    AFT_IDS_SHARDS = 8,
    AFT_IDS_SHIFT = 61,
    AFT_IDS_LINE = 8,
    AFT_USERS_LINE = 4
}; /* slots of 64 bytes */

/* aft_widen: the 64-bit number below `tail` whose low 32 bits are given; right while the range is below 2^32. */
static inline uint64_t
aft_widen(uint32_t low, uint64_t tail)
{
    return tail - (uint32_t)((uint32_t)tail - low);
}

struct aft_ids_shard {
    uint64_t *slots; /* tag << 32 | number; 0: empty; a tag is never 0 */
    uint32_t cap, used;
};
struct aft_ids {
    struct aft_ids_shard shard[AFT_IDS_SHARDS];
    uint64_t slots; /* of all shards */
    uint64_t *
        block; /* all shards in turn, equally large, while they are small; NULL: each has its own */
};

void aft_ids_deinit(struct aft_ids *t);
/* aft_ids_room: an empty table that n numbers to come fit into, without being made larger. */
void aft_ids_room(struct aft_ids *t, uint64_t n);
/* aft_ids_put: numbers below floor are gone; none in the table, this one included, is above `most`. */
void aft_ids_put(struct aft_ids *t, uint64_t hash, uint64_t number, uint64_t floor, uint64_t most);
/* aft_ids_put_at: likewise, behind a look-up of this hash that went through all it found, if nothing was put since. */
struct aft_ids_probe;
void aft_ids_put_at(struct aft_ids *t, uint64_t hash, uint64_t number, uint64_t floor,
                    uint64_t most, const struct aft_ids_probe *ended);
static inline size_t
aft_ids_memory(const struct aft_ids *t)
{
    return sizeof *t + t->slots * sizeof(uint64_t);
}

static inline uint32_t
aft_ids_tag(uint64_t hash)
{
    return (uint32_t)hash | UINT32_C(0x80000000);
}
static inline uint32_t
aft_ids_home(uint32_t tag, uint32_t cap)
{
    return (uint32_t)((uint64_t)(uint32_t)(tag << 1) * (cap / AFT_IDS_LINE) >> 32) * AFT_IDS_LINE;
}

/* All numbers whose hash agrees in the bits kept, gone or not: for (p = aft_ids_probe(t, h); aft_ids_next(&p, &low);) compare.
 * After the last of them `at` is the empty slot where the next of this hash goes. */
struct aft_ids_probe {
    const uint64_t *slots;
    uint32_t cap, at, tag;
};
static inline struct aft_ids_probe
aft_ids_probe(const struct aft_ids *t, uint64_t hash)
{
    const struct aft_ids_shard *s = &t->shard[hash >> AFT_IDS_SHIFT];
    uint32_t tag = aft_ids_tag(hash);
    return (struct aft_ids_probe){s->slots, s->cap, aft_ids_home(tag, s->cap), tag};
}
static inline bool
aft_ids_next(struct aft_ids_probe *p, uint32_t *low)
{
    if (!p->cap)
        return false;
    for (uint64_t slot; (slot = p->slots[p->at]) != 0;) {
        p->at = p->at + 1 == p->cap ? 0 : p->at + 1;
        if ((uint32_t)(slot >> 32) == p->tag) {
            *low = (uint32_t)slot;
            return true;
        }
    }
    return false;
}

struct aft_users_slot {
    uint64_t low; /* of the hash; 0: empty */
    uint32_t high, newest;
};
struct aft_users_shard {
    struct aft_users_slot *slots;
    uint32_t cap, used;
};
struct aft_users {
    struct aft_users_shard shard[AFT_IDS_SHARDS];
    uint64_t slots;
    struct aft_users_slot *block;
};

void aft_users_deinit(struct aft_users *t);
/* aft_users_put makes `number` the user's newest; true with the one before it, if there was one that is not below floor. */
bool aft_users_put(struct aft_users *t, struct aft_hash128 user, uint64_t number, uint64_t floor,
                   uint64_t *before);
/* aft_users_newest: low 32 bits of the user's newest, which may be gone. */
bool aft_users_newest(const struct aft_users *t, struct aft_hash128 user, uint32_t *low);
static inline size_t
aft_users_memory(const struct aft_users *t)
{
    return sizeof *t + t->slots * sizeof(struct aft_users_slot);
}
static inline uint32_t
aft_users_home(uint64_t hash_low, uint32_t cap)
{
    return (uint32_t)((hash_low & UINT32_MAX) * (cap / AFT_USERS_LINE) >> 32) * AFT_USERS_LINE;
}

/* Hints to the cache. Macros: gcc takes a function that does nothing but hint for one that does nothing. */
#define AFT_IDS_EXPECT(t, hash)                                \
    AFT_SLOT_EXPECT((t)->shard[(hash) >> AFT_IDS_SHIFT].slots, \
                    aft_ids_home(aft_ids_tag(hash), (t)->shard[(hash) >> AFT_IDS_SHIFT].cap))
#define AFT_USERS_EXPECT(t, hash)                              \
    AFT_SLOT_EXPECT((t)->shard[(hash) >> AFT_IDS_SHIFT].slots, \
                    aft_users_home(hash, (t)->shard[(hash) >> AFT_IDS_SHIFT].cap))
/* The line and the one behind it, where a third of a full table's look-ups end. By number: an empty shard has no slots, and nothing may
 * be added to no pointer. */
#define AFT_SLOT_EXPECT(slots, i)                                              \
    do {                                                                       \
        const uintptr_t line_at_ = (uintptr_t)(slots) + (i) * sizeof *(slots); \
        __builtin_prefetch((const void *)line_at_);                            \
        __builtin_prefetch((const void *)(line_at_ + 64));                     \
    } while (0)

#endif
