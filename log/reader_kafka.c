/* reader_kafka.c - reading a partition: a queue of its own, filled by librdkafka in the background, emptied by the batch. In: the
 * offset to begin at; out: records, whose slices borrow from librdkafka's messages until the next read, and the end when it is reached.
 *
 * I1 the offsets that a reader hands out rise.
 * I2 an error behind records is told by the next read, after them.
 * A broker that is gone: reads bring nothing; when every broker is (error_cb), AFT_E_TIMEOUT until one answers. Nothing is skipped.
 * Thread: the handle's.
 */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "log/log_kafka.h"

/* WAKE_AFTER_MS: a little longer than a fetch waits at the broker; WAKE_MS: for its answer. */
enum { WAKE_AFTER_MS = 15, WAKE_MS = 100, QUIET_NOT = -1, QUIET_WOKEN = -2 };

struct aft_log_reader {
    struct aft_log_reader *next_reader;
    struct afti_kafka *kafka;
    struct afti_kafka_topic *topic;
    int32_t partition;
    int64_t next; /* lowest offset that may come */
    bool at_end;
    int64_t end;         /* where at_end was seen */
    uint32_t outages;    /* of the handle's, those that are known to be over */
    enum aft_err failed; /* I2; it stays: the partition does not go on */
    struct aft_error why;
    rd_kafka_queue_t *queue;
    rd_kafka_message_t **messages;
    size_t messages_n, messages_cap;
    /* since when nothing came although more is there; or QUIET_WOKEN (that was seen to), QUIET_NOT */
    int64_t quiet_ms;
    /* librdkafka allocates to find out that a message has none: 8 % of the joiner's time while it was always asked. */
    bool with_headers;
    struct aft_header *headers;
    size_t headers_cap;
};

enum aft_err
afti_kafka_reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
                       struct aft_log_reader **out, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    struct afti_kafka_topic *t;
    if (partition < 0)
        return AFT_FAIL(e, AFT_E_CONFIG, "topic %s has no partition %d", topic, partition);
    AFT_TRY(afti_kafka_topic(k, topic, partition, &t, e));
    for (const struct aft_log_reader *r = k->readers; r; r = r->next_reader)
        if (r->topic == t && r->partition == partition)
            return AFT_FAIL(e, AFT_E_FAILED,
                            "%s/%d is being read by this handle already: open another handle for a "
                            "second reader",
                            topic, partition);
    if (offset < 0)
        return AFT_FAIL(e, AFT_E_GAP, "%s/%d has no offset %lld: ask for its range first", topic,
                        partition, (long long)offset);
    if (!t->reading)
        t->reading = rd_kafka_topic_new(k->consumer, topic, NULL);
    if (!t->reading)
        return afti_kafka_failed(k, topic, rd_kafka_last_error(), NULL, e);
    struct aft_log_reader *r = afti_take(sizeof *r);
    r->kafka = k;
    r->topic = t;
    r->partition = partition;
    r->next = offset;
    r->outages = k->outages;
    r->quiet_ms = QUIET_NOT;
    r->queue = rd_kafka_queue_new(k->consumer);
    if (rd_kafka_consume_start_queue(t->reading, partition, offset, r->queue) != 0) {
        rd_kafka_queue_destroy(r->queue);
        free(r);
        return afti_kafka_failed(k, topic, rd_kafka_last_error(), NULL, e);
    }
    r->next_reader = k->readers;
    k->readers = r;
    *out = r;
    return AFT_OK;
}

static void
messages_release(struct aft_log_reader *r)
{
    for (size_t i = 0; i < r->messages_n; i++)
        rd_kafka_message_destroy(r->messages[i]);
    r->messages_n = 0;
}

void
afti_kafka_reader_close(struct aft_log_reader *r)
{
    struct aft_log_reader **at = &r->kafka->readers;
    while (*at != r)
        at = &(*at)->next_reader;
    *at = r->next_reader;
    messages_release(r);
    rd_kafka_consume_stop(r->topic->reading, r->partition);
    rd_kafka_queue_destroy(r->queue);
    free(r->messages);
    free(r->headers);
    free(r);
}

void
afti_kafka_with_headers(struct aft_log_reader *r)
{
    r->with_headers = true;
}

