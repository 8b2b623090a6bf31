/* snapshot.c - the whole state -> records for the snapshots topic: parts of at most AFT_PART_BYTES_MAX, then the manifest.
 *
 *   <model>/0 .. : the WEIGHTS plane (policy/format.c) cut into parts, then the LEARNER plane (state.c)
 *   <model>/manifest : digest of the whole state (BLAKE2b over both planes), the parent's, digests of the parts (over their whole
 *   canonical bodies), settings, arms, scoreboard, counts, ends; sealed, and signed where a key is given. It comes last.
 */
#include <stdio.h>
#include <stdlib.h>

#include "learner/inner.h"

enum { PART_DATA = AFT_PART_BYTES_MAX - 4096, SETTINGS = 64, TEXT = 16 << 10 };

static void
planes(const struct aft_learner *l, struct aft_buffer *weights, struct aft_buffer *state)
{
    if (aft_model_traits(l->table.weights.kind)->bilinear)
        afti_flow_variances(&l->table);
    aft_weights_encode(&l->table.weights, weights);
    afti_state_encode(l, state);
}

static void
digest_of(const struct aft_buffer *weights, const struct aft_buffer *state, struct aft_digest *out)
{
    struct aft_digester d;
    aft_digester_init(&d);
    aft_digester_update(&d, aft_buffer_bytes(weights));
    aft_digester_update(&d, aft_buffer_bytes(state));
    aft_digester_final(&d, out);
}

void
aft_learner_digest(const struct aft_learner *l, struct aft_digest *out)
{
    struct aft_buffer weights = {0}, state = {0};
    planes(l, &weights, &state);
    digest_of(&weights, &state, out);
    aft_buffer_deinit(&weights);
    aft_buffer_deinit(&state);
}

/* One publication under way. */
struct publication {
    const struct aft_learner *l;
    const struct aft_publish_spec *spec;
    aft_publish_sink sink;
    void *ctx;
    struct aft_buffer weights, state, body, key;
    struct aft_digest *digests;
    int32_t part, parts;
};

static enum aft_err
send(struct publication *p, const char *suffix, const struct aft_snapshot_record *r,
     struct aft_error *e)
{
    aft_buffer_reset(&p->body);
    aft_buffer_reset(&p->key);
    aft_encode_snapshot(&p->body, r);
    aft_put_raw(&p->key, p->spec->model);
    aft_put_raw(&p->key, AFT_LITERAL("/"));
    aft_put_raw(&p->key, aft_text(suffix));
    return p->sink(p->ctx, aft_buffer_bytes(&p->key), aft_buffer_bytes(&p->body), e);
}

static int32_t
parts_of(const struct aft_buffer *b)
{
    return (int32_t)((b->n + PART_DATA - 1) / PART_DATA);
}

static enum aft_err
send_plane(struct publication *p, enum aft_plane plane, const struct aft_buffer *b,
           struct aft_error *e)
{
    for (size_t at = 0; at < b->n; at += PART_DATA) {
        char suffix[16];
        size_t n = b->n - at < PART_DATA ? b->n - at : PART_DATA;
        struct aft_snapshot_record r = {.model = p->spec->model,
                                        .round = p->spec->round,
                                        .kind = AFT_SNAPSHOT_FULL,
                                        .part = p->part,
                                        .parts = p->parts,
                                        .plane = plane,
                                        .data = {b->p + at, n}};
        snprintf(suffix, sizeof suffix, "%d", p->part);
        AFT_TRY(send(p, suffix, &r, e));
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
    } named[] = {{"erased", AFTI_ERASED},
                 {"learned", AFTI_LEARNED},
                 {"overflowed_terms", AFTI_OVERFLOWED},
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

static void
list_all(const struct aft_learner *l, struct lists *o, struct aft_manifest *f)
{
    uint32_t arms = l->arms.index.n, policies = l->scoreboard.n;
    o->arms = calloc(arms + 1, sizeof *o->arms);
    o->scores = calloc(policies + 1, sizeof *o->scores);
    o->sums = calloc((size_t)policies * AFTI_CROSS + 1, sizeof *o->sums);
    AFT_ASSERT(o->arms && o->scores && o->sums);
    for (uint32_t i = 0; i < arms; i++) {
        const struct afti_arm *a = &l->arms.v[i];
        o->arms[i] = (struct aft_arm_status){a->id, a->exposures, a->clicks, a->reward_micro,
                                             a->first_seen_ms};
    }
    afti_settings_each(&l->settings, one_setting, o);
    list_scores(&l->scoreboard, o);
    f->settings = o->settings;
    f->settings_n = o->settings_n;
    f->arms = o->arms;
    f->arms_n = arms;
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
send_manifest(struct publication *p, struct aft_digest *digest, struct aft_error *e)
{
    struct lists lists = {.settings_n = 0};
    struct aft_snapshot_record r = {.model = p->spec->model,
                                    .round = p->spec->round,
                                    .kind = AFT_SNAPSHOT_FULL,
                                    .part = p->parts,
                                    .parts = p->parts,
                                    .plane = AFT_PLANE_MANIFEST,
                                    .has_manifest = true};
    struct aft_manifest *f = &r.manifest;
    digest_of(&p->weights, &p->state, digest);
    f->digest = *digest;
    f->parent = p->l->parent;
    f->has_parent = p->l->has_parent;
    f->configuration = p->l->configuration;
    f->event_time_ms = p->l->counts[AFTI_EVENT_TIME];
    f->ends = p->spec->ends;
    f->ends_n = p->spec->ends_n;
    f->part_digests = p->digests;
    f->part_digests_n = (uint32_t)p->parts;
    list_all(p->l, &lists, f);
    aft_manifest_seal(&r, &f->set_digest);
    f->has_signature = p->spec->signing_key != NULL;
    if (f->has_signature)
        aft_sign(p->spec->signing_key, (struct aft_bytes){f->set_digest.b, sizeof f->set_digest.b},
                 f->signature);
    enum aft_err err = send(p, "manifest", &r, e);
    lists_deinit(&lists);
    return err;
}

static enum aft_err
publish(struct publication *p, struct aft_digest *digest, struct aft_error *e)
{
    AFT_TRY(send_plane(p, AFT_PLANE_WEIGHTS, &p->weights, e));
    AFT_TRY(send_plane(p, AFT_PLANE_LEARNER, &p->state, e));
    return send_manifest(p, digest, e);
}

enum aft_err
aft_learner_publish(struct aft_learner *l, const struct aft_publish_spec *spec,
                    aft_publish_sink sink, void *ctx, struct aft_error *e)
{
    struct aft_digest digest;
    if (spec->kind != AFT_SNAPSHOT_FULL)
        return AFT_FAIL(e, AFT_E_USAGE, "this learner publishes full snapshots: ask for those");
    struct publication p = {.l = l, .spec = spec, .sink = sink, .ctx = ctx};
    planes(l, &p.weights, &p.state);
    p.parts = parts_of(&p.weights) + parts_of(&p.state);
    p.digests = calloc((size_t)p.parts, sizeof *p.digests);
    AFT_ASSERT(p.digests);
    enum aft_err err = publish(&p, &digest, e);
    if (err == AFT_OK) {
        l->parent = digest;
        l->has_parent = true;
    }
    free(p.digests);
    aft_buffer_deinit(&p.weights);
    aft_buffer_deinit(&p.state);
    aft_buffer_deinit(&p.body);
    aft_buffer_deinit(&p.key);
    return err;
}
