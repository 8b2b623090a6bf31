/* log_rocksdb.c - the embedded log: topics in one RocksDB directory, in one process; durable, read back, known again after reopening.
 *
 * This file: the broker (open, close), topics, handles. Appending is append_rocksdb.c, reading reader_rocksdb.c; the byte formats
 * stand in log_rocksdb.h. What flows in: records and topics' specs; out: records with dense offsets and timestamps, acknowledgements.
 *
 * Durability: a poll writes what was appended as one WriteBatch and acknowledges it: it survives the end of the process. A flush syncs
 * the write-ahead log, so that it survives the machine's too; polls do so ten times a second (append_rocksdb.c, I2).
 * Retention is kept as a fact and not enforced: nothing is deleted. A compacted topic keeps the last two records of each key; an older
 * one goes in the batch that writes a newer (so offsets there have holes, as in Kafka). A null value is kept as any other.
 *
 * I1 a partition's end = the offset of its last record + 1 (the last record of a partition is the last of its key: never removed).
 * I2 a topic, once created, neither moves nor goes; ids grow and are not reused.
 * I3 no handle and no reader outlives its broker.
 * Threads: the broker's mutex guards topics and ends and is held over writes; a handle belongs to one thread.
 */
#include "log/log_rocksdb.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    TOPIC_BYTES = 17,
    FLAG_COMPACT = 1,
    FLAG_LOG_APPEND_TIME = 2,
    WRITE_BUFFER_BYTES = 32 << 20
};
static const char format_name[] = "aftlog01";

enum aft_err
afti_rocksdb_failed(const char *what, char *words, struct aft_error *e)
{
    enum aft_err code = strstr(words, "Corruption") ? AFT_E_CORRUPT : AFT_E_IO;
    AFT_FAIL(e, code, "embedded log: %s: %s", what, words);
    rocksdb_free(words);
    return code;
}

struct afti_topic *
afti_topic_find(struct aft_embedded *b, const char *name)
{
    struct afti_topic *t = b->topics;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    return t;
}

enum aft_err
afti_topic_partition(struct aft_embedded *b, const char *topic, int32_t partition,
                     struct afti_topic **t, struct aft_error *e)
{
    *t = afti_topic_find(b, topic);
    if (!*t)
        return afti_no_topic(topic, e);
    return afti_check_partition(topic, partition, (*t)->facts.partitions, e);
}

void
afti_record_key(uint8_t key[AFTI_RECORD_KEY_BYTES], uint32_t id, int32_t partition, int64_t offset)
{
    key[0] = 2;
    aft_store_be32(key + 1, id);
    aft_store_be32(key + 5, (uint32_t)partition);
    aft_store_be64(key + 9, (uint64_t)offset);
}

void
afti_put_nullable(struct aft_buffer *b, struct aft_bytes v)
{
    AFT_ASSERT(v.n < UINT32_MAX);
    aft_put_le32(b, v.p ? (uint32_t)v.n : UINT32_MAX);
    if (v.p)
        aft_put_raw(b, v);
}

bool
afti_get_nullable(struct aft_reader *r, struct aft_bytes *out)
{
    uint32_t n;
    *out = AFT_ABSENT;
    if (!aft_get_le32(r, &n))
        return false;
    return n == UINT32_MAX || aft_get_raw(r, n, out);
}

/* ---- topics */
static struct afti_topic *
topic_new(struct aft_embedded *b, struct aft_bytes name, uint32_t id,
          const struct aft_topic_facts *facts)
{
    struct afti_topic *t = afti_take(sizeof *t + name.n + 1);
    memcpy(t->name, name.p, name.n);
    t->id = id;
    t->facts = *facts;
    t->end = afti_take((size_t)facts->partitions * sizeof *t->end);
    t->next = b->topics;
    b->topics = t;
    if (id >= b->next_id)
        b->next_id = id + 1; /* I2 */
    return t;
}

static enum aft_err
topic_store(struct aft_embedded *b, const struct afti_topic *t, struct aft_error *e)
{
    uint8_t value[TOPIC_BYTES];
    struct aft_buffer key = {0};
    char *words = NULL;
    aft_put_u8(&key, 1);
    aft_put_raw(&key, aft_text(t->name));
    aft_store_le32(value, t->id);
    aft_store_le32(value + 4, (uint32_t)t->facts.partitions);
    aft_store_le64(value + 8, (uint64_t)t->facts.retention_ms);
    value[16] = (uint8_t)((t->facts.compact ? FLAG_COMPACT : 0) |
                          (t->facts.log_append_time ? FLAG_LOG_APPEND_TIME : 0));
    rocksdb_put(b->db, b->writes, (const char *)key.p, key.n, (const char *)value, sizeof value,
                &words);
    if (!words)
        rocksdb_flush_wal(b->db, 1, &words);
    aft_buffer_deinit(&key);
    return words ? afti_rocksdb_failed("a topic cannot be written", words, e) : AFT_OK;
}

