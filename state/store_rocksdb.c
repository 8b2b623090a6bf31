/* store_rocksdb.c - a store in RocksDB (7.8, C API): one column family, keys that grow. A step is one WriteBatch through the WAL, synced;
 * or, when it is large and takes nothing out, one file of sorted keys that is synced and then ingested: it becomes part of the database
 * by one record of the manifest, wholly or not at all, and is never rewritten, since its keys lie above all others.
 *
 * Segments are written once, in the order of their keys, so files move down the levels without being rewritten; old ones go as whole
 * files. No compression (segments are small varints and hashes) and no block cache beyond the default: the joiner keeps what it reads.
 * Files are mapped, not read: an old segment is one of a million, looked at once, and lies in the page cache mostly (checksums are verified
 * all the same). rocksdb.allow_mmap_reads=false reads them, at more than twice the cost a segment.
 * Invariants: I1 every iterator and option is gone before the database closes; I2 an error of RocksDB is freed and told in words;
 * I3 a name that a crash left behind is taken away
 * before the next large step uses it, and read by nobody.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "state/state.h"

struct rocks {
    struct aft_store base;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *synced;
    rocksdb_readoptions_t *reads, *scans; /* scans: read ahead, and leave the block cache alone */
    rocksdb_writebatch_t *batch;
    rocksdb_envoptions_t *env;
    rocksdb_sstfilewriter_t *writer; /* made by the first large step */
    rocksdb_ingestexternalfileoptions_t *ingest;
    char *bulk;          /* the file's name */
    uint8_t dropped[16]; /* drop_below was last called for this key */
    size_t dropped_n;
};
struct aft_store_scan {
    rocksdb_iterator_t *at;
    bool fresh; /* nothing read yet */
};

static struct rocks *
rocks_of(struct aft_store *s)
{
    return (struct rocks *)s;
}

static enum aft_err
told(char *words, const char *doing, struct aft_error *e)
{
    if (!words)
        return AFT_OK;
    bool corrupt = strstr(words, "orruption") != NULL;
    enum aft_err code =
        corrupt ? AFT_FAIL(e, AFT_E_CORRUPT,
                           "%s: %s. Restore a checkpoint, or start with an empty directory", doing,
                           words)
                : AFT_FAIL(e, AFT_E_IO,
                           "%s: %s. Is the disk full, or another process in this directory?", doing,
                           words);
    rocksdb_free(words);
    return code;
}

/* ---- large steps */
static bool
is_bulk(const struct aft_put *puts, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (!puts[i].value.p)
            return false;
        bytes += puts[i].value.n;
    }
    return bytes >= AFT_STORE_BULK_BYTES;
}

static void
write_file(struct rocks *r, const struct aft_put *puts, size_t n, char **words)
{
    if (!r->writer)
        r->writer = rocksdb_sstfilewriter_create(r->env, r->options);
    remove(r->bulk); /* I3: not written into, since it may be a link to a file of the database */
    rocksdb_sstfilewriter_open(r->writer, r->bulk, words);
    for (size_t i = 0; !*words && i < n; i++)
        rocksdb_sstfilewriter_put(r->writer, (const char *)puts[i].key.p, puts[i].key.n,
                                  (const char *)puts[i].value.p, puts[i].value.n, words);
    if (!*words)
        rocksdb_sstfilewriter_finish(r->writer, words);
}

static enum aft_err
commit_bulk(struct rocks *r, const struct aft_put *puts, size_t n, struct aft_error *e)
{
    char *words = NULL;
    const char *files[1] = {r->bulk};
    write_file(r, puts, n, &words);
    if (!words)
        rocksdb_ingest_external_file(r->db, files, 1, r->ingest, &words);
    if (words && r->writer) { /* a writer that failed takes no other file */
        rocksdb_sstfilewriter_destroy(r->writer);
        r->writer = NULL;
    }
    return told(words, "writing a step to the state", e);
}

