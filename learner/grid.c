/* grid.c - a bilinear model's rows and columns for the example at hand, for all members at once: places, scales, folds. One thread.
 *
 *   context   terms.shared[] -> columns; x their values, norm their N
 *   item      the constant and terms.own[] -> rows at[], with value and N
 *   fold      a member's row times x, made at most once an example: a score is sum of value x fold over the item's rows
 *   N of a number: running maximum of |x|, at least 1 for its first 64 sightings; of anything else 1
 * Beside each weight a kind keeps floats of its own (plane), laid out as the weights: [row][member][column].
 * Invariants: I1 rows x stride <= cells; I2 beyond the used columns x is 0.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

enum { AHEAD = 4 }; /* candidates whose features are fetched while one is added up */

void
afti_grid_deinit(struct afti_grid *g)
{
    for (int i = 0; i < AFTI_PLANES; i++)
        free(g->plane[i]);
    free(g->rows);
    free(g->columns);
    free(g->fold);
    free(g->stamp);
    free(g->x);
    free(g->norm);
    free(g->step);
    free(g->stale);
    *g = (struct afti_grid){0};
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
relaid(float *old, size_t rows, uint32_t stride, size_t new_rows, uint32_t new_stride)
{
    float *p = calloc(new_rows * new_stride, sizeof *p);
    AFT_ASSERT(p);
    for (size_t i = 0; i < rows; i++)
        memcpy(p + i * new_stride, old + i * stride, stride * sizeof *p);
    free(old);
    return p;
}

/* Weights and planes of `cap` rows, `wide` floats each. */
static void
relay(struct afti_table *t, uint32_t cap, uint32_t wide)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    size_t had = m->w ? (size_t)m->rows_cap * m->members : 0, want = (size_t)cap * m->members;
    m->w = relaid(m->w, had, m->stride, want, wide);
    m->v = relaid(m->v, had, m->stride, want, wide);
    for (uint32_t i = 0; i < t->kind->planes; i++)
        t->grid.plane[i] = relaid(t->grid.plane[i], had, m->stride, want, wide);
    m->rows_cap = cap;
    m->stride = wide;
}

void
afti_grid_room(struct afti_table *t, uint32_t rows, uint32_t stride)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    struct afti_grid *g = &t->grid;
    uint32_t cap = m->rows_cap ? m->rows_cap : 16, wide = stride > m->stride ? stride : m->stride;
    while (cap < rows)
        cap *= 2;
    if (cap != m->rows_cap || wide != m->stride)
        relay(t, cap, wide);
    if (g->rows_cap < cap) {
        size_t had = (size_t)g->rows_cap * m->members, want = (size_t)cap * m->members;
        g->rows = zeroed(g->rows, sizeof *g->rows, g->rows_cap, cap);
        g->fold = zeroed(g->fold, sizeof *g->fold, had, want);
        g->stamp = zeroed(g->stamp, sizeof *g->stamp, had, want);
        g->stale = zeroed(g->stale, sizeof *g->stale, g->rows_cap, cap);
        g->rows_cap = cap;
    }
    if (g->columns_cap < wide) {
        g->columns = zeroed(g->columns, sizeof *g->columns, g->columns_cap, wide);
        g->x = zeroed(g->x, sizeof *g->x, g->columns_cap, wide);
        g->norm = zeroed(g->norm, sizeof *g->norm, g->columns_cap, wide);
        g->columns_cap = wide;
    }
}

/* A column or row for a term: found, or made while the table has room; AFT_NOWHERE otherwise (counted as overflow). */
static uint32_t
column_of(struct afti_table *t, const struct aft_term *term, bool grow)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    uint32_t c = aft_term_place(term, t->terms.context_names, &m->columns);
    uint32_t rows = m->rows.n ? m->rows.n : 1;
    if (c != AFT_NOWHERE || !grow)
        return c;
    if (m->columns.n == m->stride) {
        if ((uint64_t)rows * (m->stride + 8) > m->cells) {
            t->overflowed++;
            return AFT_NOWHERE;
        }
        afti_grid_room(t, rows, m->stride + 8);
    }
    return aft_dict_add(&m->columns, term->hash);
}

