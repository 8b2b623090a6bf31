/* plan_run_avro.c - runs a plan's program (plan_avro.h): body under the writer's schema -> canonical body.
 * In: bytes that nobody has checked. Out: bytes under the reader's schema, lists in one block with a positive count.
 *
 * Bounds: I1 p never passes end. I2 output of a run never passes AFT_RECORD_BYTES_MAX. I3 lists, calls and reordered records
 * nest at most AFT_DEPTH_MAX deep. I4 items and calls of a run never pass the body's bytes + ITEMS_SPARE, so that items without
 * bytes cost bounded time.
 * Any thread; the plan is only read. No allocation but the output's growth.
 */
#include "wire/plan_avro.h"

enum { ITEMS_SPARE = 65536 };

struct list {
    uint32_t body, next; /* pc of an item; pc behind the list */
    int64_t left;        /* items of this block that are still to come */
    uint64_t total;
    uint32_t blocks;
    size_t head, head_n; /* where the first count stands in the output, and its length */
};

struct run {
    const struct aft_plan *plan;
    struct aft_reader r;
    const uint8_t *mark, *start;
    struct aft_buffer *out;
    size_t out_start;
    uint64_t items;
    unsigned depth, quiet;
    struct aft_error *e;
    struct list list[AFT_DEPTH_MAX];
};

static enum aft_err __attribute__((cold, noinline)) malformed(struct run *x, const char *what)
{
    return AFT_FAIL(
        x->e, AFT_E_MALFORMED,
        "byte %zu of %zu: %s does not follow the writer's schema; check that the producer "
        "writes with the schema its frame names",
        (size_t)(x->r.p - x->start), (size_t)(x->r.end - x->start), what);
}

static enum aft_err __attribute__((cold, noinline)) over(struct run *x, const char *what)
{
    return AFT_FAIL(x->e, AFT_E_LIMIT, "byte %zu of %zu: %s; send smaller records",
                    (size_t)(x->r.p - x->start), (size_t)(x->r.end - x->start), what);
}

/* ---- output */
static enum aft_err
put(struct run *x, struct aft_bytes b)
{
    if (b.n > AFT_RECORD_BYTES_MAX - (x->out->n - x->out_start))
        return over(x, "the record grows past the bound of a record");
    aft_put_raw(x->out, b);
    return AFT_OK;
}

/* What is pending up to `to` is copied; pending begins anew at r.p. */
static enum aft_err
flush_to(struct run *x, const uint8_t *to)
{
    const uint8_t *from = x->mark;
    x->mark = x->r.p;
    if (x->quiet || to == from)
        return AFT_OK;
    return put(x, (struct aft_bytes){from, (size_t)(to - from)});
}

static enum aft_err
put_long(struct run *x, int64_t v)
{
    uint8_t place[10];
    return x->quiet ? AFT_OK : put(x, afti_varint(place, v));
}

static enum aft_err
put_real(struct run *x, double v, bool single)
{
    if (AFT_RECORD_BYTES_MAX - (x->out->n - x->out_start) < 8)
        return over(x, "the record grows past the bound of a record");
    if (single)
        aft_put_float(x->out, (float)v);
    else
        aft_put_double(x->out, v);
    return AFT_OK;
}

/* ---- input */
static inline bool
get_long(struct aft_reader *r, int64_t *v)
{
    if (r->p != r->end && *r->p < 128) {
        uint8_t b = *r->p++;
        *v = (int64_t)(b >> 1) ^ -(int64_t)(b & 1);
        return true;
    }
    *v = 0;
    return aft_get_long(r, v);
}

static inline bool
get_int(struct aft_reader *r, int64_t *v)
{
    return get_long(r, v) && *v >= INT32_MIN && *v <= INT32_MAX;
}

static inline bool
pass(struct aft_reader *r, uint64_t n)
{
    if (n > aft_left(r))
        return false;
    r->p += n;
    return true;
}

static enum aft_err
promote(struct run *x, enum afti_op op)
{
    const uint8_t *at = x->r.p;
    int64_t v = 0;
    float f = 0;
    bool ok = op == AFTI_OP_FLOAT_DOUBLE                              ? aft_get_float(&x->r, &f)
              : op == AFTI_OP_LONG_FLOAT || op == AFTI_OP_LONG_DOUBLE ? get_long(&x->r, &v)
                                                                      : get_int(&x->r, &v);
    if (!ok)
        return malformed(x, "a number");
    AFT_TRY(flush_to(x, at));
    if (op == AFTI_OP_FLOAT_DOUBLE)
        return put_real(x, (double)f, false);
    bool single = op == AFTI_OP_INT_FLOAT || op == AFTI_OP_LONG_FLOAT;
    return put_real(x, single ? (double)(float)v : (double)v, single); /* rounded once */
}

