/* number.c - decimal text to a double and back under the C locale; whole numbers with a unit. Touches this thread's locale alone, for the
 * length of a call. Any thread. */
#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct spell {
    locale_t c, before;
};

static struct spell
spell_begin(void)
{
    struct spell s = {.c = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    AFT_ASSERT(s.c != (locale_t)0);
    s.before = uselocale(s.c);
    return s;
}

static void
spell_end(struct spell s)
{
    uselocale(s.before);
    freelocale(s.c);
}

double
aft_number(const char *text, char **end)
{
    struct spell s = spell_begin();
    double v = strtod(text, end);
    spell_end(s);
    return v;
}

void
aft_number_text(double v, char out[AFT_NUMBER_TEXT])
{
    AFT_ASSERT(isfinite(v));
    struct spell s = spell_begin();
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, AFT_NUMBER_TEXT, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    spell_end(s);
}

void
aft_number_text_float(float v, char out[AFT_NUMBER_TEXT])
{
    AFT_ASSERT(isfinite(v));
    struct spell s = spell_begin();
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(out, AFT_NUMBER_TEXT, "%.*g", digits, (double)v);
        if ((float)strtod(out, NULL) == v)
            break;
    }
    spell_end(s);
}

struct unit {
    const char *name;
    int64_t factor;
};

/* digits then one of the units; "0" needs none. */
static bool
parse_units(const char *text, const struct unit *units, size_t n, int64_t *out)
{
    const char *p = text;
    int64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(v, INT64_C(10), &v) || __builtin_add_overflow(v, *p - '0', &v))
            return false;
    if (p == text)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(p, units[i].name) == 0)
            return !__builtin_mul_overflow(v, units[i].factor, out);
    *out = 0;
    return v == 0 && *p == '\0';
}

bool
aft_duration(const char *text, int64_t *out)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    return parse_units(text, units, 5, out);
}

bool
aft_size(const char *text, int64_t *out)
{
    static const struct unit units[] = {
        {"", 1}, {"B", 1}, {"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}};
    return parse_units(text, units, 5, out);
}
