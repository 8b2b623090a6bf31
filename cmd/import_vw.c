/* import_vw.c - the second reading of VW's text or JSON: an event -> an Example record (OPEN, with its reward, of one item).
 *
 * Invariants: I1 seq is 0, 1, 2 .. over the examples that are written. I2 no two candidates of an example have one id.
 * An event's time is its dsjson's Timestamp, else a second after the one before it: VW's text has none. Its id is the tag of its
 * shared line (of its line without --cb_adf), in dsjson its EventId, else "vw-" and its number in the file. What cannot be imported
 * is told, with its line, and counted. One thread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/import_inner.h"
#include "wire/wire_avro.h"

enum { TOLD_MAX = 10, IDS = 4096, SECOND_MS = 1000 };

struct id_seen {
    uint64_t hash, event;
};

struct event {
    uint64_t line;          /* its first */
    bool open, bad, shared; /* bad: told already; to be passed over */
    struct aft_buffer context, candidates;
    uint32_t n;
    uint32_t costs, sure;      /* labels with a cost; and with a probability above 0 */
    struct aft_vw_label label; /* the last of these, else of those */
    char chosen[AFT_ID_BYTES_MAX + 1], id[AFT_ID_BYTES_MAX + 1];
    uint32_t chosen_n, id_n;
    int64_t timestamp_ms;
    double pass; /* with which probability it was kept */
};

struct reading {
    struct import *m;
    struct import_lines lines;
    struct import_cache cache;
    struct aft_arena arena;
    struct aft_file_writer *out;
    struct aft_buffer body, raw;
    struct aft_vw_json json;
    struct event event;
    int64_t last_ms, fire_ms; /* the time of the event before; never goes back */
    struct id_seen ids[IDS];
    uint64_t told;
};

/* The event at hand is passed over: told (the first few), counted; an error under --strict. */
static enum aft_err
pass_over(struct reading *r, enum import_count why, struct aft_error *e)
{
    char message[sizeof e->message];
    memcpy(message, e->message, sizeof message);
    r->event.bad = true;
    r->m->counts[why]++;
    if (r->m->strict)
        return AFT_FAIL(e, AFT_E_MALFORMED, "%s:%llu: %.300s", r->lines.path,
                        (unsigned long long)r->lines.number, message);
    if (r->told++ < TOLD_MAX)
        fprintf(stderr, "%s:%llu: %s; the event is left out\n", r->lines.path,
                (unsigned long long)r->lines.number, message);
    if (r->told == TOLD_MAX)
        fputs("more like that follow; their numbers stand at the end\n", stderr);
    return AFT_OK;
}

static enum import_count
reason(const struct aft_error *e)
{
    return e->code == AFT_E_LIMIT ? IMPORT_LIMIT : IMPORT_MALFORMED;
}

static uint32_t
copy_id(char to[AFT_ID_BYTES_MAX + 1], struct aft_bytes id)
{
    uint32_t n = (uint32_t)(id.n < AFT_ID_BYTES_MAX ? id.n : AFT_ID_BYTES_MAX);
    if (n)
        memcpy(to, id.p, n);
    to[n] = 0;
    return n;
}

static enum aft_err
read_features(struct reading *r, const struct aft_vw_line *l, struct aft_features *f,
              struct aft_error *e)
{
    AFT_TRY(aft_vw_features(l->features, &r->m->filter, &r->arena, f, e));
    return import_scale(r->m, &r->arena, f, e);
}

/* ---- arms */
/* An action that was not met before: its features, encoded, and the id that they make. */
static enum aft_err
read_action(struct reading *r, const struct aft_vw_line *l, struct aft_hash128 key,
            const struct import_kept **out, struct aft_error *e)
{
    struct aft_features f;
    char id[AFT_ID_BYTES_MAX + 1];
    uint32_t n = 0;
    AFT_TRY(read_features(r, l, &f, e));
    if (r->m->arms == IMPORT_ARMS_LINE)
        n = import_line_id(l->features, f, id);
    if (r->m->arms == IMPORT_ARMS_SPACE && (n = import_space_id(r->m, f, id)) == 0)
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "this action has no feature in namespace \"%s\", which names the arms",
                        r->m->arm_space);
    aft_buffer_reset(&r->raw);
    aft_vw_put_features(&r->raw, f);
    *out = import_cache_put(&r->cache, key, (struct aft_bytes){(const uint8_t *)id, n},
                            aft_buffer_bytes(&r->raw));
    return AFT_OK;
}

