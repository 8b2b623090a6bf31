/* score_json.c - one line of JSON -> a request to score, or a candidate of a catalogue.
 *
 *   request    {"user_id": "u", "context": {"days": 12, "plan": "pro", "new": true}, "device": "web", "k": 3,
 *               "candidates": ["a", {"arm_id": "b", "features": {..}, "mask": "cap"}], "masks": {"c": "plan"}}
 *   candidate  {"arm_id": "a", "features": {"topic": "rest"}}
 * All but user_id, or arm_id, may be missing. A word that is not known is an error: it would be a misspelt one. One thread. */
#include <jansson.h>
#include <string.h>

#include "cmd/score.h"

static enum aft_err
full(struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_LIMIT, "the line is too big");
}

static enum aft_err
take_text(json_t *v, const char *what, size_t least, size_t most, struct aft_arena *a,
          struct aft_bytes *out, struct aft_error *e)
{
    *out = AFT_ABSENT;
    if (!v || json_is_null(v))
        return least ? AFT_FAIL(e, AFT_E_VALUE, "%s is missing", what) : AFT_OK;
    if (!json_is_string(v))
        return AFT_FAIL(e, AFT_E_VALUE, "%s is no string", what);
    struct aft_bytes s = {(const uint8_t *)json_string_value(v), json_string_length(v)};
    if (s.n < least || s.n > most)
        return AFT_FAIL(e, AFT_E_VALUE, "%s has %zu bytes; give %zu to %zu", what, s.n, least,
                        most);
    *out = aft_arena_copy(a, s);
    return out->p || s.n == 0 ? AFT_OK : full(e);
}

static enum aft_err
take_feature(const char *name, json_t *v, struct aft_arena *a, struct aft_feature *f,
             struct aft_error *e)
{
    size_t n = strlen(name);
    if (n == 0 || n > AFT_ID_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "a feature's name has %zu bytes; give 1 to %u", n,
                        AFT_ID_BYTES_MAX);
    f->name = aft_arena_copy(a, aft_text(name));
    if (!f->name.p)
        return full(e);
    f->type = json_is_boolean(v)  ? AFT_FEATURE_FLAG
              : json_is_string(v) ? AFT_FEATURE_TEXT
                                  : AFT_FEATURE_NUMBER;
    if (f->type == AFT_FEATURE_TEXT)
        return take_text(v, name, 0, AFT_TEXT_BYTES_MAX, a, &f->text, e);
    if (f->type == AFT_FEATURE_FLAG)
        f->flag = json_is_true(v);
    else if (json_is_number(v))
        f->number = json_number_value(v);
    else
        return AFT_FAIL(e, AFT_E_VALUE, "feature %s is no number, string or boolean", name);
    return AFT_OK;
}

static enum aft_err
take_features(json_t *o, const char *what, struct aft_arena *a, struct aft_features *out,
              struct aft_error *e)
{
    const char *name;
    json_t *v;
    uint32_t n = 0;
    *out = (struct aft_features){0};
    if (!o)
        return AFT_OK;
    if (!json_is_object(o) || json_object_size(o) >= AFT_FEATURES_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "%s is no object of less than %u features", what,
                        AFT_FEATURES_MAX);
    struct aft_feature *f = aft_arena_take(a, sizeof *f * (json_object_size(o) + 1));
    if (!f)
        return full(e);
    json_object_foreach(o, name, v)
    {
        AFT_TRY(take_feature(name, v, a, &f[n], e));
        n++;
    }
    *out = (struct aft_features){f, n};
    return AFT_OK;
}

static enum aft_err
known_words(json_t *o, const char *const *words, struct aft_error *e)
{
    const char *name;
    json_t *v;
    json_object_foreach(o, name, v)
    {
        uint32_t i = 0;
        while (words[i] && strcmp(words[i], name) != 0)
            i++;
        if (!words[i])
            return AFT_FAIL(e, AFT_E_VALUE, "there is no field \"%s\" here", name);
    }
    return AFT_OK;
}

static enum aft_err
take_candidate(json_t *o, struct aft_arena *a, struct aft_candidate *c, struct aft_error *e)
{
    static const char *const words[] = {"arm_id", "features", "mask", NULL};
    *c = (struct aft_candidate){0};
    if (json_is_string(o))
        return take_text(o, "a candidate", 1, AFT_ID_BYTES_MAX, a, &c->arm_id, e);
    if (!json_is_object(o))
        return AFT_FAIL(e, AFT_E_VALUE, "a candidate is neither an arm's id nor an object");
    AFT_TRY(known_words(o, words, e));
    AFT_TRY(
        take_text(json_object_get(o, "arm_id"), "arm_id", 1, AFT_ID_BYTES_MAX, a, &c->arm_id, e));
    AFT_TRY(take_text(json_object_get(o, "mask"), "mask", 0, AFT_ID_BYTES_MAX, a, &c->mask, e));
    return take_features(json_object_get(o, "features"), "features", a, &c->features, e);
}

