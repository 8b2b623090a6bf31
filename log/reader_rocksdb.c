/* reader_rocksdb.c - reading the embedded log: an iterator over the rows of one partition, kept while it has rows and made anew
 * when more were written. In: rows (log_rocksdb.h); out: aft_record_in, whose slices borrow from the reader's buffer.
 *
 * I1 `next` never passes the end that was known when the iterator was made, but by records that it itself returned.
 * Compacted topics have holes: at the iterator's end `next` goes to that end.
 * Thread: its handle's. The iterator is used without the broker's mutex.
 */
#include <errno.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <time.h>

#include "log/log_rocksdb.h"

enum { READ_BYTES_MAX = 8 << 20 };

struct aft_log_reader {
    struct afti_embedded_log *handle;
    struct afti_topic *topic;
    int32_t partition;
    int64_t next, end; /* end: of the partition, when the iterator was made */
    rocksdb_iterator_t *it;
    struct aft_buffer bytes; /* records of the last read, back to back */
    struct aft_header *headers;
    size_t headers_cap;
    size_t *starts;
    size_t starts_cap;
};

enum aft_err
afti_embedded_reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
                          struct aft_log_reader **out, struct aft_error *e)
{
    struct afti_embedded_log *h = afti_embedded_of(l);
    struct afti_topic *t;
    pthread_mutex_lock(&h->broker->mutex);
    enum aft_err err = afti_topic_partition(h->broker, topic, partition, &t, e);
    h->broker->users += err == AFT_OK;
    pthread_mutex_unlock(&h->broker->mutex);
    AFT_TRY(err);
    struct aft_log_reader *r = afti_take(sizeof *r);
    r->handle = h;
    r->topic = t;
    r->partition = partition;
    r->next = offset;
    *out = r;
    return AFT_OK;
}

void
afti_embedded_reader_close(struct aft_log_reader *r)
{
    struct aft_embedded *b = r->handle->broker;
    if (r->it)
        rocksdb_iter_destroy(r->it);
    pthread_mutex_lock(&b->mutex);
    b->users--;
    pthread_mutex_unlock(&b->mutex);
    aft_buffer_deinit(&r->bytes);
    free(r->headers);
    free(r->starts);
    free(r);
}

/* end_after: the partition's end; waits up to timeout_ms for one past `next`. */
static int64_t
end_after(struct aft_log_reader *r, int timeout_ms)
{
    struct aft_embedded *b = r->handle->broker;
    const int64_t *end = &r->topic->end[r->partition];
    struct timespec until = {0};
    int waited = timeout_ms > 0 ? 0 : ETIMEDOUT;
    if (timeout_ms > 0)
        until = afti_deadline(timeout_ms);
    pthread_mutex_lock(&b->mutex);
    while (waited != ETIMEDOUT && r->next == *end)
        waited = pthread_cond_timedwait(&b->more, &b->mutex, &until);
    int64_t now = *end;
    pthread_mutex_unlock(&b->mutex);
    return now;
}

/* is_row: the iterator stands on a record of this partition; its offset. */
static bool
is_row(rocksdb_iterator_t *it, const struct afti_topic *t, int32_t partition, int64_t *offset)
{
    uint8_t prefix[AFTI_RECORD_KEY_BYTES];
    size_t n;
    if (!rocksdb_iter_valid(it))
        return false;
    const uint8_t *key = (const uint8_t *)rocksdb_iter_key(it, &n);
    afti_record_key(prefix, t->id, partition, 0);
    if (n != sizeof prefix || memcmp(key, prefix, 9) != 0)
        return false;
    *offset = (int64_t)aft_load_be64(key + 9);
    return true;
}

static rocksdb_iterator_t *
iterate_from(struct aft_embedded *b, const struct afti_topic *t, int32_t partition, int64_t offset)
{
    uint8_t key[AFTI_RECORD_KEY_BYTES];
    rocksdb_iterator_t *it = rocksdb_create_iterator(b->db, b->reads);
    afti_record_key(key, t->id, partition, offset);
    rocksdb_iter_seek(it, (const char *)key, sizeof key);
    return it;
}

