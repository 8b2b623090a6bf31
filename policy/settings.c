/* settings.c - the policy's settings: one table from which the parser and the printer come. Pure. Any thread.
 *
 *   "days_since_enrol*topic, device*format"  ->  interactions        "7,14,30,60"  ->  edges of a bucketed number
 * Invariant: I1 what aft_policy_settings_each prints, aft_policy_set reads back to the same settings.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/policy.h"

static const struct aft_word explore_words[] = {
    {"uniform", AFT_EXPLORE_UNIFORM},   {"epsilon_greedy", AFT_EXPLORE_EPSILON_GREEDY},
    {"softmax", AFT_EXPLORE_SOFTMAX},   {"linucb", AFT_EXPLORE_LINUCB},
    {"thompson", AFT_EXPLORE_THOMPSON},
};
static const struct aft_word scope_words[] = {{"shared", AFT_SCOPE_SHARED},
                                              {"per_arm", AFT_SCOPE_PER_ARM}};

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof *(a)))
#define BUCKET_PREFIX "features.buckets."

void
aft_policy_settings_default(struct aft_policy_settings *s)
{
    memset(s, 0, sizeof *s);
    s->bits = 18;
    s->model = AFT_MODEL_RIDGE;
    s->scope = AFT_SCOPE_SHARED;
    s->explore = AFT_EXPLORE_SOFTMAX;
    s->epsilon = 0.05;
    s->temperature = 0.1;
    s->alpha = 0.5;
    s->draws = 64;
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
    char allowed[160] = "";
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

static const char *
skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

/* One name of an interaction: up to a '*', ',' or the end, spaces around it dropped. False when empty or too long. */
static bool
take_name(const char **p, char out[64])
{
    const char *start = skip_spaces(*p), *q = start;
    while (*q && *q != '*' && *q != ',')
        q++;
    *p = q;
    while (q > start && (q[-1] == ' ' || q[-1] == '\t'))
        q--;
    size_t n = (size_t)(q - start);
    if (n == 0 || n >= 64)
        return false;
    memcpy(out, start, n);
    out[n] = 0;
    return true;
}

static enum aft_err
set_interactions(struct aft_policy_settings *s, const char *value, struct aft_error *e)
{
    struct aft_interaction found[AFT_INTERACTIONS_MAX];
    uint32_t n = 0;
    memset(found, 0, sizeof found);
    const char *p = skip_spaces(value);
    while (*p) {
        if (n == AFT_INTERACTIONS_MAX)
            return AFT_FAIL(e, AFT_E_CONFIG, "features.interactions: at most %d",
                            AFT_INTERACTIONS_MAX);
        bool good = take_name(&p, found[n].left) && *p++ == '*' && take_name(&p, found[n].right);
        if (!good || (*p && *p != ','))
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "features.interactions: write pairs of feature names of at most 63 "
                            "bytes, like \"days_since_enrol*topic, device*format\"");
        p = skip_spaces(*p ? p + 1 : p);
        n++;
    }
    memcpy(s->interactions, found, sizeof found);
    s->interactions_n = n;
    return AFT_OK;
}

static enum aft_err
parse_edges(const char *key, const char *value, struct aft_buckets *b, struct aft_error *e)
{
    for (const char *p = skip_spaces(value); *p;) {
        char *end;
        double v = aft_number(p, &end);
        bool good = end != p && isfinite(v) && b->n < AFT_BUCKET_EDGES_MAX &&
                    (b->n == 0 || v > b->edges[b->n - 1]);
        p = skip_spaces(end);
        if (!good || (*p && *p != ','))
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "%s=%.60s: must be 1 to %d ascending numbers, like 7,14,30,60", key,
                            value, AFT_BUCKET_EDGES_MAX);
        b->edges[b->n++] = v;
        p = skip_spaces(*p ? p + 1 : p);
    }
    return AFT_OK;
}

/* Buckets are kept sorted by name; an empty value takes a declaration back. */
static enum aft_err
set_buckets(struct aft_policy_settings *s, const char *key, const char *value, struct aft_error *e)
{
    const char *name = key + strlen(BUCKET_PREFIX);
    struct aft_buckets b = {.n = 0};
    if (!*name || strlen(name) >= sizeof b.name)
        return AFT_FAIL(e, AFT_E_CONFIG, "%.80s: name a feature of at most 63 bytes", key);
    memcpy(b.name, name, strlen(name));
    AFT_TRY(parse_edges(key, value, &b, e));
    uint32_t i = 0;
    while (i < s->buckets_n && strcmp(s->buckets[i].name, name) < 0)
        i++;
    bool there = i < s->buckets_n && strcmp(s->buckets[i].name, name) == 0;
    if (b.n == 0) {
        if (there)
            memmove(s->buckets + i, s->buckets + i + 1, (--s->buckets_n - i) * sizeof b);
        return AFT_OK;
    }
    if (!there) {
        if (s->buckets_n == AFT_BUCKETS_MAX)
            return AFT_FAIL(e, AFT_E_CONFIG, "%.80s: at most %d bucketed features", key,
                            AFT_BUCKETS_MAX);
        memmove(s->buckets + i + 1, s->buckets + i, (s->buckets_n++ - i) * sizeof b);
    }
    s->buckets[i] = b;
    return AFT_OK;
}

