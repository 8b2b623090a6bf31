/* snapshot_chain.c - a full set and the deltas behind it -> the images of both planes, and one manifest. One thread.
 *
 * Invariants: I1 link i + 1 is a delta whose parent is the digest of link i; I2 the images are those of the last link; I3 what the
 * manifest borrows lies in the links' bodies and in arena[now].
 */
#include <stdlib.h>

#include "policy/snapshot_inner.h"

enum { ARENA_MAX = 64 << 20 };

struct afti_chain *
afti_chain_new(bool weights_only)
{
    struct afti_chain *c = calloc(1, sizeof *c);
    AFT_ASSERT(c);
    c->weights_only = weights_only;
    aft_arena_init(&c->arena[0], ARENA_MAX);
    aft_arena_init(&c->arena[1], ARENA_MAX);
    return c;
}

void
afti_link_deinit(struct afti_link *l)
{
    for (int32_t i = 0; l->bodies && i <= l->parts; i++)
        aft_buffer_deinit(&l->bodies[i]);
    free(l->bodies);
    *l = (struct afti_link){0};
}

void
afti_chain_free(struct afti_chain *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n; i++)
        afti_link_deinit(&c->links[i]);
    free(c->links);
    free(c->arms);
    aft_dict_deinit(&c->arms_index);
    for (int i = 0; i < 2; i++) {
        aft_buffer_deinit(&c->image[i]);
        aft_arena_deinit(&c->arena[i]);
    }
    free(c);
}

/* The parts' data of each plane, put together in order; every part must say of itself what the manifest says. */
static enum aft_err
gather(const struct afti_chain *c, const struct afti_link *l, const struct aft_snapshot_record *m,
       struct aft_arena *a, struct aft_buffer out[2], struct aft_error *e)
{
    for (int32_t i = 0; i < l->parts; i++) {
        struct aft_snapshot_record r;
        AFT_TRY(aft_decode_snapshot(aft_buffer_bytes(&l->bodies[i]), a, &r, e));
        if (r.part != i || r.parts != m->parts || r.round != m->round || r.kind != m->kind ||
            r.plane == AFT_PLANE_MANIFEST || r.has_manifest)
            return AFT_FAIL(e, AFT_E_MALFORMED, "part %d of round %lld is a part of another set", i,
                            (long long)m->round);
        if (r.plane == AFT_PLANE_LEARNER && c->weights_only)
            continue;
        if (out[r.plane].n == 0 && i + 1 < l->parts) /* room once, for most */
            aft_reserve(&out[r.plane], l->bytes);
        aft_put_raw(&out[r.plane], r.data);
    }
    return AFT_OK;
}

/* The images behind this set. */
static enum aft_err
images(const struct afti_chain *c, const struct afti_link *l, const struct aft_snapshot_record *m,
       struct aft_arena *a, struct aft_buffer out[2], struct aft_error *e)
{
    struct aft_buffer data[2] = {{0}, {0}};
    if (m->kind == AFT_SNAPSHOT_FULL)
        return gather(c, l, m, a, out, e);
    enum aft_err err = gather(c, l, m, a, data, e);
    for (int i = 0; i < (c->weights_only ? 1 : 2) && err == AFT_OK; i++)
        err =
            aft_delta_apply(aft_buffer_bytes(&data[i]), aft_buffer_bytes(&c->image[i]), &out[i], e);
    aft_buffer_deinit(&data[0]);
    aft_buffer_deinit(&data[1]);
    return err;
}

/* A manifest names all arms, or those that changed since its parent's. */
static void
merge_arms(struct afti_chain *c, struct aft_manifest *f)
{
    for (uint32_t i = 0; i < f->arms_n; i++) {
        uint32_t at = aft_dict_add(&c->arms_index, aft_hash64(f->arms[i].arm_id, 0));
        if (at == c->arms_cap) {
            c->arms_cap = c->arms_cap ? 2 * c->arms_cap : 64;
            c->arms = realloc(c->arms, c->arms_cap * sizeof *c->arms);
            AFT_ASSERT(c->arms);
        }
        c->arms[at] = f->arms[i];
    }
    f->arms = c->arms;
    f->arms_n = c->arms_index.n;
}

static void
keep(struct afti_chain *c, struct afti_link *link)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 4;
        c->links = realloc(c->links, c->cap * sizeof *c->links);
        AFT_ASSERT(c->links);
    }
    c->links[c->n++] = *link;
    c->bytes += link->bytes;
    *link = (struct afti_link){0};
}

enum aft_err
afti_chain_add(struct afti_chain *c, struct afti_link *link, struct aft_error *e)
{
    struct aft_snapshot_record m;
    struct aft_arena *a = &c->arena[!c->now];
    struct aft_buffer image[2] = {{0}, {0}};
    aft_arena_reset(a);
    enum aft_err err = aft_decode_snapshot(aft_buffer_bytes(&link->bodies[link->parts]), a, &m, e);
    if (err == AFT_OK) {
        AFT_INVARIANT(I1, (c->n == 0) == (m.kind == AFT_SNAPSHOT_FULL));
        err = images(c, link, &m, a, image, e);
    }
    if (err != AFT_OK) {
        aft_buffer_deinit(&image[0]);
        aft_buffer_deinit(&image[1]);
        return err;
    }
    for (int i = 0; i < 2; i++) {
        aft_buffer_deinit(&c->image[i]);
        c->image[i] = image[i];
    }
    keep(c, link);
    c->now = !c->now;
    merge_arms(c, &m.manifest);
    c->manifest = m;
    return AFT_OK;
}
