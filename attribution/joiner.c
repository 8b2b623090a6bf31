/* joiner.c - the public face: open, take, tick, run, look. What happens inside is inner.h's table.
 *
 * Invariants: I1 events are processed in ascending (e, log, offset), each once, also across restarts: what is at or before the place of
 * the last commit is passed over when it is read again; I2 timers before `fired` have fired, and no event below it is processed later.
 */
#include <stdlib.h>

#include "attribution/inner.h"

enum { ARENA_BYTES = 256 << 20, IDS_AHEAD = 3, TOUCH_AHEAD = 2, RECORD_AHEAD = 1 };

void *
afti_grow(void *p, size_t size, size_t want, size_t *cap)
{
    if (want <= *cap)
        return p;
    size_t n = *cap ? *cap : 64;
    while (n < want)
        n *= 2;
    p = realloc(p, n * size);
    AFT_ASSERT(p != NULL);
    *cap = n;
    return p;
}

enum aft_err
aft_joiner_open(const struct aft_join_config *config, const struct aft_join_identity *identity,
                struct aft_store *store, const struct aft_join_out *out, struct aft_joiner **joiner,
                struct aft_error *e)
{
    AFT_TRY(afti_config_check(config, e));
    struct aft_joiner *j = calloc(1, sizeof *j);
    AFT_ASSERT(j != NULL);
    struct aft_log_mark start = {0, AFTI_NONE, AFTI_NONE, 0};
    j->config = *config;
    afti_config_sort(&j->config);
    aft_join_config_digest(config, &j->config_digest);
    size_t n = strlen(identity->app_id) + 1;
    j->app_id = malloc(n);
    AFT_ASSERT(j->app_id != NULL);
    memcpy(j->app_id, identity->app_id, n);
    j->partition = identity->partition;
    j->store = store;
    j->out = *out;
    j->place_e = j->fired = AFTI_NONE;
    j->hold = INT64_MAX;
    aft_arena_init(&j->arena, ARENA_BYTES);
    aft_arena_init(&j->scratch, ARENA_BYTES);
    for (int i = 0; i < 2; i++)
        afti_log_init(&j->logs[i], config->disorder_ms, start);
    aft_index_init(&j->index, 0, 0);
    afti_timers_init(&j->timers, 0);
    aft_segments_init(&j->segments, store, 1, AFTI_HOLD_BYTES);
    enum aft_err failed = afti_recover(j, e);
    if (failed) {
        aft_joiner_close(j);
        return failed;
    }
    for (int i = 0; i < 2; i++)
        j->resume.next_offset[i] = j->logs[i].now.next_offset;
    j->resume.next_seq = j->seq;
    j->resume.hash = j->hash;
    j->resume.rider = aft_buffer_bytes(&j->rider);
    *joiner = j;
    return AFT_OK;
}

void
aft_joiner_resume(const struct aft_joiner *j, struct aft_join_resume *out)
{
    *out = j->resume;
}

void
aft_joiner_close(struct aft_joiner *j)
{
    if (!j)
        return;
    for (int i = 0; i < 2; i++)
        afti_log_deinit(&j->logs[i]);
    aft_index_deinit(&j->index);
    aft_segments_deinit(&j->segments);
    afti_timers_deinit(&j->timers);
    aft_arena_deinit(&j->arena);
    aft_arena_deinit(&j->scratch);
    aft_buffer_deinit(&j->example);
    aft_buffer_deinit(&j->bytes);
    aft_buffer_deinit(&j->waited);
    aft_buffer_deinit(&j->cut_record);
    aft_buffer_deinit(&j->rider);
    aft_step_deinit(&j->step);
    free(j->ledger.credit);
    free(j->taken_back.credit);
    free(j->found);
    free(j->change);
    free(j->ranked);
    free(j->wipe);
    free(j->app_id);
    free(j);
}

/* ---- taking */

