/* attribution.h - who gets the credit. Two logs in, one log out, always the same bytes.
 *
 * The joiner of one partition is a pure function of its logs (impressions, outcomes, counted ticks): canonical order, touches,
 * split rules, ledger, life of an impression. It reads and changes a state.h store; it knows no clock, no Kafka, no thread.
 * The specification is tests/oracle/join_oracle.py and docs/SEMANTICS.md.
 *
 *      open(store) -> resume positions
 *      loop: take(record)*, tick()*; run() -> examples; now and then cut() -> (wait until acknowledged) -> commit()
 */
#ifndef AFT_ATTRIBUTION_ATTRIBUTION_H
#define AFT_ATTRIBUTION_ATTRIBUTION_H

#include "state/state.h"

enum aft_rule {
    AFT_RULE_LAST_TOUCH,
    AFT_RULE_FIRST_TOUCH,
    AFT_RULE_LINEAR,
    AFT_RULE_TIME_DECAY,
    AFT_RULE_POSITION_BASED,
    AFT_RULE_SHAPLEY
};
enum aft_match { AFT_MATCH_USER, AFT_MATCH_SUBJECT, AFT_MATCH_SESSION };

struct aft_kind {
    char name[AFT_ID_BYTES_MAX + 1];
    int64_t weight_micro;
    enum aft_rule rule;
    int64_t half_life_ms; /* time_decay */
    enum aft_match match;
    bool count_first, prefer_clicked, click, activates;
    int64_t delay_half_life_ms; /* reward halves every so much delay; 0: never */
};

struct aft_join_config {
    int64_t window_ms, grace_ms, open_after_ms, orphan_after_ms, disorder_ms, max_future_ms;
    bool emit_rewarded_only;
    uint64_t
        open_max; /* bound on open impressions, and so on the index; past it the joiner refuses, in words */
    struct aft_kind kinds[AFT_KINDS_MAX];
    uint32_t kinds_n;
};

/* aft_join_config_digest: over everything whose change would alter past credit. */
void aft_join_config_digest(const struct aft_join_config *c, struct aft_digest *out);

/* Fates of outcomes (each has exactly one) and other counts, by the oracle's names. The state has a fate as its number, from 1 in this
 * order: a new one goes to the end. duplicate and unknown_kind stand in no record: of the first of its id; of nobody. */
#define AFT_FATES(X)         \
    X(credited)              \
    X(organic)               \
    X(orphan)                \
    X(repeat)                \
    X(duplicate)             \
    X(withdrawn)             \
    X(retraction)            \
    X(retraction_of_unknown) \
    X(outside_window)        \
    X(unknown_arm)           \
    X(unknown_kind)          \
    X(activation)            \
    X(erased)
#define AFT_COUNTS(X)       \
    X(duplicate_impression) \
    X(expired_impression)   \
    X(never_seen)           \
    X(retracted)            \
    X(credit_ppm)           \
    X(erased_users)         \
    X(waiting)
enum aft_fate {
    AFT_FATE_UNTOLD, /* it still waits, or its state was written when fates were not told */
#define X(n) AFT_FATE_##n,
    AFT_FATES(X)
#undef X
        AFT_FATES_END
};
struct aft_join_counts {
#define X(n) int64_t n;
    struct {
        AFT_FATES(X)
    } fates;
    struct {
        AFT_COUNTS(X)
    } counts;
#undef X
    int64_t impressions, outcomes, future, late, open, examples;
};
/* aft_join_accounted: outcomes with a fate, and those that still wait for their impression. Conservation: it equals outcomes. */
int64_t aft_join_accounted(const struct aft_join_counts *c);

/* Where the joiner's examples go, in order, seq = 0, 1, 2 ... The body lives until the call returns. */
struct aft_join_out {
    void *ctx;
    enum aft_err (*example)(void *ctx, uint64_t seq, struct aft_bytes body,
                            struct aft_hash128 hash_after, struct aft_error *e);
};

struct aft_join_identity { /* what the state directory belongs to; another is refused in words */
    const char *app_id;
    int32_t partition;
};

struct aft_join_resume {
    int64_t next_offset[2]; /* per log: the first record to read (again) */
    uint64_t next_seq;
    struct aft_hash128 hash;
    struct aft_bytes
        rider; /* the last commit's; lives until the next commit; absent on a new state */
};

struct aft_joiner;

/* aft_joiner_open rebuilds the index from the store and says where to go on. The config and out are copied; the store stays the
 * caller's and must outlive the joiner. AFT_E_CORRUPT, AFT_E_CONFIG (another identity or configuration; more open than open_max). */
