/* learning_keys.c - which keys of our model's sets stand in the snapshots topic, and tombstones for those that nobody needs any more.
 *
 * In: keys as they are read at the start and as we write them; the rounds of full snapshots. Out: tombstones. What an overtaken learner
 * wrote after our start is not seen before the next one: it stays until then, and does no harm (policy/snapshot_set.c).
 */
#include <stdlib.h>

#include "consumer/learning_inner.h"

void
afti_keys_deinit(struct afti_keys *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        aft_buffer_deinit(&k->v[i].key);
    free(k->v);
    free(k->fulls);
    aft_dict_deinit(&k->index);
    *k = (struct afti_keys){0};
}

void
afti_keys_saw(struct afti_keys *k, struct aft_bytes key, int64_t round, bool live)
{
    uint32_t at = aft_dict_add(&k->index, aft_hash64(key, 0));
    if (at == k->n) {
        if (k->n == k->cap) {
            k->cap = k->cap ? 2 * k->cap : 64;
            k->v = realloc(k->v, k->cap * sizeof *k->v);
            AFT_ASSERT(k->v);
        }
        k->v[k->n++] = (struct afti_key){.round = round};
        aft_put_raw(&k->v[at].key, key);
    }
    k->v[at].live = live;
}

void
afti_keys_full(struct afti_keys *k, int64_t round)
{
    if (k->fulls_n && round <= k->fulls[k->fulls_n - 1])
        return;
    if (k->fulls_n == k->fulls_cap) {
        k->fulls_cap = k->fulls_cap ? 2 * k->fulls_cap : 16;
        k->fulls = realloc(k->fulls, k->fulls_cap * sizeof *k->fulls);
        AFT_ASSERT(k->fulls);
    }
    k->fulls[k->fulls_n++] = round;
}

/* Forgets the keys before `round`, and those that are tombstones already. */
static void
forget(struct afti_keys *k, int64_t round)
{
    uint32_t kept = 0;
    aft_dict_deinit(&k->index);
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->v[i].round < round || !k->v[i].live) {
            aft_buffer_deinit(&k->v[i].key);
            continue;
        }
        aft_dict_add(&k->index, aft_hash64(aft_buffer_bytes(&k->v[i].key), 0));
        k->v[kept++] = k->v[i];
    }
    k->n = kept;
}

enum aft_err
afti_keys_drop(struct aft_learning *l, struct aft_error *e)
{
    struct afti_keys *k = &l->keys;
    if (k->fulls_n <= l->keep)
        return AFT_OK;
    int64_t round = k->fulls[k->fulls_n - l->keep];
    for (uint32_t i = 0; i < k->n; i++) {
        if (!k->v[i].live || k->v[i].round >= round)
            continue;
        struct aft_append a = {.topic = l->snapshots_topic,
                               .partition = 0,
                               .timestamp_ms = -1,
                               .key = aft_buffer_bytes(&k->v[i].key),
                               .value = AFT_ABSENT};
        AFT_TRY(afti_send(l->o.log, l->box, &a, AFTI_SENT_PART, (struct afti_end){0}, e));
    }
    forget(k, round);
    memmove(k->fulls, k->fulls + k->fulls_n - l->keep, l->keep * sizeof *k->fulls);
    k->fulls_n = l->keep;
    return AFT_OK;
}
