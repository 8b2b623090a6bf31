/* config.c - the configuration: rows of config.def and families of keys, set, asked and checked.
 *
 * In: keys and values with where they came from. Out: plain values by key, and the typed halves that the core takes.
 * One thread until aft_config_check; after it nothing changes and any thread may read.
 */
#include "consumer/config_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct afti_row afti_rows[] = {
#define X(key, type, otherwise, range, help) {key, AFTI_##type, otherwise, range, help},
#include "consumer/config.def"
#undef X
};
const size_t afti_rows_n = sizeof afti_rows / sizeof afti_rows[0];

const struct afti_row afti_families[] = {
#define X(key, type, otherwise, range, help) {key, AFTI_##type, otherwise, range, help},
#include "consumer/config_families.def"
#undef X
};
const size_t afti_families_n = sizeof afti_families / sizeof afti_families[0];

char *
afti_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = malloc(n);
    AFT_ASSERT(copy != NULL);
    memcpy(copy, s, n);
    return copy;
}

size_t
afti_row_of(const char *key)
{
    size_t i = 0;
    while (i < afti_rows_n && strcmp(afti_rows[i].key, key) != 0)
        i++;
    return i;
}

static bool
begins(const char *key, const char *prefix)
{
    return strncmp(key, prefix, strlen(prefix)) == 0;
}

static void
replace(char **slot, const char *text)
{
    char *copy = afti_strdup(text);
    free(*slot);
    *slot = copy;
}

/* ---- life */
struct aft_config *
aft_config_new(void)
{
    struct aft_config *c = calloc(1, sizeof *c);
    AFT_ASSERT(c != NULL);
    c->values = calloc(afti_rows_n, sizeof *c->values);
    AFT_ASSERT(c->values != NULL);
    aft_learner_settings_default(&c->learner);
    struct aft_error e;
    for (size_t i = 0; i < afti_rows_n; i++) {
        const struct afti_row *row = &afti_rows[i];
        if (row->type == AFTI_LEARNER && row->otherwise[0] == '\0')
            continue; /* the learner's own default, which stands in its settings */
        enum aft_err err = afti_config_put(c, row->key, row->otherwise, "default", &e);
        AFT_ASSERT(err == AFT_OK);
    }
    return c;
}

void
aft_config_free(struct aft_config *c)
{
    if (!c)
        return;
    afti_properties_free(c);
    for (size_t i = 0; i < afti_rows_n; i++) {
        free(c->values[i].text);
        free(c->values[i].origin);
    }
    for (size_t i = 0; i < c->extras_n; i++) {
        free(c->extras[i].key);
        free(c->extras[i].value);
        free(c->extras[i].origin);
    }
    free(c->values);
    free(c->extras);
    free(c);
}

/* ---- setting */
static void
extra_put(struct aft_config *c, const char *key, const char *value, const char *origin)
{
    size_t i = 0;
    while (i < c->extras_n && strcmp(c->extras[i].key, key) != 0)
        i++;
    if (i == c->extras_n) {
        if (c->extras_n == c->extras_cap) {
            c->extras_cap = c->extras_cap ? 2 * c->extras_cap : 16;
            c->extras = realloc(c->extras, c->extras_cap * sizeof *c->extras);
            AFT_ASSERT(c->extras != NULL);
        }
        c->extras[c->extras_n++] = (struct afti_extra){afti_strdup(key), NULL, NULL};
    }
    replace(&c->extras[i].value, value);
    replace(&c->extras[i].origin, origin);
}

const char *
afti_extra(const struct aft_config *c, const char *key)
{
    for (size_t i = 0; i < c->extras_n; i++)
        if (strcmp(c->extras[i].key, key) == 0)
            return c->extras[i].value;
    return NULL;
}

/* A key without a row: one of a family, or unknown. */
static enum aft_err
family_put(struct aft_config *c, const char *key, const char *value, const char *origin,
           struct aft_error *e)
{
    size_t kind_n, family;
    bool known = false;
    if (afti_reward_key(key, &kind_n, &family)) {
        struct afti_row row = afti_families[family];
        row.key = key;
        AFT_TRY(afti_value_parse(&row, value, &(struct afti_value){0}, e));
        known = true;
    } else if (begins(key, "kafka.")) {
        const char *property = key + strlen("kafka.");
        if (aft_kafka_secret(property))
            return AFT_FAIL(e, AFT_E_CONFIG, "%s is a secret: put it in a file and set %s.file",
                            key, key);
        known = property[0] != '\0';
    } else if (begins(key, "rocksdb.") && key[strlen("rocksdb.")]) {
        AFT_TRY(aft_store_rocksdb_check(key + strlen("rocksdb."), value, e));
        known = true;
    } else if (begins(key, "features.") || begins(key, "learner.") || begins(key, "policy.")) {
        AFT_TRY(aft_learner_set(&c->learner, key, value, &known, e));
    }
    if (!known) {
        char nearest[300];
        if (afti_nearest(key, nearest, sizeof nearest))
            return AFT_FAIL(e, AFT_E_CONFIG, "unknown key \"%s\"; did you mean %s?", key, nearest);
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "unknown key \"%s\"; `aftertouch config show` lists those that there are",
                        key);
    }
    extra_put(c, key, value, origin);
    return AFT_OK;
}

enum aft_err
afti_config_put(struct aft_config *c, const char *key, const char *value, const char *origin,
                struct aft_error *e)
{
    size_t i = afti_row_of(key);
    c->checked = false;
    if (i == afti_rows_n)
        return family_put(c, key, value, origin, e);
    struct afti_value *v = &c->values[i];
    if (afti_rows[i].type == AFTI_LEARNER) {
        bool known = false;
        AFT_TRY(aft_learner_set(&c->learner, key, value, &known, e));
        AFT_ASSERT(known);
    } else {
        AFT_TRY(afti_value_parse(&afti_rows[i], value, v, e));
    }
    replace(&v->text, value);
    replace(&v->origin, origin);
    return AFT_OK;
}

