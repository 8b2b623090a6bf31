/* engine_json.c - EDGE (jansson): the catalogue, the bodies of requests, the answers. Any thread. */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/examples/engine.h"

__attribute__((format(printf, 2, 3))) static bool
wrong(struct aft_client_error *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    why->code = AFT_CLIENT_WRONG;
    vsnprintf(why->message, sizeof why->message, format, args);
    va_end(args);
    return false;
}

/* ---- the catalogue */
static bool
feature_from(const char *name, const json_t *v, struct aft_client_feature *out)
{
    *out = (struct aft_client_feature){.name = name};
    if (json_is_string(v)) {
        out->type = AFT_CLIENT_TEXT;
        out->text = json_string_value(v);
        return true;
    }
    out->type = json_is_boolean(v) ? AFT_CLIENT_FLAG : AFT_CLIENT_NUMBER;
    out->number = json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
    return json_is_boolean(v) || json_is_number(v);
}

static bool
rules_from(const json_t *list, struct message *m)
{
    size_t i;
    const json_t *v;
    json_array_foreach(list, i, v)
    {
        const json_t *is = json_object_get(v, "is"), *min = json_object_get(v, "min"),
                     *max = json_object_get(v, "max");
        const char *feature = json_string_value(json_object_get(v, "feature"));
        if (!feature || m->rules_n + 2 > FEATURES_MAX || !(is || min || max))
            return false;
        if (is)
            m->rules[m->rules_n++] = (struct rule){feature, RULE_IS, json_is_true(is)};
        if (min)
            m->rules[m->rules_n++] = (struct rule){feature, RULE_MIN, json_number_value(min)};
        if (max && m->rules_n < FEATURES_MAX)
            m->rules[m->rules_n++] = (struct rule){feature, RULE_MAX, json_number_value(max)};
    }
    return true;
}

static bool
shown_on(const json_t *devices, const char *device)
{
    size_t i;
    const json_t *v;
    json_array_foreach(devices, i, v) if (json_is_string(v) &&
                                          strcmp(json_string_value(v), device) == 0) return true;
    return devices == NULL; /* on all */
}

static bool
message_from(json_t *v, struct message *m)
{
    const char *name;
    json_t *value;
    *m = (struct message){.arm = json_string_value(json_object_get(v, "arm")),
                          .subject = json_string_value(json_object_get(v, "subject")),
                          .title = json_string_value(json_object_get(v, "title")),
                          .url = json_string_value(json_object_get(v, "url")),
                          .web = shown_on(json_object_get(v, "devices"), "web"),
                          .app = shown_on(json_object_get(v, "devices"), "app")};
    json_object_foreach(
        json_object_get(v, "features"), name,
        value) if (m->features_n == FEATURES_MAX ||
                   !feature_from(name, value, &m->features[m->features_n++])) return false;
    return m->arm && m->title && m->url && rules_from(json_object_get(v, "when"), m);
}

bool
engine_catalogue_load(struct catalogue *c, const char *path, struct aft_client_error *why)
{
    json_error_t e;
    json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, &e), *v;
    size_t i;
    c->n = 0;
    c->json = all;
    if (!all)
        return wrong(why, "%s:%d: %s", path, e.line, e.text);
    json_array_foreach(json_object_get(all, "messages"), i, v)
    {
        if (i == MESSAGES_MAX || !message_from(v, &c->messages[i]))
            return wrong(why,
                         "%s: message %zu needs arm, title, url; rules a feature and is, min or "
                         "max; at most %d messages",
                         path, i + 1, MESSAGES_MAX);
        if (engine_catalogue_find(c, c->messages[i].arm) >= 0)
            return wrong(why, "%s: %s is there twice", path, c->messages[i].arm);
        c->n = (uint32_t)i + 1;
    }
    return c->n > 0 || wrong(why, "%s has no \"messages\"", path);
}

void
engine_catalogue_free(struct catalogue *c)
{
    json_decref(c->json);
}

int
engine_catalogue_find(const struct catalogue *c, const char *arm)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (strcmp(c->messages[i].arm, arm) == 0)
            return (int)i;
    return -1;
}

