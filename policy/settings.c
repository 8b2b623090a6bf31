/* settings.c - the policy's settings: one table from which the parser and the printer come. Pure. Any thread.
 * Invariant: I1 what aft_policy_settings_each prints, aft_policy_set reads back to the same settings.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/inner.h"

static const struct aft_word explore_words[] = {
    {"uniform", AFT_EXPLORE_UNIFORM},
    {"first", AFT_EXPLORE_FIRST},
    {"epsilon_greedy", AFT_EXPLORE_EPSILON_GREEDY}, /* the first of several names is printed */
    {"epsilon", AFT_EXPLORE_EPSILON_GREEDY},
    {"softmax", AFT_EXPLORE_SOFTMAX},
    {"squarecb", AFT_EXPLORE_SQUARECB},
    {"squarecb-elim", AFT_EXPLORE_SQUARECB_ELIM},
    {"regcb-elim", AFT_EXPLORE_REGCB_ELIM},
    {"regcb-opt", AFT_EXPLORE_REGCB_OPT},
    {"bagging", AFT_EXPLORE_BAGGING},
    {"cover", AFT_EXPLORE_COVER},
    {"ucb", AFT_EXPLORE_UCB},
    {"linucb", AFT_EXPLORE_LINUCB},
    {"thompson", AFT_EXPLORE_THOMPSON},
};
static const struct aft_word covariance_words[] = {{"full", AFT_COVARIANCE_FULL},
                                                   {"diagonal", AFT_COVARIANCE_DIAGONAL}};
static const struct aft_word scope_words[] = {{"shared", AFT_SCOPE_SHARED},
                                              {"per_arm", AFT_SCOPE_PER_ARM}};

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))

void
aft_policy_settings_default(struct aft_policy_settings *s)
{
    memset(s, 0, sizeof *s);
    s->bits = 18;
    s->model = AFT_MODEL_FLOW;
    s->scope = AFT_SCOPE_SHARED;
    s->explore = AFT_EXPLORE_SOFTMAX;
    s->epsilon = 0.05;
    s->temperature = 0.1;
    s->alpha = 0.5;
    s->draws = 64;
    s->epsilon_min = 1e-3;
    s->first = 1000;
    s->gamma = 10;
    s->gamma_power = 0.5;
    s->c0 = 0.001;
    s->reward_max = 1;
    s->diversity = 1;
    s->coverage_factor = 0.1;
    strcpy(s->topic_feature, "topic");
    strcpy(s->repetition_feature, "recent_exposures");
}

const char *
aft_word_of(const struct aft_word *words, uint32_t n, int value)
{
    for (uint32_t i = 0; i < n; i++)
        if (words[i].value == value)
            return words[i].text;
    AFT_NEVER();
}

enum aft_err
aft_set_word(const struct aft_word *words, uint32_t n, const char *key, const char *value, int *out,
             struct aft_error *e)
{
    char allowed[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(words[i].text, value) == 0) {
            *out = words[i].value;
            return AFT_OK;
        }
        int m =
            snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", words[i].text);
        used += (size_t)m < sizeof allowed - used ? (size_t)m : 0;
    }
    return AFT_FAIL(e, AFT_E_CONFIG, "%s=%.60s: must be one of %s", key, value, allowed);
}

enum aft_err
aft_set_number(const char *key, const char *value, double low, double high, double *out,
               struct aft_error *e)
{
    char *end;
    double v = aft_number(value, &end);
    if (end == value || *end || !(v >= low && v <= high))
        return AFT_FAIL(e, AFT_E_CONFIG, "%s=%.60s: must be a number from %g to %g", key, value,
                        low, high);
    *out = v;
    return AFT_OK;
}

static enum aft_err
set_count(const char *key, const char *value, double high, uint32_t *out, struct aft_error *e)
{
    double v = 0;
    AFT_TRY(aft_set_number(key, value, 1, high, &v, e));
    if (v != floor(v))
        return AFT_FAIL(e, AFT_E_CONFIG, "%s=%.60s: must be a whole number", key, value);
    *out = (uint32_t)v;
    return AFT_OK;
}

