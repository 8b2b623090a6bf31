/* log_cases.h - what every log must do, whoever stands behind the port: run by tests/unit/test_log.c over memory and the embedded log
 * and by tests/integration/test_log_kafka.c over a real Kafka. A program sets `log_under_test` in its main.
 *
 * Each case makes topics of its own (log_topic), so that they do not see each other's records, nor those of an earlier run.
 */
#ifndef AFT_TESTS_LOG_CASES_H
#define AFT_TESTS_LOG_CASES_H

#include "tests/kit.h"

#include "log/log.h"

#include <string.h>
#include <time.h>

struct log_under_test {
    struct aft_log *(*open)(void *ctx);
    void *ctx;
    const char *prefix; /* of topic names */
    bool hand_clock;    /* the log reads now_ms for its clock */
    int64_t now_ms;
};
static struct log_under_test log_under_test;

enum { LOG_PATIENCE_S = 180 };

#define LOG_OK(expression)                                                         \
    do {                                                                           \
        if ((expression) != AFT_OK) {                                              \
            fail_msg("%s: %s (%s)", #expression, e.message, aft_err_name(e.code)); \
        }                                                                          \
    } while (0)

static struct aft_log *
log_handle(void)
{
    return log_under_test.open(log_under_test.ctx);
}

/* log_topic creates prefix + name; the text lives until the next but three. */
static const char *
log_topic(struct aft_log *l, const char *name, int32_t partitions)
{
    static char names[4][200];
    static unsigned turn;
    char *full = names[turn++ % 4];
    struct aft_error e;
    snprintf(full, sizeof names[0], "%s%s", log_under_test.prefix, name);
    struct aft_topic_spec spec = {.name = full, .partitions = partitions, .retention_ms = -1};
    LOG_OK(l->ops->topic_create(l, &spec, &e));
    return full;
}

struct log_ack {
    int called;
    int64_t offset;
    enum aft_err err;
    char message[400];
};

static void
log_acked(void *ctx, int64_t offset, const struct aft_error *err)
{
    struct log_ack *a = ctx;
    a->called++;
    a->offset = offset;
    a->err = err ? err->code : AFT_OK;
    snprintf(a->message, sizeof a->message, "%s", err ? err->message : "");
}

static void
log_put(struct aft_log *l, const struct aft_append *a)
{
    struct aft_error e;
    enum aft_err err;
    while ((err = l->ops->append(l, a, &e)) == AFT_E_AGAIN)
        l->ops->poll(l, 10);
    LOG_OK(err);
}

static void
log_put_text(struct aft_log *l, const char *topic, int32_t partition, const char *value,
             int64_t timestamp_ms)
{
    log_put(l, &(struct aft_append){.topic = topic,
                                    .partition = partition,
                                    .timestamp_ms = timestamp_ms,
                                    .key = aft_text("k"),
                                    .value = aft_text(value)});
}

static void
log_flush(struct aft_log *l)
{
    struct aft_error e;
    LOG_OK(l->ops->flush(l, LOG_PATIENCE_S * 1000, &e));
}

/* log_read reads until want records came or the end was reached, and calls each for them; returns how many. */
static uint32_t
log_read(struct aft_log *l, const char *topic, int32_t partition, int64_t from,
         void (*each)(void *ctx, const struct aft_record_in *r), void *ctx)
{
    struct aft_error e;
    struct aft_log_reader *r;
    struct aft_record_in in[64];
    uint32_t total = 0, n;
    bool at_end = false;
    time_t deadline = time(NULL) + LOG_PATIENCE_S;
    LOG_OK(l->ops->reader_open(l, topic, partition, from, &r, &e));
    if (l->ops->with_headers)
        l->ops->with_headers(r);
    while (!at_end) {
        LOG_OK(l->ops->read(r, in, 64, 100, &n, &at_end, &e));
        for (uint32_t i = 0; i < n; i++)
            each(ctx, &in[i]);
        total += n;
        if (time(NULL) > deadline)
            fail_msg("%s/%d: no end within %d s", topic, partition, LOG_PATIENCE_S);
    }
    l->ops->reader_close(r);
    return total;
}

/* ---- an expectation: offsets in order, values "v<offset>" */
struct log_expect {
    int64_t next;
};
static void
log_expect_numbered(void *ctx, const struct aft_record_in *r)
{
    struct log_expect *x = ctx;
    char text[32];
    snprintf(text, sizeof text, "v%lld", (long long)x->next);
    assert_int_equal(r->offset, x->next);
    assert_true(aft_same(r->value, aft_text(text)));
    x->next++;
}

static void
log_put_numbered(struct aft_log *l, const char *topic, int32_t partition, int n)
{
    char text[32];
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "v%d", i);
        log_put_text(l, topic, partition, text, -1);
    }
    log_flush(l);
}

