/* flow_batch.c - many items of one decision learned one after the other by the flow: ips, dr and cover teach a model every arm that was
 * left. One thread.
 *
 * Arms of one decision share most of their rows (the constant's, their features'), and all of its context. Of a row that they share, the
 * steps s x are made once a decision, with the information before it and that of the first item which has it; after that an item is
 * arithmetic on a few numbers a row, four rows at once:
 *   fold    the row times x, as it stands: a step of u value moves it by u value B; B = sum s x^2, below 0: no steps yet
 *   moved   sum of u value                information   sum of h phi value^2
 * and in the end, row by row: w += moved s x, G += information x^2. An item is still learned from the scores that those before it left;
 * what differs from flow.c is that the rates of a shared row fall at the end of the decision and not within it. So the one whose label may
 * lie far off, and with it its information, does not belong here (reduction.c).
 *   slot    of a row, in the order in which they are met
 *   home    slots side by side of rows that several items have in the same places, all but the first three (constant, identity, perhaps
 *           the arm's name as a word); before them one slot that is nobody's, where the third row of the item at hand is put
 * Invariants: I1 between afti_flow_begin and afti_flow_end neither x, N of the columns nor the stride changes; I2 nothing is kept from
 * one decision to the next, so none of this is state; I3 beyond the item's rows four values are 0 and four N 1.
 */
#include <stdlib.h>

#include "learner/flow.h"

enum { FOLD, BY, MOVED, INFORMATION, FIELDS, SLOTS_FIRST = 64, LEAD = 2 };

void
afti_batch_deinit(struct afti_batch *b)
{
    free(b->places);
    free(b->rows);
    free(b->v);
    free(b->unit);
    *b = (struct afti_batch){0};
}

void
afti_flow_begin(struct afti_table *t)
{
    struct afti_batch *b = &t->grid.batch;
    AFT_ASSERT(!b->open);
    b->open = true;
    b->n = b->item_n = b->home_n = 0;
    b->item = t->grid.items - 1;
    b->stride = t->weights.bilinear.stride;
    b->members = t->weights.bilinear.members;
    if (++b->now == 0) {
        memset(b->places, 0, b->places_cap * sizeof *b->places);
        b->now = 1;
    }
}

/* A field of a member, by slot. */
static inline float *
field(const struct afti_batch *b, uint32_t member, int f)
{
    return b->v + ((size_t)member * FIELDS + (size_t)f) * (b->cap + 4);
}

static void
more_slots(struct afti_batch *b)
{
    struct afti_batch old = *b;
    b->cap = b->cap ? 2 * b->cap : SLOTS_FIRST;
    b->v = calloc((size_t)b->members * FIELDS * (b->cap + 4), sizeof *b->v);
    b->rows = realloc(b->rows, b->cap * sizeof *b->rows);
    AFT_ASSERT(b->v && b->rows);
    for (uint32_t m = 0; m < b->members && old.n; m++)
        for (int f = 0; f < FIELDS; f++)
            memcpy(field(b, m, f), field(&old, m, f), old.n * sizeof *b->v);
    free(old.v);
}

static uint32_t
slot_of(struct afti_batch *b, uint32_t row)
{
    if (row >= b->places_cap) {
        uint32_t cap = 2 * row + 64;
        b->places = realloc(b->places, cap * sizeof *b->places);
        AFT_ASSERT(b->places);
        memset(b->places + b->places_cap, 0, (cap - b->places_cap) * sizeof *b->places);
        b->places_cap = cap;
    }
    struct afti_batch_place *p = &b->places[row];
    if (p->stamp == b->now)
        return p->slot;
    if (b->n == b->cap)
        more_slots(b);
    for (uint32_t m = 0; m < b->members; m++) {
        field(b, m, FOLD)[b->n] = field(b, m, MOVED)[b->n] = field(b, m, INFORMATION)[b->n] = 0;
        field(b, m, BY)[b->n] = -1;
    }
    b->rows[b->n] = row;
    *p = (struct afti_batch_place){.stamp = b->now, .slot = b->n};
    return b->n++;
}

