/* wire_avro.h - schemas, decode plans, a topic's decoder, container files: the half of wire that knows Avro's schema language.
 *
 * avro-c parses and checks schemas; jansson reads what avro-c drops (defaults, aliases, logical types). Both stay in *_avro.c.
 * avro-c's error text is one global: every call into it holds a lock of ours. Compiling allocates; running a plan does not,
 * except into the buffer it is given.
 */
#ifndef AFT_WIRE_WIRE_AVRO_H
#define AFT_WIRE_WIRE_AVRO_H

#include "wire/wire.h"

/* ---- schemas */
struct aft_schema;
/* aft_schema_parse: AFT_E_SCHEMA with avro-c's words when the JSON is no Avro schema. The text is copied and kept as it came. */
enum aft_err aft_schema_parse(struct aft_bytes json, struct aft_schema **out,
                              struct aft_error *e) AFT_MUST_CHECK;
void aft_schema_free(struct aft_schema *s);
struct aft_bytes aft_schema_text(const struct aft_schema *s);
uint64_t aft_schema_fingerprint(const struct aft_schema *s);

/* ---- plans */
struct aft_plan;
/* aft_plan_compile: AFT_E_SCHEMA names the first field that cannot be resolved ("Outcome.user_id: the writer has no such field
 * and the reader no default"). Neither schema is kept. */
enum aft_err aft_plan_compile(const struct aft_schema *writer, const struct aft_schema *reader,
                              struct aft_plan **out, struct aft_error *e) AFT_MUST_CHECK;
void aft_plan_free(struct aft_plan *p);
/* aft_plan_identity: writer and reader encode alike, so a body needs no transcoding. */
bool aft_plan_identity(const struct aft_plan *p);
/* aft_plan_run appends to out the body under the reader's schema. Bounded in bytes, depth and items; AFT_E_MALFORMED or
 * AFT_E_LIMIT otherwise. The whole input must be used up. `used`, if not NULL, allows a rest and says how much was read. */
enum aft_err aft_plan_run(const struct aft_plan *p, struct aft_bytes body, struct aft_buffer *out,
                          size_t *used, struct aft_error *e) AFT_MUST_CHECK;

/* ---- a topic's decoder: values -> canonical bodies, with a cache of plans */
struct aft_schema_port { /* who knows schemas by name; NULL members mean nobody */
    void *ctx;
    /* AFT_OK and the JSON text appended to *json; AFT_E_UNKNOWN_SCHEMA; AFT_E_AGAIN when the registry does not answer; or of class FATAL
     * (AFT_E_CONFIG: it refuses us). Asked again for each value whose schema it did not give: it keeps what is costly. */
    enum aft_err (*by_id)(void *ctx, uint32_t id, struct aft_buffer *json, struct aft_error *e);
    enum aft_err (*by_fingerprint)(void *ctx, uint64_t fingerprint, struct aft_buffer *json,
                                   struct aft_error *e);
    /* As by_id, by the GUID of a record's header. */
    enum aft_err (*by_guid)(void *ctx, const uint8_t guid[AFT_GUID_BYTES], struct aft_buffer *json,
                            struct aft_error *e);
};

struct aft_decoder;
/* One thread a decoder. Our own schema's fingerprint is always known. */
enum aft_err aft_decoder_new(enum aft_record r, struct aft_schema_port port,
                             struct aft_decoder **out, struct aft_error *e) AFT_MUST_CHECK;
void aft_decoder_free(struct aft_decoder *d);
/* aft_decoder_body: the canonical body of a framed value. It borrows from value when nothing had to change, else from the arena.
 * Errors of class DATA (dead letter), AFT_E_AGAIN (registry down: try the same record again), or the port's own of class FATAL. */
enum aft_err aft_decoder_body(struct aft_decoder *d, struct aft_bytes value, struct aft_arena *a,
                              struct aft_bytes *body, struct aft_error *e) AFT_MUST_CHECK;
/* aft_decoder_headed: likewise, of a record that may have the header AFT_SCHEMA_HEADER; absent: aft_decoder_body. Where it is there, it
 * counts, and the value has no frame: so Confluent's own readers have it. */
enum aft_err aft_decoder_headed(struct aft_decoder *d, struct aft_bytes header,
                                struct aft_bytes value, struct aft_arena *a, struct aft_bytes *body,
                                struct aft_error *e) AFT_MUST_CHECK;

/* ---- container files. Input files of the two logs are enveloped: {offset, log_timestamp, key, value} (design: interfaces). */
struct aft_file_record {
    int64_t offset, log_timestamp_ms;
    struct aft_bytes key;  /* nullable */
    struct aft_bytes body; /* canonical; absent when the value was null */
};
struct aft_file_reader;
/* aft_file_open: record type r, enveloped or plain. Any writer schema that resolves. AFT_E_SCHEMA, AFT_E_IO. */
enum aft_err aft_file_open(const char *path, enum aft_record r, bool enveloped,
                           struct aft_file_reader **out, struct aft_error *e) AFT_MUST_CHECK;
/* aft_file_next: AFT_OK and a record (its slices live until the next call); *end = true at the end. Of class DATA: this record
 * does not resolve, the next call goes on behind it. AFT_E_IO: the file is damaged, no call after it. */
enum aft_err aft_file_next(struct aft_file_reader *f, struct aft_file_record *out, bool *end,
                           struct aft_error *e) AFT_MUST_CHECK;
/* aft_file_batch: many bodies at once: *n of them, one or more, back to back (their slices live until the next call). Where the
 * file's schema is our own they are as they stand in the file, unchecked: who decodes them finds where each ends, and all of *bodies
 * must be used up. Else as aft_file_next. Files that are not enveloped. */
enum aft_err aft_file_batch(struct aft_file_reader *f, struct aft_bytes *bodies, uint32_t *n,
                            bool *end, struct aft_error *e) AFT_MUST_CHECK;
void aft_file_close(struct aft_file_reader *f);

struct aft_file_writer;
enum aft_err aft_file_create(const char *path, enum aft_record r, bool enveloped,
                             struct aft_file_writer **out, struct aft_error *e) AFT_MUST_CHECK;
/* aft_file_append: rec->offset, log_timestamp_ms and key are used by enveloped files alone. */
enum aft_err aft_file_append(struct aft_file_writer *f, const struct aft_file_record *rec,
                             struct aft_error *e) AFT_MUST_CHECK;
/* aft_file_finish flushes, syncs, closes and frees, also on failure. */
enum aft_err aft_file_finish(struct aft_file_writer *f, struct aft_error *e) AFT_MUST_CHECK;

/* aft_json_of appends the JSON form of a body under a schema (for people: `cat`, `snapshot show`). One line, no newline. Unions
 * show their value bare; bytes and fixed are lower-case hexadecimal; NaN and infinities are strings. */
enum aft_err aft_json_of(const struct aft_schema *s, struct aft_bytes body, struct aft_buffer *out,
                         struct aft_error *e) AFT_MUST_CHECK;

#endif
