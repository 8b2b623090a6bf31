/* index.c - touches, users and credit cells. Outcomes: index_outcomes.c.
 *
 * Invariants: I1 head <= n < tail, and each has its chunk; I2 `before` leads to smaller numbers alone; I3 every live touch is in ids,
 * and none below `gone` is live; I4 a user's newest is its greatest number ever added.
 */
#include "state/index.h"

#include <stdlib.h>

#include "state/index_inner.h"
#include "state/pages_linux.h"

enum { CAP_MIN = 1024, CHUNKS_MIN = 16 };
#define CHUNK (UINT64_C(1) << AFT_TOUCH_CHUNK_BITS)

void *
afti_ring_widen(void *ring, size_t size, uint64_t head, uint64_t tail, uint64_t *cap)
{
    uint64_t wide = *cap ? *cap * 2 : CAP_MIN;
    uint8_t *to = malloc(wide * size), *from = ring;
    AFT_ASSERT(to != NULL);
    for (uint64_t n = head; n < tail; n++)
        memcpy(to + (n & (wide - 1)) * size, from + (n & (*cap - 1)) * size, size);
    free(ring);
    *cap = wide;
    return to;
}

void
aft_index_init(struct aft_index *x, uint64_t first_touch, uint64_t first_outcome)
{
    *x = (struct aft_index){.head = first_touch,
                            .tail = first_touch,
                            .gone = first_touch,
                            .seen_head = first_outcome,
                            .seen_tail = first_outcome};
    aft_table_clear(&x->waiting_ids, 0);
}

void
aft_index_deinit(struct aft_index *x)
{
    for (uint64_t i = 0; i < x->chunks; i++)
        free(x->chunk[i]);
    free(x->chunk);
    free(x->spare);
    free(x->gather);
    free(x->cells);
    free(x->seen);
    free(x->waiting);
    aft_ids_deinit(&x->ids);
    aft_users_deinit(&x->users);
    aft_ids_deinit(&x->seen_ids);
    aft_table_deinit(&x->waiting_ids);
    *x = (struct aft_index){0};
}

size_t
aft_index_touch_memory(const struct aft_index *x)
{
    uint64_t held = x->spare != NULL;
    for (uint64_t i = 0; i < x->chunks; i++)
        held += x->chunk[i] != NULL;
    return held * CHUNK * sizeof(struct aft_touch) + x->chunks * sizeof *x->chunk +
           aft_ids_memory(&x->ids) + aft_users_memory(&x->users);
}

size_t
aft_index_memory(const struct aft_index *x)
{
    return aft_index_touch_memory(x) + x->cells_cap * sizeof *x->cells +
           x->seen_cap * sizeof *x->seen + x->waiting_cap * sizeof *x->waiting +
           aft_ids_memory(&x->seen_ids) + x->waiting_ids.cap * 8;
}

/* ---- chunks */
static void
widen_directory(struct aft_index *x)
{
    uint64_t wide = x->chunks ? x->chunks * 2 : CHUNKS_MIN;
    struct aft_touch **to = calloc(wide, sizeof(struct aft_touch *));
    AFT_ASSERT(to != NULL);
    uint64_t first = x->head >> AFT_TOUCH_CHUNK_BITS;
    for (uint64_t i = first; i < first + x->chunks; i++)
        to[i & (wide - 1)] = x->chunk[i & (x->chunks - 1)];
    free(x->chunk);
    x->chunk = to;
    x->chunks = wide;
}

/* make_room: of touch n. */
static void
make_room(struct aft_index *x, uint64_t n)
{
    uint64_t at = n >> AFT_TOUCH_CHUNK_BITS;
    while (at - (x->head >> AFT_TOUCH_CHUNK_BITS) >= x->chunks)
        widen_directory(x);
    struct aft_touch **chunk = &x->chunk[at & (x->chunks - 1)];
    if (*chunk)
        return;
    *chunk = x->spare ? x->spare : malloc(CHUNK * sizeof **chunk);
    x->spare = NULL;
    AFT_ASSERT(*chunk != NULL);
}

static void
let_go(struct aft_index *x, uint64_t chunk)
{
    struct aft_touch **at = &x->chunk[chunk & (x->chunks - 1)];
    if (x->spare)
        free(*at);
    else
        x->spare = *at;
    *at = NULL;
}

void
aft_index_room(struct aft_index *x, uint64_t touches, uint64_t outcomes)
{
    AFT_ASSERT(x->head == x->tail && x->seen_head == x->seen_tail);
    for (uint64_t n = x->tail; n < x->tail + touches; n = (n | (CHUNK - 1)) + 1)
        make_room(x, n);
    while (x->seen_cap < outcomes)
        x->seen =
            afti_ring_widen(x->seen, sizeof *x->seen, x->seen_head, x->seen_tail, &x->seen_cap);
    aft_ids_room(&x->ids, touches);
    aft_ids_room(&x->seen_ids, outcomes);
}

void
aft_index_present(const struct aft_index *x, uint64_t n)
{
    uint64_t at = n >> AFT_TOUCH_CHUNK_BITS;
    afti_pages_present(x->chunk[at & (x->chunks - 1)], CHUNK * sizeof **x->chunk);
}

/* ---- touches */
uint64_t
aft_index_add(struct aft_index *x, const struct aft_touch *t, const struct aft_hash128 *user)
{
    return aft_index_add_at(x, t, user, NULL);
}

/* place puts a touch into the ring, of which nobody knows yet. */
static struct aft_touch *
place(struct aft_index *x, const struct aft_touch *t)
{
    uint64_t n = x->tail;
    if (x->chunks == 0 || (n & (CHUNK - 1)) == 0)
        make_room(x, n);
    x->tail++;
    struct aft_touch *to = aft_index_touch(x, n);
    *to = *t;
    to->cells = to->before = 0;
    return to;
}

