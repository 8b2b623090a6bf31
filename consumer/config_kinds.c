/* config_kinds.c - reward.<kind>.<property> keys to the joiner's outcome kinds, sorted by name.
 * In: the family's keys as text, each already checked. Out: config->join.kinds. No reward.* key at all means the default kinds.
 */
#include "consumer/config_inner.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "reward."
#define PREFIX_N (sizeof PREFIX - 1)
#define FAMILY PREFIX "<kind>."

bool
afti_reward_key(const char *key, size_t *kind_n, size_t *family)
{
    bool found = false;
    if (strncmp(key, PREFIX, PREFIX_N) != 0)
        return false;
    size_t n = strlen(key), longest = 0;
    for (size_t i = 0; i < afti_families_n; i++) {
        const char *row = afti_families[i].key;
        if (strncmp(row, FAMILY, sizeof FAMILY - 1) != 0)
            continue;
        const char *property = row + sizeof FAMILY - 1;
        size_t m = strlen(property);
        if (n < PREFIX_N + m + 2 || strcmp(key + n - m, property) != 0 || key[n - m - 1] != '.' ||
            m <= longest)
            continue;
        found = true;
        longest = m;
        *family = i;
        *kind_n = n - m - 1 - PREFIX_N;
    }
    return found && *kind_n <= AFT_ID_BYTES_MAX;
}

static struct aft_kind
kind_default(const char *name, size_t n)
{
    struct aft_kind k = {.weight_micro = AFT_MICRO, .rule = AFT_RULE_LAST_TOUCH};
    memcpy(k.name, name, n);
    return k;
}

static enum aft_err
kind_of(struct aft_join_config *j, const char *name, size_t n, struct aft_kind **out,
        struct aft_error *e)
{
    for (uint32_t i = 0; i < j->kinds_n; i++)
        if (strlen(j->kinds[i].name) == n && memcmp(j->kinds[i].name, name, n) == 0) {
            *out = &j->kinds[i];
            return AFT_OK;
        }
    if (j->kinds_n == AFT_KINDS_MAX)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "reward.%.*s: more than %u kinds of outcomes; leave some out", (int)n, name,
                        AFT_KINDS_MAX);
    j->kinds[j->kinds_n] = kind_default(name, n);
    *out = &j->kinds[j->kinds_n++];
    return AFT_OK;
}

/* Values have the form of their row already; a weight alone asks for more: six decimals. */
static enum aft_err
kind_set(struct aft_kind *k, const char *property, const char *key, const char *value,
         struct aft_error *e)
{
    int64_t flag = 0;
    if (strcmp(property, "weight") == 0) {
        if (!afti_parse_micro(value, &k->weight_micro))
            return AFT_FAIL(e, AFT_E_CONFIG,
                            "%s=%s: want a decimal number with at most six decimals", key, value);
    } else if (strcmp(property, "rule") == 0) {
        k->rule = (enum aft_rule)afti_one_of(
            "last_touch|first_touch|linear|time_decay|position_based|shapley", value);
    } else if (strcmp(property, "match") == 0) {
        k->match = (enum aft_match)afti_one_of("user|subject|session", value);
    } else if (strcmp(property, "count") == 0) {
        k->count_first = strcmp(value, "first") == 0;
    } else if (strcmp(property, "half.life") == 0) {
        return aft_duration(value, &k->half_life_ms)
                   ? AFT_OK
                   : AFT_FAIL(e, AFT_E_CONFIG, "%s=%s", key, value);
    } else if (strcmp(property, "delay.half.life") == 0) {
        return aft_duration(value, &k->delay_half_life_ms)
                   ? AFT_OK
                   : AFT_FAIL(e, AFT_E_CONFIG, "%s=%s", key, value);
    } else {
        bool ok = afti_parse_bool(value, &flag);
        AFT_ASSERT(ok);
        k->prefer_clicked |= flag && strcmp(property, "prefer.clicked") == 0;
        k->click |= flag && strcmp(property, "click") == 0;
        k->activates |= flag && strcmp(property, "activates") == 0;
    }
    return AFT_OK;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct aft_kind *)a)->name, ((const struct aft_kind *)b)->name);
}

static void
kinds_default(struct aft_join_config *j)
{
    static const struct aft_kind kinds[] = {
        {.name = "click", .weight_micro = 50000, .count_first = true, .click = true},
        {.name = "key_task_completed", .weight_micro = 1000000},
        {.name = "qualified_view_benefit", .weight_micro = 200000},
        {.name = "rendered", .weight_micro = 0, .activates = true},
    };
    memcpy(j->kinds, kinds, sizeof kinds);
    j->kinds_n = sizeof kinds / sizeof kinds[0];
}

enum aft_err
afti_kinds_build(struct aft_config *c, struct aft_error *e)
{
    struct aft_join_config *j = &c->join;
    for (size_t i = 0; i < c->extras_n; i++) {
        size_t kind_n, family;
        struct aft_kind *kind = NULL;
        if (!afti_reward_key(c->extras[i].key, &kind_n, &family))
            continue;
        AFT_TRY(kind_of(j, c->extras[i].key + PREFIX_N, kind_n, &kind, e));
        AFT_TRY(kind_set(kind, afti_families[family].key + sizeof FAMILY - 1, c->extras[i].key,
                         c->extras[i].value, e));
    }
    if (j->kinds_n == 0)
        kinds_default(j);
    for (uint32_t i = 0; i < j->kinds_n; i++)
        if (j->kinds[i].rule != AFT_RULE_TIME_DECAY)
            j->kinds[i].half_life_ms = 0; /* of no meaning: must not change the digest */
        else if (j->kinds[i].half_life_ms == 0)
            j->kinds[i].half_life_ms = INT64_C(7) * 86400000;
    qsort(j->kinds, j->kinds_n, sizeof j->kinds[0], by_name);
    return AFT_OK;
}
