/* registry_subjects_json.c - subjects of a schema registry: our schemas registered, what stands there, whether the two are compatible.
 * In: a subject, a schema's text. Out: requests in JSON by registry_http.c, and what their answers say. Any thread.
 *
 *   POST /subjects/S/versions                         {"schema": ...} -> {"id": n}     the same schema again: the same id
 *   POST /subjects/S                                  {"schema": ...} -> {"id": n, "version": n}
 *   GET  /subjects/S/versions/latest                  -> {"id": n, "version": n, "schema": ...}
 *   GET  /subjects                                    -> ["..."]                       is it a registry at all?
 *   POST /compatibility/subjects/S/versions/latest    {"schema": ...} -> {"is_compatible": b, "messages": [...]}
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumer/registry.h"

enum { ABSENT = 404, CONFLICT = 409, UNPROCESSABLE = 422 };

/* ---- requests */
/* path: before, the subject with everything but letters, digits and -_.~ escaped, behind. */
static enum aft_err
path_of(const char *before, const char *subject, const char *behind, char out[AFTI_REGISTRY_PATH],
        struct aft_error *e)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    size_t n = strlen(before);
    if (n + 3 * strlen(subject) + strlen(behind) >= AFTI_REGISTRY_PATH)
        return AFT_FAIL(e, AFT_E_CONFIG, "%.80s... is too long a subject", subject);
    memcpy(out, before, n);
    for (const char *s = subject; *s; s++) {
        if (strchr(plain, *s))
            out[n++] = *s;
        else
            n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned)(unsigned char)*s);
    }
    memcpy(out + n, behind, strlen(behind) + 1);
    return AFT_OK;
}

/* A request of a path, with the schema in its body (absent: none); *root: the answer, NULL when it is no JSON. */
static enum aft_err
request(struct aft_registry *r, const char *path, struct aft_bytes schema, json_t **root,
        long *status, struct aft_error *e)
{
    struct aft_buffer answer = {0};
    char *body = NULL;
    *root = NULL;
    if (schema.p) {
        json_t *o = json_pack("{s:s%}", "schema", (const char *)schema.p, schema.n);
        body = o ? json_dumps(o, JSON_COMPACT) : NULL;
        json_decref(o);
        AFT_ASSERT(body != NULL);
    }
    enum aft_err err = afti_registry_request(r, path, body, &answer, status, e);
    if (err == AFT_OK && answer.n)
        *root = json_loadb((const char *)answer.p, answer.n, 0, NULL);
    free(body);
    aft_buffer_deinit(&answer);
    return err;
}

static const char *
words_of(const json_t *root)
{
    const char *words = json_string_value(json_object_get(root, "message"));
    return words ? words : "without a word";
}

static enum aft_err
number_of(const json_t *root, const char *name, int64_t *out, struct aft_error *e)
{
    const json_t *v = json_object_get(root, name);
    if (!json_is_integer(v))
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "the registry's answer has no \"%s\": is schema.registry.url the base "
                        "address of a Confluent-compatible registry?",
                        name);
    *out = json_integer_value(v);
    return AFT_OK;
}

/* ---- what it said */
static enum aft_err
pushed(struct aft_registry *r, const char *subject, const json_t *root, long status,
       struct aft_error *e)
{
    int64_t id;
    if (status == CONFLICT || status == UNPROCESSABLE)
        return AFT_FAIL(e, AFT_E_SCHEMA,
                        "the registry refuses our schema for %.80s: %.200s; lower the subject's "
                        "compatibility, or take another topic",
                        subject, words_of(root));
    AFT_TRY(afti_registry_status(r, status, e));
    return number_of(root, "id", &id, e);
}

static enum aft_err
registered(struct aft_registry *r, const json_t *root, long status, struct aft_registered *out,
           struct aft_error *e)
{
    AFT_TRY(afti_registry_status(r, status, e));
    AFT_TRY(number_of(root, "id", &out->id, e));
    return number_of(root, "version", &out->version, e);
}