/* I2: an id that the event has already gets its place behind it. */
static uint32_t
single_out(struct reading *r, char id[AFT_ID_BYTES_MAX + 1], uint32_t n)
{
    uint64_t hash = aft_hash64((struct aft_bytes){(const uint8_t *)id, n}, 0);
    uint64_t now = r->m->events + 1;
    uint32_t i = (uint32_t)hash % IDS;
    while (r->ids[i].event == now && r->ids[i].hash != hash)
        i = (i + 1) % IDS;
    if (r->ids[i].event == now) {
        uint32_t keep = n < AFT_ID_BYTES_MAX - 8 ? n : AFT_ID_BYTES_MAX - 8;
        return keep + (uint32_t)snprintf(id + keep, 9, "#%u", r->event.n + 1);
    }
    r->ids[i] = (struct id_seen){hash, now};
    return n;
}

static enum aft_err
name_action(struct reading *r, const struct aft_vw_line *l, const struct import_kept *k,
            char id[AFT_ID_BYTES_MAX + 1], uint32_t *n, struct aft_error *e)
{
    if (r->m->arms == IMPORT_ARMS_TAG) {
        *n = copy_id(id, l->tag);
        if (*n == 0)
            return AFT_FAIL(e, AFT_E_MALFORMED,
                            "this action has no tag, which names the arms: write 'NAME before the "
                            "'|', or choose another --arm-id");
    } else if (r->m->arms == IMPORT_ARMS_PLACE) {
        *n = (uint32_t)snprintf(id, AFT_ID_BYTES_MAX + 1, "%u", r->event.n + 1);
    } else {
        *n = copy_id(id, (struct aft_bytes){r->cache.bytes.p + k->id_at, k->id_n});
    }
    *n = single_out(r, id, *n);
    return AFT_OK;
}

static void
choose(struct event *v, const struct aft_vw_label *l, const char *id, uint32_t n)
{
    bool sure = l->has_cost && l->has_probability && l->probability > 0;
    v->costs += l->has_cost;
    v->sure += sure;
    if (!l->has_cost || (v->sure && !sure)) /* the cost of what was not taken */
        return;
    v->label = *l;
    v->chosen_n = copy_id(v->chosen, (struct aft_bytes){(const uint8_t *)id, n});
}

/* ---- lines */
static enum aft_err
take_context(struct reading *r, const struct aft_vw_line *l, struct aft_error *e)
{
    struct aft_features f;
    AFT_TRY(read_features(r, l, &f, e));
    aft_buffer_reset(&r->event.context);
    aft_vw_put_features(&r->event.context, f);
    r->event.id_n = copy_id(r->event.id, l->tag);
    return AFT_OK;
}

static enum aft_err
take_shared(struct reading *r, const struct aft_vw_line *l, struct aft_error *e)
{
    if (r->event.shared || r->event.n)
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "a shared line inside an event: put an empty line before it");
    r->event.shared = true;
    return take_context(r, l, e);
}

static enum aft_err
take_action(struct reading *r, const struct aft_vw_line *l, struct aft_error *e)
{
    struct event *v = &r->event;
    struct aft_hash128 key = aft_hash128(l->features, (struct aft_hash128){0});
    const struct import_kept *k = import_cache_find(&r->cache, key);
    char id[AFT_ID_BYTES_MAX + 1];
    uint32_t n = 0;
    if (v->n == AFT_CANDIDATES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "more than %u actions in one event", AFT_CANDIDATES_MAX);
    if (l->labels_n > 1)
        return AFT_FAIL(e, AFT_E_MALFORMED, "two labels on the line of one action: keep one");
    if (!k)
        AFT_TRY(read_action(r, l, key, &k, e));
    AFT_TRY(name_action(r, l, k, id, &n, e));
    aft_vw_put_candidate(&v->candidates, (struct aft_bytes){(const uint8_t *)id, n},
                         (struct aft_bytes){r->cache.bytes.p + k->raw_at, k->raw_n});
    v->n++;
    if (l->labels_n)
        choose(v, &l->labels[0], id, n);
    return AFT_OK;
}

