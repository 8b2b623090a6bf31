/* test_log_kafka.c - the cases of tests/log_cases.h over a real Kafka, and what only Kafka has: groups of two, a broker that stops
 * answering for five seconds, retention that took the offset, properties that are refused.
 *
 * AFT_KAFKA=host:port says where it is. AFT_KAFKA_PAUSE and AFT_KAFKA_CONT are commands that stop and continue the broker's process
 * (tests/integration/run sets all three); a case whose variable is missing fails. */
#include "tests/log_cases.h"

#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "log/log_kafka.h"

static const char *
needed(const char *variable)
{
    const char *value = getenv(variable);
    if (!value || !value[0])
        fail_msg("%s is not set: run tests/integration/run, which brings up a broker", variable);
    return value;
}

static struct aft_log *
open_kafka(void *ctx)
{
    struct aft_error e;
    struct aft_log *l;
    const struct aft_kafka_options *o = ctx;
    LOG_OK(aft_log_kafka_open(o, &l, &e));
    return l;
}

/* ---- groups */
struct member {
    struct aft_log *log;
    struct aft_group *group;
    bool has[4];
    uint32_t n;
    int revoked;
};

static void
member_step(struct member *m)
{
    struct aft_error e;
    struct aft_assignment a;
    LOG_OK(m->log->ops->group_poll(m->group, 50, &a, &e));
    if (a.event == AFT_GROUP_NOTHING)
        return;
    for (uint32_t i = 0; i < a.n; i++) {
        assert_in_range(a.partitions[i], 0, 3);
        m->has[a.partitions[i]] = a.event == AFT_GROUP_ASSIGNED;
    }
    if (a.event == AFT_GROUP_REVOKED)
        m->revoked++;
    assert_false(a.lost);
    m->n = (uint32_t)(m->has[0] + m->has[1] + m->has[2] + m->has[3]);
}

static void
member_open(struct member *m, const char *id, const char *const *topics)
{
    struct aft_error e;
    *m = (struct member){.log = log_handle()};
    LOG_OK(m->log->ops->group_open(m->log, id, topics, 2, &m->group, &e));
}

static void
member_close(struct member *m)
{
    m->log->ops->group_close(m->group);
    m->log->ops->close(m->log);
}

static void
group_of_two(void **state)
{
    (void)state;
    struct aft_log *l = log_handle();
    const char *topics[] = {log_topic(l, "two-a", 4), log_topic(l, "two-b", 4)};
    char id[220];
    snprintf(id, sizeof id, "%stwo", log_under_test.prefix);
    struct member one, two;
    member_open(&one, id, topics);
    time_t until = time(NULL) + LOG_PATIENCE_S;
    while (one.n != 4 && time(NULL) < until)
        member_step(&one);
    assert_int_equal(one.n, 4);
    member_open(&two, id, topics);
    until = time(NULL) + LOG_PATIENCE_S;
    while ((one.n != 2 || two.n != 2) && time(NULL) < until) {
        member_step(&one);
        member_step(&two);
    }
    assert_int_equal(one.n, 2);
    assert_int_equal(two.n, 2);
    assert_true(one.revoked > 0);
    for (int p = 0; p < 4; p++)
        assert_true(one.has[p] != two.has[p]); /* each partition has one owner */
    assert_true(one.has[0] == one.has[1] && two.has[0] == two.has[1]); /* ranges */
    member_close(&two);
    until = time(NULL) + LOG_PATIENCE_S;
    while (one.n != 4 && time(NULL) < until)
        member_step(&one);
    assert_int_equal(one.n, 4);
    member_close(&one);
    l->ops->close(l);
}

/* ---- faults */
static void
broker_paused(void **state)
{
    (void)state;
    const char *stop = needed("AFT_KAFKA_PAUSE"), *go = needed("AFT_KAFKA_CONT");
    struct aft_error e;
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "paused", 1);
    log_put_numbered(l, topic, 0, 10);
    struct aft_log_reader *r;
    struct aft_record_in in[32];
    struct log_expect x = {0};
    uint32_t n;
    bool at_end = false;
    LOG_OK(l->ops->reader_open(l, topic, 0, 0, &r, &e));
    while (!at_end) {
        LOG_OK(l->ops->read(r, in, 32, 100, &n, &at_end, &e));
        for (uint32_t i = 0; i < n; i++)
            log_expect_numbered(&x, &in[i]);
    }
    assert_int_equal(system(stop), 0);
    struct log_ack acks[10] = {{0}};
    for (int i = 0; i < 10; i++) {
        char text[16];
        snprintf(text, sizeof text, "v%d", 10 + i);
        log_put(l, &(struct aft_append){topic, 0, -1, aft_text("k"), aft_text(text), NULL, 0,
                                        log_acked, &acks[i]});
    }
    for (time_t until = time(NULL) + 5; time(NULL) < until;) {
        enum aft_err err = l->ops->read(r, in, 32, 200, &n, &at_end, &e);
        assert_true(err == AFT_OK || aft_err_class(err) == AFT_CLASS_RETRY);
        assert_true(err != AFT_OK || n == 0);
        l->ops->poll(l, 100);
    }
    assert_int_equal(acks[0].called, 0);
    assert_int_equal(l->ops->flush(l, 100, &e), AFT_E_TIMEOUT);
    assert_int_equal(system(go), 0);
    log_flush(l);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(acks[i].err, AFT_OK);
        assert_int_equal(acks[i].offset, 10 + i);
    }
    for (time_t until = time(NULL) + LOG_PATIENCE_S; x.next < 20 && time(NULL) < until;) {
        enum aft_err err = l->ops->read(r, in, 32, 100, &n, &at_end, &e);
        assert_true(err == AFT_OK || aft_err_class(err) == AFT_CLASS_RETRY);
        for (uint32_t i = 0; err == AFT_OK && i < n; i++)
            log_expect_numbered(&x, &in[i]);
    }
    assert_int_equal(x.next, 20);
    l->ops->reader_close(r);
    l->ops->close(l);
}

