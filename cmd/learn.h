/* learn.h - the verb `learn`: container files of examples -> a learner that has learned them. */
#ifndef AFT_CMD_LEARN_H
#define AFT_CMD_LEARN_H

#include <stdio.h>

#include "cmd/cmd.h"

enum { LEARN_FILES_MAX = 64 };

struct learn_job {
    const char *files[LEARN_FILES_MAX]; /* each one partition, in this order */
    int32_t n;
    struct aft_share
        share; /* of the files, which this process learns: those whose number mod share.of is share.number */
    const struct aft_learner_settings *settings;
    struct aft_learner *learner;          /* made here; the caller's to free */
    struct aft_end ends[LEARN_FILES_MAX]; /* what was learned */
    int64_t decisions;                    /* OPEN examples */
    double seconds;                       /* reading, decoding, learning */
    FILE *
        greedy; /* or NULL; a line each OPEN example: which candidate the model put on top before it learned it, -1: none */
};

/* learn_files: all examples of all files in the order (fire, file, seq), as one round. Where every file is in the order of fire by
 * itself, as `join` writes them, they are merged as they are read, in little memory; else all are read, sorted and learned from
 * the beginning. AFT_E_GAP: a file's seq has a hole. */
enum aft_err learn_files(struct learn_job *j, struct aft_error *e) AFT_MUST_CHECK;

/* learn_shadow reads the files once more: *out, the caller's, is an object of what the shadow model of their settled decisions would have
 * earned (evaluate/ope.h; rewards as they are, 1 for 1). learn_shadow_say prints it as a line. */
struct json_t; /* jansson's */
enum aft_err learn_shadow(const struct learn_job *j, struct json_t **out,
                          struct aft_error *e) AFT_MUST_CHECK;
void learn_shadow_say(const struct json_t *shadow);

/* learn_share: "1/4": share 1 of 0 .. 3, -> j->share. AFT_E_CONFIG: the settings are not those of a learner of sums. learn_merge: the
 * snapshots in files that such shares wrote, as one. */
enum aft_err learn_share(struct learn_job *j, const char *text, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err learn_merge(struct learn_job *j, const char *model,
                         struct aft_error *e) AFT_MUST_CHECK;

#endif
