/* test_wire_values.c - frames and codecs by hand: the bytes are Avro's; values outside their range and past their bounds are refused;
 * other forms of the same value (negative counts, many blocks) give the same noun and the same raw bytes. */
#include "tests/kit.h"

#include <math.h>

#include "wire/wire.h"

static struct aft_arena arena;
static struct aft_error error;

static int
setup(void **state)
{
    (void)state;
    aft_arena_init(&arena, 64u << 20);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    aft_arena_deinit(&arena);
    return 0;
}

static struct aft_bytes
numbered(const char *stem, unsigned i)
{
    char *p = aft_arena_take(&arena, 32);
    snprintf(p, 32, "%s-%u", stem, i);
    return aft_text(p);
}

/* The bytes in a block of their own, so that asan sees a read past their end. */
static struct aft_bytes
alone(struct aft_bytes b)
{
    uint8_t *p = malloc(b.n ? b.n : 1);
    assert_non_null(p);
    if (b.n)
        memcpy(p, b.p, b.n);
    return (struct aft_bytes){p, b.n};
}

static void
release(struct aft_bytes b)
{
    free((void *)(uintptr_t)b.p);
}

/* ---- one impression by hand, field by field, with bytes written here */
static struct aft_impression
small_impression(struct aft_shown shown[2])
{
    shown[0] = (struct aft_shown){
        .arm_id = AFT_LITERAL("a"), .slot = 0, .propensity = 0.5, .subject = AFT_LITERAL("t")};
    shown[1] = (struct aft_shown){.arm_id = AFT_LITERAL("b"), .slot = 31, .propensity = 1};
    return (struct aft_impression){.decision_id = AFT_LITERAL("d"),
                                   .user_id = AFT_LITERAL("u"),
                                   .timestamp_ms = 1,
                                   .policy = AFT_LITERAL("p"),
                                   .slate = shown,
                                   .slate_n = 2};
}

static void
bytes_are_avro(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        2, 'd', 2,   'u', 2, 0, 2, 'p', 0, 0, 0,    0,    0, /* .. candidates */
        4, 2,   'a', 0,   0, 0, 0, 0,   0, 0, 0xe0, 0x3f, 0, 2, 2, 't',
        0, 2,   'b', 62,  0, 0, 0, 0,   0, 0, 0xf0, 0x3f, 0, 0, 0, 0, /* end */
        0};
    struct aft_shown shown[2];
    struct aft_impression v = small_impression(shown);
    struct aft_buffer b = {0};
    aft_encode_impression(&b, &v);
    assert_int_equal(b.n, sizeof want);
    assert_memory_equal(b.p, want, sizeof want);
    assert_int_equal(aft_decode_impression(aft_buffer_bytes(&b), &arena, &v, &error), AFT_OK);
    assert_int_equal(v.slate_n, 2);
    assert_true(aft_same(v.slate[0].subject, AFT_LITERAL("t")));
    assert_null(v.slate[1].subject.p);
    assert_null(v.session_id.p);
    assert_int_equal(v.slate[1].slot, 31);
    assert_true(v.slate[0].propensity == 0.5);
    assert_int_equal(v.raw_context.n, 1);
    assert_ptr_equal(v.raw_candidates.p, b.p + 12);
    assert_ptr_equal(v.raw_design.p, b.p + b.n - 1);
    aft_buffer_deinit(&b);
}

static enum aft_err
decode_changed(struct aft_impression v)
{
    struct aft_buffer b = {0};
    struct aft_impression out;
    aft_encode_impression(&b, &v);
    enum aft_err err = aft_decode_impression(aft_buffer_bytes(&b), &arena, &out, &error);
    aft_buffer_deinit(&b);
    return err;
}