/* survey: of an impression, at a glance or, where it is refused or of a rare form, by decoding it. */
static enum aft_err
survey(struct aft_joiner *j, struct aft_bytes body, struct aft_survey *out, struct aft_error *e)
{
    struct aft_impression i;
    if (body.n > AFT_IMPRESSION_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT,
                        "an impression of %zu bytes, at most %u: log fewer features", body.n,
                        AFT_IMPRESSION_BYTES_MAX);
    if (aft_survey_impression(body, out))
        return AFT_OK;
    AFT_TRY(aft_decode_impression(body, &j->scratch, &i, e));
    *out = (struct aft_survey){i.decision_id, i.user_id, i.timestamp_ms, i.deferred, i.slate_n};
    return AFT_OK;
}

/* read_event fills what order and machine need to know of a record. */
static enum aft_err
read_event(struct aft_joiner *j, enum aft_log_kind log, struct aft_bytes body, struct afti_event *v,
           struct aft_error *e)
{
    aft_arena_reset(&j->scratch);
    v->body = body;
    if (log == AFT_IMPRESSIONS) {
        struct aft_survey i;
        AFT_TRY(survey(j, body, &i, e));
        v->ts = i.timestamp_ms;
        v->deferred = i.deferred;
        v->items = (uint8_t)i.slate_n;
        v->id = aft_id_of(i.decision_id);
        v->user = aft_id_of(i.user_id);
        AFT_INDEX_EXPECT_IMPRESSION(&j->index, v->id, v->user);
    } else {
        struct aft_outcome o;
        AFT_TRY(aft_decode_outcome(body, &j->scratch, &o, e));
        v->ts = o.timestamp_ms;
        v->deferred = false;
        v->items = 0;
        v->id = aft_id_of(o.outcome_id);
        v->user = aft_id_of(o.user_id);
        AFT_INDEX_EXPECT_OUTCOME(&j->index, v->id, v->user);
    }
    const int64_t most = INT64_C(1)
                         << 47; /* the year 6429: sums of times stay far inside 64 bits */
    if (v->ts < 0 || v->ts > most)
        return AFT_FAIL(e, AFT_E_VALUE,
                        "timestamp %lld is no time in milliseconds since 1970: send that",
                        (long long)v->ts);
    return AFT_OK;
}

static enum aft_err
take_erasure(struct aft_joiner *j, enum aft_log_kind log, int64_t offset, struct aft_bytes key,
             struct aft_error *e)
{
    struct afti_log *l = &j->logs[log];
    struct afti_event *v = afti_log_next(l);
    *v = (struct afti_event){.chain = v->chain, .offset = offset, .ts = AFTI_NONE};
    if (log != AFT_IMPRESSIONS || key.n == 0) {
        afti_log_pass(l, offset, AFTI_NONE);
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "a null value erases the user in its key, on the impressions alone: "
                        "give it a key, and send it there");
    }
    v->user = aft_id_of(key);
    v->e = afti_log_effective(l, AFTI_NONE);
    if (v->e == AFTI_NONE || afti_passed(j, log, v->e, offset))
        afti_log_pass(l, offset,
                      AFTI_NONE); /* nothing was shown before it, or it is done already */
    else
        afti_log_add(l);
    return AFT_OK;
}

enum aft_err
aft_joiner_take(struct aft_joiner *j, enum aft_log_kind log, int64_t offset,
                int64_t log_timestamp_ms, struct aft_bytes key, struct aft_bytes body,
                struct aft_error *e)
{
    struct afti_log *l = &j->logs[log];
    struct afti_event *v = afti_log_next(l);
    AFT_ASSERT(offset >= l->now.next_offset);
    afti_log_reached(l, offset);
    if (!body.p)
        return take_erasure(j, log, offset, key, e);
    v->offset = offset;
    enum aft_err failed = read_event(j, log, body, v, e);
    if (failed) {
        afti_log_pass(l, offset, AFTI_NONE);
        return failed;
    }
    if (v->ts > log_timestamp_ms && v->ts - log_timestamp_ms > j->config.max_future_ms) {
        l->now.future++;
        afti_log_pass(l, offset, AFTI_NONE);
        return AFT_FAIL(
            e, AFT_E_VALUE,
            "future: timestamp %lld is %lld ms ahead of the log's, more than join.max.future: "
            "set the sender's clock",
            (long long)v->ts, (long long)(v->ts - log_timestamp_ms));
    }
    v->e = afti_log_effective(l, v->ts);
    if (afti_passed(j, log, v->e, offset))
        afti_log_pass(l, offset, v->ts);
    else
        afti_log_add(l);
    return AFT_OK;
}

