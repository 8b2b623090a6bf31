/* history_publish.c - the history of one partition's users, kept up to date in a compacted topic.
 *
 *   own topic, read to its end -> the inputs from where it is published up to -> caught up with them: work:
 *   inputs in, folded; every history.interval the users that changed, each a record; then how far that goes (the positions' record)
 *
 * P1  The positions' record is written when all that it covers is acknowledged. Whoever starts reads from there: nothing is left out,
 *     and what was folded already changes nothing (H3).
 * P2  Nothing is published before the inputs were read as far as they went at the start: no user is seen as he once was.
 * P3  A record of another owner that is older than ours is written over: two owners at once end with the newer record. A tombstone says in a
 *     header how far it goes. (Who starts sees both, unless the topic was compacted between the two.)
 * P4  The positions do not pass an erasure before the outcomes have passed its moment: read again, none that it erased comes back.
 * P5  Records are taken in the order of the logs' own times, as far as they stand there: what an erasure erases came before it.
 * The positions' record: a History without user and entries, under the key of one NUL byte.
 * One thread. A step that fails with a RETRY error may be repeated; after any other one it is closed. */
#include <stdio.h>
#include <stdlib.h>

#include "consumer/history.h"
#include "consumer/outbox.h"

enum { BATCH = 256, POSITIONS_MS = 5000, INFLIGHT_MAX = 16 << 20, SEND_MAX = 20000 };
static const struct aft_bytes positions_key = {(const uint8_t *)"", 1};
static const struct aft_bytes by_name = {(const uint8_t *)"aftertouch.by", 13},
                              to_name = {(const uint8_t *)"aftertouch.to", 13};

enum phase { PHASE_LOAD, PHASE_INPUTS, PHASE_CATCH_UP, PHASE_WORK };
struct input {
    const char *topic;
    struct aft_log_reader *reader;
    struct aft_decoder *decoder;
    struct aft_record_in batch[BATCH];
    uint32_t batch_n, batch_i;
    int64_t next_offset, target; /* target: the end when we began */
    int64_t log_ms;              /* of the last record */
    bool at_end;
};
struct aft_historian {
    struct aft_historian_options o;
    const char *topic;
    char by[160]; /* who wrote a record: ours are not read back */
    enum phase phase;
    struct afti_fold *fold;
    struct afti_outbox *box;
    struct aft_log_reader *own;
    struct aft_decoder *decoder;
    int64_t own_next, own_end;
    struct input in[2];
    struct aft_arena arena;
    struct aft_buffer value;
    int64_t interval_ms, sent_ms, positions_ms;
    uint64_t sent;                /* appends so far: their numbers */
    uint64_t cut_sent;            /* those that the cut's positions wait for */
    int64_t cut[2], published[2]; /* -1: none */
    int64_t erased_offset,
        erased_ms; /* the first that outcomes have not passed, or -1; the last's time */
    uint64_t records, unreadable, taken; /* taken: records of the inputs */
};

/* ---- life */
static enum aft_err
decoders_open(struct aft_historian *h, struct aft_error *e)
{
    static const struct aft_schema_port nobody = {0};
    AFT_TRY(aft_decoder_new(AFT_RECORD_IMPRESSION, h->o.schemas, &h->in[0].decoder, e));
    AFT_TRY(aft_decoder_new(AFT_RECORD_OUTCOME, h->o.schemas, &h->in[1].decoder, e));
    return aft_decoder_new(AFT_RECORD_HISTORY, nobody, &h->decoder, e);
}