/* ---- cases */
static void
log_case_topics(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    struct aft_topic_facts f;
    char name[200];
    snprintf(name, sizeof name, "%sfacts", log_under_test.prefix);
    LOG_OK(l->ops->topic_facts(l, name, &f, &e));
    assert_int_equal(f.partitions, 0);
    struct aft_topic_spec spec = {.name = name,
                                  .partitions = 3,
                                  .retention_ms = 86400000,
                                  .compact = true,
                                  .log_append_time = true};
    LOG_OK(l->ops->topic_create(l, &spec, &e));
    LOG_OK(l->ops->topic_create(l, &spec, &e)); /* exists: ok */
    LOG_OK(l->ops->topic_facts(l, name, &f, &e));
    assert_int_equal(f.partitions, 3);
    assert_true(f.compact && f.log_append_time);
    assert_int_equal(f.retention_ms, 86400000);

    const char *plain = log_topic(l, "plain", 2);
    LOG_OK(l->ops->topic_facts(l, plain, &f, &e));
    assert_int_equal(f.partitions, 2);
    assert_false(f.compact || f.log_append_time);
    assert_int_equal(f.retention_ms, -1);

    spec = (struct aft_topic_spec){.name = "no spaces allowed", .partitions = 1};
    assert_int_equal(l->ops->topic_create(l, &spec, &e), AFT_E_CONFIG);
    l->ops->close(l);
}

static void
log_case_missing(void **state)
{
    (void)state;
    struct aft_error e = {0};
    struct aft_log *l = log_handle();
    struct aft_log_reader *r;
    int64_t a, b;
    char name[200];
    snprintf(name, sizeof name, "%sabsent", log_under_test.prefix);
    struct aft_append put = {.topic = name, .partition = 0, .value = aft_text("x")};
    assert_int_equal(l->ops->append(l, &put, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, name));
    assert_int_equal(l->ops->range(l, name, 0, &a, &b, &e), AFT_E_CONFIG);
    assert_int_equal(l->ops->reader_open(l, name, 0, 0, &r, &e), AFT_E_CONFIG);
    const char *topic = log_topic(l, "narrow", 2);
    put.topic = topic;
    put.partition = 2;
    assert_int_equal(l->ops->append(l, &put, &e), AFT_E_CONFIG);
    assert_int_equal(l->ops->range(l, topic, 2, &a, &b, &e), AFT_E_CONFIG);
    assert_int_equal(l->ops->reader_open(l, topic, 2, 0, &r, &e), AFT_E_CONFIG);
    l->ops->close(l);
}

