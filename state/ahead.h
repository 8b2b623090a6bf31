/* ahead.h - a scan of a store that is made ready before its turn, in a thread of its own.
 *
 * Reading a large state again is two works of about one size: getting entries out of the store and making sense of them, and building
 * the index of them. aft_ahead does the first beside the second: AFT_AHEAD_BLOCKS blocks of about AFT_AHEAD_BLOCK_BYTES are made in
 * advance, in order, and no more, so that its memory is bounded (2 MB, and one entry in what it was made into).
 * Between open and close the store is the reader's: nobody else asks it for anything.
 */
#ifndef AFT_STATE_AHEAD_H
#define AFT_STATE_AHEAD_H

#include "base/base.h"

struct aft_store;
struct aft_put;

enum { AFT_AHEAD_BLOCKS = 8, AFT_AHEAD_BLOCK_BYTES = 256 << 10 };

/* What is made of the entries: read appends to `out` what the taker wants of this one; *enough = true: of no other. It runs in the
 * reader's thread: it may change `out` and what ctx points at, which is nobody else's until the close, and nothing more. An error ends
 * the scan. */
struct aft_ahead_work {
    enum aft_err (*read)(void *ctx, const struct aft_put *at, struct aft_buffer *out, bool *enough,
                         struct aft_error *e);
    void *ctx;
};

struct aft_ahead;

/* aft_ahead_open: of all keys >= from, ascending. beside: in a thread of its own; else, and where the system gives no thread, each block
 * is made when it is asked for. The store's errors. */
enum aft_err aft_ahead_open(struct aft_store *store, struct aft_bytes from,
                            const struct aft_ahead_work *work, bool beside, struct aft_ahead **out,
                            struct aft_error *e) AFT_MUST_CHECK;
/* aft_ahead_next: the next block, which is never empty and lives until the next call; *end: there is none. What was made of one entry
 * stands in one block. An error of the store, or of read, comes behind all that was made before it, and stays. */
enum aft_err aft_ahead_next(struct aft_ahead *a, struct aft_bytes *block, bool *end,
                            struct aft_error *e) AFT_MUST_CHECK;
/* aft_ahead_close: at any time; waits for the thread, which ends within an entry. NULL is nothing. */
void aft_ahead_close(struct aft_ahead *a);

#endif
