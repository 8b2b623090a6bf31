/* test_wire_plan.c - schemas and plans by hand: fingerprints, wrong schemas, and what avro-c cannot resolve (defaults, aliases, string
 * and bytes, enums). What it can is test_wire_differential.c. */
#include "tests/kit.h"

#include "wire/wire_avro.h"

static struct aft_error error;

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

/* ---- pieces of schemas */
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define DEFAULT(name, type, d) "{\"name\":\"" name "\",\"type\":" type ",\"default\":" d "}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":\"" items "\"}"
#define ENUM(symbols, more) "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[" symbols "]" more "}"

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
        RECORD(FIELD("x", "\"int\"") "," FIELD("x", "\"int\""))};
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
    {"\"long\"", "\"float\"", "828080808084808020",
     "0100805d"}, /* rounded once, not by way of a double */
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprints_are_what_the_header_says),
        cmocka_unit_test(wrong_schemas_are_refused),
        cmocka_unit_test(cases_by_hand),
        cmocka_unit_test(what_cannot_be_resolved_is_named),
        cmocka_unit_test(our_schemas_are_identities),
    };
    return cmocka_run_group_tests_name("wire plan", tests, NULL, NULL);
}
