/* bench_join - the joiner alone: events from memory in, examples out, one core; then what a joiner killed here needs to come back.
 *
 *   bench_join [IMPRESSIONS [OUTCOMES [USERS [DAYS [ONLY [DIR]]]]]]
 *       default 400000 40000 40000 30: last touch in 14 days + 1 h, 30 % of the records up to 5 s out of order, disorder 10 s, a commit
 *       each 16 MB; ONLY one run, for a profile: rewarded, all, rocksdb (all, in DIR, if given, which is left
 *       there), rewarded-rocksdb
 *   bench_join recover DIR [TIMES [ONLY]]
 *       coming back alone, from what ONLY (rocksdb) left in DIR
 * Events are made from a seed a block at a time, between the stages, so that memory holds the joiner's alone.
 * Seconds are CPU of this thread. Stages: decode+order = take; index+credit = run without examples (emit=rewarded); encode = what run
 * costs more with all examples; commit = cut + commit into memory, or RocksDB (its own threads not counted).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "attribution/attribution.h"

enum { BATCH = 256, COMMIT_BYTES = 16 << 20, BLOCK = 16 * BATCH };
static const int64_t day_ms = 86400000;

struct events { /* of one log, BLOCK of them at a time */
    struct aft_random random;
    uint64_t all;            /* how many there will be */
    uint64_t first;          /* number of the block's first */
    struct aft_buffer bytes; /* of the block */
    size_t at[BLOCK + 1], n;
    int64_t when[BLOCK];
};

struct bench {
    struct events log[2];
    struct aft_join_config config;
    uint64_t users, days;
};

struct result {
    double take, run, commit;
    double stall; /* the longest commit */
    uint64_t examples, bytes, hash, open, memory, disk;
    struct aft_join_memory parts;
};

static void
die(const char *what)
{
    fprintf(stderr, "bench_join: %s\n", what);
    exit(1);
}

static void
must(enum aft_err failed, const struct aft_error *e)
{
    if (failed)
        die(e->message);
}

static double
clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
seconds(void)
{
    return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

static double
wall(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

/* ---- data */

static void
event_ends(struct events *v, int64_t when)
{
    v->when[v->n++] = when;
    v->at[v->n] = v->bytes.n;
}

static int64_t
disordered(struct aft_random *r, int64_t when)
{
    return aft_random_below(r, 10) < 3 ? when - aft_random_below(r, 5000) : when;
}

static void
make_impression(struct events *v, uint64_t i, uint64_t user, int64_t when)
{
    static const char *const arms[] = {"retire-more", "beneficiary", "roth", "rebalance"};
    char decision[20], name[20];
    struct aft_shown slate[1] = {{.arm_id = aft_text(arms[i % 4]), .propensity = 0.25}};
    snprintf(decision, sizeof decision, "%016llx", (unsigned long long)i * 0x9e3779b97f4a7c15u);
    snprintf(name, sizeof name, "%016llx", (unsigned long long)user * 0xbf58476d1ce4e5b9u);
    struct aft_impression of = {.decision_id = aft_text(decision),
                                .user_id = aft_text(name),
                                .timestamp_ms = disordered(&v->random, when),
                                .policy = aft_text("p1"),
                                .slate = slate,
                                .slate_n = 1};
    aft_encode_impression(&v->bytes, &of);
    event_ends(v, when);
}

static void
make_outcome(struct events *v, uint64_t i, uint64_t user, int64_t when)
{
    char id[20], name[20];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)i * 0x94d049bb133111ebu);
    snprintf(name, sizeof name, "%016llx", (unsigned long long)user * 0xbf58476d1ce4e5b9u);
    struct aft_outcome o = {.outcome_id = aft_text(id),
                            .user_id = aft_text(name),
                            .timestamp_ms = disordered(&v->random, when),
                            .kind = aft_text("key_task_completed"),
                            .value_micro = AFT_MICRO};
    aft_encode_outcome(&v->bytes, &o);
    event_ends(v, when);
}

/* rewind_logs: the same events again, from the first. */
static void
rewind_logs(struct bench *b)
{
    for (int log = 0; log < 2; log++) {
        struct events *v = &b->log[log];
        aft_random_init(&v->random, 7, (uint64_t)log);
        v->first = v->n = 0;
    }
}

/* next_block makes the events behind those of the block at hand, in its place. */
static void
next_block(struct bench *b, int log)
{
    struct events *v = &b->log[log];
    int64_t start = INT64_C(1760000000000), span = (int64_t)b->days * day_ms;
    v->first += v->n;
    v->n = 0;
    aft_buffer_reset(&v->bytes);
    for (uint64_t i = v->first; i < v->all && v->n < BLOCK; i++) {
        uint64_t user = aft_random_below(&v->random, (uint32_t)b->users);
        int64_t when = start + (int64_t)((double)i / (double)v->all * (double)span);
        if (log == AFT_IMPRESSIONS)
            make_impression(v, i, user, when);
        else
            make_outcome(v, i, user, when);
    }
}