static void
log_case_offsets(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "offsets", 2);
    struct log_ack acks[20] = {{0}};
    int64_t begin, end;
    LOG_OK(l->ops->range(l, topic, 0, &begin, &end, &e));
    assert_int_equal(begin, 0);
    assert_int_equal(end, 0);
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "v%d", i / 2);
        log_put(l, &(struct aft_append){topic, i % 2, -1, AFT_ABSENT, aft_text(text), NULL, 0,
                                        log_acked, &acks[i]});
    }
    log_flush(l);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(acks[i].called, 1);
        assert_int_equal(acks[i].err, AFT_OK);
        assert_int_equal(acks[i].offset, i / 2);
    }
    for (int32_t p = 0; p < 2; p++) {
        LOG_OK(l->ops->range(l, topic, p, &begin, &end, &e));
        assert_int_equal(begin, 0);
        assert_int_equal(end, 10);
        for (int64_t from = 0; from <= 10; from += 5) {
            struct log_expect x = {from};
            assert_int_equal(log_read(l, topic, p, from, log_expect_numbered, &x), 10 - from);
        }
    }
    l->ops->close(l);
}

static void
log_case_past_the_end(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "gap", 1);
    log_put_numbered(l, topic, 0, 3);
    struct aft_log_reader *r;
    struct aft_record_in in[4];
    uint32_t n;
    bool at_end;
    LOG_OK(l->ops->reader_open(l, topic, 0, 1000, &r, &e));
    enum aft_err err = AFT_OK;
    for (time_t until = time(NULL) + LOG_PATIENCE_S; err == AFT_OK && time(NULL) < until;)
        err = l->ops->read(r, in, 4, 100, &n, &at_end, &e);
    assert_int_equal(err, AFT_E_GAP);
    assert_non_null(strstr(e.message, "1000"));
    l->ops->reader_close(r);
    l->ops->close(l);
}

struct log_null_seen {
    int n;
};
static void
log_expect_nulls(void *ctx, const struct aft_record_in *r)
{
    struct log_null_seen *seen = ctx;
    switch (seen->n++) {
    case 0: /* null key, empty value */
        assert_null(r->key.p);
        assert_non_null(r->value.p);
        assert_int_equal(r->value.n, 0);
        assert_int_equal(r->headers_n, 0);
        break;
    case 1: /* null value, two headers: one empty, one null */
        assert_true(aft_same(r->key, aft_text("user")));
        assert_null(r->value.p);
        assert_int_equal(r->headers_n, 3);
        assert_true(aft_same(r->headers[0].name, aft_text("reason")));
        assert_true(aft_same(r->headers[0].value, aft_text("because")));
        assert_true(aft_same(r->headers[1].name, aft_text("none")));
        assert_null(r->headers[1].value.p);
        assert_true(aft_same(r->headers[2].value, (struct aft_bytes){(const uint8_t *)"\0\1", 2}));
        break;
    default: /* one header behind a record that had three */
        assert_int_equal(r->headers_n, 1);
        assert_true(aft_same(r->headers[0].name, aft_text("last")));
        assert_true(aft_same(r->value, aft_text("x")));
    }
}

static void
log_case_nulls_and_headers(void **state)
{
    (void)state;
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "nulls", 1);
    struct aft_header three[] = {{aft_text("reason"), aft_text("because")},
                                 {aft_text("none"), AFT_ABSENT},
                                 {aft_text("raw"), {(const uint8_t *)"\0\1", 2}}};
    struct aft_header one[] = {{aft_text("last"), aft_text("one")}};
    log_put(l, &(struct aft_append){topic, 0, -1, AFT_ABSENT, aft_text(""), NULL, 0, NULL, NULL});
    log_put(l,
            &(struct aft_append){topic, 0, -1, aft_text("user"), AFT_ABSENT, three, 3, NULL, NULL});
    log_put(l, &(struct aft_append){topic, 0, -1, AFT_ABSENT, aft_text("x"), one, 1, NULL, NULL});
    log_flush(l);
    struct log_null_seen seen = {0};
    assert_int_equal(log_read(l, topic, 0, 0, log_expect_nulls, &seen), 3);
    l->ops->close(l);
}

struct log_times {
    int64_t ms[4];
    int n;
};
static void
log_keep_time(void *ctx, const struct aft_record_in *r)
{
    struct log_times *t = ctx;
    assert_true(t->n < 4);
    t->ms[t->n++] = r->timestamp_ms;
}

