/* fold.c - a bilinear model's rows times the context at hand: scores of one item and of many candidates, steps. One thread.
 *
 *   fold    a member's row times x, once a decision: fold[], where its stamp says so. Rows of up to NARROW floats are folded four at once
 *   score   the constant's fold + in eight lanes: the identity's row times x + value x fold over the arm's other terms by their
 *           positions among them (one without a row adds nothing). Of many candidates at once, those that are known: the same bits,
 *           since a product of 0 changes no lane that began with 0 + something
 *   move    w += u step
 * Kernels are compiled for the usual widths of a row, so that x stays in registers; lanes and their tree are those of lanes.h, so
 * neither that nor the vector's width changes a bit.
 */
#include "learner/flow.h"

enum { NARROW = 32 };

static inline __attribute__((always_inline)) void
add_product(aft_wide_floats *sum, const float *v, const float *w)
{
    aft_wide_floats a, b;
    memcpy(&a, v, sizeof a);
    memcpy(&b, w, sizeof b);
    *sum += a * b;
}

/* n: a multiple of 8; 0: a model that has no column yet, and no memory for one. */
static inline __attribute__((always_inline)) void
add_products(aft_wide_floats *sum, const float *v, const float *w, size_t n)
{
    if (n == 0)
        return;
    add_product(sum, v, w);
    if (n > 8)
        add_product(sum, v + 8, w + 8);
    if (n > 16)
        add_product(sum, v + 16, w + 16);
    if (n > 24)
        add_product(sum, v + 24, w + 24);
    for (size_t j = 32; j < n; j += 8)
        add_product(sum, v + j, w + j);
}

/* ---- folds */
struct folds { /* of one member */
    const float *w, *x;
    struct afti_fold *fold;
    size_t row, members;
    uint32_t now, stride;
};

static inline struct folds
folds_of(struct afti_table *t, const struct afti_member *m)
{
    const struct aft_bilinear *b = &t->weights.bilinear;
    struct afti_grid *g = &t->grid;
    return (struct folds){.w = b->w + (size_t)m->index * b->stride,
                          .x = g->x,
                          .fold = g->fold + m->index,
                          .row = (size_t)b->members * b->stride,
                          .members = b->members,
                          .now = g->now,
                          .stride = b->stride};
}

static inline __attribute__((always_inline)) float
fold_of(const struct folds *f, uint32_t r, size_t stride)
{
    struct afti_fold *fold = &f->fold[r * f->members];
    if (fold->stamp != f->now) {
        aft_wide_floats sum = {0};
        add_products(&sum, f->w + r * f->row, f->x, stride);
        fold->stamp = f->now;
        fold->value = aft_lanes_sum(&sum);
    }
    return fold->value;
}

/* The end of the tree, for four at once: (0 + 2) + (1 + 3) of each. */
static inline __attribute__((always_inline)) aft_floats
four_sums(const aft_floats *v)
{
    aft_floats a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5) +
                   __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    aft_floats b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5) +
                   __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

/* The folds of four rows, or of n < 4 and zeros; 0 of a row that is not there. */
static inline __attribute__((always_inline)) aft_floats
four_folds(const struct folds *f, const uint32_t *rows, uint32_t n, size_t stride)
{
    aft_floats v[4] = {{0}, {0}, {0}, {0}}, low, high;
    for (uint32_t k = 0; k < 4; k++) {
        aft_wide_floats sum = {0};
        if (k >= n || rows[k] == AFT_NOWHERE)
            continue;
        add_products(&sum, f->w + rows[k] * f->row, f->x, stride);
        memcpy(&low, &sum, sizeof low);
        memcpy(&high, (const uint8_t *)&sum + sizeof low, sizeof high);
        v[k] = low + high;
    }
    return four_sums(v);
}

/* As four_folds, and kept. */
static inline __attribute__((always_inline)) aft_floats
kept_folds(const struct folds *f, const uint32_t *rows, size_t stride)
{
    aft_floats four = four_folds(f, rows, 4, stride);
    for (uint32_t k = 0; k < 4; k++)
        if (rows[k] != AFT_NOWHERE) {
            f->fold[rows[k] * f->members].stamp = f->now;
            f->fold[rows[k] * f->members].value = four[k];
        }
    return four;
}

