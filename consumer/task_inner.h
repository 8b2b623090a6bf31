/* task_inner.h - what the task_*.c files share: one partition's task.
 *
 *   task.c         life: open, step, drain, status
 *   task_owner.c   the ownership protocol: EPOCH, empty block, both logs read up to them
 *   task_journal.c the clock topic at work: ticks written, read back, newer owners noticed
 *   task_input.c   batches of the two logs: decode, take, dead letters
 *   task_output.c  blocks out, muted and checked below what is published
 *   task_commit.c  cut, wait, commit, and the rider that says where to read the journals again from
 *   task_follow.c  beside the owner, muted: its examples compared with ours, until it is gone
 *
 * Invariants
 *   I1  the epoch is the offset of our EPOCH record; nothing but it and the empty block is written before both were read back
 *   I2  an example below published.seq is never written, and at every published block's end the chain's hash is the same
 *   I3  acknowledgements of blocks come in the order of seq (outbox.c)
 *   I4  a cut is committed only when what it covers is acknowledged, and when the clock topic, read to an end that was asked for
 *       after the cut, holds no newer epoch. So no tick of a later owner can stand before what the committed state has read.
 *   I5  while a tick of a log is on its way, nothing is read from that log
 *   I6  who follows gives the joiner no record at or beyond what the owner said it committed, and none before the clock topic was
 *       read to an end that was asked for after that was heard: by I4 no tick can then stand before what was read
 */
#ifndef AFT_CONSUMER_TASK_INNER_H
#define AFT_CONSUMER_TASK_INNER_H

#include "attribution/attribution.h"
#include "consumer/consumer.h"
#include "consumer/outbox.h"

#define AFTI_BATCH_MAX 256u /* records of one read */
#define AFTI_RUN_EVERY \
    64u /* what the joiner asked memory for while taking so many is still near when it runs */
#define AFTI_WAITING_MAX 20000u       /* records read ahead on the log that is in front */
#define AFTI_INFLIGHT_MAX (32u << 20) /* bytes of output that are not yet acknowledged */
#define AFTI_BLOCK_SEND_BYTES \
    (128u << 10)            /* a block this large is sent without waiting for the step's end */
#define AFTI_BLOCK_AGE_MS 5 /* an older one is sent although there is more to do */
#define AFTI_ARENA_MAX (64u << 20)

enum afti_phase {
    AFTI_PHASE_EPOCH,
    AFTI_PHASE_EPOCH_WAIT,
    AFTI_PHASE_MARKER_WAIT,
    AFTI_PHASE_CLOCK,
    AFTI_PHASE_EXAMPLES,
    AFTI_PHASE_WORK,
    AFTI_PHASE_FOLLOW
};

struct afti_input {
    const char *topic;
    struct aft_log_reader *reader;
    struct aft_decoder *decoder;
    struct aft_record_in batch[AFTI_BATCH_MAX];
    uint32_t batch_n, batch_i;
    int64_t next_offset; /* of the next record to read */
    int64_t limit;       /* records below it alone are taken (I6); INT64_MAX: all */
    bool at_end, tick_on_its_way;
    bool
        looked; /* it was read in this step, and held no more: what counts as idle (at_end may be old) */
    int64_t
        tick_ms; /* watermark of the tick on its way: no two of ours for one place are the same */
    int64_t last_record_ms, last_tick_ms; /* monotonic */
    int64_t consumed;
    bool waits; /* the next record waits for the schema registry: why */
    struct aft_error why;
    struct aft_keyed keyed;
    int64_t seen_watermark_ms, moved_ms; /* at the last status; moved_ms 0: there was none */
};

/* A counted tick that the committed state may not hold yet. */
struct afti_counted {
    int64_t clock_offset, epoch_before, at_offset, watermark_ms;
    enum aft_log_kind log;
};

/* What a follower computed and the topic does not hold yet, as far as it was read: bodies back to back. */
struct afti_ahead_end {
    struct afti_end end;
    size_t bytes; /* of `bodies`, up to here */
};
struct afti_ahead {
    struct aft_buffer bodies;
    struct afti_ahead_end *v; /* v[i] .. v[n - 1] are still ahead */
    size_t n, cap, i;
};

/* Where to read clock and examples from after a restart, and over how many partitions users are spread. Little-endian, 72 bytes:
 *   0 version 2 (u64) · 8 clock offset · 16 epoch in force there (-1: none) · 24 examples offset · 32 newest epoch there (-1: none)
 *   40 next seq there · 48 chain hash there (low, high) · 64 partitions (0: not known)
 * Version 1 ends before the partitions. */
#define AFTI_RIDER_BYTES 72u
struct afti_rider {
    int64_t clock_offset, clock_epoch, examples_offset, examples_epoch;
    uint64_t seq;
    struct aft_hash128 hash;
    int64_t partitions;
};

struct aft_task {
    struct aft_task_options o;
    const char *clock_topic, *examples_topic, *dead_topic;
    int64_t idle_after_ms, commit_interval_ms;
    size_t commit_bytes;
    enum afti_phase phase;
    int32_t partitions;
    struct aft_joiner *joiner;
    int64_t recovery_ms; /* how long the state took to come back at open; -1: there was none */
    struct aft_join_resume resume; /* of the last commit; its rider is not kept */
    struct afti_rider rider;       /* as read at the start */
    struct afti_outbox *box;
    struct aft_arena arena;
    struct aft_buffer value; /* of the record that is being written */

