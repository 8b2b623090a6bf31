/* snapshot_set.c - the records of a snapshots topic -> the newest whole, verified set. One thread.
 *
 *   parts (0, 1, ...) are kept as they come, the last of each number; a manifest closes the set: every part that it names must be
 *   here, of its round, with its digest; its own set_digest must be right, and signed where a key is set. Then it becomes the
 *   set.
 * Refused, and the set before stands: a forged or torn set, one without a good signature, a round that is not newer (rollback), a
 * delta (this reader takes full snapshots; a delta needs its base), another model's record.
 * A part's digest is BLAKE2b-256 over the part's whole canonical body, so that number, round and plane are covered too.
 * Invariants: I1 `whole` never changes but to a later round; I2 what the accessors return borrows from `whole` alone.
 */
#include <stdlib.h>

#include "policy/inner.h"

enum { ARENA_MAX = 64 << 20 };

struct part {
    struct aft_buffer body;
    int64_t round;
};

struct whole {
    struct aft_buffer *bodies; /* parts, then the manifest */
    struct aft_snapshot_record *records;
    int32_t parts;
    struct aft_arena arena;
};

struct aft_snapshot_set {
    struct part *parts;
    int32_t parts_cap;
    struct whole *whole;
    struct aft_arena arena;
    struct aft_buffer model;
    bool has_key;
    uint8_t key[32];
};

struct aft_snapshot_set *
aft_snapshot_set_new(void)
{
    struct aft_snapshot_set *s = calloc(1, sizeof *s);
    AFT_ASSERT(s);
    aft_arena_init(&s->arena, ARENA_MAX);
    return s;
}

static void
whole_free(struct whole *w)
{
    if (!w)
        return;
    for (int32_t i = 0; i <= w->parts; i++)
        aft_buffer_deinit(&w->bodies[i]);
    free(w->bodies);
    free(w->records);
    aft_arena_deinit(&w->arena);
    free(w);
}

void
aft_snapshot_set_free(struct aft_snapshot_set *s)
{
    if (!s)
        return;
    for (int32_t i = 0; i < s->parts_cap; i++)
        aft_buffer_deinit(&s->parts[i].body);
    free(s->parts);
    whole_free(s->whole);
    aft_arena_deinit(&s->arena);
    aft_buffer_deinit(&s->model);
    free(s);
}

void
aft_snapshot_set_key(struct aft_snapshot_set *s, const uint8_t public[32])
{
    memcpy(s->key, public, sizeof s->key);
    s->has_key = true;
}

/* Keeps a part: the last one of its number counts, but none of a round that the whole set has passed. */
static enum aft_err
keep_part(struct aft_snapshot_set *s, const struct aft_snapshot_record *r, struct aft_bytes body,
          struct aft_error *e)
{
    if (r->part < 0 || r->part >= r->parts || r->plane == AFT_PLANE_MANIFEST || r->has_manifest)
        return AFT_FAIL(e, AFT_E_MALFORMED, "part %d of %d is not a part of a snapshot", r->part,
                        r->parts);
    const struct aft_snapshot_record *now = aft_snapshot_set_manifest(s);
    if (now && r->round == now->round)
        return AFT_OK; /* the same again, or it would not get its manifest past I1 */
    if (now && r->round < now->round)
        return AFT_FAIL(e, AFT_E_VALUE, "part %d of round %lld comes after round %lld: replayed",
                        r->part, (long long)r->round, (long long)now->round);
    if (r->part >= s->parts_cap) {
        int32_t cap = r->part + 16;
        s->parts = realloc(s->parts, (size_t)cap * sizeof *s->parts);
        AFT_ASSERT(s->parts);
        memset(s->parts + s->parts_cap, 0, (size_t)(cap - s->parts_cap) * sizeof *s->parts);
        s->parts_cap = cap;
    }
    struct part *p = &s->parts[r->part];
    aft_buffer_reset(&p->body);
    aft_put_raw(&p->body, body);
    p->round = r->round;
    return AFT_OK;
}

static enum aft_err
check_manifest(const struct aft_snapshot_set *s, const struct aft_snapshot_record *r,
               struct aft_error *e)
{
    const struct aft_manifest *f = &r->manifest;
    struct aft_digest sealed;
    if (!r->has_manifest || r->part != r->parts || f->part_digests_n != (uint32_t)r->parts)
        return AFT_FAIL(e, AFT_E_MALFORMED, "the manifest of round %lld does not name its %d parts",
                        (long long)r->round, r->parts);
    aft_manifest_seal(r, &sealed);
    if (memcmp(&sealed, &f->set_digest, sizeof sealed) != 0)
        return AFT_FAIL(e, AFT_E_VALUE, "the manifest of round %lld is not what its digest says",
                        (long long)r->round);
    struct aft_bytes message = {f->set_digest.b, sizeof f->set_digest.b};
    if (s->has_key && (!f->has_signature || !aft_verify(s->key, message, f->signature)))
        return AFT_FAIL(e, AFT_E_VALUE,
                        "the snapshot of round %lld is not signed by the configured key",
                        (long long)r->round);
    return AFT_OK;
}

