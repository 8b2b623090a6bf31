/* test_wire_plan.c - schemas and plans: fingerprints; a differential test against avro-c over random schemas and values, where
 * avro-c resolves; cases by hand where it does not (defaults, aliases, string and bytes, enums). */
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

static struct aft_schema *
schema(const char *json)
{
    struct aft_schema *s = NULL;
    if (aft_schema_parse(aft_text(json), &s, &error))
        fail_msg("%s: %s", json, error.message);
    return s;
}

static enum aft_err
compile(const char *writer, const char *reader, struct aft_plan **p)
{
    struct aft_schema *w = schema(writer), *r = schema(reader);
    enum aft_err err = aft_plan_compile(w, r, p, &error);
    aft_schema_free(w);
    aft_schema_free(r);
    return err;
}

/* ---- schemas */
static void
fingerprints_are_what_the_header_says(void **state)
{
    (void)state;
    for (int r = 0; r < AFT_RECORD_COUNT; r++) {
        struct aft_schema *s;
        struct aft_bytes text = aft_record_schema((enum aft_record)r);
        assert_int_equal(aft_schema_parse(text, &s, &error), AFT_OK);
        assert_true(aft_schema_fingerprint(s) == aft_record_fingerprint((enum aft_record)r));
        assert_true(aft_same(aft_schema_text(s), text));
        aft_schema_free(s);
    }
    static const struct {
        const char *json;
        uint64_t fingerprint;
    } known[] = {/* the specification's own example, and Java's published values */
                 {"\"null\"", 0x63dd24e7cc258f8au},
                 {"\"int\"", 0x7275d51a3f395c8fu},
                 {"{\"type\":\"string\"}", 0x8f014872634503c7u}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct aft_schema *s = schema(known[i].json);
        assert_true(aft_schema_fingerprint(s) == known[i].fingerprint);
        aft_schema_free(s);
    }
}

static void
wrong_schemas_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "{",
        "17",
        "\"strnig\"",
        "[]",
        "[[\"int\"]]",
        "{\"type\":\"record\",\"name\":\"A\"}",
        "{\"type\":\"enum\",\"name\":\"A\",\"symbols\":[]}",
        "{\"type\":\"enum\",\"name\":\"A\",\"symbols\":[\"X\",\"X\"]}",
        "{\"type\":\"fixed\",\"name\":\"A\",\"size\":-1}",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"x\"}]}",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"B\"}]}",
        "{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"},"
        "{\"name\":\"x\",\"type\":\"int\"}]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct aft_schema *s = NULL;
        assert_int_equal(aft_schema_parse(aft_text(wrong[i]), &s, &error), AFT_E_SCHEMA);
        assert_null(s);
    }
    struct aft_buffer deep = {0};
    for (int i = 0; i < 100000; i++)
        aft_put_raw(&deep, AFT_LITERAL("{\"type\":\"array\",\"items\":"));
    struct aft_schema *s = NULL;
    assert_int_equal(aft_schema_parse(aft_buffer_bytes(&deep), &s, &error), AFT_E_SCHEMA);
    aft_buffer_deinit(&deep);
}

/* ---- by hand */
struct hand {
    const char *writer, *reader;
    const char *in, *out; /* hexadecimal; out NULL: refused as data */
};

static size_t
unhex(const char *s, uint8_t *out)
{
    size_t n = 0;
    for (; s[0] && s[1]; s += 2, n++) {
        char two[3] = {s[0], s[1], 0};
        out[n] = (uint8_t)strtoul(two, NULL, 16);
    }
    return n;
}

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define DEFAULT(name, type, d) "{\"name\":\"" name "\",\"type\":" type ",\"default\":" d "}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":\"" items "\"}"
#define ENUM(symbols, more) "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[" symbols "]" more "}"