static enum aft_err
rocks_commit(struct aft_store *s, const struct aft_put *puts, size_t n, struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    char *words = NULL;
    if (is_bulk(puts, n))
        return commit_bulk(r, puts, n, e);
    rocksdb_writebatch_clear(r->batch);
    for (size_t i = 0; i < n; i++) {
        const char *key = (const char *)puts[i].key.p;
        if (puts[i].value.p)
            rocksdb_writebatch_put(r->batch, key, puts[i].key.n, (const char *)puts[i].value.p,
                                   puts[i].value.n);
        else
            rocksdb_writebatch_delete(r->batch, key, puts[i].key.n);
    }
    rocksdb_write(r->db, r->synced, r->batch, &words);
    return told(words, "writing a step to the state", e);
}

static enum aft_err
rocks_get(struct aft_store *s, struct aft_bytes key, struct aft_buffer *out, bool *found,
          struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    char *words = NULL;
    size_t n;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned(r->db, r->reads, (const char *)key.p, key.n, &words);
    *found = v != NULL;
    if (v) {
        const char *p = rocksdb_pinnableslice_value(v, &n);
        aft_put_raw(out, (struct aft_bytes){(const uint8_t *)p, n});
        rocksdb_pinnableslice_destroy(v);
    }
    return told(words, "reading the state", e);
}

static enum aft_err
iterator_error(rocksdb_iterator_t *at, struct aft_error *e)
{
    char *words = NULL;
    rocksdb_iter_get_error(at, &words);
    return told(words, "reading the state", e);
}

static struct aft_put
entry_at(const rocksdb_iterator_t *at)
{
    struct aft_put out;
    out.key.p = (const uint8_t *)rocksdb_iter_key(at, &out.key.n);
    out.value.p = (const uint8_t *)rocksdb_iter_value(at, &out.value.n);
    return out;
}

static enum aft_err
rocks_last(struct aft_store *s, struct aft_buffer *key, struct aft_buffer *value, bool *found,
           struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    rocksdb_iterator_t *at = rocksdb_create_iterator(r->db, r->reads);
    rocksdb_iter_seek_to_last(at);
    *found = rocksdb_iter_valid(at);
    if (*found) {
        struct aft_put last = entry_at(at);
        aft_put_raw(key, last.key);
        aft_put_raw(value, last.value);
    }
    enum aft_err failed = iterator_error(at, e);
    rocksdb_iter_destroy(at);
    return failed;
}

static enum aft_err
rocks_scan_open(struct aft_store *s, struct aft_bytes from, struct aft_store_scan **out,
                struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    struct aft_store_scan *c = malloc(sizeof *c);
    AFT_ASSERT(c != NULL);
    c->at = rocksdb_create_iterator(r->db, r->scans);
    rocksdb_iter_seek(c->at, (const char *)from.p, from.n);
    enum aft_err failed = iterator_error(c->at, e);
    if (failed) {
        rocksdb_iter_destroy(c->at);
        free(c);
        return failed;
    }
    *out = c;
    c->fresh = true;
    return AFT_OK;
}

static enum aft_err
rocks_scan_next(struct aft_store_scan *c, struct aft_put *out, bool *end, struct aft_error *e)
{
    if (!c->fresh && rocksdb_iter_valid(c->at))
        rocksdb_iter_next(c->at);
    c->fresh = false;
    *end = !rocksdb_iter_valid(c->at);
    if (!*end)
        *out = entry_at(c->at);
    return iterator_error(c->at, e);
}

static void
rocks_scan_close(struct aft_store_scan *c)
{
    rocksdb_iter_destroy(c->at);
    free(c);
}

static enum aft_err
rocks_drop_below(struct aft_store *s, struct aft_bytes key, struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    char *words = NULL;
    AFT_ASSERT(key.n <= sizeof r->dropped);
    if (aft_same(key, (struct aft_bytes){r->dropped, r->dropped_n}))
        return AFT_OK;
    r->dropped_n = key.n;
    memcpy(r->dropped, key.p, key.n);
    rocksdb_delete_file_in_range(r->db, "", 0, (const char *)key.p, key.n, &words);
    return told(words, "dropping old segments of the state", e);
}

