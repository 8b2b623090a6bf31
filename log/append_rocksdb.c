/* append_rocksdb.c - appending to the embedded log: records wait, encoded, in their handle; a poll, a flush, a read of the same handle
 * or a full handle writes them as one WriteBatch. In: aft_append; out: rows (log_rocksdb.h) and acknowledgements.
 *
 * I1 offsets are given under the broker's mutex, which is held until the batch is written: they are dense, and no reader sees a hole.
 * I2 what is acknowledged is written: it survives the end of the process. It survives the machine's once the write-ahead log is synced:
 *    by every flush, on closing, and by a poll SYNC_EVERY_MS after the last time. (A sync a poll would cost more than all else; when
 *    acknowledgements come does not depend on it, so a run is the same on every disk.)
 * I3 after a failed write the broker is broken: every later append fails, and what the failed batch left is looked at again on reopening.
 * Thread: the handle's.
 */
#include <rocksdb/c.h>
#include <stdlib.h>
#include <time.h>

#include "log/log_rocksdb.h"

enum { PENDING_BYTES_MAX = 4 << 20, PENDING_RECORDS_MAX = 16384, SYNC_EVERY_MS = 100 };

static void
record_encode(struct aft_buffer *b, const struct aft_append *a, int64_t timestamp_ms)
{
    aft_put_le64(b, (uint64_t)timestamp_ms);
    afti_put_nullable(b, a->key);
    afti_put_nullable(b, a->value);
    aft_put_le32(b, a->headers_n);
    for (uint32_t i = 0; i < a->headers_n; i++) {
        afti_put_nullable(b, a->headers[i].name);
        afti_put_nullable(b, a->headers[i].value);
    }
}

enum aft_err
afti_embedded_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct afti_embedded_log *h = afti_embedded_of(l);
    pthread_mutex_lock(&h->broker->mutex);
    struct afti_topic *t = afti_topic_find(h->broker, a->topic);
    pthread_mutex_unlock(&h->broker->mutex);
    if (!t)
        return afti_no_topic(a->topic, e);
    struct afti_pending p = {.topic = t, .start = h->bytes.n, .acked = a->acked, .ctx = a->ctx};
    AFT_TRY(afti_choose_partition(a, t->facts.partitions, &h->turn, &p.partition, e));
    if (t->facts.compact && !a->key.p)
        return AFT_FAIL(e, AFT_E_VALUE, "topic %s is compacted: a record needs a key to be kept by",
                        a->topic);
    struct aft_clock clock = h->broker->clock;
    record_encode(&h->bytes, a, a->timestamp_ms < 0 ? clock.wall_ms(clock.ctx) : a->timestamp_ms);
    p.n = h->bytes.n - p.start;
    if (h->pending_n == h->pending_cap) {
        h->pending_cap = h->pending_cap ? h->pending_cap * 2 : 256;
        h->pending = realloc(h->pending, h->pending_cap * sizeof *h->pending);
        AFT_ASSERT(h->pending != NULL);
    }
    h->pending[h->pending_n++] = p;
    if (h->bytes.n < PENDING_BYTES_MAX && h->pending_n < PENDING_RECORDS_MAX)
        return AFT_OK;
    struct aft_error later; /* a failed write is told by the acknowledgements */
    (void)afti_embedded_write(h, &later);
    return AFT_OK;
}

/* compact: the key's record before the last goes, its entry moves on. The batch so far is written first, so that the look-up sees it. */
static void
compact(struct afti_embedded_log *h, const struct afti_pending *p, int64_t offset, char **words)
{
    struct aft_embedded *b = h->broker;
    struct aft_reader r = {h->bytes.p + p->start + 8, h->bytes.p + p->start + p->n};
    struct aft_bytes key;
    AFT_ASSERT(afti_get_nullable(&r, &key) && key.p);
    rocksdb_write(b->db, b->writes, h->batch, words);
    rocksdb_writebatch_clear(h->batch);
    if (*words)
        return;
    struct aft_buffer name = {0};
    aft_put_u8(&name, 3);
    aft_put_be32(&name, p->topic->id);
    aft_put_be32(&name, (uint32_t)p->partition);
    aft_put_raw(&name, key);
    size_t n = 0;
    uint8_t entry[16], old[AFTI_RECORD_KEY_BYTES];
    char *have = rocksdb_get(b->db, b->reads, (const char *)name.p, name.n, &n, words);
    int64_t last = AFTI_NULL, before = AFTI_NULL;
    if (have && n == sizeof entry) {
        last = (int64_t)aft_load_le64((const uint8_t *)have);
        before = (int64_t)aft_load_le64((const uint8_t *)have + 8);
    }
    rocksdb_free(have);
    if (before != AFTI_NULL) {
        afti_record_key(old, p->topic->id, p->partition, before);
        rocksdb_writebatch_delete(h->batch, (const char *)old, sizeof old);
    }
    aft_store_le64(entry, (uint64_t)offset);
    aft_store_le64(entry + 8, (uint64_t)last);
    rocksdb_writebatch_put(h->batch, (const char *)name.p, name.n, (const char *)entry,
                           sizeof entry);
    aft_buffer_deinit(&name);
}

