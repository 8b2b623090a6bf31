/* registry.h - inner header: what the registry*.c files share: requests are registry_http.c's, answers are read by registry_json.c (schemas by
 * id) and registry_subjects_json.c (subjects). */
#ifndef AFT_CONSUMER_REGISTRY_H
#define AFT_CONSUMER_REGISTRY_H

#include "consumer/consumer.h"

#define AFTI_REGISTRY_PATH 1024

/* afti_registry_answer appends the schema's text of `{"schema": "...", "schemaType": ..., "references": [...]}` to *json. name: what it is called by.
 * AFT_E_CONFIG: this is no registry's answer. AFT_E_UNKNOWN_SCHEMA: another type than Avro, or it refers to others. */
enum aft_err afti_registry_answer(const char *name, struct aft_bytes answer,
                                  struct aft_buffer *json, struct aft_error *e) AFT_MUST_CHECK;

/* afti_registry_code: the "error_code" that an answer has; 0: none. afti_registry_own: is a 404 with this code the registry's own, who does
 * not know what was asked for (40401, 40403 ...)? */
long afti_registry_code(struct aft_bytes answer);
static inline bool
afti_registry_own(long code)
{
    return code / 100 == 404;
}

/* afti_registry_request: GET, or POST of a body (JSON), of a path behind the registry's address (shorter than AFTI_REGISTRY_PATH; what is
 * no path's character is escaped already). Any HTTP status is an answer. AFT_E_AGAIN: none came. Any thread. */
enum aft_err afti_registry_request(struct aft_registry *r, const char *path, const char *body,
                                   struct aft_buffer *answer, long *status,
                                   struct aft_error *e) AFT_MUST_CHECK;
/* afti_registry_status: what a status that nobody has a use for means. AFT_OK for 200. */
enum aft_err afti_registry_status(const struct aft_registry *r, long status,
                                  struct aft_error *e) AFT_MUST_CHECK;
/* afti_registry_listed: what the status of GET /subjects means, after a 404 that may be anybody's. A registry lists its subjects, to
 * whom may see them; what has no such list is no registry's base address (AFT_E_CONFIG). */
enum aft_err afti_registry_listed(const struct aft_registry *r, long status,
                                  struct aft_error *e) AFT_MUST_CHECK;

#endif
