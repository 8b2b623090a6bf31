/* learning_inner.h - what the learning*.c files share: the learner as a client of the examples topic.
 *
 *   learning.c           life, steps, reading the examples of all partitions
 *   learning_journal.c   the rounds topic: EPOCH and ROUND, written, read back, redone
 *   learning_publish.c   snapshots out, full or delta; the newest back in
 *   learning_shares.c    a round of a learner of sums, by threads
 *   learning_keys.c      the keys that stand in the snapshots topic, and when they go
 *
 * Invariants
 *   L1  a round is learned after it was read back from the journal, and rounds are learned in the order of their numbers, none left out
 *   L2  a round counts if its epoch is that of the latest EPOCH record before it
 *   L3  whether a round publishes a full snapshot or a delta stands in the journal, and a delta's parent is what the round before it
 *       that published published: so a round's snapshot has the same bytes whoever publishes it, and keys hold the round
 *   L4  tombstones are written for rounds before a full snapshot that is in the topic, manifest and all
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

/* Since the last full snapshot of ours. */
struct afti_since {
    bool any;
    int64_t full_ms;
    uint64_t full_bytes, delta_bytes;
    uint32_t deltas;
};

/* The keys of our model's sets that stand in the snapshots topic. */
struct afti_key {
    struct aft_buffer key;
    int64_t round;
    bool live; /* not a tombstone */
};
struct afti_keys {
    struct afti_key *v;
    uint32_t n, cap;
    struct aft_dict index; /* hash of the key -> number */
    int64_t *fulls;        /* rounds of full snapshots, ascending */
    uint32_t fulls_n, fulls_cap;
};

struct aft_learning {
    struct aft_learning_options o;
    const char *rounds_topic, *examples_topic, *snapshots_topic, *model;
    int64_t round_interval_ms, publish_interval_ms, full_interval_ms;
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
    int64_t refused_said_ms; /* by the monotonic clock; 0: never */
    bool round_on_its_way, publishing;
    enum aft_publish publish; /* publishing: what */
    struct afti_since since;
    struct afti_keys keys;
    uint64_t delta_from;    /* bytes of a full snapshot */
    uint32_t keep;          /* full snapshots that stay in the topic */
    uint64_t sending_bytes; /* of the snapshot that is being published */
    int64_t published_round, snapshots_n, deltas_n;
    uint64_t published_bytes;         /* of the last snapshot */
    uint64_t full_bytes, delta_bytes; /* of all of them */
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
/* afti_round_learn: its examples, which have all been read; by threads where there are shards. */
enum aft_err afti_round_learn(struct aft_learning *l, const struct afti_round *r,
                              struct aft_error *e) AFT_MUST_CHECK;
void afti_rounds_forget(struct aft_learning *l);

/* ---- learning_publish.c */
enum aft_err afti_snapshots_read(struct aft_learning *l, int timeout_ms, bool *at_end,
                                 struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_restore(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_publish(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;
/* afti_publish_due: which kind is due now. */
enum aft_publish afti_publish_due(const struct aft_learning *l);

/* ---- learning_keys.c */
void afti_keys_deinit(struct afti_keys *k);
/* afti_keys_saw: a record of this key of a set stands in the topic, or a tombstone. afti_keys_full: a full snapshot's manifest does. */
void afti_keys_saw(struct afti_keys *k, struct aft_bytes key, int64_t round, bool live);
void afti_keys_full(struct afti_keys *k, int64_t round);
/* afti_keys_drop: tombstones for all that stands before the last l->keep full snapshots (L4). */
enum aft_err afti_keys_drop(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;

#endif