void
aft_joiner_tick(struct aft_joiner *j, enum aft_log_kind log, int64_t at_offset,
                int64_t watermark_ms)
{
    afti_log_tick(&j->logs[log], at_offset, watermark_ms);
}

void
aft_joiner_reached(struct aft_joiner *j, enum aft_log_kind log, int64_t next_offset)
{
    afti_log_reached(&j->logs[log], next_offset);
}

/* ---- running */

/* expect: what the outcomes to come will meet is on its way from memory while this one is worked on: first the outcome itself and the
 * places of its ids (their hints of when it was taken are long forgotten), then its user's newest touch, then that touch's record. */
static void
expect(struct aft_joiner *j)
{
    const struct afti_log *l = &j->logs[AFT_OUTCOMES];
    const struct afti_event *v = afti_log_ahead(l, IDS_AHEAD);
    uint64_t n;
    if (v) {
        __builtin_prefetch(v->body.p);
        AFT_INDEX_EXPECT_OUTCOME(&j->index, v->id, v->user);
    }
    v = afti_log_ahead(l, TOUCH_AHEAD);
    if (v && aft_index_newest(&j->index, v->user, &n))
        AFT_INDEX_EXPECT_TOUCH(&j->index, n);
    v = afti_log_ahead(l, RECORD_AHEAD);
    if (v && aft_index_newest(&j->index, v->user, &n))
        AFT_SEGMENTS_EXPECT(&j->segments, aft_touch_place(aft_index_touch(&j->index, n)));
}

/* What was read again after a start comes behind what the state has processed, unless it is not the same log. */
static enum aft_err
other_log(const struct aft_joiner *j, enum aft_log_kind log, const struct afti_event *v,
          struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_CORRUPT,
                    "offset %lld of the %s is an event of time %lld, but the state has gone up to "
                    "%lld: topic and state do not belong together (was the topic made anew?); "
                    "restore a checkpoint, or start with an empty state directory",
                    (long long)v->offset, log == AFT_OUTCOMES ? "outcomes" : "impressions",
                    (long long)v->e, (long long)j->fired);
}

static enum aft_err
process(struct aft_joiner *j, enum aft_log_kind log, struct aft_error *e)
{
    uint32_t event;
    struct afti_event *v = afti_log_take(&j->logs[log], &event);
    AFT_INVARIANT(I1, !afti_passed(j, log, v->e, v->offset));
    if (v->e < j->fired) {
        enum aft_err failed = other_log(j, log, v, e);
        afti_log_done(&j->logs[log], event);
        return failed;
    }
    AFT_TRY(afti_timers_run(j, v->e, e));
    aft_arena_reset(&j->arena);
    if (v->body.p && v->e != v->ts)
        j->counts.late++;
    if (log == AFT_OUTCOMES) {
        j->counts.outcomes++;
        expect(j);
        AFT_TRY(afti_outcome(j, v, e));
    } else if (v->body.p) {
        j->counts.impressions++;
        AFT_TRY(afti_impression(j, v, e));
    } else {
        AFT_TRY(afti_erase(j, v, e));
    }
    j->place_e = v->e;
    j->place_log = (uint8_t)log;
    j->place_offset = v->offset;
    afti_log_done(&j->logs[log], event);
    return AFT_OK;
}

