/* table.c - open addressing with linear probing and backward-shift deletion, so that no slot is ever "dead".
 * A slot's home is tag & (cap - 1): growing and deleting need nothing but the table itself.
 *
 * Invariants: I1 cap is 0 or a power of two <= 2^31; I2 used <= 3/4 cap, so every probe ends; I3 from a slot's home to the slot no
 * slot is empty.
 */
#include "state/table.h"

#include <stdlib.h>

enum { CAP_MIN = 1024 };

void
aft_table_deinit(struct aft_table *t)
{
    free(t->slots);
    *t = (struct aft_table){0};
}

static void
allocate(struct aft_table *t, uint64_t cap)
{
    AFT_INVARIANT(I1, cap && (cap & (cap - 1)) == 0 && cap <= (UINT64_C(1) << 31));
    t->slots = calloc(cap, sizeof *t->slots);
    AFT_ASSERT(t->slots != NULL);
    t->cap = cap;
    t->used = 0;
}

void
aft_table_clear(struct aft_table *t, uint64_t want)
{
    uint64_t cap = CAP_MIN;
    while (cap / 4 * 3 <= want)
        cap *= 2;
    if (cap == t->cap) {
        memset(t->slots, 0, cap * sizeof *t->slots);
        t->used = 0;
        return;
    }
    free(t->slots);
    allocate(t, cap);
}

static void
insert(struct aft_table *t, uint64_t slot)
{
    uint64_t at = (slot >> 32) & (t->cap - 1);
    while (t->slots[at])
        at = (at + 1) & (t->cap - 1);
    t->slots[at] = slot;
    t->used++;
}

static void
grow(struct aft_table *t)
{
    struct aft_table old = *t;
    allocate(t, old.cap ? old.cap * 2 : CAP_MIN);
    for (uint64_t i = 0; i < old.cap; i++)
        if (old.slots[i])
            insert(t, old.slots[i]);
    free(old.slots);
}

void
aft_table_put(struct aft_table *t, uint64_t hash, uint32_t number)
{
    if (t->used + 1 > t->cap / 4 * 3)
        grow(t);
    insert(t, (uint64_t)aft_table_tag(hash) << 32 | number);
}

static bool
locate(const struct aft_table *t, uint64_t hash, uint32_t number, uint64_t *at)
{
    uint64_t want = (uint64_t)aft_table_tag(hash) << 32 | number;
    if (!t->cap)
        return false;
    for (*at = aft_table_tag(hash) & (t->cap - 1); t->slots[*at]; *at = (*at + 1) & (t->cap - 1))
        if (t->slots[*at] == want)
            return true;
    return false;
}

bool
aft_table_remove(struct aft_table *t, uint64_t hash, uint32_t number)
{
    uint64_t hole, mask = t->cap - 1;
    if (!locate(t, hash, number, &hole))
        return false;
    for (uint64_t at = (hole + 1) & mask; t->slots[at]; at = (at + 1) & mask) {
        uint64_t home = (t->slots[at] >> 32) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) { /* it may stand in the hole: I3 */
            t->slots[hole] = t->slots[at];
            hole = at;
        }
    }
    t->slots[hole] = 0;
    t->used--;
    return true;
}

void
aft_table_move(struct aft_table *t, uint64_t hash, uint32_t from, uint32_t to)
{
    uint64_t at;
    bool found = locate(t, hash, from, &at);
    AFT_ASSERT(found);
    t->slots[at] = (uint64_t)aft_table_tag(hash) << 32 | to;
}
