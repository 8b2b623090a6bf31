/* roster.c - candidates that were read before, found again by their bytes. One thread.
 *
 *   id -> a place of an open table -> the bytes of id and features as they stood, compared as a whole -> what they were decoded to
 *
 * The encoding says itself where it ends, so bytes that begin as the kept ones do are the same id and features. An arm whose
 * features change gets a new number; one whose features never stay is given up (it would fill the memory). When the memory or the
 * numbers are used up, all is forgotten at the next example; when that happened before it was of use, it rests for a while.
 * Invariants: I1 an entry in use has a number that no other bytes had under this revision; I2 the table is at most half full.
 */
#include <stdlib.h>

#include "wire/codec.h"

enum { TABLE_FIRST = 512, RENEWALS = 3, PATIENCE = 256, REST = 65536 };

struct entry {          /* of 64 bytes */
    const uint8_t *raw; /* NULL: free */
    struct aft_bytes arm_id;
    struct aft_features features;
    uint32_t raw_n, known, misses; /* misses: since it was last of use */
    uint32_t tag;                  /* of the id: of equal ids equal */
    uint64_t spare;
};
typedef uint64_t eights __attribute__((vector_size(32)));

struct aft_roster {
    uint64_t revision;
    struct aft_arena arena;
    struct entry *table;
    uint32_t table_n, used, last; /* last: number given */
    uint32_t hits, rest;
    bool full;
};

struct aft_roster *
aft_roster_new(size_t bytes)
{
    struct aft_roster *o = calloc(1, sizeof *o);
    AFT_ASSERT(o);
    o->table = calloc(TABLE_FIRST, sizeof *o->table);
    AFT_ASSERT(o->table);
    o->table_n = TABLE_FIRST;
    o->revision = AFT_ROSTER_REVISION;
    aft_arena_init(&o->arena, bytes);
    return o;
}

void
aft_roster_free(struct aft_roster *o)
{
    if (!o)
        return;
    aft_arena_deinit(&o->arena);
    free(o->table);
    free(o);
}

uint64_t
afti_roster_revision(const struct aft_roster *o)
{
    return o->revision;
}

void
afti_roster_begin(struct aft_roster *o)
{
    if (!o->full)
        return;
    o->rest = o->hits < o->last ? REST : 0;
    memset(o->table, 0, o->table_n * sizeof *o->table);
    aft_arena_reset(&o->arena);
    o->used = o->last = o->hits = 0;
    o->full = false;
    o->revision++;
}

/* Of the ends of an id and its length: equal ids have equal ones. left: bytes that may be read from id on, n or more. */
static inline __attribute__((always_inline)) uint64_t
hash_of(const uint8_t *id, size_t n, size_t left)
{
    uint64_t head = 0, tail = n;
    if (n >= 8) {
        head = aft_load_le64(id);
        tail += aft_load_le64(id + n - 8);
    } else if (left >= 8) { /* without a branch for each length */
        head = aft_load_le64(id) & (((uint64_t)1 << 8 * n) - 1);
    } else {
        for (size_t i = 0; i < n; i++)
            head |= (uint64_t)id[i] << 8 * i;
    }
    uint64_t h = (head ^ tail * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
    return (h ^ h >> 32) *
           0xd6e8feb86659fd93ull; /* ids that differ in a digit must not stand in one heap */
}

static inline uint32_t
tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 8);
}
static inline uint32_t
place_of(const struct aft_roster *o, uint64_t hash)
{
    return (uint32_t)(hash >> 40) & (o->table_n - 1);
}

/* The entry of an id, or the free place for it. */
static struct entry *
entry_of(const struct aft_roster *o, struct aft_bytes id, uint64_t hash)
{
    uint32_t at = place_of(o, hash);
    while (o->table[at].raw && !aft_same(o->table[at].arm_id, id))
        at = (at + 1) & (o->table_n - 1);
    return &o->table[at];
}

static inline __attribute__((always_inline)) void
differ(eights *any, const uint8_t *a, const uint8_t *b)
{
    eights x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    *any |= x ^ y;
}

