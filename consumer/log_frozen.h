/* log_frozen.h - a log as it stood, for replays: reads end at a cut, appends go nowhere. Inner header of consumer/. */
#ifndef AFT_CONSUMER_LOG_FROZEN_H
#define AFT_CONSUMER_LOG_FROZEN_H

#include "consumer/log.h"

/* Who froze the log looks at what would have been appended; an error is the append's. */
struct afti_frozen_look {
    void *ctx;
    enum aft_err (*append)(void *ctx, const struct aft_append *a, struct aft_error *e);
};

/* afti_log_frozen: `inner` is borrowed and outlives it; look may be NULL. It has no groups and creates no topics. */
struct aft_log *afti_log_frozen(struct aft_log *inner, const struct afti_frozen_look *look);
/* afti_log_cut: this partition holds offsets begin .. end - 1 from now on; topic is borrowed. Before its readers are opened. */
void afti_log_cut(struct aft_log *frozen, const char *topic, int32_t partition, int64_t begin,
                  int64_t end);
/* afti_log_read_max: readers opened from now on give at most so many records at once. */
void afti_log_read_max(struct aft_log *frozen, uint32_t records);

#endif
