/* bytes.h - slices of bytes, a bounded reader over them, a growing writer; all encodings field by field.
 *
 * A slice borrows: whoever hands it out says how long it lives. p == NULL means "absent", n == 0 "empty".
 * The reader never passes its end: after a false nothing of its output may be used.
 * The writer grows by doubling; it aborts when memory ends (its size is bounded by its callers).
 * Avro's long is zigzag varint; everything else is little-endian unless the name says be.
 */
#ifndef AFT_BASE_BYTES_H
#define AFT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct aft_bytes {
    const uint8_t *p;
    size_t n;
};

#define AFT_ABSENT ((struct aft_bytes){0})
#define AFT_LITERAL(s) ((struct aft_bytes){(const uint8_t *)("" s), sizeof(s) - 1})

static inline struct aft_bytes
aft_text(const char *s)
{
    return (struct aft_bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}

static inline bool
aft_same(struct aft_bytes a, struct aft_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* aft_compare orders by bytes, then length: the order of every sorted list of names in the project. */
int aft_compare(struct aft_bytes a, struct aft_bytes b);

/* ---- fixed-width integers at a place */
static inline void
aft_store_le16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
/* Written out byte by byte, compilers make one store of them; of a loop they do not. */
static inline void
aft_store_le32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}
static inline void
aft_store_le64(uint8_t *p, uint64_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
    p[4] = (uint8_t)(v >> 32);
    p[5] = (uint8_t)(v >> 40);
    p[6] = (uint8_t)(v >> 48);
    p[7] = (uint8_t)(v >> 56);
}
static inline void
aft_store_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}
static inline void
aft_store_be64(uint8_t *p, uint64_t v)
{
    p[0] = (uint8_t)(v >> 56);
    p[1] = (uint8_t)(v >> 48);
    p[2] = (uint8_t)(v >> 40);
    p[3] = (uint8_t)(v >> 32);
    p[4] = (uint8_t)(v >> 24);
    p[5] = (uint8_t)(v >> 16);
    p[6] = (uint8_t)(v >> 8);
    p[7] = (uint8_t)v;
}
static inline uint16_t
aft_load_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t
aft_load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t
aft_load_le64(const uint8_t *p)
{
    return aft_load_le32(p) | (uint64_t)aft_load_le32(p + 4) << 32;
}
static inline uint32_t
aft_load_be32(const uint8_t *p)
{
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}
static inline uint64_t
aft_load_be64(const uint8_t *p)
{
    return aft_load_be32(p + 4) | (uint64_t)aft_load_be32(p) << 32;
}

/* ---- reader */
struct aft_reader {
    const uint8_t *p, *end;
};

static inline struct aft_reader
aft_reader(struct aft_bytes b)
{
    return (struct aft_reader){b.p, b.n ? b.p + b.n : b.p};
}
static inline size_t
aft_left(const struct aft_reader *r)
{
    return (size_t)(r->end - r->p);
}
/* aft_get_long reads an Avro int or long; false when it is cut off or longer than ten bytes. */
static inline bool
aft_get_long(struct aft_reader *r, int64_t *out)
{
    uint64_t u = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->p == r->end)
            return false;
        uint8_t b = *r->p++;
        u |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *out = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
            return true;
        }
    }
    return false;
}
static inline bool
aft_get_raw(struct aft_reader *r, size_t n, struct aft_bytes *out)
{
    if (aft_left(r) < n)
        return false;
    *out = (struct aft_bytes){r->p, n};
    r->p += n;
    return true;
}
/* aft_get_bytes reads an Avro bytes or string of at most max bytes; the slice points into the reader's bytes. */
static inline bool
aft_get_bytes(struct aft_reader *r, size_t max, struct aft_bytes *out)
{
    int64_t n;
    return aft_get_long(r, &n) && n >= 0 && (uint64_t)n <= max && aft_get_raw(r, (size_t)n, out);
}
static inline bool
aft_get_u8(struct aft_reader *r, uint8_t *out)
{
    if (r->p == r->end)
        return false;
    *out = *r->p++;
    return true;
}
static inline bool
aft_get_le32(struct aft_reader *r, uint32_t *out)
{
    if (aft_left(r) < 4)
        return false;
    *out = aft_load_le32(r->p);
    r->p += 4;
    return true;
}
static inline bool
aft_get_le64(struct aft_reader *r, uint64_t *out)
{
    if (aft_left(r) < 8)
        return false;
    *out = aft_load_le64(r->p);
    r->p += 8;
    return true;
}
static inline bool
aft_get_double(struct aft_reader *r, double *out)
{
    uint64_t u;
    if (!aft_get_le64(r, &u))
        return false;
    memcpy(out, &u, 8);
    return true;
}
static inline bool
aft_get_float(struct aft_reader *r, float *out)
{
    uint32_t u;
    if (!aft_get_le32(r, &u))
        return false;
    memcpy(out, &u, 4);
    return true;
}

