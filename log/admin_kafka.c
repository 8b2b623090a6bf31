/* admin_kafka.c - questions to the brokers: topics (created, described, deleted), ranges of offsets, offsets by time. In: names; out: facts.
 * Each waits for its answer, at most the handle's timeout. Thread: the handle's. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "log/log_kafka.h"

/* ---- metadata */
enum aft_err
afti_kafka_partitions(struct afti_kafka *k, const char *name, int32_t *partitions,
                      struct aft_error *e)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_resp_err_t err, topic_err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_topic_t *t = rd_kafka_topic_new(k->consumer, name, NULL);
    if (!t)
        return afti_kafka_failed(k, name, rd_kafka_last_error(), NULL, e);
    err = rd_kafka_metadata(k->consumer, 0, t, &md, k->timeout_ms);
    rd_kafka_topic_destroy(t);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return afti_kafka_failed(k, name, err, NULL, e);
    *partitions = 0;
    for (int i = 0; i < md->topic_cnt; i++)
        if (strcmp(md->topics[i].topic, name) == 0) {
            topic_err = md->topics[i].err;
            *partitions = md->topics[i].partition_cnt;
        }
    rd_kafka_metadata_destroy(md);
    if (topic_err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        topic_err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        *partitions = 0;
    else if (topic_err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return afti_kafka_failed(k, name, topic_err, NULL, e);
    return AFT_OK;
}

enum aft_err
afti_kafka_topic(struct afti_kafka *k, const char *name, int32_t partition,
                 struct afti_kafka_topic **out, struct aft_error *e)
{
    struct afti_kafka_topic *t = k->topics;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    if (!t || partition >= t->partitions) {
        int32_t partitions = 0;
        AFT_TRY(afti_kafka_partitions(k, name, &partitions, e));
        if (partitions == 0)
            return afti_no_topic(name, e);
        if (!t) {
            size_t n = strlen(name) + 1;
            t = afti_take(sizeof *t + n);
            memcpy(t->name, name, n);
            t->next = k->topics;
            k->topics = t;
        }
        t->partitions = partitions;
    }
    *out = t;
    return partition == -1 ? AFT_OK : afti_check_partition(name, partition, t->partitions, e);
}

/* ---- the Admin API: one request, one answering event */
static rd_kafka_AdminOptions_t *
options_for(struct afti_kafka *k, rd_kafka_admin_op_t op)
{
    char words[128];
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(k->consumer, op);
    rd_kafka_AdminOptions_set_request_timeout(o, k->timeout_ms, words, sizeof words);
    if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS)
        rd_kafka_AdminOptions_set_operation_timeout(o, k->timeout_ms, words, sizeof words);
    return o;
}

static enum aft_err
answered(const struct afti_kafka *k, const char *what, rd_kafka_event_t *answer,
         struct aft_error *e)
{
    if (!answer)
        return afti_kafka_failed(k, what, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, e);
    if (rd_kafka_event_error(answer))
        return afti_kafka_failed(k, what, rd_kafka_event_error(answer),
                                 rd_kafka_event_error_string(answer), e);
    return AFT_OK;
}

static rd_kafka_NewTopic_t *
new_topic(const struct aft_topic_spec *s)
{
    char retention[32], words[256];
    int replication = s->replication > 0 ? (int)s->replication : -1;
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(s->name, s->partitions, replication, words, sizeof words);
    AFT_ASSERT(t != NULL); /* afti_check_spec has seen name and partitions */
    snprintf(retention, sizeof retention, "%lld", (long long)s->retention_ms);
    rd_kafka_NewTopic_set_config(t, "retention.ms", retention);
    rd_kafka_NewTopic_set_config(t, "cleanup.policy",
                                 !s->compact            ? "delete"
                                 : s->retention_ms >= 0 ? "compact,delete"
                                                        : "compact");
    rd_kafka_NewTopic_set_config(t, "message.timestamp.type",
                                 s->log_append_time ? "LogAppendTime" : "CreateTime");
    if (s->record_bytes > 0) {
        char bytes[32];
        snprintf(bytes, sizeof bytes, "%lld", (long long)s->record_bytes);
        rd_kafka_NewTopic_set_config(t, "max.message.bytes", bytes);
    }
    return t;
}

