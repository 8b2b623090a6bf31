/* catalogue.c - candidates that are known (base/event.h): what they are to a bilinear model, made once and kept. One thread.
 *
 *   (revision, known) -> entry: the arm's own terms, the row of each; its values in the order of a shape
 *   shape             -> a sequence of rows that many arms have; a decision's folds of them, side by side
 *   apart             -> the one row, among the first eight, that an arm does not share (its name as a word): beside the shape of the
 *                        others, if other arms have that
 * A bilinear model's own terms depend on the arm alone (its crosses with the context are in its columns), so an entry holds as long
 * as the revision. Rows never move; one that was missing is looked for again when the dictionary has grown. What an entry gives is
 * what terms made anew would give, term by term and in their order: the same bits.
 * One that no memory is left for is none, and its candidate is read each time.
 */
#include <math.h>
#include <stdlib.h>

#include "learner/inner.h"

enum { BYTES_MAX = 64 << 20, SHAPES_FIRST = 64, PARTED = 64, PLACES = 8 };
enum { TERMS_NEAR = 256 }; /* bytes of an entry's terms with ten of them, but for `own` */

void
afti_catalogue_deinit(struct afti_catalogue *c)
{
    aft_arena_deinit(&c->arena);
    free(c->v);
    free(c->terms);
    free(c->shapes);
    free(c->table);
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
    if (c->table_n)
        memset(c->table, 0, c->table_n * sizeof *c->table);
    c->shapes_n = c->parted = 0;
    c->revision = revision;
}

void
afti_catalogue_ahead(const struct afti_catalogue *c, const struct aft_candidate *v, uint32_t n)
{
    if (!c->live || c->cap < AFTI_NEAR)
        return;
    for (uint32_t i = 0; i < n; i++)
        __builtin_prefetch(v[i].arm_id.p);
    for (uint32_t i = 0; i < n; i++)
        if (v[i].known < c->cap)
            __builtin_prefetch(c->v[v[i].known]);
}

void
afti_catalogue_shown(const struct afti_table *t, const struct aft_candidate *c)
{
    const struct afti_catalogue *k = &t->catalogue;
    const struct aft_bilinear *b = &t->weights.bilinear;
    const struct afti_entry *e = k->live && c->known < k->cap ? k->v[c->known] : NULL;
    if (!e)
        return;
    const uint8_t *terms = (const uint8_t *)k->terms[c->known];
    for (uint32_t i = 0; i < TERMS_NEAR; i += 64)
        __builtin_prefetch(terms + i);
    if (e->identity == AFT_NOWHERE || !t->grid.plane[0])
        return;
    const float *g = t->grid.plane[0] + e->identity * (size_t)b->members * b->stride;
    __builtin_prefetch(g, 1);
    __builtin_prefetch(g + 16, 1);
}

/* ---- shapes */
/* The place of a shape with these rows, or a free one. */
static uint32_t *
shape_at(const struct afti_catalogue *c, const uint32_t *rows, uint32_t n, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (c->table_n - 1);
    for (;; at = (at + 1) & (c->table_n - 1)) {
        const struct afti_shape *s = c->table[at] ? &c->shapes[c->table[at] - 1] : NULL;
        if (!s || (s->hash == hash && s->n == n && memcmp(s->rows, rows, n * sizeof *rows) == 0))
            return &c->table[at];
    }
}

static void
more_shapes(struct afti_catalogue *c)
{
    c->shapes_cap = c->shapes_cap ? 2 * c->shapes_cap : SHAPES_FIRST;
    c->table_n = 2 * c->shapes_cap;
    free(c->table);
    c->shapes = realloc(c->shapes, c->shapes_cap * sizeof *c->shapes);
    c->table = calloc(c->table_n, sizeof *c->table);
    AFT_ASSERT(c->shapes && c->table);
    for (uint32_t i = 0; i < c->shapes_n; i++) {
        const struct afti_shape *s = &c->shapes[i];
        *shape_at(c, s->rows, s->n, s->hash) = i + 1;
    }
}

static uint64_t
hash_of(const uint32_t *rows, uint32_t n)
{
    return aft_hash64((struct aft_bytes){(const uint8_t *)rows, n * sizeof *rows}, 0);
}

/* The number of the shape with these rows, or AFT_NOWHERE. */
static uint32_t
shape_there(const struct afti_catalogue *c, const uint32_t *rows, uint32_t n)
{
    uint32_t at = c->table_n ? *shape_at(c, rows, n, hash_of(rows, n)) : 0;
    return at ? at - 1 : AFT_NOWHERE;
}

/* As shape_there, made if there is none; AFT_NOWHERE: no memory for it. */
static uint32_t
shape_of(struct afti_catalogue *c, const uint32_t *rows, uint32_t n)
{
    uint64_t hash = hash_of(rows, n);
    if (c->shapes_n == c->shapes_cap)
        more_shapes(c);
    uint32_t *place = shape_at(c, rows, n, hash);
    if (!*place) {
        uint32_t *own = aft_arena_take(&c->arena, (n + 1) * sizeof *own);
        float *by = aft_arena_take(&c->arena, (n + 1) * sizeof *by);
        if (!own || !by)
            return AFT_NOWHERE;
        memcpy(own, rows, n * sizeof *own);
        c->shapes[c->shapes_n] = (struct afti_shape){.hash = hash, .n = n, .rows = own, .by = by};
        *place = ++c->shapes_n;
    }
    return *place - 1;
}

