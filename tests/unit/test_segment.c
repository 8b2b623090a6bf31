/* test_segment.c - segments, commit records, the table and the index, each against a plain model. */
#include "tests/kit.h"

#include "state/state.h"

/* ---- segments */

struct written {
    struct aft_place at;
    enum aft_redo kind;
    uint8_t note;
    int64_t e, offset;
    uint8_t bytes[300];
    size_t n;
};

static void
expect_record(struct aft_segments *s, const struct written *w)
{
    struct aft_redo_record rec;
    struct aft_error e;
    if (aft_segments_read(s, w->at, &rec, &e) != AFT_OK)
        fail_msg("%s", e.message);
    assert_int_equal(rec.kind, w->kind);
    assert_int_equal(rec.note, w->note);
    assert_int_equal(rec.e, w->e);
    assert_int_equal(rec.offset, w->offset);
    assert_true(rec.payload.n >= w->n);
    assert_memory_equal(rec.payload.p, w->bytes, w->n);
    for (size_t i = w->n; i < rec.payload.n; i++) /* a wiped record keeps its length, in zeros */
        assert_int_equal(rec.payload.p[i], 0);
}

static void
append_random(struct aft_segments *s, struct aft_random *r, struct written *w)
{
    w->kind = aft_random_below(r, 2) ? AFT_REDO_IMPRESSION : AFT_REDO_OUTCOME;
    w->note = (uint8_t)aft_random_u32(r);
    w->e = aft_random_u32(r);
    w->offset = aft_random_u32(r);
    w->n = 1 + aft_random_below(r, sizeof w->bytes);
    for (size_t i = 0; i < w->n; i++)
        w->bytes[i] = (uint8_t)(1 + aft_random_below(r, 255));
    size_t cut = aft_random_below(r, (uint32_t)w->n);
    struct aft_segment_record a = {
        w->kind, w->note, w->e, w->offset, {w->bytes, cut}, {w->bytes + cut, w->n - cut}, 7, 9};
    w->at = aft_segments_append(s, &a);
}

static void
commit_segments(struct aft_segments *s, struct aft_store *store, struct aft_random *r,
                struct written *w, size_t n)
{
    struct aft_error e;
    struct aft_step step = {0};
    uint64_t last = aft_segments_close(s);
    if (n && aft_random_below(r, 2)) { /* wipe some, in memory or long gone to the store */
        struct written *v = &w[aft_random_below(r, (uint32_t)n)];
        if (v->kind == AFT_REDO_IMPRESSION) {
            uint8_t payload[AFT_ERASED_BYTES] = {1, 2, 3};
            assert_int_equal(aft_segments_wipe(s, v->at, AFT_REDO_ERASED, 17,
                                               (struct aft_bytes){payload, sizeof payload}, &e),
                             AFT_OK);
            v->kind = AFT_REDO_ERASED;
            v->note = 17;
            v->n = sizeof payload;
            memcpy(v->bytes, payload, sizeof payload);
        }
    }
    aft_segments_puts(s, 1, last, &step);
    aft_step_seal(&step);
    assert_int_equal(store->ops->commit(store, step.puts, step.n, &e), AFT_OK);
    aft_segments_committed(s, last);
    aft_step_deinit(&step);
}

static void
segments(void **state)
{
    (void)state;
    enum { MOST = 6000 };
    struct aft_segments s;
    struct aft_random r;
    struct aft_store *store = aft_store_mem_new();
    struct written *w = calloc(MOST, sizeof *w);
    size_t n = 0;
    aft_random_init(&r, kit_seed(3), 0);
    aft_segments_init(&s, store, 1, 150000); /* a hold of two segments: the rest is read back */
    while (n < MOST) {
        for (uint32_t k = 1 + aft_random_below(&r, 200); k > 0 && n < MOST; k--)
            append_random(&s, &r, &w[n++]);
        if (aft_random_below(&r, 3) == 0)
            commit_segments(&s, store, &r, w, n);
        for (int k = 0; k < 50; k++)
            expect_record(&s, &w[aft_random_below(&r, (uint32_t)n)]);
    }
    commit_segments(&s, store, &r, w, n);
    aft_segments_deinit(&s);
    aft_segments_init(&s, store, 1000000, 0);
    for (size_t i = 0; i < n; i++)
        expect_record(&s, &w[i]);
    aft_segments_deinit(&s);
    free(w);
    store->ops->close(store);
}

