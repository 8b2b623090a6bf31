/* format.c - the bytes of the WEIGHTS plane: what an engine needs to score. Pure. Little-endian.
 *
 *   0  u32  magic "AFW2"      4  u32  kind of model (enum aft_model_kind)
 *   8  u32  members          12  u32  first         16  u32  voters: members first .. first + voters - 1 decide
 * then, for a linear kind
 *  20  f64  lambda           28  u32 columns        32  u32 arms (0: one shared block)     36  u32 blocks
 *  40  u64  hash of each column, in order; u64 hash of each arm, in order (block i is arm i's)
 *   then for each block, for each member: u32 d; f64 theta[d]; f64 cov[d (d + 1) / 2] (lower triangle, row by row)
 * for a bilinear kind
 *  20  u32  rows             24  u32 columns        28  u32 stride: a multiple of 8, at most 8 above columns
 *  32  u32  cells
 *  36  u64  hash of each row, of each column; f32 w[rows][members][stride]; f32 v likewise (posterior variances)
 * Everything is counted before it is read: a cut or padded body is refused.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/policy.h"

#define MAGIC 0x32574641u

/* Sections of the image: what stays in its place when others grow. A block: BLOCK + its number. */
enum { HASHES = 1, MORE_HASHES, WEIGHTS, VARIANCES, BLOCK = 16 };

static void
put_keys(struct aft_buffer *out, const struct aft_dict *d)
{
    for (uint32_t i = 0; i < d->n; i++)
        aft_put_le64(out, d->keys[i]);
}

static void
put_block(const struct aft_linear_block *b, struct aft_buffer *out)
{
    aft_put_le32(out, b->d);
    for (uint32_t i = 0; i < b->d; i++)
        aft_put_double(out, b->theta[i]);
    for (uint32_t i = 0; i < b->d; i++)
        for (uint32_t j = 0; j <= i; j++)
            aft_put_double(out, b->cov[(size_t)i * b->stride + j]);
}

static void
put_linear(const struct aft_linear *m, struct aft_image *image)
{
    struct aft_buffer *out = &image->bytes;
    aft_put_double(out, m->lambda);
    aft_put_le32(out, m->columns.n);
    aft_put_le32(out, m->arms.n);
    aft_put_le32(out, m->blocks_n);
    aft_image_section(image, HASHES, AFT_GRAIN);
    put_keys(out, &m->columns);
    aft_image_section(image, MORE_HASHES, AFT_GRAIN);
    put_keys(out, &m->arms);
    for (size_t k = 0; k < (size_t)m->blocks_n * m->members; k++) {
        aft_image_section(image, BLOCK + k, AFT_GRAIN);
        put_block(&m->blocks[k], out);
    }
}

static void
put_bilinear(const struct aft_bilinear *m, struct aft_image *image)
{
    struct aft_buffer *out = &image->bytes;
    size_t row = (size_t)m->stride * m->members * sizeof(float);
    aft_put_le32(out, m->rows.n);
    aft_put_le32(out, m->columns.n);
    aft_put_le32(out, m->stride);
    aft_put_le32(out, m->cells);
    aft_image_section(image, HASHES, AFT_GRAIN);
    put_keys(out, &m->rows);
    aft_image_section(image, MORE_HASHES, AFT_GRAIN);
    put_keys(out, &m->columns);
    aft_image_section(image, WEIGHTS, row);
    for (size_t i = 0; i < aft_bilinear_size(m); i++)
        aft_put_float(out, m->w[i]);
    aft_image_section(image, VARIANCES, row);
    for (size_t i = 0; i < aft_bilinear_size(m); i++)
        aft_put_float(out, m->v[i]);
}

void
aft_weights_image(const struct aft_weights *w, struct aft_image *image)
{
    struct aft_buffer *out = &image->bytes;
    aft_put_le32(out, MAGIC);
    aft_put_le32(out, (uint32_t)w->kind);
    aft_put_le32(out, w->members);
    aft_put_le32(out, w->first);
    aft_put_le32(out, w->voters);
    if (aft_model_traits(w->kind)->bilinear)
        put_bilinear(&w->bilinear, image);
    else
        put_linear(&w->linear, image);
}

void
aft_weights_encode(const struct aft_weights *w, struct aft_buffer *out)
{
    struct aft_image image = {.sections_n = 0};
    aft_weights_image(w, &image);
    aft_put_raw(out, aft_buffer_bytes(&image.bytes));
    aft_image_deinit(&image);
}

/* ---- reading */
static bool
get_keys(struct aft_reader *r, uint32_t n, struct aft_dict *d)
{
    uint64_t key;
    if (n > aft_left(r) / 8)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!aft_get_le64(r, &key) || aft_dict_add(d, key) != i)
            return false;
    return true;
}

