/* join.c - `join`: the joiner over container files, one partition of each log. In: impressions, outcomes, perhaps the clock. Out: a
 * container file of examples; with --json {"fates": {...}, "counts": {...}, "dead": n} on stdout. Dead letters are named on stderr.
 *
 * A TICK counts if its epoch is that of the latest EPOCH record before it (an EPOCH's own `epoch`, or its place in the file where that
 * is -1); in a file without any EPOCH record all count.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "wire/wire_avro.h"

enum { BATCH = 1000, DEAD_SHOWN = 20, COMMIT_BYTES = 64 << 20 };

struct input {
    struct aft_file_reader *file;
    enum aft_log_kind log;
    bool end;
    int64_t next_offset;
};

struct run {
    struct input in[2];
    struct aft_file_writer *examples;
    struct aft_store *store;
    struct aft_joiner *joiner;
    uint64_t dead;
};

static enum aft_err
write_example(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash,
              struct aft_error *e)
{
    struct run *r = ctx;
    (void)seq;
    (void)hash;
    return aft_file_append(r->examples, &(struct aft_file_record){.body = body}, e);
}

/* ---- the clock */

struct clock_pass {
    bool any_epoch;
    int64_t at, epoch;
};

static void
clock_record(struct run *r, struct clock_pass *p, const struct aft_clock_record *c, bool looking)
{
    if (c->kind == AFT_CLOCK_EPOCH) {
        p->any_epoch = true;
        p->epoch = c->epoch >= 0 ? c->epoch : p->at;
    } else if (!looking && (!p->any_epoch || c->epoch == p->epoch)) {
        aft_joiner_tick(r->joiner, c->log, c->at_offset, c->watermark_ms);
    }
    p->at++;
}

/* read_clock reads the file once. looking: only whether there are epochs. */
static enum aft_err
read_clock(struct run *r, const char *path, struct clock_pass *p, bool looking, struct aft_error *e)
{
    struct aft_file_reader *f;
    struct aft_file_record rec;
    struct aft_clock_record c;
    bool end = false;
    AFT_TRY(aft_file_open(path, AFT_RECORD_CLOCK, false, &f, e));
    enum aft_err failed;
    while ((failed = aft_file_next(f, &rec, &end, e)) == AFT_OK && !end) {
        failed = aft_decode_clock(rec.body, &c, e);
        if (failed)
            break;
        clock_record(r, p, &c, looking);
    }
    aft_file_close(f);
    return failed;
}

static enum aft_err
take_clock(struct run *r, const char *path, struct aft_error *e)
{
    struct clock_pass look = {.epoch = INT64_MIN}, pass = {.epoch = INT64_MIN};
    if (!path)
        return AFT_OK;
    AFT_TRY(read_clock(r, path, &look, true, e));
    pass.any_epoch = look.any_epoch; /* ticks before the first epoch do not count then */
    return read_clock(r, path, &pass, false, e);
}

/* ---- the logs */

static void
dead_letter(struct run *r, const struct input *in, const struct aft_file_record *rec,
            const struct aft_error *why)
{
    const char *log = in->log == AFT_IMPRESSIONS ? "impressions" : "outcomes";
    r->dead++;
    if (r->dead <= DEAD_SHOWN)
        fprintf(stderr, "dead letter: %s offset %" PRId64 ": %s\n", log, rec->offset, why->message);
    if (r->dead == DEAD_SHOWN + 1)
        fputs("more dead letters follow; the number stands at the end\n", stderr);
}

static enum aft_err
take_batch(struct run *r, struct input *in, struct aft_error *e)
{
    struct aft_file_record rec;
    for (int n = 0; n < BATCH; n++) {
        AFT_TRY(aft_file_next(in->file, &rec, &in->end, e));
        if (in->end) {
            aft_joiner_reached(r->joiner, in->log, INT64_MAX);
            break;
        }
        if (rec.offset < in->next_offset)
            return AFT_FAIL(e, AFT_E_GAP,
                            "offset %" PRId64 " stands behind %" PRId64
                            " in the %s: a file holds one "
                            "partition, its records in the order of their offsets",
                            rec.offset, in->next_offset - 1,
                            in->log == AFT_IMPRESSIONS ? "impressions" : "outcomes");
        in->next_offset = rec.offset + 1;
        enum aft_err failed = aft_joiner_take(r->joiner, in->log, rec.offset, rec.log_timestamp_ms,
                                              rec.key, rec.body, e);
        if (failed && aft_err_class(failed) != AFT_CLASS_DATA)
            return failed;
        if (failed)
            dead_letter(r, in, &rec, e);
    }
    return AFT_OK;
}

