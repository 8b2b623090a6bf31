/* snapshot.h - the records of a snapshots topic -> the newest whole, verified model; part of policy/policy.h. Pure, one thread.
 *
 * A set is parts and the manifest that names their digests. A FULL set holds two planes (images of bytes, policy/delta.h); a DELTA
 * set holds what changed in them since the set that it names as its parent. A PIN says which set engines shall serve, and carries
 * that set's records with it, so that nothing else need be in the topic any more.
 *
 *      parts, in any order  --manifest-->  FULL: a new chain    DELTA: the chain's next link    PIN: a chain of its own
 *
 * What is taken is whole and true: every part is here with the digest that the manifest names, the manifest is what its own digest
 * says, and signed where a key is set. Rounds never go back, but by a PIN; and of two PINs the one with the greater serial counts.
 */
#ifndef AFT_POLICY_SNAPSHOT_H
#define AFT_POLICY_SNAPSHOT_H

#include "policy/delta.h"

struct aft_snapshot_set;
struct aft_snapshot_set *aft_snapshot_set_new(void);
void aft_snapshot_set_free(struct aft_snapshot_set *s);
/* aft_snapshot_set_key: only sets and pins signed by this Ed25519 public key are taken from now on. */
void aft_snapshot_set_key(struct aft_snapshot_set *s, const uint8_t public[32]);
/* aft_snapshot_set_no_pins: pins are passed over: who learns goes on from the newest set, whatever engines serve. */
void aft_snapshot_set_no_pins(struct aft_snapshot_set *s);

/* aft_snapshot_set_weights_only: the LEARNER plane is verified and kept, but not put together: for engines, which have no use for it. */
void aft_snapshot_set_weights_only(struct aft_snapshot_set *s);

/* aft_snapshot_set_add: a record's canonical body (copied). *whole = true: another set is served from now on. AFT_E_MALFORMED,
 * AFT_E_VALUE, AFT_E_LIMIT: the record, or the set that it would have closed, is refused and counted; what was served stands. */
enum aft_err aft_snapshot_set_add(struct aft_snapshot_set *s, struct aft_bytes body, bool *whole,
                                  struct aft_error *e) AFT_MUST_CHECK;

/* What is served: the pinned set, else the newest whole one. NULL: none yet. Its manifest is that of the last link, with the arms of
 * all links. Lives until the next add. aft_snapshot_set_plane: its image, absent when there is none. */
const struct aft_snapshot_record *aft_snapshot_set_manifest(const struct aft_snapshot_set *s);
struct aft_bytes aft_snapshot_set_plane(const struct aft_snapshot_set *s, enum aft_plane plane);
/* aft_snapshot_set_newest: the newest whole one, pinned or not. */
const struct aft_snapshot_record *aft_snapshot_set_newest(const struct aft_snapshot_set *s);

/* aft_snapshot_set_each gives the bodies of records which, added to an empty set in that order, make this one: the newest set's
 * full and deltas, and the last pin. It stops at the first error. */
typedef enum aft_err (*aft_snapshot_sink)(void *ctx, struct aft_bytes body, struct aft_error *e);
enum aft_err aft_snapshot_set_each(const struct aft_snapshot_set *s, aft_snapshot_sink sink,
                                   void *ctx, struct aft_error *e) AFT_MUST_CHECK;

/* ---- why something was refused */
enum aft_snapshot_refusal {
    AFT_SNAPSHOT_MALFORMED, /* no record, or one that contradicts itself */
    AFT_SNAPSHOT_FORGED,    /* a digest or a signature that is not right */
    AFT_SNAPSHOT_TORN, /* a manifest whose parts are not all here: a crash; or they were deleted since, and a newer set is near */
    AFT_SNAPSHOT_OLD, /* true, but not newer than what is here: history that is read again, or replayed */
    AFT_SNAPSHOT_ORPHAN, /* a delta to a set that is not ours: one before it is missing; the next full set mends it */
    AFT_SNAPSHOT_FOREIGN, /* another model's */
    AFT_SNAPSHOT_REFUSALS
};
/* aft_snapshot_refusal_name: "malformed", ... */
const char *aft_snapshot_refusal_name(enum aft_snapshot_refusal r);

struct aft_snapshot_stats {
    uint64_t fulls, deltas, pins; /* taken */
    uint64_t refused[AFT_SNAPSHOT_REFUSALS];
    uint32_t links;       /* deltas behind the full set of the newest */
    uint64_t bytes;       /* of the last set that was taken: its records' bodies */
    uint64_t chain_bytes; /* of the newest full set and its deltas */
    bool pinned;
    int64_t pin_serial; /* of the last pin, or of what took it back; 0: there was none */
};
void aft_snapshot_set_stats(const struct aft_snapshot_set *s, struct aft_snapshot_stats *out);

/* ---- pins. A PIN is a set whose parts hold the bodies of the pinned set's records, in order; its manifest has the pinned set's round
 * and digest, and the serial among its counts. A PIN of no parts takes the pin back.
 * aft_pin_encode gives the records as (topic key, body), the manifest last. */
struct aft_pin_spec {
    struct aft_bytes model;
    const struct aft_bytes *
        bodies; /* of the set: full, deltas; each part before its manifest. 0 of them: take the pin back */
    uint32_t bodies_n;
    int64_t round, serial;
    struct aft_digest digest;
    struct aft_bytes note;      /* by whom and why */
    const uint8_t *signing_key; /* Ed25519 secret, 64 bytes, or NULL */
};
typedef enum aft_err (*aft_publish_sink)(void *ctx, struct aft_bytes key, struct aft_bytes body,
                                         struct aft_error *e);
enum aft_err aft_pin_encode(const struct aft_pin_spec *spec, aft_publish_sink sink, void *ctx,
                            struct aft_error *e) AFT_MUST_CHECK;
/* aft_pin_serial: of a PIN's manifest; 0: it has none. */
int64_t aft_pin_serial(const struct aft_snapshot_record *r);

/* ---- keys. <model>/<round>/<part> and <model>/<round>/manifest of sets; <model>/pin/<serial>/<part> and <model>/pin of pins. */
void aft_snapshot_key(struct aft_buffer *out, const struct aft_snapshot_record *r);
/* aft_pin_key: part < 0: of the pin itself. */
void aft_pin_key(struct aft_buffer *out, struct aft_bytes model, int64_t serial, int32_t part);
/* aft_snapshot_key_round: the round of a set's key; -1: it is not of this model, or a pin's. */
int64_t aft_snapshot_key_round(struct aft_bytes key, struct aft_bytes model);

#endif
