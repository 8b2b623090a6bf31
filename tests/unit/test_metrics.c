/* test_metrics.c - the board's text, its reference page, and the little page that serves it. */
#include "tests/kit.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "consumer/consumer.h"

static int64_t
one(void *ctx)
{
    (void)ctx;
    return 1500;
}
static const struct aft_clock still = {NULL, one, one};

static struct aft_board *
board(void)
{
    struct aft_board *b = aft_board_new(still);
    struct aft_task_status s = {
        .partition = 4,
        .owner = true,
        .next_offset = {10, 20},
        .end_offset = {15, -1},
        .watermark_ms = {INT64_MIN, 2500},
        .consumed = {7, 8},
        .published_seq = 1234567890123,
        .disorder = {{.n = {9000, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1}, .sum_ms = 714}}};
    s.join.fates.credited = 3;
    s.join.fates.organic = 2;
    s.join.outcomes = 6;
    s.join.counts.waiting = 1;
    s.dead_letters_by[AFT_E_MAGIC] = 4;
    aft_board_task(b, &s);
    s.partition = 2;
    s.join.fates.credited = 5;
    aft_board_task(b, &s);
    return b;
}

static char *
text_of(struct aft_board *b)
{
    struct aft_buffer out = {0};
    aft_metrics_text(b, &out);
    aft_put_u8(&out, 0);
    return (char *)out.p;
}

static void
has(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (!at || (at != text && at[-1] != '\n'))
        fail_msg("no line \"%s\" in\n%s", line, text);
}

static void
values_stand_there(void **state)
{
    (void)state;
    struct aft_board *b = board();
    char *text = text_of(b);
    has(text, "aftertouch_start_time_seconds 1.5\n");
    has(text, "aftertouch_ready 0\n");
    has(text, "aftertouch_records_consumed_total{partition=\"4\",topic=\"outcomes\"} 8\n");
    has(text, "aftertouch_consumer_lag_records{partition=\"4\",topic=\"impressions\"} 5\n");
    has(text, "aftertouch_consumer_lag_records{partition=\"4\",topic=\"outcomes\"} NaN\n");
    has(text, "aftertouch_watermark_seconds{partition=\"2\",topic=\"impressions\"} NaN\n");
    has(text, "aftertouch_watermark_seconds{partition=\"2\",topic=\"outcomes\"} 2.5\n");
    has(text, "aftertouch_examples_published_total{partition=\"4\"} 1234567890123\n");
    has(text, "aftertouch_outcomes_total{partition=\"2\",fate=\"credited\"} 5\n");
    has(text, "aftertouch_outcomes_total{partition=\"4\",fate=\"organic\"} 2\n");
    has(text, "aftertouch_outcomes_unaccounted{partition=\"4\"} 0\n");
    has(text, "aftertouch_outcomes_unaccounted{partition=\"2\"} -2\n"); /* one with two fates */
    has(text, "aftertouch_dead_letters_total{partition=\"4\",reason=\"MAGIC\"} 4\n");
    has(text, "aftertouch_dead_letters_total{partition=\"4\",reason=\"VALUE\"} 0\n");
    assert_null(strstr(text, "reason=\"BROKER\"")); /* no fault of a record */
    has(text, "# TYPE aftertouch_disorder_seconds histogram\n");
    has(text, "aftertouch_disorder_seconds_bucket{partition=\"4\",topic=\"impressions\",le=\"0\"} "
              "9000\n");
    has(text,
        "aftertouch_disorder_seconds_bucket{partition=\"4\",topic=\"impressions\",le=\"0.003\"} "
        "9007\n");
    has(text,
        "aftertouch_disorder_seconds_bucket{partition=\"4\",topic=\"impressions\",le=\"+Inf\"} "
        "9008\n");
    has(text, "aftertouch_disorder_seconds_sum{partition=\"4\",topic=\"impressions\"} 0.714\n");
    has(text, "aftertouch_disorder_seconds_count{partition=\"4\",topic=\"impressions\"} 9008\n");
    has(text, "aftertouch_disorder_suggested_seconds{partition=\"4\",topic=\"impressions\"} "
              "1.024\n");
    has(text, "aftertouch_disorder_suggested_seconds{partition=\"4\",topic=\"outcomes\"} 0\n");
    assert_null(strstr(text, "aftertouch_learner_round")); /* nobody learns here */
    assert_true(strstr(text, "partition=\"2\"") < strstr(text, "partition=\"4\""));
    free(text);
    struct aft_learning_status l = {.round = 9, .arms = {{"a\"b\\\n", 3}, {"c", 4}}};
    l.learner.weights[8] = 5;
    l.learner.rewards[AFT_HISTOGRAM - 1] = 6;
    aft_board_learning(b, &l);
    aft_board_drop(b, 4);
    aft_board_drop(b, 3); /* was never there */
    aft_board_state(b, true, "");
    text = text_of(b);
    has(text, "aftertouch_learner_round 9\n");
    has(text, "aftertouch_learner_weights_total{up_to=\"1\"} 5\n");
    has(text, "aftertouch_learner_rewards_total{up_to=\"+Inf\"} 6\n");
    has(text, "aftertouch_learner_arm_exposures_total{arm=\"a\\\"b\\\\?\"} 3\n");
    has(text, "aftertouch_learner_arm_exposures_total{arm=\"c\"} 4\n");
    has(text, "aftertouch_ready 1\n");
    assert_null(strstr(text, "partition=\"4\""));
    free(text);
    aft_board_free(b);
}

