/* explain.c - `explain outcome|decision ID`: why it got, or brought, the credit it did. From the state: the ledger, the touches, the
 * rule; from the topics: every example of the decision, or caused by the outcome, and what the learner did with it
 * (explain_learned.c). Out: one JSON object, or the same as indented lines.
 */
#include "cmd/explain.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct why {
    const struct aft_config *config;
    struct aft_bytes id;
    bool outcome;
    json_t *state, *examples, *credits;
    struct explain_learned learned;
};

static json_t *
text(struct aft_bytes b)
{
    json_t *s = b.p ? json_stringn((const char *)b.p, b.n) : NULL; /* NULL: not UTF-8 */
    return s ? s : json_null();
}

static json_t *
time_or_null(int64_t ms)
{
    return ms == INT64_MIN ? json_null() : json_integer(ms);
}

/* ---- from the state */
static void
credit(void *ctx, const struct aft_explained_credit *c)
{
    struct why *w = ctx;
    json_t *o = json_object();
    json_object_set_new(o, "decision_id", c->held ? text(c->decision_id) : json_null());
    json_object_set_new(o, "shown", c->held ? json_integer(c->shown_ms) : json_null());
    if (!c->held)
        json_object_set_new(o, "gone", json_string(c->erased ? "erased" : "settled"));
    if (c->kind) {
        bool direct_too = c->kind->rule != AFT_RULE_LINEAR;
        json_object_set_new(o, "item", json_integer(c->item));
        json_object_set_new(o, "arm_id", c->held ? text(c->arm_id) : json_null());
        json_object_set_new(o, "clicked", c->held ? time_or_null(c->clicked_ms) : json_null());
        json_object_set_new(o, "kind", json_string(c->kind->name));
        json_object_set_new(o, "rule", json_string(aft_rule_name(c->kind->rule)));
        if (direct_too)
            json_object_set_new(o, "rule_of_direct_outcomes", json_string("linear"));
        json_object_set_new(o, "weight_micro", json_integer(c->kind->weight_micro));
        json_object_set_new(o, "delay_half_life_ms", json_integer(c->kind->delay_half_life_ms));
        if (w->outcome)
            json_object_set_new(o, "share_ppm", json_integer(c->ppm));
        json_object_set_new(o, "unit_micro", json_integer(c->unit_micro));
        json_object_set_new(o, "reward_micro", json_integer(c->reward_micro));
    } else {
        json_object_set_new(o, "share_ppm", json_integer(0));
    }
    json_array_append_new(w->credits, o);
}

static enum aft_err
outcome_state(struct why *w, int32_t partition, struct aft_joiner *j, struct aft_error *e)
{
    struct aft_explained_outcome x;
    const struct aft_explain_sink sink = {w, credit};
    AFT_TRY(aft_joiner_explain_outcome(j, w->id, &x, &sink, e));
    if (!x.known)
        return AFT_OK;
    w->state =
        json_pack("{s:i, s:I}", "partition", (int)partition, "effective_time", (json_int_t)x.e_ms);
    explain_fate(w->config, &x, w->state);
    json_object_set_new(w->state, "shares_ppm", json_integer(x.ppm));
    json_object_set(w->state, "touches", w->credits);
    return AFT_OK;
}

static enum aft_err
decision_state(struct why *w, int32_t partition, struct aft_joiner *j, struct aft_error *e)
{
    struct aft_explained_decision x;
    const struct aft_explain_sink sink = {w, credit};
    AFT_TRY(aft_joiner_explain_decision(j, w->id, &x, &sink, e));
    if (!x.known)
        return AFT_OK;
    w->state = json_pack("{s:i, s:I, s:I, s:I, s:b, s:b, s:i, s:O}", "partition", (int)partition,
                         "offset", (json_int_t)x.offset, "shown", (json_int_t)x.shown_ms, "settles",
                         (json_int_t)x.settles_ms, "seen", (int)x.seen, "opened", (int)x.opened,
                         "items", (int)x.items, "credit", w->credits);
    return AFT_OK;
}

static enum aft_err
in_state(void *ctx, int32_t partition, struct aft_joiner *j, struct aft_error *e)
{
    struct why *w = ctx;
    return w->outcome ? outcome_state(w, partition, j, e) : decision_state(w, partition, j, e);
}

