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
 * Where the last item was at home, all of it known and its scales such that only a larger value can move them, one that is known and
 * of the same shape follows it: nothing but its own two rows and its values is new (I4).
 * Invariants: I1 between afti_flow_begin and afti_flow_end neither x, N of the columns nor the stride changes; I2 nothing is kept from
 * one decision to the next, so none of this is state; I3 beyond the item's rows four values are 0 and four N 1; I4 grid.at[],
 * position[] and scale[] are the follower's too, its two rows put in.
 */
#include <stdlib.h>

#include "learner/flow.h"

enum { SLOTS_FIRST = 64 };

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
    b->quick = false;
    b->item = t->grid.items - 1;
    b->stride = t->weights.bilinear.stride;
    b->members = t->weights.bilinear.members;
    if (++b->now == 0) {
        memset(b->places, 0, b->places_cap * sizeof *b->places);
        b->now = 1;
    }
}

float
afti_batch_fold(const struct afti_batch *b, uint32_t member, uint32_t row)
{
    return afti_batch_cell(b, member, b->places[row].slot)[AFTI_FOLD];
}

static void
more_slots(struct afti_batch *b)
{
    size_t quad = (size_t)b->members * AFTI_QUAD * sizeof *b->v;
    float *old = b->v;
    uint32_t had = b->cap / 4;
    b->cap = b->cap ? 2 * b->cap : SLOTS_FIRST;
    b->v = aligned_alloc(64, b->cap / 4 * quad);
    b->rows = realloc(b->rows, b->cap * sizeof *b->rows);
    AFT_ASSERT(b->v && b->rows);
    memset(b->v, 0, b->cap / 4 * quad);
    if (had)
        memcpy(b->v, old, had * quad);
    free(old);
}

static inline void
empty_slot(struct afti_batch *b, uint32_t slot)
{
    for (uint32_t m = 0; m < b->members; m++) {
        float *c = afti_batch_cell(b, m, slot);
        c[AFTI_FOLD] = c[AFTI_MOVED] = c[AFTI_INFORMATION] = 0;
        c[AFTI_BY] = -1;
    }
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
    empty_slot(b, b->n);
    b->rows[b->n] = row;
    *p = (struct afti_batch_place){.stamp = b->now, .slot = b->n};
    return b->n++;
}

