/* log_mem.c - the log in memory: tests, the simulator. Gone when its broker is freed.
 *
 * A broker has topics, a topic partitions, a partition an array of pointers to records; a record is one block that never moves and
 * lives as long as the broker, so what a read hands out borrows from it. An append is visible at once; its acknowledgement waits in the
 * handle for poll. Retention and compaction are kept as facts and not enforced: everything stays. Closing a handle forgets
 * acknowledgements that were not polled for, as a crash would.
 *
 * I1 a record's offset is its index: offsets are dense from 0.
 * I2 a topic, once created, neither moves nor goes.
 * Threads: one mutex a broker; a handle belongs to one thread. A read that waits sleeps on the broker's condition.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "log/local.h"

struct record {
    int64_t timestamp_ms;
    struct aft_bytes key, value;
    uint32_t headers_n;
    struct aft_header headers[]; /* then the bytes */
};

struct partition {
    struct record **p;
    size_t n, cap;
};

struct topic {
    struct topic *next;
    struct aft_topic_facts facts;
    struct partition *partition;
    char name[];
};

struct aft_memory_broker {
    pthread_mutex_t mutex;
    pthread_cond_t more; /* something was appended */
    struct aft_clock clock;
    struct topic *topics;
};

struct handle {
    struct aft_log log;
    struct aft_memory_broker *broker;
    struct afti_acks acks;
    uint32_t turn;
};

struct aft_log_reader {
    struct aft_memory_broker *broker;
    const struct topic *topic;
    struct partition *partition;
    int32_t number;
    int64_t next;
};

static struct handle *
handle_of(struct aft_log *l)
{
    return (struct handle *)l; /* log is the first member */
}

static struct topic *
topic_find(struct aft_memory_broker *b, const char *name)
{
    struct topic *t = b->topics;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    return t;
}

/* partition_find, topic_find: under the mutex; what they return never moves (I2). */
static enum aft_err
partition_find(struct aft_memory_broker *b, const char *topic, int32_t number,
               const struct topic **t, struct aft_error *e)
{
    *t = topic_find(b, topic);
    if (!*t)
        return afti_no_topic(topic, e);
    return afti_check_partition(topic, number, (*t)->facts.partitions, e);
}

static enum aft_err
topic_create(struct aft_log *l, const struct aft_topic_spec *spec, struct aft_error *e)
{
    struct aft_memory_broker *b = handle_of(l)->broker;
    AFT_TRY(afti_check_spec(spec, e));
    pthread_mutex_lock(&b->mutex);
    if (!topic_find(b, spec->name)) {
        size_t n = strlen(spec->name) + 1;
        struct topic *t = afti_take(sizeof *t + n);
        memcpy(t->name, spec->name, n);
        t->facts = (struct aft_topic_facts){spec->partitions, spec->compact, spec->log_append_time,
                                            spec->retention_ms};
        t->partition = afti_take((size_t)spec->partitions * sizeof *t->partition);
        t->next = b->topics;
        b->topics = t;
    }
    pthread_mutex_unlock(&b->mutex);
    return AFT_OK;
}

static enum aft_err
topic_facts(struct aft_log *l, const char *topic, struct aft_topic_facts *out, struct aft_error *e)
{
    struct aft_memory_broker *b = handle_of(l)->broker;
    (void)e;
    pthread_mutex_lock(&b->mutex);
    struct topic *t = topic_find(b, topic);
    *out = t ? t->facts : (struct aft_topic_facts){.retention_ms = INT64_MIN};
    pthread_mutex_unlock(&b->mutex);
    return AFT_OK;
}

static enum aft_err
range(struct aft_log *l, const char *topic, int32_t partition, int64_t *begin, int64_t *end,
      struct aft_error *e)
{
    struct aft_memory_broker *b = handle_of(l)->broker;
    const struct topic *t;
    pthread_mutex_lock(&b->mutex);
    enum aft_err err = partition_find(b, topic, partition, &t, e);
    if (err == AFT_OK) {
        *begin = 0;
        *end = (int64_t)t->partition[partition].n;
    }
    pthread_mutex_unlock(&b->mutex);
    return err;
}

