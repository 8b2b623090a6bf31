/* ridge.c - ridge regression with its full covariance: LinUCB's and Thompson's model; late reward is exact. One thread.
 *
 *   A = lambda I + sum h x x'     b = sum h r x     theta = inv(A) b     (Li et al., arXiv 1003.0146)
 * learn: inv(A) and theta by the rank-one formula, A and b by addition; every REFACTOR updates inv(A) and theta are made anew
 * from A and
 * b (Cholesky), so that rounding does not pile up. revise: b += h d x, theta += inv(A) x h d: once all credit is in, the model
 * is the one
 * that had waited for it (to rounding), since A never saw the reward.
 * A is read seldom, so x waits in a queue for QUEUE more of its block: then A is read and written once for all of them, element by
 * element in the order of learning (the same bits), and inv(A) has the nearest cache to itself.
 * Invariants: I1 a block's stride is that of its weights; I2 inv(A) is symmetric, bit for bit.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

enum { REFACTOR = 4096, QUEUE = 16 };

struct aft_ridge_queue { /* of one block */
    uint32_t n, block, d, stride;
    double h[QUEUE];
    double x[QUEUE * AFT_LINEAR_COLUMNS]; /* stride apart, dense */
};

void
aft_ridge_deinit(struct aft_ridge *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        free(r->blocks[i].a);
        free(r->blocks[i].b);
    }
    free(r->blocks);
    free(r->queue);
    *r = (struct aft_ridge){.member = r->member, .sums = r->sums};
}

/* The stride of the weights' block changed: A and b follow; what is new is the prior's. */
static void
follow(struct aft_ridge_block *b, uint32_t stride, double lambda)
{
    if (b->stride == stride)
        return;
    double *a = calloc((size_t)stride * stride, sizeof *a), *v = calloc(stride, sizeof *v);
    AFT_ASSERT(a && v);
    for (uint32_t i = 0; i < stride; i++)
        if (i < b->stride)
            memcpy(a + (size_t)i * stride, b->a + (size_t)i * b->stride, (i + 1) * sizeof *a);
        else
            a[(size_t)i * stride + i] = lambda;
    if (b->stride)
        memcpy(v, b->b, b->stride * sizeof *v);
    free(b->a);
    free(b->b);
    *b = (struct aft_ridge_block){a, v, stride, b->changed, b->updates};
}

/* A += h x x' for all x of the queue, eight columns of a row at a time. */
AFT_WIDE static void
add_queue(const struct aft_ridge_queue *q, double *a)
{
    double f[QUEUE];
    const uint32_t n = q->n, stride = q->stride;
    for (uint32_t i = 0; i < q->d; i++) {
        double *row = a + (size_t)i * stride;
        for (uint32_t k = 0; k < n; k++)
            f[k] = q->h[k] * q->x[(size_t)k * stride + i];
        for (uint32_t j = 0; j <= i; j += 8) { /* what lies beyond the diagonal is not used */
            const double *x = q->x + j;
            aft_wide low, high, v;
            memcpy(&low, row + j, sizeof low);
            memcpy(&high, row + j + 4, sizeof high);
            for (uint32_t k = 0; k < n; k++, x += stride) {
                memcpy(&v, x, sizeof v);
                low += f[k] * v;
                memcpy(&v, x + 4, sizeof v);
                high += f[k] * v;
            }
            memcpy(row + j, &low, sizeof low);
            memcpy(row + j + 4, &high, sizeof high);
        }
    }
}

void
aft_ridge_settle(const struct aft_ridge *r)
{
    struct aft_ridge_queue *q = r->queue;
    if (!q || q->n == 0)
        return;
    add_queue(q, r->blocks[q->block].a);
    q->n = 0;
}

