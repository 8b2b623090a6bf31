/* config_value.c - text to values: integers, durations, sizes, numbers, booleans, choices, ranges; and the nearest key.
 * Pure. In: text. Out: numbers, or an error that says what is allowed. Any thread.
 */
#include "consumer/config_inner.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
afti_parse_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return errno == 0 && end != text && *end == '\0';
}

bool
afti_parse_bool(const char *text, int64_t *out)
{
    *out = strcmp(text, "true") == 0;
    return *out || strcmp(text, "false") == 0;
}

bool
afti_parse_number(const char *text, double *out)
{
    char *end;
    if (text[0] == '\0' || strspn(text, "+-0123456789.eE") != strlen(text))
        return false;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

/* A decimal number of at most six decimals, exactly, in millionths. */
bool
afti_parse_micro(const char *text, int64_t *out)
{
    bool negative = *text == '-', point = false;
    int64_t v = 0;
    int decimals = 0, digits = 0;
    for (const char *p = text + (negative || *text == '+'); *p; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            return false;
        digits++;
        if (decimals == 6) {
            if (*p != '0')
                return false;
            continue;
        }
        decimals += point;
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(*p - '0'), &v))
            return false;
    }
    for (; decimals < 6; decimals++)
        if (__builtin_mul_overflow(v, (int64_t)10, &v))
            return false;
    *out = negative ? -v : v;
    return digits > 0;
}

int
afti_one_of(const char *words, const char *text)
{
    size_t n = strlen(text);
    int index = 0;
    for (const char *p = words; n > 0; index++) {
        const char *bar = strchr(p, '|');
        size_t length = bar ? (size_t)(bar - p) : strlen(p);
        if (length == n && memcmp(p, text, n) == 0)
            return index;
        if (!bar)
            return -1;
        p = bar + 1;
    }
    return -1;
}

static const char *
form_of(enum afti_type type)
{
    switch (type) {
    case AFTI_NAME:
        return "1 to 249 letters, digits, '.', '_' or '-'";
    case AFTI_DURATION:
        return "a duration such as 14d, 10h, 10m, 30s or 250ms";
    case AFTI_SIZE:
        return "a size such as 512, 64KB, 64MB or 1GB";
    case AFTI_INT:
        return "an integer";
    case AFTI_NUMBER:
        return "a decimal number";
    case AFTI_BOOL:
        return "true or false";
    case AFTI_TEXT:
    case AFTI_FILE:
        return "text that is not empty";
    case AFTI_CHOICE:
    case AFTI_LEARNER:
        break;
    }
    return "a word that is known";
}

static bool
name_ok(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(text);
    return n > 0 && n < 250 && strspn(text, allowed) == n && strcmp(text, ".") != 0 &&
           strcmp(text, "..") != 0;
}

static bool
parse_typed(const struct afti_row *row, const char *text, struct afti_value *v)
{
    switch (row->type) {
    case AFTI_NAME:
        return name_ok(text) || (text[0] == '\0' && strcmp(row->range, "optional") == 0);
    case AFTI_DURATION:
        return aft_duration(text, &v->number);
    case AFTI_SIZE:
        return aft_size(text, &v->number);
    case AFTI_INT:
        return afti_parse_int(text, &v->number);
    case AFTI_NUMBER:
        return afti_parse_number(text, &v->real);
    case AFTI_BOOL:
        return afti_parse_bool(text, &v->number);
    case AFTI_CHOICE:
        return (v->number = afti_one_of(row->range, text)) >= 0;
    case AFTI_TEXT:
        return text[0] != '\0' || strcmp(row->range, "required") != 0;
    case AFTI_FILE:
    case AFTI_LEARNER:
        return true;
    }
    AFT_NEVER();
}

/* The range's two ends in the row's own form; both belong to it. */
static bool
in_range(const struct afti_row *row, const struct afti_value *v)
{
    const char *dots = strstr(row->range, "..");
    if (!dots || row->type == AFTI_CHOICE)
        return true;
    char low_text[32];
    struct afti_value low = {0}, high = {0};
    snprintf(low_text, sizeof low_text, "%.*s", (int)(dots - row->range), row->range);
    bool ok = parse_typed(row, low_text, &low) && parse_typed(row, dots + 2, &high);
    AFT_ASSERT(ok);
    return row->type == AFTI_NUMBER ? v->real >= low.real && v->real <= high.real
                                    : v->number >= low.number && v->number <= high.number;
}

enum aft_err
afti_value_parse(const struct afti_row *row, const char *text, struct afti_value *v,
                 struct aft_error *e)
{
    struct afti_value parsed = *v;
    if (!parse_typed(row, text, &parsed)) {
        if (row->type == AFTI_CHOICE)
            return AFT_FAIL(e, AFT_E_CONFIG, "%s=%s: want one of %s", row->key, text, row->range);
        return AFT_FAIL(e, AFT_E_CONFIG, "%s=%s: want %s", row->key, text, form_of(row->type));
    }
    if (!in_range(row, &parsed))
        return AFT_FAIL(e, AFT_E_CONFIG, "%s=%s: outside %s", row->key, text, row->range);
    *v = parsed;
    return AFT_OK;
}

/* ---- the nearest key */
#define KEY_MAX 128

unsigned
afti_distance(const char *a, const char *b)
{
    unsigned rows[3][KEY_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > KEY_MAX || m > KEY_MAX)
        return 2 * KEY_MAX;
    unsigned *two = rows[0], *one = rows[1], *now = rows[2];
    for (size_t k = 0; k <= m; k++)
        one[k] = (unsigned)k;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (unsigned)i;
        for (size_t k = 1; k <= m; k++) {
            unsigned best = one[k - 1] + (a[i - 1] != b[k - 1]);
            best = one[k] + 1 < best ? one[k] + 1 : best;
            best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                two[k - 2] + 1 < best)
                best = two[k - 2] + 1;
            now[k] = best;
        }
        unsigned *oldest = two;
        two = one;
        one = now;
        now = oldest;
    }
    return one[m];
}

/* A family's key with the user's own part put in: reward.<kind>.rule near reward.sale.rul is reward.sale.rule. */
static void
fill_in(const char *family, const char *key, char *out, size_t out_size)
{
    const char *open = strchr(family, '<'), *close = strchr(family, '>');
    AFT_ASSERT(open && close);
    size_t head = (size_t)(open - family);
    size_t part = 0;
    if (strncmp(family, key, head) == 0)
        part = close[1] ? strcspn(key + head, ".") : strlen(key + head);
    if (part == 0 || close[1] == '\0')
        snprintf(out, out_size, "%s", family);
    else
        snprintf(out, out_size, "%.*s%.*s%s", (int)head, family, (int)part, key + head, close + 1);
}

bool
afti_nearest(const char *key, char *out, size_t out_size)
{
    unsigned best = UINT32_MAX;
    char candidate[300];
    for (size_t i = 0; i < afti_rows_n + afti_families_n; i++) {
        if (i < afti_rows_n)
            snprintf(candidate, sizeof candidate, "%s", afti_rows[i].key);
        else
            fill_in(afti_families[i - afti_rows_n].key, key, candidate, sizeof candidate);
        unsigned d = afti_distance(key, candidate);
        if (d < best) {
            best = d;
            snprintf(out, out_size, "%s", candidate);
        }
    }
    return best <= strlen(key) / 2;
}
