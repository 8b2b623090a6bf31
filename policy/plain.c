/* plain.c - means of candidates whose own terms are their identity and their features alone (by revision, of a bilinear model, their
 * variances too): no term is made, no name hashed. The same sums in the same order as score.c's long way (what is not known adds
 * zero), so the same bits. One thread a scratch.
 *
 *   by revision   the caller says that the candidates have not changed: they were resolved once into a table, a row for each
 *                 place in an order that suits all of them; a decision costs a product for each candidate and place (bilinear;
 *                 a linear model's sums are made once a snapshot), and a term for each feature that is the request's own (they
 *                 stand behind the others, so the order of the sums is kept)
 *   alike         the caller says so of the first features of all: each name is looked up once
 *   else          a walk over the features, as names.h says
 * Invariants: I1 a catalogue's table has its rows in an order of which every candidate's terms are a part.
 */
#include <stdlib.h>

#include "policy/inner.h"

enum { TABLE_MAX = 1 << 20 };

struct view {
    const struct aft_model *m;
    struct aft_scratch *s;
};

static bool
bilinear(const struct aft_model *m)
{
    return aft_model_traits(m->weights.kind)->bilinear;
}

static const struct aft_dict *
places(const struct aft_model *m)
{
    return bilinear(m) ? &m->weights.bilinear.rows : &m->weights.linear.columns;
}

/* What one unit at a place adds to a score. */
static double
worth(const struct aft_model *m, struct aft_scratch *s, uint32_t at)
{
    const struct aft_linear *l = &m->weights.linear;
    if (at == AFT_NOWHERE)
        return 0;
    if (bilinear(m))
        return afti_fold(&m->weights.bilinear, s, at, 0, false)->mean;
    const struct aft_linear_block *b = l->blocks_n ? aft_linear_block(l, 0, s->member) : NULL;
    return b && at < b->d ? b->theta[at] : 0;
}

/* Of many at once. */
static void
worths(const struct aft_model *m, struct aft_scratch *s, const uint32_t *at, uint32_t n,
       double *out)
{
    const struct aft_linear *l = &m->weights.linear;
    if (bilinear(m) || l->blocks_n == 0) {
        for (uint32_t i = 0; i < n; i++)
            out[i] = worth(m, s, at[i]);
        return;
    }
    const struct aft_linear_block *b = aft_linear_block(l, 0, s->member);
    for (uint32_t i = 0; i < n; i++) /* AFT_NOWHERE is beyond d, too */
        out[i] = at[i] < b->d ? b->theta[at[i]] : 0;
}

/* A linear dictionary that is full shares its last columns by hash: not for us. */
static bool
has_room(const struct aft_model *m)
{
    return bilinear(m) || m->weights.linear.columns.n < AFT_LINEAR_COLUMNS - AFT_LINEAR_RESERVED;
}

static bool
coefficient(void *ctx, struct aft_bytes name, double *by)
{
    struct view *v = ctx;
    struct aft_known *k = aft_name_known(&v->m->plan, v->s->arm_names, name, true);
    if (!k || k->side >= 0 || k->bucket >= 0)
        return false;
    *by = worth(v->m, v->s, aft_known_place(k, places(v->m)));
    return true;
}

/* What the features that all candidates have alike add: one after the other, of four candidates side by side. */
static void
add_alike(struct aft_scratch *s, const struct aft_request *r, uint32_t n, const double *by)
{
    const struct aft_candidate *a = r->candidates;
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const struct aft_feature *v0 = a[s->index[i]].features.v,
                                 *v1 = a[s->index[i + 1]].features.v,
                                 *v2 = a[s->index[i + 2]].features.v,
                                 *v3 = a[s->index[i + 3]].features.v;
        double *mean = &s->mean[i], m0 = mean[0], m1 = mean[1], m2 = mean[2], m3 = mean[3];
        for (uint32_t j = 0; j < r->alike; j++) {
            m0 += v0[j].number * by[j];
            m1 += v1[j].number * by[j];
            m2 += v2[j].number * by[j];
            m3 += v3[j].number * by[j];
        }
        mean[0] = m0, mean[1] = m1, mean[2] = m2, mean[3] = m3;
    }
    for (; i < n; i++)
        for (uint32_t j = 0; j < r->alike; j++)
            s->mean[i] += a[s->index[i]].features.v[j].number * by[j];
}