/* first_of says which log's first event comes next; false when none is below the frontier. */
static bool
first_of(const struct aft_joiner *j, int64_t frontier, enum aft_log_kind *log)
{
    const struct afti_key *a = afti_log_first(&j->logs[0]), *b = afti_log_first(&j->logs[1]);
    if (!a && !b)
        return false;
    *log = !b || (a && a->e <= b->e) ? AFT_IMPRESSIONS : AFT_OUTCOMES;
    return (*log == AFT_IMPRESSIONS ? a : b)->e < frontier;
}

enum aft_err
aft_joiner_run(struct aft_joiner *j, struct aft_error *e)
{
    if (j->broken.code)
        return *e = j->broken, e->code;
    int64_t a = afti_log_watermark(&j->logs[0]), b = afti_log_watermark(&j->logs[1]);
    int64_t frontier = a < b ? a : b;
    frontier = frontier < j->hold ? frontier : j->hold;
    enum aft_log_kind log;
    enum aft_err failed = AFT_OK;
    while (!failed && first_of(j, frontier, &log))
        failed = process(j, log, e);
    if (!failed && frontier > j->fired) {
        failed = afti_timers_run(j, frontier, e);
        j->fired = frontier;
    }
    if (failed)
        j->broken = *e;
    return failed;
}

void
aft_joiner_hold(struct aft_joiner *j, int64_t until_ms)
{
    j->hold = until_ms;
}

/* ---- looking */

int64_t
aft_joiner_time(const struct aft_joiner *j)
{
    return j->fired;
}

int64_t
aft_joiner_watermark(const struct aft_joiner *j, enum aft_log_kind log)
{
    return afti_log_watermark(&j->logs[log]);
}

size_t
aft_joiner_waiting(const struct aft_joiner *j, enum aft_log_kind log)
{
    return (size_t)(j->logs[log].tail - j->logs[log].head);
}

void
aft_joiner_disorder(const struct aft_joiner *j, enum aft_log_kind log, struct aft_disorder *out)
{
    *out = j->logs[log].disorder;
}

enum aft_log_kind
aft_joiner_behind(const struct aft_joiner *j)
{
    return afti_log_watermark(&j->logs[0]) <= afti_log_watermark(&j->logs[1]) ? AFT_IMPRESSIONS
                                                                              : AFT_OUTCOMES;
}

void
aft_joiner_counts(const struct aft_joiner *j, struct aft_join_counts *out)
{
    *out = j->counts;
    out->future = j->logs[0].now.future + j->logs[1].now.future;
    out->open = (int64_t)j->index.live;
    out->counts.waiting = 0;
    for (uint64_t n = j->index.waiting_head; n < j->index.waiting_tail; n++)
        out->counts.waiting += aft_index_waiting(&j->index, n)->live;
}

void
aft_joiner_memory_of(const struct aft_joiner *j, struct aft_join_memory *out)
{
    *out = (struct aft_join_memory){.touches = aft_index_touch_memory(&j->index),
                                    .segments = aft_segments_memory(&j->segments),
                                    .waiting = afti_log_memory(&j->logs[0]) +
                                               afti_log_memory(&j->logs[1])};
    out->outcomes = aft_index_memory(&j->index) - out->touches;
}

int64_t
aft_join_accounted(const struct aft_join_counts *c)
{
    int64_t sum = c->counts.waiting;
#define X(name) sum += c->fates.name;
    AFT_FATES(X)
#undef X
    return sum;
}

uint64_t
aft_joiner_memory(const struct aft_joiner *j)
{
    struct aft_join_memory m;
    aft_joiner_memory_of(j, &m);
    return sizeof *j + m.touches + m.outcomes + m.segments + m.waiting + j->example.cap +
           j->bytes.cap + j->cut_record.cap + j->found_cap * sizeof *j->found +
           j->ranked_cap * sizeof *j->ranked + j->timers.late_cap * sizeof *j->timers.late;
}

size_t
aft_joiner_uncommitted(const struct aft_joiner *j)
{
    return j->segments.fresh;
}
