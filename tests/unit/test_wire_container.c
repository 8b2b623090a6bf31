/* test_wire_container.c - container files: ours go round (plain and enveloped, null values, many blocks, byte for byte the same),
 * avro-c's are read (codecs null and deflate, another writer's schema), damaged ones are refused at every cut and never crash. */
#include "tests/kit.h"

#include <avro.h>
#include <unistd.h>

#include "wire/wire_avro.h"

static struct aft_error error;
static char path[64], other[64];

static int
setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/aft-container-XXXXXX");
    snprintf(other, sizeof other, "/tmp/aft-container-XXXXXX");
    int a = mkstemp(path), b = mkstemp(other);
    if (a < 0 || b < 0)
        return -1;
    close(a);
    close(b);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return 0;
}

static void
outcome_body(struct aft_buffer *b, unsigned i)
{
    char id[32];
    snprintf(id, sizeof id, "outcome-%u", i);
    struct aft_outcome v = {.outcome_id = aft_text(id),
                            .user_id = AFT_LITERAL("user"),
                            .timestamp_ms = 1700000000000 + i,
                            .kind = AFT_LITERAL("click"),
                            .value_micro = 1000000,
                            .subject = i & 1 ? AFT_LITERAL("task") : AFT_ABSENT};
    aft_encode_outcome(b, &v);
}

static void
write_outcomes(const char *to, bool enveloped, unsigned n)
{
    struct aft_file_writer *w;
    struct aft_buffer b = {0};
    assert_int_equal(aft_file_create(to, AFT_RECORD_OUTCOME, enveloped, &w, &error), AFT_OK);
    for (unsigned i = 0; i < n; i++) {
        aft_buffer_reset(&b);
        outcome_body(&b, i);
        struct aft_file_record r = {i * 2, 5000 + i, i % 3 ? AFT_LITERAL("user") : AFT_ABSENT,
                                    aft_buffer_bytes(&b)};
        if (enveloped && i % 7 == 6)
            r.body = AFT_ABSENT;
        assert_int_equal(aft_file_append(w, &r, &error), AFT_OK);
    }
    assert_int_equal(aft_file_finish(w, &error), AFT_OK);
    aft_buffer_deinit(&b);
}

static void
check_outcomes(const char *from, bool enveloped, unsigned n)
{
    struct aft_file_reader *f;
    struct aft_buffer want = {0};
    bool end;
    if (aft_file_open(from, AFT_RECORD_OUTCOME, enveloped, &f, &error))
        fail_msg("%s", error.message);
    for (unsigned i = 0; i < n; i++) {
        struct aft_file_record r;
        if (aft_file_next(f, &r, &end, &error))
            fail_msg("record %u: %s", i, error.message);
        assert_false(end);
        aft_buffer_reset(&want);
        outcome_body(&want, i);
        if (enveloped && i % 7 == 6)
            assert_null(r.body.p);
        else
            assert_true(aft_same(r.body, aft_buffer_bytes(&want)));
        if (enveloped) {
            assert_int_equal(r.offset, i * 2);
            assert_int_equal(r.log_timestamp_ms, 5000 + i);
            assert_int_equal(r.key.p != NULL, i % 3 != 0);
            assert_true(i % 3 == 0 || aft_same(r.key, AFT_LITERAL("user")));
        }
    }
    struct aft_file_record r;
    assert_int_equal(aft_file_next(f, &r, &end, &error), AFT_OK);
    assert_true(end);
    aft_file_close(f);
    aft_buffer_deinit(&want);
}

static struct aft_bytes
slurp(const char *name)
{
    FILE *f = fopen(name, "rb");
    struct aft_buffer b = {0};
    assert_non_null(f);
    for (;;) {
        uint8_t *p = aft_reserve(&b, 65536);
        size_t n = fread(p, 1, 65536, f);
        b.n += n;
        if (n == 0)
            break;
    }
    fclose(f);
    return aft_buffer_bytes(&b);
}

static void
spit(const char *name, struct aft_bytes b)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
    fclose(f);
}

static void
release(struct aft_bytes b)
{
    free((void *)(uintptr_t)b.p);
}

static void
files_go_round(void **state)
{
    (void)state;
    for (int enveloped = 0; enveloped < 2; enveloped++)
        for (unsigned n = 0; n <= 20000; n = n ? 100 * n : 2) {
            write_outcomes(path, enveloped, n);
            check_outcomes(path, enveloped, n);
            write_outcomes(other, enveloped, n);
            struct aft_bytes a = slurp(path), b = slurp(other);
            assert_true(aft_same(a, b));
            release(a);
            release(b);
        }
}

static void
plain_files_hold_no_null(void **state)
{
    (void)state;
    struct aft_file_writer *w;
    struct aft_file_record r = {0};
    assert_int_equal(aft_file_create(path, AFT_RECORD_OUTCOME, false, &w, &error), AFT_OK);
    assert_int_equal(aft_file_append(w, &r, &error), AFT_E_USAGE);
    assert_int_equal(aft_file_finish(w, &error), AFT_OK);
}

