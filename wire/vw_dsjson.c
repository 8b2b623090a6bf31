/* vw_dsjson.c - Vowpal Wabbit's JSON -> lines of its text (vw_dsjson.h). In: a line. Out: a buffer with lines, tags, an id, a time.
 *
 * Invariants: I1 the lines are a shared one and one for each of _multi, in its order, or a single one without _multi. I2 at most
 * DEPTH objects and lists lie in each other, so recursion is bounded. Any thread. What VW does was read off its parser's source and
 * compared with 9.11.9's --audit. */
#include "wire/json_pull.h"

enum { DEPTH = 16 };

struct label {
    struct aft_bytes cost, probability, action, index;
    struct afti_json whole; /* "_label": a text in VW's own notation, or an object */
};

struct event {
    struct aft_vw_json *out;
    struct aft_error *e;
    struct afti_json context, multi; /* NONE: there is none */
    struct label label;
    struct aft_bytes id, tag; /* with their escapes */
    bool skip, actions, other;
    /* the line that is being written */
    struct aft_bytes space; /* the namespace that is open */
    bool open, again; /* again: it is opened anew, so that numbers without names count from 0 */
    uint32_t depth;
};

static enum aft_err features(struct event *v, const struct afti_json *from, struct aft_bytes space);

#define SHOWN(b) (int)((b).n < 60 ? (b).n : 60), (const char *)(b).p

bool
aft_vw_json_is(struct aft_bytes line)
{
    size_t i = 0;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    return i < line.n && line.p[i] == '{';
}

bool
aft_vw_json_ds(struct aft_bytes line)
{
    struct afti_json all, v;
    struct aft_bytes key;
    struct aft_error e;
    if (afti_json_one(line, &all, &e) != AFT_OK || all.type != AFTI_JSON_OBJECT)
        return false;
    struct afti_json_walk w = afti_json_walk(&all);
    while (afti_json_next(&w, &key, &v, &e) == AFT_OK && v.type != AFTI_JSON_NONE)
        if (aft_same(key, AFT_LITERAL("c")) && v.type == AFTI_JSON_OBJECT)
            return true;
    return false;
}

/* ---- what stands beside the features */
static uint8_t
low(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 32 : c;
}

static bool
is(struct aft_bytes key, const char *name)
{
    return aft_same(key, aft_text(name));
}

/* VW does not mind capitals in labels. */
static bool
like(struct aft_bytes key, const char *name)
{
    size_t i = 0;
    while (i < key.n && name[i] && low(key.p[i]) == low((uint8_t)name[i]))
        i++;
    return i == key.n && !name[i];
}

static bool
begins(struct aft_bytes key, const char *with)
{
    size_t n = strlen(with);
    return key.n >= n && memcmp(key.p, with, n) == 0;
}

static enum aft_err
slots(struct event *v, struct aft_bytes key)
{
    return AFT_FAIL(
        v->e, AFT_E_MALFORMED,
        "\"%.*s\": an event of several slots (CCB, slates) is no contextual-bandit event: "
        "log each slot as one of its own, with \"_multi\" and a \"_label_cost\"",
        SHOWN(key));
}

static enum aft_err
take_label(struct event *v, struct aft_bytes key, const struct afti_json *value)
{
    struct label *l = &v->label;
    if (begins(key, "_label_ca"))
        return AFT_FAIL(v->e, AFT_E_MALFORMED,
                        "\"%.*s\": continuous actions are no contextual-bandit actions: import "
                        "events whose actions stand in \"_multi\"",
                        SHOWN(key));
    if (is(key, "_label"))
        l->whole = *value;
    else if (like(key, "_labelIndex"))
        l->index = value->raw;
    else if (like(key, "_label_cost"))
        l->cost = value->raw;
    else if (like(key, "_label_probability"))
        l->probability = value->raw;
    else if (like(key, "_label_action"))
        l->action = value->raw;
    else
        return AFT_FAIL(v->e, AFT_E_MALFORMED,
                        "\"%.*s\" is no label of a contextual bandit: _label_cost, "
                        "_label_probability and _labelIndex are",
                        SHOWN(key));
    return AFT_OK;
}

/* A key of the object that holds the features which is no feature itself. */
static enum aft_err
take_special(struct event *v, struct aft_bytes key, const struct afti_json *value)
{
    if (begins(key, "_label") && value->type != AFTI_JSON_NULL)
        return take_label(v, key, value);
    if (is(key, "_slots") || is(key, "_slot_id"))
        return slots(v, key);
    if (is(key, "_multi")) {
        if (value->type != AFTI_JSON_ARRAY)
            return AFT_FAIL(v->e, AFT_E_MALFORMED, "\"_multi\" must be a list of actions");
        v->multi = *value;
    }
    if (like(key, "_tag") && value->type == AFTI_JSON_TEXT)
        v->tag = value->raw;
    return AFT_OK;
}

