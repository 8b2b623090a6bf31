/* bench_client.c - what an engine waits for: aft_client_decide from request to slate with all probabilities, through the library: 50
 * candidates, 20 features of context, 80 of each candidate (bilinear models: 20 x 10; a block an arm: d = 50, the context alone), K = 3.
 *
 *   candidates given each time, or a catalogue; then every explorer by a catalogue. In microseconds
 *   `swapped`, each of them again (but with a history): 8 threads decide while another snapshot comes ten times a second, at least
 *   DECISIONS each, of which the last DECISIONS count; and how long from a snapshot's last part until it serves, of it the applying
 *   thread's own CPU, and what it waited for a processor (/proc/thread-self/schedstat; 0 where the kernel keeps none). Threads that wait
 *   for a processor are in the p99 where there are more threads than processors; so is what the applying thread takes from them
 * usage: bench_client [DECISIONS = 20000 [NAME, OR THE BEGINNING OF SOME [RUNS = 1 [THREADS = 8]]]]
 *   RUNS above 1: the same decisions so many times, by a client each; of every decision the least counts. Its p99 is the code's own: a long
 *   way that some decisions take is in it, a neighbour on the processor's other thread is not. What is swapped is left out
 */
#include <pthread.h>
#include <stdatomic.h>

#include "client/client.h"
#include "tests/bench/stream.h"

enum { ARMS = 50, CONTEXT_MAX = 49, OWN_MAX = 80, THREADS_MAX = 64, ROUNDS = 12, RECORDS_MAX = 64 };

struct setup {
    const char *name, *model, *scope, *explore;
    uint32_t context, own;
    bool catalogue, history;
};

struct set { /* the records of one snapshot, framed */
    struct aft_buffer record[RECORDS_MAX];
    uint32_t n;
};

struct spent { /* by the calling thread: since some moment, computing, waiting for a processor */
    double wall, cpu, waited;
};

struct bed {
    const struct setup *s;
    int swapped;        /* 0, or how many threads decide */
    atomic_bool enough; /* swapped: no snapshot will come any more */
    struct spent last;  /* when the last part of a snapshot was handed on */
    struct set sets[ROUNDS];
    atomic_uint given, to_give; /* sets that the transport handed on; shall hand on */
    struct aft_client *c;
    struct aft_client_catalogue *k;
    char ids[ARMS][8], names[OWN_MAX][8], context_names[CONTEXT_MAX][16];
    struct aft_client_feature own[ARMS][OWN_MAX];
    struct aft_client_candidate arms[ARMS];
    long decisions;
};

struct run { /* one thread's */
    struct bed *b;
    double *us;
    uint64_t seed;
};

/* ---- snapshots */
static enum aft_err
keep(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct set *s = ctx;
    (void)key;
    if (s->n == RECORDS_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "a snapshot of many parts");
    struct aft_buffer *b = &s->record[s->n++];
    aft_frame_put_single(b, AFT_RECORD_SNAPSHOT);
    aft_put_raw(b, body);
    return AFT_OK;
}

static enum aft_err
learn(struct bed *b, struct aft_learner *l, struct aft_random *r, int n, struct aft_error *e)
{
    struct aft_feature context[CONTEXT_MAX], own[OWN_MAX];
    for (int i = 0; i < n; i++) {
        uint32_t arm = aft_random_below(r, ARMS);
        for (uint32_t j = 0; j < b->s->context; j++)
            context[j] = (struct aft_feature){.name = aft_text(b->context_names[j]),
                                              .number = 2 * aft_random_unit(r) - 1};
        for (uint32_t j = 0; j < b->s->own; j++)
            own[j] = (struct aft_feature){.name = aft_text(b->names[j]),
                                          .number = b->own[arm][j].number};
        struct aft_example_item item = {.arm_id = aft_text(b->ids[arm]),
                                        .propensity = 1. / ARMS,
                                        .features = {own, b->s->own},
                                        .reward_micro = aft_random_below(r, 2) ? AFT_MICRO : 0};
        struct aft_example x = {.context = {context, b->s->context}, .items = &item, .items_n = 1};
        AFT_TRY(aft_learner_learn(l, &x, e));
    }
    return AFT_OK;
}

