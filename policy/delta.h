/* delta.h - an image of bytes, cut into sections, and what changed in it; part of policy/policy.h. Pure.
 *
 * An image is what a plane of a snapshot holds (policy/format.c, learner's state). Who encodes it says where a section begins, by
 * which id the same section is known in a later image, and what is replaced as a whole there: a row of weights, or a few bytes.
 * A delta is copies from the image before and literal bytes, so a reader needs neither sections nor formats:
 *
 *    0  u32    magic "AFD1"
 *    4  u64    bytes of the image before         12  u64  bytes of the new one
 *   20  u64    XXH3-128 of the new image, low and high: against faults. Against forgers there are the digests of the parts that it
 *              comes in, and of the set that it goes on from
 *   36  then, until the new image is whole: three Avro longs and bytes
 *          skip     where to copy from, counted from where the copy before ended (may be negative)
 *          copied   so many bytes of the image before
 *          n        so many literal bytes, which follow
 * Sections decide how small a delta is, never whether it is right.
 */
#ifndef AFT_POLICY_DELTA_H
#define AFT_POLICY_DELTA_H

#include "wire/wire.h"

#define AFT_GRAIN \
    16u /* bytes that are replaced together where nothing better is known; no section has less */
#define AFT_IMAGE_BYTES_MAX (1u << 30) /* of a plane */

struct aft_section {
    uint64_t id; /* no two alike in an image */
    size_t at;
    uint32_t grain;
};
struct aft_image {
    struct aft_buffer bytes;
    struct aft_section *sections; /* ascending; what stands before the first one is a section too */
    uint32_t sections_n, sections_cap;
};
void aft_image_reset(struct aft_image *m);
void aft_image_deinit(struct aft_image *m);
/* aft_image_section: what is put into bytes from here on is this section. */
void aft_image_section(struct aft_image *m, uint64_t id, size_t grain);

/* aft_delta_encode appends the delta that makes `to` of `from`: a function of both images. */
void aft_delta_encode(const struct aft_image *from, const struct aft_image *to,
                      struct aft_buffer *out);
/* aft_delta_apply appends the new image to an empty `to`. AFT_E_MALFORMED; AFT_E_VALUE: it is not for this `from`, or what it makes
 * is not what it says. Then `to` holds nothing of use. */
enum aft_err aft_delta_apply(struct aft_bytes delta, struct aft_bytes from, struct aft_buffer *to,
                             struct aft_error *e) AFT_MUST_CHECK;

#endif
