/* bench_decide.c - one decision from request to slate with all probabilities: 50 arms, K = 3; p50 and p99 in microseconds.
 *
 *   linear, epsilon-greedy and softmax: 20 features of context, 80 of each arm; all read each time, or a revision: resolved once
 *   bilinear, softmax: 20 of context, 10 of each arm, all crosses
 *   LinUCB and Thompson, one block an arm, d = 50: 49 features of context and the constant
 *   every explorer, and what is wanted inside the draw: bilinear, 20 x 10, by revision
 *   the draw's parts: 50 weights from log-weights, a slate of 3, its conditionals, its three marginals
 * Counts the allocations of the decisions after the first ten: must be none.
 * usage: bench_decide [DECISIONS = 20000 [PART OF A NAME]]
 */
#include "tests/bench/stream.h"

enum { ARMS = 50, CONTEXT_MAX = 49, OWN_MAX = 80 };

/* ---- allocations on the path: glibc lets a program stand before its own malloc (a sanitizer has done so already) */
static long allocations;
#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);

void *
malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

void *
calloc(size_t n, size_t m)
{
    allocations++;
    return __libc_calloc(n, m);
}

void *
realloc(void *p, size_t n)
{
    allocations++;
    return __libc_realloc(p, n);
}
#endif

struct setup {
    const char *name, *model, *scope, *explore;
    uint32_t context, own;
    uint64_t revision;
    const char *key, *value; /* one more setting, or NULL */
};

struct world {
    char context_names[CONTEXT_MAX][8], own_names[OWN_MAX][8], ids[ARMS][8];
    struct aft_feature context[CONTEXT_MAX], own[ARMS][OWN_MAX];
    struct aft_candidate arms[ARMS];
    struct aft_random random;
};

static void
fill(struct world *w, const struct setup *s, bool arms)
{
    for (uint32_t i = 0; i < s->context; i++) {
        snprintf(w->context_names[i], sizeof w->context_names[i], "u%u", i);
        w->context[i] = (struct aft_feature){.name = aft_text(w->context_names[i]),
                                             .type = AFT_FEATURE_NUMBER,
                                             .number = 2 * aft_random_unit(&w->random) - 1};
    }
    for (uint32_t a = 0; arms && a < ARMS; a++) {
        snprintf(w->ids[a], sizeof w->ids[a], "arm%u", a);
        w->arms[a] =
            (struct aft_candidate){.arm_id = aft_text(w->ids[a]), .features = {w->own[a], s->own}};
        for (uint32_t i = 0; i < s->own; i++) {
            snprintf(w->own_names[i], sizeof w->own_names[i], "a%u", i);
            w->own[a][i] = (struct aft_feature){.name = aft_text(w->own_names[i]),
                                                .type = AFT_FEATURE_NUMBER,
                                                .number = 2 * aft_random_unit(&w->random) - 1};
        }
    }
}

static enum aft_err
follow(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    bool whole;
    (void)key;
    return aft_snapshot_set_add(ctx, body, &whole, e);
}

static enum aft_err
trained(struct world *w, const struct setup *s, struct aft_model **out, struct aft_error *e)
{
    struct aft_learner_settings set;
    struct aft_learner *l = NULL;
    struct aft_snapshot_set *snapshots = aft_snapshot_set_new();
    bool known;
    aft_learner_settings_default(&set);
    AFT_TRY(aft_learner_set(&set, "learner.model", s->model, &known, e));
    AFT_TRY(aft_learner_set(&set, "learner.scope", s->scope, &known, e));
    AFT_TRY(aft_learner_set(&set, "policy.explore", s->explore, &known, e));
    if (s->key)
        AFT_TRY(aft_learner_set(&set, s->key, s->value, &known, e));
    AFT_TRY(aft_learner_new(&set, &l, e));
    for (int i = 0; i < 3000; i++) {
        fill(w, s, false);
        const struct aft_candidate *c = &w->arms[aft_random_below(&w->random, ARMS)];
        struct aft_example_item item = {.arm_id = c->arm_id,
                                        .propensity = 1. / ARMS,
                                        .features = c->features,
                                        .reward_micro =
                                            aft_random_below(&w->random, 2) ? AFT_MICRO : 0};
        struct aft_example x = {.context = {w->context, s->context}, .items = &item, .items_n = 1};
        AFT_TRY(aft_learner_learn(l, &x, e));
    }
    struct aft_publish_spec spec = {.model = AFT_LITERAL("bench"), .round = 1};
    AFT_TRY(aft_learner_publish(l, &spec, follow, snapshots, e));
    AFT_TRY(aft_model_load(snapshots, out, e));
    aft_snapshot_set_free(snapshots);
    aft_learner_free(l);
    return AFT_OK;
}

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static enum aft_err
bench(const struct setup *s, long n, struct aft_error *e)
{
    static struct world w;
    struct aft_model *m = NULL;
    struct aft_scratch *scratch = aft_scratch_new();
    double *us = malloc((size_t)n * sizeof *us);
    AFT_ASSERT(us);
    aft_random_init(&w.random, 7, 0);
    fill(&w, s, true);
    AFT_TRY(trained(&w, s, &m, e));
    long before = 0;
    for (long i = -10; i < n; i++) {
        struct aft_decision d;
        fill(&w, s, false);
        uint64_t key = aft_random_u64(&w.random);
        struct aft_request r = {.context = {w.context, s->context},
                                .candidates = w.arms,
                                .candidates_n = ARMS,
                                .k = 3,
                                .key = {(const uint8_t *)&key, 8},
                                .revision = s->revision};
        before = i == 0 ? allocations : before;
        double from = stream_now();
        AFT_TRY(aft_decide(m, scratch, &r, &d, e));
        if (i >= 0)
            us[i] = (stream_now() - from) * 1e6;
    }
    long made = allocations - before;
    qsort(us, (size_t)n, sizeof *us, ascending);
    printf("%-44s p50 %7.2f us, p99 %7.2f us, allocations %ld\n", s->name, us[n / 2],
           us[n * 99 / 100], made);
    free(us);
    aft_scratch_free(scratch);
    aft_model_free(m);
    return made ? AFT_FAIL(e, AFT_E_FAILED, "%s allocates", s->name) : AFT_OK;
}

