/* import_survey.c - the first reading of VW's text: what the second one must know. And the cache of actions for that.
 *
 * An action of --cb_adf has no name. It gets the tag of its line if all have one; else, if lines repeat (each is met twice or
 * more on the average), what stands in the line is its identity; else its place in the event is all there is.
 * Lines that each have a label are no actions of one event, whatever empty lines stand between them.
 * A rewards' range that is not declared is [0, 1], [-1, 0] or [-1, 1] when that holds all rewards (= -cost), else what was met. */
#include <stdlib.h>
#include <string.h>

#include "cmd/import_inner.h"

enum { SLOTS = 1 << 18, KEPT_MAX = 1 << 16, KEPT_BYTES_MAX = 64 << 20 };

void
import_cache_init(struct import_cache *c)
{
    *c = (struct import_cache){.v = malloc(KEPT_MAX * sizeof *c->v),
                               .slots = calloc(SLOTS, sizeof *c->slots)};
    AFT_ASSERT(c->v && c->slots);
}

void
import_cache_deinit(struct import_cache *c)
{
    free(c->v);
    free(c->slots);
    aft_buffer_deinit(&c->bytes);
}

static uint32_t *
slot_of(const struct import_cache *c, struct aft_hash128 key)
{
    uint32_t i = (uint32_t)key.low % SLOTS;
    while (c->slots[i]) {
        const struct import_kept *k = &c->v[c->slots[i] - 1];
        if (k->key.low == key.low && k->key.high == key.high)
            break;
        i = (i + 1) % SLOTS;
    }
    return &c->slots[i];
}

const struct import_kept *
import_cache_find(const struct import_cache *c, struct aft_hash128 key)
{
    uint32_t at = *slot_of(c, key);
    return at ? &c->v[at - 1] : NULL;
}

/* A full cache begins anew: it holds nothing that cannot be read again. */
const struct import_kept *
import_cache_put(struct import_cache *c, struct aft_hash128 key, struct aft_bytes id,
                 struct aft_bytes raw)
{
    if (c->n == KEPT_MAX || c->bytes.n + id.n + raw.n > KEPT_BYTES_MAX) {
        memset(c->slots, 0, SLOTS * sizeof *c->slots);
        c->n = 0;
        aft_buffer_reset(&c->bytes);
    }
    AFT_ASSERT(c->v);
    struct import_kept *k = &c->v[c->n];
    *k = (struct import_kept){key, (uint32_t)c->bytes.n, (uint32_t)id.n,
                              (uint32_t)(c->bytes.n + id.n), (uint32_t)raw.n};
    aft_put_raw(&c->bytes, id);
    aft_put_raw(&c->bytes, raw);
    *slot_of(c, key) = ++c->n;
    return k;
}

/* ---- the survey */
struct survey {
    struct import *m;
    struct import_cache seen;
    struct aft_arena arena;
    struct aft_vw_json json;
    bool gap, inner_gap; /* an empty line; one with lines behind it */
    bool several, bare;  /* two lines without an empty one between; a line without a label */
    bool zero;           /* a label for action 0, which --cb K has none of */
    bool shared, many;   /* many: more feature texts than the cache holds */
};

static void
note_space(struct import_spaces *s, struct aft_bytes name)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (aft_same(aft_text(s->v[i]), name))
            return;
    if (s->n == AFT_VW_NAMESPACES_MAX || name.n > IMPORT_NAME_MAX)
        return;
    if (name.n)
        memcpy(s->v[s->n], name.p, name.n);
    s->v[s->n++][name.n] = 0;
}

static void
note_costs(struct survey *s, const struct aft_vw_line *l)
{
    struct import *m = s->m;
    for (uint32_t i = 0; i < l->labels_n; i++) {
        const struct aft_vw_label *v = &l->labels[i];
        s->zero |= v->action == 0;
        if (v->action > m->actions && v->action <= AFT_CANDIDATES_MAX)
            m->actions = v->action;
        if (!v->has_cost)
            continue;
        bool first = m->labelled++ == 0;
        m->cost_low = first || v->cost < m->cost_low ? v->cost : m->cost_low;
        m->cost_high = first || v->cost > m->cost_high ? v->cost : m->cost_high;
    }
}

