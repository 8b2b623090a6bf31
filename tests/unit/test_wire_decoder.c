/* test_wire_decoder.c - a topic's decoder: own schema, registry ids, what nobody knows, a registry that is down; hostile bytes
 * (counted, not timed: an error that names the bound, and no growth of memory); the JSON form. */
#include "tests/kit.h"

#include "wire/wire_avro.h"

static struct aft_error error;
static struct aft_arena arena;

static int
setup(void **state)
{
    (void)state;
    aft_arena_init(&arena, 16u << 20);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    aft_arena_deinit(&arena);
    return 0;
}

/* ---- a registry of one schema */
struct registry {
    const char *json;
    unsigned asked, down; /* down: how many times it does not answer */
};

static enum aft_err
by_id(void *ctx, uint32_t id, struct aft_buffer *json, struct aft_error *e)
{
    struct registry *r = ctx;
    r->asked++;
    if (r->down) {
        r->down--;
        return AFT_FAIL(e, AFT_E_AGAIN, "the registry is down");
    }
    if (id % 2)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA, "no schema %u", id);
    aft_put_raw(json, aft_text(r->json));
    return AFT_OK;
}

static struct aft_decoder *
decoder(enum aft_record record, struct registry *r)
{
    struct aft_decoder *d;
    struct aft_schema_port port = {0};
    if (r)
        port = (struct aft_schema_port){.ctx = r, .by_id = by_id};
    assert_int_equal(aft_decoder_new(record, port, &d, &error), AFT_OK);
    return d;
}

static void
put_tick(struct aft_buffer *b)
{
    struct aft_clock_record v = {3, AFT_CLOCK_TICK, AFT_OUTCOMES, 17, 1700000000000, AFT_ABSENT};
    aft_encode_clock(b, &v);
}

static void
own_values_are_borrowed(void **state)
{
    (void)state;
    struct aft_decoder *d = decoder(AFT_RECORD_CLOCK, NULL);
    struct aft_buffer b = {0};
    struct aft_bytes body;
    struct aft_clock_record v;
    aft_frame_put_single(&b, AFT_RECORD_CLOCK);
    put_tick(&b);
    assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error), AFT_OK);
    assert_ptr_equal(body.p, b.p + 10);
    assert_int_equal(aft_decode_clock(body, &v, &error), AFT_OK);
    assert_int_equal(v.at_offset, 17);
    b.p[5] ^= 1; /* another fingerprint */
    assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error),
                     AFT_E_UNKNOWN_SCHEMA);
    b.p[0] = 7;
    assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error), AFT_E_MAGIC);
    aft_buffer_deinit(&b);
    aft_decoder_free(d);
}

/* Clock as somebody else writes it: fields moved, no owner, epoch an int. */
#define FOREIGN                                                                            \
    "{\"type\":\"record\",\"name\":\"Clock\",\"namespace\":\"io.aftertouch\",\"fields\":[" \
    "{\"name\":\"watermark\",\"type\":\"long\"},{\"name\":\"epoch\",\"type\":\"int\"},"    \
    "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"ClockKind\","               \
    "\"symbols\":[\"TICK\",\"EPOCH\"]}},{\"name\":\"log\",\"type\":{\"type\":\"enum\","    \
    "\"name\":\"Log\",\"symbols\":[\"IMPRESSIONS\",\"OUTCOMES\"]}},"                       \
    "{\"name\":\"at_offset\",\"type\":\"int\"}]}"

static void
put_foreign(struct aft_buffer *b, uint32_t id)
{
    aft_frame_put_confluent(b, id);
    aft_put_long(b, 1700000000000);
    aft_put_long(b, 3);
    aft_put_long(b, 0);
    aft_put_long(b, 1);
    aft_put_long(b, 17);
}

static void
foreign_values_become_ours(void **state)
{
    (void)state;
    struct registry r = {.json = FOREIGN, .down = 2};
    struct aft_decoder *d = decoder(AFT_RECORD_CLOCK, &r);
    struct aft_buffer b = {0}, want = {0};
    struct aft_bytes body;
    put_foreign(&b, 2);
    put_tick(&want);
    for (int i = 0; i < 2; i++)
        assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error),
                         AFT_E_AGAIN);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error), AFT_OK);
        assert_true(aft_same(body, aft_buffer_bytes(&want)));
    }
    assert_int_equal(r.asked, 3); /* twice down, once answered, then remembered */
    b.n--;
    assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error),
                     AFT_E_MALFORMED);
    for (int i = 0; i < 5; i++) {
        aft_buffer_reset(&b);
        put_foreign(&b, 1);
        assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error),
                         AFT_E_UNKNOWN_SCHEMA);
    }
    assert_int_equal(r.asked,
                     8); /* what is unknown may be known soon: the port remembers, for a while */
    aft_buffer_deinit(&b);
    aft_buffer_deinit(&want);
    aft_decoder_free(d);
}

