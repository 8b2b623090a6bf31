/* local.h - what the two logs of this process (memory, embedded) share: acknowledgements that wait for poll, the choice of a
 * partition, the words of refusals, and the group that gives everything to everybody. Inner header of log/. */
#ifndef AFT_LOG_LOCAL_H
#define AFT_LOG_LOCAL_H

#include <time.h>

#include "log/log.h"

/* afti_take: n zeroed bytes, or the process ends (these logs are bounded by their disk or their test). */
void *afti_take(size_t n);

/* ---- acknowledgements: pushed when the record has its offset, delivered by poll in the order of append. */
struct afti_ack {
    void (*acked)(void *ctx, int64_t offset, const struct aft_error *err);
    void *ctx;
    int64_t offset;
    struct aft_error *err; /* NULL: it is there. Owned; freed after delivery */
};
struct afti_acks {
    struct afti_ack *p;
    size_t n, cap;
};
/* afti_acks_push ignores an append without `acked`. err (NULL: it is there) is copied. */
typedef void afti_acked_fn(void *ctx, int64_t offset, const struct aft_error *err);
void afti_acks_push(struct afti_acks *q, afti_acked_fn *acked, void *ctx, int64_t offset,
                    const struct aft_error *err);
/* afti_acks_deliver calls those that wait now; one of them may append and so push more, which stay for the next poll. */
void afti_acks_deliver(struct afti_acks *q);
/* afti_acks_fail: what waits as written is not there after all. */
void afti_acks_fail(struct afti_acks *q, const struct aft_error *err);
/* afti_acks_deinit forgets what was not delivered. */
void afti_acks_deinit(struct afti_acks *q);

/* ---- waiting: the moment timeout_ms from now on the monotonic clock, for pthread_cond_timedwait. */
struct timespec afti_deadline(int timeout_ms);

/* ---- checks with words */
enum aft_err afti_check_spec(const struct aft_topic_spec *s, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_no_topic(const char *topic, struct aft_error *e);
enum aft_err afti_check_partition(const char *topic, int32_t partition, int32_t partitions,
                                  struct aft_error *e) AFT_MUST_CHECK;
/* afti_check_offset: AFT_E_GAP when offset is outside [0, end]. */
enum aft_err afti_check_offset(const char *topic, int32_t partition, int64_t offset, int64_t end,
                               struct aft_error *e) AFT_MUST_CHECK;
/* afti_choose_partition: a->partition, or by the key; without a key in turn (*turn counts). */
enum aft_err afti_choose_partition(const struct aft_append *a, int32_t partitions, uint32_t *turn,
                                   int32_t *out, struct aft_error *e) AFT_MUST_CHECK;

/* ---- the group of a log that has one process: the first poll assigns every partition, later ones nothing, at once. */
enum aft_err afti_local_group_open(struct aft_log *l, const char *group_id,
                                   const char *const *topics, uint32_t topics_n,
                                   struct aft_group **out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_local_group_poll(struct aft_group *g, int timeout_ms, struct aft_assignment *out,
                                   struct aft_error *e) AFT_MUST_CHECK;
void afti_local_group_commit(struct aft_group *g, const char *topic, int32_t partition,
                             int64_t offset);
/* Marks are for other processes; there are none: nothing is kept, nothing was told. */
enum aft_err afti_local_mark_put(struct aft_log *l, const char *name, const char *topic,
                                 int32_t partition, const struct aft_mark *mark,
                                 struct aft_error *e);
enum aft_err afti_local_mark_look(struct aft_log *l, const char *name, const char *topic,
                                  int32_t partitions, struct aft_mark *out, struct aft_error *e);
void afti_local_group_close(struct aft_group *g);

#endif