/* Without --cb_adf: the label names the actions that there were, or the one of 1 .. K that was taken. */
static enum aft_err
take_single(struct reading *r, const struct aft_vw_line *l, struct aft_error *e)
{
    struct event *v = &r->event;
    uint32_t n = l->labels_n > 1 ? l->labels_n : r->m->actions;
    AFT_TRY(take_context(r, l, e));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t action = l->labels_n > 1 ? l->labels[i].action : i + 1;
        char id[AFT_ID_BYTES_MAX + 1];
        uint32_t id_n = (uint32_t)snprintf(id, sizeof id, "%u", action);
        if (action < 1 || action > r->m->actions)
            return AFT_FAIL(e, AFT_E_MALFORMED, "action %u: actions of --cb %u are 1 to %u", action,
                            r->m->actions, r->m->actions);
        id_n = single_out(r, id, id_n);
        aft_vw_put_candidate(&v->candidates, (struct aft_bytes){(const uint8_t *)id, id_n},
                             AFT_LITERAL("\0"));
        v->n++;
        for (uint32_t k = 0; k < l->labels_n; k++)
            if (l->labels[k].action == action && (l->labels_n == 1 || k == i))
                choose(v, &l->labels[k], id, id_n);
    }
    if (l->labels_n == 1 && l->labels[0].has_cost && v->costs == 0)
        return AFT_FAIL(e, AFT_E_MALFORMED, "action %u: actions of --cb %u are 1 to %u",
                        l->labels[0].action, r->m->actions, r->m->actions);
    return AFT_OK;
}

/* ---- an event's end */
static enum aft_err
write_example(struct reading *r, double reward, double propensity, struct aft_error *e)
{
    struct event *v = &r->event;
    char id[32];
    int n = snprintf(id, sizeof id, "vw-%llu", (unsigned long long)r->m->events);
    struct aft_bytes name = v->id_n ? (struct aft_bytes){(const uint8_t *)v->id, v->id_n}
                                    : (struct aft_bytes){(const uint8_t *)id, (size_t)n};
    struct aft_buffer *c = &v->candidates;
    struct aft_example_item item = {.arm_id = {(const uint8_t *)v->chosen, v->chosen_n},
                                    .propensity = propensity,
                                    .raw_features = AFT_LITERAL("\0"), /* the candidate has them */
                                    .reward_micro = (int64_t)nearbyint(reward * AFT_MICRO)};
    item.delta_micro = item.reward_micro;
    struct aft_example x = {
        .seq = r->m->examples_n, /* I1 */
        .phase = AFT_OPEN,
        .fire_ms = r->fire_ms,
        .decision_id = name,
        .user_id = name,
        .timestamp_ms = v->timestamp_ms,
        .has_design =
            v->pass<
                1, .design = {.kind = AFT_LITERAL("vw"), .k = 1, .pass = v->pass, .has_pass = true},
                .policy = AFT_LITERAL("vw"), .propensity_kind = propensity> 0
                ? AFT_PROPENSITY_EXACT
                : AFT_PROPENSITY_UNKNOWN,
        .raw_context = aft_buffer_bytes(&v->context),
        .items = &item,
        .items_n = 1};
    /* the count of the list goes before its candidates: they were put behind room for it */
    aft_put_long(c, 0);
    aft_buffer_reset(&r->raw);
    aft_put_long(&r->raw, v->n);
    aft_put_raw(&r->raw, aft_buffer_bytes(c));
    x.raw_candidates = aft_buffer_bytes(&r->raw);
    aft_buffer_reset(&r->body);
    aft_encode_example(&r->body, &x);
    r->m->examples_n++;
    return aft_file_append(r->out, &(struct aft_file_record){.body = aft_buffer_bytes(&r->body)},
                           e);
}

