/* snapshot.c - the whole state -> records for the snapshots topic: parts of at most AFT_PART_BYTES_MAX, then the manifest.
 *
 *   <model>/<round>/0 .. : the WEIGHTS plane (policy/format.c), then the LEARNER plane (state.c), each cut into parts. FULL: the planes
 *   as they are; DELTA: what changed in each since the snapshot before (policy/delta.h)
 *   <model>/<round>/manifest : digest of the whole state (BLAKE2b over both planes), the parent's, digests of the parts (over their
 *   whole canonical bodies), settings, arms (DELTA: those that changed), scoreboard, counts, ends; sealed, and signed where a key is
 *   given. It comes last.
 * Both planes go by deltas, so a learner that starts again needs no round that was published: whatever a delta costs more by the
 * LEARNER plane (G beside W and V: the same rows) is less than learning the examples since a checkpoint again would.
 * Invariant: I1 what a delta is made from is what the snapshot named as its parent holds.
 */
#include <stdlib.h>

#include "learner/inner.h"

enum { PART_DATA = AFT_PART_BYTES_MAX - 4096, SETTINGS = 192 };
enum { ARM_BYTES = 62, ARMS_BYTES = 640 << 10 }; /* of an arm beside its id, at most; of all */

static void
planes(const struct aft_learner *l, struct aft_image plane[2])
{
    aft_image_reset(&plane[0]);
    aft_image_reset(&plane[1]);
    for (uint32_t i = 0; l->table.kind->variances && i < l->members_n; i++)
        l->table.kind->variances(&l->table, &l->members[i]);
    if (aft_features_identity(&l->table.terms.plan))
        afti_grid_constant(&l->table);
    aft_weights_image(&l->table.weights, &plane[0]);
    afti_state_encode(l, &plane[1]);
}

static void
digest_of(const struct aft_image plane[2], struct aft_digest *out)
{
    struct aft_digester d;
    aft_digester_init(&d);
    for (int i = 0; i < 2; i++)
        aft_digester_update(&d, aft_buffer_bytes(&plane[i].bytes));
    aft_digester_final(&d, out);
}

void
aft_learner_digest(const struct aft_learner *l, struct aft_digest *out)
{
    struct aft_image plane[2] = {{.sections_n = 0}, {.sections_n = 0}};
    planes(l, plane);
    digest_of(plane, out);
    aft_image_deinit(&plane[0]);
    aft_image_deinit(&plane[1]);
}

bool
aft_learner_publishable(const struct aft_learner *l)
{
    return l->published.there;
}

/* ---- what was published */
struct aft_arm_status
afti_arm_status(const struct afti_arm *a)
{
    return (struct aft_arm_status){.arm_id = a->id,
                                   .exposures = a->exposures,
                                   .clicks = a->clicks,
                                   .reward_micro = a->reward_micro,
                                   .first_seen_ms = a->first_seen_ms,
                                   .settled = a->settled,
                                   .last_seen_ms = a->last_seen_ms};
}

void
afti_published_take(const struct aft_learner *l, struct afti_published *out)
{
    planes(l, out->plane);
    digest_of(out->plane, &out->digest);
    out->arms_n = l->arms.index.n;
    out->arms = realloc(out->arms, (out->arms_n + 1) * sizeof *out->arms);
    AFT_ASSERT(out->arms);
    for (uint32_t i = 0; i < out->arms_n; i++)
        out->arms[i] = afti_arm_status(&l->arms.v[i]);
    out->there = true;
}

void
afti_published_deinit(struct afti_published *p)
{
    aft_image_deinit(&p->plane[0]);
    aft_image_deinit(&p->plane[1]);
    free(p->arms);
    *p = (struct afti_published){.there = false};
}

/* One publication under way. */
struct publication {
    const struct aft_learner *l;
    const struct aft_publish_spec *spec;
    aft_publish_sink sink;
    void *ctx;
    struct afti_published now;
    struct aft_buffer delta[2], body, key;
    struct aft_digest *digests;
    int32_t part, parts;
};

static enum aft_err
send(struct publication *p, const struct aft_snapshot_record *r, struct aft_error *e)
{
    aft_buffer_reset(&p->body);
    aft_buffer_reset(&p->key);
    aft_encode_snapshot(&p->body, r);
    aft_snapshot_key(&p->key, r);
    return p->sink(p->ctx, aft_buffer_bytes(&p->key), aft_buffer_bytes(&p->body), e);
}

static int32_t
parts_of(const struct aft_buffer *b)
{
    return (int32_t)((b->n + PART_DATA - 1) / PART_DATA);
}

