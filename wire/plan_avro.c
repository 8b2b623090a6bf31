/* plan_avro.c - (writer's schema, reader's schema) -> a program (plan_avro.h), by Avro's rules of schema resolution:
 * promotions, fields by name or the reader's aliases, the reader's defaults, enums by symbol, unions on either side.
 * What matches what is match_avro.c.
 * Bounds: I1 at most AFTI_CODES_MAX codes.
 * I2 records go inline, AFTI_INLINE_MAX of them at most and none inside itself; the others are subroutines, one a pair of
 * records, so that compiling ends, whatever the schema.
 * Compiling allocates. Any thread. */
#include "wire/plan_avro.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/schema_avro.h"

struct pair {
    const struct afti_node *w, *r;
    uint32_t slot; /* in the table */
};

struct compiler {
    struct aft_plan *p;
    struct aft_error *e;
    struct pair *sub; /* subroutines, in order of their need */
    uint32_t sub_n, sub_cap;
    struct pair open[AFT_DEPTH_MAX]; /* records that are being written inline */
    uint32_t open_n, inlined;        /* inlined: how many records were written inline so far */
    bool changed, full;
    char path[160]; /* where in the reader's schema we are, for messages */
};

static enum aft_err resolve(struct compiler *c, const struct afti_node *w,
                            const struct afti_node *r);

/* ---- growing */
static void *
grown(void *v, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? 2 * *cap : 32;
    v = realloc(v, *cap * size);
    AFT_ASSERT(v != NULL);
    return v;
}

static uint32_t
code(struct compiler *c, enum afti_op op, uint32_t a, uint32_t b)
{
    struct aft_plan *p = c->p;
    if (p->code_n == AFTI_CODES_MAX) {
        c->full = true;
        return p->code_n - 1;
    }
    p->code = grown(p->code, p->code_n, &p->code_cap, sizeof *p->code);
    p->code[p->code_n] = (struct afti_code){op, a, b};
    return p->code_n++;
}

static uint32_t
cells(struct compiler *c, uint32_t n)
{
    struct aft_plan *p = c->p;
    uint32_t first = p->table_n;
    for (uint32_t i = 0; i < n; i++) {
        p->table = grown(p->table, p->table_n, &p->table_cap, sizeof *p->table);
        p->table[p->table_n++] = 0;
    }
    return first;
}

static uint32_t
here(const struct compiler *c)
{
    return c->p->code_n;
}

static enum aft_err
fail(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    return AFT_FAIL(
        c->e, AFT_E_SCHEMA,
        "%s: the writer's %s%s%.60s cannot be read as the reader's %s%s%.60s; change the "
        "writer's schema, or give the reader an alias or a default",
        c->path, afti_kind_name(w->kind), w->name ? " " : "", w->name ? w->name : "",
        afti_kind_name(r->kind), r->name ? " " : "", r->name ? r->name : "");
}

static enum aft_err
too_long(struct compiler *c)
{
    return AFT_FAIL(
        c->e, AFT_E_SCHEMA,
        "%s: reading it needs more than %d steps or %d table cells; simplify the schema", c->path,
        AFTI_CODES_MAX, AFTI_CELLS_MAX);
}

/* ---- constants */
static uint32_t
constant(struct compiler *c, struct aft_bytes b)
{
    uint32_t at = (uint32_t)c->p->constants.n;
    aft_put_raw(&c->p->constants, b);
    return at;
}

static void
emit_long(struct compiler *c, uint32_t v)
{
    uint32_t at = (uint32_t)c->p->constants.n;
    aft_put_long(&c->p->constants, v);
    code(c, AFTI_OP_EMIT, at, (uint32_t)c->p->constants.n - at);
    c->changed = true;
}

static enum aft_err
emit_default(struct compiler *c, const struct afti_node *record, const struct afti_field *f)
{
    uint32_t at = (uint32_t)c->p->constants.n;
    if (!f->otherwise)
        return AFT_FAIL(c->e, AFT_E_SCHEMA,
                        "%s.%s: the writer has no such field and the reader no default; the "
                        "producer must write it",
                        record->last, f->name);
    if (!afti_put_default(f->type, f->otherwise, &c->p->constants) ||
        c->p->constants.n > 4 * AFT_RECORD_BYTES_MAX)
        return AFT_FAIL(c->e, AFT_E_SCHEMA,
                        "%s.%s: the reader's default does not fit its type; correct the schema",
                        record->last, f->name);
    if (c->p->constants.n > at)
        code(c, AFTI_OP_EMIT, at, (uint32_t)c->p->constants.n - at);
    c->changed = true;
    return AFT_OK;
}

