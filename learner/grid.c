/* grid.c - a bilinear model's rows and columns for the example at hand, for all members at once: places, scales, folds. One thread.
 *
 *   context   terms.shared[] -> columns; x their values, norm their N
 *   item      the constant and terms.own[] -> rows at[], with value and N
 *   fold      a member's row times x
 *   score     the constant's fold + in eight lanes: the identity's row times x + value x fold over the arm's other terms by their
 *             positions among them (one without a row adds nothing); of many candidates at once, those that are known
 *   N of a number: running maximum of |x|, at least 1 for its first 64 sightings; of anything else 1
 * Beside each weight a kind keeps floats of its own (plane), laid out as the weights: [row][member][column].
 * Invariants: I1 rows x stride <= cells; I2 beyond the used columns x is 0.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

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

/* N of each column, for the terms at hand; `see`: their scales see them. */
static void
norms(struct afti_table *t, bool see)
{
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    for (uint32_t i = 0; i < t->weights.bilinear.stride; i++)
        g->norm[i] = 1;
    for (uint32_t i = 0; i < s->shared_n; i++)
        if (g->column[i] != AFT_NOWHERE)
            g->norm[g->column[i]] = scale_of(&g->columns[g->column[i]], &s->shared[i], see);
    g->normed = true;
}

/* A column never moves, and what stood at a position mostly stands there again. */
static void
columns(struct afti_table *t, bool grow)
{
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    for (uint32_t i = 0; i < s->shared_n; i++) {
        if (g->column_hash[i] == s->shared[i].hash && g->column[i] != AFT_NOWHERE)
            continue;
        g->column[i] = column_of(t, &s->shared[i], grow);
        g->column_hash[i] = s->shared[i].hash;
    }
}

void
afti_grid_context(struct afti_table *t, bool grow)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    uint32_t before = m->columns.n;
    if (grow || !g->ready)
        columns(t, grow);
    if (!g->ready || m->columns.n != before) {
        for (uint32_t i = 0; i < m->stride; i++)
            g->x[i] = 0;
        for (uint32_t i = 0; i < s->shared_n; i++)
            if (g->column[i] != AFT_NOWHERE)
                g->x[g->column[i]] += (float)s->shared[i].value;
        new_folds(t);
        g->ready = true;
    }
    g->normed = false;
    if (grow)
        norms(t, true);
}

void
afti_grid_item(struct afti_table *t, bool grow)
{
    struct afti_grid *g = &t->grid;
    const struct afti_terms *s = &t->terms;
    bool alone = aft_features_identity(&s->plan); /* the constant's row stays 0 */
    g->n = 0;
    if (grow && !g->normed)
        norms(t, false);
    for (uint32_t i = 0; i <= s->own_n; i++) {
        const struct aft_term *term = i ? &s->own[i - 1] : &s->shared[0];
        uint32_t r = i && t->known ? t->known->at[i - 1] : AFT_NOWHERE;
        r = r == AFT_NOWHERE ? row_of(t, term, grow) : r;
        if (r == AFT_NOWHERE || (i == 0 && alone))
            continue;
        g->at[g->n] = r;
        g->position[g->n] = i;
        g->value[g->n] = (float)term->value;
        g->scale[g->n++] = scale_of(&g->rows[r], term, grow);
    }
}

/* A member's row times the context at hand. */
static inline float
fold_of(struct afti_table *t, uint32_t r, uint32_t member)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *m = &t->weights.bilinear;
    size_t i = (size_t)r * m->members + member;
    if (g->stamp[i] != g->now) {
        g->stamp[i] = g->now;
        g->fold[i] = aft_dot8(m->w + i * m->stride, g->x, m->stride);
    }
    return g->fold[i];
}

static inline void
add_products(aft_wide_floats *sum, const float *v, const float *w, size_t n)
{
    aft_wide_floats a, b;
    for (size_t j = 0; j < n; j += 8) {
        memcpy(&a, v + j, sizeof a);
        memcpy(&b, w + j, sizeof b);
        *sum += a * b;
    }
}

/* The constant's fold; then, in eight lanes, the identity's row times x and the other terms by their positions: as afti_grid_sums. */
double
afti_grid_score(struct afti_table *t, const struct afti_member *m)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    struct afti_grid *g = &t->grid;
    aft_wide_floats own = {0}, rest = {0};
    double lead = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->position[i] == 0)
            lead = (double)fold_of(t, g->at[i], m->index);
        else if (g->position[i] == 1)
            add_products(&own, b->w + aft_bilinear_at(b, g->at[i], m->index), g->x, b->stride);
        else
            rest[(g->position[i] - 2) % 8] += g->value[i] * fold_of(t, g->at[i], m->index);
    }
    own += rest;
    return lead + (double)aft_lanes_sum(&own);
}

