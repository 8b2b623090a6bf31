/* demo.h - what the files of `aftertouch demo` share.
 *
 *   demo.c           the verb
 *   demo_embedded.c  the loop in one process on the embedded log
 *   demo_broker.c    the same over a real broker: the service is another process
 *   demo_config.c    the configuration: what a demo wants where the user said nothing
 *   demo_engine.c    the engine: the simulated world's visits -> decisions -> impressions; outcomes -> log
 *   demo_port.c      the client's transport over an aft_log
 *   demo_examples.c  the examples topic read back: sums of users and of messages
 *   demo_screen.c    progress: one live block, or plain lines; the wish to end it
 *   demo_report.c    what came out: text or JSON
 */
#ifndef AFT_CMD_DEMO_H
#define AFT_CMD_DEMO_H

#include "client/client.h"
#include "cmd/cmd.h"
#include "evaluate/evaluate.h"

enum { DEMO_PERSONALISED, DEMO_BASELINE, DEMO_POLICIES };
enum { DEMO_PARTITIONS_MAX = 64, DEMO_PATH_MAX = 512 };
#define DEMO_BASELINE_SHARE 0.1

extern const char *const demo_policy_names[DEMO_POLICIES];

struct demo_options {
    uint64_t seed;
    int seconds, port; /* port -1: no page */
    bool json;
    const char *kafka; /* NULL: embedded */
    char directory[DEMO_PATH_MAX];
    bool keep; /* the directory, and the topics */
    char prefix
        [48]; /* over a broker: of the topics that were named for this run, with the dot; else "" */
};

/* ---- the engine */
struct demo_live { /* as the engine sees it: shown and clicked so far */
    uint64_t visits, tiles[DEMO_POLICIES], clicks[DEMO_POLICIES], outcomes, delivered_twice;
};
struct demo_engine {
    struct aft_world *world;
    struct aft_client *client;
    struct demo_live live;
    uint64_t seed;
};
/* demo_engine_slice: everything that happens before `until_ms`: decided, shown, logged. */
enum aft_err demo_engine_slice(struct demo_engine *g, int64_t until_ms, struct aft_error *e);
/* demo_error: the client's error as the house's. */
enum aft_err demo_error(enum aft_client_code code, const struct aft_client_error *why,
                        struct aft_error *e);

/* ---- the client's transport over a log (one thread) */
struct demo_port {
    struct aft_log *log;
    const char *topics[2], *snapshots;
    struct aft_log_reader *reader;
    uint64_t waiting;
    aft_client_failure_sink sink;
    void *sink_ctx;
};
struct aft_client_transport demo_port_transport(struct demo_port *p);

/* ---- examples, read back as they come */
struct demo_sums {
    uint64_t decisions, tiles;
    double clicks, value, views, tasks;
};
struct demo_examples;
enum aft_err demo_examples_open(struct aft_log *log, const char *topic, int32_t partitions,
                                struct demo_examples **out, struct aft_error *e);
void demo_examples_close(struct demo_examples *x);
/* demo_examples_detach: closes its readers, so that the log may be closed; the sums stay. NULL is allowed. */
void demo_examples_detach(struct demo_examples *x);
/* demo_examples_read: all that is there now, waiting at most timeout_ms for more; AFT_E_GAP, AFT_E_CORRUPT. */
enum aft_err demo_examples_read(struct demo_examples *x, int timeout_ms, struct aft_error *e);
/* demo_examples_owned: every partition has had an owner: its first block has been read. */
bool demo_examples_owned(const struct demo_examples *x);
uint64_t demo_examples_settled(const struct demo_examples *x);
uint64_t demo_examples_seq(const struct demo_examples *x, int32_t partition);
struct aft_hash128 demo_examples_hash(const struct demo_examples *x, int32_t partition);
/* Sums over settled examples: of a policy, of a message under a policy. demo_examples_ratios: per user, for the intervals. */
const struct demo_sums *demo_examples_of(const struct demo_examples *x, int policy);
const struct demo_sums *demo_examples_message(const struct demo_examples *x, int policy,
                                              uint32_t i);
void demo_examples_ratios(const struct demo_examples *x, struct aft_ratio ctr[DEMO_POLICIES],
                          struct aft_ratio value[DEMO_POLICIES]);

/* ---- progress */
struct demo_progress {
    int64_t start_ms, now_ms, end_ms;
    const struct demo_live *live;
    uint64_t credited;  /* outcomes with credit so far; UINT64_MAX: not known */
    int64_t round;      /* of the snapshot that decides */
    uint64_t snapshots; /* applied by the engine */
    const char *stage;  /* what is being done */
};
struct demo_screen;
struct demo_screen *demo_screen_new(void);
/* demo_screen_show draws at most a few times a second, unless `now`. */
void demo_screen_show(struct demo_screen *s, const struct demo_progress *p, bool now);
void demo_screen_free(struct demo_screen *s);

/* ---- what came out */
struct demo_result {
    const struct demo_options *o;
    struct demo_examples *examples;
    struct demo_live live;
    struct aft_world_reference reference;
    int32_t partitions;
    struct aft_join_counts join; /* summed over the partitions */
    uint64_t dead_letters;
    struct aft_digest state[DEMO_PARTITIONS_MAX];
    char model[65];
    int64_t round;
    uint64_t snapshots;
    double elapsed_s;
    int64_t simulated_days;
    uint32_t participants;
};
/* demo_report prints and returns the exit code: 0, or 1 when something that must hold does not (it says what). */
int demo_report(const struct demo_result *r);
void demo_counts_add(struct aft_join_counts *to, const struct aft_join_counts *from);

/* ---- the two ways to run. demo_defaults sets what the user did not, and checks. */
enum aft_err demo_defaults(struct aft_config *c, struct demo_options *o, struct aft_error *e);
extern const char *const demo_topics[]; /* their keys, NULL behind the last */
/* demo_interrupted: SIGINT or SIGTERM is waiting (the verb blocks them): AFT_E_INTERRUPTED, so that everything is closed and removed. */
enum aft_err demo_interrupted(struct aft_error *e);
uint32_t demo_participants(const struct demo_options *o);
/* demo_embedded_run: the whole of it, its report too; the exit code. */
int demo_embedded_run(struct aft_config *c, const struct demo_options *o);
enum aft_err demo_broker_run(struct aft_config *c, const struct demo_options *o,
                             struct demo_result *r, struct aft_error *e);

#endif
