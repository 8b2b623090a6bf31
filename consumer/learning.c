/* learning.c - the learner as a client of the examples topic: life and steps.
 *
 *   EPOCH -> rounds, acknowledged -> the newest snapshot -> the rounds after it, up to our EPOCH -> work:
 *   examples of all partitions in; now and then a ROUND into the journal, read back, learned, published if it says so.
 *
 * One thread. A step that fails with a RETRY error may be repeated; after any other one it is closed.
 */
#include "consumer/learning_inner.h"

#include <stdlib.h>

#define EXAMPLES_BATCH 32u
#define FINISH_STEPS 3000
#define REFUSED_SAID_MS 60000
#define FINISH_WAIT_MS 20

/* ---- life */
static enum aft_err
parts_open(struct aft_learning *l, struct aft_error *e)
{
    struct aft_schema_port nobody = {0};
    AFT_TRY(aft_learner_new(aft_config_learner(l->o.config), &l->learner, e));
    AFT_TRY(aft_decoder_new(AFT_RECORD_ROUND, nobody, &l->round_decoder, e));
    AFT_TRY(aft_decoder_new(AFT_RECORD_EXAMPLE_BLOCK, nobody, &l->block_decoder, e));
    AFT_TRY(aft_decoder_new(AFT_RECORD_SNAPSHOT, nobody, &l->snapshot_decoder, e));
    return aft_signing_key(l->o.config, l->signing_key, &l->has_signing_key, e);
}

enum aft_err
aft_learning_open(const struct aft_learning_options *o, struct aft_learning **out,
                  struct aft_error *e)
{
    struct aft_learning *l = calloc(1, sizeof *l);
    AFT_ASSERT(l != NULL && o->partitions > 0);
    const struct aft_config *c = o->config;
    int64_t interval = aft_config_int(c, "snapshot.interval"),
            full = aft_config_int(c, "snapshot.full.interval");
    size_t n = (size_t)o->partitions;
    l->o = *o;
    l->epoch = l->journal_epoch = -1;
    l->rounds_topic = aft_config_text(c, "topics.rounds");
    l->examples_topic = aft_config_text(c, "topics.examples");
    l->snapshots_topic = aft_config_text(c, "topics.snapshots");
    l->model = aft_config_text(c, "snapshot.model");
    l->round_interval_ms = aft_config_int(c, "learner.round.interval");
    l->round_max = (uint64_t)aft_config_int(c, "learner.round.max");
    l->publish_interval_ms = interval < full ? interval : full;
    l->full_interval_ms = full;
    l->delta_from = (uint64_t)aft_config_int(c, "snapshot.delta.from");
    l->keep = (uint32_t)aft_config_int(c, "snapshot.keep");
    l->box = afti_outbox_new();
    l->rounds = aft_rounds_new((uint32_t)n);
    l->set = aft_snapshot_set_new();
    aft_snapshot_set_no_pins(l->set);
    l->examples = calloc(n, sizeof(struct aft_log_reader *));
    l->at_end = calloc(n, sizeof *l->at_end);
    l->ends = calloc(n, sizeof *l->ends);
    l->asking = calloc(n, sizeof *l->asking);
    AFT_ASSERT(l->examples && l->at_end && l->ends && l->asking);
    for (size_t p = 0; p < n; p++)
        l->ends[p].partition = (int32_t)p;
    aft_arena_init(&l->arena, 64u << 20);
    enum aft_err err = parts_open(l, e);
    if (err != AFT_OK) {
        aft_learning_close(l);
        return err;
    }
    *out = l;
    return AFT_OK;
}