/* ---- what dsjson says beside "c" */
static enum aft_err
take_time(struct event *v, const struct afti_json *value)
{
    v->out->has_time = value->type == AFTI_JSON_TEXT && value->raw.n;
    if (!v->out->has_time || afti_iso_time(value->raw, &v->out->timestamp_ms))
        return AFT_OK;
    return AFT_FAIL(v->e, AFT_E_MALFORMED,
                    "Timestamp \"%.*s\" is no time like 2021-02-04T16:31:29.246Z",
                    SHOWN(value->raw));
}

static enum aft_err
take_drop(struct event *v, const struct afti_json *value)
{
    double drop;
    if (!aft_vw_number(value->raw, &drop) || !(drop >= 0 && drop < 1))
        return AFT_FAIL(v->e, AFT_E_VALUE,
                        "pdrop %.*s: the probability with which events were dropped must be at "
                        "least 0 and less than 1",
                        SHOWN(value->raw));
    v->out->has_pass = drop > 0;
    v->out->pass = 1 - drop;
    return AFT_OK;
}

/* A key of dsjson's outer object. Others are for people and other programs. */
static enum aft_err
take_outer(struct event *v, struct aft_bytes key, const struct afti_json *value)
{
    if (is(key, "c") && value->type == AFTI_JSON_OBJECT)
        v->context = *value;
    else if (is(key, "a"))
        v->actions = value->type == AFTI_JSON_ARRAY && value->raw.n > 2;
    else if (is(key, "EventId") && value->type == AFTI_JSON_TEXT)
        v->id = value->raw;
    else if (is(key, "Timestamp"))
        return take_time(v, value);
    else if (is(key, "pdrop"))
        return take_drop(v, value);
    else if (is(key, "_skipLearn"))
        v->skip = value->type == AFTI_JSON_TRUE;
    else if (is(key, "_outcomes"))
        return slots(v, key);
    else if (begins(key, "_label") && value->type != AFTI_JSON_NULL)
        return take_label(v, key, value);
    return AFT_OK;
}

static enum aft_err
members(struct event *v, const struct afti_json *object,
        enum aft_err (*take)(struct event *, struct aft_bytes, const struct afti_json *))
{
    struct afti_json_walk w = afti_json_walk(object);
    struct afti_json value;
    struct aft_bytes key = AFT_ABSENT;
    for (;;) {
        AFT_TRY(afti_json_next(&w, &key, &value, v->e));
        if (value.type == AFTI_JSON_NONE)
            return AFT_OK;
        AFT_TRY(take(v, key, &value));
    }
}

/* ---- features */
static void
open_space(struct event *v, struct aft_bytes space)
{
    if (v->open && !v->again && aft_same(v->space, space))
        return;
    aft_put_raw(&v->out->bytes, v->open ? AFT_LITERAL(" |") : AFT_LITERAL("|"));
    afti_json_put(&v->out->bytes, space, true);
    v->space = space;
    v->open = true;
    v->again = false;
}

static enum aft_err
no_number(struct event *v, struct aft_bytes raw)
{
    return AFT_FAIL(v->e, AFT_E_MALFORMED, "no JSON: \"%.*s\" is neither a number nor a text",
                    SHOWN(raw));
}

static enum aft_err
put_feature(struct event *v, struct aft_bytes space, struct aft_bytes key,
            const struct afti_json *value)
{
    struct aft_buffer *b = &v->out->bytes;
    double number;
    if (value->type == AFTI_JSON_NULL || value->type == AFTI_JSON_FALSE)
        return AFT_OK;
    if (value->type == AFTI_JSON_NUMBER && !aft_vw_number(value->raw, &number))
        return no_number(v, value->raw);
    open_space(v, space);
    aft_put_u8(b, ' ');
    afti_json_put(b, key, true);
    if (value->type == AFTI_JSON_TEXT && value->raw.n) /* an empty one is the key alone, as in VW */
        aft_put_u8(b, '=');
    if (value->type == AFTI_JSON_NUMBER)
        aft_put_u8(b, ':');
    if (value->type != AFTI_JSON_TRUE)
        afti_json_put(b, value->raw, true);
    return AFT_OK;
}