    struct aft_log_reader *clock, *examples;
    struct aft_decoder *clock_decoder, *examples_decoder;
    int64_t epoch, clock_next, clock_epoch; /* clock_epoch: in force at clock_next */
    struct afti_counted *ticks;
    size_t ticks_n, ticks_cap;
    uint64_t ticks_counted;
    int64_t pace_anchor_ms, pace_watermark_ms; /* both logs idle: where they stood, and when */

    int64_t examples_next, examples_epoch; /* while reading up to our empty block */
    struct afti_end published;
    struct afti_end *ends; /* of published blocks that this task will compute again, by seq */
    size_t ends_n, ends_cap, ends_i;

    struct afti_input in[2];
    uint64_t muted, dead_letters_by[AFT_ERR_COUNT];

    struct aft_buffer block; /* examples, back to back */
    uint64_t block_first, next_seq;
    struct aft_hash128 block_hash;

    uint64_t cut_seq, cut_dead, commits;
    int64_t clock_target; /* -1: to be asked for */
    int64_t last_cut_ms;

    struct afti_ahead ahead;
    struct aft_hash128 own_hash; /* of a follower: after next_seq - 1 */
    uint64_t checked_seq; /* of a follower: ours and the published chain are the same up to here */
    int64_t follow_want[2], follow_clock, follow_examples; /* ends to read to, before that counts */

    int64_t block_ms; /* monotonic: the end of the step that began the block; -1: not ended yet */
    uint32_t block_n; /* examples in block */
    bool warm;        /* a follower that was past its start: what it holds is gone on from */
    bool follow_pending;
    bool fresh; /* there was no state */
    bool published_known, pacing;
    bool cut, dirty; /* a cut is in hand; something was read since the last */
};

/* ---- task_output.c */
/* afti_example is the joiner's aft_join_out. */
enum aft_err afti_example(void *task, uint64_t seq, struct aft_bytes body,
                          struct aft_hash128 hash_after, struct aft_error *e);
/* afti_block_send: what was gathered, as one record; nothing gathered: nothing. */
enum aft_err afti_block_send(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
/* afti_chain_diverged: ours and the published chain differ at the block that ends before `seq`. */
enum aft_err afti_chain_diverged(const struct aft_task *t, uint64_t seq, struct aft_error *e);
/* afti_block_step: at a step's end: sent when there is nothing else to do, or when it waited long enough. */
enum aft_err afti_block_step(struct aft_task *t, bool busy, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_marker_send(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;

/* ---- task_owner.c */
enum aft_err afti_end_add(struct aft_task *t, uint64_t seq, struct aft_hash128 hash,
                          struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_own_step(struct aft_task *t, int timeout_ms, struct aft_error *e) AFT_MUST_CHECK;
/* afti_readers_open: of both journals, where the rider says. */
enum aft_err afti_readers_open(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
/* afti_examples_read: at most a batch of the examples topic, none beyond offset `last`; *n records. */
enum aft_err afti_examples_read(struct aft_task *t, int64_t last, int timeout_ms, uint32_t *n,
                                struct aft_error *e) AFT_MUST_CHECK;
/* afti_chain_fits: the state is not ahead of what is published, and where it ends the chains are the same. */
enum aft_err afti_chain_fits(const struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;

/* ---- task_follow.c */
enum aft_err afti_follow_step(struct aft_task *t, int timeout_ms, bool *busy,
                              struct aft_error *e) AFT_MUST_CHECK;
/* afti_ahead_add: an example beyond what is published, as far as we read. */
void afti_ahead_add(struct aft_task *t, uint64_t seq, struct aft_bytes body,
                    struct aft_hash128 hash);
/* afti_ahead_settle: what was published since is compared, and let go of. */
enum aft_err afti_ahead_settle(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
/* afti_ahead_send: the owner of now writes what the last one did not. */
enum aft_err afti_ahead_send(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
void afti_ahead_deinit(struct afti_ahead *a);

/* ---- task_journal.c */
/* afti_clock_read: at most a batch of the clock topic; *n records. Counted ticks go to the joiner. */
enum aft_err afti_clock_read(struct aft_task *t, int timeout_ms, uint32_t *n,
                             struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_epoch_send(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_idle(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
void afti_ticks_prune(struct aft_task *t);

/* ---- task_input.c */
enum aft_err afti_inputs_open(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
uint64_t afti_dead_letters(const struct aft_task *t); /* all of them, since the start */
enum aft_err afti_inputs_step(struct aft_task *t, int timeout_ms, bool *busy,
                              struct aft_error *e) AFT_MUST_CHECK;
void afti_inputs_close(struct aft_task *t);

/* ---- task_commit.c */
void afti_rider_encode(const struct afti_rider *r, uint8_t out[AFTI_RIDER_BYTES]);
enum aft_err afti_rider_decode(struct aft_bytes b, struct afti_rider *out,
                               struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_commit_step(struct aft_task *t, bool now, struct aft_error *e) AFT_MUST_CHECK;

#endif
