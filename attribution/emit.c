/* emit.c - an example: the impression as it was received, with the credit so far and what changed; numbered and chained.
 *
 * hash after n + 1 examples = aft_hash128(body of example n, hash after n), starting from {0, 0}.
 * With emit_rewarded_only, an example without any reward and any change is not emitted and gets no number.
 */
#include "attribution/inner.h"

/* rewards sums an example's items' cells; false when all rewards and changes are zero. */
static bool
rewards(const struct aft_joiner *j, uint64_t touch, const int64_t *deltas,
        int64_t out[AFT_SHOWN_MAX])
{
    bool any = false;
    memset(out, 0, AFT_SHOWN_MAX * sizeof *out);
    for (const struct aft_cell *c =
             aft_index_cells(&j->index, aft_index_touch(&j->index, touch)->cells);
         c; c = aft_index_cells(&j->index, c->next))
        if (c->kind != AFT_CELL_CLICK)
            out[c->item] = (int64_t)((uint64_t)out[c->item] + (uint64_t)c->micro);
    for (uint32_t i = 0; i < AFT_SHOWN_MAX; i++)
        any |= out[i] != 0 || (deltas && deltas[i] != 0);
    return any;
}

/* components of one item, by the names of their kinds (a kind's index is its rank), none zero. */
static bool
components(struct aft_joiner *j, uint64_t touch, uint32_t item, struct aft_example_item *out)
{
    struct aft_component *c = NULL;
    uint32_t n = 0;
    uint8_t kinds[AFT_COMPONENTS_MAX];
    for (const struct aft_cell *cell =
             aft_index_cells(&j->index, aft_index_touch(&j->index, touch)->cells);
         cell; cell = aft_index_cells(&j->index, cell->next)) {
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

static bool
items(struct aft_joiner *j, uint64_t touch, const struct aft_impression *v, const int64_t *deltas,
      const int64_t *reward, struct aft_example *x)
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
                                          .reward_micro = reward[i],
                                          .delta_micro = deltas ? deltas[i] : 0};
        if (!components(j, touch, i, &to[i]))
            return false;
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

enum aft_err
afti_emit(struct aft_joiner *j, enum aft_phase phase, int64_t fire, uint64_t touch,
          struct aft_bytes cause, const int64_t *deltas, struct aft_error *e)
{
    int64_t reward[AFT_SHOWN_MAX];
    struct aft_impression v;
    int64_t offset;
    if (j->replaying || (!rewards(j, touch, deltas, reward) && j->config.emit_rewarded_only))
        return AFT_OK;
    AFT_TRY(afti_impression_of(j, touch, &v, &offset, e));
    struct aft_example x = example_of(&v);
    x.seq = j->seq;
    x.phase = phase;
    x.fire_ms = fire;
    x.cause = cause;
    if (!items(j, touch, &v, deltas, reward, &x))
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "an example is too large for its memory: raise no limit, report it");
    aft_buffer_reset(&j->example);
    aft_encode_example(&j->example, &x);
    j->hash = aft_hash128(aft_buffer_bytes(&j->example), j->hash);
    j->seq++;
    j->counts.examples++;
    return j->out.example(j->out.ctx, x.seq, aft_buffer_bytes(&j->example), j->hash, e);
}
