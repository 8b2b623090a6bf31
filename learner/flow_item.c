/* flow_item.c - one item of many of a decision (flow_batch.c has its slots): scored, informed, moved, by one member. One thread.
 *
 * Two rows stand by themselves, the others in fours. At home those lie where they are kept, but for the first of them, which is put there
 * for as long as the item is at hand; else they are copied there and back. Kernels are compiled for the usual width of a row and
 * the usual number of rows as well; lanes and their trees are those of lanes.h, so neither changes a bit.
 */
#include "learner/flow.h"

enum { LEAD = AFTI_LEAD, FOLD = AFTI_FOLD, BY = AFTI_BY, MOVED = AFTI_MOVED };
enum { INFORMATION = AFTI_INFORMATION, QUAD = AFTI_QUAD, WIDE = 24, MANY = 3 }; /* usual ones */

struct item {
    const float *values;      /* of the others */
    float *lead[LEAD], *word; /* word: where the first of the others is kept, at home */
    aft_floats *quad; /* fold, by, moved, information of four rows; `step` to the next four */
    size_t step;
    uint32_t leads, quads;
    uint32_t fresh[AFTI_ITEM_ROWS], fresh_n; /* rows that have no steps yet, and want some */
    aft_floats copy[AFTI_ITEM_ROWS + 4];
};

#define INLINED static inline __attribute__((always_inline))
/* A body for each four rows, for each eight columns: one after the other where there are as many as usual. */
#define EACH_QUAD(body)                      \
    if (quads == MANY) {                     \
        body(0);                             \
        body(1);                             \
        body(2);                             \
    } else {                                 \
        for (uint32_t k = 0; k < quads; k++) \
            body(k);                         \
    }
#define EACH_EIGHT(body)                       \
    if (stride == WIDE) {                      \
        body(0);                               \
        body(8);                               \
        body(16);                              \
    } else {                                   \
        for (size_t j = 0; j < stride; j += 8) \
            body(j);                           \
    }

struct unit { /* what the steps of one row are made of */
    const float *x, *norm, *g;
    float *step;
    float scale, information, c, own;
};

/* Of eight columns. */
INLINED void
eight_steps(const struct unit *u, size_t j, aft_wide_floats *b)
{
    aft_wide_floats x, m, g, s;
    memcpy(&x, u->x + j, sizeof x);
    memcpy(&m, u->norm + j, sizeof m);
    memcpy(&g, u->g + j, sizeof g);
    m *= u->scale;
    g += u->information * (x * x);
    afti_roots(&g);
    s = u->c / (m * (m + g));
    *b += x * x * s;
    s *= x;
    memcpy(u->step + j, &s, sizeof s);
}

/* Steps s x of a value of 1; returns B. */
INLINED float
unit_steps(const struct unit *u, size_t stride)
{
    aft_wide_floats b = {0};
#define STEPS(j) eight_steps(u, j, &b)
    EACH_EIGHT(STEPS)
#undef STEPS
    float sum = aft_lanes_sum(&b), w = u->x[0], l = u->norm[0] * u->scale;
    if (u->own == u->c)
        return sum;
    float rate = u->own / (l * (l + sqrtf(u->g[0] + u->information * (w * w))));
    sum += w * (rate * w - u->step[0]);
    u->step[0] = rate * w;
    return sum;
}

INLINED float
steps_of(const struct afti_table *t, uint32_t member, uint32_t i, float information, size_t stride)
{
    const struct afti_grid *g = &t->grid;
    const struct afti_batch *b = &g->batch;
    uint32_t slot = b->at_home && i > LEAD ? b->home + i - LEAD : b->slot[i];
    struct unit u = {.x = g->x,
                     .norm = g->norm,
                     .g = g->plane[0] + ((size_t)g->at[i] * b->members + member) * stride,
                     .step = b->unit + ((size_t)slot * b->members + member) * stride,
                     .scale = g->scale[i],
                     .information = information,
                     .c = afti_flow_c(g, i),
                     .own = afti_flow_own(g, i)};
    return unit_steps(&u, stride);
}

INLINED void
add_product(aft_wide_floats *sum, const float *v, const float *w)
{
    aft_wide_floats a, b;
    memcpy(&a, v, sizeof a);
    memcpy(&b, w, sizeof b);
    *sum += a * b;
}