/* ---- a visit */
static bool
copied(char *out, size_t max, const char *what, const char *text, struct aft_client_error *why)
{
    if (!text || strlen(text) >= max)
        return wrong(why, "%s is no text of at most %zu bytes", what, max - 1);
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool
hashed(const struct engine *e, const char *user, char out[USER_BYTES], struct aft_client_error *why)
{
    if (!user || !user[0])
        return wrong(why, "user is missing");
    return aft_client_user_hash(e->user_key, e->user_key_bytes, user, out, why) == AFT_CLIENT_OK;
}

static bool
add(struct visit *v, struct aft_client_feature f, struct aft_client_error *why)
{
    uint32_t n = v->context_n;
    if (n == FEATURES_MAX)
        return wrong(why, "more than %d features", FEATURES_MAX);
    if (!copied(v->texts[n][0], TEXT_BYTES, "a feature's name", f.name, why) ||
        (f.type == AFT_CLIENT_TEXT && !copied(v->texts[n][1], TEXT_BYTES, f.name, f.text, why)))
        return false;
    f.name = v->texts[n][0];
    f.text = v->texts[n][1];
    v->context[v->context_n++] = f;
    return true;
}

bool
engine_visit_field(const struct engine *e, struct visit *v, const char *name, const char *text,
                   struct aft_client_error *why)
{
    if (strcmp(name, "user") == 0)
        return hashed(e, text, v->user, why);
    if (strcmp(name, "session") == 0)
        return copied(v->session, sizeof v->session, name, text, why);
    if (strcmp(name, "device") == 0) {
        v->app = text && strcmp(text, "app") == 0;
        return v->app || (text && strcmp(text, "web") == 0) ||
               wrong(why, "device is web or app, not %s", text ? text : "nothing");
    }
    if (!text || !text[0])
        return wrong(why, "%s is empty", name);
    char *end;
    double number = strtod(text, &end);
    bool flag = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if (flag)
        return add(v, (struct aft_client_feature){name, AFT_CLIENT_FLAG, text[0] == 't', NULL},
                   why);
    if (*end == '\0' && isfinite(number))
        return add(v, (struct aft_client_feature){name, AFT_CLIENT_NUMBER, number, NULL}, why);
    return add(v, (struct aft_client_feature){name, AFT_CLIENT_TEXT, 0, text}, why);
}

static bool
body_from(const struct engine *e, struct visit *v, json_t *body, struct aft_client_error *why)
{
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach(json_object_get(body, "context"), name, value)
    {
        struct aft_client_feature f;
        if (!feature_from(name, value, &f))
            return wrong(why, "context.%s is no number, text or truth", name);
        if (!add(v, f, why))
            return false;
    }
    json_array_foreach(json_object_get(body, "done"), i, value)
    {
        for (uint32_t m = 0; json_is_string(value) && m < e->catalogue.n; m++)
            v->done[m] |= e->catalogue.messages[m].subject != NULL &&
                          strcmp(e->catalogue.messages[m].subject, json_string_value(value)) == 0;
    }
    json_object_foreach(json_object_get(body, "elsewhere"), name, value)
    {
        int m = engine_catalogue_find(&e->catalogue, name);
        if (m >= 0 && json_is_integer(value) && json_integer_value(value) > 0)
            v->elsewhere[m] =
                json_integer_value(value) < CAP ? (uint32_t)json_integer_value(value) : CAP;
    }
    return true;
}

bool
engine_visit_body(const struct engine *e, struct visit *v, const char *body, size_t n,
                  struct aft_client_error *why)
{
    json_error_t error;
    json_t *root = json_loadb(body, n, JSON_REJECT_DUPLICATES, &error);
    bool good = json_is_object(root) ? body_from(e, v, root, why)
                                     : wrong(why, "the body is no JSON object: %s", error.text);
    json_decref(root);
    return good;
}

/* ---- an outcome */
static bool
text_from(const json_t *o, const char *name, bool needed, char out[TEXT_BYTES],
          struct aft_client_error *why)
{
    const json_t *v = json_object_get(o, name);
    if (!v && !needed)
        return true;
    return copied(out, TEXT_BYTES, name, json_string_value(v), why);
}

bool
engine_outcome_body(const struct engine *e, struct reported *r, const char *body, size_t n,
                    struct aft_client_error *why)
{
    json_error_t error;
    json_t *o = json_loadb(body, n, JSON_REJECT_DUPLICATES, &error);
    *r = (struct reported){.value = 1.0};
    bool good = json_is_object(o) || wrong(why, "the body is no JSON object: %s", error.text);
    good = good && hashed(e, json_string_value(json_object_get(o, "user")), r->user, why);
    good = good && text_from(o, "kind", true, r->kind, why);
    good = good && text_from(o, "id", false, r->id, why);
    good = good && text_from(o, "decision", false, r->decision, why);
    good = good && text_from(o, "arm", false, r->arm, why);
    good = good && text_from(o, "subject", false, r->subject, why);
    good = good && text_from(o, "session", false, r->session, why);
    const json_t *value = json_object_get(o, "value");
    if (good && value)
        good = json_is_number(value) || wrong(why, "value is no number");
    if (good && value)
        r->value = json_number_value(value);
    json_decref(o);
    return good;
}

/* ---- answers */
static char *
text_of(json_t *root)
{
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

char *
engine_slate_json(const struct engine *e, const struct aft_client_decision *decision)
{
    json_t *tiles = json_array();
    if (!decision)
        return text_of(json_pack("{s:n, s:o}", "decision", "tiles", tiles));
    const struct aft_client_slate *s = aft_client_decision_slate(decision);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct message *m = &e->catalogue.messages[s->slots[i].candidate];
        json_array_append_new(tiles, json_pack("{s:s, s:s*, s:s, s:s, s:f}", "arm", m->arm,
                                               "subject", m->subject, "title", m->title, "url",
                                               m->url, "probability", s->slots[i].conditional));
    }
    return text_of(json_pack("{s:s, s:s, s:s?, s:o}", "decision", s->decision_id, "policy",
                             s->policy, "snapshot", s->snapshot_id, "tiles", tiles));
}

char *
engine_error_json(const char *message)
{
    return text_of(json_pack("{s:s}", "error", message));
}

char *
engine_health_json(struct engine *e)
{
    struct aft_client_info i = AFT_CLIENT_INFO;
    aft_client_info(e->client, &i);
    return text_of(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "snapshot", i.snapshot_id,
                             "round", (json_int_t)i.round, "decisions", (json_int_t)i.decisions,
                             "impressions", (json_int_t)i.impressions, "outcomes",
                             (json_int_t)i.outcomes, "waiting", (json_int_t)i.waiting,
                             "undelivered", (json_int_t)i.undelivered));
}
