/* score.h - the verb `score`: users' contexts and a snapshot -> weights with their exact probabilities. See docs/ENGINE.md for the formats.
 *
 *   score.c         the verb: options, the snapshot, progress, the summary
 *   score_read.c    requests from a container file or JSON lines; a catalogue
 *   score_json.c    one line of JSON -> nouns
 *   score_user.c    one request -> one Prescored: pure, so that equal input is equal bytes
 *   score_write.c   to a container file, JSON lines, or the prescored topic
 */
#ifndef AFT_CMD_SCORE_H
#define AFT_CMD_SCORE_H

#include "cmd/cmd.h"
#include "wire/wire_avro.h"

/* ---- candidates that all users share; one array, whose masks change from user to user */
struct score_catalogue {
    struct aft_arena arena;
    struct aft_candidate *v; /* AFT_CANDIDATES_MAX places */
    uint32_t n;
};
void score_catalogue_init(struct score_catalogue *c);
void score_catalogue_deinit(struct score_catalogue *c);
/* score_catalogue_read: JSON lines {"arm_id": .., "features": {..}}. AFT_E_VALUE names the line. */
enum aft_err score_catalogue_read(struct score_catalogue *c, const char *path,
                                  struct aft_error *e) AFT_MUST_CHECK;

/* ---- input */
struct score_reader;
/* score_open: a container file, known by its first bytes, or JSON lines ("-": standard input). */
enum aft_err score_open(const char *path, struct score_reader **out,
                        struct aft_error *e) AFT_MUST_CHECK;
/* score_next: the slices live until the next call. *end = true at the end. Errors name the line or the record. */
enum aft_err score_next(struct score_reader *r, struct aft_score_request *out, bool *end,
                        struct aft_error *e) AFT_MUST_CHECK;
/* score_part: how much of the input is read, 0 .. 1; below 0: not known. */
double score_part(const struct score_reader *r);
void score_close(struct score_reader *r);

/* One object as a request or a candidate: slices in the arena. */
enum aft_err score_json_request(const char *text, size_t n, struct aft_arena *a,
                                struct aft_score_request *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err score_json_candidate(const char *text, size_t n, struct aft_arena *a,
                                  struct aft_candidate *out, struct aft_error *e) AFT_MUST_CHECK;

/* ---- one user */
struct score_user {
    const struct aft_model *model;
    struct aft_scratch *scratch;
    struct score_catalogue catalogue; /* n = 0: none */
    int64_t valid_from_ms, valid_until_ms;
    uint32_t marginals; /* slots whose probabilities are written: 0 .. 3 */
    bool
        stats; /* the model adds features.arm.stats to each candidate's features: they are written then */
    struct aft_arena arena;
    double log_w[AFT_CANDIDATES_MAX], w[AFT_CANDIDATES_MAX], rest[AFT_CANDIDATES_MAX];
    uint32_t index[AFT_CANDIDATES_MAX];
};
/* score_begin: once model, catalogue and window are there: what the model's snapshot knows of the catalogue's arms when the window begins. */
enum aft_err score_begin(struct score_user *s, struct aft_error *e) AFT_MUST_CHECK;
/* score_user: *out lives until the next call. *none = true: no candidate of this user is eligible. AFT_E_VALUE, AFT_E_LIMIT. */
enum aft_err score_user(struct score_user *s, const struct aft_score_request *q,
                        struct aft_prescored *out, bool *none, struct aft_error *e) AFT_MUST_CHECK;

/* ---- output */
struct score_writer;
/* score_create: to a file (".jsonl" or "-": JSON lines; else a container file), or, with path NULL, to the topic. */
enum aft_err score_create(const char *path, const struct aft_config *config,
                          struct score_writer **out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err score_put(struct score_writer *w, const struct aft_prescored *p,
                       struct aft_error *e) AFT_MUST_CHECK;
/* score_finish: everything is on the disk, or acknowledged; frees w, also on failure. keep = false: what was written is removed
 * (a topic's records stay). */
enum aft_err score_finish(struct score_writer *w, bool keep, struct aft_error *e) AFT_MUST_CHECK;

#endif
