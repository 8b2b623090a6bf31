/* pages_linux.c - blocks of LARGE bytes and more come from the system itself, beginning at a boundary of a large page, with the advice to use
 * large pages for as much of them as fills some, the last by half at least; what is left stays in small ones, so that a block takes at most
 * 1 MB more than was asked for. Smaller blocks come from the heap.
 * Where large pages are switched off the advice is not followed, and nothing else changes.
 * Invariant: I1 what is given back has the size with which it was taken, and goes where it came from.
 */
#define _DEFAULT_SOURCE
#include "state/pages_linux.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { LINE_BYTES = 64 };
#define LARGE ((size_t)2 << 20)

static bool
large(size_t n)
{
    return n >= LARGE;
}

/* aligned_block: n bytes at a multiple of LARGE, out of a larger piece, whose rest goes back. */
static void *
aligned_block(size_t n)
{
    uint8_t *p = mmap(NULL, n + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    AFT_ASSERT(p != MAP_FAILED);
    size_t before = (LARGE - ((uintptr_t)p & (LARGE - 1))) & (LARGE - 1);
    if (before)
        munmap(p, before);
    munmap(p + before + n, LARGE - before);
    return p + before;
}

/* in_large: as much of a block as large pages serve: a last one that would be filled by half and more is one. */
static size_t
in_large(size_t n)
{
    return (n + LARGE / 2) & ~(LARGE - 1);
}

/* in_pages: a size as the system takes it. */
static size_t
in_pages(size_t n)
{
    const size_t page = 4096, small = (n + page - 1) & ~(page - 1);
    return in_large(n) > n ? in_large(n) : small;
}

void *
afti_pages_take(size_t n)
{
    AFT_ASSERT(n % LINE_BYTES == 0);
    void *p;
    if (!large(n)) {
        p = aligned_alloc(LINE_BYTES, n);
        AFT_ASSERT(p != NULL);
        return memset(p, 0, n);
    }
    p = aligned_block(in_pages(n));
    (void)madvise(p, in_large(n), MADV_HUGEPAGE); /* advice alone */
    return p;
}

void
afti_pages_give(void *p, size_t n)
{
    if (large(n) && p)
        munmap(p, in_pages(n)); /* I1 */
    else
        free(p);
}

void
afti_pages_present(void *p, size_t n)
{
    const uintptr_t page = 4096, end = ((uintptr_t)p + n) & ~(page - 1),
                    from = ((uintptr_t)p + page - 1) & ~(page - 1);
#ifdef MADV_POPULATE_WRITE
    if (from < end)
        (void)madvise((void *)from, end - from, MADV_POPULATE_WRITE); /* advice alone */
#endif
}
