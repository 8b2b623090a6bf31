/* learn.c - `learn`: examples from container files, each file one partition, learned as one round in the canonical order,
 * published to a
 * container file of snapshot records. In: Example records with consecutive seq. Out: the snapshot; counts on stdout. */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire/wire_avro.h"

enum { FILES_MAX = 64, BATCH = 4096, BATCH_BYTES = 8 << 20 };

struct learning {
    const char *files[FILES_MAX];
    int32_t n;
    struct aft_rounds *rounds;
    struct aft_learner *learner;
    int64_t decisions;
    double seconds;
    struct aft_buffer block;
};

/* One file's place in its chain. */
struct feed {
    int32_t partition;
    int64_t blocks;
    bool begun;
    uint64_t first_seq;
    struct aft_hash128 hash;
    uint32_t n;
    struct aft_buffer bytes;
};

static enum aft_err
flush(struct learning *l, struct feed *f, struct aft_error *e)
{
    struct aft_block b = {0,       f->partition, f->first_seq,
                          f->hash, f->n,         aft_buffer_bytes(&f->bytes)};
    aft_buffer_reset(&l->block);
    aft_encode_block(&l->block, &b);
    AFT_TRY(aft_rounds_block(l->rounds, f->partition, f->blocks++, aft_buffer_bytes(&l->block), e));
    f->first_seq += f->n;
    f->n = 0;
    aft_buffer_reset(&f->bytes);
    return AFT_OK;
}

/* An example's body begins with its seq and its phase (wire/schemas/example.avsc). */
static enum aft_err
take(struct learning *l, struct feed *f, struct aft_bytes body, struct aft_error *e)
{
    struct aft_reader r = aft_reader(body);
    int64_t seq, phase;
    if (!aft_get_long(&r, &seq) || !aft_get_long(&r, &phase) || seq < 0)
        return AFT_FAIL(e, AFT_E_MALFORMED, "a record of %s is no example", l->files[f->partition]);
    if (!f->begun) {
        struct aft_end begin = {.partition = f->partition, .next_seq = seq};
        aft_rounds_seek(l->rounds, &begin);
        f->begun = true;
        f->first_seq = (uint64_t)seq;
    }
    l->decisions += phase == AFT_OPEN;
    f->hash = aft_hash128(body, f->hash);
    aft_put_raw(&f->bytes, body);
    f->n++;
    return f->n == BATCH || f->bytes.n > BATCH_BYTES ? flush(l, f, e) : AFT_OK;
}

static enum aft_err
read_records(struct learning *l, struct aft_file_reader *in, struct feed *f, struct aft_error *e)
{
    for (;;) {
        struct aft_file_record r;
        bool end = false;
        AFT_TRY(aft_file_next(in, &r, &end, e));
        if (end)
            return f->n ? flush(l, f, e) : AFT_OK;
        AFT_TRY(take(l, f, r.body, e));
    }
}

static enum aft_err
read_file(struct learning *l, int32_t partition, struct aft_error *e)
{
    struct aft_file_reader *in = NULL;
    struct feed f = {.partition = partition};
    AFT_TRY(aft_file_open(l->files[partition], AFT_RECORD_EXAMPLE, false, &in, e));
    enum aft_err err = read_records(l, in, &f, e);
    aft_file_close(in);
    aft_buffer_deinit(&f.bytes);
    return err;
}

static enum aft_err
learn_all(struct learning *l, const struct aft_config *c, struct aft_end *ends, struct aft_error *e)
{
    struct timespec from, to;
    AFT_TRY(aft_learner_new(aft_config_learner(c), &l->learner, e));
    l->rounds = aft_rounds_new((uint32_t)l->n);
    for (int32_t p = 0; p < l->n; p++)
        AFT_TRY(read_file(l, p, e));
    aft_rounds_ends(l->rounds, ends);
    clock_gettime(CLOCK_MONOTONIC, &from);
    AFT_TRY(aft_rounds_learn(l->rounds, ends, (uint32_t)l->n, l->learner, e));
    clock_gettime(CLOCK_MONOTONIC, &to);
    l->seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    return AFT_OK;
}

static enum aft_err
append(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct aft_file_record r = {.key = key, .body = body};
    return aft_file_append(ctx, &r, e);
}