/* Those of four rows, if they stand already: all of them there. */
static inline __attribute__((always_inline)) bool
standing(const struct folds *f, const uint32_t *rows, float *by)
{
    const struct afti_fold *a, *b, *c, *d;
    if ((rows[0] | rows[1] | rows[2] | rows[3]) == AFT_NOWHERE) /* one of them is not there */
        return false;
    a = &f->fold[rows[0] * f->members];
    b = &f->fold[rows[1] * f->members];
    c = &f->fold[rows[2] * f->members];
    d = &f->fold[rows[3] * f->members];
    by[0] = a->value;
    by[1] = b->value;
    by[2] = c->value;
    by[3] = d->value;
    return ((a->stamp ^ f->now) | (b->stamp ^ f->now) | (c->stamp ^ f->now) |
            (d->stamp ^ f->now)) == 0;
}

/* What one unit at each of a shape's rows is worth now. */
static inline __attribute__((always_inline)) void
fill(const struct folds *of, struct afti_shape *shape, size_t stride)
{
    const struct folds f = *of;
    const uint32_t *rows = shape->rows;
    float *by = shape->by;
    for (uint32_t j = 0, n = shape->n; j < n; j += 4) {
        uint32_t first = rows[j];
        if (standing(&f, rows + j, by + j))
            continue;
        if (stride <= NARROW && first != AFT_NOWHERE && f.fold[first * f.members].stamp != f.now) {
            aft_floats four = kept_folds(&f, rows + j, stride);
            memcpy(by + j, &four, sizeof four);
            continue;
        }
        for (uint32_t k = j; k < j + 4; k++)
            by[k] = rows[k] == AFT_NOWHERE ? 0 : fold_of(&f, rows[k], stride);
    }
}

/* ---- the item at hand */
/* Of a narrow one whose terms have rows, all of them: the other terms four at once. */
static inline __attribute__((always_inline)) double
narrow_score(const struct folds *f, const struct afti_grid *g, size_t stride)
{
    aft_wide_floats lead = {0}, own = {0};
    aft_floats rest[2] = {{0}, {0}}, value, low, high;
    add_products(&lead, f->w + g->at[0] * f->row, f->x, stride);
    add_products(&own, f->w + g->at[1] * f->row, f->x, stride);
    for (uint32_t i = 2; i < g->n; i += 4) {
        aft_floats four = four_folds(f, g->at + i, g->n - i, stride);
        memcpy(&value, g->value + i, sizeof value);
        if ((i - 2) % 8 == 0)
            rest[0] += value * four;
        else
            rest[1] += value * four;
    }
    memcpy(&low, &own, sizeof low);
    memcpy(&high, (const uint8_t *)&own + sizeof low, sizeof high);
    low = (low + rest[0]) + (high + rest[1]);
    return (double)aft_lanes_sum(&lead) + (double)((low[0] + low[2]) + (low[1] + low[3]));
}

static inline __attribute__((always_inline)) double
score_of(const struct folds *f, const struct afti_grid *g, size_t stride)
{
    aft_wide_floats own = {0}, rest;
    float other[8] = {0};
    double lead = 0;
    if (stride <= NARROW && g->n > 1 && g->position[g->n - 1] == g->n - 1)
        return narrow_score(f, g, stride);
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t position = g->position[i];
        if (position > 1)
            other[(position - 2) % 8] += g->value[i] * fold_of(f, g->at[i], stride);
        else if (position == 1)
            add_products(&own, f->w + g->at[i] * f->row, f->x, stride);
        else
            lead = (double)fold_of(f, g->at[i], stride);
    }
    memcpy(&rest, other, sizeof rest);
    own += rest;
    return lead + (double)aft_lanes_sum(&own);
}

AFT_WIDE static double
score(const struct folds *f, const struct afti_grid *g)
{
    double out;
#define SCORE(wide) out = score_of(f, g, wide)
    AFTI_BY_STRIDE(f->stride, SCORE)
#undef SCORE
    return out;
}

double
afti_grid_score(struct afti_table *t, const struct afti_member *m)
{
    struct folds f = folds_of(t, m);
    return score(&f, &t->grid);
}

/* ---- candidates that are known: constant + identity's row times x + values times what their rows are worth. */
struct sums {
    const struct aft_candidate *candidate;
    struct afti_entry *const *entry; /* by number */
    struct afti_shape *shapes;
    struct folds folds;
    uint32_t n, from, end; /* of a block */
    uint32_t cap, rows, member;
    uint64_t epoch;
};

typedef int wide_ints __attribute__((vector_size(32)));

/* rest: 0 + its value times its row's fold, in the lane where its shape is without that row. */
static inline __attribute__((always_inline)) void
row_apart(const struct folds *f, const struct afti_entry *e, const float *x, size_t stride,
          aft_wide_floats *rest)
{
    const wide_ints lane = {0, 1, 2, 3, 4, 5, 6, 7};
    aft_wide_floats sum = {0}, none = {0}, out;
    wide_ints bits;
    add_products(&sum, f->w + e->row * f->row, x, stride);
    out = none + e->value[e->place] * aft_lanes_sum(&sum); /* in all lanes */
    memcpy(&bits, &out, sizeof bits);
    bits &= lane == (int)e->place;
    memcpy(&out, &bits, sizeof out);
    *rest = none + out;
}

