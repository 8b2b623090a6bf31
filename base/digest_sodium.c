/* digest_sodium.c - EDGE (libsodium): BLAKE2b, keyed hashes, Ed25519. Any thread.
 * libsodium's functions used here need no sodium_init for correctness; it only picks faster code. */
#include <sodium.h>

#include "base/check.h"
#include "base/hash.h"

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(((struct aft_digester *)0)->opaque),
               "fits");

void
aft_digester_init(struct aft_digester *d)
{
    crypto_generichash_init((crypto_generichash_state *)(void *)d->opaque, NULL, 0, 32);
}

void
aft_digester_update(struct aft_digester *d, struct aft_bytes b)
{
    if (b.n)
        crypto_generichash_update((crypto_generichash_state *)(void *)d->opaque, b.p, b.n);
}

void
aft_digester_final(struct aft_digester *d, struct aft_digest *out)
{
    crypto_generichash_final((crypto_generichash_state *)(void *)d->opaque, out->b, sizeof out->b);
}

void
aft_digest_of(struct aft_bytes b, struct aft_digest *out)
{
    crypto_generichash(out->b, sizeof out->b, b.p, b.n, NULL, 0);
}

void
aft_keyed_hash(struct aft_bytes key, struct aft_bytes b, uint8_t out[16])
{
    AFT_ASSERT(key.n >= crypto_generichash_KEYBYTES_MIN &&
               key.n <= crypto_generichash_KEYBYTES_MAX);
    crypto_generichash(out, 16, b.p, b.n, key.p, key.n);
}

void
aft_sign(const uint8_t secret[64], struct aft_bytes message, uint8_t signature[64])
{
    crypto_sign_detached(signature, NULL, message.p, message.n, secret);
}

bool
aft_verify(const uint8_t public[32], struct aft_bytes message, const uint8_t signature[64])
{
    return crypto_sign_verify_detached(signature, message.p, message.n, public) == 0;
}
