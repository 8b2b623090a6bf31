/* test_eta - what a replay says of the time that it still takes: nothing while it does not know. A first batch after seconds of opening made it
 * say days. */
#include "tests/kit.h"

#include "cmd/eta.h"

static void
no_word_before_there_is_a_rate(void **state)
{
    (void)state;
    struct cmd_eta t = {0};
    double rate, left;
    for (int64_t ms = 0; ms <= 8000; ms += 200) /* journals are read, nothing is done yet */
        assert_false(cmd_eta_look(&t, ms, 0, 10000000, &rate, &left));
    assert_false(
        cmd_eta_look(&t, 8200, 64, 10000000, &rate, &left)); /* 64 records in 8.2 s: 15 days */
    assert_false(cmd_eta_look(&t, 8400, 100000, 10000000, &rate, &left));
    assert_false(cmd_eta_look(&t, 10199, 999000, 10000000, &rate, &left));
    assert_true(cmd_eta_look(&t, 10200, 1000064, 10000000, &rate, &left));
    assert_true(rate > 499999 && rate < 500001);
    assert_true(left > 17.9 && left < 18.1);
    assert_true(cmd_eta_look(&t, 30000, 10000000, 10000000, &rate, &left));
    assert_true(left == 0);
}

static void
a_standstill_has_no_end(void **state)
{
    (void)state;
    struct cmd_eta t = {0};
    double rate, left;
    assert_false(cmd_eta_look(&t, 0, 10, 100, &rate, &left));
    assert_false(cmd_eta_look(&t, 60000, 10, 100, &rate, &left));
    assert_true(cmd_eta_look(&t, 70000, 80, 100, &rate, &left));
    assert_true(rate == 1.0 && left == 20.0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_word_before_there_is_a_rate),
                                       cmocka_unit_test(a_standstill_has_no_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
