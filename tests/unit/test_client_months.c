/* A client that lives for months: what is repeated for ever takes no more, clocks that are set move no wait, an open waits for no more
 * than there is. */
#include "tests/kit.h"

#include <pthread.h>
#include <stdatomic.h>
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
    static const struct aft_client_candidate candidates[ARMS] = {
        {.arm_id = "a0"}, {.arm_id = "a1"}, {.arm_id = "a2"}, {.arm_id = "a3"}};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
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
    char folder[64], path[80];
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
    struct waiting w = {0};
    struct made_snapshot old = {0}, young = {0};
    struct made_spec five = spec_of(5), six = spec_of(6);
    int64_t round, took;
    kit_file(w.folder, w.path, "months");
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
    kit_remove(w.folder);
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

/* ---- everything at once: for the thread sanitizer */
enum { THREADS = 4, SNAPSHOTS = 40, TURNS = 300 };
struct crowd {
    struct aft_client *c;
    struct aft_client_catalogue *k;
    struct made_snapshot made[SNAPSHOTS];
    atomic_uint given, appended;
};

static enum aft_err
crowd_append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
             struct aft_bytes value, struct aft_error *e)
{
    struct crowd *w = ctx;
    (void)topic, (void)time_ms, (void)key, (void)value;
    if (atomic_fetch_add(&w->appended, 1) % 7 == 0)
        return AFT_FAIL(e, AFT_E_AGAIN, "full");
    return AFT_OK;
}

static enum aft_err
crowd_poll_snapshots(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx,
                     bool *at_end, struct aft_error *e)
{
    struct crowd *w = ctx;
    (void)timeout_ms, (void)e;
    nanosleep(&(struct timespec){0, 2000000}, NULL);
    *at_end = w->given == SNAPSHOTS;
    if (*at_end)
        return AFT_OK;
    struct made_snapshot *made = &w->made[w->given++];
    sink(sink_ctx, AFT_LITERAL("default/0"), aft_buffer_bytes(&made->part));
    sink(sink_ctx, AFT_LITERAL("default/1"), aft_buffer_bytes(&made->manifest));
    return AFT_OK;
}

static void
crowd_turn(struct crowd *w, struct aft_client_request *r, int i)
{
    static const uint32_t dropped[] = {3};
    struct aft_client_decision *d;
    struct aft_client_info info = AFT_CLIENT_INFO;
    struct aft_client_history h = AFT_CLIENT_HISTORY;
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    AFT_ASSERT(aft_client_decide(w->c, r, &d, NULL) == AFT_CLIENT_OK);
    if (i % 3 == 0)
        AFT_ASSERT(aft_client_decision_mask(w->c, d, dropped, 1, "x", NULL) == AFT_CLIENT_OK);
    AFT_ASSERT(aft_client_log_impression(w->c, d, NULL) == AFT_CLIENT_OK);
    x.user_id = r->user_id;
    x.kind = "click";
    x.arm_id = aft_client_decision_slate(d)->slots[0].arm_id;
    AFT_ASSERT(aft_client_log_outcome(w->c, &x, NULL) == AFT_CLIENT_OK);
    AFT_ASSERT(aft_client_history(w->c, r->user_id, x.arm_id, NULL, 0, &h, NULL) == AFT_CLIENT_OK &&
               h.clicks_long > 0);
    aft_client_decision_free(w->c, d);
    aft_client_info(w->c, &info);
    aft_client_poll(w->c, 0);
}

static void *
one_of_them(void *ctx)
{
    struct crowd *w = ctx;
    for (int i = 0; i < TURNS || w->given < SNAPSHOTS; i++) {
        struct aft_client_request r = request_of();
        static const char *const users[] = {"u0", "u1", "u2", "u3", "u4"};
        r.user_id = users[i % 5];
        if (i % 2) {
            r.candidates = NULL;
            r.candidates_n = 0;
            r.catalogue = w->k;
        }
        crowd_turn(w, &r, i);
    }
    return NULL;
}

static void
everything_at_once(void **state)
{
    (void)state;
    static struct crowd w;
    char folder[64], path[80];
    pthread_t threads[THREADS];
    struct aft_client_info info = AFT_CLIENT_INFO;
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_request r = request_of();
    struct aft_client_transport t = {.ctx = &w,
                                     .append = crowd_append,
                                     .poll = memory_poll,
                                     .waiting = memory_waiting,
                                     .poll_snapshots = crowd_poll_snapshots,
                                     .threaded = true};
    kit_file(folder, path, "months");
    for (int i = 0; i < SNAPSHOTS; i++) {
        struct made_spec spec = spec_of(i + 1);
        make_snapshot(&spec, &w.made[i]);
    }
    o.history_bytes = 1 << 20;
    o.spill_file = path;
    o.spill_impressions = true; /* the queue is full now and then, for whoever does not wait */
    o.queue_ms = 0;
    w.c = open_over(&o, &t);
    assert_int_equal(aft_client_catalogue_new(w.c, r.candidates, ARMS, &w.k, NULL), AFT_CLIENT_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_them, &w), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    aft_client_info(w.c, &info);
    assert_true(info.impressions == info.decisions && info.outcomes == info.decisions);
    aft_client_catalogue_free(w.k);
    while (aft_client_flush(w.c, 100, NULL) != AFT_CLIENT_OK)
        continue;
    aft_client_info(w.c, &info);
    assert_true(info.snapshots_applied > 0 && info.snapshots_refused == 0);
    aft_client_close(w.c, 0, NULL);
    for (int i = 0; i < SNAPSHOTS; i++)
        made_snapshot_deinit(&w.made[i]);
    kit_remove(folder);
}

/* Hundreds of clients, one after the other: for the leak checker, and for what a process has few of. */
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
        cmocka_unit_test(a_try_takes_no_memory), cmocka_unit_test(an_open_waits_for_what_there_is),
        cmocka_unit_test(a_clock_that_jumps),    cmocka_unit_test(everything_at_once),
        cmocka_unit_test(opened_and_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
