/* stream.h - the synthetic contextual-bandit stream of the learner's benchmarks, made in the process from a seed.
 *
 * 200-arm catalogue, 50 offered a decision; 20 numbers of context times 10 of the arm: a bilinear logistic truth with main
 * effects and
 * an effect of each arm; logged by epsilon-greedy (0.2) over a fixed noisy scorer. The same law, draw by draw, as the generator
 * that the peers' files come from (20261123 is the base stream), so that true click rates can be compared. libm is fine here.
 */
#ifndef AFT_TESTS_BENCH_STREAM_H
#define AFT_TESTS_BENCH_STREAM_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "learner/learner.h"

enum { STREAM_ARMS = 200, STREAM_OFFERED = 50, STREAM_CONTEXT = 20, STREAM_ARM = 10 };

struct stream {
    uint64_t state;
    double cross[STREAM_CONTEXT][STREAM_ARM], noisy[STREAM_CONTEXT][STREAM_ARM];
    double main_context[STREAM_CONTEXT], main_arm[STREAM_ARM];
    double bias[STREAM_ARMS], noisy_bias[STREAM_ARMS];
    int arm_value[STREAM_ARMS][STREAM_ARM]; /* hundredths */
    char arm_name[STREAM_ARMS][8], context_name[STREAM_CONTEXT][4], feature_name[STREAM_ARM][4];
    struct aft_feature arm_features[STREAM_ARMS][STREAM_ARM];
};

/* One decision: its context, what was offered, the true chances, what was shown and what came of it. */
struct stream_decision {
    struct aft_feature context[STREAM_CONTEXT];
    struct aft_candidate candidates[STREAM_OFFERED];
    double truth[STREAM_OFFERED];
    uint32_t shown;
    bool click;
    double propensity;
};

static inline uint64_t
stream_next(struct stream *s)
{
    uint64_t z = (s->state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline double
stream_unit(struct stream *s)
{
    return (double)(stream_next(s) >> 11) * 0x1p-53;
}

static inline double
stream_normal(struct stream *s)
{
    double a = stream_unit(s), b = stream_unit(s);
    return sqrt(-2 * log(a < 1e-300 ? 1e-300 : a)) * cos(6.283185307179586 * b);
}

static inline int
stream_hundredths(struct stream *s)
{
    return (int)floor(-100 + stream_unit(s) * 201);
}

static inline void
stream_init(struct stream *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->state = seed;
    for (int i = 0; i < STREAM_ARMS; i++) {
        for (int j = 0; j < STREAM_ARM; j++)
            s->arm_value[i][j] = stream_hundredths(s);
        s->bias[i] = .5 * stream_normal(s);
        s->noisy_bias[i] = s->bias[i] + .5 * stream_normal(s);
    }
    for (int i = 0; i < STREAM_CONTEXT; i++)
        for (int j = 0; j < STREAM_ARM; j++) {
            s->cross[i][j] = .5 * stream_normal(s);
            s->noisy[i][j] = .5 * s->cross[i][j] + .4 * stream_normal(s);
        }
    for (int i = 0; i < STREAM_CONTEXT; i++)
        s->main_context[i] = .1 * stream_normal(s);
    for (int j = 0; j < STREAM_ARM; j++)
        s->main_arm[j] = .4 * stream_normal(s);
    for (int i = 0; i < STREAM_CONTEXT; i++)
        snprintf(s->context_name[i], sizeof s->context_name[i], "u%c", 'a' + i);
    for (int j = 0; j < STREAM_ARM; j++)
        snprintf(s->feature_name[j], sizeof s->feature_name[j], "a%c", 'a' + j);
    for (int i = 0; i < STREAM_ARMS; i++) {
        snprintf(s->arm_name[i], sizeof s->arm_name[i], "i%d", i);
        for (int j = 0; j < STREAM_ARM; j++)
            s->arm_features[i][j] = (struct aft_feature){.name = aft_text(s->feature_name[j]),
                                                         .type = AFT_FEATURE_NUMBER,
                                                         .number = s->arm_value[i][j] / 100.};
    }
}

static inline void
stream_decide(struct stream *s, struct stream_decision *d)
{
    int u[STREAM_CONTEXT], order[STREAM_ARMS];
    double uw[STREAM_ARM] = {0}, un[STREAM_ARM] = {0}, base = 0, best = -1e9;
    uint32_t greedy = 0;
    for (int i = 0; i < STREAM_CONTEXT; i++) {
        u[i] = stream_hundredths(s);
        d->context[i] = (struct aft_feature){.name = aft_text(s->context_name[i]),
                                             .type = AFT_FEATURE_NUMBER,
                                             .number = (double)((float)u[i] / 100.f)};
    }
    for (int i = 0; i < STREAM_ARMS; i++)
        order[i] = i;
    for (int k = 0; k < STREAM_OFFERED; k++) {
        int r = k + (int)(stream_next(s) % (uint64_t)(STREAM_ARMS - k)), t = order[k];
        order[k] = order[r];
        order[r] = t;
    }
    for (int i = 0; i < STREAM_CONTEXT; i++) {
        base += s->main_context[i] * u[i] / 100.;
        for (int j = 0; j < STREAM_ARM; j++) {
            uw[j] += s->cross[i][j] * u[i] / 100.;
            un[j] += s->noisy[i][j] * u[i] / 100.;
        }
    }
    for (uint32_t k = 0; k < STREAM_OFFERED; k++) {
        int a = order[k];
        double x = base + s->bias[a] - 2.5, y = s->noisy_bias[a];
        for (int j = 0; j < STREAM_ARM; j++) {
            x += (uw[j] + s->main_arm[j]) * s->arm_value[a][j] / 100.;
            y += un[j] * s->arm_value[a][j] / 100.;
        }
        d->truth[k] = 1 / (1 + exp(-x));
        if (y > best) {
            best = y;
            greedy = k;
        }
        d->candidates[k] = (struct aft_candidate){.known = (uint32_t)a + 1,
                                                  .arm_id = aft_text(s->arm_name[a]),
                                                  .features = {s->arm_features[a], STREAM_ARM}};
    }
    d->shown = stream_unit(s) < .2 ? (uint32_t)(stream_next(s) % STREAM_OFFERED) : greedy;
    d->propensity = (double)(float)((d->shown == greedy ? .8 : 0) + .2 / STREAM_OFFERED);
    d->click = stream_unit(s) < d->truth[d->shown];
}

static inline double
stream_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline double
stream_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
