/* test_split.c - shares: exact sums, known cases, and the definition itself with plain long arithmetic. */
#include "tests/kit.h"

#include <math.h>

#include "attribution/inner.h"

enum { MOST = 40 };

static struct aft_arena arena;

static void
split(enum aft_rule rule, const struct aft_touch_view *t, uint32_t n, int64_t when, uint32_t *ppm)
{
    struct aft_error e;
    aft_arena_reset(&arena);
    assert_int_equal(aft_split(rule, 1000, t, n, when, &arena, ppm, &e), AFT_OK);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += ppm[i];
    assert_int_equal(sum, AFT_PPM);
}

static void
expect(enum aft_rule rule, const char *const *arms, const int64_t *times, uint32_t n,
       const uint32_t *want)
{
    struct aft_touch_view t[MOST];
    uint32_t ppm[MOST];
    for (uint32_t i = 0; i < n; i++)
        t[i] = (struct aft_touch_view){times[i], aft_text(arms[i])};
    split(rule, t, n, 5000, ppm);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(ppm[i], want[i]);
}

static void
known(void **state)
{
    (void)state;
    const char *const arms[] = {"a", "b", "a", "c"};
    const int64_t times[] = {2000, 3000, 4000, 5000};
    expect(AFT_RULE_LAST_TOUCH, arms, times, 4, (uint32_t[]){0, 0, 0, 1000000});
    expect(AFT_RULE_FIRST_TOUCH, arms, times, 4, (uint32_t[]){1000000, 0, 0, 0});
    expect(AFT_RULE_LINEAR, arms, times, 3, (uint32_t[]){333334, 333333, 333333});
    expect(AFT_RULE_TIME_DECAY, arms, times, 4, (uint32_t[]){66667, 133333, 266667, 533333});
    expect(AFT_RULE_POSITION_BASED, arms, times, 1, (uint32_t[]){1000000});
    expect(AFT_RULE_POSITION_BASED, arms, times, 2, (uint32_t[]){500000, 500000});
    expect(AFT_RULE_POSITION_BASED, arms, times, 4, (uint32_t[]){400000, 100000, 100000, 400000});
    expect(AFT_RULE_SHAPLEY, arms, times, 4, (uint32_t[]){166667, 333333, 166667, 333333});
}

static void
decay(void **state)
{
    (void)state;
    assert_int_equal(aft_decay_q32(0, 1000), UINT64_C(1) << 32);
    assert_int_equal(aft_decay_q32(1000, 1000), UINT64_C(1) << 31);
    assert_int_equal(aft_decay_q32(32000, 1000), 1);
    assert_int_equal(aft_decay_q32(33000, 1000), 1); /* 1/2 rounds up */
    assert_int_equal(aft_decay_q32(34000, 1000), 0);
    assert_int_equal(aft_decay_q32(INT64_C(1) << 46, 1), 0);
    for (int64_t age = 0; age < 40000; age += 37) {
        double exact = pow(2.0, 32.0 - (double)age / 1000.0);
        assert_true(fabs((double)aft_decay_q32(age, 1000) - exact) <= 0.5 + 1e-6);
    }
}

/* by_definition: the share as the oracle says it, one touch at a time, remainders compared as fractions w * total % s. */
static void
by_definition(const uint64_t *w, uint32_t n, uint32_t *ppm)
{
    uint64_t s = 0, left = AFT_PPM;
    bool given[MOST] = {false};
    for (uint32_t i = 0; i < n; i++)
        s += w[i];
    for (uint32_t i = 0; i < n; i++) {
        ppm[i] = (uint32_t)((__uint128_t)w[i] * AFT_PPM / s);
        left -= ppm[i];
    }
    for (; left > 0; left--) {
        uint32_t best = n;
        for (uint32_t i = 0; i < n; i++)
            if (!given[i] &&
                (best == n || (__uint128_t)w[i] * AFT_PPM % s > (__uint128_t)w[best] * AFT_PPM % s))
                best = i;
        given[best] = true;
        ppm[best]++;
    }
}

static uint64_t
common_multiple(uint64_t a, uint64_t b)
{
    uint64_t x = a, y = b;
    while (y) {
        uint64_t z = x % y;
        x = y;
        y = z;
    }
    return a / x * b;
}

