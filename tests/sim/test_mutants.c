/* test_mutants - a simulator that finds nothing wrong proves nothing unless it would: each mutant breaks one rule of semantics.md, and
 * some scenario shows it. Sound code, in this same program, stands.
 */
#include "tests/kit.h"

#include "tests/sim/mutants.h"

enum { SCENARIOS_MAX = 10000, SOUND = 200 };

static const char *const names[SIM_MUTANTS] = {
    [SIM_SOUND] = "sound",
    [SIM_COMMIT_BEFORE_ACK] = "state committed before its examples are acknowledged",
    [SIM_DEAD_BEFORE_ACK] = "state committed before its dead letters are acknowledged",
    [SIM_COMMIT_UNFENCED] = "state committed without a look for newer epochs",
    [SIM_READER_EPOCH] = "epoch ignored by the reader of the examples",
    [SIM_READER_DEDUPE] = "seq ignored by the reader of the examples",
    [SIM_LATE_AT_ARRIVAL] = "lateness judged at arrival",
    [SIM_NO_READBACK] = "a tick used before it is read back",
    [SIM_CLOCK_EPOCH] = "epoch ignored by the reader of the clock topic",
    [SIM_OWNER_EPOCH] = "epoch ignored by the owner that reads the examples",
};

static void
run(enum sim_mutant m, uint64_t rounds, struct sim_report *r)
{
    struct sim_options o = {.mutant = m, .judging = sim_mutate_judging};
    sim_mutate(m);
    sim_campaign(1, rounds, &o, r);
    sim_mutate(SIM_SOUND);
}

static void
sound_code_stands(void **state)
{
    struct sim_report r;
    (void)state;
    run(SIM_SOUND, SOUND, &r);
    if (r.verdict.wrong)
        fail_msg("seed %llu: %s", (unsigned long long)r.seed, r.verdict.words);
}

static void
every_mutant_is_caught(void **state)
{
    int missed = 0;
    (void)state;
    for (int m = SIM_SOUND + 1; m < SIM_MUTANTS; m++) {
        struct sim_report r;
        run((enum sim_mutant)m, SCENARIOS_MAX, &r);
        missed += !r.verdict.wrong;
        if (r.verdict.wrong)
            printf("%s: scenario %llu: %s\n", names[m], (unsigned long long)r.seed,
                   r.verdict.words);
        else
            printf("%s: NOT CAUGHT in %d scenarios\n", names[m], SCENARIOS_MAX);
    }
    assert_int_equal(missed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_code_stands),
        cmocka_unit_test(every_mutant_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
