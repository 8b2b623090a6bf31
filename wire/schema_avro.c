/* schema_avro.c - a schema's JSON text -> aft_schema. avro-c judges whether it is a schema, jansson gives the tree.
 * In: text of at most AFTI_SCHEMA_BYTES_MAX. Out: a tree, its canonical form and fingerprint. Any thread (afti_avro_lock). */
#include "wire/schema_avro.h"

#include <avro.h>
#include <pthread.h>
#include <stdlib.h>

struct parser {
    struct aft_schema *s;
    struct aft_error *e;
    unsigned depth;
};

static const char *const kind_names[AFTI_KIND_COUNT] = {
    "null",   "boolean", "int", "long",  "float", "double", "bytes",
    "string", "array",   "map", "union", "fixed", "enum",   "record"};

static pthread_mutex_t avro_mutex = PTHREAD_MUTEX_INITIALIZER;

void
afti_avro_lock(void)
{
    AFT_ASSERT(pthread_mutex_lock(&avro_mutex) == 0);
}

void
afti_avro_unlock(void)
{
    AFT_ASSERT(pthread_mutex_unlock(&avro_mutex) == 0);
}

const char *
afti_kind_name(enum afti_kind k)
{
    AFT_ASSERT((unsigned)k < (unsigned)AFTI_KIND_COUNT);
    return kind_names[k];
}

static enum aft_err
no_schema(struct parser *p, const char *what, const char *where)
{
    return AFT_FAIL(p->e, AFT_E_SCHEMA,
                    "the schema is wrong: %s (%.100s); correct it and register it anew", what,
                    where ? where : "?");
}

static void *
take(struct parser *p, size_t n)
{
    void *v = aft_arena_take(&p->s->arena, n ? n : 1);
    if (v)
        memset(v, 0, n);
    return v;
}

static enum aft_err
full(struct parser *p)
{
    return AFT_FAIL(p->e, AFT_E_SCHEMA,
                    "the schema needs more than %d bytes once parsed; make it smaller",
                    AFTI_SCHEMA_ARENA_MAX);
}

static enum aft_err
node_new(struct parser *p, enum afti_kind kind, struct afti_node **out)
{
    *out = take(p, sizeof **out);
    if (!*out)
        return full(p);
    (*out)->kind = kind;
    return AFT_OK;
}

static bool
kind_of(const char *name, enum afti_kind *out)
{
    for (int k = 0; k < AFTI_KIND_COUNT; k++)
        if (strcmp(name, kind_names[k]) == 0) {
            *out = (enum afti_kind)k;
            return k != AFTI_UNION;
        }
    return false;
}

/* ---- names */
static const char *
joined(struct parser *p, const char *space, const char *name)
{
    if (strchr(name, '.') || !space || !*space)
        return name;
    size_t a = strlen(space), b = strlen(name);
    char *v = take(p, a + b + 2);
    if (!v)
        return NULL;
    memcpy(v, space, a);
    v[a] = '.';
    memcpy(v + a + 1, name, b);
    return v;
}

/* The namespace of a full name, for what stands inside the type. */
static const char *
space_of(struct parser *p, const char *full_name)
{
    const char *dot = strrchr(full_name, '.');
    if (!dot)
        return "";
    char *v = take(p, (size_t)(dot - full_name) + 1);
    if (v)
        memcpy(v, full_name, (size_t)(dot - full_name));
    return v;
}

static struct afti_node *
named(const struct aft_schema *s, const char *full_name)
{
    for (uint32_t i = 0; i < s->named_n; i++)
        if (strcmp(s->named[i]->name, full_name) == 0)
            return s->named[i];
    return NULL;
}

static enum aft_err
remember(struct parser *p, struct afti_node *n)
{
    struct aft_schema *s = p->s;
    if (named(s, n->name))
        return no_schema(p, "a name is defined twice", n->name);
    if (s->named_n == AFTI_NAMED_MAX)
        return no_schema(p, "too many named types", n->name);
    if (s->named_n == s->named_cap) {
        uint32_t cap = s->named_cap ? 2 * s->named_cap : 16;
        struct afti_node **v = take(p, cap * sizeof *v);
        if (!v)
            return full(p);
        if (s->named_n)
            memcpy(v, s->named, s->named_n * sizeof *v);
        s->named = v;
        s->named_cap = cap;
    }
    s->named[s->named_n++] = n;
    return AFT_OK;
}

