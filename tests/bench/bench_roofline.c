/* bench_roofline.c - is the learner bound by memory? What this machine's memory gives (the triad of McCalpin's STREAM, and lines at
 * random), and what flow does with catalogues from one that fits the caches to one that fills features.bits = 22.
 *
 * Bytes of a decision: for each of 50 candidates its noun (64), its entry (64) and its row (4 x stride); for the step, in each of the 12
 * rows of the shown item, weights and information read and written (16 x stride) and the step written and read (8 x stride).
 * usage: bench_roofline [DECISIONS = 100000]
 */
#include "tests/bench/stream.h"

enum { OFFERED = 50, CONTEXT = 20, OWN = 10, LINE = 128 };

static double
triad(void)
{
    enum { N = 4 << 20, TIMES = 5 };
    double *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b), *c = malloc(N * sizeof *c);
    double best = 1e9;
    for (int i = 0; a && b && c && i < N; i++)
        a[i] = b[i] = c[i] = i;
    for (int t = 0; a && b && c && t < TIMES; t++) {
        double from = stream_cpu();
        for (int i = 0; i < N; i++)
            a[i] = b[i] + (1 + t) * c[i];
        best = fmin(best, stream_cpu() - from);
    }
    double sink = a ? a[N / 2] : 0;
    free(a);
    free(b);
    free(c);
    return sink > 0 ? 3. * N * sizeof(double) / best : 0;
}

/* Lines of 128 bytes at random from 256 MB, independent of each other. */
static double
lines(void)
{
    enum { N = 2 << 20, READS = 4 << 20 };
    uint8_t *p = malloc((size_t)N * LINE);
    uint64_t z = 1, sum = 0;
    if (!p)
        return 0;
    memset(p, 1, (size_t)N * LINE);
    double from = stream_cpu();
    for (int i = 0; i < READS; i++) {
        z = z * 6364136223846793005ull + 1442695040888963407ull;
        const uint8_t *line = p + (z >> 40) % N * LINE;
        sum += line[0] + line[64];
    }
    double took = stream_cpu() - from;
    free(p);
    return sum ? READS / took : 0;
}

/* A catalogue of any size; clicks are coins: only speed is asked for. */
struct market {
    uint32_t arms;
    uint64_t state;
    char (*id)[12], names[CONTEXT + OWN][4];
    struct aft_feature (*own)[OWN];
    struct aft_feature context[CONTEXT];
    struct aft_candidate offered[OFFERED];
    struct aft_example_item item;
};

static uint64_t
draw(struct market *m)
{
    m->state = m->state * 6364136223846793005ull + 1442695040888963407ull;
    return m->state >> 33;
}

static bool
market_open(struct market *m, uint32_t arms)
{
    *m = (struct market){.arms = arms, .state = 7};
    m->id = calloc(arms, sizeof *m->id);
    m->own = calloc(arms, sizeof *m->own);
    for (int i = 0; i < CONTEXT + OWN; i++)
        snprintf(m->names[i], sizeof m->names[i], "f%c", 'A' + i);
    for (uint32_t a = 0; m->id && m->own && a < arms; a++) {
        snprintf(m->id[a], sizeof m->id[a], "i%u", a);
        for (int j = 0; j < OWN; j++)
            m->own[a][j] = (struct aft_feature){.name = aft_text(m->names[CONTEXT + j]),
                                                .number = 0.01 * (1 + (double)(draw(m) % 99))};
    }
    return m->id && m->own;
}

static struct aft_example
market_next(struct market *m)
{
    for (int j = 0; j < CONTEXT; j++)
        m->context[j] = (struct aft_feature){.name = aft_text(m->names[j]),
                                             .number = 0.01 * (1 + (double)(draw(m) % 99))};
    for (int k = 0; k < OFFERED; k++) {
        uint32_t a = (uint32_t)(draw(m) % m->arms);
        m->offered[k] = (struct aft_candidate){
            .known = a + 1, .arm_id = aft_text(m->id[a]), .features = {m->own[a], OWN}};
    }
    m->item = (struct aft_example_item){.arm_id = m->offered[draw(m) % OFFERED].arm_id,
                                        .propensity = 1. / OFFERED,
                                        .reward_micro = draw(m) % 5 == 0 ? AFT_MICRO : 0};
    return (struct aft_example){.phase = AFT_OPEN,
                                .decision_id = AFT_LITERAL("d"),
                                .context = {m->context, CONTEXT},
                                .candidates = m->offered,
                                .candidates_n = OFFERED,
                                .items = &m->item,
                                .items_n = 1,
                                .revision = 1};
}

/* What reading the clock costs, CPU seconds. */
static double
clock_cost(void)
{
    enum { N = 20000 };
    double from = stream_cpu();
    for (int i = 0; i < N; i++)
        stream_cpu();
    return (stream_cpu() - from) / N;
}

static bool
catalogue(uint32_t arms, long n)
{
    struct market m;
    struct aft_learner_settings s;
    struct aft_learner *l = NULL;
    struct aft_error e;
    bool known, good;
    aft_learner_settings_default(&s);
    s.policy.model = AFT_MODEL_FLOW;
    s.weighting = AFT_WEIGHTING_NONE;
    good = aft_learner_set(&s, "features.bits", "22", &known, &e) == AFT_OK &&
           market_open(&m, arms) && aft_learner_new(&s, &l, &e) == AFT_OK;
    double cpu = 0, clock = clock_cost();
    for (long i = -(long)arms; good && i < n; i++) { /* each arm has a row before the clock runs */
        struct aft_example x = market_next(&m);
        if (i < 0)
            m.item.arm_id = aft_text(m.id[i + arms]);
        double from = stream_cpu();
        good = aft_learner_learn(l, &x, &e) == AFT_OK;
        cpu += i < 0 ? 0 : stream_cpu() - from - clock;
    }
    double stride = 24, bytes = OFFERED * (128 + 4 * stride) + 12 * 24 * stride;
    printf("%6u arms, weights and information %6.0f KB: %.0f decisions/cpu-s, %.0f bytes each: "
           "%.2f GB/s\n",
           arms, 8 * stride * (arms + 11) / 1e3, (double)n / cpu, bytes,
           bytes * (double)n / cpu / 1e9);
    aft_learner_free(l);
    free(m.id);
    free(m.own);
    return good;
}

int
main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    printf("triad %.1f GB/s; lines of %d bytes at random %.0f M/s\n", triad() / 1e9, LINE,
           lines() / 1e6);
    return catalogue(200, n) && catalogue(5000, n) && catalogue(60000, n) ? 0 : 1;
}