static bool
walk_alike(struct view *v, const struct aft_request *r, uint32_t n)
{
    double by[AFT_FEATURES_MAX];
    const struct aft_feature *first = r->candidates[0].features.v;
    AFT_ASSERT(r->alike <= AFT_FEATURES_MAX);
    for (uint32_t j = 0; j < r->alike; j++)
        if (!coefficient(v, first[j].name, &by[j]))
            return false;
    add_alike(v->s, r, n, by);
    return true;
}

static bool
walk(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r, uint32_t n,
     double start)
{
    struct view v = {m, s};
    aft_walk_begin(&s->walk);
    for (uint32_t i = 0; i < n; i++) {
        struct aft_known *id = aft_arm_known(s->ids, r->candidates[s->index[i]].arm_id);
        if (!id)
            return false;
        s->mean[i] = start + worth(m, s, aft_known_place(id, places(m)));
    }
    if (!walk_alike(&v, r, n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct aft_features f = r->candidates[s->index[i]].features;
        if (f.n == r->alike) /* perhaps none at all, and no list */
            continue;
        f.v += r->alike;
        f.n -= r->alike;
        if (!aft_walk_sum(&s->walk, f, false, AFT_ALIKE_MAX, coefficient, &v, &s->mean[i]))
            return false;
    }
    return true;
}

/* ---- a revision's table */
/* The row of a place at or after `from`; made there when no row has it. UINT32_MAX: it stands before, or no room. */
static uint32_t
row_of(struct afti_catalogue *c, uint32_t place, uint32_t from)
{
    for (uint32_t i = 0; i < c->rows; i++)
        if (c->place[i] == place)
            return i >= from ? i : UINT32_MAX;
    if (c->rows == 2 * AFT_FEATURES_MAX || (c->rows + 1) * c->stride > TABLE_MAX)
        return UINT32_MAX;
    memmove(&c->place[from + 1], &c->place[from], (c->rows - from) * sizeof c->place[0]);
    c->place[from] = place;
    c->rows++;
    return from;
}

/* The candidate's own terms in s->terms; false: it has others than plain ones. */
static bool
terms_of(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
         uint32_t candidate, uint32_t *n)
{
    struct aft_error e;
    const struct aft_candidate *a = &r->candidates[candidate];
    struct aft_features f = a->features;
    f.n -= r->fresh ? r->fresh[candidate] : 0;
    if (aft_encode_arm(&m->plan, a->arm_id, f, &s->arm, &e) != AFT_OK)
        return false;
    for (uint32_t i = 0; i < m->plan.sides_n; i++)
        if (s->arm.side[i])
            return false;
    *n = s->arm.n;
    return true;
}

/* Twice over the candidates: the rows, then the values. */
static bool
lay_rows(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    struct afti_catalogue *c = &s->catalogue;
    uint32_t n;
    for (uint32_t i = 0; i < c->n; i++) {
        if (!terms_of(m, s, r, i, &n))
            return false;
        c->identity[i] = aft_dict_find(places(m), s->arm.v[0].hash);
        for (uint32_t j = 1, at = 0; j < n; j++) {
            uint32_t place = aft_dict_find(places(m), s->arm.v[j].hash);
            if (place == AFT_NOWHERE)
                continue;
            at = row_of(c, place, at);
            if (at++ == UINT32_MAX)
                return false;
        }
    }
    return true;
}

static void
lay_values(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    struct afti_catalogue *c = &s->catalogue;
    size_t size = (size_t)c->rows * c->stride;
    if (size > c->value_cap) {
        free(c->value);
        free(c->square);
        c->value_cap = 2 * size;
        c->value = malloc(c->value_cap * sizeof *c->value);
        c->square = malloc(c->value_cap * sizeof *c->square);
        AFT_ASSERT(c->value && c->square);
    }
    if (size > 0) { /* arms that are known by their identity alone have no values */
        memset(c->value, 0, size * sizeof *c->value);
        memset(c->square, 0, size * sizeof *c->square);
    }
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t n = 0, at = 0;
        AFT_ASSERT(terms_of(m, s, r, i, &n));
        c->unknown[i] = c->identity[i] == AFT_NOWHERE;
        for (uint32_t j = 1; j < n; j++) {
            uint32_t place = aft_dict_find(places(m), s->arm.v[j].hash);
            double v = s->arm.v[j].value;
            if (place == AFT_NOWHERE) {
                c->unknown[i] += v * v;
                continue;
            }
            while (c->place[at] != place)
                at++;
            AFT_INVARIANT(I1, at < c->rows);
            c->value[(size_t)at * c->stride + i] = v;
            c->square[(size_t)at++ * c->stride + i] = v * v;
        }
    }
}