static void
log_case_timestamps(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    int64_t real = (int64_t)time(NULL) * 1000, at, t0 = real - 3600000;
    const char *topic = log_topic(l, "times", 1);
    for (int i = 0; i < 3; i++)
        log_put_text(l, topic, 0, "x", t0 + i * 1000);
    log_put_text(l, topic, 0, "x", -1);
    log_flush(l);
    struct log_times t = {0};
    assert_int_equal(log_read(l, topic, 0, 0, log_keep_time, &t), 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(t.ms[i], t0 + i * 1000);
    if (log_under_test.hand_clock)
        assert_int_equal(t.ms[3], log_under_test.now_ms);
    else
        assert_true(llabs(t.ms[3] - real) < 120000);
    int64_t asked[] = {0, t0, t0 + 1, t0 + 1000, t0 + 2000}, want[] = {0, 0, 1, 1, 2};
    for (int i = 0; i < 5; i++) {
        LOG_OK(l->ops->offset_at(l, topic, 0, asked[i], &at, &e));
        assert_int_equal(at, want[i]);
    }
    LOG_OK(l->ops->offset_at(l, topic, 0, INT64_MAX / 2, &at, &e));
    assert_int_equal(at, 4); /* none so late: the end */

    char name[200];
    snprintf(name, sizeof name, "%sappendtime", log_under_test.prefix);
    struct aft_topic_spec spec = {
        .name = name, .partitions = 1, .retention_ms = -1, .log_append_time = true};
    LOG_OK(l->ops->topic_create(l, &spec, &e));
    log_put_text(l, name, 0, "x", t0);
    log_flush(l);
    t.n = 0;
    assert_int_equal(log_read(l, name, 0, 0, log_keep_time, &t), 1);
    assert_true(t.ms[0] != t0);
    l->ops->close(l);
}

static void
log_case_partitioner(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "keyed", 7);
    int64_t want[7] = {0}, begin, end;
    for (int i = 0; i < 100; i++) {
        char key[32];
        snprintf(key, sizeof key, "user-%d", i);
        want[aft_partition_of(aft_text(key), 7)]++;
        log_put(l, &(struct aft_append){topic, -1, -1, aft_text(key), aft_text("x"), NULL, 0, NULL,
                                        NULL});
    }
    log_flush(l);
    for (int32_t p = 0; p < 7; p++) {
        LOG_OK(l->ops->range(l, topic, p, &begin, &end, &e));
        assert_int_equal(end, want[p]);
    }
    l->ops->close(l);
}

/* Two handles, two readers of one handle, and a reader that waits at the end and sees what comes later. */
static void
log_case_two_handles(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *one = log_handle(), *two = log_handle();
    const char *topic = log_topic(one, "handles", 2);
    log_put_numbered(one, topic, 0, 5);
    log_put_numbered(two, topic, 1, 7);
    struct log_expect x = {0}, y = {0};
    assert_int_equal(log_read(two, topic, 0, 0, log_expect_numbered, &x), 5);
    assert_int_equal(log_read(one, topic, 1, 0, log_expect_numbered, &y), 7);

    struct aft_log_reader *a, *b;
    struct aft_record_in in[8];
    uint32_t n;
    bool at_end = false;
    LOG_OK(two->ops->reader_open(two, topic, 0, 5, &a, &e));
    LOG_OK(two->ops->reader_open(two, topic, 1, 6, &b, &e));
    while (!at_end) {
        LOG_OK(two->ops->read(a, in, 8, 100, &n, &at_end, &e));
        assert_int_equal(n, 0);
    }
    log_put_text(one, topic, 0, "later", -1);
    log_flush(one);
    for (n = 0; n == 0;)
        LOG_OK(two->ops->read(a, in, 8, 100, &n, &at_end, &e));
    assert_int_equal(n, 1);
    assert_int_equal(in[0].offset, 5);
    assert_true(aft_same(in[0].value, aft_text("later")));
    for (n = 0; n == 0;)
        LOG_OK(two->ops->read(b, in, 8, 100, &n, &at_end, &e));
    assert_int_equal(in[0].offset, 6);
    two->ops->reader_close(a);
    two->ops->reader_close(b);
    one->ops->close(one);
    two->ops->close(two);
}

