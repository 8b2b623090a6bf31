/* kafka_join - one partition of the joiner on a real broker, as the service's worker runs it: a task, its store, its log. And its data.
 *
 *   kafka_join fill BROKERS PREFIX IMPRESSIONS OUTCOMES USERS        PREFIXimpressions and PREFIXoutcomes, one partition each
 *   kafka_join join BROKERS PREFIX RECORDS DIR [KEY=VALUE ...]       last touch in 14 days; KEY=VALUE are the configuration's
 *
 * The data is what the Kafka Streams peer reads as well (peers/streams): the key is the user as 8 bytes big-endian, the record's
 * timestamp the event's, the value ours. 30 days, each user's outcomes an exponential delay of a day after their impression, three in
 * ten records up to 5 s out of order, from a seed.
 * join: CPU seconds (user and system) of the whole process, all threads, from the first connection until the last example is acknowledged
 * and the last step committed; the broker's are not in them. DIR is made, and left for whoever wants to look.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "consumer/consumer.h"

enum { PARTITION = 0, FLUSH_MS = 60000, STALLED_S = 60, LOOK_EVERY = 64, DAYS = 30 };
static const int64_t day_ms = 86400000;

static void
die(const char *what)
{
    fprintf(stderr, "kafka_join: %s\n", what);
    exit(1);
}

static void
must(enum aft_err failed, const struct aft_error *e)
{
    if (failed)
        die(e->message);
}

static double
wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
cpu_s(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* ---- configuration */
static void
set(struct aft_config *c, const char *key, const char *value)
{
    struct aft_error e;
    must(aft_config_set(c, key, value, &e), &e);
}

static struct aft_config *
configured(const char *brokers, const char *prefix, char **pairs, int n)
{
    static const char *const topics[] = {"impressions", "outcomes",  "clock",        "examples",
                                         "rounds",      "snapshots", "dead.letters", "prescored"};
    struct aft_config *c = aft_config_new();
    struct aft_error e;
    char key[64], value[300];
    set(c, "kafka.bootstrap.servers", brokers);
    set(c, "topics.partitions", "1");
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        bool input = i < 2; /* the others belong to one run */
        snprintf(key, sizeof key, "topics.%s", topics[i]);
        snprintf(value, sizeof value, "%.200s%s%.0lld", prefix, topics[i],
                 input ? 0LL : (long long)time(NULL));
        set(c, key, value);
    }
    set(c, "reward.key_task_completed.weight", "1");
    set(c, "join.max.open", "12000000");
    for (int i = 0; i < n; i++) {
        char *to = strchr(pairs[i], '=');
        if (!to)
            die("not KEY=VALUE");
        *to = 0;
        set(c, pairs[i], to + 1);
    }
    must(aft_config_check(c, &e), &e);
    return c;
}

static struct aft_log *
connected(const struct aft_config *c)
{
    struct aft_log *log;
    struct aft_error e;
    must(aft_log_kafka_open(aft_config_kafka(c), &log, &e), &e);
    return log;
}

/* ---- fill */
struct due {
    int64_t ts;
    uint64_t user, id;
};
struct fill {
    struct aft_log *log;
    const char *topic[2];
    struct aft_random r;
    struct aft_buffer value;
    int64_t start;
};

static int
by_time(const void *a, const void *b)
{
    const struct due *x = a, *y = b;
    return (x->ts > y->ts) - (x->ts < y->ts);
}

static int64_t
disordered(struct fill *f, int64_t when)
{
    return aft_random_below(&f->r, 10) < 3 ? when - aft_random_below(&f->r, 5000) : when;
}

static void
sent(struct fill *f, int log, uint64_t user, int64_t ts)
{
    uint8_t key[8];
    struct aft_error e;
    enum aft_err err;
    aft_store_be64(key, user);
    struct aft_append a = {.topic = f->topic[log],
                           .partition = PARTITION,
                           .timestamp_ms = ts,
                           .key = {key, sizeof key},
                           .value = aft_buffer_bytes(&f->value)};
    while ((err = f->log->ops->append(f->log, &a, &e)) == AFT_E_AGAIN)
        f->log->ops->poll(f->log, 10);
    must(err, &e);
    if (aft_random_below(&f->r, 1024) == 0)
        f->log->ops->poll(f->log, 0);
}

