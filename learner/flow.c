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
 * float32 state, fixed eight lanes; Q and T are a member's state, G its plane (grid.c).
 */
#include <math.h>

#include "learner/inner.h"

/* Information (where phi > 0), step = s x; returns sum s x^2 and adds sum c x^2 / N^2 to *used. */
AFT_WIDE float
afti_flow_row(const struct afti_row *r, const float *x, const float *norm, uint32_t stride,
              float *used)
{
    float *restrict g = r->g, *restrict step = r->step;
    float v = r->value, scale = r->scale, c = r->c, phi = r->phi, a[8] = {0}, b[8] = {0};
    for (uint32_t j = 0; j < stride; j += 8) {
        float z[8], n[8], t[8], s[8];
        for (uint32_t k = 0; k < 8; k++)
            z[k] = x[j + k] * v;
        for (uint32_t k = 0; k < 8; k++)
            n[k] = norm[j + k] * scale;
        for (uint32_t k = 0; k < 8; k++)
            t[k] = g[j + k] + phi * (z[k] * z[k]);
        for (uint32_t k = 0; k < 8; k++)
            s[k] = c / (n[k] * (n[k] + sqrtf(t[k])));
        for (uint32_t k = 0; k < 8; k++)
            a[k] += c * (z[k] * z[k]) / (n[k] * n[k]);
        for (uint32_t k = 0; k < 8; k++)
            b[k] += z[k] * z[k] * s[k];
        for (uint32_t k = 0; k < 8; k++)
            s[k] *= z[k];
        memcpy(g + j, t, sizeof t);
        memcpy(step + j, s, sizeof s);
    }
    for (uint32_t k = 0; k < 4; k++) {
        a[k] += a[k + 4];
        b[k] += b[k + 4];
    }
    float qa = (a[0] + a[2]) + (a[1] + a[3]), qb = (b[0] + b[2]) + (b[1] + b[3]);
    if (r->own != c) { /* the row's own weight has another c */
        float z = x[0] * v, n = norm[0] * scale, s = r->own / (n * (n + sqrtf(g[0])));
        qb += z * (s * z - step[0]);
        qa += (r->own - c) * z * z / (n * n);
        step[0] = s * z;
    }
    *used += qa;
    return qb;
}

/* Steps of a member's rows at hand into grid.step; returns q, *used: sum c x^2 / N^2. */
static float
steps(struct afti_table *t, const struct afti_member *m, float phi, float *used)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    float q = 0;
    *used = 0;
    afti_grid_steps(t);
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t at = g->at[i];
        bool identity = i > 0 && t->terms.own[0].hash == b->rows.keys[at];
        struct afti_row r = {.g = g->plane[0] + aft_bilinear_at(b, at, m->index),
                             .step = g->step + (size_t)i * b->stride,
                             .value = g->value[i],
                             .scale = g->scale[i],
                             .c = identity ? 0.3f : 1,
                             .own = at == 0 ? 3 : 1,
                             .phi = phi};
        q += afti_flow_row(&r, g->x, g->norm, b->stride, used);
    }
    return q;
}

void
afti_flow_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    float used;
    double score = afti_grid_score(t, m), p = aft_logistic(score);
    float q = steps(t, m, (float)(weight * p * (1 - p)), &used);
    m->t += 1;
    m->q += (double)used;
    if (!(q > 0))
        return;
    double a = 6 * m->t / m->q * weight * (double)q;
    double by = aft_logistic_flow(score, label, a) - score;
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
    float q = steps(t, m, 0, &used);
    if (!(q > 0))
        return;
    double a = 6 * m->t / m->q * weight * (double)q;
    double by = aft_logistic_flow(score, after, a) - aft_logistic_flow(score, before, a);
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
afti_flow_variances(const struct afti_table *t)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    const struct afti_grid *g = &t->grid;
    for (uint32_t r = 0; r < b->rows.n * b->members; r++)
        for (uint32_t c = 0; c < b->stride; c++) {
            size_t i = (size_t)r * b->stride + c;
            float row = g->rows[r / b->members].max, column = g->columns[c].max;
            float nr = row > 0 ? row : 1, nc = column > 0 ? column : 1;
            b->v[i] = c < b->columns.n ? 1 / (nr * nr * nc * nc + g->plane[0][i]) : 0;
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
