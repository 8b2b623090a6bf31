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
 * float32 state, fixed eight lanes; Q and T are state. Invariants: I1 rows x stride <= cells; I2 beyond the used columns x is 0.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

void
afti_flow_deinit(struct afti_flow *f)
{
    free(f->g);
    free(f->rows);
    free(f->columns);
    free(f->fold);
    free(f->stamp);
    free(f->x);
    free(f->norm);
    free(f->step);
    *f = (struct afti_flow){0};
}

static void *
zeroed(void *old, size_t size, size_t have, size_t want)
{
    uint8_t *p = realloc(old, want * size);
    AFT_ASSERT(p);
    memset(p + have * size, 0, (want - have) * size);
    return p;
}

/* A table of rows x stride floats, moved into one of other dimensions. */
static float *
relaid(float *old, uint32_t rows, uint32_t stride, uint32_t new_rows, uint32_t new_stride)
{
    float *p = calloc((size_t)new_rows * new_stride, sizeof *p);
    AFT_ASSERT(p);
    for (uint32_t i = 0; i < rows; i++)
        memcpy(p + (size_t)i * new_stride, old + (size_t)i * stride, stride * sizeof *p);
    free(old);
    return p;
}

void
afti_flow_room(struct aft_learner *l, uint32_t rows, uint32_t stride)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    struct afti_flow *f = &l->flow;
    uint32_t cap = m->rows_cap ? m->rows_cap : 16, wide = stride > m->stride ? stride : m->stride;
    while (cap < rows)
        cap *= 2;
    if (cap != m->rows_cap || wide != m->stride) {
        uint32_t had = f->g ? m->rows_cap : 0;
        m->w = relaid(m->w, had, m->stride, cap, wide);
        m->v = relaid(m->v, had, m->stride, cap, wide);
        f->g = relaid(f->g, had, m->stride, cap, wide);
        m->rows_cap = cap;
        m->stride = wide;
    }
    if (f->rows_cap < cap) {
        f->rows = zeroed(f->rows, sizeof *f->rows, f->rows_cap, cap);
        f->fold = zeroed(f->fold, sizeof *f->fold, f->rows_cap, cap);
        f->stamp = zeroed(f->stamp, sizeof *f->stamp, f->rows_cap, cap);
        f->rows_cap = cap;
    }
    if (f->columns_cap < wide) {
        f->columns = zeroed(f->columns, sizeof *f->columns, f->columns_cap, wide);
        f->x = zeroed(f->x, sizeof *f->x, f->columns_cap, wide);
        f->norm = zeroed(f->norm, sizeof *f->norm, f->columns_cap, wide);
        f->columns_cap = wide;
    }
}

/* A column or row for a term: found, or made while the table has room; AFT_NOWHERE otherwise (counted as overflow). */
static uint32_t
column_of(struct aft_learner *l, uint64_t hash, bool grow)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    uint32_t c = aft_dict_find(&m->columns, hash), rows = m->rows.n ? m->rows.n : 1;
    if (c != AFT_NOWHERE || !grow)
        return c;
    if (m->columns.n == m->stride) {
        if ((uint64_t)rows * (m->stride + 8) > m->cells) {
            l->counts[AFTI_OVERFLOWED]++;
            return AFT_NOWHERE;
        }
        afti_flow_room(l, rows, m->stride + 8);
    }
    return aft_dict_add(&m->columns, hash);
}

static uint32_t
row_of(struct aft_learner *l, uint64_t hash, bool grow)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    uint32_t r = aft_dict_find(&m->rows, hash);
    if (r != AFT_NOWHERE || !grow)
        return r;
    if ((uint64_t)(m->rows.n + 1) * m->stride > m->cells) {
        l->counts[AFTI_OVERFLOWED]++;
        return AFT_NOWHERE;
    }
    afti_flow_room(l, m->rows.n + 1, m->stride);
    return aft_dict_add(&m->rows, hash);
}

static float
scale_of(struct afti_scale *s, const struct aft_term *t, bool learn)
{
    float x = (float)fabs(t->value);
    if (!t->number)
        return 1;
    if (learn && x > s->max)
        s->max = x;
    float n = s->max == 0 || (s->seen < 64 && s->max < 1) ? 1 : s->max;
    if (learn && s->seen < 64)
        s->seen++;
    return n;
}

void
afti_flow_context(struct aft_learner *l, bool grow)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    struct afti_flow *f = &l->flow;
    if (grow)
        for (uint32_t i = 0; i < l->shared_n; i++)
            column_of(l, l->shared[i].hash, true);
    for (uint32_t i = 0; i < m->stride; i++) {
        f->x[i] = 0;
        f->norm[i] = 1;
    }
    for (uint32_t i = 0; i < l->shared_n; i++) {
        uint32_t c = column_of(l, l->shared[i].hash, false);
        if (c == AFT_NOWHERE)
            continue;
        f->x[c] += (float)l->shared[i].value;
        f->norm[c] = scale_of(&f->columns[c], &l->shared[i], grow);
    }
    if (++f->now == 0) {
        memset(f->stamp, 0, f->rows_cap * sizeof *f->stamp);
        f->now = 1;
    }
}

/* The rows of the item at hand: the constant, then its own terms. */
static void
rows(struct aft_learner *l, bool grow)
{
    struct afti_flow *f = &l->flow;
    f->n = 0;
    for (uint32_t i = 0; i <= l->own_n; i++) {
        const struct aft_term *t = i ? &l->own[i - 1] : &l->shared[0];
        uint32_t r = row_of(l, t->hash, grow);
        if (r == AFT_NOWHERE)
            continue;
        f->at[f->n] = r;
        f->value[f->n] = (float)t->value;
        f->scale[f->n++] = scale_of(&f->rows[r], t, grow);
    }
}

