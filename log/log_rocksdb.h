/* log_rocksdb.h - inner header of the embedded log: the broker, its topics, a handle; byte formats. See log_rocksdb.c.
 *
 * Keys of the one column family (integers big-endian, so that byte order is number order):
 *   00                                      format        8 bytes "aftlog01"
 *   01 name                                 topic         0 le32 id | 4 le32 partitions | 8 le64 retention_ms | 16 u8 flags
 *                                                         (1 compact, 2 log_append_time)                       = 17 bytes
 *   02 be32 id, be32 partition, be64 offset record        see below                                            (17-byte keys)
 *   03 be32 id, be32 partition, key         last two      0 le64 offset of the key's last record | 8 le64 of the one before, or -1
 *                                                         (compacted topics alone)                             = 16 bytes
 * A record:
 *   0 le64 timestamp_ms | 8 nullable key | nullable value | le32 headers | each: nullable name, nullable value
 *   nullable = le32 n, then n bytes; n = ffffffff is null and has no bytes.
 */
#ifndef AFT_LOG_ROCKSDB_H
#define AFT_LOG_ROCKSDB_H

#include <pthread.h>

#include "log/local.h"

enum { AFTI_RECORD_KEY_BYTES = 17, AFTI_NULL = -1 };

struct afti_topic {
    struct afti_topic *next;
    uint32_t id;
    struct aft_topic_facts facts;
    int64_t *end; /* of each partition: the next offset; written records alone */
    char name[];
};

struct aft_embedded {
    pthread_mutex_t
        mutex; /* topics, ends, flags; held over writes, so that offsets and the batch agree */
    pthread_cond_t more; /* an end moved */
    struct aft_clock clock;
    struct rocksdb_t *db;
    struct rocksdb_options_t *options;
    struct rocksdb_readoptions_t *reads;
    struct rocksdb_writeoptions_t *writes; /* without sync */
    struct afti_topic *topics;
    uint32_t next_id, users; /* users: handles and readers that are open */
    int64_t synced_ms;       /* monotonic: when the write-ahead log was last synced */
    bool unsynced;           /* written since the last sync of the write-ahead log */
    bool broken;             /* a write failed: nothing more is written until it is opened again */
};

/* What was appended to a handle and not yet written. */
struct afti_pending {
    struct afti_topic *topic;
    int32_t partition;
    size_t start, n; /* the record in handle.bytes */
    afti_acked_fn *acked;
    void *ctx;
};

struct afti_embedded_log {
    struct aft_log log;
    struct aft_embedded *broker;
    struct afti_acks acks;
    struct aft_buffer bytes;
    struct afti_pending *pending;
    size_t pending_n, pending_cap;
    uint32_t turn;
    struct rocksdb_writebatch_t *batch;
};

static inline struct afti_embedded_log *
afti_embedded_of(struct aft_log *l)
{
    return (struct afti_embedded_log *)l; /* log is the first member */
}

/* afti_rocksdb_failed: AFT_E_IO (AFT_E_CORRUPT when RocksDB says so) with its words; frees them. */
enum aft_err afti_rocksdb_failed(const char *what, char *words, struct aft_error *e);
/* afti_topic_find: under the mutex; a topic never moves or goes. */
struct afti_topic *afti_topic_find(struct aft_embedded *b, const char *name);
enum aft_err afti_topic_partition(struct aft_embedded *b, const char *topic, int32_t partition,
                                  struct afti_topic **t, struct aft_error *e) AFT_MUST_CHECK;
void afti_record_key(uint8_t key[AFTI_RECORD_KEY_BYTES], uint32_t id, int32_t partition,
                     int64_t offset);
void afti_put_nullable(struct aft_buffer *b, struct aft_bytes v);
bool afti_get_nullable(struct aft_reader *r, struct aft_bytes *out);

/* ---- append_rocksdb.c */
enum aft_err afti_embedded_append(struct aft_log *l, const struct aft_append *a,
                                  struct aft_error *e);
/* afti_embedded_write: what is pending gets offsets, is written and visible; its acknowledgements wait for poll. */
enum aft_err afti_embedded_write(struct afti_embedded_log *h, struct aft_error *e);
void afti_embedded_poll(struct aft_log *l, int timeout_ms);
enum aft_err afti_embedded_flush(struct aft_log *l, int timeout_ms, struct aft_error *e);

/* ---- reader_rocksdb.c */
enum aft_err afti_embedded_reader_open(struct aft_log *l, const char *topic, int32_t partition,
                                       int64_t offset, struct aft_log_reader **out,
                                       struct aft_error *e);
enum aft_err afti_embedded_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max,
                                int timeout_ms, uint32_t *n, bool *at_end, struct aft_error *e);
void afti_embedded_reader_close(struct aft_log_reader *r);
enum aft_err afti_embedded_offset_at(struct aft_log *l, const char *topic, int32_t partition,
                                     int64_t time_ms, int64_t *offset, struct aft_error *e);

#endif