void
aft_learning_close(struct aft_learning *l)
{
    if (!l)
        return;
    const struct aft_log_ops *ops = l->o.log->ops;
    for (int32_t p = 0; p < l->o.partitions; p++)
        if (l->examples[p])
            ops->reader_close(l->examples[p]);
    if (l->journal)
        ops->reader_close(l->journal);
    if (l->snapshots)
        ops->reader_close(l->snapshots);
    aft_decoder_free(l->round_decoder);
    aft_decoder_free(l->block_decoder);
    aft_decoder_free(l->snapshot_decoder);
    afti_rounds_forget(l);
    afti_outbox_close(l->box);
    aft_learner_free(l->learner);
    aft_rounds_free(l->rounds);
    aft_snapshot_set_free(l->set);
    afti_keys_deinit(&l->keys);
    aft_arena_deinit(&l->arena);
    aft_buffer_deinit(&l->value);
    free(l->examples);
    free(l->at_end);
    free(l->ends);
    free(l->asking);
    free(l);
}

/* ---- becoming the one who learns */
static enum aft_err
readers_open(struct aft_learning *l, struct aft_error *e)
{
    struct aft_log *log = l->o.log;
    int64_t begin;
    if (!l->snapshots) {
        AFT_TRY(
            log->ops->range(log, l->snapshots_topic, 0, &l->snapshots_next, &l->snapshots_end, e));
        AFT_TRY(
            log->ops->reader_open(log, l->snapshots_topic, 0, l->snapshots_next, &l->snapshots, e));
    }
    if (!l->journal) {
        AFT_TRY(log->ops->range(log, l->rounds_topic, 0, &l->journal_next, &begin, e));
        AFT_TRY(log->ops->reader_open(log, l->rounds_topic, 0, l->journal_next, &l->journal, e));
    }
    return AFT_OK;
}

static enum aft_err
work_begin(struct aft_learning *l, struct aft_error *e)
{
    for (int32_t p = 0; p < l->o.partitions; p++)
        if (!l->examples[p])
            AFT_TRY(l->o.log->ops->reader_open(l->o.log, l->examples_topic, p,
                                               l->ends[p].next_offset, &l->examples[p], e));
    int64_t now = l->o.clock.monotonic_ms(l->o.clock.ctx);
    l->last_round_ms = now - l->round_interval_ms;
    l->last_publish_ms = now - l->publish_interval_ms;
    l->phase = AFTI_LEARNING_WORK;
    return AFT_OK;
}

static enum aft_err
own_step(struct aft_learning *l, int timeout_ms, struct aft_error *e)
{
    uint32_t n;
    bool at_end = false;
    switch (l->phase) {
    case AFTI_LEARNING_EPOCH:
        AFT_TRY(afti_learning_epoch_send(l, e));
        l->phase = AFTI_LEARNING_EPOCH_WAIT;
        return AFT_OK;
    case AFTI_LEARNING_EPOCH_WAIT:
        l->o.log->ops->poll(l->o.log, l->box->epoch_offset < 0 ? timeout_ms : 0);
        if (l->box->epoch_offset < 0)
            return AFT_OK;
        l->epoch = l->box->epoch_offset;
        AFT_TRY(readers_open(l, e));
        l->phase = AFTI_LEARNING_SNAPSHOT;
        return AFT_OK;
    case AFTI_LEARNING_SNAPSHOT:
        AFT_TRY(afti_snapshots_read(l, timeout_ms, &at_end, e));
        if (!at_end && l->snapshots_next < l->snapshots_end)
            return AFT_OK;
        AFT_TRY(afti_restore(l, e));
        l->phase = AFTI_LEARNING_JOURNAL;
        return AFT_OK;
    case AFTI_LEARNING_JOURNAL:
        AFT_TRY(afti_journal_read(l, timeout_ms, &n, e));
        return l->journal_next > l->epoch ? work_begin(l, e) : AFT_OK;
    case AFTI_LEARNING_WORK:
        break;
    }
    AFT_NEVER();
}

/* ---- examples in */
/* What aft_rounds_block found no block: nothing of ours, or bytes that changed on their way. */
static enum aft_err
no_block(struct aft_learning *l, int32_t p, int64_t offset, struct aft_error *e)
{
    struct aft_error why = *e;
    aft_rounds_ends(l->rounds, l->asking);
    return AFT_FAIL(e, AFT_E_CORRUPT,
                    "%s partition %d offset %lld is no block of examples, where seq %llu was "
                    "expected (%.160s): the record was changed, or something else writes to this "
                    "topic",
                    l->examples_topic, p, (long long)offset,
                    (unsigned long long)l->asking[p].next_seq, why.message);
}