struct log_many {
    int64_t next, bytes;
    uint64_t sum;
};
static void
log_count_many(void *ctx, const struct aft_record_in *r)
{
    struct log_many *m = ctx;
    assert_int_equal(r->offset, m->next);
    m->next++;
    m->bytes += (int64_t)r->value.n;
    m->sum += aft_hash64(r->value, 0);
}

static void
log_case_100k(void **state)
{
    (void)state;
    enum { RECORDS = 100000 };
    struct aft_error e;
    struct aft_log *l = log_handle();
    const char *topic = log_topic(l, "many", 1);
    uint8_t value[120];
    uint64_t sum = 0;
    struct log_ack last = {0};
    for (int i = 0; i < RECORDS; i++) {
        for (size_t k = 0; k < sizeof value; k++)
            value[k] = (uint8_t)(i * 7 + (int)k * (i >> 8));
        struct aft_bytes v = {value, sizeof value - (size_t)(i % 100)};
        sum += aft_hash64(v, 0);
        log_put(l, &(struct aft_append){topic, 0, -1, aft_text("key"), v, NULL, 0,
                                        i == RECORDS - 1 ? log_acked : NULL, &last});
        if (i % 1000 == 0)
            l->ops->poll(l, 0);
    }
    log_flush(l);
    assert_int_equal(last.called, 1);
    assert_int_equal(last.offset, RECORDS - 1);
    struct log_many m = {0};
    assert_int_equal(log_read(l, topic, 0, 0, log_count_many, &m), RECORDS);
    assert_true(m.sum == sum);
    int64_t begin, end;
    LOG_OK(l->ops->range(l, topic, 0, &begin, &end, &e));
    assert_int_equal(end, RECORDS);
    l->ops->close(l);
}

static void
log_case_group_alone(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *l = log_handle();
    const char *topics[] = {log_topic(l, "in-a", 4), log_topic(l, "in-b", 4)};
    const char *uneven[] = {topics[0], log_topic(l, "in-c", 3)};
    char id[220];
    snprintf(id, sizeof id, "%sgroup", log_under_test.prefix);
    struct aft_group *g;
    assert_int_equal(l->ops->group_open(l, id, uneven, 2, &g, &e), AFT_E_CONFIG);
    LOG_OK(l->ops->group_open(l, id, topics, 2, &g, &e));
    struct aft_assignment a = {AFT_GROUP_NOTHING, NULL, 0, false};
    for (time_t until = time(NULL) + LOG_PATIENCE_S;
         a.event == AFT_GROUP_NOTHING && time(NULL) < until;)
        LOG_OK(l->ops->group_poll(g, 100, &a, &e));
    assert_int_equal(a.event, AFT_GROUP_ASSIGNED);
    assert_int_equal(a.n, 4);
    for (int32_t p = 0; p < 4; p++)
        assert_int_equal(a.partitions[p], p);
    l->ops->group_commit(g, topics[0], 1, 0);
    LOG_OK(l->ops->group_poll(g, 0, &a, &e));
    assert_int_equal(a.event, AFT_GROUP_NOTHING);
    l->ops->group_close(g);
    l->ops->close(l);
}

#define LOG_CASES                                                                            \
    cmocka_unit_test(log_case_topics), cmocka_unit_test(log_case_missing),                   \
        cmocka_unit_test(log_case_offsets), cmocka_unit_test(log_case_past_the_end),         \
        cmocka_unit_test(log_case_nulls_and_headers), cmocka_unit_test(log_case_timestamps), \
        cmocka_unit_test(log_case_partitioner), cmocka_unit_test(log_case_two_handles),      \
        cmocka_unit_test(log_case_100k), cmocka_unit_test(log_case_group_alone)

#endif
