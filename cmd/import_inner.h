/* import_inner.h - the lines of a file, for the reader of VW's text. */
#ifndef AFT_CMD_IMPORT_INNER_H
#define AFT_CMD_IMPORT_INNER_H

#include "cmd/import.h"

struct import_lines {
    const char *path;
    FILE *file;
    uint8_t *buffer;
    size_t cap, from, to;
    uint64_t number; /* of the line that was given last, from 1 */
    bool end;        /* of the file */
};
/* import_lines_open: "-" is standard input. import_lines_close also after a failure. import_lines_next: *end: no line was left. */
enum aft_err import_lines_open(struct import_lines *l, const char *path,
                               struct aft_error *e) AFT_MUST_CHECK;
void import_lines_close(struct import_lines *l);
void import_lines_rewind(struct import_lines *l);
enum aft_err import_lines_next(struct import_lines *l, struct aft_bytes *line, bool *end,
                               struct aft_error *e) AFT_MUST_CHECK;

/* import_lines_gunzip: what gzip made of lines (`from`, at any place) becomes those lines in `to`, behind what is there. */
enum aft_err import_lines_gunzip(FILE *from, FILE *to, const char *path,
                                 struct aft_error *e) AFT_MUST_CHECK;

/* import_survey: the first reading: costs, namespaces, whether actions repeat, and what follows from it for the second. */
enum aft_err import_survey(struct import *m, struct import_lines *l,
                           struct aft_error *e) AFT_MUST_CHECK;

/* Values above a million (import_scale.c). import_scale_begin before all lines; import_scale_may: this line's features may have one, at
 * a glance; import_scale_note keeps what must be divided by how much, of the first IMPORT_SCALES_MAX; import_scale_conclude behind all
 * lines, when the namespaces are known; import_scale: the features with that done, in the arena. */
void import_scale_begin(struct import *m);
bool import_scale_may(struct aft_bytes text);
void import_scale_note(struct import *m, struct aft_features f);
void import_scale_conclude(struct import *m);
enum aft_err import_scale(const struct import *m, struct aft_arena *a, struct aft_features *f,
                          struct aft_error *e) AFT_MUST_CHECK;

/* Ids of actions, without the ending 0; at most AFT_ID_BYTES_MAX. import_line_id: of a line's content: the one feature that it has, or
 * the hash of all. import_space_id: the first feature of namespace m->arm_space; 0: it has none. */
uint32_t import_line_id(struct aft_bytes text, struct aft_features f,
                        char out[AFT_ID_BYTES_MAX + 1]);
uint32_t import_space_id(const struct import *m, struct aft_features f,
                         char out[AFT_ID_BYTES_MAX + 1]);

/* Actions whose features were read before, by the bytes of their line: their id and their encoded features. */
struct import_kept {
    struct aft_hash128 key;
    uint32_t id_at, id_n, raw_at, raw_n;
};
struct import_cache {
    struct import_kept *v;
    uint32_t *slots, n;
    struct aft_buffer bytes;
};
void import_cache_init(struct import_cache *c);
void import_cache_deinit(struct import_cache *c);
/* import_cache_find: NULL when it is not there. import_cache_put: it lives until the next put. */
const struct import_kept *import_cache_find(const struct import_cache *c, struct aft_hash128 key);
const struct import_kept *import_cache_put(struct import_cache *c, struct aft_hash128 key,
                                           struct aft_bytes id, struct aft_bytes raw);

#endif
