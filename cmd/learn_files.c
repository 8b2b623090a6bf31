/* learn_files.c - `learn`'s reading. In: container files of Example records, each one partition with consecutive seq. Out: a learner.
 *
 *   shares  a learner of sums (learner.shards): as many threads, each with files of its own, merged by partition in the end
 *   merge   file -> a block at a time -> its next example's head (seq, phase, fire) -> the file whose fire is least (at a tie the
 *           first) -> decoded by a roster, hashed into its chain, learned: a copy of nothing
 *   sort    a file that is not in the order of fire: everything goes through rounds.c, and a learner that is new
 * Both give the order (fire, partition, seq), so the same digest. One thread.
 * Invariants: I1 nothing of a learner that met an unordered file is used.
 */
#include "cmd/learn.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "wire/wire_avro.h"

enum {
    SAID_MAX = 10,
    BATCH = 4096,
    BATCH_BYTES = 1 << 20,
    ROSTER_BYTES = 32 << 20,
    ARENA_BYTES = 64 << 20
};

struct source {
    const char *path;
    struct aft_file_reader *file;
    struct aft_reader rest; /* of the batch */
    uint32_t left;
    int64_t seq, phase, fire_ms; /* of the next example */
    bool done;
    struct aft_end *end;
};

struct merge {
    struct learn_job *job;
    struct aft_share share; /* of the process's files */
    int64_t decisions;
    pthread_t thread;
    enum aft_err err;
    struct aft_error e;
    struct source sources[LEARN_FILES_MAX];
    struct aft_roster *roster;
    struct aft_arena arena;
    uint32_t said; /* refusals in words */
    bool unordered;
};

static enum aft_err
no_example(const char *path, struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_MALFORMED,
                    "a record of %s is no example: give files that `join` wrote", path);
}

/* An example's body begins with seq, phase and fire (wire/schemas/example.avsc). */
static enum aft_err
head(const char *path, struct aft_bytes body, int64_t *seq, int64_t *phase, int64_t *fire_ms,
     struct aft_error *e)
{
    struct aft_reader r = aft_reader(body);
    if (!aft_get_long(&r, seq) || !aft_get_long(&r, phase) || !aft_get_long(&r, fire_ms) ||
        *seq < 0)
        return no_example(path, e);
    return AFT_OK;
}

/* ---- merge */
static enum aft_err
next_of(struct merge *m, struct source *s, bool first, struct aft_error *e)
{
    int64_t before = s->fire_ms;
    while (s->left == 0) {
        struct aft_bytes bodies;
        if (aft_left(&s->rest))
            return no_example(s->path, e);
        AFT_TRY(aft_file_batch(s->file, &bodies, &s->left, &s->done, e));
        if (s->done)
            return AFT_OK;
        s->rest = aft_reader(bodies);
    }
    struct aft_bytes rest = {s->rest.p, aft_left(&s->rest)};
    AFT_TRY(head(s->path, rest, &s->seq, &s->phase, &s->fire_ms, e));
    if (first)
        s->end->next_seq = s->seq;
    if (s->seq != s->end->next_seq)
        return AFT_FAIL(e, AFT_E_GAP, "%s: seq %lld where %lld was due: examples are missing",
                        s->path, (long long)s->seq, (long long)s->end->next_seq);
    m->unordered = m->unordered || (!first && s->fire_ms < before);
    return AFT_OK;
}

static void
say_greedy(struct learn_job *j)
{
    uint32_t greedy = aft_learner_greedy(j->learner);
    fprintf(j->greedy, "%lld\n", greedy == AFT_NOWHERE ? -1LL : (long long)greedy);
}

/* The first that were refused are named, with their place; the counts are in the report. */
static void
say_refused(struct merge *m, const struct source *s)
{
    struct aft_error why;
    if (m->said > SAID_MAX ||
        !aft_learner_refused(m->job->learner, (uint32_t)s->end->partition, &why))
        return;
    if (m->said++ < SAID_MAX)
        fprintf(stderr, "aftertouch learn: %s: refused %s\n", s->path, why.message);
    else
        fputs("aftertouch learn: more were refused: the report has how many\n", stderr);
}