enum aft_err
aft_historian_open(const struct aft_historian_options *o, struct aft_historian **out,
                   struct aft_error *e)
{
    const struct aft_config *c = o->config;
    struct aft_historian *h = calloc(1, sizeof *h);
    AFT_ASSERT(h != NULL);
    h->o = *o;
    h->topic = aft_config_text(c, "topics.history");
    h->in[0].topic = aft_config_text(c, "topics.impressions");
    h->in[1].topic = aft_config_text(c, "topics.outcomes");
    h->interval_ms = aft_config_int(c, "history.interval");
    h->cut[0] = h->cut[1] = h->published[0] = h->published[1] = h->erased_offset = -1;
    snprintf(h->by, sizeof h->by, "%s/%lld", o->owner, (long long)o->clock.wall_ms(o->clock.ctx));
    const struct afti_fold_settings s = {
        aft_config_text(c, "history.click"), aft_config_text(c, "history.task"),
        (uint32_t)aft_config_int(c, "history.days"), aft_config_int(c, "join.max.future")};
    h->fold = afti_fold_new(&s);
    h->box = afti_outbox_new();
    aft_arena_init(&h->arena, 64u << 20);
    enum aft_err err = decoders_open(h, e);
    if (err != AFT_OK) {
        aft_historian_close(h);
        return err;
    }
    *out = h;
    return AFT_OK;
}

void
aft_historian_close(struct aft_historian *h)
{
    if (!h)
        return;
    const struct aft_log_ops *ops = h->o.log->ops;
    if (h->own)
        ops->reader_close(h->own);
    for (int i = 0; i < 2; i++) {
        if (h->in[i].reader)
            ops->reader_close(h->in[i].reader);
        aft_decoder_free(h->in[i].decoder);
    }
    aft_decoder_free(h->decoder);
    afti_outbox_close(h->box);
    afti_fold_free(h->fold);
    aft_arena_deinit(&h->arena);
    aft_buffer_deinit(&h->value);
    free(h);
}

/* ---- our own topic */
static bool
is_ours(const struct aft_historian *h, const struct aft_record_in *r)
{
    for (uint32_t i = 0; i < r->headers_n; i++)
        if (aft_same(r->headers[i].name, by_name) && aft_same(r->headers[i].value, aft_text(h->by)))
            return true;
    return false;
}

/* How far a tombstone goes; one that does not say it is older than everything. */
static void
tombstone(const struct aft_record_in *r, struct aft_history *out)
{
    *out = (struct aft_history){.user_id = r->key};
    for (uint32_t i = 0; i < r->headers_n; i++)
        if (aft_same(r->headers[i].name, to_name) && r->headers[i].value.n == 16)
            for (int log = 0; log < 2; log++)
                out->to[log] = (int64_t)aft_load_le64(r->headers[i].value.p + 8 * log);
}

static enum aft_err
own_record(struct aft_historian *h, const struct aft_record_in *r, struct aft_error *e)
{
    struct aft_history x;
    struct aft_bytes body;
    bool loads = h->phase == PHASE_LOAD;
    if (!r->key.p || (!loads && (is_ours(h, r) || aft_same(r->key, positions_key))))
        return AFT_OK;
    aft_arena_reset(&h->arena);
    tombstone(r, &x);
    if (r->value.p) {
        AFT_TRY(aft_decoder_body(h->decoder, r->value, &h->arena, &body, e));
        AFT_TRY(aft_decode_history(body, &h->arena, &x, e));
    }
    if (aft_same(r->key, positions_key))
        memcpy(h->published, x.to, sizeof h->published);
    else if (loads)
        afti_fold_load(h->fold, r->key, &x);
    else
        afti_fold_foreign(h->fold, r->key, &x);
    return AFT_OK;
}

static enum aft_err
own_read(struct aft_historian *h, bool *busy, struct aft_error *e)
{
    struct aft_record_in batch[BATCH];
    uint32_t n;
    bool at_end = false;
    AFT_TRY(h->o.log->ops->read(h->own, batch, BATCH, 0, &n, &at_end, e));
    for (uint32_t i = 0; i < n; i++) {
        struct aft_error why;
        enum aft_err err = own_record(h, &batch[i], &why);
        if (err != AFT_OK)
            return AFT_FAIL(e, AFT_E_CORRUPT,
                            "%s partition %d offset %lld is no history (%.200s): something else "
                            "writes to this topic; name another one in topics.history",
                            h->topic, h->o.partition, (long long)batch[i].offset, why.message);
        h->own_next = batch[i].offset + 1;
    }
    if (n == 0 && at_end && h->own_next < h->own_end)
        h->own_next = h->own_end; /* what stood there was compacted away */
    *busy = *busy || n > 0;
    return AFT_OK;
}

