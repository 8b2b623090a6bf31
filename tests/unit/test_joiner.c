/* test_joiner.c - the joiner is a pure function of its logs: the same bytes for any arrival, batching, commits and crashes.
 * That these bytes are the right ones is the oracle's business (tests/oracle). */
#include "tests/kit.h"

#include <dirent.h>
#include <unistd.h>

#include "tests/join_cases.h"

struct sink {
    struct aft_buffer bodies; /* le32 length, body */
    uint64_t next;
    struct aft_hash128 hash;
};

struct run {
    const struct join_case *c;
    struct aft_store *store;
    struct aft_joiner *j;
    size_t at[2];
    struct sink out;
    struct aft_random r;
    struct aft_join_config config;
};

static void
must(enum aft_err failed, const struct aft_error *e)
{
    if (failed)
        fail_msg("%s (%s:%d)", e->message, e->file, e->line);
}

static enum aft_err
keep(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash_after,
     struct aft_error *e)
{
    struct sink *s = ctx;
    (void)e;
    assert_true(seq <= s->next);
    if (seq < s->next)
        return AFT_OK;
    s->next++;
    s->hash = aft_hash128(body, s->hash);
    assert_true(s->hash.low == hash_after.low && s->hash.high == hash_after.high);
    aft_put_le32(&s->bodies, (uint32_t)body.n);
    aft_put_raw(&s->bodies, body);
    return AFT_OK;
}

static void
open_joiner(struct run *r)
{
    struct aft_join_identity who = {"test", 2};
    struct aft_join_out out = {&r->out, keep};
    struct aft_join_resume resume;
    struct aft_error e;
    must(aft_joiner_open(&r->config, &who, r->store, &out, &r->j, &e), &e);
    aft_joiner_resume(r->j, &resume);
    assert_true(resume.next_seq <= r->out.next);
    for (int i = 0; i < 2; i++)
        r->at[i] = (size_t)resume.next_offset[i];
    bool again = aft_random_below(
        &r->r, 2); /* ticks that the state knows already may be told again, or not */
    for (size_t i = 0; i < r->c->ticks; i++) {
        const struct case_tick *t = &r->c->tick[i];
        if (again || t->at_offset >= resume.next_offset[t->log])
            aft_joiner_tick(r->j, t->log, t->at_offset, t->watermark_ms);
    }
}

static void
reopen(struct run *r)
{
    aft_joiner_close(r->j);
    open_joiner(r);
}

static void
give(struct run *r, int log)
{
    struct aft_error e;
    const struct case_record *v = &r->c->log[log][r->at[log]];
    enum aft_err failed =
        aft_joiner_take(r->j, (enum aft_log_kind)log, (int64_t)r->at[log], v->arrival,
                        aft_text(v->user), (struct aft_bytes){v->body, v->body_n}, &e);
    assert_true(failed == AFT_OK || aft_err_class(failed) == AFT_CLASS_DATA);
    r->at[log]++;
}

static void
commit(struct run *r)
{
    struct aft_error e;
    uint64_t seq;
    struct aft_digest before, after;
    aft_joiner_cut(r->j, aft_text("rider"), &seq);
    assert_true(seq <= r->out.next);
    bool meanwhile = aft_random_below(&r->r, 2);
    if (meanwhile)
        must(aft_joiner_run(r->j, &e), &e);
    aft_joiner_digest(r->j, &before);
    if (aft_random_below(&r->r, 4) == 0) { /* killed before the commit */
        reopen(r);
        return;
    }
    must(aft_joiner_commit(r->j, &e), &e);
    struct aft_join_resume resume, found;
    aft_joiner_resume(r->j, &resume);
    assert_true(resume.next_seq == seq && aft_same(resume.rider, aft_text("rider")));
    resume.rider = AFT_ABSENT;
    if (meanwhile || aft_random_below(&r->r, 2))
        return;
    reopen(r);
    aft_joiner_digest(r->j, &after);
    assert_memory_equal(before.b, after.b, sizeof before.b); /* the index means what it meant */
    aft_joiner_resume(r->j, &found);
    assert_true(aft_same(found.rider, aft_text("rider")));
    found.rider = AFT_ABSENT;
    assert_memory_equal(&found, &resume, sizeof found);
}

