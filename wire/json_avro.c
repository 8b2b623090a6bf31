/* json_avro.c - a body under a schema as one line of JSON, for people: unions show their value bare, bytes and fixed are
 * lower-case hexadecimal, numbers that JSON lacks are strings ("NaN"), text that is no UTF-8 shows U+FFFD for each wrong byte.
 * Bounds as plan_run_avro.c: depth, items without bytes, output. Any thread. */
#include <stdio.h>

#include "wire/schema_avro.h"

enum { OUTPUT_MAX = 256 << 20 };

struct printer {
    struct aft_reader r;
    struct aft_buffer *out;
    struct aft_error *e;
    const uint8_t *start;
    uint64_t items;
    unsigned depth;
};

static enum aft_err print(struct printer *x, const struct afti_node *t);

static enum aft_err
malformed(struct printer *x, const struct afti_node *t)
{
    return AFT_FAIL(x->e, AFT_E_MALFORMED,
                    "byte %zu: no %s as the schema has it; is this the writer's schema?",
                    (size_t)(x->r.p - x->start), afti_kind_name(t->kind));
}

static void
put(struct aft_buffer *b, const char *s)
{
    aft_put_raw(b, aft_text(s));
}

/* ---- text */
/* The length of the UTF-8 sequence at p, 0 when there is none. */
static size_t
sequence(const uint8_t *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] > 0xF4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

static void
put_text(struct aft_buffer *b, struct aft_bytes s)
{
    aft_put_u8(b, '"');
    for (size_t i = 0, n; i < s.n; i += n) {
        char escape[8];
        n = sequence(s.p + i, s.n - i);
        if (n == 0) {
            put(b, "\\ufffd");
            n = 1;
        } else if (s.p[i] == '"' || s.p[i] == '\\') {
            aft_put_u8(b, '\\');
            aft_put_u8(b, s.p[i]);
        } else if (s.p[i] < 0x20 || s.p[i] == 0x7F) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)s.p[i]);
            put(b, escape);
        } else {
            aft_put_raw(b, (struct aft_bytes){s.p + i, n});
        }
    }
    aft_put_u8(b, '"');
}

static void
put_hex(struct aft_buffer *b, struct aft_bytes v)
{
    static const char digits[] = "0123456789abcdef";
    aft_put_u8(b, '"');
    for (size_t i = 0; i < v.n; i++) {
        aft_put_u8(b, (uint8_t)digits[v.p[i] >> 4]);
        aft_put_u8(b, (uint8_t)digits[v.p[i] & 15]);
    }
    aft_put_u8(b, '"');
}

