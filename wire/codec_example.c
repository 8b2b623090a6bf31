/* codec_example.c - Example: bytes <-> struct aft_example.
 * Fields in order: seq, phase, fire, decision_id, user_id, timestamp, policy, ?snapshot, propensity_kind, ?cause, context,
 * candidates, items, ?design (wire/schemas/example.avsc). Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

static enum aft_err
components(struct afti_in *in, struct aft_example_item *out)
{
    struct afti_list l = {.max = AFT_COMPONENTS_MAX, .size = sizeof *out->components};
    uint32_t more;
    AFT_TRY(afti_block(in, "items.components", &l, &more));
    while (more) {
        for (; more; more--) {
            struct aft_component *c = (struct aft_component *)l.v + l.n++;
            AFT_TRY(afti_id(in, "items.components", &c->kind));
            AFT_TRY(afti_long(in, "items.components", &c->micro));
        }
        AFT_TRY(afti_block(in, "items.components", &l, &more));
    }
    out->components = l.v;
    out->components_n = l.n;
    return AFT_OK;
}

static enum aft_err
item(struct afti_in *in, enum aft_propensity_kind kind, struct aft_example_item *i)
{
    AFT_TRY(afti_id(in, "items.arm_id", &i->arm_id));
    AFT_TRY(afti_slot(in, "items.slot", &i->slot));
    AFT_TRY(afti_probability(in, "items.propensity", kind, &i->propensity));
    AFT_TRY(afti_maybe_probability(in, "items.marginal", kind, &i->has_marginal, &i->marginal));
    AFT_TRY(afti_features(in, "items.features", &i->features, &i->raw_features));
    AFT_TRY(afti_long(in, "items.reward_micro", &i->reward_micro));
    AFT_TRY(afti_long(in, "items.delta_micro", &i->delta_micro));
    return components(in, i);
}

static enum aft_err
items(struct afti_in *in, struct aft_example *out)
{
    struct afti_list l = {.max = AFT_SHOWN_MAX, .size = sizeof *out->items};
    uint32_t more;
    AFT_TRY(afti_block(in, "items", &l, &more));
    while (more) {
        for (; more; more--) {
            struct aft_example_item *v = l.v;
            AFT_TRY(item(in, out->propensity_kind, &v[l.n]));
            for (uint32_t i = 0; i < l.n; i++)
                if (aft_same(v[i].arm_id, v[l.n].arm_id))
                    return afti_wrong(in, "items.arm_id", "stands twice in the example");
            l.n++;
        }
        AFT_TRY(afti_block(in, "items", &l, &more));
    }
    out->items = l.v;
    out->items_n = l.n;
    return AFT_OK;
}

static enum aft_err
example_head(struct afti_in *in, struct aft_example *out)
{
    int64_t seq;
    unsigned phase;
    AFT_TRY(afti_long(in, "seq", &seq));
    if (seq < 0)
        return afti_wrong(in, "seq", "is negative");
    *out = (struct aft_example){.seq = (uint64_t)seq};
    AFT_TRY(afti_index(in, "phase", AFT_ERASE + 1, &phase));
    out->phase = (enum aft_phase)phase;
    AFT_TRY(afti_long(in, "fire", &out->fire_ms));
    AFT_TRY(afti_id(in, "decision_id", &out->decision_id));
    AFT_TRY(afti_id(in, "user_id", &out->user_id));
    AFT_TRY(afti_long(in, "timestamp", &out->timestamp_ms));
    AFT_TRY(afti_text(in, "policy", AFT_TEXT_BYTES_MAX, &out->policy));
    AFT_TRY(afti_maybe_id(in, "snapshot", &out->snapshot));
    AFT_TRY(afti_propensity_kind(in, &out->propensity_kind));
    return afti_maybe_id(in, "cause", &out->cause);
}

enum aft_err
aft_decode_example(struct aft_reader *r, struct aft_arena *a, struct aft_example *out,
                   struct aft_error *e)
{
    return aft_decode_example_by(NULL, r, a, out, e);
}

static enum aft_err
whole(struct aft_roster *roster, struct aft_reader *r, struct aft_arena *a, struct aft_example *out,
      struct aft_error *e)
{
    struct afti_in in = {*r, a, e, "Example", r->p, true, roster, roster != NULL};
    AFT_TRY(example_head(&in, out));
    out->revision = roster ? afti_roster_revision(roster) : 0;
    AFT_TRY(afti_features(&in, "context", &out->context, &out->raw_context));
    AFT_TRY(afti_candidates(&in, &out->candidates, &out->candidates_n, &out->raw_candidates));
    AFT_TRY(items(&in, out));
    AFT_TRY(afti_design(&in, &out->has_design, &out->design, &out->raw_design));
    *r = in.r;
    return AFT_OK;
}

/* The example at *r breaks a bound or a rule: where it stands, and which. False: its end is not to be found. */
static bool
refused(struct aft_reader *r, struct aft_arena *a, const char *why, struct aft_example *out)
{
    struct aft_reader end = *r, head = *r;
    int64_t seq, phase, fire_ms;
    if (!afti_skip_example(&end) || !aft_get_long(&head, &seq) || !aft_get_long(&head, &phase) ||
        !aft_get_long(&head, &fire_ms) || seq < 0 || phase < AFT_OPEN || phase > AFT_ERASE)
        return false;
    size_t n = strlen(why) + 1;
    char *said = aft_arena_take(a, n);
    *out = (struct aft_example){.seq = (uint64_t)seq,
                                .phase = (enum aft_phase)phase,
                                .fire_ms = fire_ms,
                                .refused = said ? said : "it is too large"};
    if (said)
        memcpy(said, why, n);
    *r = end;
    return true;
}

