/* quadratic.c - x' C x for every arm's own C and one x. With C = L L' (Cholesky's) it is the square of L' x, a sum of squares: no
 * digits are lost where C's entries cancel, so L may be float32, and all arms' L lie in the cache where C would not.
 *
 * A form holds L by columns, eight side by side: for columns 8 b .. 8 b + 7, rows 8 b .. d - 1, eight floats each (zero above the
 * diagonal). x comes divided by its largest entry. Widths agree with C's to about 1e-6 of |L| |x|. They steer exploration alone;
 * what is logged is exact given the weights. Pure, but for making the forms of a new model.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/inner.h"

size_t
afti_form_size(uint32_t d)
{
    size_t n = 0;
    for (uint32_t b = 0; b < d; b += 8)
        n += 8 * (size_t)(d - b);
    return n;
}

/* C = U' U, row by row: row i of C less what the rows above have of it, divided by the root of its pivot; so U = L'. A pivot that is nothing
 * gives an empty row. In `work` (rows of `stride`, zero before). */
static void
factor(const struct aft_linear_block *c, uint32_t stride, double *work)
{
    double by[AFTI_FORM_COLUMNS];
    for (uint32_t i = 0; i < c->d; i++) {
        double *row = work + (size_t)i * stride;
        uint32_t from = i & ~7u;
        memcpy(row + from, c->cov + (size_t)i * c->stride + from, (c->d - from) * sizeof *row);
        for (uint32_t k = 0; k < i; k++)
            by[k] = -work[(size_t)k * stride + i];
        afti_plain_rows(work + from, by, i, stride, stride - from, row + from);
        double pivot = row[i],
               root = pivot > 1e-13 * c->cov[(size_t)i * c->stride + i] ? sqrt(pivot) : 0;
        for (uint32_t j = from; j < i; j++)
            row[j] = 0;
        if (root > 0)
            afti_span_divide(row + i, c->d - i, root, row + i);
        else
            memset(row + i, 0, (c->d - i) * sizeof *row);
        row[i] = root;
    }
}

static void
make(const struct aft_linear_block *c, double *work, float *form)
{
    uint32_t stride = c->d + (8 - c->d % 8) % 8;
    memset(work, 0, (size_t)stride * stride * sizeof *work);
    factor(c, stride, work);
    for (uint32_t b = 0; b < c->d; b += 8)
        for (uint32_t i = b; i < c->d; i++)
            for (uint32_t j = b; j < b + 8; j++)
                *form++ = (float)work[(size_t)j * stride + i];
}

void
afti_forms_make(struct aft_model *m)
{
    const struct aft_linear *l = &m->weights.linear;
    const struct aft_policy_settings *s = &m->plan.settings;
    uint32_t columns = aft_linear_columns(l), room = columns + 8;
    size_t size = afti_form_size(columns);
    bool wanted = afti_wants(s).variance && s->covariance == AFT_COVARIANCE_FULL;
    if (aft_model_traits(m->weights.kind)->bilinear || s->scope != AFT_SCOPE_PER_ARM || !wanted ||
        columns > AFTI_FORM_COLUMNS)
        return;
    double *work = malloc((size_t)room * room * sizeof *work);
    m->forms = calloc(size * l->blocks_n + 1, sizeof *m->forms);
    AFT_ASSERT(m->forms && work);
    for (uint32_t k = 0; k < l->blocks_n; k++)
        make(aft_linear_block(l, k, m->weights.first), work, m->forms + k * size);
    free(work);
}

/* (1 / largest) x, as floats; the largest |x|, or 1 where there is none. */
double
afti_form_scaled(const double *x, uint32_t d, float *out)
{
    double top = 0;
    for (uint32_t i = 0; i < d; i++)
        top = fabs(x[i]) > top ? fabs(x[i]) : top;
    top = top > 0 ? top : 1;
    for (uint32_t i = 0; i < d; i++)
        out[i] = (float)(x[i] / top);
    return top;
}