/* ---- the run */

static enum aft_err
count_example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
              struct aft_error *e)
{
    struct result *r = ctx;
    (void)e;
    r->examples = seq + 1;
    r->bytes += body.n;
    r->hash = hash.low;
    return AFT_OK;
}

static struct aft_joiner *
open_joiner(const struct bench *b, bool all, struct aft_store *store, struct result *out)
{
    struct aft_join_config config = b->config;
    struct aft_join_identity who = {"bench", 0};
    struct aft_join_out to = {out, count_example};
    struct aft_joiner *j;
    struct aft_error e;
    config.emit_rewarded_only = !all;
    must(aft_joiner_open(&config, &who, store, &to, &j, &e), &e);
    return j;
}

static void
commit(struct aft_joiner *j, struct result *out)
{
    struct aft_error e;
    uint64_t seq;
    double from = seconds(), began = wall();
    aft_joiner_cut(j, AFT_ABSENT, &seq);
    must(aft_joiner_commit(j, &e), &e);
    out->commit += seconds() - from;
    out->stall = wall() - began > out->stall ? wall() - began : out->stall;
}

/* log_to_read: the one that is behind, with events at hand. */
static int
log_to_read(struct bench *b, const struct aft_joiner *j, const uint64_t at[2])
{
    int log = (int)aft_joiner_behind(j);
    log = at[log] < b->log[log].all ? log : !log;
    if (at[log] == b->log[log].first + b->log[log].n)
        next_block(b, log);
    return log;
}

static void
take_batch(const struct events *v, int log, struct aft_joiner *j, uint64_t *at)
{
    struct aft_error e;
    for (uint64_t end = *at + BATCH; *at < end && *at < v->first + v->n; ++*at) {
        size_t i = (size_t)(*at - v->first);
        struct aft_bytes body = {v->bytes.p + v->at[i], v->at[i + 1] - v->at[i]};
        must(aft_joiner_take(j, (enum aft_log_kind)log, (int64_t)*at, v->when[i], AFT_ABSENT, body,
                             &e),
             &e);
    }
}

static void
join(struct bench *b, bool all, struct aft_store *store, struct result *out)
{
    struct aft_error e;
    struct aft_join_counts counts;
    uint64_t at[2] = {0, 0};
    *out = (struct result){0};
    struct aft_joiner *j = open_joiner(b, all, store, out);
    rewind_logs(b);
    while (at[0] < b->log[0].all || at[1] < b->log[1].all) {
        int log = log_to_read(b, j, at);
        double from = seconds();
        take_batch(&b->log[log], log, j, &at[log]);
        double middle = seconds();
        must(aft_joiner_run(j, &e), &e);
        out->take += middle - from;
        out->run += seconds() - middle;
        if (aft_joiner_uncommitted(j) >= COMMIT_BYTES)
            commit(j, out);
    }
    commit(j, out);
    aft_joiner_counts(j, &counts);
    out->open = (uint64_t)counts.open;
    out->memory = aft_joiner_memory(j);
    aft_joiner_memory_of(j, &out->parts);
    out->disk = store->ops->bytes(store);
    aft_joiner_close(j);
}

/* ---- recovery */

