/* delta.c - two images -> what changed; what changed and the image before -> the new image. Format: delta.h. Pure, one thread.
 *
 * A section is compared with the one of the same id in the image before, grain by grain, each at its place in the section; a grain
 * that is equal is copied, any other is literal. Neighbours of a kind become one operation, so n scattered rows cost n rows and a
 * few bytes each.
 * Invariants: I1 the operations make the new image from its first byte to its last, in order, each byte once. I2 a copy lies
 * within the image before.
 */
#include <stdlib.h>

#include "policy/policy.h"

#define MAGIC 0x31444641u

void
aft_image_reset(struct aft_image *m)
{
    aft_buffer_reset(&m->bytes);
    m->sections_n = 0;
}

void
aft_image_deinit(struct aft_image *m)
{
    aft_buffer_deinit(&m->bytes);
    free(m->sections);
    *m = (struct aft_image){0};
}

void
aft_image_section(struct aft_image *m, uint64_t id, size_t grain)
{
    if (m->sections_n == m->sections_cap) {
        m->sections_cap = m->sections_cap ? 2 * m->sections_cap : 16;
        m->sections = realloc(m->sections, m->sections_cap * sizeof *m->sections);
        AFT_ASSERT(m->sections);
    }
    uint32_t whole = grain > UINT32_MAX ? UINT32_MAX : (uint32_t)grain;
    m->sections[m->sections_n++] =
        (struct aft_section){id, m->bytes.n, whole < AFT_GRAIN ? AFT_GRAIN : whole};
}

/* ---- making */
struct making {
    const struct aft_image *from, *to;
    struct aft_buffer *out;
    size_t source;             /* where the last copy that was written ended */
    size_t copy, copied;       /* the operation at hand: a copy, then literal bytes */
    size_t literal, literal_n; /* of `to` */
    size_t made;               /* bytes of `to` that operations cover */
};

static void
put_operation(struct making *m)
{
    if (m->copied == 0 && m->literal_n == 0)
        return;
    if (m->copied == 0)
        m->copy = m->source;
    aft_put_long(m->out, (int64_t)m->copy - (int64_t)m->source);
    aft_put_long(m->out, (int64_t)m->copied);
    aft_put_long(m->out, (int64_t)m->literal_n);
    aft_put_raw(m->out, (struct aft_bytes){m->to->bytes.p + m->literal, m->literal_n});
    m->source = m->copy + m->copied;
    m->copied = m->literal_n = 0;
}

static void
add_copy(struct making *m, size_t at, size_t n)
{
    AFT_INVARIANT(I2, at + n <= m->from->bytes.n);
    if (m->literal_n || (m->copied && m->copy + m->copied != at))
        put_operation(m);
    if (m->copied == 0)
        m->copy = at;
    m->copied += n;
    m->made += n;
}

static void
add_literal(struct making *m, size_t n)
{
    if (m->literal_n == 0)
        m->literal = m->made;
    m->literal_n += n;
    m->made += n;
}

/* A section of an image: i = 0 is what stands before the first one that has a name. */
static struct aft_section
section_of(const struct aft_image *m, uint32_t i)
{
    return i ? m->sections[i - 1] : (struct aft_section){0, 0, AFT_GRAIN};
}

static size_t
section_end(const struct aft_image *m, uint32_t i)
{
    return i < m->sections_n ? m->sections[i].at : m->bytes.n;
}

/* Section i of `to` beside section j of `from` (AFT_NOWHERE: there is none). */
static void
add_section(struct making *m, uint32_t i, uint32_t j)
{
    struct aft_section to = section_of(m->to, i);
    size_t n = section_end(m->to, i) - to.at, grain = to.grain, have = 0, base = 0;
    if (j != AFT_NOWHERE) {
        base = section_of(m->from, j).at;
        have = section_end(m->from, j) - base;
    }
    for (size_t at = 0; at < n; at += grain) {
        size_t size = n - at < grain ? n - at : grain;
        if (at + size <= have &&
            memcmp(m->to->bytes.p + to.at + at, m->from->bytes.p + base + at, size) == 0)
            add_copy(m, base + at, size);
        else
            add_literal(m, size);
    }
}

