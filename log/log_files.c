/* log_files.c - a log made of container files: each file is one partition of a topic, as it was archived. What `replay` reads when
 * the topics hold no longer what it needs. Topics without a file are those of the log beneath, where there is one.
 *
 *   impressions, outcomes  enveloped: {offset, log_timestamp, key, value}; the records as the topic held them
 *   clock                  plain: a record's offset is its place, or its own `epoch` where an EPOCH has one; without any EPOCH all
 *                          ticks count (as `join` reads it)
 *   examples               plain: single examples, in the order of seq; a block each, chained as the joiner chains them
 *   rounds                 plain: a record's offset is its place; without any EPOCH all rounds count
 *   snapshots              plain, as `snapshot export` writes them or as the topic held them; their keys are not needed
 *
 * In: files. Out: framed values. Nothing is appended. A file is read once whole when it is opened, for its range and its counts.
 * Thread: the handle's, as of any log.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "log/log.h"
#include "wire/wire_avro.h"

#define ROUND_BYTES (16u << 20)

struct file {
    const struct aft_log_file *of; /* borrowed, and what it names */
    int64_t begin, end;
    bool epochs; /* of a journal: it has EPOCH records */
};

struct files {
    struct aft_log log;
    struct aft_log_ops ops;
    struct aft_log *beneath;
    struct file *v;
    size_t n;
};

struct aft_log_reader {
    const struct aft_log_ops *ops; /* of the log beneath; NULL: a file's, or an empty one */
    struct aft_log_reader *inner;
    const struct file *file;
    struct aft_file_reader *in;
    bool ended;
    int64_t next, from;
    struct aft_hash128 chain;
    struct aft_buffer bytes; /* of one batch: keys and framed values */
    size_t *at;              /* where each begins, in pairs: key, value; SIZE_MAX: absent */
    uint32_t at_cap;
};

static struct files *
files_of(struct aft_log *l)
{
    return (struct files *)l; /* log is the first member */
}

static const struct file *
find(struct aft_log *l, const char *topic, int32_t partition)
{
    const struct files *f = files_of(l);
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].of->partition == partition && strcmp(f->v[i].of->topic, topic) == 0)
            return &f->v[i];
    return NULL;
}

static bool
enveloped(enum aft_record r)
{
    return r == AFT_RECORD_IMPRESSION || r == AFT_RECORD_OUTCOME;
}

/* ---- one record of a file, as the topic would give it */
/* The offset of a plain record, which has none in the file. */
static enum aft_err
place(const struct file *f, int64_t next, struct aft_file_record *r, struct aft_error *e)
{
    struct aft_clock_record c;
    if (enveloped(f->of->record))
        return r->offset >= next ? AFT_OK
                                 : AFT_FAIL(e, AFT_E_GAP,
                                            "%s: offset %" PRId64 " stands behind %" PRId64
                                            ": a file holds one partition, its records in the "
                                            "order of their offsets",
                                            f->of->path, r->offset, next - 1);
    r->offset = next;
    r->log_timestamp_ms = 0;
    r->key = AFT_ABSENT;
    if (f->of->record != AFT_RECORD_CLOCK)
        return AFT_OK;
    AFT_TRY(aft_decode_clock(r->body, &c, e));
    if (c.kind == AFT_CLOCK_EPOCH && c.epoch > next)
        r->offset = c.epoch;
    return AFT_OK;
}

static enum aft_err
next_record(struct aft_log_reader *r, struct aft_file_record *out, struct aft_error *e)
{
    enum aft_err err = aft_file_next(r->in, out, &r->ended, e);
    if (err == AFT_OK && !r->ended)
        err = place(r->file, r->next, out, e);
    if (err == AFT_OK && !r->ended)
        r->next = out->offset + 1;
    if (err == AFT_OK)
        return AFT_OK;
    struct aft_error why = *e;
    return AFT_FAIL(e, aft_err_class(err) == AFT_CLASS_DATA ? AFT_E_CORRUPT : err,
                    "%.200s, behind offset %" PRId64 ": %.190s", r->file->of->path, r->next - 1,
                    why.message);
}

static enum aft_err
put_clock(struct aft_log_reader *r, struct aft_bytes body, struct aft_error *e)
{
    struct aft_clock_record c;
    AFT_TRY(aft_decode_clock(body, &c, e));
    if (!r->file->epochs)
        c.epoch = -1; /* that of a log without any: all count */
    aft_frame_put_single(&r->bytes, AFT_RECORD_CLOCK);
    aft_encode_clock(&r->bytes, &c);
    return AFT_OK;
}

