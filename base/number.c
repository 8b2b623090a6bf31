/* number.c - decimal text to a double under the C locale. Touches this thread's locale alone, for the length of the call. Any thread. */
#include "base/number.h"

#include <locale.h>
#include <stdlib.h>

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