/* ---- from the topics */
static json_t *
item_json(struct why *w, const struct aft_example *x, uint32_t at)
{
    const struct aft_example_item *i = &x->items[at];
    json_t *components = json_object();
    char name[AFT_ID_BYTES_MAX + 1];
    for (uint32_t k = 0; k < i->components_n; k++) {
        struct aft_bytes kind = i->components[k].kind;
        snprintf(name, sizeof name, "%.*s", (int)kind.n, (const char *)kind.p);
        json_object_set_new(components, name, json_integer(i->components[k].micro));
    }
    return json_pack("{s:o, s:i, s:f, s:I, s:I, s:o, s:o}", "arm_id", text(i->arm_id), "slot",
                     (int)i->slot, "propensity", i->propensity, "reward_micro",
                     (json_int_t)i->reward_micro, "delta_micro", (json_int_t)i->delta_micro,
                     "components", components, "learner", explain_learned_item(&w->learned, x, at));
}

static void
example(void *ctx, int32_t partition, const struct aft_example *x)
{
    static const char *const phases[] = {"OPEN", "REVISE", "SETTLE", "ERASE"};
    struct why *w = ctx;
    if (!(w->outcome ? x->cause.p && aft_same(x->cause, w->id) : aft_same(x->decision_id, w->id)))
        return;
    json_t *items = json_array();
    for (uint32_t i = 0; i < x->items_n; i++)
        json_array_append_new(items, item_json(w, x, i));
    json_t *o = json_pack("{s:i, s:I, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "partition",
                          (int)partition, "seq", (json_int_t)x->seq, "phase", phases[x->phase],
                          "fire", (json_int_t)x->fire_ms, "decision_id", text(x->decision_id),
                          "cause", text(x->cause), "policy", text(x->policy), "snapshot",
                          text(x->snapshot), "items", items);
    json_array_append_new(w->examples, o);
    explain_learned_add(&w->learned, partition, x, o);
}

/* ---- as lines */
static void
lines(const json_t *v, int depth)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, one)
        {
            bool deep = (json_is_object(one) || json_is_array(one));
            printf("%*s%s:%s", 2 * depth, "", key, deep ? "\n" : " ");
            lines(one, depth + 1);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, one)
        {
            printf("%*s- %zu\n", 2 * depth, "", i + 1);
            lines(one, depth + 1);
        }
    } else {
        char *s = json_dumps(v, JSON_ENCODE_ANY);
        puts(s ? s : "");
        free(s);
    }
}

static void
print(struct why *w, bool json)
{
    json_t *o = json_pack("{s:s, s:o, s:O, s:O}", "what", w->outcome ? "outcome" : "decision", "id",
                          text(w->id), "state", w->state, "examples", w->examples);
    char *s = json ? json_dumps(o, JSON_COMPACT) : NULL;
    if (s)
        puts(s);
    else
        lines(o, 0);
    free(s);
    json_decref(o);
}

static enum aft_err
explained(struct why *w, const struct cmd_line *l, struct aft_error *e)
{
    struct aft_log *log;
    const struct aft_state_visit states = {w, in_state};
    const struct aft_example_visit examples = {w, example};
    AFT_TRY(aft_config_check(l->config, e));
    AFT_TRY(aft_state_each(l->config, &states, e));
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(l->config), &log, e));
    enum aft_err err = explain_learned_init(&w->learned, l->config, e);
    if (err == AFT_OK)
        err = aft_examples_each(l->config, log, &examples, e);
    if (err == AFT_OK)
        err = explain_learned_find(&w->learned, l->config, log, e);
    log->ops->close(log);
    AFT_TRY(err);
    print(w, l->json);
    if (!json_is_null(w->state) || json_array_size(w->examples) > 0)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_FAILED,
                    "neither the state under state.dir nor the examples topic knows this %s: not "
                    "seen yet%s, without credit, or gone with retention",
                    w->outcome ? "outcome" : "decision",
                    w->outcome ? ", of a kind that no reward.<kind> names" : "");
}

static enum aft_err
work(const struct cmd_line *l, int which, struct aft_error *e)
{
    struct why w = {.config = l->config,
                    .id = aft_text(l->positional[1]),
                    .outcome = which == 0,
                    .state = json_null(),
                    .examples = json_array(),
                    .credits = json_array()};
    enum aft_err err = explained(&w, l, e);
    explain_learned_deinit(&w.learned);
    json_decref(w.examples);
    json_decref(w.credits);
    json_decref(w.state);
    return err;
}

static const struct cmd_either either = {
    {"outcome", "decision"}, 1, "outcome ID, or decision ID", work};

int
cmd_explain(int argc, char **argv)
{
    return cmd_either(argc, argv, &either);
}
