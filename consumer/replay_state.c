/* replay_state.c - a state that was there beforehand (state.dir, a checkpoint) beside what is computed again.
 *
 * In: the stores, read alone; the replay's joiner when it has come to the time that the state had gone to at its last commit (P3). There
 * the two are compared. The state then goes on from its own offsets and journal positions, in memory, to the ends of the logs, and is
 * compared again: so that where it would go on from is right too. Out: the first difference, by its decision's or outcome's id.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "consumer/replay_inner.h"

enum { STEP_MS = 200, STILL_STEPS = 150, NAME_BATCH = 64, NAME_ARENA_BYTES = 64 << 20 };

/* ---- which there are */
static enum aft_err
path_of(struct afti_replay *r, int32_t partition, char out[AFTI_PATH_MAX], struct aft_error *e)
{
    if (!r->o.state)
        return afti_state_path(r->o.config, partition, "", out, e);
    if (snprintf(out, AFTI_PATH_MAX, "%s/%d", r->o.state, partition) >= AFTI_PATH_MAX - 16)
        return AFT_FAIL(e, AFT_E_USAGE, "--state: %.80s... is too long a path", r->o.state);
    return AFT_OK;
}

static enum aft_err
look(struct afti_replay *r, int32_t partition, struct aft_error *e)
{
    struct afti_beside *b = &r->beside[partition];
    struct stat s;
    AFT_TRY(path_of(r, partition, b->path, e));
    if (stat(b->path, &s) != 0 && errno == ENOENT)
        return AFT_OK;
    if (afti_state_held(b->path)) {
        b->held = AFT_HELD_BUSY;
        return AFT_OK;
    }
    return aft_store_rocksdb_look(b->path, &b->store, e);
}

enum aft_err
afti_beside_look(struct afti_replay *r, struct aft_error *e)
{
    bool any = false;
    r->beside = calloc((size_t)r->result->parts_n, sizeof *r->beside);
    AFT_ASSERT(r->beside != NULL);
    if (!r->o.verify || r->o.into || (r->o.archived && !r->o.state))
        return AFT_OK;
    for (int32_t p = 0; p < r->result->parts_n; p++) {
        AFT_TRY(look(r, p, e));
        any = any || r->beside[p].store || r->beside[p].held == AFT_HELD_BUSY;
    }
    return any || !r->o.state
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_FAILED,
                          "--state %.200s holds no state of these partitions: want directories "
                          "named 0, 1, 2 ... in it, as checkpoint create makes them",
                          r->o.state);
}

void
afti_beside_close(struct afti_replay *r)
{
    for (int32_t p = 0; r->beside && p < r->result->parts_n; p++)
        if (r->beside[p].store)
            r->beside[p].store->ops->close(r->beside[p].store);
    free(r->beside);
    r->beside = NULL;
}

/* ---- the partition at hand */
static enum aft_err
nowhere(void *ctx, uint64_t seq, struct aft_bytes body, struct aft_hash128 hash_after,
        struct aft_error *e)
{
    (void)ctx, (void)seq, (void)body, (void)hash_after, (void)e;
    return AFT_OK; /* the chain's hash is compared at the end */
}

enum aft_err
afti_beside_open(struct afti_replay *r, struct aft_error *e)
{
    struct afti_beside *b = &r->beside[r->partition];
    struct aft_join_out out = {NULL, nowhere};
    struct aft_task_options o = {.config = r->o.config,
                                 .log = r->log,
                                 .store = b->store,
                                 .clock = r->o.clock,
                                 .partition = r->partition,
                                 .schemas = r->o.schemas,
                                 .owner = "replay",
                                 .examples = &out};
    struct aft_error why;
    r->part->held = b->held;
    r->part->held_ms = INT64_MIN;
    if (!b->store)
        return AFT_OK;
    enum aft_err err = aft_task_open(&o, &b->task, &why);
    if (err != AFT_OK)
        return AFT_FAIL(e, err, "the state in %.160s: %.220s", b->path, why.message);
    b->time_ms = aft_joiner_time(b->task->joiner);
    r->part->held_ms = b->time_ms;
    aft_joiner_hold(r->task->joiner, b->time_ms);
    return AFT_OK;
}

