/* config_inner.h - what the config_*.c files share: the table's rows, the values, the keys that have no row of their own.
 *
 * A key with a row (config.def) lives in values[row]; one of a family (reward.<kind>.*, features.buckets.*, kafka.*, rocksdb.*) is kept as
 * text in extras, in the order of first mention. aft_config_check turns both into the typed halves.
 */
#ifndef AFT_CONSUMER_CONFIG_INNER_H
#define AFT_CONSUMER_CONFIG_INNER_H

#include "consumer/config.h"

enum afti_type {
    AFTI_NAME,
    AFTI_TEXT,
    AFTI_FILE,
    AFTI_DURATION,
    AFTI_SIZE,
    AFTI_INT,
    AFTI_NUMBER,
    AFTI_BOOL,
    AFTI_CHOICE,
    AFTI_LEARNER
};

struct afti_row {
    const char *key;
    enum afti_type type;
    const char *otherwise, *range, *help;
};
/* afti_rows: the table; afti_rows_n of them. afti_families: keys with a part that the user names, for help and for the search. */
extern const struct afti_row afti_rows[];
extern const size_t afti_rows_n;
extern const struct afti_row afti_families[];
extern const size_t afti_families_n;

struct afti_value {
    char *text, *origin; /* both owned */
    int64_t number;      /* DURATION, SIZE, INT, BOOL */
    double real;         /* NUMBER */
};
struct afti_extra {
    char *key, *value, *origin;
};

struct aft_config {
    struct afti_value *values; /* afti_rows_n */
    struct afti_extra *extras;
    size_t extras_n, extras_cap;
    bool checked;
    struct aft_join_config join;
    struct aft_learner_settings learner;
    struct aft_kafka_options kafka;
    char *rocksdb;                   /* rocksdb.*: "name=value;..." */
    struct aft_property *properties; /* common, consumer, producer: one array each of extras_n */
    char **secrets;                  /* what was read from kafka.*.file */
    size_t secrets_n;
};

/* afti_config_put: one key, with the words that say where it came from ("file:line", "--set"). */
enum aft_err afti_config_put(struct aft_config *c, const char *key, const char *value,
                             const char *origin, struct aft_error *e) AFT_MUST_CHECK;
/* afti_row_of: the index of a key's row, or afti_rows_n. */
size_t afti_row_of(const char *key);
const char *afti_extra(const struct aft_config *c, const char *key); /* NULL: not given */

/* afti_parse_*: false when the text is not of that form. Durations in ms, sizes in bytes, weights in micro-units. */
bool afti_parse_int(const char *text, int64_t *out);
bool afti_parse_bool(const char *text, int64_t *out);
bool afti_parse_number(const char *text, double *out);
bool afti_parse_micro(const char *text, int64_t *out);
/* afti_one_of: the index of text among "a|b|c", or -1. */
int afti_one_of(const char *words, const char *text);
/* afti_value_parse: text under a row's type and range, into *v's numbers; AFT_E_CONFIG says what is allowed. */
enum aft_err afti_value_parse(const struct afti_row *row, const char *text, struct afti_value *v,
                              struct aft_error *e) AFT_MUST_CHECK;
/* afti_distance: Damerau-Levenshtein (adjacent transpositions) of two keys, for "did you mean". */
unsigned afti_distance(const char *a, const char *b);
/* afti_nearest writes the known key that is nearest to an unknown one; false: none is near. */
bool afti_nearest(const char *key, char *out, size_t out_size);

/* afti_reward_key: a key of the reward family? Its kind's length and its property's row in afti_families. */
bool afti_reward_key(const char *key, size_t *kind_n, size_t *family);
enum aft_err afti_kinds_build(struct aft_config *c, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err afti_properties_build(struct aft_config *c, struct aft_error *e) AFT_MUST_CHECK;
void afti_properties_free(struct aft_config *c);

char *afti_strdup(const char *s);

#endif
