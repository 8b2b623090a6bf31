/* test_order.c - one log's order against the plain definition: effective times, watermark, ticks, the place to read again from. */
#include "tests/kit.h"

#include "attribution/order.h"

enum { N = 400 };

struct plain {
    int64_t offset, ts, e; /* ts AFTI_NONE: erasure */
    struct aft_log_mark before;
};

static uint8_t body_bytes[64];

static void
add(struct afti_log *l, struct plain *p)
{
    struct afti_event v = {.offset = p->offset, .ts = p->ts};
    afti_log_reached(l, p->offset);
    p->before = l->now;
    v.e = p->e = afti_log_effective(l, p->ts);
    if (p->ts != AFTI_NONE)
        v.body = (struct aft_bytes){body_bytes, (size_t)(1 + p->offset % 60)};
    v.chain = afti_log_next(l)->chain;
    *afti_log_next(l) = v;
    afti_log_add(l);
}

/* take_all checks that events come out by (e, offset) with their bytes, and what low says in between. */
static void
take_all(struct afti_log *l, const struct plain *p, uint32_t n, struct aft_random *r)
{
    bool done[N] = {false};
    for (uint32_t left = n; left > 0; left--) {
        uint32_t event, best = n, lowest = n;
        for (uint32_t i = 0; i < n; i++) {
            if (done[i])
                continue;
            lowest = lowest == n ? i : lowest;
            if (best == n || p[i].e < p[best].e)
                best = i;
        }
        struct aft_log_mark low = afti_log_low(l);
        assert_int_equal(low.next_offset, p[lowest].offset);
        assert_int_equal(low.most_ms, p[lowest].before.most_ms);
        assert_int_equal(low.tick_ms, p[lowest].before.tick_ms);
        assert_int_equal(afti_log_first(l)->offset, p[best].offset);
        struct afti_event *v = afti_log_take(l, &event);
        assert_int_equal(v->e, p[best].e);
        assert_int_equal(v->offset, p[best].offset);
        if (p[best].ts != AFTI_NONE)
            assert_memory_equal(v->body.p, body_bytes, v->body.n);
        afti_log_done(l, event);
        done[best] = true;
        if (aft_random_below(r, 50) == 0)
            return;
    }
}

static void
by_definition(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(21), 0);
    for (size_t i = 0; i < sizeof body_bytes; i++)
        body_bytes[i] = (uint8_t)i;
    for (long round = kit_rounds(300); round > 0; round--) {
        struct afti_log l;
        struct plain p[N];
        struct aft_log_mark start = {0, AFTI_NONE, AFTI_NONE, 0};
        int64_t disorder = aft_random_below(&r, 100), most = AFTI_NONE, tick = AFTI_NONE, t = 1000;
        afti_log_init(&l, disorder, start);
        assert_int_equal(afti_log_watermark(&l), AFTI_NONE);
        uint32_t n = 1 + aft_random_below(&r, N - 1);
        int64_t offset = 0;
        for (uint32_t i = 0; i < n; i++) {
            offset += 1 + (aft_random_below(&r, 5) == 0);
            t += aft_random_below(&r, 30);
            if (aft_random_below(&r, 30) == 0) { /* a tick right here, told ahead of time or late */
                int64_t w = t + aft_random_below(&r, 60) - 30;
                afti_log_tick(&l, offset, w);
                tick = w > tick ? w : tick;
            }
            p[i] = (struct plain){.offset = offset, .ts = t - aft_random_below(&r, 200)};
            if (i > 0 && aft_random_below(&r, 40) == 0)
                p[i].ts = AFTI_NONE;
            int64_t w = most == AFTI_NONE ? AFTI_NONE : most - disorder;
            w = w > tick ? w : tick;
            int64_t shown = most > tick ? most : tick;
            add(&l, &p[i]);
            assert_int_equal(p[i].e, p[i].ts == AFTI_NONE ? shown : p[i].ts > w ? p[i].ts : w);
            most = p[i].ts != AFTI_NONE && p[i].ts > most ? p[i].ts : most;
        }
        take_all(&l, p, n, &r);
        afti_log_deinit(&l);
    }
}

/* A tick waits for its offset, and is the same when it is told again. */
static void
ticks(void **state)
{
    (void)state;
    struct afti_log l;
    struct aft_log_mark start = {0, AFTI_NONE, AFTI_NONE, 0};
    afti_log_init(&l, 10, start);
    afti_log_tick(&l, 5, 900);
    afti_log_tick(&l, 3, 800);
    assert_int_equal(afti_log_watermark(&l), AFTI_NONE);
    afti_log_reached(&l, 3);
    assert_int_equal(afti_log_watermark(&l), 800);
    afti_log_pass(&l, 3, 850);
    assert_int_equal(afti_log_watermark(&l), 840);
    afti_log_pass(&l, 4, AFTI_NONE);
    assert_int_equal(afti_log_watermark(&l), 900); /* every record below 5 was given */
    afti_log_tick(&l, 3, 800);
    assert_int_equal(afti_log_watermark(&l), 900);
    assert_int_equal(afti_log_effective(&l, 100), 900);
    assert_int_equal(afti_log_effective(&l, AFTI_NONE), 900);
    afti_log_deinit(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_definition), cmocka_unit_test(ticks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
