/* producer_kafka.c - appending: one idempotent producer a handle. In: aft_append; out: acknowledgements with offsets, from poll.
 *
 * I1 an append is acknowledged once; message.timeout.ms=0 (log_kafka.c): it stays queued while its broker is away.
 * I2 a record without `acked` that could not be written makes the next flush fail.
 * I3 after a record that a broker refuses for good, none is written until whoever appended was told (enable.gapless.guarantee makes such
 *    a refusal the producer's end; so are an idempotent producer's own). The next append buries the producer: what was queued comes
 *    back as failures, and only a later append makes another one. So a numbered stream gets no hole, and a handle lives on.
 * A timestamp of 0 is the producer's clock too: librdkafka has no other way to say it.
 * Thread: the handle's; delivery reports come from polling.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/log_kafka.h"

#define BURY_POLL_MS 10

/* not_written: why a record is not there, and how to mend it. Never a RETRY error: it does not come by itself any more. */
static void
not_written(const struct afti_kafka *k, const rd_kafka_message_t *m, struct aft_error *e)
{
    char what[300];
    snprintf(what, sizeof what, "%s/%d: a record of %zu bytes was not written",
             rd_kafka_topic_name(m->rkt), m->partition, m->len);
    if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        (void)AFT_FAIL(e, AFT_E_BROKER,
                       "%s: %s refuses it as too large: raise max.message.bytes of that topic (a "
                       "batch counts as a whole: kafka.producer.batch.size)",
                       what, k->options.bootstrap);
    else if (afti_kafka_failed(k, what, m->err, rd_kafka_message_errstr(m), e) == AFT_E_TIMEOUT)
        e->code = AFT_E_BROKER;
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct afti_kafka *k = opaque;
    struct afti_kafka_sent *s = m->_private;
    struct aft_error e;
    (void)rk;
    if (m->err) {
        not_written(k, m, &e);
        k->failures++;
    }
    if (!s) {
        if (m->err && !k->lost) { /* I2 */
            k->lost = true;
            k->why = e;
        }
        return;
    }
    afti_acked_fn *acked = s->acked;
    void *ctx = s->ctx;
    s->next = k->spare;
    k->spare = s;
    acked(ctx, m->err ? -1 : m->offset, m->err ? &e : NULL);
}

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct afti_kafka *k = opaque;
    (void)rk;
    if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        snprintf(k->heard, sizeof k->heard, "%s", reason);
}

static enum aft_err
producer_start(struct afti_kafka *k, struct aft_error *e)
{
    char words[256];
    rd_kafka_conf_t *c;
    AFT_TRY(afti_kafka_conf(k, AFTI_KAFKA_WRITE, &c, e));
    rd_kafka_conf_set_opaque(c, k);
    rd_kafka_conf_set_dr_msg_cb(c, on_delivery);
    rd_kafka_conf_set_error_cb(c, on_error);
    k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, c, words, sizeof words);
    if (k->producer)
        return AFT_OK;
    rd_kafka_conf_destroy(c);
    return AFT_FAIL(e, AFT_E_CONFIG, "kafka.*: %s", words);
}

static struct afti_kafka_sent *
sent_take(struct afti_kafka *k, const struct aft_append *a)
{
    struct afti_kafka_sent *s = k->spare;
    if (!a->acked)
        return NULL;
    if (s)
        k->spare = s->next;
    else
        s = afti_take(sizeof *s);
    *s = (struct afti_kafka_sent){NULL, a->acked, a->ctx};
    return s;
}

static void
sent_give_back(struct afti_kafka *k, struct afti_kafka_sent *s)
{
    if (!s)
        return;
    s->next = k->spare;
    k->spare = s;
}

static rd_kafka_headers_t *
headers_of(const struct aft_append *a)
{
    rd_kafka_headers_t *h = a->headers_n ? rd_kafka_headers_new(a->headers_n) : NULL;
    for (uint32_t i = 0; i < a->headers_n; i++)
        rd_kafka_header_add(h, (const char *)a->headers[i].name.p, (ssize_t)a->headers[i].name.n,
                            a->headers[i].value.p, (ssize_t)a->headers[i].value.n);
    return h;
}

/* producer_end: what is queued or on its way is given up; its messages keep their topics, so these go last. */
static void
producer_end(struct afti_kafka *k)
{
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                    RD_KAFKA_PURGE_F_NON_BLOCKING);
    for (struct afti_kafka_topic *t = k->topics; t; t = t->next) {
        if (t->writing)
            rd_kafka_topic_destroy(t->writing);
        t->writing = NULL;
    }
    rd_kafka_destroy(k->producer);
    k->producer = NULL;
}