/* sum c x^2 / N^2 over the rows of the item at hand. Of those after the first two, c is 1. */
static float
used_of(struct afti_table *t)
{
    const struct afti_grid *g = &t->grid;
    float first = g->x[0] / g->norm[0], sum = 0, spread = afti_flow_spread(t);
    uint32_t i = 0;
    aft_floats rest = {0}, a, n;
    first *= first;
    for (; i < g->n && i < LEAD; i++) {
        float c = afti_flow_c(g, i), ratio = g->value[i] / g->scale[i];
        sum += (c * spread + (afti_flow_own(g, i) - c) * first) * (ratio * ratio);
    }
    for (; i < g->n; i += 4) {
        memcpy(&a, g->value + i, sizeof a);
        memcpy(&n, g->scale + i, sizeof n);
        a /= n;
        rest += a * a;
    }
    return sum + spread * ((rest[0] + rest[2]) + (rest[1] + rest[3]));
}

/* The rows from `from` on of the item at hand. */
static bool
same_rows(const struct afti_grid *g, const uint32_t *at, uint32_t from)
{
    return memcmp(at + from, g->at + from, (g->n - from) * sizeof *at) == 0;
}

static void
unit_room(struct afti_batch *b)
{
    size_t want = (size_t)b->n * b->members * b->stride;
    if (want <= b->unit_cap)
        return;
    b->unit_cap = 2 * want;
    b->unit = realloc(b->unit, b->unit_cap * sizeof *b->unit);
    AFT_ASSERT(b->unit);
}

/* A row moves to the next slot; the old one is nobody's. */
static uint32_t
move_slot(struct afti_batch *b, uint32_t old)
{
    uint32_t to = b->n++, row = b->rows[old];
    size_t size = (size_t)b->members * b->stride;
    for (uint32_t m = 0; m < b->members; m++)
        for (int f = 0; f < FIELDS; f++)
            field(b, m, f)[to] = field(b, m, f)[old];
    memcpy(b->unit + to * size, b->unit + old * size, size * sizeof *b->unit);
    b->rows[to] = row;
    b->rows[old] = AFT_NOWHERE;
    b->places[row].slot = to;
    return to;
}

/* The item's rows after the first three get slots side by side, after one that is nobody's. */
static void
make_home(struct afti_batch *b, uint32_t n)
{
    while (b->n + n > b->cap)
        more_slots(b);
    b->rows[b->n] = AFT_NOWHERE;
    b->home = b->n++;
    b->n += n - LEAD; /* room for their steps */
    unit_room(b);
    b->n -= n - LEAD;
    for (uint32_t i = LEAD + 1; i < n; i++)
        b->slot[i] = move_slot(b, b->slot[i]);
    b->home_n = n;
    memcpy(b->home_at, b->at, n * sizeof *b->at);
    memcpy(b->home_slot, b->slot, n * sizeof *b->slot);
}

/* The slots of the item at hand, once for all members. */
static void
resolve(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    struct afti_batch *b = &g->batch;
    uint32_t n = g->n;
    AFT_INVARIANT(I1, b->stride == t->weights.bilinear.stride);
    b->at_home = n > LEAD + 1 && b->home_n == n && same_rows(g, b->home_at, LEAD + 1);
    for (uint32_t i = 0; i < (b->at_home ? LEAD + 1 : n); i++)
        b->slot[i] = slot_of(b, g->at[i]);
    if (b->at_home) {
        memcpy(b->slot + LEAD + 1, b->home_slot + LEAD + 1, (n - LEAD - 1) * sizeof *b->slot);
    } else {
        bool again = n > LEAD + 1 && b->item_n == n && same_rows(g, b->at, LEAD + 1);
        memcpy(b->at, g->at, n * sizeof *b->at);
        b->item_n = n;
        b->at_home = again;
        if (again)
            make_home(b, n);
    }
    for (uint32_t i = n; i < n + 4; i++) { /* I3 */
        g->value[i] = 0;
        g->scale[i] = 1;
    }
    unit_room(b);
    b->used = used_of(t);
    b->item = g->items;
}