/* x waits for the others; d: the block's columns. */
static void
enqueue(struct aft_ridge *r, uint32_t block, const struct aft_sparse *x, uint32_t d, double h)
{
    uint32_t stride = r->blocks[block].stride;
    if (!r->queue) {
        r->queue = calloc(1, sizeof *r->queue);
        AFT_ASSERT(r->queue);
    }
    struct aft_ridge_queue *q = r->queue;
    if (q->n == QUEUE || (q->n && q->block != block))
        aft_ridge_settle(r);
    AFT_INVARIANT(I1, q->n == 0 || q->stride == stride);
    double *row = q->x + (size_t)q->n * stride;
    memset(row, 0, stride * sizeof *row);
    for (uint32_t i = 0; i < x->n; i++)
        row[x->column[i]] = x->value[i];
    q->block = block;
    q->d = d;
    q->stride = stride;
    q->h[q->n++] = h;
}

void
aft_ridge_match(struct aft_ridge *r, const struct aft_linear *m)
{
    aft_ridge_settle(r);
    if (m->blocks_n > r->cap) {
        r->cap = m->blocks_cap;
        r->blocks = realloc(r->blocks, r->cap * sizeof *r->blocks);
        AFT_ASSERT(r->blocks);
    }
    while (r->n < m->blocks_n)
        r->blocks[r->n++] = (struct aft_ridge_block){0};
    for (uint32_t i = 0; i < r->n; i++)
        follow(&r->blocks[i], aft_linear_block(m, i, r->member)->stride, r->sums ? 0 : m->lambda);
}

/* L L' = A, then inv(L) in place, then inv(A) = inv(L)' inv(L). A >= lambda I, so a pivot below lambda is rounding. */
static void
factor(double *f, uint32_t d, uint32_t stride, double lambda)
{
    for (uint32_t j = 0; j < d; j++) {
        double *rj = f + (size_t)j * stride, pivot = rj[j];
        for (uint32_t k = 0; k < j; k++)
            pivot -= rj[k] * rj[k];
        rj[j] = sqrt(pivot > lambda ? pivot : lambda);
        for (uint32_t i = j + 1; i < d; i++) {
            double *ri = f + (size_t)i * stride, v = ri[j];
            for (uint32_t k = 0; k < j; k++)
                v -= ri[k] * rj[k];
            ri[j] = v / rj[j];
        }
    }
}

static void
invert_lower(double *f, uint32_t d, uint32_t stride)
{
    for (uint32_t j = 0; j < d; j++) {
        f[(size_t)j * stride + j] = 1 / f[(size_t)j * stride + j];
        for (uint32_t i = j + 1; i < d; i++) {
            double v = 0;
            for (uint32_t k = j; k < i; k++)
                v -= f[(size_t)i * stride + k] * f[(size_t)k * stride + j];
            f[(size_t)i * stride + j] = v / f[(size_t)i * stride + i];
        }
    }
}

void
afti_ridge_refactor(struct aft_linear_block *w, const struct aft_ridge_block *b, double lambda)
{
    uint32_t d = w->d, s = w->stride;
    double *f = malloc((size_t)s * s * sizeof *f);
    AFT_ASSERT(f);
    memcpy(f, b->a, (size_t)s * s * sizeof *f);
    factor(f, d, s, lambda);
    invert_lower(f, d, s);
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double v = 0;
            for (uint32_t k = i; k < d; k++)
                v += f[(size_t)k * s + i] * f[(size_t)k * s + j];
            w->cov[(size_t)i * s + j] = w->cov[(size_t)j * s + i] = v;
        }
    for (uint32_t i = 0; i < d; i++) {
        double v = 0;
        for (uint32_t j = 0; j < d; j++)
            v += w->cov[(size_t)i * s + j] * b->b[j];
        w->theta[i] = v;
    }
    free(f);
}

/* A += h x x' (lower triangle), b += h r x. Where most columns have a value, row by row over all of them (dense[] is x, d its
 * columns), which is the same sum: the others add zero. */
AFT_WIDE void
afti_ridge_moments(struct aft_ridge_block *b, const double *dense, uint32_t d, double h)
{
    for (uint32_t i = 0; i < d; i++) {
        double *row = b->a + (size_t)i * b->stride;
        double f = h * dense[i];
        for (uint32_t j = 0; j <= i; j += 8) /* what lies beyond the diagonal is not used */
            aft_add_lanes(row + j, dense + j, f);
    }
}