/* memcmp == 0, with few ways to go for lengths that are nearly the same: 64 at a time, the last 33 to 96 as three that overlap. */
static inline __attribute__((always_inline)) bool
same_raw(const uint8_t *a, const uint8_t *b, size_t n)
{
    eights any = {0};
    size_t i = 0;
    if (n < 64)
        return memcmp(a, b, n) == 0;
    for (; i + 96 < n; i += 64) {
        differ(&any, a + i, b + i);
        differ(&any, a + i + 32, b + i + 32);
    }
    differ(&any, a + i, b + i);
    differ(&any, a + n - 64, b + n - 64);
    differ(&any, a + n - 32, b + n - 32);
    return (any[0] | any[1] | any[2] | any[3]) == 0;
}

AFT_WIDE bool
afti_roster_know(struct aft_roster *o, struct aft_reader *r, struct aft_candidate *c)
{
    size_t left = aft_left(r), n = left ? r->p[0] >> 1 : 0;
    if (n == 0 || left < n + 1 || r->p[0] & 0x81)
        return false; /* a length of more than one byte, or none */
    if (o->rest) {
        o->rest--;
        return false;
    }
    uint64_t hash = hash_of(r->p + 1, n, left - 1);
    uint32_t tag = tag_of(hash), mask = o->table_n - 1;
    for (uint32_t at = place_of(o, hash);; at = (at + 1) & mask) {
        struct entry *x = &o->table[at];
        if (!x->raw)
            return false;
        if (x->tag != tag)
            continue;
        if (x->raw_n <= left && same_raw(x->raw, r->p, x->raw_n)) {
            x->misses = 0;
            o->hits++;
            c->arm_id = x->arm_id;
            c->features = x->features;
            c->known = x->known;
            r->p += x->raw_n;
            return true;
        }
        if (memcmp(x->raw, r->p, n + 1 < x->raw_n ? n + 1 : x->raw_n) == 0)
            return false; /* this id, with other features */
    }
}

static void
grow(struct aft_roster *o)
{
    struct entry *old = o->table;
    uint32_t had = o->table_n;
    o->table_n = 2 * had;
    o->table = calloc(o->table_n, sizeof *o->table);
    AFT_ASSERT(o->table);
    for (uint32_t i = 0; i < had; i++)
        if (old[i].raw)
            *entry_of(o, old[i].arm_id, hash_of(old[i].arm_id.p, old[i].arm_id.n, 0)) = old[i];
    free(old);
}

/* x with copies of its own: names and texts lie in the raw bytes, at the same distance. */
static bool
copy(struct aft_roster *o, struct entry *x, struct aft_bytes raw, const struct aft_candidate *c)
{
    uint8_t *bytes = aft_arena_take(&o->arena, raw.n);
    struct aft_feature *v = aft_arena_take(&o->arena, (c->features.n + 1) * sizeof *v);
    if (!bytes || !v)
        return false;
    memcpy(bytes, raw.p, raw.n);
    for (uint32_t i = 0; i < c->features.n; i++) {
        v[i] = c->features.v[i];
        v[i].name.p = bytes + (v[i].name.p - raw.p);
        if (v[i].type == AFT_FEATURE_TEXT)
            v[i].text.p = bytes + (v[i].text.p - raw.p);
    }
    x->arm_id = (struct aft_bytes){bytes + (c->arm_id.p - raw.p), c->arm_id.n};
    x->features = (struct aft_features){v, c->features.n};
    x->raw_n = (uint32_t)raw.n;
    x->raw = bytes;
    x->tag = tag_of(hash_of(c->arm_id.p, c->arm_id.n, 0));
    return true;
}

uint32_t
afti_roster_keep(struct aft_roster *o, struct aft_bytes raw, const struct aft_candidate *c)
{
    if (o->rest || o->full || raw.p[0] & 0x80)
        return 0;
    struct entry *x = entry_of(o, c->arm_id, hash_of(c->arm_id.p, c->arm_id.n, 0));
    uint32_t misses = x->raw ? x->misses + 1 : 0;
    x->misses = misses;
    if (misses > RENEWALS && misses % PATIENCE != 0)
        return 0;
    bool is_new = !x->raw;
    if (o->last == AFT_KNOWN_MAX || !copy(o, x, raw, c)) {
        o->full = true;
        return 0;
    }
    uint32_t known = x->known = ++o->last;
    o->used += is_new;
    if (2 * o->used > o->table_n)
        grow(o);
    AFT_INVARIANT(I2, 2 * o->used <= o->table_n);
    return known;
}
