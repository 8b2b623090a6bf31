/* recover.c - from the store back to the index: the records of the open window, applied again by the same functions, muted.
 * recover_read.c makes them ready, beside this where the state is large.
 *
 * Invariants: I1 numbers in a segment's head are those that applying has reached; I2 after it the index means what it meant at the
 * commit (aft_joiner_digest). Timers fire between the records as they did; what they emitted and counted is in the commit record.
 */
#include "attribution/recover.h"

/* A record is looked at AHEAD of its turn: what the index has of it is then on its way from memory. A state of BESIDE segments (2 MB) and more
 * is read in a thread of its own. */
enum { AHEAD = 32, BESIDE = 256 };

static enum aft_err
damaged(uint64_t segment, const char *what, struct aft_error *e)
{
    return AFT_FAIL(
        e, AFT_E_CORRUPT,
        "segment %llu of the state %s: restore a checkpoint, or start with an empty state "
        "directory to rebuild it from the logs",
        (unsigned long long)segment, what);
}

static const char unknown_fate[] = "holds an outcome of a fate that there is not";
static const char beyond[] = "holds more impressions than the last one says";
static const char twice[] = "comes behind two impressions of one decision";

static bool
fate_there(uint8_t note)
{
    return (note & ~AFTI_DIRECT) < AFT_FATES_END;
}

/* ledger_again: what became of an outcome, from its record. It takes back only what came before it. */
static enum aft_err
ledger_again(struct aft_joiner *j, struct aft_reader in, struct aft_place at, struct aft_error *e)
{
    AFT_TRY(afti_ledger_decode(in, &j->ledger, e));
    if ((j->ledger.flags & AFTI_RETRACTS) && j->ledger.retracted >= j->index.seen_tail)
        return damaged(at.segment, "takes back an outcome that was not yet there", e);
    return AFT_OK;
}

static struct aft_hash128
hash_at(const uint8_t *p)
{
    return aft_id_from((struct aft_hash128){aft_load_le64(p), aft_load_le64(p + 8)});
}

/* ---- one record; false: its payload makes no sense */

static void
add_touch(struct aft_joiner *j, const struct aft_touch *t, uint32_t before)
{
    uint64_t n = aft_index_add_linked(&j->index, t, before);
    if (t->late != 0)
        afti_timers_late(j, n);
}

static bool
again_impression(struct aft_joiner *j, const struct afti_again *d)
{
    bool deferred = d->note & AFT_NOTE_DEFERRED;
    uint8_t items = d->note & (255 & ~AFT_NOTE_DEFERRED);
    if (!d->sound || items > AFT_SHOWN_MAX || !aft_touch_fits(d->ts, d->e))
        return false;
    unsigned flags = AFT_TOUCH_LIVE | (deferred ? AFT_TOUCH_DEFERRED : AFT_TOUCH_ACTIVE);
    struct aft_touch t = aft_touch_make(d->id, d->ts, d->e, flags, d->at);
    t.items = items;
    add_touch(j, &t, d->before);
    return true;
}

static bool
again_erased(struct aft_joiner *j, const struct afti_again *d)
{
    const uint8_t *p = afti_again_payload(d).p;
    if (d->payload_n < AFT_ERASED_BYTES)
        return false;
    int64_t ts = (int64_t)aft_load_le64(p + 16);
    unsigned flags = AFT_TOUCH_WIPED | (p[24] ? AFT_TOUCH_DEFERRED : 0);
    if (!aft_touch_fits(ts, d->e))
        return false;
    struct aft_touch t = aft_touch_make(hash_at(p), ts, d->e, flags, d->at);
    add_touch(j, &t, 0);
    return true;
}

static enum aft_err
again_outcome(struct aft_joiner *j, const struct afti_again *d, struct aft_error *e)
{
    struct aft_place at = d->at;
    struct aft_bytes payload = afti_again_payload(d);
    if (!d->sound)
        return damaged(at.segment, "holds an outcome without an id", e);
    if (!fate_there(d->note))
        return damaged(at.segment, unknown_fate, e);
    struct aft_seen s = {.id = d->id, .e = d->e, .at = at, .note = d->note};
    struct aft_reader rest = {payload.p + 16, payload.p + payload.n};
    if (d->kind == AFT_REDO_WAITING) {
        struct aft_outcome o;
        aft_arena_reset(&j->scratch);
        if (aft_decode_outcome((struct aft_bytes){rest.p, aft_left(&rest)}, &j->scratch, &o, e))
            return damaged(at.segment, "holds a bad outcome that waits", e);
        s.waiting = true;
        struct aft_waiting w = {.decision = aft_id_of(o.decision_id),
                                .user = aft_id_of(o.user_id),
                                .e = d->e,
                                .at = at};
        w.outcome = aft_index_see(&j->index, &s);
        aft_index_wait(&j->index, &w);
        return AFT_OK;
    }
    AFT_TRY(ledger_again(j, rest, at, e));
    if (j->ledger.credit_n && !(j->ledger.flags & AFTI_RETRACTS))
        s.ledger = at;
    aft_index_see(&j->index, &s);
    return afti_apply(j, d->e, at.segment, &j->ledger, AFT_ABSENT, e);
}

