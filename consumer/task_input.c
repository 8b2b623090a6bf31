/* task_input.c - the two logs: batches in, records decoded and given to the joiner, what cannot be read to the dead letters.
 *
 * In: impressions[p], outcomes[p]. Out: aft_joiner_take; records of the dead-letter topic with the original bytes and key.
 * The log with the lower watermark is read; the other one only when that one has nothing, and only so far ahead.
 */
#include <stdio.h>

#include "consumer/task_inner.h"
#include "consumer/watch.h"

#define HEADERS_N 5u
#define DEAD_VALUE_MAX (AFT_BLOCK_BYTES_MAX - DEAD_KEY_MAX) /* a broker takes it by its defaults */
#define DEAD_KEY_MAX (64u << 10)

/* ---- dead letters */
static struct aft_bytes
at_most(struct aft_bytes b, size_t n)
{
    return (struct aft_bytes){b.p, b.n < n ? b.n : n};
}

uint64_t
afti_dead_letters(const struct aft_task *t)
{
    uint64_t n = 0;
    for (int code = 0; code < AFT_ERR_COUNT; code++)
        n += t->dead_letters_by[code];
    return n;
}

/* What is too large for the dead letters' topic is cut, and its size said: the whole of it stands at its origin. */
static enum aft_err
dead_letter(struct aft_task *t, const struct afti_input *in, const struct aft_record_in *r,
            const struct aft_error *why, struct aft_error *e)
{
    char partition[16], offset[24], size[32];
    bool cut = r->value.n > DEAD_VALUE_MAX || r->key.n > DEAD_KEY_MAX;
    t->dead_letters_by[why->code]++;
    if (t->phase == AFTI_PHASE_FOLLOW) /* the owner wrote it there */
        return AFT_OK;
    snprintf(partition, sizeof partition, "%d", t->o.partition);
    snprintf(offset, sizeof offset, "%lld", (long long)r->offset);
    snprintf(size, sizeof size, "%zu", r->value.n);
    struct aft_header headers[HEADERS_N + 2] = {
        {AFT_LITERAL("aftertouch.reason"), aft_text(aft_err_name(why->code))},
        {AFT_LITERAL("aftertouch.topic"), aft_text(in->topic)},
        {AFT_LITERAL("aftertouch.partition"), aft_text(partition)},
        {AFT_LITERAL("aftertouch.offset"), aft_text(offset)},
        {AFT_LITERAL("aftertouch.detail"), aft_text(why->message)},
        {AFT_LITERAL("aftertouch.cut"), aft_text(size)},
    };
    uint32_t n = cut ? HEADERS_N + 1 : HEADERS_N;
    if (aft_schema_header(r).p) /* without it nobody can read the value again */
        headers[n++] = (struct aft_header){AFT_LITERAL(AFT_SCHEMA_HEADER), aft_schema_header(r)};
    struct aft_append a = {.topic = t->dead_topic,
                           .partition = t->o.partition,
                           .timestamp_ms = -1,
                           .key = at_most(r->key, DEAD_KEY_MAX),
                           .value = at_most(r->value, DEAD_VALUE_MAX),
                           .headers = headers,
                           .headers_n = n};
    return afti_send(t->o.log, t->box, &a, AFTI_SENT_DEAD, (struct afti_end){0}, e);
}

/* ---- one record */
static enum aft_err
take(struct aft_task *t, enum aft_log_kind log, const struct aft_record_in *r, struct aft_error *e)
{
    struct aft_bytes body = AFT_ABSENT;
    aft_arena_reset(&t->arena);
    if (r->value.p)
        AFT_TRY(aft_decoder_headed(t->in[log].decoder, aft_schema_header(r), r->value, &t->arena,
                                   &body, e));
    else if (log == AFT_OUTCOMES)
        return AFT_FAIL(
            e, AFT_E_VALUE,
            "a null value: an outcome is taken back by another outcome with `retracts`");
    else if (!r->key.p || r->key.n == 0)
        return AFT_FAIL(e, AFT_E_VALUE, "a null value without a key: whom shall it erase?");
    return aft_joiner_take(t->joiner, log, r->offset, r->timestamp_ms, r->key, body, e);
}

static void
taken(struct aft_task *t, enum aft_log_kind log, const struct aft_record_in *r)
{
    struct afti_input *in = &t->in[log];
    afti_keyed_take(&in->keyed, r->key, t->o.partition, t->partitions);
    in->next_offset = r->offset + 1;
    aft_joiner_reached(t->joiner, log, in->next_offset);
    in->consumed++;
    in->batch_i++;
    t->dirty = true;
}