struct unit { /* what the steps of one row are made of */
    const float *x, *norm, *g;
    float *step;
    uint32_t stride;
    float scale, information, c, own;
};

/* Steps s x of a value of 1; returns B. */
AFT_WIDE static float
unit_steps(const struct unit *of)
{
    const struct unit u = *of;
    aft_wide_floats b = {0}, x, m, g, s;
    for (size_t j = 0; j < u.stride; j += 8) {
        memcpy(&x, u.x + j, sizeof x);
        memcpy(&m, u.norm + j, sizeof m);
        memcpy(&g, u.g + j, sizeof g);
        m *= u.scale;
        g += u.information * (x * x);
        afti_roots(&g);
        s = u.c / (m * (m + g));
        b += x * x * s;
        s *= x;
        memcpy(u.step + j, &s, sizeof s);
    }
    float sum = aft_lanes_sum(&b), w = u.x[0], l = u.norm[0] * u.scale;
    if (u.own == u.c)
        return sum;
    float rate = u.own / (l * (l + sqrtf(u.g[0] + u.information * (w * w))));
    sum += w * (rate * w - u.step[0]);
    u.step[0] = rate * w;
    return sum;
}

static float
steps_of(const struct afti_table *t, uint32_t member, uint32_t i, float information)
{
    const struct afti_grid *g = &t->grid;
    const struct afti_batch *b = &g->batch;
    struct unit u = {.x = g->x,
                     .norm = g->norm,
                     .g = g->plane[0] + ((size_t)g->at[i] * b->members + member) * b->stride,
                     .step = b->unit + ((size_t)b->slot[i] * b->members + member) * b->stride,
                     .stride = b->stride,
                     .scale = g->scale[i],
                     .information = information,
                     .c = afti_flow_c(g, i),
                     .own = afti_flow_own(g, i)};
    return unit_steps(&u);
}

static float
fold_of(const struct afti_table *t, uint32_t member, uint32_t row)
{
    const struct aft_bilinear *w = &t->weights.bilinear;
    size_t i = (size_t)row * w->members + member;
    const struct afti_fold *fold = &t->grid.fold[i];
    return fold->stamp == t->grid.now ? fold->value
                                      : aft_dot8(w->w + i * w->stride, t->grid.x, w->stride);
}

typedef int signs __attribute__((vector_size(16)));

/* ---- an item. v: the fields of its rows: the first two, then the others in lanes, at home or copied. */
struct item {
    uint32_t n, lead, rest; /* rest: a multiple of four */
    const float *value;
    float *v[FIELDS];                        /* of the rest */
    float *at[FIELDS];                       /* of all, by slot */
    float copy[FIELDS][AFTI_ITEM_ROWS + 4];  /* where they are not at home */
    uint32_t fresh[AFTI_ITEM_ROWS], fresh_n; /* rows that have no steps yet, and want some */
};

/* Where the others are not at home. */
static void
copy_item(const struct afti_batch *b, struct item *v)
{
    for (int f = 0; f < FIELDS; f++) {
        v->v[f] = v->copy[f];
        for (uint32_t i = v->lead; i < v->n; i++)
            v->copy[f][i - v->lead] = v->at[f][b->slot[i]];
        for (uint32_t i = v->n - v->lead; i < v->rest; i++)
            v->copy[f][i] = 0;
    }
}

