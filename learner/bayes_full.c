/* bayes_full.c - Bayesian logistic regression with its full covariance, for up to AFT_LINEAR_COLUMNS columns, with forgetting. One
 * thread.
 *
 * One example, label t in [0, 1], weight h, x: theta and C of its block (weights.h, linear: cov is C)
 *   1 y = C x, v = x' y, p = logistic(theta' x / sqrt(1 + 0.3927 v)): the chance under the posterior; a = p (1 - p)
 *   2 theta += y h (t - p) / (1 + h a v),  C -= y y' h a / (1 + h a v)
 *   3 forgetting, `learner.memory` H examples of the block: C_ij *= d_i d_j, d_i^2 = 2^(1/H), less where C_ii would pass the prior's;
 *     by `learner.half.life` likewise
 * Prior: C = diag(sigma^2 / (n N^2) / lambda), sigma 3 constant, 2 pairs, 1 rest; n: how many of its sort the example had that brought the
 * column; N: running maximum of |x|, at least 1 for the first 64 sightings. When N grows, theta and C are those of x / N rescaled, as
 * if N had been so from the start; when it falls (once), what is not known of the column widens.
 * Late reward, honestly: C has no label in it but through p; revise is theta += C x h (after - before): what the Gaussian that now
 * stands for the posterior would have held, had it known. Exact right after learn; later an approximation.
 * State: columns' N and prior (shared). Invariants: I1 C is symmetric, bit for bit.
 */
#include <math.h>

#include "learner/inner.h"

/* Row and column j of C times `by`, theta_j times `by_theta`. */
static void
rescale(struct aft_linear_block *b, uint32_t j, double by, double by_theta)
{
    double *row = b->cov + (size_t)j * b->stride;
    for (uint32_t i = 0; i < b->d; i++) {
        row[i] *= by;
        if (i != j)
            b->cov[(size_t)i * b->stride + j] = row[i];
    }
    row[j] *= by;
    b->theta[j] *= by_theta;
}

static void
renorm(struct afti_table *t, uint32_t j, double before, double now)
{
    const struct aft_linear *m = &t->weights.linear;
    double by = before / now;
    for (size_t k = 0; k < (size_t)m->blocks_n * m->members; k++)
        if (j < m->blocks[k].d)
            rescale(&m->blocks[k], j, by, by < 1 ? by : 1);
}

/* ---- priors of new columns */
enum sort { CONSTANT, CONTEXT, IDENTITY, ARM, PAIR, SORTS };

struct sorts {
    uint32_t n[SORTS];
};

static enum sort
sort_shared(const struct afti_terms *s, uint32_t i)
{
    uint32_t slot = s->slot > 0;
    return i == 0 ? CONSTANT : i <= s->context.n + slot ? CONTEXT : PAIR;
}

static enum sort
sort_own(const struct afti_terms *s, uint32_t i)
{
    uint32_t first = s->identity ? 0 : 1;
    return i + first == 0 ? IDENTITY : i + first < s->arm.n ? ARM : PAIR;
}

static void
give_prior(struct afti_table *t, const struct aft_term *term, enum sort sort, uint32_t n)
{
    static const double variance[SORTS] = {9, 1, 1, 1, 4};
    struct afti_place *p = &t->place;
    uint32_t c = aft_dict_find(&t->weights.linear.columns, term->hash);
    if (c != AFT_NOWHERE && c >= p->known)
        p->prior[c] = variance[sort] / n / t->lambda;
}

static void
give_priors(struct afti_table *t, uint32_t columns)
{
    const struct afti_terms *s = &t->terms;
    struct afti_place *p = &t->place;
    struct sorts of = {{0}};
    for (uint32_t i = 0; i < s->shared_n; i++)
        of.n[sort_shared(s, i)]++;
    for (uint32_t i = 0; i < s->own_n; i++)
        of.n[sort_own(s, i)]++;
    for (uint32_t i = p->known; i < columns; i++) /* those that are shared by hash keep this */
        p->prior[i] = 1 / t->lambda;
    for (uint32_t i = 0; i < s->shared_n; i++)
        give_prior(t, &s->shared[i], sort_shared(s, i), of.n[sort_shared(s, i)]);
    for (uint32_t i = 0; i < s->own_n; i++)
        give_prior(t, &s->own[i], sort_own(s, i), of.n[sort_own(s, i)]);
    p->known = columns;
}

/* ---- the item at hand */
static double
norm_of(const struct afti_scale *s)
{
    return s->max == 0 || (s->seen < 64 && s->max < 1) ? 1 : (double)s->max;
}

static void
see_scales(struct afti_table *t)
{
    struct afti_place *p = &t->place;
    for (uint32_t i = 0; i < p->x.n; i++) {
        uint32_t c = p->x.column[i];
        double before = norm_of(&p->scale[c]);
        double now = (double)afti_scale_see(&p->scale[c], (float)fabs(p->x.value[i]));
        if (now != before)
            renorm(t, c, before, now);
    }
}

