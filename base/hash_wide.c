/* hash_wide.c - XXH3-128 compiled for AVX2 (CMakeLists.txt), where the compiler can; base/hash.c asks first. Pure. Any thread. */
#include "base/hash_wide.h"

#include "base/check.h"

#ifdef __AVX2__
#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

bool
afti_hash_wide(void)
{
    return __builtin_cpu_supports("avx2");
}

struct aft_hash128
afti_hash128_wide(struct aft_bytes b, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(b.p, b.n, seed);
    return (struct aft_hash128){h.low64, h.high64};
}
#else
bool
afti_hash_wide(void)
{
    return false;
}

struct aft_hash128
afti_hash128_wide(struct aft_bytes b, uint64_t seed)
{
    (void)b;
    (void)seed;
    AFT_NEVER();
}
#endif
