/* A client that lives for months: what is repeated for ever takes no more, clocks that are set move no wait, an open waits for no more
 * than there is. */
#include "tests/kit.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/snapshots.h"

enum { ARMS = 4, RETRIES = 100000 };
static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3"};
static const double theta[ARMS] = {0, 0, 1, 2};
static const uint64_t seed = 11;

static struct made_spec
spec_of(int64_t round)
{
    return (struct made_spec){.round = round,
                              .arms = arms,
                              .theta = theta,
                              .arms_n = ARMS,
                              .explore = "softmax",
                              .temperature = "0.5"};
}

static struct aft_client_request
request_of(void)
{
    static struct aft_client_candidate candidates[ARMS];
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    for (int i = 0; i < ARMS; i++)
        candidates[i] = (struct aft_client_candidate){.arm_id = arms[i]};
    r.user_id = "u";
    r.candidates = candidates;
    r.candidates_n = ARMS;
    return r;
}

static struct aft_client *
open_over(const struct aft_client_options *o, const struct aft_client_transport *t)
{
    struct aft_client *c;
    struct aft_error e;
    if (aft_client_open_over(o, t, &c, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return c;
}

/* An engine without a spill file that tries again, however long the broker is away. */
static void
a_try_takes_no_memory(void **state)
{
    (void)state;
    struct memory_transport t = {.full = RETRIES};
    struct aft_client_transport transport = memory_transport_of(&t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_request r = request_of();
    struct aft_client_decision *d;
    struct aft_client_error why;
    o.seed = &seed;
    o.queue_ms = 0;
    struct aft_client *c = open_over(&o, &transport);
    assert_int_equal(aft_client_decide(c, &r, &d, &why), AFT_CLIENT_OK);
    int tries = 0;
    enum aft_client_code code;
    while ((code = aft_client_log_impression(c, d, &why)) == AFT_CLIENT_AGAIN)
        tries++;
    if (code != AFT_CLIENT_OK)
        fail_msg("after %d tries: %s", tries, why.message);
    assert_int_equal(tries, RETRIES);
    assert_int_equal(t.appended[AFT_CLIENT_IMPRESSIONS], 1);
    aft_client_decision_free(c, d);
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

/* ---- how long an open waits */
struct waiting {
    struct memory_transport t;
    struct aft_client_transport transport;
    struct aft_client_options o;
    char path[40];
};

static enum aft_err
slow_end(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx, bool *at_end,
         struct aft_error *e)
{
    AFT_TRY(memory_poll_snapshots(ctx, timeout_ms, sink, sink_ctx, at_end, e));
    nanosleep(&(struct timespec){0, 1000000}, NULL);
    return AFT_OK;
}

static int64_t
open_takes_ms(struct waiting *w, int64_t *round)
{
    struct timespec from, to;
    struct aft_client_info info = AFT_CLIENT_INFO;
    clock_gettime(CLOCK_MONOTONIC, &from);
    struct aft_client *c = open_over(&w->o, &w->transport);
    clock_gettime(CLOCK_MONOTONIC, &to);
    aft_client_info(c, &info);
    *round = info.round;
    aft_client_close(c, 0, NULL);
    return (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
}

static void
an_open_waits_for_what_there_is(void **state)
{
    (void)state;
    struct waiting w = {.path = "/tmp/aft-test-months-XXXXXX"};
    struct made_snapshot old = {0}, young = {0};
    struct made_spec five = spec_of(5), six = spec_of(6);
    int64_t round, took;
    int fd = mkstemp(w.path);
    assert_true(fd >= 0);
    close(fd);
    unlink(w.path);
    make_snapshot(&five, &old);
    make_snapshot(&six, &young);
    w.transport = memory_transport_of(&w.t);
    w.transport.threaded = true;
    w.transport.poll_snapshots = slow_end;
    w.o = (struct aft_client_options)AFT_CLIENT_OPTIONS;
    w.o.seed = &seed;
    w.o.snapshot_file = w.path;
    w.o.wait_ms = 300; /* nothing anywhere: all of it */
    took = open_takes_ms(&w, &round);
    assert_true(took >= 290 && round == 0);
    w.o.wait_ms = 20000;
    memory_give(&w.t, &old); /* a first one: no longer than it takes to come */
    took = open_takes_ms(&w, &round);
    assert_true(took < 10000 && round == 5);
    memory_give(&w.t, &old); /* the file's own: until the topic's end */
    took = open_takes_ms(&w, &round);
    assert_true(took < 10000 && round == 5);
    memory_give(&w.t, &young);
    took = open_takes_ms(&w, &round);
    assert_true(took < 10000 && round == 6);
    unlink(w.path);
    made_snapshot_deinit(&old);
    made_snapshot_deinit(&young);
    memory_transport_deinit(&w.t);
}

/* ---- clocks */
static int64_t
hand(void *clock)
{
    return *(int64_t *)clock;
}

static void
a_clock_that_jumps(void **state)
{
    (void)state;
    static const int64_t times[] = {
        1767225600000, 1767225600000 + 86400000, 1767225600000, 0, -5000, INT64_MAX / 2,
        1767225600000};
    int64_t now = times[0];
    struct memory_transport t = {0};
    struct aft_client_transport transport = memory_transport_of(&t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_request r = request_of();
    struct aft_client_history h = AFT_CLIENT_HISTORY;
    o.seed = &seed;
    o.now_ms = hand;
    o.clock = &now;
    o.history_bytes = 1 << 20;
    struct aft_client *c = open_over(&o, &transport);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct aft_client_decision *d;
        struct aft_client_error why;
        now = times[i];
        if (aft_client_decide(c, &r, &d, &why) != AFT_CLIENT_OK)
            fail_msg("at %lld: %s", (long long)now, why.message);
        assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
        aft_client_decision_free(c, d);
        assert_int_equal(aft_client_history(c, "u", NULL, NULL, 0, &h, NULL), AFT_CLIENT_OK);
        assert_true(h.shown_long >= 3); /* the slate just shown, at least */
    }
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

/* Thousands of clients, one after the other: for the leak checker, and for what a process has few of. */
static void
opened_and_closed(void **state)
{
    (void)state;
    struct made_snapshot made = {0};
    struct made_spec spec = spec_of(1);
    int before = dup(0);
    close(before);
    make_snapshot(&spec, &made);
    for (int i = 0; i < 500; i++) {
        struct memory_transport t = {0};
        struct aft_client_transport transport = memory_transport_of(&t);
        struct aft_client_options o = AFT_CLIENT_OPTIONS;
        struct aft_client_request r = request_of();
        struct aft_client_decision *d;
        transport.threaded = i % 2 == 0;
        o.history_bytes = i % 3 ? 0 : 1 << 20;
        memory_give(&t, &made);
        struct aft_client *c = open_over(&o, &transport);
        assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
        aft_client_decision_free(c, d);
        assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
        memory_transport_deinit(&t);
    }
    int after = dup(0);
    assert_int_equal(before, after); /* no file is left open */
    close(after);
    made_snapshot_deinit(&made);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_try_takes_no_memory),
        cmocka_unit_test(an_open_waits_for_what_there_is),
        cmocka_unit_test(a_clock_that_jumps),
        cmocka_unit_test(opened_and_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
