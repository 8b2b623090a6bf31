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

enum { AHEAD = 4 }; /* candidates whose features are fetched while one is added up */

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
column_of(struct aft_learner *l, const struct aft_term *t, bool grow)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    uint32_t c = aft_term_place(t, l->context_names, &m->columns);
    uint32_t rows = m->rows.n ? m->rows.n : 1;
    if (c != AFT_NOWHERE || !grow)
        return c;
    if (m->columns.n == m->stride) {
        if ((uint64_t)rows * (m->stride + 8) > m->cells) {
            l->counts[AFTI_OVERFLOWED]++;
            return AFT_NOWHERE;
        }
        afti_flow_room(l, rows, m->stride + 8);
    }
    return aft_dict_add(&m->columns, t->hash);
}

/* l->shared[0] (the constant) and the arm's terms. */
static uint32_t
row_of(struct aft_learner *l, const struct aft_term *t, bool grow)
{
    struct aft_bilinear *m = &l->weights.bilinear;
    uint32_t r = aft_term_place(t, l->arm_names, &m->rows);
    if (r != AFT_NOWHERE || !grow)
        return r;
    if ((uint64_t)(m->rows.n + 1) * m->stride > m->cells) {
        l->counts[AFTI_OVERFLOWED]++;
        return AFT_NOWHERE;
    }
    afti_flow_room(l, m->rows.n + 1, m->stride);
    return aft_dict_add(&m->rows, t->hash);
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
    uint32_t before = m->columns.n;
    for (uint32_t i = 0; i < l->shared_n && (grow || !f->ready); i++)
        f->column[i] = column_of(l, &l->shared[i], grow);
    if (!f->ready || m->columns.n != before) {
        for (uint32_t i = 0; i < m->stride; i++)
            f->x[i] = 0;
        for (uint32_t i = 0; i < l->shared_n; i++)
            if (f->column[i] != AFT_NOWHERE)
                f->x[f->column[i]] += (float)l->shared[i].value;
        if (++f->now == 0) {
            memset(f->stamp, 0, f->rows_cap * sizeof *f->stamp);
            f->now = 1;
        }
        f->ready = true;
    }
    for (uint32_t i = 0; i < m->stride; i++)
        f->norm[i] = 1;
    for (uint32_t i = 0; i < l->shared_n; i++)
        if (f->column[i] != AFT_NOWHERE)
            f->norm[f->column[i]] = scale_of(&f->columns[f->column[i]], &l->shared[i], grow);
}

/* The rows of the item at hand: the constant, then its own terms. */
static void
rows(struct aft_learner *l, bool grow)
{
    struct afti_flow *f = &l->flow;
    f->n = 0;
    for (uint32_t i = 0; i <= l->own_n; i++) {
        const struct aft_term *t = i ? &l->own[i - 1] : &l->shared[0];
        uint32_t r = row_of(l, t, grow);
        if (r == AFT_NOWHERE)
            continue;
        f->at[f->n] = r;
        f->value[f->n] = (float)t->value;
        f->scale[f->n++] = scale_of(&f->rows[r], t, grow);
    }
}

/* A row times the context at hand. */
static inline double
fold_of(struct aft_learner *l, uint32_t r)
{
    struct afti_flow *f = &l->flow;
    const struct aft_bilinear *m = &l->weights.bilinear;
    if (f->stamp[r] != f->now) {
        f->stamp[r] = f->now;
        f->fold[r] = aft_dot8(m->w + (size_t)r * m->stride, f->x, m->stride);
    }
    return (double)f->fold[r];
}

static double
score_rows(struct aft_learner *l)
{
    struct afti_flow *f = &l->flow;
    double sum = 0;
    for (uint32_t i = 0; i < f->n; i++)
        sum += (double)f->value[i] * fold_of(l, f->at[i]);
    return sum;
}

static bool
coefficient(void *ctx, struct aft_bytes name, double *by)
{
    struct aft_learner *l = ctx;
    struct aft_known *k = aft_name_known(&l->plan, l->arm_names, name, true);
    if (!k || k->side >= 0 || k->bucket >= 0)
        return false;
    uint32_t row = aft_known_place(k, &l->weights.bilinear.rows);
    *by = row == AFT_NOWHERE ? 0 : fold_of(l, row);
    return true;
}

/* Each arm's row; AFT_NOWHERE: none yet. scored: its id was short enough. */
static void
rows_of(struct aft_learner *l, const struct aft_candidate *c, uint32_t n)
{
    const struct aft_dict *rows = &l->weights.bilinear.rows;
    for (uint32_t i = 0; i < n; i++) {
        struct aft_known *id = aft_arm_known(l->ids, c[i].arm_id);
        l->row[i] = id ? aft_known_place(id, rows) : AFT_NOWHERE;
        l->scored[i] = id != NULL;
    }
}

void
afti_flow_candidates(struct aft_learner *l, const struct aft_candidate *c, uint32_t n)
{
    const struct aft_bilinear *m = &l->weights.bilinear;
    double constant = m->rows.n ? fold_of(l, 0) : 0; /* row 0 is the constant's */
    if (!l->plain) {
        memset(l->scored, 0, n * sizeof *l->scored);
        return;
    }
    rows_of(l, c, n);
    for (uint32_t i = 0; i < n; i++)
        l->score[i] = constant + (l->row[i] == AFT_NOWHERE ? 0 : fold_of(l, l->row[i]));
    aft_walk_begin(&l->flow.walk);
    for (uint32_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            aft_features_fetch(c[i + AHEAD].features);
        l->scored[i] = l->scored[i] && aft_walk_sum(&l->flow.walk, c[i].features, true, 1e6,
                                                    coefficient, l, &l->score[i]);
    }
}

double
afti_flow_score(struct aft_learner *l)
{
    rows(l, false);
    return score_rows(l);
}

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

static float
row_step(struct aft_learner *l, uint32_t i, float phi, float *used)
{
    struct afti_flow *f = &l->flow;
    uint32_t at = f->at[i], stride = l->weights.bilinear.stride;
    bool identity = i > 0 && l->own[0].hash == l->weights.bilinear.rows.keys[at];
    float c = identity ? 0.3f : 1;
    struct afti_row r = {.g = f->g + (size_t)at * stride,
                         .step = f->step + (size_t)i * stride,
                         .value = f->value[i],
                         .scale = f->scale[i],
                         .c = c,
                         .own = at == 0 ? 3 : 1,
                         .phi = phi};
    return afti_flow_row(&r, f->x, f->norm, stride, used);
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
        aft_add8(m->w + (size_t)f->at[i] * m->stride, f->step + (size_t)i * m->stride, u,
                 m->stride);
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
