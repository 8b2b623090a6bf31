/* index_inner.h - shared by index.c, index_outcomes.c and gather.c. */
#ifndef AFT_STATE_INDEX_INNER_H
#define AFT_STATE_INDEX_INNER_H

#include "state/index.h"

/* afti_ring_widen doubles a ring's memory (power-of-two capacity in elements) and keeps numbers head .. tail - 1 in place. */
void *afti_ring_widen(void *ring, size_t size, uint64_t head, uint64_t tail, uint64_t *cap);

/* afti_gather keeps the id of touch n until many go to one part of the table; x->gather is not NULL. */
void afti_gather(struct aft_index *x, struct aft_hash128 id, uint64_t n);

#endif