static enum aft_err
rocks_purge(struct aft_store *s, struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    char *words = NULL;
    rocksdb_flushoptions_t *f = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(f, 1);
    rocksdb_flush(r->db, f, &words);
    rocksdb_flushoptions_destroy(f);
    AFT_TRY(told(words, "purging the state", e));
    rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_bottommost_level_compaction(
        o, 3); /* force_optimized: files that lay still too */
    rocksdb_compact_range_opt(r->db, o, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(o);
    return AFT_OK;
}

static enum aft_err
rocks_checkpoint(struct aft_store *s, const char *directory, struct aft_error *e)
{
    struct rocks *r = rocks_of(s);
    char *words = NULL;
    rocksdb_checkpoint_t *c = rocksdb_checkpoint_object_create(r->db, &words);
    if (!words)
        rocksdb_checkpoint_create(c, directory, 0, &words);
    if (c)
        rocksdb_checkpoint_object_destroy(c);
    return told(words, "making a checkpoint", e);
}

static uint64_t
rocks_bytes(struct aft_store *s)
{
    uint64_t files = 0, memory = 0;
    rocksdb_property_int(rocks_of(s)->db, "rocksdb.total-sst-files-size", &files);
    rocksdb_property_int(rocks_of(s)->db, "rocksdb.cur-size-all-mem-tables", &memory);
    return files + memory; /* what is in memory tables stands in the WAL too */
}

static void
rocks_close(struct aft_store *s)
{
    struct rocks *r = rocks_of(s);
    if (r->writer)
        rocksdb_sstfilewriter_destroy(r->writer);
    rocksdb_ingestexternalfileoptions_destroy(r->ingest);
    rocksdb_envoptions_destroy(r->env);
    free(r->bulk);
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_readoptions_destroy(r->reads);
    rocksdb_readoptions_destroy(r->scans);
    rocksdb_writeoptions_destroy(r->synced);
    if (r->db)
        rocksdb_close(r->db);
    rocksdb_options_destroy(r->options);
    free(r);
}

static const struct aft_store_ops rocks_ops = {
    .commit = rocks_commit,
    .get = rocks_get,
    .last = rocks_last,
    .scan_open = rocks_scan_open,
    .scan_next = rocks_scan_next,
    .scan_close = rocks_scan_close,
    .drop_below = rocks_drop_below,
    .purge = rocks_purge,
    .checkpoint = rocks_checkpoint,
    .bytes = rocks_bytes,
    .close = rocks_close,
};

/* files_at_most: how many of the state's files may be open. A window of 50 M impressions has more than a thousand, and a look into one
 * that is closed costs ten times a look. The process takes what it is allowed to have open, and a store a sixteenth of that. */
static int
files_at_most(void)
{
    const rlim_t enough = 65536, least = 512, most = 4096;
    struct rlimit may;
    if (getrlimit(RLIMIT_NOFILE, &may) != 0)
        return (int)least;
    rlim_t want = may.rlim_max < enough ? may.rlim_max : enough;
    if (may.rlim_cur < want) {
        struct rlimit more = {want, may.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            may.rlim_cur = want;
    }
    rlim_t share = may.rlim_cur / 16;
    return (int)(share < least ? least : share > most ? most : share);
}

static rocksdb_options_t *
options(void)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(o, 32 << 20);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_target_file_size_base(o, 32 << 20);
    rocksdb_options_set_allow_mmap_reads(o, 1);
    rocksdb_options_set_advise_random_on_open(o, 0); /* else a cold file comes a page at a time */
    rocksdb_options_set_max_open_files(o, files_at_most());
    rocksdb_options_set_keep_log_file_num(o, 4);
    /* nothing but its heading: where the disk is full, a second line would end the process (an assertion of 7.8.3 in Debian) */
    rocksdb_options_set_info_log_level(o, 5);
    return o;
}

/* `with` over `base`, which is freed; words: RocksDB's, when it does not take them (then the base it is). */
static rocksdb_options_t *
options_over(rocksdb_options_t *base, const char *with, char **words)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_get_options_from_string(base, with, o, words);
    rocksdb_options_destroy(*words ? o : base);
    return *words ? base : o;
}

