/* arena.h - a bump allocator with one lifetime: everything in it dies at once, at reset.
 *
 * The life of a batch: reset, decode, use, reset. Memory is kept between resets, so a warm arena never allocates.
 * It is bounded: past `max` bytes aft_arena_take returns NULL, which a decoder reports as AFT_E_LIMIT.
 */
#ifndef AFT_BASE_ARENA_H
#define AFT_BASE_ARENA_H

#include <stddef.h>

#include "base/bytes.h"

struct aft_arena_chunk;
struct aft_arena {
    struct aft_arena_chunk *first, *now;
    size_t used, max; /* bytes handed out since reset; their bound */
};

/* aft_arena_init: no allocation yet. aft_arena_deinit frees all. aft_arena_reset ends the life of what was taken. */
void aft_arena_init(struct aft_arena *a, size_t max);
void aft_arena_deinit(struct aft_arena *a);
void aft_arena_reset(struct aft_arena *a);

/* aft_arena_take returns n bytes aligned to 16 (uninitialised), or NULL when the bound is reached. */
void *aft_arena_take(struct aft_arena *a, size_t n);

/* aft_arena_copy returns a copy of b that lives as long as the arena's content; absent (p == NULL) when full. */
struct aft_bytes aft_arena_copy(struct aft_arena *a, struct aft_bytes b);

#endif