/* A list in the namespace of its key: numbers have no names, objects are features of it. */
static enum aft_err
list(struct event *v, const struct afti_json *from, struct aft_bytes space)
{
    struct afti_json_walk w = afti_json_walk(from);
    struct afti_json value;
    struct aft_bytes none = AFT_ABSENT;
    v->again = true;
    for (;;) {
        AFT_TRY(afti_json_next(&w, &none, &value, v->e));
        if (value.type == AFTI_JSON_NONE)
            return AFT_OK;
        if (value.type == AFTI_JSON_OBJECT)
            AFT_TRY(features(v, &value, space));
        else if (value.type == AFTI_JSON_NUMBER)
            AFT_TRY(put_feature(v, space, AFT_ABSENT, &value));
        else if (value.type != AFTI_JSON_NULL)
            return AFT_FAIL(v->e, AFT_E_MALFORMED,
                            "\"%.*s\" is a list with a %s, which VW refuses: lists hold numbers or "
                            "objects; for words use _text",
                            SHOWN(space), value.type == AFTI_JSON_TEXT ? "text" : "list");
    }
}

static void
text_words(struct event *v, struct aft_bytes space, struct aft_bytes raw)
{
    struct aft_buffer *b = &v->out->bytes;
    open_space(v, space);
    aft_put_u8(b, ' ');
    size_t at = b->n;
    afti_json_put(b, raw, false);
    for (; at < b->n; at++)
        b->p[at] = b->p[at] == '|' || b->p[at] == ':' ? '_' : b->p[at] < ' ' ? ' ' : b->p[at];
}

static enum aft_err
features(struct event *v, const struct afti_json *from, struct aft_bytes space)
{
    struct afti_json_walk w = afti_json_walk(from);
    struct afti_json value;
    struct aft_bytes key = AFT_ABSENT;
    if (v->depth == DEPTH)
        return AFT_FAIL(v->e, AFT_E_LIMIT, "more than %d objects in each other: write fewer",
                        DEPTH);
    v->depth++; /* I2 */
    for (;;) {
        AFT_TRY(afti_json_next(&w, &key, &value, v->e));
        if (value.type == AFTI_JSON_NONE)
            break;
        if (is(key, "_text") && value.type == AFTI_JSON_TEXT)
            text_words(v, space, value.raw);
        else if (key.n && key.p[0] == '_')
            continue;
        else if (value.type == AFTI_JSON_OBJECT)
            AFT_TRY(features(v, &value, key));
        else if (value.type == AFTI_JSON_ARRAY)
            AFT_TRY(list(v, &value, key));
        else
            AFT_TRY(put_feature(v, space, key, &value));
    }
    v->depth--;
    return AFT_OK;
}

/* ---- lines */
static struct aft_vw_json_line *
begin_line(struct event *v, struct aft_bytes tag)
{
    struct aft_vw_json *o = v->out;
    struct aft_vw_json_line *l = &o->lines[o->lines_n++];
    l->tag_at = (uint32_t)o->bytes.n;
    afti_json_put(&o->bytes, tag, false);
    l->tag_n = (uint32_t)o->bytes.n - l->tag_at;
    l->text_at = (uint32_t)o->bytes.n;
    v->open = false;
    return l;
}

static enum aft_err
end_line(struct event *v, struct aft_vw_json_line *l, const struct afti_json *from)
{
    AFT_TRY(features(v, from, AFT_LITERAL("")));
    if (!v->open)
        open_space(v, AFT_LITERAL(""));
    l->text_n = (uint32_t)v->out->bytes.n - l->text_at;
    return AFT_OK;
}

/* "0:cost:probability ", or the label's own text, in front of the features. */
static void
put_label(struct event *v, const struct label *l)
{
    struct aft_buffer *b = &v->out->bytes;
    if (l->whole.type == AFTI_JSON_TEXT) {
        afti_json_put(b, l->whole.raw, false);
        aft_put_u8(b, ' ');
    } else if (l->cost.n) {
        aft_put_raw(b, l->action.n ? l->action : AFT_LITERAL("0"));
        aft_put_u8(b, ':');
        aft_put_raw(b, l->cost);
        if (l->probability.n)
            aft_put_u8(b, ':');
        aft_put_raw(b, l->probability);
        aft_put_u8(b, ' ');
    }
}

static enum aft_err
part_of_label(struct event *v, struct aft_bytes key, const struct afti_json *value)
{
    struct label *l = &v->label;
    if (like(key, "cost"))
        l->cost = value->raw;
    else if (like(key, "probability"))
        l->probability = value->raw;
    else if (like(key, "action"))
        l->action = value->raw;
    return AFT_OK;
}

/* {"Action":1,"Cost":0,"Probability":0.5} is the same as _label_Action ... */
static enum aft_err
unfold_label(struct event *v)
{
    struct afti_json whole = v->label.whole;
    if (whole.type == AFTI_JSON_NONE || whole.type == AFTI_JSON_TEXT)
        return AFT_OK;
    if (whole.type != AFTI_JSON_OBJECT)
        return AFT_FAIL(v->e, AFT_E_MALFORMED,
                        "\"_label\":%.*s is no label of a contextual bandit: write "
                        "\"action:cost:probability\"",
                        SHOWN(whole.raw));
    v->label.whole.type = AFTI_JSON_NONE;
    return members(v, &whole, part_of_label);
}

