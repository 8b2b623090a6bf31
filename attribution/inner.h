/* inner.h - the joiner from inside: what the files of attribution/ share. One thread a joiner.
 *
 *   order.c      a record's place                     machine.c   impressions, outcomes, erasures, in canonical order
 *   timers.c     open, settle, orphan, forget         touches.c   an indirect outcome's touches
 *   split.c      who gets what share                  credit.c    from shares to rewards; revisions; retractions
 *   ledger.c     what is written down of an outcome   emit.c      examples, seq, hash
 *   recover.c    from the store back to the index     commit.c    cut, commit        config.c  rules, digest
 *   joiner.c     the public face                      digest.c    the state's meaning
 *   explain.c    why: ledger and credit, read out       compare.c  two joiners: the first that differs
 */
#ifndef AFT_ATTRIBUTION_INNER_H
#define AFT_ATTRIBUTION_INNER_H

#include "attribution/attribution.h"
#include "attribution/order.h"

/* ---- sorting by three keys */
struct afti_ranked {
    uint64_t a, b;
    uint32_t c, value;
};
void afti_sort(struct afti_ranked *v, size_t n);

/* ---- timers that are not cursors */
struct afti_late { /* settle of an impression that came late */
    int64_t fire;
    uint64_t touch;
};
struct afti_activation { /* open of a deferred decision, once seen */
    int64_t fire;
    uint64_t born, touch; /* born: touches there were */
    struct aft_hash128 id;
    uint32_t segment; /* of its record */
};
struct afti_timers {
    uint64_t open, settle; /* cursors: touches below have fired, or have no such timer here */
    uint64_t open_seen,
        settle_seen; /* the cursor's touch + 1 whose timer fires at .._fire; 0: not looked at */
    int64_t open_fire, settle_fire; /* INT64_MAX: no touch is there */
    int64_t quiet,
        quiet_outcomes;     /* nothing fires before this, no orphan or forget: I3 of timers.c */
    uint64_t orphan;        /* cursor on waiting */
    struct afti_late *late; /* a heap by (fire, touch) */
    size_t late_n, late_cap;
    struct afti_activation *activation; /* a ring, in order of fire */
    uint64_t activation_head, activation_tail, activation_cap;
};