static enum aft_err
own_open(struct aft_historian *h, struct aft_error *e)
{
    const struct aft_log_ops *ops = h->o.log->ops;
    AFT_TRY(ops->range(h->o.log, h->topic, h->o.partition, &h->own_next, &h->own_end, e));
    AFT_TRY(ops->reader_open(h->o.log, h->topic, h->o.partition, h->own_next, &h->own, e));
    if (ops->with_headers)
        ops->with_headers(h->own);
    return AFT_OK;
}

/* ---- the inputs */
static enum aft_err
input_open(struct aft_historian *h, int log, struct aft_error *e)
{
    struct input *in = &h->in[log];
    int64_t begin;
    if (in->reader)
        return AFT_OK;
    AFT_TRY(h->o.log->ops->range(h->o.log, in->topic, h->o.partition, &begin, &in->target, e));
    in->next_offset = h->published[log] < 0 ? begin : h->published[log];
    if (in->next_offset > in->target)
        return AFT_FAIL(e, AFT_E_GAP,
                        "%s partition %d goes up to offset %lld of %s, which ends at %lld: that "
                        "is another topic by the same name: delete %s and create it anew",
                        h->topic, h->o.partition, (long long)in->next_offset, in->topic,
                        (long long)in->target, h->topic);
    if (in->next_offset < begin)
        aft_say("warn", "history",
                "%s partition %d: records %lld to %lld were deleted before they were counted",
                in->topic, h->o.partition, (long long)in->next_offset, (long long)begin - 1);
    in->next_offset = in->next_offset < begin ? begin : in->next_offset;
    AFT_TRY(h->o.log->ops->reader_open(h->o.log, in->topic, h->o.partition, in->next_offset,
                                       &in->reader, e));
    aft_schema_header_want(h->o.schemas, h->o.log, in->reader);
    return AFT_OK;
}

static void
erase(struct aft_historian *h, struct aft_bytes user, const struct afti_place *at)
{
    afti_fold_erase(h->fold, user, at);
    h->erased_offset = h->erased_offset < 0 ? at->offset : h->erased_offset;
    h->erased_ms = at->log_ms;
}

static enum aft_err
take(struct aft_historian *h, int log, const struct aft_record_in *r, struct aft_error *e)
{
    const struct afti_place at = {r->offset, r->timestamp_ms};
    struct aft_impression impression;
    struct aft_outcome outcome;
    struct aft_bytes body;
    aft_arena_reset(&h->arena);
    if (!r->value.p) {
        if (log == AFT_IMPRESSIONS && r->key.n > 0)
            erase(h, r->key, &at);
        return AFT_OK;
    }
    AFT_TRY(aft_decoder_headed(h->in[log].decoder, aft_schema_header(r), r->value, &h->arena, &body,
                               e));
    if (log == AFT_IMPRESSIONS) {
        AFT_TRY(aft_decode_impression(body, &h->arena, &impression, e));
        afti_fold_impression(h->fold, &impression, &at);
    } else {
        AFT_TRY(aft_decode_outcome(body, &h->arena, &outcome, e));
        afti_fold_outcome(h->fold, &outcome, &at);
    }
    return AFT_OK;
}

/* What cannot be read is the joiner's to complain of. AFT_E_AGAIN: a registry does not answer. */
static enum aft_err
take_next(struct aft_historian *h, int log, struct aft_error *e)
{
    struct input *in = &h->in[log];
    const struct aft_record_in *r = &in->batch[in->batch_i];
    enum aft_err err = take(h, log, r, e);
    if (err != AFT_OK && aft_err_class(err) != AFT_CLASS_DATA)
        return err;
    h->unreadable += err != AFT_OK;
    h->taken++;
    in->batch_i++;
    in->next_offset = r->offset + 1;
    in->log_ms = r->timestamp_ms;
    return AFT_OK;
}