/* collect copies up to max rows to r->bytes and their offsets to out. */
static enum aft_err
collect(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, uint32_t *n,
        struct aft_error *e)
{
    int64_t offset;
    aft_buffer_reset(&r->bytes);
    if (max > r->starts_cap) {
        free(r->starts);
        r->starts_cap = max;
        r->starts = afti_take(r->starts_cap * sizeof *r->starts);
    }
    while (*n < max && r->bytes.n < READ_BYTES_MAX &&
           is_row(r->it, r->topic, r->partition, &offset)) {
        struct aft_bytes row;
        row.p = (const uint8_t *)rocksdb_iter_value(r->it, &row.n);
        r->starts[*n] = r->bytes.n;
        out[(*n)++].offset = offset;
        aft_put_raw(&r->bytes, row);
        r->next = offset + 1;
        rocksdb_iter_next(r->it);
    }
    char *words = NULL;
    rocksdb_iter_get_error(r->it, &words); /* an iterator that failed looks like one at its end */
    if (words)
        return afti_rocksdb_failed("records cannot be read", words, e);
    if (*n < max && r->bytes.n < READ_BYTES_MAX) {
        rocksdb_iter_destroy(r->it);
        r->it = NULL;
        r->next = r->next > r->end ? r->next : r->end; /* I1 */
    }
    return AFT_OK;
}

/* decode_one: one record; headers past `room` are counted and not kept. */
static bool
decode_one(struct aft_reader *b, struct aft_record_in *out, struct aft_header *headers, size_t room)
{
    uint64_t timestamp;
    if (!aft_get_le64(b, &timestamp) || !afti_get_nullable(b, &out->key) ||
        !afti_get_nullable(b, &out->value) || !aft_get_le32(b, &out->headers_n))
        return false;
    out->timestamp_ms = (int64_t)timestamp;
    out->headers = out->headers_n ? headers : NULL;
    for (uint32_t i = 0; i < out->headers_n; i++) {
        struct aft_header h;
        if (!afti_get_nullable(b, &h.name) || !afti_get_nullable(b, &h.value))
            return false;
        if (i < room)
            headers[i] = h;
    }
    return true;
}

/* decode_all: two passes when the header array was too small: the first finds how many there are. */
static bool
decode_all(struct aft_log_reader *r, struct aft_record_in *out, uint32_t n)
{
    for (int pass = 0; pass < 2; pass++) {
        size_t used = 0;
        for (uint32_t i = 0; i < n; i++) {
            size_t room = used < r->headers_cap ? r->headers_cap - used : 0;
            size_t stop = i + 1 < n ? r->starts[i + 1] : r->bytes.n;
            struct aft_reader b = {r->bytes.p + r->starts[i], r->bytes.p + stop};
            if (!decode_one(&b, &out[i], room ? r->headers + used : NULL, room))
                return false;
            used += out[i].headers_n;
        }
        if (used <= r->headers_cap)
            return true;
        free(r->headers);
        r->headers_cap = used * 2;
        r->headers = afti_take(r->headers_cap * sizeof *r->headers);
    }
    AFT_NEVER();
}

enum aft_err
afti_embedded_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max,
                   int timeout_ms, uint32_t *n, bool *at_end, struct aft_error *e)
{
    *n = 0;
    *at_end = false;
    AFT_TRY(afti_embedded_write(r->handle, e)); /* who reads what it appended need not poll first */
    if (!r->it) {
        r->end = end_after(r, timeout_ms);
        AFT_TRY(afti_check_offset(r->topic->name, r->partition, r->next, r->end, e));
        if (r->next < r->end)
            r->it = iterate_from(r->handle->broker, r->topic, r->partition, r->next);
    }
    if (r->it)
        AFT_TRY(collect(r, out, max, n, e));
    if (!decode_all(r, out, *n))
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "embedded log: %s/%d, before offset %lld: a record is damaged: restore the "
                        "directory from a copy",
                        r->topic->name, r->partition, (long long)r->next);
    *at_end = r->next >= end_after(r, 0);
    return AFT_OK;
}

enum aft_err
afti_embedded_offset_at(struct aft_log *l, const char *topic, int32_t partition, int64_t time_ms,
                        int64_t *offset, struct aft_error *e)
{
    struct afti_embedded_log *h = afti_embedded_of(l);
    struct afti_topic *t;
    AFT_TRY(afti_embedded_write(h, e));
    pthread_mutex_lock(&h->broker->mutex);
    enum aft_err err = afti_topic_partition(h->broker, topic, partition, &t, e);
    if (err == AFT_OK)
        *offset = t->end[partition];
    pthread_mutex_unlock(&h->broker->mutex);
    AFT_TRY(err);
    rocksdb_iterator_t *it = iterate_from(h->broker, t, partition, 0);
    for (int64_t at; is_row(it, t, partition, &at); rocksdb_iter_next(it)) {
        size_t n;
        const uint8_t *row = (const uint8_t *)rocksdb_iter_value(it, &n);
        if (n >= 8 && (int64_t)aft_load_le64(row) >= time_ms) {
            *offset = at < *offset ? at : *offset;
            break;
        }
    }
    char *words = NULL;
    rocksdb_iter_get_error(it, &words);
    rocksdb_iter_destroy(it);
    return words ? afti_rocksdb_failed("records cannot be read", words, e) : AFT_OK;
}
