/* codec_journal.c - Clock and Round, the journals of joiner and learner.
 * Clock: epoch, kind, ?log, ?at_offset, ?watermark, ?owner. Round: epoch, kind, round, ends of (partition, next_seq,
 * next_offset), publish, ?decision, ?owner (wire/schemas/clock.avsc, round.avsc). Formats and invariants: codec.h. Any thread. */
#include "wire/codec.h"

static enum aft_err
tick(struct afti_in *in, struct aft_clock_record *out, bool *whole)
{
    bool has_log, has_offset, has_watermark;
    unsigned log = 0;
    AFT_TRY(afti_null(in, "log", &has_log));
    if (has_log)
        AFT_TRY(afti_index(in, "log", 2, &log));
    out->log = (enum aft_log_kind)log;
    AFT_TRY(afti_null(in, "at_offset", &has_offset));
    if (has_offset)
        AFT_TRY(afti_long(in, "at_offset", &out->at_offset));
    AFT_TRY(afti_null(in, "watermark", &has_watermark));
    if (has_watermark)
        AFT_TRY(afti_long(in, "watermark", &out->watermark_ms));
    *whole = has_log && has_offset && has_watermark;
    return AFT_OK;
}

enum aft_err
aft_decode_clock(struct aft_bytes body, struct aft_clock_record *out, struct aft_error *e)
{
    struct afti_in in;
    unsigned kind;
    bool whole;
    *out = (struct aft_clock_record){0};
    AFT_TRY(afti_open(&in, "Clock", body, NULL, e));
    AFT_TRY(afti_long(&in, "epoch", &out->epoch));
    AFT_TRY(afti_index(&in, "kind", AFT_CLOCK_TICK + 1, &kind));
    out->kind = (enum aft_clock_kind)kind;
    AFT_TRY(tick(&in, out, &whole));
    if (out->kind == AFT_CLOCK_TICK && !whole)
        return afti_wrong(&in, "kind", "is TICK, but log, at_offset or watermark is null");
    AFT_TRY(afti_maybe_text(&in, "owner", AFT_TEXT_BYTES_MAX, &out->owner));
    return afti_close(&in);
}

void
aft_encode_clock(struct aft_buffer *b, const struct aft_clock_record *v)
{
    bool is_tick = v->kind == AFT_CLOCK_TICK;
    aft_put_long(b, v->epoch);
    aft_put_long(b, (int64_t)v->kind);
    aft_put_long(b, is_tick);
    if (is_tick)
        aft_put_long(b, (int64_t)v->log);
    aft_put_long(b, is_tick);
    if (is_tick)
        aft_put_long(b, v->at_offset);
    aft_put_long(b, is_tick);
    if (is_tick)
        aft_put_long(b, v->watermark_ms);
    afti_put_maybe(b, v->owner);
}

static enum aft_err
ends(struct afti_in *in, struct aft_round_record *out)
{
    struct afti_list l = {.max = AFT_PARTITIONS_MAX, .size = sizeof *out->ends};
    uint32_t more;
    AFT_TRY(afti_block(in, "ends", &l, &more));
    while (more) {
        for (; more; more--) {
            struct aft_end *v = (struct aft_end *)l.v + l.n++;
            *v = (struct aft_end){0};
            AFT_TRY(afti_int(in, "ends.partition", &v->partition));
            AFT_TRY(afti_long(in, "ends.next_seq", &v->next_seq));
            AFT_TRY(afti_long(in, "ends.next_offset", &v->next_offset));
        }
        AFT_TRY(afti_block(in, "ends", &l, &more));
    }
    out->ends = l.v;
    out->ends_n = l.n;
    return AFT_OK;
}

enum aft_err
aft_decode_round(struct aft_bytes body, struct aft_arena *a, struct aft_round_record *out,
                 struct aft_error *e)
{
    struct afti_in in;
    unsigned kind, publish;
    AFT_TRY(afti_open(&in, "Round", body, a, e));
    AFT_TRY(afti_long(&in, "epoch", &out->epoch));
    AFT_TRY(afti_index(&in, "kind", AFT_ROUND_ROUND + 1, &kind));
    out->kind = (enum aft_round_kind)kind;
    AFT_TRY(afti_long(&in, "round", &out->round));
    AFT_TRY(ends(&in, out));
    AFT_TRY(afti_index(&in, "publish", AFT_PUBLISH_DELTA + 1, &publish));
    out->publish = (enum aft_publish)publish;
    AFT_TRY(afti_maybe_text(&in, "decision", AFT_TEXT_BYTES_MAX, &out->decision));
    AFT_TRY(afti_maybe_text(&in, "owner", AFT_TEXT_BYTES_MAX, &out->owner));
    return afti_close(&in);
}

void
aft_encode_round(struct aft_buffer *b, const struct aft_round_record *v)
{
    aft_put_long(b, v->epoch);
    aft_put_long(b, (int64_t)v->kind);
    aft_put_long(b, v->round);
    afti_put_count(b, v->ends_n);
    for (uint32_t i = 0; i < v->ends_n; i++) {
        aft_put_long(b, v->ends[i].partition);
        aft_put_long(b, v->ends[i].next_seq);
        aft_put_long(b, v->ends[i].next_offset);
    }
    afti_put_end(b);
    aft_put_long(b, (int64_t)v->publish);
    afti_put_maybe(b, v->decision);
    afti_put_maybe(b, v->owner);
}
