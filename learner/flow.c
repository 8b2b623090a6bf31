/* flow.c - the importance-aware logistic flow over rows (weights.h, bilinear): clicks and fractional labels. One thread.
 *
 * One example, label t in [0, 1], weight h, crossed values x (row value x column value), N the product of both scales:
 *   1 f = sum w x, p = logistic(f), phi = p (1 - p)           T += 1
 *   2 N of a number = running maximum of |x|, at least 1 for its first 64 sightings; of anything else 1
 *   3 G += h phi x^2       Q += sum c x^2 / N^2       alpha = 6 T / Q
 *     c: constant 3, an arm's identity times the context 0.3, everything else 1
 *   4 s = c / (N (N + sqrt G)), q = sum s x^2, f' = flow of f towards t over alpha h q (logistic.c), w += (f' - f) / q s x
 * G has no label in it, so what comes late changes neither rates nor variances (1 / (N^2 + G)).
 * Late reward, honestly: this model is not additive, so unlike ridge it is not exact. revise moves the score by the difference
 * of the two
 * steps, towards the new label and towards the old, both from where the model stands now, with today's rates: to first order the
 * step that was missing, bounded like any step, and nothing where the label did not change.
 * flow-squared is the same with squared loss: labels are any number, f' = t + (f - t) e^-length (one half of the exponent 2 of
 * aft_squared_flow), alpha = 1.5 T / Q, phi = max(1, (t - f)^2) / 2: label-free while labels keep to a range of 1; a made-up reward that
 * lies far off is taken as noisy as it is far, and a late one adds what it would have added.
 * float32 state, fixed eight lanes; Q and T are a member's state, G its plane (grid.c).
 */
#include <math.h>

#include "learner/inner.h"

static const double first_squared = 1.5, phi_squared = 0.5;

/* Sum over the eight lanes of the context's (x / norm)^2. */
static inline float
normed_squares(const struct afti_context *c)
{
    aft_wide_floats sum = {0}, x, n;
    for (size_t j = 0; j < c->stride; j += 8) {
        memcpy(&x, c->x + j, sizeof x);
        memcpy(&n, c->norm + j, sizeof n);
        x /= n;
        sum += x * x;
    }
    return aft_lanes_sum(&sum);
}

static inline void
roots(aft_wide_floats *v)
{
    float t[8];
    memcpy(t, v, sizeof t);
    for (int k = 0; k < 8; k++)
        t[k] = sqrtf(t[k]);
    memcpy(v, t, sizeof t);
}

/* Information (where phi > 0), step = s x, for n rows; returns q and gives *used, which over a row is c (value / scale)^2 times the
 * same sum for all of them, of (x / norm)^2. */
AFT_WIDE float
afti_flow_rows(const struct afti_row *rows, uint32_t n, const struct afti_context *x, float *used)
{
    float q = 0, sum = 0, all = normed_squares(x), first = x->x[0] / x->norm[0];
    for (const struct afti_row *r = rows; r < rows + n; r++) {
        aft_wide_floats b = {0}, z, m, g, s;
        for (size_t j = 0; j < x->stride; j += 8) {
            memcpy(&z, x->x + j, sizeof z);
            memcpy(&m, x->norm + j, sizeof m);
            memcpy(&g, r->g + j, sizeof g);
            z *= r->value;
            m *= r->scale;
            g += r->phi * (z * z);
            memcpy(r->g + j, &g, sizeof g);
            roots(&g);
            s = r->c / (m * (m + g));
            b += z * z * s;
            s *= z;
            memcpy(r->step + j, &s, sizeof s);
        }
        float own = r->own - r->c, ratio = r->value / r->scale;
        q += aft_lanes_sum(&b);
        sum += (r->c * all + own * (first * first)) * (ratio * ratio);
        if (own != 0) { /* the row's own weight has another c */
            float w = x->x[0] * r->value, l = x->norm[0] * r->scale;
            float rate = r->own / (l * (l + sqrtf(r->g[0])));
            q += w * (rate * w - r->step[0]);
            r->step[0] = rate * w;
        }
    }
    *used = sum;
    return q;
}

