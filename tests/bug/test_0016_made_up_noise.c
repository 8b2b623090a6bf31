/* test_0016 - made-up rewards (ips, dr) were learned at the rate of real ones, though they deviate by the root of the number of arms times as
 * much: after 20,000 decisions over 50 arms the greedy arm earned 0.73 (ips) and 0.79 (dr); it earns 0.80 and 0.83 now. Two streams; the
 * limits are between what was and what is.
 */
#include "tests/kit.h"

#include "tests/bench/stream.h"
#include "tests/learn_kit.h"

/* The true click rate of the greedy arms, of the last fifth. */
static double
earned(const char *reduction, uint64_t seed, long n)
{
    static struct stream s;
    static struct stream_decision d;
    struct aft_learner_settings settings;
    struct aft_error e;
    double sum = 0;
    aft_learner_settings_default(&settings);
    kit_set(&settings, "learner.model", "flow-squared");
    kit_set(&settings, "learner.reduction", reduction);
    struct aft_learner *l = kit_learner(&settings);
    stream_init(&s, seed);
    for (long i = 0; i < n; i++) {
        stream_decide(&s, &d);
        struct aft_example_item item = {.arm_id = d.candidates[d.shown].arm_id,
                                        .propensity = d.propensity,
                                        .features = d.candidates[d.shown].features,
                                        .reward_micro = d.click ? AFT_MICRO : 0};
        struct aft_example x = {.phase = AFT_OPEN,
                                .decision_id = AFT_LITERAL("d"),
                                .user_id = AFT_LITERAL("u"),
                                .policy = AFT_LITERAL("logged"),
                                .context = {d.context, STREAM_CONTEXT},
                                .candidates = d.candidates,
                                .candidates_n = STREAM_OFFERED,
                                .items = &item,
                                .revision = 1,
                                .items_n = 1};
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
        if (i >= n - n / 5)
            sum += d.truth[aft_learner_greedy(l)];
    }
    aft_learner_free(l);
    return sum / (double)(n / 5);
}

static void
noise_is_not_taken_for_signal(void **state)
{
    (void)state;
    static const uint64_t seeds[] = {20261123, 11};
    static const double ips_least[] = {0.765, 0.73}, dr_least[] = {0.815, 0.772};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        double ips = earned("ips", seeds[i], 20000), dr = earned("dr", seeds[i], 20000);
        printf("seed %llu: ips %.4f, dr %.4f\n", (unsigned long long)seeds[i], ips, dr);
        assert_true(ips > ips_least[i]);
        assert_true(dr > dr_least[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(noise_is_not_taken_for_signal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
