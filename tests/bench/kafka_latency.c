/* kafka_latency - from an outcome to the examples topic, through a running joiner (aftertouch run --role join): a producer and a reader.
 *
 *   kafka_latency BROKERS IMPRESSIONS OUTCOMES EXAMPLES RATE SECONDS DISORDER_MS [SNAPSHOTS]
 *
 * RATE outcomes a second and four times as many impressions, event time is now, partition 0; each outcome names an impression of a second
 * ago. An outcome's latency is from the moment when it was due to be sent (not from when it was: no coordinated omission) until the
 * example that it caused was read. The first fifth is not counted. With SNAPSHOTS (where the service learns too) also until a snapshot's
 * manifest was read that has learned that example: its ends say so. Topics are read from their ends. Prints the quantiles and what is
 * left of them without DISORDER_MS, which no join that waits for order can save.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "consumer/consumer.h"

enum { USERS = 10000, IMPRESSIONS_EACH = 4, BATCH = 256, PATIENCE_MS = 15000 };

struct latency {
    struct aft_log *log;
    struct aft_log_reader *reader, *snapshots; /* snapshots: or NULL */
    struct aft_decoder *decoder, *snapshot_decoder;
    struct aft_arena arena;
    struct aft_buffer value;
    const char *topic[2];
    double begin;           /* monotonic, of outcome 0 */
    double *took, *learned; /* by outcome; < 0: not seen */
    struct example {
        uint64_t seq, outcome;
    } * examples; /* seen, in the order of their seq; those before `known` are in a snapshot */
    uint64_t rate, total, seen, known;
    char name[24]; /* of this run, in all its ids */
};

static void
die(const char *what)
{
    fprintf(stderr, "kafka_latency: %s\n", what);
    exit(1);
}

static void
must(enum aft_err failed, const struct aft_error *e)
{
    if (failed)
        die(e->message);
}

static double
now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- out */
static void
sent(struct latency *l, int log, const char *user)
{
    struct aft_error e;
    struct aft_append a = {.topic = l->topic[log],
                           .partition = 0,
                           .timestamp_ms = -1,
                           .key = aft_text(user),
                           .value = aft_buffer_bytes(&l->value)};
    must(l->log->ops->append(l->log, &a, &e), &e);
}

static void
impression(struct latency *l, uint64_t i, int64_t now_ms)
{
    char id[64], user[32];
    snprintf(id, sizeof id, "%s-d%llu", l->name, (unsigned long long)i);
    snprintf(user, sizeof user, "u%llu", (unsigned long long)(i % USERS));
    struct aft_shown slate[1] = {{.arm_id = AFT_LITERAL("arm"), .propensity = 0.25}};
    struct aft_impression v = {.decision_id = aft_text(id),
                               .user_id = aft_text(user),
                               .timestamp_ms = now_ms,
                               .policy = AFT_LITERAL("p"),
                               .slate = slate,
                               .slate_n = 1};
    aft_buffer_reset(&l->value);
    aft_frame_put_single(&l->value, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&l->value, &v);
    sent(l, AFT_IMPRESSIONS, user);
}

static void
outcome(struct latency *l, uint64_t i, int64_t now_ms)
{
    char id[64], user[32], decision[64];
    uint64_t back = IMPRESSIONS_EACH * l->rate, shown = IMPRESSIONS_EACH * i;
    shown = shown > back ? shown - back : 0;
    snprintf(id, sizeof id, "%s-o%llu", l->name, (unsigned long long)i);
    snprintf(user, sizeof user, "u%llu", (unsigned long long)(shown % USERS));
    snprintf(decision, sizeof decision, "%s-d%llu", l->name, (unsigned long long)shown);
    struct aft_outcome o = {.outcome_id = aft_text(id),
                            .user_id = aft_text(user),
                            .timestamp_ms = now_ms,
                            .kind = AFT_LITERAL("click"),
                            .decision_id = aft_text(decision),
                            .value_micro = AFT_MICRO};
    aft_buffer_reset(&l->value);
    aft_frame_put_single(&l->value, AFT_RECORD_OUTCOME);
    aft_encode_outcome(&l->value, &o);
    sent(l, AFT_OUTCOMES, user);
}