static void
impression(struct fill *f, const struct due *d)
{
    char decision[20], user[20], arm[20];
    int64_t ts = disordered(f, d->ts);
    snprintf(decision, sizeof decision, "%016llx", (unsigned long long)d->id * 0x9e3779b97f4a7c15u);
    snprintf(user, sizeof user, "%016llx", (unsigned long long)d->user * 0xbf58476d1ce4e5b9u);
    snprintf(arm, sizeof arm, "arm-%u", aft_random_below(&f->r, 200));
    struct aft_shown slate[1] = {{.arm_id = aft_text(arm), .propensity = 0.25}};
    struct aft_impression v = {.decision_id = aft_text(decision),
                               .user_id = aft_text(user),
                               .timestamp_ms = ts,
                               .policy = aft_text("p1"),
                               .slate = slate,
                               .slate_n = 1};
    aft_buffer_reset(&f->value);
    aft_frame_put_single(&f->value, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&f->value, &v);
    sent(f, AFT_IMPRESSIONS, d->user, ts);
}

static void
outcome(struct fill *f, const struct due *d)
{
    char id[20], user[20];
    int64_t ts = disordered(f, d->ts);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)d->id * 0x94d049bb133111ebu);
    snprintf(user, sizeof user, "%016llx", (unsigned long long)d->user * 0xbf58476d1ce4e5b9u);
    struct aft_outcome o = {.outcome_id = aft_text(id),
                            .user_id = aft_text(user),
                            .timestamp_ms = ts,
                            .kind = aft_text("key_task_completed"),
                            .value_micro = AFT_MICRO};
    aft_buffer_reset(&f->value);
    aft_frame_put_single(&f->value, AFT_RECORD_OUTCOME);
    aft_encode_outcome(&f->value, &o);
    sent(f, AFT_OUTCOMES, d->user, ts);
}

/* filled sends both logs by time; every so many impressions one has an outcome. */
static void
filled(struct fill *f, uint64_t impressions, uint64_t outcomes, uint32_t users)
{
    uint64_t every = outcomes ? impressions / outcomes : impressions + 1, n = 0, at = 0;
    struct due *out = calloc(outcomes + 1, sizeof *out);
    struct due *in = calloc(impressions + 1, sizeof *in);
    if (!out || !in)
        die("out of memory");
    for (uint64_t i = 0; i < impressions; i++) {
        double day = (double)i / (double)impressions * DAYS;
        in[i] = (struct due){f->start + (int64_t)(day * (double)day_ms),
                             aft_random_below(&f->r, users), i};
        if (i % every == 0 && n < outcomes)
            out[n++] =
                (struct due){in[i].ts + (int64_t)(aft_random_exponential(&f->r) * (double)day_ms),
                             in[i].user, i};
    }
    qsort(out, n, sizeof *out, by_time);
    for (uint64_t i = 0; i < impressions; i++) {
        for (; at < n && out[at].ts <= in[i].ts; at++)
            outcome(f, &out[at]);
        impression(f, &in[i]);
    }
    for (; at < n; at++)
        outcome(f, &out[at]);
    free(in);
    free(out);
}

static void
fill(char **argv)
{
    struct aft_error e;
    struct aft_config *c = configured(argv[2], argv[3], NULL, 0);
    struct fill f = {
        .log = connected(c),
        .topic = {aft_config_text(c, "topics.impressions"), aft_config_text(c, "topics.outcomes")},
        .start = ((int64_t)time(NULL) - 60 * 86400) * 1000};
    for (int i = 0; i < 2; i++) {
        struct aft_topic_spec spec = {.name = f.topic[i], .partitions = 1, .retention_ms = -1};
        must(f.log->ops->topic_create(f.log, &spec, &e), &e);
    }
    aft_random_init(&f.r, 7, 0);
    filled(&f, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10),
           (uint32_t)strtoul(argv[6], NULL, 10));
    must(f.log->ops->flush(f.log, FLUSH_MS, &e), &e);
    aft_buffer_deinit(&f.value);
    f.log->ops->close(f.log);
    aft_config_free(c);
}