static enum aft_err
put_round(struct aft_log_reader *r, struct aft_bytes body, struct aft_error *e)
{
    struct aft_round_record round;
    struct aft_arena arena;
    aft_arena_init(&arena, ROUND_BYTES);
    enum aft_err err = aft_decode_round(body, &arena, &round, e);
    if (err == AFT_OK) {
        if (!r->file->epochs)
            round.epoch = -1; /* as of a clock */
        aft_frame_put_single(&r->bytes, AFT_RECORD_ROUND);
        aft_encode_round(&r->bytes, &round);
    }
    aft_arena_deinit(&arena);
    return err;
}

static enum aft_err
put_example(struct aft_log_reader *r, struct aft_bytes body, struct aft_error *e)
{
    int64_t seq;
    struct aft_reader in = aft_reader(body);
    if (!aft_get_long(&in, &seq) || seq < 0)
        return AFT_FAIL(e, AFT_E_CORRUPT, "%s: an example without a seq", r->file->of->path);
    r->chain = aft_hash128(body, r->chain);
    struct aft_block block = {.epoch = 0,
                              .partition = r->file->of->partition,
                              .first_seq = (uint64_t)seq,
                              .hash = r->chain,
                              .n = 1,
                              .examples = body};
    aft_frame_put_single(&r->bytes, AFT_RECORD_EXAMPLE_BLOCK);
    aft_encode_block(&r->bytes, &block);
    return AFT_OK;
}

static enum aft_err
put_value(struct aft_log_reader *r, const struct aft_file_record *rec, struct aft_error *e)
{
    if (r->file->of->record == AFT_RECORD_CLOCK)
        return put_clock(r, rec->body, e);
    if (r->file->of->record == AFT_RECORD_ROUND)
        return put_round(r, rec->body, e);
    if (r->file->of->record == AFT_RECORD_EXAMPLE)
        return put_example(r, rec->body, e);
    aft_frame_put_single(&r->bytes, r->file->of->record);
    aft_put_raw(&r->bytes, rec->body);
    return AFT_OK;
}

/* ---- reading */
static void
room_for(struct aft_log_reader *r, uint32_t n)
{
    if (n <= r->at_cap)
        return;
    r->at_cap = n;
    r->at = realloc(r->at, 2 * (size_t)n * sizeof *r->at + 2 * sizeof *r->at);
    AFT_ASSERT(r->at != NULL);
}

/* What was gathered gets its slices once the buffer does not move any more. */
static void
slices(struct aft_log_reader *r, struct aft_record_in *out, uint32_t n)
{
    const size_t *at = r->at;
    for (uint32_t i = 0; i < n; i++) {
        size_t key = at[2 * i], value = at[2 * i + 1], end = at[2 * i + 2];
        out[i].key = (struct aft_bytes){r->bytes.p + key, value - key};
        out[i].value = (struct aft_bytes){r->bytes.p + value, end - value};
        if (out[i].headers_n & 1)
            out[i].key = AFT_ABSENT;
        if (out[i].headers_n & 2)
            out[i].value = AFT_ABSENT;
        out[i].headers_n = 0;
    }
}

static enum aft_err
read_records(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
             uint32_t *n, bool *at_end, struct aft_error *e)
{
    struct aft_file_record rec;
    *n = 0;
    if (r->ops)
        return r->ops->read(r->inner, out, max, timeout_ms, n, at_end, e);
    aft_buffer_reset(&r->bytes);
    room_for(r, max);
    while (!r->ended && *n < max) {
        AFT_TRY(next_record(r, &rec, e));
        if (r->ended || rec.offset < r->from)
            continue;
        r->at[2 * *n] = r->bytes.n;
        aft_put_raw(&r->bytes, rec.key);
        r->at[2 * *n + 1] = r->bytes.n;
        if (rec.body.p)
            AFT_TRY(put_value(r, &rec, e));
        /* headers_n: which of the two are absent, until slices() */
        out[*n] =
            (struct aft_record_in){.offset = rec.offset,
                                   .timestamp_ms = rec.log_timestamp_ms,
                                   .headers_n = (rec.key.p ? 0u : 1u) | (rec.body.p ? 0u : 2u)};
        r->at[2 * ++*n] = r->bytes.n;
    }
    slices(r, out, *n);
    *at_end = r->ended;
    return AFT_OK;
}

static void
reader_close(struct aft_log_reader *r)
{
    if (r->ops)
        r->ops->reader_close(r->inner);
    if (r->in)
        aft_file_close(r->in);
    aft_buffer_deinit(&r->bytes);
    free(r->at);
    free(r);
}

static enum aft_err
reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
            struct aft_log_reader **out, struct aft_error *e)
{
    struct aft_log *beneath = files_of(l)->beneath;
    const struct file *f = find(l, topic, partition);
    struct aft_log_reader *r = calloc(1, sizeof *r);
    AFT_ASSERT(r != NULL);
    enum aft_err err = AFT_OK;
    *r = (struct aft_log_reader){.file = f, .from = offset, .ended = !f};
    if (f) {
        err = aft_file_open(f->of->path, f->of->record, enveloped(f->of->record), &r->in, e);
    } else if (beneath) {
        r->ops = beneath->ops;
        err = beneath->ops->reader_open(beneath, topic, partition, offset, &r->inner, e);
    }
    if (err == AFT_OK)
        *out = r;
    else
        free(r);
    return err;
}

