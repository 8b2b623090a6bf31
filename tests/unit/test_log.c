/* test_log.c - the cases of tests/log_cases.h over the log in memory and the embedded log, and what the embedded one must do besides:
 * be the same after reopening, compact, refuse a second process, survive a reader beside its writer. */
#include "tests/log_cases.h"

#include <pthread.h>
#include <unistd.h>

static int64_t
hand_ms(void *ctx)
{
    const int64_t *ms = ctx;
    return *ms;
}

static struct aft_clock
hand_clock(void)
{
    return (struct aft_clock){&log_under_test.now_ms, hand_ms, hand_ms};
}

static struct aft_log *
open_memory(void *ctx)
{
    return aft_log_memory(ctx);
}

static struct aft_log *
open_embedded(void *ctx)
{
    return aft_log_embedded(ctx);
}

static char directory[64];

static struct aft_embedded *
embedded(void)
{
    struct aft_error e;
    struct aft_embedded *b;
    LOG_OK(aft_embedded_open(directory, hand_clock(), &b, &e));
    return b;
}

/* ---- the embedded log alone */
static int
embedded_setup(void **state)
{
    (void)state;
    kit_folder(directory, "log");
    return 0;
}

static int
embedded_teardown(void **state)
{
    (void)state;
    kit_remove(directory);
    return 0;
}

static void
reopened_is_the_same(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_topic_facts f;
    struct aft_embedded *b = embedded();
    struct aft_log *l = aft_log_embedded(b);
    struct aft_topic_spec spec = {
        .name = "r", .partitions = 2, .retention_ms = 77, .compact = true};
    LOG_OK(l->ops->topic_create(l, &spec, &e));
    const char *topic = log_topic(l, "reopened", 3);
    log_put_numbered(l, topic, 1, 40);
    log_put_text(l, topic, 0, "not polled for", -1);
    l->ops->close(l); /* as a crash: what was not written is not there */
    aft_embedded_close(b);

    b = embedded();
    l = aft_log_embedded(b);
    LOG_OK(l->ops->topic_facts(l, "r", &f, &e));
    assert_int_equal(f.partitions, 2);
    assert_int_equal(f.retention_ms, 77);
    assert_true(f.compact);
    int64_t want[3] = {0, 40, 0}, begin, end;
    for (int32_t p = 0; p < 3; p++) {
        LOG_OK(l->ops->range(l, topic, p, &begin, &end, &e));
        assert_int_equal(end, want[p]);
    }
    struct log_expect x = {0};
    assert_int_equal(log_read(l, topic, 1, 0, log_expect_numbered, &x), 40);
    struct log_ack ack = {0};
    log_put(l, &(struct aft_append){topic, 1, -1, AFT_ABSENT, aft_text("v40"), NULL, 0, log_acked,
                                    &ack});
    assert_int_equal(ack.called, 0); /* acknowledgements come from poll alone */
    l->ops->poll(l, 0);
    assert_int_equal(ack.called, 1);
    assert_int_equal(ack.offset, 40);
    l->ops->close(l);
    aft_embedded_close(b);
}

struct kept {
    int64_t offsets[16];
    char first[16];
    int n;
};
static void
keep(void *ctx, const struct aft_record_in *r)
{
    struct kept *k = ctx;
    assert_true(k->n < 16);
    k->first[k->n] = r->value.p ? (char)r->value.p[0] : '-';
    k->offsets[k->n++] = r->offset;
}

static void
compacted_keeps_the_last_two(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_embedded *b = embedded();
    struct aft_log *l = aft_log_embedded(b);
    struct aft_topic_spec spec = {
        .name = "c", .partitions = 1, .retention_ms = -1, .compact = true};
    LOG_OK(l->ops->topic_create(l, &spec, &e));
    const char *keys = "abacabadab", *values = "0123456789";
    for (int i = 0; i < 10; i++) { /* five in one batch, then one by one over a reopening */
        char key[2] = {keys[i], 0}, value[2] = {values[i], 0};
        log_put(l, &(struct aft_append){"c", 0, -1, aft_text(key), aft_text(value), NULL, 0, NULL,
                                        NULL});
        if (i < 5)
            continue;
        log_flush(l);
        l->ops->close(l);
        aft_embedded_close(b);
        b = embedded();
        l = aft_log_embedded(b);
    }
    struct kept k = {0};
    log_read(l, "c", 0, 0, keep, &k);
    int64_t want[] = {3, 5, 6, 7, 8, 9}; /* a: 6 8, b: 5 9, c: 3, d: 7 */
    assert_int_equal(k.n, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(k.offsets[i], want[i]);
        assert_int_equal(k.first[i], values[want[i]]);
    }
    struct aft_append keyless = {"c", 0, -1, AFT_ABSENT, aft_text("x"), NULL, 0, NULL, NULL};
    assert_int_equal(l->ops->append(l, &keyless, &e), AFT_E_VALUE);
    l->ops->close(l);
    aft_embedded_close(b);
}