/* The batch in hand, until it ends or the registry does not answer (the same record is tried again in the next step). */
static enum aft_err
batch_go(struct aft_task *t, enum aft_log_kind log, bool *busy, struct aft_error *e)
{
    struct afti_input *in = &t->in[log];
    while (in->batch_i < in->batch_n) {
        const struct aft_record_in *r = &in->batch[in->batch_i];
        struct aft_error why;
        if (r->offset >= in->limit) /* I6 */
            return AFT_OK;
        enum aft_err err = take(t, log, r, &why);
        in->waits = err == AFT_E_AGAIN;
        if (in->waits) {
            in->why = why;
            return AFT_OK;
        }
        if (err != AFT_OK && aft_err_class(err) != AFT_CLASS_DATA) {
            *e = why;
            return err;
        }
        if (err != AFT_OK)
            AFT_TRY(dead_letter(t, in, r, &why, e));
        taken(t, log, r);
        *busy = true;
        if (in->batch_i % AFTI_RUN_EVERY == 0)
            AFT_TRY(aft_joiner_run(t->joiner, e));
    }
    return AFT_OK;
}

static enum aft_err
read_log(struct aft_task *t, enum aft_log_kind log, int timeout_ms, bool *busy, struct aft_error *e)
{
    struct afti_input *in = &t->in[log];
    if (in->tick_on_its_way) /* I5 */
        return AFT_OK;
    if (in->batch_i == in->batch_n) {
        in->batch_i = in->batch_n = 0;
        AFT_TRY(t->o.log->ops->read(in->reader, in->batch, AFTI_BATCH_MAX, timeout_ms, &in->batch_n,
                                    &in->at_end, e));
        in->looked = in->at_end && in->batch_n == 0;
        if (in->batch_n)
            in->last_record_ms = t->o.clock.monotonic_ms(t->o.clock.ctx);
    }
    return batch_go(t, log, busy, e);
}

enum aft_err
afti_inputs_step(struct aft_task *t, int timeout_ms, bool *busy, struct aft_error *e)
{
    enum aft_log_kind behind = aft_joiner_behind(t->joiner),
                      ahead = (enum aft_log_kind)(1 - (int)behind);
    t->in[0].looked = t->in[1].looked = false;
    AFT_TRY(read_log(t, behind, 0, busy, e));
    if (!*busy && aft_joiner_waiting(t->joiner, ahead) < AFTI_WAITING_MAX)
        AFT_TRY(read_log(t, ahead, 0, busy, e));
    if (!*busy && timeout_ms > 0)
        AFT_TRY(read_log(t, behind, timeout_ms, busy, e));
    return AFT_OK;
}

/* ---- life */
static enum aft_err
input_open(struct aft_task *t, enum aft_log_kind log, struct aft_error *e)
{
    struct afti_input *in = &t->in[log];
    int64_t begin, end, now = t->o.clock.monotonic_ms(t->o.clock.ctx);
    if (in->reader)
        return AFT_OK; /* the step is repeated: the other log did not answer */
    AFT_TRY(t->o.log->ops->range(t->o.log, in->topic, t->o.partition, &begin, &end, e));
    in->next_offset = t->resume.next_offset[log];
    if (t->fresh) /* where the log does; what was published already is checked as it is computed again */
        in->next_offset = begin;
    if (in->next_offset < begin || in->next_offset > end)
        return AFT_FAIL(e, AFT_E_GAP,
                        "%s partition %d: we go on at offset %lld, the log holds %lld to %lld: "
                        "give the topic a longer retention and "
                        "restore a checkpoint that fits, or start under a new app.id",
                        in->topic, t->o.partition, (long long)in->next_offset, (long long)begin,
                        (long long)end);
    in->last_record_ms = in->last_tick_ms = now;
    aft_joiner_reached(t->joiner, log, in->next_offset);
    AFT_TRY(t->o.log->ops->reader_open(t->o.log, in->topic, t->o.partition, in->next_offset,
                                       &in->reader, e));
    aft_schema_header_want(t->o.schemas, t->o.log, in->reader);
    return AFT_OK;
}

enum aft_err
afti_inputs_open(struct aft_task *t, struct aft_error *e)
{
    AFT_TRY(input_open(t, AFT_IMPRESSIONS, e));
    return input_open(t, AFT_OUTCOMES, e);
}

void
afti_inputs_close(struct aft_task *t)
{
    for (int i = 0; i < 2; i++) {
        if (t->in[i].reader)
            t->o.log->ops->reader_close(t->in[i].reader);
        aft_decoder_free(t->in[i].decoder);
    }
}