/* Whether some of the rest but the first want steps. */
static bool
fresh(const struct item *v)
{
    aft_floats a, x;
    signs any = {0}, now;
    for (uint32_t j = 0; j < v->rest; j += 4) {
        memcpy(&a, v->value + v->lead + j, sizeof a);
        memcpy(&x, v->v[BY] + j, sizeof x);
        now = (x < 0) & (a != 0);
        if (j == 0)
            now[0] = 0;
        any |= now;
    }
    return any[0] | any[1] | any[2] | any[3];
}

static void
take_item(const struct afti_grid *g, uint32_t member, struct item *v)
{
    const struct afti_batch *b = &g->batch;
    v->n = g->n;
    v->lead = g->n < LEAD ? g->n : LEAD;
    v->rest = (v->n - v->lead + 3) / 4 * 4;
    v->value = g->value;
    v->fresh_n = 0;
    for (int f = 0; f < FIELDS; f++) {
        v->at[f] = field(b, member, f);
        v->v[f] = v->at[f] + b->home;
    }
    if (!b->at_home)
        copy_item(b, v);
    for (int f = 0; b->at_home && f < FIELDS; f++)
        v->v[f][0] = v->at[f][b->slot[LEAD]];
    for (uint32_t i = 0; i < v->n && i <= v->lead; i++)
        if (v->at[BY][b->slot[i]] < 0 && v->value[i] != 0)
            v->fresh[v->fresh_n++] = i;
    for (uint32_t i = v->lead + 1, n = fresh(v) ? v->n : 0; i < n; i++)
        if (v->v[BY][i - v->lead] < 0 && v->value[i] != 0)
            v->fresh[v->fresh_n++] = i;
}

/* Of row i. */
static inline float *
its(const struct afti_batch *b, struct item *v, int f, uint32_t i)
{
    return i < v->lead ? &v->at[f][b->slot[i]] : &v->v[f][i - v->lead];
}

static void
put_item(const struct afti_batch *b, const struct item *v)
{
    uint32_t end = b->at_home ? v->lead + 1 : v->n;
    for (int f = 0; f < FIELDS; f++)
        for (uint32_t i = v->lead; i < end; i++)
            v->at[f][b->slot[i]] = v->v[f][i - v->lead];
}

/* sum by[] f[]; square: of value^2. */
static inline __attribute__((always_inline)) float
sum_of(const struct afti_batch *b, const struct item *v, int f, bool square)
{
    aft_floats sum = {0}, a, x;
    float lead = 0;
    for (uint32_t i = 0; i < v->lead; i++) {
        float k = square ? v->value[i] * v->value[i] : v->value[i];
        lead += k * v->at[f][b->slot[i]];
    }
    for (uint32_t j = 0; j < v->rest; j += 4) {
        memcpy(&a, v->value + v->lead + j, sizeof a);
        memcpy(&x, v->v[f] + j, sizeof x);
        sum += (square ? a * a : a) * x;
    }
    return lead + ((sum[0] + sum[2]) + (sum[1] + sum[3]));
}

static inline void
inform(const struct afti_batch *b, struct item *v, float phi)
{
    aft_floats a, x;
    for (uint32_t i = 0; i < v->lead; i++)
        v->at[INFORMATION][b->slot[i]] += phi * (v->value[i] * v->value[i]);
    for (uint32_t j = 0; j < v->rest; j += 4) {
        memcpy(&a, v->value + v->lead + j, sizeof a);
        memcpy(&x, v->v[INFORMATION] + j, sizeof x);
        x += phi * (a * a);
        memcpy(v->v[INFORMATION] + j, &x, sizeof x);
    }
}

