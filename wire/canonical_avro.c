/* canonical_avro.c - a schema's parsing canonical form: full names, only the attributes that matter to encoding, no spaces, a
 * named type in full the first time and by its name after that. Its CRC-64-AVRO is the schema's fingerprint. Any thread that
 * owns the schema. */
#include "wire/schema_avro.h"

#include <stdio.h>

static void
put(struct aft_buffer *b, const char *s)
{
    aft_put_raw(b, aft_text(s));
}

static void
put_quoted(struct aft_buffer *b, const char *s)
{
    put(b, "\"");
    put(b, s);
    put(b, "\"");
}

static void
put_head(struct aft_buffer *b, const struct afti_node *n)
{
    put(b, "{\"name\":");
    put_quoted(b, n->name);
    put(b, ",\"type\":");
    put_quoted(b, afti_kind_name(n->kind));
}

static void canonical(struct afti_node *n, struct aft_buffer *b);

static void
put_record(struct afti_node *n, struct aft_buffer *b)
{
    put_head(b, n);
    put(b, ",\"fields\":[");
    for (uint32_t i = 0; i < n->n; i++) {
        put(b, i ? ",{\"name\":" : "{\"name\":");
        put_quoted(b, n->fields[i].name);
        put(b, ",\"type\":");
        canonical(n->fields[i].type, b);
        put(b, "}");
    }
    put(b, "]}");
}

static void
put_symbols(const struct afti_node *n, struct aft_buffer *b)
{
    put_head(b, n);
    put(b, ",\"symbols\":[");
    for (uint32_t i = 0; i < n->n; i++) {
        if (i)
            put(b, ",");
        put_quoted(b, n->symbols[i]);
    }
    put(b, "]}");
}

static void
put_size(const struct afti_node *n, struct aft_buffer *b)
{
    char digits[32];
    put_head(b, n);
    put(b, ",\"size\":");
    snprintf(digits, sizeof digits, "%zu}", n->size);
    put(b, digits);
}

static void
put_named(struct afti_node *n, struct aft_buffer *b)
{
    if (n->written) {
        put_quoted(b, n->name);
        return;
    }
    n->written = true;
    if (n->kind == AFTI_RECORD)
        put_record(n, b);
    else if (n->kind == AFTI_ENUM)
        put_symbols(n, b);
    else
        put_size(n, b);
}

static void
canonical(struct afti_node *n, struct aft_buffer *b)
{
    if (n->kind <= AFTI_STRING) {
        put_quoted(b, afti_kind_name(n->kind));
    } else if (n->kind >= AFTI_FIXED) {
        put_named(n, b);
    } else if (n->kind == AFTI_UNION) {
        for (uint32_t i = 0; i < n->n; i++) {
            put(b, i ? "," : "[");
            canonical(n->child[i], b);
        }
        put(b, "]");
    } else {
        put(b, n->kind == AFTI_ARRAY ? "{\"type\":\"array\",\"items\":"
                                     : "{\"type\":\"map\",\"values\":");
        canonical(n->child[0], b);
        put(b, "}");
    }
}

/* Once a schema: the marks on named types are not reset. */
void
afti_canonical(struct afti_node *root, struct aft_buffer *out)
{
    canonical(root, out);
}