static enum aft_err
learn_next(struct merge *m, struct source *s, struct aft_error *e)
{
    struct aft_example x;
    const uint8_t *from = s->rest.p;
    aft_arena_reset(&m->arena);
    AFT_TRY(aft_decode_example_by(m->roster, &s->rest, &m->arena, &x, e));
    struct aft_bytes body = {from, (size_t)(s->rest.p - from)};
    s->end->hash = aft_hash128(body, s->end->hash);
    if (aft_learner_sums(m->job->learner))
        AFT_TRY(aft_learner_sum(m->job->learner, (uint32_t)s->end->partition, &x, e));
    else
        AFT_TRY(aft_learner_learn(m->job->learner, &x, e));
    say_refused(m, s);
    m->decisions += s->phase == AFT_OPEN;
    if (m->job->greedy && s->phase == AFT_OPEN)
        say_greedy(m->job);
    s->end->next_seq++;
    s->left--;
    return next_of(m, s, false, e);
}

static struct source *
least(struct merge *m)
{
    struct source *best = NULL;
    for (int32_t i = 0; i < m->job->n; i++) {
        struct source *s = &m->sources[i];
        if (!s->done && (!best || s->fire_ms < best->fire_ms))
            best = s;
    }
    return best;
}

static bool
ours(const struct learn_job *j, int32_t p)
{
    return (uint32_t)p % j->share.of == j->share.number;
}

static enum aft_err
merge_all(struct merge *m, struct aft_error *e)
{
    struct learn_job *j = m->job;
    for (int32_t p = 0; p < j->n; p++) {
        struct source *s = &m->sources[p];
        bool mine = ours(j, p) && (uint32_t)p / j->share.of % m->share.of == m->share.number;
        *s = (struct source){.path = j->files[p], .end = &j->ends[p], .done = !mine};
        if (!mine)
            continue;
        AFT_TRY(aft_file_open(s->path, AFT_RECORD_EXAMPLE, false, &s->file, e));
        AFT_TRY(next_of(m, s, true, e));
    }
    for (struct source *s; !m->unordered && (s = least(m)) != NULL;)
        AFT_TRY(learn_next(m, s, e));
    return AFT_OK;
}

static void *
merge_one(void *merge)
{
    struct merge *m = merge;
    m->roster = aft_roster_new(ROSTER_BYTES);
    aft_arena_init(&m->arena, ARENA_BYTES);
    m->err = merge_all(m, &m->e);
    for (int32_t p = 0; p < m->job->n; p++)
        aft_file_close(m->sources[p].file);
    aft_arena_deinit(&m->arena);
    aft_roster_free(m->roster);
    return NULL;
}

static void
merge_shared(struct merge *v, uint32_t n)
{
    bool started[AFT_SHARDS_MAX] = {false};
    for (uint32_t i = 1; i < n; i++)
        started[i] = pthread_create(&v[i].thread, NULL, merge_one, &v[i]) == 0;
    merge_one(&v[0]);
    for (uint32_t i = 1; i < n; i++)
        if (started[i])
            pthread_join(v[i].thread, NULL);
        else
            merge_one(&v[i]); /* no thread to be had: it only takes longer */
}

static enum aft_err
merged(struct learn_job *j, bool *unordered, struct aft_error *e)
{
    uint32_t n = aft_learner_sums(j->learner) ? j->settings->shards : 1;
    struct merge *v = calloc(n, sizeof *v);
    enum aft_err err = AFT_OK;
    AFT_ASSERT(v && n <= AFT_SHARDS_MAX);
    for (int32_t p = 0; p < j->n; p++)
        j->ends[p] = (struct aft_end){.partition = p};
    for (uint32_t i = 0; i < n; i++) {
        v[i].job = j;
        v[i].share = (struct aft_share){i, n};
    }
    merge_shared(v, n);
    for (uint32_t i = 0; i < n; i++) {
        j->decisions += v[i].decisions;
        *unordered = *unordered || v[i].unordered;
        if (err == AFT_OK && v[i].err != AFT_OK) {
            err = v[i].err;
            *e = v[i].e;
        }
    }
    free(v);
    if (err == AFT_OK && aft_learner_sums(j->learner))
        aft_learner_merge(j->learner);
    return err;
}