/* A batch in hand, where there is one; *dry: there was none. */
static enum aft_err
fill(struct aft_historian *h, int log, bool *dry, struct aft_error *e)
{
    struct input *in = &h->in[log];
    if (in->batch_i < in->batch_n || *dry)
        return AFT_OK;
    in->batch_i = in->batch_n = 0;
    AFT_TRY(h->o.log->ops->read(in->reader, in->batch, BATCH, 0, &in->batch_n, &in->at_end, e));
    *dry = in->batch_n == 0;
    if (*dry && in->at_end && in->next_offset < in->target)
        in->next_offset =
            in->target; /* nothing stands there any more, or markers of transactions */
    return AFT_OK;
}

/* In the order of the logs' own time (P5): an outcome is taken when the impressions, read after it, hold no older one. */
static enum aft_err
inputs_read(struct aft_historian *h, bool *busy, struct aft_error *e)
{
    bool dry[2] = {false, false};
    for (int i = 0; i < 2 * BATCH; i++) {
        bool outcomes_end = h->in[1].batch_i == h->in[1].batch_n;
        AFT_TRY(fill(h, AFT_OUTCOMES, &dry[1], e));
        if (outcomes_end && !dry[1])
            dry[0] = false;
        AFT_TRY(fill(h, AFT_IMPRESSIONS, &dry[0], e));
        bool has[2] = {h->in[0].batch_i < h->in[0].batch_n, h->in[1].batch_i < h->in[1].batch_n};
        if (!has[0] && !has[1])
            return AFT_OK;
        int log = !has[0] || (has[1] && h->in[1].batch[h->in[1].batch_i].timestamp_ms <
                                            h->in[0].batch[h->in[0].batch_i].timestamp_ms);
        enum aft_err err = take_next(h, log, e);
        if (err == AFT_E_AGAIN)
            return AFT_OK;
        AFT_TRY(err);
        *busy = true;
    }
    return AFT_OK;
}

static bool
caught_up(const struct aft_historian *h)
{
    return h->in[0].next_offset >= h->in[0].target && h->in[1].next_offset >= h->in[1].target;
}

/* ---- publishing */
static enum aft_err
record_send(struct aft_historian *h, struct aft_bytes key, struct aft_bytes value,
            const int64_t to[2], struct aft_error *e)
{
    uint8_t offsets[16];
    const struct aft_header headers[2] = {{by_name, aft_text(h->by)},
                                          {to_name, {offsets, sizeof offsets}}};
    for (int log = 0; log < 2; log++)
        aft_store_le64(offsets + 8 * log, (uint64_t)to[log]);
    struct aft_append a = {.topic = h->topic,
                           .partition = h->o.partition,
                           .timestamp_ms = -1,
                           .key = key,
                           .value = value,
                           .headers = headers,
                           .headers_n = value.p ? 1 : 2};
    struct afti_end number = {.seq = h->sent + 1};
    AFT_TRY(afti_send(h->o.log, h->box, &a, AFTI_SENT_BLOCK, number, e));
    h->sent++;
    return AFT_OK;
}

static enum aft_err
users_send(struct aft_historian *h, struct aft_error *e)
{
    struct afti_folded x;
    for (int i = 0; i < SEND_MAX && h->box->bytes < INFLIGHT_MAX; i++) {
        aft_buffer_reset(&h->value);
        aft_frame_put_single(&h->value, AFT_RECORD_HISTORY);
        if (!afti_fold_next(h->fold, &h->value, &x))
            break;
        struct aft_bytes value = x.empty ? AFT_ABSENT : aft_buffer_bytes(&h->value);
        AFT_TRY(record_send(h, x.user, value, x.to, e));
        h->records++;
    }
    return AFT_OK;
}

