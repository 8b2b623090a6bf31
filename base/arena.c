/* arena.c - chunks of memory in a list, each filled from its start. One thread an arena.
 * Invariants: I1 every chunk before `now` is full or skipped since reset; I2 used <= max. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"

struct aft_arena_chunk {
    struct aft_arena_chunk *next;
    size_t size, used;
    _Alignas(16) uint8_t data[];
};

enum { CHUNK_MIN = 64 << 10 };

void
aft_arena_init(struct aft_arena *a, size_t max)
{
    *a = (struct aft_arena){.max = max};
}

void
aft_arena_deinit(struct aft_arena *a)
{
    for (struct aft_arena_chunk *c = a->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct aft_arena){0};
}

void
aft_arena_reset(struct aft_arena *a)
{
    for (struct aft_arena_chunk *c = a->first; c; c = c->next)
        c->used = 0;
    a->now = a->first;
    a->used = 0;
}

static struct aft_arena_chunk *
chunk_with(struct aft_arena *a, size_t n)
{
    struct aft_arena_chunk *c = a->now;
    while (c && c->size - c->used < n)
        c = c->next;
    if (!c) {
        size_t size = n > CHUNK_MIN ? n : CHUNK_MIN;
        c = malloc(sizeof *c + size);
        if (!c)
            return NULL;
        c->size = size;
        c->used = 0;
        c->next = a->now ? a->now->next : a->first;
        if (a->now)
            a->now->next = c;
        else
            a->first = c;
    }
    a->now = c;
    return c;
}

void *
aft_arena_take(struct aft_arena *a, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (n > a->max - a->used)
        return NULL;
    struct aft_arena_chunk *c = chunk_with(a, n);
    if (!c)
        return NULL;
    void *p = c->data + c->used;
    c->used += n;
    a->used += n;
    AFT_INVARIANT(I2, a->used <= a->max);
    return p;
}

struct aft_bytes
aft_arena_copy(struct aft_arena *a, struct aft_bytes b)
{
    uint8_t *p = aft_arena_take(a, b.n ? b.n : 1);
    if (!p)
        return AFT_ABSENT;
    if (b.n)
        memcpy(p, b.p, b.n);
    return (struct aft_bytes){p, b.n};
}
