/* stream.h - the synthetic contextual-bandit stream of the learner's benchmarks, made in the process from a seed.
 *
 * 200-arm catalogue, 50 offered a decision; 20 numbers of context times 10 of the arm: a bilinear logistic truth with main
 * effects and
 * an effect of each arm; logged by epsilon-greedy (0.2) over a fixed noisy scorer. The same law, draw by draw, as the generator
 * that the peers' files come from (20261123 is the base stream), so that true click rates can be compared. Other laws (struct
 * stream_law): nine of the same kind, and two that no bilinear model can say. libm is fine here.
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

/* What a stream's law has beside the base's: zero everywhere is the base. */
enum stream_truth { STREAM_BILINEAR, STREAM_STEPS, STREAM_WAVES };
struct stream_law {
    const char *name;
    uint64_t seed;
    double bias;        /* added to the intercept */
    double crosses;     /* crosses are multiplied by it; 0: 1 */
    double drift;       /* this share of crosses and biases is drawn anew halfway */
    double epsilon;     /* of the logging; 0: 0.2 */
    double temperature; /* logging by softmax(temperature x score), floored; 0: greedy */
    double identity;    /* effects of the context on each arm by itself: their deviation */
    bool one_hot;       /* the context is five words of four */
    bool scaled;        /* feature i of the context is shown times 0.1, 1, 10, 100, 0.1, ... */
    enum stream_truth truth;
};
enum { STREAM_RULES = 60 };
struct stream_rule { /* a step: where both are above, the log-odds are higher by `by` */
    int context, arm, above, arm_above;
    double by;
};