static enum aft_err
judge(struct reading *r, struct aft_error *e)
{
    struct event *v = &r->event;
    const struct import *m = r->m;
    double reward = (-v->label.cost - m->low) / (m->high - m->low);
    double p = v->label.has_probability ? v->label.probability : 0;
    if (p > 1 && p <= 1 + 1e-6)
        p = 1; /* rounded by who printed it */
    if (v->n == 0) {
        aft_error_set(e, AFT_E_MALFORMED, __FILE__, __LINE__, "a shared line without actions");
        return pass_over(r, IMPORT_MALFORMED, e);
    }
    if (v->costs == 0) {
        r->m->counts[IMPORT_UNLABELLED]++;
        return AFT_OK;
    }
    if (v->sure ? v->sure > 1 : v->costs > 1) {
        aft_error_set(e, AFT_E_MALFORMED, __FILE__, __LINE__,
                      "%u actions of the event that ends here have a cost%s: one was taken",
                      v->sure ? v->sure : v->costs, v->sure ? " and a probability" : "");
        return pass_over(r, IMPORT_LABELS, e);
    }
    if (!(p >= 0 && p <= 1)) {
        aft_error_set(e, AFT_E_VALUE, __FILE__, __LINE__,
                      "the probability %g of the event that ends here is not in (0, 1]: log the "
                      "one with which the action was taken",
                      p);
        return pass_over(r, IMPORT_PROBABILITY, e);
    }
    if (!(reward >= 0 && reward <= 1)) {
        aft_error_set(e, AFT_E_VALUE, __FILE__, __LINE__,
                      "reward %g (= -cost) is outside --reward-range %g..%g: widen it",
                      -v->label.cost, m->low, m->high);
        return pass_over(r, IMPORT_COST, e);
    }
    r->m->counts[IMPORT_NO_SUPPORT] += p == 0;
    return write_example(r, reward, p, e);
}

static enum aft_err
end_event(struct reading *r, struct aft_error *e)
{
    struct event *v = &r->event;
    if (!v->open)
        return AFT_OK;
    enum aft_err err = v->bad ? AFT_OK : judge(r, e);
    r->m->events++;
    return err;
}

/* Without a time of its own it is a second after the one before. */
static void
begin_event(struct reading *r, const struct aft_vw_json *json)
{
    struct event *v = &r->event;
    *v = (struct event){.line = r->lines.number,
                        .open = true,
                        .timestamp_ms =
                            json && json->has_time ? json->timestamp_ms : r->last_ms + SECOND_MS,
                        .pass = json && json->has_pass ? json->pass : 1,
                        .context = v->context,
                        .candidates = v->candidates};
    if (v->timestamp_ms > r->fire_ms)
        r->fire_ms = v->timestamp_ms;
    r->last_ms = v->timestamp_ms;
    aft_buffer_reset(&v->context);
    aft_buffer_reset(&v->candidates);
    aft_put_long(&v->context, 0); /* no features, until a shared line brings some */
}

/* A line of the event that is open. */
static enum aft_err
take_head(struct reading *r, const struct aft_vw_line *l, struct aft_error *e)
{
    if (r->m->single && l->kind == AFT_VW_SHARED)
        return AFT_FAIL(e, AFT_E_MALFORMED, "a shared line, which --cb K has none of: --cb_adf?");
    return r->m->single               ? take_single(r, l, e)
           : l->kind == AFT_VW_SHARED ? take_shared(r, l, e)
                                      : take_action(r, l, e);
}

static enum aft_err
close_event(struct reading *r, struct aft_error *e)
{
    AFT_TRY(end_event(r, e));
    r->event.open = false;
    return AFT_OK;
}

static enum aft_err
take_text(struct reading *r, struct aft_bytes text, struct aft_error *e)
{
    struct aft_vw_line l;
    aft_arena_reset(&r->arena);
    enum aft_err err = aft_vw_head(text, &r->arena, &l, e);
    if (err == AFT_OK && l.kind == AFT_VW_BLANK)
        return close_event(r, e);
    if (!r->event.open || r->m->single)
        begin_event(r, NULL);
    if (r->event.bad)
        return AFT_OK;
    if (err == AFT_OK)
        err = take_head(r, &l, e);
    if (err != AFT_OK)
        AFT_TRY(pass_over(r, reason(e), e));
    return r->m->single ? close_event(r, e) : AFT_OK;
}