static enum aft_err
map_enum(struct run *x, const struct afti_code *k)
{
    const uint8_t *at = x->r.p;
    int64_t v;
    if (!get_long(&x->r, &v) || (uint64_t)v >= k->b)
        return malformed(x, "an enum's index");
    uint32_t to = x->plan->table[k->a + (uint32_t)v];
    if (to == AFTI_NONE)
        return AFT_FAIL(x->e, AFT_E_VALUE,
                        "byte %zu: symbol %lld of the writer's enum is unknown to the reader; the "
                        "producer must use a known one",
                        (size_t)(at - x->start), (long long)v);
    AFT_TRY(flush_to(x, at));
    return put_long(x, to);
}

static enum aft_err
enter_union(struct run *x, const struct afti_code *k, uint32_t *pc)
{
    const uint8_t *at = x->r.p;
    int64_t v;
    if (!get_long(&x->r, &v) || (uint64_t)v >= k->b)
        return malformed(x, "a union's branch");
    const uint32_t *row = &x->plan->table[k->a + 2 * (uint32_t)v];
    *pc = row[1];
    if (row[0] == AFTI_SAME)
        return AFT_OK;
    AFT_TRY(flush_to(x, at));
    return row[0] == AFTI_DROP ? AFT_OK : put_long(x, (int64_t)row[0] - AFTI_TO);
}

/* ---- lists */
/* One block instead of several: the first count becomes the total, the items behind it move. */
static enum aft_err
merge_blocks(struct run *x, const struct list *l, const uint8_t *end)
{
    uint8_t place[10];
    struct aft_bytes count = afti_varint(place, (int64_t)l->total);
    const uint8_t *behind = x->r.p;
    x->r.p = end; /* the list's last 0 stays pending */
    AFT_TRY(flush_to(x, end));
    x->r.p = behind;
    size_t from = l->head + l->head_n, to = l->head + count.n;
    if (to > from)
        AFT_TRY(put(x, (struct aft_bytes){place, to - from})); /* room; overwritten at once */
    size_t n = x->out->n - (to > from ? to - from : 0) - from;
    memmove(x->out->p + to, x->out->p + from, n);
    memcpy(x->out->p + l->head, count.p, count.n);
    x->out->n = to + n;
    return AFT_OK;
}

/* The count of a block that must not be copied as it is: a negative one, or that of a second block. */
static enum aft_err
rewrite_count(struct run *x, struct list *l, const uint8_t *at, int64_t count)
{
    AFT_TRY(flush_to(x, at));
    if (x->quiet || l->blocks != 1)
        return AFT_OK;
    l->head = x->out->n;
    AFT_TRY(put_long(x, count));
    l->head_n = x->out->n - l->head;
    return AFT_OK;
}

/* The head of the next block. *pc: an item's code, or what follows the list. */
static enum aft_err
next_block(struct run *x, uint32_t *pc)
{
    struct list *l = &x->list[x->depth - 1];
    for (;;) {
        const uint8_t *at = x->r.p;
        int64_t count, size = -1;
        if (!get_long(&x->r, &count))
            return malformed(x, "a list's count");
        if (count == 0) {
            *pc = l->next;
            x->depth--;
            return l->blocks > 1 && !x->quiet ? merge_blocks(x, l, at) : AFT_OK;
        }
        if (count < 0) {
            if (count == INT64_MIN || !get_long(&x->r, &size) || size < 0 ||
                (uint64_t)size > aft_left(&x->r))
                return malformed(x, "a list's count");
            count = -count;
        }
        if ((uint64_t)count > x->items)
            return over(x, "a list has more items than a record may");
        x->items -= (uint64_t)count;
        l->blocks++;
        l->total += (uint64_t)count;
        l->left = count;
        if (size >= 0 || l->blocks > 1)
            AFT_TRY(rewrite_count(x, l, at, count));
        else {
            l->head = x->out->n + (size_t)(at - x->mark);
            l->head_n = (size_t)(x->r.p - at);
        }
        *pc = l->body;
        if (size >= 0 && x->quiet)
            x->r.p += size; /* dropped whole */
        else
            return AFT_OK;
    }
}

