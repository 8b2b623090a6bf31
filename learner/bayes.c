/* bayes.c - Bayesian logistic regression with a diagonal precision, online, over rows (weights.h, bilinear). One thread.
 * (Chapelle & Li, An Empirical Evaluation of Thompson Sampling, NIPS 2011, algorithm 3, an example at a time)
 *
 * One example, label t in [0, 1], weight h, crossed values x, N their scales (grid.c), c as in flow.c; T += 1, Q += sum c x^2 / N^2:
 *   1 prior precision of a weight k0 = lambda N^2 Q / (6 c T): a score has a prior variance of 6 / lambda, however many its features
 *   2 s = 1 / (k0 + G), f = sum w x, q = sum s x^2, f' = flow of f towards t over h q (logistic.c), w += (f' - f) / q s x: the mode
 *     of the posterior along s, exact
 *   3 G += h p (1 - p) x^2, p = logistic(f)
 * Late reward, honestly: as for the flow: G has no label in it; revise moves the score by the difference of the two steps, towards
 * the new label and towards the old, both from where the model stands now.
 * Plane: G. Members: Q, T.
 */
#include <math.h>

#include "learner/inner.h"

struct row {
    float *g, *step;
    float value, scale, c, own, phi, prior;
};

/* step = s x with the precision before, G += phi x^2; returns sum s x^2. */
static double
row_step(const struct row *r, const struct afti_grid *grid, uint32_t stride)
{
    double q = 0;
    for (uint32_t j = 0; j < stride; j++) {
        float z = grid->x[j] * r->value, n = grid->norm[j] * r->scale, c = j ? r->c : r->own;
        float step = z / (r->prior / c * (n * n) + r->g[j]);
        q += (double)(z * step);
        r->step[j] = step;
        r->g[j] += r->phi * (z * z);
    }
    return q;
}

/* sum c x^2 / N^2 over the crosses of the item at hand. */
static double
spread(const struct afti_table *t)
{
    const struct afti_grid *g = &t->grid;
    double others = 0, sum = 0;
    for (uint32_t j = 1; j < t->weights.bilinear.stride; j++) {
        double x = (double)(g->x[j] / g->norm[j]);
        others += x * x;
    }
    for (uint32_t i = 0; i < g->n; i++) {
        double v = (double)(g->value[i] / g->scale[i]), c = afti_grid_identity(t, i) ? 0.3 : 1;
        sum += v * v * (c * others + (g->at[i] == 0 ? 3 : 1));
    }
    return sum;
}

/* prior: lambda Q / (6 T). */
static float
prior_of(const struct afti_table *t, const struct afti_member *m)
{
    return m->q > 0 && m->t > 0 ? (float)(t->lambda * m->q / (6 * m->t)) : 1;
}

static double
steps(struct afti_table *t, const struct afti_member *m, float prior, double phi)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    double q = 0;
    afti_grid_steps(t);
    for (uint32_t i = 0; i < g->n; i++) {
        size_t at = aft_bilinear_at(b, g->at[i], m->index);
        struct row r = {.g = g->plane[0] + at,
                        .step = g->step + (size_t)i * b->stride,
                        .value = g->value[i],
                        .scale = g->scale[i],
                        .c = afti_grid_identity(t, i) ? 0.3f : 1,
                        .own = g->at[i] == 0 ? 3 : 1,
                        .phi = (float)phi,
                        .prior = prior};
        q += row_step(&r, g, b->stride);
    }
    return q;
}

void
afti_bayes_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    double score = afti_score_now(t, m), p = aft_logistic(score);
    m->t += 1;
    m->q += spread(t);
    double q = steps(t, m, prior_of(t, m), weight * p * (1 - p));
    if (q > 0)
        afti_grid_move(t, m, (float)((aft_logistic_flow(score, label, weight * q) - score) / q));
}

void
afti_bayes_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                  double after)
{
    double score = afti_grid_score(t, m);
    double q = steps(t, m, prior_of(t, m), 0);
    if (!(q > 0))
        return;
    double by =
        aft_logistic_flow(score, after, weight * q) - aft_logistic_flow(score, before, weight * q);
    afti_grid_move(t, m, (float)(by / q));
}

void
afti_bayes_variances(const struct afti_table *t, const struct afti_member *m)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    const struct afti_grid *g = &t->grid;
    float prior = prior_of(t, m);
    for (uint32_t r = 0; r < b->rows.n; r++)
        for (uint32_t c = 0; c < b->stride; c++) {
            size_t i = aft_bilinear_at(b, r, m->index) + c;
            float n = afti_grid_norm(g, r, c);
            b->v[i] = c < b->columns.n ? 1 / (prior * n * n + g->plane[0][i]) : 0;
        }
}
