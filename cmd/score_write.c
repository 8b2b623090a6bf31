/* score_write.c - what `score` made: a container file, JSON lines, or values of the prescored topic, keyed by user. One thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/score.h"

enum { TRIES = 600, TRY_MS = 100, FLUSH_MS = 60000 };

struct score_writer {
    const char *path, *topic;
    struct aft_file_writer *file;
    FILE *lines;
    struct aft_schema *schema;
    struct aft_log *log;
    struct aft_buffer body, text;
    int64_t failed; /* records that the topic did not take */
    struct aft_error why;
};

static void
acked(void *ctx, int64_t offset, const struct aft_error *err)
{
    struct score_writer *w = ctx;
    (void)offset;
    if (err && w->failed++ == 0)
        w->why = *err;
}

static bool
ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

static enum aft_err
begin(struct score_writer *w, const struct aft_config *config, struct aft_error *e)
{
    struct aft_topic_facts facts;
    if (w->path && (strcmp(w->path, "-") == 0 || ends_with(w->path, ".jsonl"))) {
        w->lines = w->path[0] == '-' ? stdout : fopen(w->path, "wb");
        if (!w->lines)
            return AFT_FAIL(e, AFT_E_IO, "%s: %s", w->path, strerror(errno));
        return aft_schema_parse(aft_record_schema(AFT_RECORD_PRESCORED), &w->schema, e);
    }
    if (w->path)
        return aft_file_create(w->path, AFT_RECORD_PRESCORED, false, &w->file, e);
    w->topic = aft_config_text(config, "topics.prescored");
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(config), &w->log, e));
    AFT_TRY(w->log->ops->topic_facts(w->log, w->topic, &facts, e));
    if (facts.partitions == 0)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "there is no topic %s (topics.prescored); aftertouch topics create makes it", w->topic);
    return AFT_OK;
}

enum aft_err
score_create(const char *path, const struct aft_config *config, struct score_writer **out,
             struct aft_error *e)
{
    struct aft_error second;
    struct score_writer *w = calloc(1, sizeof *w);
    AFT_ASSERT(w != NULL);
    w->path = path;
    enum aft_err err = begin(w, config, e);
    if (err == AFT_OK)
        *out = w;
    else
        (void)!score_finish(w, true, &second);
    return err;
}

static enum aft_err
send(struct score_writer *w, struct aft_bytes key, struct aft_error *e)
{
    struct aft_append a = {.topic = w->topic,
                           .partition = -1,
                           .timestamp_ms = -1,
                           .key = key,
                           .value = aft_buffer_bytes(&w->body),
                           .acked = acked,
                           .ctx = w};
    enum aft_err err = AFT_E_AGAIN;
    for (int i = 0; i < TRIES && err == AFT_E_AGAIN; i++) {
        err = w->log->ops->append(w->log, &a, e);
        if (err == AFT_E_AGAIN)
            w->log->ops->poll(w->log, TRY_MS);
    }
    if (w->failed) {
        *e = w->why;
        return w->why.code;
    }
    return err;
}

enum aft_err
score_put(struct score_writer *w, const struct aft_prescored *p, struct aft_error *e)
{
    aft_buffer_reset(&w->body);
    if (w->log)
        aft_frame_put_single(&w->body, AFT_RECORD_PRESCORED);
    aft_encode_prescored(&w->body, p);
    if (w->body.n > AFT_RECORD_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "the weights of user %.*s have %zu bytes; at most %u",
                        (int)p->user_id.n, (const char *)p->user_id.p, w->body.n,
                        AFT_RECORD_BYTES_MAX);
    if (w->log)
        return send(w, p->user_id, e);
    if (w->file) {
        struct aft_file_record r = {.body = aft_buffer_bytes(&w->body)};
        return aft_file_append(w->file, &r, e);
    }
    aft_buffer_reset(&w->text);
    AFT_TRY(aft_json_of(w->schema, aft_buffer_bytes(&w->body), &w->text, e));
    aft_put_u8(&w->text, '\n');
    if (fwrite(w->text.p, 1, w->text.n, w->lines) != w->text.n)
        return AFT_FAIL(e, AFT_E_IO, "%s: %s", w->path, strerror(errno));
    return AFT_OK;
}

static enum aft_err
end_topic(struct score_writer *w, struct aft_error *e)
{
    enum aft_err err = w->log->ops->flush(w->log, FLUSH_MS, e);
    if (w->failed)
        *e = w->why;
    err = w->failed ? w->why.code : err;
    w->log->ops->close(w->log);
    return err;
}

static enum aft_err
end_lines(struct score_writer *w, struct aft_error *e)
{
    bool good = fflush(w->lines) == 0;
    if (w->lines != stdout && fclose(w->lines) != 0)
        good = false;
    return good ? AFT_OK : AFT_FAIL(e, AFT_E_IO, "%s: %s", w->path, strerror(errno));
}

enum aft_err
score_finish(struct score_writer *w, bool keep, struct aft_error *e)
{
    enum aft_err err = AFT_OK;
    if (w->log)
        err = end_topic(w, e);
    if (w->file)
        err = aft_file_finish(w->file, e);
    if (w->lines)
        err = end_lines(w, e);
    if ((!keep || err != AFT_OK) && (w->file || (w->lines && w->lines != stdout)))
        cmd_discard(w->path);
    if (w->schema)
        aft_schema_free(w->schema);
    aft_buffer_deinit(&w->body);
    aft_buffer_deinit(&w->text);
    free(w);
    return err;
}