static void
remove_dir(const char *dir)
{
    char path[600];
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *at; (at = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", dir, at->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

static struct aft_store *
open_rocksdb(const char *dir)
{
    struct aft_store *s;
    struct aft_error e;
    must(aft_store_rocksdb_open(dir, &s, &e), &e);
    return s;
}

static void
recovery(const struct bench *b, bool all, const char *dir)
{
    struct result ignored = {0};
    struct aft_join_counts counts;
    double from = wall();
    struct aft_store *store = open_rocksdb(dir);
    double store_open = wall() - from;
    from = wall();
    double cpu = seconds(), all_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    struct aft_joiner *j = open_joiner(b, all, store, &ignored);
    double took = wall() - from, worked = seconds() - cpu;
    double beside = clock_of(CLOCK_PROCESS_CPUTIME_ID) - all_cpu - worked;
    aft_joiner_counts(j, &counts);
    printf(
        "recovery of %lld open impressions  %.3f s (CPU %.3f s index, %.3f s reading beside it)  "
        "%.3f s RocksDB  memory then %.1f MB\n",
        (long long)counts.open, took, worked, beside, store_open,
        (double)aft_joiner_memory(j) / 1e6);
    aft_joiner_close(j);
    store->ops->close(store);
}

static void
report(const struct bench *b, const struct result *lean, const struct result *all,
       const struct result *disk)
{
    double n = (double)(b->log[0].all + b->log[1].all), us = 1e6 / n;
    double lean_s = lean->take + lean->run + lean->commit,
           all_s = all->take + all->run + all->commit;
    double disk_s = disk->take + disk->run + disk->commit;
    printf("events %llu impressions of %zu bytes, %llu outcomes\n",
           (unsigned long long)b->log[0].all, b->log[0].bytes.n / (b->log[0].n ? b->log[0].n : 1),
           (unsigned long long)b->log[1].all);
    printf("decode+order  %.3f us an event\n", all->take * us);
    printf("index+credit  %.3f us an event\n", lean->run * us);
    printf("encode  %.3f us an event  %llu examples\n", (all->run - lean->run) * us,
           (unsigned long long)all->examples);
    printf("commit to memory  %.3f us an event\n", all->commit * us);
    printf("commit to RocksDB  %.3f us an event\n", disk->commit * us);
    printf("rewarded only, in memory  %.0f events/s\n", n / lean_s);
    printf("all examples, in memory  %.0f events/s\n", n / all_s);
    printf("all examples, RocksDB  %.0f events/s\n", n / disk_s);
    double open = disk->open ? (double)disk->open : 1;
    printf("an open impression  %.1f bytes of index  %.1f bytes on disk\n",
           (double)disk->parts.touches / open, (double)disk->disk / open);
    printf("memory  %.1f MB index  %.1f MB outcomes  %.1f MB segments at hand  %.1f MB of records "
           "in order\n",
           (double)disk->parts.touches / 1e6, (double)disk->parts.outcomes / 1e6,
           (double)disk->parts.segments / 1e6, (double)disk->parts.waiting / 1e6);
    printf("longest commit  %.0f ms\n", disk->stall * 1e3);
}

/* only: one run alone, for whoever looks at its profile. */
static void
only(struct bench *b, const char *which, const char *dir, bool keep)
{
    struct result r;
    bool disk = strstr(which, "rocksdb") != NULL, all = strncmp(which, "rewarded", 8) != 0;
    struct aft_store *store = disk ? open_rocksdb(dir) : aft_store_mem_new();
    join(b, all, store, &r);
    store->ops->close(store);
    double us = 1e6 / (double)(b->log[0].all + b->log[1].all);
    printf("%s: take %.3f run %.3f commit %.3f us an event, %llu examples, %016llx\n", which,
           r.take * us, r.run * us, r.commit * us, (unsigned long long)r.examples,
           (unsigned long long)r.hash);
    printf("an open impression of %llu  %.1f bytes of index  %.1f bytes on disk  longest commit "
           "%.0f ms\n",
           (unsigned long long)r.open, (double)r.parts.touches / (double)r.open,
           (double)r.disk / (double)r.open, r.stall * 1e3);
    if (disk)
        recovery(b, all, dir);
    if (disk && !keep)
        remove_dir(dir);
}

static void
compare(struct bench *b, const char *dir)
{
    struct result lean, all, disk;
    struct aft_store *store = aft_store_mem_new();
    join(b, false, store, &lean);
    store->ops->close(store);
    store = aft_store_mem_new();
    join(b, true, store, &all);
    store->ops->close(store);
    store = open_rocksdb(dir);
    join(b, true, store, &disk);
    store->ops->close(store);
    if (all.hash != disk.hash)
        die("the two stores gave different examples");
    report(b, &lean, &all, &disk);
    recovery(b, true, dir);
    remove_dir(dir);
}

static struct aft_join_config
rules(void)
{
    return (struct aft_join_config){
        .window_ms = 14 * day_ms,
        .grace_ms = 3600000,
        .open_after_ms = 600000,
        .orphan_after_ms = 3600000,
        .disorder_ms = 10000,
        .max_future_ms = 3600000,
        .open_max = UINT64_C(1) << 30,
        .kinds = {{.name = "key_task_completed", .weight_micro = AFT_MICRO}},
        .kinds_n = 1};
}

int
main(int argc, char **argv)
{
    uint64_t size[] = {400000, 40000, 40000, 30};
    char dir[300];
    const char *tmp = getenv("TMPDIR");
    struct bench b = {.config = rules()};
    if (argc > 2 && strcmp(argv[1], "recover") == 0) {
        for (long n = argc > 3 ? strtol(argv[3], NULL, 10) : 1; n > 0; n--)
            recovery(&b, argc < 5 || strncmp(argv[4], "rewarded", 8) != 0, argv[2]);
        return 0;
    }
    for (int i = 1; i < argc && i <= 4; i++)
        size[i - 1] = strtoull(argv[i], NULL, 10);
    if (!size[0] || !size[1] || !size[2] || !size[3])
        die("usage: bench_join [IMPRESSIONS [OUTCOMES [USERS [DAYS [ONLY [DIR]]]]]]");
    b.users = size[2];
    b.days = size[3];
    b.log[0].all = size[0];
    b.log[1].all = size[1];
    snprintf(dir, sizeof dir, "%.200s/aft-bench-join-%ld", tmp ? tmp : "/tmp", (long)getpid());
    if (argc > 5)
        only(&b, argv[5], argc > 6 ? argv[6] : dir, argc > 6);
    else
        compare(&b, dir);
    for (int i = 0; i < 2; i++)
        aft_buffer_deinit(&b.log[i].bytes);
    return 0;
}
