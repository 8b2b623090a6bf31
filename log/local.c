/* local.c - see local.h. What flows in: appends and their offsets, topics' facts; out: acknowledgements, assignments, refusals
 * in words. Thread: the handle's. */
#include "log/local.h"

#include <stdlib.h>

void *
afti_take(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    AFT_ASSERT(p != NULL);
    return p;
}

void
afti_acks_push(struct afti_acks *q, afti_acked_fn *acked, void *ctx, int64_t offset,
               const struct aft_error *err)
{
    if (!acked)
        return;
    if (q->n == q->cap) {
        q->cap = q->cap ? q->cap * 2 : 64;
        q->p = realloc(q->p, q->cap * sizeof *q->p);
        AFT_ASSERT(q->p != NULL);
    }
    struct aft_error *copy = NULL;
    if (err) {
        copy = afti_take(sizeof *copy);
        *copy = *err;
    }
    q->p[q->n++] = (struct afti_ack){acked, ctx, offset, copy};
}

void
afti_acks_deliver(struct afti_acks *q)
{
    size_t n = q->n;
    for (size_t i = 0; i < n; i++) {
        struct afti_ack ack = q->p[i]; /* by value: acked may append and move the array */
        ack.acked(ack.ctx, ack.offset, ack.err);
        free(ack.err);
    }
    AFT_ASSERT(q->n >= n);
    q->n -= n;
    if (q->n)
        memmove(q->p, q->p + n, q->n * sizeof *q->p);
}

void
afti_acks_fail(struct afti_acks *q, const struct aft_error *err)
{
    for (size_t i = 0; i < q->n; i++)
        if (!q->p[i].err) {
            q->p[i].offset = -1;
            q->p[i].err = afti_take(sizeof *err);
            *q->p[i].err = *err;
        }
}

void
afti_acks_deinit(struct afti_acks *q)
{
    for (size_t i = 0; i < q->n; i++)
        free(q->p[i].err);
    free(q->p);
    *q = (struct afti_acks){0};
}

/* Kafka's own rule for a topic's name. */
static bool
name_is_legal(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 249 || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
        return false;
    return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

enum aft_err
afti_check_spec(const struct aft_topic_spec *s, struct aft_error *e)
{
    if (!name_is_legal(s->name))
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "'%s' cannot be a topic's name: use letters, digits, '.', '_' and '-', "
                        "at most 249 of them",
                        s->name);
    if (s->partitions < 1 || (uint32_t)s->partitions > AFT_PARTITIONS_MAX)
        return AFT_FAIL(e, AFT_E_CONFIG, "topic %s: %d partitions; ask for 1 to %u", s->name,
                        s->partitions, AFT_PARTITIONS_MAX);
    return AFT_OK;
}

enum aft_err
afti_no_topic(const char *topic, struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_CONFIG,
                    "topic %s does not exist: create it (aftertouch topics create) or correct its "
                    "name in topics.*",
                    topic);
}

enum aft_err
afti_check_partition(const char *topic, int32_t partition, int32_t partitions, struct aft_error *e)
{
    if (partition < 0 || partition >= partitions)
        return AFT_FAIL(e, AFT_E_CONFIG, "topic %s has no partition %d: it has 0 to %d", topic,
                        partition, partitions - 1);
    return AFT_OK;
}

enum aft_err
afti_check_offset(const char *topic, int32_t partition, int64_t offset, int64_t end,
                  struct aft_error *e)
{
    if (offset < 0 || offset > end)
        return AFT_FAIL(
            e, AFT_E_GAP,
            "%s/%d has no offset %lld: it holds 0 to %lld. The log was replaced or cut; "
            "restore it, or start a new app.id",
            topic, partition, (long long)offset, (long long)end);
    return AFT_OK;
}

enum aft_err
afti_choose_partition(const struct aft_append *a, int32_t partitions, uint32_t *turn, int32_t *out,
                      struct aft_error *e)
{
    if (a->partition != -1)
        *out = a->partition;
    else if (a->key.p)
        *out = aft_partition_of(a->key, partitions);
    else
        *out = (int32_t)((*turn)++ % (uint32_t)partitions);
    return afti_check_partition(a->topic, *out, partitions, e);
}

/* ---- group */
struct aft_group {
    struct aft_log
        *log; /* first member: log_kafka_group.c has a struct of its own and never meets this one */
    bool told;
    uint32_t n;
    int32_t partitions[];
};

enum aft_err
afti_local_group_open(struct aft_log *l, const char *group_id, const char *const *topics,
                      uint32_t topics_n, struct aft_group **out, struct aft_error *e)
{
    AFT_ASSERT(topics_n > 0 && group_id);
    int32_t first = 0;
    for (uint32_t i = 0; i < topics_n; i++) {
        struct aft_topic_facts f;
        AFT_TRY(l->ops->topic_facts(l, topics[i], &f, e));
        if (f.partitions == 0)
            return afti_no_topic(topics[i], e);
        if (i == 0)
            first = f.partitions;
        if (f.partitions != first)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "group %s: %s has %d partitions, %s has %d; they must be equal, so "
                            "that a user's records meet: create one of them anew",
                            group_id, topics[0], first, topics[i], f.partitions);
    }
    struct aft_group *g = afti_take(sizeof *g + (size_t)first * sizeof g->partitions[0]);
    g->n = (uint32_t)first;
    for (int32_t p = 0; p < first; p++)
        g->partitions[p] = p;
    *out = g;
    return AFT_OK;
}

enum aft_err
afti_local_group_poll(struct aft_group *g, int timeout_ms, struct aft_assignment *out,
                      struct aft_error *e)
{
    (void)timeout_ms; /* nothing will ever come: no use in waiting for it */
    (void)e;
    *out = (struct aft_assignment){.event = AFT_GROUP_NOTHING};
    if (!g->told) {
        *out = (struct aft_assignment){AFT_GROUP_ASSIGNED, g->partitions, g->n, false};
        g->told = true;
    }
    return AFT_OK;
}

void
afti_local_group_commit(struct aft_group *g, const char *topic, int32_t partition, int64_t offset)
{
    AFT_ASSERT(g && topic && partition >= 0 && offset >= 0); /* nobody else looks at our lag here */
}

enum aft_err
afti_local_mark_put(struct aft_log *l, const char *name, const char *topic, int32_t partition,
                    const struct aft_mark *mark, struct aft_error *e)
{
    (void)e;
    AFT_ASSERT(l && name && topic && partition >= 0 && mark->offset >= 0);
    return AFT_OK;
}

enum aft_err
afti_local_mark_look(struct aft_log *l, const char *name, const char *topic, int32_t partitions,
                     struct aft_mark *out, struct aft_error *e)
{
    (void)e;
    AFT_ASSERT(l && name && topic && partitions >= 0);
    for (int32_t p = 0; p < partitions; p++)
        out[p] = (struct aft_mark){.offset = -1};
    return AFT_OK;
}

struct timespec
afti_deadline(int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

void
afti_local_group_close(struct aft_group *g)
{
    free(g);
}
