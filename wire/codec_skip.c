/* codec_skip.c - where an Example ends, whatever its values are: a reader over a canonical body -> behind it. What breaks a bound or a
 * rule is passed over like what does not; only bytes that do not follow the schema are not. Formats: codec.h. Any thread. */
#include "wire/codec.h"

static bool
skip_long(struct aft_reader *r)
{
    int64_t v;
    return aft_get_long(r, &v);
}

static bool
skip(struct aft_reader *r, size_t n)
{
    struct aft_bytes b;
    return aft_get_raw(r, n, &b);
}

static bool
skip_text(struct aft_reader *r)
{
    int64_t n;
    return aft_get_long(r, &n) && n >= 0 && (uint64_t)n <= aft_left(r) && skip(r, (size_t)n);
}

/* A union [null, T]: its branch. */
static bool
branch(struct aft_reader *r, bool *present)
{
    int64_t v;
    bool good = aft_get_long(r, &v) && (v == 0 || v == 1);
    *present = good && v == 1;
    return good;
}

static bool
skip_maybe(struct aft_reader *r, bool (*one)(struct aft_reader *r))
{
    bool present;
    return branch(r, &present) && (!present || one(r));
}

static bool
skip_double(struct aft_reader *r)
{
    return skip(r, 8);
}
static bool
skip_float(struct aft_reader *r)
{
    return skip(r, 4);
}

/* Every item of ours takes a byte or more, so this ends. */
static bool
skip_list(struct aft_reader *r, bool (*one)(struct aft_reader *r))
{
    for (;;) {
        int64_t n;
        if (!aft_get_long(r, &n) || n == INT64_MIN)
            return false;
        if (n == 0)
            return true;
        if (n < 0 && !skip_long(r))
            return false;
        for (n = n < 0 ? -n : n; n; n--)
            if (!one(r))
                return false;
    }
}

static bool
skip_feature(struct aft_reader *r)
{
    int64_t type;
    if (!skip_text(r) || !aft_get_long(r, &type))
        return false;
    switch (type) {
    case AFT_FEATURE_NUMBER:
        return skip(r, 8);
    case AFT_FEATURE_TEXT:
        return skip_text(r);
    case AFT_FEATURE_FLAG:
        return skip(r, 1);
    default:
        return false;
    }
}

static bool
skip_candidate(struct aft_reader *r)
{
    return skip_text(r) && skip_list(r, skip_feature) && skip_maybe(r, skip_float) &&
           skip_maybe(r, skip_text);
}

static bool
skip_component(struct aft_reader *r)
{
    return skip_text(r) && skip_long(r);
}

static bool
skip_item(struct aft_reader *r)
{
    return skip_text(r) && skip_long(r) && skip_double(r) && skip_maybe(r, skip_double) &&
           skip_list(r, skip_feature) && skip_long(r) && skip_long(r) &&
           skip_list(r, skip_component);
}

static bool
skip_shadow(struct aft_reader *r)
{
    return skip_text(r) && skip_list(r, skip_double);
}

static bool
skip_design(struct aft_reader *r)
{
    return skip_text(r) && skip_double(r) && skip_double(r) && skip_long(r) &&
           skip_maybe(r, skip_text) && skip_maybe(r, skip_double) && skip_maybe(r, skip_shadow);
}

/* seq, phase, fire; decision_id, user_id; timestamp, policy. */
static bool
skip_head(struct aft_reader *r)
{
    bool good = true;
    for (int i = 0; i < 3; i++)
        good = good && skip_long(r);
    for (int i = 0; i < 2; i++)
        good = good && skip_text(r);
    return good && skip_long(r) && skip_text(r);
}

bool
afti_skip_example(struct aft_reader *r)
{
    return skip_head(r) && skip_maybe(r, skip_text) && skip_long(r) && skip_maybe(r, skip_text) &&
           skip_list(r, skip_feature) && skip_list(r, skip_candidate) && skip_list(r, skip_item) &&
           skip_maybe(r, skip_design);
}
