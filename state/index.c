/* index.c - touches, users and credit cells. Outcomes: index_outcomes.c.
 *
 * Invariants: I1 head <= n < tail, tail - head <= cap, cap a power of two; I2 `before` leads to smaller numbers alone; I3 ids holds
 * exactly the live touches; I4 a user's newest is its greatest number ever added.
 */
#include "state/index.h"

#include <stdlib.h>

#include "state/index_inner.h"

enum { CAP_MIN = 1024 };

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
                            .seen_head = first_outcome,
                            .seen_tail = first_outcome};
    aft_table_clear(&x->ids, 0);
    aft_table_clear(&x->user_ids, 0);
    aft_table_clear(&x->seen_ids, 0);
    aft_table_clear(&x->waiting_ids, 0);
}

void
aft_index_deinit(struct aft_index *x)
{
    free(x->touch);
    free(x->users);
    free(x->cells);
    free(x->seen);
    free(x->waiting);
    aft_table_deinit(&x->ids);
    aft_table_deinit(&x->user_ids);
    aft_table_deinit(&x->seen_ids);
    aft_table_deinit(&x->waiting_ids);
    *x = (struct aft_index){0};
}

size_t
aft_index_memory(const struct aft_index *x)
{
    return x->cap * sizeof *x->touch + x->users_cap * sizeof *x->users +
           x->cells_cap * sizeof *x->cells + x->seen_cap * sizeof *x->seen +
           x->waiting_cap * sizeof *x->waiting +
           (x->ids.cap + x->user_ids.cap + x->seen_ids.cap + x->waiting_ids.cap) * 8;
}

static struct aft_user *
user_of(const struct aft_index *x, struct aft_hash128 id)
{
    uint32_t at;
    for (struct aft_probe p = aft_probe(&x->user_ids, id.low); aft_probe_next(&p, &at);)
        if (aft_same_id(x->users[at].id, id))
            return &x->users[at];
    return NULL;
}

/* make_room forgets users whose touches are all gone, and doubles when that frees less than a quarter. */
static void
make_room(struct aft_index *x)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < x->users_n; i++)
        if (x->users[i].newest >= x->head)
            x->users[kept++] = x->users[i];
    x->users_n = kept;
    if (kept + kept / 3 >= x->users_cap) {
        x->users_cap = x->users_cap ? x->users_cap * 2 : CAP_MIN;
        x->users = realloc(x->users, x->users_cap * sizeof *x->users);
        AFT_ASSERT(x->users != NULL && x->users_cap < UINT32_MAX);
    }
    aft_table_clear(&x->user_ids, kept);
    for (uint64_t i = 0; i < kept; i++)
        aft_table_put(&x->user_ids, x->users[i].id.low, (uint32_t)i);
}

/* chain makes n its user's newest touch and returns how far back the one before it is. */
static uint32_t
chain(struct aft_index *x, struct aft_hash128 id, uint64_t n)
{
    struct aft_user *u = user_of(x, id);
    if (u) {
        uint64_t before = u->newest;
        AFT_INVARIANT(I4, before < n);
        u->newest = n;
        return before >= x->head ? (uint32_t)(n - before) : 0;
    }
    if (x->users_n == x->users_cap)
        make_room(x);
    x->users[x->users_n] = (struct aft_user){id, n};
    aft_table_put(&x->user_ids, id.low, (uint32_t)x->users_n++);
    return 0;
}

uint64_t
aft_index_add(struct aft_index *x, const struct aft_touch *t, const struct aft_hash128 *user)
{
    if (x->tail - x->head == x->cap)
        x->touch = afti_ring_widen(x->touch, sizeof *x->touch, x->head, x->tail, &x->cap);
    uint64_t n = x->tail++;
    struct aft_touch *to = aft_index_touch(x, n);
    *to = *t;
    to->cells = 0;
    to->before = user ? chain(x, *user, n) : 0;
    if (t->flags & AFT_TOUCH_LIVE) {
        aft_table_put(&x->ids, t->id.low, (uint32_t)n);
        x->live++;
    }
    return n;
}

bool
aft_index_find(const struct aft_index *x, struct aft_hash128 id, uint64_t *n)
{
    uint32_t low;
    for (struct aft_probe p = aft_probe(&x->ids, id.low); aft_probe_next(&p, &low);) {
        *n = aft_widen(low, x->tail);
        if (aft_same_id(aft_index_touch(x, *n)->id, id))
            return true;
    }
    return false;
}

bool
aft_index_newest(const struct aft_index *x, struct aft_hash128 user, uint64_t *n)
{
    const struct aft_user *u = user_of(x, user);
    *n = u ? u->newest : 0;
    return u && u->newest >= x->head;
}

void
aft_index_drop(struct aft_index *x, uint64_t n)
{
    struct aft_touch *t = aft_index_touch(x, n);
    bool there = aft_table_remove(&x->ids, t->id.low, (uint32_t)n);
    AFT_INVARIANT(I3, there && (t->flags & AFT_TOUCH_LIVE));
    while (t->cells) {
        uint32_t at = t->cells;
        t->cells = x->cells[at - 1].next;
        x->cells[at - 1].next = x->cells_free;
        x->cells_free = at;
    }
    t->flags &= (uint8_t)~AFT_TOUCH_LIVE;
    x->live--;
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
        AFT_ASSERT(!(aft_index_touch(x, x->head)->flags & AFT_TOUCH_LIVE));
        x->head++;
    }
    while (x->waiting_head < x->waiting_tail &&
           aft_index_waiting(x, x->waiting_head)->at.segment < segment) {
        AFT_ASSERT(!aft_index_waiting(x, x->waiting_head)->live);
        x->waiting_head++;
    }
}