static enum aft_err
publish(struct learning *l, const struct aft_config *c, const char *path,
        const struct aft_end *ends, struct aft_error *e)
{
    struct aft_file_writer *out = NULL;
    struct aft_error second;
    struct aft_publish_spec spec = {.model = aft_text(aft_config_text(c, "snapshot.model")),
                                    .round = 1,
                                    .kind = AFT_SNAPSHOT_FULL,
                                    .ends = ends,
                                    .ends_n = (uint32_t)l->n};
    AFT_TRY(aft_file_create(path, AFT_RECORD_SNAPSHOT, false, &out, e));
    enum aft_err err = aft_learner_publish(l->learner, &spec, append, out, e);
    enum aft_err closed = aft_file_finish(out, err == AFT_OK ? e : &second);
    return err == AFT_OK ? closed : err;
}

static void
report(const struct learning *l, bool json)
{
    struct aft_learner_stats s;
    struct aft_digest d;
    char digest[65];
    aft_learner_stats(l->learner, &s);
    aft_learner_digest(l->learner, &d);
    aft_hex(d.b, sizeof d.b, digest);
    if (!json) {
        printf("%lld decisions, %lld items learned, %lld revised in %.3f s\n",
               (long long)l->decisions, (long long)s.learned, (long long)s.revised, l->seconds);
        printf("progressive value of the greedy arm: ips %.6f snips %.6f dr %.6f\n",
               s.progressive_ips, s.progressive_snips, s.progressive_dr);
        printf("digest %s\n", digest);
        return;
    }
    json_t *o =
        json_pack("{s:I, s:I, s:I, s:I, s:f, s:{s:f, s:f, s:f}, s:{s:I, s:I, s:I, s:I}, s:f, s:f, "
                  "s:f, s:i, s:i, s:s}",
                  "decisions", (json_int_t)l->decisions, "learned", (json_int_t)s.learned,
                  "revised", (json_int_t)s.revised, "settled", (json_int_t)s.settled, "seconds",
                  l->seconds, "progressive", "ips", s.progressive_ips, "snips", s.progressive_snips,
                  "dr", s.progressive_dr, "refused", "support", (json_int_t)s.refused_support,
                  "weight", (json_int_t)s.refused_weight, "reward", (json_int_t)s.refused_reward,
                  "feature", (json_int_t)s.refused_feature, "mean_weight", s.mean_weight,
                  "effective_n", s.effective_n, "capped_mass", s.capped_mass, "arms", (int)s.arms,
                  "columns", (int)s.columns, "digest", digest);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

/* --examples, again and again, and what follows it without a name. */
static bool
gather(const struct cmd_line *line, struct learning *l)
{
    const char *f;
    for (int i = 0; (f = cmd_given(line, "examples", i)) != NULL; i++)
        if (l->n < FILES_MAX)
            l->files[l->n++] = f;
    for (int i = 0; i < line->positional_n && l->n < FILES_MAX; i++)
        l->files[l->n++] = line->positional[i];
    return l->n > 0;
}

static enum aft_err
run(struct learning *l, struct cmd_line *line, const char *snapshot, struct aft_error *e)
{
    struct aft_end ends[FILES_MAX];
    AFT_TRY(aft_config_check(line->config, e));
    AFT_TRY(learn_all(l, line->config, ends, e));
    AFT_TRY(publish(l, line->config, snapshot, ends, e));
    report(l, line->json);
    return AFT_OK;
}

int
cmd_learn(int argc, char **argv)
{
    static const struct cmd_option own[] = {
        {"examples", "FILE",
         "examples of one partition, a container file (again for more; the "
         "order names the partitions)"},
        {"snapshot", "FILE", "write the (unsigned) snapshot records to FILE"},
    };
    struct cmd_line line;
    struct learning l = {.n = 0};
    struct aft_error e;
    int code = cmd_parse(argc, argv, own, 2, &line);
    if (code >= 0)
        return code;
    const char *snapshot = cmd_given(&line, "snapshot", 0);
    if (!gather(&line, &l) || !snapshot) {
        fputs("aftertouch learn: want --examples FILE... and --snapshot FILE\n", stderr);
        code = 2;
    } else {
        code = run(&l, &line, snapshot, &e) == AFT_OK ? 0 : cmd_fail("learn", &e);
    }
    aft_rounds_free(l.rounds);
    aft_learner_free(l.learner);
    aft_buffer_deinit(&l.block);
    cmd_line_free(&line);
    return code;
}
