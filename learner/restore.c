/* restore.c - a whole set -> the learner as it was when the set was published, proved by its digest. One thread. */
#include <stdlib.h>

#include "learner/inner.h"

static void
gather(const struct aft_snapshot_set *set, int32_t parts, enum aft_plane plane,
       struct aft_buffer *out)
{
    for (int32_t i = 0; i < parts; i++) {
        enum aft_plane p;
        struct aft_bytes data = aft_snapshot_set_part(set, i, &p);
        if (p == plane)
            aft_put_raw(out, data);
    }
}

static enum aft_err
decode(struct aft_learner *l, const struct aft_snapshot_set *set, int32_t parts,
       struct aft_error *e)
{
    struct aft_buffer weights = {0}, state = {0};
    gather(set, parts, AFT_PLANE_WEIGHTS, &weights);
    gather(set, parts, AFT_PLANE_LEARNER, &state);
    aft_weights_deinit(&l->table.weights);
    enum aft_err err = aft_weights_decode(aft_buffer_bytes(&weights), &l->table.weights, e);
    if (err == AFT_OK && (l->table.weights.kind != l->settings.policy.model ||
                          l->table.weights.members != l->members_n))
        err = AFT_FAIL(e, AFT_E_MALFORMED, "the snapshot's weights are of another model");
    if (err == AFT_OK)
        err = afti_state_decode(l, aft_buffer_bytes(&state), e);
    aft_buffer_deinit(&weights);
    aft_buffer_deinit(&state);
    return err;
}

static enum aft_err
prove(const struct aft_learner *l, const struct aft_manifest *f, struct aft_error *e)
{
    struct aft_digest digest;
    char have[65], want[65];
    aft_learner_digest(l, &digest);
    if (memcmp(&digest, &f->digest, sizeof digest) == 0)
        return AFT_OK;
    aft_hex(digest.b, sizeof digest.b, have);
    aft_hex(f->digest.b, sizeof f->digest.b, want);
    return AFT_FAIL(e, AFT_E_DIVERGENCE, "restored state has digest %s, published was %s", have,
                    want);
}

enum aft_err
aft_learner_restore(struct aft_learner *l, const struct aft_snapshot_set *set, struct aft_error *e)
{
    const struct aft_snapshot_record *r = aft_snapshot_set_manifest(set);
    struct aft_learner *fresh = NULL;
    if (!r)
        return AFT_FAIL(e, AFT_E_AGAIN, "no whole snapshot to restore from");
    if (memcmp(&r->manifest.configuration, &l->configuration, sizeof l->configuration) != 0)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "the snapshot of round %lld was learned under other features.* or learner.* "
            "settings: put them back, or start a new app.id",
            (long long)r->round);
    AFT_TRY(aft_learner_new(&l->settings, &fresh, e));
    enum aft_err err = decode(fresh, set, r->parts, e);
    if (err == AFT_OK)
        err = prove(fresh, &r->manifest, e);
    if (err == AFT_OK) {
        struct aft_learner old = *l;
        fresh->parent = r->manifest.digest;
        fresh->has_parent = true;
        *l = *fresh;
        *fresh = old;
    }
    aft_learner_free(fresh);
    return err;
}
