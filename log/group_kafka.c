/* group_kafka.c - membership of a consumer group: which partitions are ours. A consumer of its own subscribes, is given partitions,
 * pauses them all and so fetches nothing; records come by readers, from offsets that we keep ourselves. In: topics; out: assignments.
 *
 * The answer to a revocation is the caller's next poll: until then the group waits (up to max.poll.interval.ms), so that the caller can
 * let go of the partitions in order. range alone: it gives partition p of every topic to the same member when all topics have as many.
 *
 * A member that partitions were taken from (its session was over, a topic is gone) may never end in librdkafka 2.0.2, which waits for a
 * reference that it lost itself (mended in 2.1.1): such a one is left to a thread of its own when it is closed, and goes with the process.
 *
 * I1 an assignment that is handed out holds the same partitions of every topic, or it is refused in words.
 * Thread: its handle's; the rebalance callback runs inside poll.
 */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/log_kafka.h"

enum { MEMBERS_TOPICS_MAX = 8 };

struct aft_group {
    struct afti_kafka *kafka;
    rd_kafka_t *member;
    uint32_t topics_n;
    char *topics[MEMBERS_TOPICS_MAX], *id;
    bool bereft; /* partitions were taken from it */
    /* what the rebalance callback left for poll */
    enum aft_group_event event;
    bool lost, uneven;
    bool answer_due; /* a revocation was told: the next poll lets go */
    bool closing;
    int32_t partitions[AFT_PARTITIONS_MAX];
    uint32_t n;
    enum aft_err failed; /* of the member, not to be mended by polling */
    char heard[256];
};

static int
by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* numbers_of: the partitions of the first topic, ascending; uneven when another topic's differ (I1). */
static void
numbers_of(struct aft_group *g, const rd_kafka_topic_partition_list_t *list)
{
    g->n = 0;
    for (int i = 0; i < list->cnt; i++)
        if (strcmp(list->elems[i].topic, g->topics[0]) == 0 && g->n < AFT_PARTITIONS_MAX)
            g->partitions[g->n++] = list->elems[i].partition;
    qsort(g->partitions, g->n, sizeof g->partitions[0], by_number);
    g->uneven = (uint32_t)list->cnt != g->n * g->topics_n;
    for (int i = 0; i < list->cnt; i++)
        if (!bsearch(&list->elems[i].partition, g->partitions, g->n, sizeof g->partitions[0],
                     by_number))
            g->uneven = true;
}

static void
on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list,
             void *opaque)
{
    struct aft_group *g = opaque;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        for (int i = 0; i < list->cnt; i++)
            list->elems[i].offset = RD_KAFKA_OFFSET_END; /* paused: never read */
        rd_kafka_assign(rk, list);
        rd_kafka_pause_partitions(rk, list);
        numbers_of(g, list);
        g->event = AFT_GROUP_ASSIGNED;
        g->lost = false;
    } else if (g->closing || err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        rd_kafka_assign(rk, NULL);
    } else {
        g->lost = rd_kafka_assignment_lost(rk) != 0;
        g->bereft = g->bereft || g->lost;
        numbers_of(g, list);
        g->event = AFT_GROUP_REVOKED;
        g->answer_due = true;
    }
    rd_kafka_yield(rk); /* poll returns now, with the event */
}

static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct aft_group *g = opaque;
    (void)rk;
    snprintf(g->heard, sizeof g->heard, "%s", reason);
    if (err == RD_KAFKA_RESP_ERR__FATAL || err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
        err == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        g->failed = AFT_E_BROKER;
}

/* ---- open */
static enum aft_err
copartitioned(struct afti_kafka *k, const char *group_id, const char *const *topics, uint32_t n,
              struct aft_error *e)
{
    int32_t first = 0, partitions = 0;
    for (uint32_t i = 0; i < n; i++) {
        AFT_TRY(afti_kafka_partitions(k, topics[i], &partitions, e));
        if (partitions == 0)
            return afti_no_topic(topics[i], e);
        if (i == 0)
            first = partitions;
        if (partitions != first)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "group %s: %s has %d partitions, %s has %d; they must be equal, so "
                            "that a user's records meet: create one of them anew",
                            group_id, topics[0], first, topics[i], partitions);
    }
    return AFT_OK;
}

static char *
text_copy(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = afti_take(n);
    memcpy(copy, s, n);
    return copy;
}

