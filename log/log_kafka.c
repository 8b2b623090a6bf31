/* log_kafka.c - the log on Kafka, by librdkafka (2.0.2 and later): a handle is one consumer for reading and questions, and one
 * idempotent producer, made by the first append. This file: configuration, open, close. Beside it: admin_kafka.c (topics, ranges),
 * reader_kafka.c, producer_kafka.c, group_kafka.c (membership is a consumer of its own, which fetches nothing).
 *
 * What flows in: properties, records, offsets to read from; out: records, acknowledgements, assignments, errors in words.
 *
 * The reading consumer has no group: partitions are taken by rd_kafka_consume_start_queue, one queue each, from offsets that the
 * caller keeps. It needs no coordinator and no right on a group, and stopping waits for the partition to be let go, so that a
 * partition can be closed and opened again at once (an incremental unassign of 2.0.2 goes on behind the caller's back).
 *
 * I1 nothing is ever committed or reset by librdkafka itself: an offset that is gone is AFT_E_GAP, never a jump.
 * I2 a property that the guarantees stand on cannot be set to something else.
 * Thread: a handle and all that was opened from it belong to one thread; librdkafka's own threads only fill queues.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/log_kafka.h"

struct rule {
    unsigned roles; /* bits of afti_kafka_role */
    const char *name, *value;
};
enum {
    R = 1u << AFTI_KAFKA_READ,
    W = 1u << AFTI_KAFKA_WRITE,
    M = 1u << AFTI_KAFKA_MEMBER,
};

/* What the guarantees stand on (I1, I2). */
static const struct rule musts[] = {
    {R | M, "enable.auto.commit", "false"},
    {R | M, "enable.auto.offset.store", "false"},
    {R | M, "allow.auto.create.topics", "false"},
    {R | M, "auto.offset.reset", "error"},
    {R | M, "isolation.level", "read_committed"},
    {R, "enable.partition.eof", "true"},
    {R, "check.crcs", "true"},
    {M, "partition.assignment.strategy", "range"},
    {W, "enable.idempotence", "true"},
    {W, "enable.gapless.guarantee", "true"},
    {W, "acks", "all"},
    {W, "partitioner", "murmur2_random"},
};

/* What a user may change. Quick rather than thrifty: credit is waited for. Queues are bounded for each partition, and there are
 * many. message.timeout.ms=0: an append waits for its broker as long as the process lives; giving up would lose it. */
static const struct rule defaults[] = {
    {R | W | M, "socket.nagle.disable", "true"},
    {R | W | M, "reconnect.backoff.max.ms", "2000"},
    {R, "fetch.wait.max.ms", "10"},
    {R, "fetch.error.backoff.ms", "100"},
    {R, "queued.min.messages", "30000"},
    {R, "queued.max.messages.kbytes", "16384"},
    {W, "linger.ms", "2"},
    {W, "message.timeout.ms", "0"},
    {W, "queue.buffering.max.kbytes", "131072"},
    {W, "message.max.bytes", "8388608"}, /* an example is a little larger than its impression */
};

/* Of the membership alone: the reading consumer has no group, and must not take a member's static name. */
static const char *const member_only[] = {"group.instance.id", "session.timeout.ms",
                                          "heartbeat.interval.ms", "max.poll.interval.ms"};

bool
aft_kafka_secret(const char *property)
{
    static const char *const secrets[] = {"sasl.password", "ssl.key.password",
                                          "ssl.keystore.password", "ssl.key.pem",
                                          "sasl.oauthbearer.client.secret"};
    static const char *const roles[] = {"consumer.", "producer."};
    for (size_t i = 0; i < 2; i++)
        if (strncmp(property, roles[i], strlen(roles[i])) == 0)
            property += strlen(roles[i]);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strcmp(property, secrets[i]) == 0)
            return true;
    return false;
}

static enum aft_err
conf_set(rd_kafka_conf_t *c, const char *name, const char *value, struct aft_error *e)
{
    char words[256];
    if (rd_kafka_conf_set(c, name, value, words, sizeof words) == RD_KAFKA_CONF_OK)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_CONFIG, "kafka.%s: %s (see librdkafka's CONFIGURATION.md)", name,
                    aft_kafka_secret(name) ? "its value is refused" : words);
}