static inline void
move(const struct afti_batch *b, struct item *v, float u)
{
    aft_floats a, x, y, z;
    for (uint32_t i = 0; i < v->lead; i++) {
        float step = u * v->value[i];
        v->at[MOVED][b->slot[i]] += step;
        v->at[FOLD][b->slot[i]] += step * v->at[BY][b->slot[i]];
    }
    for (uint32_t j = 0; j < v->rest; j += 4) {
        memcpy(&a, v->value + v->lead + j, sizeof a);
        memcpy(&x, v->v[MOVED] + j, sizeof x);
        memcpy(&y, v->v[FOLD] + j, sizeof y);
        memcpy(&z, v->v[BY] + j, sizeof z);
        a *= u;
        x += a;
        y += a * z;
        memcpy(v->v[MOVED] + j, &x, sizeof x);
        memcpy(v->v[FOLD] + j, &y, sizeof y);
    }
}

void
afti_batch_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    struct afti_batch *b = &t->grid.batch;
    struct item v;
    if (b->item != t->grid.items)
        resolve(t);
    take_item(&t->grid, m->index, &v);
    for (uint32_t k = 0; k < v.fresh_n; k++)
        *its(b, &v, FOLD, v.fresh[k]) = fold_of(t, m->index, t->grid.at[v.fresh[k]]);
    double from = (double)sum_of(b, &v, FOLD, false);
    inform(b, &v, (float)(weight * afti_flow_information(t, from, label)));
    for (uint32_t k = 0; k < v.fresh_n; k++) {
        uint32_t i = v.fresh[k];
        *its(b, &v, BY, i) = steps_of(t, m->index, i, *its(b, &v, INFORMATION, i));
    }
    float q = sum_of(b, &v, BY, true);
    m->t += 1;
    m->q += (double)b->used;
    if (q > 0)
        move(b, &v, (float)((afti_flow_to(t, m, from, label, weight, q) - from) / (double)q));
    put_item(b, &v);
}

/* ---- the end. Of a member's rows that have steps: w += moved s x, G += information x^2. */
struct settled {
    float *w, *g; /* from row 0 on */
    const float *x, *step, *by, *moved, *information;
    struct afti_fold *fold;
    const uint32_t *rows;
    uint32_t n, members, stride;
};

static inline __attribute__((always_inline)) void
settle_rows(const struct settled *of, size_t stride)
{
    const struct settled v = *of;
    size_t row = v.members * stride;
    aft_wide_floats w, g, x, s;
    for (uint32_t k = 0; k < v.n; k++) {
        if (v.rows[k] == AFT_NOWHERE || v.by[k] < 0)
            continue;
        float *ws = v.w + v.rows[k] * row, *gs = v.g + v.rows[k] * row;
        const float *steps = v.step + k * row;
        float moved = v.moved[k], information = v.information[k];
        for (size_t j = 0; j < stride; j += 8) {
            memcpy(&w, ws + j, sizeof w);
            memcpy(&g, gs + j, sizeof g);
            memcpy(&x, v.x + j, sizeof x);
            memcpy(&s, steps + j, sizeof s);
            w += moved * s;
            g += information * (x * x);
            memcpy(ws + j, &w, sizeof w);
            memcpy(gs + j, &g, sizeof g);
        }
        v.fold[(size_t)v.rows[k] * v.members].stamp = 0;
    }
}

AFT_WIDE static void
settle(const struct settled *v)
{
    if (v->stride == 24) /* a usual one */
        settle_rows(v, 24);
    else
        settle_rows(v, v->stride);
}

void
afti_flow_end(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    struct afti_batch *b = &g->batch;
    AFT_ASSERT(b->open);
    for (uint32_t m = 0; m < b->members && b->n; m++) {
        struct settled v = {.w = t->weights.bilinear.w + (size_t)m * b->stride,
                            .g = g->plane[0] + (size_t)m * b->stride,
                            .x = g->x,
                            .step = b->unit + (size_t)m * b->stride,
                            .by = field(b, m, BY),
                            .moved = field(b, m, MOVED),
                            .information = field(b, m, INFORMATION),
                            .fold = g->fold + m,
                            .rows = b->rows,
                            .n = b->n,
                            .members = b->members,
                            .stride = b->stride};
        settle(&v);
    }
    g->epoch++;
    b->open = false;
}
