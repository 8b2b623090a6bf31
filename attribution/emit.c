/* emit.c - an example: the impression as it was received, with the credit so far and what changed; numbered and chained.
 *
 * hash after n + 1 examples = aft_hash128(body of example n, hash after n), starting from {0, 0}.
 * The impression's bytes are spliced into the example; only its credit is encoded anew (wire/splice.c).
 * With emit_rewarded_only, an example without any reward and any change is not emitted and gets no number.
 */
#include "attribution/inner.h"

/* rewards sums an example's items' cells and sets their changes; false when all of them are zero. */
static bool
rewards(const struct aft_joiner *j, const struct aft_touch *t, const int64_t *deltas,
        struct aft_item_credit *out)
{
    bool any = false;
    memset(out, 0, t->items * sizeof *out);
    for (const struct aft_cell *c = aft_index_cells(&j->index, t->cells); c;
         c = aft_index_cells(&j->index, c->next))
        if (c->kind != AFT_CELL_CLICK)
            out[c->item].reward_micro =
                (int64_t)((uint64_t)out[c->item].reward_micro + (uint64_t)c->micro);
    for (uint32_t i = 0; (t->cells || deltas) && i < t->items; i++) {
        out[i].delta_micro = deltas ? deltas[i] : 0;
        any |= out[i].reward_micro != 0 || out[i].delta_micro != 0;
    }
    return any;
}

/* components of one item, by the names of their kinds (a kind's index is its rank), none zero. */
static bool
components(struct aft_joiner *j, const struct aft_touch *t, uint32_t item,
           struct aft_item_credit *out)
{
    struct aft_component *c = NULL;
    uint32_t n = 0;
    uint8_t kinds[AFT_COMPONENTS_MAX];
    for (const struct aft_cell *cell = aft_index_cells(&j->index, t->cells); cell;
         cell = aft_index_cells(&j->index, cell->next)) {
        if (cell->item != item || cell->kind == AFT_CELL_CLICK || cell->unit == 0)
            continue;
        if (!c && !(c = aft_arena_take(&j->scratch, j->config.kinds_n * sizeof *c)))
            return false;
        uint32_t at = n++;
        for (; at > 0 && kinds[at - 1] > cell->kind; at--) {
            kinds[at] = kinds[at - 1];
            c[at] = c[at - 1];
        }
        kinds[at] = cell->kind;
        c[at] = (struct aft_component){aft_text(j->config.kinds[cell->kind].name), cell->unit};
    }
    out->components = c;
    out->components_n = n;
    return true;
}

/* ---- the long way: an impression whose lists stand in several blocks is decoded and written anew */
static bool
items(struct aft_joiner *j, const struct aft_impression *v, const struct aft_item_credit *credit,
      struct aft_example *x)
{
    struct aft_example_item *to = aft_arena_take(&j->scratch, (v->slate_n + 1) * sizeof *to);
    if (!to)
        return false;
    for (uint32_t i = 0; i < v->slate_n; i++) {
        const struct aft_shown *s = &v->slate[i];
        to[i] = (struct aft_example_item){.arm_id = s->arm_id,
                                          .slot = s->slot,
                                          .propensity = s->propensity,
                                          .marginal = s->marginal,
                                          .has_marginal = s->has_marginal,
                                          .features = s->features,
                                          .raw_features = s->raw_features,
                                          .reward_micro = credit[i].reward_micro,
                                          .delta_micro = credit[i].delta_micro,
                                          .components = credit[i].components,
                                          .components_n = credit[i].components_n};
    }
    x->items = to;
    x->items_n = v->slate_n;
    return true;
}

static struct aft_example
example_of(const struct aft_impression *v)
{
    return (struct aft_example){.decision_id = v->decision_id,
                                .user_id = v->user_id,
                                .timestamp_ms = v->timestamp_ms,
                                .policy = v->policy,
                                .snapshot = v->snapshot,
                                .propensity_kind = v->propensity_kind,
                                .context = v->context,
                                .candidates = v->candidates,
                                .candidates_n = v->candidates_n,
                                .has_design = v->has_design,
                                .design = v->design,
                                .raw_context = v->raw_context,
                                .raw_candidates = v->raw_candidates,
                                .raw_design = v->raw_design};
}

static enum aft_err
encode_decoded(struct aft_joiner *j, const struct aft_splice *s, struct aft_bytes body,
               struct aft_error *e)
{
    struct aft_impression v;
    AFT_TRY(aft_decode_impression(body, &j->scratch, &v, e));
    if (v.slate_n != s->items_n) /* its note in the segment says otherwise */
        return AFT_FAIL(e, AFT_E_CORRUPT, "an impression of the state has %u items, not %u",
                        v.slate_n, s->items_n);
    struct aft_example x = example_of(&v);
    x.seq = s->seq;
    x.phase = s->phase;
    x.fire_ms = s->fire_ms;
    x.cause = s->cause;
    if (!items(j, &v, s->items, &x))
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "an example is too large for its memory: raise no limit, report it");
    aft_encode_example(&j->example, &x);
    return AFT_OK;
}

static enum aft_err
encode(struct aft_joiner *j, const struct aft_splice *s, const struct aft_touch *t,
       struct aft_error *e)
{
    struct aft_redo_record rec;
    AFT_TRY(aft_segments_read(&j->segments, aft_touch_place(t), &rec, e));
    aft_buffer_reset(&j->example);
    if (rec.kind == AFT_REDO_IMPRESSION && (aft_splice_example(&j->example, rec.payload, s) ||
                                            encode_decoded(j, s, rec.payload, e) == AFT_OK))
        return AFT_OK;
    return afti_unreadable(t, e);
}

enum aft_err
afti_emit(struct aft_joiner *j, enum aft_phase phase, int64_t fire, uint64_t touch,
          struct aft_bytes cause, const int64_t *deltas, struct aft_error *e)
{
    struct aft_item_credit credit[AFT_SHOWN_MAX];
    const struct aft_touch *t = aft_index_touch(&j->index, touch);
    if (j->replaying || (!rewards(j, t, deltas, credit) && j->config.emit_rewarded_only))
        return AFT_OK;
    struct aft_splice s = {.seq = j->seq,
                           .phase = phase,
                           .fire_ms = fire,
                           .cause = cause,
                           .items = credit,
                           .items_n = t->items};
    aft_arena_reset(&j->scratch);
    for (uint32_t i = 0; t->cells && i < t->items; i++)
        if (!components(j, t, i, &credit[i]))
            return AFT_FAIL(e, AFT_E_LIMIT,
                            "an example is too large for its memory: raise no limit, report it");
    AFT_TRY(encode(j, &s, t, e));
    j->hash = aft_hash128(aft_buffer_bytes(&j->example), j->hash);
    j->seq++;
    j->counts.examples++;
    return j->out.example(j->out.ctx, s.seq, aft_buffer_bytes(&j->example), j->hash, e);
}
