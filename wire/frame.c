/* frame.c - the first bytes of a value: which schema wrote the rest.
 *   Confluent      00, registry id (4 bytes, big-endian), body
 *   single object  C3 01, CRC-64-AVRO of the schema's canonical form (8 bytes, little-endian), body
 * Any thread. */
#include "wire/wire.h"

enum { CONFLUENT_HEAD = 5, SINGLE_HEAD = 10 };

enum aft_err
aft_frame_parse(struct aft_bytes value, struct aft_frame *out, struct aft_error *e)
{
    bool confluent = value.n >= 1 && value.p[0] == 0;
    bool single = value.n >= 2 && value.p[0] == 0xC3 && value.p[1] == 0x01;
    if (!confluent && !single)
        return AFT_FAIL(e, AFT_E_MAGIC,
                        "a value of %zu bytes begins with neither 00 (Confluent) nor C3 01 (Avro "
                        "single object); the producer must frame its values",
                        value.n);
    if (value.n > AFT_RECORD_BYTES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "a value of %zu bytes is past %u; send smaller records",
                        value.n, AFT_RECORD_BYTES_MAX);
    size_t head = confluent ? CONFLUENT_HEAD : SINGLE_HEAD;
    if (value.n < head)
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "a value of %zu bytes ends within its frame's %zu; it was cut off", value.n,
                        head);
    *out = (struct aft_frame){.kind = confluent ? AFT_FRAME_CONFLUENT : AFT_FRAME_SINGLE_OBJECT,
                              .body = {value.p + head, value.n - head}};
    if (confluent)
        out->id = aft_load_be32(value.p + 1);
    else
        out->fingerprint = aft_load_le64(value.p + 2);
    return AFT_OK;
}

void
aft_frame_put_single(struct aft_buffer *b, enum aft_record r)
{
    aft_put_u8(b, 0xC3);
    aft_put_u8(b, 0x01);
    aft_put_le64(b, aft_record_fingerprint(r));
}

void
aft_frame_put_confluent(struct aft_buffer *b, uint32_t id)
{
    aft_put_u8(b, 0);
    aft_put_be32(b, id);
}