/* ---- join */
struct tally {
    double cpu, wall, stall; /* to the last commit; stall: the longest step */
    double cpu_closed;
    struct aft_task_status end;
};

static void
joined(struct aft_task *task, int64_t records, struct tally *to)
{
    struct aft_error e;
    double from = wall_s(), moved = from;
    int64_t seen = -1;
    for (unsigned i = 0;; i++) {
        bool busy;
        double before = wall_s();
        must(aft_task_step(task, 10, &busy, &e), &e);
        double took = wall_s() - before;
        to->stall = took > to->stall ? took : to->stall;
        if (i % LOOK_EVERY != 0)
            continue;
        aft_task_status(task, false, &to->end);
        if (to->end.consumed[0] + to->end.consumed[1] >= records)
            break;
        if (to->end.consumed[0] + to->end.consumed[1] != seen) {
            seen = to->end.consumed[0] + to->end.consumed[1];
            moved = before;
        } else if (before - moved > STALLED_S) {
            die("no record came for a minute");
        }
    }
    must(aft_task_drain(task, &e), &e);
    to->wall = wall_s() - from;
}

static void
print(const char *emit, int64_t records, const struct tally *t)
{
    double n = (double)records, open = t->end.join.open ? (double)t->end.join.open : 1;
    printf("emit=%s n=%lld secs=%.2f cpu_s=%.3f cpu_s_per_M=%.3f with_close_cpu_s_per_M=%.3f "
           "longest_step_ms=%.0f credited=%lld "
           "examples=%llu open=%lld memory_mb=%.1f index_B_per_open=%.1f disk_B_per_open=%.1f "
           "commits=%llu ticks=%llu "
           "dead=%llu\n",
           emit, (long long)records, t->wall, t->cpu, t->cpu * 1e6 / n, t->cpu_closed * 1e6 / n,
           t->stall * 1e3, (long long)t->end.join.fates.credited,
           (unsigned long long)t->end.next_seq, (long long)t->end.join.open,
           (double)t->end.memory_bytes / 1e6, (double)t->end.memory.touches / open,
           (double)t->end.disk_bytes / open, (unsigned long long)t->end.commits,
           (unsigned long long)t->end.ticks, (unsigned long long)t->end.dead_letters);
}

static void
join(int argc, char **argv)
{
    struct aft_error e;
    struct aft_store *store;
    struct aft_task *task;
    struct tally t = {0};
    struct aft_config *c = configured(argv[2], argv[3], argv + 6, argc - 6);
    int64_t records = strtoll(argv[4], NULL, 10);
    int core;
    if (aft_config_int(c, "join.one.core")) /* as the service's worker does */
        must(aft_one_core(&core, &e), &e);
    struct aft_log *admin = connected(c);
    must(aft_topics_create(c, admin, &e), &e);
    admin->ops->close(admin);
    double cpu = cpu_s();
    struct aft_log *log = connected(c);
    must(aft_store_rocksdb_open(argv[5], &store, &e), &e);
    struct aft_task_options o = {.config = c,
                                 .log = log,
                                 .store = store,
                                 .clock = aft_clock_real(),
                                 .partition = PARTITION,
                                 .owner = "kafka_join"};
    must(aft_task_open(&o, &task, &e), &e);
    joined(task, records, &t);
    t.cpu = cpu_s() - cpu;
    aft_task_status(task, false, &t.end);
    aft_task_close(task);
    store->ops->close(store);
    log->ops->close(log);
    t.cpu_closed = cpu_s() - cpu;
    print(aft_config_text(c, "join.emit"), records, &t);
    aft_config_free(c);
}

int
main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "fill") == 0)
        fill(argv);
    else if (argc >= 6 && strcmp(argv[1], "join") == 0)
        join(argc, argv);
    else
        die("usage: fill BROKERS PREFIX IMPRESSIONS OUTCOMES USERS | join BROKERS PREFIX RECORDS "
            "DIR [KEY=VALUE ...]");
    return 0;
}