void
aft_delta_encode(const struct aft_image *from, const struct aft_image *to, struct aft_buffer *out)
{
    struct making m = {.from = from, .to = to, .out = out};
    struct aft_dict known = {0};
    struct aft_hash128 hash = aft_hash128(aft_buffer_bytes(&to->bytes), (struct aft_hash128){0, 0});
    for (uint32_t i = 0; i < from->sections_n; i++)
        aft_dict_add(&known, from->sections[i].id);
    bool distinct = known.n == from->sections_n;
    AFT_ASSERT(distinct);
    aft_put_le32(out, MAGIC);
    aft_put_le64(out, from->bytes.n);
    aft_put_le64(out, to->bytes.n);
    aft_put_le64(out, hash.low);
    aft_put_le64(out, hash.high);
    add_section(&m, 0, 0);
    for (uint32_t i = 0; i < to->sections_n; i++) {
        uint32_t j = aft_dict_find(&known, to->sections[i].id);
        add_section(&m, i + 1, j == AFT_NOWHERE ? j : j + 1);
    }
    put_operation(&m);
    AFT_INVARIANT(I1, m.made == to->bytes.n);
    aft_dict_deinit(&known);
}

/* ---- applying */
static bool
get_size(struct aft_reader *r, size_t max, size_t *out)
{
    int64_t v;
    bool good = aft_get_long(r, &v) && v >= 0 && (uint64_t)v <= max;
    *out = good ? (size_t)v : 0;
    return good;
}

/* One operation; false: it does not fit. */
static bool
operate(struct aft_reader *r, struct aft_bytes from, size_t *source, size_t want,
        struct aft_buffer *to)
{
    int64_t skip;
    size_t copied, n;
    struct aft_bytes literal;
    if (!aft_get_long(r, &skip) || skip < -(int64_t)*source || skip > (int64_t)(from.n - *source))
        return false;
    size_t at = (size_t)((int64_t)*source + skip), left = from.n - at;
    size_t room = want - to->n;
    if (!get_size(r, left < room ? left : room, &copied) || !get_size(r, room - copied, &n) ||
        copied + n == 0 || !aft_get_raw(r, n, &literal))
        return false;
    aft_put_raw(to, (struct aft_bytes){from.p + at, copied});
    aft_put_raw(to, literal);
    *source = at + copied;
    return true;
}

enum aft_err
aft_delta_apply(struct aft_bytes delta, struct aft_bytes from, struct aft_buffer *to,
                struct aft_error *e)
{
    struct aft_reader r = aft_reader(delta);
    struct aft_hash128 said, hash;
    uint32_t magic;
    uint64_t before, want;
    size_t source = 0;
    AFT_ASSERT(to->n == 0);
    if (!aft_get_le32(&r, &magic) || magic != MAGIC || !aft_get_le64(&r, &before) ||
        !aft_get_le64(&r, &want) || !aft_get_le64(&r, &said.low) || !aft_get_le64(&r, &said.high) ||
        want > AFT_IMAGE_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_MALFORMED, "a delta of %zu bytes does not begin as one", delta.n);
    if (before != from.n)
        return AFT_FAIL(e, AFT_E_VALUE, "a delta to an image of %llu bytes; ours has %zu",
                        (unsigned long long)before, from.n);
    aft_reserve(to, (size_t)want + 1);
    while (to->n < want)
        if (!operate(&r, from, &source, (size_t)want, to))
            return AFT_FAIL(e, AFT_E_MALFORMED,
                            "a delta does not follow its format at byte %zu of %zu",
                            (size_t)(r.p - delta.p), delta.n);
    if (aft_left(&r))
        return AFT_FAIL(e, AFT_E_MALFORMED, "%zu bytes behind the end of a delta", aft_left(&r));
    hash = aft_hash128(aft_buffer_bytes(to), (struct aft_hash128){0, 0});
    if (hash.low != said.low || hash.high != said.high)
        return AFT_FAIL(e, AFT_E_VALUE, "what a delta makes is not what its hash says");
    return AFT_OK;
}