/* How many records can be read before an error; -1: none, it does not open. */
static int
readable(const char *name, bool *failed)
{
    struct aft_file_reader *f;
    struct aft_file_record r;
    bool end = false;
    int n = 0;
    *failed = true;
    if (aft_file_open(name, AFT_RECORD_OUTCOME, true, &f, &error))
        return -1;
    while (!aft_file_next(f, &r, &end, &error) && !end)
        n++;
    *failed = !end;
    aft_file_close(f);
    return n;
}

static void
damaged_files_are_refused(void **state)
{
    (void)state;
    struct aft_random rng;
    aft_random_init(&rng, kit_seed(99), 3);
    write_outcomes(path, true, 3);
    struct aft_bytes whole = slurp(path);
    bool failed;
    assert_int_equal(readable(path, &failed), 3);
    size_t header = whole.n;
    for (size_t n = 0; n < whole.n; n++) {
        spit(other, (struct aft_bytes){whole.p, n});
        int got = readable(other, &failed);
        if (!failed) { /* a file that ends between blocks is whole: here, the header alone */
            assert_int_equal(got, 0);
            assert_int_equal(header, whole.n);
            header = n;
        }
    }
    assert_true(header < whole.n);
    uint8_t *copy = malloc(whole.n);
    assert_non_null(copy);
    for (long i = kit_rounds(500); i; i--) {
        memcpy(copy, whole.p, whole.n);
        copy[aft_random_below(&rng, (uint32_t)whole.n)] = (uint8_t)aft_random_u32(&rng);
        spit(other, (struct aft_bytes){copy, whole.n});
        assert_in_range(readable(other, &failed) + 1, 0, 100000);
    }
    free(copy);
    release(whole);
}

/* ---- files of avro-c's, whose schema has other types and another order */
#define WRITER                                                                                  \
    "{\"type\":\"record\",\"name\":\"Outcome\",\"namespace\":\"io.aftertouch\",\"fields\":["    \
    "{\"name\":\"user_id\",\"type\":\"string\"},{\"name\":\"extra\",\"type\":\"int\"},"         \
    "{\"name\":\"outcome_id\",\"type\":\"string\"},{\"name\":\"timestamp\",\"type\":\"long\"}," \
    "{\"name\":\"kind\",\"type\":\"string\"},"                                                  \
    "{\"name\":\"subject\",\"type\":[\"string\",\"null\"]}]}"

static void
set(avro_value_t *v, const char *name, const char *text)
{
    avro_value_t f;
    assert_int_equal(avro_value_get_by_name(v, name, &f, NULL), 0);
    assert_int_equal(avro_value_set_string(&f, text), 0);
}

static void
fill_foreign(avro_value_t *v, unsigned i)
{
    avro_value_t f, branch;
    char id[32];
    snprintf(id, sizeof id, "outcome-%u", i);
    set(v, "outcome_id", id);
    set(v, "user_id", "user");
    set(v, "kind", "click");
    assert_int_equal(avro_value_get_by_name(v, "extra", &f, NULL), 0);
    assert_int_equal(avro_value_set_int(&f, 77), 0);
    assert_int_equal(avro_value_get_by_name(v, "timestamp", &f, NULL), 0);
    assert_int_equal(avro_value_set_long(&f, 1700000000000 + i), 0);
    assert_int_equal(avro_value_get_by_name(v, "subject", &f, NULL), 0);
    assert_int_equal(avro_value_set_branch(&f, i & 1 ? 0 : 1, &branch), 0);
    if (i & 1)
        assert_int_equal(avro_value_set_string(&branch, "task"), 0);
    else
        assert_int_equal(avro_value_set_null(&branch), 0);
}

static void
foreign_files_are_read(void **state)
{
    (void)state;
    static const char *const codecs[] = {"null", "deflate"};
    avro_schema_t schema;
    assert_int_equal(avro_schema_from_json_length(WRITER, sizeof WRITER - 1, &schema), 0);
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    for (int c = 0; c < 2; c++) {
        avro_file_writer_t w;
        unlink(path);
        assert_int_equal(avro_file_writer_create_with_codec(path, schema, &w, codecs[c], 0), 0);
        for (unsigned i = 0; i < 1000; i++) {
            avro_value_t v;
            assert_int_equal(avro_generic_value_new(class, &v), 0);
            fill_foreign(&v, i);
            assert_int_equal(avro_file_writer_append_value(w, &v), 0);
            avro_value_decref(&v);
        }
        assert_int_equal(avro_file_writer_close(w), 0);
        check_outcomes(path, false, 1000); /* the value's default is 1.0 */
    }
    avro_value_iface_decref(class);
    avro_schema_decref(schema);
}

static void
other_records_are_refused(void **state)
{
    (void)state;
    struct aft_file_reader *f;
    write_outcomes(path, true, 3);
    assert_int_equal(aft_file_open(path, AFT_RECORD_IMPRESSION, true, &f, &error), AFT_E_SCHEMA);
    assert_int_equal(aft_file_open(path, AFT_RECORD_OUTCOME, false, &f, &error), AFT_E_SCHEMA);
    assert_int_equal(aft_file_open("/nowhere/x", AFT_RECORD_OUTCOME, false, &f, &error), AFT_E_IO);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_go_round),
        cmocka_unit_test(plain_files_hold_no_null),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(foreign_files_are_read),
        cmocka_unit_test(other_records_are_refused),
    };
    return cmocka_run_group_tests_name("wire container", tests, setup, teardown);
}
