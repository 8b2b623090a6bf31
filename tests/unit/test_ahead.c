/* test_ahead.c - a scan made ready ahead of its turn (state/ahead_linux.c, where pthread_create is) gives what a scan gives, in order,
 * whole, with its error behind it; it never runs further ahead than its blocks; it can be closed at any time. Whoever stays on one core
 * has it read on any of the process's. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "tests/kit.h"

#include "state/state.h"

enum { ENTRIES = 600 };

struct aft_store_scan { /* of a store that fails before entry `fails` */
    uint32_t at;
};
struct shaky {
    struct aft_store base;
    uint32_t fails;
    uint8_t key[AFT_KEY_BYTES];
    struct aft_store_scan scan;
    bool open;
    struct aft_buffer value;
    uint64_t seed;
};
static struct shaky shaky; /* scan_next is told no store */

/* entry: of random size, some larger than a block. */
static struct aft_bytes
entry(uint32_t n)
{
    struct aft_random r;
    aft_random_init(&r, shaky.seed, n);
    uint32_t large = aft_random_below(&r, 40) == 0;
    uint32_t size = large ? AFT_AHEAD_BLOCK_BYTES + n : aft_random_below(&r, 20000);
    aft_buffer_reset(&shaky.value);
    aft_put_le32(&shaky.value, n);
    memset(aft_reserve(&shaky.value, size), (int)(n & 255), size);
    shaky.value.n += size;
    return aft_buffer_bytes(&shaky.value);
}

static enum aft_err
shaky_open(struct aft_store *s, struct aft_bytes from, struct aft_store_scan **out,
           struct aft_error *e)
{
    (void)s;
    (void)e;
    shaky.scan.at = (uint32_t)aft_load_be64(from.p);
    shaky.open = true;
    *out = &shaky.scan;
    return AFT_OK;
}

static enum aft_err
shaky_next(struct aft_store_scan *c, struct aft_put *out, bool *end, struct aft_error *e)
{
    if (c->at == shaky.fails)
        return AFT_FAIL(e, AFT_E_IO, "no entry %u", c->at);
    *end = c->at == ENTRIES;
    if (*end)
        return AFT_OK;
    aft_key_make(shaky.key, c->at, AFT_KEY_SEGMENT);
    out->key = (struct aft_bytes){shaky.key, sizeof shaky.key};
    out->value = entry(c->at++);
    return AFT_OK;
}

static void
shaky_close(struct aft_store_scan *c)
{
    (void)c;
    shaky.open = false;
}

static const struct aft_store_ops shaky_ops = {
    .scan_open = shaky_open, .scan_next = shaky_next, .scan_close = shaky_close};

struct reader {
    uint32_t last, fails; /* the last that is wanted; the one that cannot be read */
    uint64_t made;        /* bytes so far; atomic */
};

/* keep takes two of three entries. */
static enum aft_err
keep(void *ctx, const struct aft_put *at, struct aft_buffer *out, bool *enough, struct aft_error *e)
{
    struct reader *r = ctx;
    uint64_t n = aft_load_be64(at->key.p);
    if (n == r->fails)
        return AFT_FAIL(e, AFT_E_CORRUPT, "entry %llu is bad", (unsigned long long)n);
    if (n % 3 != 1)
        aft_put_raw(out, at->value);
    *enough = n == r->last;
    __atomic_fetch_add(&r->made, n % 3 != 1 ? at->value.n : 0, __ATOMIC_RELAXED);
    return AFT_OK;
}

struct plan {
    bool beside;
    uint32_t from, until, fails_store, fails_read; /* until: not wanted any more */
    uint32_t blocks;                               /* taken at most */
};

/* expected: what the plan's whole scan gives. */
static void
expected(const struct plan *p, struct aft_buffer *out, enum aft_err *failed)
{
    *failed = AFT_OK;
    aft_buffer_reset(out);
    for (uint32_t n = p->from; n < ENTRIES && n <= p->until && *failed == AFT_OK; n++) {
        *failed = n == p->fails_store ? AFT_E_IO : n == p->fails_read ? AFT_E_CORRUPT : AFT_OK;
        if (*failed == AFT_OK && n % 3 != 1)
            aft_put_raw(out, entry(n));
    }
    if (*failed == AFT_OK && p->until >= ENTRIES && p->fails_store == ENTRIES)
        *failed = AFT_E_IO;
}

