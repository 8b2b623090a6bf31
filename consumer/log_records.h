/* log_records.h - records that were taken from a queue at once and are handed out by the batch: copied one behind the other, so that
 * what another core wrote is met once, in order, and let go of at once. In: records whose slices are borrowed; out: records whose
 * slices live until the reset. Edge of no library; one thread.
 *
 * I1 records come out in the order they went in, each once.
 * I2 nothing that was handed out moves before the reset: bytes stand in chunks, which do not grow.
 */
#ifndef AFT_CONSUMER_LOG_RECORDS_H
#define AFT_CONSUMER_LOG_RECORDS_H

#include "consumer/log.h"

struct afti_chunk;
struct afti_records {
    struct aft_record_in *v; /* v[i] .. v[n - 1] are still to be handed out */
    size_t n, cap, i;
    struct afti_chunk *chunks, *filling; /* those behind `filling` are empty */
};

/* afti_records_add: copied, key, value and headers. */
void afti_records_add(struct afti_records *r, const struct aft_record_in *in);
/* afti_records_take: up to max of those that are left; how many. */
uint32_t afti_records_take(struct afti_records *r, struct aft_record_in *out, uint32_t max);
/* afti_records_reset: empty again; memory of a burst is given back once a smaller one has passed. */
void afti_records_reset(struct afti_records *r);
void afti_records_deinit(struct afti_records *r);

static inline size_t
afti_records_left(const struct afti_records *r)
{
    return r->n - r->i;
}

#endif
