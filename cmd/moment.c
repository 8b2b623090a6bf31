/* moment.c - a time that the user gives, for the verbs that take one. In: text. Out: ms since 1970, or words. */
#define _DEFAULT_SOURCE 1 /* timegm */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/cmd.h"

enum aft_err
cmd_moment(const char *option, const char *text, int64_t *ms, struct aft_error *e)
{
    struct tm tm = {0};
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0) {
        *ms = number;
        return AFT_OK;
    }
    int used = 0;
    int n = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used);
    if (n != 6 || text[used] != '\0')
        return AFT_FAIL(e, AFT_E_USAGE,
                        "--%s %s: want a time as 2024-05-01T00:00:00Z, or in ms since 1970", option,
                        text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    struct tm said = tm;
    *ms = (int64_t)timegm(&tm) * 1000;
    if (tm.tm_year != said.tm_year || tm.tm_mon != said.tm_mon || tm.tm_mday != said.tm_mday ||
        tm.tm_hour != said.tm_hour || tm.tm_min != said.tm_min || tm.tm_sec != said.tm_sec)
        return AFT_FAIL(e, AFT_E_USAGE, "--%s %s: there is no such time", option, text);
    return AFT_OK;
}
