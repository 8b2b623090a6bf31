/* model.c - a whole, verified set -> a model that decides. Allocates; what it returns is immutable. Any thread.
 *
 * The settings come from the manifest, so an engine needs no configuration of its own. The WEIGHTS plane holds the bytes of
 * policy/format.c.
 */
#include <stdlib.h>

#include "policy/inner.h"

static struct aft_model *
model_new(const struct aft_policy_settings *s, double matured)
{
    struct aft_model *m = calloc(1, sizeof *m);
    AFT_ASSERT(m);
    aft_features_plan_init(&m->plan, s);
    m->law = afti_law_of(s, matured);
    for (int i = 0; i < 4096 && s->explore == AFT_EXPLORE_THOMPSON; i++)
        m->quantiles[i] = (float)aft_normal_quantile((i + 0.5) / 4096);
    return m;
}

struct aft_model *
aft_model_uniform(void)
{
    struct aft_policy_settings s;
    aft_policy_settings_default(&s);
    s.explore = AFT_EXPLORE_UNIFORM;
    struct aft_model *m = model_new(&s, 0);
    m->uniform = true;
    return m;
}

void
aft_model_free(struct aft_model *m)
{
    if (!m)
        return;
    aft_weights_deinit(&m->weights);
    free(m->forms);
    afti_arm_stats_free(m->arm_stats);
    free(m);
}

struct aft_bytes
aft_model_snapshot_id(const struct aft_model *m)
{
    return m->uniform ? AFT_ABSENT : aft_text(m->id);
}

int64_t
aft_model_round(const struct aft_model *m)
{
    return m->round;
}

/* A manifest's setting -> one key. Keys that are not the policy's (the learner's own) are for the learner alone. */
static enum aft_err
read_settings(const struct aft_manifest *f, struct aft_policy_settings *s, struct aft_error *e)
{
    char key[128], value[AFT_INTERACTIONS_MAX * 130 + 1];
    aft_policy_settings_default(s);
    for (uint32_t i = 0; i < f->settings_n; i++) {
        const struct aft_setting *t = &f->settings[i];
        bool known = false;
        if (t->name.n >= sizeof key || t->value.n >= sizeof value)
            return AFT_FAIL(e, AFT_E_LIMIT, "a setting of the snapshot is longer than %zu bytes",
                            sizeof value);
        memcpy(key, t->name.p, t->name.n);
        memcpy(value, t->value.p, t->value.n);
        key[t->name.n] = value[t->value.n] = 0;
        AFT_TRY(aft_policy_set(s, key, value, &known, e));
    }
    return AFT_OK;
}

/* What the learner has seen the end of; a manifest that does not say: nothing yet. */
static double
matured_of(const struct aft_manifest *f)
{
    for (uint32_t i = 0; i < f->counts_n; i++)
        if (aft_same(f->counts[i].name, AFT_LITERAL("settled")) && f->counts[i].count > 0)
            return (double)f->counts[i].count;
    return 0;
}

static enum aft_err
read_weights(const struct aft_snapshot_set *set, struct aft_model *m, struct aft_error *e)
{
    enum aft_err err =
        aft_weights_decode(aft_snapshot_set_plane(set, AFT_PLANE_WEIGHTS), &m->weights, e);
    if (err == AFT_OK && m->weights.kind != m->plan.settings.model)
        err =
            AFT_FAIL(e, AFT_E_MALFORMED, "the snapshot's settings and weights are of other models");
    return err;
}

enum aft_err
aft_model_load(const struct aft_snapshot_set *s, struct aft_model **out, struct aft_error *e)
{
    const struct aft_snapshot_record *f = aft_snapshot_set_manifest(s);
    struct aft_policy_settings settings;
    if (!f)
        return AFT_FAIL(e, AFT_E_AGAIN, "no whole snapshot has been read yet");
    AFT_TRY(read_settings(&f->manifest, &settings, e));
    struct aft_model *m = model_new(&settings, matured_of(&f->manifest));
    m->round = f->round;
    aft_hex(f->manifest.digest.b, sizeof f->manifest.digest.b, m->id);
    enum aft_err err = read_weights(s, m, e);
    if (err != AFT_OK) {
        aft_model_free(m);
        return err;
    }
    m->identity = f->manifest.set_digest;
    if (settings.arm_stats)
        m->arm_stats = afti_arm_stats_new(&f->manifest);
    afti_forms_make(m);
    *out = m;
    return AFT_OK;
}
