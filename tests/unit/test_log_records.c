/* test_log_records.c - consumer/log_records.c: what goes in comes out once, in order, unchanged (I1), and stays where it is until the
 * reset (I2), whatever the sizes. */
#include "tests/kit.h"

#include "base/base.h"
#include "consumer/log_records.h"

enum { MOST = 3000, LARGE = 300000 };

static struct aft_random random_of_test;
static uint8_t source[LARGE + MOST];

/* bytes_at: n bytes that tell where they come from; one in ten is null. */
static struct aft_bytes
bytes_at(uint32_t i, size_t n)
{
    return i % 10 == 9 ? AFT_ABSENT : (struct aft_bytes){source + i, n};
}

static size_t
size_at(uint32_t i)
{
    return i % 701 == 700 ? LARGE : i * 37 % 300;
}

static void
add(struct afti_records *r, uint32_t i)
{
    uint8_t key[300], value[300];
    struct aft_bytes k = bytes_at(i + 1, i % 20), v = bytes_at(i, size_at(i));
    struct aft_header h[2] = {{aft_text("name"), bytes_at(i, 3)},
                              {bytes_at(0, 5), bytes_at(i, i % 9)}};
    bool small = v.p && v.n <= sizeof value;
    if (k.p) /* what is borrowed is gone when it was added */
        k.p = memcpy(key, k.p, k.n);
    if (small)
        v.p = memcpy(value, v.p, v.n);
    afti_records_add(r, &(struct aft_record_in){.offset = i,
                                                .timestamp_ms = 7 * (int64_t)i,
                                                .key = k,
                                                .value = v,
                                                .headers = i % 3 ? NULL : h,
                                                .headers_n = i % 3 ? 0 : i % 2 + 1});
    memset(key, 0xee, sizeof key);
    memset(value, 0xee, sizeof value);
}

static void
assert_same(struct aft_bytes a, struct aft_bytes b)
{
    assert_int_equal(a.p == NULL, b.p == NULL);
    assert_int_equal(a.n, b.n);
    assert_true(a.n == 0 || (a.p && b.p && memcmp(a.p, b.p, a.n) == 0));
}

static void
assert_record(const struct aft_record_in *in, uint32_t i)
{
    assert_int_equal(in->offset, i);
    assert_int_equal(in->timestamp_ms, 7 * (int64_t)i);
    assert_same(in->key, bytes_at(i + 1, i % 20));
    assert_same(in->value, bytes_at(i, size_at(i)));
    assert_int_equal(in->headers_n, i % 3 ? 0 : i % 2 + 1);
    for (uint32_t h = 0; h < in->headers_n; h++) {
        assert_same(in->headers[h].name, h ? bytes_at(0, 5) : aft_text("name"));
        assert_same(in->headers[h].value, bytes_at(i, h ? i % 9 : 3));
    }
}

/* in_and_out: fills of all sizes, taken in batches of all sizes; looked at when the last of a fill is out. */
static void
in_and_out(void **state)
{
    (void)state;
    static struct aft_record_in out[MOST];
    struct afti_records r = {0};
    aft_random_init(&random_of_test, kit_seed(5), 0);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)aft_random_below(&random_of_test, 256);
    for (uint32_t round = 0; round < 30; round++) {
        uint32_t n = aft_random_below(&random_of_test, round % 3 ? 40 : MOST), got = 0, one;
        afti_records_reset(&r);
        assert_int_equal(afti_records_left(&r), 0);
        assert_int_equal(afti_records_take(&r, out, MOST), 0);
        for (uint32_t i = 0; i < n; i++)
            add(&r, i);
        while ((one = afti_records_take(&r, out + got,
                                        1 + aft_random_below(&random_of_test, 256))) > 0) {
            got += one;
            assert_int_equal(afti_records_left(&r), n - got);
        }
        assert_int_equal(got, n);
        for (uint32_t i = 0; i < n; i++)
            assert_record(&out[i], i);
    }
    afti_records_deinit(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_and_out)};
    return cmocka_run_group_tests_name("log_records", tests, NULL, NULL);
}
