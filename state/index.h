/* index.h - what the joiner knows in memory: touches, users, outcomes, waiting outcomes, credit. A cache of the segments.
 *
 * Rings by dense 64-bit numbers (never reused); a ring holds numbers head .. tail - 1, fewer than 2^32. Ids are known by their
 * 128-bit hash alone: two ids of one hash would be taken for one (10 M open decisions: probability 1e-25).
 * A touch is one impression. Its credit is a chain of cells, one an (item, kind), allocated at the first credit. 48 bytes a touch.
 * Grows by doubling; nothing is allocated per event. One thread.
 */
#ifndef AFT_STATE_INDEX_H
#define AFT_STATE_INDEX_H

#include "base/base.h"
#include "state/segment.h"
#include "state/table.h"

static inline bool
aft_same_id(struct aft_hash128 a, struct aft_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* aft_id_of: the hash by which the state knows an id. */
static inline struct aft_hash128
aft_id_of(struct aft_bytes id)
{
    return aft_hash128(id, (struct aft_hash128){0, 0});
}

enum {
    AFT_TOUCH_LIVE = 1,     /* neither settled nor erased */
    AFT_TOUCH_OPENED = 2,   /* its example was emitted (or would have been) */
    AFT_TOUCH_ACTIVE = 4,   /* seen by its user */
    AFT_TOUCH_DEFERRED = 8, /* opens once activated */
    AFT_TOUCH_WIPED =
        16 /* its record holds no person any more, or will not after the next commit */
};

struct aft_touch {
    struct aft_hash128 id; /* of the decision */
    int64_t ts, e;
    uint32_t segment;
    uint32_t offset : 24, flags : 8; /* offset in the segment */
    uint32_t before; /* how many numbers back the same user's touch before this one is; 0: none */
    uint32_t cells;  /* first cell + 1; 0: none */
};

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
};

struct aft_waiting { /* an outcome that came before its impression; kept as long as its record is */
    struct aft_hash128 decision, user;
    int64_t e;
    uint64_t outcome;
    struct aft_place at;
    uint32_t before; /* the one before it for the same decision, numbers back; 0: none */
    bool live, wiped;
};

struct aft_user {
    struct aft_hash128 id;
    uint64_t newest; /* touch */
};

struct aft_index {
    struct aft_touch *touch;
    uint64_t head, tail, cap;
    struct aft_table ids; /* live touches by decision */
    uint64_t live;
    struct aft_user *users;
    uint64_t users_n, users_cap;
    struct aft_table user_ids;
    struct aft_cell *cells;
    uint32_t cells_n, cells_cap, cells_free; /* free: first + 1 */
    struct aft_seen *seen;
    uint64_t seen_head, seen_tail, seen_cap;
    struct aft_table seen_ids;
    struct aft_waiting *waiting;
    uint64_t waiting_head, waiting_tail, waiting_cap;
    struct aft_table waiting_ids; /* newest live waiting by decision */
};

/* aft_index_init: the first touch and the first outcome get these numbers. */
void aft_index_init(struct aft_index *x, uint64_t first_touch, uint64_t first_outcome);
void aft_index_deinit(struct aft_index *x);
size_t aft_index_memory(const struct aft_index *x);

static inline struct aft_touch *
aft_index_touch(const struct aft_index *x, uint64_t n)
{
    return &x->touch[n & (x->cap - 1)];
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

/* ---- touches. add: `before` and `cells` are set here; a touch without LIVE is only kept for its timers and its user. */
uint64_t aft_index_add(struct aft_index *x, const struct aft_touch *t,
                       const struct aft_hash128 *user);
/* aft_index_find: the live touch of a decision. */
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
/* Hints to the cache, some events ahead: the slots of an id and of a user; then the user's own entry; the slot of a touch to go. */
static inline void
aft_index_expect(const struct aft_index *x, struct aft_hash128 id, struct aft_hash128 user)
{
    __builtin_prefetch(&x->ids.slots[aft_table_tag(id.low) & (x->ids.cap - 1)]);
    __builtin_prefetch(&x->user_ids.slots[aft_table_tag(user.low) & (x->user_ids.cap - 1)]);
}
static inline void
aft_index_expect_user(const struct aft_index *x, struct aft_hash128 user)
{
    uint32_t at;
    struct aft_probe p = aft_probe(&x->user_ids, user.low);
    if (aft_probe_next(&p, &at))
        __builtin_prefetch(&x->users[at]);
}
static inline void
aft_index_expect_drop(const struct aft_index *x, uint64_t n)
{
    if (n < x->tail)
        __builtin_prefetch(
            &x->ids.slots[aft_table_tag(aft_index_touch(x, n)->id.low) & (x->ids.cap - 1)]);
}
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

/* aft_index_trim lets touches and waiting entries go whose segment is below `segment`: none of them is live. */
void aft_index_trim(struct aft_index *x, uint64_t segment);

#endif
