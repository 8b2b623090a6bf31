/* wire.h - bytes <-> nouns. Pure: no clock, no file, no socket.
 *
 *   value --frame--> body under the writer's schema --plan--> canonical body --codec--> noun
 *
 * frame   the first bytes of a value say which schema wrote it.
 * plan    resolution (promotions, defaults, aliases, unions, enums, reordering), compiled once for a pair (writer, reader);
 *         its output is the canonical body: the record under our own schema. Where both schemas are the same it only checks.
 * codec   hand-written, bounded decoders and encoders of our own schemas; they need no Avro library.
 *
 * wire_avro.h (schemas, plans, container files) is for the service; wire.h alone is what the client library links.
 */
#ifndef AFT_WIRE_WIRE_H
#define AFT_WIRE_WIRE_H

#include "base/base.h"

/* ---- our records */
enum aft_record {
    AFT_RECORD_IMPRESSION,
    AFT_RECORD_OUTCOME,
    AFT_RECORD_EXAMPLE,
    AFT_RECORD_EXAMPLE_BLOCK,
    AFT_RECORD_CLOCK,
    AFT_RECORD_ROUND,
    AFT_RECORD_SNAPSHOT,
    AFT_RECORD_SCORE_REQUEST,
    AFT_RECORD_PRESCORED,
    AFT_RECORD_HISTORY,
    AFT_RECORD_COUNT
};

/* aft_record_name: "impression" ... as the file in wire/schemas. aft_record_schema: the text of that file (static).
 * aft_record_fingerprint: CRC-64-AVRO of its parsing canonical form. */
const char *aft_record_name(enum aft_record r);
struct aft_bytes aft_record_schema(enum aft_record r);
uint64_t aft_record_fingerprint(enum aft_record r);

/* ---- frames */
enum aft_frame_kind { AFT_FRAME_CONFLUENT, AFT_FRAME_SINGLE_OBJECT, AFT_FRAME_GUID };
#define AFT_GUID_BYTES 16u
#define AFT_SCHEMA_HEADER "__value_schema_id"

struct aft_frame {
    enum aft_frame_kind kind;
    uint32_t id;          /* Confluent: registry id */
    uint64_t fingerprint; /* single object */
    uint8_t guid[AFT_GUID_BYTES];
    struct aft_bytes body;
};

/* aft_frame_parse: AFT_E_MAGIC when the value begins with neither 00 nor C3 01. The body borrows from value. */
enum aft_err aft_frame_parse(struct aft_bytes value, struct aft_frame *out,
                             struct aft_error *e) AFT_MUST_CHECK;
/* aft_frame_of_header: a value that has no frame: which schema wrote it stands in its record's header AFT_SCHEMA_HEADER, as Confluent's
 * newer serializers put it there. AFT_E_MAGIC when that holds neither an id nor a GUID. */
enum aft_err aft_frame_of_header(struct aft_bytes header, struct aft_bytes value,
                                 struct aft_frame *out, struct aft_error *e) AFT_MUST_CHECK;
/* These append a frame's head; the body goes behind it. */
void aft_frame_put_single(struct aft_buffer *b, enum aft_record r);
void aft_frame_put_confluent(struct aft_buffer *b, uint32_t id);

/* ---- journal and snapshot records (the other nouns are base/event.h) */
enum aft_clock_kind { AFT_CLOCK_EPOCH, AFT_CLOCK_TICK };
struct aft_clock_record {
    int64_t epoch;
    enum aft_clock_kind kind;
    enum aft_log_kind log; /* TICK: the rest too */
    int64_t at_offset, watermark_ms;
    struct aft_bytes owner; /* nullable */
};

struct aft_end {
    int32_t partition;
    int64_t next_seq, next_offset;
    struct aft_hash128 hash; /* snapshots only */
};

enum aft_round_kind { AFT_ROUND_EPOCH, AFT_ROUND_ROUND };
enum aft_publish { AFT_PUBLISH_NONE, AFT_PUBLISH_FULL, AFT_PUBLISH_DELTA };
struct aft_round_record {
    int64_t epoch;
    enum aft_round_kind kind;
    int64_t round;
    const struct aft_end *ends;
    uint32_t ends_n;
    enum aft_publish publish;
    struct aft_bytes decision, owner; /* nullable */
};

/* A block as it is read: examples are decoded one at a time from `examples` (n of them, Avro bytes back to back). */
struct aft_block {
    int64_t epoch;
    int32_t partition;
    uint64_t first_seq;
    struct aft_hash128 hash;
    uint32_t n;
    struct aft_bytes examples;
};

enum aft_snapshot_kind { AFT_SNAPSHOT_FULL, AFT_SNAPSHOT_DELTA, AFT_SNAPSHOT_PIN };
enum aft_plane { AFT_PLANE_WEIGHTS, AFT_PLANE_LEARNER, AFT_PLANE_MANIFEST };

