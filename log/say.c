/* say.c - talk: one logfmt line on stderr a call, written at once so that lines of two threads never mix. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "log/log.h"

void
aft_say(const char *level, const char *where, const char *format, ...)
{
    char line[1200], words[900];
    struct timespec now;
    struct tm utc;
    va_list ap;
    va_start(ap, format);
    vsnprintf(words, sizeof words, format, ap);
    va_end(ap);
    for (char *p = words; *p; p++)
        if (*p == '\n' || *p == '"')
            *p = *p == '"' ? '\'' : ' ';
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    int n = snprintf(line, sizeof line,
                     "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s at=%s msg=\"%s\"\n",
                     utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                     utc.tm_sec, now.tv_nsec / 1000000, level, where, words);
    ssize_t written =
        write(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    (void)written; /* stderr may be closed; there is nowhere left to say so */
}
