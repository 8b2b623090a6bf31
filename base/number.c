/* number.c - decimal text to a double under the C locale; whole numbers with a unit. Touches this thread's locale alone, for the length of
 * a call. Any thread. */
#include "base/number.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

double
aft_number(const char *text, char **end)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    AFT_ASSERT(c != (locale_t)0);
    locale_t before = uselocale(c);
    double v = strtod(text, end);
    uselocale(before);
    freelocale(c);
    return v;
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