/* sum + rest in eight lanes, the last four values beside the low ones of rest (or NULL), then lanes 0-3 plus lanes 4-7. */
static inline __attribute__((always_inline)) aft_floats
four_of(const aft_wide_floats *sum, const aft_wide_floats *rest, const float *v,
        const aft_floats *w)
{
    aft_floats low, high, a, b;
    memcpy(&low, rest, sizeof low);
    memcpy(&high, (const uint8_t *)rest + sizeof low, sizeof high);
    if (v) {
        memcpy(&a, v, sizeof a);
        low += a * *w;
    }
    memcpy(&a, sum, sizeof a);
    memcpy(&b, (const uint8_t *)sum + sizeof a, sizeof b);
    return (a + low) + (b + high);
}

/* sum + (rest + v[] w[]) in eight lanes, n a multiple of four, then lanes 0-3 plus lanes 4-7. */
static inline __attribute__((always_inline)) aft_floats
four_lanes(const aft_wide_floats *sum, const aft_wide_floats *apart, const float *v, const float *w,
           size_t n)
{
    aft_wide_floats rest = *apart;
    aft_floats last = {0};
    size_t j = 0;
    for (; j + 8 <= n; j += 8)
        add_product(&rest, v + j, w + j);
    if (j < n)
        memcpy(&last, w + j, sizeof last);
    return four_of(sum, &rest, j < n ? v + j : NULL, &last);
}

/* Up to NARROW floats in registers: loaded as they are used, not through memory of one's own. */
struct held {
    aft_wide_floats v[NARROW / 8];
};

static inline __attribute__((always_inline)) struct held
hold(const float *p, size_t n)
{
    struct held h;
    if (n >= 8)
        memcpy(&h.v[0], p, sizeof h.v[0]);
    if (n >= 16)
        memcpy(&h.v[1], p + 8, sizeof h.v[1]);
    if (n >= 24)
        memcpy(&h.v[2], p + 16, sizeof h.v[2]);
    if (n >= 32)
        memcpy(&h.v[3], p + 24, sizeof h.v[3]);
    return h;
}

/* As add_products; n: a constant multiple of 8 up to NARROW. */
static inline __attribute__((always_inline)) void
add_held(aft_wide_floats *sum, const struct held *h, const float *w, size_t n)
{
    aft_wide_floats a;
    if (n >= 8) {
        memcpy(&a, w, sizeof a);
        *sum += a * h->v[0];
    }
    if (n >= 16) {
        memcpy(&a, w + 8, sizeof a);
        *sum += a * h->v[1];
    }
    if (n >= 24) {
        memcpy(&a, w + 16, sizeof a);
        *sum += a * h->v[2];
    }
    if (n >= 32) {
        memcpy(&a, w + 24, sizeof a);
        *sum += a * h->v[3];
    }
}

enum { BLOCK = 64, ODD = 8 };
struct
    block { /* of candidates: their four lanes, and which of those that were passed are unlike the others */
    aft_floats lanes[BLOCK];
    uint32_t odd[ODD], odd_n;
};

/* A candidate's entry; NULL: it has none that is at hand. */
static inline __attribute__((always_inline)) const struct afti_entry *
entry_at(const struct sums *s, uint32_t i)
{
    uint32_t known = s->candidate[i].known;
    return known < s->cap ? s->entry[known] : NULL;
}

static inline __attribute__((always_inline)) bool
at_hand(const struct sums *s, const struct afti_entry *e)
{
    return e && e->good && (!e->missing || e->seen == s->rows);
}

/* The four lanes of candidates i to end whose entries are all of one word, none of it missing, with n values each: as one_of, and half
 * its instructions, so that more candidates are on their way at a time. Others that are at hand are passed over. Returns where it
 * stopped. */
