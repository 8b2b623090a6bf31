/* test_base.c - the words of the house: known answers and properties of bytes, arena, hashes, random numbers, errors. */
#include "tests/kit.h"

#include <locale.h>
#include <math.h>

#include "base/base.h"

static void
long_round_trips_and_refuses_cut_bytes(void **state)
{
    (void)state;
    const int64_t v[] = {0,   -1,  1,         63,        -64,       64,
                         127, 128, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct aft_buffer b = {0};
        int64_t got = 0;
        aft_put_long(&b, v[i]);
        for (size_t cut = 0; cut < b.n; cut++) {
            struct aft_reader r = aft_reader((struct aft_bytes){b.p, cut});
            assert_false(aft_get_long(&r, &got));
        }
        struct aft_reader r = aft_reader(aft_buffer_bytes(&b));
        assert_true(aft_get_long(&r, &got));
        assert_true(got == v[i] && aft_left(&r) == 0);
        aft_buffer_deinit(&b);
    }
}

static void
long_of_eleven_bytes_is_refused(void **state)
{
    (void)state;
    const uint8_t endless[11] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    struct aft_reader r = aft_reader((struct aft_bytes){endless, sizeof endless});
    int64_t got;
    assert_false(aft_get_long(&r, &got));
}

static void
bytes_obey_their_bound(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_bytes got;
    aft_put_bytes(&b, AFT_LITERAL("abcdef"));
    struct aft_reader r = aft_reader(aft_buffer_bytes(&b));
    assert_false(aft_get_bytes(&r, 5, &got));
    r = aft_reader(aft_buffer_bytes(&b));
    assert_true(aft_get_bytes(&r, 6, &got));
    assert_true(aft_same(got, AFT_LITERAL("abcdef")));
    aft_buffer_deinit(&b);
}

static void
compare_orders_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(aft_compare(AFT_LITERAL("a"), AFT_LITERAL("b")) < 0);
    assert_true(aft_compare(AFT_LITERAL("ab"), AFT_LITERAL("a")) > 0);
    assert_int_equal(aft_compare(AFT_LITERAL(""), AFT_LITERAL("")), 0);
}

static void
arena_is_bounded_aligned_and_warm_after_reset(void **state)
{
    (void)state;
    struct aft_arena a;
    aft_arena_init(&a, 1 << 20);
    uint8_t *first = aft_arena_take(&a, 100);
    assert_non_null(first);
    assert_int_equal((uintptr_t)first % 16, 0);
    assert_non_null(aft_arena_take(&a, 500000)); /* larger than a chunk */
    assert_null(aft_arena_take(&a, 1 << 20));    /* past the bound */
    assert_non_null(aft_arena_take(&a, 1000));   /* still usable */
    aft_arena_reset(&a);
    assert_ptr_equal(aft_arena_take(&a, 100), first);
    aft_arena_deinit(&a);
}

static void
murmur2_is_javas(void **state)
{
    (void)state;
    /* from Kafka's own UtilsTest */
    assert_int_equal((int32_t)aft_murmur2(AFT_LITERAL("21")), -973932308);
    assert_int_equal((int32_t)aft_murmur2(AFT_LITERAL("foobar")), -790332482);
    assert_int_equal((int32_t)aft_murmur2(AFT_LITERAL("a-little-bit-long-string")), -985981536);
    assert_int_equal((int32_t)aft_murmur2(AFT_LITERAL("a-little-bit-longer-string")), -1486304829);
    assert_int_equal(
        (int32_t)aft_murmur2(AFT_LITERAL("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8")),
        -58897971);
    assert_int_equal((int32_t)aft_murmur2(AFT_LITERAL("abc")), 479470107);
}

static void
avro_fingerprint_of_a_primitive(void **state)
{
    (void)state;
    /* Avro's specification: the fingerprint of "int" is 0x7275d51a3f395c8f */
    assert_true(aft_crc64_avro(AFT_LITERAL("\"int\"")) == 0x7275d51a3f395c8full);
}

