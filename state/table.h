/* table.h - numbers found by hash: 8 bytes a slot, open addressing, no dead slots.
 *
 * A slot holds 31 bits of the hash and the low 32 bits of a number; whoever looks up compares the full id at that number.
 * Callers keep the numbers' range below 2^32 and widen them again. Grows by doubling at three quarters. One thread.
 */
#ifndef AFT_STATE_TABLE_H
#define AFT_STATE_TABLE_H

#include "base/base.h"

struct aft_table {
    uint64_t *slots; /* tag << 32 | number; 0: empty; a tag is never 0 */
    uint64_t cap, used;
};

void aft_table_deinit(struct aft_table *t);
/* aft_table_clear empties the table and makes room for `want` entries. */
void aft_table_clear(struct aft_table *t, uint64_t want);
void aft_table_put(struct aft_table *t, uint64_t hash, uint32_t number);
/* aft_table_remove takes out the entry with this hash and number; false when there is none. */
bool aft_table_remove(struct aft_table *t, uint64_t hash, uint32_t number);
/* aft_table_move gives the entry with this hash and number a new number. */
void aft_table_move(struct aft_table *t, uint64_t hash, uint32_t from, uint32_t to);

/* All numbers whose hash agrees in the bits kept: for (p = aft_probe(t, h); aft_probe_next(&p, &number);) compare. */
struct aft_probe {
    const struct aft_table *t;
    uint64_t at;
    uint32_t tag;
};

static inline uint32_t
aft_table_tag(uint64_t hash)
{
    return (uint32_t)hash | UINT32_C(0x80000000);
}

static inline struct aft_probe
aft_probe(const struct aft_table *t, uint64_t hash)
{
    uint32_t tag = aft_table_tag(hash);
    return (struct aft_probe){t, t->cap ? tag & (t->cap - 1) : 0, tag};
}

static inline bool
aft_probe_next(struct aft_probe *p, uint32_t *number)
{
    const struct aft_table *t = p->t;
    if (!t->cap)
        return false;
    for (uint64_t slot; (slot = t->slots[p->at]) != 0;) {
        p->at = (p->at + 1) & (t->cap - 1);
        if ((uint32_t)(slot >> 32) == p->tag) {
            *number = (uint32_t)slot;
            return true;
        }
    }
    return false;
}

#endif