enum aft_err
aft_config_set(struct aft_config *c, const char *key, const char *value, struct aft_error *e)
{
    return afti_config_put(c, key, value, "--set", e);
}

/* ---- asking */
static const struct afti_value *
value_of(const struct aft_config *c, const char *key)
{
    size_t i = afti_row_of(key);
    AFT_ASSERT(i < afti_rows_n);
    return &c->values[i];
}

const char *
aft_config_text(const struct aft_config *c, const char *key)
{
    const char *text = value_of(c, key)->text;
    return text ? text : "";
}

int64_t
aft_config_int(const struct aft_config *c, const char *key)
{
    return value_of(c, key)->number;
}

double
aft_config_number(const struct aft_config *c, const char *key)
{
    return value_of(c, key)->real;
}

const struct aft_join_config *
aft_config_join(const struct aft_config *c)
{
    AFT_ASSERT(c->checked);
    return &c->join;
}

const struct aft_learner_settings *
aft_config_learner(const struct aft_config *c)
{
    AFT_ASSERT(c->checked);
    return &c->learner;
}

const struct aft_kafka_options *
aft_config_kafka(const struct aft_config *c)
{
    AFT_ASSERT(c->checked);
    return &c->kafka;
}

const char *
aft_config_rocksdb(const struct aft_config *c)
{
    AFT_ASSERT(c->checked);
    return c->rocksdb;
}

/* ---- checking */
static enum aft_err
topics_differ(const struct aft_config *c, struct aft_error *e)
{
    for (size_t i = 0; i < afti_rows_n; i++) {
        if (!begins(afti_rows[i].key, "topics.") || afti_rows[i].type != AFTI_NAME)
            continue;
        for (size_t k = 0; k < i; k++)
            if (begins(afti_rows[k].key, "topics.") && afti_rows[k].type == AFTI_NAME &&
                strcmp(c->values[i].text, c->values[k].text) == 0)
                return AFT_FAIL(e, AFT_E_CONFIG,
                                "%s and %s are both \"%s\"; each topic needs a name of its own",
                                afti_rows[k].key, afti_rows[i].key, c->values[i].text);
    }
    return AFT_OK;
}

static enum aft_err
join_build(struct aft_config *c, struct aft_error *e)
{
    struct aft_join_config *j = &c->join;
    *j = (struct aft_join_config){
        .window_ms = aft_config_int(c, "join.window"),
        .grace_ms = aft_config_int(c, "join.grace"),
        .open_after_ms = aft_config_int(c, "join.open.after"),
        .orphan_after_ms = aft_config_int(c, "join.orphan.after"),
        .disorder_ms = aft_config_int(c, "join.disorder"),
        .max_future_ms = aft_config_int(c, "join.max.future"),
        .emit_rewarded_only = strcmp(aft_config_text(c, "join.emit"), "rewarded") == 0,
        .open_max = (uint64_t)aft_config_int(c, "join.max.open"),
    };
    return afti_kinds_build(c, e);
}

static enum aft_err
listen_check(const struct aft_config *c, struct aft_error *e)
{
    const char *text = aft_config_text(c, "http.listen"), *colon = strrchr(text, ':');
    int64_t port;
    if (text[0] == '\0')
        return AFT_OK;
    if (!colon || !afti_parse_int(colon + 1, &port) || port < 0 || port > 65535)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "http.listen=%s: want ADDRESS:PORT, such as 127.0.0.1:9464 (port 0: any "
                        "free one; empty: none)",
                        text);
    return AFT_OK;
}

/* learner.reward.scale=auto: what an impression earns if every kind comes once in full. */
static void
reward_scale(struct aft_config *c)
{
    const struct aft_join_config *join = &c->join;
    double sum = 0;
    if (!c->learner.reward_scale_auto)
        return;
    for (uint32_t i = 0; i < join->kinds_n; i++)
        if (join->kinds[i].weight_micro > 0)
            sum += (double)join->kinds[i].weight_micro / AFT_MICRO;
    c->learner.reward_scale = sum > 1 ? sum : 1;
}

enum aft_err
aft_config_check(struct aft_config *c, struct aft_error *e)
{
    AFT_TRY(topics_differ(c, e));
    AFT_TRY(listen_check(c, e));
    AFT_TRY(join_build(c, e));
    reward_scale(c);
    AFT_TRY(afti_properties_build(c, e));
    c->checked = true;
    return AFT_OK;
}

/* ---- showing */
struct showing {
    void (*each)(void *ctx, const char *key, const char *value, const char *origin);
    void *ctx;
    const char *key;
};

static void
show_default(void *ctx, const char *key, const char *value)
{
    const struct showing *s = ctx;
    if (strcmp(key, s->key) == 0)
        s->each(s->ctx, key, value, "default");
}

void
aft_config_each(const struct aft_config *c,
                void (*each)(void *ctx, const char *key, const char *value, const char *origin),
                void *ctx)
{
    for (size_t i = 0; i < afti_rows_n; i++) {
        struct showing s = {each, ctx, afti_rows[i].key};
        if (c->values[i].text)
            each(ctx, afti_rows[i].key, c->values[i].text, c->values[i].origin);
        else
            aft_policy_settings_each(&c->learner.policy, show_default, &s);
    }
    for (size_t i = 0; i < c->extras_n; i++)
        each(ctx, c->extras[i].key, c->extras[i].value, c->extras[i].origin);
}