static void
philox_known_answers(void **state)
{
    (void)state;
    uint32_t out[4];
    aft_philox((const uint32_t[2]){0, 0}, (const uint32_t[4]){0, 0, 0, 0}, out);
    assert_true(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c &&
                out[3] == 0x9b00dbd8);
    const uint32_t f = 0xffffffff;
    aft_philox((const uint32_t[2]){f, f}, (const uint32_t[4]){f, f, f, f}, out);
    assert_true(out[0] == 0x408f276d && out[1] == 0x41c83b0e && out[2] == 0xa20bc7c6 &&
                out[3] == 0x6d5451fd);
}

static void
random_laws_have_their_moments(void **state)
{
    (void)state;
    struct aft_random r;
    double sum = 0, square = 0, exponential = 0;
    long counts[7] = {0};
    enum { N = 200000 };
    aft_random_init(&r, kit_seed(1), 0);
    for (int i = 0; i < N; i++) {
        double z = aft_random_normal(&r);
        sum += z;
        square += z * z;
        exponential += aft_random_exponential(&r);
        counts[aft_random_below(&r, 7)]++;
    }
    assert_true(fabs(sum / N) < 0.012 && fabs(square / N - 1) < 0.02);
    assert_true(fabs(exponential / N - 1) < 0.012);
    double chi = 0;
    for (int i = 0; i < 7; i++)
        chi += pow((double)counts[i] - N / 7., 2) / (N / 7.);
    assert_true(chi < 27.9); /* 6 degrees of freedom, one in ten thousand */
}

static void
hash_chain_depends_on_everything_before(void **state)
{
    (void)state;
    struct aft_hash128 zero = {0, 0}, a = aft_hash128(AFT_LITERAL("x"), zero);
    struct aft_hash128 b = aft_hash128(AFT_LITERAL("y"), a),
                       c = aft_hash128(AFT_LITERAL("y"), zero);
    assert_false(b.low == c.low || b.high == c.high);
    for (int bit = 0; bit < 128; bit++) { /* every bit of the value before counts */
        struct aft_hash128 t = a;
        if (bit < 64)
            t.low ^= 1ull << bit;
        else
            t.high ^= 1ull << (bit - 64);
        struct aft_hash128 d = aft_hash128(AFT_LITERAL("y"), t);
        assert_false(d.low == b.low && d.high == b.high);
    }
}

/* By whatever vectors this machine hashes: the bits of before. */
static void
hash_of_long_bytes_is_what_it_was(void **state)
{
    static const struct {
        size_t n;
        struct aft_hash128 hash;
    } golden[] = {{240, {0x86fa4c23422a9dd6ull, 0xcf26e34cd326b56cull}},
                  {241, {0x5bc52d1f08b0c0c4ull, 0xa71d1b8803896454ull}},
                  {1000, {0xcc3c3a93416148ebull, 0xc14e92058f36652dull}},
                  {1024, {0x2e2bdf64fc471ba5ull, 0xd0602f8613991424ull}},
                  {5000, {0x9f109d727db24df0ull, 0x587c7a62e8606b56ull}}};
    static uint8_t b[5001];
    const struct aft_hash128 seed = {0x123456789abcdefull, 0xfedcba9876543210ull};
    (void)state;
    for (size_t at = 0; at < 2; at++) /* lined up, and not */
        for (size_t k = 0; k < sizeof golden / sizeof *golden; k++) {
            for (size_t i = 0; i < golden[k].n; i++)
                b[at + i] = (uint8_t)(i * i + 7 * i);
            struct aft_hash128 h = aft_hash128((struct aft_bytes){b + at, golden[k].n}, seed);
            assert_true(h.low == golden[k].hash.low && h.high == golden[k].hash.high);
        }
}