/* ---- the table */
enum type { BITS, ARM_STATS, MODEL, NUMBER, COUNT_OF, WORD, NAME, INTERACTIONS, TOPICS };
static const struct row {
    const char *key;
    enum type type;
    uint32_t words_n;
    size_t at; /* of the field; of a word: an enum */
    double low, high;
    const struct aft_word *words;
} table[] = {
#define AT(field) offsetof(struct aft_policy_settings, field)
#define WORDS(field, list) WORD, COUNT(list), AT(field), 0, 0, list
    {"features.arm.stats", ARM_STATS, 0, 0, 0, 0, NULL},
    {"features.bits", BITS, 0, AT(bits), 8, 24, NULL},
    {"features.interactions", INTERACTIONS, 0, 0, 0, 0, NULL},
    {"learner.model", MODEL, 0, AT(model), 0, 0, NULL},
    {"learner.scope", WORDS(scope, scope_words)},
    {"policy.alpha", NUMBER, 0, AT(alpha), 0, 100, NULL},
    {"policy.c0", NUMBER, 0, AT(c0), 0, 1e6, NULL},
    {"policy.covariance", WORDS(covariance, covariance_words)},
    {"policy.coverage", TOPICS, 0, 0, 0, 0, NULL},
    {"policy.coverage.factor", NUMBER, 0, AT(coverage_factor), 0, 1, NULL},
    {"policy.diversity", NUMBER, 0, AT(diversity), 0, 1, NULL},
    {"policy.diversity.feature", NAME, 0, AT(topic_feature), 0, 0, NULL},
    {"policy.draws", COUNT_OF, 0, AT(draws), 1, 4096, NULL},
    /* below 1e-6 the closed forms lose their digits, and support is a word only */
    {"policy.epsilon", NUMBER, 0, AT(epsilon), 1e-6, 1, NULL},
    {"policy.epsilon.decay", NUMBER, 0, AT(epsilon_decay), 0, 10, NULL},
    {"policy.epsilon.min", NUMBER, 0, AT(epsilon_min), 1e-6, 1, NULL},
    {"policy.explore", WORDS(explore, explore_words)},
    {"policy.first", NUMBER, 0, AT(first), 0, 1e15, NULL},
    {"policy.gamma", NUMBER, 0, AT(gamma), 0, 1e12, NULL},
    {"policy.gamma.power", NUMBER, 0, AT(gamma_power), 0, 10, NULL},
    {"policy.min.exposure", NUMBER, 0, AT(min_exposure), 0, 1, NULL},
    {"policy.repetition", NUMBER, 0, AT(repetition), 0, 1000, NULL},
    {"policy.repetition.feature", NAME, 0, AT(repetition_feature), 0, 0, NULL},
    {"policy.reward.max", NUMBER, 0, AT(reward_max), 1e-9, 1e9, NULL},
    {"policy.reward.min", NUMBER, 0, AT(reward_min), -1e9, 0, NULL},
    {"policy.temperature", NUMBER, 0, AT(temperature), 1e-6, 1e6, NULL},
};

/* Families of keys, one member a name; `after`: the row that they follow in the order of keys. */
enum family { BUCKETS, EXPOSURES, SLOTS };
static const struct {
    const char *prefix, *after;
    enum family family;
} families[] = {
    {"features.buckets.", "features.bits", BUCKETS},
    {"policy.min.exposure.", "policy.min.exposure", EXPOSURES},
    {"policy.slots.", "policy.reward.min", SLOTS},
};

static struct afti_named
named_of(struct aft_policy_settings *s, enum family f)
{
    if (f == SLOTS)
        return (struct afti_named){s->slots, &s->slots_n, AFT_DEVICES_MAX, 1, AFT_SLATE_MAX, true};
    return (struct afti_named){s->exposures, &s->exposures_n, AFT_EXPOSURES_MAX, 0, 1, false};
}

static enum aft_err
set_name(const char *key, const char *value, char *out, struct aft_error *e)
{
    if (!*value || strlen(value) >= 64)
        return AFT_FAIL(e, AFT_E_CONFIG, "%s=%.60s: name a feature of at most 63 bytes", key,
                        value);
    memset(out, 0, 64);
    memcpy(out, value, strlen(value));
    return AFT_OK;
}