static enum aft_err
make_sets(struct bed *b, struct aft_error *e)
{
    struct aft_learner_settings set;
    struct aft_learner *l = NULL;
    struct aft_random r;
    bool known;
    aft_random_init(&r, 7, 0);
    aft_learner_settings_default(&set);
    AFT_TRY(aft_learner_set(&set, "learner.model", b->s->model, &known, e));
    AFT_TRY(aft_learner_set(&set, "learner.scope", b->s->scope, &known, e));
    AFT_TRY(aft_learner_set(&set, "policy.explore", b->s->explore, &known, e));
    AFT_TRY(aft_learner_new(&set, &l, e));
    for (int i = 0; i < (b->swapped ? ROUNDS : 1); i++) {
        struct aft_publish_spec spec = {.model = AFT_LITERAL("bench"), .round = i + 1};
        AFT_TRY(learn(b, l, &r, i ? 50 : 3000, e));
        AFT_TRY(aft_learner_publish(l, &spec, keep, &b->sets[i], e));
    }
    aft_learner_free(l);
    return AFT_OK;
}

/* "computed waited slices", in nanoseconds. */
static double
waited_now(void)
{
    char text[128] = "", *end = text;
    FILE *f = fopen("/proc/thread-self/schedstat", "r");
    bool read = f && fgets(text, sizeof text, f);
    if (f)
        fclose(f);
    if (!read)
        return 0;
    (void)strtoull(text, &end, 10);
    return (double)strtoull(end, NULL, 10) * 1e-9;
}

static double
cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The wall's time last where something begins, first where it ends: what reading the others takes is not in it. */
static struct spent
spent_from(void)
{
    struct spent s = {.waited = waited_now()};
    s.cpu = cpu_now();
    s.wall = stream_now();
    return s;
}

static struct spent
spent_since(const struct spent *from)
{
    struct spent s = {.wall = (stream_now() - from->wall) * 1e3};
    s.cpu = (cpu_now() - from->cpu) * 1e3;
    s.waited = (waited_now() - from->waited) * 1e3;
    if (s.waited > s.wall - s.cpu) /* what it waited while this was read came after the end */
        s.waited = s.wall > s.cpu ? s.wall - s.cpu : 0;
    return s;
}

/* ---- the transport: hands on as many sets as it is told */
static enum aft_err
append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
       struct aft_bytes value, struct aft_error *e)
{
    (void)ctx, (void)topic, (void)time_ms, (void)key, (void)value, (void)e;
    return AFT_OK;
}

static enum aft_err
poll_snapshots(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx,
               bool *at_end, struct aft_error *e)
{
    struct bed *b = ctx;
    (void)timeout_ms, (void)e;
    while (b->given < b->to_give) {
        struct set *s = &b->sets[b->given++];
        for (uint32_t i = 0; i < s->n; i++) {
            b->last = spent_from();
            sink(sink_ctx, AFT_LITERAL("bench/x"), aft_buffer_bytes(&s->record[i]));
        }
    }
    *at_end = true;
    return AFT_OK;
}

static enum aft_err
open_bed(struct bed *b, struct aft_error *e)
{
    static const uint64_t seed = 1;
    struct aft_client_transport t = {.ctx = b, .append = append, .poll_snapshots = poll_snapshots};
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_random r;
    struct aft_client_error why;
    o.seed = &seed;
    o.baseline_share = 0;
    o.history_bytes = b->s->history ? 64 << 20 : 0;
    aft_random_init(&r, 8, 0);
    for (uint32_t j = 0; j < b->s->context; j++)
        snprintf(b->context_names[j], sizeof b->context_names[j], "u%u", j);
    for (uint32_t j = 0; j < OWN_MAX; j++)
        snprintf(b->names[j], sizeof b->names[j], "a%u", j);
    for (uint32_t a = 0; a < ARMS; a++) {
        snprintf(b->ids[a], sizeof b->ids[a], "arm%u", a);
        for (uint32_t j = 0; j < b->s->own; j++)
            b->own[a][j] = (struct aft_client_feature){b->names[j], AFT_CLIENT_NUMBER,
                                                       2 * aft_random_unit(&r) - 1, NULL};
        b->arms[a] = (struct aft_client_candidate){
            .arm_id = b->ids[a], .features = b->own[a], .features_n = b->s->own};
    }
    AFT_TRY(make_sets(b, e));
    b->to_give = 1;
    AFT_TRY(aft_client_open_over(&o, &t, &b->c, e));
    if (aft_client_catalogue_new(b->c, b->arms, ARMS, &b->k, &why) != AFT_CLIENT_OK)
        return AFT_FAIL(e, AFT_E_FAILED, "%s", why.message);
    return AFT_OK;
}