/* producer_bury (I3): a producer at its end. AFT_E_BROKER when somebody was told of a failure just now, the caller perhaps. */
static enum aft_err
producer_bury(struct afti_kafka *k, struct aft_error *e)
{
    char words[256];
    uint64_t failures = k->failures;
    rd_kafka_fatal_error(k->producer, words, sizeof words);
    rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(k->producer) > 0)
        rd_kafka_poll(k->producer, BURY_POLL_MS);
    producer_end(k);
    aft_say("warn", "kafka", "the producer came to its end: %s", words);
    return failures == k->failures ? AFT_OK
                                   : AFT_FAIL(e, AFT_E_BROKER,
                                              "what was not acknowledged is to be written again, "
                                              "by another producer: %s",
                                              words);
}

static enum aft_err
refused(struct afti_kafka *k, const char *topic, size_t bytes, rd_kafka_resp_err_t err,
        struct aft_error *e)
{
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return AFT_FAIL(e, AFT_E_AGAIN, "the producer's queue is full: poll, then append again");
    if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "%s: a record of %zu bytes is larger than kafka.producer.message.max.bytes "
                        "allows: raise it, and max.message.bytes of the topic",
                        topic, bytes);
    if (err == RD_KAFKA_RESP_ERR__FATAL)
        return AFT_FAIL(e, AFT_E_BROKER, "%s: the producer has just come to its end", topic);
    return afti_kafka_failed(k, topic, err, NULL, e);
}

enum aft_err
afti_kafka_append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    struct afti_kafka_topic *t;
    AFT_TRY(afti_kafka_topic(k, a->topic, a->partition, &t, e));
    if (k->producer && rd_kafka_fatal_error(k->producer, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR)
        AFT_TRY(producer_bury(k, e));
    if (!k->producer)
        AFT_TRY(producer_start(k, e));
    if (!t->writing)
        t->writing = rd_kafka_topic_new(k->producer, a->topic, NULL);
    if (!t->writing)
        return afti_kafka_failed(k, a->topic, rd_kafka_last_error(), NULL, e);
    struct afti_kafka_sent *s = sent_take(k, a);
    rd_kafka_headers_t *h = headers_of(a);
    int64_t timestamp = a->timestamp_ms > 0 ? a->timestamp_ms : 0;
    /* what RD_KAFKA_V_*() stand for: the macros themselves are no standard C */
    rd_kafka_resp_err_t err = rd_kafka_producev(
        k->producer, RD_KAFKA_VTYPE_RKT, t->writing, RD_KAFKA_VTYPE_PARTITION, a->partition,
        RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_KEY, a->key.p, a->key.n,
        RD_KAFKA_VTYPE_VALUE, a->value.p, a->value.n, RD_KAFKA_VTYPE_TIMESTAMP, timestamp,
        RD_KAFKA_VTYPE_HEADERS, h, RD_KAFKA_VTYPE_OPAQUE, s, RD_KAFKA_VTYPE_END);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return AFT_OK;
    if (h)
        rd_kafka_headers_destroy(h); /* librdkafka owns them only when it took the message */
    sent_give_back(k, s);
    return refused(k, a->topic, a->key.n + a->value.n, err, e);
}

void
afti_kafka_poll(struct aft_log *l, int timeout_ms)
{
    struct afti_kafka *k = afti_kafka_of(l);
    rd_kafka_poll(k->consumer, 0);
    if (k->producer)
        rd_kafka_poll(k->producer, rd_kafka_outq_len(k->producer) > 0 ? timeout_ms : 0);
}

enum aft_err
afti_kafka_flush(struct aft_log *l, int timeout_ms, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    if (k->producer && rd_kafka_flush(k->producer, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_poll(k->consumer, 0);
        return AFT_FAIL(e, AFT_E_TIMEOUT,
                        "%d records are not acknowledged by %s after %d ms%s%s; they stay queued",
                        rd_kafka_outq_len(k->producer), k->options.bootstrap, timeout_ms,
                        k->heard[0] ? ": " : "", k->heard);
    }
    if (!k->lost)
        return AFT_OK;
    k->lost = false;
    *e = k->why;
    return e->code;
}

void
afti_kafka_producer_close(struct afti_kafka *k)
{
    if (k->producer)
        producer_end(k);
    for (struct afti_kafka_sent *s = k->spare, *next; s; s = next) {
        next = s->next;
        free(s);
    }
}
