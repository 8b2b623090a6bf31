/* settings.c - the learner's settings: its own table, then the policy's. Pure. Any thread.
 * The digest covers what changes what is learned: features.* and learner.*, as "key=value\n" sorted by key; policy.* may
 * change freely. */
#include <stdio.h>

#include "learner/inner.h"

static const struct aft_word reductions[] = {{"dm", AFT_REDUCTION_DM},
                                             {"iwr", AFT_REDUCTION_IWR},
                                             {"ips", AFT_REDUCTION_IPS},
                                             {"dr", AFT_REDUCTION_DR}};
static const struct aft_word weightings[] = {{"none", AFT_WEIGHTING_NONE},
                                             {"iwr", AFT_WEIGHTING_IWR},
                                             {"capped", AFT_WEIGHTING_CAPPED},
                                             {"sqrt", AFT_WEIGHTING_SQRT},
                                             {"auto", AFT_WEIGHTING_AUTO}};
static const struct aft_word ensembles[] = {{"auto", AFT_ENSEMBLE_AUTO},
                                            {"none", AFT_ENSEMBLE_NONE},
                                            {"bagging", AFT_ENSEMBLE_BAGGING},
                                            {"cover", AFT_ENSEMBLE_COVER}};
enum { REDUCTIONS = 4, WEIGHTINGS = 5, ENSEMBLES = 4, MEMBERS_MAX = 15 };
_Static_assert(2 * MEMBERS_MAX + 1 <= (int)AFT_MEMBERS_MAX, "two sides and a regressor");

static const struct aft_word switches[] = {{"off", false}, {"on", true}};

void
aft_learner_settings_default(struct aft_learner_settings *s)
{
    memset(s, 0, sizeof *s);
    aft_policy_settings_default(&s->policy);
    s->reduction = AFT_REDUCTION_IWR;
    s->weighting = AFT_WEIGHTING_AUTO;
    s->members = 5;
    s->psi = 1;
    s->weight_cap = 20;
    s->lambda = 1;
    s->rate = 0.5;
    s->memory = 50000;
    s->reward_scale = 1;
    s->reward_scale_auto = true;
}

static enum aft_err
set_choice(struct aft_learner_settings *s, const char *key, const char *value, bool *known,
           struct aft_error *e)
{
    int word = 0;
    *known = true;
    if (strcmp(key, "learner.reduction") == 0) {
        AFT_TRY(aft_set_word(reductions, REDUCTIONS, key, value, &word, e));
        s->reduction = (enum aft_reduction)word;
    } else if (strcmp(key, "learner.weighting") == 0) {
        AFT_TRY(aft_set_word(weightings, WEIGHTINGS, key, value, &word, e));
        s->weighting = (enum aft_weighting)word;
    } else if (strcmp(key, "learner.ensemble") == 0) {
        AFT_TRY(aft_set_word(ensembles, ENSEMBLES, key, value, &word, e));
        s->ensemble = (enum aft_ensemble)word;
    } else {
        *known = false;
    }
    return AFT_OK;
}

static enum aft_err
set_whole(const char *key, const char *value, double least, double most, uint32_t *out,
          struct aft_error *e)
{
    double v = 0;
    AFT_TRY(aft_set_number(key, value, least, most, &v, e));
    if (v != (double)(uint32_t)v)
        return AFT_FAIL(e, AFT_E_CONFIG, "%s=%.60s: must be a whole number", key, value);
    *out = (uint32_t)v;
    return AFT_OK;
}

static enum aft_err
set_reward_scale(struct aft_learner_settings *s, const char *value, struct aft_error *e)
{
    s->reward_scale_auto = strcmp(value, "auto") == 0;
    s->reward_scale = 1;
    return s->reward_scale_auto
               ? AFT_OK
               : aft_set_number("learner.reward.scale", value, 1e-9, 1e9, &s->reward_scale, e);
}