static enum aft_err
offset_at(struct aft_log *l, const char *topic, int32_t partition, int64_t time_ms, int64_t *offset,
          struct aft_error *e)
{
    struct aft_memory_broker *b = handle_of(l)->broker;
    const struct topic *t;
    pthread_mutex_lock(&b->mutex);
    enum aft_err err = partition_find(b, topic, partition, &t, e);
    if (err == AFT_OK) {
        const struct partition *p = &t->partition[partition];
        size_t i = 0;
        while (i < p->n && p->p[i]->timestamp_ms < time_ms)
            i++;
        *offset = (int64_t)i;
    }
    pthread_mutex_unlock(&b->mutex);
    return err;
}

/* ---- reading */
static enum aft_err
reader_open(struct aft_log *l, const char *topic, int32_t partition, int64_t offset,
            struct aft_log_reader **out, struct aft_error *e)
{
    struct aft_memory_broker *b = handle_of(l)->broker;
    const struct topic *t;
    pthread_mutex_lock(&b->mutex);
    enum aft_err err = partition_find(b, topic, partition, &t, e);
    pthread_mutex_unlock(&b->mutex);
    AFT_TRY(err);
    struct aft_log_reader *r = afti_take(sizeof *r);
    *r = (struct aft_log_reader){b, t, &t->partition[partition], partition, offset};
    *out = r;
    return AFT_OK;
}

/* wait_for_more: under the mutex; until something is behind `next` or the time is over. */
static void
wait_for_more(struct aft_log_reader *r, int timeout_ms)
{
    struct timespec until = afti_deadline(timeout_ms);
    int waited = 0;
    while (waited != ETIMEDOUT && r->next == (int64_t)r->partition->n)
        waited = pthread_cond_timedwait(&r->broker->more, &r->broker->mutex, &until);
}

static enum aft_err
read_records(struct aft_log_reader *r, struct aft_record_in *out, uint32_t max, int timeout_ms,
             uint32_t *n, bool *at_end, struct aft_error *e)
{
    *n = 0;
    *at_end = false;
    pthread_mutex_lock(&r->broker->mutex);
    if (timeout_ms > 0 && r->next == (int64_t)r->partition->n)
        wait_for_more(r, timeout_ms);
    enum aft_err err =
        afti_check_offset(r->topic->name, r->number, r->next, (int64_t)r->partition->n, e);
    while (err == AFT_OK && *n < max && r->next < (int64_t)r->partition->n) {
        const struct record *s = r->partition->p[r->next];
        out[(*n)++] = (struct aft_record_in){r->next++, s->timestamp_ms, s->key,
                                             s->value,  s->headers,      s->headers_n};
    }
    *at_end = err == AFT_OK && r->next == (int64_t)r->partition->n;
    pthread_mutex_unlock(&r->broker->mutex);
    return err;
}

static void
reader_close(struct aft_log_reader *r)
{
    free(r);
}

/* ---- appending */
static struct aft_bytes
copy_into(uint8_t **at, struct aft_bytes b)
{
    if (!b.p)
        return AFT_ABSENT;
    struct aft_bytes copy = {*at, b.n};
    if (b.n)
        memcpy(*at, b.p, b.n);
    *at += b.n;
    return copy;
}

static struct record *
record_new(const struct aft_append *a, int64_t timestamp_ms)
{
    size_t heads = a->headers_n * sizeof(struct aft_header), n = a->key.n + a->value.n;
    for (uint32_t i = 0; i < a->headers_n; i++)
        n += a->headers[i].name.n + a->headers[i].value.n;
    struct record *r = afti_take(sizeof *r + heads + n + 1);
    uint8_t *at = (uint8_t *)r + sizeof *r + heads;
    r->timestamp_ms = timestamp_ms;
    r->key = copy_into(&at, a->key);
    r->value = copy_into(&at, a->value);
    r->headers_n = a->headers_n;
    for (uint32_t i = 0; i < a->headers_n; i++) {
        r->headers[i].name = copy_into(&at, a->headers[i].name);
        r->headers[i].value = copy_into(&at, a->headers[i].value);
    }
    return r;
}

