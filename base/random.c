/* random.c - Philox4x32-10 and the few laws drawn from it. Pure. One thread a stream. */
#include "base/random.h"

#include "base/check.h"
#include "base/fmath.h"

void
aft_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c0, p1 = (uint64_t)0xcd9e8d57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void
aft_random_init(struct aft_random *r, uint64_t key, uint64_t stream)
{
    *r = (struct aft_random){.key = key, .stream = stream};
}

uint32_t
aft_random_u32(struct aft_random *r)
{
    if (r->left == 0) {
        const uint32_t key[2] = {(uint32_t)r->key, (uint32_t)(r->key >> 32)};
        const uint32_t counter[4] = {(uint32_t)r->position, (uint32_t)(r->position >> 32),
                                     (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
        aft_philox(key, counter, r->block);
        r->position++;
        r->left = 4;
    }
    return r->block[4 - r->left--];
}

uint64_t
aft_random_u64(struct aft_random *r)
{
    uint64_t low = aft_random_u32(r);
    return low | (uint64_t)aft_random_u32(r) << 32;
}

double
aft_random_unit(struct aft_random *r)
{
    return ((double)(aft_random_u64(r) >> 12) + 0.5) * 0x1p-52;
}

uint32_t
aft_random_below(struct aft_random *r, uint32_t n)
{
    AFT_ASSERT(n > 0);
    uint32_t threshold = (uint32_t)-n % n;
    for (;;) {
        uint64_t m = (uint64_t)aft_random_u32(r) * n;
        if ((uint32_t)m >= threshold)
            return (uint32_t)(m >> 32);
    }
}

double
aft_random_normal(struct aft_random *r)
{
    return aft_normal_quantile(aft_random_unit(r));
}

double
aft_random_exponential(struct aft_random *r)
{
    return -aft_log(aft_random_unit(r));
}
