/* test_ids.c - the tables of ids and users: everything put is found, also while shards are swept and grow into large pages; room that was
 * made beforehand is enough. */
#include "tests/kit.h"

#include "state/ids.h"

/* One too many for small pages alone: a shard of ids is then larger than 2 MB, one of users much larger. */
enum { MANY = 1600000, STEP = 977 };

static uint64_t
hash_of(uint64_t n)
{
    return aft_hash64((struct aft_bytes){(const uint8_t *)&n, sizeof n}, 7);
}

static bool
holds(const struct aft_ids *t, uint64_t n)
{
    uint32_t low;
    for (struct aft_ids_probe p = aft_ids_probe(t, hash_of(n)); aft_ids_next(&p, &low);)
        if (low == (uint32_t)n)
            return true;
    return false;
}

static void
fill(struct aft_ids *t, uint64_t from, uint64_t to, uint64_t floor)
{
    for (uint64_t n = from; n < to; n++)
        aft_ids_put(t, hash_of(n), n, floor, n);
    for (uint64_t n = floor; n < to; n += STEP)
        assert_true(holds(t, n));
}

/* A window of numbers moves over more than 32 bits' worth of their low halves. */
static void
test_all_of_a_window_is_found(void **state)
{
    (void)state;
    struct aft_ids t = {0};
    uint64_t first = (UINT64_C(1) << 32) - MANY / 2;
    fill(&t, first, first + MANY, first);
    size_t full = aft_ids_memory(&t);
    assert_true(full >= MANY * (size_t)10 && full < MANY * (size_t)16);
    fill(&t, first + MANY, first + MANY + MANY / 2, first + MANY / 2);
    assert_true(aft_ids_memory(&t) < MANY * (size_t)16);
    aft_ids_deinit(&t);
}

static void
test_room_is_enough(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 1, 100, 10000, MANY};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct aft_ids t = {0};
        aft_ids_room(&t, sizes[i]);
        uint64_t slots = t.slots;
        assert_true(slots >= sizes[i]);
        fill(&t, 0, sizes[i], 0);
        assert_int_equal(t.slots, slots);
        if (sizes[i] >= 10000) /* no more than what growing takes at its most */
            assert_true(aft_ids_memory(&t) < sizes[i] * 15);
        aft_ids_deinit(&t);
    }
}

static void
test_users_keep_their_newest(void **state)
{
    (void)state;
    struct aft_users t = {0};
    uint64_t before;
    uint32_t low;
    const uint64_t users = MANY / 2;
    for (uint64_t n = 0; n < 2 * users; n++) {
        struct aft_hash128 user = {hash_of(n % users) | 1, n % users};
        assert_int_equal(aft_users_put(&t, user, n, 0, &before), n >= users);
        assert_true(n < users || before == n - users);
    }
    for (uint64_t u = 0; u < users; u += STEP) {
        assert_true(aft_users_newest(&t, (struct aft_hash128){hash_of(u) | 1, u}, &low));
        assert_int_equal(low, u + users);
    }
    assert_false(aft_users_newest(&t, (struct aft_hash128){hash_of(0) | 1, 1}, &low));
    aft_users_deinit(&t);
}

/* Users come, come again and go, few and many in turn: who came within the floor is found with his newest,
 * wherever the table was swept or moved. */
static void
test_users_come_and_go(void **state)
{
    (void)state;
    const uint64_t windows[] = {50, 3000, 700000, 20000};
    struct aft_users t = {0};
    uint64_t n = 0, before;
    uint32_t low;
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        uint64_t window = windows[w], end = n + 3 * window;
        for (; n < end; n++) { /* each comes again once, half a window later */
            uint64_t floor = n > window ? n - window : 0;
            struct aft_hash128 fresh = {hash_of(n) | 1, 3};
            assert_false(aft_users_put(&t, fresh, 2 * n, 2 * floor, &before));
            uint64_t again = n - window / 2;
            struct aft_hash128 known = {hash_of(again) | 1, 3};
            if (n >= end - 2 * window) {
                assert_true(aft_users_put(&t, known, 2 * n + 1, 2 * floor, &before));
                assert_int_equal(before, 2 * again);
            }
        }
        for (uint64_t u = n - window / 2; u < n; u += 1 + window / 1000) {
            assert_true(aft_users_newest(&t, (struct aft_hash128){hash_of(u) | 1, 3}, &low));
            assert_int_equal(low, 2 * u);
        }
    }
    aft_users_deinit(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_a_window_is_found), cmocka_unit_test(test_room_is_enough),
        cmocka_unit_test(test_users_keep_their_newest), cmocka_unit_test(test_users_come_and_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