static enum aft_err
check_parts(const struct aft_snapshot_set *s, const struct aft_snapshot_record *r,
            struct aft_error *e)
{
    for (int32_t i = 0; i < r->parts; i++) {
        struct aft_digest d;
        const struct part *p = i < s->parts_cap ? &s->parts[i] : NULL;
        if (!p || !p->body.n || p->round != r->round)
            return AFT_FAIL(e, AFT_E_VALUE, "round %lld is torn: part %d is not here",
                            (long long)r->round, i);
        aft_digest_of(aft_buffer_bytes(&p->body), &d);
        if (memcmp(&d, &r->manifest.part_digests[i], sizeof d) != 0)
            return AFT_FAIL(e, AFT_E_VALUE, "part %d of round %lld is not what the manifest names",
                            i, (long long)r->round);
    }
    return AFT_OK;
}

/* Moves the parts into a new whole set and decodes it there; everything was checked before. */
static enum aft_err
make_whole(struct aft_snapshot_set *s, int32_t parts, struct aft_bytes manifest,
           struct aft_error *e)
{
    struct whole *w = calloc(1, sizeof *w);
    AFT_ASSERT(w);
    w->parts = parts;
    w->bodies = calloc((size_t)parts + 1, sizeof *w->bodies);
    w->records = calloc((size_t)parts + 1, sizeof *w->records);
    AFT_ASSERT(w->bodies && w->records);
    aft_arena_init(&w->arena, ARENA_MAX);
    for (int32_t i = 0; i < parts; i++) {
        w->bodies[i] = s->parts[i].body;
        s->parts[i].body = (struct aft_buffer){0};
    }
    aft_put_raw(&w->bodies[parts], manifest);
    for (int32_t i = 0; i <= parts; i++) {
        struct aft_bytes body = aft_buffer_bytes(&w->bodies[i]);
        enum aft_err err = aft_decode_snapshot(body, &w->arena, &w->records[i], e);
        if (err != AFT_OK) {
            whole_free(w);
            return err;
        }
    }
    AFT_ASSERT(!s->whole || s->whole->records);
    AFT_INVARIANT(I1,
                  !s->whole || w->records[parts].round > s->whole->records[s->whole->parts].round);
    whole_free(s->whole);
    s->whole = w;
    return AFT_OK;
}

static enum aft_err
take_manifest(struct aft_snapshot_set *s, const struct aft_snapshot_record *r,
              struct aft_bytes body, bool *whole, struct aft_error *e)
{
    AFT_TRY(check_manifest(s, r, e));
    const struct aft_snapshot_record *now = aft_snapshot_set_manifest(s);
    if (now && now->round == r->round &&
        memcmp(&now->manifest.set_digest, &r->manifest.set_digest, sizeof(struct aft_digest)) == 0)
        return AFT_OK; /* the same again */
    if (now && r->round <= now->round)
        return AFT_FAIL(e, AFT_E_VALUE, "round %lld is not newer than round %lld: not taken",
                        (long long)r->round, (long long)now->round);
    AFT_TRY(check_parts(s, r, e));
    AFT_TRY(make_whole(s, r->parts, body, e));
    *whole = true;
    return AFT_OK;
}

enum aft_err
aft_snapshot_set_add(struct aft_snapshot_set *s, struct aft_bytes body, bool *whole,
                     struct aft_error *e)
{
    struct aft_snapshot_record r;
    *whole = false;
    aft_arena_reset(&s->arena);
    AFT_TRY(aft_decode_snapshot(body, &s->arena, &r, e));
    if (s->model.n && !aft_same(aft_buffer_bytes(&s->model), r.model))
        return AFT_FAIL(e, AFT_E_VALUE, "a record of model %.*s in the snapshots of model %.*s",
                        (int)r.model.n, (const char *)r.model.p, (int)s->model.n,
                        (const char *)s->model.p);
    if (r.kind != AFT_SNAPSHOT_FULL)
        return AFT_FAIL(e, AFT_E_VALUE,
                        "round %lld is a %s: this reader takes full snapshots, publish those too",
                        (long long)r.round, r.kind == AFT_SNAPSHOT_PIN ? "pin" : "delta");
    if (s->model.n == 0)
        aft_put_raw(&s->model, r.model);
    if (r.plane != AFT_PLANE_MANIFEST)
        return keep_part(s, &r, body, e);
    return take_manifest(s, &r, body, whole, e);
}

const struct aft_snapshot_record *
aft_snapshot_set_manifest(const struct aft_snapshot_set *s)
{
    return s->whole ? &s->whole->records[s->whole->parts] : NULL;
}

struct aft_bytes
aft_snapshot_set_part(const struct aft_snapshot_set *s, int32_t part, enum aft_plane *plane)
{
    AFT_ASSERT(s->whole && part >= 0 && part < s->whole->parts);
    *plane = s->whole->records[part].plane;
    return s->whole->records[part].data;
}