/* ---- sort */
struct feed { /* one file's place in its chain */
    struct learn_job *job;
    struct aft_rounds *rounds;
    int32_t partition;
    int64_t blocks;
    bool begun;
    uint64_t first_seq;
    struct aft_hash128 hash;
    uint32_t n;
    struct aft_buffer bytes, block;
};

static enum aft_err
flush(struct feed *f, struct aft_error *e)
{
    struct aft_block b = {0,       f->partition, f->first_seq,
                          f->hash, f->n,         aft_buffer_bytes(&f->bytes)};
    aft_buffer_reset(&f->block);
    aft_encode_block(&f->block, &b);
    AFT_TRY(aft_rounds_block(f->rounds, f->partition, f->blocks++, aft_buffer_bytes(&f->block), e));
    f->first_seq += f->n;
    f->n = 0;
    aft_buffer_reset(&f->bytes);
    return AFT_OK;
}

static enum aft_err
take(struct feed *f, struct aft_bytes body, struct aft_error *e)
{
    int64_t seq, phase, fire_ms;
    AFT_TRY(head(f->job->files[f->partition], body, &seq, &phase, &fire_ms, e));
    if (!f->begun) {
        struct aft_end begin = {.partition = f->partition, .next_seq = seq};
        aft_rounds_seek(f->rounds, &begin);
        f->begun = true;
        f->first_seq = (uint64_t)seq;
    }
    f->job->decisions += phase == AFT_OPEN;
    f->hash = aft_hash128(body, f->hash);
    aft_put_raw(&f->bytes, body);
    f->n++;
    return f->n == BATCH || f->bytes.n > BATCH_BYTES ? flush(f, e) : AFT_OK;
}

static enum aft_err
read_records(struct aft_file_reader *in, struct feed *f, struct aft_error *e)
{
    for (;;) {
        struct aft_file_record r;
        bool end = false;
        AFT_TRY(aft_file_next(in, &r, &end, e));
        if (end)
            return f->n ? flush(f, e) : AFT_OK;
        AFT_TRY(take(f, r.body, e));
    }
}

static enum aft_err
read_file(struct learn_job *j, struct aft_rounds *rounds, int32_t partition, struct aft_error *e)
{
    struct aft_file_reader *in = NULL;
    struct feed f = {.job = j, .rounds = rounds, .partition = partition};
    AFT_TRY(aft_file_open(j->files[partition], AFT_RECORD_EXAMPLE, false, &in, e));
    enum aft_err err = read_records(in, &f, e);
    aft_file_close(in);
    aft_buffer_deinit(&f.bytes);
    aft_buffer_deinit(&f.block);
    return err;
}

static enum aft_err
sort_all(struct learn_job *j, struct aft_rounds *rounds, struct aft_error *e)
{
    j->decisions = 0;
    for (int32_t p = 0; p < j->n; p++)
        if (ours(j, p))
            AFT_TRY(read_file(j, rounds, p, e));
    aft_rounds_ends(rounds, j->ends);
    return aft_rounds_learn(rounds, j->ends, (uint32_t)j->n, j->learner, e);
}

static enum aft_err
sorted(struct learn_job *j, struct aft_error *e)
{
    aft_learner_free(j->learner); /* I1 */
    j->learner = NULL;
    AFT_TRY(aft_learner_new(j->settings, &j->learner, e));
    struct aft_rounds *rounds = aft_rounds_new((uint32_t)j->n);
    enum aft_err err = sort_all(j, rounds, e);
    aft_rounds_free(rounds);
    return err;
}

static double
seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum aft_err
learn_files(struct learn_job *j, struct aft_error *e)
{
    bool unordered = false;
    double from = seconds_now();
    if (j->share.of == 0)
        j->share.of = 1;
    AFT_TRY(aft_learner_new(j->settings, &j->learner, e));
    AFT_TRY(merged(j, &unordered, e));
    if (unordered && j->greedy)
        return AFT_FAIL(
            e, AFT_E_FAILED,
            "--greedy wants files in the order of fire, as `join` and `import` write them");
    if (unordered)
        AFT_TRY(sorted(j, e));
    j->seconds = seconds_now() - from;
    return AFT_OK;
}
