/* test_store.c - one suite over both stores: a store is a sorted map with atomic steps, told by a plain model. */
#include "tests/kit.h"

#include <dirent.h>
#include <unistd.h>

#include "state/state.h"

enum { KEYS = 64 };

struct kind {
    const char *name;
    bool durable;
    char dir[256];
};

static void
remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    char path[600];
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
open_store(const struct kind *k)
{
    struct aft_store *s = NULL;
    struct aft_error e;
    if (!k->durable)
        return aft_store_mem_new();
    if (aft_store_rocksdb_open(k->dir, &s, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return s;
}

static struct aft_bytes
key_of(uint8_t *b, uint32_t n)
{
    aft_key_make(b, n, AFT_KEY_SEGMENT);
    return (struct aft_bytes){b, AFT_KEY_BYTES};
}

/* expect_same compares all keys at or above `from` by scan, each by get, and the last. model[k]: 0 absent, else its byte. */
static void
expect_same(struct aft_store *s, const uint32_t *model, uint32_t from)
{
    struct aft_error e;
    struct aft_store_scan *scan;
    struct aft_put at;
    struct aft_buffer key = {0}, value = {0};
    uint8_t b[AFT_KEY_BYTES];
    bool end = false, found;
    assert_int_equal(s->ops->scan_open(s, key_of(b, from), &scan, &e), AFT_OK);
    uint32_t newest = KEYS;
    for (uint32_t k = from; k < KEYS; k++) {
        aft_buffer_reset(&value);
        assert_int_equal(s->ops->get(s, key_of(b, k), &value, &found, &e), AFT_OK);
        assert_int_equal(found, model[k] != 0);
        if (!found)
            continue;
        newest = k;
        assert_int_equal(s->ops->scan_next(scan, &at, &end, &e), AFT_OK);
        assert_false(end);
        assert_true(aft_same(at.key, key_of(b, k)));
        assert_int_equal(aft_load_le32(at.value.p), model[k]);
        assert_true(aft_same(at.value, aft_buffer_bytes(&value)));
    }
    assert_int_equal(s->ops->scan_next(scan, &at, &end, &e), AFT_OK);
    assert_true(end);
    s->ops->scan_close(scan);
    aft_buffer_reset(&value);
    assert_int_equal(s->ops->last(s, &key, &value, &found, &e), AFT_OK);
    if (newest < KEYS)
        assert_true(found && aft_same(aft_buffer_bytes(&key), key_of(b, newest)));
    aft_buffer_deinit(&key);
    aft_buffer_deinit(&value);
}

static void
random_step(struct aft_store *s, struct aft_random *r, uint32_t *model, uint32_t from)
{
    struct aft_error e;
    struct aft_put puts[KEYS];
    uint8_t keys[KEYS][AFT_KEY_BYTES], values[KEYS][4];
    size_t n = 0;
    bool bulk = aft_random_below(r, 4) == 0; /* takes nothing out, and its first value is large */
    struct aft_buffer large = {0};
    for (uint32_t k = from; k < KEYS; k++) {
        if (aft_random_below(r, 4))
            continue;
        puts[n].key = key_of(keys[n], k);
        puts[n].value = AFT_ABSENT;
        model[k] = bulk || aft_random_below(r, 3) ? 1 + aft_random_below(r, 1000) : 0;
        if (model[k]) {
            aft_store_le32(values[n], model[k]);
            puts[n].value = (struct aft_bytes){values[n], 4};
        }
        if (bulk && n == 0) {
            memset(aft_reserve(&large, AFT_STORE_BULK_BYTES), 7, AFT_STORE_BULK_BYTES);
            aft_store_le32(large.p, model[k]);
            puts[n].value = (struct aft_bytes){large.p, AFT_STORE_BULK_BYTES};
        }
        n++;
    }
    assert_int_equal(s->ops->commit(s, puts, n, &e), AFT_OK);
    aft_buffer_deinit(&large);
}

static void
like_a_map(void **state)
{
    const struct kind *k = *state;
    struct aft_random r;
    struct aft_error e;
    uint32_t model[KEYS] = {0}, from = 0;
    uint8_t b[AFT_KEY_BYTES];
    struct aft_store *s = open_store(k);
    aft_random_init(&r, kit_seed(5), 0);
    expect_same(s, model, 0);
    for (long round = kit_rounds(60); round > 0; round--) {
        random_step(s, &r, model, from);
        expect_same(s, model, from);
        if (from < KEYS / 2 && aft_random_below(&r, 4) == 0) {
            from += aft_random_below(&r, 4);
            assert_int_equal(s->ops->drop_below(s, key_of(b, from), &e), AFT_OK);
            expect_same(s, model, from);
        }
        if (aft_random_below(&r, 20) == 0)
            assert_int_equal(s->ops->purge(s, &e), AFT_OK);
        if (k->durable && aft_random_below(&r, 6) == 0) {
            s->ops->close(s);
            s = open_store(k);
            expect_same(s, model, from);
        }
    }
    assert_true(s->ops->bytes(s) > 0);
    s->ops->close(s);
}

static void
empty(void **state)
{
    struct aft_store *s = open_store(*state);
    struct aft_buffer b = {0};
    struct aft_error e;
    bool found = true;
    assert_int_equal(s->ops->last(s, &b, &b, &found, &e), AFT_OK);
    assert_false(found);
    s->ops->close(s);
}

static void
checkpoint(void **state)
{
    const struct kind *k = *state;
    struct kind copy = *k;
    struct aft_error e;
    uint32_t model[KEYS] = {0}, later[KEYS] = {0};
    struct aft_random r;
    struct aft_store *s = open_store(k);
    aft_random_init(&r, kit_seed(6), 0);
    random_step(s, &r, model, 0);
    snprintf(copy.dir, sizeof copy.dir, "%.240s-copy", k->dir);
    remove_dir(copy.dir);
    if (!k->durable) {
        assert_int_equal(s->ops->checkpoint(s, copy.dir, &e), AFT_E_FAILED);
        s->ops->close(s);
        return;
    }
    assert_int_equal(s->ops->checkpoint(s, copy.dir, &e), AFT_OK);
    memcpy(later, model, sizeof later);
    random_step(s, &r, later, 0);
    expect_same(s, later, 0);
    s->ops->close(s);
    s = open_store(&copy);
    expect_same(s, model, 0);
    s->ops->close(s);
    remove_dir(copy.dir);
}

static void
two_owners(void **state)
{
    const struct kind *k = *state;
    struct aft_store *s = open_store(k), *other;
    struct aft_error e;
    if (k->durable)
        assert_int_equal(aft_store_rocksdb_open(k->dir, &other, &e), AFT_E_IO);
    s->ops->close(s);
}

static struct kind kinds[2] = {{.name = "mem"}, {.name = "rocksdb", .durable = true}};

static int
setup_mem(void **state)
{
    *state = &kinds[0];
    return 0;
}

static int
setup_rocksdb(void **state)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(kinds[1].dir, sizeof kinds[1].dir, "%.200s/aft-store-%ld", tmp ? tmp : "/tmp",
             (long)getpid());
    remove_dir(kinds[1].dir);
    *state = &kinds[1];
    return 0;
}

static int
teardown(void **state)
{
    const struct kind *k = *state;
    if (k->durable)
        remove_dir(k->dir);
    return 0;
}

#define BOTH(test)                                              \
    cmocka_unit_test_setup_teardown(test, setup_mem, teardown), \
        cmocka_unit_test_setup_teardown(test, setup_rocksdb, teardown)

/* RocksDB's own options take effect: its OPTIONS file says so; what it does not know is refused in its words. */
static void
options_of_its_own(void **state)
{
    (void)state;
    char dir[] = "/tmp/aft-test-options-XXXXXX", command[300];
    struct aft_store *s;
    struct aft_error e;
    assert_non_null(mkdtemp(dir));
    enum aft_err err = aft_store_rocksdb_open_with(
        dir, "write_buffer_size=1234567;max_background_jobs=3;compression=kNoCompression;", &s, &e);
    if (err != AFT_OK)
        fail_msg("%s", e.message);
    s->ops->close(s);
    snprintf(command, sizeof command,
             "grep -q write_buffer_size=1234567 %s/OPTIONS-* && "
             "grep -q max_background_jobs=3 %s/OPTIONS-* && "
             "grep -q target_file_size_base=33554432 %s/OPTIONS-* && rm -rf %s",
             dir, dir, dir, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(aft_store_rocksdb_check("write_buffer_size", "64M", &e), AFT_OK);
    assert_int_equal(aft_store_rocksdb_check("write_bufer_size", "64M", &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "rocksdb.write_bufer_size=64M: Invalid argument"));
    assert_int_equal(aft_store_rocksdb_check("max_open_files", "many", &e), AFT_E_CONFIG);
    assert_int_equal(aft_store_rocksdb_check("compaction_style", "kCompactionStyleFIFO", &e),
                     AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "hangs on it"));
    assert_int_equal(aft_store_rocksdb_check("max_open_files", "9;wal_dir=/tmp", &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "one option, one value"));
    assert_int_equal(aft_store_rocksdb_check("max_open_files", "9};wal_dir={/tmp", &e),
                     AFT_E_CONFIG);
    assert_int_equal(aft_store_rocksdb_check("a=1;wal_dir", "/tmp", &e), AFT_E_CONFIG);
    assert_int_equal(aft_store_rocksdb_check("block_based_table_factory",
                                             "{block_size=8K;cache_index_and_filter_blocks=1;}",
                                             &e),
                     AFT_OK);
    assert_int_not_equal(aft_store_rocksdb_open_with(dir, "nonsense=1;", &s, &e), AFT_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {BOTH(empty), BOTH(like_a_map), BOTH(checkpoint),
                                       BOTH(two_owners), cmocka_unit_test(options_of_its_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
