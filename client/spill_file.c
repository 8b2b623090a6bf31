/* spill_file.c - records that the queue had no room for, or that no broker was there to take, on disk until one takes them.
 *
 *   0   8   "AFTSPIL" 01
 *   8       each record: length of its body le32, XXH3-64 of the body le64, the body:
 *               topic u8 (0 impressions, 1 outcomes), time ms le64, length of the key le32, key, value (framed as it will be sent)
 *
 * Written at the end, sent again from the front, in order; cut back to its head when all of it is delivered, so a death at any
 * moment loses no record that was taken, and may send some twice (their ids are the same, which changes nothing downstream). What the
 * transport lost without a refusal is nowhere else: once nothing is on its way any more, all of the file is sent from the front again
 * (and what a broker refused before, is refused, and given back, once more).
 *
 * I1 reading stops at the first record that is short or has another hash: a write that was torn; what follows is cut off at open.
 * I2 read_at <= end <= the file's size, and the file's bytes up to end are whole records.
 * Threads: any, one at a time (the lock, which a delivery report inside a send takes again). `left` is read without it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client_inner.h"

enum { MAGIC_BYTES = 8, HEAD_BYTES = 12, BODY_HEAD_BYTES = 13, SYNC_MS = 1000 };
static const uint8_t magic[MAGIC_BYTES] = {'A', 'F', 'T', 'S', 'P', 'I', 'L', 1};

static enum aft_err
write_at(struct afti_spill *s, struct aft_bytes b, uint64_t at, struct aft_error *e)
{
    while (b.n) {
        ssize_t n = pwrite(s->fd, b.p, b.n, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return AFT_FAIL(e, AFT_E_IO, "cannot write spill_file: %s", strerror(errno));
        b.p += n;
        b.n -= (size_t)n;
        at += (uint64_t)n;
    }
    return AFT_OK;
}

static bool
read_at(const struct afti_spill *s, uint8_t *to, size_t n, uint64_t at)
{
    while (n) {
        ssize_t got = pread(s->fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

/* The body of the record at `at` into s->body; false: there is no whole one. */
static bool
body_at(struct afti_spill *s, uint64_t at)
{
    uint8_t head[HEAD_BYTES];
    if (!read_at(s, head, sizeof head, at))
        return false;
    uint32_t n = aft_load_le32(head);
    if (n < BODY_HEAD_BYTES || n > AFT_RECORD_BYTES_MAX + AFT_ID_BYTES_MAX + BODY_HEAD_BYTES)
        return false;
    aft_buffer_reset(&s->body);
    if (!read_at(s, aft_reserve(&s->body, n), n, at + HEAD_BYTES))
        return false;
    s->body.n = n;
    return aft_hash64(aft_buffer_bytes(&s->body), 0) == aft_load_le64(head + 4) &&
           s->body.p[0] <= AFT_CLIENT_OUTCOMES &&
           aft_load_le32(s->body.p + 9) <= n - BODY_HEAD_BYTES;
}

/* Whole records from the front; what is behind them was torn. */
static enum aft_err
scan(struct afti_spill *s, struct aft_error *e)
{
    uint8_t head[MAGIC_BYTES];
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot look at spill_file: %s", strerror(errno));
    if (st.st_size < MAGIC_BYTES)
        AFT_TRY(write_at(s, (struct aft_bytes){magic, sizeof magic}, 0, e));
    else if (!read_at(s, head, sizeof head, 0) || memcmp(head, magic, sizeof magic) != 0)
        return AFT_FAIL(e, AFT_E_CONFIG, "spill_file is another kind of file; point it elsewhere");
    s->read_at = s->end = MAGIC_BYTES;
    while (body_at(s, s->end)) {
        s->end += HEAD_BYTES + s->body.n;
        s->held++;
    }
    s->left = s->held;
    if (ftruncate(s->fd, (off_t)s->end) != 0 || fdatasync(s->fd) != 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot cut spill_file: %s", strerror(errno));
    return AFT_OK;
}

enum aft_err
afti_spill_open(struct afti_spill *s, const char *path, uint64_t bytes_max, struct aft_error *e)
{
    pthread_mutexattr_t again;
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &again);
    pthread_mutexattr_destroy(&again);
    s->max = bytes_max;
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot open spill_file %s: %s", path, strerror(errno));
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "spill_file %s is in use; give each process (and client) its own", path);
    return scan(s, e);
}

void
afti_spill_close(struct afti_spill *s)
{
    if (s->fd >= 0) {
        fdatasync(s->fd);
        close(s->fd);
    }
    s->fd = -1;
    aft_buffer_deinit(&s->body);
    aft_buffer_deinit(&s->record);
    pthread_mutex_destroy(&s->lock);
}

/* ---- putting */
static void
encode(struct aft_buffer *b, const struct afti_spilled *r)
{
    aft_buffer_reset(b);
    aft_put_le32(b, 0);
    aft_put_le64(b, 0);
    aft_put_u8(b, (uint8_t)r->topic);
    aft_put_le64(b, (uint64_t)r->time_ms);
    aft_put_le32(b, (uint32_t)r->key.n);
    aft_put_raw(b, r->key);
    aft_put_raw(b, r->value);
    struct aft_bytes body = {b->p + HEAD_BYTES, b->n - HEAD_BYTES};
    uint64_t hash = aft_hash64(body, 0);
    aft_store_le32(b->p, (uint32_t)body.n);
    for (int i = 0; i < 8; i++)
        b->p[4 + i] = (uint8_t)(hash >> 8 * i);
}