/* terms.shared[0] (the constant) and the arm's terms. */
static uint32_t
row_of(struct afti_table *t, const struct aft_term *term, bool grow)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    uint32_t r = aft_term_place(term, t->terms.arm_names, &m->rows);
    if (r != AFT_NOWHERE || !grow)
        return r;
    if ((uint64_t)(m->rows.n + 1) * m->stride > m->cells) {
        t->overflowed++;
        return AFT_NOWHERE;
    }
    afti_grid_room(t, m->rows.n + 1, m->stride);
    return aft_dict_add(&m->rows, term->hash);
}

static float
norm_of(const struct afti_scale *s)
{
    return s->max == 0 || (s->seen < 64 && s->max < 1) ? 1 : s->max;
}

float
afti_scale_see(struct afti_scale *s, float size)
{
    if (size > s->max)
        s->max = size;
    float n = norm_of(s);
    if (s->seen < 64)
        s->seen++;
    return n;
}

static float
scale_of(struct afti_scale *s, const struct aft_term *term, bool learn)
{
    if (!term->number)
        return 1;
    return learn ? afti_scale_see(s, (float)fabs(term->value)) : norm_of(s);
}

static void
new_folds(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    g->epoch++;
    if (++g->now == 0) {
        memset(g->stamp, 0, (size_t)g->rows_cap * t->weights.members * sizeof *g->stamp);
        g->now = 1;
    }
}

void
afti_grid_context(struct afti_table *t, bool grow)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    uint32_t before = m->columns.n;
    for (uint32_t i = 0; i < s->shared_n && (grow || !g->ready); i++)
        g->column[i] = column_of(t, &s->shared[i], grow);
    if (!g->ready || m->columns.n != before) {
        for (uint32_t i = 0; i < m->stride; i++)
            g->x[i] = 0;
        for (uint32_t i = 0; i < s->shared_n; i++)
            if (g->column[i] != AFT_NOWHERE)
                g->x[g->column[i]] += (float)s->shared[i].value;
        new_folds(t);
        g->ready = true;
    }
    for (uint32_t i = 0; i < m->stride; i++)
        g->norm[i] = 1;
    for (uint32_t i = 0; i < s->shared_n; i++)
        if (g->column[i] != AFT_NOWHERE)
            g->norm[g->column[i]] = scale_of(&g->columns[g->column[i]], &s->shared[i], grow);
}

void
afti_grid_item(struct afti_table *t, bool grow)
{
    struct afti_grid *g = &t->grid;
    const struct afti_terms *s = &t->terms;
    g->n = 0;
    for (uint32_t i = 0; i <= s->own_n; i++) {
        const struct aft_term *term = i ? &s->own[i - 1] : &s->shared[0];
        uint32_t r = i && t->entry ? t->entry->terms->at[i - 1] : AFT_NOWHERE;
        r = r == AFT_NOWHERE ? row_of(t, term, grow) : r;
        if (r == AFT_NOWHERE)
            continue;
        g->at[g->n] = r;
        g->value[g->n] = (float)term->value;
        g->scale[g->n++] = scale_of(&g->rows[r], term, grow);
    }
}

/* A member's row times the context at hand. */
static inline double
fold_of(struct afti_table *t, uint32_t r, uint32_t member)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *m = &t->weights.bilinear;
    size_t i = (size_t)r * m->members + member;
    if (g->stamp[i] != g->now) {
        g->stamp[i] = g->now;
        g->fold[i] = aft_dot8(m->w + i * m->stride, g->x, m->stride);
    }
    return (double)g->fold[i];
}

double
afti_grid_score(struct afti_table *t, const struct afti_member *m)
{
    struct afti_grid *g = &t->grid;
    double sum = 0;
    for (uint32_t i = 0; i < g->n; i++)
        sum += (double)g->value[i] * fold_of(t, g->at[i], m->index);
    return sum;
}

struct view {
    struct afti_table *t;
    uint32_t member;
};