static inline __attribute__((always_inline)) uint32_t
alike(const struct sums *all, uint32_t i, const struct afti_entry *first, struct block *out,
      size_t stride, size_t n, bool apart)
{
    const struct sums s = *all;
    const uint32_t word = afti_entry_word(first);
    const float *shared = s.shapes[first->shape].by, *w = s.folds.w;
    const struct held x = hold(s.folds.x, stride), by = hold(shared, n);
    const size_t row = s.folds.row;
    const struct aft_candidate *c = s.candidate + i, *end = s.candidate + s.end;
    aft_floats *to = out->lanes + (i - s.from), last = {0};
    if (n % 8)
        memcpy(&last, shared + n - 4, sizeof last);
    for (; c < end; c++, to++) {
        const struct afti_entry *e = c->known < s.cap ? s.entry[c->known] : NULL;
        aft_wide_floats own = {0}, rest = {0};
        if (__builtin_expect(!e || afti_entry_word(e) != word, 0)) {
            if (!at_hand(&s, e) || out->odd_n == ODD)
                break;
            out->odd[out->odd_n++] = (uint32_t)(c - s.candidate);
            continue;
        }
        add_held(&own, &x, w + e->identity * row, stride);
        if (apart)
            row_apart(&s.folds, e, s.folds.x, stride, &rest);
        add_held(&rest, &by, e->value, n / 8 * 8);
        *to = four_of(&own, &rest, n % 8 ? e->value + n - 4 : NULL, &last);
    }
    return (uint32_t)(c - s.candidate);
}

typedef uint32_t alike_fn(const struct sums *s, uint32_t i, const struct afti_entry *first,
                          struct block *out);
#define ALIKE(stride, n)                                                                     \
    AFT_WIDE static uint32_t alike_##stride##_##n(                                           \
        const struct sums *s, uint32_t i, const struct afti_entry *first, struct block *out) \
    {                                                                                        \
        return first->apart ? alike(s, i, first, out, stride, n, true)                       \
                            : alike(s, i, first, out, stride, n, false);                     \
    }
#define ALIKES(stride) ALIKE(stride, 8) ALIKE(stride, 12) ALIKE(stride, 16)
ALIKES(8)
ALIKES(16)
ALIKES(24)
ALIKES(32)
#undef ALIKES
#undef ALIKE
static alike_fn *const alikes[4][3] = {{alike_8_8, alike_8_12, alike_8_16},
                                       {alike_16_8, alike_16_12, alike_16_16},
                                       {alike_24_8, alike_24_12, alike_24_16},
                                       {alike_32_8, alike_32_12, alike_32_16}};

/* What its shape's rows are worth to the member that asks. */
static inline __attribute__((always_inline)) const struct afti_shape *
worth(const struct sums *s, const struct afti_entry *e, size_t stride)
{
    struct afti_shape *shape = &s->shapes[e->shape];
    if (shape->epoch != s->epoch || shape->member != s->member)
        fill(&s->folds, shape, stride);
    shape->epoch = s->epoch;
    shape->member = s->member;
    return shape;
}

/* Of rows and values in usual numbers, and where the next is alike, too; else none. */
static inline __attribute__((always_inline)) uint32_t
alike_by(const struct sums *s, uint32_t i, const struct afti_entry *first, struct block *out,
         size_t stride)
{
    const struct afti_entry *next = i + 1 < s->end ? entry_at(s, i + 1) : NULL;
    if (stride > NARROW || stride == 0 || first->missing || !next ||
        afti_entry_word(next) != afti_entry_word(first))
        return i;
    uint32_t n = worth(s, first, stride)->n;
    return n >= 8 && n <= 16 ? alikes[stride / 8 - 1][n / 4 - 2](s, i, first, out) : i;
}

/* The four lanes of one candidate. */
static inline __attribute__((always_inline)) aft_floats
one_of(const struct sums *s, uint32_t i, size_t stride)
{
    const struct afti_entry *e = entry_at(s, i);
    const struct afti_shape *shape = worth(s, e, stride);
    aft_wide_floats own = {0}, rest = {0};
    if (!e->missing || e->identity != AFT_NOWHERE)
        add_products(&own, s->folds.w + e->identity * s->folds.row, s->folds.x, stride);
    if (e->apart)
        row_apart(&s->folds, e, s->folds.x, stride, &rest);
    return four_lanes(&own, &rest, e->value, shape->by, shape->n);
}

/* The four lanes of a block's candidates, as far as their entries are at hand; returns where it stopped. */
static inline __attribute__((always_inline)) uint32_t
lanes_of(const struct sums *s, struct block *out, size_t stride)
{
    uint32_t i = s->from;
    for (uint32_t to; i < s->end; i = to) {
        const struct afti_entry *e = entry_at(s, i);
        if (!at_hand(s, e))
            return i;
        out->odd_n = 0;
        to = alike_by(s, i, e, out, stride);
        if (to == i)
            out->odd[out->odd_n++] = to++;
        for (uint32_t k = 0; k < out->odd_n; k++)
            out->lanes[out->odd[k] - s->from] = one_of(s, out->odd[k], stride);
    }
    return i;
}