static enum aft_err
member_start(struct aft_group *g, const char *group_id, struct aft_error *e)
{
    char words[256];
    rd_kafka_conf_t *c;
    AFT_TRY(afti_kafka_conf(g->kafka, AFTI_KAFKA_MEMBER, &c, e));
    if (rd_kafka_conf_set(c, "group.id", group_id, words, sizeof words) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(c);
        return AFT_FAIL(e, AFT_E_CONFIG, "app.id=%s cannot name a group: %s", group_id, words);
    }
    rd_kafka_conf_set_opaque(c, g);
    rd_kafka_conf_set_rebalance_cb(c, on_rebalance);
    rd_kafka_conf_set_error_cb(c, on_error);
    g->member = rd_kafka_new(RD_KAFKA_CONSUMER, c, words, sizeof words);
    if (!g->member) {
        rd_kafka_conf_destroy(c);
        return AFT_FAIL(e, AFT_E_CONFIG, "kafka.consumer.*: %s", words);
    }
    rd_kafka_poll_set_consumer(g->member);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)g->topics_n);
    for (uint32_t i = 0; i < g->topics_n; i++)
        rd_kafka_topic_partition_list_add(list, g->topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(g->member, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err ? afti_kafka_failed(g->kafka, "subscribe", err, NULL, e) : AFT_OK;
}

enum aft_err
afti_kafka_group_open(struct aft_log *l, const char *group_id, const char *const *topics,
                      uint32_t topics_n, struct aft_group **out, struct aft_error *e)
{
    struct afti_kafka *k = afti_kafka_of(l);
    AFT_ASSERT(topics_n > 0 && topics_n <= MEMBERS_TOPICS_MAX);
    AFT_TRY(copartitioned(k, group_id, topics, topics_n, e));
    struct aft_group *g = afti_take(sizeof *g);
    g->kafka = k;
    g->topics_n = topics_n;
    for (uint32_t i = 0; i < topics_n; i++)
        g->topics[i] = text_copy(topics[i]);
    g->id = text_copy(group_id);
    enum aft_err err = member_start(g, group_id, e);
    if (err == AFT_OK)
        *out = g;
    else
        afti_kafka_group_close(g);
    return err;
}

/* ---- poll */
static enum aft_err
told(struct aft_group *g, struct aft_assignment *out, struct aft_error *e)
{
    *out = (struct aft_assignment){g->event, g->partitions, g->n, g->lost};
    if (g->event == AFT_GROUP_NOTHING)
        out->n = 0;
    if (g->event != AFT_GROUP_ASSIGNED || !g->uneven)
        return AFT_OK;
    g->bereft = true; /* the likely reason: one of the topics was deleted, or got more partitions */
    AFT_TRY(copartitioned(g->kafka, g->id, (const char *const *)g->topics, g->topics_n, e));
    return AFT_FAIL(e, AFT_E_CONFIG,
                    "the group gave this member different partitions of %s and %s: every "
                    "member must use partition.assignment.strategy=range and the same topics",
                    g->topics[0], g->topics[g->topics_n - 1]);
}

enum aft_err
afti_kafka_group_poll(struct aft_group *g, int timeout_ms, struct aft_assignment *out,
                      struct aft_error *e)
{
    if (g->answer_due) {
        g->answer_due = false;
        rd_kafka_assign(g->member, NULL);
    }
    g->event = AFT_GROUP_NOTHING;
    rd_kafka_message_t *m = rd_kafka_consumer_poll(g->member, timeout_ms);
    if (m) {
        if (m->err && m->err != RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
            snprintf(g->heard, sizeof g->heard, "%s", rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m); /* a record that was fetched before the pause took hold */
    }
    if (g->failed != AFT_OK)
        return AFT_FAIL(e, g->failed,
                        "the consumer group cannot be joined at %s: %s (is the group readable for "
                        "this user, and group.instance.id used once?)",
                        g->kafka->options.bootstrap, g->heard);
    return told(g, out, e);
}

void
afti_kafka_group_commit(struct aft_group *g, const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    (void)rd_kafka_commit(g->member, list,
                          1); /* others see our lag by it; a lost one is made good by the next */
    rd_kafka_topic_partition_list_destroy(list);
}

static void *
ending(void *member)
{
    rd_kafka_destroy(member);
    return NULL;
}

/* member_end: see above. No callback of ours comes any more: the member has left its group. */
static void
member_end(const struct aft_group *g)
{
    pthread_t thread;
    if (!g->bereft)
        rd_kafka_destroy(g->member);
    else if (pthread_create(&thread, NULL, ending, g->member) == 0)
        pthread_detach(thread);
}

void
afti_kafka_group_close(struct aft_group *g)
{
    g->closing = true;
    if (g->member) {
        if (g->answer_due)
            rd_kafka_assign(g->member, NULL);
        rd_kafka_consumer_close(g->member);
        member_end(g);
    }
    free(g->id);
    for (uint32_t i = 0; i < g->topics_n; i++)
        free(g->topics[i]);
    free(g);
}