/* What is sent of a plane. */
static const struct aft_buffer *
sent(const struct publication *p, int plane)
{
    return p->spec->kind == AFT_SNAPSHOT_FULL ? &p->now.plane[plane].bytes : &p->delta[plane];
}

static enum aft_err
send_plane(struct publication *p, enum aft_plane plane, const struct aft_buffer *b,
           struct aft_error *e)
{
    for (size_t at = 0; at < b->n; at += PART_DATA) {
        size_t n = b->n - at < PART_DATA ? b->n - at : PART_DATA;
        struct aft_snapshot_record r = {.model = p->spec->model,
                                        .round = p->spec->round,
                                        .kind = p->spec->kind,
                                        .part = p->part,
                                        .parts = p->parts,
                                        .plane = plane,
                                        .data = {b->p + at, n}};
        AFT_TRY(send(p, &r, e));
        aft_digest_of(aft_buffer_bytes(&p->body), &p->digests[p->part++]);
    }
    return AFT_OK;
}

/* ---- the manifest's lists */
struct lists {
    struct aft_setting settings[SETTINGS];
    uint32_t settings_n;
    struct aft_buffer text[SETTINGS];
    struct aft_arm_status *arms;
    struct aft_policy_score *scores;
    struct aft_named_sum *sums;
    struct aft_named_count counts[AFTI_COUNTS];
};

static void
one_setting(void *ctx, const char *key, const char *value)
{
    struct lists *o = ctx;
    AFT_ASSERT(o->settings_n < SETTINGS);
    struct aft_buffer *b = &o->text[o->settings_n];
    size_t n = strlen(key);
    aft_put_raw(b, aft_text(key));
    aft_put_raw(b, aft_text(value));
    o->settings[o->settings_n++] = (struct aft_setting){{b->p, n}, {b->p + n, b->n - n}};
}

static void
list_scores(const struct afti_scoreboard *s, struct lists *o)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct afti_policy *p = &s->v[i];
        struct aft_named_sum *sums = o->sums + (size_t)i * AFTI_CROSS;
        for (int j = 0; j < AFTI_CROSS; j++)
            sums[j] = (struct aft_named_sum){aft_text(afti_cross_name(j)), p->cross[j]};
        o->scores[i] = (struct aft_policy_score){.policy = p->name,
                                                 .decisions = p->decisions,
                                                 .items = p->items,
                                                 .clicks = p->clicks,
                                                 .value = p->value,
                                                 .sums = sums,
                                                 .sums_n = AFTI_CROSS};
    }
}

static uint32_t
list_counts(const struct aft_learner *l, struct aft_named_count *out)
{
    static const struct {
        const char *name;
        enum afti_count count;
    } named[] = {{"auto_differed", AFTI_DIFFERED},
                 {"auto_switches", AFTI_SWITCHES},
                 {"erased", AFTI_ERASED},
                 {"learned", AFTI_LEARNED},
                 {"overflowed_terms", AFTI_OVERFLOWED},
                 {"refused_example", AFTI_REFUSED_EXAMPLE},
                 {"refused_feature", AFTI_REFUSED_FEATURE},
                 {"refused_reward", AFTI_REFUSED_REWARD},
                 {"refused_support", AFTI_REFUSED_SUPPORT},
                 {"refused_weight", AFTI_REFUSED_WEIGHT},
                 {"revised", AFTI_REVISED},
                 {"settled", AFTI_SETTLED}};
    uint32_t n = 0;
    for (; n < sizeof named / sizeof *named; n++)
        out[n] = (struct aft_named_count){aft_text(named[n].name), l->counts[named[n].count]};
    return n;
}

static bool
unchanged(const struct aft_arm_status *a, const struct aft_arm_status *b)
{
    return a->exposures == b->exposures && a->clicks == b->clicks &&
           a->reward_micro == b->reward_micro && a->first_seen_ms == b->first_seen_ms &&
           a->settled == b->settled && a->last_seen_ms == b->last_seen_ms;
}

/* The arms, in the order in which they were seen first, while there is room in a record; of a delta those that changed. */
static uint32_t
list_arms(const struct publication *p, struct aft_arm_status *out)
{
    const struct afti_published *before = &p->l->published;
    bool full = p->spec->kind == AFT_SNAPSHOT_FULL;
    uint32_t n = 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < p->l->arms.index.n && bytes < ARMS_BYTES; i++) {
        struct aft_arm_status a = afti_arm_status(&p->l->arms.v[i]);
        bytes += a.arm_id.n + ARM_BYTES;
        if (full || i >= before->arms_n || !unchanged(&a, &before->arms[i]))
            out[n++] = a;
    }
    return n;
}