static enum aft_err
again_resolved(struct aft_joiner *j, const struct afti_again *d, struct aft_error *e)
{
    struct aft_place at = d->at;
    struct aft_bytes payload = afti_again_payload(d);
    struct aft_reader in = aft_reader(payload);
    int64_t outcome;
    uint64_t n;
    if (!aft_get_long(&in, &outcome))
        return damaged(at.segment, "holds a resolution without an outcome", e);
    if (!fate_there(d->note))
        return damaged(at.segment, unknown_fate, e);
    AFT_TRY(ledger_again(j, in, at, e));
    if (aft_index_waiting_of(&j->index, (uint64_t)outcome, &n))
        aft_index_waited(&j->index, n);
    if ((uint64_t)outcome >= j->index.seen_head && (uint64_t)outcome < j->index.seen_tail) {
        struct aft_seen *s = aft_index_seen(&j->index, (uint64_t)outcome);
        s->note = d->note;
        if (j->ledger.credit_n)
            s->ledger = at;
    }
    return afti_apply(j, d->e, at.segment, &j->ledger, AFT_ABSENT, e);
}

static enum aft_err
again_stale(struct aft_joiner *j, const struct afti_again *d, struct aft_error *e)
{
    struct aft_place at = d->at;
    struct aft_bytes payload = afti_again_payload(d);
    uint64_t n;
    if (payload.n < 17)
        return damaged(at.segment, "holds a timer without an id", e);
    if (!aft_index_gathered(&j->index, true))
        return damaged(at.segment, twice, e);
    if (aft_index_find(&j->index, hash_at(payload.p), &n))
        return afti_timer_act(j, d->e, n, payload.p[16], e);
    return AFT_OK; /* its decision was erased since */
}

static enum aft_err
again(struct aft_joiner *j, const struct afti_again *d, struct aft_error *e)
{
    uint32_t segment = d->at.segment;
    AFT_TRY(afti_timers_run(j, d->e, e));
    switch ((enum aft_redo)d->kind) {
    case AFT_REDO_IMPRESSION:
        return again_impression(j, d) ? AFT_OK : damaged(segment, "holds a bad impression", e);
    case AFT_REDO_ERASED:
        return again_erased(j, d) ? AFT_OK : damaged(segment, "holds a bad erasure", e);
    case AFT_REDO_OUTCOME:
    case AFT_REDO_WAITING:
        return again_outcome(j, d, e);
    case AFT_REDO_RESOLVED:
        return again_resolved(j, d, e);
    case AFT_REDO_STALE:
        return again_stale(j, d, e);
    }
    AFT_NEVER();
}

/* ---- all of them */
#define TIME_MAX_MS \
    INT64_C(8640000000000000) /* of an event, as in wire; nothing in a state is beyond */

struct reading {   /* of the segments, one after the other */
    int64_t last;  /* e of the record before: canonical order */
    uint64_t want; /* the segment to come */
    uint64_t
        end; /* numbers of touches that there can be are below it: the index has room for them */
};

/* prepare asks for the slots that a record will want. */
static inline void
prepare(const struct aft_joiner *j, const struct afti_again *d)
{
    if (d->kind != AFT_REDO_OUTCOME || !d->sound)
        return;
    AFT_IDS_EXPECT(&j->index.seen_ids, d->id.low);
    if (d->touch >= j->index.head && d->touch < j->index.tail)
        AFT_INDEX_EXPECT_TOUCH(&j->index, d->touch);
}

static enum aft_err
again_head(struct aft_joiner *j, struct reading *at_hand, const struct afti_again *d,
           struct aft_error *e)
{
    if ((uint64_t)d->e != at_hand->want)
        return damaged(at_hand->want, "is missing", e);
    if (!d->sound)
        return damaged(at_hand->want, "has a wrong head", e);
    if (d->touch != j->index.tail || d->outcome != j->index.seen_tail)
        return damaged(at_hand->want, "does not follow the one before it", e);
    at_hand->want++;
    return AFT_OK;
}

