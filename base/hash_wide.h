/* hash_wide.h - XXH3-128 by vectors of 32 bytes, the same bits. Not for other folders. Any thread. */
#ifndef AFT_BASE_HASH_WIDE_H
#define AFT_BASE_HASH_WIDE_H

#include "base/hash.h"

/* afti_hash_wide: whether this machine can. afti_hash128_wide: only then. */
bool afti_hash_wide(void);
struct aft_hash128 afti_hash128_wide(struct aft_bytes b, uint64_t seed);

#endif
