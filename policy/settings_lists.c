/* settings_lists.c - the settings that are lists of names or families of keys: text <-> settings. Pure. Any thread.
 *
 *   "days_since_enrol*topic, device*format"  ->  interactions        "7,14,30,60"  ->  edges of a bucketed number
 *   "arm.ctr, arm.age_days"  ->  which statistics of arms are features
 *   "retirement, health"  ->  topics                                 policy.slots.web=3  ->  a named number
 * Invariant: I1 a family's members are sorted by name; an empty value takes a member back.
 */
#include <math.h>
#include <stdio.h>

#include "policy/inner.h"

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

enum aft_err
afti_set_interactions(struct aft_policy_settings *s, const char *value, struct aft_error *e)
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

/* ---- "arm.ctr, arm.age_days": a set of names */
static bool
take_stat(const char **p, uint32_t *wanted)
{
    char name[64];
    if (!take_name(p, name) || **p == '*')
        return false;
    for (uint32_t i = 0; i < AFTI_ARM_STATS; i++)
        if (strcmp(name, afti_arm_stat_name(i)) == 0) {
            *wanted |= 1u << i;
            return true;
        }
    return false;
}

enum aft_err
afti_set_arm_stats(struct aft_policy_settings *s, const char *key, const char *value,
                   struct aft_error *e)
{
    uint32_t wanted = 0;
    for (const char *p = skip_spaces(value); *p; p = skip_spaces(*p ? p + 1 : p))
        if (!take_stat(&p, &wanted))
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "%s=%.60s: must be a list of arm.age_days, arm.ctr, arm.exposures, "
                            "arm.unseen_days, arm.uplift, or empty",
                            key, value);
    s->arm_stats = wanted;
    return AFT_OK;
}

void
afti_print_arm_stats(const struct aft_policy_settings *s, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < AFTI_ARM_STATS; i++)
        if (s->arm_stats >> i & 1)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "",
                                     afti_arm_stat_name(i));
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

enum aft_err
afti_set_buckets(struct aft_policy_settings *s, const char *key, const char *name,
                 const char *value, struct aft_error *e)
{
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

/* ---- families of numbers: an arm's, a device's */
enum aft_err
afti_set_named(struct afti_named *f, const char *key, const char *name, const char *value,
               struct aft_error *e)
{
    struct aft_named_number b = {.value = 0};
    if (!*name || strlen(name) >= sizeof b.name)
        return AFT_FAIL(e, AFT_E_CONFIG, "%.80s: give a name of at most 63 bytes", key);
    memcpy(b.name, name, strlen(name));
    uint32_t i = 0;
    while (i < *f->n && strcmp(f->v[i].name, name) < 0)
        i++;
    bool there = i < *f->n && strcmp(f->v[i].name, name) == 0;
    if (!*value) {
        if (there)
            memmove(f->v + i, f->v + i + 1, (--*f->n - i) * sizeof b);
        return AFT_OK;
    }
    AFT_TRY(aft_set_number(key, value, f->low, f->high, &b.value, e));
    if (f->whole && b.value != floor(b.value))
        return AFT_FAIL(e, AFT_E_CONFIG, "%.80s=%.60s: must be a whole number", key, value);
    if (!there) {
        if (*f->n == f->cap)
            return AFT_FAIL(e, AFT_E_CONFIG, "%.80s: at most %u of them", key, f->cap);
        memmove(f->v + i + 1, f->v + i, ((*f->n)++ - i) * sizeof b);
    }
    f->v[i] = b;
    return AFT_OK;
}

/* ---- names, separated by commas */
enum aft_err
afti_set_topics(struct aft_policy_settings *s, const char *key, const char *value,
                struct aft_error *e)
{
    char found[AFT_TOPICS_MAX][64];
    uint32_t n = 0;
    memset(found, 0, sizeof found);
    for (const char *p = skip_spaces(value); *p; n++) {
        if (n == AFT_TOPICS_MAX)
            return AFT_FAIL(e, AFT_E_CONFIG, "%s: at most %d topics", key, AFT_TOPICS_MAX);
        if (!take_name(&p, found[n]) || (*p && *p != ','))
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "%s=%.60s: write names of at most 63 bytes, separated by commas", key,
                            value);
        p = skip_spaces(*p ? p + 1 : p);
    }
    memcpy(s->coverage, found, sizeof found);
    s->coverage_n = n;
    return AFT_OK;
}

void
afti_print_topics(const struct aft_policy_settings *s, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < s->coverage_n; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", s->coverage[i]);
    AFT_ASSERT(used < size);
}

void
afti_print_interactions(const struct aft_policy_settings *s, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < s->interactions_n; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s*%s", i ? ", " : "",
                                 s->interactions[i].left, s->interactions[i].right);
    AFT_ASSERT(used < size);
}

void
afti_print_edges(const struct aft_buckets *b, char *out, size_t size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        char edge[AFT_NUMBER_TEXT];
        aft_number_text(b->edges[i], edge);
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "", edge);
    }
    AFT_ASSERT(used < size);
}
