/* test_0010_wide_snapshot.c - a snapshot of 36 bytes claimed rows of 879 million floats and no columns. It was taken, and the first decision
 * asked for that much memory. Found by fuzz_snapshot. */
#include "tests/kit.h"

#include "policy/policy.h"

static void
wide_rows_of_nothing_are_refused(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_weights w = {.members = 0};
    struct aft_error e;
    aft_weights_init(&w, AFT_MODEL_FLOW, 1);
    aft_weights_encode(&w, &b);
    aft_weights_deinit(&w);
    assert_true(b.n >= 16);
    for (int i = 0; i < 8;
         i++) /* stride and cells are the last two words of a model without rows */
        b.p[b.n - 8 + i] = (uint8_t[]){0, 0, 0x6d, 0x34, 0, 0, 0x6d, 0x34}[i];
    w = (struct aft_weights){.members = 0};
    assert_int_equal(aft_weights_decode(aft_buffer_bytes(&b), &w, &e), AFT_E_MALFORMED);
    aft_weights_deinit(&w);
    aft_buffer_deinit(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(wide_rows_of_nothing_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
