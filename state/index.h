/* index.h - what the joiner knows in memory: touches, users, outcomes, waiting outcomes, credit. A cache of the segments.
 *
 * Rings by dense 64-bit numbers (never reused); a ring holds numbers head .. tail - 1, fewer than 2^32. Ids are known by 96 bits of
 * their hash alone: two ids of one hash would be taken for one (10 M open decisions: probability 1e-15).
 * A touch is one impression: 40 bytes, in chunks, so that growing moves nothing. Its id costs 11 to 15 bytes more (ids.h), its user
 * 21 to 29, whom it shares with the user's other touches. Its credit is a chain of cells, one an (item, kind), allocated at the first
 * credit. Nothing is allocated per event. One thread.
 */
#ifndef AFT_STATE_INDEX_H
#define AFT_STATE_INDEX_H

#include "base/base.h"
#include "state/ids.h"
#include "state/segment.h"
#include "state/table.h"

static inline bool
aft_same_id(struct aft_hash128 a, struct aft_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* aft_id_from: the 96 bits of a hash that the state goes by; low is never 0. aft_id_of: those of an id. */
static inline struct aft_hash128
aft_id_from(struct aft_hash128 h)
{
    return (struct aft_hash128){h.low ? h.low : 1, (uint32_t)h.high};
}
static inline struct aft_hash128
aft_id_of(struct aft_bytes id)
{
    return aft_id_from(aft_hash128(id, (struct aft_hash128){0, 0}));
}

enum {
    AFT_TOUCH_LIVE = 1,     /* neither settled nor erased */
    AFT_TOUCH_OPENED = 2,   /* its example was emitted (or would have been) */
    AFT_TOUCH_ACTIVE = 4,   /* seen by its user */
    AFT_TOUCH_DEFERRED = 8, /* opens once activated */
    AFT_TOUCH_WIPED =
        16 /* its record holds no person any more, or will not after the next commit */
};

/* Effective times are below 2^48, a record is less than 2^40 ms (34 years) late: aft_touch_fits. aft_touch_make asserts it. */
struct aft_touch {
    uint64_t id_low; /* of the decision */
    uint32_t id_high;
    uint32_t segment;
    uint64_t e : 48, flags : 8, items : 8; /* items: of the slate */
    uint64_t late : 40, offset : 24;       /* e - ts; offset in the segment */
    uint32_t before; /* how many numbers back the same user's touch before this one is; 0: none */
    uint32_t cells;  /* first cell + 1; 0: none */
};
_Static_assert(sizeof(struct aft_touch) == 40, "what an open impression costs is promised");

static inline bool
aft_touch_fits(int64_t ts, int64_t e)
{
    return ts <= e && e >= 0 && e >> 48 == 0 && (uint64_t)e - (uint64_t)ts < UINT64_C(1) << 40;
}
static inline struct aft_touch
aft_touch_make(struct aft_hash128 id, int64_t ts, int64_t e, unsigned flags, struct aft_place at)
{
    const uint64_t e48 = (UINT64_C(1) << 48) - 1, late40 = (UINT64_C(1) << 40) - 1;
    AFT_ASSERT(aft_touch_fits(ts, e));
    return (struct aft_touch){.id_low = id.low,
                              .id_high = (uint32_t)id.high,
                              .segment = at.segment,
                              .e = (uint64_t)e & e48,
                              .flags = flags & 255,
                              .late = (uint64_t)(e - ts) & late40,
                              .offset = at.offset & 0xffffff};
}
static inline struct aft_hash128
aft_touch_id(const struct aft_touch *t)
{
    return (struct aft_hash128){t->id_low, t->id_high};
}
static inline int64_t
aft_touch_e(const struct aft_touch *t)
{
    return (int64_t)t->e;
}
static inline int64_t
aft_touch_ts(const struct aft_touch *t)
{
    return (int64_t)t->e - (int64_t)t->late;
}
static inline struct aft_place
aft_touch_place(const struct aft_touch *t)
{
    return (struct aft_place){t->segment, t->offset};
}

enum { AFT_CELL_CLICK = 255 };
struct aft_cell {
    uint32_t next;      /* + 1 */
    uint8_t item, kind; /* kind AFT_CELL_CLICK: unit is when the item was clicked */
    int64_t unit, micro;
};

struct aft_seen { /* an outcome, until it is forgotten */
    struct aft_hash128 id;
    int64_t e;
    struct aft_place at;     /* its own record */
    struct aft_place ledger; /* the record with its credit; segment 0: no credit to take back */
    bool waiting;
    uint8_t
        note; /* its record's: what became of it, attribution's to read; 0: nothing yet, or not told */
};

struct aft_waiting { /* an outcome that came before its impression; kept as long as its record is */
    struct aft_hash128 decision, user;
    int64_t e;
    uint64_t outcome;
    struct aft_place at;
    uint32_t before; /* the one before it for the same decision, numbers back; 0: none */
    bool live, wiped;
};

enum { AFT_TOUCH_CHUNK_BITS = 13 };

struct aft_gather; /* gather.c */
struct aft_index {
    struct aft_touch **chunk; /* by (number >> AFT_TOUCH_CHUNK_BITS) & (chunks - 1) */
    struct aft_touch *spare;  /* a chunk that was emptied */
    uint64_t head, tail, chunks;
    uint64_t gone;      /* touches below are not live */
    struct aft_ids ids; /* touches by decision: every live one, and some that are gone */
    uint64_t live;
    struct aft_users users;
    struct aft_cell *cells;
    uint32_t cells_n, cells_cap, cells_free; /* free: first + 1 */
    struct aft_seen *seen;
    uint64_t seen_head, seen_tail, seen_cap;
    struct aft_ids seen_ids; /* every outcome of the ring, and some that are forgotten */
    struct aft_waiting *waiting;
    uint64_t waiting_head, waiting_tail, waiting_cap;
    struct aft_table waiting_ids; /* newest live waiting by decision */
    struct aft_gather *gather;    /* NULL: what is added is found at once */
};

/* aft_index_init: the first touch and the first outcome get these numbers. */
void aft_index_init(struct aft_index *x, uint64_t first_touch, uint64_t first_outcome);
void aft_index_deinit(struct aft_index *x);
/* aft_index_memory: bytes of it all. aft_index_touch_memory: of touches, their ids and their users: what an open impression costs. */
size_t aft_index_memory(const struct aft_index *x);
size_t aft_index_touch_memory(const struct aft_index *x);

static inline struct aft_touch *
aft_index_touch(const struct aft_index *x, uint64_t n)
{
    const uint64_t in_chunk = (UINT64_C(1) << AFT_TOUCH_CHUNK_BITS) - 1;
    return &x->chunk[(n >> AFT_TOUCH_CHUNK_BITS) & (x->chunks - 1)][n & in_chunk];
}
static inline struct aft_seen *
aft_index_seen(const struct aft_index *x, uint64_t n)
{
    return &x->seen[n & (x->seen_cap - 1)];
}
static inline struct aft_waiting *
aft_index_waiting(const struct aft_index *x, uint64_t n)
{
    return &x->waiting[n & (x->waiting_cap - 1)];
}

/* ---- touches. add: `before` and `cells` are set here; a touch without LIVE is only kept for its timers and its user (NULL: nobody). */
uint64_t aft_index_add(struct aft_index *x, const struct aft_touch *t,
                       const struct aft_hash128 *user);
/* aft_index_add_at: likewise, of an id that aft_index_find_end did not find, if no touch was added since. */
uint64_t aft_index_add_at(struct aft_index *x, const struct aft_touch *t,
                          const struct aft_hash128 *user, const struct aft_ids_probe *ended);
/* aft_index_add_linked: likewise, with `before` told by who keeps the users meanwhile (0: none); nobody is asked for by user until
 * aft_index_take_users, which takes the table over, and leaves an empty one. */
uint64_t aft_index_add_linked(struct aft_index *x, const struct aft_touch *t, uint32_t before);
void aft_index_take_users(struct aft_index *x, struct aft_users *users);
/* aft_index_find: the live touch of a decision. aft_index_find_end: *ended is where the look-up ended that found none. */
bool aft_index_find_end(const struct aft_index *x, struct aft_hash128 id, uint64_t *n,
                        struct aft_ids_probe *ended);
bool aft_index_find(const struct aft_index *x, struct aft_hash128 id, uint64_t *n);
/* aft_index_newest: the user's newest touch that is still in the ring, live or not. */
bool aft_index_newest(const struct aft_index *x, struct aft_hash128 user, uint64_t *n);
/* aft_index_before: the touch before n of the same user, still in the ring. */
static inline bool
aft_index_before(const struct aft_index *x, uint64_t n, uint64_t *out)
{
    uint32_t back = aft_index_touch(x, n)->before;
    *out = n - back;
    return back != 0 && *out >= x->head && *out < n;
}
/* Hints to the cache, some events ahead: of an impression; of an outcome; of an outcome a little later, when the first hint has come
 * true: its user's newest touch. */
#define AFT_INDEX_EXPECT_IMPRESSION(x, id, user)   \
    do {                                           \
        AFT_IDS_EXPECT(&(x)->ids, (id).low);       \
        AFT_USERS_EXPECT(&(x)->users, (user).low); \
    } while (0)
#define AFT_INDEX_EXPECT_OUTCOME(x, id, user)      \
    do {                                           \
        AFT_IDS_EXPECT(&(x)->seen_ids, (id).low);  \
        AFT_USERS_EXPECT(&(x)->users, (user).low); \
    } while (0)
#define AFT_INDEX_EXPECT_TOUCH(x, n)                                  \
    do { /* one in two stands in two lines */                         \
        const char *touch_at_ = (const char *)aft_index_touch(x, n);  \
        __builtin_prefetch(touch_at_);                                \
        __builtin_prefetch(touch_at_ + sizeof(struct aft_touch) - 1); \
    } while (0)
/* aft_index_drop ends a touch's life: its credit and its id go. */
void aft_index_drop(struct aft_index *x, uint64_t n);

/* ---- credit. aft_index_cell: the cell of (touch, item, kind), made (zero) when `make`, else NULL. Lives until the next make. */
struct aft_cell *aft_index_cell(struct aft_index *x, uint64_t n, uint8_t item, uint8_t kind,
                                bool make);
static inline struct aft_cell *
aft_index_cells(const struct aft_index *x, uint32_t at)
{
    return at ? &x->cells[at - 1] : NULL;
}

/* ---- outcomes */
uint64_t aft_index_see(struct aft_index *x, const struct aft_seen *s);
bool aft_index_seen_before(const struct aft_index *x, struct aft_hash128 id, uint64_t *n);
/* aft_index_forget lets the oldest go. */
void aft_index_forget(struct aft_index *x);

/* ---- waiting */
uint64_t aft_index_wait(struct aft_index *x, const struct aft_waiting *w);
/* aft_index_awaits: the newest waiting for a decision; walk by `before` (0: none), skipping what is not live. */
bool aft_index_awaits(const struct aft_index *x, struct aft_hash128 decision, uint64_t *n);
/* aft_index_waited: this one waits no more. */
void aft_index_waited(struct aft_index *x, uint64_t n);
/* aft_index_waiting_of: the waiting entry of an outcome; false when it does not wait. */
bool aft_index_waiting_of(const struct aft_index *x, uint64_t outcome, uint64_t *n);

/* ---- filling. aft_index_gather: from now on ids of touches that are added are gathered, by the part of their table where they go, and
 * put when many go to one part: neighbours cost a third of what places at random do. No look-up by id finds them all until
 * aft_index_gathered. That ends it, unless there are more to come; false: two live touches had one id, and the index is of no use. */
void aft_index_gather(struct aft_index *x);
bool aft_index_gathered(struct aft_index *x, bool more) AFT_MUST_CHECK;

/* aft_index_room: an empty index has room for so many touches and outcomes: nothing of it is moved while they are added. Memory that is not
 * written to yet is not there yet: aft_index_present makes that of touch n and its neighbours be there, n below the room's end. It may
 * be called from another thread than that which adds. */
void aft_index_room(struct aft_index *x, uint64_t touches, uint64_t outcomes);
void aft_index_present(const struct aft_index *x, uint64_t n);

/* aft_index_trim lets touches and waiting entries go whose segment is below `segment`: none of them is live. */
void aft_index_trim(struct aft_index *x, uint64_t segment);

#endif