/* feed gives everything, in order and calmly, or wildly. */
static void
feed(struct run *r, bool wild)
{
    struct aft_error e;
    const size_t *n = r->c->n;
    while (r->at[0] < n[0] || r->at[1] < n[1]) {
        int log = wild ? (int)aft_random_below(&r->r, 2) : (int)aft_joiner_behind(r->j);
        log = r->at[log] < n[log] ? log : !log;
        for (uint32_t k = wild ? 1 + aft_random_below(&r->r, 30) : 1; k > 0 && r->at[log] < n[log];
             k--)
            give(r, log);
        if (!wild || aft_random_below(&r->r, 3) == 0)
            must(aft_joiner_run(r->j, &e), &e);
        if (wild && aft_random_below(&r->r, 10) == 0)
            commit(r);
        else if (wild && aft_random_below(&r->r, 40) == 0)
            reopen(r);
    }
    for (int log = 0; log < 2; log++)
        aft_joiner_reached(r->j, (enum aft_log_kind)log, (int64_t)n[log]);
    must(aft_joiner_run(r->j, &e), &e);
}

static void
start(struct run *r, const struct join_case *c, uint64_t seed, struct aft_store *store)
{
    *r = (struct run){.c = c, .store = store, .config = c->config};
    aft_random_init(&r->r, seed, 5);
    open_joiner(r);
}

static void
stop(struct run *r)
{
    aft_joiner_close(r->j);
    r->store->ops->close(r->store);
    aft_buffer_deinit(&r->out.bodies);
}

static void
conserved(const struct aft_join_counts *c)
{
    int64_t sum = c->counts.waiting;
#define X(name) sum += c->fates.name;
    AFT_FATES(X)
#undef X
    assert_int_equal(sum, c->outcomes);
    assert_int_equal(c->counts.credit_ppm, AFT_PPM * (c->fates.credited - c->counts.retracted));
}

/* What one digest says of both, the comparison finds: record by record. */
static void
same(struct run *a, struct run *b, uint64_t seed)
{
    struct aft_join_difference d;
    struct aft_error e;
    uint64_t seq;
    aft_joiner_cut(a->j, AFT_ABSENT, &seq);
    aft_joiner_cut(b->j, AFT_ABSENT, &seq);
    must(aft_joiner_compare(a->j, b->j, true, &d, &e), &e);
    if (d.differs)
        fail_msg("case %llu: %d %s: %s: %s, %s", (unsigned long long)seed, (int)d.of, d.id, d.field,
                 d.value[0], d.value[1]);
}

static void
pure(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(1), examples = 0;
    for (long round = kit_rounds(1200); round > 0; round--, seed++) {
        struct join_case c;
        struct run calm, wild;
        struct aft_join_counts a, b;
        struct aft_digest x, y;
        case_make(&c, seed);
        start(&calm, &c, seed, aft_store_mem_new());
        feed(&calm, false);
        start(&wild, &c, seed, aft_store_mem_new());
        feed(&wild, true);
        if (calm.out.bodies.n != wild.out.bodies.n ||
            (calm.out.bodies.n &&
             memcmp(calm.out.bodies.p, wild.out.bodies.p, calm.out.bodies.n) != 0))
            fail_msg("case %llu: other bytes", (unsigned long long)seed);
        aft_joiner_counts(calm.j, &a);
        aft_joiner_counts(wild.j, &b);
        conserved(&a);
        if (memcmp(&a, &b, sizeof a) != 0)
            fail_msg("case %llu: other counts", (unsigned long long)seed);
        aft_joiner_digest(calm.j, &x);
        aft_joiner_digest(wild.j, &y);
        assert_memory_equal(x.b, y.b, sizeof x.b);
        same(&calm, &wild, seed);
        examples += calm.out.next;
        stop(&calm);
        stop(&wild);
        case_free(&c);
    }
    assert_true(examples > 0);
}