/* The shapes of n rows but one: the first that is there (make: all of them are from now on), and which row is not in it. */
static uint32_t
shape_but_one(struct afti_catalogue *c, uint32_t *rows, uint32_t n, bool make, uint32_t *place)
{
    uint32_t found = AFT_NOWHERE;
    for (uint32_t i = 0; i < n && i < PLACES && found == AFT_NOWHERE; i++) {
        uint32_t row = rows[i];
        if (row == AFT_NOWHERE)
            continue;
        *place = i;
        rows[i] = AFT_NOWHERE;
        if (make)
            shape_of(c, rows, n);
        else
            found = shape_there(c, rows, n);
        rows[i] = row;
    }
    return found;
}

/* ---- entries */
/* Values come in fours. */
static uint32_t
lanes(uint32_t n)
{
    return (n + 3) / 4 * 4;
}

/* Its shape, whole or but for a row. Of the first shapes the others that they could be parted into are made as well. */
static void
shape(struct afti_catalogue *c, struct afti_entry *e, uint32_t *rows, uint32_t n)
{
    uint32_t number = shape_there(c, rows, n), place = 0;
    e->apart = false;
    if (number == AFT_NOWHERE) {
        number = shape_but_one(c, rows, n, false, &place);
        e->apart = number != AFT_NOWHERE;
        e->place = place & (PLACES - 1);
        e->row = e->apart ? rows[place] : AFT_NOWHERE;
    }
    if (number == AFT_NOWHERE) {
        number = shape_of(c, rows, n);
        if (c->parted++ < PARTED)
            shape_but_one(c, rows, n, true, &place);
    }
    e->good = number != AFT_NOWHERE;
    e->shape = number & 0x3ffffffu;
}

/* The rows that are there now, and the values that go with them. */
static void
resolve(struct afti_table *t, struct afti_entry *e, struct afti_entry_terms *terms)
{
    const struct aft_dict *rows = &t->weights.bilinear.rows;
    uint32_t there[AFTI_ITEM_ROWS + 4], *at = terms->at, n = lanes(terms->own_n - 1);
    e->seen = rows->n;
    e->missing = false;
    for (uint32_t i = 0; i < terms->own_n; i++) {
        if (at[i] == AFT_NOWHERE)
            at[i] = aft_dict_find(rows, terms->own[i].hash);
        e->missing = e->missing || at[i] == AFT_NOWHERE;
    }
    for (uint32_t i = 0; i < n; i++) {
        bool has = i + 1 < terms->own_n && at[i + 1] != AFT_NOWHERE;
        there[i] = has ? at[i + 1] : AFT_NOWHERE;
        e->value[i] = has ? (float)terms->own[i + 1].value : 0;
    }
    terms->whole = !e->missing;
    e->identity = at[0];
    shape(&t->catalogue, e, there, n);
}

/* An entry with room for n terms, at the beginning of a line of memory. False: no memory. */
static bool
entry_of(struct aft_arena *a, uint32_t n, struct afti_entry **out, struct afti_entry_terms **terms)
{
    uint8_t *p = aft_arena_take(a, sizeof(struct afti_entry) + lanes(n) * sizeof(float) + 64);
    *terms = aft_arena_take(a, sizeof **terms);
    if (!p || !*terms)
        return false;
    (*terms)->at = aft_arena_take(a, n * sizeof *(*terms)->at);
    (*terms)->value = aft_arena_take(a, (n + 4) * sizeof *(*terms)->value);
    (*terms)->size = aft_arena_take(a, (n + 4) * sizeof *(*terms)->size); /* both read in fours */
    (*terms)->own = aft_arena_take(a, n * sizeof *(*terms)->own);
    (*terms)->whole = false;
    *out = (void *)(p + (64 - (uintptr_t)p % 64));
    **out = (struct afti_entry){.identity = AFT_NOWHERE};
    (*terms)->own_n = n;
    return (*terms)->own && (*terms)->at && (*terms)->value && (*terms)->size;
}

/* The terms are made the long way, then kept. What cannot be learned has an entry that says so. */
static struct afti_entry *
make(struct afti_table *t, const struct aft_candidate *c)
{
    struct afti_terms *s = &t->terms;
    struct afti_entry *e;
    struct afti_entry_terms *terms;
    bool good = afti_take_arm(t, c->arm_id, c->features, 0);
    if (!entry_of(&t->catalogue.arena, good ? s->own_n : 1, &e, &terms))
        return NULL;
    t->catalogue.v[c->known] = e;
    t->catalogue.terms[c->known] = terms;
    if (!good)
        return e;
    memcpy(terms->own, s->own, s->own_n * sizeof *s->own);
    memset(terms->size + terms->own_n, 0, 4 * sizeof *terms->size);
    memset(terms->value + terms->own_n, 0, 4 * sizeof *terms->value);
    terms->entry = e;
    for (uint32_t i = 0; i < terms->own_n; i++) {
        terms->at[i] = AFT_NOWHERE;
        terms->value[i] = (float)s->own[i].value;
        terms->size[i] = s->own[i].number ? (float)fabs(s->own[i].value) : -1;
    }
    resolve(t, e, terms);
    return e;
}

static void
room(struct afti_catalogue *c, uint32_t known)
{
    uint32_t cap = c->cap ? c->cap : 256;
    while (cap <= known)
        cap *= 2;
    c->v = realloc(c->v, cap * sizeof *c->v);
    c->terms = realloc(c->terms, cap * sizeof *c->terms);
    AFT_ASSERT(c->v && c->terms);
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
        e = make(t, c);
    else if (e->good)
        resolve(t, e, k->terms[c->known]);
    return e && e->good ? e : NULL;
}
