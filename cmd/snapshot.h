/* snapshot.h - what the files of the verb `snapshot` share.
 *
 *   snapshot.c          the verb: arguments, list, show, export
 *   snapshot_read.c     the topic, or a file -> what was published, by round; one of them put together
 *   snapshot_pin.c      pin, unpin, rollback
 *   snapshot_diff.c     what changed between two of them
 */
#ifndef AFT_CMD_SNAPSHOT_H
#define AFT_CMD_SNAPSHOT_H

#include "cmd/cmd.h"

/* A record that stands in the topic under its key. */
struct snapshot_record {
    struct aft_buffer key, body;
    int64_t offset, round, bytes; /* bytes: of the value */
    enum aft_snapshot_kind kind;
    int32_t part;
    bool manifest;
};
struct snapshot_row { /* a manifest that was found */
    uint32_t record;
    int64_t bytes; /* of its set, as far as it is here */
    bool whole;
    uint32_t arms; /* of the whole set; else those that the manifest names */
};
struct snapshot_history {
    const char *model, *where; /* where: the topic or the file that was read */
    bool file;
    struct snapshot_record
        *v; /* sets first, by round, parts before the manifest; then pins by offset */
    uint32_t n, cap;
    struct aft_dict keys; /* hash of the key -> where it was put before it was sorted */
    struct snapshot_row *rows;
    uint32_t rows_n;
    struct aft_decoder *decoder;
    struct aft_arena arena;
    bool has_key;
    uint8_t public[32];
    struct aft_snapshot_set *serving; /* what an engine that reads all of it would serve */
};

/* snapshot_read: the topic from its beginning to the end it has now. snapshot_read_file: a container file of snapshot records. */
enum aft_err snapshot_read(struct aft_log *log, const char *topic, struct snapshot_history *h,
                           struct aft_error *e) AFT_MUST_CHECK;
enum aft_err snapshot_read_file(const char *path, struct snapshot_history *h,
                                struct aft_error *e) AFT_MUST_CHECK;
void snapshot_history_free(struct snapshot_history *h);
/* snapshot_round: ROUND, or the first digits (8 or more) of a digest, -> its round. */
enum aft_err snapshot_round(struct snapshot_history *h, const char *which, int64_t *round,
                            struct aft_error *e) AFT_MUST_CHECK;
/* snapshot_at: the set of that round, whole; the caller frees it. AFT_E_FAILED: it is not, or no longer, here. */
enum aft_err snapshot_at(const struct snapshot_history *h, int64_t round,
                         struct aft_snapshot_set **out, struct aft_error *e) AFT_MUST_CHECK;

/* snapshot_pin_verb: `pin`, `unpin`, `rollback`. which: its ROUND or digest, or NULL. file, why: of the options, or NULL. */
struct snapshot_pin_request {
    const char *verb, *which, *file, *why;
    bool json;
};
enum aft_err snapshot_pin_verb(struct aft_log *log, const struct aft_config *config,
                               struct snapshot_history *h, const struct snapshot_pin_request *q,
                               struct aft_error *e) AFT_MUST_CHECK;

enum aft_err snapshot_diff(const struct snapshot_history *h, int64_t from, int64_t to, bool json,
                           struct aft_error *e) AFT_MUST_CHECK;

#endif
