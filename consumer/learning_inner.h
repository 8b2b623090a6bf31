/* learning_inner.h - what the learning*.c files share: the learner as a client of the examples topic.
 *
 *   learning.c           life, steps, reading the examples of all partitions
 *   learning_journal.c   the rounds topic: EPOCH and ROUND, written, read back, redone
 *   learning_publish.c   snapshots out; the last full one back in
 *
 * Invariants
 *   L1  a round is learned after it was read back from the journal, and rounds are learned in the order of their numbers, none left out
 *   L2  a round counts if its epoch is that of the latest EPOCH record before it
 */
#ifndef AFT_CONSUMER_LEARNING_INNER_H
#define AFT_CONSUMER_LEARNING_INNER_H

#include "consumer/consumer.h"
#include "consumer/outbox.h"

enum afti_learning_phase {
    AFTI_LEARNING_EPOCH,
    AFTI_LEARNING_EPOCH_WAIT,
    AFTI_LEARNING_SNAPSHOT, /* the snapshots topic is read to its end */
    AFTI_LEARNING_JOURNAL,  /* the rounds topic is read up to our EPOCH */
    AFTI_LEARNING_WORK
};

/* A round that counts and is not learned yet. */
struct afti_round {
    int64_t round;
    enum aft_publish publish;
    struct aft_end *ends; /* owned */
    uint32_t ends_n;
};

struct aft_learning {
    struct aft_learning_options o;
    const char *rounds_topic, *examples_topic, *snapshots_topic, *model;
    int64_t round_interval_ms, publish_interval_ms;
    uint64_t round_max;
    enum afti_learning_phase phase;
    struct afti_outbox *box;
    struct aft_arena arena;
    struct aft_buffer value;

    struct aft_learner *learner;
    struct aft_rounds *rounds;
    struct aft_snapshot_set *set;
    bool has_signing_key;
    uint8_t signing_key[64];

    struct aft_decoder *round_decoder, *block_decoder, *snapshot_decoder;
    struct aft_log_reader *journal, *snapshots;
    struct aft_log_reader **examples; /* one a partition */
    bool *at_end;                     /* of each partition's examples */
    int64_t journal_next, journal_epoch, snapshots_next, snapshots_end;

    struct afti_round *queue; /* counted, in order */
    size_t queue_n, queue_cap, queue_i;
    struct aft_end *ends;   /* of the last round learned, by partition, as they are published */
    struct aft_end *asking; /* scratch for a new round */
    int64_t epoch, round, asked_round, last_round_ms, last_publish_ms;
    bool round_on_its_way, publishing;
    int64_t published_round, snapshots_n;
};

/* ---- learning_journal.c */
enum aft_err afti_learning_epoch_send(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_round_send(struct aft_learning *l, enum aft_publish publish,
                             struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_journal_read(struct aft_learning *l, int timeout_ms, uint32_t *n,
                               struct aft_error *e) AFT_MUST_CHECK;
/* afti_round_next: the counted round to learn next, or NULL. afti_round_done: it was learned. */
struct afti_round *afti_round_next(struct aft_learning *l);
void afti_round_done(struct aft_learning *l);
void afti_rounds_forget(struct aft_learning *l);

/* ---- learning_publish.c */
enum aft_err afti_signing_key_read(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_snapshots_read(struct aft_learning *l, int timeout_ms, bool *at_end,
                                 struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_restore(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_publish(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;

#endif