static enum aft_err
block_in(struct aft_learning *l, int32_t p, const struct aft_record_in *r, struct aft_error *e)
{
    struct aft_bytes body;
    aft_arena_reset(&l->arena);
    enum aft_err err = aft_decoder_body(l->block_decoder, r->value, &l->arena, &body, e);
    if (err == AFT_OK)
        err = aft_rounds_block(l->rounds, p, r->offset, body, e);
    if (err != AFT_OK && aft_err_class(err) == AFT_CLASS_DATA)
        return no_block(l, p, r->offset, e);
    return err;
}

/* One read of every partition, unless enough waits already; all that a round in hand needs is read in any case. */
static enum aft_err
examples_in(struct aft_learning *l, bool *busy, struct aft_error *e)
{
    struct aft_record_in batch[EXAMPLES_BATCH];
    const struct afti_round *next = afti_round_next(l);
    bool needed = next && !aft_rounds_ready(l->rounds, next->ends, next->ends_n);
    if (!needed && aft_rounds_pending(l->rounds) >= 2 * l->round_max)
        return AFT_OK;
    for (int32_t p = 0; p < l->o.partitions; p++) {
        uint32_t n = 0;
        AFT_TRY(
            l->o.log->ops->read(l->examples[p], batch, EXAMPLES_BATCH, 0, &n, &l->at_end[p], e));
        for (uint32_t i = 0; i < n; i++)
            AFT_TRY(block_in(l, p, &batch[i], e));
        *busy = *busy || n > 0;
    }
    return AFT_OK;
}

/* ---- rounds */

/* Where a snapshot of this round says that examples go on: at the record before the round's end, not behind it, since that one
 * says which epoch is in force there. Never backwards. A function of the journal alone. */
static void
ends_after(struct aft_learning *l, const struct afti_round *r)
{
    aft_rounds_learned(l->rounds, l->asking);
    for (uint32_t i = 0; i < r->ends_n; i++) {
        int32_t p = r->ends[i].partition;
        struct aft_end *end = &l->ends[p];
        end->next_seq = l->asking[p].next_seq;
        end->hash = l->asking[p].hash;
        if (r->ends[i].next_offset - 1 > end->next_offset)
            end->next_offset = r->ends[i].next_offset - 1;
    }
}

/* What was refused is in the counters; once a minute the last of it is named. */
static void
say_refused(struct aft_learning *l)
{
    int64_t now = l->o.clock.monotonic_ms(l->o.clock.ctx);
    struct aft_error why;
    if (l->refused_said_ms && now - l->refused_said_ms < REFUSED_SAID_MS)
        return;
    for (int32_t p = 0; p < l->o.partitions; p++) {
        if (!aft_learner_refused(l->learner, (uint32_t)p, &why))
            continue;
        aft_say("warn", "learner", "round %lld refused %s", (long long)l->round, why.message);
        l->refused_said_ms = now;
        return;
    }
}

static enum aft_err
learn_next(struct aft_learning *l, bool *busy, struct aft_error *e)
{
    struct afti_round *r = afti_round_next(l);
    if (!r || l->publishing || !aft_rounds_ready(l->rounds, r->ends, r->ends_n))
        return AFT_OK;
    AFT_INVARIANT(L1, r->round == l->round + 1);
    AFT_TRY(afti_round_learn(l, r, e));
    ends_after(l, r);
    l->round = r->round;
    say_refused(l);
    l->publishing = r->publish != AFT_PUBLISH_NONE;
    l->publish = r->publish;
    afti_round_done(l);
    *busy = true;
    return AFT_OK;
}