struct aft_setting {
    struct aft_bytes name, value;
};
struct aft_arm_status {
    struct aft_bytes arm_id;
    int64_t exposures, clicks, reward_micro, first_seen_ms, settled, last_seen_ms;
};
struct aft_named_sum {
    struct aft_bytes name;
    double sum;
};
struct aft_policy_score {
    struct aft_bytes policy;
    int64_t decisions, items;
    double clicks, value;
    const struct aft_named_sum *sums;
    uint32_t sums_n;
};
struct aft_named_count {
    struct aft_bytes name;
    int64_t count;
};
struct aft_manifest {
    struct aft_digest digest, parent, set_digest, configuration;
    bool has_parent, has_signature;
    uint8_t signature[64];
    int64_t event_time_ms;
    const struct aft_end *ends;
    uint32_t ends_n;
    const struct aft_digest *part_digests;
    uint32_t part_digests_n;
    const struct aft_setting *settings;
    uint32_t settings_n;
    const struct aft_arm_status *arms;
    uint32_t arms_n;
    const struct aft_policy_score *scoreboard;
    uint32_t scoreboard_n;
    const struct aft_named_count *counts;
    uint32_t counts_n;
};
struct aft_snapshot_record {
    struct aft_bytes model;
    int64_t round;
    enum aft_snapshot_kind kind;
    int32_t part, parts;
    enum aft_plane plane;
    struct aft_bytes data;
    bool has_manifest;
    struct aft_manifest manifest;
    struct aft_bytes note;
};

/* ---- batch scoring */
struct aft_score_request {
    struct aft_bytes user_id;
    struct aft_features context;
    struct aft_bytes device; /* nullable */
    int32_t k;
    const struct aft_candidate *candidates; /* 0 of them: a catalogue's */
    uint32_t candidates_n;
    const struct aft_setting *masks; /* arm, reason */
    uint32_t masks_n;
};
struct aft_prescored_candidate {
    struct aft_bytes arm_id;
    struct aft_features features;
    float log_weight; /* valid when has_log_weight; else it was not eligible */
    bool has_log_weight;
    struct aft_bytes mask;   /* nullable */
    const double *marginals; /* of slot 0, 1, .. */
    uint32_t marginals_n;
};
struct aft_prescored {
    struct aft_bytes user_id, snapshot; /* snapshot: nullable */
    int64_t round;
    enum aft_propensity_kind propensity_kind;
    int64_t valid_from_ms, valid_until_ms;
    struct aft_features context;
    const struct aft_prescored_candidate *candidates;
    uint32_t candidates_n;
    struct aft_design design;
};

/* ---- what users were shown and did lately: docs/HISTORY.md */
enum aft_history_what {
    AFT_HISTORY_SHOWN,
    AFT_HISTORY_CLICKED,
    AFT_HISTORY_DONE,
    AFT_HISTORY_RETRACTED /* the outcome of this id counts no more */
};
#define AFT_HISTORY_ID_MAX ((UINT64_C(1) << 48) - 1)
struct aft_history_entry {
    struct aft_bytes name; /* the arm, or the subject that is done; nullable */
    const uint64_t *ids;   /* ascending; how many there are is how often */
    uint32_t ids_n;
    enum aft_history_what what;
    uint16_t day; /* since 1970, UTC */
};
struct aft_history {
    struct aft_bytes user_id; /* empty: how far a partition is published */
    int64_t to[2]; /* by enum aft_log_kind: offsets behind the last record that is in it */
    const struct aft_history_entry *entries;
    uint32_t entries_n;
};
/* aft_history_id: a decision's or an outcome's: the low 48 bits of its XXH3-64. */
uint64_t aft_history_id(struct aft_bytes id);

/* ---- codecs. decode: body -> noun; slices borrow from body, arrays from the arena; AFT_E_MALFORMED, AFT_E_LIMIT or
 * AFT_E_VALUE name the field. Whole body must be used up. encode: appends the canonical body (no frame).
 * Values checked on decode: ids not empty and within bounds; propensity and marginal in (0, 1] (an UNKNOWN propensity_kind may
 * carry 0); finite numbers; slots 0 .. 31 and no arm twice in a slate; times of impressions and outcomes within +-8.64e15 ms
 * (sums of them cannot overflow). raw_* slices are in the one form that encoders write; where the body has another (lists in
 * several blocks or with negative counts), they are written anew into the arena. */
