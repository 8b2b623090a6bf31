/* hash.h - stable hashes: the same input gives the same bits on every machine, for ever (golden: tests/golden).
 *
 * aft_hash64, aft_hash128: XXH3, for tables, features and the chain over examples. Not keyed, not secret.
 * aft_murmur2: Kafka's default partitioner of Java clients (`murmur2_random`), so that a user's partition is known.
 * aft_crc64_avro: the fingerprint of Avro's parsing canonical form.
 * aft_digest: BLAKE2b-256, for what somebody could want to forge: snapshots, configuration, state.
 */
#ifndef AFT_BASE_HASH_H
#define AFT_BASE_HASH_H

#include <stdint.h>

#include "base/bytes.h"

struct aft_hash128 {
    uint64_t low, high;
};

struct aft_digest {
    uint8_t b[32];
};

uint64_t aft_hash64(struct aft_bytes b, uint64_t seed);
struct aft_hash128 aft_hash128(struct aft_bytes b, struct aft_hash128 seed);

/* aft_partition_of is Java's choice for a keyed record: (murmur2(key) & 0x7fffffff) % partitions. partitions > 0. */
uint32_t aft_murmur2(struct aft_bytes key);
int32_t aft_partition_of(struct aft_bytes key, int32_t partitions);

uint64_t aft_crc64_avro(struct aft_bytes b);

/* A digest over pieces: init, update..., final. State is caller-owned; any thread. */
struct aft_digester {
    _Alignas(64) uint8_t opaque[384];
};
void aft_digester_init(struct aft_digester *d);
void aft_digester_update(struct aft_digester *d, struct aft_bytes b);
void aft_digester_final(struct aft_digester *d, struct aft_digest *out);
void aft_digest_of(struct aft_bytes b, struct aft_digest *out);

/* aft_hex writes 2n lower-case digits and a NUL to out (2n + 1 bytes). */
void aft_hex(const uint8_t *p, size_t n, char *out);

/* aft_keyed_hash: BLAKE2b-128 of b under a secret key of 16..64 bytes; what a user id must be before it is logged. */
void aft_keyed_hash(struct aft_bytes key, struct aft_bytes b, uint8_t out[16]);

/* Ed25519 over a message, for snapshots. public/secret as libsodium has them (32 and 64 bytes). */
void aft_sign(const uint8_t secret[64], struct aft_bytes message, uint8_t signature[64]);
bool aft_verify(const uint8_t public[32], struct aft_bytes message, const uint8_t signature[64]);

#endif