typedef float eight __attribute__((vector_size(32)));

/* y += all x the eight at row */
#define ADD(y, all, row)               \
    do {                               \
        eight r_;                      \
        memcpy(&r_, (row), sizeof r_); \
        y += (all)*r_;                 \
    } while (0)
#define EIGHT(x) ((eight){(x), (x), (x), (x), (x), (x), (x), (x)})
#define TREE(v) ((double)(((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))))

/* Eight columns at a time; their rows in four turns, then a fixed tree. */
AFT_WIDE double
afti_form_square(const float *form, const float *x, uint32_t d)
{
    eight sum = {0};
    for (uint32_t b = 0; b < d; b += 8) {
        eight y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0};
        const float *at = x + b, *end = x + d;
        for (; end - at >= 4; at += 4, form += 32) {
            ADD(y0, EIGHT(at[0]), form);
            ADD(y1, EIGHT(at[1]), form + 8);
            ADD(y2, EIGHT(at[2]), form + 16);
            ADD(y3, EIGHT(at[3]), form + 24);
        }
        for (; at < end; at++, form += 8)
            ADD(y0, EIGHT(at[0]), form);
        y0 = (y0 + y2) + (y1 + y3);
        sum += y0 * y0;
    }
    return TREE(sum);
}

/* The same of two forms side by side, with the same bits. */
AFT_WIDE void
afti_form_squares(const float *const form[2], const float *x, uint32_t d, double out[2])
{
    eight sum = {0}, other = {0}, v;
    const float *f = form[0], *g = form[1], *end = x + d;
    for (uint32_t b = 0; b < d; b += 8) {
        eight y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0}, z0 = {0}, z1 = {0}, z2 = {0}, z3 = {0};
        const float *at = x + b;
        for (; end - at >= 4; at += 4, f += 32, g += 32) {
            v = EIGHT(at[0]);
            ADD(y0, v, f);
            ADD(z0, v, g);
            v = EIGHT(at[1]);
            ADD(y1, v, f + 8);
            ADD(z1, v, g + 8);
            v = EIGHT(at[2]);
            ADD(y2, v, f + 16);
            ADD(z2, v, g + 16);
            v = EIGHT(at[3]);
            ADD(y3, v, f + 24);
            ADD(z3, v, g + 24);
        }
        for (; at < end; at++, f += 8, g += 8) {
            v = EIGHT(at[0]);
            ADD(y0, v, f);
            ADD(z0, v, g);
        }
        y0 = (y0 + y2) + (y1 + y3);
        z0 = (z0 + z2) + (z1 + z3);
        sum += y0 * y0;
        other += z0 * z0;
    }
    out[0] = TREE(sum);
    out[1] = TREE(other);
}

/* Sixteen lanes, the last eight of them only for whole sixteens; then a fixed tree. n: a multiple of 8. */
AFT_WIDE double
afti_form_dot(const double *a, const double *b, size_t n)
{
    aft_wide s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, x, y;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        memcpy(&x, a + i + 0, sizeof x);
        memcpy(&y, b + i + 0, sizeof y);
        s0 += x * y;
        memcpy(&x, a + i + 4, sizeof x);
        memcpy(&y, b + i + 4, sizeof y);
        s1 += x * y;
        memcpy(&x, a + i + 8, sizeof x);
        memcpy(&y, b + i + 8, sizeof y);
        s2 += x * y;
        memcpy(&x, a + i + 12, sizeof x);
        memcpy(&y, b + i + 12, sizeof y);
        s3 += x * y;
    }
    if (i < n) {
        memcpy(&x, a + i + 0, sizeof x);
        memcpy(&y, b + i + 0, sizeof y);
        s0 += x * y;
        memcpy(&x, a + i + 4, sizeof x);
        memcpy(&y, b + i + 4, sizeof y);
        s1 += x * y;
    }
    s0 = (s0 + s2) + (s1 + s3);
    return (s0[0] + s0[2]) + (s0[1] + s0[3]);
}