static enum aft_err
join_all(struct run *r, struct aft_error *e)
{
    uint64_t seq;
    while (!r->in[0].end || !r->in[1].end) {
        struct input *in = &r->in[aft_joiner_behind(r->joiner)];
        if (in->end)
            in = in == &r->in[0] ? &r->in[1] : &r->in[0];
        AFT_TRY(take_batch(r, in, e));
        AFT_TRY(aft_joiner_run(r->joiner, e));
        if (aft_joiner_uncommitted(r->joiner) < COMMIT_BYTES)
            continue;
        aft_joiner_cut(r->joiner, AFT_ABSENT, &seq); /* lets old segments go */
        AFT_TRY(aft_joiner_commit(r->joiner, e));
    }
    return AFT_OK;
}

/* ---- the answer */

static void
answer_json(const struct aft_join_counts *c, uint64_t dead)
{
    json_t *all = json_object(), *fates = json_object(), *counts = json_object();
#define X(name) json_object_set_new(fates, #name, json_integer(c->fates.name));
    AFT_FATES(X)
#undef X
#define X(name) json_object_set_new(counts, #name, json_integer(c->counts.name));
    AFT_COUNTS(X)
#undef X
    json_object_set_new(all, "fates", fates);
    json_object_set_new(all, "counts", counts);
    json_object_set_new(all, "dead", json_integer((json_int_t)dead));
    json_dumpf(all, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(all);
}

static void
answer_text(const struct aft_join_counts *c, uint64_t dead)
{
    printf("impressions %" PRId64 "  outcomes %" PRId64 "  examples %" PRId64 "  open %" PRId64
           "  dead %" PRIu64 "\n",
           c->impressions, c->outcomes, c->examples, c->open, dead);
#define X(name)        \
    if (c->fates.name) \
        printf("  %-22s %" PRId64 "\n", #name, c->fates.name);
    AFT_FATES(X)
#undef X
}

/* ---- the verb */

static enum aft_err
open_all(struct run *r, const struct cmd_line *l, struct aft_error *e)
{
    struct aft_join_identity who = {aft_config_text(l->config, "app.id"), 0};
    struct aft_join_out out = {r, write_example};
    r->in[0].log = AFT_IMPRESSIONS;
    r->in[1].log = AFT_OUTCOMES;
    AFT_TRY(aft_file_open(cmd_given(l, "impressions", 0), AFT_RECORD_IMPRESSION, true,
                          &r->in[0].file, e));
    AFT_TRY(
        aft_file_open(cmd_given(l, "outcomes", 0), AFT_RECORD_OUTCOME, true, &r->in[1].file, e));
    AFT_TRY(
        aft_file_create(cmd_given(l, "examples", 0), AFT_RECORD_EXAMPLE, false, &r->examples, e));
    r->store = aft_store_mem_new();
    AFT_TRY(aft_joiner_open(aft_config_join(l->config), &who, r->store, &out, &r->joiner, e));
    return take_clock(r, cmd_given(l, "clock", 0), e);
}

static enum aft_err
close_all(struct run *r, enum aft_err failed, struct aft_error *e)
{
    struct aft_error late;
    aft_joiner_close(r->joiner);
    if (r->store)
        r->store->ops->close(r->store);
    for (int i = 0; i < 2; i++)
        if (r->in[i].file)
            aft_file_close(r->in[i].file);
    enum aft_err finished = r->examples ? aft_file_finish(r->examples, &late) : AFT_OK;
    if (finished && !failed)
        *e = late;
    return failed ? failed : finished;
}

int
cmd_join(int argc, char **argv)
{
    static const struct cmd_option own[] = {
        {"impressions", "FILE", "container file of impressions, one partition"},
        {"outcomes", "FILE", "container file of outcomes, the same partition"},
        {"clock", "FILE", "container file of the journal: ticks of idle logs"},
        {"examples", "FILE", "container file of examples, to be written"},
    };
    struct cmd_line l;
    struct aft_error e;
    struct run r = {0};
    struct aft_join_counts counts = {0};
    int code = cmd_parse(argc, argv, own, sizeof own / sizeof own[0], &l);
    if (code >= 0)
        return code;
    if (!cmd_options_alone(argv[0], &l)) {
        cmd_line_free(&l);
        return 2;
    }
    if (!cmd_given(&l, "impressions", 0) || !cmd_given(&l, "outcomes", 0) ||
        !cmd_given(&l, "examples", 0)) {
        fputs("aftertouch join: --impressions, --outcomes and --examples are needed\n", stderr);
        cmd_line_free(&l);
        return 2;
    }
    enum aft_err failed = cmd_apart(&l, "examples", &e);
    if (!failed)
        failed = aft_config_check(l.config, &e);
    if (!failed)
        failed = open_all(&r, &l, &e);
    if (!failed)
        failed = join_all(&r, &e);
    if (!failed)
        aft_joiner_counts(r.joiner, &counts);
    bool written = r.examples != NULL;
    failed = close_all(&r, failed, &e);
    if (failed && written)
        cmd_discard(cmd_given(&l, "examples", 0));
    if (!failed && l.json)
        answer_json(&counts, r.dead);
    else if (!failed)
        answer_text(&counts, r.dead);
    code = failed ? cmd_fail(argv[0], &e) : 0;
    cmd_line_free(&l);
    return code;
}