/* user_set: one property of the user's, unless it is one that we must have. */
static enum aft_err
user_set(rd_kafka_conf_t *c, enum afti_kafka_role role, const struct aft_property *p,
         struct aft_error *e)
{
    AFT_ASSERT(p->name && p->value);
    for (size_t i = 0; i < sizeof musts / sizeof musts[0]; i++)
        if (strcmp(p->name, musts[i].name) == 0 && strcmp(p->value, musts[i].value) != 0)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "kafka.%s=%s: it must be %s, or records could be lost or doubled; "
                            "remove the line",
                            p->name, p->value, musts[i].value);
    if (strcmp(p->name, "group.id") == 0 || strcmp(p->name, "transactional.id") == 0)
        return AFT_FAIL(e, AFT_E_CONFIG, "kafka.%s=%s: remove the line; app.id names the group",
                        p->name, p->value);
    for (size_t i = 0; i < sizeof member_only / sizeof member_only[0]; i++)
        if (role != AFTI_KAFKA_MEMBER && strcmp(p->name, member_only[i]) == 0)
            return AFT_OK;
    return conf_set(c, p->name, p->value, e);
}

static enum aft_err
rules_set(rd_kafka_conf_t *c, enum afti_kafka_role role, const struct rule *rules, size_t n,
          struct aft_error *e)
{
    for (size_t i = 0; i < n; i++)
        if (rules[i].roles & 1u << role)
            AFT_TRY(conf_set(c, rules[i].name, rules[i].value, e));
    return AFT_OK;
}

static enum aft_err
conf_fill(const struct afti_kafka *k, enum afti_kafka_role role, rd_kafka_conf_t *c,
          struct aft_error *e)
{
    const struct aft_kafka_options *o = &k->options;
    bool writes = role == AFTI_KAFKA_WRITE;
    const struct aft_property *own = writes ? o->producer : o->consumer;
    uint32_t own_n = writes ? o->producer_n : o->consumer_n;
    AFT_TRY(conf_set(c, "bootstrap.servers", o->bootstrap, e));
    if (o->client_id)
        AFT_TRY(conf_set(c, "client.id", o->client_id, e));
    AFT_TRY(rules_set(c, role, defaults, sizeof defaults / sizeof defaults[0], e));
    for (uint32_t i = 0; i < o->common_n; i++)
        AFT_TRY(user_set(c, role, &o->common[i], e));
    for (uint32_t i = 0; i < own_n; i++)
        AFT_TRY(user_set(c, role, &own[i], e));
    return rules_set(c, role, musts, sizeof musts / sizeof musts[0], e);
}

/* on_log: warnings and worse, as lines of ours; from librdkafka's threads. CONFWARN is about kafka.* keys that one role does not use. */
static void
on_log(const rd_kafka_t *rk, int level, const char *facility, const char *words)
{
    (void)rk;
    if (level <= 4 && strcmp(facility, "CONFWARN") != 0)
        aft_say(level <= 3 ? "error" : "warn", "kafka", "%s: %s", facility, words);
}

enum aft_err
afti_kafka_conf(const struct afti_kafka *k, enum afti_kafka_role role, struct rd_kafka_conf_s **out,
                struct aft_error *e)
{
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    enum aft_err err = conf_fill(k, role, c, e);
    if (err != AFT_OK) {
        rd_kafka_conf_destroy(c);
        return err;
    }
    rd_kafka_conf_set_log_cb(c, on_log);
    *out = c;
    return AFT_OK;
}

enum aft_err
afti_kafka_failed(const struct afti_kafka *k, const char *what, int rd_err, const char *words,
                  struct aft_error *e)
{
    const char *said = words ? words : rd_kafka_err2str((rd_kafka_resp_err_t)rd_err);
    switch (rd_err) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
        return AFT_FAIL(e, AFT_E_TIMEOUT, "%s: no answer from %s: %s%s%s", what,
                        k->options.bootstrap, said, k->heard[0] ? "; " : "", k->heard);
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        /* librdkafka's own view, which may be of a broker that has just woken up; a topic that is gone is found by asking for it */
        return AFT_FAIL(e, AFT_E_TIMEOUT,
                        "%s: %s: %s does not name it just now; if it does not come back, create "
                        "the topic (aftertouch topics create) or correct its name in topics.*",
                        what, said, k->options.bootstrap);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "%s: %s: create the topic (aftertouch topics create) or correct its name "
                        "in topics.*",
                        what, said);
    default:
        return AFT_FAIL(e, AFT_E_BROKER, "%s: %s refuses: %s", what, k->options.bootstrap, said);
    }
}

/* on_error: in the handle's thread, from polling. librdkafka mends most by itself; we keep the words. */
static void
on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct afti_kafka *k = opaque;
    (void)rk;
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        k->outages++;
    else
        snprintf(k->heard, sizeof k->heard, "%s", reason);
}

/* ---- open */
static char *
text_copy(const char *s)
{
    size_t n = s ? strlen(s) + 1 : 0;
    char *copy = s ? afti_take(n) : NULL;
    if (s)
        memcpy(copy, s, n);
    return copy;
}

static struct aft_property *
properties_copy(const struct aft_property *p, uint32_t n)
{
    struct aft_property *copy = afti_take(n * sizeof *copy);
    for (uint32_t i = 0; i < n; i++)
        copy[i] = (struct aft_property){text_copy(p[i].name), text_copy(p[i].value)};
    return copy;
}

