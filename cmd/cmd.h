/* cmd.h - the verbs. main.c is the table (verbs.def) and the dispatch; each verb is one file, cmd/<verb>.c, with one function.
 *
 * A verb gets its own arguments (argv[0] = the verb) and returns an exit code (base/errors.def, last column). Data on stdout, talk on
 * stderr. Every verb answers --help from its row. Shared options (--config FILE, --set K=V, --json) are parsed by cmd_options.
 */
#ifndef AFT_CMD_CMD_H
#define AFT_CMD_CMD_H

#include "consumer/consumer.h"

#define X(verb, function, arguments, what) int function(int argc, char **argv);
#include "cmd/verbs.def"
#undef X

/* The topics whose values are ours, by their keys of the configuration. An optional one has no name where none is configured. */
#define CMD_TOPICS(X)                              \
    X("topics.impressions", AFT_RECORD_IMPRESSION) \
    X("topics.outcomes", AFT_RECORD_OUTCOME)       \
    X("topics.clock", AFT_RECORD_CLOCK)            \
    X("topics.examples", AFT_RECORD_EXAMPLE_BLOCK) \
    X("topics.rounds", AFT_RECORD_ROUND)           \
    X("topics.snapshots", AFT_RECORD_SNAPSHOT)     \
    X("topics.prescored", AFT_RECORD_PRESCORED)    \
    X("topics.history", AFT_RECORD_HISTORY)

/* An option of a verb: `--name VALUE` when value is not NULL, `--name` otherwise. */
struct cmd_option {
    const char *name; /* without the dashes */
    const char *
        value; /* name of its value for --help, NULL for a flag; "FILE...": it may be given again */
    const char *help;
};

struct cmd_line {
    struct aft_config *config; /* loaded and set, not yet checked; freed by cmd_line_free */
    bool json;
    int positional_n;
    char **positional;
    int given_n;
    struct cmd_value {
        const char *name, *value;
    } * given;
};

/* cmd_parse: shared and own options. Returns -1 to go on, else the exit code to leave with (0 after --help, 2 usage, 3 configuration). */
int cmd_parse(int argc, char **argv, const struct cmd_option *own, int own_n, struct cmd_line *out);
void cmd_line_free(struct cmd_line *l);
/* cmd_options_alone: did the line name nothing but options? If not, says so on stderr: the verb is to leave with 2. */
bool cmd_options_alone(const char *verb, const struct cmd_line *l);
/* cmd_either: the whole of a verb that takes one of two words, and behind it `more` arguments: parses, works, prints what failed. */
struct cmd_either {
    const char *words[2];
    int more;
    const char *want; /* "create or check" */
    enum aft_err (*work)(const struct cmd_line *l, int which, struct aft_error *e);
};
int cmd_either(int argc, char **argv, const struct cmd_either *v);
/* cmd_apart: is the file that --option names (written) none of those that the rest of the line names? AFT_E_USAGE otherwise. */
enum aft_err cmd_apart(const struct cmd_line *l, const char *option,
                       struct aft_error *e) AFT_MUST_CHECK;
/* cmd_discard takes away what a failure left half written; only a plain file: never a device, a pipe, a link. */
void cmd_discard(const char *path);
/* cmd_given: the value of an option (a flag: ""), or NULL. i counts repeats from 0. */
const char *cmd_given(const struct cmd_line *l, const char *name, int i);
/* cmd_moment: what --option says: 2024-05-01T00:00:00Z, or ms since 1970. AFT_E_USAGE also where there is no such time. */
enum aft_err cmd_moment(const char *option, const char *text, int64_t *ms,
                        struct aft_error *e) AFT_MUST_CHECK;
/* cmd_verb_row: the arguments and the purpose of a verb, from its row ("" for one that is not there). */
void cmd_verb_row(const char *name, const char **arguments, const char **what);
/* cmd_fail prints "aftertouch VERB: message" and returns the error's exit code. */
int cmd_fail(const char *verb, const struct aft_error *e);

#endif