static bool
coefficient(void *ctx, struct aft_bytes name, double *by)
{
    struct view *v = ctx;
    struct afti_terms *s = &v->t->terms;
    struct aft_known *k = aft_name_known(&s->plan, s->arm_names, name, true);
    if (!k || k->side >= 0 || k->bucket >= 0)
        return false;
    uint32_t row = aft_known_place(k, &v->t->weights.bilinear.rows);
    *by = row == AFT_NOWHERE ? 0 : fold_of(v->t, row, v->member);
    return true;
}

/* ---- candidates that are known: first the folds that are missing, all at once, then the sums. */
/* Folds of the n rows of a member in index[]; each as aft_dot8. */
AFT_WIDE void
afti_grid_folds(const struct aft_bilinear *m, const float *x, const uint32_t *index, uint32_t n,
                float *fold)
{
    for (uint32_t i = 0; i < n; i++) {
        const float *w = m->w + (size_t)index[i] * m->stride;
        aft_wide_floats sum = {0}, a, b;
        for (uint32_t j = 0; j < m->stride; j += 8) {
            memcpy(&a, w + j, sizeof a);
            memcpy(&b, x + j, sizeof b);
            sum += a * b;
        }
        float t0 = sum[0] + sum[4], t1 = sum[1] + sum[5], t2 = sum[2] + sum[6],
              t3 = sum[3] + sum[7];
        fold[index[i]] = (t0 + t2) + (t1 + t3);
    }
}

/* A row whose fold is old is noted, once. */
static inline void
want(struct afti_grid *g, size_t fold, uint32_t *n)
{
    if (g->stamp[fold] == g->now)
        return;
    g->stamp[fold] = g->now;
    g->stale[(*n)++] = (uint32_t)fold;
}

/* The rows of a shape will be wanted; it will be filled. */
static inline void
want_shape(struct afti_grid *g, const struct afti_member *m, uint32_t members, struct afti_shape *s,
           uint32_t *wanted)
{
    s->epoch = g->epoch;
    s->member = m->index;
    g->filling[g->filling_n++] = s;
    for (uint32_t j = 0; j < s->n; j++)
        want(g, (size_t)s->rows[j] * members + m->index, wanted);
}

/* Entries of the candidates, the folds that they need, and their shapes' worth. How many are not known. */
static uint32_t
recognise(struct afti_table *t, const struct afti_member *m, const struct aft_candidate *c,
          uint32_t n)
{
    struct afti_grid *g = &t->grid;
    uint32_t members = t->weights.members, wanted = 0, others = 0;
    g->filling_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct afti_entry *e = g->entry[i] = afti_catalogue_entry(t, &c[i]);
        if (!e) {
            others++;
            continue;
        }
        if (e->identity != AFT_NOWHERE)
            want(g, (size_t)e->identity * members + m->index, &wanted);
        if (e->shape->epoch != g->epoch || e->shape->member != m->index)
            want_shape(g, m, members, e->shape, &wanted);
    }
    afti_grid_folds(&t->weights.bilinear, g->x, g->stale, wanted, g->fold);
    for (uint32_t i = 0; i < g->filling_n; i++)
        for (uint32_t j = 0; j < g->filling[i]->n; j++)
            g->filling[i]->by[j] = fold_of(t, g->filling[i]->rows[j], m->index);
    return others;
}

static void
sum_known(struct afti_table *t, const struct afti_member *m, double constant, uint32_t n,
          double *score, bool *scored)
{
    struct afti_grid *g = &t->grid;
    for (uint32_t i = 0; i < n; i++) {
        const struct afti_entry *e = g->entry[i];
        scored[i] = e != NULL;
        if (!e)
            continue;
        const double *by = e->shape->by;
        double sum =
            constant + (e->identity == AFT_NOWHERE ? 0 : fold_of(t, e->identity, m->index));
        for (uint32_t j = 0, k = e->shape->n; j < k; j++)
            sum += by[j] * (double)e->value[j];
        score[i] = sum;
    }
}

