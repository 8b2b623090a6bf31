/* catalogue.c - candidates that are known (base/event.h): what they are to a bilinear model, made once and kept. One thread.
 *
 *   (revision, known) -> entry: the arm's own terms, the row of each; its values in the order of a shape
 *   shape             -> a sequence of rows that many arms have; a decision's folds of them, side by side
 * A bilinear model's own terms depend on the arm alone (its crosses with the context are in its columns), so an entry holds as long
 * as the revision. Rows never move; one that was missing is looked for again when the dictionary has grown. What an entry gives is
 * what terms made anew would give, term by term and in their order: the same bits.
 * One that no memory is left for is none, and its candidate is read each time.
 */
#include <stdlib.h>

#include "learner/inner.h"

enum { BYTES_MAX = 64 << 20, SHAPES_FIRST = 64 };

void
afti_catalogue_deinit(struct afti_catalogue *c)
{
    aft_arena_deinit(&c->arena);
    free(c->v);
    free(c->shapes);
    *c = (struct afti_catalogue){0};
}

void
afti_catalogue_begin(struct afti_catalogue *c, uint64_t revision)
{
    c->live = revision != 0;
    if (!c->live || revision == c->revision)
        return;
    if (!c->revision)
        aft_arena_init(&c->arena, BYTES_MAX);
    aft_arena_reset(&c->arena);
    if (c->cap)
        memset(c->v, 0, c->cap * sizeof *c->v);
    if (c->shapes_cap)
        memset(c->shapes, 0, c->shapes_cap * sizeof *c->shapes);
    c->shapes_n = 0;
    c->revision = revision;
}

/* ---- shapes */
/* The place of a shape with these rows, or a free one. */
static struct afti_shape **
shape_at(const struct afti_catalogue *c, const uint32_t *rows, uint32_t n, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (c->shapes_cap - 1);
    for (;; at = (at + 1) & (c->shapes_cap - 1)) {
        const struct afti_shape *s = c->shapes[at];
        if (!s || (s->hash == hash && s->n == n && memcmp(s->rows, rows, n * sizeof *rows) == 0))
            return &c->shapes[at];
    }
}

static void
more_shapes(struct afti_catalogue *c)
{
    struct afti_shape **old = c->shapes;
    uint32_t had = c->shapes_cap;
    c->shapes_cap = had ? 2 * had : SHAPES_FIRST;
    c->shapes = calloc(c->shapes_cap, sizeof *c->shapes);
    AFT_ASSERT(c->shapes);
    for (uint32_t i = 0; i < had; i++)
        if (old[i])
            *shape_at(c, old[i]->rows, old[i]->n, old[i]->hash) = old[i];
    free(old);
}

/* NULL: no memory for it. */
static struct afti_shape *
shape_of(struct afti_catalogue *c, const uint32_t *rows, uint32_t n)
{
    uint64_t hash = aft_hash64((struct aft_bytes){(const uint8_t *)rows, n * sizeof *rows}, 0);
    if (2 * c->shapes_n >= c->shapes_cap)
        more_shapes(c);
    struct afti_shape **place = shape_at(c, rows, n, hash);
    if (*place)
        return *place;
    struct afti_shape *s = aft_arena_take(&c->arena, sizeof *s);
    uint32_t *own = aft_arena_take(&c->arena, (n + 1) * sizeof *own);
    double *by = aft_arena_take(&c->arena, (n + 1) * sizeof *by);
    if (!s || !own || !by)
        return NULL;
    memcpy(own, rows, n * sizeof *own);
    *s = (struct afti_shape){.hash = hash, .n = n, .rows = own, .by = by};
    c->shapes_n++;
    return *place = s;
}

/* ---- entries */
/* The rows that are there now, and the values that go with them. */
static void
resolve(struct afti_table *t, struct afti_entry *e)
{
    const struct aft_dict *rows = &t->weights.bilinear.rows;
    const struct aft_term *own = e->terms->own;
    uint32_t there[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX], *at = e->terms->at, n = 0;
    e->seen = rows->n;
    e->missing = false;
    for (uint32_t i = 0; i < e->own_n; i++) {
        if (at[i] == AFT_NOWHERE)
            at[i] = aft_dict_find(rows, own[i].hash);
        e->missing = e->missing || at[i] == AFT_NOWHERE;
        if (i == 0 || at[i] == AFT_NOWHERE)
            continue;
        e->value[n] = (float)own[i].value;
        there[n++] = at[i];
    }
    e->identity = at[0];
    e->shape = shape_of(&t->catalogue, there, n);
    e->good = e->shape != NULL;
}

/* An entry with room for n terms, at the beginning of a line of memory. NULL: no memory. */
static struct afti_entry *
entry_of(struct aft_arena *a, uint32_t n)
{
    uint8_t *p = aft_arena_take(a, sizeof(struct afti_entry) + n * sizeof(float) + 64);
    if (!p)
        return NULL;
    struct afti_entry *e = (void *)(p + (64 - (uintptr_t)p % 64));
    *e = (struct afti_entry){.own_n = (uint16_t)n};
    e->terms = aft_arena_take(a, sizeof *e->terms);
    if (!e->terms)
        return NULL;
    e->terms->own = aft_arena_take(a, n * sizeof *e->terms->own);
    e->terms->at = aft_arena_take(a, n * sizeof *e->terms->at);
    return e->terms->own && e->terms->at ? e : NULL;
}

/* The terms are made the long way, then kept. What cannot be learned has an entry that says so. */
static struct afti_entry *
make(struct afti_table *t, const struct aft_candidate *c)
{
    struct afti_terms *s = &t->terms;
    bool good = afti_take_arm(t, c->arm_id, c->features, 0);
    struct afti_entry *e = entry_of(&t->catalogue.arena, good ? s->own_n : 1);
    if (!e || !good)
        return e;
    memcpy(e->terms->own, s->own, s->own_n * sizeof *s->own);
    for (uint32_t i = 0; i < e->own_n; i++)
        e->terms->at[i] = AFT_NOWHERE;
    resolve(t, e);
    return e;
}

static void
room(struct afti_catalogue *c, uint32_t known)
{
    uint32_t cap = c->cap ? c->cap : 256;
    while (cap <= known)
        cap *= 2;
    c->v = realloc(c->v, cap * sizeof *c->v);
    AFT_ASSERT(c->v);
    memset(c->v + c->cap, 0, (cap - c->cap) * sizeof *c->v);
    c->cap = cap;
}

struct afti_entry *
afti_catalogue_make(struct afti_table *t, const struct aft_candidate *c)
{
    struct afti_catalogue *k = &t->catalogue;
    if (c->known > AFT_KNOWN_MAX)
        return NULL;
    if (c->known >= k->cap)
        room(k, c->known);
    struct afti_entry *e = k->v[c->known];
    if (!e)
        e = k->v[c->known] = make(t, c);
    else if (e->good)
        resolve(t, e);
    return e && e->good ? e : NULL;
}