static enum aft_err
topic_create(struct aft_log *l, const struct aft_topic_spec *s, struct aft_error *e)
{
    struct aft_embedded *b = afti_embedded_of(l)->broker;
    AFT_TRY(afti_check_spec(s, e));
    enum aft_err err = AFT_OK;
    pthread_mutex_lock(&b->mutex);
    if (!afti_topic_find(b, s->name)) {
        struct aft_topic_facts facts = {s->partitions, s->compact, s->log_append_time,
                                        s->retention_ms};
        err = topic_store(b, topic_new(b, aft_text(s->name), b->next_id, &facts), e);
    }
    pthread_mutex_unlock(&b->mutex);
    return err;
}

static enum aft_err
topic_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    struct aft_embedded *b = afti_embedded_of(l)->broker;
    (void)e;
    pthread_mutex_lock(&b->mutex);
    struct afti_topic *t = afti_topic_find(b, topic);
    *out = t ? t->facts : (struct aft_topic_facts){.retention_ms = INT64_MIN};
    pthread_mutex_unlock(&b->mutex);
    return AFT_OK;
}

static enum aft_err
range(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin, int64_t *end,
      struct aft_error *e)
{
    struct afti_embedded_log *h = afti_embedded_of(l);
    struct afti_topic *t;
    AFT_TRY(afti_embedded_write(h, e)); /* what this handle appended counts */
    pthread_mutex_lock(&h->broker->mutex);
    enum aft_err err = afti_topic_partition(h->broker, topic, partition, &t, e);
    if (err == AFT_OK) {
        *begin = 0;
        *end = t->end[partition];
    }
    pthread_mutex_unlock(&h->broker->mutex);
    return err;
}

/* ---- opening: topics from their keys, ends from the last record of each partition */
static enum aft_err
topic_read(struct aft_embedded *b, struct aft_bytes key, struct aft_bytes value,
           struct aft_error *e)
{
    if (key.n < 2 || value.n != TOPIC_BYTES || aft_load_le32(value.p + 4) - 1 >= AFT_PARTITIONS_MAX)
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "embedded log: a topic's entry is damaged: restore the directory from a "
                        "copy, or remove it to begin anew");
    struct aft_topic_facts facts = {.partitions = (int32_t)aft_load_le32(value.p + 4),
                                    .compact = value.p[16] & FLAG_COMPACT,
                                    .log_append_time = value.p[16] & FLAG_LOG_APPEND_TIME,
                                    .retention_ms = (int64_t)aft_load_le64(value.p + 8)};
    topic_new(b, (struct aft_bytes){key.p + 1, key.n - 1}, aft_load_le32(value.p), &facts);
    return AFT_OK;
}

static enum aft_err
topics_load(struct aft_embedded *b, rocksdb_iterator_t *it, struct aft_error *e)
{
    for (rocksdb_iter_seek(it, "\1", 1); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        struct aft_bytes key, value;
        key.p = (const uint8_t *)rocksdb_iter_key(it, &key.n);
        if (key.n == 0 || key.p[0] != 1)
            break;
        value.p = (const uint8_t *)rocksdb_iter_value(it, &value.n);
        AFT_TRY(topic_read(b, key, value, e));
    }
    for (struct afti_topic *t = b->topics; t; t = t->next)
        for (int32_t p = 0; p < t->facts.partitions; p++) {
            uint8_t last[AFTI_RECORD_KEY_BYTES];
            size_t n = 0;
            afti_record_key(last, t->id, p, INT64_MAX);
            rocksdb_iter_seek_for_prev(it, (const char *)last, sizeof last);
            const char *k = rocksdb_iter_valid(it) ? rocksdb_iter_key(it, &n) : NULL;
            if (k && n == sizeof last && memcmp(k, last, 9) == 0)
                t->end[p] = (int64_t)aft_load_be64((const uint8_t *)k + 9) + 1; /* I1 */
        }
    char *words = NULL;
    rocksdb_iter_get_error(it, &words);
    return words ? afti_rocksdb_failed("its topics cannot be read", words, e) : AFT_OK;
}