static int64_t
partition_push(struct partition *p, struct record *r)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        p->p = realloc(p->p, p->cap * sizeof *p->p);
        AFT_ASSERT(p->p != NULL);
    }
    p->p[p->n] = r;
    return (int64_t)p->n++; /* I1 */
}

static enum aft_err
append(struct aft_log *l, const struct aft_append *a, struct aft_error *e)
{
    struct handle *h = handle_of(l);
    struct aft_memory_broker *b = h->broker;
    enum aft_err err = AFT_OK;
    pthread_mutex_lock(&b->mutex);
    struct topic *t = topic_find(b, a->topic);
    int32_t number = 0;
    if (!t)
        err = afti_no_topic(a->topic, e);
    else
        err = afti_choose_partition(a, t->facts.partitions, &h->turn, &number, e);
    if (t && err == AFT_OK) {
        bool ours = a->timestamp_ms < 0 || t->facts.log_append_time;
        int64_t time_ms = ours ? b->clock.wall_ms(b->clock.ctx) : a->timestamp_ms;
        int64_t offset = partition_push(&t->partition[number], record_new(a, time_ms));
        afti_acks_push(&h->acks, a->acked, a->ctx, offset, NULL);
        pthread_cond_broadcast(&b->more);
    }
    pthread_mutex_unlock(&b->mutex);
    return err;
}

static void
poll_acks(struct aft_log *l, int timeout_ms)
{
    (void)timeout_ms; /* what was appended is there already */
    afti_acks_deliver(&handle_of(l)->acks);
}

static enum aft_err
flush(struct aft_log *l, int timeout_ms, struct aft_error *e)
{
    (void)timeout_ms;
    (void)e;
    while (handle_of(l)->acks.n)
        afti_acks_deliver(&handle_of(l)->acks);
    return AFT_OK;
}

static void
handle_close(struct aft_log *l)
{
    afti_acks_deinit(&handle_of(l)->acks);
    free(l);
}

/* ---- the broker */
static const struct aft_log_ops memory_ops = {
    .topic_create = topic_create,
    .topic_facts = topic_facts,
    .range = range,
    .offset_at = offset_at,
    .reader_open = reader_open,
    .read = read_records,
    .reader_close = reader_close,
    .append = append,
    .poll = poll_acks,
    .flush = flush,
    .group_open = afti_local_group_open,
    .group_poll = afti_local_group_poll,
    .group_commit = afti_local_group_commit,
    .mark_put = afti_local_mark_put,
    .mark_look = afti_local_mark_look,
    .group_close = afti_local_group_close,
    .close = handle_close,
};

struct aft_memory_broker *
aft_memory_broker_new(struct aft_clock clock)
{
    struct aft_memory_broker *b = afti_take(sizeof *b);
    pthread_condattr_t monotonic;
    AFT_ASSERT(pthread_mutex_init(&b->mutex, NULL) == 0);
    AFT_ASSERT(pthread_condattr_init(&monotonic) == 0);
    AFT_ASSERT(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    AFT_ASSERT(pthread_cond_init(&b->more, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    b->clock = clock;
    return b;
}

void
aft_memory_broker_free(struct aft_memory_broker *b)
{
    if (!b)
        return;
    for (struct topic *t = b->topics, *next; t; t = next) {
        next = t->next;
        for (int32_t i = 0; i < t->facts.partitions; i++) {
            for (size_t k = 0; k < t->partition[i].n; k++)
                free(t->partition[i].p[k]);
            free(t->partition[i].p);
        }
        free(t->partition);
        free(t);
    }
    pthread_cond_destroy(&b->more);
    pthread_mutex_destroy(&b->mutex);
    free(b);
}

struct aft_log *
aft_log_memory(struct aft_memory_broker *b)
{
    struct handle *h = afti_take(sizeof *h);
    h->log.ops = &memory_ops;
    h->broker = b;
    return &h->log;
}
