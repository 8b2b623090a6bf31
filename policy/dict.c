/* dict.c - hash -> index in order of first appearance; open addressing, at most half full. One thread while it changes.
 * Invariant: I1 keys[i] is found at i. */
#include <stdlib.h>

#include "policy/policy.h"

void
aft_dict_deinit(struct aft_dict *d)
{
    free(d->keys);
    free(d->table);
    *d = (struct aft_dict){0};
}

/* Where key is, or the free place where it belongs. */
static uint32_t
place(const struct aft_dict *d, uint64_t key)
{
    uint32_t mask = d->table_n - 1, i = (uint32_t)(key >> 32) & mask;
    while (d->table[i] != AFT_NOWHERE && d->keys[d->table[i]] != key)
        i = (i + 1) & mask;
    return i;
}

uint32_t
aft_dict_find(const struct aft_dict *d, uint64_t key)
{
    return d->table_n ? d->table[place(d, key)] : AFT_NOWHERE;
}

static void
grow(struct aft_dict *d)
{
    d->cap = d->cap ? 2 * d->cap : 32;
    d->table_n = 2 * d->cap;
    d->keys = realloc(d->keys, d->cap * sizeof *d->keys);
    free(d->table);
    d->table = malloc(d->table_n * sizeof *d->table);
    AFT_ASSERT(d->keys && d->table);
    memset(d->table, 0xff, d->table_n * sizeof *d->table);
    for (uint32_t i = 0; i < d->n; i++)
        d->table[place(d, d->keys[i])] = i;
}

uint32_t
aft_dict_add(struct aft_dict *d, uint64_t key)
{
    uint32_t at = aft_dict_find(d, key);
    if (at != AFT_NOWHERE)
        return at;
    if (d->n == d->cap)
        grow(d);
    d->table[place(d, key)] = d->n;
    d->keys[d->n] = key;
    AFT_INVARIANT(I1, aft_dict_find(d, key) == d->n);
    return d->n++;
}
