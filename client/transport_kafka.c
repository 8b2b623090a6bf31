/* transport_kafka.c - EDGE (librdkafka): the engine's two ends of a real broker.
 *
 * producer  impressions and outcomes: acks=all, idempotent, partitioned by murmur2 like Java's clients, never timed out while the
 *           client lives (message.timeout.ms=0): a record that was taken is delivered, or given back to on_failure (producer_kafka.c).
 * consumer  the snapshots topic, partition 0, from its beginning to its end and on; no group, nothing committed.
 * histories the history's topic, all partitions, likewise; a consumer of its own.
 * Threads: append, poll and waiting: any; poll_snapshots, poll_history: a follower's each. Nothing is printed: logs are off, errors
 * come back by value. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "client/client_inner.h"

enum { TOPICS = 2, ERROR_BYTES = 300, METADATA_MS = 2000, HISTORY_TURN = 1000 };

struct kafka {
    struct afti_producer *producer;
    rd_kafka_t *consumer, *histories;
    char *topics[TOPICS], *snapshots, *history;
    int64_t *history_next; /* of each partition: where to go on after an error */
    bool *history_ended;
    int32_t history_n, history_ended_n; /* 0: not assigned */
    int64_t next_offset;                /* of the snapshots topic: where to go on after an error */
    bool assigned, history_assigned;
};

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
conf_of(const struct aft_client_options *o, const struct pair *fixed, rd_kafka_conf_t **out,
        struct aft_error *e)
{
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
    *out = conf;
    return AFT_OK;
}

static enum aft_err
open_consumer(const struct aft_client_options *o, const struct pair *fixed, rd_kafka_t **out,
              struct aft_error *e)
{
    char text[ERROR_BYTES];
    rd_kafka_conf_t *conf;
    AFT_TRY(conf_of(o, fixed, &conf, e));
    *out = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (*out) {
        rd_kafka_poll_set_consumer(*out);
        return AFT_OK;
    }
    rd_kafka_conf_destroy(conf);
    return AFT_FAIL(e, AFT_E_CONFIG, "librdkafka refuses its properties: %s", text);
}

/* ---- the port */
static enum aft_err
kafka_append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
             struct aft_bytes value, struct aft_error *e)
{
    struct kafka *k = ctx;
    const struct afti_spilled r = {topic, time_ms, key, value};
    return afti_producer_send(k->producer, k->topics[topic], &r, false, e);
}

static enum aft_err
kafka_resend(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
             struct aft_bytes value, struct aft_error *e)
{
    struct kafka *k = ctx;
    const struct afti_spilled r = {topic, time_ms, key, value};
    return afti_producer_send(k->producer, k->topics[topic], &r, true, e);
}

static uint64_t
kafka_resending(void *ctx)
{
    return afti_producer_resending(((struct kafka *)ctx)->producer);
}

static uint64_t
kafka_lost(void *ctx, bool forget)
{
    return afti_producer_lost(((struct kafka *)ctx)->producer, forget);
}

static bool
kafka_away(void *ctx, int32_t ms)
{
    return afti_producer_away(((struct kafka *)ctx)->producer, ms);
}

static void
kafka_listen(void *ctx, aft_client_failure_sink sink, void *sink_ctx)
{
    afti_producer_listen(((struct kafka *)ctx)->producer, sink, sink_ctx);
}

static void
kafka_poll(void *ctx, int timeout_ms)
{
    afti_producer_poll(((struct kafka *)ctx)->producer, timeout_ms);
}

static uint64_t
kafka_waiting(void *ctx)
{
    return afti_producer_waiting(((struct kafka *)ctx)->producer);
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
    afti_producer_close(k->producer);
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
    rd_kafka_conf_t *conf;
    AFT_TRY(conf_of(o, producer, &conf, e));
    AFT_TRY(afti_producer_open(conf, &k->producer, e));
    if (o->history_topic)
        AFT_TRY(open_consumer(o, consumer, &k->histories, e));
    return o->snapshots_topic ? open_consumer(o, consumer, &k->consumer, e) : AFT_OK;
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
        .lost = kafka_lost,
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