/* The block's new columns: the prior's. */
static void
begin_columns(struct afti_table *t)
{
    const struct afti_place *p = &t->place;
    const struct aft_linear *m = &t->weights.linear;
    for (uint32_t k = 0; k < m->members; k++) {
        struct aft_linear_block *b = aft_linear_block(m, p->block, k);
        for (uint32_t j = p->from; j < b->d; j++) {
            double n = norm_of(&p->scale[j]);
            b->cov[(size_t)j * b->stride + j] = p->prior[j] / (n * n);
        }
    }
}

void
afti_full_item(struct afti_table *t, bool grow)
{
    afti_linear_item(t, grow);
    if (!grow)
        return;
    uint32_t columns = aft_linear_columns(&t->weights.linear);
    if (t->place.known < columns)
        give_priors(t, columns);
    begin_columns(t);
    see_scales(t);
}

/* ---- learning */
/* C := D (C - z z') D: a product of two equal factors keeps the symmetry of every bit. */
AFT_WIDE static void
shrink_and_forget(struct aft_linear_block *b, const double *z, const double *d)
{
    for (uint32_t i = 0; i < b->d; i++) {
        double *restrict row = b->cov + (size_t)i * b->stride;
        double zi = z[i], di = d[i];
        for (uint32_t j = 0; j < b->d; j++)
            row[j] = (row[j] - zi * z[j]) * (di * d[j]);
    }
}

/* By how much each column widens, at most by `most`, once z z' is gone from C. */
static void
widening(const struct afti_table *t, const struct aft_linear_block *b, double most, const double *z,
         double *d)
{
    for (uint32_t j = 0; j < b->d; j++) {
        double n = norm_of(&t->place.scale[j]), top = t->place.prior[j] / (n * n);
        double c = b->cov[(size_t)j * b->stride + j] - z[j] * z[j];
        double by = c * most <= top ? most : c > 0 && c < top ? top / c : 1;
        d[j] = sqrt(by);
    }
}

void
afti_full_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    struct aft_linear_block *b = aft_linear_block(&t->weights.linear, t->place.block, m->index);
    const struct aft_sparse *x = &t->place.x;
    double *y = m->ridge.y, v = 0, f = aft_linear_score(b, x);
    aft_linear_apply(b, x, y);
    for (uint32_t i = 0; i < x->n; i++)
        v += x->value[i] * y[x->column[i]];
    v = v > 0 ? v : 0;
    double p = aft_logistic(f / sqrt(1 + 0.39269908169872414 * v)), a = p * (1 - p);
    double gain = weight / (1 + weight * a * v), step = gain * (label - p), z = sqrt(gain * a);
    for (uint32_t i = 0; i < b->d; i++)
        b->theta[i] += step * y[i];
    for (uint32_t i = 0; i < b->d; i++)
        y[i] *= z;
    if (t->memory > 0) {
        widening(t, b, aft_exp2(1 / t->memory), y, m->ridge.dense);
        shrink_and_forget(b, y, m->ridge.dense);
    } else {
        afti_ridge_shrink(b->cov, y, b->d, b->stride);
    }
}

void
afti_full_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                 double after)
{
    struct aft_linear_block *b = aft_linear_block(&t->weights.linear, t->place.block, m->index);
    aft_linear_apply(b, &t->place.x, m->ridge.y);
    for (uint32_t i = 0; i < b->d; i++)
        b->theta[i] += weight * (after - before) * m->ridge.y[i];
}

/* By event time, beside what each example makes forget. */
void
afti_full_forget(struct afti_table *t, struct afti_member *m, double keep)
{
    const struct aft_linear *w = &t->weights.linear;
    memset(m->ridge.y, 0, sizeof m->ridge.y);
    for (uint32_t k = 0; k < w->blocks_n; k++) {
        struct aft_linear_block *b = aft_linear_block(w, k, m->index);
        widening(t, b, 1 / keep, m->ridge.y, m->ridge.dense);
        shrink_and_forget(b, m->ridge.y, m->ridge.dense);
    }
}

/* ---- bytes */
void
afti_full_encode(const struct afti_table *t, const struct afti_member *m, struct aft_buffer *out)
{
    (void)t;
    (void)m;
    (void)out;
}

bool
afti_full_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r)
{
    (void)t;
    (void)m;
    (void)r;
    return true;
}

enum { SHARED = 64 }; /* section of the image; state.c has those before */

void
afti_full_encode_shared(const struct afti_table *t, struct aft_image *image)
{
    struct aft_buffer *out = &image->bytes;
    aft_image_section(image, SHARED, AFT_GRAIN);
    const struct afti_place *p = &t->place;
    aft_put_le32(out, p->known);
    for (uint32_t i = 0; i < p->known; i++) {
        aft_put_double(out, p->prior[i]);
        aft_put_float(out, p->scale[i].max);
        aft_put_le32(out, p->scale[i].seen);
    }
}

bool
afti_full_decode_shared(struct afti_table *t, struct aft_reader *r)
{
    struct afti_place *p = &t->place;
    bool good = aft_get_le32(r, &p->known) && p->known <= AFT_LINEAR_COLUMNS &&
                p->known >= t->weights.linear.columns.n;
    for (uint32_t i = 0; good && i < p->known; i++)
        good = afti_get_finite(r, &p->prior[i]) && aft_get_float(r, &p->scale[i].max) &&
               isfinite(p->scale[i].max) && aft_get_le32(r, &p->scale[i].seen);
    return good;
}
