/* transport_kafka.c - EDGE (librdkafka): the engine's two ends of a real broker.
 *
 * producer  impressions and outcomes: acks=all, idempotent, partitioned by murmur2 like Java's clients, never timed out while the
 *           client lives (message.timeout.ms=0): a record that was taken is delivered, or given back to on_failure.
 * consumer  the snapshots topic, partition 0, from its beginning to its end and on; no group, nothing committed.
 * histories the history's topic, all partitions, likewise; a consumer of its own.
 * Threads: append, poll and waiting: any; poll_snapshots, poll_history: a follower's each. Nothing is printed: logs are off, errors
 * come back by value. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <time.h>

#include "client/client_inner.h"

enum { TOPICS = 2, ERROR_BYTES = 300, PURGE_MS = 1000, METADATA_MS = 2000, HISTORY_TURN = 1000 };

struct kafka {
    rd_kafka_t *producer, *consumer, *histories;
    char *topics[TOPICS], *snapshots, *history;
    int64_t *history_next; /* of each partition: where to go on after an error */
    bool *history_ended;
    int32_t history_n, history_ended_n; /* 0: not assigned */
    int64_t next_offset;                /* of the snapshots topic: where to go on after an error */
    bool assigned, history_assigned;
    atomic_uint_fast64_t resending; /* sent again from a spill file and not yet delivered */
    atomic_llong alive_ms;          /* when something was delivered last, or began to wait */
    aft_client_failure_sink sink;
    void *sink_ctx;
};

static int64_t
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka *k = opaque;
    bool kept = m->_private == k; /* in a spill file */
    bool purged =
        m->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || m->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    (void)rk;
    if (kept && !purged)
        atomic_fetch_sub(&k->resending, 1);
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_store(&k->alive_ms, now_ms());
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR || !k->sink || (kept && purged))
        return;
    struct aft_client_failure what = {.topic = rd_kafka_topic_name(m->rkt),
                                      .key = m->key,
                                      .value = m->payload,
                                      .key_bytes = m->key_len,
                                      .value_bytes = m->len,
                                      .reason = rd_kafka_err2str(m->err),
                                      .refused = !purged,
                                      .time_ms = rd_kafka_message_timestamp(m, NULL)};
    k->sink(k->sink_ctx, &what);
}

static enum aft_err
set(rd_kafka_conf_t *conf, const char *name, const char *value, struct aft_error *e)
{
    char text[ERROR_BYTES];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        return AFT_FAIL(e, AFT_E_CONFIG, "kafka property %s=%s: %s", name, value, text);
    return AFT_OK;
}

struct pair {
    const char *name, *value;
};

static enum aft_err
open_end(rd_kafka_type_t type, const struct aft_client_options *o, const struct pair *fixed,
         struct kafka *k, rd_kafka_t **out, struct aft_error *e)
{
    char text[ERROR_BYTES];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum aft_err err = set(conf, "bootstrap.servers", o->bootstrap_servers, e);
    for (uint32_t i = 0; i < o->properties_n && err == AFT_OK; i++)
        err = set(conf, o->properties[i].name, o->properties[i].value, e);
    for (const struct pair *p = fixed; p->name && err == AFT_OK; p++)
        err = set(conf, p->name, p->value, e);
    if (err != AFT_OK) {
        rd_kafka_conf_destroy(conf);
        return err;
    }
    rd_kafka_conf_set_log_cb(conf, NULL);
    rd_kafka_conf_set_opaque(conf, k);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    *out = rd_kafka_new(type, conf, text, sizeof text);
    if (*out)
        return AFT_OK;
    rd_kafka_conf_destroy(conf);
    return AFT_FAIL(e, AFT_E_CONFIG, "librdkafka refuses its properties: %s", text);
}

/* ---- the port */
static void *
unconst(const uint8_t *p) /* librdkafka copies and does not write, but its type says void * */
{
    return (void *)(uintptr_t)p;
}

static enum aft_err
produce(struct kafka *k, const struct afti_spilled *r, bool kept, struct aft_error *e)
{
    enum aft_client_topic topic = r->topic;
    if (rd_kafka_outq_len(k->producer) == 0)
        atomic_store(&k->alive_ms, now_ms());
    const rd_kafka_vu_t v[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = k->topics[topic]},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {unconst(r->key.p), r->key.n}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {unconst(r->value.p), r->value.n}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = r->time_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = kept ? k : NULL},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(k->producer, v, sizeof v / sizeof *v);
    rd_kafka_resp_err_t err = rd_kafka_error_code(error);
    if (error)
        rd_kafka_error_destroy(error);
    rd_kafka_poll(k->producer, 0);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return AFT_OK;
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return AFT_FAIL(e, AFT_E_AGAIN, "the producer's queue is full");
    return AFT_FAIL(e, AFT_E_BROKER, "topic %s: %s", k->topics[topic], rd_kafka_err2str(err));
}