static void
second_opening_is_refused(void **state)
{
    (void)state;
    struct aft_error e = {0};
    struct aft_embedded *b = embedded(), *again;
    assert_int_equal(aft_embedded_open(directory, hand_clock(), &again, &e), AFT_E_IO);
    assert_non_null(strstr(e.message, directory));
    aft_embedded_close(b);
}

/* ---- a writer beside a reader, each with its handle and thread */
enum { BESIDE = 20000 };
static void *
write_beside(void *ctx)
{
    struct aft_log *l = ctx;
    struct aft_error e;
    for (int i = 0; i < BESIDE; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "v%d", i);
        struct aft_append a = {
            .topic = "beside", .timestamp_ms = 1, .value = {(const uint8_t *)text, (size_t)n}};
        if (l->ops->append(l, &a, &e) != AFT_OK)
            return l;
        if (i % 37 == 0)
            l->ops->poll(l, 0);
    }
    return l->ops->flush(l, 1000, &e) == AFT_OK ? NULL : l;
}

static void
reader_beside_writer(void **state)
{
    (void)state;
    struct aft_error e;
    struct aft_log *reading = log_handle(), *writing = log_handle();
    struct aft_topic_spec spec = {.name = "beside", .partitions = 1, .retention_ms = -1};
    LOG_OK(reading->ops->topic_create(reading, &spec, &e));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_beside, writing), 0);
    struct aft_log_reader *r;
    LOG_OK(reading->ops->reader_open(reading, "beside", 0, 0, &r, &e));
    struct log_expect x = {0};
    struct aft_record_in in[100];
    time_t until = time(NULL) + LOG_PATIENCE_S;
    while (x.next < BESIDE && time(NULL) < until) {
        uint32_t n;
        bool at_end;
        LOG_OK(reading->ops->read(r, in, 100, 50, &n, &at_end, &e));
        for (uint32_t i = 0; i < n; i++)
            log_expect_numbered(&x, &in[i]);
    }
    void *failed;
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(x.next, BESIDE);
    reading->ops->reader_close(r);
    reading->ops->close(reading);
    writing->ops->close(writing);
}

int
main(void)
{
    const struct CMUnitTest both[] = {LOG_CASES, cmocka_unit_test(reader_beside_writer)};
    const struct CMUnitTest own[] = {
        cmocka_unit_test_setup_teardown(reopened_is_the_same, embedded_setup, embedded_teardown),
        cmocka_unit_test_setup_teardown(compacted_keeps_the_last_two, embedded_setup,
                                        embedded_teardown),
        cmocka_unit_test_setup_teardown(second_opening_is_refused, embedded_setup,
                                        embedded_teardown)};
    log_under_test = (struct log_under_test){
        .open = open_memory, .prefix = "t.", .hand_clock = true, .now_ms = 1700000000000};
    struct aft_memory_broker *m = aft_memory_broker_new(hand_clock());
    log_under_test.ctx = m;
    int failed = cmocka_run_group_tests_name("memory", both, NULL, NULL);
    aft_memory_broker_free(m);

    failed += cmocka_run_group_tests_name("embedded alone", own, NULL, NULL);

    embedded_setup(NULL);
    struct aft_embedded *b = embedded();
    log_under_test.open = open_embedded;
    log_under_test.ctx = b;
    failed += cmocka_run_group_tests_name("embedded", both, NULL, NULL);
    aft_embedded_close(b);
    kit_remove(directory);
    return failed != 0;
}