static const struct hand hands[] = {
    /* the reader's defaults, of every type */
    {RECORD(""), RECORD(DEFAULT("a", "\"int\"", "-1")), "", "01"},
    {RECORD(""), RECORD(DEFAULT("a", "\"double\"", "1")), "", "000000000000f03f"},
    {RECORD(""), RECORD(DEFAULT("a", "\"float\"", "0.5")), "", "0000003f"},
    {RECORD(""), RECORD(DEFAULT("a", "\"string\"", "\"x\\u00e9\"")), "", "0678c3a9"},
    {RECORD(""), RECORD(DEFAULT("a", "\"bytes\"", "\"\\u0001\\u00ff\"")), "", "0401ff"},
    {RECORD(""), RECORD(DEFAULT("a", "\"boolean\"", "true")), "", "01"},
    {RECORD(""), RECORD(DEFAULT("a", "[\"null\",\"int\"]", "null")), "", "00"},
    {RECORD(""), RECORD(DEFAULT("a", "[\"int\",\"null\"]", "7")), "", "000e"},
    {RECORD(""), RECORD(DEFAULT("a", "{\"type\":\"array\",\"items\":\"int\"}", "[]")), "", "00"},
    {RECORD(""), RECORD(DEFAULT("a", "{\"type\":\"array\",\"items\":\"int\"}", "[1,2]")), "",
     "04020400"},
    {RECORD(""), RECORD(DEFAULT("a", "{\"type\":\"map\",\"values\":\"int\"}", "{\"k\":3}")), "",
     "02026b0600"},
    {RECORD(""),
     RECORD(DEFAULT("a", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "\"\\u0080z\"")), "",
     "807a"},
    {RECORD(""), RECORD(DEFAULT("a", ENUM("\"X\",\"Y\"", ""), "\"Y\"")), "", "02"},
    {RECORD(""),
     RECORD(DEFAULT("a",
                    "{\"type\":\"record\",\"name\":\"S\",\"fields\":[" DEFAULT(
                        "x", "\"int\"", "4") "," FIELD("y", "\"int\"") "]}",
                    "{\"y\":5}")),
     "", "080a"},
    /* fields dropped, added, moved */
    {RECORD(FIELD("a", "\"int\"") "," FIELD("b", "\"string\"") "," FIELD("c", "\"int\"")),
     RECORD(FIELD("c", "\"long\"") "," DEFAULT("d", "\"int\"", "9") "," FIELD("a", "\"int\"")),
     "020462620a", "0a1202"},
    {RECORD(FIELD("a", "\"int\"") "," FIELD("b", "\"string\"") "," FIELD("c", "\"int\"")),
     RECORD(
         DEFAULT("z", "\"int\"", "1") "," FIELD("b", "\"bytes\"") "," DEFAULT("y", "\"int\"", "2")),
     "020462620a", "0204626204"},
    /* aliases of fields and of types */
    {RECORD(FIELD("old", "\"int\"")),
     RECORD("{\"name\":\"new\",\"type\":\"int\",\"aliases\":[\"x\",\"old\"]}"), "06", "06"},
    {"{\"type\":\"record\",\"name\":\"Old\",\"namespace\":\"a\",\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"New\",\"aliases\":[\"a.Old\"],\"fields\":[]}", "", ""},
    {"{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"b.R\",\"fields\":[]}", "", ""},
    /* promotions */
    {"\"int\"", "\"double\"", "01", "000000000000f0bf"},
    {"\"long\"", "\"float\"", "04", "00000040"},
    {"\"float\"", "\"double\"", "0000003f", "000000000000e03f"},
    {"\"int\"", "\"long\"", "fe01", "fe01"},
    {"\"int\"", "\"long\"", "8080808080808001", NULL}, /* past 32 bits: it was no int */
    /* enums by symbol */
    {ENUM("\"A\",\"B\",\"C\"", ""), ENUM("\"C\",\"A\"", ""), "00", "02"},
    {ENUM("\"A\",\"B\",\"C\"", ""), ENUM("\"C\",\"A\"", ""), "04", "00"},
    {ENUM("\"A\",\"B\",\"C\"", ""), ENUM("\"C\",\"A\"", ""), "02", NULL},
    {ENUM("\"A\",\"B\",\"C\"", ""), ENUM("\"C\",\"A\"", ",\"default\":\"A\""), "02", "02"},
    {ENUM("\"A\"", ""), ENUM("\"A\",\"B\"", ""), "02", NULL},
    /* unions */
    {"\"string\"", "[\"null\",\"string\"]", "0278", "020278"},
    {"\"bytes\"", "[\"null\",\"string\"]", "0278", "020278"},
    {"\"int\"", "[\"null\",\"double\",\"int\"]", "02", "0402"},
    {"[\"null\",\"string\"]", "\"string\"", "020278", "0278"},
    {"[\"null\",\"string\"]", "\"string\"", "00", NULL},
    {"[\"null\",\"string\"]", "[\"string\",\"null\"]", "00", "02"},
    {"[\"null\",\"int\"]", "[\"null\",\"double\"]", "0202", "02000000000000f03f"},
    {"[\"null\",\"int\"]", "[\"null\",\"long\"]", "0203", "0203"},
    {"[\"null\",\"int\"]", "[\"null\",\"int\"]", "04", NULL},
    /* lists: negative counts and many blocks become one block */
    {"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"int\"}",
     "0304020400", "04020400"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"long\"}",
     "02020204020600", "0602040600"},
    {ARRAY("int"), ARRAY("float"), "020201020400", "040000803f0000004000"},
    {ARRAY("int"), ARRAY("float"), "0202010202020400", "060000803f0000803f0000004000"},
    {ARRAY("int"), ARRAY("float"), "020204", NULL},
    {ARRAY("int"), ARRAY("float"), "010a020400", NULL}, /* a block larger than what is left */
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"map\",\"values\":\"long\"}",
     "0206026b0400", NULL},
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"map\",\"values\":\"long\"}",
     "0106026b0400", "02026b0400"},
    /* values that are none */
    {"\"boolean\"", "\"boolean\"", "02", NULL},
    {"\"string\"", "\"string\"", "01", NULL},
    {"\"string\"", "\"string\"", "0461", NULL},
    {"\"long\"", "\"long\"", "ffffffffffffffffffffff01", NULL},
    {"\"int\"", "\"int\"", "0200", NULL}, /* a byte too many */
};