static void
schemas_that_do_not_fit_are_data_errors(void **state)
{
    (void)state;
    static const char *const schemas[] = {"{", "\"int\"",
                                          "{\"type\":\"record\",\"name\":\"Clock\",\"fields\":[]}"};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        struct registry r = {.json = schemas[i]};
        struct aft_decoder *d = decoder(AFT_RECORD_CLOCK, &r);
        struct aft_buffer b = {0};
        struct aft_bytes body;
        aft_frame_put_confluent(&b, 2);
        for (int k = 0; k < 3; k++) {
            enum aft_err err = aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error);
            assert_int_equal(aft_err_class(err), AFT_CLASS_DATA);
            assert_true(error.message[0] != 0);
        }
        assert_int_equal(r.asked, 1);
        aft_buffer_deinit(&b);
        aft_decoder_free(d);
    }
}

static void
many_schemas_share_the_ring(void **state)
{
    (void)state;
    struct registry r = {.json = FOREIGN};
    struct aft_decoder *d = decoder(AFT_RECORD_CLOCK, &r);
    struct aft_bytes body;
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t id = 0; id < 400; id += 2) {
            struct aft_buffer b = {0};
            put_foreign(&b, id);
            aft_arena_reset(&arena);
            assert_int_equal(aft_decoder_body(d, aft_buffer_bytes(&b), &arena, &body, &error),
                             AFT_OK);
            aft_buffer_deinit(&b);
        }
    assert_int_equal(r.asked, 600); /* a round is longer than the ring */
    aft_decoder_free(d);
}

/* ---- hostile bytes */
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"
#define EMPTY "{\"type\":\"record\",\"name\":\"Z\",\"fields\":[]}"
#define ITSELF "{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"s\",\"type\":\"S\"}]}"
#define CHAIN \
    "{\"type\":\"record\",\"name\":\"C\",\"fields\":[{\"name\":\"c\",\"type\":[\"null\",\"C\"]}]}"
#define FILLED                                                                             \
    "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Z\",\"fields\":["       \
    "{\"name\":\"x\",\"type\":\"string\",\"default\":\"0123456789012345678901234567890123" \
    "456789012345678901234567890123456789012345678901234567890123456789012345678901\"}]}}"

static enum aft_err
run_hostile(const char *writer, const char *reader, struct aft_bytes body)
{
    struct aft_schema *w, *r;
    struct aft_plan *p;
    struct aft_buffer out = {0};
    assert_int_equal(aft_schema_parse(aft_text(writer), &w, &error), AFT_OK);
    assert_int_equal(aft_schema_parse(aft_text(reader), &r, &error), AFT_OK);
    assert_int_equal(aft_plan_compile(w, r, &p, &error), AFT_OK);
    enum aft_err err = aft_plan_run(p, body, &out, NULL, &error);
    assert_true(out.cap <= 2 * AFT_RECORD_BYTES_MAX);
    aft_buffer_deinit(&out);
    aft_plan_free(p);
    aft_schema_free(w);
    aft_schema_free(r);
    return err;
}

static void
hostile_bytes_cost_little(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    aft_put_long(&b, 0x3fffffff); /* six bytes: a billion nulls */
    aft_put_u8(&b, 0);
    assert_int_equal(b.n, 6);
    struct aft_bytes nulls = aft_buffer_bytes(&b);
    assert_int_equal(run_hostile(ARRAY("\"null\""), ARRAY("\"null\""), nulls), AFT_E_LIMIT);
    assert_int_equal(run_hostile(ARRAY(EMPTY), ARRAY(EMPTY), nulls), AFT_E_LIMIT);
    assert_int_equal(run_hostile(ARRAY(EMPTY), FILLED, nulls), AFT_E_LIMIT);
    assert_int_equal(run_hostile(ARRAY(ARRAY("\"null\"")), ARRAY(ARRAY("\"null\"")), nulls),
                     AFT_E_LIMIT);
    b.n = 0;
    aft_put_long(&b, 60000); /* few enough items, but each brings 80 bytes by default */
    aft_put_u8(&b, 0);
    assert_int_equal(run_hostile(ARRAY("\"null\""), ARRAY("\"null\""), aft_buffer_bytes(&b)),
                     AFT_OK);
    assert_int_equal(run_hostile(ARRAY(EMPTY), FILLED, aft_buffer_bytes(&b)), AFT_E_LIMIT);
    b.n = 0;
    for (int i = 0; i < 70000; i++)
        aft_put_u8(&b, 2);
    assert_int_equal(run_hostile(CHAIN, CHAIN, aft_buffer_bytes(&b)), AFT_E_LIMIT);
    assert_int_equal(run_hostile(ITSELF, ITSELF, aft_buffer_bytes(&b)), AFT_E_LIMIT);
    b.n = 0;
    aft_put_long(&b, -5);
    aft_put_long(&b, -5);
    assert_int_equal(run_hostile(ARRAY("\"int\""), ARRAY("\"int\""), aft_buffer_bytes(&b)),
                     AFT_E_MALFORMED);
    b.n = 0;
    aft_put_long(&b, -5);
    assert_int_equal(run_hostile("\"bytes\"", "\"bytes\"", aft_buffer_bytes(&b)), AFT_E_MALFORMED);
    b.n = 0;
    aft_put_long(&b, INT64_MAX);
    assert_int_equal(run_hostile("\"bytes\"", "\"bytes\"", aft_buffer_bytes(&b)), AFT_E_MALFORMED);
    aft_buffer_deinit(&b);
}