struct stream {
    struct stream_law law;
    long n, half; /* decisions so far; when the drift comes */
    double own[STREAM_ARMS][STREAM_CONTEXT];
    struct stream_rule rules[STREAM_RULES];
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

/* Names, and the arms' features. */
static inline void
stream_label(struct stream *s)
{
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

/* What goes beyond the base's law, from draws of its own. */
static inline void
stream_extend(struct stream *s)
{
    uint64_t state = s->state;
    for (int i = 0; i < STREAM_ARMS && s->law.identity > 0; i++)
        for (int j = 0; j < STREAM_CONTEXT; j++)
            s->own[i][j] = s->law.identity * stream_normal(s);
    for (int i = 0; i < STREAM_RULES && s->law.truth == STREAM_STEPS; i++)
        s->rules[i] = (struct stream_rule){.context = (int)(stream_next(s) % STREAM_CONTEXT),
                                           .arm = (int)(stream_next(s) % STREAM_ARM),
                                           .above = stream_hundredths(s),
                                           .arm_above = stream_hundredths(s),
                                           .by = .8 * stream_normal(s)};
    s->state = state;
}

/* n: how many decisions will be drawn (the drift comes halfway). */
static inline void
stream_init_as(struct stream *s, const struct stream_law *law, long n)
{
    memset(s, 0, sizeof *s);
    s->law = *law;
    s->half = n / 2;
    s->state = law->seed;
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
    stream_extend(s);
    double by = law->crosses > 0 ? law->crosses : 1;
    for (int i = 0; i < STREAM_CONTEXT; i++)
        for (int j = 0; j < STREAM_ARM; j++) {
            s->cross[i][j] *= by;
            s->noisy[i][j] *= by;
        }
    stream_label(s);
}

static inline void
stream_init(struct stream *s, uint64_t seed)
{
    struct stream_law base = {.seed = seed};
    stream_init_as(s, &base, 0);
}

static inline void
stream_drift(struct stream *s)
{
    double d = s->law.drift;
    for (int i = 0; i < STREAM_CONTEXT; i++)
        for (int j = 0; j < STREAM_ARM; j++)
            s->cross[i][j] = (1 - d) * s->cross[i][j] + d * .5 * stream_normal(s);
    for (int i = 0; i < STREAM_ARMS; i++)
        s->bias[i] = (1 - d) * s->bias[i] + d * .5 * stream_normal(s);
}

/* The context in hundredths, and as it is shown. */
static inline void
stream_context(struct stream *s, struct stream_decision *d, int u[STREAM_CONTEXT])
{
    memset(u, 0, STREAM_CONTEXT * sizeof *u);
    for (int i = 0; i < 5 && s->law.one_hot; i++)
        u[4 * i + (int)(stream_next(s) % 4)] = 100;
    for (int i = 0; i < STREAM_CONTEXT; i++) {
        if (!s->law.one_hot)
            u[i] = stream_hundredths(s);
        float shown = (float)u[i] / 100.f;
        if (s->law.scaled)
            shown *= (float[]){.1f, 1, 10, 100}[i % 4];
        d->context[i] = (struct aft_feature){.name = aft_text(s->context_name[i]),
                                             .type = AFT_FEATURE_NUMBER,
                                             .number = (double)shown};
    }
}

/* What the bilinear form does not say. */
static inline double
stream_beyond(const struct stream *s, const int u[STREAM_CONTEXT], int arm, double x)
{
    if (s->law.truth == STREAM_WAVES)
        return 2.5 * sin(.7 * x) - x;
    double more = 0;
    for (int i = 0; i < STREAM_RULES && s->law.truth == STREAM_STEPS; i++) {
        const struct stream_rule *r = &s->rules[i];
        if (u[r->context] > r->above && s->arm_value[arm][r->arm] > r->arm_above)
            more += r->by;
    }
    for (int i = 0; i < STREAM_CONTEXT && s->law.identity > 0; i++)
        more += s->own[arm][i] * u[i] / 100.;
    return s->law.truth == STREAM_STEPS ? more - .7 * x : more;
}

/* Each offered arm's true chance, and its score by the logger; returns the logger's best. */
static inline uint32_t
stream_offer(struct stream *s, struct stream_decision *d, const int u[STREAM_CONTEXT],
             const int order[STREAM_ARMS], double score[STREAM_OFFERED])
{
    double uw[STREAM_ARM] = {0}, un[STREAM_ARM] = {0}, base = 0, best = -1e9;
    uint32_t greedy = 0;
    for (int i = 0; i < STREAM_CONTEXT; i++) {
        base += s->main_context[i] * u[i] / 100.;
        for (int j = 0; j < STREAM_ARM; j++) {
            uw[j] += s->cross[i][j] * u[i] / 100.;
            un[j] += s->noisy[i][j] * u[i] / 100.;
        }
    }
    for (uint32_t k = 0; k < STREAM_OFFERED; k++) {
        int a = order[k];
        double x = base + s->bias[a], y = s->noisy_bias[a];
        for (int j = 0; j < STREAM_ARM; j++) {
            x += (uw[j] + s->main_arm[j]) * s->arm_value[a][j] / 100.;
            y += un[j] * s->arm_value[a][j] / 100.;
        }
        x += stream_beyond(s, u, a, x) - 2.5 + s->law.bias;
        d->truth[k] = 1 / (1 + exp(-x));
        score[k] = y;
        if (y > best) {
            best = y;
            greedy = k;
        }
        d->candidates[k] = (struct aft_candidate){.known = (uint32_t)a + 1,
                                                  .arm_id = aft_text(s->arm_name[a]),
                                                  .features = {s->arm_features[a], STREAM_ARM}};
    }
    return greedy;
}

/* Logging by softmax, floored. */
static inline void
stream_soft(struct stream *s, struct stream_decision *d, const double score[STREAM_OFFERED],
            uint32_t greedy, double epsilon)
{
    double w[STREAM_OFFERED], total = 0, at = 0, r;
    for (int k = 0; k < STREAM_OFFERED; k++)
        total += w[k] = exp(s->law.temperature * (score[k] - score[greedy]));
    r = stream_unit(s);
    d->shown = STREAM_OFFERED - 1;
    for (int k = 0; k < STREAM_OFFERED; k++)
        w[k] = (1 - epsilon) * w[k] / total + epsilon / STREAM_OFFERED;
    for (uint32_t k = 0; k < STREAM_OFFERED; k++) {
        at += w[k];
        if (r < at) {
            d->shown = k;
            break;
        }
    }
    d->propensity = (double)(float)w[d->shown];
}

static inline void
stream_decide(struct stream *s, struct stream_decision *d)
{
    int u[STREAM_CONTEXT], order[STREAM_ARMS];
    double score[STREAM_OFFERED], epsilon = s->law.epsilon > 0 ? s->law.epsilon : .2;
    if (s->law.drift > 0 && s->n == s->half)
        stream_drift(s);
    s->n++;
    stream_context(s, d, u);
    for (int i = 0; i < STREAM_ARMS; i++)
        order[i] = i;
    for (int k = 0; k < STREAM_OFFERED; k++) {
        int r = k + (int)(stream_next(s) % (uint64_t)(STREAM_ARMS - k)), t = order[k];
        order[k] = order[r];
        order[r] = t;
    }
    uint32_t greedy = stream_offer(s, d, u, order, score);
    if (s->law.temperature > 0) {
        stream_soft(s, d, score, greedy, epsilon);
    } else {
        d->shown = stream_unit(s) < epsilon ? (uint32_t)(stream_next(s) % STREAM_OFFERED) : greedy;
        d->propensity =
            (double)(float)((d->shown == greedy ? 1 - epsilon : 0) + epsilon / STREAM_OFFERED);
    }
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