/* visible waits until every broker that is asked knows the topic: creation is told before it has spread. */
static enum aft_err
visible(struct afti_kafka *k, const struct aft_topic_spec *s, struct aft_error *e)
{
    for (int waited_ms = 0;; waited_ms += 20) {
        int32_t partitions = 0;
        enum aft_err err = afti_kafka_partitions(k, s->name, &partitions, e);
        if (err == AFT_OK && partitions > 0)
            return AFT_OK;
        if (waited_ms >= k->timeout_ms)
            return err != AFT_OK ? err
                                 : AFT_FAIL(e, AFT_E_TIMEOUT,
                                            "topic %s was created and is not to be seen yet: ask "
                                            "again",
                                            s->name);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
}

static enum aft_err
created(struct afti_kafka *k, const struct aft_topic_spec *s, rd_kafka_event_t *answer,
        struct aft_error *e)
{
    size_t n = 0;
    char what[300];
    snprintf(what, sizeof what, "topic %s cannot be created", s->name);
    AFT_TRY(answered(k, what, answer, e));
    const rd_kafka_topic_result_t **r =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &n);
    AFT_ASSERT(n == 1);
    rd_kafka_resp_err_t err = rd_kafka_topic_result_error(r[0]);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return afti_kafka_failed(k, what, err, rd_kafka_topic_result_error_string(r[0]), e);
    return visible(k, s, e);
}

enum aft_err
afti_kafka_topic_create(struct aft_log *l, const struct aft_topic_spec *s, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    AFT_TRY(afti_check_spec(s, e));
    rd_kafka_queue_t *q = rd_kafka_queue_new(k->consumer);
    rd_kafka_AdminOptions_t *o = options_for(k, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_NewTopic_t *t = new_topic(s);
    rd_kafka_CreateTopics(k->consumer, &t, 1, o, q);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(q, k->timeout_ms + 1000);
    enum aft_err err = created(k, s, answer, e);
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_NewTopic_destroy(t);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
    return err;
}

static enum aft_err
deleted(struct afti_kafka *k, const char *topic, rd_kafka_event_t *answer, struct aft_error *e)
{
    size_t n = 0;
    char what[300];
    snprintf(what, sizeof what, "topic %s cannot be deleted", topic);
    AFT_TRY(answered(k, what, answer, e));
    const rd_kafka_topic_result_t **r =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer), &n);
    AFT_ASSERT(n == 1);
    rd_kafka_resp_err_t err = rd_kafka_topic_result_error(r[0]);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
               ? AFT_OK
               : afti_kafka_failed(k, what, err, rd_kafka_topic_result_error_string(r[0]), e);
}

