/* state.h - what one partition remembers.
 *
 * The state is the canonical log of the open window: segments of records in canonical order under keys that only grow, and one
 * commit record per atomic step (offsets to read again from, watermarks before them, place in the canonical order, seq, hash,
 * cursors). Everything else, the index of touches, ids and users, is a cache of it in memory and is rebuilt by reading it.
 *
 * aft_store is the port to what keeps bytes: in memory (tests, offline files), in RocksDB. Both pass the same tests.
 */
#ifndef AFT_STATE_STATE_H
#define AFT_STATE_STATE_H

#include "state/ahead.h"
#include "state/commit.h"
#include "state/index.h"
#include "state/segment.h"
#include "state/table.h"
#include "wire/wire.h"

/* ---- the store: ordered keys, one atomic step at a time. One thread a store. */
struct aft_put {
    struct aft_bytes key, value; /* an absent value takes the key out */
};

struct aft_store;
struct aft_store_scan;

/* A step of so many bytes that takes nothing out may go to the disk as one file of its own, at a third of the cost. */
#define AFT_STORE_BULK_BYTES ((size_t)1 << 20)

struct aft_store_ops {
    /* commit: all puts or none; durable when it returns. Keys are given in ascending order, none twice. */
    enum aft_err (*commit)(struct aft_store *s, const struct aft_put *puts, size_t n,
                           struct aft_error *e);
    /* get: the value appended to out; *found = false when there is none. */
    enum aft_err (*get)(struct aft_store *s, struct aft_bytes key, struct aft_buffer *out,
                        bool *found, struct aft_error *e);
    /* last: the greatest key and its value; *found = false on an empty store. */
    enum aft_err (*last)(struct aft_store *s, struct aft_buffer *key, struct aft_buffer *value,
                         bool *found, struct aft_error *e);
    /* scan: all keys >= from in ascending order; slices of next live until the next call on the scan. */
    enum aft_err (*scan_open)(struct aft_store *s, struct aft_bytes from,
                              struct aft_store_scan **out, struct aft_error *e);
    enum aft_err (*scan_next)(struct aft_store_scan *c, struct aft_put *out, bool *end,
                              struct aft_error *e);
    void (*scan_close)(struct aft_store_scan *c);
    /* drop_below: keys < key need not be kept (files that hold nothing else go; the rest may linger). */
    enum aft_err (*drop_below)(struct aft_store *s, struct aft_bytes key, struct aft_error *e);
    /* purge: what was overwritten or taken out so far is gone from the disk when it returns. It may rewrite much: not for every
     * commit. RocksDB does the same by itself within days. */
    enum aft_err (*purge)(struct aft_store *s, struct aft_error *e);
    /* checkpoint: a copy that can be opened, in a directory that does not exist yet. AFT_E_FAILED where it makes no sense. */
    enum aft_err (*checkpoint)(struct aft_store *s, const char *directory, struct aft_error *e);
    uint64_t (*bytes)(struct aft_store *s); /* on disk, about */
    void (*close)(struct aft_store *s);
};

struct aft_store {
    const struct aft_store_ops *ops;
};

/* aft_store_mem_new: never fails; gone when closed. */
struct aft_store *aft_store_mem_new(void);
/* aft_store_rocksdb_open creates the directory if need be. AFT_E_IO (also when another process holds it), AFT_E_CORRUPT. */
enum aft_err aft_store_rocksdb_open(const char *directory, struct aft_store **out,
                                    struct aft_error *e) AFT_MUST_CHECK;
/* aft_store_rocksdb_open_with: likewise, with RocksDB's own options in its own form, "name=value;name={a=1;b=2};" ("": none), over those
 * that are set here. aft_store_rocksdb_check: AFT_E_CONFIG with RocksDB's words for what it does not know, and for what would change
 * what the state holds. */
enum aft_err aft_store_rocksdb_open_with(const char *directory, const char *with,
                                         struct aft_store **out,
                                         struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_store_rocksdb_check(const char *name, const char *value,
                                     struct aft_error *e) AFT_MUST_CHECK;
/* aft_store_rocksdb_look opens what is there to be read alone, also beside a process that writes to it: as it stood at that moment.
 * Nothing may be committed, purged or dropped. */
enum aft_err aft_store_rocksdb_look(const char *directory, struct aft_store **out,
                                    struct aft_error *e) AFT_MUST_CHECK;

#endif
