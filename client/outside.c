/* outside.c - what the library shows and asks of its surroundings: errors in the public codes, the time. Any thread. */
#include <time.h>

#include "client/client_inner.h"

static enum aft_client_code
code_of(enum aft_err err)
{
    switch (err) {
    case AFT_OK:
        return AFT_CLIENT_OK;
    case AFT_E_USAGE:
    case AFT_E_VALUE:
    case AFT_E_LIMIT:
        return AFT_CLIENT_WRONG;
    case AFT_E_AGAIN:
    case AFT_E_TIMEOUT:
        return AFT_CLIENT_AGAIN;
    case AFT_E_CONFIG:
        return AFT_CLIENT_CONFIG;
    case AFT_E_BROKER:
        return AFT_CLIENT_BROKER;
    case AFT_E_MALFORMED:
    case AFT_E_MAGIC:
    case AFT_E_SCHEMA:
    case AFT_E_UNKNOWN_SCHEMA:
    case AFT_E_DIVERGENCE:
        return AFT_CLIENT_SNAPSHOT;
    case AFT_E_IO:
        return AFT_CLIENT_IO;
    default:
        return AFT_CLIENT_FAILED;
    }
}

enum aft_client_code
afti_client_public(enum aft_err err, const struct aft_error *e, struct aft_client_error *why)
{
    enum aft_client_code code = code_of(err);
    if (err != AFT_OK && why) {
        why->code = code;
        _Static_assert(sizeof why->message == sizeof e->message, "whole messages");
        memcpy(why->message, e->message, sizeof why->message);
    }
    return code;
}

int64_t
afti_client_now(const struct aft_client *c)
{
    if (c->options.now_ms)
        return c->options.now_ms(c->options.clock);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
afti_monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
