/* test_wire_differential.c - plans against avro-c, over random pairs of schemas that avro-c can resolve and random values: the same
 * bytes must come out. Each value's bytes, cut off anywhere, are refused; mutated, they are read or refused (run under asan). */
#include "tests/kit.h"

#include <avro.h>

#include "wire/wire_avro.h"

static struct aft_error error;
static struct aft_random rng;

static uint32_t
below(uint32_t n)
{
    return aft_random_below(&rng, n);
}

/* ---- the differential test: a writer's schema and a reader's that avro-c can resolve, made together */
struct text {
    struct aft_buffer w, r;
};

static unsigned names;

static void
both(struct text *t, const char *s)
{
    aft_put_raw(&t->w, aft_text(s));
    aft_put_raw(&t->r, aft_text(s));
}

static void
append(struct aft_buffer *b, const struct aft_buffer *v)
{
    aft_put_raw(b, aft_buffer_bytes(v));
}

static void
drop(struct text *t)
{
    aft_buffer_deinit(&t->w);
    aft_buffer_deinit(&t->r);
}

static void make_type(struct text *t, unsigned depth, const char *self);

static void
make_number(struct text *t, bool promote)
{
    static const char *const kinds[] = {"\"int\"", "\"long\"", "\"float\"", "\"double\""};
    uint32_t w = below(4), r = promote ? w + below(4 - w) : w;
    aft_put_raw(&t->w, aft_text(kinds[w]));
    aft_put_raw(&t->r, aft_text(kinds[r]));
}

static void
make_named(struct text *t)
{
    char s[200];
    if (below(2))
        snprintf(s, sizeof s, "{\"type\":\"fixed\",\"name\":\"F%u\",\"size\":%u}", names++,
                 1 + below(8)); /* avro-c cannot read a fixed of no bytes */
    else
        snprintf(s, sizeof s,
                 "{\"type\":\"enum\",\"name\":\"E%u\",\"symbols\":[\"A\",\"B\",\"C\"]}", names++);
    both(t, s);
}

/* Fields: the writer's all, the reader's some of them, often in another order. */
static void
make_record(struct text *t, unsigned depth)
{
    struct text f[6] = {{{0}, {0}}};
    uint32_t n = 1 + below(5), order[6], kept = 0;
    char s[80], name[24];
    snprintf(name, sizeof name, "R%u", names++);
    snprintf(s, sizeof s, "{\"type\":\"record\",\"name\":\"%s\",\"fields\":[", name);
    both(t, s);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(s, sizeof s, "{\"name\":\"f%u\",\"type\":", i);
        both(&f[i], s);
        make_type(&f[i], depth + 1, below(4) ? NULL : name);
        both(&f[i], "}");
        order[i] = i;
        if (i)
            aft_put_u8(&t->w, ',');
        append(&t->w, &f[i].w);
    }
    for (uint32_t i = n; i > 1 && below(2); i--) {
        uint32_t k = below(i), swap = order[i - 1];
        order[i - 1] = order[k];
        order[k] = swap;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (below(4) == 0 && (kept || i + 1 < n))
            continue; /* never all of them: avro-c cannot hold lists of empty records */
        if (kept++)
            aft_put_u8(&t->r, ',');
        append(&t->r, &f[order[i]].r);
    }
    for (uint32_t i = 0; i < n; i++)
        drop(&f[i]);
    both(t, "]}");
}

static void
make_branch(struct text *t, uint32_t which, unsigned depth)
{
    if (which == 0)
        both(t, "\"null\"");
    else if (which == 1)
        both(t, "\"string\"");
    else if (which == 2)
        both(t, "\"boolean\"");
    else if (which == 3)
        make_number(t, true);
    else if (which == 4)
        make_record(t, depth + 1);
    else
        make_named(t);
}

/* A union in both, its branches in another order at times; or in the reader alone. */
static void
make_union(struct text *t, unsigned depth)
{
    struct text b[6] = {{{0}, {0}}};
    uint32_t n = 0;
    for (uint32_t i = 0; i < 6; i++)
        if (below(2) || (i == 5 && n == 0))
            make_branch(&b[n++], i, depth);
    uint32_t turn = below(n);
    both(t, "[");
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            both(t, ",");
        append(&t->w, &b[i].w);
        append(&t->r, &b[(i + turn) % n].r);
    }
    for (uint32_t i = 0; i < n; i++)
        drop(&b[i]);
    both(t, "]");
}

static void
make_reader_union(struct text *t, unsigned depth)
{
    struct text b = {{0}, {0}};
    make_branch(&b, 1 + below(5), depth);
    append(&t->w, &b.w);
    aft_put_raw(&t->r, AFT_LITERAL("[\"null\","));
    append(&t->r, &b.r);
    aft_put_raw(&t->r, AFT_LITERAL("]"));
    drop(&b);
}