/* ---- writer */
struct aft_buffer {
    uint8_t *p;
    size_t n, cap;
};

/* aft_reserve makes room for `more` bytes behind n and returns where they go; n is left as it was. */
uint8_t *aft_buffer_grow(struct aft_buffer *b, size_t more);
static inline uint8_t *
aft_reserve(struct aft_buffer *b, size_t more)
{
    return b->cap - b->n >= more ? b->p + b->n : aft_buffer_grow(b, more);
}
/* aft_buffer_deinit frees; a zeroed struct is an empty buffer. aft_buffer_reset keeps the memory. */
void aft_buffer_deinit(struct aft_buffer *b);
static inline void
aft_buffer_reset(struct aft_buffer *b)
{
    b->n = 0;
}
static inline struct aft_bytes
aft_buffer_bytes(const struct aft_buffer *b)
{
    return (struct aft_bytes){b->p, b->n};
}
static inline void
aft_put_u8(struct aft_buffer *b, uint8_t v)
{
    *aft_reserve(b, 1) = v;
    b->n += 1;
}
static inline void
aft_put_le16(struct aft_buffer *b, uint16_t v)
{
    aft_store_le16(aft_reserve(b, 2), v);
    b->n += 2;
}
static inline void
aft_put_le32(struct aft_buffer *b, uint32_t v)
{
    aft_store_le32(aft_reserve(b, 4), v);
    b->n += 4;
}
static inline void
aft_put_le64(struct aft_buffer *b, uint64_t v)
{
    aft_store_le64(aft_reserve(b, 8), v);
    b->n += 8;
}
static inline void
aft_put_be32(struct aft_buffer *b, uint32_t v)
{
    aft_store_be32(aft_reserve(b, 4), v);
    b->n += 4;
}
static inline void
aft_put_be64(struct aft_buffer *b, uint64_t v)
{
    aft_store_be64(aft_reserve(b, 8), v);
    b->n += 8;
}
static inline void
aft_put_double(struct aft_buffer *b, double v)
{
    uint64_t u;
    memcpy(&u, &v, 8);
    aft_put_le64(b, u);
}
static inline void
aft_put_float(struct aft_buffer *b, float v)
{
    uint32_t u;
    memcpy(&u, &v, 4);
    aft_put_le32(b, u);
}
static inline void
aft_put_raw(struct aft_buffer *b, struct aft_bytes v)
{
    if (v.n == 0) /* an empty buffer and an absent slice have no address to add to */
        return;
    memcpy(aft_reserve(b, v.n), v.p, v.n);
    b->n += v.n;
}
/* aft_put_long writes an Avro int or long. */
static inline void
aft_put_long(struct aft_buffer *b, int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    uint8_t *p = aft_reserve(b, 10), *start = p;
    while (u > 127) {
        *p++ = (uint8_t)(u | 128);
        u >>= 7;
    }
    *p++ = (uint8_t)u;
    b->n += (size_t)(p - start);
}
/* aft_put_bytes writes an Avro bytes or string. */
static inline void
aft_put_bytes(struct aft_buffer *b, struct aft_bytes v)
{
    aft_put_long(b, (int64_t)v.n);
    aft_put_raw(b, v);
}

#endif