static enum aft_err
format_check(struct aft_embedded *b, struct aft_error *e)
{
    size_t n = 0;
    char *words = NULL, *have = rocksdb_get(b->db, b->reads, "\0", 1, &n, &words);
    if (!words && !have) {
        rocksdb_put(b->db, b->writes, "\0", 1, format_name, sizeof format_name - 1, &words);
        return words ? afti_rocksdb_failed("it cannot be written", words, e) : AFT_OK;
    }
    if (words)
        return afti_rocksdb_failed("it cannot be read", words, e);
    bool same = n == sizeof format_name - 1 && memcmp(have, format_name, n) == 0;
    rocksdb_free(have);
    return same ? AFT_OK
                : AFT_FAIL(e, AFT_E_CORRUPT,
                           "embedded log: the directory is not of format %s: name another one",
                           format_name);
}

static enum aft_err
broker_start(struct aft_embedded *b, const char *directory, struct aft_error *e)
{
    char *words = NULL;
    b->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(b->options, 1);
    rocksdb_options_set_compression(b->options, rocksdb_lz4_compression);
    rocksdb_options_set_write_buffer_size(b->options, WRITE_BUFFER_BYTES);
    rocksdb_options_set_keep_log_file_num(b->options, 2);
    rocksdb_options_set_info_log_level(b->options, 5); /* as store_rocksdb.c's */
    b->reads = rocksdb_readoptions_create();
    b->writes = rocksdb_writeoptions_create();
    b->db = rocksdb_open(b->options, directory, &words);
    if (!b->db) {
        char what[300];
        snprintf(what, sizeof what, "%s cannot be opened (one process at a time may hold it)",
                 directory);
        return afti_rocksdb_failed(what, words, e);
    }
    AFT_TRY(format_check(b, e));
    rocksdb_iterator_t *it = rocksdb_create_iterator(b->db, b->reads);
    enum aft_err err = topics_load(b, it, e);
    rocksdb_iter_destroy(it);
    return err;
}

enum aft_err
aft_embedded_open(const char *directory, struct aft_clock clock, struct aft_embedded **out,
                  struct aft_error *e)
{
    struct aft_embedded *b = afti_take(sizeof *b);
    pthread_condattr_t monotonic;
    AFT_ASSERT(pthread_mutex_init(&b->mutex, NULL) == 0);
    AFT_ASSERT(pthread_condattr_init(&monotonic) == 0);
    AFT_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    AFT_ASSERT(pthread_cond_init(&b->more, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    b->clock = clock;
    enum aft_err err = broker_start(b, directory, e);
    if (err == AFT_OK)
        *out = b;
    else
        aft_embedded_close(b);
    return err;
}

void
aft_embedded_close(struct aft_embedded *b)
{
    if (!b)
        return;
    AFT_INVARIANT(I3, b->users == 0);
    if (b->db) {
        char *words = NULL;
        rocksdb_flush_wal(b->db, 1, &words);
        if (words)
            aft_say("error", "log", "the embedded log's last records may not be on the disk: %s",
                    words);
        rocksdb_free(words);
        rocksdb_close(b->db);
    }
    rocksdb_writeoptions_destroy(b->writes);
    rocksdb_readoptions_destroy(b->reads);
    rocksdb_options_destroy(b->options);
    for (struct afti_topic *t = b->topics, *next; t; t = next) {
        next = t->next;
        free(t->end);
        free(t);
    }
    pthread_cond_destroy(&b->more);
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

/* ---- handles */
static void
handle_close(struct aft_log *l)
{
    struct afti_embedded_log *h = afti_embedded_of(l);
    pthread_mutex_lock(&h->broker->mutex);
    h->broker->users--;
    pthread_mutex_unlock(&h->broker->mutex);
    afti_acks_deinit(&h->acks);
    aft_buffer_deinit(&h->bytes);
    rocksdb_writebatch_destroy(h->batch);
    free(h->pending);
    free(h);
}

static const struct aft_log_ops embedded_ops = {
    .topic_create = topic_create,
    .topic_facts = topic_facts,
    .range = range,
    .offset_at = afti_embedded_offset_at,
    .reader_open = afti_embedded_reader_open,
    .read = afti_embedded_read,
    .reader_close = afti_embedded_reader_close,
    .append = afti_embedded_append,
    .poll = afti_embedded_poll,
    .flush = afti_embedded_flush,
    .group_open = afti_local_group_open,
    .group_poll = afti_local_group_poll,
    .group_commit = afti_local_group_commit,
    .mark_put = afti_local_mark_put,
    .mark_look = afti_local_mark_look,
    .group_close = afti_local_group_close,
    .close = handle_close,
};

struct aft_log *
aft_log_embedded(struct aft_embedded *b)
{
    struct afti_embedded_log *h = afti_take(sizeof *h);
    h->log.ops = &embedded_ops;
    h->broker = b;
    h->batch = rocksdb_writebatch_create();
    pthread_mutex_lock(&b->mutex);
    b->users++;
    pthread_mutex_unlock(&b->mutex);
    return &h->log;
}
