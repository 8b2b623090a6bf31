/* outbox.h - what was appended and waits for its acknowledgement. Inner header of consumer/, for tasks and learning.
 *
 * Acknowledgements come from aft_log's poll, perhaps after who appended is gone: the outbox lives until the last one came.
 */
#ifndef AFT_CONSUMER_OUTBOX_H
#define AFT_CONSUMER_OUTBOX_H

#include "log/log.h"

enum afti_sent {
    AFTI_SENT_EPOCH,
    AFTI_SENT_MARKER,
    AFTI_SENT_BLOCK,
    AFTI_SENT_DECISION, /* a tick, a round */
    AFTI_SENT_DEAD,
    AFTI_SENT_PART /* of a snapshot */
};

/* The chain of examples after one of them: the next seq and the hash. */
struct afti_end {
    uint64_t seq;
    struct aft_hash128 hash;
};

struct afti_slot;
struct afti_outbox {
    struct afti_slot *free;
    uint32_t outstanding;
    bool closed;
    struct aft_error failed;             /* code AFT_OK: nothing failed */
    size_t bytes;                        /* not yet acknowledged */
    int64_t epoch_offset, marker_offset; /* -1: not yet */
    struct afti_end acked;               /* of the blocks: they are acknowledged in order */
    int64_t acked_offset;                /* the examples topic is known up to here */
    uint64_t dead_sent, dead_acked;
};

struct afti_outbox *afti_outbox_new(void);
/* afti_outbox_close: nobody looks any more. It frees itself after the last acknowledgement. */
void afti_outbox_close(struct afti_outbox *box);
/* afti_outbox_failed: the first failure of an append, or AFT_OK. */
enum aft_err afti_outbox_failed(const struct afti_outbox *box, struct aft_error *e) AFT_MUST_CHECK;
/* afti_send appends, unless an append before it failed (the same error again: nothing may stand behind what is missing); while the queue
 * is full it polls and tries again, half a minute long. end: of a block. */
enum aft_err afti_send(struct aft_log *log, struct afti_outbox *box, struct aft_append *a,
                       enum afti_sent what, struct afti_end end,
                       struct aft_error *e) AFT_MUST_CHECK;

#endif
