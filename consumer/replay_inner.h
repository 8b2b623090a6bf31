/* replay_inner.h - what the replay*.c files share.
 *
 *   replay.c         the ends of all topics, then partition after partition, then the model
 *   replay_task.c    one partition: a task over a frozen log, past the ownership protocol
 *   replay_check.c   what the examples topic holds, as its readers see it, beside what is computed again
 *   replay_state.c   a state that was there beforehand, beside what is computed again
 *   replay_model.c   the learner over the rounds of the journal, beside the snapshots that were published
 *
 * Invariants
 *   P1  the ends are asked for from what was written last to what was written first: snapshots, rounds, examples, inputs, clock.
 *       So all that a published record depends on is below the ends of what is read.
 *   P2  a state that is written holds nothing beyond the published examples: a service that goes on from it is never ahead
 *   P3  what a state means is a function of the time it has gone to: it is compared when the replay has gone to that time, and no further
 */
#ifndef AFT_CONSUMER_REPLAY_INNER_H
#define AFT_CONSUMER_REPLAY_INNER_H

#include "consumer/learning_inner.h"
#include "consumer/state_dir.h"
#include "consumer/task_inner.h"
#include "log/log.h"

#define AFTI_PUBLISHED_BATCH 64u

/* The examples topic of one partition, example by example. */
struct afti_published {
    struct aft_log *log;
    const char *topic;
    int32_t partition;
    struct aft_log_reader *reader;
    struct aft_decoder *decoder;
    struct aft_arena arena, examples; /* of the block; of an example that is looked into */
    struct aft_record_in batch[AFTI_PUBLISHED_BATCH];
    uint32_t batch_n, batch_i;
    int64_t next_offset, end, epoch;
    struct aft_block block; /* n == 0: none in hand */
    int64_t block_offset;
    struct aft_reader left; /* of the block */
    uint64_t seq;           /* of the example at `left` */
    bool any;               /* the first one that is there, whatever its seq */
    bool done;
    struct afti_rider
        passed; /* the end of the last block that was wholly passed; clock fields unused */
};

/* A state that was there: looked at before the ends are asked for (P1). */
struct afti_beside {
    struct aft_store *store;
    char path[AFTI_PATH_MAX];
    enum aft_replay_held held; /* BUSY: there is one, and somebody works on it */
    struct aft_task *task;     /* while its partition is replayed */
    int64_t time_ms;
    bool met; /* the replay has gone as far as it had */
};

struct afti_replay {
    struct aft_replay_options o;
    struct afti_beside *beside; /* of each partition */
    struct aft_replay_result *result;
    struct aft_log *log; /* frozen */
    struct aft_task *task;
    struct afti_published published;
    struct aft_store *store;
    int32_t partition;
    bool checked;  /* the examples are compared */
    bool numbered; /* from the beginning of the chain: seq and hash are compared too */
    bool aligned;  /* numbered, or the place was found */
    int64_t shift; /* published seq - ours */
    int64_t
        warm_ms; /* not numbered: from this fire on all must be the same; INT64_MIN: not known yet */
    uint64_t beyond; /* computed again, not published yet */
    struct aft_replay_part *part;
    int64_t begin[2], end[2];
};

/* ---- replay_check.c */
enum aft_err afti_published_open(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;
void afti_published_close(struct afti_published *p);
/* afti_published_at: the example `seq` is at p->left, or p->done. AFT_E_GAP, AFT_E_DIVERGENCE name the place. */
enum aft_err afti_published_at(struct afti_published *p, uint64_t seq,
                               struct aft_error *e) AFT_MUST_CHECK;
/* afti_check_example is the joiner's aft_join_out. */
enum aft_err afti_check_example(void *replay, uint64_t seq, struct aft_bytes body,
                                struct aft_hash128 hash_after, struct aft_error *e);
/* afti_check_rest: nothing more is published than was computed. */
enum aft_err afti_check_rest(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;
/* afti_diverged fills the result's first divergence and the error. */
enum aft_err afti_diverged(struct afti_replay *r, uint64_t seq, struct aft_bytes decision,
                           const char *field, struct aft_error *e);

/* ---- replay_task.c */
enum aft_err afti_replay_partition(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;

/* afti_replay_clock: the clock topic from this offset to its end. afti_replay_step: a batch of an input; AFT_E_TIMEOUT when none came for half a
 * minute; *still counts, from 0. afti_replay_read: all was read that can be processed. */
enum aft_err afti_replay_step(struct afti_replay *r, struct aft_task *t, int *still,
                              struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_replay_clock(struct aft_task *t, int64_t from,
                               struct aft_error *e) AFT_MUST_CHECK;
bool afti_replay_read(const struct aft_task *t, const int64_t end[2]);
/* afti_replay_commit: the state so far, in the replay's own store. */
enum aft_err afti_replay_commit(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;

/* ---- replay_state.c */
/* afti_beside_look: what states there are. close: of all. */
enum aft_err afti_beside_look(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;
void afti_beside_close(struct afti_replay *r);
/* For the partition at hand. open: where there is one to compare with. meet: before a run of the joiner, which is held at that
 * state's time: compares where it has come so far. end: that it was met; then what becomes of it, going on from its own offsets. */
enum aft_err afti_beside_open(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_beside_meet(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_beside_end(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;
void afti_beside_done(struct afti_replay *r);

/* ---- replay_model.c */
enum aft_err afti_replay_model(struct afti_replay *r, struct aft_error *e) AFT_MUST_CHECK;

#endif