static enum aft_err
json_lines(struct reading *r, struct aft_error *e)
{
    for (uint32_t i = 0; i < r->json.lines_n; i++) {
        struct aft_vw_line l;
        aft_arena_reset(&r->arena);
        AFT_TRY(aft_vw_head(aft_vw_json_text(&r->json, i), &r->arena, &l, e));
        l.tag = aft_vw_json_tag(&r->json, i);
        AFT_TRY(take_head(r, &l, e));
    }
    return AFT_OK;
}

/* A line of JSON is an event. */
static enum aft_err
take_json(struct reading *r, struct aft_bytes line, struct aft_error *e)
{
    AFT_TRY(close_event(r, e));
    enum aft_err err = aft_vw_json_read(line, r->m->json == IMPORT_DSJSON, &r->json, e);
    if (err == AFT_OK && r->json.lines_n == 0) {
        r->m->events++;
        r->m->counts[IMPORT_SKIPPED]++;
        return AFT_OK;
    }
    begin_event(r, &r->json);
    if (err == AFT_OK)
        err = json_lines(r, e);
    if (err != AFT_OK)
        AFT_TRY(pass_over(r, reason(e), e));
    return close_event(r, e);
}

static enum aft_err
take_line(struct reading *r, struct aft_bytes line, struct aft_error *e)
{
    if (aft_vw_json_is(line))
        return take_json(r, line, e);
    if (r->m->json != IMPORT_DSJSON || line.n == 0)
        return take_text(r, line, e);
    r->m->counts[IMPORT_SKIPPED]++; /* so does VW */
    return AFT_OK;
}

static enum aft_err
read_events(struct reading *r, struct aft_error *e)
{
    struct aft_bytes line;
    bool end = false;
    for (;;) {
        AFT_TRY(import_lines_next(&r->lines, &line, &end, e));
        if (end)
            break;
        r->m->lines++;
        AFT_TRY(take_line(r, line, e));
    }
    return end_event(r, e);
}

static enum aft_err
nothing(const struct reading *r, struct aft_error *e)
{
    const struct import *m = r->m;
    const char *also = m->counts[IMPORT_SKIPPED]
                           ? "; VW, too, passes over such JSON (it has _skipLearn, or no \"a\")"
                       : m->events && m->counts[IMPORT_UNLABELLED] == m->events
                           ? "; none has a label, so none says what was taken"
                           : "";
    return AFT_FAIL(e, AFT_E_MALFORMED,
                    "%s: not one of %llu events could be imported%s: lines like \"0:-1:0.25 |ns "
                    "feature:1\" are wanted, an empty line between events, or lines of VW's JSON",
                    r->lines.path, (unsigned long long)m->events, also);
}

static enum aft_err
write_all(struct reading *r, struct aft_error *e)
{
    struct aft_error second;
    AFT_TRY(aft_file_create(r->m->examples, AFT_RECORD_EXAMPLE, false, &r->out, e));
    enum aft_err err = read_events(r, e);
    enum aft_err closed = aft_file_finish(r->out, err == AFT_OK ? e : &second);
    err = err == AFT_OK ? closed : err;
    if (err == AFT_OK && r->m->examples_n == 0)
        err = nothing(r, e);
    if (err != AFT_OK)
        cmd_discard(r->m->examples);
    return err;
}

enum aft_err
import_vw(struct import *m, struct aft_error *e)
{
    struct reading *r = calloc(1, sizeof *r);
    AFT_ASSERT(r);
    r->m = m;
    r->last_ms = -SECOND_MS;
    r->fire_ms = 0;
    aft_arena_init(&r->arena, 64 << 20);
    import_cache_init(&r->cache);
    enum aft_err err = import_lines_open(&r->lines, m->source, e);
    if (err == AFT_OK)
        err = import_survey(m, &r->lines, e);
    if (err == AFT_OK)
        err = write_all(r, e);
    import_lines_close(&r->lines);
    import_cache_deinit(&r->cache);
    aft_arena_deinit(&r->arena);
    aft_buffer_deinit(&r->body);
    aft_buffer_deinit(&r->raw);
    aft_buffer_deinit(&r->json.bytes);
    aft_buffer_deinit(&r->event.context);
    aft_buffer_deinit(&r->event.candidates);
    free(r);
    return err;
}