static double
score_rows(struct aft_learner *l)
{
    struct afti_flow *f = &l->flow;
    const struct aft_bilinear *m = &l->weights.bilinear;
    double sum = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        uint32_t r = f->at[i];
        if (f->stamp[r] != f->now) {
            f->stamp[r] = f->now;
            f->fold[r] = aft_bilinear_dot(m->w + (size_t)r * m->stride, f->x, m->stride);
        }
        sum += (double)f->value[i] * (double)f->fold[r];
    }
    return sum;
}

double
afti_flow_score(struct aft_learner *l)
{
    rows(l, false);
    return score_rows(l);
}

/* One row: information (where phi > 0), step = s x; returns sum s x^2 and adds sum c x^2 / N^2 to *used. */
static float
row_step(struct aft_learner *l, uint32_t i, float phi, float *used)
{
    struct afti_flow *f = &l->flow;
    uint32_t stride = l->weights.bilinear.stride;
    bool constant = f->at[i] == 0,
         identity = i > 0 && l->own[0].hash == l->weights.bilinear.rows.keys[f->at[i]];
    float *restrict g = f->g + (size_t)f->at[i] * stride, *restrict step =
                                                              f->step + (size_t)i * stride;
    const float *restrict x = f->x, *restrict norm = f->norm;
    float v = f->value[i], scale = f->scale[i], c = identity ? 0.3f : 1, a[8] = {0}, b[8] = {0};
    for (uint32_t j = 0; j < stride; j += 8)
        for (uint32_t k = 0; k < 8; k++) {
            float z = x[j + k] * v, z2 = z * z, n = norm[j + k] * scale;
            g[j + k] += phi * z2;
            float s = c / (n * (n + sqrtf(g[j + k])));
            step[j + k] = s * z;
            a[k] += c * z2 / (n * n);
            b[k] += z2 * s;
        }
    for (uint32_t k = 0; k < 4; k++) {
        a[k] += a[k + 4];
        b[k] += b[k + 4];
    }
    float qa = (a[0] + a[2]) + (a[1] + a[3]), qb = (b[0] + b[2]) + (b[1] + b[3]);
    if (constant || identity) { /* the row's own weight has another c */
        float c0 = constant ? 3 : 1, z = x[0] * v, n = norm[0] * scale;
        float s = c0 / (n * (n + sqrtf(g[0])));
        qb += z * (s * z - step[0]);
        qa += (c0 - c) * z * z / (n * n);
        step[0] = s * z;
    }
    *used += qa;
    return qb;
}

static float
steps(struct aft_learner *l, float phi, float *used)
{
    struct afti_flow *f = &l->flow;
    size_t want = (size_t)f->n * l->weights.bilinear.stride;
    float q = 0;
    *used = 0;
    if (f->step_cap < want) {
        f->step_cap = 2 * want;
        free(f->step);
        f->step = malloc(f->step_cap * sizeof *f->step);
        AFT_ASSERT(f->step);
    }
    for (uint32_t i = 0; i < f->n; i++)
        q += row_step(l, i, phi, used);
    return q;
}

static void
move(struct aft_learner *l, double by, float q)
{
    struct afti_flow *f = &l->flow;
    const struct aft_bilinear *m = &l->weights.bilinear;
    float u = (float)(by / (double)q);
    for (uint32_t i = 0; i < f->n; i++) {
        float *restrict w = m->w + (size_t)f->at[i] * m->stride;
        const float *restrict step = f->step + (size_t)i * m->stride;
        for (uint32_t j = 0; j < m->stride; j++)
            w[j] += u * step[j];
        f->stamp[f->at[i]] = 0;
    }
}

void
afti_flow_learn(struct aft_learner *l, double weight, double label)
{
    struct afti_flow *f = &l->flow;
    float used;
    rows(l, true);
    double score = score_rows(l), p = aft_logistic(score);
    float q = steps(l, (float)(weight * p * (1 - p)), &used);
    f->t += 1;
    f->q += (double)used;
    if (!(q > 0))
        return;
    double a = 6 * f->t / f->q * weight * (double)q;
    move(l, aft_logistic_flow(score, label, a) - score, q);
}

void
afti_flow_revise(struct aft_learner *l, double weight, double before, double after)
{
    struct afti_flow *f = &l->flow;
    float used;
    rows(l, true);
    double score = score_rows(l);
    float q = steps(l, 0, &used);
    if (!(q > 0) || !(f->q > 0))
        return;
    double a = 6 * f->t / f->q * weight * (double)q;
    move(l, aft_logistic_flow(score, after, a) - aft_logistic_flow(score, before, a), q);
}

void
afti_flow_variances(const struct aft_learner *l)
{
    const struct aft_bilinear *m = &l->weights.bilinear;
    const struct afti_flow *f = &l->flow;
    for (uint32_t r = 0; r < m->rows.n; r++)
        for (uint32_t c = 0; c < m->stride; c++) {
            size_t i = (size_t)r * m->stride + c;
            float nr = f->rows[r].max > 0 ? f->rows[r].max : 1;
            float nc = f->columns[c].max > 0 ? f->columns[c].max : 1;
            m->v[i] = c < m->columns.n ? 1 / (nr * nr * nc * nc + f->g[i]) : 0;
        }
}