/* ---- unions */
static void
fail_code(struct compiler *c, const struct afti_node *w)
{
    char text[400];
    snprintf(text, sizeof text, "%s: the writer's branch %s %.80s has no place in the reader",
             c->path, afti_kind_name(w->kind), w->name ? w->name : "");
    code(c, AFTI_OP_FAIL, constant(c, (struct aft_bytes){(uint8_t *)text, strlen(text) + 1}), 0);
}

/* One branch of a writer's union: row[0] what becomes of the index, then its code. */
static enum aft_err
resolve_branch(struct compiler *c, const struct afti_node *w, const struct afti_node *r,
               uint32_t branch, uint32_t *becomes)
{
    const struct afti_node *of = w->child[branch];
    *becomes = AFTI_DROP;
    if (r->kind != AFTI_UNION) {
        c->changed = true;
        if (afti_same_type(of, r, false) || afti_promotes(of->kind, r->kind))
            return resolve(c, of, r);
        fail_code(c, of);
        return AFT_OK;
    }
    uint32_t to = w == r ? branch : afti_pick(of, r);
    if (to == AFTI_NONE) {
        c->changed = true;
        fail_code(c, of);
        return AFT_OK;
    }
    *becomes = to == branch ? (uint32_t)AFTI_SAME : AFTI_TO + to;
    c->changed = c->changed || to != branch;
    return resolve(c, of, r->child[to]);
}

static bool
any_branch_fits(const struct afti_node *w, const struct afti_node *r)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (r->kind == AFTI_UNION ? afti_pick(w->child[i], r) != AFTI_NONE
                                  : afti_same_type(w->child[i], r, false) ||
                                        afti_promotes(w->child[i]->kind, r->kind))
            return true;
    return false;
}

static enum aft_err
resolve_union(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    if (!any_branch_fits(w, r))
        return fail(c, w, r);
    uint32_t rows = cells(c, 2 * w->n), ends = cells(c, w->n);
    code(c, AFTI_OP_UNION, rows, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t becomes, pc = here(c);
        AFT_TRY(resolve_branch(c, w, r, i, &becomes));
        c->p->table[rows + 2 * i] = becomes;
        c->p->table[rows + 2 * i + 1] = pc;
        c->p->table[ends + i] = code(c, AFTI_OP_JUMP, 0, 0);
    }
    for (uint32_t i = 0; i < w->n; i++)
        c->p->code[c->p->table[ends + i]].a = here(c);
    return AFT_OK;
}

/* ---- simple types */
static enum aft_err
resolve_number(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    static const enum afti_op same[] = {
        [AFTI_BOOLEAN] = AFTI_OP_BOOL, [AFTI_INT] = AFTI_OP_INT,    [AFTI_LONG] = AFTI_OP_LONG,
        [AFTI_FLOAT] = AFTI_OP_RAW,    [AFTI_DOUBLE] = AFTI_OP_RAW, [AFTI_BYTES] = AFTI_OP_BYTES,
        [AFTI_STRING] = AFTI_OP_BYTES,
    };
    bool to_float = r->kind == AFTI_FLOAT, to_double = r->kind == AFTI_DOUBLE;
    if (w->kind == r->kind ||
        !(to_float || to_double)) { /* int, long and string, bytes look alike */
        if (w->kind != AFTI_NULL)
            code(c, same[w->kind], w->kind == AFTI_FLOAT ? 4 : 8, 0);
        return AFT_OK;
    }
    c->changed = true;
    if (w->kind == AFTI_FLOAT)
        code(c, AFTI_OP_FLOAT_DOUBLE, 0, 0);
    else if (w->kind == AFTI_INT)
        code(c, to_float ? AFTI_OP_INT_FLOAT : AFTI_OP_INT_DOUBLE, 0, 0);
    else
        code(c, to_float ? AFTI_OP_LONG_FLOAT : AFTI_OP_LONG_DOUBLE, 0, 0);
    return AFT_OK;
}

static enum aft_err
resolve_enum(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    uint32_t otherwise = afti_symbol(r, r->otherwise);
    bool alike = w->n <= r->n;
    for (uint32_t i = 0; alike && i < w->n; i++)
        alike = strcmp(w->symbols[i], r->symbols[i]) == 0;
    if (alike) {
        code(c, AFTI_OP_ENUM, w->n, 0);
        return AFT_OK;
    }
    uint32_t map = cells(c, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t to = afti_symbol(r, w->symbols[i]);
        c->p->table[map + i] = to == AFTI_NONE ? otherwise : to;
    }
    code(c, AFTI_OP_ENUM_MAP, map, w->n);
    c->changed = true;
    return AFT_OK;
}

