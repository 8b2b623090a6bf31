/* linear.c - a linear model over a dictionary of columns: theta and the covariance inv(A). One thread while it changes.
 *
 * Columns 0 .. LIMIT-1 belong to the first LIMIT terms that were learned; once all are taken, a new term goes into one of the
 * reserved columns behind them by its hash. A term has no column before that: it scores 0 and is as uncertain as the prior.
 * Invariants: I1 cov is symmetric, bit for bit; I2 beyond d it is the prior's (1 / lambda on the diagonal), theta 0.
 */
#include <stdlib.h>

#include "policy/policy.h"

enum { LIMIT = AFT_LINEAR_COLUMNS - AFT_LINEAR_RESERVED };

void
aft_linear_init(struct aft_linear *m, double lambda, uint32_t members)
{
    *m = (struct aft_linear){.lambda = lambda, .members = members};
}

void
aft_linear_deinit(struct aft_linear *m)
{
    for (size_t i = 0; i < (size_t)m->blocks_n * m->members; i++) {
        free(m->blocks[i].theta);
        free(m->blocks[i].cov);
    }
    free(m->blocks);
    aft_dict_deinit(&m->columns);
    aft_dict_deinit(&m->arms);
    *m = (struct aft_linear){0};
}

uint32_t
aft_linear_columns(const struct aft_linear *m)
{
    return m->columns.n < LIMIT ? m->columns.n : AFT_LINEAR_COLUMNS;
}

static void
put(struct aft_sparse *x, uint32_t column, double value)
{
    if (column >= LIMIT) /* only reserved columns can meet twice */
        for (uint32_t i = 0; i < x->n; i++)
            if (x->column[i] == column) {
                x->value[i] += value;
                return;
            }
    x->column[x->n] = column;
    x->value[x->n++] = value;
}

static void
resolve_one(const struct aft_linear *m, const struct aft_term *t, struct aft_sparse *x)
{
    uint32_t c = aft_dict_find(&m->columns, t->hash);
    if (c == AFT_NOWHERE && m->columns.n == LIMIT)
        c = LIMIT + (uint32_t)(t->hash % AFT_LINEAR_RESERVED);
    if (c == AFT_NOWHERE)
        x->unknown += t->value * t->value;
    else
        put(x, c, t->value);
}

void
aft_linear_resolve(const struct aft_linear *m, const struct aft_term *t, uint32_t n,
                   struct aft_sparse *x)
{
    for (uint32_t i = 0; i < n; i++)
        resolve_one(m, &t[i], x);
}

/* A model that is full finds places by hash alone; else they are those that the names' entries know. */
void
aft_linear_resolve_known(const struct aft_linear *m, const struct aft_term *t, uint32_t n,
                         struct aft_known names[AFT_NAMES], struct aft_sparse *x)
{
    if (m->columns.n >= LIMIT) {
        aft_linear_resolve(m, t, n, x);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t c = aft_term_place(&t[i], names, &m->columns);
        if (c == AFT_NOWHERE)
            x->unknown += t[i].value * t[i].value;
        else
            put(x, c, t[i].value);
    }
}

uint32_t
aft_linear_sparse(struct aft_linear *m, const struct aft_term *t, uint32_t n, bool grow,
                  struct aft_sparse *x)
{
    uint32_t reserved = 0, before = x->n;
    for (uint32_t i = 0; i < n; i++) {
        if (grow && m->columns.n < LIMIT)
            aft_dict_add(&m->columns, t[i].hash);
        resolve_one(m, &t[i], x);
    }
    for (uint32_t i = before; i < x->n; i++)
        reserved += x->column[i] >= LIMIT;
    return reserved;
}

uint32_t
aft_linear_add_block(struct aft_linear *m)
{
    if (m->blocks_n == m->blocks_cap) {
        m->blocks_cap = m->blocks_cap ? 2 * m->blocks_cap : 4;
        m->blocks = realloc(m->blocks, (size_t)m->blocks_cap * m->members * sizeof *m->blocks);
        AFT_ASSERT(m->blocks);
    }
    for (uint32_t i = 0; i < m->members; i++)
        *aft_linear_block(m, m->blocks_n, i) = (struct aft_linear_block){0};
    return m->blocks_n++;
}

