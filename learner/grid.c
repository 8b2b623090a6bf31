/* grid.c - a bilinear model's rows and columns for the example at hand, for all members at once: places, scales, folds. One thread.
 *
 *   context   terms.shared[] -> columns; x their values, norm their N
 *   item      the constant and terms.own[] -> rows at[], with value and N
 *   fold.c    a member's rows times x
 *   N of a number: running maximum of |x|, at least 1 for its first 64 sightings; of anything else 1
 * Beside each weight a kind keeps floats of its own (plane), laid out as the weights: [row][member][column].
 * Invariants: I1 rows x stride <= cells; I2 beyond the used columns x is 0.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/flow.h"

void
afti_grid_deinit(struct afti_grid *g)
{
    for (int i = 0; i < AFTI_PLANES; i++)
        free(g->plane[i]);
    free(g->rows);
    free(g->columns);
    free(g->fold);
    free(g->x);
    free(g->norm);
    free(g->steady_norm);
    free(g->step);
    afti_batch_deinit(&g->batch);
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

/* n floats of 0 from the beginning of a line of memory on, so that no eight of a row lie in two. */
static float *
lined(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 64) / 64 * 64);
    AFT_ASSERT(p);
    memset(p, 0, n * sizeof *p);
    return p;
}

/* A table of rows x stride floats, moved into one of other dimensions. */
static float *
relaid(float *old, size_t rows, uint32_t stride, size_t new_rows, uint32_t new_stride)
{
    float *p = lined(new_rows * new_stride);
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
        g->rows_cap = cap;
    }
    if (g->columns_cap < wide) {
        g->columns = zeroed(g->columns, sizeof *g->columns, g->columns_cap, wide);
        g->x = relaid(g->x, g->x != NULL, g->columns_cap, 1, wide);
        g->norm = relaid(g->norm, g->norm != NULL, g->columns_cap, 1, wide);
        g->steady_norm = relaid(g->steady_norm, g->steady_norm != NULL, g->columns_cap, 1, wide);
        g->norms_steady = false;
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

static inline float
see(struct afti_scale *s, float size)
{
    float max = s->max;
    uint32_t seen = s->seen;
    max = size > max ? size : max;
    s->max = max;
    if (seen >= 64 && max > 0)
        return max;
    s->seen = seen + (seen < 64);
    return max == 0 || (seen < 64 && max < 1) ? 1 : max;
}

float
afti_scale_see(struct afti_scale *s, float size)
{
    return see(s, size);
}

static inline __attribute__((always_inline)) float
scale_of(struct afti_scale *s, const struct aft_term *term, bool learn)
{
    if (!term->number)
        return 1;
    return learn ? see(s, (float)fabs(term->value)) : norm_of(s);
}

static void
new_folds(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    g->epoch++;
    if (++g->now == 0) {
        memset(g->fold, 0, (size_t)g->rows_cap * t->weights.members * sizeof *g->fold);
        g->now = 1;
    }
}

/* N where the columns' scales are such that only a larger |x| can move them (steady), if there is none: as they stand, of x = 0: 1. */
static bool
norms_stand(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    uint32_t stride = t->weights.bilinear.stride;
    const aft_floats ones = {1, 1, 1, 1};
    afti_signs above = {0}, bits, one;
    aft_floats x, n;
    memcpy(&one, &ones, sizeof one);
    for (uint32_t i = 0; i < stride; i += 4) {
        memcpy(&x, g->x + i, sizeof x);
        memcpy(&n, g->steady_norm + i, sizeof n);
        memcpy(&bits, &n, sizeof bits);
        above |= (x > n) | (-x > n);
        bits = (bits & (x != 0)) | (one & ~(x != 0));
        memcpy(g->norm + i, &bits, sizeof bits);
    }
    return !(above[0] | above[1] | above[2] | above[3]);
}

/* Which N stand from now on; false: some may move, or two terms have one column. */
static bool
steady_norms(struct afti_table *t)
{
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    for (uint32_t i = 0; i < t->weights.bilinear.stride; i++)
        g->steady_norm[i] = 0;
    for (uint32_t i = 0; i < s->shared_n; i++) {
        const struct afti_scale *c = &g->columns[g->column[i]];
        float *n = &g->steady_norm[g->column[i]];
        if (*n != 0 || (s->shared[i].number && !(c->seen >= 64 && c->max > 0)))
            return false;
        *n = s->shared[i].number ? c->max : 1;
    }
    for (uint32_t i = 0; i < t->weights.bilinear.stride; i++)
        g->steady_norm[i] = g->steady_norm[i] > 0 ? g->steady_norm[i] : 1;
    return true;
}

/* N of each column, for the terms at hand; `see`: their scales see them. A value of 0 is none. */
static void
norms(struct afti_table *t, bool see)
{
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    g->normed = true;
    g->spread_known = false;
    if (see && g->placed && g->norms_steady && norms_stand(t))
        return;
    for (uint32_t i = 0; i < t->weights.bilinear.stride; i++)
        g->norm[i] = 1;
    for (uint32_t i = 0; i < s->shared_n; i++) {
        uint32_t c = g->column[i];
        if (c != AFT_NOWHERE && s->shared[i].value != 0)
            g->norm[c] = scale_of(&g->columns[c], &s->shared[i], see);
    }
    g->norms_steady = see && g->placed && steady_norms(t);
}

/* A column never moves, and what stood at a position mostly stands there again. */
static void
columns(struct afti_table *t, bool grow)
{
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    g->placed = true;
    g->norms_steady = false;
    for (uint32_t i = 0; i < s->shared_n; i++) {
        const struct aft_term *term = &s->shared[i];
        if (g->column_hash[i] == term->hash && g->column[i] != AFT_NOWHERE)
            continue;
        g->column[i] = column_of(t, term, grow && term->value != 0);
        g->column_hash[i] = term->hash;
        g->placed = g->placed && g->column[i] != AFT_NOWHERE;
    }
}

void
afti_grid_context(struct afti_table *t, bool grow)
{
    struct aft_bilinear *m = &t->weights.bilinear;
    const struct afti_terms *s = &t->terms;
    struct afti_grid *g = &t->grid;
    uint32_t before = m->columns.n;
    if (!g->placed)
        columns(t, grow);
    if (!g->ready || m->columns.n != before) {
        for (uint32_t i = 0; i < m->stride; i++)
            g->x[i] = 0;
        for (uint32_t i = 0; g->placed && i < s->shared_n; i++)
            g->x[g->column[i]] += (float)s->shared[i].value;
        for (uint32_t i = 0; !g->placed && i < s->shared_n; i++)
            if (g->column[i] != AFT_NOWHERE)
                g->x[g->column[i]] += (float)s->shared[i].value;
        new_folds(t);
        g->ready = true;
    }
    g->normed = false;
    if (grow)
        norms(t, true);
}

/* Row i (0: the constant's) of the item at hand: number n of those that are there. */
static inline __attribute__((always_inline)) void
put_row(struct afti_grid *g, uint32_t n, uint32_t i, uint32_t row, const struct aft_term *term,
        bool grow)
{
    g->at[n] = row;
    g->position[n] = i;
    g->value[n] = (float)term->value;
    g->scale[n] = scale_of(&g->rows[row], term, grow);
}

enum {
    LEAD = 2
}; /* of an item's own rows, those that other arms may not share: its identity, its name as a word */

/* The scales of a known item's rows. Where the last item had the same ones from LEAD on, all of them of numbers, whose scales only a
 * larger one can move (steady), they stand already. */
static void
known_scales(struct afti_grid *g, const struct afti_entry_terms *k, bool stands, bool grow)
{
    uint32_t n = k->own_n;
    bool steady = true;
    if (stands && afti_some_other(k->size + LEAD, g->scale + 1 + LEAD, n - LEAD))
        stands = false;
    for (uint32_t i = 0; i < (stands && n > LEAD ? LEAD : n); i++) {
        struct afti_scale *s = &g->rows[k->at[i]];
        float size = k->size[i];
        g->scale[i + 1] = size < 0 ? 1 : grow ? see(s, size) : norm_of(s);
        steady =
            steady &&
            (i < LEAD || (size >= 0 && s->seen >= 64 && g->scale[i + 1] == s->max && s->max > 0));
    }
    g->steady = steady;
}

/* Of a known item that has all its rows. */
static bool
known_item(struct afti_table *t, bool grow)
{
    struct afti_grid *g = &t->grid;
    const struct afti_entry_terms *k = t->known;
    uint32_t n = k->own_n;
    if (!k->whole || t->weights.bilinear.rows.n == 0)
        return false;
    bool stands = g->steady && g->n == n + 1 && n > LEAD &&
                  memcmp(g->at + 1 + LEAD, k->at + LEAD, (n - LEAD) * sizeof *g->at) == 0;
    put_row(g, 0, 0, 0, &t->terms.shared[0], grow);
    memcpy(g->at + 1, k->at, n * sizeof *g->at);
    memcpy(g->value + 1, k->value, n * sizeof *g->value);
    known_scales(g, k, stands, grow);
    g->n = n + 1;
    for (; g->ordered < g->n; g->ordered++)
        g->position[g->ordered] = g->ordered;
    return true;
}

void
afti_grid_item(struct afti_table *t, bool grow)
{
    struct afti_grid *g = &t->grid;
    const struct afti_terms *s = &t->terms;
    const struct aft_term *own = t->known ? t->known->own : s->own;
    bool alone = aft_features_identity(&s->plan); /* the constant's row stays 0 */
    g->items++;
    if (grow && !g->normed)
        norms(t, false);
    if (t->known && !alone && known_item(t, grow))
        return;
    g->n = g->ordered = 0;
    g->steady = false;
    for (uint32_t i = 0; i <= s->own_n; i++) {
        const struct aft_term *term = i ? &own[i - 1] : &s->shared[0];
        uint32_t r = row_of(t, term, grow);
        if (r != AFT_NOWHERE && (i || !alone))
            put_row(g, g->n++, i, r, term, grow);
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
    g->step = lined(g->step_cap);
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
