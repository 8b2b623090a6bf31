/* log_records.c - see log_records.h. */
#include "consumer/log_records.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 128 << 10, CHUNKS_KEPT = 8, RECORDS_MIN = 256 };

struct afti_chunk {
    struct afti_chunk *next;
    size_t used, cap;
    uint8_t bytes[];
};

/* chunk_with: room for n bytes: where we are, in the next one, or in a new one between the two. */
static struct afti_chunk *
chunk_with(struct afti_records *r, size_t n)
{
    struct afti_chunk *at = r->filling;
    if (at && at->cap - at->used >= n)
        return at;
    struct afti_chunk **next = at ? &at->next : &r->chunks;
    if (!*next || (*next)->cap < n) {
        size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        struct afti_chunk *fresh = malloc(sizeof *fresh + cap);
        AFT_ASSERT(fresh != NULL);
        *fresh = (struct afti_chunk){.next = *next, .cap = cap};
        *next = fresh;
    }
    return r->filling = *next;
}

static struct aft_bytes
copied(struct afti_records *r, struct aft_bytes b)
{
    if (!b.p)
        return b;
    struct afti_chunk *c = chunk_with(r, b.n);
    uint8_t *to = c->bytes + c->used;
    memcpy(to, b.p, b.n);
    c->used += b.n;
    return (struct aft_bytes){to, b.n};
}

/* headers_copied: the array first, aligned, then their bytes. */
static const struct aft_header *
headers_copied(struct afti_records *r, const struct aft_header *in, uint32_t n)
{
    size_t bytes = n * sizeof *in, align = _Alignof(struct aft_header);
    struct afti_chunk *c = chunk_with(r, bytes + align);
    size_t skip = (size_t)(-(uintptr_t)(c->bytes + c->used)) & (align - 1);
    struct aft_header *out = (struct aft_header *)(void *)(c->bytes + c->used + skip);
    c->used += skip + bytes;
    for (uint32_t i = 0; i < n; i++)
        out[i] = (struct aft_header){copied(r, in[i].name), copied(r, in[i].value)};
    return out;
}

void
afti_records_add(struct afti_records *r, const struct aft_record_in *in)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : RECORDS_MIN;
        r->v = realloc(r->v, r->cap * sizeof *r->v);
        AFT_ASSERT(r->v != NULL);
    }
    struct aft_record_in *o = &r->v[r->n++];
    *o = *in;
    o->key = copied(r, in->key);
    o->value = copied(r, in->value);
    o->headers = in->headers_n ? headers_copied(r, in->headers, in->headers_n) : NULL;
}

uint32_t
afti_records_take(struct afti_records *r, struct aft_record_in *out, uint32_t max)
{
    size_t left = afti_records_left(r);
    uint32_t n = left < max ? (uint32_t)left : max;
    if (n)
        memcpy(out, r->v + r->i, n * sizeof *out);
    r->i += n;
    return n;
}

void
afti_records_reset(struct afti_records *r)
{
    struct afti_chunk **at = &r->chunks;
    bool used = r->filling != NULL;
    for (int kept = 0; *at;) {
        struct afti_chunk *c = *at;
        bool last = c == r->filling;
        if (c->cap > CHUNK_BYTES || (!used && kept >= CHUNKS_KEPT)) {
            *at = c->next;
            free(c);
        } else {
            c->used = 0;
            kept++;
            at = &c->next;
        }
        used = used && !last;
    }
    r->filling = NULL;
    r->n = r->i = 0;
}

void
afti_records_deinit(struct afti_records *r)
{
    for (struct afti_chunk *c = r->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(r->v);
    *r = (struct afti_records){0};
}