static void
text_free(const char *s)
{
    free((void *)(uintptr_t)s); /* ours, by text_copy */
}

static void
properties_free(const struct aft_property *p, uint32_t n)
{
    for (uint32_t i = 0; p && i < n; i++) {
        text_free(p[i].name);
        text_free(p[i].value);
    }
    free((void *)(uintptr_t)p);
}

static void
handle_close(struct aft_log *l)
{
    struct afti_kafka *k = afti_kafka_of(l);
    AFT_ASSERT(k->readers == NULL); /* readers are closed before their handle */
    for (struct afti_kafka_topic *t = k->topics; t; t = t->next)
        if (t->reading)
            rd_kafka_topic_destroy(t->reading);
    afti_kafka_producer_close(k);
    if (k->marker)
        rd_kafka_destroy(k->marker);
    if (k->consumer)
        rd_kafka_destroy(k->consumer);
    for (struct afti_kafka_topic *t = k->topics, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    text_free(k->options.bootstrap);
    text_free(k->options.client_id);
    properties_free(k->options.common, k->options.common_n);
    properties_free(k->options.consumer, k->options.consumer_n);
    properties_free(k->options.producer, k->options.producer_n);
    free(k);
}

static const struct aft_log_ops kafka_ops = {
    .topic_create = afti_kafka_topic_create,
    .topic_delete = afti_kafka_topic_delete,
    .topic_facts = afti_kafka_topic_facts,
    .range = afti_kafka_range,
    .offset_at = afti_kafka_offset_at,
    .reader_open = afti_kafka_reader_open,
    .read = afti_kafka_read,
    .reader_close = afti_kafka_reader_close,
    .with_headers = afti_kafka_with_headers,
    .heard_end = afti_kafka_heard_end,
    .append = afti_kafka_append,
    .poll = afti_kafka_poll,
    .flush = afti_kafka_flush,
    .group_open = afti_kafka_group_open,
    .group_poll = afti_kafka_group_poll,
    .group_commit = afti_kafka_group_commit,
    .mark_put = afti_kafka_mark_put,
    .mark_look = afti_kafka_mark_look,
    .group_close = afti_kafka_group_close,
    .close = handle_close,
};

/* consumer_start: makes the reading consumer and asks a first question, so that a wrong address is known at once. */
static enum aft_err
consumer_start(struct afti_kafka *k, struct aft_error *e)
{
    char words[256];
    rd_kafka_conf_t *c;
    const struct rd_kafka_metadata *md;
    AFT_TRY(afti_kafka_conf(k, AFTI_KAFKA_WRITE, &c,
                            e)); /* its mistakes are told now, not by the first append */
    rd_kafka_conf_destroy(c);
    AFT_TRY(afti_kafka_conf(k, AFTI_KAFKA_READ, &c, e));
    rd_kafka_conf_set_opaque(c, k);
    rd_kafka_conf_set_error_cb(c, on_error);
    k->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, c, words, sizeof words);
    if (!k->consumer) {
        rd_kafka_conf_destroy(c);
        return AFT_FAIL(e, AFT_E_CONFIG, "kafka.*: %s", words);
    }
    rd_kafka_resp_err_t err = rd_kafka_metadata(k->consumer, 0, NULL, &md, k->timeout_ms);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(md);
        return AFT_OK;
    }
    rd_kafka_poll(k->consumer, 0); /* for the words */
    return AFT_FAIL(e, AFT_E_BROKER,
                    "no Kafka broker answers at %s within %d ms (%s): check "
                    "kafka.bootstrap.servers, the network and kafka.security.*",
                    k->options.bootstrap, k->timeout_ms,
                    k->heard[0] ? k->heard : rd_kafka_err2str(err));
}

enum aft_err
aft_log_kafka_open(const struct aft_kafka_options *o, struct aft_log **out, struct aft_error *e)
{
    if (!o->bootstrap || !o->bootstrap[0])
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "kafka.bootstrap.servers is not set: name a broker, host:port");
    struct afti_kafka *k = afti_take(sizeof *k);
    k->log.ops = &kafka_ops;
    k->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : 10000;
    k->options = *o;
    k->options.bootstrap = text_copy(o->bootstrap);
    k->options.client_id = text_copy(o->client_id);
    k->options.common = properties_copy(o->common, o->common_n);
    k->options.consumer = properties_copy(o->consumer, o->consumer_n);
    k->options.producer = properties_copy(o->producer, o->producer_n);
    enum aft_err err = consumer_start(k, e);
    if (err == AFT_OK)
        *out = &k->log;
    else
        handle_close(&k->log);
    return err;
}