/* sum c x^2 / N^2 over the rows of the item at hand. Of those after the first two, c is 1. */
static float
used_of(struct afti_table *t)
{
    const struct afti_grid *g = &t->grid;
    const float *rest_of = g->batch.rest, *scale = g->scale + AFTI_LEAD;
    float first = g->x[0] / g->norm[0], sum = 0, spread = afti_flow_spread(t);
    aft_floats rest = {0}, a, n;
    first *= first;
    for (uint32_t i = 0; i < g->n && i < AFTI_LEAD; i++) {
        float c = afti_flow_c(g, i), ratio = g->batch.lead[i] / g->scale[i];
        sum += (c * spread + (afti_flow_own(g, i) - c) * first) * (ratio * ratio);
    }
    for (uint32_t i = AFTI_LEAD; i < g->n; i += 4, rest_of += 4, scale += 4) {
        memcpy(&a, rest_of, sizeof a);
        memcpy(&n, scale, sizeof n);
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
        for (int f = 0; f < AFTI_QUAD; f += 4)
            afti_batch_cell(b, m, to)[f] = afti_batch_cell(b, m, old)[f];
    memcpy(b->unit + to * size, b->unit + old * size, size * sizeof *b->unit);
    b->rows[to] = row;
    b->rows[old] = AFT_NOWHERE;
    b->places[row].slot = to;
    return to;
}

/* The item's rows after the first three get slots side by side, after one that is nobody's, from the beginning of a line of memory. */
static void
make_home(struct afti_batch *b, uint32_t n)
{
    uint32_t home = (b->n + 3) / 4 * 4, end = home + (n - AFTI_LEAD + 3) / 4 * 4;
    while (end > b->cap)
        more_slots(b);
    for (uint32_t slot = b->n; slot <= home; slot++)
        b->rows[slot] = AFT_NOWHERE;
    b->n = end; /* room for their steps */
    unit_room(b);
    b->home = home;
    b->n = home + 1;
    for (uint32_t i = AFTI_LEAD + 1; i < n; i++)
        move_slot(b, b->slot[i]);
    for (; b->n < end; b->n++) {
        b->rows[b->n] = AFT_NOWHERE;
        for (uint32_t m = 0; m < b->members; m++)
            for (int f = 0; f < AFTI_QUAD; f += 4)
                afti_batch_cell(b, m, b->n)[f] = 0;
    }
    b->home_n = n;
    memset(b->unsure, true, b->members);
    memcpy(b->home_at, b->at, n * sizeof *b->at);
}

/* What is known of the item at hand, if others can follow it (I4). */
static void
follow(struct afti_table *t)
{
    struct afti_grid *g = &t->grid;
    struct afti_batch *b = &g->batch;
    const struct afti_entry *e = NULL;
    b->quick = b->at_home && t->known && t->known->whole && g->steady && g->ordered >= g->n;
    if (b->quick)
        e = t->known->entry;
    b->quick = e && (!e->apart || e->place == 0);
    b->word = e ? afti_entry_word(e) : 0;
}

bool
afti_batch_follows(struct afti_table *t, const struct aft_candidate *c)
{
    struct afti_grid *g = &t->grid;
    struct afti_batch *b = &g->batch;
    const struct afti_entry *e = b->quick ? afti_catalogue_entry(t, c) : NULL;
    if (!e || afti_entry_word(e) != b->word || e->missing)
        return false;
    const struct afti_entry_terms *k = t->catalogue.terms[c->known];
    if (k->own_n + 1 != g->n ||
        afti_some_other(k->size + AFTI_LEAD, g->scale + AFTI_LEAD + 1, k->own_n - AFTI_LEAD))
        return false;
    for (uint32_t i = 0; i < AFTI_LEAD; i++) {
        float size = k->size[i];
        g->at[i + 1] = k->at[i];
        g->scale[i + 1] = size < 0 ? 1 : afti_scale_see(&g->rows[k->at[i]], size);
        b->slot[i + 1] = slot_of(b, k->at[i]);
    }
    b->lead[1] = k->value[0];
    b->rest = k->value + 1;
    if (b->n * b->members * b->stride > b->unit_cap)
        unit_room(b);
    b->used = used_of(t);
    b->item = ++g->items;
    return true;
}

/* The slots of the item at hand, once for all members. At home those of the first three: the others follow `home`. */
void
afti_batch_resolve(struct afti_table *t)
{
    static const aft_floats none = {0}, one = {1, 1, 1, 1};
    struct afti_grid *g = &t->grid;
    struct afti_batch *b = &g->batch;
    uint32_t n = g->n;
    AFT_INVARIANT(I1, b->stride == t->weights.bilinear.stride);
    b->at_home = n > AFTI_LEAD + 1 && b->home_n == n && same_rows(g, b->home_at, AFTI_LEAD + 1);
    for (uint32_t i = 0; i < (b->at_home ? AFTI_LEAD + 1 : n); i++)
        b->slot[i] = slot_of(b, g->at[i]);
    if (!b->at_home) {
        bool first = b->home_n == 0 && t->known && t->known->whole; /* others will be like it */
        bool again =
            n > AFTI_LEAD + 1 && (first || (b->item_n == n && same_rows(g, b->at, AFTI_LEAD + 1)));
        memcpy(b->at, g->at, n * sizeof *b->at);
        b->item_n = n;
        b->at_home = again;
        if (again)
            make_home(b, n);
    }
    memcpy(g->value + n, &none, sizeof none); /* I3 */
    memcpy(g->scale + n, &one, sizeof one);
    unit_room(b);
    b->lead[0] = g->value[0];
    b->lead[1] = g->value[1];
    b->rest = g->value + AFTI_LEAD;
    b->used = used_of(t);
    b->item = g->items;
    follow(t);
}

/* ---- the end. Of a member's rows that have steps: w += moved s x, G += information x^2. */
struct settled {
    float *w, *g; /* from row 0 on */
    const float *x, *step;
    const struct afti_batch *batch;
    struct afti_fold *fold;
    const uint32_t *rows;
    uint32_t n, member, members, stride;
};

static inline __attribute__((always_inline)) void
settle_rows(const struct settled *of, size_t stride)
{
    const struct settled v = *of;
    size_t row = v.members * stride;
    aft_wide_floats w, g, x, s;
    for (uint32_t k = 0; k < v.n; k++) {
        const float *c = afti_batch_cell(v.batch, v.member, k);
        if (v.rows[k] == AFT_NOWHERE || c[AFTI_BY] < 0)
            continue;
        float *ws = v.w + v.rows[k] * row, *gs = v.g + v.rows[k] * row;
        const float *steps = v.step + k * row;
        float moved = c[AFTI_MOVED], information = c[AFTI_INFORMATION];
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
                            .batch = b,
                            .fold = g->fold + m,
                            .rows = b->rows,
                            .n = b->n,
                            .member = m,
                            .members = b->members,
                            .stride = b->stride};
        settle(&v);
    }
    g->epoch++;
    b->open = b->quick = false;
}