static enum aft_err
set_typed(struct aft_policy_settings *s, const struct row *r, const char *value,
          struct aft_error *e)
{
    char *at = (char *)s + r->at;
    const struct aft_word *models;
    uint32_t models_n;
    double v = 0;
    int word = 0;
    switch (r->type) {
    case BITS:
    case COUNT_OF: {
        uint32_t n = 0;
        AFT_TRY(aft_set_number(r->key, value, r->low, r->high, &v, e));
        AFT_TRY(set_count(r->key, value, r->high, &n, e));
        memcpy(at, &n, sizeof n);
        return AFT_OK;
    }
    case NUMBER:
        AFT_TRY(aft_set_number(r->key, value, r->low, r->high, &v, e));
        memcpy(at, &v, sizeof v);
        return AFT_OK;
    case MODEL:
        models = aft_model_words(&models_n);
        AFT_TRY(aft_set_word(models, models_n, r->key, value, &word, e));
        memcpy(at, &word, sizeof word);
        return AFT_OK;
    case WORD:
        AFT_TRY(aft_set_word(r->words, r->words_n, r->key, value, &word, e));
        memcpy(at, &word, sizeof word);
        return AFT_OK;
    case NAME:
        return set_name(r->key, value, at, e);
    case ARM_STATS:
        return afti_set_arm_stats(s, r->key, value, e);
    case INTERACTIONS:
        return afti_set_interactions(s, value, e);
    case TOPICS:
        return afti_set_topics(s, r->key, value, e);
    }
    AFT_NEVER();
}

enum aft_err
aft_policy_set(struct aft_policy_settings *s, const char *key, const char *value, bool *known,
               struct aft_error *e)
{
    *known = true;
    for (uint32_t i = 0; i < COUNT(table); i++)
        if (strcmp(table[i].key, key) == 0)
            return set_typed(s, &table[i], value, e);
    for (uint32_t i = 0; i < COUNT(families); i++) {
        size_t n = strlen(families[i].prefix);
        if (strncmp(key, families[i].prefix, n) != 0)
            continue;
        if (families[i].family == BUCKETS)
            return afti_set_buckets(s, key, key + n, value, e);
        struct afti_named f = named_of(s, families[i].family);
        return afti_set_named(&f, key, key + n, value, e);
    }
    *known = false;
    return AFT_OK;
}

static void
print_typed(const struct aft_policy_settings *s, const struct row *r, char *out, size_t size)
{
    const char *at = (const char *)s + r->at;
    uint32_t n = 0;
    double v = 0;
    switch (r->type) {
    case BITS:
    case COUNT_OF:
        memcpy(&n, at, sizeof n);
        snprintf(out, size, "%u", n);
        return;
    case NUMBER:
        memcpy(&v, at, sizeof v);
        AFT_ASSERT(size >= AFT_NUMBER_TEXT);
        aft_number_text(v, out);
        return;
    case MODEL:
        snprintf(out, size, "%s", aft_model_traits(s->model)->name);
        return;
    case WORD:
        memcpy(&n, at, sizeof n);
        snprintf(out, size, "%s", aft_word_of(r->words, r->words_n, (int)n));
        return;
    case NAME:
        snprintf(out, size, "%s", at);
        return;
    case ARM_STATS:
        afti_print_arm_stats(s, out, size);
        return;
    case INTERACTIONS:
        afti_print_interactions(s, out, size);
        return;
    case TOPICS:
        afti_print_topics(s, out, size);
        return;
    }
    AFT_NEVER();
}

/* Where the settings are printed to. */
struct printing {
    char value[AFT_INTERACTIONS_MAX * 130 + 1], key[128];
    void (*each)(void *ctx, const char *key, const char *value);
    void *ctx;
};

static void
print_family(const struct aft_policy_settings *s, uint32_t at, struct printing *p)
{
    struct aft_policy_settings *all = (struct aft_policy_settings *)(uintptr_t)s; /* only read */
    bool buckets = families[at].family == BUCKETS;
    struct afti_named f = named_of(all, families[at].family);
    for (uint32_t i = 0; i < (buckets ? s->buckets_n : *f.n); i++) {
        snprintf(p->key, sizeof p->key, "%s%s", families[at].prefix,
                 buckets ? s->buckets[i].name : f.v[i].name);
        if (buckets)
            afti_print_edges(&s->buckets[i], p->value, sizeof p->value);
        else
            aft_number_text(f.v[i].value, p->value);
        p->each(p->ctx, p->key, p->value);
    }
}

void
aft_policy_settings_each(const struct aft_policy_settings *s,
                         void (*each)(void *ctx, const char *key, const char *value), void *ctx)
{
    struct printing p = {.each = each, .ctx = ctx};
    for (uint32_t i = 0; i < COUNT(table); i++) {
        print_typed(s, &table[i], p.value, sizeof p.value);
        each(ctx, table[i].key, p.value);
        for (uint32_t f = 0; f < COUNT(families); f++)
            if (strcmp(families[f].after, table[i].key) == 0)
                print_family(s, f, &p);
    }
}
