/* ids.c - ids that never repeat, the baseline's side of a user, the hash of a person's identifier. Any thread.
 * An id is Philox4x32-10 of (seed; count, stream): for one seed a permutation of the counts, so no two are alike. */
#include <inttypes.h>
#include <sys/random.h>

#include "client/client_inner.h"

enum aft_err
afti_ids_init(struct afti_ids *ids, const uint64_t *seed, struct aft_error *e)
{
    atomic_init(&ids->next[AFTI_ID_DECISION], 0);
    atomic_init(&ids->next[AFTI_ID_OUTCOME], 0);
    if (seed)
        ids->seed = *seed;
    else if (getrandom(&ids->seed, sizeof ids->seed, 0) != (ssize_t)sizeof ids->seed)
        return AFT_FAIL(e, AFT_E_IO, "the system gave no entropy for ids; set options.seed");
    return AFT_OK;
}

void
afti_id_new(struct afti_ids *ids, enum afti_id_stream stream, char out[33])
{
    uint64_t n = atomic_fetch_add_explicit(&ids->next[stream], 1, memory_order_relaxed);
    const uint32_t key[2] = {(uint32_t)ids->seed, (uint32_t)(ids->seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)n, (uint32_t)(n >> 32), (uint32_t)stream, 0x61667464};
    uint32_t block[4];
    uint8_t bytes[16];
    aft_philox(key, counter, block);
    for (int i = 0; i < 4; i++)
        aft_store_be32(bytes + 4 * i, block[i]);
    aft_hex(bytes, sizeof bytes, out);
}

bool
afti_on_baseline(double share, const char *salt, struct aft_bytes user)
{
    uint64_t h = aft_hash64(user, aft_hash64(aft_text(salt), 0));
    return ((double)(h >> 12) + 0.5) * 0x1p-52 < share;
}

bool
afti_passes(double share, struct aft_bytes decision)
{
    uint64_t h = aft_hash64(decision, aft_hash64(AFT_LITERAL("pass"), 0));
    return share >= 1 || ((double)(h >> 12) + 0.5) * 0x1p-52 < share;
}

bool
aft_client_is_baseline(const struct aft_client *c, const char *user_id)
{
    return afti_on_baseline(c->options.baseline_share, c->options.baseline_salt, aft_text(user_id));
}

enum aft_client_code
aft_client_user_hash(const void *key, size_t key_bytes, const char *identifier, char out[33],
                     struct aft_client_error *why)
{
    struct aft_error e;
    uint8_t bytes[16];
    if (key_bytes < 16 || key_bytes > 64)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE, "the key has %zu bytes; give 16 to 64", key_bytes), &e, why);
    if (!identifier)
        return afti_client_public(AFT_FAIL(&e, AFT_E_USAGE, "no identifier given"), &e, why);
    aft_keyed_hash((struct aft_bytes){key, key_bytes}, aft_text(identifier), bytes);
    aft_hex(bytes, sizeof bytes, out);
    return AFT_CLIENT_OK;
}
