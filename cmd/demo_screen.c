/* demo_screen.c - progress on stderr: on a terminal one block that is drawn again in place, elsewhere a plain line now and then.
 * NO_COLOR and TERM=dumb are honoured. And the other way: whether the user wants it to end. One thread. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/demo.h"

enum { BLOCK_LINES = 6, TERMINAL_EVERY_MS = 150, PLAIN_EVERY_MS = 5000, BAR = 40 };

struct demo_screen {
    bool terminal, colour, drawn;
    struct aft_clock clock;
    int64_t first_ms, last_ms;
    uint64_t last_events;
    double rate;
};

static int64_t
now_of(struct demo_screen *s)
{
    return s->clock.monotonic_ms(s->clock.ctx);
}

struct demo_screen *
demo_screen_new(void)
{
    struct demo_screen *s = calloc(1, sizeof *s);
    AFT_ASSERT(s != NULL);
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool dumb = !term || strcmp(term, "dumb") == 0;
    s->terminal = isatty(STDERR_FILENO) && !dumb;
    s->colour = s->terminal && !(no_colour && no_colour[0]);
    s->clock = aft_clock_real();
    s->first_ms = s->last_ms = now_of(s);
    return s;
}

static double
ctr_of(const struct demo_live *l, int policy)
{
    return l->tiles[policy] ? 100.0 * (double)l->clicks[policy] / (double)l->tiles[policy] : 0;
}

static void
known(uint64_t n, char out[24])
{
    if (n == UINT64_MAX)
        snprintf(out, 24, "-");
    else
        snprintf(out, 24, "%llu", (unsigned long long)n);
}

static void
draw_block(struct demo_screen *s, const struct demo_progress *p, double part)
{
    const char *strong = s->colour ? "\033[1m" : "", *good = s->colour ? "\033[32m" : "",
               *plain = s->colour ? "\033[0m" : "";
    char bar[BAR + 1], credited[24];
    int full = (int)(part * BAR);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    known(p->credited, credited);
    if (s->drawn)
        fprintf(stderr, "\033[%dA", BLOCK_LINES);
    fprintf(stderr, "\r\033[K%saftertouch demo%s  %s\n", strong, plain, p->stage);
    fprintf(stderr, "\033[K  simulated day %4lld of %lld  [%s]\n",
            (long long)((p->now_ms - p->start_ms) / AFT_WORLD_DAY_MS),
            (long long)((p->end_ms - p->start_ms) / AFT_WORLD_DAY_MS), bar);
    fprintf(stderr, "\033[K  impressions %9llu   outcomes %8llu   credited %8s\n",
            (unsigned long long)p->live->visits, (unsigned long long)p->live->outcomes, credited);
    fprintf(stderr, "\033[K  CTR so far  %spersonalised %5.2f %%%s   baseline %5.2f %%\n", good,
            ctr_of(p->live, DEMO_PERSONALISED), plain, ctr_of(p->live, DEMO_BASELINE));
    fprintf(stderr, "\033[K  snapshots   %6llu applied, the last of round %lld\n",
            (unsigned long long)p->snapshots, (long long)p->round);
    fprintf(stderr, "\033[K  events      %9.0f a second\n", s->rate);
    s->drawn = true;
}

static void
draw_line(struct demo_screen *s, const struct demo_progress *p)
{
    char credited[24];
    known(p->credited, credited);
    fprintf(stderr,
            "demo: %s: day %lld of %lld, impressions %llu, outcomes %llu, credited %s, CTR "
            "personalised "
            "%.2f %%, baseline %.2f %%, snapshot round %lld, %.0f events/s\n",
            p->stage, (long long)((p->now_ms - p->start_ms) / AFT_WORLD_DAY_MS),
            (long long)((p->end_ms - p->start_ms) / AFT_WORLD_DAY_MS),
            (unsigned long long)p->live->visits, (unsigned long long)p->live->outcomes, credited,
            ctr_of(p->live, DEMO_PERSONALISED), ctr_of(p->live, DEMO_BASELINE), (long long)p->round,
            s->rate);
}

void
demo_screen_show(struct demo_screen *s, const struct demo_progress *p, bool now)
{
    int64_t t = now_of(s), every = s->terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    if (!now && t - s->last_ms < every)
        return;
    uint64_t events = p->live->visits + p->live->outcomes;
    if (t > s->last_ms)
        s->rate = 1000.0 * (double)(events - s->last_events) / (double)(t - s->last_ms);
    s->last_ms = t;
    s->last_events = events;
    double part = p->end_ms > p->start_ms
                      ? (double)(p->now_ms - p->start_ms) / (double)(p->end_ms - p->start_ms)
                      : 0;
    if (s->terminal)
        draw_block(s, p, part < 0 ? 0 : part > 1 ? 1 : part);
    else
        draw_line(s, p);
    fflush(stderr);
}

void
demo_screen_free(struct demo_screen *s)
{
    free(s);
}

enum aft_err
demo_interrupted(struct aft_error *e)
{
    sigset_t waiting;
    sigpending(&waiting);
    if (sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM))
        return AFT_FAIL(e, AFT_E_INTERRUPTED, "interrupted");
    return AFT_OK;
}
