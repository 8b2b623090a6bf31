/* fuzz_writer.c - our schemas read from writers that nobody has seen: the writer's schema is ours, changed as the first bytes say, the
 * body is what follows. Input: which record u8 | n u8 | n changes of (where u8, what u8) | body.
 * A change drops a field, moves one, renames one (with and without our name as an alias), adds one, narrows or widens a number, makes a
 * value nullable or takes the null away, adds or drops a symbol. Whatever comes of it: refused as a schema, refused as data, or the
 * canonical body, which our own reader takes as it is. */
#include <jansson.h>
#include <stdlib.h>

#include "wire/wire_avro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLACES = 256 };

struct places { /* every object of the schema with a "fields" list, and every field */
    json_t *record[PLACES], *field[PLACES];
    size_t records, fields;
};

static void
find(json_t *v, struct places *p)
{
    json_t *fields = json_object_get(v, "fields"), *child;
    size_t i;
    const char *key;
    if (json_is_array(v)) {
        json_array_foreach(v, i, child) find(child, p);
        return;
    }
    if (json_is_array(fields) && p->records < PLACES)
        p->record[p->records++] = v;
    json_array_foreach(fields, i, child) if (p->fields < PLACES) p->field[p->fields++] = child;
    json_object_foreach(v, key, child) find(child, p);
}

static json_t *
type_of(uint8_t what)
{
    static const char *const types[] = {"\"int\"",
                                        "\"long\"",
                                        "\"float\"",
                                        "\"double\"",
                                        "\"string\"",
                                        "\"bytes\"",
                                        "\"boolean\"",
                                        "\"null\"",
                                        "[\"null\",\"string\",\"long\"]",
                                        "{\"type\":\"array\",\"items\":\"long\"}",
                                        "{\"type\":\"map\",\"values\":\"double\"}",
                                        "{\"type\":\"fixed\",\"name\":\"Other\",\"size\":3}"};
    return json_loads(types[what % (sizeof types / sizeof types[0])], JSON_DECODE_ANY, NULL);
}

static void
change_type(json_t *field, uint8_t what)
{
    json_t *old = json_object_get(field, "type"), *wide;
    json_object_del(field, "default"); /* it need not fit any more */
    switch (what % 4) {
    case 0:
        json_object_set_new(field, "type", type_of(what / 4));
        return;
    case 1: /* nullable */
        wide = json_pack("[s,O]", "null", old);
        json_object_set_new(field, "type", wide);
        return;
    case 2: /* the last branch alone */
        if (json_is_array(old) && json_array_size(old))
            json_object_set(field, "type", json_array_get(old, json_array_size(old) - 1));
        return;
    default: /* a list's items */
        if (json_object_get(old, "items"))
            json_object_set_new(old, "items", type_of(what / 4));
        else if (json_object_get(old, "values"))
            json_object_set_new(old, "values", type_of(what / 4));
    }
}

static void
rename_field(json_t *field, bool alias)
{
    if (alias)
        json_object_set_new(field, "aliases", json_pack("[O]", json_object_get(field, "name")));
    json_object_set_new(field, "name", json_string("renamed"));
}

static void
change_symbols(json_t *field, uint8_t what)
{
    json_t *symbols = json_object_get(json_object_get(field, "type"), "symbols");
    if (symbols && what % 2)
        json_array_append_new(symbols, json_string("NEW"));
    else if (json_array_size(symbols) > 1)
        json_array_remove(symbols, what / 2 % json_array_size(symbols));
}

static void
change(const struct places *p, uint8_t where, uint8_t what)
{
    json_t *fields = json_object_get(p->record[where % p->records], "fields");
    json_t *field = p->field[where % p->fields];
    size_t n = json_array_size(fields), at = n ? what / 8 % n : 0;
    switch (what % 8) {
    case 0:
        if (n)
            json_array_remove(fields, at);
        return;
    case 1:
        if (n) {
            json_t *moved = json_incref(json_array_get(fields, at));
            json_array_remove(fields, at);
            json_array_insert_new(fields, 0, moved);
        }
        return;
    case 2:
        json_array_insert_new(fields, at,
                              json_pack("{s:s,s:o}", "name", "added", "type", type_of(what / 8)));
        return;
    case 3:
        rename_field(field, what & 8);
        return;
    case 4:
        change_symbols(field, what / 8);
        return;
    default:
        change_type(field, what / 8);
    }
}

static void
run(struct aft_bytes text, enum aft_record record, struct aft_bytes body)
{
    struct aft_schema *w, *r;
    struct aft_plan *there, *back;
    struct aft_buffer out = {0}, same = {0};
    struct aft_error e;
    if (aft_schema_parse(text, &w, &e))
        return;
    AFT_ASSERT(aft_schema_parse(aft_record_schema(record), &r, &e) == AFT_OK);
    if (aft_plan_compile(w, r, &there, &e) == AFT_OK) {
        enum aft_err err = aft_plan_run(there, body, &out, NULL, &e);
        AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
        AFT_ASSERT(out.n <= AFT_RECORD_BYTES_MAX);
        AFT_ASSERT(aft_plan_compile(r, r, &back, &e) == AFT_OK);
        if (err == AFT_OK && out.n) {
            AFT_ASSERT(aft_plan_run(back, aft_buffer_bytes(&out), &same, NULL, &e) == AFT_OK);
            AFT_ASSERT(aft_same(aft_buffer_bytes(&out), aft_buffer_bytes(&same)));
        }
        aft_plan_free(back);
        aft_plan_free(there);
    }
    aft_schema_free(w);
    aft_schema_free(r);
    aft_buffer_deinit(&out);
    aft_buffer_deinit(&same);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size < 2 + 2 * (size_t)data[1])
        return 0;
    enum aft_record record = (enum aft_record)(data[0] % AFT_RECORD_COUNT);
    struct aft_bytes ours = aft_record_schema(record);
    json_t *schema = json_loadb((const char *)ours.p, ours.n, 0, NULL);
    AFT_ASSERT(schema);
    for (size_t i = 0; i < data[1]; i++) {
        struct places p = {.records = 0};
        find(schema, &p);
        if (p.records == 0 || p.fields == 0)
            break;
        change(&p, data[2 + 2 * i], data[3 + 2 * i]);
    }
    char *text = json_dumps(schema, 0);
    AFT_ASSERT(text);
    size_t at = 2 + 2 * (size_t)data[1];
    run(aft_text(text), record, (struct aft_bytes){data + at, size - at});
    free(text);
    json_decref(schema);
    return 0;
}