/* P1 */
static enum aft_err
positions_send(struct aft_historian *h, int64_t now, struct aft_error *e)
{
    struct aft_history x = {.user_id = AFT_LITERAL(""), .to = {h->cut[0], h->cut[1]}};
    bool news = h->cut[0] > h->published[0] || h->cut[1] > h->published[1];
    if (!news)
        h->cut[0] = h->cut[1] = -1;
    if (h->cut[0] < 0 || h->box->acked.seq < h->cut_sent || now - h->positions_ms < POSITIONS_MS)
        return AFT_OK;
    aft_buffer_reset(&h->value);
    aft_frame_put_single(&h->value, AFT_RECORD_HISTORY);
    aft_encode_history(&h->value, &x);
    AFT_TRY(record_send(h, positions_key, aft_buffer_bytes(&h->value), x.to, e));
    memcpy(h->published, h->cut, sizeof h->published);
    h->positions_ms = now;
    h->cut[0] = h->cut[1] = -1;
    return AFT_OK;
}

/* The logs' time, but not a day that has not come: an engine whose clock jumped stamps its records with it. */
static void
expire(struct aft_historian *h)
{
    const int64_t read[2] = {h->in[0].next_offset, h->in[1].next_offset};
    int64_t log_ms = h->in[0].log_ms > h->in[1].log_ms ? h->in[0].log_ms : h->in[1].log_ms,
            wall_ms = h->o.clock.wall_ms(h->o.clock.ctx);
    afti_fold_expire(h->fold, log_ms < wall_ms ? log_ms : wall_ms, read);
}

static enum aft_err
publish(struct aft_historian *h, bool *busy, struct aft_error *e)
{
    int64_t now = h->o.clock.monotonic_ms(h->o.clock.ctx);
    if (afti_fold_dirty(h->fold) > 0 && now - h->sent_ms >= h->interval_ms) {
        AFT_TRY(users_send(h, e));
        *busy = true;
        if (afti_fold_dirty(h->fold) == 0)
            h->sent_ms = now;
    }
    if (afti_fold_dirty(h->fold) == 0 && h->cut[0] < 0) {
        if (h->in[1].log_ms > h->erased_ms || h->in[1].at_end)
            h->erased_offset = -1;
        h->cut[0] = h->erased_offset < 0 ? h->in[0].next_offset : h->erased_offset; /* P4 */
        h->cut[1] = h->in[1].next_offset;
        h->cut_sent = h->sent;
    }
    expire(h);
    return positions_send(h, now, e);
}

/* ---- steps */
static enum aft_err
begin_step(struct aft_historian *h, bool *busy, struct aft_error *e)
{
    if (h->phase == PHASE_LOAD) {
        if (!h->own)
            AFT_TRY(own_open(h, e));
        if (h->own_next < h->own_end)
            AFT_TRY(own_read(h, busy, e));
        if (h->own_next >= h->own_end)
            h->phase = PHASE_INPUTS;
        return AFT_OK;
    }
    AFT_TRY(input_open(h, 0, e));
    AFT_TRY(input_open(h, 1, e));
    h->phase = PHASE_CATCH_UP;
    return AFT_OK;
}

enum aft_err
aft_historian_step(struct aft_historian *h, bool *busy, struct aft_error *e)
{
    *busy = false;
    h->o.log->ops->poll(h->o.log, 0);
    AFT_TRY(afti_outbox_failed(h->box, e));
    if (h->phase < PHASE_CATCH_UP)
        return begin_step(h, busy, e);
    if (h->phase == PHASE_WORK)
        AFT_TRY(own_read(h, busy, e));
    if (h->box->bytes < INFLIGHT_MAX)
        AFT_TRY(inputs_read(h, busy, e));
    if (h->phase == PHASE_CATCH_UP && caught_up(h))
        h->phase = PHASE_WORK;
    return h->phase == PHASE_WORK ? publish(h, busy, e) : AFT_OK;
}

void
aft_historian_status(const struct aft_historian *h, struct aft_historian_status *out)
{
    struct afti_fold_stats s = afti_fold_stats(h->fold);
    *out = (struct aft_historian_status){.partition = h->o.partition,
                                         .works = h->phase == PHASE_WORK,
                                         .users = s.users,
                                         .events = s.events,
                                         .records = h->records,
                                         .taken = h->taken,
                                         .unreadable = h->unreadable,
                                         .dirty = afti_fold_dirty(h->fold)};
    memcpy(out->published, h->published, sizeof out->published);
}