/* Lanes as in aft_dot8. */
INLINED float
fold_of(const struct afti_table *t, uint32_t member, uint32_t row, size_t stride)
{
    const struct aft_bilinear *w = &t->weights.bilinear;
    size_t i = (size_t)row * w->members + member;
    const struct afti_fold *fold = &t->grid.fold[i];
    const float *v = w->w + i * stride, *x = t->grid.x;
    aft_wide_floats sum = {0};
    if (fold->stamp == t->grid.now)
        return fold->value;
#define ADD(j) add_product(&sum, v + (j), x + (j))
    EACH_EIGHT(ADD)
#undef ADD
    return aft_lanes_sum(&sum);
}

/* A field of row i of the others, counted from LEAD on. */
INLINED float *
other(const struct item *v, int f, uint32_t i)
{
    return (float *)(v->quad + (i - LEAD) / 4 * v->step) + f + (i - LEAD) % 4;
}

INLINED float *
its(const struct item *v, int f, uint32_t i)
{
    return i < LEAD ? v->lead[i] + f : v->word && i == LEAD ? v->word + f : other(v, f, i);
}

/* A row that has no steps gets its fold. */
INLINED void
look(const struct afti_table *t, uint32_t member, struct item *v, uint32_t i, float *c, float value,
     size_t stride)
{
    if (c[BY] < 0 && value != 0) {
        v->fresh[v->fresh_n++] = i;
        c[FOLD] = fold_of(t, member, t->grid.at[i], stride);
    }
}

/* Where the others are not at home. */
static void
copy_item(const struct afti_table *t, uint32_t member, struct item *v)
{
    const struct afti_batch *b = &t->grid.batch;
    v->quad = v->copy;
    v->step = QUAD / 4;
    for (uint32_t k = 0; k < v->quads * v->step; k++)
        v->copy[k] = (aft_floats){0};
    for (uint32_t i = LEAD; i < t->grid.n; i++) {
        float *c = afti_batch_cell(b, member, b->slot[i]);
        look(t, member, v, i, c, v->values[i - LEAD], b->stride);
        for (int f = 0; f < QUAD; f += 4)
            *other(v, f, i) = c[f];
    }
}

/* Where rows at home may have no steps yet: those that want some. Whose value is 0 go on without. */
static void
look_home(struct afti_table *t, uint32_t member, struct item *v)
{
    bool *unsure = &t->grid.batch.unsure[member];
    *unsure = false;
    for (uint32_t i = LEAD + 1; i < t->grid.n; i++) {
        look(t, member, v, i, other(v, FOLD, i), v->values[i - LEAD], t->grid.batch.stride);
        *unsure = *unsure || (*other(v, BY, i) < 0 && v->values[i - LEAD] == 0);
    }
}

INLINED void
take_item(struct afti_table *t, uint32_t member, struct item *v, size_t stride)
{
    const struct afti_batch *b = &t->grid.batch;
    uint32_t n = t->grid.n;
    v->leads = n < LEAD ? n : LEAD;
    v->quads = (n - v->leads + 3) / 4;
    v->values = b->rest;
    v->fresh_n = 0;
    v->word = NULL;
    v->lead[0] = afti_batch_cell(b, member, b->slot[0]);
    v->lead[1] = afti_batch_cell(b, member, b->slot[n > 1]); /* of one row that is not looked at */
    for (uint32_t i = 0; i < v->leads; i++)
        look(t, member, v, i, v->lead[i], b->lead[i], stride);
    if (!b->at_home) {
        copy_item(t, member, v);
        return;
    }
    v->quad = (aft_floats *)afti_batch_cell(b, member, b->home);
    v->step = (size_t)b->members * QUAD / 4;
    v->word = afti_batch_cell(b, member, b->slot[LEAD]);
    look(t, member, v, LEAD, v->word, v->values[0], stride);
    if (b->unsure[member])
        look_home(t, member, v);
}

/* The others back from where they were copied to. */
static void
put_item(const struct afti_batch *b, uint32_t member, const struct item *v, uint32_t n)
{
    for (uint32_t i = LEAD; i < n; i++)
        for (int f = 0; f < QUAD; f += 4)
            afti_batch_cell(b, member, b->slot[i])[f] = *other(v, f, i);
}

/* The four of quad k, with the word in its place. */
INLINED aft_floats
four_of(const struct item *v, int f, uint32_t k, bool home)
{
    aft_floats four = v->quad[k * v->step + (size_t)f / 4];
    if (k == 0 && home)
        four[0] = v->word[f];
    return four;
}

INLINED void
put_four(const struct item *v, int f, uint32_t k, bool home, aft_floats four)
{
    v->quad[k * v->step + (size_t)f / 4] = four;
    if (k == 0 && home)
        v->word[f] = four[0];
}