static void
make_list(struct text *t, unsigned depth, const char *self)
{
    both(t, below(2) ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":");
    make_type(t, depth + 1, self);
    both(t, "}");
}

static void
make_type(struct text *t, unsigned depth, const char *self)
{
    static const char *const simple[] = {"\"null\"", "\"boolean\"", "\"bytes\"", "\"string\""};
    uint32_t which = below(depth > 3 ? 4 : 10);
    char s[64];
    if (self) {
        snprintf(s, sizeof s, "[\"null\",\"%s\"]", self);
        both(t, s);
    } else if (which < 2) {
        make_number(t, true);
    } else if (which == 2) {
        both(t, simple[below(4)]);
    } else if (which == 3) {
        make_named(t);
    } else if (which < 6) {
        make_list(t, depth, NULL);
    } else if (which < 8) {
        make_record(t, depth);
    } else if (which == 8) {
        make_union(t, depth);
    } else {
        make_reader_union(t, depth);
    }
}

/* ---- random values, by avro-c */
#define MUST(x) assert_int_equal((x), 0)

static void fill(avro_value_t *v, unsigned depth);

static int64_t
any_long(void)
{
    int64_t v = (int64_t)(aft_random_u64(&rng) >> below(64));
    return below(2) ? v : -v;
}

static void
fill_list(avro_value_t *v, unsigned depth, bool map)
{
    char key[16];
    uint32_t n = depth > 6 ? 0 : below(4);
    for (uint32_t i = 0; i < n; i++) {
        avro_value_t item;
        snprintf(key, sizeof key, "k%u", i);
        if (map)
            MUST(avro_value_add(v, key, &item, NULL, NULL));
        else
            MUST(avro_value_append(v, &item, NULL));
        fill(&item, depth + 1);
    }
}

static void
fill_union(avro_value_t *v, unsigned depth)
{
    avro_value_t branch;
    avro_schema_t s = avro_value_get_schema(v);
    int n = (int)avro_schema_union_size(s), pick = (int)below((uint32_t)n);
    for (int i = 0; depth > 6 && i < n; i++)
        if (is_avro_null(avro_schema_union_branch(s, i)))
            pick = i;
    MUST(avro_value_set_branch(v, pick, &branch));
    fill(&branch, depth + 1);
}

static void
fill_record(avro_value_t *v, unsigned depth)
{
    size_t n = 0;
    MUST(avro_value_get_size(v, &n));
    for (size_t i = 0; i < n; i++) {
        avro_value_t f;
        MUST(avro_value_get_by_index(v, i, &f, NULL));
        fill(&f, depth + 1);
    }
}

static void
fill(avro_value_t *v, unsigned depth)
{
    static uint8_t octets[32];
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)below(256);
    switch (avro_value_get_type(v)) {
    case AVRO_NULL:
        MUST(avro_value_set_null(v));
        return;
    case AVRO_BOOLEAN:
        MUST(avro_value_set_boolean(v, (int)below(2)));
        return;
    case AVRO_INT32:
        MUST(avro_value_set_int(v, (int32_t)any_long()));
        return;
    case AVRO_INT64:
        MUST(avro_value_set_long(v, any_long()));
        return;
    case AVRO_FLOAT:
        MUST(avro_value_set_float(v, (float)aft_random_normal(&rng)));
        return;
    case AVRO_DOUBLE:
        MUST(avro_value_set_double(v, aft_random_normal(&rng)));
        return;
    case AVRO_STRING:
        MUST(avro_value_set_string_len(v, "a string of some bytes", 1 + below(22)));
        return;
    case AVRO_BYTES:
        MUST(avro_value_set_bytes(v, octets, below(32)));
        return;
    case AVRO_FIXED:
        MUST(avro_value_set_fixed(v, octets,
                                  (size_t)avro_schema_fixed_size(avro_value_get_schema(v))));
        return;
    case AVRO_ENUM:
        MUST(avro_value_set_enum(v, (int)below(3)));
        return;
    case AVRO_ARRAY:
        fill_list(v, depth, false);
        return;
    case AVRO_MAP:
        fill_list(v, depth, true);
        return;
    case AVRO_UNION:
        fill_union(v, depth);
        return;
    case AVRO_RECORD:
        fill_record(v, depth);
        return;
    default:
        fail_msg("a type that avro-c should not have");
    }
}

static void
write_value(avro_value_t *v, struct aft_buffer *out)
{
    size_t size;
    MUST(avro_value_sizeof(v, &size));
    uint8_t *p = aft_reserve(out, size + 1);
    avro_writer_t w = avro_writer_memory((char *)p, (int64_t)size + 1);
    MUST(avro_value_write(w, v));
    out->n += size;
    avro_writer_free(w);
}