void
afti_beside_done(struct afti_replay *r)
{
    struct afti_beside *b = r->beside ? &r->beside[r->partition] : NULL;
    if (!b || !b->task)
        return;
    aft_task_close(b->task);
    r->log->ops->poll(r->log, 0);
    b->task = NULL;
}

/* A handle reads a partition once at a time (log.h): who is done makes room for the next. */
static void
readers_close(struct aft_task *t)
{
    struct aft_log_reader **readers[] = {&t->in[0].reader, &t->in[1].reader, &t->clock};
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        if (*readers[i])
            t->o.log->ops->reader_close(*readers[i]);
        *readers[i] = NULL;
    }
}

/* ---- the first difference */
/* The state knows outcomes by the hash of their ids: which record of the topic has it? "" when none that can be read. */
static void
outcome_named(struct afti_replay *r, struct aft_hash128 hash, const struct aft_record_in *in,
              struct aft_arena *arena)
{
    struct aft_outcome o;
    struct aft_error untold;
    struct aft_bytes body;
    aft_arena_reset(arena);
    if (!in->value.p ||
        aft_decoder_headed(r->task->in[AFT_OUTCOMES].decoder, aft_schema_header(in), in->value,
                           arena, &body, &untold) != AFT_OK ||
        aft_decode_outcome(body, arena, &o, &untold) != AFT_OK ||
        !aft_same_id(aft_id_of(o.outcome_id), hash))
        return;
    snprintf(r->result->outcome_id, sizeof r->result->outcome_id, "%.*s", (int)o.outcome_id.n,
             (const char *)o.outcome_id.p);
}

static void
outcome_find(struct afti_replay *r, struct aft_hash128 hash)
{
    struct aft_log_reader *reader;
    struct aft_record_in in[NAME_BATCH];
    struct aft_arena arena;
    struct aft_error untold;
    int64_t next = r->begin[AFT_OUTCOMES];
    bool at_end = false;
    readers_close(r->task);
    readers_close(r->beside[r->partition].task);
    if (r->log->ops->reader_open(r->log, r->task->in[AFT_OUTCOMES].topic, r->partition, next,
                                 &reader, &untold) != AFT_OK)
        return;
    aft_arena_init(&arena, NAME_ARENA_BYTES);
    for (int still = 0; next < r->end[AFT_OUTCOMES] && !at_end && still < STILL_STEPS &&
                        !r->result->outcome_id[0];) {
        uint32_t n = 0;
        if (r->log->ops->read(reader, in, NAME_BATCH, STEP_MS, &n, &at_end, &untold) != AFT_OK)
            break;
        for (uint32_t i = 0; i < n; i++) {
            outcome_named(r, hash, &in[i], &arena);
            next = in[i].offset + 1;
        }
        still = n ? 0 : still + 1;
    }
    aft_arena_deinit(&arena);
    r->log->ops->reader_close(reader);
}

static enum aft_err
diverged(struct afti_replay *r, const char *when, struct aft_error *e)
{
    struct aft_replay_result *out = r->result;
    const struct aft_join_difference *d = &out->state;
    char what[AFT_ID_BYTES_MAX + 64];
    out->diverged = out->of_state = true;
    out->partition = r->partition;
    out->seq = 0;
    r->part->held = AFT_HELD_DIFFERS;
    snprintf(out->field, sizeof out->field, "%s", d->field);
    snprintf(out->decision_id, sizeof out->decision_id, "%s", d->id);
    if (d->of == AFT_DIFFERENCE_OUTCOME)
        outcome_find(r, d->hash);
    const char *id = d->of == AFT_DIFFERENCE_OUTCOME ? out->outcome_id : d->id;
    const char *kind = d->of == AFT_DIFFERENCE_OUTCOME ? "outcome" : "decision";
    if (d->of == AFT_DIFFERENCE_WHOLE)
        snprintf(what, sizeof what, "all of it");
    else if (id[0])
        snprintf(what, sizeof what, "%s %.80s", kind, id);
    else
        snprintf(what, sizeof what, "%s of hash %08" PRIx64 "%016" PRIx64, kind, d->hash.high,
                 d->hash.low);
    return AFT_FAIL(e, AFT_E_DIVERGENCE,
                    "partition %d, the state in %.100s %s: %s: %s is %s there, computed again %s",
                    r->partition, r->beside[r->partition].path, when, what, d->field, d->value[1],
                    d->value[0]);
}