/* Segments read in turn come many at once: not as they were, while one of them is being rewritten. */
static void
read_in_turn_beside_a_wipe(void **state)
{
    (void)state;
    enum { MOST = 2000 };
    struct aft_segments s;
    struct aft_random r;
    struct aft_error e;
    struct aft_store *store = aft_store_mem_new();
    struct written *w = calloc(MOST, sizeof *w), *wiped = NULL;
    uint8_t payload[AFT_ERASED_BYTES] = {1, 2, 3};
    aft_random_init(&r, kit_seed(11), 0);
    aft_segments_init(&s, store, 1, 0);
    for (size_t i = 0; i < MOST; i++)
        append_random(&s, &r, &w[i]);
    commit_segments(&s, store, &r, w, 0);
    uint64_t next = s.next;
    aft_segments_deinit(&s);
    aft_segments_init(&s, store, next, 0);
    for (size_t i = 0; i < MOST && !wiped; i++)
        if (w[i].at.segment == 5 && w[i].kind == AFT_REDO_IMPRESSION)
            wiped = &w[i];
    assert_non_null(wiped);
    struct aft_bytes to = {payload, sizeof payload};
    assert_int_equal(aft_segments_wipe(&s, wiped->at, AFT_REDO_ERASED, 17, to, &e), AFT_OK);
    wiped->kind = AFT_REDO_ERASED;
    wiped->note = 17;
    wiped->n = sizeof payload;
    memcpy(wiped->bytes, payload, sizeof payload);
    for (size_t i = 0; w[i].at.segment < 8; i++)
        expect_record(&s, &w[i]);
    commit_segments(&s, store, &r, w, 0);
    for (size_t i = 0; i < MOST; i++)
        expect_record(&s, &w[i]);
    aft_segments_deinit(&s);
    free(w);
    store->ops->close(store);
}

static void
damaged_segments(void **state)
{
    (void)state;
    struct aft_store *store = aft_store_mem_new();
    struct aft_segments s;
    struct aft_redo_record rec;
    struct aft_error e;
    uint8_t key[AFT_KEY_BYTES], value[60] = "AFS2";
    aft_key_make(key, 4, AFT_KEY_SEGMENT);
    value[20] = AFT_REDO_OUTCOME;
    aft_store_le32(value + 22, 1000); /* longer than what follows */
    struct aft_put put = {{key, sizeof key}, {value, sizeof value}};
    assert_int_equal(store->ops->commit(store, &put, 1, &e), AFT_OK);
    aft_segments_init(&s, store, 9, 0);
    assert_int_equal(aft_segments_read(&s, (struct aft_place){4, 20}, &rec, &e), AFT_E_CORRUPT);
    assert_int_equal(aft_segments_read(&s, (struct aft_place){4, 59}, &rec, &e), AFT_E_CORRUPT);
    assert_int_equal(aft_segments_read(&s, (struct aft_place){4, 500}, &rec, &e), AFT_E_CORRUPT);
    assert_int_equal(aft_segments_read(&s, (struct aft_place){5, 20}, &rec, &e), AFT_E_CORRUPT);
    aft_segments_deinit(&s);
    store->ops->close(store);
}

/* ---- commit records */

