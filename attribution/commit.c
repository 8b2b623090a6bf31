/* commit.c - cut: all that was processed becomes the next atomic step. commit: the step is in the store, or nothing of it.
 *
 * Invariants: I1 what a step writes was processed before its cut (a wipe asked for later waits for the next cut); I2 segments below
 * the step's first hold nothing that can still matter: no live touch, no timer to come, no outcome that is remembered;
 * I3 after a step with an erasure no segment of the store holds the erased user: those from first on are rewritten, those below taken out.
 */
#include "attribution/inner.h"

void
afti_wipe_later(struct aft_joiner *j, struct aft_place at, enum aft_redo kind, uint8_t note,
                struct aft_bytes payload)
{
    AFTI_ROOM(j->wipe, j->wipe_n + 1, j->wipe_cap);
    struct afti_wipe *w = &j->wipe[j->wipe_n++];
    AFT_ASSERT(payload.n <= sizeof w->payload);
    *w = (struct afti_wipe){.at = at, .kind = kind, .note = note, .n = (uint8_t)payload.n};
    if (payload.n)
        memcpy(w->payload, payload.p, payload.n);
}

static enum aft_err
wipe_all(struct aft_joiner *j, struct aft_error *e)
{
    for (size_t i = 0; i < j->wipe_n; i++) {
        struct afti_wipe *w = &j->wipe[i];
        if (w->n == 0) {
            struct aft_redo_record rec;
            AFT_TRY(aft_segments_read(&j->segments, w->at, &rec, e));
            AFT_ASSERT(rec.kind == AFT_REDO_WAITING && rec.payload.n >= 16);
            memcpy(w->payload, rec.payload.p, w->n = 16);
        }
        AFT_TRY(aft_segments_wipe(&j->segments, w->at, w->kind, w->note,
                                  (struct aft_bytes){w->payload, w->n}, e));
    }
    j->wipe_n = 0;
    return AFT_OK;
}

/* first_needed moves past touches that matter to nobody, and says which segment is the first that must be kept. */
static uint64_t
first_needed(struct aft_joiner *j)
{
    const struct aft_index *x = &j->index;
    const struct afti_timers *t = &j->timers;
    uint64_t first = j->segments.next;
    if (j->needed_touch < x->head)
        j->needed_touch = x->head;
    for (; j->needed_touch < x->tail; j->needed_touch++) {
        const struct aft_touch *n = aft_index_touch(x, j->needed_touch);
        bool to_open = !(n->flags & AFT_TOUCH_DEFERRED) &&
                       aft_touch_e(n) + j->config.open_after_ms >= j->fired;
        if (to_open || afti_settle_of(j, aft_touch_ts(n)) >= j->fired) {
            first = n->segment;
            break;
        }
    }
    if (x->seen_head < x->seen_tail && aft_index_seen(x, x->seen_head)->at.segment < first)
        first = aft_index_seen(x, x->seen_head)->at.segment;
    if (t->activation_head < t->activation_tail) {
        uint64_t at = t->activation_head & (t->activation_cap - 1);
        if (t->activation[at].segment < first)
            first = t->activation[at].segment;
    }
    return first;
}

static void
encode_cut(struct aft_joiner *j)
{
    struct aft_commit_record c = {.app_id = aft_text(j->app_id),
                                  .partition = j->partition,
                                  .config = j->config_digest,
                                  .place_e = j->place_e,
                                  .place_offset = j->place_offset,
                                  .place_log = j->place_log,
                                  .fired_ms = j->fired,
                                  .seq = j->seq,
                                  .hash = j->hash,
                                  .first_segment = j->cut_first,
                                  .last_segment = j->cut_last,
                                  .counts_n = AFTI_COUNTS,
                                  .rider = aft_buffer_bytes(&j->rider)};
    _Static_assert((int)AFTI_COUNTS <= (int)AFT_COMMIT_COUNTS_MAX,
                   "counts fit into a commit record");
    j->cut_resume = (struct aft_join_resume){
        .next_seq = j->seq, .hash = j->hash, .rider = aft_buffer_bytes(&j->rider)};
    for (int i = 0; i < 2; i++) {
        c.logs[i] = afti_log_low(&j->logs[i]);
        j->cut_resume.next_offset[i] = c.logs[i].next_offset;
    }
    j->counts.future = c.logs[0].future + c.logs[1].future;
    memcpy(c.counts, &j->counts, sizeof j->counts);
    aft_buffer_reset(&j->cut_record);
    aft_commit_encode(&j->cut_record, &c);
}