/* ---- emit=rewarded is what is left of all examples when those without reward and change are left out, numbered anew */

static bool
rewarded(const struct aft_example *x)
{
    for (uint32_t i = 0; i < x->items_n; i++)
        if (x->items[i].reward_micro || x->items[i].delta_micro)
            return true;
    return false;
}

static void
filter(const struct aft_buffer *from, struct aft_buffer *to)
{
    struct aft_reader r = aft_reader(aft_buffer_bytes(from));
    struct aft_arena arena;
    struct aft_error e;
    uint64_t seq = 0;
    uint32_t n;
    aft_arena_init(&arena, 16 << 20);
    while (aft_get_le32(&r, &n)) {
        struct aft_reader one = {r.p, r.p + n};
        struct aft_example x;
        struct aft_buffer body = {0};
        r.p += n;
        aft_arena_reset(&arena);
        must(aft_decode_example(&one, &arena, &x, &e), &e);
        if (!rewarded(&x))
            continue;
        x.seq = seq++;
        aft_encode_example(&body, &x);
        aft_put_le32(to, (uint32_t)body.n);
        aft_put_raw(to, aft_buffer_bytes(&body));
        aft_buffer_deinit(&body);
    }
    aft_arena_deinit(&arena);
}

static void
rewarded_only(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(5000);
    for (long round = kit_rounds(100); round > 0; round--, seed++) {
        struct join_case c;
        struct run all, some;
        struct aft_buffer want = {0};
        case_make(&c, seed);
        start(&all, &c, seed, aft_store_mem_new());
        feed(&all, false);
        c.config.emit_rewarded_only = true;
        start(&some, &c, seed, aft_store_mem_new());
        feed(&some, true);
        filter(&all.out.bodies, &want);
        assert_int_equal(want.n, some.out.bodies.n);
        if (want.n)
            assert_memory_equal(want.p, some.out.bodies.p, want.n);
        aft_buffer_deinit(&want);
        stop(&all);
        stop(&some);
        case_free(&c);
    }
}

/* ---- on disk */

static char dir[256];