/* A record of records of ... that doubles at each level and has no bytes: 2^40 calls if nobody counted. */
static void
schemas_that_double_are_bounded(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    char s[200];
    snprintf(s, sizeof s,
             "{\"type\":\"record\",\"name\":\"Top\",\"fields\":["
             "{\"name\":\"d\",\"type\":" EMPTY "}");
    aft_put_raw(&b, aft_text(s));
    for (int i = 0; i < 40; i++) {
        const char *of = "Z";
        char last[16];
        if (i) {
            snprintf(last, sizeof last, "L%d", i - 1);
            of = last;
        }
        snprintf(s, sizeof s,
                 ",{\"name\":\"x%d\",\"type\":{\"type\":\"record\",\"name\":\"L%d\",\"fields\":["
                 "{\"name\":\"a\",\"type\":\"%s\"},{\"name\":\"b\",\"type\":\"%s\"}]}}",
                 i, i, of, of);
        aft_put_raw(&b, aft_text(s));
    }
    aft_put_raw(&b, AFT_LITERAL("]}"));
    aft_put_u8(&b, 0);
    struct aft_schema *w;
    struct aft_plan *p = NULL;
    struct aft_buffer out = {0};
    b.n--;
    assert_int_equal(aft_schema_parse(aft_buffer_bytes(&b), &w, &error), AFT_OK);
    assert_int_equal(aft_plan_compile(w, w, &p, &error), AFT_OK);
    assert_int_equal(aft_plan_run(p, AFT_LITERAL(""), &out, NULL, &error), AFT_E_LIMIT);
    aft_buffer_deinit(&out);
    aft_plan_free(p);
    aft_schema_free(w);
    aft_buffer_deinit(&b);
}

/* ---- JSON */
static void
json_for_people(void **state)
{
    (void)state;
    struct aft_schema *s;
    struct aft_buffer b = {0}, out = {0};
    assert_int_equal(aft_schema_parse(aft_record_schema(AFT_RECORD_OUTCOME), &s, &error), AFT_OK);
    struct aft_outcome v = {.outcome_id = AFT_LITERAL("a\"\n\xc3\xa9\xff"),
                            .user_id = AFT_LITERAL("u"),
                            .timestamp_ms = 5,
                            .kind = AFT_LITERAL("k"),
                            .value_micro = 100000};
    aft_encode_outcome(&b, &v);
    assert_int_equal(aft_json_of(s, aft_buffer_bytes(&b), &out, &error), AFT_OK);
    aft_put_u8(&out, 0);
    assert_string_equal((char *)out.p,
                        "{\"outcome_id\":\"a\\\"\\u000a\xc3\xa9\\ufffd\",\"user_id\":\"u\","
                        "\"timestamp\":5,\"kind\":\"k\",\"value\":0.1,\"decision_id\":null,"
                        "\"arm_id\":null,\"subject\":null,\"session_id\":null,\"retracts\":null}");
    for (size_t n = 0; n < b.n; n++) {
        size_t before = out.n;
        assert_int_equal(aft_json_of(s, (struct aft_bytes){b.p, n}, &out, &error), AFT_E_MALFORMED);
        assert_int_equal(out.n, before);
    }
    aft_schema_free(s);
    assert_int_equal(aft_schema_parse(aft_text(ARRAY("\"null\"")), &s, &error), AFT_OK);
    b.n = 0;
    aft_put_long(&b, 0x3fffffff);
    aft_put_u8(&b, 0);
    assert_int_equal(aft_json_of(s, aft_buffer_bytes(&b), &out, &error), AFT_E_LIMIT);
    aft_schema_free(s);
    aft_buffer_deinit(&b);
    aft_buffer_deinit(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_values_are_borrowed),
        cmocka_unit_test(foreign_values_become_ours),
        cmocka_unit_test(schemas_that_do_not_fit_are_data_errors),
        cmocka_unit_test(many_schemas_share_the_ring),
        cmocka_unit_test(hostile_bytes_cost_little),
        cmocka_unit_test(schemas_that_double_are_bounded),
        cmocka_unit_test(json_for_people),
    };
    return cmocka_run_group_tests_name("wire decoder", tests, setup, teardown);
}
