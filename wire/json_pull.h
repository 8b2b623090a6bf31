/* json_pull.h - JSON as slices: one value at a time, nothing is built. In: bytes. Out: slices of them. Pure, any thread.
 *
 * A value that is not looked into is passed over by its brackets; whoever looks into it gets it checked. Members of an object come in
 * their order, also those that have one key.
 */
#ifndef AFT_WIRE_JSON_PULL_H
#define AFT_WIRE_JSON_PULL_H

#include "wire/wire.h"

enum afti_json_type {
    AFTI_JSON_NONE, /* it was not there */
    AFTI_JSON_OBJECT,
    AFTI_JSON_ARRAY,
    AFTI_JSON_TEXT,
    AFTI_JSON_NUMBER, /* surely no other; whether it is one says aft_vw_number */
    AFTI_JSON_TRUE,
    AFTI_JSON_FALSE,
    AFTI_JSON_NULL
};

/* raw: a text between its quotes, with its escapes; anything else as it stands. */
struct afti_json {
    enum afti_json_type type;
    struct aft_bytes raw;
};

struct afti_json_walk {
    struct aft_reader r;
    uint8_t close; /* what ends it */
    bool begun;
};

/* afti_json_one: the one value that the bytes hold. */
enum aft_err afti_json_one(struct aft_bytes b, struct afti_json *out, struct aft_error *e);
/* afti_json_walk: over an object or array. afti_json_next: *key (of an object, with its escapes) and *v; v->type NONE: no more. */
struct afti_json_walk afti_json_walk(const struct afti_json *v);
enum aft_err afti_json_next(struct afti_json_walk *w, struct aft_bytes *key, struct afti_json *v,
                            struct aft_error *e);
/* afti_json_put appends a text without its escapes; `safe`: blanks, '|' and ':' as '_'. */
void afti_json_put(struct aft_buffer *b, struct aft_bytes raw, bool safe);
/* afti_iso_time: a time as ISO 8601 has it, 2021-02-04T16:31:29.246Z or +01:00; without a zone it is UTC. Parts of a millisecond are cut. */
bool afti_iso_time(struct aft_bytes text, int64_t *ms);

#endif
