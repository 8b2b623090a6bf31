/* replay_model.c - the learner again: the rounds that count, in their order, over the examples that are published; every
 * snapshot that
 * a round publishes beside the one of that round in the snapshots topic, if it still stands there (the topic is compacted).
 *
 * In: rounds, examples, snapshots. Out: the model's digest; the first snapshot that differs. It is learning.c's own work
 * step, whose
 * appends go nowhere: what would have been published comes by here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumer/replay_inner.h"

enum { STEP_MS = 200, STILL_STEPS = 150, BATCH = 16, ARENA_BYTES = 64 << 20 };
enum { PAUSE_MS = 5, PAUSES_MAX = 3000 };

struct manifest {
    int64_t round, offset;
    struct aft_digest digest;
};

struct model {
    struct afti_replay *r;
    struct aft_learning *learning;
    struct aft_log *log; /* frozen, and looked at */
    struct aft_decoder *decoder;
    struct aft_arena arena;
    const char *topic, *name;
    struct manifest *published;
    size_t n, cap;
    bool ours; /* rounds are being learned: compare */
};

/* ---- what was published */
/* manifest_of: true when the record is the manifest of a set of our model, full or delta. What cannot be read is passed over, as
 * readers do. */
static bool
manifest_of(struct model *m, struct aft_bytes value, struct manifest *out)
{
    struct aft_error e;
    struct aft_bytes body;
    struct aft_snapshot_record r;
    aft_arena_reset(&m->arena);
    if (!value.p || aft_decoder_body(m->decoder, value, &m->arena, &body, &e) != AFT_OK ||
        aft_decode_snapshot(body, &m->arena, &r, &e) != AFT_OK)
        return false;
    if (!r.has_manifest || r.kind == AFT_SNAPSHOT_PIN || !aft_same(r.model, aft_text(m->name)))
        return false;
    *out = (struct manifest){.round = r.round, .digest = r.manifest.set_digest};
    return true;
}

static void
published_add(struct model *m, const struct aft_record_in *in)
{
    struct manifest one;
    if (!manifest_of(m, in->value, &one))
        return;
    one.offset = in->offset;
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->published = realloc(m->published, m->cap * sizeof *m->published);
        AFT_ASSERT(m->published != NULL);
    }
    m->published[m->n++] = one;
    m->r->result->snapshots_published++;
}

static enum aft_err
published_read(struct model *m, struct aft_error *e)
{
    struct aft_log_reader *reader;
    struct aft_record_in in[BATCH];
    int64_t next, end;
    bool at_end = false;
    enum aft_err err = AFT_OK;
    AFT_TRY(m->log->ops->range(m->log, m->topic, 0, &next, &end, e));
    if (next == end)
        return AFT_OK;
    AFT_TRY(m->log->ops->reader_open(m->log, m->topic, 0, next, &reader, e));
    for (int still = 0; err == AFT_OK && next < end && !at_end;) {
        uint32_t n = 0;
        err = m->log->ops->read(reader, in, BATCH, STEP_MS, &n, &at_end, e);
        for (uint32_t i = 0; err == AFT_OK && i < n; i++) {
            published_add(m, &in[i]);
            next = in[i].offset + 1;
        }
        still = n ? 0 : still + 1;
        if (err == AFT_OK && still == STILL_STEPS)
            err = AFT_FAIL(e, AFT_E_TIMEOUT, "%s: no answer; is the broker there?", m->topic);
    }
    m->log->ops->reader_close(reader);
    return err;
}

/* ---- what would be published now */
static enum aft_err
look(void *ctx, const struct aft_append *a, struct aft_error *e)
{
    struct model *m = ctx;
    struct manifest now;
    struct aft_replay_result *out = m->r->result;
    if (!m->r->o.verify || strcmp(a->topic, m->topic) != 0 || !manifest_of(m, a->value, &now))
        return AFT_OK;
    for (size_t i = 0; i < m->n; i++) {
        const struct manifest *then = &m->published[i];
        if (then->round != now.round)
            continue;
        out->snapshots_compared++;
        if (memcmp(then->digest.b, now.digest.b, sizeof now.digest.b) == 0)
            continue;
        out->diverged = true;
        out->partition = -1;
        out->seq = (uint64_t)now.round;
        snprintf(out->field, sizeof out->field, "set_digest");
        return AFT_FAIL(e, AFT_E_DIVERGENCE,
                        "%s offset %" PRId64 ", round %" PRId64
                        ": the digest published is %02x%02x%02x%02x..., computed again "
                        "%02x%02x%02x%02x...",
                        m->topic, then->offset, now.round, then->digest.b[0], then->digest.b[1],
                        then->digest.b[2], then->digest.b[3], now.digest.b[0], now.digest.b[1],
                        now.digest.b[2], now.digest.b[3]);
    }
    return AFT_OK;
}

