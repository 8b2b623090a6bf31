/* import.h - `import`: what its two halves share. import.c is the verb: options, report, configuration. import_vw.c reads
 * Vowpal Wabbit's text twice (what is in it; then event by event) and writes examples. One thread. */
#ifndef AFT_CMD_IMPORT_H
#define AFT_CMD_IMPORT_H

#include <stdio.h>

#include "cmd/cmd.h"

enum { IMPORT_NAME_MAX = 64 };

/* How an action of --cb_adf, which VW does not name, gets an id. */
enum import_arms {
    IMPORT_ARMS_AUTO,  /* by what the first reading found; then one of these: */
    IMPORT_ARMS_TAG,   /* the tag of its line */
    IMPORT_ARMS_LINE,  /* its features: the same features, the same arm */
    IMPORT_ARMS_SPACE, /* the first feature of a namespace */
    IMPORT_ARMS_PLACE  /* its place in the event */
};

/* What was left out, and why. Events, but for the last. */
enum import_count {
    IMPORT_UNLABELLED,  /* nothing was taken, or its cost is not known */
    IMPORT_MALFORMED,   /* a line that cannot be read */
    IMPORT_LABELS,      /* more than one action has a cost, or none of those there is */
    IMPORT_PROBABILITY, /* not in [0, 1] */
    IMPORT_COST,        /* outside the declared range */
    IMPORT_LIMIT,       /* too many actions or features */
    IMPORT_SKIPPED,     /* JSON that VW passes over: _skipLearn, no "a" */
    IMPORT_NO_SUPPORT, /* imported, but of unknown probability: only a model that does not weigh can learn it */
    IMPORT_COUNTS
};

/* A feature whose values, or their products under -q, may be above a million: the learner would refuse them (docs/MODELS.md). VW's does
 * not mind how large a feature is, so here its values are divided by a power of ten. */
struct import_scale {
    char name[AFT_ID_BYTES_MAX + 1];
    uint32_t name_n;
    double by;
};
enum { IMPORT_SCALES_MAX = 64 };

enum import_json { IMPORT_FOUND_OUT, IMPORT_JSON, IMPORT_DSJSON };

struct import_spaces { /* namespaces that were met */
    char v[AFT_VW_NAMESPACES_MAX][IMPORT_NAME_MAX + 1];
    uint32_t n;
};

struct import {
    /* what is asked for */
    const char *source, *examples, *out_config, *arm_space;
    bool single, adf; /* --cb K, --cb_adf: what the file is; neither: found out */
    enum import_json json;
    uint32_t actions; /* of --cb K; 0: the largest that the file names */
    enum import_arms arms;
    bool has_range;
    double low, high; /* rewards (= -cost) that become 0 and 1 */
    struct aft_vw_filter filter;
    bool strict;
    /* what was found */
    struct import_spaces shared, own;
    struct import_scale scales[IMPORT_SCALES_MAX];
    uint32_t scales_n;
    double largest;           /* that a value may be: import_scale.c */
    const char (*crosses)[8]; /* of import_options: what -q multiplies */
    uint32_t crosses_n;
    double cost_low, cost_high;
    uint64_t lines, events, examples_n, labelled, counts[IMPORT_COUNTS];
    uint64_t action_lines, tagged, different; /* different: feature texts of actions */
};

/* import_vw: both readings. AFT_E_MALFORMED under strict, or when no event at all could be imported. */
enum aft_err import_vw(struct import *m, struct aft_error *e) AFT_MUST_CHECK;
const char *import_count_name(enum import_count c);
const char *import_arms_name(enum import_arms a);

/* VW's options as settings of ours: "key=value" each; crosses: letters of namespaces, as -q and --interactions have them. */
struct import_options {
    char crosses[64][8], settings[32][80], remarks[64][240];
    uint32_t crosses_n, settings_n, remarks_n;
    const char *explorer; /* the option that chose it; NULL: none did */
    bool epsilon, keeps;  /* --epsilon, --keep were there */
    bool explores;        /* --cb_explore, --cb_explore_adf */
    bool any_label;       /* a reduction that regresses rewards outside [0, 1] */
    char text[4096];      /* of --vw */
    uint32_t text_n;
};
/* import_options: VW's options among argv (up to NULL) are taken, with what they say about the file into m; the rest of argv (at most `cap`)
 * goes to `rest`, for cmd_parse. Returns -1, or the exit code. */
int import_options(char **argv, struct import_options *o, struct import *m, char **rest, int cap,
                   int *rest_n);
/* import_config_write: the configuration that goes on from here, as key=value lines with remarks, for `learn` and the service.
 * Needs what import_vw has found. */
void import_config_write(const struct import *m, struct import_options *o, FILE *out);

#endif