/* ---- deciding */
static void *
decide_many(void *ctx)
{
    struct run *run = ctx;
    struct bed *b = run->b;
    struct aft_client_feature context[CONTEXT_MAX];
    struct aft_random r;
    aft_random_init(&r, run->seed, 0);
    struct aft_client_request q = AFT_CLIENT_REQUEST;
    q.user_id = "a user";
    q.device = "web";
    q.context = context;
    q.context_n = b->s->context;
    if (b->s->catalogue) {
        q.catalogue = b->k;
    } else {
        q.candidates = b->arms;
        q.candidates_n = ARMS;
    }
    for (long i = -20; i < b->decisions || (b->swapped && !b->enough); i++) {
        struct aft_client_decision *d;
        for (uint32_t j = 0; j < b->s->context; j++)
            context[j] = (struct aft_client_feature){b->context_names[j], AFT_CLIENT_NUMBER,
                                                     2 * aft_random_unit(&r) - 1, NULL};
        double from = stream_now();
        enum aft_client_code code = aft_client_decide(b->c, &q, &d, NULL);
        double took = stream_now() - from;
        AFT_ASSERT(code == AFT_CLIENT_OK);
        if (b->s->history && i < -15) /* three arms each: a dozen are known to the user */
            AFT_ASSERT(aft_client_log_impression(b->c, d, NULL) == AFT_CLIENT_OK);
        aft_client_decision_free(b->c, d);
        if (i >= 0)
            run->us[i % b->decisions] = took * 1e6;
    }
    return NULL;
}

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void
print(const struct bed *b, double *us, size_t n, const char *rest)
{
    char name[80];
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += us[i];
    qsort(us, n, sizeof *us, ascending);
    snprintf(name, sizeof name, "%s%s", b->swapped ? "swapped, " : "", b->s->name);
    printf("%-50s p50 %7.2f us, p99 %7.2f us, mean %7.2f us%s\n", name, us[n / 2], us[n * 99 / 100],
           sum / (double)n, rest);
}

static int
by_wall(const void *a, const void *b)
{
    return ascending(&((const struct spent *)a)->wall, &((const struct spent *)b)->wall);
}

/* Another snapshot ten times a second, while others decide: what each took from its last part until it served, in milliseconds. */
static void
swap(struct bed *b, struct spent applied[ROUNDS - 1])
{
    for (int i = 0; i < ROUNDS - 1; i++) {
        nanosleep(&(struct timespec){0, 100000000}, NULL);
        b->to_give++;
        aft_client_poll(b->c, 0);
        applied[i] = spent_since(&b->last);
    }
    b->enough = true;
}

static void
swap_and_decide(struct bed *b, double *us)
{
    pthread_t threads[THREADS_MAX] = {0};
    struct run runs[THREADS_MAX];
    struct spent applied[ROUNDS - 1];
    char rest[160];
    for (int i = 0; i < b->swapped; i++) {
        runs[i] = (struct run){b, us + (size_t)i * (size_t)b->decisions, (uint64_t)i + 1};
        int code = pthread_create(&threads[i], NULL, decide_many, &runs[i]);
        AFT_ASSERT(code == 0);
    }
    swap(b, applied);
    for (int i = 0; i < b->swapped; i++)
        pthread_join(threads[i], NULL);
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(b->c, &info);
    AFT_ASSERT(info.snapshots_applied == ROUNDS && info.round == ROUNDS);
    qsort(applied, ROUNDS - 1, sizeof *applied, by_wall);
    const struct spent *half = &applied[(ROUNDS - 1) / 2], *most = &applied[ROUNDS - 2];
    snprintf(rest, sizeof rest,
             "; last part to serving: median %.2f ms (CPU %.2f, waited %.2f), most %.2f ms (CPU "
             "%.2f, waited %.2f)",
             half->wall, half->cpu, half->waited, most->wall, most->cpu, most->waited);
    print(b, us, (size_t)b->decisions * (size_t)b->swapped, rest);
}