static void
add_moments(struct aft_ridge *r, uint32_t block, const struct aft_sparse *x, uint32_t d, double h,
            double reward)
{
    struct aft_ridge_block *b = &r->blocks[block];
    for (uint32_t i = 0; i < x->n; i++)
        b->b[x->column[i]] += h * x->value[i] * reward;
    if (x->n >= d / 2 && !r->sums) {
        enqueue(r, block, x, d, h);
        return;
    }
    aft_ridge_settle(r);
    if (x->n >= d / 2) {
        memset(r->dense, 0, b->stride * sizeof *r->dense);
        for (uint32_t i = 0; i < x->n; i++)
            r->dense[x->column[i]] = x->value[i];
        afti_ridge_moments(b, r->dense, d, h);
        return;
    }
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            bool below = x->column[i] >= x->column[j];
            uint32_t big = below ? i : j, small = below ? j : i;
            b->a[(size_t)x->column[big] * b->stride + x->column[small]] +=
                h * x->value[big] * x->value[small];
        }
}

/* inv(A) -= z z' with z = y sqrt(h / (1 + h v)): a product of two equal factors keeps the symmetry of every bit. */
AFT_WIDE void
afti_ridge_shrink(double *cov, const double *z, uint32_t d, uint32_t stride)
{
    for (uint32_t i = 0; i < d; i++) {
        double *row = cov + (size_t)i * stride;
        double f = -z[i];
        for (uint32_t j = 0; j < stride; j += 8) /* z is 0 beyond d */
            aft_add_lanes(row + j, z + j, f);
    }
}

void
aft_ridge_learn(struct aft_ridge *r, struct aft_linear *m, uint32_t block,
                const struct aft_sparse *x, double weight, double reward)
{
    struct aft_linear_block *w = aft_linear_block(m, block, r->member);
    struct aft_ridge_block *b = &r->blocks[block];
    double v = 0;
    AFT_INVARIANT(I1, block < r->n && w->stride == b->stride);
    if (r->sums) {
        add_moments(r, block, x, w->d, weight, reward);
        b->updates++;
        b->changed = true;
        return;
    }
    aft_linear_apply(w, x, r->y);
    for (uint32_t i = 0; i < x->n; i++)
        v += x->value[i] * r->y[x->column[i]];
    double gain = weight / (1 + weight * v);
    double step = gain * (reward - aft_linear_score(w, x));
    for (uint32_t i = 0; i < w->d; i++)
        w->theta[i] += step * r->y[i];
    for (uint32_t i = 0; i < w->d; i++)
        r->y[i] *= sqrt(gain);
    afti_ridge_shrink(w->cov, r->y, w->d, w->stride);
    add_moments(r, block, x, w->d, weight, reward);
    if (++b->updates % REFACTOR != 0)
        return;
    aft_ridge_settle(r);
    afti_ridge_refactor(w, b, m->lambda);
}

void
aft_ridge_revise(struct aft_ridge *r, struct aft_linear *m, uint32_t block,
                 const struct aft_sparse *x, double weight, double delta)
{
    struct aft_linear_block *w = aft_linear_block(m, block, r->member);
    struct aft_ridge_block *b = &r->blocks[block];
    double step = weight * delta;
    AFT_INVARIANT(I1, block < r->n && w->stride == b->stride);
    b->changed = r->sums;
    if (!r->sums)
        aft_linear_apply(w, x, r->y);
    for (uint32_t i = 0; i < w->d && !r->sums; i++)
        w->theta[i] += step * r->y[i];
    for (uint32_t i = 0; i < x->n; i++)
        b->b[x->column[i]] += step * x->value[i];
}

/* ---- as a kind of model: the label is the reward */
static struct aft_ridge *
matched(struct afti_table *t, struct afti_member *m)
{
    const struct aft_linear *w = &t->weights.linear;
    uint32_t block = t->place.block;
    AFT_ASSERT(block != AFT_NOWHERE);
    if (block >= m->ridge.n ||
        m->ridge.blocks[block].stride != aft_linear_block(w, block, m->index)->stride)
        aft_ridge_match(&m->ridge, w);
    return &m->ridge;
}