static void
values_are_checked(void **state)
{
    (void)state;
    struct aft_shown s[2];
    struct aft_impression v = small_impression(s);
    assert_int_equal(decode_changed(v), AFT_OK);
    s[1].arm_id = s[0].arm_id;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    assert_non_null(strstr(error.message, "slate.arm_id"));
    v = small_impression(s);
    s[0].slot = 32;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    s[0].slot = -1;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    static const double bad[] = {0, -0.5, 1.0000001, (double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v = small_impression(s);
        s[0].propensity = bad[i];
        assert_int_equal(decode_changed(v), AFT_E_VALUE);
        v.propensity_kind = AFT_PROPENSITY_UNKNOWN;
        assert_int_equal(decode_changed(v), i == 0 ? AFT_OK : AFT_E_VALUE);
        v = small_impression(s);
        s[0].has_marginal = true;
        s[0].marginal = bad[i];
        assert_int_equal(decode_changed(v), AFT_E_VALUE);
    }
    v = small_impression(s);
    v.user_id.n = 0;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    static uint8_t many[AFT_ID_BYTES_MAX + 1];
    v = small_impression(s);
    v.user_id = (struct aft_bytes){many, AFT_ID_BYTES_MAX};
    assert_int_equal(decode_changed(v), AFT_OK);
    v.user_id.n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    assert_non_null(strstr(error.message, "user_id"));
    v = small_impression(s);
    v.timestamp_ms = INT64_MAX;
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
    struct aft_feature f = {.name = AFT_LITERAL("x"), .number = (double)NAN};
    v = small_impression(s);
    v.context = (struct aft_features){&f, 1};
    assert_int_equal(decode_changed(v), AFT_E_VALUE);
}

static void
limits_hold(void **state)
{
    (void)state;
    struct aft_shown s[AFT_SHOWN_MAX + 1];
    struct aft_impression v = small_impression(s);
    for (unsigned i = 0; i <= AFT_SHOWN_MAX; i++)
        s[i] = (struct aft_shown){.arm_id = numbered("arm", i), .propensity = 1};
    v.slate_n = AFT_SHOWN_MAX;
    assert_int_equal(decode_changed(v), AFT_OK);
    v.slate_n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    static struct aft_feature f[AFT_FEATURES_MAX + 1];
    for (unsigned i = 0; i <= AFT_FEATURES_MAX; i++)
        f[i] = (struct aft_feature){.name = AFT_LITERAL("x"), .type = AFT_FEATURE_FLAG};
    v = small_impression(s);
    v.context = (struct aft_features){f, AFT_FEATURES_MAX};
    assert_int_equal(decode_changed(v), AFT_OK);
    v.context.n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    static struct aft_candidate c[AFT_CANDIDATES_MAX + 1];
    for (unsigned i = 0; i <= AFT_CANDIDATES_MAX; i++)
        c[i] = (struct aft_candidate){.arm_id = AFT_LITERAL("x")};
    v = small_impression(s);
    v.candidates = c;
    v.candidates_n = AFT_CANDIDATES_MAX;
    assert_int_equal(decode_changed(v), AFT_OK);
    v.candidates_n++;
    assert_int_equal(decode_changed(v), AFT_E_LIMIT);
    struct aft_arena tiny;
    struct aft_impression out;
    struct aft_buffer b = {0};
    aft_arena_init(&tiny, 64);
    aft_encode_impression(&b, &v);
    assert_int_equal(aft_decode_impression(aft_buffer_bytes(&b), &tiny, &out, &error), AFT_E_LIMIT);
    aft_arena_deinit(&tiny);
    aft_buffer_deinit(&b);
}

/* A context of n flags as foreign writers may put it: blocks of `step`, counts negated and sizes given if `sized`. */
static void
foreign_context(struct aft_buffer *b, unsigned n, unsigned step, bool sized)
{
    for (unsigned i = 0; i < n; i += step) {
        unsigned here = n - i < step ? n - i : step;
        struct aft_buffer items = {0};
        for (unsigned k = 0; k < here; k++) {
            char name[8];
            snprintf(name, sizeof name, "f%u", i + k);
            aft_put_bytes(&items, aft_text(name));
            aft_put_long(&items, 2);
            aft_put_u8(&items, 1);
        }
        aft_put_long(b, sized ? -(int64_t)here : here);
        if (sized)
            aft_put_long(b, (int64_t)items.n);
        aft_put_raw(b, aft_buffer_bytes(&items));
        aft_buffer_deinit(&items);
    }
    aft_put_u8(b, 0);
}

static void
every_form_gives_one(void **state)
{
    (void)state;
    struct aft_buffer want = {0};
    foreign_context(&want, 200, 200, false);
    for (unsigned form = 1; form < 400; form++) {
        struct aft_buffer b = {0};
        struct aft_impression v;
        static const uint8_t head[] = {2, 'd', 2, 'u', 2, 0, 2, 'p', 0, 0, 0}, tail[] = {0, 0, 0};
        aft_arena_reset(&arena);
        aft_put_raw(&b, (struct aft_bytes){head, sizeof head});
        foreign_context(&b, 200, 1 + form / 2, form & 1);
        aft_put_raw(&b, (struct aft_bytes){tail, sizeof tail});
        assert_int_equal(aft_decode_impression(aft_buffer_bytes(&b), &arena, &v, &error), AFT_OK);
        assert_int_equal(v.context.n, 200);
        assert_true(aft_same(v.context.v[199].name, AFT_LITERAL("f199")));
        assert_true(aft_same(v.raw_context, aft_buffer_bytes(&want)));
        aft_buffer_deinit(&b);
    }
    aft_buffer_deinit(&want);
}

static void
hostile_counts(void **state)
{
    (void)state;
    static const uint8_t head[] = {2, 'd', 2, 'u', 2, 0, 2, 'p', 0, 0, 0};
    static const int64_t counts[] = {INT64_MIN, INT64_MIN + 1, -1, INT64_MAX, 1ll << 32, 512, -512};
    static const int64_t sizes[] = {INT64_MIN, -1, INT64_MAX, 1ll << 40, 0};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            struct aft_buffer b = {0};
            struct aft_impression v;
            aft_put_raw(&b, (struct aft_bytes){head, sizeof head});
            aft_put_long(&b, counts[i]);
            aft_put_long(&b, sizes[k]);
            aft_arena_reset(&arena);
            struct aft_bytes body = alone(aft_buffer_bytes(&b));
            assert_int_not_equal(aft_decode_impression(body, &arena, &v, &error), AFT_OK);
            assert_true(arena.used < 1024); /* a count alone buys no memory */
            release(body);
            aft_buffer_deinit(&b);
        }
}

