/* explain_fate.c - an outcome's fate in words: what became of it, and the rule of the configuration that decided so.
 *
 * In: what the state holds of an outcome, the configuration. Out: fields of the JSON object `state`. Nothing is kept. One thread.
 */
#include <jansson.h>
#include <stdio.h>

#include "cmd/explain.h"

struct words {
    const char *before, *key, *after; /* the key's value goes between; key NULL: before alone */
};

static const struct words fates[AFT_FATES_END] = {
    [AFT_FATE_UNTOLD] = {.before = "its state was written by a build that did not note fates"},
    [AFT_FATE_organic] = {"it names no decision, and no touch of its user within join.window=",
                          "join.window",
                          " before it qualifies (match: of its subject or session; count=first: "
                          "not credited for this kind yet)"},
    [AFT_FATE_orphan] = {"it names a decision whose impression did not come within "
                         "join.orphan.after=",
                         "join.orphan.after", ""},
    [AFT_FATE_repeat] = {.before = "the item that it is about was credited for this kind already, "
                                   "and the kind counts once (count=first)"},
    [AFT_FATE_withdrawn] = {.before = "it was taken back while it waited for its impression"},
    [AFT_FATE_retraction] = {.before = "it takes another outcome back"},
    [AFT_FATE_retraction_of_unknown] = {.before = "it takes back an outcome that was not there "
                                                  "(any more), or had no credit"},
    [AFT_FATE_outside_window] = {"it names a decision, and its time is before that was shown, or "
                                 "more than join.window=",
                                 "join.window", " after"},
    [AFT_FATE_unknown_arm] = {.before = "it names an arm that its decision did not show"},
    [AFT_FATE_activation] = {"its kind activates: its user saw the deferred impression that it "
                             "names, which opens join.open.after=",
                             "join.open.after", " later"},
    [AFT_FATE_erased] = {.before = "its user was erased while it waited for its impression"},
};

static const struct words waiting = {
    "it names a decision whose impression is not there yet: it waits for it for "
    "join.orphan.after=",
    "join.orphan.after", ", then it is an orphan"};
static const struct words direct = {
    .before = "it names its decision: credited to the item that it names, or in equal shares to "
              "all of the slate"};
static const struct words indirect = {
    "it names no decision: the touches of its user within join.window=", "join.window",
    " before it that match share the credit by its kind's rule"};

static const struct words *
words_of(const struct aft_explained_outcome *x)
{
    if (x->waiting)
        return &waiting;
    if (x->fate == AFT_FATE_credited)
        return x->direct ? &direct : &indirect;
    return &fates[x->fate];
}

void
explain_fate(const struct aft_config *c, const struct aft_explained_outcome *x, json_t *to)
{
    const struct words *w = words_of(x);
    char text[400];
    snprintf(text, sizeof text, "%s%s%s%s", w->before, w->key ? aft_config_text(c, w->key) : "",
             w->key ? w->after : "", x->taken_back ? "; a retraction took the credit back" : "");
    json_object_set_new(to, "fate",
                        x->waiting                   ? json_string("waiting")
                        : x->fate == AFT_FATE_UNTOLD ? json_null()
                                                     : json_string(aft_fate_name(x->fate)));
    json_object_set_new(to, "why", json_string(text));
    json_object_set_new(to, "taken_back", json_boolean(x->taken_back));
    if (x->waiting || x->waited)
        json_object_set_new(to, x->waiting ? "waits_until" : "waited_until",
                            x->until_ms == INT64_MIN ? json_null() : json_integer(x->until_ms));
}
