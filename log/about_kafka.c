/* about_kafka.c - what brokers tell of themselves: how many, which version. In: a Kafka log. Out: facts, for `doctor`.
 * Thread: the handle's. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "log/log_kafka.h"

/* A broker's configuration names the version of the protocol between brokers; who may not see it, or has none, is told none. */
static void
version(void *ctx, const char *name, const char *value)
{
    if (strcmp(name, "inter.broker.protocol.version") == 0)
        snprintf(ctx, sizeof((struct aft_kafka_about *)0)->version, "%s", value);
}

static void
ask_version(struct afti_kafka *k, int32_t broker, char out[64])
{
    char name[16];
    struct aft_error unheard;
    snprintf(name, sizeof name, "%d", broker);
    if (afti_kafka_describe(k, RD_KAFKA_RESOURCE_BROKER, name, version, out, &unheard) != AFT_OK)
        out[0] = '\0';
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