/* batch_write: under the mutex. Ends move on as offsets are given. */
static void
batch_write(struct afti_embedded_log *h, int64_t *offsets, char **words)
{
    int64_t now_ms = h->broker->clock.wall_ms(h->broker->clock.ctx);
    rocksdb_writebatch_clear(h->batch);
    for (size_t i = 0; i < h->pending_n && !*words; i++) {
        const struct afti_pending *p = &h->pending[i];
        uint8_t key[AFTI_RECORD_KEY_BYTES], *record = h->bytes.p + p->start;
        offsets[i] = p->topic->end[p->partition];
        if (p->topic->facts.log_append_time)
            aft_store_le64(record, (uint64_t)now_ms);
        if (p->topic->facts.compact)
            compact(h, p, offsets[i], words);
        afti_record_key(key, p->topic->id, p->partition, offsets[i]);
        rocksdb_writebatch_put(h->batch, (const char *)key, sizeof key, (const char *)record, p->n);
        p->topic->end[p->partition]++;
    }
    if (!*words)
        rocksdb_write(h->broker->db, h->broker->writes, h->batch, words);
}

/* settle: acknowledgements with offsets, or with the error; ends are taken back to where the batch began. */
static void
settle(struct afti_embedded_log *h, const int64_t *offsets, const struct aft_error *failed)
{
    for (size_t i = h->pending_n; i-- > 0;)
        if (failed && offsets[i] >= 0)
            h->pending[i].topic->end[h->pending[i].partition] = offsets[i];
    for (size_t i = 0; i < h->pending_n; i++)
        afti_acks_push(&h->acks, h->pending[i].acked, h->pending[i].ctx, failed ? -1 : offsets[i],
                       failed);
    h->pending_n = 0;
    aft_buffer_reset(&h->bytes);
}

enum aft_err
afti_embedded_write(struct afti_embedded_log *h, struct aft_error *e)
{
    struct aft_embedded *b = h->broker;
    if (h->pending_n == 0)
        return AFT_OK;
    char *words = NULL;
    enum aft_err err = AFT_OK;
    int64_t *offsets = calloc(h->pending_n, sizeof *offsets);
    AFT_ASSERT(offsets != NULL);
    for (size_t i = 0; i < h->pending_n; i++)
        offsets[i] = -1;
    pthread_mutex_lock(&b->mutex);
    if (b->broken)
        err = AFT_FAIL(e, AFT_E_IO,
                       "embedded log: an earlier write failed: make room on the disk and start "
                       "again"); /* I3 */
    else
        batch_write(h, offsets, &words);
    if (words) {
        b->broken = true;
        err = afti_rocksdb_failed("records cannot be written", words, e);
    }
    settle(h, offsets, err == AFT_OK ? NULL : e);
    b->unsynced = true;
    pthread_cond_broadcast(&b->more);
    pthread_mutex_unlock(&b->mutex);
    free(offsets);
    return err;
}

/* sync_log: I2. At least `after_ms` since the last time. */
static enum aft_err
sync_log(struct aft_embedded *b, int64_t after_ms, struct aft_error *e)
{
    char *words = NULL;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    pthread_mutex_lock(&b->mutex);
    if (b->unsynced && !b->broken && now_ms - b->synced_ms >= after_ms) {
        rocksdb_flush_wal(b->db, 1, &words);
        b->unsynced = false;
        b->synced_ms = now_ms;
        b->broken = words != NULL;
    }
    pthread_mutex_unlock(&b->mutex);
    return words ? afti_rocksdb_failed("its disk cannot be synced", words, e) : AFT_OK;
}

static enum aft_err
write_and_tell(struct afti_embedded_log *h, int64_t sync_after_ms, struct aft_error *e)
{
    struct aft_error unsynced;
    enum aft_err err = afti_embedded_write(h, e);
    if (sync_log(h->broker, sync_after_ms, &unsynced) != AFT_OK) {
        afti_acks_fail(&h->acks, &unsynced);
        if (err == AFT_OK)
            *e = unsynced;
        err = unsynced.code;
    }
    afti_acks_deliver(&h->acks);
    return err;
}

void
afti_embedded_poll(struct aft_log *l, int timeout_ms)
{
    struct aft_error e;
    (void)timeout_ms; /* nothing is waited for but the disk */
    (void)write_and_tell(afti_embedded_of(l), SYNC_EVERY_MS, &e); /* `acked` tells a failure */
}

enum aft_err
afti_embedded_flush(struct aft_log *l, int timeout_ms, struct aft_error *e)
{
    (void)timeout_ms;
    return write_and_tell(afti_embedded_of(l), 0, e);
}
