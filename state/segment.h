/* segment.h - the canonical log of the open window, in segments: what is appended, read again, wiped, and put into the store.
 *
 * Key:     be64(segment) | 2                      segments are numbered from 1 without gaps
 * Value:   0 "AFS2" | 4 le64 first touch | 12 le64 first outcome | 20 records back to back
 * Record:  0 kind u8 in 3 bits, pad in the 5 above | 1 note u8 | 2 size le32 | 6 e le64 | 14 offset le64 | 22 payload of `size` bytes, the
 *          last `pad` are zero
 * The note of an IMPRESSION: items of its slate, 128 more where it is deferred, so that reading it again need not look so far; of an
 * OUTCOME or RESOLVED: the outcome's fate (attribution.h), 128 more where it names its decision, 0 where that was not told; else 0.
 * first touch and first outcome are the numbers that the segment's first IMPRESSION (or ERASED) and first new outcome have.
 *
 * kind         payload
 * IMPRESSION   canonical body of the impression as received, padded to at least AFT_ERASED_BYTES
 * ERASED       0 decision hash 16 | 16 timestamp le64 | 24 deferred u8 | zeros: an impression without what was personal
 * OUTCOME      outcome hash 16 | ledger entry (attribution/ledger.c)
 * WAITING      outcome hash 16 | canonical body of an outcome whose impression is not there yet; wiped it is an OUTCOME without credit
 * RESOLVED     Avro long: outcome number | ledger entry: what became of a waiting outcome
 * STALE        decision hash 16 | u8 0 open, 1 settle: a timer of a decision that is gone met a newer one of the same id
 */
#ifndef AFT_STATE_SEGMENT_H
#define AFT_STATE_SEGMENT_H

#include "base/base.h"

struct aft_store;
struct aft_put;

enum aft_redo {
    AFT_REDO_IMPRESSION = 1,
    AFT_REDO_ERASED,
    AFT_REDO_OUTCOME,
    AFT_REDO_WAITING,
    AFT_REDO_RESOLVED,
    AFT_REDO_STALE
};

enum {
    AFT_SEGMENT_HEAD = 20,
    AFT_REDO_HEAD = 22,
    AFT_ERASED_BYTES = 25,
    AFT_NOTE_DEFERRED = 128,
    AFT_SEGMENT_BYTES =
        8 << 10, /* a segment is closed once it is longer; what one look at an old touch reads */
    AFT_KEY_BYTES = 9,
    AFT_KEY_SEGMENT = 2,
    AFT_KEY_COMMIT = 3
};

struct aft_place { /* of a record */
    uint32_t segment, offset;
};

struct aft_redo_record {
    enum aft_redo kind;
    uint8_t note;
    int64_t e, offset;
    struct aft_bytes payload; /* without the padding */
};

void aft_key_make(uint8_t key[AFT_KEY_BYTES], uint64_t segment, uint8_t type);
/* aft_redo_next reads the record at *at in a segment's bytes and moves *at behind it; false at the end or when it is cut off
 * (then *at < bytes.n). */
bool aft_redo_next(struct aft_bytes segment, size_t *at, struct aft_redo_record *out);

struct aft_segment_buffer {
    uint64_t number; /* 0: none */
    bool committed, dirty;
    struct aft_buffer b;
};

struct aft_segments {
    struct aft_store *store;
    uint64_t next;                   /* number that the next new segment gets */
    bool open;                       /* segment next - 1 still takes records */
    uint64_t first;                  /* oldest segment whose buffer is still here */
    struct aft_segment_buffer *ring; /* by number & (cap - 1), first .. next - 1 */
    uint64_t cap;
    size_t held, hold_max;    /* bytes of committed buffers kept for reading; their bound */
    struct aft_buffer *spare; /* memory of segments that were let go, for those to come */
    size_t spare_n;
    struct aft_segment_buffer *cache;    /* segments read back, by number & (CACHE - 1) */
    struct aft_segment_buffer *rewrites; /* older segments changed by a wipe, until the commit */
    size_t rewrites_n, rewrites_cap;
    size_t fresh; /* bytes that no commit has written */
};

/* aft_segments_init: the next segment is `next`; at most hold_max bytes of committed segments stay in memory. */
void aft_segments_init(struct aft_segments *s, struct aft_store *store, uint64_t next,
                       size_t hold_max);
void aft_segments_deinit(struct aft_segments *s);

/* aft_segments_append: `head` goes before `tail` in the payload. first_*: numbers for the head of a new segment. */
struct aft_segment_record {
    enum aft_redo kind;
    uint8_t note;
    int64_t e, offset;
    struct aft_bytes head, tail;
    uint64_t first_touch, first_outcome;
};
struct aft_place aft_segments_append(struct aft_segments *s, const struct aft_segment_record *a);

/* aft_segments_read: the record at a place. The payload lives until the next append or read. AFT_E_CORRUPT, or the store's. */
enum aft_err aft_segments_read(struct aft_segments *s, struct aft_place at,
                               struct aft_redo_record *out, struct aft_error *e) AFT_MUST_CHECK;

/* A hint to the cache (a macro: ids.h says why): the record at a place will be read. Nothing, for one that is not in memory. */
#define AFT_SEGMENTS_EXPECT(s, at)                                          \
    do {                                                                    \
        if ((at).segment >= (s)->first && (at).segment < (s)->next) {       \
            const uint8_t *record_at_ =                                     \
                (s)->ring[(at).segment & ((s)->cap - 1)].b.p + (at).offset; \
            __builtin_prefetch(record_at_);                                 \
            __builtin_prefetch(record_at_ + 64);                            \
        }                                                                   \
    } while (0)

/* aft_segments_wipe turns the record at a place into `kind` with this note and payload, then zeros; its length stays. It reaches the store
 * with the next commit. Only after aft_segments_close, and before the step's puts are made. */
enum aft_err aft_segments_wipe(struct aft_segments *s, struct aft_place at, enum aft_redo kind,
                               uint8_t note, struct aft_bytes payload,
                               struct aft_error *e) AFT_MUST_CHECK;

/* aft_segments_close ends the open segment, so that all so far can be committed; returns the last segment's number. */
uint64_t aft_segments_close(struct aft_segments *s);
/* aft_segments_puts appends what of segments `first` .. `last` must be written. keys: AFT_KEY_BYTES each. Both arrays
 * grow by doubling and are the caller's; slices live until aft_segments_committed. */
struct aft_step {
    struct aft_put *puts;
    uint8_t (*keys)[AFT_KEY_BYTES];
    size_t n, cap;
};
void aft_step_add(struct aft_step *step, uint64_t segment, uint8_t type, struct aft_bytes value);
/* aft_step_seal points the puts at their keys and sorts them; after it nothing may be added. */
void aft_step_seal(struct aft_step *step);
void aft_step_deinit(struct aft_step *step);
void aft_segments_puts(struct aft_segments *s, uint64_t first, uint64_t last,
                       struct aft_step *step);
void aft_segments_committed(struct aft_segments *s, uint64_t last);
size_t aft_segments_memory(const struct aft_segments *s);

#endif