/* ---- learning */
static enum aft_err
journal_whole(struct model *m, struct aft_error *e)
{
    struct aft_learning *l = m->learning;
    int64_t end;
    uint32_t n;
    int still = 0;
    AFT_TRY(m->log->ops->range(m->log, l->rounds_topic, 0, &l->journal_next, &end, e));
    AFT_TRY(m->log->ops->reader_open(m->log, l->rounds_topic, 0, l->journal_next, &l->journal, e));
    while (l->journal_next < end) {
        AFT_TRY(afti_journal_read(l, STEP_MS, &n, e));
        still = n ? 0 : still + 1;
        if (still == STILL_STEPS)
            return AFT_FAIL(e, AFT_E_TIMEOUT, "%s: no answer; is the broker there?",
                            l->rounds_topic);
    }
    m->r->result->rounds_n = (int64_t)(l->queue_n - l->queue_i);
    return AFT_OK;
}

static enum aft_err
examples_open(struct aft_learning *l, struct aft_error *e)
{
    for (int32_t p = 0; p < l->o.partitions; p++) {
        int64_t begin, end;
        AFT_TRY(l->o.log->ops->range(l->o.log, l->examples_topic, p, &begin, &end, e));
        AFT_TRY(
            l->o.log->ops->reader_open(l->o.log, l->examples_topic, p, begin, &l->examples[p], e));
    }
    l->phase = AFTI_LEARNING_WORK;
    return AFT_OK;
}

static enum aft_err
rounds_whole(struct model *m, struct aft_error *e)
{
    struct aft_learning *l = m->learning;
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    int still = 0;
    while (afti_round_next(l) || l->publishing) {
        bool busy = false, was_publishing = l->publishing;
        AFT_TRY(aft_learning_step(l, 0, &busy, e));
        m->r->result->rounds = l->round;
        if (m->r->o.progress)
            m->r->o.progress(m->r->o.ctx, m->r->result, NULL);
        still = busy || was_publishing ? 0 : still + 1;
        if (still)
            nanosleep(&pause, NULL); /* examples are on their way: a step does not wait for them */
        if (still == PAUSES_MAX)
            return AFT_FAIL(e, AFT_E_GAP,
                            "%s: round %" PRId64
                            " covers examples that %s does not hold: records are missing",
                            l->rounds_topic, l->round + 1, l->examples_topic);
    }
    return AFT_OK;
}

static enum aft_err
model_work(struct model *m, struct aft_error *e)
{
    struct afti_replay *r = m->r;
    struct aft_learning_options o = {.config = r->o.config,
                                     .log = m->log,
                                     .clock = r->o.clock,
                                     .partitions = r->result->parts_n,
                                     .owner = "replay"};
    AFT_TRY(aft_decoder_new(AFT_RECORD_SNAPSHOT, (struct aft_schema_port){0}, &m->decoder, e));
    AFT_TRY(published_read(m, e));
    AFT_TRY(aft_learning_open(&o, &m->learning, e));
    AFT_TRY(journal_whole(m, e));
    AFT_TRY(examples_open(m->learning, e));
    AFT_TRY(rounds_whole(m, e));
    aft_learner_digest(m->learning->learner, &r->result->model_digest);
    return AFT_OK;
}

enum aft_err
afti_replay_model(struct afti_replay *r, struct aft_error *e)
{
    struct model m = {.r = r,
                      .topic = aft_config_text(r->o.config, "topics.snapshots"),
                      .name = aft_config_text(r->o.config, "snapshot.model")};
    struct aft_frozen_look looks = {&m, look};
    aft_arena_init(&m.arena, ARENA_BYTES);
    m.log = aft_log_frozen(r->log, &looks);
    enum aft_err err = model_work(&m, e);
    aft_learning_close(m.learning);
    m.log->ops->close(m.log);
    aft_decoder_free(m.decoder);
    aft_arena_deinit(&m.arena);
    free(m.published);
    return err;
}