/* ---- candidates that are known: constant + identity's row times x + values times what their rows are worth. */
/* The first four and the last four lanes of sum + v[] w[], n a multiple of four; then their tree. */
static inline float
lanes_with(const aft_wide_floats *sum, const float *v, const float *w, size_t n)
{
    aft_floats low = {0}, high = {0}, a, b;
    for (size_t j = 0; j < n; j += 4) {
        memcpy(&a, v + j, sizeof a);
        memcpy(&b, w + j, sizeof b);
        if (j % 8 == 0)
            low += a * b;
        else
            high += a * b;
    }
    memcpy(&a, sum, sizeof a);
    memcpy(&b, (const uint8_t *)sum + sizeof a, sizeof b);
    a += low;
    b += high;
    a += b;
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/* From candidate i on, as far as entries and their shapes' worth are at hand; returns where it stopped. */
AFT_WIDE uint32_t
afti_grid_sums(const struct afti_sums *s, uint32_t i, double *score, bool *scored)
{
    for (; i < s->n; i++) {
        uint32_t known = s->candidate[i].known;
        const struct afti_entry *e = known < s->cap ? s->entry[known] : NULL;
        aft_wide_floats own = {0};
        if (!known || !e || !e->good || (e->missing && e->seen != s->rows))
            return i;
        const struct afti_shape *shape = &s->shapes[e->shape];
        if (shape->epoch != s->epoch || shape->member != s->member)
            return i;
        if (e->identity != AFT_NOWHERE)
            add_products(&own, s->w + e->identity * s->row, s->x, s->stride);
        score[i] = s->constant + (double)lanes_with(&own, e->value, shape->by, shape->n);
        scored[i] = true;
    }
    return i;
}

/* What one unit at each of a shape's rows is worth now. */
static void
fill(struct afti_table *t, const struct afti_member *m, struct afti_shape *s)
{
    s->epoch = t->grid.epoch;
    s->member = m->index;
    for (uint32_t j = 0; j < s->n; j++)
        s->by[j] = s->rows[j] == AFT_NOWHERE ? 0 : fold_of(t, s->rows[j], m->index);
}

static void
sums_of(struct afti_table *t, const struct afti_member *m, struct afti_sums *s)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    const struct afti_catalogue *k = &t->catalogue;
    s->w = b->w + (size_t)m->index * b->stride;
    s->x = t->grid.x;
    s->stride = b->stride;
    s->row = (size_t)b->members * b->stride;
    s->entry = k->v;
    s->cap = k->live && !t->terms.crosses ? k->cap : 0;
    s->shapes = k->shapes;
    s->rows = b->rows.n;
    s->epoch = t->grid.epoch;
    s->member = m->index;
}

/* The rows that will be wanted, from a table that is not near. */
static void
fetch_rows(const struct afti_sums *s)
{
    for (uint32_t i = 0; s->rows > AFTI_NEAR && i < s->n; i++) {
        uint32_t known = s->candidate[i].known;
        const struct afti_entry *e = known < s->cap ? s->entry[known] : NULL;
        if (!e || e->identity == AFT_NOWHERE)
            continue;
        const float *w = s->w + e->identity * s->row;
        for (uint32_t j = 0; j < s->stride && j < 64; j += 16)
            __builtin_prefetch(w + j);
    }
}

void
afti_grid_candidates(struct afti_table *t, const struct afti_member *m,
                     const struct aft_candidate *c, uint32_t n, double *score, bool *scored)
{
    /* row 0 is the constant's */
    struct afti_sums s = {.candidate = c,
                          .n = n,
                          .constant =
                              t->weights.bilinear.rows.n ? (double)fold_of(t, 0, m->index) : 0};
    sums_of(t, m, &s);
    fetch_rows(&s);
    for (uint32_t i = 0, helped = n; (i = afti_grid_sums(&s, i, score, scored)) < n;) {
        const struct afti_entry *e = i != helped ? afti_catalogue_entry(t, &c[i]) : NULL;
        scored[i] = false;
        if (!e) {
            i++;
            continue;
        }
        fill(t, m, &t->catalogue.shapes[e->shape]);
        sums_of(t, m, &s); /* a new entry may have moved them */
        helped = i;
    }
}

void
afti_grid_constant(const struct afti_table *t)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    if (b->rows.n)
        memset(b->v, 0, (size_t)b->members * b->stride * sizeof *b->v);
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