static enum aft_err
compare(struct afti_replay *r, const char *when, struct aft_error *e)
{
    struct afti_beside *b = &r->beside[r->partition];
    struct aft_join_difference *d = &r->result->state;
    struct aft_error why;
    AFT_TRY(afti_replay_commit(r, e));
    enum aft_err err = aft_joiner_compare(r->task->joiner, b->task->joiner, r->numbered, d, &why);
    if (err != AFT_OK)
        return AFT_FAIL(e, err, "the state in %.160s: %.220s", b->path, why.message);
    if (d->differs)
        return diverged(r, when, e);
    r->part->held = AFT_HELD_SAME;
    r->part->held_decisions += d->decisions;
    r->part->held_outcomes += d->outcomes;
    return AFT_OK;
}

/* P3 */
enum aft_err
afti_beside_meet(struct afti_replay *r, struct aft_error *e)
{
    struct afti_beside *b = &r->beside[r->partition];
    struct aft_joiner *j = r->task->joiner;
    int64_t a = aft_joiner_watermark(j, AFT_IMPRESSIONS), o = aft_joiner_watermark(j, AFT_OUTCOMES);
    if (!b->task || b->met || (a < o ? a : o) < b->time_ms)
        return AFT_OK;
    b->met = true;
    AFT_TRY(aft_joiner_run(j, e));
    AFT_INVARIANT(P3, aft_joiner_time(j) == b->time_ms);
    aft_joiner_hold(j, INT64_MAX);
    if (!r->numbered && (r->warm_ms == INT64_MIN || b->time_ms < r->warm_ms)) {
        r->part->held = AFT_HELD_EARLY;
        return AFT_OK;
    }
    return compare(r, "as of its last commit", e);
}

/* ---- going on */
static enum aft_err
go_on(struct afti_replay *r, struct aft_error *e)
{
    struct aft_task *t = r->beside[r->partition].task;
    uint64_t seq;
    int still = 0;
    readers_close(r->task);
    AFT_TRY(afti_replay_clock(t, t->rider.clock_offset, e));
    AFT_TRY(afti_inputs_open(t, e));
    while (!afti_replay_read(t, r->end)) {
        AFT_TRY(afti_replay_step(r, t, &still, e));
        AFT_TRY(aft_joiner_run(t->joiner, e));
    }
    for (int log = 0; r->o.archived && log < 2; log++)
        aft_joiner_reached(t->joiner, (enum aft_log_kind)log, INT64_MAX);
    AFT_TRY(aft_joiner_run(t->joiner, e));
    aft_joiner_cut(t->joiner, AFT_ABSENT, &seq); /* never committed: it wipes what is to be wiped */
    return AFT_OK;
}

enum aft_err
afti_beside_end(struct afti_replay *r, struct aft_error *e)
{
    struct afti_beside *b = &r->beside[r->partition];
    struct aft_error why;
    if (!b->task || r->part->held == AFT_HELD_EARLY)
        return AFT_OK;
    if (!b->met && r->o.until_ms != INT64_MAX) {
        r->part->held = AFT_HELD_LATE;
        return AFT_OK;
    }
    if (!b->met) {
        int64_t now = aft_joiner_time(r->task->joiner);
        struct aft_join_difference *d = &r->result->state;
        *d = (struct aft_join_difference){.differs = true, .of = AFT_DIFFERENCE_WHOLE};
        snprintf(d->field, sizeof d->field, "time reached");
        snprintf(d->value[0], sizeof d->value[0], "%" PRId64, now);
        snprintf(d->value[1], sizeof d->value[1], "%" PRId64, b->time_ms);
        return diverged(r, "as of its last commit", e);
    }
    if (r->o.until_ms != INT64_MAX || b->task->fresh)
        return AFT_OK;
    enum aft_err err = go_on(r, &why);
    if (err != AFT_OK)
        return AFT_FAIL(e, err, "the state in %.160s, going on from there: %.200s", b->path,
                        why.message);
    return compare(r, "gone on from there to the ends of the logs", e);
}