static enum aft_err
ask_for_round(struct aft_learning *l, struct aft_error *e)
{
    int64_t now = l->o.clock.monotonic_ms(l->o.clock.ctx);
    uint64_t pending = aft_rounds_pending(l->rounds);
    if (l->round_on_its_way || afti_round_next(l) || l->publishing)
        return AFT_OK;
    bool publish_due = now - l->last_publish_ms >= l->publish_interval_ms;
    bool unpublished = publish_due && l->round > l->published_round;
    if (pending == 0 && !unpublished)
        return AFT_OK;
    if (pending < l->round_max && now - l->last_round_ms < l->round_interval_ms)
        return AFT_OK;
    return afti_round_send(l, publish_due ? afti_publish_due(l) : AFT_PUBLISH_NONE, e);
}

static enum aft_err
work_step(struct aft_learning *l, int timeout_ms, bool *busy, struct aft_error *e)
{
    uint32_t n;
    *busy = false;
    AFT_TRY(examples_in(l, busy, e));
    AFT_TRY(learn_next(l, busy, e));
    if (l->publishing)
        AFT_TRY(afti_publish(l, e));
    AFT_TRY(ask_for_round(l, e));
    AFT_TRY(afti_journal_read(l, *busy ? 0 : timeout_ms, &n, e));
    *busy = *busy || n > 0;
    return AFT_OK;
}

enum aft_err
aft_learning_step(struct aft_learning *l, int timeout_ms, bool *busy, struct aft_error *e)
{
    *busy = true;
    l->o.log->ops->poll(l->o.log, 0);
    AFT_TRY(afti_outbox_failed(l->box, e));
    return l->phase == AFTI_LEARNING_WORK ? work_step(l, timeout_ms, busy, e)
                                          : own_step(l, timeout_ms, e);
}

/* ---- the end */
static bool
all_read(const struct aft_learning *l)
{
    for (int32_t p = 0; p < l->o.partitions; p++)
        if (!l->at_end[p])
            return false;
    return l->phase == AFTI_LEARNING_WORK;
}

enum aft_err
aft_learning_finish(struct aft_learning *l, struct aft_error *e)
{
    bool busy;
    for (int i = 0; i < FINISH_STEPS; i++) {
        bool idle = l->phase == AFTI_LEARNING_WORK && !l->round_on_its_way && !l->publishing &&
                    !afti_round_next(l);
        uint64_t pending = aft_rounds_pending(l->rounds);
        if (idle && all_read(l)) {
            if (pending == 0 && l->round == l->published_round && l->since.deltas == 0)
                return AFT_OK;
            AFT_TRY(afti_round_send(l, AFT_PUBLISH_FULL, e));
        }
        AFT_TRY(aft_learning_step(l, FINISH_WAIT_MS, &busy, e));
    }
    return AFT_FAIL(
        e, AFT_E_TIMEOUT,
        "the last round was not learned within %d steps; the next start goes on from the journal",
        FINISH_STEPS);
}

void
aft_learning_status(const struct aft_learning *l, struct aft_learning_status *out)
{
    *out = (struct aft_learning_status){.epoch = l->epoch,
                                        .round = l->round,
                                        .snapshots = l->snapshots_n,
                                        .last_snapshot_round = l->published_round,
                                        .deltas = l->deltas_n,
                                        .snapshot_bytes = l->published_bytes,
                                        .full_bytes = l->full_bytes,
                                        .delta_bytes = l->delta_bytes,
                                        .pending = aft_rounds_pending(l->rounds)};
    aft_learner_stats(l->learner, &out->learner);
    struct aft_arm_status arm;
    for (uint32_t i = 0; i < AFT_LEARNING_ARMS && aft_learner_arm(l->learner, i, &arm); i++) {
        size_t n =
            arm.arm_id.n < sizeof out->arms[i].id ? arm.arm_id.n : sizeof out->arms[i].id - 1;
        memcpy(out->arms[i].id, arm.arm_id.p, n);
        out->arms[i].exposures = arm.exposures;
    }
    aft_learner_digest(l->learner, &out->digest);
}