static enum aft_err
give_name(struct parser *p, json_t *j, const char *space, struct afti_node *n)
{
    const char *name = json_string_value(json_object_get(j, "name"));
    json_t *own = json_object_get(j, "namespace");
    if (!name || !*name)
        return no_schema(p, "a named type without a name", afti_kind_name(n->kind));
    n->name = joined(p, json_is_string(own) ? json_string_value(own) : space, name);
    if (!n->name)
        return full(p);
    const char *dot = strrchr(n->name, '.');
    n->last = dot ? dot + 1 : n->name;
    json_t *aliases = json_object_get(j, "aliases");
    n->aliases = json_is_array(aliases) ? aliases : NULL;
    return remember(p, n);
}

/* ---- types */
static enum aft_err parse_type(struct parser *p, json_t *j, const char *space,
                               struct afti_node **out);

static enum aft_err
parse_reference(struct parser *p, const char *name, const char *space, struct afti_node **out)
{
    enum afti_kind kind;
    if (kind_of(name, &kind)) {
        if (kind > AFTI_STRING)
            return no_schema(p, "a complex type by its bare name", name);
        return node_new(p, kind, out);
    }
    const char *full_name = joined(p, space, name);
    if (!full_name)
        return full(p);
    *out = named(p->s, full_name);
    if (!*out)
        *out = named(p->s, name);
    return *out ? AFT_OK : no_schema(p, "a type that is defined nowhere before", name);
}

static enum aft_err
parse_union(struct parser *p, json_t *j, const char *space, struct afti_node **out)
{
    size_t n = json_array_size(j);
    AFT_TRY(node_new(p, AFTI_UNION, out));
    if (n == 0 || n > AFTI_BRANCHES_MAX)
        return no_schema(p, "a union of no or too many branches", "union");
    struct afti_node *u = *out;
    u->n = (uint32_t)n;
    u->child = take(p, n * sizeof(struct afti_node *));
    if (!u->child)
        return full(p);
    for (size_t i = 0; i < n; i++) {
        AFT_TRY(parse_type(p, json_array_get(j, i), space, &u->child[i]));
        if (u->child[i]->kind == AFTI_UNION)
            return no_schema(p, "a union right inside a union", "union");
    }
    return AFT_OK;
}

static enum aft_err
parse_field(struct parser *p, json_t *j, const char *space, struct afti_field *f)
{
    f->name = json_string_value(json_object_get(j, "name"));
    if (!f->name)
        return no_schema(p, "a field without a name", "fields");
    f->otherwise = json_object_get(j, "default");
    json_t *aliases = json_object_get(j, "aliases");
    f->aliases = json_is_array(aliases) ? aliases : NULL;
    return parse_type(p, json_object_get(j, "type"), space, &f->type);
}

static enum aft_err
parse_record(struct parser *p, json_t *j, const char *space, struct afti_node *n)
{
    AFT_TRY(give_name(p, j, space, n));
    const char *inner = space_of(p, n->name);
    json_t *fields = json_object_get(j, "fields");
    if (!inner)
        return full(p);
    if (!json_is_array(fields) || json_array_size(fields) > AFTI_FIELDS_MAX)
        return no_schema(p, "a record without fields, or with too many", n->name);
    n->n = (uint32_t)json_array_size(fields);
    n->fields = take(p, n->n * sizeof *n->fields);
    if (!n->fields)
        return full(p);
    for (uint32_t i = 0; i < n->n; i++)
        AFT_TRY(parse_field(p, json_array_get(fields, i), inner, &n->fields[i]));
    for (uint32_t i = 0; i < n->n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(n->fields[i].name, n->fields[k].name) == 0)
                return no_schema(p, "two fields of one name", n->fields[i].name);
    return AFT_OK;
}

static enum aft_err
parse_enum(struct parser *p, json_t *j, const char *space, struct afti_node *n)
{
    AFT_TRY(give_name(p, j, space, n));
    json_t *symbols = json_object_get(j, "symbols");
    if (json_array_size(symbols) == 0 || json_array_size(symbols) > AFTI_SYMBOLS_MAX)
        return no_schema(p, "an enum of no or too many symbols", n->name);
    n->n = (uint32_t)json_array_size(symbols);
    n->symbols = take(p, n->n * sizeof *n->symbols);
    n->otherwise = json_string_value(json_object_get(j, "default"));
    if (!n->symbols)
        return full(p);
    for (uint32_t i = 0; i < n->n; i++) {
        n->symbols[i] = json_string_value(json_array_get(symbols, i));
        if (!n->symbols[i])
            return no_schema(p, "a symbol that is no string", n->name);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(n->symbols[i], n->symbols[k]) == 0)
                return no_schema(p, "two symbols of one name", n->symbols[i]);
    }
    return AFT_OK;
}