static enum aft_err
again_in_order(struct aft_joiner *j, struct reading *at_hand, const struct afti_again *d,
               struct aft_error *e)
{
    if (d->kind == AFTI_AGAIN_HEAD)
        return again_head(j, at_hand, d, e);
    if (d->kind == AFTI_AGAIN_CUT)
        return damaged(d->at.segment, "is cut off", e);
    if (d->e < at_hand->last || d->e > TIME_MAX_MS)
        return damaged(d->at.segment, "is out of order", e);
    if (j->index.tail == at_hand->end)
        return damaged(d->at.segment, beyond, e);
    at_hand->last = d->e;
    return again(j, d, e);
}

static enum aft_err
again_block(struct aft_joiner *j, struct reading *at_hand, struct aft_bytes block,
            struct aft_error *e)
{
    const struct afti_again *d, *then;
    size_t at = 0, ahead = 0;
    for (int i = 0; i < AHEAD && (then = afti_again_next(block, &ahead)) != NULL; i++)
        prepare(j, then);
    while ((d = afti_again_next(block, &at)) != NULL) {
        if ((then = afti_again_next(block, &ahead)) != NULL)
            prepare(j, then);
        AFT_TRY(again_in_order(j, at_hand, d, e));
    }
    return AFT_OK;
}

struct heads { /* of the first segment and the last */
    uint64_t touch[2], outcome[2];
    size_t last_bytes;
};

static enum aft_err
read_heads(struct aft_joiner *j, const struct aft_commit_record *c, struct heads *h,
           struct aft_error *e)
{
    const uint64_t number[2] = {c->first_segment, c->last_segment};
    uint8_t key[AFT_KEY_BYTES];
    bool found;
    for (int i = 0; i < 2; i++) {
        aft_buffer_reset(&j->bytes);
        aft_key_make(key, number[i], AFT_KEY_SEGMENT);
        AFT_TRY(j->store->ops->get(j->store, (struct aft_bytes){key, sizeof key}, &j->bytes, &found,
                                   e));
        if (!found)
            return damaged(number[i], "is missing", e);
        if (!afti_again_head(aft_buffer_bytes(&j->bytes), &h->touch[i], &h->outcome[i]))
            return damaged(number[i], "has a wrong head", e);
    }
    h->last_bytes = j->bytes.n;
    return AFT_OK;
}

/* begin: the index is empty, and as large as it will be: nothing of it is moved while it is filled. What is impossible is not believed. */
static enum aft_err
begin(struct aft_joiner *j, const struct aft_commit_record *c, struct reading *at_hand,
      struct aft_error *e)
{
    struct heads h;
    struct aft_index *x = &j->index;
    AFT_TRY(read_heads(j, c, &h, e));
    uint64_t most = (AFT_SEGMENT_BYTES / AFT_REDO_HEAD + 1) * (c->last_segment - c->first_segment),
             touches = h.touch[1] - h.touch[0], outcomes = h.outcome[1] - h.outcome[0];
    if (h.touch[1] < h.touch[0] || h.outcome[1] < h.outcome[0] || touches + outcomes > most)
        return damaged(c->last_segment, "has numbers that those before it do not lead to", e);
    touches += h.last_bytes / AFT_REDO_HEAD + 1;
    outcomes += h.last_bytes / AFT_REDO_HEAD + 1;
    aft_index_deinit(x);
    aft_index_init(x, h.touch[0], h.outcome[0]);
    aft_index_gather(x);
    aft_index_room(x, touches, outcomes);
    at_hand->end = x->tail + touches;
    afti_timers_init(&j->timers, x->tail);
    j->needed_touch = x->tail;
    return AFT_OK;
}

static enum aft_err
again_blocks(struct aft_joiner *j, struct reading *at_hand, struct aft_ahead *ahead,
             struct aft_error *e)
{
    struct aft_bytes block;
    bool end;
    for (;;) {
        AFT_TRY(aft_ahead_next(ahead, &block, &end, e));
        if (end)
            return AFT_OK;
        AFT_TRY(again_block(j, at_hand, block, e));
    }
}