/* ---- the others: a walk over their features */
static void
sum_plain(struct afti_table *t, const struct afti_member *m, double constant,
          const struct aft_candidate *c, uint32_t n, double *score, bool *scored)
{
    const struct aft_dict *rows = &t->weights.bilinear.rows;
    struct afti_grid *g = &t->grid;
    struct view v = {t, m->index};
    aft_walk_begin(&g->walk);
    for (uint32_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            aft_features_fetch(c[i + AHEAD].features);
        struct aft_known *id = g->entry[i] ? NULL : aft_arm_known(t->terms.ids, c[i].arm_id);
        if (!id) /* known, or its id is too long */
            continue;
        uint32_t row = aft_known_place(id, rows);
        score[i] = constant + (row == AFT_NOWHERE ? 0 : fold_of(t, row, m->index));
        scored[i] = aft_walk_sum(&g->walk, c[i].features, true, 1e6, coefficient, &v, &score[i]);
    }
}

void
afti_grid_candidates(struct afti_table *t, const struct afti_member *m,
                     const struct aft_candidate *c, uint32_t n, double *score, bool *scored)
{
    uint32_t others = recognise(t, m, c, n);
    /* row 0 is the constant's */
    double constant = t->weights.bilinear.rows.n ? fold_of(t, 0, m->index) : 0;
    sum_known(t, m, constant, n, score, scored);
    if (others && t->terms.plain)
        sum_plain(t, m, constant, c, n, score, scored);
}

void
afti_grid_steps(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    size_t want = (size_t)g->n * t->weights.bilinear.stride;
    if (g->step_cap >= want)
        return;
    g->step_cap = 2 * want;
    free(g->step);
    g->step = malloc(g->step_cap * sizeof *g->step);
    AFT_ASSERT(g->step);
}

void
afti_grid_move(struct afti_table *t, const struct afti_member *m, float u)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    for (uint32_t i = 0; i < g->n; i++) {
        aft_add8(b->w + aft_bilinear_at(b, g->at[i], m->index), g->step + (size_t)i * b->stride, u,
                 b->stride);
        g->stamp[(size_t)g->at[i] * b->members + m->index] = 0;
    }
    g->epoch++;
}

/* ---- bytes */
enum { ROWS = 4, COLUMNS, PLANE }; /* sections of the image; state.c has those before */
_Static_assert(PLANE + AFTI_PLANES <= 16, "the members' sections begin there");

static void
put_scales(struct aft_buffer *out, const struct afti_scale *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        aft_put_float(out, s[i].max);
        aft_put_le32(out, s[i].seen);
    }
}

void
afti_grid_encode(const struct afti_table *t, struct aft_image *image)
{
    const struct aft_bilinear *m = &t->weights.bilinear;
    struct aft_buffer *out = &image->bytes;
    for (uint32_t k = 0; k < t->kind->planes; k++) {
        aft_image_section(image, PLANE + k, (size_t)m->stride * m->members * sizeof(float));
        for (size_t i = 0; i < aft_bilinear_size(m); i++)
            aft_put_float(out, t->grid.plane[k][i]);
    }
    aft_image_section(image, ROWS, AFT_GRAIN);
    put_scales(out, t->grid.rows, m->rows.n);
    aft_image_section(image, COLUMNS, AFT_GRAIN);
    put_scales(out, t->grid.columns, m->columns.n);
}

static bool
get_scales(struct aft_reader *r, struct afti_scale *s, uint32_t n)
{
    bool good = true;
    for (uint32_t i = 0; good && i < n; i++)
        good = aft_get_float(r, &s[i].max) && isfinite(s[i].max) && aft_get_le32(r, &s[i].seen);
    return good;
}

bool
afti_grid_decode(struct afti_table *t, struct aft_reader *r)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    struct afti_grid *g = &t->grid;
    size_t n = aft_bilinear_size(m);
    bool good = m->cells == 1u << t->terms.plan.settings.bits;
    for (uint32_t k = 0; good && k < t->kind->planes; k++) {
        g->plane[k] = calloc(n + 1, sizeof *g->plane[k]);
        AFT_ASSERT(g->plane[k]);
        for (size_t i = 0; good && i < n; i++)
            good = aft_get_float(r, &g->plane[k][i]) && isfinite(g->plane[k][i]);
    }
    if (!good)
        return false;
    afti_grid_room(t, m->rows.n, m->stride);
    return get_scales(r, g->rows, m->rows.n) && get_scales(r, g->columns, m->columns.n);
}
