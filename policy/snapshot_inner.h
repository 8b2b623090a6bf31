/* snapshot_inner.h - what the snapshot_*.c files of policy/ share. Not for other folders.
 *
 *   snapshot_parts.c   parts that wait for their manifest, found by their digests
 *   snapshot_chain.c   a full set and the deltas behind it -> two images and one manifest
 *   snapshot_set.c     which record is taken, which is refused, what is served
 *   snapshot_pin.c     pins and keys, as they are written
 */
#ifndef AFT_POLICY_SNAPSHOT_INNER_H
#define AFT_POLICY_SNAPSHOT_INNER_H

#include "policy/policy.h"

/* ---- parts. A digest stands for one body, so it does not matter in which order they come, or between what others. */
struct afti_part {
    struct aft_digest digest;
    struct aft_buffer body; /* empty: it was taken */
    int64_t round;
};
struct afti_parts {
    struct afti_part *v;
    uint32_t n, cap;
    struct aft_dict index; /* the digest's first eight bytes -> number */
    size_t bytes;
};
void afti_parts_deinit(struct afti_parts *p);
void afti_parts_put(struct afti_parts *p, int64_t round, struct aft_bytes body);
struct afti_part *afti_parts_find(const struct afti_parts *p, const struct aft_digest *digest);
/* afti_parts_forget: those of this round and earlier, and those that were taken. */
void afti_parts_forget(struct afti_parts *p, int64_t round);

/* ---- a set whose parts are all here: bodies[parts] is the manifest's */
struct afti_link {
    struct aft_buffer *bodies;
    int32_t parts;
    uint64_t bytes;
};
void afti_link_deinit(struct afti_link *l);

/* ---- a full set and its deltas */
struct afti_chain {
    struct afti_link *links; /* the full one first */
    uint32_t n, cap;
    struct aft_buffer image[2]; /* WEIGHTS, LEARNER */
    struct aft_snapshot_record manifest;
    struct aft_arena arena[2]; /* manifest's arrays lie in arena[now] */
    uint32_t now;
    struct aft_arm_status *arms; /* of all links; ids lie in their bodies */
    uint32_t arms_cap;
    struct aft_dict arms_index;
    uint64_t bytes;
    bool weights_only; /* image[1] is not made */
};
struct afti_chain *afti_chain_new(bool weights_only);
void afti_chain_free(struct afti_chain *c);
/* afti_chain_add: the full set (the first), or a delta. It takes the link's bodies; on an error they stay the caller's and the chain
 * is as it was. */
enum aft_err afti_chain_add(struct afti_chain *c, struct afti_link *link,
                            struct aft_error *e) AFT_MUST_CHECK;

#endif