static enum aft_err
store_open(const char *directory, const char *with, bool look, struct aft_store **out,
           struct aft_error *e)
{
    struct rocks *r = calloc(1, sizeof *r);
    char *words = NULL, doing[300];
    AFT_ASSERT(r != NULL);
    r->base.ops = &rocks_ops;
    r->options = options();
    r->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->synced, 1);
    r->reads = rocksdb_readoptions_create();
    r->scans = rocksdb_readoptions_create();
    rocksdb_readoptions_set_readahead_size(r->scans, 2 << 20);
    rocksdb_readoptions_set_fill_cache(r->scans, 0);
    r->batch = rocksdb_writebatch_create();
    r->env = rocksdb_envoptions_create();
    r->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(r->ingest, 1);
    size_t room = strlen(directory) + sizeof "/step.bulk";
    r->bulk = malloc(room);
    AFT_ASSERT(r->bulk != NULL);
    snprintf(r->bulk, room, "%s/step.bulk", directory);
    if (with[0])
        r->options = options_over(r->options, with, &words);
    if (!words)
        r->db = look ? rocksdb_open_for_read_only(r->options, directory, 0, &words)
                     : rocksdb_open(r->options, directory, &words);
    if (words) {
        snprintf(doing, sizeof doing, "opening the state in %s", directory);
        enum aft_err failed = told(words, doing, e);
        r->db = NULL;
        rocks_close(&r->base);
        return failed;
    }
    *out = &r->base;
    return AFT_OK;
}

enum aft_err
aft_store_rocksdb_open(const char *directory, struct aft_store **out, struct aft_error *e)
{
    return store_open(directory, "", false, out, e);
}

enum aft_err
aft_store_rocksdb_open_with(const char *directory, const char *with, struct aft_store **out,
                            struct aft_error *e)
{
    return store_open(directory, with, false, out, e);
}

enum aft_err
aft_store_rocksdb_look(const char *directory, struct aft_store **out, struct aft_error *e)
{
    return store_open(directory, "", true, out, e);
}

/* One value: no ';' but within braces, which close. Else it could name a second option. */
static bool
is_one(const char *value)
{
    int depth = 0;
    for (; *value && depth >= 0; value++) {
        depth += (*value == '{') - (*value == '}');
        if (*value == ';' && depth == 0)
            return false;
    }
    return depth == 0;
}

enum aft_err
aft_store_rocksdb_check(const char *name, const char *value, struct aft_error *e)
{
    static const char *const ours[] = {"cf_paths",
                                       "comparator",
                                       "compaction_filter",
                                       "compaction_filter_factory",
                                       "compaction_style",
                                       "create_if_missing",
                                       "db_paths",
                                       "error_if_exists",
                                       "info_log_level",
                                       "inplace_update_support",
                                       "manual_wal_flush",
                                       "merge_operator",
                                       "persist_stats_to_disk",
                                       "ttl",
                                       "wal_dir",
                                       "wal_recovery_mode"};
    char with[600], *words = NULL;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(name, ours[i]) == 0)
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "rocksdb.%s is not to be set: what the state holds hangs on it", name);
    if (snprintf(with, sizeof with, "%s=%s;", name, value) >= (int)sizeof with)
        return AFT_FAIL(e, AFT_E_CONFIG, "rocksdb.%.60s: the value is too long", name);
    if (!is_one(value) || strpbrk(name, ";={}"))
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "rocksdb.%.60s=%.60s: one option, one value; a ';' within {} alone", name,
                        value);
    rocksdb_options_destroy(options_over(options(), with, &words));
    if (!words)
        return AFT_OK;
    AFT_FAIL(e, AFT_E_CONFIG,
             "rocksdb.%.60s=%.60s: %.200s; its names are those of RocksDB's "
             "DBOptions and ColumnFamilyOptions",
             name, value, words);
    rocksdb_free(words);
    return e->code;
}
