/* test_sim.c - production's task over logs, store and clock made of faults (world.h). AFT_SEED is the first scenario's seed, AFT_ROUNDS
 * how many; AFT_TRACE prints every effect; a failure says how to run its scenario alone. */
#include "tests/kit.h"

#include <time.h>

#include "tests/sim/world.h"

enum { SCENARIOS = 10000 };
static const char *program;

/* The commit that the sources are at, for the report of a failure. */
static void
print_commit(void)
{
    char line[64] = "unknown";
    FILE *git = popen("git -C '" AFT_SOURCE_DIR "' rev-parse --short HEAD 2>/dev/null", "r");
    if (git) {
        if (!fgets(line, sizeof line, git))
            strcpy(line, "unknown");
        pclose(git);
    }
    line[strcspn(line, "\n")] = '\0';
    printf("at commit %s\n", line);
}

static void
print_stats(const struct sim_stats *s)
{
#define X(name) printf(" " #name " %llu", (unsigned long long)s->name);
    SIM_STATS(X)
#undef X
    printf("\n");
}

static void
always_the_same_examples(void **state)
{
    (void)state;
    struct sim_report r;
    struct timespec a, b;
    uint64_t seed = kit_seed(1), rounds = (uint64_t)kit_rounds(SCENARIOS);
    clock_gettime(CLOCK_MONOTONIC, &a);
    sim_campaign(seed, rounds, &(struct sim_options){.trace = getenv("AFT_TRACE") != NULL}, &r);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    print_stats(&r.stats);
    printf("%llu scenarios in %.1f s, %.0f a second\n", (unsigned long long)r.stats.scenarios, s,
           (double)r.stats.scenarios / s);
    if (r.verdict.wrong) {
        print_commit();
        fail_msg("seed %llu: %s\n  again: AFT_SEED=%llu AFT_ROUNDS=1 %s",
                 (unsigned long long)r.seed, r.verdict.words, (unsigned long long)r.seed, program);
    }
}

int
main(int argc, char **argv)
{
    (void)argc;
    program = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_the_same_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