/* ---- the parts of a draw, without a model */
static void
bench_parts(long n)
{
    double log_w[ARMS], w[ARMS], rest[ARMS], p[3], sum = 0, us[4] = {0};
    uint32_t index[ARMS], slate[3];
    struct aft_random r;
    aft_random_init(&r, 3, 0);
    for (uint32_t i = 0; i < ARMS; i++) {
        log_w[i] = 2 * aft_random_normal(&r);
        index[i] = i;
    }
    for (long at = 0; at < n; at++) {
        double t[5];
        log_w[at % ARMS] += 0.01;
        t[0] = stream_now();
        aft_pl_weights(log_w, ARMS, 0.05, w);
        t[1] = stream_now();
        aft_pl_draw(w, index, ARMS, (uint64_t)at, 3, slate);
        t[2] = stream_now();
        aft_pl_conditionals(w, ARMS, slate, 3, p);
        t[3] = stream_now();
        aft_pl_rests(w, ARMS, rest);
        for (uint32_t l = 0; l < 3; l++)
            sum += aft_pl_marginal(w, rest, ARMS, slate[l], l);
        t[4] = stream_now();
        for (int i = 0; i < 4; i++)
            us[i] += (t[i + 1] - t[i]) * 1e6 / (double)n;
    }
    printf("%-44s weights %.2f, draw %.2f, conditionals %.2f, marginals %.2f us (mean%s)\n",
           "parts of a draw", us[0], us[1], us[2], us[3], sum > 0 ? "" : "?");
}

static const struct setup setups[] = {
    {"linear, greedy, 20 + 80 features an arm", "ridge", "shared", "epsilon_greedy", 20, 80, 0, 0,
     0},
    {"linear, softmax, 20 + 80 features an arm", "ridge", "shared", "softmax", 20, 80, 0, 0, 0},
    {"  the same, by revision", "ridge", "shared", "softmax", 20, 80, 1, 0, 0},
    {"linear, softmax, 20 + 2 features an arm", "ridge", "shared", "softmax", 20, 2, 0, 0, 0},
    {"bilinear, softmax, 20 x 10 and identity", "flow", "shared", "softmax", 20, 10, 0, 0, 0},
    {"LinUCB, an arm each, d = 50", "ridge", "per_arm", "linucb", 49, 0, 0, 0, 0},
    {"LinUCB, shared, 20 + 10 features an arm", "ridge", "shared", "linucb", 20, 10, 0, 0, 0},
    {"  the same, the diagonal alone", "ridge", "shared", "linucb", 20, 10, 0, "policy.covariance",
     "diagonal"},
    {"Thompson, an arm each, d = 50, 64 draws", "ridge", "per_arm", "thompson", 49, 0, 0, 0, 0},
    {"Thompson, bilinear, 64 joint draws", "flow", "shared", "thompson", 20, 10, 0, 0, 0},
#define EACH(explore)                                       \
    {                                                       \
        explore, "flow", "shared", explore, 20, 10, 1, 0, 0 \
    }
#define WITH(name, key, value)                                   \
    {                                                            \
        name, "flow", "shared", "softmax", 20, 10, 1, key, value \
    }
    EACH("uniform"),
    EACH("first"),
    EACH("epsilon"),
    EACH("softmax"),
    EACH("squarecb"),
    EACH("squarecb-elim"),
    EACH("regcb-elim"),
    EACH("regcb-opt"),
    EACH("bagging"),
    {"cover", "flow-squared", "shared", "cover", 20, 10, 1, 0, 0},
    EACH("ucb"),
    EACH("linucb"),
    EACH("thompson"),
    WITH("softmax, least exposure", "policy.min.exposure", "0.005"),
    WITH("softmax, repetition", "policy.repetition", "0.5"),
    WITH("softmax, diversity", "policy.diversity", "0.5"),
};

int
main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    for (size_t i = 0; i < sizeof setups / sizeof *setups; i++) {
        struct aft_error e;
        if (argc > 2 && !strstr(setups[i].name, argv[2]))
            continue;
        if (bench(&setups[i], n, &e) != AFT_OK) {
            fprintf(stderr, "bench_decide: %s\n", e.message);
            return 1;
        }
    }
    if (argc <= 2)
        bench_parts(n);
    return 0;
}
