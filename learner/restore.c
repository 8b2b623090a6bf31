/* restore.c - a whole set -> the learner as it was when the set was published, proved by its digest. One thread. */
#include <stdlib.h>

#include "learner/inner.h"

static enum aft_err
decode(struct aft_learner *l, const struct aft_snapshot_set *set, struct aft_error *e)
{
    struct aft_weights *w = &l->table.weights;
    aft_weights_deinit(w);
    AFT_TRY(aft_weights_decode(aft_snapshot_set_plane(set, AFT_PLANE_WEIGHTS), w, e));
    if (w->kind != l->settings.policy.model || w->members != l->members_n)
        return AFT_FAIL(e, AFT_E_MALFORMED, "the snapshot's weights are of another model");
    return afti_state_decode(l, aft_snapshot_set_plane(set, AFT_PLANE_LEARNER), e);
}

static enum aft_err
prove(struct aft_learner *l, const struct aft_manifest *f, struct aft_error *e)
{
    char have[65], want[65];
    const struct aft_digest *digest = &l->published.digest;
    afti_published_take(l, &l->published);
    if (memcmp(digest, &f->digest, sizeof *digest) == 0)
        return AFT_OK;
    aft_hex(digest->b, sizeof digest->b, have);
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
            "the snapshot of round %lld was learned under other features.* or learner.* settings "
            "(learner.reward.scale=auto follows reward.*.weight): put them back, or start a new "
            "app.id",
            (long long)r->round);
    AFT_TRY(aft_learner_new(&l->settings, &fresh, e));
    enum aft_err err = decode(fresh, set, e);
    if (err == AFT_OK)
        err = prove(fresh, &r->manifest, e);
    if (err == AFT_OK) {
        struct aft_learner old = *l;
        *l = *fresh;
        *fresh = old;
    }
    aft_learner_free(fresh);
    return err;
}