static enum aft_err
action_line(struct event *v, const struct afti_json *action, bool labelled)
{
    struct label outer = v->label;
    v->tag = AFT_ABSENT;
    v->label = (struct label){.cost = AFT_ABSENT};
    if (action->type != AFTI_JSON_OBJECT)
        return AFT_FAIL(v->e, AFT_E_MALFORMED, "an action in \"_multi\" must be an object");
    if (v->out->lines_n > AFT_CANDIDATES_MAX)
        return AFT_FAIL(v->e, AFT_E_LIMIT, "more than %u actions in one event", AFT_CANDIDATES_MAX);
    struct afti_json multi = v->multi;
    AFT_TRY(members(v, action, take_special));
    if (v->multi.raw.p != multi.raw.p)
        return AFT_FAIL(v->e, AFT_E_MALFORMED, "\"_multi\" inside of \"_multi\"");
    AFT_TRY(unfold_label(v));
    struct aft_vw_json_line *l = begin_line(v, v->tag);
    struct label none = {.cost = outer.cost, .probability = outer.probability};
    put_label(v, labelled ? &none : &v->label);
    v->label = outer;
    return end_line(v, l, action);
}

static enum aft_err
action_lines(struct event *v)
{
    struct afti_json_walk w = afti_json_walk(&v->multi);
    struct afti_json action;
    struct aft_bytes none = AFT_ABSENT;
    double index = -1;
    bool outer = v->label.cost.n > 0;
    if (outer && v->label.index.n &&
        !(aft_vw_number(v->label.index, &index) && index >= 0 && index <= AFT_CANDIDATES_MAX &&
          index == (uint32_t)index))
        return no_number(v, v->label.index);
    if (outer && index < 0)
        return AFT_FAIL(v->e, AFT_E_MALFORMED,
                        "a cost without \"_labelIndex\": it says which action of \"_multi\" was "
                        "taken, from 0");
    for (double i = 0;; i++) {
        AFT_TRY(afti_json_next(&w, &none, &action, v->e));
        if (action.type == AFTI_JSON_NONE && outer && index >= i)
            return AFT_FAIL(v->e, AFT_E_MALFORMED, "_labelIndex %g of %g actions", index, i);
        if (action.type == AFTI_JSON_NONE)
            return AFT_OK;
        AFT_TRY(action_line(v, &action, outer && i == index));
    }
}

static enum aft_err
put_event(struct event *v)
{
    struct aft_bytes tag = v->id.n ? v->id : v->tag;
    bool single = v->multi.type == AFTI_JSON_NONE;
    AFT_TRY(unfold_label(v));
    struct aft_vw_json_line *l = begin_line(v, tag);
    if (single)
        put_label(v, &v->label);
    else
        aft_put_raw(&v->out->bytes, AFT_LITERAL("shared "));
    AFT_TRY(end_line(v, l, &v->context));
    return single ? AFT_OK : action_lines(v);
}

enum aft_err
aft_vw_json_read(struct aft_bytes line, bool ds, struct aft_vw_json *out, struct aft_error *e)
{
    struct event v = {.out = out, .e = e};
    struct afti_json all;
    aft_buffer_reset(&out->bytes);
    out->lines_n = 0;
    out->has_time = out->has_pass = false;
    out->pass = 1;
    AFT_TRY(afti_json_one(line, &all, e));
    if (all.type != AFTI_JSON_OBJECT)
        return AFT_FAIL(e, AFT_E_MALFORMED, "no JSON object: a line of VW's JSON is one event");
    if (ds)
        AFT_TRY(members(&v, &all, take_outer));
    else
        v.context = all;
    if (v.context.type != AFTI_JSON_NONE)
        AFT_TRY(members(&v, &v.context, take_special));
    if (v.skip || (ds && !v.actions) || v.context.type == AFTI_JSON_NONE)
        return AFT_OK;
    return put_event(&v);
}

struct aft_bytes
aft_vw_json_text(const struct aft_vw_json *j, uint32_t line)
{
    AFT_ASSERT(line < j->lines_n);
    return (struct aft_bytes){j->bytes.p + j->lines[line].text_at, j->lines[line].text_n};
}

struct aft_bytes
aft_vw_json_tag(const struct aft_vw_json *j, uint32_t line)
{
    AFT_ASSERT(line < j->lines_n);
    return (struct aft_bytes){j->bytes.p + j->lines[line].tag_at, j->lines[line].tag_n};
}