enum aft_err
aft_decode_example_by(struct aft_roster *roster, struct aft_reader *r, struct aft_arena *a,
                      struct aft_example *out, struct aft_error *e)
{
    if (roster)
        afti_roster_begin(roster);
    enum aft_err err = whole(roster, r, a, out, e);
    bool data = roster && (err == AFT_E_VALUE || err == AFT_E_LIMIT);
    return data && refused(r, a, e->message, out) ? AFT_OK : err;
}

static void
put_item(struct aft_buffer *b, const struct aft_example_item *i)
{
    aft_put_bytes(b, i->arm_id);
    aft_put_long(b, i->slot);
    aft_put_double(b, i->propensity);
    aft_put_long(b, i->has_marginal);
    if (i->has_marginal)
        aft_put_double(b, i->marginal);
    if (i->raw_features.p)
        aft_put_raw(b, i->raw_features);
    else
        afti_put_features(b, i->features);
    aft_put_long(b, i->reward_micro);
    aft_put_long(b, i->delta_micro);
    afti_put_count(b, i->components_n);
    for (uint32_t c = 0; c < i->components_n; c++) {
        aft_put_bytes(b, i->components[c].kind);
        aft_put_long(b, i->components[c].micro);
    }
    afti_put_end(b);
}

static void
put_head(struct aft_buffer *b, const struct aft_example *v)
{
    aft_put_long(b, (int64_t)v->seq);
    aft_put_long(b, (int64_t)v->phase);
    aft_put_long(b, v->fire_ms);
    aft_put_bytes(b, v->decision_id);
    aft_put_bytes(b, v->user_id);
    aft_put_long(b, v->timestamp_ms);
    aft_put_bytes(b, v->policy);
    afti_put_maybe(b, v->snapshot);
    aft_put_long(b, (int64_t)v->propensity_kind);
    afti_put_maybe(b, v->cause);
}

void
aft_encode_example(struct aft_buffer *b, const struct aft_example *v)
{
    put_head(b, v);
    if (v->raw_context.p)
        aft_put_raw(b, v->raw_context);
    else
        afti_put_features(b, v->context);
    if (v->raw_candidates.p)
        aft_put_raw(b, v->raw_candidates);
    else
        afti_put_candidates(b, v->candidates, v->candidates_n);
    afti_put_count(b, v->items_n);
    for (uint32_t i = 0; i < v->items_n; i++)
        put_item(b, &v->items[i]);
    afti_put_end(b);
    if (v->raw_design.p)
        aft_put_raw(b, v->raw_design);
    else
        afti_put_design(b, v->has_design, &v->design);
}
