/* test_sim.c - production's task over logs, store and clock made of faults (world.h). AFT_SEED is the first scenario's seed, AFT_ROUNDS
 * how many; AFT_TRACE prints every effect; a failure says how to run its scenario alone. */
#include "tests/kit.h"

#include <sys/resource.h>

#include "tests/sim/world.h"

/* A sanitizer makes a scenario ten (address) or fifty times (thread) dearer. */
#if defined(__SANITIZE_THREAD__)
enum { SCENARIOS = 300 };
#elif defined(__SANITIZE_ADDRESS__)
enum { SCENARIOS = 1500 };
#else
enum { SCENARIOS = 10000 };
#endif
enum { ENOUGH = 5000 }; /* scenarios in which everything that can happen did happen */

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

/* What never happens in many scenarios is not tested. */
static void
everything_happened(const struct sim_stats *s)
{
#define X(name)       \
    if (s->name == 0) \
        fail_msg(#name ": it never happened");
    SIM_STATS(X)
#undef X
}

static void
print_stats(const struct sim_stats *s)
{
#define X(name) printf(" " #name " %llu", (unsigned long long)s->name);
    SIM_STATS(X)
#undef X
    printf("\n");
}

static double
cpu_seconds(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void
always_the_same_examples(void **state)
{
    (void)state;
    struct sim_report r;
    struct rusage a, b;
    uint64_t seed = kit_seed(1), rounds = (uint64_t)kit_rounds(SCENARIOS);
    getrusage(RUSAGE_CHILDREN, &a);
    sim_campaign(seed, rounds, &(struct sim_options){.trace = getenv("AFT_TRACE") != NULL}, &r);
    getrusage(RUSAGE_CHILDREN, &b);
    double s = cpu_seconds(&b) - cpu_seconds(&a);
    print_stats(&r.stats);
    printf("%llu scenarios in %.1f s of one core, %.0f a second\n",
           (unsigned long long)r.stats.scenarios, s, (double)r.stats.scenarios / s);
    if (r.verdict.wrong) {
        print_commit();
        fail_msg("seed %llu: %s\n  again: AFT_SEED=%llu AFT_ROUNDS=1 %s",
                 (unsigned long long)r.seed, r.verdict.words, (unsigned long long)r.seed, program);
    }
    if (rounds >= ENOUGH)
        everything_happened(&r.stats);
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