static enum aft_err
kafka_append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
             struct aft_bytes value, struct aft_error *e)
{
    return produce(ctx, &(struct afti_spilled){topic, time_ms, key, value}, false, e);
}

/* Counted before, since its report may come from within. */
static enum aft_err
kafka_resend(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
             struct aft_bytes value, struct aft_error *e)
{
    struct kafka *k = ctx;
    atomic_fetch_add(&k->resending, 1);
    enum aft_err err = produce(k, &(struct afti_spilled){topic, time_ms, key, value}, true, e);
    if (err != AFT_OK)
        atomic_fetch_sub(&k->resending, 1);
    return err;
}

static uint64_t
kafka_resending(void *ctx)
{
    struct kafka *k = ctx;
    return atomic_load(&k->resending);
}

static bool
kafka_away(void *ctx, int32_t ms)
{
    struct kafka *k = ctx;
    return rd_kafka_outq_len(k->producer) > 0 && now_ms() - atomic_load(&k->alive_ms) > ms;
}

static void
kafka_listen(void *ctx, aft_client_failure_sink sink, void *sink_ctx)
{
    struct kafka *k = ctx;
    k->sink = sink;
    k->sink_ctx = sink_ctx;
}

static void
kafka_poll(void *ctx, int timeout_ms)
{
    struct kafka *k = ctx;
    rd_kafka_poll(k->producer, timeout_ms);
}

static uint64_t
kafka_waiting(void *ctx)
{
    struct kafka *k = ctx;
    return (uint64_t)rd_kafka_outq_len(k->producer);
}

static enum aft_err
assign(struct kafka *k, struct aft_error *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, k->snapshots, 0)->offset =
        k->next_offset > 0 ? k->next_offset : RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t err = rd_kafka_assign(k->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return AFT_FAIL(e, AFT_E_BROKER, "cannot read %s: %s", k->snapshots, rd_kafka_err2str(err));
    k->assigned = true;
    return AFT_OK;
}

static enum aft_err
kafka_poll_snapshots(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx,
                     bool *at_end, struct aft_error *e)
{
    struct kafka *k = ctx;
    *at_end = false;
    if (!k->assigned)
        AFT_TRY(assign(k, e));
    for (;;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k->consumer, timeout_ms);
        timeout_ms = 0;
        if (!m)
            return AFT_OK;
        rd_kafka_resp_err_t err = m->err;
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            struct aft_bytes key = {m->key, m->key_len}, value = {m->payload, m->len};
            sink(sink_ctx, key, value);
            k->next_offset = m->offset + 1;
        }
        rd_kafka_message_destroy(m);
        if (err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            *at_end = true;
            return AFT_OK;
        }
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            k->assigned =
                false; /* no such topic yet, or the broker is away: begin again where we stood */
            return AFT_FAIL(e, AFT_E_BROKER, "reading %s: %s", k->snapshots, rd_kafka_err2str(err));
        }
    }
}

/* ---- users' histories */
static enum aft_err
history_look(struct kafka *k, struct aft_error *e)
{
    const struct rd_kafka_metadata *m = NULL;
    rd_kafka_topic_t *t = rd_kafka_topic_new(k->histories, k->history, NULL);
    rd_kafka_resp_err_t err =
        t ? rd_kafka_metadata(k->histories, 0, t, &m, METADATA_MS) : rd_kafka_last_error();
    int32_t n = m && m->topic_cnt == 1 ? m->topics[0].partition_cnt : 0;
    if (m)
        rd_kafka_metadata_destroy(m);
    if (t)
        rd_kafka_topic_destroy(t);
    if (n < 1)
        return AFT_FAIL(e, AFT_E_BROKER, "cannot read %s: %s", k->history,
                        err ? rd_kafka_err2str(err) : "there is no such topic");
    k->history_next = calloc((size_t)n, sizeof *k->history_next);
    k->history_ended = calloc((size_t)n, sizeof *k->history_ended);
    AFT_ASSERT(k->history_next && k->history_ended);
    k->history_n = n;
    return AFT_OK;
}

static enum aft_err
history_assign(struct kafka *k, struct aft_error *e)
{
    if (k->history_n == 0)
        AFT_TRY(history_look(k, e));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(k->history_n);
    for (int32_t p = 0; p < k->history_n; p++)
        rd_kafka_topic_partition_list_add(list, k->history, p)->offset =
            k->history_next[p] > 0 ? k->history_next[p] : RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t err = rd_kafka_assign(k->histories, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return AFT_FAIL(e, AFT_E_BROKER, "cannot read %s: %s", k->history, rd_kafka_err2str(err));
    k->history_assigned = true;
    return AFT_OK;
}

static void
history_take(struct kafka *k, const rd_kafka_message_t *m, aft_client_snapshot_sink sink, void *ctx)
{
    int32_t p = m->partition;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        sink(ctx, (struct aft_bytes){m->key, m->key_len}, (struct aft_bytes){m->payload, m->len});
        k->history_next[p] = m->offset + 1;
    } else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && !k->history_ended[p]) {
        k->history_ended[p] = true;
        k->history_ended_n++;
    }
}