enum aft_err
aft_learner_set(struct aft_learner_settings *s, const char *key, const char *value, bool *known,
                struct aft_error *e)
{
    AFT_TRY(set_choice(s, key, value, known, e));
    if (*known)
        return AFT_OK;
    *known = true;
    if (strcmp(key, "learner.members") == 0)
        return set_whole(key, value, 1, MEMBERS_MAX, &s->members, e);
    if (strcmp(key, "learner.shards") == 0)
        return set_whole(key, value, 0, AFT_SHARDS_MAX, &s->shards, e);
    if (strcmp(key, "learner.psi") == 0)
        return aft_set_number(key, value, 0, 1e3, &s->psi, e);
    if (strcmp(key, "learner.weight.cap") == 0)
        return aft_set_number(key, value, 1e-3, 1e6, &s->weight_cap, e);
    if (strcmp(key, "learner.half.life") == 0) {
        if (aft_duration(value, &s->half_life_ms) && s->half_life_ms >= 0)
            return AFT_OK;
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "%s=%.60s: must be a duration such as 30d, or 0 to forget nothing", key,
                        value);
    }
    if (strcmp(key, "learner.forecast") == 0) {
        int on = 0;
        AFT_TRY(aft_set_word(switches, 2, key, value, &on, e));
        s->forecast = on;
        return AFT_OK;
    }
    if (strcmp(key, "learner.lambda") == 0)
        return aft_set_number(key, value, 1e-6, 1e9, &s->lambda, e);
    if (strcmp(key, "learner.rate") == 0)
        return aft_set_number(key, value, 1e-6, 100, &s->rate, e);
    if (strcmp(key, "learner.memory") == 0)
        return strcmp(value, "0") == 0 ? (s->memory = 0, AFT_OK)
                                       : aft_set_number(key, value, 1, 1e15, &s->memory, e);
    if (strcmp(key, "learner.reward.scale") == 0)
        return set_reward_scale(s, value, e);
    return aft_policy_set(&s->policy, key, value, known, e);
}

/* The policy's settings come sorted; the learner's own three places are merged in as they pass. */
struct merge {
    const struct aft_learner_settings *s;
    void (*each)(void *ctx, const char *key, const char *value);
    void *ctx;
};

static void
own_number(const struct merge *m, const char *key, double v)
{
    char text[AFT_NUMBER_TEXT];
    aft_number_text(v, text);
    m->each(m->ctx, key, text);
}

static void
own_duration(const struct merge *m, const char *key, int64_t ms)
{
    char text[40];
    snprintf(text, sizeof text, "%lldms", (long long)ms);
    m->each(m->ctx, key, text);
}

/* What the settings come to (design.c), where that is not what they say: it is what is learned. */
static const char *
weighting_of(const struct afti_design *d)
{
    enum aft_weighting w = d->sides == 2 ? AFT_WEIGHTING_AUTO : d->weighting[0];
    return aft_word_of(weightings, WEIGHTINGS, (int)w);
}

static void
merge_one(void *ctx, const char *key, const char *value)
{
    const struct merge *m = ctx;
    struct afti_design d = afti_design_of(m->s);
    if (strcmp(key, "learner.model") == 0) {
        m->each(m->ctx, "learner.ensemble", aft_word_of(ensembles, ENSEMBLES, (int)d.ensemble));
        m->each(m->ctx, "learner.forecast", aft_word_of(switches, 2, m->s->forecast));
        own_duration(m, "learner.half.life", m->s->half_life_ms);
        own_number(m, "learner.lambda", m->s->lambda);
        own_number(m, "learner.members", d.voters);
        own_number(m, "learner.memory", m->s->memory);
    }
    if (strcmp(key, "learner.scope") == 0) {
        own_number(m, "learner.psi", m->s->psi);
        own_number(m, "learner.rate", m->s->rate);
        m->each(m->ctx, "learner.reduction", aft_word_of(reductions, REDUCTIONS, (int)d.reduction));
        own_number(m, "learner.reward.scale", m->s->reward_scale);
    }
    m->each(m->ctx, key, value);
    if (strcmp(key, "learner.scope") == 0) {
        if (d.sums) /* however many share the work */
            m->each(m->ctx, "learner.sums", "partition");
        own_number(m, "learner.weight.cap", m->s->weight_cap);
        m->each(m->ctx, "learner.weighting", weighting_of(&d));
    }
}

void
afti_settings_each(const struct aft_learner_settings *s,
                   void (*each)(void *ctx, const char *key, const char *value), void *ctx)
{
    struct merge m = {s, each, ctx};
    aft_policy_settings_each(&s->policy, merge_one, &m);
}

static void
digest_one(void *ctx, const char *key, const char *value)
{
    if (strncmp(key, "policy.", 7) == 0)
        return;
    aft_digester_update(ctx, aft_text(key));
    aft_digester_update(ctx, AFT_LITERAL("="));
    aft_digester_update(ctx, aft_text(value));
    aft_digester_update(ctx, AFT_LITERAL("\n"));
}

void
aft_learner_settings_digest(const struct aft_learner_settings *s, struct aft_digest *out)
{
    struct aft_digester d;
    aft_digester_init(&d);
    afti_settings_each(s, digest_one, &d);
    aft_digester_final(&d, out);
}
