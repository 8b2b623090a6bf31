/* The producer over librdkafka's mock broker: an error that is the producer's own ends neither the client nor what it took. */
#include "tests/kit.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sys/stat.h>

#include "client/aftertouch.h"

enum { PARTITIONS = 2, PRODUCE = 0, WAIT_MS = 20000 };

struct bed {
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
    struct aft_client_options o;
    struct aft_client *c;
    int back, refused;
};

static void
given_back(void *ctx, const struct aft_client_failure *what)
{
    struct bed *b = ctx;
    b->back++;
    b->refused += what->refused;
}

static void
open_client(struct bed *b)
{
    struct aft_client_error why;
    if (aft_client_open(&b->o, &b->c, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
}

static void
begin(struct bed *b)
{
    char text[300];
    *b = (struct bed){0};
    b->rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    assert_non_null(b->rk);
    b->cluster = rd_kafka_mock_cluster_new(b->rk, 1);
    assert_non_null(b->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(b->cluster, "outcomes", PARTITIONS, 1), 0);
    b->o = (struct aft_client_options)AFT_CLIENT_OPTIONS;
    b->o.bootstrap_servers = rd_kafka_mock_cluster_bootstraps(b->cluster);
    b->o.snapshots_topic = NULL;
    b->o.queue_ms = 200;
    b->o.on_failure = given_back;
    b->o.on_failure_context = b;
}

static void
end(struct bed *b)
{
    rd_kafka_mock_cluster_destroy(b->cluster);
    rd_kafka_destroy(b->rk);
}

static void
log_some(struct bed *b, int n)
{
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    struct aft_client_error why;
    x.user_id = "u";
    x.kind = "click";
    for (int i = 0; i < n; i++)
        if (aft_client_log_outcome(b->c, &x, &why) != AFT_CLIENT_OK)
            fail_msg("outcome %d: %s", i, why.message);
}

static void
flushed(struct bed *b)
{
    struct aft_client_error why;
    if (aft_client_flush(b->c, WAIT_MS, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
}

/* How many records the topic has, by another client. */
static int64_t
arrived(struct bed *b)
{
    char text[300];
    int64_t n = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(
        rd_kafka_conf_set(conf, "bootstrap.servers", b->o.bootstrap_servers, text, sizeof text),
        RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    for (int p = 0; p < PARTITIONS; p++) {
        int64_t low, high;
        assert_int_equal(rd_kafka_query_watermark_offsets(rk, "outcomes", p, &low, &high, WAIT_MS),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        n += high;
    }
    rd_kafka_destroy(rk);
    return n;
}

static void
what_is_the_producers_is_survived(void **state)
{
    (void)state;
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, /* fatal, says librdkafka */
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct bed b;
        begin(&b);
        open_client(&b);
        log_some(&b, 5);
        flushed(&b);
        rd_kafka_mock_push_request_errors(b.cluster, PRODUCE, 1, errors[i]);
        log_some(&b, 5);
        flushed(&b);
        log_some(&b, 5);
        flushed(&b);
        assert_int_equal(arrived(&b), 15);
        assert_int_equal(b.back, 0);
        assert_int_equal(aft_client_close(b.c, WAIT_MS, NULL), AFT_CLIENT_OK);
        end(&b);
    }
}

/* Two errors within the time in which no producer is made anew: what nobody refused is kept. */
static void
spill_ten(struct bed *b, char folder[64], char path[80])
{
    kit_file(folder, path, "producer");
    begin(b);
    b->o.spill_file = path;
    open_client(b);
    for (int i = 0; i < 2; i++) {
        rd_kafka_mock_push_request_errors(b->cluster, PRODUCE, 1,
                                          RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
        log_some(b, 5);
        (void)aft_client_flush(b->c, 2000, NULL);
    }
    assert_int_equal(b->back, 0);
}

static struct aft_client_info
info_of(const struct bed *b)
{
    struct aft_client_info x = AFT_CLIENT_INFO;
    aft_client_info(b->c, &x);
    return x;
}

static void
what_comes_too_soon_is_spilled(void **state)
{
    (void)state;
    struct bed b;
    char folder[64], path[80];
    spill_ten(&b, folder, path);
    (void)aft_client_close(b.c, 100, NULL);
    assert_int_equal(b.back, 0);
    open_client(&b);
    flushed(&b);
    assert_true(arrived(&b) >= 10); /* one that is sent again has its id */
    assert_int_equal(aft_client_close(b.c, WAIT_MS, NULL), AFT_CLIENT_OK);
    end(&b);
    kit_remove(folder);
}

/* A third error meets what was sent again: it goes out once more, from this process, and the file is empty then. */
static void
what_is_spilled_survives_another_error(void **state)
{
    (void)state;
    struct bed b;
    char folder[64], path[80];
    struct stat st;
    spill_ten(&b, folder, path);
    assert_true(info_of(&b).spill_waiting > 0);
    rd_kafka_mock_push_request_errors(b.cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    flushed(&b);
    assert_int_equal(info_of(&b).spill_waiting, 0);
    assert_int_equal(b.back, 0);
    assert_true(arrived(&b) >= 10);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 8);
    assert_int_equal(aft_client_close(b.c, WAIT_MS, NULL), AFT_CLIENT_OK);
    end(&b);
    kit_remove(folder);
}

/* What a broker refuses for what it is comes back, and what comes behind it is taken. */
static void
what_is_refused_comes_back(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    open_client(&b);
    rd_kafka_mock_push_request_errors(b.cluster, PRODUCE, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    log_some(&b, 1);
    flushed(&b);
    log_some(&b, 5);
    flushed(&b);
    assert_int_equal(b.refused, 1);
    assert_int_equal(arrived(&b), 5);
    assert_int_equal(aft_client_close(b.c, WAIT_MS, NULL), AFT_CLIENT_OK);
    end(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_the_producers_is_survived),
        cmocka_unit_test(what_comes_too_soon_is_spilled),
        cmocka_unit_test(what_is_spilled_survives_another_error),
        cmocka_unit_test(what_is_refused_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
