/* quadratic.c - x' C x for every arm's own C and one x: the triangle of x x' is made once, and each arm costs one long product.
 *
 * A form holds the lower triangle of C row by row, what is off the diagonal doubled; as many doubles for each block as the
 * columns ask for, padded to a multiple of 16. Row i needs columns up to i alone, so a block of d columns is done after
 * d (d + 1) / 2. Pure, but for making the forms of a new model.
 */
#include <stdlib.h>

#include "policy/inner.h"

size_t
afti_form_size(uint32_t columns)
{
    size_t n = (size_t)columns * (columns + 1) / 2;
    return n + (16 - n % 16) % 16;
}

void
afti_forms_make(struct aft_model *m)
{
    const struct aft_linear *l = &m->weights.linear;
    const struct aft_policy_settings *s = &m->plan.settings;
    uint32_t columns = aft_linear_columns(l);
    size_t size = afti_form_size(columns);
    bool wanted = s->explore == AFT_EXPLORE_LINUCB || s->explore == AFT_EXPLORE_THOMPSON;
    if (aft_model_traits(m->weights.kind)->bilinear || s->scope != AFT_SCOPE_PER_ARM || !wanted ||
        columns > AFTI_FORM_COLUMNS)
        return;
    m->forms = calloc(size * l->blocks_n + 1, sizeof *m->forms);
    AFT_ASSERT(m->forms);
    for (uint32_t k = 0; k < l->blocks_n; k++) {
        const struct aft_linear_block *b = aft_linear_block(l, k, m->weights.first);
        double *form = m->forms + k * size;
        for (uint32_t i = 0; i < b->d; i++)
            for (uint32_t j = 0; j <= i; j++)
                *form++ = b->cov[(size_t)i * b->stride + j] * (i == j ? 1 : 2);
    }
}

void
afti_form_triangle(const double *x, uint32_t d, double *z)
{
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++)
            *z++ = x[i] * x[j];
    for (size_t n = (size_t)d * (d + 1) / 2; n % 16; n++)
        *z++ = 0;
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