static enum aft_err
enter(struct run *x)
{
    if (x->depth == AFT_DEPTH_MAX)
        return over(x, "values nest too deep");
    x->depth++;
    return AFT_OK;
}

static enum aft_err
enter_list(struct run *x, const struct afti_code *k, uint32_t *pc)
{
    if (x->r.p != x->r.end && *x->r.p == 0) { /* an empty one */
        x->r.p++;
        *pc = k->a;
        return AFT_OK;
    }
    AFT_TRY(enter(x));
    x->list[x->depth - 1] = (struct list){.body = *pc + 1, .next = k->a};
    return next_block(x, pc);
}

/* ---- records */
static enum aft_err exec(struct run *x, uint32_t pc);

static enum aft_err
call(struct run *x, uint32_t pc)
{
    AFT_TRY(enter(x));
    if (x->items-- == 0)
        return over(x, "a record holds too many records");
    AFT_TRY(exec(x, pc));
    x->depth--;
    return AFT_OK;
}

/* Walk over the writer's fields to see where each begins; then write them in the reader's order. */
static enum aft_err
reorder(struct run *x, const uint32_t *t)
{
    const uint8_t *at[AFTI_REORDER_FIELDS_MAX];
    uint32_t writer_n = t[1], reader_n = t[2];
    AFT_INVARIANT(I1, writer_n <= AFTI_REORDER_FIELDS_MAX);
    AFT_TRY(enter(x));
    if (x->items-- == 0)
        return over(x, "a record holds too many records");
    AFT_TRY(flush_to(x, x->r.p));
    x->quiet++;
    for (uint32_t i = 0; i < writer_n; i++) {
        uint64_t items = x->items;
        at[i] = x->r.p;
        AFT_TRY(exec(x, t[3 + 2 * i]));
        if (t[4 + 2 * i]) /* the second pass will count them */
            x->items = items;
    }
    x->quiet--;
    const uint8_t *behind = x->r.p;
    for (uint32_t i = 0; i < reader_n; i++) {
        const uint32_t *row = &t[3 + 2 * writer_n + 2 * i];
        if (row[0] != AFTI_NONE)
            x->mark = x->r.p = at[row[0]];
        AFT_TRY(exec(x, row[1]));
        AFT_TRY(flush_to(x, x->r.p));
    }
    x->mark = x->r.p = behind;
    x->depth--;
    return AFT_OK;
}

static enum aft_err
skip_or_keep(struct run *x, bool skip)
{
    if (skip) {
        AFT_TRY(flush_to(x, x->r.p));
        x->quiet++;
    } else {
        x->quiet--;
        x->mark = x->r.p;
    }
    return AFT_OK;
}

/* ---- the loop */
/* What needs another function than exec itself; *pc goes on. */
static enum aft_err
exec_other(struct run *x, uint32_t *pc)
{
    const struct afti_code *k = &x->plan->code[*pc];
    const uint32_t *table = x->plan->table;
    switch (k->op) {
    case AFTI_OP_ENUM_MAP:
        *pc += 1;
        return map_enum(x, k);
    case AFTI_OP_LIST:
        return enter_list(x, k, pc);
    case AFTI_OP_CALL:
        *pc += 1;
        return call(x, table[k->a]);
    case AFTI_OP_REORDER:
        *pc = table[k->a];
        return reorder(x, &table[k->a]);
    case AFTI_OP_SKIP:
    case AFTI_OP_KEEP:
        *pc += 1;
        return skip_or_keep(x, k->op == AFTI_OP_SKIP);
    case AFTI_OP_EMIT:
        *pc += 1;
        AFT_TRY(flush_to(x, x->r.p));
        return put(x, (struct aft_bytes){x->plan->constants.p + k->a, k->b});
    case AFTI_OP_FAIL:
        return AFT_FAIL(x->e, AFT_E_VALUE, "byte %zu: %s; the producer must send another value",
                        (size_t)(x->r.p - x->start), (const char *)x->plan->constants.p + k->a);
    default: /* a promotion */
        *pc += 1;
        return promote(x, k->op);
    }
}