static void
cases_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hands / sizeof *hands; i++) {
        const struct hand *h = &hands[i];
        struct aft_plan *p = NULL;
        struct aft_buffer out = {0};
        uint8_t in[64], want[64];
        size_t in_n = unhex(h->in, in);
        if (compile(h->writer, h->reader, &p))
            fail_msg("case %zu: %s", i, error.message);
        enum aft_err err = aft_plan_run(p, (struct aft_bytes){in, in_n}, &out, NULL, &error);
        if (h->out ? err != AFT_OK : aft_err_class(err) != AFT_CLASS_DATA)
            fail_msg("case %zu (%s): error %d %s", i, h->writer, err, err ? error.message : "");
        if (h->out) {
            size_t want_n = unhex(h->out, want);
            char got[129];
            aft_hex(out.p, out.n < 64 ? out.n : 64, got);
            if (out.n != want_n || (want_n && memcmp(out.p, want, want_n) != 0))
                fail_msg("case %zu (%s -> %s): want %s, got %s", i, h->writer, h->reader, h->out,
                         got);
        } else {
            assert_int_equal(out.n, 0);
        }
        aft_buffer_deinit(&out);
        aft_plan_free(p);
    }
}

static void
what_cannot_be_resolved_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *writer, *reader, *words;
    } cases[] = {
        {RECORD(""), RECORD(FIELD("user_id", "\"string\"")),
         "R.user_id: the writer has no such field and the reader no default"},
        {RECORD(FIELD("a", "\"string\"")), RECORD(FIELD("a", "\"int\"")), "R.a"},
        {RECORD(FIELD("a", "\"long\"")), RECORD(FIELD("a", "\"int\"")), "R.a"},
        {RECORD(""), RECORD(DEFAULT("a", "\"int\"", "\"x\"")), "R.a: the reader's default"},
        {RECORD(""), RECORD(DEFAULT("a", "\"int\"", "2147483648")), "R.a: the reader's default"},
        {RECORD(""), RECORD(DEFAULT("a", ENUM("\"X\"", ""), "\"Y\"")), "R.a: the reader's default"},
        {RECORD(FIELD("a", "[\"null\",\"string\"]")), RECORD(FIELD("a", "\"int\"")), "R.a"},
        {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}",
         "{\"type\":\"record\",\"name\":\"B\",\"fields\":[]}", "B"},
        {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
         "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "F"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct aft_plan *p = NULL;
        enum aft_err err = compile(cases[i].writer, cases[i].reader, &p);
        if (err != AFT_E_SCHEMA || !strstr(error.message, cases[i].words))
            fail_msg("case %zu: %d %s", i, err, err ? error.message : "");
        assert_null(p);
    }
}

static void
our_schemas_are_identities(void **state)
{
    (void)state;
    for (int r = 0; r < AFT_RECORD_COUNT; r++) {
        struct aft_schema *s;
        struct aft_plan *p;
        assert_int_equal(aft_schema_parse(aft_record_schema((enum aft_record)r), &s, &error),
                         AFT_OK);
        assert_int_equal(aft_plan_compile(s, s, &p, &error), AFT_OK);
        assert_true(aft_plan_identity(p));
        aft_plan_free(p);
        aft_schema_free(s);
    }
    static const struct {
        const char *writer, *reader;
        bool same;
    } cases[] = {
        {"\"int\"", "\"long\"", true},
        {"\"string\"", "\"bytes\"", true},
        {"\"int\"", "\"float\"", false},
        {"[\"null\",\"int\"]", "[\"null\",\"int\"]", true},
        {"[\"int\",\"null\"]", "[\"null\",\"int\"]", false},
        {"[\"null\",\"int\"]", "[\"null\",\"int\",\"string\"]", true},
        {RECORD(FIELD("a", "\"int\"")), RECORD(FIELD("a", "\"int\"")), true},
        {RECORD(FIELD("a", "\"int\"") "," FIELD("n", "\"null\"")), RECORD(FIELD("a", "\"int\"")),
         true},
        {RECORD(FIELD("a", "\"int\"") "," FIELD("b", "\"int\"")), RECORD(FIELD("a", "\"int\"")),
         false},
        {ENUM("\"A\",\"B\"", ""), ENUM("\"A\",\"B\",\"C\"", ""), true},
        {ENUM("\"B\",\"A\"", ""), ENUM("\"A\",\"B\"", ""), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct aft_plan *p = NULL;
        assert_int_equal(compile(cases[i].writer, cases[i].reader, &p), AFT_OK);
        assert_int_equal(aft_plan_identity(p), cases[i].same);
        aft_plan_free(p);
    }
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
    for (uint32_t n = depth > 6 ? 0 : below(4), i = 0; i < n; i++) {
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
    size_t n;
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprints_are_what_the_header_says),
        cmocka_unit_test(wrong_schemas_are_refused),
        cmocka_unit_test(cases_by_hand),
        cmocka_unit_test(what_cannot_be_resolved_is_named),
        cmocka_unit_test(our_schemas_are_identities),
        cmocka_unit_test(agrees_with_avro_c),
    };
    return cmocka_run_group_tests_name("wire plan", tests, NULL, NULL);
}
