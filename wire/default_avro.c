/* default_avro.c - a field's default, from the JSON of the schema's source to Avro's binary form (specification, "default
 * values"): bytes and fixed are strings whose code points are the bytes; a union's default fits its first branch, or else any
 * later one; a record's may leave out fields that have defaults themselves. Depth is bounded by AFT_DEPTH_MAX. Any thread. */
#include "wire/schema_avro.h"

static bool put_value(const struct afti_node *t, json_t *v, struct aft_buffer *out, unsigned depth);

static bool
put_integer(json_t *v, int64_t least, int64_t most, struct aft_buffer *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return false;
    aft_put_long(out, json_integer_value(v));
    return true;
}

/* The code points of UTF-8 text that are below 256, a byte each. */
static bool
latin1(const char *s, size_t n, struct aft_buffer *out)
{
    for (size_t i = 0; i < n; i++) {
        unsigned c = (unsigned char)s[i];
        if (c >= 0x80) {
            if (c < 0xC2 || c > 0xC3 || i + 1 == n)
                return false;
            c = (c & 3) << 6 | ((unsigned char)s[++i] & 63);
        }
        aft_put_u8(out, (uint8_t)c);
    }
    return true;
}

static bool
put_octets(const struct afti_node *t, json_t *v, struct aft_buffer *out)
{
    struct aft_buffer b = {0};
    bool ok = json_is_string(v) && latin1(json_string_value(v), json_string_length(v), &b);
    if (ok && t->kind == AFTI_FIXED)
        ok = b.n == t->size;
    if (ok && t->kind == AFTI_BYTES)
        aft_put_long(out, (int64_t)b.n);
    if (ok)
        aft_put_raw(out, aft_buffer_bytes(&b));
    aft_buffer_deinit(&b);
    return ok;
}

static bool
put_symbol(const struct afti_node *t, json_t *v, struct aft_buffer *out)
{
    const char *s = json_string_value(v);
    for (uint32_t i = 0; s && i < t->n; i++)
        if (strcmp(s, t->symbols[i]) == 0) {
            aft_put_long(out, i);
            return true;
        }
    return false;
}

static bool
put_branch(const struct afti_node *t, json_t *v, struct aft_buffer *out, unsigned depth)
{
    for (uint32_t i = 0; i < t->n; i++) {
        size_t n = out->n;
        aft_put_long(out, i);
        if (put_value(t->child[i], v, out, depth))
            return true;
        out->n = n;
    }
    return false;
}

static bool
put_list(const struct afti_node *t, json_t *v, struct aft_buffer *out, unsigned depth)
{
    bool map = t->kind == AFTI_MAP;
    size_t n = map ? json_object_size(v) : json_array_size(v);
    const char *key;
    json_t *item;
    if (map ? !json_is_object(v) : !json_is_array(v))
        return false;
    if (n)
        aft_put_long(out, (int64_t)n);
    if (map)
        json_object_foreach(v, key, item)
        {
            aft_put_bytes(out, aft_text(key));
            if (!put_value(t->child[0], item, out, depth))
                return false;
        }
    for (size_t i = 0; !map && i < n; i++)
        if (!put_value(t->child[0], json_array_get(v, i), out, depth))
            return false;
    aft_put_u8(out, 0);
    return true;
}

static bool
put_fields(const struct afti_node *t, json_t *v, struct aft_buffer *out, unsigned depth)
{
    if (!json_is_object(v))
        return false;
    for (uint32_t i = 0; i < t->n; i++) {
        json_t *f = json_object_get(v, t->fields[i].name);
        if (!f)
            f = t->fields[i].otherwise;
        if (!f || !put_value(t->fields[i].type, f, out, depth))
            return false;
    }
    return true;
}

static bool
put_number(const struct afti_node *t, json_t *v, struct aft_buffer *out)
{
    if (!json_is_number(v))
        return false;
    if (t->kind == AFTI_FLOAT)
        aft_put_float(out, (float)json_number_value(v));
    else
        aft_put_double(out, json_number_value(v));
    return true;
}

static bool
put_value(const struct afti_node *t, json_t *v, struct aft_buffer *out, unsigned depth)
{
    if (depth++ == AFT_DEPTH_MAX || out->n > AFT_RECORD_BYTES_MAX)
        return false;
    switch (t->kind) {
    case AFTI_NULL:
        return json_is_null(v);
    case AFTI_BOOLEAN:
        if (json_is_boolean(v))
            aft_put_u8(out, json_is_true(v));
        return json_is_boolean(v);
    case AFTI_INT:
        return put_integer(v, INT32_MIN, INT32_MAX, out);
    case AFTI_LONG:
        return put_integer(v, INT64_MIN, INT64_MAX, out);
    case AFTI_FLOAT:
    case AFTI_DOUBLE:
        return put_number(t, v, out);
    case AFTI_STRING:
        if (json_is_string(v))
            aft_put_bytes(out, (struct aft_bytes){(const uint8_t *)json_string_value(v),
                                                  json_string_length(v)});
        return json_is_string(v);
    case AFTI_BYTES:
    case AFTI_FIXED:
        return put_octets(t, v, out);
    case AFTI_ENUM:
        return put_symbol(t, v, out);
    case AFTI_UNION:
        return put_branch(t, v, out, depth);
    case AFTI_ARRAY:
    case AFTI_MAP:
        return put_list(t, v, out, depth);
    case AFTI_RECORD:
        return put_fields(t, v, out, depth);
    case AFTI_KIND_COUNT:
        break;
    }
    AFT_NEVER();
}

bool
afti_put_default(const struct afti_node *type, json_t *value, struct aft_buffer *out)
{
    size_t n = out->n;
    if (put_value(type, value, out, 0))
        return true;
    out->n = n;
    return false;
}
