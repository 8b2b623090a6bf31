/* bytes.c - the parts of bytes.h that are not worth inlining. Any thread. */
#include "base/bytes.h"

#include <stdlib.h>

#include "base/check.h"

int
aft_compare(struct aft_bytes a, struct aft_bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

uint8_t *
aft_buffer_grow(struct aft_buffer *b, size_t more)
{
    AFT_ASSERT(more < SIZE_MAX / 4 && b->n <= b->cap);
    size_t cap = b->cap ? b->cap : 256;
    while (cap - b->n < more)
        cap *= 2;
    uint8_t *p = realloc(b->p, cap);
    AFT_ASSERT(p != NULL);
    b->p = p;
    b->cap = cap;
    return p + b->n;
}

void
aft_buffer_deinit(struct aft_buffer *b)
{
    free(b->p);
    *b = (struct aft_buffer){0};
}