static void
weights_of(enum aft_rule rule, const struct aft_touch_view *t, uint32_t n, uint64_t *w)
{
    uint64_t count[MOST] = {0}, lcm = 1;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n; k++)
            count[i] += aft_same(t[i].arm_id, t[k].arm_id);
    for (uint32_t i = 0; i < n; i++)
        lcm = common_multiple(lcm, count[i]);
    for (uint32_t i = 0; i < n; i++)
        w[i] = rule == AFT_RULE_SHAPLEY      ? lcm / count[i]
               : rule == AFT_RULE_TIME_DECAY ? aft_decay_q32(50000 - t[i].time_ms, 1000)
               : rule == AFT_RULE_POSITION_BASED && n > 2 && (i == 0 || i == n - 1) ? 2 * (n - 2)
                                                                                    : 1;
}

static void
random_splits(void **state)
{
    (void)state;
    static const char *const arms[] = {"a", "b", "c", "d", "e", "f", "g"};
    const enum aft_rule rules[] = {AFT_RULE_LINEAR, AFT_RULE_TIME_DECAY, AFT_RULE_POSITION_BASED,
                                   AFT_RULE_SHAPLEY};
    struct aft_random r;
    aft_random_init(&r, kit_seed(11), 0);
    for (long round = kit_rounds(20000); round > 0; round--) {
        struct aft_touch_view t[MOST];
        uint64_t w[MOST];
        uint32_t n = 1 + aft_random_below(&r, MOST), got[MOST], want[MOST];
        uint32_t kinds = 1 + aft_random_below(&r, 7);
        enum aft_rule rule = rules[aft_random_below(&r, 4)];
        for (uint32_t i = 0; i < n; i++)
            t[i] = (struct aft_touch_view){50000 - aft_random_below(&r, 30000),
                                           aft_text(arms[aft_random_below(&r, kinds)])};
        weights_of(rule, t, n, w);
        by_definition(w, n, want);
        split(rule, t, n, 50000, got);
        assert_memory_equal(got, want, n * sizeof *got);
    }
}

/* A decay so old that all weights are 0 is split equally. */
static void
all_zero(void **state)
{
    (void)state;
    struct aft_touch_view t[3] = {{0, aft_text("a")}, {0, aft_text("b")}, {0, aft_text("c")}};
    uint32_t ppm[3];
    split(AFT_RULE_TIME_DECAY, t, 3, 100000, ppm);
    assert_int_equal(ppm[0], 333334);
    assert_int_equal(ppm[2], 333333);
}

static void
scaling(void **state)
{
    (void)state;
    const int64_t whole = AFT_MICRO, half = 500000, three = 3 * AFT_MICRO, minus = -AFT_MICRO;
    const uint64_t none = UINT64_C(1) << 32;
    assert_int_equal(afti_scale(AFT_MICRO, AFT_PPM, none, NULL), AFT_MICRO);
    assert_int_equal(afti_scale(1, 500000, none, NULL), 0); /* 1/2 to even */
    assert_int_equal(afti_scale(3, 500000, none, NULL), 2); /* 3/2 to even */
    assert_int_equal(afti_scale(-3, 500000, none, NULL), -2);
    assert_int_equal(afti_scale(1, 500001, none, NULL), 1);
    assert_int_equal(afti_scale(1, AFT_PPM, none >> 1, NULL), 0);
    assert_int_equal(afti_scale(1, AFT_PPM, none >> 1, &three), 2); /* 3/2, from the exact half */
    assert_int_equal(afti_scale(1, 500000, none, &whole), 0);
    assert_int_equal(afti_scale(7, AFT_PPM, none, &half), 4); /* 7/2 to even */
    assert_int_equal(afti_scale(5, AFT_PPM, none, &minus), -5);
    assert_int_equal(afti_scale(INT64_C(9000000000000000000), AFT_PPM, none, &whole),
                     INT64_C(9000000000000000000));
    assert_int_equal(afti_scale(INT64_C(9000000000000000000), AFT_PPM, none, &three), INT64_MAX);
    assert_int_equal(afti_scale(0, AFT_PPM, none, &three), 0);
}

static int
setup(void **state)
{
    (void)state;
    aft_arena_init(&arena, 1 << 20);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    aft_arena_deinit(&arena);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),    cmocka_unit_test(decay),   cmocka_unit_test(random_splits),
        cmocka_unit_test(all_zero), cmocka_unit_test(scaling),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