void
aft_joiner_cut(struct aft_joiner *j, struct aft_bytes rider, uint64_t *seq)
{
    AFT_ASSERT(!j->cut);
    aft_buffer_reset(&j->rider);
    aft_reserve(&j->rider, 1); /* an empty rider is not an absent one */
    aft_put_raw(&j->rider, rider);
    j->cut_bytes = j->segments.fresh;
    j->cut_last = aft_segments_close(&j->segments);
    j->cut_error = (struct aft_error){0};
    enum aft_err failed = wipe_all(j, &j->cut_error);
    AFT_ASSERT(failed == j->cut_error.code);
    j->cut_first = first_needed(j);
    aft_index_trim(&j->index, j->cut_first);
    j->cut_erased = j->erased;
    j->erased = false;
    encode_cut(j);
    j->cut = true;
    *seq = j->seq;
}

/* take_out_below adds the removal of every key below the step's first segment that still stands in the store. */
static enum aft_err
take_out_below(struct aft_joiner *j, struct aft_error *e)
{
    struct aft_store_scan *scan;
    struct aft_put at;
    bool end;
    enum aft_err failed;
    AFT_TRY(
        j->store->ops->scan_open(j->store, (struct aft_bytes){(const uint8_t *)"", 0}, &scan, e));
    while ((failed = j->store->ops->scan_next(scan, &at, &end, e)) == AFT_OK && !end) {
        uint64_t segment = at.key.n == AFT_KEY_BYTES ? aft_load_be64(at.key.p) : UINT64_MAX;
        if (segment >= j->cut_first)
            break;
        if (at.key.p[8] == AFT_KEY_COMMIT && (segment == j->last_segment || segment == j->cut_last))
            continue; /* the last commit's record goes, this one's is written, in any case */
        aft_step_add(&j->step, segment, at.key.p[8], AFT_ABSENT);
    }
    j->store->ops->scan_close(scan);
    return failed;
}

static enum aft_err
write_step(struct aft_joiner *j, struct aft_error *e)
{
    const struct aft_store_ops *ops = j->store->ops;
    uint8_t key[AFT_KEY_BYTES];
    j->step.n = 0;
    if (j->cut_erased)
        AFT_TRY(take_out_below(j, e));
    /* the last commit's record may stand on among the segments, where nobody looks: what takes nothing out is cheaper to write */
    if (j->ever_committed && j->last_segment != j->cut_last && j->cut_bytes < AFT_STORE_BULK_BYTES)
        aft_step_add(&j->step, j->last_segment, AFT_KEY_COMMIT, AFT_ABSENT);
    aft_segments_puts(&j->segments, j->cut_first, j->cut_last, &j->step);
    aft_step_add(&j->step, j->cut_last, AFT_KEY_COMMIT, aft_buffer_bytes(&j->cut_record));
    aft_step_seal(&j->step);
    AFT_TRY(ops->commit(j->store, j->step.puts, j->step.n, e));
    aft_segments_committed(&j->segments, j->cut_last);
    if (j->cut_first <= j->cut_last)
        aft_key_make(key, j->cut_first, 0);
    else /* no segment is needed: the commit record alone */
        aft_key_make(key, j->cut_last, AFT_KEY_COMMIT);
    return ops->drop_below(j->store, (struct aft_bytes){key, sizeof key}, e);
}

enum aft_err
aft_joiner_commit(struct aft_joiner *j, struct aft_error *e)
{
    AFT_ASSERT(j->cut);
    if (j->broken.code)
        return *e = j->broken, e->code;
    if (j->cut_error.code == AFT_OK)
        (void)write_step(j, &j->cut_error);
    if (j->cut_error.code)
        return *e = j->broken = j->cut_error, e->code;
    j->last_segment = j->cut_last;
    j->ever_committed = true;
    j->cut = false;
    j->resume = j->cut_resume;
    return AFT_OK;
}
