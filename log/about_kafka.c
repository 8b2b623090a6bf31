/* about_kafka.c - what brokers tell of themselves: how many, which version. In: a Kafka log. Out: facts, for `doctor`.
 * Thread: the handle's. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "log/log_kafka.h"

/* A broker's configuration names the version of the protocol between brokers; who may not see it, or has none, is told none. */
static void
version_of(const rd_kafka_event_t *answer, char out[64])
{
    size_t n = 0, entries_n = 0;
    const rd_kafka_ConfigResource_t **r = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)(uintptr_t)answer), &n);
    if (n != 1 || rd_kafka_ConfigResource_error(r[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const rd_kafka_ConfigEntry_t **c = rd_kafka_ConfigResource_configs(r[0], &entries_n);
    for (size_t i = 0; i < entries_n; i++) {
        const char *value = rd_kafka_ConfigEntry_value(c[i]);
        if (value && strcmp(rd_kafka_ConfigEntry_name(c[i]), "inter.broker.protocol.version") == 0)
            snprintf(out, 64, "%s", value);
    }
}

static void
ask_version(struct afti_kafka *k, int32_t broker, char out[64])
{
    char name[16], words[128];
    rd_kafka_queue_t *q = rd_kafka_queue_new(k->consumer);
    rd_kafka_AdminOptions_t *o =
        rd_kafka_AdminOptions_new(k->consumer, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    snprintf(name, sizeof name, "%d", broker);
    rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, name);
    rd_kafka_AdminOptions_set_request_timeout(o, k->timeout_ms, words, sizeof words);
    rd_kafka_DescribeConfigs(k->consumer, &r, 1, o, q);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(q, k->timeout_ms + 1000);
    if (answer && !rd_kafka_event_error(answer))
        version_of(answer, out);
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(r);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
}

enum aft_err
aft_log_kafka_about(struct aft_log *l, struct aft_kafka_about *out, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    const struct rd_kafka_metadata *md;
    *out = (struct aft_kafka_about){0};
    rd_kafka_resp_err_t err = rd_kafka_metadata(k->consumer, 0, NULL, &md, k->timeout_ms);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return afti_kafka_failed(k, "the brokers", err, NULL, e);
    int32_t first = md->broker_cnt > 0 ? md->brokers[0].id : -1;
    out->brokers = md->broker_cnt;
    rd_kafka_metadata_destroy(md);
    snprintf(out->client, sizeof out->client, "%s", rd_kafka_version_str());
    if (first >= 0)
        ask_version(k, first, out->version);
    return AFT_OK;
}
