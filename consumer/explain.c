/* explain.c - where explanations come from: the states on disk, read beside whoever works on them; the topics of examples, rounds and
 * snapshots, read whole. One thread; nothing is written. */
#include <stdlib.h>

#include "consumer/state_dir.h"

enum { BATCH = 64, READ_MS = 200, STILL_READS = 150, ARENA_BYTES = 64 << 20 };

/* ---- states */
static enum aft_err
one_state(const struct aft_config *c, int32_t partition, const struct aft_state_visit *visit,
          struct aft_error *e)
{
    char path[AFTI_PATH_MAX];
    struct aft_store *store;
    struct aft_joiner *joiner;
    struct aft_join_identity identity = {aft_config_text(c, "app.id"), partition};
    struct aft_join_out nowhere = {0};
    AFT_TRY(afti_state_path(c, partition, "", path, e));
    AFT_TRY(aft_store_rocksdb_look(path, &store, e));
    enum aft_err err = aft_joiner_open(aft_config_join(c), &identity, store, &nowhere, &joiner, e);
    if (err == AFT_OK) {
        err = visit->joiner(visit->ctx, partition, joiner, e);
        aft_joiner_close(joiner);
    }
    store->ops->close(store);
    return err;
}

enum aft_err
aft_state_each(const struct aft_config *c, const struct aft_state_visit *visit, struct aft_error *e)
{
    char directory[AFTI_PATH_MAX];
    int32_t *partition;
    size_t n;
    AFT_TRY(afti_state_path(c, -1, "", directory, e));
    AFT_TRY(afti_state_partitions(directory, &partition, &n, e));
    enum aft_err err = AFT_OK;
    for (size_t i = 0; err == AFT_OK && i < n; i++)
        err = one_state(c, partition[i], visit, e);
    free(partition);
    return err;
}

/* ---- examples */
struct reading {
    const struct aft_example_visit *visit;
    struct aft_decoder *decoder;
    struct aft_arena block, example;
    int64_t epoch;
    uint64_t next;
};

static enum aft_err
block_visit(void *ctx, const struct aft_record_in *in, struct aft_error *e)
{
    struct reading *r = ctx;
    struct aft_bytes body;
    struct aft_block b;
    struct aft_example x;
    aft_arena_reset(&r->block);
    AFT_TRY(aft_decoder_body(r->decoder, in->value, &r->block, &body, e));
    AFT_TRY(aft_decode_block(body, &b, e));
    if (b.epoch < r->epoch)
        return AFT_OK; /* a stale owner's */
    r->epoch = b.epoch;
    struct aft_reader left = aft_reader(b.examples);
    for (uint32_t i = 0; i < b.n; i++) {
        aft_arena_reset(&r->example);
        AFT_TRY(aft_decode_example(&left, &r->example, &x, e));
        if (b.first_seq + i < r->next)
            continue;
        r->next = b.first_seq + i + 1;
        r->visit->example(r->visit->ctx, b.partition, &x);
    }
    return AFT_OK;
}

/* ---- a partition of a topic, from its beginning to the end it has now */
struct each {
    void *ctx;
    enum aft_err (*record)(void *ctx, const struct aft_record_in *in, struct aft_error *e);
};

static enum aft_err
records_each(struct aft_log *log, const char *topic, int32_t partition, const struct each *each,
             struct aft_error *e)
{
    struct aft_log_reader *reader;
    struct aft_record_in in[BATCH];
    int64_t next, end;
    bool at_end = false;
    AFT_TRY(log->ops->range(log, topic, partition, &next, &end, e));
    if (next == end)
        return AFT_OK;
    AFT_TRY(log->ops->reader_open(log, topic, partition, next, &reader, e));
    enum aft_err err = AFT_OK;
    for (int still = 0; err == AFT_OK && next < end && !at_end;) {
        uint32_t n = 0;
        err = log->ops->read(reader, in, BATCH, READ_MS, &n, &at_end, e);
        for (uint32_t i = 0; err == AFT_OK && i < n; i++) {
            err = each->record(each->ctx, &in[i], e);
            next = in[i].offset + 1;
        }
        still = n ? 0 : still + 1;
        if (err == AFT_OK && still == STILL_READS)
            err = AFT_FAIL(e, AFT_E_TIMEOUT, "%s: no answer; is the broker there?", topic);
    }
    log->ops->reader_close(reader);
    return err;
}