static void
digest_in_pieces_is_the_digest_and_a_signature_holds(void **state)
{
    (void)state;
    struct aft_digest whole, pieces;
    struct aft_digester d;
    char hex[65];
    aft_digest_of(AFT_LITERAL("abc"), &whole);
    aft_digester_init(&d);
    aft_digester_update(&d, AFT_LITERAL("a"));
    aft_digester_update(&d, AFT_LITERAL("bc"));
    aft_digester_final(&d, &pieces);
    assert_memory_equal(whole.b, pieces.b, 32);
    aft_hex(whole.b, 32, hex); /* BLAKE2b-256("abc") */
    assert_string_equal(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void
expect_text(double v, const char *want)
{
    char text[AFT_NUMBER_TEXT];
    aft_number_text(v, text);
    assert_string_equal(text, want);
}

static void
numbers_are_written_as_one_would(void **state)
{
    (void)state;
    char text[AFT_NUMBER_TEXT];
    expect_text(0.05, "0.05");
    expect_text(0.1 + 0.2, "0.30000000000000004");
    expect_text(-50000, "-50000");
    expect_text(0, "0");
    expect_text(5e-324, "4.94065645841247e-324");
    aft_number_text_float(0.1F, text);
    assert_string_equal(text, "0.1");
    aft_number_text_float(16777216.F / 3, text);
    assert_true((float)aft_number(text, NULL) == 16777216.F / 3);
    struct aft_random r;
    aft_random_init(&r, kit_seed(2), 0);
    for (long i = 0, n = kit_rounds(20000); i < n; i++) {
        uint64_t bits = aft_random_u64(&r);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        aft_number_text(v, text);
        assert_true(aft_number(text, NULL) == v);
    }
}

static void
numbers_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    char *end;
    assert_true(aft_number("0.05", &end) == 0.05 && *end == 0);
    assert_true(aft_number("-1.5e-3,7", &end) == -1.5e-3 && *end == ',');
    const char *none = "x";
    assert_true(aft_number(none, &end) == 0 && end == none);
    if (!setlocale(
            LC_NUMERIC,
            "de_DE.UTF-8")) /* a comma for the point; law.py proves that nobody else calls strtod */
        printf("de_DE.UTF-8 is not installed: tried under the C locale alone\n");
    assert_true(aft_number("0.05", &end) == 0.05 && *end == 0);
    expect_text(0.05, "0.05");
    setlocale(LC_NUMERIC, "C");
}

static void
errors_have_a_class_an_exit_code_and_words(void **state)
{
    (void)state;
    struct aft_error e;
    assert_int_equal(AFT_FAIL(&e, AFT_E_GAP, "seq %d after %d", 7, 5), AFT_E_GAP);
    assert_string_equal(e.message, "seq 7 after 5");
    assert_int_equal(aft_err_class(AFT_E_GAP), AFT_CLASS_FATAL);
    assert_int_equal(aft_err_exit(AFT_E_GAP), 6);
    assert_int_equal(aft_err_class(AFT_E_MALFORMED), AFT_CLASS_DATA);
    assert_int_equal(aft_err_class(AFT_E_AGAIN), AFT_CLASS_RETRY);
    assert_string_equal(aft_err_name(AFT_E_NOT_OWNER), "NOT_OWNER");
    assert_int_equal(aft_err_exit(AFT_E_NOT_OWNER), 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_round_trips_and_refuses_cut_bytes),
        cmocka_unit_test(long_of_eleven_bytes_is_refused),
        cmocka_unit_test(bytes_obey_their_bound),
        cmocka_unit_test(compare_orders_by_bytes_then_length),
        cmocka_unit_test(arena_is_bounded_aligned_and_warm_after_reset),
        cmocka_unit_test(murmur2_is_javas),
        cmocka_unit_test(avro_fingerprint_of_a_primitive),
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(random_laws_have_their_moments),
        cmocka_unit_test(hash_chain_depends_on_everything_before),
        cmocka_unit_test(hash_of_long_bytes_is_what_it_was),
        cmocka_unit_test(digest_in_pieces_is_the_digest_and_a_signature_holds),
        cmocka_unit_test(numbers_are_written_as_one_would),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(errors_have_a_class_an_exit_code_and_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