/* The rest of the tree, of four candidates at once: each by itself, so the bits are those of one. */
static inline __attribute__((always_inline)) void
finish(const aft_floats *lanes, uint32_t n, double constant, double *score)
{
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        aft_floats sum = four_sums(lanes + i);
        aft_wide out = __builtin_convertvector(sum, aft_wide) + constant;
        memcpy(score + i, &out, sizeof out);
    }
    for (; i < n; i++) {
        const aft_floats a = lanes[i];
        score[i] = constant + (double)((a[0] + a[2]) + (a[1] + a[3]));
    }
}

/* Scores from candidate i on, as far as they can be had; returns where it stopped. */
AFT_WIDE static uint32_t
scores(struct sums *s, uint32_t i, double *score)
{
    struct block block;
    double constant = 0;
#define CONSTANT(wide) constant = (double)fold_of(&s->folds, 0, wide)
    if (s->rows)
        AFTI_BY_STRIDE(s->folds.stride, CONSTANT)
#undef CONSTANT
    for (uint32_t end; i < s->n; i = end) {
        s->from = i;
        s->end = s->n - i < BLOCK ? s->n : i + BLOCK;
#define LANES(wide) end = lanes_of(s, &block, wide)
        AFTI_BY_STRIDE(s->folds.stride, LANES)
#undef LANES
        finish(block.lanes, end - i, constant, score + i);
        if (end < s->end)
            return end;
    }
    return i;
}

/* The rows that will be wanted, from a table that is not near. */
static void
fetch_rows(const struct sums *s)
{
    for (uint32_t i = 0; s->rows > AFTI_NEAR && i < s->n; i++) {
        uint32_t known = s->candidate[i].known;
        const struct afti_entry *e = known < s->cap ? s->entry[known] : NULL;
        if (!e || e->identity == AFT_NOWHERE)
            continue;
        const float *w = s->folds.w + e->identity * s->folds.row;
        for (uint32_t j = 0; j < s->folds.stride && j < 64; j += 16)
            __builtin_prefetch(w + j);
    }
}

void
afti_grid_candidates(struct afti_table *t, const struct afti_member *m,
                     const struct aft_candidate *c, uint32_t n, double *score, bool *scored)
{
    const struct afti_catalogue *k = &t->catalogue;
    struct sums s = {.candidate = c,
                     .folds = folds_of(t, m),
                     .n = n,
                     .rows = t->weights.bilinear.rows.n,
                     .epoch = t->grid.epoch,
                     .member = m->index};
    for (uint32_t i = 0, helped = n; i < n; helped = i) {
        s.entry = k->v; /* a new entry may have moved them */
        s.cap = k->live && !t->terms.crosses ? k->cap : 0;
        s.shapes = k->shapes;
        if (i == 0)
            fetch_rows(&s);
        uint32_t end = scores(&s, i, score);
        memset(scored + i, true, end - i);
        i = end;
        if (i < n && (i == helped || !afti_catalogue_entry(t, &c[i])))
            scored[i++] = false;
    }
}

/* ---- steps */
static inline __attribute__((always_inline)) void
add_step(float *w, const float *step, float u, size_t stride)
{
    for (size_t j = 0; j < stride; j += 8) {
        aft_wide_floats a, b;
        memcpy(&a, w + j, sizeof a);
        memcpy(&b, step + j, sizeof b);
        a += u * b;
        memcpy(w + j, &a, sizeof a);
    }
}

struct move { /* of the rows at hand, of one member */
    float *w;
    const float *step;
    const uint32_t *at;
    struct afti_fold *fold;
    size_t row, members, stride;
    uint32_t n;
};

AFT_WIDE static void
move(const struct move *all, float u)
{
    const struct move v = *all;
#define MOVE(wide)                                                       \
    for (uint32_t i = 0; i < v.n; i++) {                                 \
        add_step(v.w + v.at[i] * v.row, v.step + i * v.stride, u, wide); \
        v.fold[v.at[i] * v.members].stamp = 0;                           \
    }
    AFTI_BY_STRIDE(v.stride, MOVE)
#undef MOVE
}

void
afti_grid_move(struct afti_table *t, const struct afti_member *m, float u)
{
    struct afti_grid *g = &t->grid;
    const struct aft_bilinear *b = &t->weights.bilinear;
    struct move v = {.w = b->w + (size_t)m->index * b->stride,
                     .step = g->step,
                     .at = g->at,
                     .fold = g->fold + m->index,
                     .row = (size_t)b->members * b->stride,
                     .members = b->members,
                     .stride = b->stride,
                     .n = g->n};
    move(&v, u);
    g->epoch++;
}