enum aft_err
aft_registry_push(struct aft_registry *r, const char *subject, struct aft_bytes schema,
                  struct aft_registered *out, struct aft_error *e)
{
    char path[AFTI_REGISTRY_PATH];
    long status = 0;
    json_t *root;
    AFT_TRY(path_of("/subjects/", subject, "/versions", path, e));
    AFT_TRY(request(r, path, schema, &root, &status, e));
    enum aft_err err = pushed(r, subject, root, status, e);
    json_decref(root);
    AFT_TRY(err);
    AFT_TRY(path_of("/subjects/", subject, "", path, e));
    AFT_TRY(request(r, path, schema, &root, &status, e));
    err = registered(r, root, status, out, e);
    json_decref(root);
    return err;
}

/* absent: nothing stands under a subject, if it is a registry that says so. */
static enum aft_err
absent(struct aft_registry *r, const json_t *said, struct aft_error *e)
{
    long status = 0;
    json_t *list;
    if (afti_registry_own((long)json_integer_value(json_object_get(said, "error_code"))))
        return AFT_OK;
    AFT_TRY(request(r, "/subjects", AFT_ABSENT, &list, &status, e));
    json_decref(list);
    return afti_registry_listed(r, status, e);
}

enum aft_err
aft_registry_latest(struct aft_registry *r, const char *subject, struct aft_registered *out,
                    struct aft_buffer *schema, struct aft_error *e)
{
    char path[AFTI_REGISTRY_PATH];
    long status = 0;
    json_t *root;
    *out = (struct aft_registered){-1, -1};
    AFT_TRY(path_of("/subjects/", subject, "/versions/latest", path, e));
    AFT_TRY(request(r, path, AFT_ABSENT, &root, &status, e));
    enum aft_err err = status == ABSENT ? absent(r, root, e) : registered(r, root, status, out, e);
    if (err == AFT_OK && status != ABSENT) {
        char name[24], *text = json_dumps(root, JSON_COMPACT);
        AFT_ASSERT(text != NULL);
        snprintf(name, sizeof name, "%lld", (long long)out->id);
        err = afti_registry_answer(name, aft_text(text), schema, e);
        free(text);
    }
    json_decref(root);
    return err;
}

/* The registry's messages, after one another, as far as there is room. */
static void
why_of(const json_t *root, char why[300])
{
    const json_t *messages = json_object_get(root, "messages");
    size_t n = 0;
    snprintf(why, 300, "the registry does not say why");
    for (size_t i = 0; i < json_array_size(messages) && n < 299; i++) {
        const char *one = json_string_value(json_array_get(messages, i));
        int more = snprintf(why + n, 300 - n, "%s%s", i ? "; " : "", one ? one : "?");
        n += more > 0 ? (size_t)more : 0;
    }
}

enum aft_err
aft_registry_compatible(struct aft_registry *r, const char *subject, struct aft_bytes schema,
                        bool *good, char why[300], struct aft_error *e)
{
    char path[AFTI_REGISTRY_PATH];
    long status = 0;
    json_t *root;
    AFT_TRY(path_of("/compatibility/subjects/", subject, "/versions/latest?verbose=true", path, e));
    AFT_TRY(request(r, path, schema, &root, &status, e));
    enum aft_err err = afti_registry_status(r, status, e);
    const json_t *verdict = json_object_get(root, "is_compatible");
    if (err == AFT_OK && !json_is_boolean(verdict))
        err = AFT_FAIL(e, AFT_E_CONFIG,
                       "the registry's answer has no \"is_compatible\": is schema.registry.url the "
                       "base address of a Confluent-compatible registry?");
    if (err == AFT_OK) {
        *good = json_is_true(verdict);
        why_of(root, why);
    }
    json_decref(root);
    return err;
}