void
afti_ridge_member_learn(struct afti_table *t, struct afti_member *m, double weight, double reward)
{
    aft_ridge_learn(matched(t, m), &t->weights.linear, t->place.block, &t->place.x, weight, reward);
}

void
afti_ridge_member_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                         double after)
{
    aft_ridge_revise(matched(t, m), &t->weights.linear, t->place.block, &t->place.x, weight,
                     after - before);
}

void
afti_ridge_shift(struct afti_table *t, struct afti_member *m, const double *delta)
{
    struct aft_linear *w = &t->weights.linear;
    if (w->blocks_n == 0)
        return;
    aft_ridge_match(&m->ridge, w);
    struct aft_ridge_block *b = &m->ridge.blocks[0];
    struct aft_linear_block *v = aft_linear_block(w, 0, m->index);
    for (uint32_t i = 0; i < v->d; i++) {
        double step = 0;
        for (uint32_t j = 0; j < v->d; j++)
            step += v->cov[(size_t)i * v->stride + j] * delta[j];
        v->theta[i] += step;
        b->b[i] += delta[i];
    }
}

/* A = lambda I + keep (A - lambda I), b = keep b; what follows from them is made anew. */
void
afti_ridge_forget(struct afti_table *t, struct afti_member *m, double keep)
{
    struct aft_linear *w = &t->weights.linear;
    aft_ridge_match(&m->ridge, w);
    for (uint32_t k = 0; k < m->ridge.n; k++) {
        struct aft_ridge_block *b = &m->ridge.blocks[k];
        struct aft_linear_block *v = aft_linear_block(w, k, m->index);
        for (uint32_t i = 0; i < v->d; i++) {
            double *row = b->a + (size_t)i * b->stride;
            for (uint32_t j = 0; j < i; j++)
                row[j] *= keep;
            row[i] = w->lambda + keep * (row[i] - w->lambda);
            b->b[i] *= keep;
        }
        afti_ridge_refactor(v, b, w->lambda);
    }
}

void
afti_ridge_encode(const struct afti_table *t, const struct afti_member *m, struct aft_buffer *out)
{
    aft_ridge_settle(&m->ridge);
    aft_put_le32(out, m->ridge.n);
    for (uint32_t k = 0; k < m->ridge.n; k++) {
        const struct aft_ridge_block *b = &m->ridge.blocks[k];
        uint32_t d = aft_linear_block(&t->weights.linear, k, m->index)->d;
        aft_put_le32(out, d);
        aft_put_le64(out, (uint64_t)b->updates);
        for (uint32_t i = 0; i < d; i++)
            aft_put_double(out, b->b[i]);
        for (uint32_t i = 0; i < d; i++)
            for (uint32_t j = 0; j <= i; j++)
                aft_put_double(out, b->a[(size_t)i * b->stride + j]);
    }
}

bool
afti_ridge_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r)
{
    uint32_t n, d;
    uint64_t updates;
    aft_ridge_match(&m->ridge, &t->weights.linear);
    bool good = aft_get_le32(r, &n) && n == m->ridge.n;
    for (uint32_t k = 0; good && k < n; k++) {
        struct aft_ridge_block *b = &m->ridge.blocks[k];
        good = aft_get_le32(r, &d) && d == aft_linear_block(&t->weights.linear, k, m->index)->d &&
               aft_get_le64(r, &updates);
        b->updates = good ? (int64_t)updates : 0;
        for (uint32_t i = 0; good && i < d; i++)
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what aft_ridge_match freed it has put anew */
            good = afti_get_finite(r, &b->b[i]);
        for (uint32_t i = 0; good && i < d; i++)
            for (uint32_t j = 0; good && j <= i; j++)
                good = afti_get_finite(r, &b->a[(size_t)i * b->stride + j]);
    }
    return good;
}
