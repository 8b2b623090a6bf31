/* survey.c - what the order and the index need to know of an impression, in one pass over its body that decodes nothing.
 * In: bytes that nobody has checked. Out: true, and who, when, how many: only if aft_decode_impression accepts the body and says the
 * same; false: ask the decoder (the body is refused, or is of a rare form: lists in several blocks, a shadow's probabilities).
 *
 * Invariant: I1 p never passes end. A step takes the place it reads at and gives the place behind, or NULL. Any thread.
 */
#include "wire/wire.h"

typedef const uint8_t *place;

static inline place
whole(place p, place end, int64_t *out)
{
    if (p != end && *p < 128) {
        *out = (int64_t)(*p >> 1) ^ -(int64_t)(*p & 1);
        return p + 1;
    }
    struct aft_reader r = {p, end};
    *out = 0;
    return aft_get_long(&r, out) ? r.p : NULL;
}

/* text of least .. most bytes */
static inline place
text(place p, place end, int64_t least, int64_t most, struct aft_bytes *out)
{
    int64_t n;
    p = whole(p, end, &n);
    if (!p || n < least || n > most || n > end - p)
        return NULL;
    *out = (struct aft_bytes){p, (size_t)n};
    return p + n;
}

static inline place
id(place p, place end, struct aft_bytes *out)
{
    return text(p, end, 1, AFT_ID_BYTES_MAX, out);
}

/* branch of a union [null, T] */
static inline place
branch(place p, place end, bool *present)
{
    if (p == end || (*p & ~2u) != 0)
        return NULL;
    *present = *p == 2;
    return p + 1;
}

static inline place
maybe(place p, place end, int64_t least, int64_t most)
{
    bool present;
    struct aft_bytes ignored;
    p = branch(p, end, &present);
    return p && present ? text(p, end, least, most, &ignored) : p;
}

static inline place
real(place p, place end, double *out)
{
    struct aft_reader r = {p, end};
    return aft_get_double(&r, out) && *out - *out == 0 ? r.p : NULL;
}

static inline place
probability(place p, place end, bool unknown)
{
    double v;
    p = real(p, end, &v);
    return p && v <= 1 && (v > 0 || (v == 0 && unknown)) ? p : NULL;
}

/* count of a list of at most `most` items in one block; what it is followed by ends it */
static inline place
count(place p, place end, int64_t most, int64_t *n)
{
    p = whole(p, end, n);
    return p && *n >= 0 && *n <= most ? p : NULL;
}

static inline place
end_of_list(place p, place end)
{
    return p && p != end && *p == 0 ? p + 1 : NULL;
}

static place
feature(place p, place end)
{
    struct aft_bytes ignored;
    double number;
    int64_t type;
    p = id(p, end, &ignored);
    if (!p || !(p = whole(p, end, &type)))
        return NULL;
    if (type == AFT_FEATURE_NUMBER)
        return real(p, end, &number);
    if (type == AFT_FEATURE_TEXT)
        return text(p, end, 0, AFT_TEXT_BYTES_MAX, &ignored);
    return type == AFT_FEATURE_FLAG && p != end && *p <= 1 ? p + 1 : NULL;
}

static inline place
features(place p, place end)
{
    int64_t n;
    p = count(p, end, AFT_FEATURES_MAX, &n);
    if (!p || n == 0)
        return p;
    for (; n > 0 && p; n--)
        p = feature(p, end);
    return end_of_list(p, end);
}

static place
candidate(place p, place end)
{
    struct aft_bytes ignored;
    struct aft_reader r = {p, end};
    bool weighed;
    float weight;
    p = id(p, end, &ignored);
    if (!p || !(p = features(p, end)) || !(p = branch(p, end, &weighed)))
        return NULL;
    if (weighed) {
        r.p = p;
        if (!aft_get_float(&r, &weight) || weight - weight != 0)
            return NULL;
        p = r.p;
    }
    return maybe(p, end, 0, AFT_TEXT_BYTES_MAX);
}

static inline place
candidates(place p, place end)
{
    int64_t n;
    p = count(p, end, AFT_CANDIDATES_MAX, &n);
    if (!p || n == 0)
        return p;
    for (; n > 0 && p; n--)
        p = candidate(p, end);
    return end_of_list(p, end);
}

static inline place
shown(place p, place end, bool unknown, struct aft_bytes *arm)
{
    int64_t slot;
    bool marginal;
    if (!(p = id(p, end, arm)) || !(p = whole(p, end, &slot)) || slot < 0 ||
        slot >= (int64_t)AFT_SHOWN_MAX || !(p = probability(p, end, unknown)) ||
        !(p = branch(p, end, &marginal)) || (marginal && !(p = probability(p, end, unknown))) ||
        !(p = maybe(p, end, 1, AFT_ID_BYTES_MAX)))
        return NULL;
    return features(p, end);
}

static inline place
slate(place p, place end, bool unknown, uint32_t *items)
{
    struct aft_bytes arm[AFT_SHOWN_MAX];
    int64_t n;
    p = count(p, end, AFT_SHOWN_MAX, &n);
    if (!p)
        return NULL;
    *items = (uint32_t)n;
    if (n == 0)
        return p;
    for (uint32_t i = 0; i < *items; i++) {
        if (!(p = shown(p, end, unknown, &arm[i])))
            return NULL;
        for (uint32_t k = 0; k < i; k++)
            if (aft_same(arm[k], arm[i]))
                return NULL;
    }
    return end_of_list(p, end);
}

/* design of a decision without a shadow's */
static place
design(place p, place end)
{
    struct aft_bytes ignored;
    double number;
    int64_t k;
    bool present;
    if (!(p = id(p, end, &ignored)) || !(p = real(p, end, &number)) ||
        !(p = real(p, end, &number)) || !(p = whole(p, end, &k)) || k < INT32_MIN ||
        k > INT32_MAX || !(p = maybe(p, end, 0, AFT_TEXT_BYTES_MAX)) ||
        !(p = branch(p, end, &present)) || (present && !(p = probability(p, end, false))) ||
        !(p = branch(p, end, &present)) || present)
        return NULL;
    return p;
}

bool
aft_survey_impression(struct aft_bytes body, struct aft_survey *out)
{
    place p = body.p, end = body.n ? p + body.n : p;
    const int64_t most_ms = INT64_C(8640000000000000);
    struct aft_bytes ignored;
    int64_t kind;
    bool designed;
    if (body.n > AFT_RECORD_BYTES_MAX || !(p = id(p, end, &out->decision_id)) ||
        !(p = id(p, end, &out->user_id)) || !(p = whole(p, end, &out->timestamp_ms)) ||
        out->timestamp_ms < -most_ms || out->timestamp_ms > most_ms ||
        !(p = maybe(p, end, 1, AFT_ID_BYTES_MAX)) ||
        !(p = text(p, end, 0, AFT_TEXT_BYTES_MAX, &ignored)) ||
        !(p = maybe(p, end, 1, AFT_ID_BYTES_MAX)) || !(p = whole(p, end, &kind)) || kind < 0 ||
        kind > AFT_PROPENSITY_UNKNOWN || p == end || *p > 1)
        return false;
    out->deferred = *p++;
    p = features(p, end);
    p = p ? candidates(p, end) : NULL;
    p = p ? slate(p, end, kind == AFT_PROPENSITY_UNKNOWN, &out->slate_n) : NULL;
    p = p ? branch(p, end, &designed) : NULL;
    p = p && designed ? design(p, end) : p;
    return p && p == end;
}
