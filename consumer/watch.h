/* watch.h - what is looked at beside the work: whose partitioner put the keys where they are, which log holds which back. Inner
 * header of consumer/. Pure: counts in, words out.
 */
#ifndef AFT_CONSUMER_WATCH_H
#define AFT_CONSUMER_WATCH_H

#include "consumer/consumer.h"

/* afti_keyed_take: a record of `partition` with this key (null: nothing is said of it). */
void afti_keyed_take(struct aft_keyed *k, struct aft_bytes key, int32_t partition,
                     int32_t partitions);
/* afti_partition_by: where a producer with that partitioner puts the key. */
int32_t afti_partition_by(enum aft_partitioner by, struct aft_bytes key, int32_t partitions);

/* afti_held_back: true when `log` holds the other one back: records of that one wait, and its watermark is ahead. */
bool afti_held_back(const struct aft_task_status *s, enum aft_log_kind log);
/* afti_held_back_words: who holds whom back, by how much, since when. */
void afti_held_back_words(const struct aft_task_status *s, enum aft_log_kind log, char *out,
                          size_t cap);

/* afti_utc: 2026-05-01T12:00:00Z; "-" for INT64_MIN. */
void afti_utc(int64_t ms, char out[32]);

#endif