static void
remove_dir(void)
{
    char path[600];
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *at; (at = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", dir, at->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

static struct aft_store *
open_rocksdb(void)
{
    struct aft_store *s;
    struct aft_error e;
    must(aft_store_rocksdb_open(dir, &s, &e), &e);
    return s;
}

static bool
file_holds(const char *path, const char *what)
{
    struct aft_buffer b = {0};
    FILE *f = fopen(path, "rb");
    size_t n = strlen(what);
    bool held = false;
    if (!f)
        return false;
    for (size_t got; (got = fread(aft_reserve(&b, 1 << 16), 1, 1 << 16, f)) > 0;)
        b.n += got;
    fclose(f);
    for (size_t i = 0; b.n >= n && i <= b.n - n && !held; i++)
        held = memcmp(b.p + i, what, n) == 0;
    aft_buffer_deinit(&b);
    return held;
}

static bool
dir_holds(const char *what)
{
    char path[600];
    bool held = false;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *at; (at = readdir(d)) != NULL && !held;) {
        snprintf(path, sizeof path, "%s/%s", dir, at->d_name);
        held = file_holds(path, what);
    }
    closedir(d);
    return held;
}

static void
same_on_disk(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(9000);
    for (long round = kit_rounds(8); round > 0; round--, seed++) {
        struct join_case c;
        struct run calm, disk;
        case_make(&c, seed);
        start(&calm, &c, seed, aft_store_mem_new());
        feed(&calm, false);
        remove_dir();
        start(&disk, &c, seed, open_rocksdb());
        feed(&disk, true);
        assert_int_equal(calm.out.bodies.n, disk.out.bodies.n);
        if (calm.out.bodies.n)
            assert_memory_equal(calm.out.bodies.p, disk.out.bodies.p, calm.out.bodies.n);
        stop(&calm);
        stop(&disk);
        case_free(&c);
    }
    remove_dir();
}

/* behind_all: just past all that was shown, so that much of the window is still needed. */
static int64_t
behind_all(const struct run *r)
{
    int64_t a = aft_joiner_watermark(r->j, AFT_IMPRESSIONS);
    int64_t b = aft_joiner_watermark(r->j, AFT_OUTCOMES);
    return (a > b ? a : b) + r->config.disorder_ms + 1;
}

/* Everybody is erased at the end: nobody's id stands in any file. Before it, somebody's did. */
static void
erased_from_disk(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(300);
    struct aft_error e;
    bool stood = false;
    for (long round = kit_rounds(12); round > 0; round--, seed++) {
        struct join_case c;
        struct run r;
        uint64_t seq;
        case_make(&c, seed);
        for (size_t i = 0; i < c.ticks; i++) /* nothing may end before the erasures */
            if (c.tick[i].at_offset == (int64_t)c.n[c.tick[i].log])
                c.tick[i--] = c.tick[--c.ticks];
        remove_dir();
        start(&r, &c, seed, open_rocksdb());
        feed(&r, true);
        aft_joiner_cut(r.j, AFT_ABSENT, &seq);
        must(aft_joiner_commit(r.j, &e), &e);
        must(r.store->ops->purge(r.store, &e), &e);
        stood |= dir_holds("-of-all");
        int64_t end = behind_all(&r); /* erasures come behind every outcome too */
        aft_joiner_tick(r.j, AFT_IMPRESSIONS, 0, end);
        for (uint32_t u = 0; u < c.users; u++) {
            char user[40];
            snprintf(user, sizeof user, "user-%u-of-all", u);
            must(aft_joiner_take(r.j, AFT_IMPRESSIONS, (int64_t)(c.n[0] + u), 0, aft_text(user),
                                 AFT_ABSENT, &e),
                 &e);
        }
        for (int log = 0; log < 2; log++)
            aft_joiner_tick(r.j, (enum aft_log_kind)log, 0, end + 1);
        must(aft_joiner_run(r.j, &e), &e);
        aft_joiner_cut(r.j, AFT_ABSENT, &seq);
        must(aft_joiner_commit(r.j, &e), &e);
        must(r.store->ops->purge(r.store, &e), &e);
        assert_false(dir_holds("-of-all"));
        stop(&r);
        case_free(&c);
    }
    assert_true(stood);
    remove_dir();
}

/* ---- refusals */

static void
refusals(void **state)
{
    (void)state;
    struct join_case c;
    struct run r;
    struct aft_error e;
    struct aft_joiner *j;
    struct aft_join_out out = {&r.out, keep};
    uint64_t seq;
    case_make(&c, 4);
    start(&r, &c, 1, aft_store_mem_new());
    feed(&r, false);
    aft_joiner_cut(r.j, AFT_ABSENT, &seq);
    must(aft_joiner_commit(r.j, &e), &e);
    const struct aft_join_identity who = {"test", 2}, other = {"rest", 2}, part = {"test", 3};
    struct aft_join_config changed = c.config;
    assert_int_equal(aft_joiner_open(&c.config, &other, r.store, &out, &j, &e), AFT_E_CONFIG);
    assert_int_equal(aft_joiner_open(&c.config, &part, r.store, &out, &j, &e), AFT_E_CONFIG);
    changed.kinds[1].weight_micro++;
    assert_int_equal(aft_joiner_open(&changed, &who, r.store, &out, &j, &e), AFT_E_CONFIG);
    changed = c.config;
    changed.orphan_after_ms = changed.window_ms + changed.grace_ms + 1;
    assert_int_equal(aft_joiner_open(&changed, &who, r.store, &out, &j, &e), AFT_E_CONFIG);
    changed = c.config; /* the order of kinds and the bound on memory mean nothing */
    changed.kinds[0] = c.config.kinds[3];
    changed.kinds[3] = c.config.kinds[0];
    changed.open_max++;
    must(aft_joiner_open(&changed, &who, r.store, &out, &j, &e), &e);
    aft_joiner_close(j);
    stop(&r);
    case_free(&c);
}

static void
open_max(void **state)
{
    (void)state;
    struct join_case c;
    struct run r;
    struct aft_error e;
    case_make(&c, 4);
    for (uint64_t seed = 5; c.n[0] < 150 || c.config.disorder_ms > 100; seed++) {
        case_free(&c);
        case_make(&c, seed);
    }
    c.config.open_max = 3;
    start(&r, &c, 1, aft_store_mem_new());
    enum aft_err failed = AFT_OK;
    while (!failed && (r.at[0] < c.n[0] || r.at[1] < c.n[1])) {
        int log = aft_joiner_behind(r.j);
        give(&r, r.at[log] < c.n[log] ? log : !log);
        failed = aft_joiner_run(r.j, &e);
    }
    assert_int_equal(failed, AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "3 impressions are open, and join.max.open allows 3"));
    assert_int_equal(aft_joiner_run(r.j, &e), AFT_E_CONFIG); /* for ever */
    stop(&r);
    case_free(&c);
}