static enum aft_err
parse_fixed(struct parser *p, json_t *j, const char *space, struct afti_node *n)
{
    json_t *size = json_object_get(j, "size");
    AFT_TRY(give_name(p, j, space, n));
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > (json_int_t)AFT_RECORD_BYTES_MAX)
        return no_schema(p, "a fixed without a usable size", n->name);
    n->size = (size_t)json_integer_value(size);
    return AFT_OK;
}

static enum aft_err
parse_list(struct parser *p, json_t *of, const char *space, struct afti_node *n)
{
    n->n = 1;
    n->child = take(p, sizeof(struct afti_node *));
    return n->child ? parse_type(p, of, space, &n->child[0]) : full(p);
}

static enum aft_err
parse_object(struct parser *p, json_t *j, const char *space, struct afti_node **out)
{
    json_t *type = json_object_get(j, "type");
    const char *name = json_string_value(type);
    enum afti_kind kind;
    if (!name || !kind_of(name, &kind))
        return parse_type(p, type, space, out);
    AFT_TRY(node_new(p, kind, out));
    switch (kind) {
    case AFTI_RECORD:
        return parse_record(p, j, space, *out);
    case AFTI_ENUM:
        return parse_enum(p, j, space, *out);
    case AFTI_FIXED:
        return parse_fixed(p, j, space, *out);
    case AFTI_ARRAY:
        return parse_list(p, json_object_get(j, "items"), space, *out);
    case AFTI_MAP:
        return parse_list(p, json_object_get(j, "values"), space, *out);
    default:
        return AFT_OK; /* a primitive with attributes, e.g. a logical type */
    }
}

static enum aft_err
parse_type(struct parser *p, json_t *j, const char *space, struct afti_node **out)
{
    enum aft_err err;
    if (++p->depth > 3 * AFT_DEPTH_MAX)
        return no_schema(p, "nested too deep", "type");
    if (json_is_string(j))
        err = parse_reference(p, json_string_value(j), space, out);
    else if (json_is_array(j))
        err = parse_union(p, j, space, out);
    else if (json_is_object(j))
        err = parse_object(p, j, space, out);
    else
        err = no_schema(p, "a type that is neither name, object nor union", "type");
    p->depth--;
    return err;
}

/* ---- the whole */
static enum aft_err
avro_agrees(struct aft_bytes text, struct aft_error *e)
{
    avro_schema_t schema = NULL;
    enum aft_err err = AFT_OK;
    afti_avro_lock();
    if (avro_schema_from_json_length((const char *)text.p, text.n, &schema))
        err = AFT_FAIL(e, AFT_E_SCHEMA, "no Avro schema: %.300s; correct it and register it anew",
                       avro_strerror());
    else
        avro_schema_decref(schema);
    afti_avro_unlock();
    return err;
}

static enum aft_err
parse_into(struct aft_schema *s, struct aft_bytes text, struct aft_error *e)
{
    struct parser p = {s, e, 0};
    json_error_t at;
    if (text.n > AFTI_SCHEMA_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_SCHEMA, "a schema of %zu bytes is past %d; make it smaller",
                        text.n, AFTI_SCHEMA_BYTES_MAX);
    aft_put_raw(&s->text, text);
    s->json =
        json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &at);
    if (!s->json)
        return AFT_FAIL(e, AFT_E_SCHEMA, "the schema is no JSON: line %d: %.200s; correct it",
                        at.line, at.text);
    AFT_TRY(parse_type(&p, s->json, "", &s->root));
    if (!json_is_string(
            s->json)) /* avro-c takes no bare name of a primitive, which is a schema too */
        AFT_TRY(avro_agrees(text, e));
    afti_canonical(s->root, &s->canonical);
    s->fingerprint = aft_crc64_avro(aft_buffer_bytes(&s->canonical));
    return AFT_OK;
}

enum aft_err
aft_schema_parse(struct aft_bytes json, struct aft_schema **out, struct aft_error *e)
{
    struct aft_schema *s = calloc(1, sizeof *s);
    AFT_ASSERT(s != NULL);
    aft_arena_init(&s->arena, AFTI_SCHEMA_ARENA_MAX);
    enum aft_err err = parse_into(s, json, e);
    if (err) {
        aft_schema_free(s);
        return err;
    }
    *out = s;
    return AFT_OK;
}

void
aft_schema_free(struct aft_schema *s)
{
    if (!s)
        return;
    json_decref(s->json);
    aft_buffer_deinit(&s->text);
    aft_buffer_deinit(&s->canonical);
    aft_arena_deinit(&s->arena);
    free(s);
}

struct aft_bytes
aft_schema_text(const struct aft_schema *s)
{
    return aft_buffer_bytes(&s->text);
}

uint64_t
aft_schema_fingerprint(const struct aft_schema *s)
{
    return s->fingerprint;
}