static void
commit_records(void **state)
{
    (void)state;
    struct aft_buffer b = {0};
    struct aft_error e;
    struct aft_commit_record got,
        c = {.app_id = aft_text("shop"),
             .partition = 3,
             .config = {{1, 2, 3}},
             .logs = {{5, 6, INT64_MIN, 7}, {INT64_MAX, INT64_MIN, -4, 0}},
             .place_e = 77,
             .place_offset = 78,
             .place_log = 1,
             .fired_ms = 79,
             .seq = UINT64_MAX / 3,
             .hash = {8, UINT64_MAX},
             .first_segment = 9,
             .last_segment = 8,
             .counts = {1, -1},
             .counts_n = 2,
             .rider = aft_text("rider")};
    aft_commit_encode(&b, &c);
    assert_int_equal(aft_commit_decode(aft_buffer_bytes(&b), &got, &e), AFT_OK);
    assert_true(aft_same(got.app_id, c.app_id) && aft_same(got.rider, c.rider));
    got.app_id = c.app_id;
    got.rider = c.rider;
    assert_memory_equal(got.logs, c.logs, sizeof c.logs);
    assert_memory_equal(got.config.b, c.config.b, 32);
    assert_true(got.partition == 3 && got.place_e == 77 && got.place_offset == 78 &&
                got.place_log == 1);
    assert_true(got.fired_ms == 79 && got.seq == c.seq && got.hash.high == UINT64_MAX);
    assert_true(got.first_segment == 9 && got.last_segment == 8 && got.counts_n == 2 &&
                got.counts[1] == -1);
    for (size_t n = 0; n < b.n; n++) { /* every cut and every flipped byte is refused */
        assert_int_equal(aft_commit_decode((struct aft_bytes){b.p, n}, &got, &e), AFT_E_CORRUPT);
        b.p[n] ^= 0x40;
        assert_int_equal(aft_commit_decode(aft_buffer_bytes(&b), &got, &e), AFT_E_CORRUPT);
        b.p[n] ^= 0x40;
    }
    aft_buffer_deinit(&b);
}

/* ---- the table */

static bool
in_table(const struct aft_table *t, uint64_t hash, uint32_t number)
{
    uint32_t got;
    for (struct aft_probe p = aft_probe(t, hash); aft_probe_next(&p, &got);)
        if (got == number)
            return true;
    return false;
}

static void
tables(void **state)
{
    (void)state;
    enum { N = 4000 };
    struct aft_table t = {0};
    struct aft_random r;
    uint64_t hash[N];
    bool there[N] = {false};
    aft_random_init(&r, kit_seed(4), 0);
    for (int i = 0; i < N; i++)
        hash[i] = aft_random_below(&r, 3) ? aft_random_u64(&r)
                                          : aft_random_below(&r, 50); /* many collide */
    for (long round = kit_rounds(60000); round > 0; round--) {
        uint32_t i = aft_random_below(&r, N);
        if (there[i]) {
            assert_true(aft_table_remove(&t, hash[i], i));
            assert_false(aft_table_remove(&t, hash[i], i));
        } else {
            aft_table_put(&t, hash[i], i);
        }
        there[i] = !there[i];
        assert_int_equal(in_table(&t, hash[i], i), there[i]);
        i = aft_random_below(&r, N);
        assert_int_equal(in_table(&t, hash[i], i), there[i]);
    }
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(in_table(&t, hash[i], i), there[i]);
    aft_table_deinit(&t);
}

/* ---- the index: users' chains across growth, trimming and users who left */

static struct aft_hash128
id_of(uint64_t n)
{
    return aft_id_of((struct aft_bytes){(const uint8_t *)&n, sizeof n});
}

static void
chains(void **state)
{
    (void)state;
    enum { N = 30000, USERS = 3000 };
    struct aft_index x;
    struct aft_random r;
    uint32_t *user_of = calloc(N, sizeof *user_of);
    uint64_t n, first = UINT64_C(0xfffffff0); /* low 32 bits wrap on the way */
    aft_index_init(&x, first, 0);
    aft_random_init(&r, kit_seed(8), 0);
    for (uint32_t i = 0; i < N; i++) {
        user_of[i] =
            i / 20 + aft_random_below(&r, 500) % USERS; /* old users leave, new ones come */
        struct aft_hash128 user = id_of(user_of[i]);
        struct aft_hash128 id = id_of(1000000 + i);
        struct aft_touch t =
            aft_touch_make(id, i, i, AFT_TOUCH_LIVE, (struct aft_place){i / 100, 0});
        assert_int_equal(aft_index_add(&x, &t, &user), first + i);
        assert_true(aft_index_find(&x, id, &n) && n == first + i);
        if (i >= 5000)
            aft_index_drop(&x, first + i - 5000);
        if (i >= 6000 && i % 100 == 0)
            aft_index_trim(&x, (i - 6000) / 100);
        uint32_t who = user_of[aft_random_below(&r, i + 1)];
        int64_t at = i;
        bool more = aft_index_newest(&x, id_of(who), &n);
        for (; more; more = aft_index_before(&x, n, &n)) { /* exactly this user's, newest first */
            while (user_of[at] != who)
                at--;
            assert_int_equal(n, first + (uint64_t)at);
            at--;
        }
        for (; at >= 0 && first + (uint64_t)at >= x.head; at--)
            assert_int_not_equal(user_of[at], who);
    }
    assert_int_equal(x.live, 5000);
    assert_true(x.users.slots < N / 2);
    assert_true(x.ids.slots < N / 2);
    aft_index_deinit(&x);
    free(user_of);
}