static void
resolve(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    struct afti_catalogue *c = &s->catalogue;
    c->revision = r->revision;
    c->n = r->candidates_n;
    c->stride = c->n + (8 - c->n % 8) % 8;
    c->rows = 0;
    c->summed = 0;
    c->usable = lay_rows(m, s, r);
    if (c->usable)
        lay_values(m, s, r);
}

/* sum[i] += by[0] value[0][i] + by[1] value[1][i] ..., each i < width by itself and in that order. width: a multiple of 8. */
#define LOAD(t, at) memcpy(&t, (at), sizeof t)
#define KEEP(at, t) memcpy((at), &t, sizeof t)
#define STEP(t, at)                 \
    do {                            \
        memcpy(&v, (at), sizeof v); \
        t += f * v;                 \
    } while (0)

/* Twenty-four of them, in registers. */
static inline __attribute__((always_inline)) void
rows24(const double *value, const double *by, uint32_t rows, uint32_t stride, double *sum)
{
    aft_wide t0, t1, t2, t3, t4, t5, v;
    LOAD(t0, sum);
    LOAD(t1, sum + 4);
    LOAD(t2, sum + 8);
    LOAD(t3, sum + 12);
    LOAD(t4, sum + 16);
    LOAD(t5, sum + 20);
    for (uint32_t j = 0; j < rows; j++, value += stride) {
        aft_wide f = AFT_ALL(by[j]);
        STEP(t0, value);
        STEP(t1, value + 4);
        STEP(t2, value + 8);
        STEP(t3, value + 12);
        STEP(t4, value + 16);
        STEP(t5, value + 20);
    }
    KEEP(sum, t0);
    KEEP(sum + 4, t1);
    KEEP(sum + 8, t2);
    KEEP(sum + 12, t3);
    KEEP(sum + 16, t4);
    KEEP(sum + 20, t5);
}

static inline __attribute__((always_inline)) void
rows8(const double *value, const double *by, uint32_t rows, uint32_t stride, double *sum)
{
    aft_wide t0, t1, v;
    LOAD(t0, sum);
    LOAD(t1, sum + 4);
    for (uint32_t j = 0; j < rows; j++, value += stride) {
        aft_wide f = AFT_ALL(by[j]);
        STEP(t0, value);
        STEP(t1, value + 4);
    }
    KEEP(sum, t0);
    KEEP(sum + 4, t1);
}

AFT_WIDE void
afti_plain_rows(const double *value, const double *by, uint32_t rows, uint32_t stride,
                uint32_t width, double *sum)
{
    uint32_t i = 0;
    for (; i + 24 <= width; i += 24)
        rows24(value + i, by, rows, stride, sum + i);
    for (; i < width; i += 8)
        rows8(value + i, by, rows, stride, sum + i);
}

static bool
resolved(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    struct afti_catalogue *c = &s->catalogue;
    if (c->revision != r->revision || c->n != r->candidates_n)
        resolve(m, s, r);
    return c->usable;
}

/* ---- what is the request's own. The terms stand in s->arm.v[1 ..), how many there are in *n; false: others than plain ones. */
static bool
fresh_terms(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
            uint32_t candidate, uint32_t *n)
{
    struct aft_error e;
    const struct aft_candidate *a = &r->candidates[candidate];
    uint32_t fresh = r->fresh[candidate];
    struct aft_features f = {a->features.v + (a->features.n - fresh), fresh};
    if (aft_encode_arm_known(&m->plan, s->arm_names, a->arm_id, f, &s->arm, &e) != AFT_OK)
        return false;
    for (uint32_t i = 0; i < m->plan.sides_n; i++)
        if (s->arm.side[i])
            return false;
    *n = s->arm.n;
    return true;
}

static bool
fresh_means(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
            uint32_t n)
{
    for (uint32_t i = 0; r->fresh && i < n; i++) {
        uint32_t terms;
        if (!r->fresh[s->index[i]])
            continue;
        if (!fresh_terms(m, s, r, s->index[i], &terms))
            return false;
        for (uint32_t j = 1; j < terms; j++)
            s->mean[i] += s->arm.v[j].value *
                          worth(m, s, aft_term_place(&s->arm.v[j], s->arm_names, places(m)));
    }
    return true;
}

static bool
fresh_are_plain(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    uint32_t n;
    for (uint32_t i = 0; r->fresh && i < r->candidates_n; i++)
        if (r->fresh[i] && !fresh_terms(m, s, r, i, &n))
            return false;
    return true;
}

