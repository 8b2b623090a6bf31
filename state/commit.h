/* commit.h - the commit record: the last key of an atomic step, and all that is not in the segments.
 *
 * Key: be64(last segment of the step) | 3. Value, integers as Avro longs unless said otherwise:
 *   0 "AFC1" | format | partition | app id (bytes) | configuration digest 32 | per log: next offset, most ts, tick, future |
 *   place: e, log, offset | fired | seq | hash low le64, high le64 | first segment | last segment | count n, n counts | rider (bytes; -1: none) |
 *   XXH3-64 of all before, le64
 */
#ifndef AFT_STATE_COMMIT_H
#define AFT_STATE_COMMIT_H

#include "base/base.h"

enum { AFT_COMMIT_FORMAT = 2, AFT_COMMIT_COUNTS_MAX = 64 };

/* What a log is to be read again with: the state before the record at next_offset. */
struct aft_log_mark {
    int64_t next_offset;
    int64_t most_ms, tick_ms; /* INT64_MIN: none yet */
    int64_t future;           /* records refused as too far ahead, before next_offset */
};

struct aft_commit_record {
    struct aft_bytes app_id;
    int32_t partition;
    struct aft_digest config;
    struct aft_log_mark logs[2];
    int64_t place_e, place_offset; /* the last event processed; place_e INT64_MIN: none yet */
    uint8_t place_log;
    int64_t fired_ms; /* timers before this have fired */
    uint64_t seq;
    struct aft_hash128 hash;
    uint64_t first_segment, last_segment; /* what must be read again; last 0: no segment yet */
    int64_t counts[AFT_COMMIT_COUNTS_MAX];
    uint32_t counts_n;
    struct aft_bytes rider; /* nullable */
};

void aft_commit_encode(struct aft_buffer *b, const struct aft_commit_record *c);
/* aft_commit_decode: slices borrow from the value. AFT_E_CORRUPT also for another format. */
enum aft_err aft_commit_decode(struct aft_bytes value, struct aft_commit_record *c,
                               struct aft_error *e) AFT_MUST_CHECK;

#endif