/* ---- filling */

enum { FILLED = 60000 };

/* fill adds touches of users who come and go, some dropped on the way, and outcomes. */
static void
fill(struct aft_index *x, uint64_t first, bool gathered, uint64_t seed)
{
    struct aft_random r;
    aft_random_init(&r, seed, 0);
    aft_index_init(x, first, first);
    if (gathered)
        aft_index_gather(x);
    for (uint32_t i = 0; i < FILLED; i++) {
        struct aft_hash128 user = id_of(i / 30 + aft_random_below(&r, 4000));
        struct aft_touch t = aft_touch_make(id_of(1000000 + i), i, i, AFT_TOUCH_LIVE,
                                            (struct aft_place){1 + i / 100, 0});
        aft_index_add(x, &t, aft_random_below(&r, 50) ? &user : NULL);
        if (aft_random_below(&r, 3) == 0 && i > 5000)
            aft_index_drop(x, x->gone);
        aft_index_see(x, &(struct aft_seen){.id = id_of(2000000 + i), .e = i});
        if (aft_random_below(&r, 2) == 0)
            aft_index_forget(x);
        if (aft_random_below(&r, 20000) == 0 && gathered)
            assert_true(aft_index_gathered(x, true));
    }
    if (gathered)
        assert_true(aft_index_gathered(x, false));
}

/* An index that was filled by parts is the one that was filled at once. */
static void
filled_by_parts(void **state)
{
    (void)state;
    struct aft_index a, b;
    uint64_t first = UINT64_C(0xffff8000), seed = kit_seed(9), na, nb;
    fill(&a, first, false, seed);
    fill(&b, first, true, seed);
    assert_true(a.gone == b.gone && a.tail == b.tail && a.live == b.live && a.gone > first);
    for (uint32_t i = 0; i < FILLED; i++) {
        assert_int_equal(aft_index_touch(&a, first + i)->before,
                         aft_index_touch(&b, first + i)->before);
        bool live = aft_index_find(&a, id_of(1000000 + i), &na);
        assert_int_equal(aft_index_find(&b, id_of(1000000 + i), &nb), live);
        assert_true(live == (first + i >= a.gone) && (!live || (na == nb && na == first + i)));
        bool seen = aft_index_seen_before(&a, id_of(2000000 + i), &na);
        assert_int_equal(aft_index_seen_before(&b, id_of(2000000 + i), &nb), seen);
        assert_true(!seen || na == nb);
    }
    for (uint32_t u = 0; u < FILLED / 30 + 4000; u++) {
        bool known = aft_index_newest(&a, id_of(u), &na);
        assert_int_equal(aft_index_newest(&b, id_of(u), &nb), known);
        assert_true(!known || na == nb);
    }
    aft_index_deinit(&a);
    aft_index_deinit(&b);
}

static void
an_id_twice(void **state)
{
    (void)state;
    struct aft_index x;
    struct aft_hash128 user = id_of(1);
    for (int gone = 0; gone < 2; gone++) { /* that of a touch that is gone may come again */
        aft_index_init(&x, 5, 0);
        aft_index_gather(&x);
        for (uint32_t i = 0; i < 600; i++) {
            struct aft_touch t =
                aft_touch_make(id_of(i % 599), i, i, AFT_TOUCH_LIVE, (struct aft_place){1, 0});
            aft_index_add(&x, &t, &user);
            if (gone && i == 0)
                aft_index_drop(&x, 5);
        }
        assert_int_equal(aft_index_gathered(&x, false), gone);
        aft_index_deinit(&x);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments),         cmocka_unit_test(read_in_turn_beside_a_wipe),
        cmocka_unit_test(damaged_segments), cmocka_unit_test(commit_records),
        cmocka_unit_test(tables),           cmocka_unit_test(chains),
        cmocka_unit_test(filled_by_parts),  cmocka_unit_test(an_id_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