/* One client from open to close; its times into us, or, where there are some already, the lesser of both. */
static enum aft_err
run_bed(struct bed *b, double *us, bool again, struct aft_error *e)
{
    double *now = again ? calloc((size_t)b->decisions, sizeof *now) : us;
    AFT_ASSERT(now);
    enum aft_err err = open_bed(b, e);
    if (err == AFT_OK && b->swapped)
        swap_and_decide(b, now);
    else if (err == AFT_OK)
        decide_many(&(struct run){b, now, 1});
    for (long i = 0; err == AFT_OK && again && i < b->decisions; i++)
        us[i] = now[i] < us[i] ? now[i] : us[i];
    if (again)
        free(now);
    if (err != AFT_OK)
        return err;
    aft_client_catalogue_free(b->k);
    aft_client_close(b->c, 0, NULL);
    for (int i = 0; i < ROUNDS; i++)
        for (uint32_t j = 0; j < b->sets[i].n; j++)
            aft_buffer_deinit(&b->sets[i].record[j]);
    return AFT_OK;
}

static enum aft_err
bench(const struct setup *s, int swapped, long n, long runs, struct aft_error *e)
{
    struct bed *b = calloc(1, sizeof *b);
    double *us = calloc((size_t)n * (swapped ? (size_t)swapped : 1), sizeof *us);
    enum aft_err err = AFT_OK;
    AFT_ASSERT(b && us && runs > 0);
    for (long i = 0; i < runs && err == AFT_OK; i++) {
        *b = (struct bed){.s = s, .swapped = swapped, .decisions = n};
        err = run_bed(b, us, i > 0, e);
    }
    if (err == AFT_OK && !swapped)
        print(b, us, (size_t)n, runs > 1 ? " (the least of the runs)" : "");
    free(us);
    free(b);
    return err;
}

#define LINEAR(name, explore, catalogue, history)                    \
    {                                                                \
        name, "ridge", "shared", explore, 20, 80, catalogue, history \
    }
#define EACH(explore)                                           \
    {                                                           \
        explore, "flow", "shared", explore, 20, 10, true, false \
    }
#define PER_ARM(name, explore)                                \
    {                                                         \
        name, "ridge", "per_arm", explore, 48, 0, true, false \
    }
static const struct setup setups[] = {
    LINEAR("linear, softmax, 20 + 80, candidates each time", "softmax", false, false),
    LINEAR("linear, softmax, 20 + 80, a catalogue", "softmax", true, false),
    LINEAR("linear, softmax, 20 + 80, a catalogue, history", "softmax", true, true),
    LINEAR("linear, greedy, 20 + 80, a catalogue", "epsilon_greedy", true, false),
    LINEAR("linear, squarecb, 20 + 80, a catalogue", "squarecb", true, false),
    {"bilinear, softmax, 20 x 10, candidates", "flow", "shared", "softmax", 20, 10, false, false},
    {"bilinear, softmax, 20 x 10, a catalogue", "flow", "shared", "softmax", 20, 10, true, false},
    EACH("uniform"),
    EACH("first"),
    EACH("epsilon"),
    EACH("squarecb"),
    EACH("squarecb-elim"),
    EACH("regcb-elim"),
    EACH("regcb-opt"),
    EACH("bagging"),
    {"cover", "flow-squared", "shared", "cover", 20, 10, true, false},
    EACH("ucb"),
    EACH("linucb"),
    EACH("thompson"),
    {"thompson, history", "flow", "shared", "thompson", 20, 10, true, true},
    PER_ARM("LinUCB, an arm each, d = 50", "linucb"),
    PER_ARM("Thompson, an arm each, d = 50", "thompson"),
};

/* A whole name asks for that one alone, a beginning for all that have it. */
static bool
asked(const char *name, const char *wanted)
{
    for (size_t i = 0; wanted && i < sizeof setups / sizeof *setups; i++)
        if (strcmp(setups[i].name, wanted) == 0)
            return strcmp(name, wanted) == 0;
    return !wanted || strncmp(name, wanted, strlen(wanted)) == 0;
}

int
main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 20000;
    long runs = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
    int threads = argc > 4 ? atoi(argv[4]) : 8;
    size_t count = sizeof setups / sizeof *setups;
    AFT_ASSERT(threads > 0 && threads <= THREADS_MAX);
    for (size_t i = 0; i < 2 * count; i++) {
        struct aft_error e;
        const struct setup *s = &setups[i % count];
        char name[80];
        snprintf(name, sizeof name, "%s%s", i < count ? "" : "swapped, ", s->name);
        if ((i >= count && (s->history || runs > 1)) || !asked(name, argc > 2 ? argv[2] : NULL))
            continue;
        if (bench(s, i < count ? 0 : threads, n, runs, &e) != AFT_OK) {
            fprintf(stderr, "bench_client: %s\n", e.message);
            return 1;
        }
    }
    return 0;
}