/* name makes the newest touch known by its id. */
static void
name(struct aft_index *x, const struct aft_touch *t, const struct aft_ids_probe *ended)
{
    uint64_t n = x->tail - 1;
    if (t->flags & AFT_TOUCH_LIVE) {
        if (x->gather)
            afti_gather(x, aft_touch_id(t), n);
        else if (ended)
            aft_ids_put_at(&x->ids, t->id_low, n, x->gone, n, ended);
        else
            aft_ids_put(&x->ids, t->id_low, n, x->gone, n);
        x->live++;
    } else if (x->gone == n) {
        x->gone++;
    }
}

uint64_t
aft_index_add_at(struct aft_index *x, const struct aft_touch *t, const struct aft_hash128 *user,
                 const struct aft_ids_probe *ended)
{
    uint64_t n = x->tail, before;
    struct aft_touch *to = place(x, t);
    if (user && aft_users_put(&x->users, *user, n, x->head, &before)) {
        AFT_INVARIANT(I4, before < n && n - before <= UINT32_MAX);
        to->before = (uint32_t)(n - before);
    }
    name(x, t, ended);
    return n;
}

uint64_t
aft_index_add_linked(struct aft_index *x, const struct aft_touch *t, uint32_t before)
{
    uint64_t n = x->tail;
    AFT_INVARIANT(I2, before <= n - x->head);
    place(x, t)->before = before;
    name(x, t, NULL);
    return n;
}

void
aft_index_take_users(struct aft_index *x, struct aft_users *users)
{
    aft_users_deinit(&x->users);
    x->users = *users;
    *users = (struct aft_users){0};
}

bool
aft_index_find(const struct aft_index *x, struct aft_hash128 id, uint64_t *n)
{
    struct aft_ids_probe ended;
    return aft_index_find_end(x, id, n, &ended);
}

bool
aft_index_find_end(const struct aft_index *x, struct aft_hash128 id, uint64_t *n,
                   struct aft_ids_probe *ended)
{
    uint32_t low;
    for (*ended = aft_ids_probe(&x->ids, id.low); aft_ids_next(ended, &low);) {
        *n = aft_widen(low, x->tail);
        if (*n < x->gone || *n >= x->tail)
            continue;
        const struct aft_touch *t = aft_index_touch(x, *n);
        if (t->id_low == id.low && t->id_high == id.high && (t->flags & AFT_TOUCH_LIVE))
            return true;
    }
    return false;
}

bool
aft_index_newest(const struct aft_index *x, struct aft_hash128 user, uint64_t *n)
{
    uint32_t low;
    *n = 0;
    if (!aft_users_newest(&x->users, user, &low))
        return false;
    *n = aft_widen(low, x->tail);
    return *n >= x->head && *n < x->tail;
}

void
aft_index_drop(struct aft_index *x, uint64_t n)
{
    struct aft_touch *t = aft_index_touch(x, n);
    AFT_INVARIANT(I3, n >= x->gone && (t->flags & AFT_TOUCH_LIVE));
    while (t->cells) {
        uint32_t at = t->cells;
        t->cells = x->cells[at - 1].next;
        x->cells[at - 1].next = x->cells_free;
        x->cells_free = at;
    }
    t->flags &= 255 & ~AFT_TOUCH_LIVE;
    x->live--;
    while (x->gone < x->tail && !(aft_index_touch(x, x->gone)->flags & AFT_TOUCH_LIVE))
        x->gone++;
}

static uint32_t
new_cell(struct aft_index *x)
{
    if (x->cells_free) {
        uint32_t at = x->cells_free;
        AFT_ASSERT(x->cells != NULL);
        x->cells_free = x->cells[at - 1].next;
        return at;
    }
    if (x->cells_n == x->cells_cap) {
        AFT_ASSERT(x->cells_cap < UINT32_MAX / 2);
        x->cells_cap = x->cells_cap ? x->cells_cap * 2 : CAP_MIN;
        x->cells = realloc(x->cells, x->cells_cap * sizeof *x->cells);
        AFT_ASSERT(x->cells != NULL);
    }
    return ++x->cells_n;
}

struct aft_cell *
aft_index_cell(struct aft_index *x, uint64_t n, uint8_t item, uint8_t kind, bool make)
{
    struct aft_touch *t = aft_index_touch(x, n);
    for (struct aft_cell *c = aft_index_cells(x, t->cells); c; c = aft_index_cells(x, c->next))
        if (c->item == item && c->kind == kind)
            return c;
    if (!make)
        return NULL;
    uint32_t at = new_cell(x);
    AFT_ASSERT(x->cells != NULL);
    x->cells[at - 1] = (struct aft_cell){.next = t->cells, .item = item, .kind = kind};
    t->cells = at;
    return &x->cells[at - 1];
}

void
aft_index_trim(struct aft_index *x, uint64_t segment)
{
    while (x->head < x->tail && aft_index_touch(x, x->head)->segment < segment) {
        AFT_INVARIANT(I3, x->head < x->gone);
        x->head++;
        if ((x->head & (CHUNK - 1)) == 0)
            let_go(x, (x->head - 1) >> AFT_TOUCH_CHUNK_BITS);
    }
    while (x->waiting_head < x->waiting_tail &&
           aft_index_waiting(x, x->waiting_head)->at.segment < segment) {
        AFT_ASSERT(!aft_index_waiting(x, x->waiting_head)->live);
        x->waiting_head++;
    }
}