/* ---- one outcome's credit */
#define AFTI_NO_TOUCH UINT64_MAX
struct afti_credit {
    struct aft_hash128 decision;
    uint64_t touch; /* the live one of that id when it was written down, or AFTI_NO_TOUCH */
    uint8_t item, kind;
    uint32_t ppm;
    int64_t unit, micro;
};
enum { AFTI_DIRECT = 128 }; /* in a note: the outcome names its decision */
/* AFTI_FATE: the outcome in hand has this fate; counted, and noted in j->ledger. */
#define AFTI_FATE(j, fate)           \
    ((void)(j)->counts.fates.fate++, \
     (j)->ledger.note = AFT_FATE_##fate | ((j)->ledger.note & AFTI_DIRECT))
enum { AFTI_CLICK = 1, AFTI_ACTIVATES = 2, AFTI_RETRACTS = 4 };
struct afti_ledger { /* what became of an outcome: ledger.c has the bytes */
    uint8_t flags;
    int64_t click_ms;             /* AFTI_CLICK */
    struct aft_hash128 activated; /* AFTI_ACTIVATES */
    uint64_t activated_touch;
    uint64_t retracted; /* AFTI_RETRACTS: outcome number */
    uint8_t note; /* of the record that it stands in, not among its bytes: fate, AFTI_DIRECT */
    struct afti_credit *credit;
    uint32_t credit_n, credit_cap;
};
void afti_ledger_encode(struct aft_buffer *b, const struct afti_ledger *l);
/* afti_ledger_decode reuses l->credit. AFT_E_CORRUPT. */
enum aft_err afti_ledger_decode(struct aft_reader r, struct afti_ledger *l,
                                struct aft_error *e) AFT_MUST_CHECK;
void afti_ledger_reset(struct afti_ledger *l);
struct afti_credit *afti_ledger_add(struct afti_ledger *l);

struct afti_found { /* a touched item */
    uint64_t touch;
    struct aft_hash128 decision;
    int64_t time, shown; /* what the rule goes by; the impression's */
    int64_t offset;
    struct aft_bytes arm; /* in the joiner's arena */
    uint8_t item;
    bool clicked;
};

struct afti_change { /* of one touch by one outcome */
    uint64_t touch;
    uint8_t item;
    int64_t micro;
};

struct afti_wipe {
    struct aft_place at;
    enum aft_redo kind;
    uint8_t note;
    uint8_t payload[AFT_ERASED_BYTES];
    uint8_t n;
};

enum { AFTI_COUNTS = sizeof(struct aft_join_counts) / sizeof(int64_t) };

struct aft_joiner {
    struct aft_join_config config; /* kinds sorted by name: a kind's index is its rank */
    struct aft_digest config_digest;
    char *app_id;
    int32_t partition;
    struct aft_store *store;
    struct aft_join_out out;
    struct afti_log logs[2];
    struct aft_index index;
    struct aft_segments segments;
    struct afti_timers timers;
    struct aft_join_counts counts;
    int64_t place_e, place_offset;
    uint8_t place_log;
    int64_t fired; /* timers before this have fired */
    int64_t hold;  /* nothing at or beyond this is processed */
    uint64_t seq;
    struct aft_hash128 hash;
    bool replaying;        /* recovery: nothing is emitted, written or counted */
    uint64_t needed_touch; /* touches below have no timer left: they matter to nobody */
    /* kept buffers */
    struct aft_arena arena, scratch; /* of one event; of one decoding */
    struct aft_buffer example, bytes, waited;
    struct afti_ledger ledger, taken_back;
    struct afti_found *found;
    size_t found_n, found_cap;
    struct afti_change *change;
    size_t change_n, change_cap;
    struct afti_ranked *ranked;
    size_t ranked_cap;
    struct afti_wipe *wipe;
    size_t wipe_n, wipe_cap;
    struct aft_error broken; /* once an error was returned from run or commit, for ever */
    /* the cut in hand */
    bool cut, cut_erased, erased;
    uint64_t cut_first, cut_last;
    size_t cut_bytes;
    struct aft_buffer cut_record, rider;
    struct aft_step step;
    struct aft_error cut_error;
    uint64_t last_segment; /* of the last commit */
    bool ever_committed;
    struct aft_join_resume resume, cut_resume; /* of the last commit; of the cut in hand */
};

enum {
    AFTI_HOLD_BYTES = 64 << 20
}; /* of committed segments kept in memory, so that examples need no read */

/* afti_passed: was the event at this place processed already? */
static inline bool
afti_passed(const struct aft_joiner *j, enum aft_log_kind log, int64_t e, int64_t offset)
{
    if (j->place_e == AFTI_NONE || e != j->place_e)
        return j->place_e != AFTI_NONE && e < j->place_e;
    return log != j->place_log ? (int)log < j->place_log : offset <= j->place_offset;
}

/* afti_grow doubles an array of elements of this size until `want` fit. */
void *afti_grow(void *p, size_t size, size_t want, size_t *cap);
#define AFTI_ROOM(array, n, cap) ((array) = afti_grow((array), sizeof *(array), (n), &(cap)))

/* config.c */
enum aft_err afti_config_check(const struct aft_join_config *c, struct aft_error *e) AFT_MUST_CHECK;
void afti_config_sort(struct aft_join_config *c);
/* afti_kind: index of a kind, -1 when it is not configured. */
int afti_kind(const struct aft_join_config *c, struct aft_bytes name);

/* machine.c */
enum aft_err afti_impression(struct aft_joiner *j, const struct afti_event *v,
                             struct aft_error *e) AFT_MUST_CHECK;
/* afti_open_max: may so many more be open? */
enum aft_err afti_open_max(const struct aft_joiner *j, uint64_t more,
                           struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_outcome(struct aft_joiner *j, const struct afti_event *v,
                          struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_erase(struct aft_joiner *j, const struct afti_event *v,
                        struct aft_error *e) AFT_MUST_CHECK;
struct aft_place afti_append(struct aft_joiner *j, enum aft_redo kind, const struct afti_event *v,
                             struct aft_bytes head, struct aft_bytes tail);
static inline int64_t
afti_settle_of(const struct aft_joiner *j, int64_t ts)
{
    return ts + j->config.window_ms + j->config.grace_ms;
}

/* touches.c: fills j->found, oldest first. */
enum aft_err afti_touches(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind,
                          struct aft_error *e) AFT_MUST_CHECK;
bool afti_repeats(struct aft_joiner *j, uint8_t kind, uint64_t touch, uint8_t item);
enum aft_err afti_unreadable(const struct aft_touch *t, struct aft_error *e);
/* afti_impression_of: a touch's impression, decoded into j->scratch (slices live until the next read, append or decoding). */
enum aft_err afti_impression_of(struct aft_joiner *j, uint64_t touch, struct aft_impression *out,
                                int64_t *offset, struct aft_error *e) AFT_MUST_CHECK;

/* credit.c */
/* afti_attribute: an outcome whose impression, if it names one, is there. Fills j->ledger, counts the fate; the caller writes the
 * ledger down and then applies it. */
enum aft_err afti_attribute(struct aft_joiner *j, const struct aft_outcome *o, uint8_t kind,
                            struct aft_error *e) AFT_MUST_CHECK;
/* afti_touch_is: touch n is there, live, and of this id. */
bool afti_touch_is(const struct aft_joiner *j, uint64_t n, struct aft_hash128 id);
/* afti_apply changes index and timers by a ledger entry that was written into `segment`, and emits revisions. */
enum aft_err afti_apply(struct aft_joiner *j, int64_t when, uint32_t segment,
                        const struct afti_ledger *l, struct aft_bytes cause,
                        struct aft_error *e) AFT_MUST_CHECK;
/* afti_scale: value * ppm * decay / (10^6 * 2^32), or that * weight / 10^6: exact, rounded half to even. */
int64_t afti_scale(int64_t value, uint32_t ppm, uint64_t decay, const int64_t *weight);

/* timers.c */
void afti_timers_init(struct afti_timers *t, uint64_t first_touch);
void afti_timers_deinit(struct afti_timers *t);
void afti_timers_late(struct aft_joiner *j, uint64_t touch);
void afti_timers_activate(struct aft_joiner *j, const struct afti_activation *a);
/* afti_timers_run fires what is due before `before`, in the order (fire, creation). */
enum aft_err afti_timers_run(struct aft_joiner *j, int64_t before,
                             struct aft_error *e) AFT_MUST_CHECK;
/* afti_timer_act: open or settle a live touch. */
enum aft_err afti_timer_act(struct aft_joiner *j, int64_t fire, uint64_t n, bool settle,
                            struct aft_error *e) AFT_MUST_CHECK;

/* emit.c: deltas by item, or NULL for none. */
enum aft_err afti_emit(struct aft_joiner *j, enum aft_phase phase, int64_t fire, uint64_t touch,
                       struct aft_bytes cause, const int64_t *deltas,
                       struct aft_error *e) AFT_MUST_CHECK;

/* recover.c */
enum aft_err afti_recover(struct aft_joiner *j, struct aft_error *e) AFT_MUST_CHECK;

/* ledger.c */
/* afti_ledger_of: the credit of an outcome, read back into l. */
enum aft_err afti_ledger_of(struct aft_joiner *j, const struct aft_seen *s, struct afti_ledger *l,
                            struct aft_error *e) AFT_MUST_CHECK;

/* commit.c */
/* afti_wipe_later: at the next cut the record becomes `kind` with this note and payload; absent: with the first 16 bytes it has. */
void afti_wipe_later(struct aft_joiner *j, struct aft_place at, enum aft_redo kind, uint8_t note,
                     struct aft_bytes payload);

#endif
