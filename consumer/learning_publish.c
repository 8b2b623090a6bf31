/* learning_publish.c - the snapshots topic: the newest set read back at the start, a set written after a round that says so, full or
 * delta as the journal says. Publishing is a function of the learner, the round and the snapshot before it, so doing it again after a
 * crash, or by somebody else, writes the same bytes under the same keys (L3).
 * A full one is due after snapshot.full.interval, after so many deltas, when the deltas together are above a megabyte and half as big as
 * the full one, and first of all after a start.
 */
#include <errno.h>
#include <stdio.h>

#include "consumer/learning_inner.h"

#define SNAPSHOTS_BATCH 16u
#define FLUSH_MS 30000
#define DELTAS_MAX 200u
#define DELTAS_BYTES \
    (1u << 20) /* together; fewer are read in no time, whatever the full one's size */

/* ---- the key that snapshots are signed with: 64 bytes, or 128 hex digits */
static int
digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
from_hex(const uint8_t *text, size_t n, uint8_t out[64])
{
    if (n < 128)
        return false;
    for (size_t i = 0; i < 64; i++) {
        int high = digit((char)text[2 * i]), low = digit((char)text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return n == 128 || (n == 129 && text[128] == '\n');
}

enum aft_err
aft_signing_key(const struct aft_config *config, uint8_t key[64], bool *there, struct aft_error *e)
{
    uint8_t text[256];
    const char *path = aft_config_text(config, "snapshot.signing.key");
    *there = false;
    if (path[0] == '\0')
        return AFT_OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return AFT_FAIL(e, AFT_E_CONFIG, "snapshot.signing.key: cannot read %s: %s", path,
                        strerror(errno));
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    if (n == 64)
        memcpy(key, text, 64);
    else if (!from_hex(text, n, key))
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "snapshot.signing.key: %s holds neither 64 bytes nor 128 lower-case hex digits", path);
    *there = true;
    return AFT_OK;
}

/* ---- in */
/* What stands in the topic under our model's keys; a manifest of a full set counts when it could be taken. */
static void
note_key(struct aft_learning *l, const struct aft_record_in *in)
{
    int64_t round = aft_snapshot_key_round(in->key, aft_text(l->model));
    if (round >= 0)
        afti_keys_saw(&l->keys, in->key, round, in->value.p != NULL);
}

static enum aft_err
take(struct aft_learning *l, struct aft_bytes value, struct aft_error *e)
{
    struct aft_bytes body;
    struct aft_snapshot_record r;
    bool whole = false;
    aft_arena_reset(&l->arena);
    AFT_TRY(aft_decoder_body(l->snapshot_decoder, value, &l->arena, &body, e));
    AFT_TRY(aft_decode_snapshot(body, &l->arena, &r, e));
    if (!aft_same(r.model, aft_text(l->model)))
        return AFT_OK;
    AFT_TRY(aft_snapshot_set_add(l->set, body, &whole, e));
    if (whole && r.kind == AFT_SNAPSHOT_FULL)
        afti_keys_full(&l->keys, r.round);
    return AFT_OK;
}

/* History that is deleted in parts, or read twice, is refused too; nothing is wrong with that. */
static uint64_t
history(const struct aft_snapshot_set *set)
{
    struct aft_snapshot_stats s;
    aft_snapshot_set_stats(set, &s);
    return s.refused[AFT_SNAPSHOT_TORN] + s.refused[AFT_SNAPSHOT_OLD] +
           s.refused[AFT_SNAPSHOT_ORPHAN];
}

static enum aft_err
snapshot_record(struct aft_learning *l, const struct aft_record_in *in, struct aft_error *e)
{
    l->snapshots_next = in->offset + 1;
    note_key(l, in);
    if (!in->value.p)
        return AFT_OK;
    uint64_t before = history(l->set);
    enum aft_err err = take(l, in->value, e);
    if (err == AFT_OK || aft_err_class(err) != AFT_CLASS_DATA)
        return err;
    if (history(l->set) == before)
        aft_say("warn", "learning", "%s offset %lld is passed over: %s", l->snapshots_topic,
                (long long)in->offset, e->message);
    return AFT_OK;
}

enum aft_err
afti_snapshots_read(struct aft_learning *l, int timeout_ms, bool *at_end, struct aft_error *e)
{
    struct aft_record_in batch[SNAPSHOTS_BATCH];
    uint32_t n = 0;
    AFT_TRY(l->o.log->ops->read(l->snapshots, batch, SNAPSHOTS_BATCH, timeout_ms, &n, at_end, e));
    for (uint32_t i = 0; i < n; i++)
        AFT_TRY(snapshot_record(l, &batch[i], e));
    return AFT_OK;
}

static void
place(struct aft_learning *l, const struct aft_end *end)
{
    if (end->partition < 0 || end->partition >= l->o.partitions)
        return;
    l->ends[end->partition] = *end;
    aft_rounds_seek(l->rounds, end);
}

enum aft_err
afti_restore(struct aft_learning *l, struct aft_error *e)
{
    const struct aft_snapshot_record *r = aft_snapshot_set_manifest(l->set);
    if (!r)
        return AFT_OK; /* a new model: every round is redone */
    AFT_TRY(aft_learner_restore(l->learner, l->set, e));
    for (uint32_t i = 0; i < r->manifest.ends_n; i++)
        place(l, &r->manifest.ends[i]);
    l->round = l->published_round = r->round;
    aft_snapshot_set_free(l->set); /* whole planes: they are in the learner now */
    l->set = NULL;
    return AFT_OK;
}

/* ---- out */
enum aft_publish
afti_publish_due(const struct aft_learning *l)
{
    const struct afti_since *s = &l->since;
    int64_t now = l->o.clock.monotonic_ms(l->o.clock.ctx);
    bool full = !s->any || now - s->full_ms >= l->full_interval_ms || s->deltas >= DELTAS_MAX ||
                s->full_bytes < l->delta_from ||
                (s->delta_bytes > DELTAS_BYTES && 2 * s->delta_bytes > s->full_bytes);
    return full ? AFT_PUBLISH_FULL : AFT_PUBLISH_DELTA;
}

static enum aft_err
part(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct aft_learning *l = ctx;
    aft_buffer_reset(&l->value);
    aft_frame_put_single(&l->value, AFT_RECORD_SNAPSHOT);
    aft_put_raw(&l->value, body);
    struct aft_append a = {.topic = l->snapshots_topic,
                           .partition = 0,
                           .timestamp_ms = -1,
                           .key = key,
                           .value = aft_buffer_bytes(&l->value)};
    l->sending_bytes += l->value.n;
    afti_keys_saw(&l->keys, key, l->round, true);
    return afti_send(l->o.log, l->box, &a, AFTI_SENT_PART, (struct afti_end){0}, e);
}

/* The set is in the topic, acknowledged. */
static enum aft_err
published(struct aft_learning *l, struct aft_error *e)
{
    struct afti_since *s = &l->since;
    bool full = l->publish == AFT_PUBLISH_FULL;
    l->publishing = false;
    l->published_round = l->round;
    l->published_bytes = l->sending_bytes;
    l->snapshots_n++;
    l->deltas_n += !full;
    *(full ? &l->full_bytes : &l->delta_bytes) += l->sending_bytes;
    l->last_publish_ms = l->o.clock.monotonic_ms(l->o.clock.ctx);
    s->deltas += !full;
    s->delta_bytes += full ? 0 : l->sending_bytes;
    if (!full)
        return AFT_OK;
    *s = (struct afti_since){true, l->last_publish_ms, l->sending_bytes, 0, 0};
    afti_keys_full(&l->keys, l->round);
    return afti_keys_drop(l, e);
}

/* Nobody newer may be in the journal: what a round publishes is settled by those before it. */
enum aft_err
afti_publish(struct aft_learning *l, struct aft_error *e)
{
    int64_t begin, end;
    uint32_t n;
    AFT_TRY(l->o.log->ops->range(l->o.log, l->rounds_topic, 0, &begin, &end, e));
    AFT_TRY(afti_journal_read(l, 0, &n, e));
    if (l->journal_next < end)
        return AFT_OK;
    struct aft_publish_spec spec = {.model = aft_text(l->model),
                                    .round = l->round,
                                    .kind = l->publish == AFT_PUBLISH_FULL ? AFT_SNAPSHOT_FULL
                                                                           : AFT_SNAPSHOT_DELTA,
                                    .ends = l->ends,
                                    .ends_n = (uint32_t)l->o.partitions,
                                    .signing_key = l->has_signing_key ? l->signing_key : NULL};
    l->sending_bytes = 0;
    AFT_TRY(aft_learner_publish(l->learner, &spec, part, l, e));
    AFT_TRY(l->o.log->ops->flush(l->o.log, FLUSH_MS, e));
    AFT_TRY(afti_outbox_failed(l->box, e));
    return published(l, e);
}