enum aft_err aft_joiner_open(const struct aft_join_config *config,
                             const struct aft_join_identity *identity, struct aft_store *store,
                             const struct aft_join_out *out, struct aft_joiner **joiner,
                             struct aft_error *e) AFT_MUST_CHECK;
/* aft_joiner_resume: of the last commit (after open: of the one that was found). */
void aft_joiner_resume(const struct aft_joiner *j, struct aft_join_resume *out);
void aft_joiner_close(struct aft_joiner *j);

/* aft_joiner_take gives the joiner the next record of a log (offsets grow; gaps are allowed). body: canonical, or absent = an
 * erasure of the user in `key`. The bytes are copied. A DATA error (malformed, too far in the future) means: dead-letter this
 * record, it has taken no place. Records below resume.next_offset must not be given. */
enum aft_err aft_joiner_take(struct aft_joiner *j, enum aft_log_kind log, int64_t offset,
                             int64_t log_timestamp_ms, struct aft_bytes key, struct aft_bytes body,
                             struct aft_error *e) AFT_MUST_CHECK;
/* aft_joiner_tick: a counted tick; given before any record of that log at or beyond at_offset. Ticks already in the committed
 * state are recognised and ignored. */
void aft_joiner_tick(struct aft_joiner *j, enum aft_log_kind log, int64_t at_offset,
                     int64_t watermark_ms);
/* aft_joiner_reached: every record of this log below next_offset was given, or is none (a dead letter, a transaction's marker), so
 * that ticks up to there take effect. Needed only where offsets have gaps, and at the end of a file (INT64_MAX). */
void aft_joiner_reached(struct aft_joiner *j, enum aft_log_kind log, int64_t next_offset);
/* aft_joiner_run processes everything below both watermarks, timers included, and emits. */
enum aft_err aft_joiner_run(struct aft_joiner *j, struct aft_error *e) AFT_MUST_CHECK;

/* aft_joiner_hold: from now on runs process nothing at or beyond until_ms (INT64_MAX: all, as at first). What was done then is a function of
 * that time alone, however the records came. aft_joiner_time: how far it has gone so (INT64_MIN: nowhere yet). */
void aft_joiner_hold(struct aft_joiner *j, int64_t until_ms);
int64_t aft_joiner_time(const struct aft_joiner *j);

/* Looking: watermark of a log (INT64_MIN: none yet), how many records wait in the reorder buffer, which log to read next (the
 * one with the lower watermark), the digest of the state's meaning (the same whatever the batching). */
int64_t aft_joiner_watermark(const struct aft_joiner *j, enum aft_log_kind log);
size_t aft_joiner_waiting(const struct aft_joiner *j, enum aft_log_kind log);
/* aft_joiner_disorder: by how much the records that were given stood behind the greatest time before them.
 * aft_disorder_suggested: the least power of two of milliseconds that 99.99 % of them are within; 0: all were in order. */
#define AFT_DISORDER_BUCKETS 42u
struct aft_disorder {
    uint64_t n
        [AFT_DISORDER_BUCKETS]; /* [0]: in order; [k]: by 2^(k-1) .. 2^k - 1 ms; the last: and more */
    uint64_t sum_ms;
};
void aft_joiner_disorder(const struct aft_joiner *j, enum aft_log_kind log,
                         struct aft_disorder *out);
void aft_disorder_add(struct aft_disorder *d, uint64_t by_ms); /* 0: in order */
int64_t aft_disorder_suggested(const struct aft_disorder *d);
enum aft_log_kind aft_joiner_behind(const struct aft_joiner *j);
void aft_joiner_counts(const struct aft_joiner *j, struct aft_join_counts *out);
void aft_joiner_digest(const struct aft_joiner *j, struct aft_digest *out);
/* aft_joiner_memory: bytes of it all. aft_joiner_memory_of says where: what open impressions cost (touches, their ids and users); outcomes
 * and credit; segments kept for examples and until they are committed (bounded: 64 MB, and what waits for a commit); records that
 * wait for their place in the order. */
uint64_t aft_joiner_memory(const struct aft_joiner *j);
struct aft_join_memory {
    uint64_t touches, outcomes, segments, waiting;
};
void aft_joiner_memory_of(const struct aft_joiner *j, struct aft_join_memory *out);
/* aft_joiner_uncommitted: bytes of state that the next commit would write. */
size_t aft_joiner_uncommitted(const struct aft_joiner *j);

/* aft_joiner_cut freezes what was processed so far as the next atomic step, with the caller's rider in it (copied). Every example
 * with seq < *seq must be acknowledged before commit. Processing may go on meanwhile. One cut at a time. */
