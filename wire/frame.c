/* frame.c - the first bytes of a value: which schema wrote the rest.
 *   Confluent      00, registry id (4 bytes, big-endian), body
 *   single object  C3 01, CRC-64-AVRO of the schema's canonical form (8 bytes, little-endian), body
 * or, in the record's header __value_schema_id, with nothing before the body:
 *   an id          00, registry id (4 bytes, big-endian)
 *   a GUID         01, 16 bytes, in the order in which they are written down
 * Any thread. */
#include "wire/wire.h"

#include <string.h>

enum { CONFLUENT_HEAD = 5, SINGLE_HEAD = 10, GUID_HEAD = 1 + AFT_GUID_BYTES };

static enum aft_err
size_check(struct aft_bytes value, struct aft_error *e)
{
    return value.n <= AFT_RECORD_BYTES_MAX
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_LIMIT, "a value of %zu bytes is past %u; send smaller records",
                          value.n, AFT_RECORD_BYTES_MAX);
}

enum aft_err
aft_frame_parse(struct aft_bytes value, struct aft_frame *out, struct aft_error *e)
{
    bool confluent = value.n >= 1 && value.p[0] == 0;
    bool single = value.n >= 2 && value.p[0] == 0xC3 && value.p[1] == 0x01;
    if (!confluent && !single)
        return AFT_FAIL(
            e, AFT_E_MAGIC,
            "a value of %zu bytes begins with neither 00 (Confluent) nor C3 01 (Avro "
            "single object); the producer must frame its values, or name their schema in the "
            "header " AFT_SCHEMA_HEADER " (then set schema.registry.url)",
            value.n);
    AFT_TRY(size_check(value, e));
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

enum aft_err
aft_frame_of_header(struct aft_bytes header, struct aft_bytes value, struct aft_frame *out,
                    struct aft_error *e)
{
    bool id = header.n == CONFLUENT_HEAD && header.p[0] == 0;
    bool guid = header.n == GUID_HEAD && header.p[0] == 1;
    if (!id && !guid)
        return AFT_FAIL(e, AFT_E_MAGIC,
                        "the header " AFT_SCHEMA_HEADER
                        " holds %zu bytes that are neither 00 and an "
                        "id of 4 nor 01 and a GUID of 16",
                        header.n);
    AFT_TRY(size_check(value, e));
    *out = (struct aft_frame){.kind = id ? AFT_FRAME_CONFLUENT : AFT_FRAME_GUID, .body = value};
    if (id)
        out->id = aft_load_be32(header.p + 1);
    else
        memcpy(out->guid, header.p + 1, sizeof out->guid);
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