/* Steps of a member's rows at hand into grid.step; returns q, *used: sum c x^2 / N^2. */
static float
steps(struct afti_table *t, const struct afti_member *m, float phi, float *used)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    const struct afti_context x = {g->x, g->norm, b->stride};
    afti_grid_steps(t);
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t at = g->at[i];
        g->part[i] = (struct afti_row){.g = g->plane[0] + aft_bilinear_at(b, at, m->index),
                                       .step = g->step + (size_t)i * b->stride,
                                       .value = g->value[i],
                                       .scale = g->scale[i],
                                       .c = afti_grid_identity(t, i) ? 0.3f : 1,
                                       .own = at == 0 ? 3 : 1,
                                       .phi = phi};
    }
    return afti_flow_rows(g->part, g->n, &x, used);
}

/* The step of length a from a score towards a label. */
static double
flown(const struct afti_table *t, double score, double label, double a)
{
    return t->weights.kind == AFT_MODEL_FLOW ? aft_logistic_flow(score, label, a)
                                             : aft_squared_flow(score, label, a / 2);
}

static double
length(const struct afti_table *t, const struct afti_member *m, double weight, float q)
{
    double first = t->weights.kind == AFT_MODEL_FLOW ? 6 : first_squared;
    return first * m->t / m->q * weight * (double)q;
}

/* phi. With squared loss a label that lies far off, as made-up rewards do, is as noisy as it is far. */
static double
information(const struct afti_table *t, double score, double label)
{
    double p = aft_logistic(score), off = (label - score) * (label - score);
    if (t->weights.kind == AFT_MODEL_FLOW)
        return p * (1 - p);
    return phi_squared * (off > 1 ? off : 1);
}

void
afti_flow_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    float used;
    double score = afti_grid_score(t, m);
    float q = steps(t, m, (float)(weight * information(t, score, label)), &used);
    m->t += 1;
    m->q += (double)used;
    if (!(q > 0))
        return;
    double by = flown(t, score, label, length(t, m, weight, q)) - score;
    afti_grid_move(t, m, (float)(by / (double)q));
}

void
afti_flow_revise(struct afti_table *t, struct afti_member *m, double weight, double before,
                 double after)
{
    float used;
    if (!(m->q > 0)) /* nothing was learned: there is nothing to move, perhaps not even a table */
        return;
    double score = afti_grid_score(t, m);
    double more = information(t, score, after) - information(t, score, before);
    float q = steps(t, m, more > 0 ? (float)(weight * more) : 0, &used);
    if (!(q > 0))
        return;
    double a = length(t, m, weight, q);
    double by = flown(t, score, after, a) - flown(t, score, before, a);
    afti_grid_move(t, m, (float)(by / (double)q));
}

/* Information alone: rates and variances grow again, weights stay where they are. */
void
afti_flow_forget(struct afti_table *t, struct afti_member *m, double keep)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    for (uint32_t r = 0; r < b->rows.n; r++) {
        float *g = t->grid.plane[0] + aft_bilinear_at(b, r, m->index);
        for (uint32_t c = 0; c < b->stride; c++)
            g[c] *= (float)keep;
    }
}

void
afti_flow_variances(const struct afti_table *t, const struct afti_member *m)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    const struct afti_grid *g = &t->grid;
    for (uint32_t r = 0; r < b->rows.n; r++)
        for (uint32_t c = 0; c < b->stride; c++) {
            size_t i = aft_bilinear_at(b, r, m->index) + c;
            float n = afti_grid_norm(g, r, c);
            b->v[i] = c < b->columns.n ? 1 / (n * n + g->plane[0][i]) : 0;
        }
}

void
afti_flow_encode(const struct afti_table *t, const struct afti_member *m, struct aft_buffer *out)
{
    (void)t;
    aft_put_double(out, m->q);
    aft_put_double(out, m->t);
}

bool
afti_flow_decode(const struct afti_table *t, struct afti_member *m, struct aft_reader *r)
{
    (void)t;
    return aft_get_double(r, &m->q) && isfinite(m->q) && aft_get_double(r, &m->t) && isfinite(m->t);
}