static enum aft_err
take_candidates(json_t *list, struct aft_arena *a, struct aft_score_request *out,
                struct aft_error *e)
{
    if (!list)
        return AFT_OK;
    if (!json_is_array(list) || json_array_size(list) > AFT_CANDIDATES_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "candidates are no list of at most %u", AFT_CANDIDATES_MAX);
    out->candidates_n = (uint32_t)json_array_size(list);
    struct aft_candidate *c = aft_arena_take(a, sizeof *c * (out->candidates_n + 1));
    if (!c)
        return full(e);
    for (uint32_t i = 0; i < out->candidates_n; i++)
        AFT_TRY(take_candidate(json_array_get(list, i), a, &c[i], e));
    out->candidates = c;
    return AFT_OK;
}

static enum aft_err
take_masks(json_t *o, struct aft_arena *a, struct aft_score_request *out, struct aft_error *e)
{
    const char *arm;
    json_t *v;
    if (!o)
        return AFT_OK;
    if (!json_is_object(o) || json_object_size(o) > AFT_CANDIDATES_MAX)
        return AFT_FAIL(e, AFT_E_VALUE, "masks are no object of at most %u", AFT_CANDIDATES_MAX);
    struct aft_setting *m = aft_arena_take(a, sizeof *m * (json_object_size(o) + 1));
    if (!m)
        return full(e);
    json_object_foreach(o, arm, v)
    {
        m[out->masks_n].name = aft_arena_copy(a, aft_text(arm));
        AFT_TRY(take_text(v, "a mask", 1, AFT_ID_BYTES_MAX, a, &m[out->masks_n].value, e));
        out->masks_n++;
    }
    out->masks = m;
    return AFT_OK;
}

static enum aft_err
take_request(json_t *o, struct aft_arena *a, struct aft_score_request *out, struct aft_error *e)
{
    static const char *const words[] = {"user_id", "context",    "device", "k",
                                        "masks",   "candidates", NULL};
    json_t *k = json_object_get(o, "k");
    *out = (struct aft_score_request){.k = 3};
    AFT_TRY(known_words(o, words, e));
    AFT_TRY(take_text(json_object_get(o, "user_id"), "user_id", 1, AFT_ID_BYTES_MAX, a,
                      &out->user_id, e));
    AFT_TRY(take_text(json_object_get(o, "device"), "device", 0, AFT_TEXT_BYTES_MAX, a,
                      &out->device, e));
    AFT_TRY(take_features(json_object_get(o, "context"), "context", a, &out->context, e));
    if (k && (!json_is_integer(k) || json_integer_value(k) < 1 ||
              json_integer_value(k) > (json_int_t)AFT_SLATE_MAX))
        return AFT_FAIL(e, AFT_E_VALUE, "k is no whole number from 1 to %u", AFT_SLATE_MAX);
    if (k)
        out->k = (int32_t)json_integer_value(k);
    AFT_TRY(take_candidates(json_object_get(o, "candidates"), a, out, e));
    return take_masks(json_object_get(o, "masks"), a, out, e);
}

static enum aft_err
load(const char *text, size_t n, json_t **out, struct aft_error *e)
{
    json_error_t why;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!*out)
        return AFT_FAIL(e, AFT_E_VALUE, "%s (column %d)", why.text, why.column);
    if (json_is_object(*out))
        return AFT_OK;
    json_decref(*out);
    return AFT_FAIL(e, AFT_E_VALUE, "no JSON object");
}

enum aft_err
score_json_request(const char *text, size_t n, struct aft_arena *a, struct aft_score_request *out,
                   struct aft_error *e)
{
    json_t *o;
    AFT_TRY(load(text, n, &o, e));
    enum aft_err err = take_request(o, a, out, e);
    json_decref(o);
    return err;
}

enum aft_err
score_json_candidate(const char *text, size_t n, struct aft_arena *a, struct aft_candidate *out,
                     struct aft_error *e)
{
    json_t *o;
    AFT_TRY(load(text, n, &o, e));
    enum aft_err err = take_candidate(o, a, out, e);
    json_decref(o);
    return err;
}