static void
note_action(struct survey *s, const struct aft_vw_line *l, bool tag)
{
    struct aft_hash128 key = aft_hash128(l->features, (struct aft_hash128){0});
    s->m->action_lines++;
    s->m->tagged += tag;
    if (s->many || import_cache_find(&s->seen, key))
        return;
    s->many = s->seen.n == KEPT_MAX - 1;
    import_cache_put(&s->seen, key, AFT_ABSENT, AFT_ABSENT);
    s->m->different++;
}

/* Lines are read whole where a value may be too large to be learned as it is. */
static void
note_large(struct survey *s, struct aft_bytes text)
{
    struct aft_features f;
    struct aft_error e;
    if (import_scale_may(text) &&
        aft_vw_features(text, &s->m->filter, &s->arena, &f, &e) == AFT_OK) /* else told later */
        import_scale_note(s->m, f);
}

static void
survey_text(struct survey *s, struct aft_bytes text, bool tag)
{
    struct aft_vw_line l;
    struct aft_error e;
    struct aft_bytes name;
    aft_arena_reset(&s->arena);
    if (aft_vw_head(text, &s->arena, &l, &e) != AFT_OK)
        return; /* the second reading says so */
    if (l.kind == AFT_VW_BLANK) {
        s->gap = s->m->action_lines > 0;
        return;
    }
    s->several |= s->m->action_lines > 0 && !s->gap;
    s->inner_gap |= s->gap;
    s->gap = false;
    s->shared |= l.kind == AFT_VW_SHARED;
    note_large(s, l.features);
    struct aft_bytes rest = l.features;
    while (aft_vw_namespace(&rest, &name))
        note_space(l.kind == AFT_VW_SHARED ? &s->m->shared : &s->m->own, name);
    if (l.kind == AFT_VW_SHARED)
        return;
    s->bare |= l.labels_n == 0;
    note_action(s, &l, tag || l.tag.n);
    note_costs(s, &l);
}

static void
survey_line(struct survey *s, struct aft_bytes line)
{
    struct aft_error e;
    if (!aft_vw_json_is(line)) {
        survey_text(s, line, false);
        return;
    }
    if (s->m->json == IMPORT_FOUND_OUT)
        s->m->json = aft_vw_json_ds(line) ? IMPORT_DSJSON : IMPORT_JSON;
    if (aft_vw_json_read(line, s->m->json == IMPORT_DSJSON, &s->json, &e) != AFT_OK)
        return; /* the second reading says so */
    for (uint32_t i = 0; i < s->json.lines_n; i++)
        survey_text(s, aft_vw_json_text(&s->json, i), aft_vw_json_tag(&s->json, i).n);
}

static void
conclude(struct import *m, const struct survey *s)
{
    double low = -m->cost_high, high = -m->cost_low;
    uint32_t declared = m->actions;
    if (!m->single && !m->adf)
        m->adf = s->shared || s->zero ||
                 (s->inner_gap && s->several && s->bare && m->json == IMPORT_FOUND_OUT);
    m->single = !m->adf;
    m->actions = m->single ? declared : 0;
    if (!m->has_range) {
        m->low = low >= 0 && high <= 1 ? 0 : low >= -1 && high <= 1 ? -1 : low;
        m->high = low >= -1 && high <= 0 ? 0 : low >= -1 && high <= 1 ? 1 : high;
        m->high += m->high == m->low ? 1 : 0;
    }
    bool repeat = !s->many && m->action_lines >= 2 * m->different;
    if (m->arms == IMPORT_ARMS_AUTO)
        m->arms = m->action_lines && m->tagged == m->action_lines ? IMPORT_ARMS_TAG
                  : repeat                                        ? IMPORT_ARMS_LINE
                                                                  : IMPORT_ARMS_PLACE;
    if (m->single) /* the label names them, and what a line holds is the context */
        m->shared = m->own;
    if (m->single)
        m->own.n = 0;
    import_scale_conclude(m);
}

enum aft_err
import_survey(struct import *m, struct import_lines *l, struct aft_error *e)
{
    struct survey s = {.m = m};
    enum aft_err err;
    struct aft_bytes line;
    bool end = false;
    import_scale_begin(m);
    import_cache_init(&s.seen);
    aft_arena_init(&s.arena, 16 << 20);
    while ((err = import_lines_next(l, &line, &end, e)) == AFT_OK && !end)
        survey_line(&s, line);
    conclude(m, &s);
    import_cache_deinit(&s.seen);
    aft_arena_deinit(&s.arena);
    aft_buffer_deinit(&s.json.bytes);
    import_lines_rewind(l);
    return err;
}