enum aft_err
afti_kafka_topic_delete(struct aft_log *l, const char *topic, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    rd_kafka_queue_t *q = rd_kafka_queue_new(k->consumer);
    rd_kafka_AdminOptions_t *o = options_for(k, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(k->consumer, &t, 1, o, q);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(q, k->timeout_ms + 1000);
    enum aft_err err = deleted(k, topic, answer, e);
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_DeleteTopic_destroy(t);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
    return err;
}

static void
entries_of(const rd_kafka_event_t *answer, afti_kafka_entry_fn *each, void *ctx)
{
    size_t n = 0, entries_n = 0;
    const rd_kafka_ConfigResource_t **r = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)(uintptr_t)answer), &n);
    if (n != 1 || rd_kafka_ConfigResource_error(r[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    const rd_kafka_ConfigEntry_t **c = rd_kafka_ConfigResource_configs(r[0], &entries_n);
    for (size_t i = 0; i < entries_n; i++)
        if (rd_kafka_ConfigEntry_value(c[i]))
            each(ctx, rd_kafka_ConfigEntry_name(c[i]), rd_kafka_ConfigEntry_value(c[i]));
}

enum aft_err
afti_kafka_describe(struct afti_kafka *k, int resource, const char *name, afti_kafka_entry_fn *each,
                    void *ctx, struct aft_error *e)
{
    rd_kafka_queue_t *q = rd_kafka_queue_new(k->consumer);
    rd_kafka_AdminOptions_t *o = options_for(k, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *r =
        rd_kafka_ConfigResource_new((rd_kafka_ResourceType_t)resource, name);
    rd_kafka_DescribeConfigs(k->consumer, &r, 1, o, q);
    rd_kafka_event_t *answer = rd_kafka_queue_poll(q, k->timeout_ms + 1000);
    enum aft_err err = answered(k, name, answer, e);
    if (err == AFT_OK)
        entries_of(answer, each, ctx);
    if (answer)
        rd_kafka_event_destroy(answer);
    rd_kafka_ConfigResource_destroy(r);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
    return err;
}

/* The three properties that matter to us; without the right to see them they stay unknown. */
static void
fact(void *ctx, const char *name, const char *value)
{
    struct aft_topic_facts *out = ctx;
    if (strcmp(name, "cleanup.policy") == 0)
        out->compact = strstr(value, "compact") != NULL;
    else if (strcmp(name, "message.timestamp.type") == 0)
        out->log_append_time = strcmp(value, "LogAppendTime") == 0;
    else if (strcmp(name, "retention.ms") == 0)
        out->retention_ms = strtoll(value, NULL, 10);
}

enum aft_err
afti_kafka_topic_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out,
                       struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    *out = (struct aft_topic_facts){.retention_ms = INT64_MIN};
    AFT_TRY(afti_kafka_partitions(k, topic, &out->partitions, e));
    return out->partitions == 0
               ? AFT_OK
               : afti_kafka_describe(k, RD_KAFKA_RESOURCE_TOPIC, topic, fact, out, e);
}

/* ---- offsets. The consumer reads committed records, so the end is the last stable offset. */

/* settling: a partition whose leader is just being made or moved; it passes in moments. Sleeps a little; false when time is over. */
static bool
settling(const struct afti_kafka *k, rd_kafka_resp_err_t err, int *waited_ms)
{
    if ((err != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION &&
         err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) ||
        *waited_ms >= k->timeout_ms)
        return false;
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    *waited_ms += 50;
    return true;
}

enum aft_err
afti_kafka_range(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin,
                 int64_t *end, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    struct afti_kafka_topic *t;
    rd_kafka_resp_err_t err;
    int waited_ms = 0;
    AFT_TRY(afti_kafka_topic(k, topic, partition, &t, e));
    /* On the reading connection a question waits behind the fetch, which waits for records at the broker. A topic that we write
     * has another one; and both ask for what is committed. */
    rd_kafka_t *by = k->producer && t->writing ? k->producer : k->consumer;
    do
        err = rd_kafka_query_watermark_offsets(by, topic, partition, begin, end, k->timeout_ms);
    while (settling(k, err, &waited_ms));
    return err ? afti_kafka_failed(k, topic, err, NULL, e) : AFT_OK;
}

static rd_kafka_resp_err_t
ask_offset(struct afti_kafka *k, const char *topic, int32_t partition, int64_t time_ms,
           int64_t *offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = time_ms < 0 ? 0 : time_ms;
    rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(k->consumer, list, k->timeout_ms);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        err = list->elems[0].err;
    *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}

enum aft_err
afti_kafka_offset_at(struct aft_log *l, const char *topic, int32_t partition, int64_t time_ms,
                     int64_t *offset, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    struct afti_kafka_topic *t;
    rd_kafka_resp_err_t err;
    int64_t begin;
    int waited_ms = 0;
    AFT_TRY(afti_kafka_topic(k, topic, partition, &t, e));
    do
        err = ask_offset(k, topic, partition, time_ms, offset);
    while (settling(k, err, &waited_ms));
    if (err)
        return afti_kafka_failed(k, topic, err, NULL, e);
    return *offset >= 0 ? AFT_OK : afti_kafka_range(l, topic, partition, &begin, offset, e);
}