INLINED aft_floats
values_of(const struct item *v, uint32_t k)
{
    aft_floats a;
    memcpy(&a, v->values + (size_t)4 * k, sizeof a);
    return a;
}

INLINED void
add_four(const struct item *v, int f, bool square, uint32_t k, bool home, aft_floats *sum)
{
    aft_floats a = values_of(v, k);
    *sum += (square ? a * a : a) * four_of(v, f, k, home);
}

/* sum by[] f[]; square: of value^2. */
INLINED float
sum_of(const float *own, const struct item *v, int f, bool square, uint32_t quads, bool home)
{
    aft_floats sum = {0};
    float lead = 0;
    uint32_t leads = home ? LEAD : v->leads;
    for (uint32_t i = 0; i < leads; i++)
        lead += (square ? own[i] * own[i] : own[i]) * v->lead[i][f];
#define SUM(k) add_four(v, f, square, k, home, &sum)
    EACH_QUAD(SUM)
#undef SUM
    return lead + ((sum[0] + sum[2]) + (sum[1] + sum[3]));
}

INLINED void
inform_four(const struct item *v, float phi, uint32_t k, bool home)
{
    aft_floats a = values_of(v, k);
    put_four(v, INFORMATION, k, home, four_of(v, INFORMATION, k, home) + phi * (a * a));
}

INLINED void
inform(const float *own, const struct item *v, float phi, uint32_t quads, bool home)
{
    uint32_t leads = home ? LEAD : v->leads;
    for (uint32_t i = 0; i < leads; i++)
        v->lead[i][INFORMATION] += phi * (own[i] * own[i]);
#define INFORM(k) inform_four(v, phi, k, home)
    EACH_QUAD(INFORM)
#undef INFORM
}

INLINED void
move_four(const struct item *v, float u, uint32_t k, bool home)
{
    aft_floats a = values_of(v, k) * u;
    put_four(v, MOVED, k, home, four_of(v, MOVED, k, home) + a);
    put_four(v, FOLD, k, home, four_of(v, FOLD, k, home) + a * four_of(v, BY, k, home));
}

INLINED void
move(const float *own, const struct item *v, float u, uint32_t quads, bool home)
{
    uint32_t leads = home ? LEAD : v->leads;
    for (uint32_t i = 0; i < leads; i++) {
        float step = u * own[i], *c = v->lead[i];
        c[MOVED] += step;
        c[FOLD] += step * c[BY];
    }
#define MOVE(k) move_four(v, u, k, home)
    EACH_QUAD(MOVE)
#undef MOVE
}

struct lesson {
    struct afti_table *table;
    struct afti_member *member;
    double weight, label;
};

INLINED void
learn_by(const struct lesson *of, struct item *v, uint32_t quads, size_t stride, bool home)
{
    struct afti_table *t = of->table;
    struct afti_member *m = of->member;
    const float *own = t->grid.batch.lead;
    double weight = of->weight, label = of->label;
    double from = (double)sum_of(own, v, FOLD, false, quads, home);
    inform(own, v, (float)(weight * afti_flow_information(t, from, label)), quads, home);
    for (uint32_t k = 0; k < v->fresh_n; k++) {
        uint32_t i = v->fresh[k];
        *its(v, BY, i) = steps_of(t, m->index, i, *its(v, INFORMATION, i), stride);
    }
    float q = sum_of(own, v, BY, true, quads, home);
    m->t += 1;
    m->q += (double)t->grid.batch.used;
    if (!(q > 0))
        return;
    double by = afti_flow_to(t, m, from, label, weight, q) - from;
    move(own, v, (float)(by / (double)q), quads, home);
}

AFT_WIDE static void
learn(const struct lesson *of)
{
    struct item v;
    struct afti_table *t = of->table;
    uint32_t stride = t->grid.batch.stride, member = of->member->index;
    if (stride == WIDE)
        take_item(t, member, &v, WIDE);
    else
        take_item(t, member, &v, stride);
    if (v.word && v.quads == MANY && stride == WIDE)
        learn_by(of, &v, MANY, WIDE, true);
    else if (v.word)
        learn_by(of, &v, v.quads, stride, true);
    else
        learn_by(of, &v, v.quads, stride, false);
    if (!v.word)
        put_item(&t->grid.batch, member, &v, t->grid.n);
}

void
afti_batch_learn(struct afti_table *t, struct afti_member *m, double weight, double label)
{
    const struct lesson of = {t, m, weight, label};
    if (t->grid.batch.item != t->grid.items)
        afti_batch_resolve(t);
    learn(&of);
}
