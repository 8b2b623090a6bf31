/* The spill file over a transport that fails: what is taken arrives, in order; a death at any byte loses nothing that was whole; the
 * bound holds; what waits in memory at close is kept. */
#include "tests/kit.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/snapshots.h"

enum { SEEN_MAX = 64 };
struct flaky {
    bool full, away, slow; /* slow: takes, delivers nothing */
    char seen[SEEN_MAX][40];
    uint32_t seen_n, waiting, held; /* held: sent again, and not delivered */
    uint32_t lost; /* of those: nobody refused them, and nobody will deliver them */
    bool keeps;
    struct aft_buffer kept[SEEN_MAX]; /* of those that are not delivered */
    aft_client_failure_sink sink;
    void *sink_ctx;
};

struct bed {
    struct flaky t;
    struct aft_client *c;
    struct aft_client_options o;
    char folder[64], path[80];
};

static enum aft_err
flaky_append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
             struct aft_bytes value, struct aft_error *e)
{
    struct flaky *t = ctx;
    (void)time_ms;
    if (t->full)
        return AFT_FAIL(e, AFT_E_AGAIN, "full");
    AFT_ASSERT(t->seen_n < SEEN_MAX);
    snprintf(t->seen[t->seen_n++], sizeof *t->seen, "%d:%.*s", (int)topic, (int)key.n,
             (const char *)key.p);
    if (t->slow) {
        struct aft_buffer *b = &t->kept[t->waiting++];
        aft_put_le32(b, (uint32_t)topic);
        aft_put_bytes(b, key);
        aft_put_raw(b, value);
    }
    return AFT_OK;
}

static void
flaky_poll(void *ctx, int timeout_ms)
{
    (void)ctx;
    (void)timeout_ms;
}

static uint64_t
flaky_waiting(void *ctx)
{
    return ((struct flaky *)ctx)->waiting;
}

static uint64_t
flaky_held(void *ctx)
{
    return ((struct flaky *)ctx)->held;
}

static uint64_t
flaky_lost(void *ctx, bool forget)
{
    struct flaky *t = ctx;
    uint32_t n = t->lost;
    t->held -= forget ? n : 0;
    t->lost -= forget ? n : 0;
    return n;
}

static void
flaky_listen(void *ctx, aft_client_failure_sink sink, void *sink_ctx)
{
    struct flaky *t = ctx;
    t->sink = sink;
    t->sink_ctx = sink_ctx;
}

static bool
flaky_away(void *ctx, int32_t ms)
{
    (void)ms;
    return ((struct flaky *)ctx)->away;
}

/* What is not delivered is given back. */
static void
flaky_close(void *ctx)
{
    struct flaky *t = ctx;
    for (uint32_t i = 0; i < t->waiting; i++) {
        struct aft_reader r = aft_reader(aft_buffer_bytes(&t->kept[i]));
        uint32_t topic = 0;
        struct aft_bytes key = {0};
        AFT_ASSERT(aft_get_le32(&r, &topic) && aft_get_bytes(&r, 255, &key));
        t->sink(t->sink_ctx,
                &(struct aft_client_failure){.topic = topic ? "outcomes" : "impressions",
                                             .key = key.p,
                                             .key_bytes = key.n,
                                             .value = r.p,
                                             .value_bytes = aft_left(&r),
                                             .reason = "purged"});
        aft_buffer_deinit(&t->kept[i]);
    }
    t->waiting = 0;
}

static void
given_back(void *ctx, const struct aft_client_failure *what)
{
    (void)what;
    ++*(int *)ctx;
}