/* A union whose branch keeps its index; false: let enter_union see to it. */
static inline bool
same_branch(const struct run *x, struct aft_reader *r, const struct afti_code *k, uint32_t *pc)
{
    if (r->p == r->end || *r->p > 127 || *r->p & 1 || (uint32_t)(*r->p >> 1) >= k->b)
        return false;
    const uint32_t *row = &x->plan->table[k->a + (*r->p & ~1u)];
    if (row[0] != AFTI_SAME)
        return false;
    r->p++;
    *pc = row[1];
    return true;
}

/* The end of a list that was one block; false: let next_block see to it. */
static inline bool
last_item(struct run *x, struct aft_reader *r, uint32_t *pc)
{
    const struct list *l = &x->list[x->depth - 1];
    if (l->blocks > 1 || r->p == r->end || *r->p)
        return false;
    r->p++;
    x->depth--;
    *pc = l->next;
    return true;
}

static enum aft_err
exec(struct run *x, uint32_t pc)
{
    const struct afti_code *code = x->plan->code, *k = code + pc;
    struct aft_reader r =
        x->r; /* in registers; x->r is brought up to date before others look at it */
    int64_t v;
    for (;;) {
        bool ok;
        switch (k->op) {
        case AFTI_OP_END:
            x->r = r;
            return AFT_OK;
        case AFTI_OP_JUMP:
            k = code + k->a;
            continue;
        case AFTI_OP_BOOL:
            ok = r.p != r.end && *r.p++ <= 1;
            break;
        case AFTI_OP_INT:
            ok = get_int(&r, &v);
            break;
        case AFTI_OP_LONG:
            ok = get_long(&r, &v);
            break;
        case AFTI_OP_BYTES: /* a negative length is a huge one */
            ok = get_long(&r, &v) && pass(&r, (uint64_t)v);
            break;
        case AFTI_OP_RAW:
            ok = pass(&r, k->a);
            break;
        case AFTI_OP_ENUM:
            ok = get_long(&r, &v) && (uint64_t)v < k->a;
            break;
        case AFTI_OP_UNION:
            if (!same_branch(x, &r, k, &pc)) {
                x->r = r;
                AFT_TRY(enter_union(x, k, &pc));
                r = x->r;
            }
            k = code + pc;
            continue;
        case AFTI_OP_NEXT:
            pc = k->a;
            /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): a list was entered, or there is no NEXT */
            if (--x->list[x->depth - 1].left == 0 && !last_item(x, &r, &pc)) {
                x->r = r;
                AFT_TRY(next_block(x, &pc));
                r = x->r;
            }
            k = code + pc;
            continue;
        default:
            pc = (uint32_t)(k - code);
            x->r = r;
            AFT_TRY(exec_other(x, &pc));
            r = x->r;
            k = code + pc;
            continue;
        }
        if (!ok) {
            x->r = r;
            return malformed(x, "a value");
        }
        k++;
    }
}

static void
begin(struct run *x, const struct aft_plan *p, struct aft_bytes body, struct aft_buffer *out)
{
    x->plan = p;
    x->r = aft_reader(body);
    x->mark = x->start = body.p;
    x->out = out;
    x->out_start = out->n;
    x->items = body.n + ITEMS_SPARE;
    x->depth = x->quiet = 0;
}

enum aft_err
aft_plan_run(const struct aft_plan *p, struct aft_bytes body, struct aft_buffer *out, size_t *used,
             struct aft_error *e)
{
    struct run x;
    begin(&x, p, body, out);
    x.e = e;
    if (body.n > AFT_RECORD_BYTES_MAX && !used)
        return over(&x, "the record is past the bound of a record");
    enum aft_err err = exec(&x, p->start);
    if (!err)
        err = flush_to(&x, x.r.p);
    if (!err && !used && aft_left(&x.r))
        err = malformed(&x, "what follows the record");
    if (err)
        out->n = x.out_start;
    else if (used)
        *used = (size_t)(x.r.p - body.p);
    return err;
}

enum aft_err
afti_plan_measure(const struct aft_plan *p, struct aft_bytes body, size_t *used,
                  struct aft_error *e)
{
    struct run x;
    struct aft_buffer none = {0};
    begin(&x, p, body, &none);
    x.e = e;
    x.quiet = 1;
    AFT_TRY(exec(&x, p->start));
    AFT_INVARIANT(I2, none.n == 0);
    *used = (size_t)(x.r.p - body.p);
    return AFT_OK;
}