static void
values_round_half_to_even(void **state)
{
    (void)state;
    int64_t m;
    static const struct {
        double value;
        int64_t micro;
    } cases[] = {{1, 1000000},
                 {-1, -1000000},
                 {0, 0},
                 {0x1p-7, 7812},
                 {3 * 0x1p-7, 23438},
                 {-0x1p-7, -7812}, /* 7812.5, 23437.5 */
                 {0.1, 100000},
                 {1e-7, 0},
                 {9e12, 9000000000000000000},
                 {6e-7, 1},
                 {-6e-7, -1},
                 {-9e12, -9000000000000000000},
                 {1e9 + 0x1p-7, 1000000000007812},
                 {123456.789012, 123456789012}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(aft_value_micro(cases[i].value, &m));
        assert_int_equal(m, cases[i].micro);
    }
    assert_false(aft_value_micro((double)NAN, &m));
    assert_false(aft_value_micro((double)INFINITY, &m));
    assert_false(aft_value_micro(9.0000001e12, &m));
    assert_false(aft_value_micro(-1e300, &m));
}

static void
frames(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_frame f;
    aft_frame_put_single(&b, AFT_RECORD_OUTCOME);
    assert_int_equal(b.n, 10);
    aft_put_raw(&b, AFT_LITERAL("xyz"));
    assert_int_equal(aft_frame_parse(aft_buffer_bytes(&b), &f, &error), AFT_OK);
    assert_int_equal(f.kind, AFT_FRAME_SINGLE_OBJECT);
    assert_true(f.fingerprint == aft_record_fingerprint(AFT_RECORD_OUTCOME));
    assert_true(aft_same(f.body, AFT_LITERAL("xyz")));
    for (size_t n = 0; n < 10; n++)
        assert_int_equal(aft_frame_parse((struct aft_bytes){b.p, n}, &f, &error),
                         n < 2 ? AFT_E_MAGIC : AFT_E_MALFORMED);
    aft_buffer_reset(&b);
    aft_frame_put_confluent(&b, 0x01020304);
    static const uint8_t want[] = {0, 1, 2, 3, 4};
    assert_int_equal(b.n, 5);
    assert_memory_equal(b.p, want, 5);
    assert_int_equal(aft_frame_parse(aft_buffer_bytes(&b), &f, &error), AFT_OK);
    assert_int_equal(f.id, 0x01020304);
    assert_int_equal(f.body.n, 0);
    for (size_t n = 1; n < 5; n++)
        assert_int_equal(aft_frame_parse((struct aft_bytes){b.p, n}, &f, &error), AFT_E_MALFORMED);
    assert_int_equal(aft_frame_parse(AFT_LITERAL("{}"), &f, &error), AFT_E_MAGIC);
    assert_int_equal(aft_frame_parse((struct aft_bytes){b.p, AFT_RECORD_BYTES_MAX + 1}, &f, &error),
                     AFT_E_LIMIT);
    aft_buffer_deinit(&b);
}

/* Absent slices and empty buffers: clang's sanitizer takes an offset to a null pointer for what it is. */
static void
nothing_is_no_address(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_impression v;
    aft_put_raw(&b, AFT_ABSENT);
    assert_int_equal(b.n, 0);
    assert_int_equal(aft_decode_impression(AFT_ABSENT, &arena, &v, &error), AFT_E_MALFORMED);
    aft_buffer_deinit(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_avro), cmocka_unit_test(values_are_checked),
        cmocka_unit_test(limits_hold),    cmocka_unit_test(every_form_gives_one),
        cmocka_unit_test(hostile_counts), cmocka_unit_test(values_round_half_to_even),
        cmocka_unit_test(frames),         cmocka_unit_test(nothing_is_no_address),
    };
    return cmocka_run_group_tests_name("wire values", tests, setup, teardown);
}
