/* recover.h - records of the open window on their way back: from the bytes of segments (recover_read.c, in a thread of its own where the
 * state is large) to the index (recover.c).
 *
 * A block of aft_ahead is a row of struct afti_again, each followed by the payload_n bytes of its payload and zeros up to a multiple of
 * 8. All that recovery wants of an impression is in the struct; its bytes stay where they were.
 */
#ifndef AFT_ATTRIBUTION_RECOVER_H
#define AFT_ATTRIBUTION_RECOVER_H

#include "attribution/inner.h"

enum {                       /* beside the kinds of segment.h */
       AFTI_AGAIN_HEAD = 64, /* a segment begins; !sound: its head makes no sense */
       AFTI_AGAIN_CUT        /* it does not end where its last record does */
};

struct afti_again {
    struct aft_hash128 id, user; /* of an impression; id: of an outcome */
    int64_t e, ts;               /* e: a head's is its segment's number; ts: of an impression */
    uint64_t touch;              /* of an outcome: its first credit's; a head's first */
    uint64_t outcome;            /* a head's first */
    struct aft_place at;         /* of the record */
    uint32_t
        before; /* of an impression: how many numbers back its user's one before it is; 0: none */
    uint32_t payload_n;
    uint8_t kind, note;
    bool sound; /* what of it stands here makes sense */
};
#define AFTI_AGAIN_UNKNOWN UINT64_MAX /* a touch that is not told */

struct afti_reading { /* the reader's own, until aft_ahead_close */
    const struct aft_index
        *index;                /* with room for touches first .. end - 1; it is only made present */
    uint64_t last;             /* segment that the state ends with */
    uint64_t first, next, end; /* numbers of touches: next to be read */
    uint64_t present;          /* those below are there */
    struct aft_users users;    /* of all touches so far; whoever takes it leaves a zeroed one */
};

/* afti_again_head: the numbers in a segment's head; false when it is none. */
bool afti_again_head(struct aft_bytes value, uint64_t *touch, uint64_t *outcome);
/* afti_again_read: the work of aft_ahead; ctx is a struct afti_reading. It never fails: what is wrong is told in its turn, and nothing
 * behind it. */
enum aft_err afti_again_read(void *ctx, const struct aft_put *at, struct aft_buffer *out,
                             bool *enough, struct aft_error *e);
/* afti_again_next: the record at *at of a block, and *at moves behind it; NULL behind the last. It lives as long as the block. */
const struct afti_again *afti_again_next(struct aft_bytes block, size_t *at);
static inline struct aft_bytes
afti_again_payload(const struct afti_again *d)
{
    return (struct aft_bytes){(const uint8_t *)(d + 1), d->payload_n};
}

#endif