/* ---- the table */
enum type { BITS, INTERACTIONS, MODEL, SCOPE, ALPHA, DRAWS, EPSILON, EXPLORE, TEMPERATURE };
static const struct {
    const char *key;
    enum type type;
} table[] = {
    {"features.bits", BITS},
    {"features.interactions", INTERACTIONS},
    {"learner.model", MODEL},
    {"learner.scope", SCOPE},
    {"policy.alpha", ALPHA},
    {"policy.draws", DRAWS},
    {"policy.epsilon", EPSILON},
    {"policy.explore", EXPLORE},
    {"policy.temperature", TEMPERATURE},
};

static enum aft_err
set_typed(struct aft_policy_settings *s, uint32_t row, const char *value, struct aft_error *e)
{
    const char *key = table[row].key;
    const struct aft_word *models;
    uint32_t models_n;
    int word = 0;
    switch (table[row].type) {
    case BITS:
        AFT_TRY(set_count(key, value, 24, &s->bits, e));
        if (s->bits < 8)
            return AFT_FAIL(e, AFT_E_CONFIG, "%s=%s: must be from 8 to 24", key, value);
        return AFT_OK;
    case INTERACTIONS:
        return set_interactions(s, value, e);
    case MODEL:
        models = aft_model_words(&models_n);
        AFT_TRY(aft_set_word(models, models_n, key, value, &word, e));
        s->model = (enum aft_model_kind)word;
        return AFT_OK;
    case SCOPE:
        AFT_TRY(aft_set_word(scope_words, COUNT(scope_words), key, value, &word, e));
        s->scope = (enum aft_scope)word;
        return AFT_OK;
    case ALPHA:
        return aft_set_number(key, value, 0, 100, &s->alpha, e);
    case DRAWS:
        return set_count(key, value, 4096, &s->draws, e);
    case EPSILON: /* below 1e-6 the closed forms lose their digits, and support is a word only */
        return aft_set_number(key, value, 1e-6, 1, &s->epsilon, e);
    case EXPLORE:
        AFT_TRY(aft_set_word(explore_words, COUNT(explore_words), key, value, &word, e));
        s->explore = (enum aft_explore)word;
        return AFT_OK;
    case TEMPERATURE:
        return aft_set_number(key, value, 1e-6, 1e6, &s->temperature, e);
    }
    AFT_NEVER();
}

enum aft_err
aft_policy_set(struct aft_policy_settings *s, const char *key, const char *value, bool *known,
               struct aft_error *e)
{
    *known = true;
    if (strncmp(key, BUCKET_PREFIX, strlen(BUCKET_PREFIX)) == 0)
        return set_buckets(s, key, value, e);
    for (uint32_t i = 0; i < COUNT(table); i++)
        if (strcmp(table[i].key, key) == 0)
            return set_typed(s, i, value, e);
    *known = false;
    return AFT_OK;
}

static void
print_interactions(const struct aft_policy_settings *s, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < s->interactions_n; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s*%s", i ? ", " : "",
                                 s->interactions[i].left, s->interactions[i].right);
    AFT_ASSERT(used < size);
}

static void
print_edges(const struct aft_buckets *b, char *out, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < b->n; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%.17g", i ? "," : "", b->edges[i]);
    AFT_ASSERT(used < size);
}

static void
print_typed(const struct aft_policy_settings *s, enum type type, char *out, size_t size)
{
    switch (type) {
    case BITS:
        snprintf(out, size, "%u", s->bits);
        return;
    case INTERACTIONS:
        print_interactions(s, out, size);
        return;
    case MODEL:
        snprintf(out, size, "%s", aft_model_traits(s->model)->name);
        return;
    case SCOPE:
        snprintf(out, size, "%s", aft_word_of(scope_words, COUNT(scope_words), (int)s->scope));
        return;
    case ALPHA:
        snprintf(out, size, "%.17g", s->alpha);
        return;
    case DRAWS:
        snprintf(out, size, "%u", s->draws);
        return;
    case EPSILON:
        snprintf(out, size, "%.17g", s->epsilon);
        return;
    case EXPLORE:
        snprintf(out, size, "%s",
                 aft_word_of(explore_words, COUNT(explore_words), (int)s->explore));
        return;
    case TEMPERATURE:
        snprintf(out, size, "%.17g", s->temperature);
        return;
    }
    AFT_NEVER();
}

void
aft_policy_settings_each(const struct aft_policy_settings *s,
                         void (*each)(void *ctx, const char *key, const char *value), void *ctx)
{
    char value[AFT_INTERACTIONS_MAX * 130 + 1], key[96];
    for (uint32_t i = 0; i < COUNT(table); i++) {
        print_typed(s, table[i].type, value, sizeof value);
        each(ctx, table[i].key, value);
        for (uint32_t b = 0; table[i].type == BITS && b < s->buckets_n; b++) {
            snprintf(key, sizeof key, BUCKET_PREFIX "%s", s->buckets[b].name);
            print_edges(&s->buckets[b], value, sizeof value);
            each(ctx, key, value);
        }
    }
}