static void
grow(struct aft_linear_block *b, double lambda, uint32_t d)
{
    if (d > b->stride) {
        uint32_t want = b->stride ? 2 * b->stride : 16;
        uint32_t stride = want < d ? d + (8 - d % 8) % 8 : want;
        size_t size = (size_t)stride * stride * sizeof(double); /* a row is whole lines of memory */
        double *cov = aligned_alloc(64, size);
        double *theta = calloc(stride, sizeof *theta);
        AFT_ASSERT(cov && theta);
        memset(cov, 0, size);
        for (uint32_t i = 0; i < stride; i++)
            if (i < b->stride)
                memcpy(cov + (size_t)i * stride, b->cov + (size_t)i * b->stride,
                       b->stride * sizeof *cov);
            else
                cov[(size_t)i * stride + i] = 1 / lambda;
        if (b->stride)
            memcpy(theta, b->theta, b->stride * sizeof *theta);
        free(b->cov);
        free(b->theta);
        b->cov = cov;
        b->theta = theta;
        b->stride = stride;
    }
    b->d = d > b->d ? d : b->d;
}

void
aft_linear_block_grow(struct aft_linear *m, uint32_t block, uint32_t d)
{
    for (uint32_t i = 0; i < m->members; i++)
        grow(aft_linear_block(m, block, i), m->lambda, d);
}

double
aft_linear_score(const struct aft_linear_block *b, const struct aft_sparse *x)
{
    double sum = 0;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->column[i] < b->d)
            sum += b->theta[x->column[i]] * x->value[i];
    return sum;
}

/* Twenty-four columns of y from j on, in registers, over the rows that x has, in x's order. */
static inline __attribute__((always_inline)) void
apply24(const struct aft_linear_block *b, const struct aft_sparse *x, uint32_t j, double *y)
{
    aft_wide t0 = {0}, t1 = {0}, t2 = {0}, t3 = {0}, t4 = {0}, t5 = {0}, r;
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->column[i] >= b->d)
            continue;
        const double *row = b->cov + (size_t)x->column[i] * b->stride + j;
        double v = x->value[i];
        aft_wide f = {v, v, v, v};
        memcpy(&r, row, sizeof r);
        t0 += f * r;
        memcpy(&r, row + 4, sizeof r);
        t1 += f * r;
        memcpy(&r, row + 8, sizeof r);
        t2 += f * r;
        memcpy(&r, row + 12, sizeof r);
        t3 += f * r;
        memcpy(&r, row + 16, sizeof r);
        t4 += f * r;
        memcpy(&r, row + 20, sizeof r);
        t5 += f * r;
    }
    memcpy(y + j, &t0, sizeof t0);
    memcpy(y + j + 4, &t1, sizeof t1);
    memcpy(y + j + 8, &t2, sizeof t2);
    memcpy(y + j + 12, &t3, sizeof t3);
    memcpy(y + j + 16, &t4, sizeof t4);
    memcpy(y + j + 20, &t5, sizeof t5);
}

/* Each column of y by itself, in x's order, so that blocks of any width give the same bits. Beyond d the rows hold zeros (I2). */
AFT_WIDE void
aft_linear_apply(const struct aft_linear_block *b, const struct aft_sparse *x, double *y)
{
    uint32_t j = 0;
    for (; j + 24 <= b->stride; j += 24)
        apply24(b, x, j, y);
    for (; j < b->stride; j += 8) {
        aft_wide low = {0}, high = {0}, r;
        for (uint32_t i = 0; i < x->n; i++) {
            if (x->column[i] >= b->d)
                continue;
            const double *row = b->cov + (size_t)x->column[i] * b->stride + j;
            double v = x->value[i];
            aft_wide f = {v, v, v, v};
            memcpy(&r, row, sizeof r);
            low += f * r;
            memcpy(&r, row + 4, sizeof r);
            high += f * r;
        }
        memcpy(y + j, &low, sizeof low);
        memcpy(y + j + 4, &high, sizeof high);
    }
}