/* Every family has HELP and TYPE once and before its samples; every sample belongs to the family above it. */
static void
form_holds(void **state)
{
    (void)state;
    struct aft_board *b = board();
    struct aft_learning_status l = {0};
    char family[128] = "", type[32] = "", *save = NULL;
    int families = 0;
    aft_board_learning(b, &l);
    char *text = text_of(b), *whole = strdup(text);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            sscanf(line, "# HELP %127s", family);
            families++;
            char head[200];
            snprintf(head, sizeof head, "# HELP %s ", family);
            assert_null(strstr(strstr(whole, head) + 1, head));
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            char name[128];
            assert_int_equal(sscanf(line, "# TYPE %127s %31s", name, type), 2);
            assert_string_equal(name, family);
            bool total = strcmp(name + strlen(name) - 6, "_total") == 0;
            assert_int_equal(total, strcmp(type, "counter") == 0);
        } else {
            size_t n = strcspn(line, "{ "), own = strlen(family);
            assert_memory_equal(line, family, own);
            bool tail = strncmp(line + own, "_bucket{", 8) == 0 ||
                        strncmp(line + own, "_sum{", 5) == 0 ||
                        strncmp(line + own, "_count{", 7) == 0;
            assert_true(strcmp(type, "histogram") == 0 ? tail : n == own);
        }
    }
    assert_true(families > 30);
    free(text);
    free(whole);
    aft_board_free(b);
}

static void
page_is_current(void **state)
{
    (void)state;
    char file[32768];
    struct aft_buffer page = {0};
    FILE *f = fopen(AFT_SOURCE_DIR "/docs/METRICS.md", "r");
    assert_non_null(f);
    size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    aft_metrics_markdown(&page);
    if (page.n != n || memcmp(page.p, file, n) != 0)
        fail_msg("docs/METRICS.md is old: aftertouch config doc metrics > docs/METRICS.md");
    aft_buffer_deinit(&page);
}

/* ---- over HTTP */
static void
get(int port, const char *request, char *answer, size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char text[200];
    size_t got = 0;
    ssize_t n;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int length =
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", request);
    assert_int_equal(write(fd, text, (size_t)length), length);
    while (got < size - 1 && (n = read(fd, answer + got, size - 1 - got)) > 0)
        got += (size_t)n;
    answer[got] = '\0';
    close(fd);
}

static void
served(void **state)
{
    (void)state;
    static char answer[65536];
    struct aft_error e;
    struct aft_page *page;
    struct aft_board *b = board();
    if (aft_page_start("127.0.0.1:0", b, &page, &e) != AFT_OK)
        fail_msg("%s", e.message);
    int port = aft_page_port(page);
    assert_true(port > 0);
    get(port, "GET /metrics", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    assert_non_null(strstr(answer, "version=0.0.4"));
    assert_non_null(strstr(answer, "\naftertouch_up 1\n"));
    get(port, "GET /readyz", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 503"));
    aft_board_state(b, true, "<b>");
    get(port, "GET /readyz", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    get(port, "GET /", answer, sizeof answer);
    assert_non_null(strstr(answer, "&lt;b>"));
    get(port, "GET /nothing", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 404"));
    get(port, "POST /metrics", answer, sizeof answer);
    assert_non_null(strstr(answer, "HTTP/1.1 405"));
    char taken[32];
    struct aft_page *second;
    snprintf(taken, sizeof taken, "127.0.0.1:%d", port);
    assert_int_equal(aft_page_start(taken, b, &second, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, taken));
    assert_int_equal(aft_page_start("localhost:1", b, &second, &e), AFT_E_CONFIG);
    assert_int_equal(aft_page_start("", b, &second, &e), AFT_OK);
    assert_null(second);
    aft_page_stop(page);
    aft_board_free(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_there),
        cmocka_unit_test(form_holds),
        cmocka_unit_test(page_is_current),
        cmocka_unit_test(served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
