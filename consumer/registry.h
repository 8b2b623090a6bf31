/* registry.h - inner header: the answer of a schema registry, read by registry_json.c for registry_http.c. */
#ifndef AFT_CONSUMER_REGISTRY_H
#define AFT_CONSUMER_REGISTRY_H

#include "base/base.h"

/* afti_registry_answer appends the schema's text of `{"schema": "...", "schemaType": ..., "references": [...]}` to *json.
 * AFT_E_CONFIG: this is no registry's answer. AFT_E_UNKNOWN_SCHEMA: another type than Avro, or it refers to others. */
enum aft_err afti_registry_answer(uint32_t id, struct aft_bytes answer, struct aft_buffer *json,
                                  struct aft_error *e) AFT_MUST_CHECK;

#endif