static void
run(const struct plan *p)
{
    const size_t most = (AFT_AHEAD_BLOCKS + 1) * (2 * AFT_AHEAD_BLOCK_BYTES + ENTRIES + 20000);
    struct aft_buffer want = {0}, got = {0};
    struct reader reader = {.last = p->until, .fails = p->fails_read};
    struct aft_ahead_work work = {keep, &reader};
    struct aft_ahead *a;
    struct aft_error e;
    struct aft_bytes block;
    uint8_t key[AFT_KEY_BYTES];
    enum aft_err due, failed = AFT_OK;
    bool end = false;
    shaky.fails = p->fails_store;
    expected(p, &want, &due);
    aft_key_make(key, p->from, 0);
    assert_int_equal(
        aft_ahead_open(&shaky.base, (struct aft_bytes){key, sizeof key}, &work, p->beside, &a, &e),
        AFT_OK);
    for (uint32_t n = 0; n < p->blocks; n++) {
        failed = aft_ahead_next(a, &block, &end, &e);
        if (failed || end)
            break;
        assert_true(block.n > 0);
        aft_put_raw(&got, block);
        assert_true(__atomic_load_n(&reader.made, __ATOMIC_RELAXED) - got.n <= most);
    }
    assert_true(got.n <= want.n && (got.n == 0 || memcmp(got.p, want.p, got.n) == 0));
    if (failed || end) {
        assert_int_equal(got.n, want.n);
        assert_int_equal(failed, due);
        assert_int_equal(aft_ahead_next(a, &block, &end, &e), due); /* and stays */
        assert_true(end);
    }
    assert_true(shaky.open);
    aft_ahead_close(a);
    assert_false(shaky.open);
    aft_buffer_deinit(&want);
    aft_buffer_deinit(&got);
}

static void
like_a_scan(void **state)
{
    struct aft_random r;
    (void)state;
    shaky.base.ops = &shaky_ops;
    shaky.seed = kit_seed(41);
    aft_random_init(&r, shaky.seed, 1u << 30);
    for (long i = kit_rounds(60); i > 0; i--) {
        uint32_t kind = aft_random_below(&r, 4);
        struct plan p = {.beside = aft_random_below(&r, 4) != 0,
                         .from = aft_random_below(&r, ENTRIES),
                         .until = kind == 0 ? aft_random_below(&r, ENTRIES) : UINT32_MAX,
                         .fails_store = kind == 1 ? aft_random_below(&r, ENTRIES + 1) : UINT32_MAX,
                         .fails_read = kind == 2 ? aft_random_below(&r, ENTRIES) : UINT32_MAX,
                         .blocks = aft_random_below(&r, 3) ? UINT32_MAX : aft_random_below(&r, 12)};
        if (p.until < p.from)
            p.until = p.from;
        run(&p);
    }
    aft_buffer_deinit(&shaky.value);
}

static enum aft_err
count_cores(void *ctx, const struct aft_put *at, struct aft_buffer *out, bool *enough,
            struct aft_error *e)
{
    cpu_set_t mine;
    (void)at;
    (void)e;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    *(int *)ctx = CPU_COUNT(&mine);
    aft_put_le32(out, 1);
    *enough = true;
    return AFT_OK;
}

static void *
pinned(void *cores)
{
    struct aft_ahead *a;
    struct aft_error e;
    struct aft_bytes block;
    cpu_set_t one;
    bool end;
    uint8_t from[AFT_KEY_BYTES];
    struct aft_ahead_work work = {count_cores, cores};
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    aft_key_make(from, 0, AFT_KEY_SEGMENT);
    assert_int_equal(
        aft_ahead_open(&shaky.base, (struct aft_bytes){from, sizeof from}, &work, true, &a, &e),
        AFT_OK);
    assert_int_equal(aft_ahead_next(a, &block, &end, &e), AFT_OK);
    aft_ahead_close(a);
    return NULL;
}

static void
not_on_its_takers_core(void **state)
{
    pthread_t thread;
    cpu_set_t all;
    int cores = 0;
    (void)state;
    shaky.base.ops = &shaky_ops;
    shaky.fails = UINT32_MAX;
    assert_int_equal(sched_getaffinity(getpid(), sizeof all, &all), 0);
    assert_int_equal(pthread_create(&thread, NULL, pinned, &cores), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(cores, CPU_COUNT(&all));
    aft_buffer_deinit(&shaky.value);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(like_a_scan),
                                       cmocka_unit_test(not_on_its_takers_core)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
