/* vw.c - the update of Vowpal Wabbit's default learner over rows (weights.h, bilinear): adaptive, normalised, importance-aware
 * squared loss; for comparison, and for who comes from there. One thread.
 *
 * One example, label y, weight h, crossed values x; w, G, N of each weight; `learner.rate` eta (0.5):
 *   1 f = sum w x, held in the range of the labels seen so far (0 included); where f = y nothing changes
 *   2 g = 4 h (f - y)^2;   G += g x^2;   where |x| > N: w *= N / |x| (if N > 0), N = |x|;   S += sum x^2 / N^2, T += h
 *   3 s = sqrt(T / S) / (N sqrt G),  q = sum s x^2,  w += (y - f) (1 - exp(-2 eta h q)) / q  s x
 * with 2 eta h (y - f) in place of the fraction where eta h q < 1e-6 (arXiv 1011.1576, 1305.6646). Ours are IEEE square roots where
 * VW takes the processor's approximation. A label is reward / reward scale: any number.
 * Late reward, honestly: not exact. G has labels in it; revise adds what the new label's gradient has more than the old one's, then
 * moves the score by the difference of the two steps, both from where the model stands now. Bounded like any step.
 * Planes: G, N. Members: S as q, T as t, the labels' range.
 */
#include <math.h>

#include "learner/inner.h"

struct row {
    float *w, *g, *n, *step;
    float value, gradient;
};

/* One row: G, N, w rescaled; step = x / (N sqrt G); returns sum step x, adds sum x^2 / N^2 to *used. */
static double
row_step(const struct row *r, const float *x, uint32_t stride, double *used)
{
    double q = 0, sum = 0;
    for (uint32_t j = 0; j < stride; j++) {
        float z = x[j] * r->value, size = fabsf(z);
        r->step[j] = 0;
        if (z == 0)
            continue;
        r->g[j] += r->gradient * (z * z);
        if (size > r->n[j]) {
            r->w[j] *= r->n[j] > 0 ? r->n[j] / size : 1;
            r->n[j] = size;
        }
        float norm = z / r->n[j];
        sum += (double)(norm * norm);
        if (r->g[j] > 0)
            r->step[j] = norm / sqrtf(r->g[j]);
        q += (double)(z * r->step[j]);
    }
    *used += sum;
    return q;
}

static double
steps(struct afti_table *t, const struct afti_member *m, double gradient, double *used)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    double q = 0;
    *used = 0;
    afti_grid_steps(t);
    for (uint32_t i = 0; i < g->n; i++) {
        size_t at = aft_bilinear_at(b, g->at[i], m->index);
        struct row r = {.w = b->w + at,
                        .g = g->plane[0] + at,
                        .n = g->plane[1] + at,
                        .step = g->step + (size_t)i * b->stride,
                        .value = g->value[i],
                        .gradient = (float)gradient};
        q += row_step(&r, g->x, b->stride, used);
    }
    return q;
}

/* By how much the score moves. */
static double
moved(double score, double label, double length)
{
    return length < 1e-6 ? 2 * length * (label - score)
                         : (label - score) * (1 - aft_exp(-2 * length));
}

static double
clipped(const struct afti_member *m, double score)
{
    double low = score > m->low ? score : m->low;
    return low < m->high ? low : m->high;
}

static void
see(struct afti_member *m, double label)
{
    m->low = label < m->low ? label : m->low;
    m->high = label > m->high ? label : m->high;
}

static void
move(struct afti_table *t, struct afti_member *m, double q, double scale, double by)
{
    afti_grid_move(t, m, q > 0 && scale > 0 ? (float)(by / q) : 0); /* rescaled they are new too */
}

void
afti_vw_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    double used, eta = t->rate;
    see(m, label);
    double f = clipped(m, afti_score_now(t, m));
    if (f == label)
        return;
    double q = steps(t, m, 4 * weight * (f - label) * (f - label), &used);
    m->q += weight * used;
    m->t += weight;
    double scale = m->q > 0 ? sqrt(m->t / m->q) : 0;
    move(t, m, q, scale, moved(f, label, eta * weight * q * scale));
}

void
afti_vw_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
               double after)
{
    double used, eta = t->rate;
    see(m, after);
    double f = clipped(m, afti_grid_score(t, m));
    double more = 4 * weight * ((f - after) * (f - after) - (f - before) * (f - before));
    double q = steps(t, m, more > 0 ? more : 0, &used);
    if (more > 0) { /* it may have come without a loss, and was not counted */
        m->q += weight * used;
        m->t += weight;
    }
    double scale = m->q > 0 ? sqrt(m->t / m->q) : 0, a = eta * weight * q * scale;
    move(t, m, q, scale, moved(f, after, a) - moved(f, before, a));
}

/* G is 4 h (f - y)^2 x^2, on labels in [0, 1] about h x^2: as for the flow. */
void
afti_vw_variances(const struct afti_table *t, const struct afti_member *m)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    for (uint32_t r = 0; r < b->rows.n; r++)
        for (uint32_t c = 0; c < b->stride; c++) {
            size_t i = aft_bilinear_at(b, r, m->index) + c;
            float n = t->grid.plane[1][i];
            b->v[i] = c < b->columns.n ? 1 / ((n > 0 ? n * n : 1) + t->grid.plane[0][i]) : 0;
        }
}

void
afti_vw_encode(const struct afti_table *t, const struct afti_member *m, struct aft_buffer *out)
{
    (void)t;
    aft_put_double(out, m->q);
    aft_put_double(out, m->t);
    aft_put_double(out, m->low);
    aft_put_double(out, m->high);
}

bool
afti_vw_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r)
{
    (void)t;
    return afti_get_finite(r, &m->q) && afti_get_finite(r, &m->t) && afti_get_finite(r, &m->low) &&
           afti_get_finite(r, &m->high);
}