/* Behind `rows` of s->own_rows, and onto *unknown; how many there are then. UINT32_MAX: they are not plain. */
uint32_t
afti_plain_fresh(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t candidate, uint32_t rows, double *unknown)
{
    uint32_t n = 0;
    if (!r->fresh || !r->fresh[candidate])
        return rows;
    if (!fresh_terms(m, s, r, candidate, &n))
        return UINT32_MAX;
    for (uint32_t j = 1; j < n; j++) {
        uint32_t place = aft_term_place(&s->arm.v[j], s->arm_names, places(m));
        double v = s->arm.v[j].value;
        if (place == AFT_NOWHERE)
            *unknown += v * v;
        else
            s->own_rows[rows++] = (struct afti_place){place, v};
    }
    return rows;
}

/* c->sum: of each candidate, start and what its features add. A linear model's do not depend on the context. */
static void
sum_rows(const struct aft_model *m, struct aft_scratch *s, double start)
{
    struct afti_catalogue *c = &s->catalogue;
    worths(m, s, c->place, c->rows, c->by);
    worths(m, s, c->identity, c->n, c->sum);
    for (uint32_t i = 0; i < c->stride; i++)
        c->sum[i] = start + (i < c->n ? c->sum[i] : 0);
    afti_plain_rows(c->value, c->by, c->rows, c->stride, c->stride, c->sum);
    c->summed = s->member + 1;
}

static bool
by_revision(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
            uint32_t n, double start)
{
    struct afti_catalogue *c = &s->catalogue;
    if (!resolved(m, s, r))
        return false;
    if (bilinear(m) || c->summed != s->member + 1)
        sum_rows(m, s, start);
    for (uint32_t i = 0; i < n; i++)
        s->mean[i] = c->sum[s->index[i]];
    return fresh_means(m, s, r, n);
}

bool
afti_plain_means(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                 uint32_t n, double start)
{
    if (!aft_features_plain(&m->plan, !bilinear(m)) || !has_room(m))
        return false;
    return (r->revision && by_revision(m, s, r, n, start)) || walk(m, s, r, n, start);
}

bool
afti_plain_table(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    return r->revision && bilinear(m) && aft_features_plain(&m->plan, false) && resolved(m, s, r);
}

bool
afti_plain_resolved(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r)
{
    return afti_plain_table(m, s, r) && fresh_are_plain(m, s, r);
}

/* No term's value is zero, and the rows stand in an order that suits all. */
uint32_t
afti_plain_own(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
               uint32_t candidate, double *unknown)
{
    const struct afti_catalogue *c = &s->catalogue;
    uint32_t n = 0;
    if (c->identity[candidate] != AFT_NOWHERE)
        s->own_rows[n++] = (struct afti_place){c->identity[candidate], 1};
    for (uint32_t j = 0; j < c->rows; j++) {
        double v = c->value[(size_t)j * c->stride + candidate];
        if (v != 0)
            s->own_rows[n++] = (struct afti_place){c->place[j], v};
    }
    *unknown = c->unknown[candidate];
    return afti_plain_fresh(m, s, r, candidate, n, unknown);
}

bool
afti_plain_variances(const struct aft_model *m, struct aft_scratch *s, const struct aft_request *r,
                     uint32_t n, struct afti_unknown unknown)
{
    const struct aft_bilinear *b = &m->weights.bilinear;
    struct afti_catalogue *c = &s->catalogue;
    if (!afti_plain_resolved(m, s, r))
        return false;
    for (uint32_t j = 0; j < c->rows; j++)
        c->by[j] = afti_fold(b, s, c->place[j], unknown.context, true)->variance;
    for (uint32_t i = 0; i < c->stride; i++) {
        bool known = i < c->n && c->identity[i] != AFT_NOWHERE;
        c->sum[i] = known ? afti_fold(b, s, c->identity[i], unknown.context, true)->variance : 0;
    }
    afti_plain_rows(c->square, c->by, c->rows, c->stride, c->stride, c->sum);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = s->index[i];
        double beyond = c->unknown[at];
        uint32_t fresh = afti_plain_fresh(m, s, r, at, 0, &beyond);
        s->variance[i] = c->sum[at];
        for (uint32_t j = 0; j < fresh; j++) {
            double v = s->own_rows[j].value;
            s->variance[i] +=
                v * v * afti_fold(b, s, s->own_rows[j].at, unknown.context, true)->variance;
        }
        s->variance[i] += beyond * unknown.prior;
    }
    return true;
}