/* ---- in */
static void
caused(struct latency *l, const struct aft_example *x)
{
    char id[AFT_ID_BYTES_MAX + 1];
    size_t n = strlen(l->name);
    if (!x->cause.p || x->cause.n < n + 3 || memcmp(x->cause.p, l->name, n) != 0)
        return;
    memcpy(id, x->cause.p, x->cause.n);
    id[x->cause.n] = 0;
    uint64_t i = strtoull(id + n + 2, NULL, 10);
    if (i >= l->total || l->took[i] >= 0)
        return;
    l->took[i] = now_s(CLOCK_MONOTONIC) - (l->begin + (double)i / (double)l->rate);
    l->examples[l->seen++] = (struct example){x->seq, i};
}

static void
block(struct latency *l, struct aft_bytes value)
{
    struct aft_bytes body;
    struct aft_block b;
    struct aft_error e;
    aft_arena_reset(&l->arena);
    must(aft_decoder_body(l->decoder, value, &l->arena, &body, &e), &e);
    must(aft_decode_block(body, &b, &e), &e);
    struct aft_reader r = aft_reader(b.examples);
    for (uint32_t i = 0; i < b.n; i++) {
        struct aft_example x;
        must(aft_decode_example(&r, &l->arena, &x, &e), &e);
        caused(l, &x);
    }
}

/* A manifest says up to which example of partition 0 its model has learned. */
static void
snapshot(struct latency *l, struct aft_bytes value)
{
    struct aft_bytes body;
    struct aft_snapshot_record r;
    struct aft_error e;
    aft_arena_reset(&l->arena);
    must(aft_decoder_body(l->snapshot_decoder, value, &l->arena, &body, &e), &e);
    must(aft_decode_snapshot(body, &l->arena, &r, &e), &e);
    if (!r.has_manifest || r.manifest.ends_n == 0)
        return;
    double now = now_s(CLOCK_MONOTONIC);
    uint64_t next = (uint64_t)r.manifest.ends[0].next_seq;
    for (; l->known < l->seen && l->examples[l->known].seq < next; l->known++) {
        uint64_t i = l->examples[l->known].outcome;
        l->learned[i] = now - (l->begin + (double)i / (double)l->rate);
    }
}

static void
look_for_snapshots(struct latency *l)
{
    struct aft_record_in in[BATCH];
    struct aft_error e;
    uint32_t n;
    bool at_end;
    if (!l->snapshots)
        return;
    must(l->log->ops->read(l->snapshots, in, BATCH, 0, &n, &at_end, &e), &e);
    for (uint32_t i = 0; i < n; i++)
        if (in[i].value.p)
            snapshot(l, in[i].value);
}

static void
look(struct latency *l, int timeout_ms)
{
    struct aft_record_in in[BATCH];
    struct aft_error e;
    uint32_t n;
    bool at_end;
    l->log->ops->poll(l->log, 0);
    must(l->log->ops->read(l->reader, in, BATCH, timeout_ms, &n, &at_end, &e), &e);
    for (uint32_t i = 0; i < n; i++)
        block(l, in[i].value);
    look_for_snapshots(l);
}

