/* container_avro.h - the format of container files, shared by their writer and their reader.
 *
 *   file    "Obj" 01, metadata (map of bytes: avro.schema, avro.codec), sync (16 bytes), blocks
 *   block   long count, long size, `size` bytes (under the codec) of `count` records back to back, sync
 *
 * An enveloped record: {offset: long, log_timestamp: timestamp-millis, key: [null, bytes], value: [null, T]}, named <T>Record in
 * io.aftertouch.file.
 */
#ifndef AFT_WIRE_CONTAINER_AVRO_H
#define AFT_WIRE_CONTAINER_AVRO_H

#include "wire/wire_avro.h"

enum { AFTI_SYNC_SIZE = 16 };

/* afti_file_schema appends the text of the schema of files of record r. */
enum aft_err afti_file_schema(enum aft_record r, bool enveloped, struct aft_buffer *out,
                              struct aft_error *e);

#endif