void aft_joiner_cut(struct aft_joiner *j, struct aft_bytes rider, uint64_t *seq);
/* aft_joiner_commit writes the cut to the store, durably and atomically. */
enum aft_err aft_joiner_commit(struct aft_joiner *j, struct aft_error *e) AFT_MUST_CHECK;

/* ---- the same? aft_joiner_compare: two joiners of one configuration at one time, each just cut (a cut carries out what was to be wiped):
 * touches with their credit and their stored bytes, outcomes with their ledgers, what waits, timers, place, counts, seq and hash.
 * The first difference, touches first; value[0] is a's. numbered: both logs of both were read from their beginnings; otherwise
 * counts, seq and hash are left out. The store's errors, AFT_E_CORRUPT. */
enum { AFT_DIFFERENCE_VALUE = 64 };
enum aft_difference_of {
    AFT_DIFFERENCE_DECISION,
    AFT_DIFFERENCE_OUTCOME,
    AFT_DIFFERENCE_WHOLE /* of neither */
};
struct aft_join_difference {
    bool differs;
    enum aft_difference_of of;
    struct aft_hash128 hash;       /* of the id; the state knows outcomes by it alone */
    char id[AFT_ID_BYTES_MAX + 1]; /* of a decision that is still held; else "" */
    char field[64], value[2][AFT_DIFFERENCE_VALUE];
    int64_t decisions, outcomes; /* compared */
};
enum aft_err aft_joiner_compare(struct aft_joiner *a, struct aft_joiner *b, bool numbered,
                                struct aft_join_difference *out,
                                struct aft_error *e) AFT_MUST_CHECK;

/* ---- why: what the state holds of an outcome (its ledger) and of a decision (its credit so far). Nothing is changed.
 * Slices live until
 * the sink returns. */
struct aft_explained_credit {
    const struct aft_kind *kind; /* NULL: a touch of the same user in the window that got nothing */
    uint32_t item;               /* of the slate, from 0 */
    uint32_t ppm;                /* 0 where it is a sum over outcomes */
    int64_t unit_micro, reward_micro; /* value x share x decay; that x the kind's weight */
    bool held;   /* the impression is still in the state; if not, the rest is not known */
    bool erased; /* not held, for its user was erased; false also where it is settled */
    struct aft_bytes decision_id, arm_id;
    int64_t shown_ms, clicked_ms; /* clicked_ms INT64_MIN: never */
};
struct aft_explain_sink {
    void *ctx;
    void (*credit)(void *ctx, const struct aft_explained_credit *c);
};
struct aft_explained_outcome {
    bool known,
        waiting; /* not known: never seen, or forgotten since; waiting: its impression is not there yet */
    enum aft_fate fate;    /* UNTOLD while it waits */
    bool direct;           /* it names its decision; not known while the fate is UNTOLD */
    bool taken_back;       /* credited, and a retraction took that back */
    bool waited;           /* its impression came after it, or not at all */
    int64_t e_ms;          /* its effective time */
    int64_t until_ms;      /* waiting or waited: until when at most, or did; INT64_MIN: not known */
    uint32_t credits, ppm; /* credits and the sum of their shares; 0: none, or taken back */
};
struct aft_explained_decision {
    bool known, opened, seen; /* not known: never, or settled; seen: by its user */
    int64_t shown_ms, settles_ms, offset;
    struct aft_bytes user_id; /* lives until the next call on the joiner */
    uint32_t items;
};
const char *aft_rule_name(enum aft_rule rule);
const char *aft_fate_name(enum aft_fate fate); /* UNTOLD: "untold" */
enum aft_err aft_joiner_explain_outcome(struct aft_joiner *j, struct aft_bytes id,
                                        struct aft_explained_outcome *out,
                                        const struct aft_explain_sink *sink,
                                        struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_joiner_explain_decision(struct aft_joiner *j, struct aft_bytes id,
                                         struct aft_explained_decision *out,
                                         const struct aft_explain_sink *sink,
                                         struct aft_error *e) AFT_MUST_CHECK;

/* ---- split rules on their own (also for tests). Weights and shares are integers; shares sum to AFT_PPM. */
struct aft_touch_view {
    int64_t time_ms;
    struct aft_bytes arm_id;
};
/* aft_split: touches oldest first, n >= 1. Largest remainder; ties to the earlier index. scratch from the arena. */
enum aft_err aft_split(enum aft_rule rule, int64_t half_life_ms,
                       const struct aft_touch_view *touches, uint32_t n, int64_t outcome_ms,
                       struct aft_arena *scratch, uint32_t *ppm,
                       struct aft_error *e) AFT_MUST_CHECK;
/* aft_decay_q32: floor(2^(32 - age/half_life) + 1/2). */
uint64_t aft_decay_q32(int64_t age_ms, int64_t half_life_ms);

#endif