/* ---- numbers: the fewest digits that give the same number again */
static void
put_real(struct aft_buffer *b, double v, bool single)
{
    char text[AFT_NUMBER_TEXT];
    if (v - v != 0) {
        put(b, v != v ? "\"NaN\"" : v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    if (single)
        aft_number_text_float((float)v, text);
    else
        aft_number_text(v, text);
    put(b, text);
}

static enum aft_err
print_number(struct printer *x, const struct afti_node *t)
{
    int64_t v;
    float f;
    double d;
    char text[24];
    if (t->kind == AFTI_FLOAT) {
        if (!aft_get_float(&x->r, &f))
            return malformed(x, t);
        put_real(x->out, (double)f, true);
    } else if (t->kind == AFTI_DOUBLE) {
        if (!aft_get_double(&x->r, &d))
            return malformed(x, t);
        put_real(x->out, d, false);
    } else {
        if (!aft_get_long(&x->r, &v))
            return malformed(x, t);
        snprintf(text, sizeof text, "%lld", (long long)v);
        put(x->out, text);
    }
    return AFT_OK;
}

static enum aft_err
print_bytes(struct printer *x, const struct afti_node *t)
{
    struct aft_bytes b;
    bool ok = t->kind == AFTI_FIXED ? aft_get_raw(&x->r, t->size, &b)
                                    : aft_get_bytes(&x->r, AFT_RECORD_BYTES_MAX, &b);
    if (!ok)
        return malformed(x, t);
    if (t->kind == AFTI_STRING)
        put_text(x->out, b);
    else
        put_hex(x->out, b);
    return AFT_OK;
}

static enum aft_err
print_flag(struct printer *x, const struct afti_node *t)
{
    uint8_t b;
    if (!aft_get_u8(&x->r, &b) || b > 1)
        return malformed(x, t);
    put(x->out, b ? "true" : "false");
    return AFT_OK;
}

/* ---- what holds others */
static enum aft_err
print_item(struct printer *x, const struct afti_node *t, bool first)
{
    struct aft_bytes key;
    if (!first)
        aft_put_u8(x->out, ',');
    if (t->kind == AFTI_MAP) {
        if (!aft_get_bytes(&x->r, AFT_RECORD_BYTES_MAX, &key))
            return malformed(x, t);
        put_text(x->out, key);
        aft_put_u8(x->out, ':');
    }
    return print(x, t->child[0]);
}

static enum aft_err
print_list(struct printer *x, const struct afti_node *t)
{
    bool first = true;
    aft_put_u8(x->out, t->kind == AFTI_MAP ? '{' : '[');
    for (;;) {
        int64_t count, size;
        if (!aft_get_long(&x->r, &count) || count == INT64_MIN ||
            (count < 0 && !aft_get_long(&x->r, &size)))
            return malformed(x, t);
        if (count == 0)
            break;
        uint64_t n = (uint64_t)(count < 0 ? -count : count);
        if (n > x->items)
            return AFT_FAIL(x->e, AFT_E_LIMIT, "byte %zu: a list has more items than a record may",
                            (size_t)(x->r.p - x->start));
        x->items -= n;
        for (; n; n--, first = false)
            AFT_TRY(print_item(x, t, first));
    }
    aft_put_u8(x->out, t->kind == AFTI_MAP ? '}' : ']');
    return AFT_OK;
}

static enum aft_err
print_record(struct printer *x, const struct afti_node *t)
{
    aft_put_u8(x->out, '{');
    for (uint32_t i = 0; i < t->n; i++) {
        if (i)
            aft_put_u8(x->out, ',');
        put_text(x->out, aft_text(t->fields[i].name));
        aft_put_u8(x->out, ':');
        AFT_TRY(print(x, t->fields[i].type));
    }
    aft_put_u8(x->out, '}');
    return AFT_OK;
}

static enum aft_err
print_indexed(struct printer *x, const struct afti_node *t)
{
    int64_t v;
    if (!aft_get_long(&x->r, &v) || (uint64_t)v >= t->n)
        return malformed(x, t);
    if (t->kind == AFTI_UNION)
        return print(x, t->child[v]);
    put_text(x->out, aft_text(t->symbols[v]));
    return AFT_OK;
}

static enum aft_err
print_value(struct printer *x, const struct afti_node *t)
{
    switch (t->kind) {
    case AFTI_NULL:
        put(x->out, "null");
        return AFT_OK;
    case AFTI_BOOLEAN:
        return print_flag(x, t);
    case AFTI_INT:
    case AFTI_LONG:
    case AFTI_FLOAT:
    case AFTI_DOUBLE:
        return print_number(x, t);
    case AFTI_BYTES:
    case AFTI_STRING:
    case AFTI_FIXED:
        return print_bytes(x, t);
    case AFTI_ARRAY:
    case AFTI_MAP:
        return print_list(x, t);
    case AFTI_UNION:
    case AFTI_ENUM:
        return print_indexed(x, t);
    case AFTI_RECORD:
        return print_record(x, t);
    case AFTI_KIND_COUNT:
        break;
    }
    AFT_NEVER();
}

static enum aft_err
print(struct printer *x, const struct afti_node *t)
{
    if (x->depth == 2 * AFT_DEPTH_MAX || x->items == 0 || x->out->n > OUTPUT_MAX)
        return AFT_FAIL(x->e, AFT_E_LIMIT,
                        "byte %zu: values nest too deep, or are too many to print",
                        (size_t)(x->r.p - x->start));
    x->depth++;
    if (t->kind == AFTI_RECORD || t->kind == AFTI_NULL) /* what may have no bytes */
        x->items--;
    AFT_TRY(print_value(x, t));
    x->depth--;
    return AFT_OK;
}

enum aft_err
aft_json_of(const struct aft_schema *s, struct aft_bytes body, struct aft_buffer *out,
            struct aft_error *e)
{
    struct printer x = {aft_reader(body), out, e, body.p, 8 * (uint64_t)body.n + 65536, 0};
    size_t n = out->n;
    enum aft_err err = print(&x, s->root);
    if (!err && aft_left(&x.r))
        err = malformed(&x, s->root);
    if (err)
        out->n = n;
    return err;
}