static bool
get_finite(struct aft_reader *r, double *out)
{
    return aft_get_double(r, out) && isfinite(*out);
}

static bool
get_block(struct aft_reader *r, struct aft_linear *m, uint32_t at, uint32_t member)
{
    uint32_t d;
    bool good = true;
    struct aft_linear_block *b = aft_linear_block(m, at, member);
    if (!aft_get_le32(r, &d) || (member == 0 ? d > aft_linear_columns(m) : d != b->d))
        return false;
    if (aft_left(r) / 8 < d + (size_t)d * (d + 1) / 2)
        return false;
    aft_linear_block_grow(m, at, d);
    for (uint32_t i = 0; i < d; i++)
        good &= get_finite(r, &b->theta[i]);
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double v = 0;
            good &= get_finite(r, &v);
            b->cov[(size_t)i * b->stride + j] = b->cov[(size_t)j * b->stride + i] = v;
        }
    return good;
}

static bool
get_linear(struct aft_reader *r, struct aft_linear *m, uint32_t members)
{
    double lambda;
    uint32_t columns, arms, blocks;
    if (!get_finite(r, &lambda) || lambda <= 0 || !aft_get_le32(r, &columns) ||
        !aft_get_le32(r, &arms) || !aft_get_le32(r, &blocks))
        return false;
    if (columns > AFT_LINEAR_COLUMNS - AFT_LINEAR_RESERVED || (arms ? blocks != arms : blocks > 1))
        return false;
    aft_linear_init(m, lambda, members);
    if (!get_keys(r, columns, &m->columns) || !get_keys(r, arms, &m->arms))
        return false;
    for (uint32_t i = 0; i < blocks; i++) {
        aft_linear_add_block(m);
        for (uint32_t j = 0; j < members; j++)
            if (!get_block(r, m, i, j))
                return false;
    }
    return true;
}

static bool
get_floats(struct aft_reader *r, size_t n, float **out)
{
    uint32_t wrong = 0;
    struct aft_bytes b;
    *out = malloc(n * sizeof **out + 1);
    AFT_ASSERT(*out);
    if (!aft_get_raw(r, n * sizeof **out, &b))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = aft_load_le32(b.p + 4 * i);
        wrong |= (u & 0x7f800000) == 0x7f800000; /* infinite, or no number */
        memcpy(*out + i, &u, 4);
    }
    return !wrong;
}

static bool
get_bilinear(struct aft_reader *r, struct aft_bilinear *m, uint32_t members)
{
    uint32_t rows, columns;
    m->members = members;
    if (!aft_get_le32(r, &rows) || !aft_get_le32(r, &columns) || !aft_get_le32(r, &m->stride) ||
        !aft_get_le32(r, &m->cells))
        return false;
    if (m->stride % 8 || columns > m->stride || m->stride - columns > 8 ||
        (uint64_t)rows * m->stride > m->cells)
        return false;
    if (!get_keys(r, rows, &m->rows) || !get_keys(r, columns, &m->columns))
        return false;
    size_t n = aft_bilinear_size(m);
    m->rows_cap = rows;
    return aft_left(r) / 8 >= n && get_floats(r, n, &m->w) && get_floats(r, n, &m->v);
}

static bool
get_members(struct aft_reader *r, struct aft_weights *w)
{
    uint32_t kind, members, first, voters, kinds;
    aft_model_words(&kinds);
    if (!aft_get_le32(r, &kind) || !aft_get_le32(r, &members) || !aft_get_le32(r, &first) ||
        !aft_get_le32(r, &voters))
        return false;
    if (kind >= kinds || members < 1 || members > AFT_MEMBERS_MAX || voters < 1 ||
        first >= members || voters > members - first)
        return false;
    aft_weights_init(w, (enum aft_model_kind)kind, members);
    w->first = first;
    w->voters = voters;
    return true;
}

enum aft_err
aft_weights_decode(struct aft_bytes b, struct aft_weights *w, struct aft_error *e)
{
    struct aft_reader r = aft_reader(b);
    uint32_t magic;
    bool good = aft_get_le32(&r, &magic) && magic == MAGIC && get_members(&r, w);
    if (good)
        good = aft_model_traits(w->kind)->bilinear ? get_bilinear(&r, &w->bilinear, w->members)
                                                   : get_linear(&r, &w->linear, w->members);
    if (!good || aft_left(&r))
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "the weights of the snapshot do not follow their format (%zu bytes left)",
                        aft_left(&r));
    return AFT_OK;
}
