/* mark_kafka.c - marks: an offset and a note a partition, kept as the committed offsets of a group that nobody joins (so the
 * brokers take them at any time). In: marks; out: marks as they stand.
 * Thread: the handle's.
 */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "log/log_kafka.h"

enum { LOOK_MS = 2000 };

static enum aft_err
marker_start(struct afti_kafka *k, const char *name, struct aft_error *e)
{
    char words[256];
    rd_kafka_conf_t *c;
    if (k->marker)
        return AFT_OK;
    AFT_TRY(afti_kafka_conf(k, AFTI_KAFKA_READ, &c, e));
    if (rd_kafka_conf_set(c, "group.id", name, words, sizeof words) == RD_KAFKA_CONF_OK)
        k->marker = rd_kafka_new(RD_KAFKA_CONSUMER, c, words, sizeof words);
    if (k->marker)
        return AFT_OK;
    rd_kafka_conf_destroy(c);
    return AFT_FAIL(e, AFT_E_CONFIG, "%s cannot name a group: %s", name, words);
}

enum aft_err
afti_kafka_mark_put(struct aft_log *l, const char *name, const char *topic, int32_t partition,
                    const struct aft_mark *mark, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    AFT_TRY(marker_start(k, name, e));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, topic, partition);
    one->offset = mark->offset;
    one->metadata_size = strlen(mark->note);
    one->metadata = afti_take(one->metadata_size + 1); /* the list frees it */
    memcpy(one->metadata, mark->note, one->metadata_size);
    (void)rd_kafka_commit(k->marker, list, 1); /* a lost one is made good by the next */
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(k->marker, 0);
    return AFT_OK;
}

static void
mark_of(const rd_kafka_topic_partition_t *told, struct aft_mark *out)
{
    size_t n = told->metadata_size < AFT_NOTE_MAX - 1 ? told->metadata_size : AFT_NOTE_MAX - 1;
    *out = (struct aft_mark){.offset = told->offset >= 0 ? told->offset : -1};
    if (told->metadata && n)
        memcpy(out->note, told->metadata, n);
}

enum aft_err
afti_kafka_mark_look(struct aft_log *l, const char *name, const char *topic, int32_t partitions,
                     struct aft_mark *out, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    AFT_TRY(marker_start(k, name, e));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)partitions);
    rd_kafka_topic_partition_list_add_range(list, topic, 0, partitions - 1);
    rd_kafka_resp_err_t err = rd_kafka_committed(k->marker, list, LOOK_MS);
    for (int i = 0; i < list->cnt && !err; i++)
        err = list->elems[i].err;
    for (int i = 0; i < list->cnt && !err; i++)
        mark_of(&list->elems[i], &out[list->elems[i].partition]);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_poll(k->marker, 0);
    return err ? afti_kafka_failed(k, "reading the owners' marks", err, NULL, e) : AFT_OK;
}