/* ---- the run */
static void
run(struct latency *l)
{
    double end = l->begin + (double)l->total / (double)l->rate + PATIENCE_MS / 1e3;
    uint64_t outcomes = 0, impressions = 0;
    while ((l->snapshots ? l->known : l->seen) < l->total && now_s(CLOCK_MONOTONIC) < end) {
        double due = (now_s(CLOCK_MONOTONIC) - l->begin) * (double)l->rate;
        int64_t now_ms = (int64_t)(now_s(CLOCK_REALTIME) * 1e3);
        uint64_t to = due < 0 ? 0 : (uint64_t)due;
        /* both go on while the last ones are awaited: what comes later moves the watermarks */
        for (; impressions < IMPRESSIONS_EACH * to; impressions++)
            impression(l, impressions, now_ms);
        for (; outcomes < to; outcomes++)
            outcome(l, outcomes, now_ms);
        look(l, 1);
    }
}

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void
report(const struct latency *l, const char *to, double *took, double disorder_ms)
{
    uint64_t from = l->total / 5, n = 0;
    for (uint64_t i = from; i < l->total; i++)
        if (took[i] >= 0)
            took[n++] = took[i] * 1e3;
    if (n == 0)
        die("no example (or snapshot) came: does aftertouch run work on these topics?");
    qsort(took, n, sizeof *took, ascending);
    double p50 = took[n / 2], p99 = took[n * 99 / 100], most = took[n - 1];
    printf("latency to=%s outcomes_per_s=%llu n=%llu of %llu p50_ms=%.1f p90_ms=%.1f p99_ms=%.1f "
           "max_ms=%.1f beyond_disorder: p50_ms=%.1f p99_ms=%.1f\n",
           to, (unsigned long long)l->rate, (unsigned long long)n,
           (unsigned long long)(l->total - from), p50, took[n * 9 / 10], p99, most,
           p50 - disorder_ms, p99 - disorder_ms);
}

int
main(int argc, char **argv)
{
    static const struct aft_property quick = {"linger.ms", "0"};
    static const struct aft_schema_port nobody = {0};
    struct aft_error e;
    struct latency l = {0};
    int64_t begin, end;
    if (argc != 8 && argc != 9)
        die("usage: BROKERS IMPRESSIONS OUTCOMES EXAMPLES RATE SECONDS DISORDER_MS [SNAPSHOTS]");
    struct aft_kafka_options o = {.bootstrap = argv[1], .producer = &quick, .producer_n = 1};
    must(aft_log_kafka_open(&o, &l.log, &e), &e);
    l.topic[0] = argv[2];
    l.topic[1] = argv[3];
    l.rate = strtoull(argv[5], NULL, 10);
    l.total = l.rate * strtoull(argv[6], NULL, 10);
    l.took = malloc((l.total + 1) * sizeof *l.took);
    l.learned = malloc((l.total + 1) * sizeof *l.learned);
    l.examples = malloc((l.total + 1) * sizeof *l.examples);
    if (!l.took || !l.learned || !l.examples || !l.total)
        die("RATE and SECONDS are numbers above 0");
    for (uint64_t i = 0; i < l.total; i++)
        l.took[i] = l.learned[i] = -1;
    snprintf(l.name, sizeof l.name, "r%lld", (long long)time(NULL));
    aft_arena_init(&l.arena, 64u << 20);
    must(aft_decoder_new(AFT_RECORD_EXAMPLE_BLOCK, nobody, &l.decoder, &e), &e);
    must(l.log->ops->range(l.log, argv[4], 0, &begin, &end, &e), &e);
    must(l.log->ops->reader_open(l.log, argv[4], 0, end, &l.reader, &e), &e);
    if (argc == 9) {
        must(aft_decoder_new(AFT_RECORD_SNAPSHOT, nobody, &l.snapshot_decoder, &e), &e);
        must(l.log->ops->range(l.log, argv[8], 0, &begin, &end, &e), &e);
        must(l.log->ops->reader_open(l.log, argv[8], 0, end, &l.snapshots, &e), &e);
    }
    l.begin = now_s(CLOCK_MONOTONIC);
    run(&l);
    report(&l, "example", l.took, strtod(argv[7], NULL));
    if (l.snapshots)
        report(&l, "snapshot", l.learned, strtod(argv[7], NULL));
    l.log->ops->reader_close(l.reader);
    if (l.snapshots)
        l.log->ops->reader_close(l.snapshots);
    l.log->ops->close(l.log);
    aft_decoder_free(l.decoder);
    aft_decoder_free(l.snapshot_decoder);
    aft_arena_deinit(&l.arena);
    aft_buffer_deinit(&l.value);
    free(l.took);
    free(l.learned);
    free(l.examples);
    return 0;
}
