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
 * lies far off is taken as noisy as it is far, and a late one adds what it would have added. Made-up rewards of m arms at once (ips, dr)
 * deviate by sqrt(m) times what the reward does: G follows what is seen, not what is noise, so alpha is divided by sqrt(m) there (calm).
 * float32 state, fixed eight lanes; Q and T are a member's state, G its plane (grid.c).
 */
#include "learner/flow.h"

static const double first_squared = 1.5;

/* Sum over the eight lanes of (x / norm)^2. */
static float
normed_squares(const float *values, const float *norms, uint32_t stride)
{
    aft_wide_floats sum = {0}, x, n;
    for (size_t j = 0; j < stride; j += 8) {
        memcpy(&x, values + j, sizeof x);
        memcpy(&n, norms + j, sizeof n);
        x /= n;
        sum += x * x;
    }
    return aft_lanes_sum(&sum);
}

/* What the kernel reads of the rows at hand, for one member. */
struct rows {
    const uint32_t *at, *position;
    const float *value, *scale, *x, *norm;
    float *g, *step; /* information from row 0 on; steps of the rows at hand */
    size_t row;      /* floats from a row to the next */
    uint32_t n, stride;
    float phi, spread;
};

/* A row's own weight, its first column, has another c than its crosses; returns what that adds to q. */
static inline float
own_step(const struct rows *v, uint32_t i, const float *g, float *step)
{
    float w = v->x[0] * v->value[i], l = v->norm[0] * v->scale[i];
    float rate = (v->at[i] == 0 ? 3.f : 1.f) / (l * (l + sqrtf(g[0])));
    float more = w * (rate * w - step[0]);
    step[0] = rate * w;
    return more;
}

/* Information (where phi > 0) and step = s x of one row; returns sum s x^2 but for its own weight's other c. */
static inline __attribute__((always_inline)) float
row_step(const struct rows *v, uint32_t i, float c, float *gs, float *steps, size_t stride)
{
    aft_wide_floats b = {0}, z, m, g, s;
    const float *x = v->x, *norm = v->norm;
    float value = v->value[i], scale = v->scale[i], phi = v->phi;
    for (size_t j = 0; j < stride; j += 8) {
        memcpy(&z, x + j, sizeof z);
        memcpy(&m, norm + j, sizeof m);
        memcpy(&g, gs + j, sizeof g);
        z *= value;
        m *= scale;
        g += phi * (z * z);
        memcpy(gs + j, &g, sizeof g);
        afti_roots(&g);
        s = c / (m * (m + g));
        b += z * z * s;
        s *= z;
        memcpy(steps + j, &s, sizeof s);
    }
    return aft_lanes_sum(&b);
}

static inline __attribute__((always_inline)) float
all_rows(const struct rows *all, float *used, size_t stride)
{
    const struct rows v = *all;
    float q = 0, sum = 0, first = v.x[0] / v.norm[0];
    for (uint32_t i = 0; i < v.n; i++) {
        float *gs = v.g + v.at[i] * v.row, *steps = v.step + (size_t)i * stride;
        float c = v.position[i] == 1 ? 0.3f : 1, own = (v.at[i] == 0 ? 3.f : 1.f) - c;
        float ratio = v.value[i] / v.scale[i];
        q += row_step(&v, i, c, gs, steps, stride);
        sum += (c * v.spread + own * (first * first)) * (ratio * ratio);
        if (own != 0)
            q += own_step(&v, i, gs, steps);
    }
    *used = sum;
    return q;
}

/* Of all rows; returns q and gives *used, which over a row is c (value / scale)^2 times the same sum for all of them, of (x / norm)^2. */
AFT_WIDE static float
flow_rows(const struct rows *v, float *used)
{
    float q;
#define ROWS(wide) q = all_rows(v, used, wide)
    AFTI_BY_STRIDE(v->stride, ROWS)
#undef ROWS
    return q;
}

float
afti_flow_spread(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    if (!g->spread_known)
        g->spread = normed_squares(g->x, g->norm, t->weights.bilinear.stride);
    g->spread_known = true;
    return g->spread;
}

/* Steps of a member's rows at hand into grid.step; returns q, *used: sum c x^2 / N^2. */
static float
steps(struct afti_table *t, const struct afti_member *m, float phi, float *used)
{
    const struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    afti_grid_steps(t);
    struct rows v = {.at = g->at,
                     .position = g->position,
                     .value = g->value,
                     .scale = g->scale,
                     .x = g->x,
                     .norm = g->norm,
                     .g = g->plane[0] + (size_t)m->index * b->stride,
                     .step = g->step,
                     .row = (size_t)b->members * b->stride,
                     .n = g->n,
                     .stride = b->stride,
                     .phi = phi,
                     .spread = afti_flow_spread(t)};
    return flow_rows(&v, used);
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
    double first = t->weights.kind == AFT_MODEL_FLOW ? 6 : first_squared * t->calm;
    return first * m->t / m->q * weight * (double)q;
}

double
afti_flow_to(const struct afti_table *t, const struct afti_member *m, double score, double label,
             double weight, float q)
{
    return flown(t, score, label, length(t, m, weight, q));
}

void
afti_flow_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    float used;
    if (t->grid.batch.open) {
        afti_batch_learn(t, m, weight, label);
        return;
    }
    double score = afti_score_now(t, m);
    float q = steps(t, m, (float)(weight * afti_flow_information(t, score, label)), &used);
    m->t += 1;
    m->q += (double)used;
    if (!(q > 0))
        return;
    double by = afti_flow_to(t, m, score, label, weight, q) - score;
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
    double more = afti_flow_information(t, score, after) - afti_flow_information(t, score, before);
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