static void
list_all(const struct publication *p, struct lists *o, struct aft_manifest *f)
{
    const struct aft_learner *l = p->l;
    uint32_t arms = l->arms.index.n, policies = l->scoreboard.n;
    o->arms = calloc(arms + 1, sizeof *o->arms);
    o->scores = calloc(policies + 1, sizeof *o->scores);
    o->sums = calloc((size_t)policies * AFTI_CROSS + 1, sizeof *o->sums);
    AFT_ASSERT(o->arms && o->scores && o->sums);
    afti_settings_each(&l->settings, one_setting, o);
    if (l->design.sides == 2) /* which of auto's sides decides: nobody sets it */
        one_setting(o, "learner.weighting.serving", afti_serving(l) ? "capped" : "none");
    list_scores(&l->scoreboard, o);
    f->settings = o->settings;
    f->settings_n = o->settings_n;
    f->arms = o->arms;
    f->arms_n = list_arms(p, o->arms);
    f->scoreboard = o->scores;
    f->scoreboard_n = policies;
    f->counts = o->counts;
    f->counts_n = list_counts(l, o->counts);
}

static void
lists_deinit(struct lists *o)
{
    for (uint32_t i = 0; i < o->settings_n; i++)
        aft_buffer_deinit(&o->text[i]);
    free(o->arms);
    free(o->scores);
    free(o->sums);
}

static enum aft_err
send_manifest(struct publication *p, struct aft_error *e)
{
    struct lists lists = {.settings_n = 0};
    struct aft_snapshot_record r = {.model = p->spec->model,
                                    .round = p->spec->round,
                                    .kind = p->spec->kind,
                                    .part = p->parts,
                                    .parts = p->parts,
                                    .plane = AFT_PLANE_MANIFEST,
                                    .has_manifest = true};
    struct aft_manifest *f = &r.manifest;
    f->digest = p->now.digest;
    f->parent = p->l->published.digest;
    f->has_parent = p->l->published.there;
    f->configuration = p->l->configuration;
    f->event_time_ms = p->l->counts[AFTI_EVENT_TIME];
    f->ends = p->spec->ends;
    f->ends_n = p->spec->ends_n;
    f->part_digests = p->digests;
    f->part_digests_n = (uint32_t)p->parts;
    list_all(p, &lists, f);
    aft_manifest_seal(&r, &f->set_digest);
    f->has_signature = p->spec->signing_key != NULL;
    if (f->has_signature)
        aft_sign(p->spec->signing_key, (struct aft_bytes){f->set_digest.b, sizeof f->set_digest.b},
                 f->signature);
    enum aft_err err = send(p, &r, e);
    lists_deinit(&lists);
    return err;
}

static enum aft_err
publish(struct publication *p, struct aft_error *e)
{
    AFT_TRY(send_plane(p, AFT_PLANE_WEIGHTS, sent(p, 0), e));
    AFT_TRY(send_plane(p, AFT_PLANE_LEARNER, sent(p, 1), e));
    return send_manifest(p, e);
}

static void
prepare(struct publication *p)
{
    const struct afti_published *before = &p->l->published;
    afti_published_take(p->l, &p->now);
    for (int i = 0; i < 2 && p->spec->kind == AFT_SNAPSHOT_DELTA; i++)
        aft_delta_encode(&before->plane[i], &p->now.plane[i], &p->delta[i]);
    p->parts = parts_of(sent(p, 0)) + parts_of(sent(p, 1));
    p->digests = calloc((size_t)p->parts, sizeof *p->digests);
    AFT_ASSERT(p->digests);
}

enum aft_err
aft_learner_publish(struct aft_learner *l, const struct aft_publish_spec *spec,
                    aft_publish_sink sink, void *ctx, struct aft_error *e)
{
    struct publication p = {.l = l, .spec = spec, .sink = sink, .ctx = ctx};
    if (spec->kind == AFT_SNAPSHOT_PIN || (spec->kind == AFT_SNAPSHOT_DELTA && !l->published.there))
        return AFT_FAIL(e, AFT_E_USAGE,
                        "nothing was published that a delta could be made from: "
                        "publish a full snapshot first");
    prepare(&p);
    enum aft_err err = publish(&p, e);
    if (err == AFT_OK) { /* I1 */
        struct afti_published before = l->published;
        l->published = p.now;
        p.now = before;
    }
    afti_published_deinit(&p.now);
    free(p.digests);
    aft_buffer_deinit(&p.delta[0]);
    aft_buffer_deinit(&p.delta[1]);
    aft_buffer_deinit(&p.body);
    aft_buffer_deinit(&p.key);
    return err;
}
