/* settings.c - the learner's settings: its own table, then the policy's. Pure. Any thread.
 * The digest covers what changes what is learned: features.* and learner.*, as "key=value\n" sorted by key; policy.* may
 * change freely. */
#include <stdio.h>

#include "learner/inner.h"

static const struct aft_word reductions[] = {{"dm", AFT_REDUCTION_DM}, {"iwr", AFT_REDUCTION_IWR}};
static const struct aft_word weightings[] = {{"none", AFT_WEIGHTING_NONE},
                                             {"iwr", AFT_WEIGHTING_IWR},
                                             {"capped", AFT_WEIGHTING_CAPPED},
                                             {"sqrt", AFT_WEIGHTING_SQRT}};

static const struct aft_word switches[] = {{"off", false}, {"on", true}};

void
aft_learner_settings_default(struct aft_learner_settings *s)
{
    memset(s, 0, sizeof *s);
    aft_policy_settings_default(&s->policy);
    s->reduction = AFT_REDUCTION_IWR;
    s->weighting = AFT_WEIGHTING_CAPPED;
    s->weight_cap = 20;
    s->lambda = 1;
    s->rate = 0.5;
    s->memory = 50000;
    s->reward_scale = 1;
}

enum aft_err
aft_learner_set(struct aft_learner_settings *s, const char *key, const char *value, bool *known,
                struct aft_error *e)
{
    int word = 0;
    *known = true;
    if (strcmp(key, "learner.reduction") == 0) {
        AFT_TRY(aft_set_word(reductions, 2, key, value, &word, e));
        s->reduction = (enum aft_reduction)word;
        return AFT_OK;
    }
    if (strcmp(key, "learner.weighting") == 0) {
        AFT_TRY(aft_set_word(weightings, 4, key, value, &word, e));
        s->weighting = (enum aft_weighting)word;
        return AFT_OK;
    }
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
        AFT_TRY(aft_set_word(switches, 2, key, value, &word, e));
        s->forecast = word;
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
        return aft_set_number(key, value, 1e-9, 1e9, &s->reward_scale, e);
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
    char text[40];
    snprintf(text, sizeof text, "%.17g", v);
    m->each(m->ctx, key, text);
}

static void
own_duration(const struct merge *m, const char *key, int64_t ms)
{
    char text[40];
    snprintf(text, sizeof text, "%lldms", (long long)ms);
    m->each(m->ctx, key, text);
}

static void
merge_one(void *ctx, const char *key, const char *value)
{
    const struct merge *m = ctx;
    if (strcmp(key, "learner.model") == 0) {
        m->each(m->ctx, "learner.forecast", aft_word_of(switches, 2, m->s->forecast));
        own_duration(m, "learner.half.life", m->s->half_life_ms);
        own_number(m, "learner.lambda", m->s->lambda);
        own_number(m, "learner.memory", m->s->memory);
    }
    if (strcmp(key, "learner.scope") == 0) {
        own_number(m, "learner.rate", m->s->rate);
        m->each(m->ctx, "learner.reduction", aft_word_of(reductions, 2, (int)m->s->reduction));
        own_number(m, "learner.reward.scale", m->s->reward_scale);
    }
    m->each(m->ctx, key, value);
    if (strcmp(key, "learner.scope") == 0) {
        own_number(m, "learner.weight.cap", m->s->weight_cap);
        m->each(m->ctx, "learner.weighting", aft_word_of(weightings, 4, (int)m->s->weighting));
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