static void
sync_sometimes(struct afti_spill *s)
{
    int64_t now = afti_monotonic_ms();
    if (s->unsynced && now - s->synced_ms >= SYNC_MS) {
        fdatasync(s->fd);
        s->synced_ms = now;
        s->unsynced = false;
    }
}

static enum aft_err
put(struct afti_spill *s, const struct afti_spilled *r, struct aft_error *e)
{
    encode(&s->record, r);
    if (s->end + s->record.n > s->max)
        return AFT_FAIL(e, AFT_E_AGAIN,
                        "the queue is full and spill_file has reached options.spill_bytes (%llu); "
                        "the record was not taken: try again",
                        (unsigned long long)s->max);
    AFT_TRY(write_at(s, aft_buffer_bytes(&s->record), s->end, e));
    s->end += s->record.n;
    s->unsynced = true;
    s->held++;
    AFT_INVARIANT(I2, s->read_at <= s->end);
    atomic_fetch_add(&s->left, 1);
    atomic_fetch_add(&s->taken, 1);
    sync_sometimes(s);
    return AFT_OK;
}

enum aft_err
afti_spill_put(struct afti_spill *s, const struct afti_spilled *r, struct aft_error *e)
{
    pthread_mutex_lock(&s->lock);
    enum aft_err err = put(s, r, e);
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* ---- sending again */
static struct afti_spilled
record_of(const struct afti_spill *s)
{
    const uint8_t *p = s->body.p;
    uint32_t key = aft_load_le32(p + 9);
    return (struct afti_spilled){
        .topic = (enum aft_client_topic)p[0],
        .time_ms = (int64_t)aft_load_le64(p + 1),
        .key = {p + BODY_HEAD_BYTES, key},
        .value = {p + BODY_HEAD_BYTES + key, s->body.n - BODY_HEAD_BYTES - key}};
}

/* What is left cannot be read any more: the file was cut or written over by somebody else, or the disk fails. It is counted, and said once. */
static void
lose_rest(struct aft_client *c, struct afti_spill *s)
{
    struct aft_error e;
    uint64_t n = atomic_exchange(&s->left, 0);
    s->read_at = s->end;
    (void)write_at(s, (struct aft_bytes){magic, sizeof magic}, 0,
                   &e); /* why not: the next put says it */
    atomic_fetch_add(&c->undelivered, n - 1);
    afti_refused(c, &(struct aft_client_failure){.topic = "",
                                                 .key = "",
                                                 .value = "",
                                                 .reason = "spill_file cannot be read any more; "
                                                           "what it held is lost",
                                                 .refused = true});
}

/* One more; false: not now. What is refused for good goes to on_failure, and the next one has its turn. */
static bool
send_next(struct aft_client *c, struct afti_spill *s)
{
    struct aft_client_transport *t = &c->transport;
    struct aft_error e;
    uint64_t at = s->read_at;
    if (!body_at(s, at)) { /* it was whole when it was put or scanned */
        lose_rest(c, s);
        return false;
    }
    struct afti_spilled r = record_of(s);
    enum aft_err err =
        (t->resend ? t->resend : t->append)(t->ctx, r.topic, r.time_ms, r.key, r.value, &e);
    if (err == AFT_E_AGAIN)
        return false;
    s->read_at = at + HEAD_BYTES + s->body.n;
    atomic_fetch_sub(&s->left, 1);
    if (err != AFT_OK)
        afti_refused(c, &(struct aft_client_failure){.topic = afti_client_topic_name(c, r.topic),
                                                     .key = r.key.p,
                                                     .value = r.value.p,
                                                     .key_bytes = r.key.n,
                                                     .value_bytes = r.value.n,
                                                     .reason = e.message,
                                                     .refused = true,
                                                     .time_ms = r.time_ms});
    return true;
}

/* Everything was sent: what is not on its way any more is delivered, and nothing of it is needed; or some was lost, and all goes again. */
static void
settle(struct aft_client *c, struct afti_spill *s)
{
    struct aft_client_transport *t = &c->transport;
    uint64_t waiting = t->resending ? t->resending(t->ctx) : t->waiting ? t->waiting(t->ctx) : 0;
    uint64_t lost = t->lost ? t->lost(t->ctx, false) : 0;
    if (s->end == MAGIC_BYTES || waiting > lost)
        return;
    if (lost > 0) {
        s->read_at = MAGIC_BYTES;
        atomic_store(&s->left,
                     s->held); /* before: whoever asks meanwhile sees too many, not none */
        t->lost(t->ctx, true);
    } else if (ftruncate(s->fd, MAGIC_BYTES) == 0) {
        s->read_at = s->end = MAGIC_BYTES;
        s->held = 0;
    }
}

uint64_t
afti_spill_waiting(struct aft_client *c)
{
    struct aft_client_transport *t = &c->transport;
    return atomic_load(&c->spill.left) + (t->lost ? t->lost(t->ctx, false) : 0);
}

void
afti_spill_drain(struct aft_client *c)
{
    struct afti_spill *s = &c->spill;
    struct aft_client_transport *t = &c->transport;
    if (s->fd < 0 || !t->append || pthread_mutex_trylock(&s->lock) != 0)
        return;
    bool away = t->away && t->away(t->ctx, c->options.queue_ms);
    for (int turn = 0; turn < 2; turn++) { /* what was lost may go at once */
        while (!away && s->read_at < s->end && send_next(c, s))
            continue;
        if (s->read_at == s->end)
            settle(c, s);
    }
    sync_sometimes(s);
    pthread_mutex_unlock(&s->lock);
}
