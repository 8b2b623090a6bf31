/* explain_learned.c - what the learner did with an example: for each item the weight that it was learned with, or why it was refused;
 * the round that took it in, by the journal; the first snapshot that knows of it.
 *
 * In: examples; the rounds topic, the snapshots topic. Out: fields of the examples' JSON objects.
 * A weight is a function of the example and the settings alone, so it is computed again, under the configuration at hand. One thread.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/explain.h"

enum aft_err
explain_learned_init(struct explain_learned *l, const struct aft_config *c, struct aft_error *e)
{
    const struct aft_learner_settings *s = aft_config_learner(c);
    *l = (struct explain_learned){.half_life_ms = s->half_life_ms};
    return aft_learner_new(s, &l->learner, e);
}

void
explain_learned_deinit(struct explain_learned *l)
{
    for (size_t i = 0; i < l->n; i++)
        aft_buffer_deinit(&l->v[i].key);
    free(l->v);
    aft_learner_free(l->learner);
    *l = (struct explain_learned){0};
}

/* ---- weights */
static const char *
in_words(const char *refused)
{
    static const char *const words[][2] = {
        {"support", "its propensity is 0 or not known, or its arm is no candidate"},
        {"weight", "its weight is not finite, or above 1e6"},
        {"reward", "its reward is outside of what the model's labels may be"},
        {"feature", "its features, its context or its slot cannot be learned from"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], refused) == 0)
            return words[i][1];
    AFT_NEVER();
}

static json_t *
copies(const struct aft_treatment *t)
{
    json_t *v = json_array();
    for (uint32_t j = 0; j < t->voters; j++)
        json_array_append_new(v, json_integer(t->copies[j]));
    return v;
}

static json_t *
learned_with(const struct explain_learned *l, const struct aft_example *x,
             const struct aft_treatment *t)
{
    json_t *o = json_pack("{s:s, s:f}", "done", x->phase == AFT_OPEN ? "learned" : "revised",
                          "weight", t->weight[0]);
    if (t->sides == 2) /* learner.weighting=auto learns both */
        json_object_set_new(o, "weight_of_the_weighted", json_real(t->weight[1]));
    if (t->raw > 0) {
        json_object_set_new(o, "inverse_propensity", json_real(t->raw));
        json_object_set_new(o, "arms_left", json_real(t->left));
    }
    if (t->raw > 0 && x->candidates_n == 0)
        json_object_set_new(
            o, "arms_left_of",
            json_string("the log names no candidates: the learner counts the arms it knew then"));
    for (uint32_t j = 0; j < t->voters; j++)
        if (t->copies[j] != 1) {
            json_object_set_new(o, "copies", copies(t));
            break;
        }
    if (l->half_life_ms)
        json_object_set_new(o, "half_life_ms", json_integer(l->half_life_ms));
    return o;
}

json_t *
explain_learned_item(struct explain_learned *l, const struct aft_example *x, uint32_t i)
{
    struct aft_treatment t;
    if (x->phase == AFT_SETTLE)
        return json_pack("{s:s}", "done", "counted: scoreboard and arms");
    if (x->phase == AFT_ERASE)
        return json_pack("{s:s}", "done", "counted: what was learned holds no user");
    if (x->phase == AFT_REVISE && x->items[i].delta_micro == 0)
        return json_pack("{s:s}", "done", "nothing: its reward did not change");
    if (x->items_n > AFT_SHOWN_MAX)
        return json_null();
    aft_learner_treatment(l->learner, x, i, &t);
    if (t.refused)
        return json_pack("{s:s, s:s, s:s}", "done", "refused", "refused", t.refused, "why",
                         in_words(t.refused));
    return learned_with(l, x, &t);
}

/* ---- rounds and snapshots */
void
explain_learned_add(struct explain_learned *l, int32_t partition, const struct aft_example *x,
                    json_t *json)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->v = realloc(l->v, l->cap * sizeof *l->v);
        AFT_ASSERT(l->v != NULL);
    }
    l->v[l->n++] = (struct explain_example){.json = json,
                                            .partition = partition,
                                            .seq = (int64_t)x->seq,
                                            .round = -1,
                                            .snapshot = -1,
                                            .snapshot_offset = -1};
}

static bool
covers(const struct aft_end *ends, uint32_t n, const struct explain_example *x)
{
    for (uint32_t i = 0; i < n; i++)
        if (ends[i].partition == x->partition && ends[i].next_seq > x->seq)
            return true;
    return false;
}

static void
round_counts(void *ctx, int64_t offset, const struct aft_round_record *r)
{
    struct explain_learned *l = ctx;
    for (size_t i = 0; i < l->n; i++) {
        struct explain_example *x = &l->v[i];
        if (x->round < 0 && covers(r->ends, r->ends_n, x)) {
            x->round = r->round;
            x->round_offset = offset;
        }
        if (x->round >= 0 && x->snapshot < 0 && r->publish != AFT_PUBLISH_NONE) {
            x->snapshot = r->round;
            x->full = r->publish == AFT_PUBLISH_FULL;
        }
    }
}

/* What the journal promised; where the journal does not reach back so far, the first that covers it. */
static void
manifest(void *ctx, const struct aft_snapshot_seen *seen)
{
    struct explain_learned *l = ctx;
    for (size_t i = 0; i < l->n; i++) {
        struct explain_example *x = &l->v[i];
        if (!seen->record) {
            if (x->key.n && aft_same(aft_buffer_bytes(&x->key), seen->key))
                x->snapshot_offset = -1; /* it was let go of */
            continue;
        }
        const struct aft_manifest *m = &seen->record->manifest;
        bool first = x->round < 0 && x->snapshot < 0;
        if ((!first && seen->record->round != x->snapshot) || !covers(m->ends, m->ends_n, x))
            continue;
        x->snapshot = seen->record->round;
        x->full = seen->record->kind == AFT_SNAPSHOT_FULL;
        x->snapshot_offset = seen->offset;
        aft_buffer_reset(&x->key);
        aft_put_raw(&x->key, seen->key);
    }
}

static json_t *
found(const struct explain_example *x)
{
    json_t *o = json_object();
    json_object_set_new(o, "round", x->round < 0 ? json_null() : json_integer(x->round));
    if (x->round >= 0)
        json_object_set_new(o, "round_offset", json_integer(x->round_offset));
    json_object_set_new(
        o, "snapshot",
        x->snapshot < 0
            ? json_null()
            : json_pack("{s:I, s:s, s:o}", "round", (json_int_t)x->snapshot, "kind",
                        x->full ? "full" : "delta", "offset",
                        x->snapshot_offset < 0 ? json_null() : json_integer(x->snapshot_offset)));
    return o;
}

enum aft_err
explain_learned_find(struct explain_learned *l, const struct aft_config *c, struct aft_log *log,
                     struct aft_error *e)
{
    const struct aft_learning_visit visit = {l, round_counts, manifest};
    if (l->n == 0)
        return AFT_OK;
    AFT_TRY(aft_learning_each(c, log, &visit, e));
    for (size_t i = 0; i < l->n; i++)
        json_object_set_new(l->v[i].json, "learned", found(&l->v[i]));
    return AFT_OK;
}