/* ---- what a broker refuses for good */
static enum aft_err
put_sized(struct aft_log *l, const char *topic, size_t bytes, struct log_ack *ack)
{
    static char big[64 << 10];
    struct aft_error e;
    assert_true(bytes <= sizeof big);
    memset(big, 'x', sizeof big);
    return l->ops->append(l,
                          &(struct aft_append){.topic = topic,
                                               .timestamp_ms = -1,
                                               .value = {(const uint8_t *)big, bytes},
                                               .acked = log_acked,
                                               .ctx = ack},
                          &e);
}

static void
wait_for_acks(struct aft_log *l, const struct log_ack *acks, int n)
{
    int called = 0;
    for (time_t until = time(NULL) + LOG_PATIENCE_S; called < n && time(NULL) < until;) {
        l->ops->poll(l, 50);
        called = 0;
        for (int i = 0; i < n; i++)
            called += acks[i].called;
    }
    assert_int_equal(called, n);
}

/* after_the_end: the producer is at its end and all were told; the handle goes on, with another one. */
static void
after_the_end(struct aft_log *l, const char *topic, int64_t offset)
{
    struct log_ack ack = {0};
    assert_int_equal(put_sized(l, topic, 10, &ack), AFT_OK);
    log_flush(l);
    assert_int_equal(ack.err, AFT_OK);
    assert_int_equal(ack.offset, offset);
}

static void
refused_for_good(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    char topic[220];
    snprintf(topic, sizeof topic, "%srefused", log_under_test.prefix);
    struct aft_topic_spec spec = {
        .name = topic, .partitions = 1, .retention_ms = -1, .record_bytes = 10000};
    LOG_OK(l->ops->topic_create(l, &spec, &e));
    struct log_ack first = {0}, rest[20] = {{0}};
    int n = 1;
    assert_int_equal(put_sized(l, topic, 10, &first), AFT_OK);
    log_flush(l);
    assert_int_equal(first.err, AFT_OK);
    assert_int_equal(put_sized(l, topic, 20000, &rest[0]), AFT_OK);
    /* and others close behind it: on their way, queued, and refused by the handle; who was told may go on */
    for (; n < 20 && !rest[0].called; n++) {
        if (put_sized(l, topic, 9000, &rest[n]) != AFT_OK)
            break;
        l->ops->poll(l, 2);
    }
    wait_for_acks(l, rest, n);
    assert_int_equal(rest[0].err, AFT_E_BROKER);
    assert_non_null(strstr(rest[0].message, "max.message.bytes"));
    for (int i = 1; i < n; i++) /* none stands behind the hole */
        assert_int_equal(rest[i].err, AFT_E_BROKER);
    after_the_end(l, topic, 1);
    l->ops->close(l);
}