static struct aft_client *
opened(struct bed *b)
{
    struct aft_error e;
    struct aft_client_transport t = {.ctx = &b->t,
                                     .append = flaky_append,
                                     .poll = flaky_poll,
                                     .waiting = flaky_waiting,
                                     .listen = flaky_listen,
                                     .resend = b->t.keeps ? flaky_append : NULL,
                                     .resending = b->t.keeps ? flaky_held : NULL,
                                     .lost = b->t.keeps ? flaky_lost : NULL,
                                     .away = flaky_away,
                                     .close = flaky_close};
    if (aft_client_open_over(&b->o, &t, &b->c, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return b->c;
}

static void
begin(struct bed *b)
{
    static const uint64_t seed = 11;
    *b = (struct bed){.o = AFT_CLIENT_OPTIONS};
    kit_file(b->folder, b->path, "spill");
    b->o.seed = &seed;
    b->o.queue_ms = 1;
    b->o.spill_file = b->path;
}

static enum aft_client_code
log_one(struct aft_client *c, const char *user)
{
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    x.user_id = user;
    x.kind = "click";
    x.time_ms = 5;
    return aft_client_log_outcome(c, &x, NULL);
}

static enum aft_client_code
log_impression(struct aft_client *c)
{
    static const struct aft_client_candidate arms[] = {{.arm_id = "a"}, {.arm_id = "b"}};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_decision *d;
    r.user_id = "shown";
    r.candidates = arms;
    r.candidates_n = 2;
    assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
    enum aft_client_code code = aft_client_log_impression(c, d, NULL);
    aft_client_decision_free(c, d);
    return code;
}

static off_t
size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static struct aft_client_info
info_of(struct aft_client *c)
{
    struct aft_client_info x = AFT_CLIENT_INFO;
    aft_client_info(c, &x);
    return x;
}

static void
arrives_in_order(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    struct aft_client *c = opened(&b);
    assert_int_equal(log_one(c, "u0"), AFT_CLIENT_OK);
    b.t.full = true;
    assert_int_equal(log_one(c, "u1"), AFT_CLIENT_OK);
    assert_int_equal(log_one(c, "u2"), AFT_CLIENT_OK);
    assert_int_equal(log_impression(c), AFT_CLIENT_AGAIN); /* not asked for */
    assert_int_equal(info_of(c).spilled, 2);
    assert_int_equal(info_of(c).spill_waiting, 2);
    b.t.full = false;
    assert_int_equal(log_one(c, "u3"), AFT_CLIENT_OK);
    static const char *const want[] = {"1:u0", "1:u1", "1:u2", "1:u3"};
    assert_int_equal(b.t.seen_n, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(b.t.seen[i], want[i]);
    assert_int_equal(size_of(b.path), 8);
    assert_int_equal(info_of(c).spill_waiting, 0);
    /* the queue has room, but nobody is there: not into memory */
    b.t.away = true;
    assert_int_equal(log_one(c, "u4"), AFT_CLIENT_OK);
    assert_int_equal(b.t.seen_n, 4);
    b.t.away = false;
    aft_client_poll(c, 0);
    assert_string_equal(b.t.seen[4], "1:u4");
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    kit_remove(b.folder);
}

static void
is_kept_until_it_is_delivered(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    b.o.spill_impressions = true;
    struct aft_client *c = opened(&b);
    b.t.full = true;
    assert_int_equal(log_impression(c), AFT_CLIENT_OK);
    assert_int_equal(log_one(c, "u1"), AFT_CLIENT_OK);
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_AGAIN);
    off_t size = size_of(b.path);
    assert_true(size > 8);
    /* sent at the next open; the process dies before anything is delivered: it is sent again */
    for (int again = 0; again < 2; again++) {
        b.t = (struct flaky){.held = 2, .keeps = true};
        c = opened(&b);
        assert_int_equal(b.t.seen_n, 2);
        assert_string_equal(b.t.seen[0], "0:shown");
        assert_string_equal(b.t.seen[1], "1:u1");
        aft_client_poll(c, 0);
        assert_int_equal(size_of(b.path), size);
        if (again == 0)
            assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    }
    b.t.held = 0;
    aft_client_poll(c, 0);
    assert_int_equal(size_of(b.path), 8);
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    kit_remove(b.folder);
}

/* What is sent again and fails unrefused is in the file alone: it waits, is said to wait, and goes out once nothing else is on its way. */
static void
what_is_lost_is_sent_once_more(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    b.t.keeps = true;
    struct aft_client *c = opened(&b);
    b.t.full = true;
    assert_int_equal(log_one(c, "u1"), AFT_CLIENT_OK);
    assert_int_equal(log_one(c, "u2"), AFT_CLIENT_OK);
    b.t.full = false;
    b.t.held = 2;
    aft_client_poll(c, 0);
    assert_int_equal(b.t.seen_n, 2);
    assert_int_equal(info_of(c).spill_waiting, 0);
    b.t.lost = 1;
    assert_int_equal(aft_client_flush(c, 0, NULL), AFT_CLIENT_AGAIN);
    assert_int_equal(b.t.seen_n, 2); /* the other one is on its way */
    assert_int_equal(info_of(c).spill_waiting, 1);
    b.t.held = 1;
    b.t.full = true; /* no producer for now */
    assert_int_equal(aft_client_flush(c, 0, NULL), AFT_CLIENT_AGAIN);
    assert_int_equal(info_of(c).spill_waiting, 2);
    assert_true(size_of(b.path) > 8);
    b.t.full = false;
    assert_int_equal(aft_client_flush(c, 0, NULL), AFT_CLIENT_OK);
    static const char *const want[] = {"1:u1", "1:u2", "1:u1", "1:u2"};
    assert_int_equal(b.t.seen_n, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(b.t.seen[i], want[i]);
    assert_int_equal(size_of(b.path), 8);
    assert_int_equal(info_of(c).undelivered, 0);
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    kit_remove(b.folder);
}

/* Cut at every byte, or one bit changed: the whole records in front arrive, nothing else does, and the file goes on. */
static void
a_torn_tail_is_cut_off(void **state)
{
    (void)state;
    struct bed b;
    uint8_t whole[1024];
    off_t ends[4] = {8};
    begin(&b);
    struct aft_client *c = opened(&b);
    b.t.full = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_one(c, (const char *[]){"u0", "u1", "u2"}[i]), AFT_CLIENT_OK);
        ends[i + 1] = size_of(b.path);
    }
    aft_client_close(c, 0, NULL);
    FILE *f = fopen(b.path, "rb");
    assert_non_null(f);
    size_t n = fread(whole, 1, sizeof whole, f);
    fclose(f);
    assert_int_equal(n, ends[3]);
    struct aft_random random;
    aft_random_init(&random, kit_seed(31), 0);
    for (size_t cut = 8; cut < 2 * n; cut++) {
        size_t at = cut < n ? cut : 8 + cut % (n - 8), size = cut < n ? cut : n;
        uint8_t bytes[1024];
        memcpy(bytes, whole, n);
        if (cut >= n)
            bytes[at] ^= (uint8_t)(1u << aft_random_below(&random, 8));
        f = fopen(b.path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        fclose(f);
        uint32_t good = 0;
        while (good < 3 && (off_t)at >= ends[good + 1])
            good++;
        b.t = (struct flaky){0};
        c = opened(&b);
        assert_int_equal(b.t.seen_n, good);
        b.t.full = true;
        assert_int_equal(log_one(c, "next"), AFT_CLIENT_OK);
        b.t.full = false;
        aft_client_poll(c, 0);
        assert_int_equal(b.t.seen_n, good + 1);
        assert_string_equal(b.t.seen[good], "1:next");
        assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    }
    kit_remove(b.folder);
}

static void
the_bound_holds(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    b.o.spill_bytes = 400;
    struct aft_client *c = opened(&b);
    b.t.full = true;
    int taken = 0;
    while (log_one(c, "u") == AFT_CLIENT_OK)
        taken++;
    assert_true(taken > 1 && size_of(b.path) <= 400);
    b.t.full = false;
    assert_int_equal(log_one(c, "u"), AFT_CLIENT_OK); /* first what waited, then this one */
    assert_int_equal(b.t.seen_n, taken + 1);
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    kit_remove(b.folder);
}

static void
what_waits_at_close_is_kept(void **state)
{
    (void)state;
    struct bed b;
    int back = 0;
    begin(&b);
    b.o.on_failure = given_back;
    b.o.on_failure_context = &back;
    struct aft_client *c = opened(&b);
    b.t.slow = true;
    assert_int_equal(log_impression(c), AFT_CLIENT_OK);
    assert_int_equal(log_one(c, "u1"), AFT_CLIENT_OK);
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_AGAIN);
    assert_int_equal(back, 1); /* the impression: nobody asked to keep it */
    b.t = (struct flaky){0};
    c = opened(&b);
    assert_int_equal(b.t.seen_n, 1);
    assert_string_equal(b.t.seen[0], "1:u1");
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    kit_remove(b.folder);
}

static void
one_client_a_file(void **state)
{
    (void)state;
    struct bed b;
    struct aft_client *second;
    struct aft_client_error why;
    begin(&b);
    struct aft_client *c = opened(&b);
    assert_int_equal(aft_client_open(&b.o, &second, &why), AFT_CLIENT_CONFIG);
    aft_client_close(c, 0, NULL);
    FILE *f = fopen(b.path, "wb");
    assert_non_null(f);
    fputs("something else entirely", f);
    fclose(f);
    assert_int_equal(aft_client_open(&b.o, &second, &why), AFT_CLIENT_CONFIG);
    assert_non_null(strstr(why.message, "another kind"));
    assert_int_equal(size_of(b.path), 23); /* and it is left alone */
    kit_remove(b.folder);
}

/* Somebody else cuts the file (or the disk fails): no abort, the loss is counted and said once, and what comes next is kept again. */
static void
a_file_that_was_cut(void **state)
{
    (void)state;
    struct bed b;
    int said = 0;
    struct aft_client_info info = AFT_CLIENT_INFO;
    begin(&b);
    b.o.on_failure = given_back;
    b.o.on_failure_context = &said;
    struct aft_client *c = opened(&b);
    b.t.full = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(log_one(c, "u"), AFT_CLIENT_OK);
    assert_int_equal(truncate(b.path, 0), 0);
    b.t.full = false;
    aft_client_poll(c, 0);
    aft_client_info(c, &info);
    assert_int_equal(info.undelivered, 3);
    assert_int_equal(info.spill_waiting, 0);
    assert_int_equal(said, 1);
    b.t.full = true;
    assert_int_equal(log_one(c, "u4"), AFT_CLIENT_OK);
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_AGAIN);
    b.t = (struct flaky){0};
    c = opened(&b);
    assert_int_equal(b.t.seen_n, 1);
    assert_string_equal(b.t.seen[0], "1:u4");
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    kit_remove(b.folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrives_in_order),
        cmocka_unit_test(is_kept_until_it_is_delivered),
        cmocka_unit_test(what_is_lost_is_sent_once_more),
        cmocka_unit_test(a_torn_tail_is_cut_off),
        cmocka_unit_test(the_bound_holds),
        cmocka_unit_test(what_waits_at_close_is_kept),
        cmocka_unit_test(one_client_a_file),
        cmocka_unit_test(a_file_that_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