enum aft_err aft_decode_impression(struct aft_bytes body, struct aft_arena *a,
                                   struct aft_impression *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_outcome(struct aft_bytes body, struct aft_arena *a, struct aft_outcome *out,
                                struct aft_error *e) AFT_MUST_CHECK;
/* aft_decode_example reads one example from the front of *r (blocks hold many). */
enum aft_err aft_decode_example(struct aft_reader *r, struct aft_arena *a, struct aft_example *out,
                                struct aft_error *e) AFT_MUST_CHECK;
/* A roster remembers what candidates' bytes meant: ids and features are mostly the same from one decision to the next. An example
 * read by one is the same, but what was seen before is compared (with all its bytes) and not read again, and says so: known and
 * revision (base/event.h). The candidates' slices then borrow from the roster and live until it is used again. `bytes`: the most
 * that it keeps; beyond, it begins anew, under another revision. Two rosters number alike: use one for a learner. One thread.
 * Learners read by one: a probability outside (0, 1] and a number that is not finite come through, for the learner to refuse and count;
 * so does an example that breaks a bound or a rule as a whole, as `refused` (base/event.h) and nothing else. Bytes that do not follow
 * the schema, and a negative seq, are errors. */
#define AFT_ROSTER_REVISION (1ull << 63) /* a roster's revisions begin here */
struct aft_roster;
struct aft_roster *aft_roster_new(size_t bytes);
void aft_roster_free(struct aft_roster *o);
enum aft_err aft_decode_example_by(struct aft_roster *roster, struct aft_reader *r,
                                   struct aft_arena *a, struct aft_example *out,
                                   struct aft_error *e) AFT_MUST_CHECK;
/* aft_decode_block: examples stay bytes, unchecked; a block whose examples are split over several Avro blocks is refused (we are
 * its only writer, and a plan's output is never split). */
enum aft_err aft_decode_block(struct aft_bytes body, struct aft_block *out,
                              struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_clock(struct aft_bytes body, struct aft_clock_record *out,
                              struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_round(struct aft_bytes body, struct aft_arena *a,
                              struct aft_round_record *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_snapshot(struct aft_bytes body, struct aft_arena *a,
                                 struct aft_snapshot_record *out,
                                 struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_score_request(struct aft_bytes body, struct aft_arena *a,
                                      struct aft_score_request *out,
                                      struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_prescored(struct aft_bytes body, struct aft_arena *a,
                                  struct aft_prescored *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_decode_history(struct aft_bytes body, struct aft_arena *a, struct aft_history *out,
                                struct aft_error *e) AFT_MUST_CHECK;

/* aft_snapshot_front: the body of the snapshot record at the front of *r, which goes behind it (container files hold many). */
enum aft_err aft_snapshot_front(struct aft_reader *r, struct aft_arena *a, struct aft_bytes *body,
                                struct aft_error *e) AFT_MUST_CHECK;

void aft_encode_impression(struct aft_buffer *b, const struct aft_impression *v);
void aft_encode_outcome(struct aft_buffer *b, const struct aft_outcome *v);
void aft_encode_example(struct aft_buffer *b, const struct aft_example *v);
/* aft_splice_example appends the example of an impression, whose canonical body aft_decode_impression accepted: the bytes that
 * aft_encode_example would make of the decoded one, copied where nothing changes. items: one for each of the slate's. false, and nothing
 * is appended: the body has lists in several blocks (or items_n is not the slate's), so decode and encode it. */
struct aft_item_credit {
    int64_t reward_micro, delta_micro;
    const struct aft_component *components; /* sorted by kind, none zero */
    uint32_t components_n;
};
struct aft_splice {
    uint64_t seq;
    enum aft_phase phase;
    int64_t fire_ms;
    struct aft_bytes cause; /* nullable */
    const struct aft_item_credit *items;
    uint32_t items_n;
};
/* aft_glance_impression: who and when, the first three fields of an accepted body; false when it is cut off in them. */
struct aft_glance {
    struct aft_bytes decision_id, user_id;
    int64_t timestamp_ms;
};
bool aft_glance_impression(struct aft_bytes impression, struct aft_glance *out) AFT_MUST_CHECK;
/* aft_survey_impression: what the joiner goes by, and that the whole body is sound: true only for what aft_decode_impression accepts, with
 * the same values. false is no verdict: the decoder has it. Slices point into the body. */
struct aft_survey {
    struct aft_bytes decision_id, user_id;
    int64_t timestamp_ms;
    bool deferred;
    uint32_t slate_n;
};
bool aft_survey_impression(struct aft_bytes impression, struct aft_survey *out) AFT_MUST_CHECK;
bool aft_splice_example(struct aft_buffer *b, struct aft_bytes impression,
                        const struct aft_splice *s) AFT_MUST_CHECK;
/* aft_encode_block appends a block whose n examples are already encoded, back to back. */
void aft_encode_block(struct aft_buffer *b, const struct aft_block *v);
void aft_encode_clock(struct aft_buffer *b, const struct aft_clock_record *v);
void aft_encode_round(struct aft_buffer *b, const struct aft_round_record *v);
void aft_encode_snapshot(struct aft_buffer *b, const struct aft_snapshot_record *v);
void aft_encode_score_request(struct aft_buffer *b, const struct aft_score_request *v);
void aft_encode_prescored(struct aft_buffer *b, const struct aft_prescored *v);
void aft_encode_history(struct aft_buffer *b, const struct aft_history *v);
/* aft_manifest_seal computes set_digest: BLAKE2b-256 over the encoded record with set_digest zeroed and no signature. */
void aft_manifest_seal(const struct aft_snapshot_record *v, struct aft_digest *out);

/* aft_value_micro: an outcome's value as micro-units, rounded half to even; false when not finite or past +-9e12. */
bool aft_value_micro(double value, int64_t *micro);

/* ---- what others write: Vowpal Wabbit's text and JSON */
#include "wire/vw_dsjson.h"
#include "wire/vw_text.h"

#endif