static void
fatal_producer(void **state)
{
    (void)state;
    static const struct aft_property lingering = {"linger.ms", "60000"};
    struct aft_error e;
    struct aft_log *l;
    struct aft_kafka_options o = *(const struct aft_kafka_options *)log_under_test.ctx;
    o.producer =
        &lingering; /* nothing is on its way to the broker, who would write it later, until it is flushed */
    o.producer_n = 1;
    LOG_OK(aft_log_kafka_open(&o, &l, &e));
    const char *topic = log_topic(l, "fatal", 1);
    struct log_ack before = {0}, queued[3] = {{0}};
    assert_int_equal(put_sized(l, topic, 10, &before), AFT_OK);
    log_flush(l);
    assert_int_equal(system(needed("AFT_KAFKA_PAUSE")), 0); /* so that they stay queued */
    for (int i = 0; i < 3; i++)
        assert_int_equal(put_sized(l, topic, 10, &queued[i]), AFT_OK);
    rd_kafka_test_fatal_error(((struct afti_kafka *)l)->producer,
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "for the test");
    struct aft_append next = {.topic = topic, .timestamp_ms = -1, .value = AFT_LITERAL("v")};
    enum aft_err err = l->ops->append(l, &next, &e);
    assert_int_equal(system(needed("AFT_KAFKA_CONT")), 0);
    assert_int_equal(err, AFT_E_BROKER);
    assert_non_null(strstr(e.message, "for the test"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(queued[i].called, 1);
        assert_int_equal(queued[i].err, AFT_E_BROKER);
    }
    after_the_end(l, topic, 1);
    l->ops->close(l);
}

static void
unreachable(void **state)
{
    (void)state;
    struct aft_error e = {0};
    struct aft_log *l;
    struct aft_kafka_options o = {.bootstrap = "127.0.0.1:1", .timeout_ms = 500};
    assert_int_equal(aft_log_kafka_open(&o, &l, &e), AFT_E_BROKER);
    assert_non_null(strstr(e.message, "127.0.0.1:1"));
    assert_non_null(strstr(e.message, "bootstrap.servers"));
    o.bootstrap = NULL;
    assert_int_equal(aft_log_kafka_open(&o, &l, &e), AFT_E_CONFIG);
}

static void
refused_properties(void **state)
{
    (void)state;
    static const struct aft_property wrong[] = {{"no.such.property", "1"},
                                                {"fetch.wait.max.ms", "soon"},
                                                {"auto.offset.reset", "earliest"},
                                                {"enable.auto.commit", "true"},
                                                {"group.id", "other"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct aft_error e = {0};
        struct aft_log *l;
        struct aft_kafka_options o = *(const struct aft_kafka_options *)log_under_test.ctx;
        o.consumer = &wrong[i];
        o.consumer_n = 1;
        assert_int_equal(aft_log_kafka_open(&o, &l, &e), AFT_E_CONFIG);
        assert_non_null(strstr(e.message, wrong[i].name));
    }
    struct aft_error e = {0};
    struct aft_log *l;
    struct aft_property acks = {"acks", "1"};
    struct aft_kafka_options o = *(const struct aft_kafka_options *)log_under_test.ctx;
    o.producer = &acks;
    o.producer_n = 1;
    assert_int_equal(aft_log_kafka_open(&o, &l, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "acks"));
}

/* A reader behind what a small queue holds must not stall: librdkafka looks again at a full queue only once a second, if nothing else
 * wakes its thread. Here that would be forty times. */
static void
slow_reader_small_queue(void **state)
{
    (void)state;
    static const struct aft_property small[] = {{"queued.min.messages", "100"},
                                                {"fetch.message.max.bytes", "16384"},
                                                {"fetch.max.bytes", "16384"},
                                                {"message.max.bytes", "16384"}};
    static const struct aft_property batch = {"batch.num.messages", "500"};
    struct aft_error e;
    struct aft_log *l;
    struct aft_kafka_options o = *(const struct aft_kafka_options *)log_under_test.ctx;
    o.producer = &batch;
    o.producer_n = 1;
    o.consumer = small;
    o.consumer_n = sizeof small / sizeof small[0];
    LOG_OK(aft_log_kafka_open(&o, &l, &e));
    const char *topic = log_topic(l, "backlog", 1);
    log_put_numbered(l, topic, 0, 50000);
    struct log_expect x = {0};
    time_t from = time(NULL);
    assert_int_equal(log_read(l, topic, 0, 0, log_expect_numbered, &x), 50000);
    assert_in_range(time(NULL) - from, 0, 25);
    l->ops->close(l);
}

static void
one_reader_a_partition(void **state)
{
    (void)state;
    struct aft_error e = {0};
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "once", 1);
    struct aft_log_reader *r, *again;
    log_put_numbered(l, topic, 0, 3);
    LOG_OK(l->ops->reader_open(l, topic, 0, 0, &r, &e));
    assert_int_equal(l->ops->reader_open(l, topic, 0, 0, &again, &e), AFT_E_FAILED);
    l->ops->reader_close(r);
    for (int i = 0; i < 5; i++) { /* closed and opened again: from where it is told to, each time */
        struct log_expect x = {i % 3};
        assert_int_equal(log_read(l, topic, 0, i % 3, log_expect_numbered, &x), 3 - i % 3);
    }
    l->ops->close(l);
}

int
main(void)
{
    char prefix[64];
    const char *bootstrap = getenv("AFT_KAFKA");
    if (!bootstrap || !bootstrap[0]) {
        fprintf(stderr, "AFT_KAFKA is not set: run tests/integration/run\n");
        return 1;
    }
    snprintf(prefix, sizeof prefix, "test-log-%lld-%d.", (long long)time(NULL), (int)getpid());
    struct aft_kafka_options o = {
        .bootstrap = bootstrap, .client_id = "test-log", .timeout_ms = 20000};
    log_under_test = (struct log_under_test){.open = open_kafka, .ctx = &o, .prefix = prefix};
    const struct CMUnitTest tests[] = {LOG_CASES,
                                       cmocka_unit_test(group_of_two),
                                       cmocka_unit_test(unreachable),
                                       cmocka_unit_test(refused_properties),
                                       cmocka_unit_test(one_reader_a_partition),
                                       cmocka_unit_test(refused_for_good),
                                       cmocka_unit_test(fatal_producer),
                                       cmocka_unit_test(slow_reader_small_queue),
                                       cmocka_unit_test(broker_paused)};
    return cmocka_run_group_tests_name("kafka", tests, NULL, NULL);
}
