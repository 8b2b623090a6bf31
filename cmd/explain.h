/* explain.h - what the files of the verb `explain` share.
 *
 *   explain.c           the verb: the state's part, the examples, how it is printed
 *   explain_fate.c      an outcome's fate in words
 *   explain_learned.c   what the learner did with each example: weights, round, snapshot
 */
#ifndef AFT_CMD_EXPLAIN_H
#define AFT_CMD_EXPLAIN_H

#include "cmd/cmd.h"

struct json_t; /* jansson's */

/* An example that is told of, and where the learner met it. */
struct explain_example {
    struct json_t *json; /* borrowed: an object of the list of examples */
    int32_t partition;
    int64_t seq;
    int64_t round, round_offset; /* the first round that counts and covers it; -1: none does */
    int64_t snapshot, snapshot_offset; /* likewise; offset -1: it does not stand in the topic */
    bool full;
    struct aft_buffer key; /* of that snapshot's manifest */
};

struct explain_learned {
    struct aft_learner *learner; /* to be asked alone */
    int64_t half_life_ms;
    bool weighted; /* weights differ from 1 */
    struct explain_example *v;
    size_t n, cap;
};

/* explain_fate puts fate, why, taken_back and until when it waited into an outcome's object. */
void explain_fate(const struct aft_config *c, const struct aft_explained_outcome *x,
                  struct json_t *to);

enum aft_err explain_learned_init(struct explain_learned *l, const struct aft_config *c,
                                  struct aft_error *e) AFT_MUST_CHECK;
void explain_learned_deinit(struct explain_learned *l);
/* explain_learned_item: what the learner makes of item i, to be a field of its object; phases that it does not learn from: null. */
struct json_t *explain_learned_item(struct explain_learned *l, const struct aft_example *x,
                                    uint32_t i);
/* explain_learned_add: an example that is told of; json gets its round and snapshot in explain_learned_find. */
void explain_learned_add(struct explain_learned *l, int32_t partition, const struct aft_example *x,
                         struct json_t *json);
/* explain_learned_find: reads the rounds and the snapshots, and puts `learned` into each example's object. */
enum aft_err explain_learned_find(struct explain_learned *l, const struct aft_config *c,
                                  struct aft_log *log, struct aft_error *e) AFT_MUST_CHECK;

#endif
