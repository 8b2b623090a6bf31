/* index_inner.h - shared by index.c and index_outcomes.c. */
#ifndef AFT_STATE_INDEX_INNER_H
#define AFT_STATE_INDEX_INNER_H

#include <stddef.h>
#include <stdint.h>

/* afti_ring_widen doubles a ring's memory (power-of-two capacity in elements) and keeps numbers head .. tail - 1 in place. */
void *afti_ring_widen(void *ring, size_t size, uint64_t head, uint64_t tail, uint64_t *cap);

#endif
