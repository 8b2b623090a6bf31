/* campaign.c - many scenarios, in a process of their own: whatever ends it, the seed it was at stands in memory that both share. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/world.h"

/* by_default: cmocka's handlers, inherited, would go on with the parent's test in here. */
static void
by_default(void)
{
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        signal(deadly[i], SIG_DFL);
}

static void
scenarios(uint64_t seed, uint64_t rounds, const struct sim_options *o, struct sim_report *shared)
{
    for (uint64_t i = 0; i < rounds && !shared->verdict.wrong; i++) {
        shared->seed = seed + i;
        sim_run(shared->seed, o, &shared->stats, &shared->verdict);
    }
}

static void
ended(int status, struct sim_report *r)
{
    if (r->verdict.wrong || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return;
    r->verdict.wrong = true;
    snprintf(r->verdict.words, sizeof r->verdict.words,
             "the process died (%s %d): an assertion, an invariant, or a sanitizer",
             WIFSIGNALED(status) ? "signal" : "exit code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void
sim_campaign(uint64_t seed, uint64_t rounds, const struct sim_options *o, struct sim_report *out)
{
    struct sim_report *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    AFT_ASSERT(shared != MAP_FAILED);
    fflush(NULL);
    pid_t child = fork();
    AFT_ASSERT(child >= 0);
    if (child == 0) {
        by_default();
        scenarios(seed, rounds, o, shared);
        exit(0);
    }
    AFT_ASSERT(waitpid(child, &status, 0) == child);
    ended(status, shared);
    *out = *shared;
    munmap(shared, sizeof *shared);
}