/* avro-c's answer: read body as the writer's, written out as the reader's. */
static void
by_avro(avro_value_iface_t *resolved, avro_value_iface_t *reader, struct aft_bytes body,
        struct aft_buffer *out)
{
    avro_value_t through, to;
    MUST(avro_generic_value_new(reader, &to));
    MUST(avro_resolved_writer_new_value(resolved, &through));
    avro_resolved_writer_set_dest(&through, &to);
    avro_reader_t r = avro_reader_memory((const char *)body.p, (int64_t)body.n);
    if (avro_value_read(r, &through))
        fail_msg("avro-c cannot read its own bytes: %s", avro_strerror());
    write_value(&to, out);
    avro_reader_free(r);
    avro_value_decref(&through);
    avro_value_decref(&to);
}

/* The same value with every one of its bytes cut off must be refused; mutated, it is read or refused. Run under asan. */
static void
hostile_copies(const struct aft_plan *p, struct aft_bytes body)
{
    struct aft_buffer out = {0};
    uint8_t *copy = malloc(body.n ? body.n : 1);
    assert_non_null(copy);
    for (size_t n = 0; n < body.n; n++) {
        uint8_t *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, body.p, n);
        enum aft_err err = aft_plan_run(p, (struct aft_bytes){cut, n}, &out, NULL, &error);
        assert_int_equal(aft_err_class(err), AFT_CLASS_DATA);
        free(cut);
    }
    for (int i = 0; i < 20 && body.n; i++) {
        memcpy(copy, body.p, body.n);
        copy[below((uint32_t)body.n)] = (uint8_t)below(256);
        enum aft_err err = aft_plan_run(p, (struct aft_bytes){copy, body.n}, &out, NULL, &error);
        assert_true(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
    }
    free(copy);
    aft_buffer_deinit(&out);
}

static void
compare_values(struct text *t, const struct aft_plan *p, avro_schema_t ws, avro_schema_t rs)
{
    avro_value_iface_t *wc = avro_generic_class_from_schema(ws),
                       *rc = avro_generic_class_from_schema(rs);
    avro_value_iface_t *resolved = avro_resolved_writer_new(ws, rs);
    if (!resolved)
        fail_msg("avro-c cannot resolve %.*s: %s", (int)t->w.n, (const char *)t->w.p,
                 avro_strerror());
    for (int i = 0; i < 4; i++) {
        avro_value_t v;
        struct aft_buffer body = {0}, want = {0}, got = {0};
        MUST(avro_generic_value_new(wc, &v));
        fill(&v, 0);
        aft_put_u8(&body, 0); /* so that an empty body has an address */
        body.n = 0;
        write_value(&v, &body);
        by_avro(resolved, rc, aft_buffer_bytes(&body), &want);
        enum aft_err err = aft_plan_run(p, aft_buffer_bytes(&body), &got, NULL, &error);
        if (err || !aft_same(aft_buffer_bytes(&want), aft_buffer_bytes(&got)))
            fail_msg("%s\nwriter %.*s\nreader %.*s", err ? error.message : "other bytes",
                     (int)t->w.n, (const char *)t->w.p, (int)t->r.n, (const char *)t->r.p);
        hostile_copies(p, aft_buffer_bytes(&body));
        aft_buffer_deinit(&body);
        aft_buffer_deinit(&want);
        aft_buffer_deinit(&got);
        avro_value_decref(&v);
    }
    avro_value_iface_decref(resolved);
    avro_value_iface_decref(wc);
    avro_value_iface_decref(rc);
}

static void
agrees_with_avro_c(void **state)
{
    (void)state;
    aft_random_init(&rng, kit_seed(4711), 2);
    for (long round = kit_rounds(400); round > 0; round--) {
        struct text t = {{0}, {0}};
        struct aft_schema *w, *r;
        struct aft_plan *p;
        avro_schema_t ws, rs;
        names = 0;
        make_record(&t, 0);
        assert_int_equal(aft_schema_parse(aft_buffer_bytes(&t.w), &w, &error), AFT_OK);
        assert_int_equal(aft_schema_parse(aft_buffer_bytes(&t.r), &r, &error), AFT_OK);
        if (aft_plan_compile(w, r, &p, &error))
            fail_msg("%s\nwriter %.*s", error.message, (int)t.w.n, (const char *)t.w.p);
        MUST(avro_schema_from_json_length((const char *)t.w.p, t.w.n, &ws));
        MUST(avro_schema_from_json_length((const char *)t.r.p, t.r.n, &rs));
        compare_values(&t, p, ws, rs);
        avro_schema_decref(ws);
        avro_schema_decref(rs);
        aft_plan_free(p);
        aft_schema_free(w);
        aft_schema_free(r);
        drop(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_avro_c)};
    return cmocka_run_group_tests_name("wire differential", tests, NULL, NULL);
}