/* heard_end: every fetch response tells the end; librdkafka keeps it. */
int64_t
afti_kafka_heard_end(const struct aft_log_reader *r)
{
    int64_t begin, end = -1;
    if (rd_kafka_get_watermark_offsets(r->kafka->consumer, r->topic->name, r->partition, &begin,
                                       &end) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return end < r->next ? r->at_end ? r->next : -1 : end;
}

/* more_there: a full queue stops librdkafka's fetching, and 2.0.2 looks again only when its thread has something else to do, or after a
 * second. So when nothing comes, and more is known to be there, it is given something to do: once a silence. */
static bool
more_there(const struct aft_log_reader *r)
{
    return r->quiet_ms != QUIET_WOKEN && !r->at_end && afti_kafka_heard_end(r) > r->next;
}

/* wake: a question to the partition's broker, when it has been quiet for long enough, the last waited_ms of it here. */
static void
wake(struct aft_log_reader *r, int waited_ms)
{
    int64_t begin, end, now;
    struct aft_clock clock = aft_clock_real();
    now = clock.monotonic_ms(clock.ctx);
    if (r->quiet_ms == QUIET_NOT)
        r->quiet_ms = now - waited_ms;
    if (now - r->quiet_ms < WAKE_AFTER_MS)
        return;
    r->quiet_ms = QUIET_WOKEN;
    (void)rd_kafka_query_watermark_offsets(r->kafka->consumer, r->topic->name, r->partition, &begin,
                                           &end, WAKE_MS);
}

/* batch: what is queued, or the first that comes in timeout_ms and what is queued behind it (librdkafka's own wait is for a full batch). */
static size_t
batch(struct aft_log_reader *r, uint32_t max, int timeout_ms)
{
    ssize_t more = 0, n = rd_kafka_consume_batch_queue(r->queue, timeout_ms, r->messages,
                                                       timeout_ms > 0 ? 1 : max);
    if (timeout_ms > 0 && n == 1 && max > 1)
        more = rd_kafka_consume_batch_queue(r->queue, 0, r->messages + 1, max - 1);
    return (n > 0 ? (size_t)n : 0) + (more > 0 ? (size_t)more : 0);
}

/* fetch: a batch, waited for at most timeout_ms. */
static void
fetch(struct aft_log_reader *r, uint32_t max, int timeout_ms)
{
    if (max > r->messages_cap) {
        free(r->messages);
        r->messages_cap = max;
        r->messages = afti_take(max * sizeof *r->messages);
    }
    r->messages_n = batch(r, max, 0);
    if (r->messages_n == 0 && more_there(r)) {
        int wait = timeout_ms < WAKE_AFTER_MS ? timeout_ms : WAKE_AFTER_MS;
        timeout_ms -= wait;
        if (wait > 0)
            r->messages_n = batch(r, max, wait);
        if (r->messages_n == 0)
            wake(r, wait);
    }
    if (r->messages_n == 0 && timeout_ms > 0)
        r->messages_n = batch(r, max, timeout_ms);
    if (r->messages_n > 0)
        r->quiet_ms = QUIET_NOT;
}

/* event: a message that is no record. */
static void
event(struct aft_log_reader *r, const rd_kafka_message_t *m)
{
    const char *topic = r->topic->name;
    const char *words = rd_kafka_message_errstr(m);
    switch (m->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        r->at_end = true;
        r->end = m->offset;
        break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        r->failed =
            AFT_FAIL(&r->why, AFT_E_GAP,
                     "%s/%d no longer holds offset %lld (%s): its retention was shorter than "
                     "we were away, or the topic was made anew. Raise retention.ms; restore "
                     "a checkpoint, or start a new app.id",
                     topic, r->partition, (long long)r->next, words);
        break;
    case RD_KAFKA_RESP_ERR__TRANSPORT: /* librdkafka goes on by itself */
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
        break;
    default:
        r->failed = afti_kafka_failed(r->kafka, topic, m->err, words, &r->why);
    }
}

static size_t
headers_of(const rd_kafka_message_t *m, struct aft_header *out)
{
    rd_kafka_headers_t *h;
    const char *name;
    const void *value;
    size_t n = 0, size;
    if (rd_kafka_message_headers(m, &h) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    if (!out)
        return rd_kafka_header_cnt(h);
    while (rd_kafka_header_get_all(h, n, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        out[n].name = aft_text(name);
        out[n++].value = (struct aft_bytes){value, value ? size : 0};
    }
    return n;
}

static struct aft_bytes
bytes_of(const void *p, size_t n)
{
    return (struct aft_bytes){p, p ? n : 0};
}

/* Messages lie where another core wrote them: a few ahead are on their way while this one is read. */
enum { MESSAGES_AHEAD = 6, LINE = 64, MESSAGE_LINES = 4 };
static inline __attribute__((always_inline)) void
expect_message(const struct aft_log_reader *r, size_t i)
{
    if (i >= r->messages_n)
        return;
    const char *m = (const char *)r->messages[i];
    for (int k = 0; k < MESSAGE_LINES; k++)
        __builtin_prefetch(m + k * LINE);
}

/* headers_room: one array for the headers of all messages, if anybody wants them; false when there are none. */
static bool
headers_room(struct aft_log_reader *r)
{
    size_t all = 0;
    for (size_t i = 0; r->with_headers && i < r->messages_n; i++)
        all += r->messages[i]->err ? 0 : headers_of(r->messages[i], NULL);
    if (all > r->headers_cap) {
        free(r->headers);
        r->headers_cap = all;
        r->headers = afti_take(all * sizeof *r->headers);
    }
    return all > 0;
}

/* records: messages to out. */
static uint32_t
records(struct aft_log_reader *r, struct aft_record_in *out)
{
    uint32_t n = 0;
    bool headers = headers_room(r);
    for (size_t i = 0; i < MESSAGES_AHEAD; i++)
        expect_message(r, i);
    struct aft_header *h = r->headers;
    for (size_t i = 0; i < r->messages_n && r->failed == AFT_OK; i++) {
        const rd_kafka_message_t *m = r->messages[i];
        expect_message(r, i + MESSAGES_AHEAD);
        rd_kafka_timestamp_type_t kind;
        if (m->err) {
            event(r, m);
            continue;
        }
        if (m->offset < r->next) /* I1 */
            continue;
        struct aft_record_in *o = &out[n++];
        *o = (struct aft_record_in){.offset = m->offset,
                                    .timestamp_ms = rd_kafka_message_timestamp(m, &kind),
                                    .key = bytes_of(m->key, m->key_len),
                                    .value = bytes_of(m->payload, m->len)};
        o->headers_n = headers ? (uint32_t)headers_of(m, h) : 0;
        o->headers = o->headers_n ? h : NULL;
        h += o->headers_n;
        r->next = m->offset + 1;
        r->at_end = false;
    }
    return n;
}

/* answers: error_cb said that no broker is up; one that tells the partition's range proves otherwise, and what is there by now. */
static enum aft_err
answers(struct aft_log_reader *r, int timeout_ms, struct aft_error *e)
{
    struct afti_kafka *k = r->kafka;
    uint32_t outages = k->outages;
    int64_t begin, end;
    rd_kafka_resp_err_t err =
        rd_kafka_query_watermark_offsets(k->consumer, r->topic->name, r->partition, &begin, &end,
                                         timeout_ms > 100 ? timeout_ms : 100);
    if (err)
        return AFT_FAIL(e, AFT_E_TIMEOUT, "no Kafka broker answers at %s (%s); trying on",
                        k->options.bootstrap, k->heard[0] ? k->heard : rd_kafka_err2str(err));
    r->outages = outages;
    r->at_end = r->at_end && end <= r->end;
    return AFT_OK;
}

enum aft_err
afti_kafka_read(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
                uint32_t *n, bool *at_end, struct aft_error *e)
{
    *n = 0;
    *at_end = false;
    messages_release(r);
    rd_kafka_poll(r->kafka->consumer, 0); /* errors of brokers */
    if (r->failed == AFT_OK) {
        fetch(r, max, r->outages != r->kafka->outages ? 0 : timeout_ms);
        *n = records(r, out);
    }
    if (r->failed != AFT_OK && *n == 0) {
        *e = r->why;
        return r->failed;
    }
    if (*n == 0 && r->outages != r->kafka->outages)
        AFT_TRY(answers(r, timeout_ms, e));
    *at_end = r->at_end && r->failed == AFT_OK;
    return AFT_OK;
}
