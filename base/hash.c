/* hash.c - XXH3, murmur2, CRC-64-AVRO. Pure. Any thread. */
#include "base/hash.h"

#include "base/check.h"
#include "base/hash_wide.h"

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

uint64_t
aft_hash64(struct aft_bytes b, uint64_t seed)
{
    return XXH3_64bits_withSeed(b.p, b.n, seed);
}

static struct aft_hash128
narrow(struct aft_bytes b, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(b.p, b.n, seed);
    return (struct aft_hash128){h.low64, h.high64};
}

struct aft_hash128
aft_hash128(struct aft_bytes b, struct aft_hash128 seed)
{
    uint64_t folded = seed.low ^ (seed.high * 0x9e3779b97f4a7c15ull);
    struct aft_hash128 h = b.n > XXH3_MIDSIZE_MAX && afti_hash_wide() ? afti_hash128_wide(b, folded)
                                                                      : narrow(b, folded);
    /* the 64-bit seed alone would halve the chain: fold the whole previous value in again */
    return (struct aft_hash128){h.low ^ seed.high, h.high ^ (seed.low << 1 | seed.low >> 63)};
}

uint32_t
aft_murmur2(struct aft_bytes key)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *p = key.p;
    size_t n = key.n;
    uint32_t h = 0x9747b28cu ^ (uint32_t)n;
    for (; n >= 4; p += 4, n -= 4) {
        uint32_t k = aft_load_le32(p) * m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    uint32_t rest = 0;
    for (size_t i = 0; i < n; i++)
        rest |= (uint32_t)p[i] << (8 * i);
    if (n > 0)
        h = (h ^ rest) * m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

int32_t
aft_partition_of(struct aft_bytes key, int32_t partitions)
{
    AFT_ASSERT(partitions > 0);
    return (int32_t)((aft_murmur2(key) & 0x7fffffffu) % (uint32_t)partitions);
}

uint64_t
aft_crc64_avro(struct aft_bytes b)
{
    const uint64_t empty = 0xc15d213aa4d7a795ull;
    uint64_t f = empty;
    for (size_t i = 0; i < b.n; i++) {
        uint64_t t = (f ^ b.p[i]) & 255;
        for (int j = 0; j < 8; j++)
            t = (t >> 1) ^ (empty & -(t & 1));
        f = (f >> 8) ^ t;
    }
    return f;
}

void
aft_hex(const uint8_t *p, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[p[i] >> 4];
        out[2 * i + 1] = digit[p[i] & 15];
    }
    out[2 * n] = 0;
}
