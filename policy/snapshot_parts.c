/* snapshot_parts.c - parts that wait for the manifest that names them. One thread.
 * Invariant: I1 a body that is here has the digest it is found by. */
#include <stdlib.h>

#include "policy/snapshot_inner.h"

#define BYTES_MAX (2 * (size_t)AFT_IMAGE_BYTES_MAX)

static uint64_t
short_of(const struct aft_digest *d)
{
    return aft_load_le64(d->b);
}

void
afti_parts_deinit(struct afti_parts *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        aft_buffer_deinit(&p->v[i].body);
    free(p->v);
    aft_dict_deinit(&p->index);
    *p = (struct afti_parts){0};
}

struct afti_part *
afti_parts_find(const struct afti_parts *p, const struct aft_digest *digest)
{
    uint32_t i = aft_dict_find(&p->index, short_of(digest));
    if (i == AFT_NOWHERE || p->v[i].body.n == 0 ||
        memcmp(&p->v[i].digest, digest, sizeof *digest) != 0)
        return NULL;
    return &p->v[i];
}

void
afti_parts_put(struct afti_parts *p, int64_t round, struct aft_bytes body)
{
    struct aft_digest digest;
    aft_digest_of(body, &digest);
    if (afti_parts_find(p, &digest))
        return;
    if (p->bytes + body.n > BYTES_MAX || p->n == AFT_PARTS_MAX)
        afti_parts_forget(
            p,
            INT64_MAX); /* nobody publishes so much: what is torn by this is mended by the next set */
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 16;
        p->v = realloc(p->v, p->cap * sizeof *p->v);
        AFT_ASSERT(p->v);
    }
    uint32_t at = aft_dict_add(&p->index, short_of(&digest));
    if (at == p->n)
        p->v[p->n++] = (struct afti_part){.digest = digest};
    struct afti_part *one = &p->v[at];
    p->bytes += body.n - one->body.n;
    aft_buffer_reset(&one->body);
    aft_put_raw(&one->body, body);
    one->digest = digest;
    one->round = round;
    AFT_INVARIANT(I1, afti_parts_find(p, &digest) == one);
}

void
afti_parts_forget(struct afti_parts *p, int64_t round)
{
    uint32_t kept = 0;
    aft_dict_deinit(&p->index);
    p->bytes = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->v[i].round <= round || p->v[i].body.n == 0) {
            aft_buffer_deinit(&p->v[i].body);
            continue;
        }
        uint32_t at = aft_dict_add(&p->index, short_of(&p->v[i].digest));
        AFT_ASSERT(at == kept);
        p->bytes += p->v[i].body.n;
        p->v[kept++] = p->v[i];
    }
    p->n = kept;
}
