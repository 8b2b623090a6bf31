/* test_topics.c - topics create | check over the log in memory: what is created passes, and each thing that is wrong is named. */
#include "tests/kit.h"

#include <string.h>

#include "consumer/consumer.h"

static int64_t
no_time(void *ctx)
{
    (void)ctx;
    return 1;
}

struct bench {
    struct aft_memory_broker *broker;
    struct aft_log *log;
    struct aft_config *config;
    char lines[8192];
};

static void
keep(void *ctx, const char *text)
{
    struct bench *b = ctx;
    size_t n = strlen(b->lines);
    snprintf(b->lines + n, sizeof b->lines - n, "%s\n", text);
}

static void
bench_open(struct bench *b)
{
    struct aft_error e;
    *b = (struct bench){.broker = aft_memory_broker_new((struct aft_clock){NULL, no_time, no_time}),
                        .config = aft_config_new()};
    b->log = aft_log_memory(b->broker);
    assert_int_equal(aft_config_set(b->config, "topics.partitions", "3", &e), AFT_OK);
    assert_int_equal(aft_config_set(b->config, "join.window", "10d", &e), AFT_OK);
    assert_int_equal(aft_config_set(b->config, "join.grace", "1d", &e), AFT_OK);
    assert_int_equal(aft_config_check(b->config, &e), AFT_OK);
}

static void
bench_close(struct bench *b)
{
    b->log->ops->close(b->log);
    aft_memory_broker_free(b->broker);
    aft_config_free(b->config);
}

static void
created_passes(void **state)
{
    (void)state;
    struct bench b;
    struct aft_error e;
    struct aft_topic_facts f;
    bench_open(&b);
    assert_int_equal(aft_topics_check(b.config, b.log, keep, &b, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "impressions"));
    assert_non_null(strstr(e.message, "topics create"));
    assert_int_equal(aft_topics_create(b.config, b.log, &e), AFT_OK);
    assert_int_equal(aft_topics_create(b.config, b.log, &e), AFT_OK); /* again: the same */
    b.lines[0] = '\0';
    assert_int_equal(aft_topics_check(b.config, b.log, keep, &b, &e), AFT_OK);
    assert_null(strstr(b.lines, "wrong"));
    assert_null(strstr(b.lines, "warn"));
    assert_int_equal(b.log->ops->topic_facts(b.log, "impressions", &f, &e), AFT_OK);
    assert_int_equal(f.partitions, 3);
    assert_true(f.log_append_time && !f.compact);
    assert_int_equal(f.retention_ms, 22 * 86400000ll); /* 2 x window + grace + a day */
    assert_int_equal(b.log->ops->topic_facts(b.log, "aftertouch.snapshots", &f, &e), AFT_OK);
    assert_int_equal(f.partitions, 1);
    assert_true(f.compact);
    assert_int_equal(b.log->ops->topic_facts(b.log, "aftertouch.rounds", &f, &e), AFT_OK);
    assert_int_equal(f.partitions, 1);
    assert_int_equal(f.retention_ms, -1);
    assert_int_equal(aft_config_set(b.config, "topics.history", "history", &e), AFT_OK);
    assert_int_equal(aft_config_check(b.config, &e), AFT_OK); /* named: now there must be one */
    assert_int_equal(aft_topics_check(b.config, b.log, keep, &b, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "history does not exist"));
    assert_int_equal(aft_topics_create(b.config, b.log, &e), AFT_OK);
    assert_int_equal(aft_topics_check(b.config, b.log, keep, &b, &e), AFT_OK);
    assert_int_equal(b.log->ops->topic_facts(b.log, "history", &f, &e), AFT_OK);
    assert_true(f.partitions == 3 && f.compact);
    assert_int_equal(f.retention_ms, 31 * 86400000ll); /* history.days and one */
    bench_close(&b);
}

/* One topic is there before, as the case has it; the rest is created; check says what. */
static void
each_wrong_is_named(void **state)
{
    (void)state;
    static const int64_t day = 86400000;
    static const struct {
        struct aft_topic_spec spec;
        enum aft_err err;
        const char *words;
    } cases[] = {
        {{"outcomes", 4, 40 * day, false, true, 0, 0}, AFT_E_CONFIG, "they must be equal"},
        {{"aftertouch.clock", 2, 40 * day, false, false, 0, 0}, AFT_E_CONFIG, "they must be equal"},
        {{"aftertouch.rounds", 3, -1, false, false, 0, 0}, AFT_E_CONFIG, "must have one"},
        {{"aftertouch.snapshots", 1, -1, false, false, 0, 0}, AFT_E_CONFIG, "to compact"},
        {{"impressions", 3, 40 * day, true, true, 0, 0}, AFT_E_CONFIG, "to delete"},
        {{"outcomes", 3, 11 * day - 1, false, true, 0, 0}, AFT_E_CONFIG, "at least 950400000"},
        {{"outcomes", 3, 11 * day, false, true, 0, 0}, AFT_OK, "at least 1814400000"},
        {{"outcomes", 3, -1, false, false, 0, 0}, AFT_OK, "LogAppendTime"},
        {{"aftertouch.rounds", 1, day, false, false, 0, 0}, AFT_OK, "replay from the beginning"},
        {{"history", 3, 30 * day, true, false, 0, 0}, AFT_E_CONFIG, "forgotten early"},
        {{"history", 3, 40 * day, false, false, 0, 0}, AFT_E_CONFIG, "to compact"},
        {{"history", 2, 40 * day, true, false, 0, 0}, AFT_E_CONFIG, "they must be equal"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench b;
        struct aft_error e = {0};
        bench_open(&b);
        assert_int_equal(aft_config_set(b.config, "topics.history", "history", &e), AFT_OK);
        assert_int_equal(aft_config_check(b.config, &e), AFT_OK);
        assert_int_equal(b.log->ops->topic_create(b.log, &cases[i].spec, &e), AFT_OK);
        assert_int_equal(aft_topics_create(b.config, b.log, &e), AFT_OK);
        assert_int_equal(aft_topics_check(b.config, b.log, keep, &b, &e), cases[i].err);
        const char *where = strstr(b.lines, cases[i].err == AFT_OK ? "warn" : "wrong");
        assert_non_null(where);
        assert_non_null(strstr(where, cases[i].spec.name));
        assert_non_null(strstr(where, cases[i].words));
        if (cases[i].err != AFT_OK)
            assert_non_null(strstr(e.message, cases[i].words));
        bench_close(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(created_passes),
                                       cmocka_unit_test(each_wrong_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
