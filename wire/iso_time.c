/* iso_time.c - 2021-02-04T16:31:29.2460000Z -> milliseconds since 1970 (json_pull.h). Pure.
 * Years are counted from the first of March, so that leap days come last. */
#include "wire/json_pull.h"

static bool
field(struct aft_reader *r, int digits, uint8_t before, int64_t *out)
{
    *out = 0;
    if (before && (r->p == r->end || *r->p++ != before))
        return false;
    for (int i = 0; i < digits; i++) {
        if (r->p == r->end || *r->p < '0' || *r->p > '9')
            return false;
        *out = *out * 10 + (*r->p++ - '0');
    }
    return true;
}

/* Days from 1970-01-01 in the Gregorian calendar. */
static int64_t
days(int64_t year, int64_t month, int64_t day)
{
    int64_t y = year - (month <= 2), m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool
is_day(int64_t year, int64_t month, int64_t day)
{
    static const int8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= length[month - 1] + (leap && month == 2);
}

static bool
zone(struct aft_reader *r, int64_t *minutes)
{
    int64_t h, m;
    *minutes = 0;
    if (r->p != r->end && (*r->p == 'Z' || *r->p == 'z'))
        r->p++;
    if (r->p == r->end)
        return true;
    int64_t sign = *r->p == '-' ? -1 : 1;
    if (!field(r, 2, *r->p == '-' ? '-' : '+', &h) || !field(r, 2, ':', &m))
        return false;
    *minutes = sign * (60 * h + m);
    return r->p == r->end && h < 24 && m < 60;
}

bool
afti_iso_time(struct aft_bytes text, int64_t *ms)
{
    struct aft_reader r = aft_reader(text);
    int64_t year, month, day, h, m, s, offset, part = 0, scale = 100;
    if (!field(&r, 4, 0, &year) || !field(&r, 2, '-', &month) || !field(&r, 2, '-', &day) ||
        r.p == r.end || !field(&r, 2, *r.p == ' ' ? ' ' : 'T', &h) || !field(&r, 2, ':', &m) ||
        !field(&r, 2, ':', &s) || !is_day(year, month, day) || h > 23 || m > 59 || s > 60)
        return false; /* 60: a leap second */
    if (r.p != r.end && *r.p == '.')
        for (r.p++; r.p != r.end && *r.p >= '0' && *r.p <= '9'; r.p++, scale /= 10)
            part += scale * (*r.p - '0');
    if (!zone(&r, &offset))
        return false;
    *ms = ((days(year, month, day) * 24 + h) * 60 + m - offset) * 60000 + s * 1000 + part;
    return true;
}
