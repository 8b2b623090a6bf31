/* history.h - what users were shown and did lately, folded out of the two inputs: one partition's users. Inner header of consumer/.
 *
 *   impressions, outcomes  ->  of each user a set of events (what, name, day, id)  ->  a History record a user (docs/HISTORY.md)
 *
 * H1  A user's set is a function of his records in the two logs up to to[0] and to[1]: SHOWN once for a decision and an arm; CLICKED, DONE
 *     once for an outcome's id, the first in its log; RETRACTED for the id that was taken back, in its place, whichever comes first.
 * H2  Of these stand there those of the `days` before the newest one, and of them the newest AFT_HISTORY_EVENTS_MAX.
 * H3  A record below to[log] changes nothing: whoever folds again from anywhere before comes to the same set. to[log] is behind the user's
 *     last record; where he was forgotten and came back, behind all that had been read when he was forgotten.
 * H4  Equal sets, to as far, are equal bytes.
 * No clock, no log: the fold is fed. One thread. */
#ifndef AFT_CONSUMER_HISTORY_H
#define AFT_CONSUMER_HISTORY_H

#include "consumer/consumer.h"

struct afti_fold;
struct afti_fold_settings {
    const char *click, *task; /* kinds; borrowed */
    uint32_t days;
    int64_t max_future_ms; /* an event further ahead of its log's time is none */
};
struct afti_fold *afti_fold_new(const struct afti_fold_settings *s);
void afti_fold_free(struct afti_fold *f);

/* Where a record stands, and when its log took it. */
struct afti_place {
    int64_t offset, log_ms;
};
void afti_fold_impression(struct afti_fold *f, const struct aft_impression *x,
                          const struct afti_place *at);
void afti_fold_outcome(struct afti_fold *f, const struct aft_outcome *x,
                       const struct afti_place *at);
/* afti_fold_erase: a null value among the impressions: nothing that the logs took until then counts. */
void afti_fold_erase(struct afti_fold *f, struct aft_bytes user, const struct afti_place *at);

/* afti_fold_load: what is published of a user; not dirty by it, unless more was loaded of him before. A tombstone has no entries.
 * afti_fold_foreign: somebody else published this: where ours knows more the user is dirty again. */
void afti_fold_load(struct afti_fold *f, struct aft_bytes user, const struct aft_history *x);
void afti_fold_foreign(struct afti_fold *f, struct aft_bytes user, const struct aft_history *x);

/* Dirty users: changed since they were published. next: one of them, encoded (without frame) behind what b holds; false: none is left. */
struct afti_folded {
    struct aft_bytes user; /* lives until the next call that changes the fold */
    int64_t to[2];
    bool empty; /* nothing is known of him (any more): a tombstone, and b is as it was */
};
uint32_t afti_fold_dirty(const struct afti_fold *f);
bool afti_fold_next(struct afti_fold *f, struct aft_buffer *b, struct afti_folded *out);

/* afti_fold_expire: users whose newest event lies `days` and more before this moment are forgotten; their records go by the topic's
 * retention; names that nobody has any more go, too. A pass over all of them, once a day of `log_ms`, which nobody may set ahead. read: the
 * offsets up to which both logs were folded, every record before them. */
void afti_fold_expire(struct afti_fold *f, int64_t log_ms, const int64_t read[2]);

struct afti_fold_stats {
    uint64_t users, events; /* users: of whom something is known */
    uint64_t held, names;   /* users and names that are held in memory */
};
struct afti_fold_stats afti_fold_stats(const struct afti_fold *f);

#endif