static enum aft_err
kafka_poll_history(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx,
                   bool *at_end, struct aft_error *e)
{
    struct kafka *k = ctx;
    if (!k->history_assigned)
        AFT_TRY(history_assign(k, e));
    for (int i = 0; i < HISTORY_TURN; i++) { /* then it is seen whether the client closes */
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k->histories, i == 0 ? timeout_ms : 0);
        if (!m)
            return AFT_OK;
        rd_kafka_resp_err_t err = m->err;
        history_take(k, m, sink, sink_ctx);
        rd_kafka_message_destroy(m);
        *at_end = k->history_ended_n == k->history_n;
        if (err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            return AFT_OK;
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            k->history_assigned = false; /* the broker is away: begin again where we stood */
            return AFT_FAIL(e, AFT_E_BROKER, "reading %s: %s", k->history, rd_kafka_err2str(err));
        }
    }
    return AFT_OK;
}

static void
consumer_close(rd_kafka_t *rk)
{
    if (!rk)
        return;
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void
kafka_close(void *ctx)
{
    struct kafka *k = ctx;
    if (k->producer) {
        if (rd_kafka_outq_len(k->producer) > 0) {
            rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            rd_kafka_flush(k->producer, PURGE_MS);
        }
        rd_kafka_destroy(k->producer);
    }
    consumer_close(k->consumer);
    consumer_close(k->histories);
    for (int i = 0; i < TOPICS; i++)
        free(k->topics[i]);
    free(k->snapshots);
    free(k->history);
    free(k->history_next);
    free(k->history_ended);
    free(k);
}

static enum aft_err
open_ends(struct kafka *k, const struct aft_client_options *o, struct aft_error *e)
{
    static const struct pair producer[] = {{"acks", "all"},
                                           {"enable.idempotence", "true"},
                                           {"message.timeout.ms", "0"},
                                           {"partitioner", "murmur2_random"},
                                           {"linger.ms", "20"},
                                           {"compression.type", "lz4"},
                                           {NULL, NULL}};
    static const struct pair consumer[] = {{"group.id", "aftertouch-client"},
                                           {"enable.auto.commit", "false"},
                                           {"enable.auto.offset.store", "false"},
                                           {"auto.offset.reset", "earliest"},
                                           {"enable.partition.eof", "true"},
                                           {"isolation.level", "read_committed"},
                                           {"check.crcs", "true"},
                                           {"allow.auto.create.topics", "false"},
                                           {"topic.metadata.refresh.interval.ms", "5000"},
                                           {NULL, NULL}};
    AFT_TRY(open_end(RD_KAFKA_PRODUCER, o, producer, k, &k->producer, e));
    if (o->history_topic) {
        AFT_TRY(open_end(RD_KAFKA_CONSUMER, o, consumer, k, &k->histories, e));
        rd_kafka_poll_set_consumer(k->histories);
    }
    if (!o->snapshots_topic)
        return AFT_OK;
    AFT_TRY(open_end(RD_KAFKA_CONSUMER, o, consumer, k, &k->consumer, e));
    rd_kafka_poll_set_consumer(k->consumer);
    return AFT_OK;
}

enum aft_err
aft_client_transport_kafka(const struct aft_client_options *o, struct aft_client_transport *out,
                           struct aft_error *e)
{
    if (!o->impressions_topic || !o->outcomes_topic)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "options.impressions_topic and .outcomes_topic are needed");
    struct kafka *k = calloc(1, sizeof *k);
    if (!k)
        return AFT_FAIL(e, AFT_E_NOMEM, "no memory for a transport");
    k->topics[AFT_CLIENT_IMPRESSIONS] = strdup(o->impressions_topic);
    k->topics[AFT_CLIENT_OUTCOMES] = strdup(o->outcomes_topic);
    k->snapshots = o->snapshots_topic ? strdup(o->snapshots_topic) : NULL;
    k->history = o->history_topic ? strdup(o->history_topic) : NULL;
    enum aft_err err = open_ends(k, o, e);
    if (err != AFT_OK) {
        kafka_close(k);
        return err;
    }
    *out = (struct aft_client_transport){
        .ctx = k,
        .append = kafka_append,
        .resend = kafka_resend,
        .resending = kafka_resending,
        .away = kafka_away,
        .listen = kafka_listen,
        .poll = kafka_poll,
        .waiting = kafka_waiting,
        .poll_snapshots = o->snapshots_topic ? kafka_poll_snapshots : NULL,
        .poll_history = o->history_topic ? kafka_poll_history : NULL,
        .close = kafka_close,
        .threaded = true};
    return AFT_OK;
}