static enum aft_err
read_segments(struct aft_joiner *j, const struct aft_commit_record *c, struct aft_error *e)
{
    struct reading at_hand = {.last = -TIME_MAX_MS, .want = c->first_segment};
    struct afti_reading reading = {.index = &j->index, .last = c->last_segment};
    struct aft_ahead_work work = {afti_again_read, &reading};
    struct aft_ahead *ahead;
    uint8_t from[AFT_KEY_BYTES];
    if (c->first_segment > c->last_segment)
        return AFT_OK;
    AFT_TRY(begin(j, c, &at_hand, e));
    reading.first = reading.next = reading.present = j->index.tail;
    reading.end = at_hand.end;
    aft_key_make(from, c->first_segment, 0);
    AFT_TRY(aft_ahead_open(j->store, (struct aft_bytes){from, sizeof from}, &work,
                           c->last_segment - c->first_segment >= BESIDE, &ahead, e));
    enum aft_err failed = again_blocks(j, &at_hand, ahead, e);
    aft_ahead_close(ahead);
    aft_index_take_users(&j->index, &reading.users);
    AFT_TRY(failed);
    if (at_hand.want <= c->last_segment)
        return damaged(at_hand.want, "is missing", e);
    if (at_hand.last > c->fired_ms)
        return AFT_FAIL(
            e, AFT_E_CORRUPT,
            "the state's last record says that it has gone up to %lld, but its segments "
            "reach %lld: restore a checkpoint, or rebuild it from the logs",
            (long long)c->fired_ms, (long long)at_hand.last);
    return AFT_OK;
}

static enum aft_err
check_owner(const struct aft_joiner *j, const struct aft_commit_record *c, struct aft_error *e)
{
    if (!aft_same(c->app_id, aft_text(j->app_id)) || c->partition != j->partition)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "the state belongs to app.id=%.*s, partition %d, not to %s, partition %d: give each "
            "its own state.dir",
            (int)c->app_id.n, (const char *)c->app_id.p, c->partition, j->app_id, j->partition);
    if (memcmp(c->config.b, j->config_digest.b, sizeof c->config.b) != 0)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "the state was made under other join.* or reward.* settings, and changing them would "
            "alter credit already given: put them back, or take a new app.id (or replay)");
    return AFT_OK;
}

static void
restore(struct aft_joiner *j, const struct aft_commit_record *c)
{
    for (int i = 0; i < 2; i++)
        afti_log_init(&j->logs[i], j->config.disorder_ms, c->logs[i]);
    j->place_e = c->place_e;
    j->place_offset = c->place_offset;
    j->place_log = c->place_log;
    j->fired = c->fired_ms;
    j->seq = c->seq;
    j->hash = c->hash;
    j->last_segment = c->last_segment;
    j->ever_committed = true;
    aft_buffer_reset(&j->rider);
    aft_reserve(&j->rider, 1);
    aft_put_raw(&j->rider, c->rider);
}

static enum aft_err
rebuild(struct aft_joiner *j, const struct aft_commit_record *c, struct aft_error *e)
{
    if (c->counts_n != AFTI_COUNTS)
        return AFT_FAIL(
            e, AFT_E_CORRUPT,
            "the state counts other things than this version: rebuild it from the logs");
    j->replaying = true;
    AFT_TRY(read_segments(j, c, e));
    AFT_TRY(afti_timers_run(j, c->fired_ms, e));
    if (j->index.gather && !aft_index_gathered(&j->index, false))
        return damaged(c->last_segment, twice, e);
    AFT_TRY(afti_open_max(j, 0, e));
    j->replaying = false;
    memcpy(&j->counts, c->counts, sizeof j->counts);
    return AFT_OK;
}

enum aft_err
afti_recover(struct aft_joiner *j, struct aft_error *e)
{
    struct aft_buffer key = {0}, value = {0};
    struct aft_commit_record c;
    bool found;
    enum aft_err failed = j->store->ops->last(j->store, &key, &value, &found, e);
    if (!failed && found && (key.n != AFT_KEY_BYTES || key.p[8] != AFT_KEY_COMMIT))
        failed = AFT_FAIL(e, AFT_E_CORRUPT,
                          "the state does not end with a commit record: restore a checkpoint");
    if (!failed && found)
        failed = aft_commit_decode(aft_buffer_bytes(&value), &c, e);
    if (!failed && found)
        failed = check_owner(j, &c, e);
    if (!failed && found) {
        restore(j, &c);
        aft_segments_deinit(&j->segments);
        aft_segments_init(&j->segments, j->store, c.last_segment + 1, AFTI_HOLD_BYTES);
        failed = rebuild(j, &c, e);
    }
    aft_buffer_deinit(&key);
    aft_buffer_deinit(&value);
    return failed;
}
