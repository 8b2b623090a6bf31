/* registry.c - `registry push | check`: our schemas in the schema registry, under the subjects of the configured topics (`<topic>-value`).
 * In: schema.registry.url. Out: a line a subject, or one JSON object. push: 5 where the registry refuses one. check: 5 where what it has
 * and what we read or write do not fit; a subject that is not there is told, and is no failure. 4: the registry does not answer. The broker
 * is not asked.
 */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { SUBJECT_BYTES = 300 };

static const struct {
    const char *key;
    enum aft_record record;
} topics[] = {
#define X(key, record) {key, record},
    CMD_TOPICS(X)
#undef X
};

struct verdict {
    char subject[SUBJECT_BYTES];
    struct aft_registered at;
    bool there, good;
    char why[600];
};

/* false: the configuration names no such topic. */
static bool
subject_of(const struct aft_config *c, size_t i, char out[SUBJECT_BYTES])
{
    const char *topic = aft_config_text(c, topics[i].key);
    snprintf(out, SUBJECT_BYTES, "%s-value", topic);
    return topic[0] != '\0';
}

/* ---- telling */
static void
tell(const struct verdict *v, const char *said, json_t *all)
{
    if (all) {
        json_t *o = json_pack("{s:s, s:b}", "subject", v->subject, "ok", v->good);
        json_object_set_new(o, "id", v->there ? json_integer(v->at.id) : json_null());
        json_object_set_new(o, "version", v->there ? json_integer(v->at.version) : json_null());
        if (v->why[0])
            json_object_set_new(o, "why", json_string(v->why));
        json_array_append_new(all, o);
    } else if (v->there) {
        printf("%-4s  %s  id %lld, version %lld%s%s\n", said, v->subject, (long long)v->at.id,
               (long long)v->at.version, v->why[0] ? ": " : "", v->why);
    } else {
        printf("%-4s  %s  %s\n", said, v->subject, v->why);
    }
}

/* ---- push */
static enum aft_err
push(struct aft_registry *r, const struct aft_config *c, json_t *all, struct aft_error *e)
{
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct verdict v = {.there = true, .good = true};
        if (!subject_of(c, i, v.subject))
            continue;
        AFT_TRY(aft_registry_push(r, v.subject, aft_record_schema(topics[i].record), &v.at, e));
        tell(&v, "ok", all);
    }
    return AFT_OK;
}

/* ---- check */
/* readable: can a record under the registry's schema be read as ours? By the decoder's own plan. */
static enum aft_err
readable(enum aft_record record, struct aft_bytes theirs, struct aft_error *e)
{
    struct aft_schema *writer = NULL, *reader = NULL;
    struct aft_plan *plan = NULL;
    enum aft_err err = aft_schema_parse(theirs, &writer, e);
    if (err == AFT_OK)
        err = aft_schema_parse(aft_record_schema(record), &reader, e);
    if (err == AFT_OK)
        err = aft_plan_compile(writer, reader, &plan, e);
    aft_plan_free(plan);
    aft_schema_free(writer);
    aft_schema_free(reader);
    return err;
}

static enum aft_err
check_one(struct aft_registry *r, enum aft_record record, struct verdict *v, struct aft_error *e)
{
    struct aft_buffer theirs = {0};
    struct aft_error cannot;
    char why[300] = "";
    enum aft_err err = aft_registry_latest(r, v->subject, &v->at, &theirs, e);
    v->there = v->at.id >= 0;
    if (err == AFT_E_UNKNOWN_SCHEMA) { /* it has one that is no plain Avro */
        snprintf(v->why, sizeof v->why, "%.500s", e->message);
        err = AFT_OK;
    } else if (err == AFT_OK && !v->there) {
        v->good = true;
        snprintf(v->why, sizeof v->why, "not there: aftertouch registry push");
    } else if (err == AFT_OK && readable(record, aft_buffer_bytes(&theirs), &cannot) != AFT_OK) {
        snprintf(v->why, sizeof v->why, "what is written with it cannot be read: %.300s",
                 cannot.message);
    } else if (err == AFT_OK) {
        err = aft_registry_compatible(r, v->subject, aft_record_schema(record), &v->good, why, e);
        if (err == AFT_OK && !v->good)
            snprintf(v->why, sizeof v->why,
                     "the registry would refuse ours beside it (registry push): %s", why);
    }
    aft_buffer_deinit(&theirs);
    return err;
}

static enum aft_err
check(struct aft_registry *r, const struct aft_config *c, json_t *all, struct aft_error *e)
{
    int bad = 0;
    char first[SUBJECT_BYTES] = "";
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct verdict v = {0};
        if (!subject_of(c, i, v.subject))
            continue;
        AFT_TRY(check_one(r, topics[i].record, &v, e));
        tell(&v, !v.good ? "fail" : v.there ? "ok" : "none", all);
        if (!v.good && bad++ == 0)
            memcpy(first, v.subject, sizeof first);
    }
    return bad == 0 ? AFT_OK
                    : AFT_FAIL(e, AFT_E_SCHEMA,
                               "%d of the registry's subjects do not fit, the first is %.200s; "
                               "the lines above say why",
                               bad, first);
}

static enum aft_err
work(const struct cmd_line *l, int which, struct aft_error *e)
{
    struct aft_registry *r;
    AFT_TRY(aft_config_check(l->config, e));
    AFT_TRY(aft_registry_of(l->config, &r, e));
    if (!r)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "schema.registry.url is not set: which registry? (--set "
                        "schema.registry.url=http://host:8081)");
    json_t *all = l->json ? json_array() : NULL;
    enum aft_err err = which == 0 ? push(r, l->config, all, e) : check(r, l->config, all, e);
    if (err == AFT_E_AGAIN) /* a service would ask again; here it is the answer */
        err = e->code = AFT_E_TIMEOUT;
    if (all) {
        json_t *o = json_pack("{s:b, s:o}", "ok", err == AFT_OK, "subjects", all);
        if (err != AFT_OK)
            json_object_set_new(o, "error", json_string(e->message));
        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
    }
    aft_registry_close(r);
    return err;
}

static const struct cmd_either either = {{"push", "check"}, 0, "push or check", work};

int
cmd_registry(int argc, char **argv)
{
    return cmd_either(argc, argv, &either);
}