/* ---- looking */
static enum aft_err
topic_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    struct aft_log *beneath = files_of(l)->beneath;
    *out = (struct aft_topic_facts){.retention_ms = INT64_MIN};
    while (find(l, topic, out->partitions))
        out->partitions++;
    return out->partitions == 0 && beneath ? beneath->ops->topic_facts(beneath, topic, out, e)
                                           : AFT_OK;
}

static enum aft_err
range(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin, int64_t *end,
      struct aft_error *e)
{
    struct aft_log *beneath = files_of(l)->beneath;
    const struct file *f = find(l, topic, partition);
    if (!f && beneath)
        return beneath->ops->range(beneath, topic, partition, begin, end, e);
    *begin = f ? f->begin : 0;
    *end = f ? f->end : 0;
    return AFT_OK;
}

static enum aft_err
offset_at(struct aft_log *l, const char *topic, int32_t partition, int64_t time_ms, int64_t *offset,
          struct aft_error *e)
{
    struct aft_log *beneath = files_of(l)->beneath;
    const struct file *f = find(l, topic, partition);
    struct aft_log_reader *r;
    struct aft_record_in one;
    uint32_t n = 1;
    bool at_end = false;
    if (!f && beneath)
        return beneath->ops->offset_at(beneath, topic, partition, time_ms, offset, e);
    *offset = f ? f->end : 0;
    AFT_TRY(reader_open(l, topic, partition, 0, &r, e));
    enum aft_err err = AFT_OK;
    while (err == AFT_OK && !at_end) {
        err = read_records(r, &one, 1, 0, &n, &at_end, e);
        if (err == AFT_OK && n && one.timestamp_ms >= time_ms) {
            *offset = one.offset;
            break;
        }
    }
    reader_close(r);
    return err;
}

static void
poll_nothing(struct aft_log *l, int timeout_ms)
{
    if (files_of(l)->beneath)
        files_of(l)->beneath->ops->poll(files_of(l)->beneath, timeout_ms);
}

static void
files_close(struct aft_log *l)
{
    free(files_of(l)->v);
    free(l);
}

/* ---- open */
static bool
is_epoch(const struct file *f, struct aft_bytes body)
{
    struct aft_error ignored;
    struct aft_clock_record c;
    struct aft_round_record r;
    if (f->of->record == AFT_RECORD_CLOCK)
        return aft_decode_clock(body, &c, &ignored) == AFT_OK && c.kind == AFT_CLOCK_EPOCH;
    if (f->of->record != AFT_RECORD_ROUND)
        return false;
    struct aft_arena arena;
    aft_arena_init(&arena, ROUND_BYTES);
    bool epoch =
        aft_decode_round(body, &arena, &r, &ignored) == AFT_OK && r.kind == AFT_ROUND_EPOCH;
    aft_arena_deinit(&arena);
    return epoch;
}

static enum aft_err
scan(struct aft_log *l, struct file *f, struct aft_error *e)
{
    struct aft_log_reader *r;
    struct aft_file_record rec;
    AFT_TRY(reader_open(l, f->of->topic, f->of->partition, 0, &r, e));
    enum aft_err err = AFT_OK;
    bool first = true;
    while ((err = next_record(r, &rec, e)) == AFT_OK && !r->ended) {
        f->begin = first ? rec.offset : f->begin;
        f->end = rec.offset + 1;
        first = false;
        f->epochs = f->epochs || is_epoch(f, rec.body);
    }
    reader_close(r);
    return err;
}

enum aft_err
aft_log_files_open(const struct aft_log_file *v, size_t n, struct aft_log *beneath,
                   struct aft_log **out, struct aft_error *e)
{
    struct files *f = calloc(1, sizeof *f);
    AFT_ASSERT(f != NULL);
    f->beneath = beneath;
    f->v = calloc(n ? n : 1, sizeof *f->v);
    AFT_ASSERT(f->v != NULL);
    f->n = n;
    for (size_t i = 0; i < n; i++)
        f->v[i].of = &v[i];
    f->ops = (struct aft_log_ops){.topic_facts = topic_facts,
                                  .range = range,
                                  .offset_at = offset_at,
                                  .reader_open = reader_open,
                                  .read = read_records,
                                  .reader_close = reader_close,
                                  .poll = poll_nothing,
                                  .close = files_close};
    f->log.ops = &f->ops;
    enum aft_err err = AFT_OK;
    for (size_t i = 0; err == AFT_OK && i < n; i++)
        err = scan(&f->log, &f->v[i], e);
    if (err == AFT_OK)
        *out = &f->log;
    else
        files_close(&f->log);
    return err;
}