static enum aft_err
resolve_list(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    uint32_t list = code(c, AFTI_OP_LIST, 0, 0);
    if (w->kind == AFTI_MAP)
        code(c, AFTI_OP_BYTES, 0, 0);
    AFT_TRY(resolve(c, w->child[0], r->child[0]));
    code(c, AFTI_OP_NEXT, list + 1, 0);
    c->p->code[list].a = here(c);
    return AFT_OK;
}

/* ---- records */
static enum aft_err
resolve_field(struct compiler *c, const struct afti_node *w, const struct afti_field *f)
{
    size_t n = strlen(c->path);
    snprintf(c->path + n, sizeof c->path - n, ".%s", f->name);
    enum aft_err err = resolve(c, w, f->type);
    c->path[n] = 0;
    return err;
}

static enum aft_err
skip_fields(struct compiler *c, const struct afti_node *w, uint32_t from, uint32_t to)
{
    if (from >= to)
        return AFT_OK;
    uint32_t skip = code(c, AFTI_OP_SKIP, 0, 0);
    for (uint32_t i = from; i < to; i++)
        AFT_TRY(resolve(c, w->fields[i].type, w->fields[i].type));
    if (here(c) == skip + 1) {
        c->p->code_n = skip; /* fields without bytes */
        return AFT_OK;
    }
    code(c, AFTI_OP_KEEP, 0, 0);
    c->changed = true;
    return AFT_OK;
}

static enum aft_err
fields_in_order(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t from = afti_field_of(w, &r->fields[i]);
        if (from == AFTI_NONE) {
            AFT_TRY(emit_default(c, r, &r->fields[i]));
            continue;
        }
        AFT_TRY(skip_fields(c, w, next, from));
        AFT_TRY(resolve_field(c, w->fields[from].type, &r->fields[i]));
        next = from + 1;
    }
    return skip_fields(c, w, next, w->n);
}

static enum aft_err
fields_moved(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    if (w->n > AFTI_REORDER_FIELDS_MAX)
        return AFT_FAIL(c->e, AFT_E_SCHEMA,
                        "%s: a record of %u fields in another order than the reader's; put them in "
                        "the same order",
                        c->path, w->n);
    uint32_t t = cells(c, 3 + 2 * w->n + 2 * r->n);
    c->changed = true;
    code(c, AFTI_OP_REORDER, t, 0);
    c->p->table[t + 1] = w->n;
    c->p->table[t + 2] = r->n;
    for (uint32_t i = 0; i < w->n; i++) {
        c->p->table[t + 3 + 2 * i] = here(c);
        AFT_TRY(resolve(c, w->fields[i].type, w->fields[i].type));
        code(c, AFTI_OP_END, 0, 0);
    }
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t row = t + 3 + 2 * w->n + 2 * i, from = afti_field_of(w, &r->fields[i]);
        c->p->table[row] = from;
        c->p->table[row + 1] = here(c);
        if (from == AFTI_NONE) {
            AFT_TRY(emit_default(c, r, &r->fields[i]));
        } else {
            c->p->table[t + 4 + 2 * from] = 1;
            AFT_TRY(resolve_field(c, w->fields[from].type, &r->fields[i]));
        }
        code(c, AFTI_OP_END, 0, 0);
    }
    c->p->table[t] = here(c);
    return AFT_OK;
}

static enum aft_err
fields(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t from = afti_field_of(w, &r->fields[i]);
        if (from == AFTI_NONE)
            continue;
        if (from < next)
            return fields_moved(c, w, r);
        next = from + 1;
    }
    return fields_in_order(c, w, r);
}

/* The table's cell of the subroutine for a pair of records. */
static uint32_t
subroutine(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    for (uint32_t i = 0; i < c->sub_n; i++)
        if (c->sub[i].w == w && c->sub[i].r == r)
            return c->sub[i].slot;
    c->sub = grown(c->sub, c->sub_n, &c->sub_cap, sizeof *c->sub);
    c->sub[c->sub_n] = (struct pair){w, r, cells(c, 1)};
    return c->sub[c->sub_n++].slot;
}