enum aft_err
aft_examples_each(const struct aft_config *c, struct aft_log *log,
                  const struct aft_example_visit *visit, struct aft_error *e)
{
    struct reading r = {.visit = visit};
    const struct each each = {&r, block_visit};
    struct aft_topic_facts f;
    const char *topic = aft_config_text(c, "topics.examples");
    AFT_TRY(log->ops->topic_facts(log, topic, &f, e));
    AFT_TRY(aft_decoder_new(AFT_RECORD_EXAMPLE_BLOCK, (struct aft_schema_port){0}, &r.decoder, e));
    aft_arena_init(&r.block, ARENA_BYTES);
    aft_arena_init(&r.example, ARENA_BYTES);
    enum aft_err err = AFT_OK;
    for (int32_t p = 0; err == AFT_OK && p < f.partitions; p++) {
        r.epoch = -1;
        r.next = 0;
        err = records_each(log, topic, p, &each, e);
    }
    aft_arena_deinit(&r.block);
    aft_arena_deinit(&r.example);
    aft_decoder_free(r.decoder);
    return err;
}

/* ---- rounds, snapshots */
struct journal {
    const struct aft_learning_visit *visit;
    const char *model;
    struct aft_decoder *decoder;
    struct aft_arena arena;
    int64_t epoch; /* in force */
};

/* What cannot be read is passed over, as the learner does. */
static enum aft_err
round_visit(void *ctx, const struct aft_record_in *in, struct aft_error *e)
{
    struct journal *j = ctx;
    struct aft_bytes body;
    struct aft_round_record r;
    aft_arena_reset(&j->arena);
    enum aft_err err = aft_decoder_body(j->decoder, in->value, &j->arena, &body, e);
    if (err == AFT_OK)
        err = aft_decode_round(body, &j->arena, &r, e);
    if (err != AFT_OK)
        return aft_err_class(err) == AFT_CLASS_DATA ? AFT_OK : err;
    if (r.kind == AFT_ROUND_EPOCH)
        j->epoch = in->offset;
    else if (r.epoch == j->epoch)
        j->visit->round(j->visit->ctx, in->offset, &r);
    return AFT_OK;
}

static enum aft_err
manifest_visit(void *ctx, const struct aft_record_in *in, struct aft_error *e)
{
    struct journal *j = ctx;
    struct aft_bytes body;
    struct aft_snapshot_record r;
    struct aft_snapshot_seen seen = {.offset = in->offset, .key = in->key};
    if (!in->value.p) {
        j->visit->manifest(j->visit->ctx, &seen);
        return AFT_OK;
    }
    aft_arena_reset(&j->arena);
    enum aft_err err = aft_decoder_body(j->decoder, in->value, &j->arena, &body, e);
    if (err == AFT_OK)
        err = aft_decode_snapshot(body, &j->arena, &r, e);
    if (err != AFT_OK)
        return aft_err_class(err) == AFT_CLASS_DATA ? AFT_OK : err;
    if (!r.has_manifest || r.kind == AFT_SNAPSHOT_PIN || !aft_same(r.model, aft_text(j->model)))
        return AFT_OK;
    seen.record = &r;
    j->visit->manifest(j->visit->ctx, &seen);
    return AFT_OK;
}

static enum aft_err
journal_each(struct journal *j, struct aft_log *log, const char *topic, enum aft_record record,
             struct aft_error *e)
{
    const struct each each = {j, record == AFT_RECORD_ROUND ? round_visit : manifest_visit};
    struct aft_topic_facts f;
    AFT_TRY(log->ops->topic_facts(log, topic, &f, e));
    if (f.partitions == 0)
        return AFT_OK;
    AFT_TRY(aft_decoder_new(record, (struct aft_schema_port){0}, &j->decoder, e));
    enum aft_err err = records_each(log, topic, 0, &each, e);
    aft_decoder_free(j->decoder);
    return err;
}

enum aft_err
aft_learning_each(const struct aft_config *c, struct aft_log *log,
                  const struct aft_learning_visit *visit, struct aft_error *e)
{
    struct journal j = {.visit = visit, .model = aft_config_text(c, "snapshot.model"), .epoch = -1};
    aft_arena_init(&j.arena, ARENA_BYTES);
    enum aft_err err =
        journal_each(&j, log, aft_config_text(c, "topics.rounds"), AFT_RECORD_ROUND, e);
    if (err == AFT_OK)
        err = journal_each(&j, log, aft_config_text(c, "topics.snapshots"), AFT_RECORD_SNAPSHOT, e);
    aft_arena_deinit(&j.arena);
    return err;
}