/* A state that holds more than the bound, which was lowered since, is refused when it is opened. */
static void
open_max_lowered(void **state)
{
    (void)state;
    struct join_case c;
    struct run r;
    struct aft_error e;
    struct aft_join_counts counts;
    struct aft_joiner *j;
    struct aft_join_out out = {&r.out, keep};
    const struct aft_join_identity who = {"test", 2};
    uint64_t seq, seed = 4;
    for (counts.open = 0; counts.open < 2; stop(&r), case_free(&c)) {
        case_make(&c, ++seed);
        start(&r, &c, seed, aft_store_mem_new());
        for (int log = 0; log < 2; log++)
            while (r.at[log] < c.n[log] / 2)
                give(&r, log);
        must(aft_joiner_run(r.j, &e), &e);
        aft_joiner_counts(r.j, &counts);
        if (counts.open < 2)
            continue;
        aft_joiner_cut(r.j, AFT_ABSENT, &seq);
        must(aft_joiner_commit(r.j, &e), &e);
        r.config.open_max = (uint64_t)counts.open - 1;
        assert_int_equal(aft_joiner_open(&r.config, &who, r.store, &out, &j, &e), AFT_E_CONFIG);
        assert_non_null(strstr(e.message, "join.max.open allows"));
        r.config.open_max++;
        must(aft_joiner_open(&r.config, &who, r.store, &out, &j, &e), &e);
        aft_joiner_close(j);
    }
}

/* A damaged body, an erasure without a key: dead letters that take no place. */
static void
dead_letters(void **state)
{
    (void)state;
    struct join_case c;
    struct run r;
    struct aft_error e;
    case_make(&c, 4);
    start(&r, &c, 1, aft_store_mem_new());
    const struct aft_bytes bad = {(const uint8_t *)"\xff\xff", 2};
    assert_int_equal(
        aft_err_class(aft_joiner_take(r.j, AFT_IMPRESSIONS, 0, 0, AFT_ABSENT, bad, &e)),
        AFT_CLASS_DATA);
    assert_int_equal(aft_joiner_take(r.j, AFT_IMPRESSIONS, 1, 0, AFT_ABSENT, AFT_ABSENT, &e),
                     AFT_E_MALFORMED);
    assert_int_equal(aft_joiner_take(r.j, AFT_OUTCOMES, 0, 0, aft_text("u"), AFT_ABSENT, &e),
                     AFT_E_MALFORMED);
    assert_int_equal(aft_joiner_waiting(r.j, AFT_IMPRESSIONS), 0);
    assert_int_equal(aft_joiner_watermark(r.j, AFT_IMPRESSIONS), INT64_MIN);
    stop(&r);
    case_free(&c);
}

int
main(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%.200s/aft-joiner-%ld", tmp ? tmp : "/tmp", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pure),
        cmocka_unit_test(rewarded_only),
        cmocka_unit_test(same_on_disk),
        cmocka_unit_test(refusals),
        cmocka_unit_test(erased_from_disk),
        cmocka_unit_test(open_max),
        cmocka_unit_test(open_max_lowered),
        cmocka_unit_test(dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