static enum aft_err
resolve_record(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    bool inside = false;
    for (uint32_t i = 0; i < c->open_n; i++)
        inside = inside || (c->open[i].w == w && c->open[i].r == r);
    if (inside || c->open_n == AFT_DEPTH_MAX || c->inlined == AFTI_INLINE_MAX) {
        code(c, AFTI_OP_CALL, subroutine(c, w, r), 0);
        return AFT_OK;
    }
    c->inlined++; /* not the codes: records without bytes have none */
    c->open[c->open_n++] = (struct pair){w, r, 0};
    AFT_TRY(fields(c, w, r));
    c->open_n--;
    return AFT_OK;
}

static enum aft_err
resolve(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    if (c->full || c->p->table_n > AFTI_CELLS_MAX)
        return too_long(c);
    if (w->kind == AFTI_UNION)
        return resolve_union(c, w, r);
    if (r->kind == AFTI_UNION) {
        uint32_t to = afti_pick(w, r);
        if (to == AFTI_NONE)
            return fail(c, w, r);
        emit_long(c, to);
        return resolve(c, w, r->child[to]);
    }
    if (!afti_same_type(w, r, false) && !afti_promotes(w->kind, r->kind))
        return fail(c, w, r);
    switch (w->kind) {
    case AFTI_ARRAY:
    case AFTI_MAP:
        return resolve_list(c, w, r);
    case AFTI_ENUM:
        return resolve_enum(c, w, r);
    case AFTI_RECORD:
        return resolve_record(c, w, r);
    case AFTI_FIXED:
        if (w->size != r->size)
            return fail(c, w, r);
        if (w->size)
            code(c, AFTI_OP_RAW, (uint32_t)w->size, 0);
        return AFT_OK;
    default:
        return resolve_number(c, w, r);
    }
}

/* Jumps that lead to jumps, to a list's NEXT or to an END go there at once; so do branches without bytes. */
static void
thread_jumps(struct aft_plan *p)
{
    for (uint32_t i = p->code_n; i-- > 0;) {
        struct afti_code *k = &p->code[i];
        while (k->op == AFTI_OP_JUMP && p->code[k->a].op == AFTI_OP_JUMP)
            k->a = p->code[k->a].a;
        if (k->op != AFTI_OP_JUMP)
            continue;
        enum afti_op to = p->code[k->a].op;
        if (to == AFTI_OP_NEXT || to == AFTI_OP_END)
            *k = p->code[k->a];
    }
    for (uint32_t i = 0; i < p->code_n; i++)
        for (uint32_t b = 0; p->code[i].op == AFTI_OP_UNION && b < p->code[i].b; b++) {
            uint32_t *pc = &p->table[p->code[i].a + 2 * b + 1];
            if (p->code[*pc].op == AFTI_OP_JUMP)
                *pc = p->code[*pc].a;
        }
}

static enum aft_err
compile(struct compiler *c, const struct afti_node *w, const struct afti_node *r)
{
    snprintf(c->path, sizeof c->path, "%.100s", r->last ? r->last : "value");
    AFT_TRY(resolve(c, w, r));
    code(c, AFTI_OP_END, 0, 0);
    for (uint32_t i = 0; i < c->sub_n && !c->full; i++) {
        struct pair s = c->sub[i];
        c->p->table[s.slot] = here(c);
        c->open[0] = s;
        c->open_n = 1;
        snprintf(c->path, sizeof c->path, "%.100s", s.r->last);
        AFT_TRY(fields(c, s.w, s.r));
        code(c, AFTI_OP_END, 0, 0);
    }
    if (c->full)
        return too_long(c);
    thread_jumps(c->p);
    return AFT_OK;
}

enum aft_err
aft_plan_compile(const struct aft_schema *writer, const struct aft_schema *reader,
                 struct aft_plan **out, struct aft_error *e)
{
    struct compiler c = {.p = calloc(1, sizeof *c.p), .e = e};
    AFT_ASSERT(c.p != NULL);
    enum aft_err err = compile(&c, writer->root, reader->root);
    free(c.sub);
    c.p->identity = !c.changed;
    if (err) {
        aft_plan_free(c.p);
        return err;
    }
    *out = c.p;
    return AFT_OK;
}

void
aft_plan_free(struct aft_plan *p)
{
    if (!p)
        return;
    free(p->code);
    free(p->table);
    aft_buffer_deinit(&p->constants);
    free(p);
}

bool
aft_plan_identity(const struct aft_plan *p)
{
    return p->identity;
}
