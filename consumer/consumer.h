/* consumer.h - the running process: logs (Kafka, embedded, memory), journal, tasks, learner, configuration, metrics, page.
 *
 * task      one partition: journal + order + joiner + blocks out + commits. Takes steps; owns no thread. Knows only aft_log, aft_store,
 *           aft_clock: the simulator gives it others made of faults.
 * learning  the learner as a client of the examples topic: rounds through their journal, snapshots out. Takes steps too.
 * service   threads around them for `run`; the demo on the embedded log steps them itself, in one thread.
 */
#ifndef AFT_CONSUMER_CONSUMER_H
#define AFT_CONSUMER_CONSUMER_H

#include "attribution/attribution.h"
#include "consumer/config.h"
#include "log/log.h"
#include "wire/wire_avro.h"

/* ---- a task */
struct aft_task;
struct aft_task_options {
    const struct aft_config *config; /* all borrowed; they outlive the task */
    struct aft_log *log;
    struct aft_store *store;
    struct aft_clock clock;
    int32_t partition;
    struct aft_schema_port schemas;
    const char *owner; /* who we are, for the journal */
    const struct aft_join_out
        *examples; /* NULL: they go to the examples topic; else there alone (replay) */
    bool follow;   /* a warm standby's: begins by following the owner */
};
enum aft_err aft_task_open(const struct aft_task_options *o, struct aft_task **out,
                           struct aft_error *e) AFT_MUST_CHECK;
/* aft_task_step does a bounded piece of work: reads, processes, writes, commits when due. *busy = false when it found nothing to do.
 * AFT_E_NOT_OWNER: a newer epoch was read: close it. */
enum aft_err aft_task_step(struct aft_task *t, int timeout_ms, bool *busy,
                           struct aft_error *e) AFT_MUST_CHECK;
/* aft_task_drain: everything processed so far is written, acknowledged and committed (before a clean stop). */
enum aft_err aft_task_drain(struct aft_task *t, struct aft_error *e) AFT_MUST_CHECK;
void aft_task_close(struct aft_task *t);

/* A task that follows computes what the owner does, muted: it writes to no topic, and commits its own state. It reads the inputs
 * as far as the owner says that it committed, and compares every end of a block of examples with its own chain: a step gives
 * AFT_E_DIVERGENCE where they differ.
 * aft_task_follow: the owner committed the inputs up to here (-1: nothing was said). What is below what was said before is ignored.
 * aft_task_own: the owner is gone: the next step begins the ownership protocol, with the state as it is in memory. */
enum aft_err aft_task_follow(struct aft_task *t, const int64_t committed[2],
                             struct aft_error *e) AFT_MUST_CHECK;
void aft_task_own(struct aft_task *t);
struct aft_task_following { /* what is known of the owner; cheap */
    bool follows,           /* false: it has begun to own */
        level;     /* everything that the owner said it committed was computed and checked */
    int64_t epoch; /* the newest in the clock topic; -1: none */
    uint64_t published_seq, checked_seq; /* examples in the topic; compared with our own */
};
void aft_task_following(const struct aft_task *t, struct aft_task_following *out);
/* aft_task_epoch: our own; -1 before we have one. */
int64_t aft_task_epoch(const struct aft_task *t);

/* aft_one_core: from here on the calling thread, and those that it will start, stay on the core on which it runs: for one that makes the
 * clients and stores it works with itself. Others of the process stay free. *core: which. AFT_E_CONFIG: the system refuses. */
enum aft_err aft_one_core(int *core, struct aft_error *e) AFT_MUST_CHECK;

/* Which partitioner put keys where they are: all with a key; of them those that murmur2 puts elsewhere; of these the ones that were tried
 * with other clients' partitioners, and how many fit each. Chance fits one of n. */
enum aft_partitioner { AFT_BY_MURMUR2, AFT_BY_CRC32, AFT_BY_FNV1A, AFT_BY_NONE };
struct aft_keyed {
    int64_t keys, wrong, tried, fits[AFT_BY_NONE];
};
const char *aft_partitioner_name(enum aft_partitioner by);
/* aft_keyed_by: the one that explains nearly all; AFT_BY_NONE: none does. */
enum aft_partitioner aft_keyed_by(const struct aft_keyed *k);
/* aft_keyed_words: of impressions and outcomes: what is wrong and how to mend it; false: nothing is. partition -1: of all. */
bool aft_keyed_words(const struct aft_keyed keyed[2], int32_t partition, char *out, size_t cap);

struct aft_task_status {
    int32_t partition;
    int64_t epoch;
    bool owner,
        caught_up; /* owner: past the ownership protocol. caught_up: both logs read to their ends */
    bool follows;  /* muted, beside the owner */
    uint64_t
        checked_seq; /* of a follower: its chain was compared with the published one up to here */
    int64_t next_offset[2], watermark_ms[2], consumed[2];
    int64_t end_offset[2]; /* as last heard; -1: not yet */
    int64_t wall_ms;       /* of this status */
    uint64_t waiting[2];   /* records in the reorder buffer */
    struct aft_disorder disorder[2];
    int64_t committed_offset[2]; /* where a restart would read from: for others to see our lag by */
    struct aft_keyed keyed[2];   /* of the records read since the start */
    int64_t moved_ms[2]; /* the wall clock when the watermark was first seen to be what it is */
    uint64_t next_seq, published_seq, ticks, dead_letters, commits, duplicates_muted;
    uint64_t dead_letters_by[AFT_ERR_COUNT]; /* what was wrong with them */
    struct aft_join_counts join;
    struct aft_digest state;
    uint64_t memory_bytes, disk_bytes;
    struct aft_join_memory memory;
    int64_t recovery_ms; /* how long the state took to come back at open; -1: there was none */
    char waits_for
        [400]; /* why the next record cannot be read for now (the registry does not answer); "": nothing is waited for */
};
/* aft_task_committed: committed_offset alone; cheap. */
void aft_task_committed(const struct aft_task *t, int64_t out[2]);
/* with_digest: the state's digest costs a pass over the index. Nobody is asked: it never waits. */
void aft_task_status(struct aft_task *t, bool with_digest, struct aft_task_status *out);

/* ---- learning */
struct aft_learning;
struct aft_learning_options {
    const struct aft_config *config;
    struct aft_log *log;
    struct aft_clock clock;
    int32_t partitions; /* of the examples topic */
    const char *owner;
};
enum aft_err aft_learning_open(const struct aft_learning_options *o, struct aft_learning **out,
                               struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_learning_step(struct aft_learning *l, int timeout_ms, bool *busy,
                               struct aft_error *e) AFT_MUST_CHECK;
/* aft_learning_finish: a last round over everything that is there, and a full snapshot. */
enum aft_err aft_learning_finish(struct aft_learning *l, struct aft_error *e) AFT_MUST_CHECK;
void aft_learning_close(struct aft_learning *l);
enum { AFT_LEARNING_ARMS = 100 };
struct aft_learning_arm {
    char id[64]; /* cut where it is longer; "": no more */
    int64_t exposures;
};
struct aft_learning_status {
    int64_t epoch, round, snapshots, last_snapshot_round;
    int64_t deltas;                   /* of the snapshots */
    uint64_t snapshot_bytes;          /* of the last one */
    uint64_t full_bytes, delta_bytes; /* of all since the start */
    uint64_t pending;
    struct aft_learner_stats learner;
    struct aft_learning_arm arms[AFT_LEARNING_ARMS]; /* the first that were seen */
    struct aft_digest digest;
};
void aft_learning_status(const struct aft_learning *l, struct aft_learning_status *out);

/* ---- the history of users: one partition's, folded out of the inputs and kept in the topic topics.history (history_publish.c,
 * docs/HISTORY.md). Reads the inputs on its own account: neither it nor a task waits for the other. */
struct aft_historian;
struct aft_historian_options {
    const struct aft_config *config; /* all borrowed; they outlive it */
    struct aft_log *log;
    struct aft_clock clock;
    int32_t partition;
    struct aft_schema_port schemas;
    const char *owner;
};
enum aft_err aft_historian_open(const struct aft_historian_options *o, struct aft_historian **out,
                                struct aft_error *e) AFT_MUST_CHECK;
/* aft_historian_step does a bounded piece of work and never waits; *busy = false: there was nothing to do. */
enum aft_err aft_historian_step(struct aft_historian *h, bool *busy,
                                struct aft_error *e) AFT_MUST_CHECK;
void aft_historian_close(struct aft_historian *h);
struct aft_historian_status {
    int32_t partition;
    bool works;                          /* caught up with the inputs once */
    uint64_t users, events;              /* held */
    uint64_t records, taken, unreadable; /* written; of the inputs: read; of these, no use */
    uint64_t dirty;                      /* users that wait to be written */
    int64_t published[2]; /* offsets up to which the topic is known to be whole; -1 */
};
void aft_historian_status(const struct aft_historian *h, struct aft_historian_status *out);

/* aft_signing_key: snapshot.signing.key, the secret one; libsodium's: its last 32 bytes are the public key. *there = false: none. */
enum aft_err aft_signing_key(const struct aft_config *config, uint8_t key[64], bool *there,
                             struct aft_error *e) AFT_MUST_CHECK;

/* ---- the board: how everything stands, copied there by the threads that work, read by the page. Any thread. */
struct aft_board;
struct aft_board *aft_board_new(struct aft_clock clock);
void aft_board_free(struct aft_board *b);
void aft_board_task(struct aft_board *b, const struct aft_task_status *s);
void aft_board_drop(struct aft_board *b, int32_t partition); /* it is not ours any more */
void aft_board_learning(struct aft_board *b, const struct aft_learning_status *s);
void aft_board_history(struct aft_board *b, const struct aft_historian_status *s);
void aft_board_history_drop(struct aft_board *b, int32_t partition);
/* aft_board_state: ready, and what is wrong just now ("" for nothing). */
void aft_board_state(struct aft_board *b, bool ready, const char *trouble);
bool aft_board_ready(struct aft_board *b);
/* aft_metrics_text: Prometheus' text format 0.0.4. aft_metrics_markdown: docs/METRICS.md. */
void aft_metrics_text(struct aft_board *b, struct aft_buffer *out);
void aft_metrics_markdown(struct aft_buffer *out);

/* The page: GET /metrics, /healthz, /readyz, / on ADDRESS:PORT, in a thread of its own. "" opens no port (*out = NULL).
 * aft_page_port: the port that was opened. */
struct aft_page;
enum aft_err aft_page_start(const char *listen, struct aft_board *board, struct aft_page **out,
                            struct aft_error *e) AFT_MUST_CHECK;
int aft_page_port(const struct aft_page *p);
void aft_page_stop(struct aft_page *p);

/* ---- the schema registry (Confluent's interface), as a schema port: GET <url>/schemas/ids/<id>. What it answered is kept for ever; ids
 * never change. user NULL or "": no authentication. Any thread. by_id: AFT_E_AGAIN when it does not answer, AFT_E_UNKNOWN_SCHEMA
 * when it knows no such id or the schema is not plain Avro, AFT_E_CONFIG when it refuses us or is no registry. */
struct aft_registry;
struct aft_registry_options {
    const char *url, *user, *password_file;
    int timeout_ms; /* of one request; 0: 5 s */
};
enum aft_err aft_registry_open(const struct aft_registry_options *o, struct aft_registry **out,
                               struct aft_error *e) AFT_MUST_CHECK;
/* aft_registry_of: the configured one; *out = NULL where none is. aft_registry_port: NULL knows nobody. */
enum aft_err aft_registry_of(const struct aft_config *c, struct aft_registry **out,
                             struct aft_error *e) AFT_MUST_CHECK;
struct aft_schema_port aft_registry_port(struct aft_registry *r);
/* Schemas named in headers (AFT_SCHEMA_HEADER). want: this reader's records come with their headers, where a registry is configured that
 * knows what they name; else nobody pays for them. header: a record's; absent: it has none. */
void aft_schema_header_want(struct aft_schema_port port, struct aft_log *log,
                            struct aft_log_reader *r);
struct aft_bytes aft_schema_header(const struct aft_record_in *r);
void aft_registry_close(struct aft_registry *r);
/* Subjects. push: our schema is registered under a subject, unless it is already: its id and version. AFT_E_SCHEMA with the registry's
 * words where it refuses it (incompatible with what stands there, under the compatibility that the subject demands). latest: what stands
 * there; id -1: nothing. compatible: what the registry says of our schema beside the latest one; *good false: why. */
struct aft_registered {
    int64_t id, version;
};
enum aft_err aft_registry_push(struct aft_registry *r, const char *subject, struct aft_bytes schema,
                               struct aft_registered *out, struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_registry_latest(struct aft_registry *r, const char *subject,
                                 struct aft_registered *out, struct aft_buffer *schema,
                                 struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_registry_compatible(struct aft_registry *r, const char *subject,
                                     struct aft_bytes schema, bool *good, char why[300],
                                     struct aft_error *e) AFT_MUST_CHECK;

/* ---- topics: what the configuration asks for, created or checked. check: AFT_E_CONFIG says what is wrong and how to mend it. */
enum aft_err aft_topics_create(const struct aft_config *c, struct aft_log *log,
                               struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_topics_check(const struct aft_config *c, struct aft_log *log,
                              void (*line)(void *ctx, const char *text), void *ctx,
                              struct aft_error *e) AFT_MUST_CHECK;

/* ---- doctor: is everything as it must be? A finding a check, with how to mend it. Nothing of what is checked is changed.
 * aft_doctor_here: what this machine can tell alone: signing key, state directory and whose state it is, memory. The configuration was
 * checked before. aft_doctor_log: topics (as aft_topics_check), and a sample of the newest records of both inputs: whether they can be
 * read, whose partitioner placed their keys, disorder, the broker's clock, room on the disk. Fails when the log does not answer. */
enum aft_finding_level { AFT_FINDING_OK, AFT_FINDING_WARN, AFT_FINDING_FAIL };
struct aft_finding {
    enum aft_finding_level level;
    enum aft_err code; /* of a FAIL */
    const char *check; /* one word */
    const char *text;
};
struct aft_findings {
    void *ctx;
    void (*finding)(void *ctx, const struct aft_finding *f);
};
void aft_doctor_here(const struct aft_config *c, const struct aft_findings *to);
struct aft_doctor_log {
    struct aft_log *log; /* all borrowed */
    struct aft_schema_port schemas;
    struct aft_clock clock;
};
enum aft_err aft_doctor_log(const struct aft_config *c, const struct aft_doctor_log *o,
                            const struct aft_findings *to, struct aft_error *e) AFT_MUST_CHECK;

/* ---- checkpoints: directory/<partition>, one store each. Lines tell of each partition.
 * create: `directory` must not exist. Stores that a running process holds are copied by that process, without stopping it.
 * restore: puts copies in place of the state directories of (app.id, partitions). AFT_E_CONFIG: another application, partition or
 * configuration; AFT_E_CORRUPT; AFT_E_FAILED: there is a state already, or no checkpoint. All partitions or none. */
struct aft_lines {
    void *ctx;
    void (*line)(void *ctx, const char *text);
};
enum aft_err aft_checkpoint_create(const struct aft_config *c, const char *directory,
                                   const struct aft_lines *lines,
                                   struct aft_error *e) AFT_MUST_CHECK;
enum aft_err aft_checkpoint_restore(const struct aft_config *c, const char *directory,
                                    const struct aft_lines *lines,
                                    struct aft_error *e) AFT_MUST_CHECK;
/* aft_chores: what the thread that owns a store does for it every few seconds: makes a checkpoint that was asked for; purges the store
 * once a day if users were erased since the last time (the store's own error). The state's directory must be there. */
struct aft_chore {
    int32_t partition;
    int64_t erased_users; /* so far, for ever */
    int64_t wall_ms;
};
enum aft_err aft_chores(const struct aft_config *c, struct aft_store *store,
                        const struct aft_chore *chore, struct aft_error *e) AFT_MUST_CHECK;

/* ---- replay: state and model computed again from the topics. Nothing is written to any topic.
 * The topics are read as they stand when it begins; what arrives meanwhile is left. */
struct aft_replay_start { /* where a partition's inputs are read from */
    int32_t partition;
    int64_t offset[2];
};
enum aft_replay_held {                /* the state of a partition that was there beforehand */
                       AFT_HELD_NONE, /* there is none, or nobody asked */
                       AFT_HELD_SAME,
                       AFT_HELD_DIFFERS,
                       AFT_HELD_BUSY, /* a process works on it: not compared */
                       AFT_HELD_EARLY, /* as of a time before which the inputs that are read do not tell everything: not compared */
                       AFT_HELD_LATE /* as of a time behind `until`: not compared */
};
struct aft_replay_part { /* of one partition: how far it is, and in the end what came of it */
    int32_t partition;
    int64_t records, records_n; /* of both inputs; how many there are to read */
    int64_t event_ms;           /* event time reached; INT64_MIN: none yet */
    int64_t ticks, dead_letters, commits;
    int64_t examples, compared;
    int64_t beyond; /* computed, and behind the end of what is published */
    struct aft_join_counts counts;
    struct aft_digest state; /* at the end */
    enum aft_replay_held held;
    int64_t
        held_ms; /* how far the state had gone that this was compared with; INT64_MIN: nowhere */
    int64_t held_decisions, held_outcomes; /* compared with it, and the same */
};
struct aft_replay_result {
    struct aft_replay_part *parts; /* the caller's to free */
    int32_t parts_n;
    bool model; /* the rounds topic is there */
    int64_t rounds, rounds_n, snapshots_compared, snapshots_published;
    struct aft_digest model_digest;
    /* the first divergence, when that is the error */
    bool diverged;
    int32_t partition; /* of the examples; -1: of the snapshots, whose round is seq */
    uint64_t seq;
    char decision_id[AFT_ID_BYTES_MAX + 1], field[64];
    bool of_state; /* it is the state's: seq means nothing, and `state` says more */
    char outcome_id[AFT_ID_BYTES_MAX + 1]; /* of the state's; "": of none */
    struct aft_join_difference state;      /* value[0]: computed again */
};
struct aft_replay_options {
    const struct aft_config *config; /* all borrowed */
    struct aft_log *log;
    struct aft_schema_port schemas;
    struct aft_clock clock;
    int64_t from_ms,
        until_ms; /* the logs' own time; INT64_MIN: from the beginning; INT64_MAX: to the end */
    const struct aft_replay_start *starts; /* where a partition is not named: from_ms */
    uint32_t starts_n;
    const char *
        into; /* a directory that does not exist yet: the state of partition p is left in into/p, to be restored as a
                       * checkpoint; NULL: nowhere. Only from the inputs' beginnings. The service must not run. */
    bool
        archived; /* the inputs are files: nothing comes behind their last records, so every tick there counts */
    bool
        verify; /* each example is compared with the published one, each snapshot's digest too, and the state */
    const char *
        state; /* with verify, without into: compared with the states DIR/<partition>, as of their last commit (P3 of replay_inner.h), and
                * again at the end, when they have gone on from there; NULL: with those of state.dir that nobody works on (not where
                * archived). They are only read. */
    /* progress: after every batch; part NULL: the model. */
    void (*progress)(void *ctx, const struct aft_replay_result *so_far,
                     const struct aft_replay_part *part);
    void *ctx;
};
/* aft_replay: AFT_E_DIVERGENCE: recomputed and published differ, and result says where first; AFT_E_GAP: records are missing. result is
 * filled as far as it came, also on failure. From elsewhere than the inputs' beginnings, examples are compared from the
 * first one on that fires 2 x window + grace later, and without their numbers. */
enum aft_err aft_replay(const struct aft_replay_options *o, struct aft_replay_result *result,
                        struct aft_error *e) AFT_MUST_CHECK;

/* ---- looking, for explain. aft_state_each: a joiner over the state of every partition under state.dir, also while a service works on it
 * (then as it stood at its last commit). aft_examples_each: every example of the topic once, as its readers take it. */
struct aft_state_visit {
    void *ctx;
    enum aft_err (*joiner)(void *ctx, int32_t partition, struct aft_joiner *j, struct aft_error *e);
};
enum aft_err aft_state_each(const struct aft_config *c, const struct aft_state_visit *visit,
                            struct aft_error *e) AFT_MUST_CHECK;
struct aft_example_visit {
    void *ctx;
    void (*example)(void *ctx, int32_t partition, const struct aft_example *x);
};
enum aft_err aft_examples_each(const struct aft_config *c, struct aft_log *log,
                               const struct aft_example_visit *visit,
                               struct aft_error *e) AFT_MUST_CHECK;
/* aft_learning_each: the rounds that count, in order, then the manifests of our model's snapshots as the topic holds them, with the
 * tombstones (record NULL). A topic that does not exist holds none. */
struct aft_snapshot_seen {
    int64_t offset;
    struct aft_bytes key;
    const struct aft_snapshot_record
        *record; /* full or delta, with its manifest; NULL: a tombstone */
};
struct aft_learning_visit {
    void *ctx;
    void (*round)(void *ctx, int64_t offset, const struct aft_round_record *r);
    void (*manifest)(void *ctx, const struct aft_snapshot_seen *seen);
};
enum aft_err aft_learning_each(const struct aft_config *c, struct aft_log *log,
                               const struct aft_learning_visit *visit,
                               struct aft_error *e) AFT_MUST_CHECK;

/* ---- the service */
enum aft_role { AFT_ROLE_ALL, AFT_ROLE_JOIN, AFT_ROLE_LEARN };
struct aft_service;
/* aft_service_start. standby: follow every partition, muted, in no group; take over from owners that are gone. Not with ROLE_LEARN. */
enum aft_err aft_service_start(const struct aft_config *c, enum aft_role role, bool standby,
                               struct aft_service **out, struct aft_error *e) AFT_MUST_CHECK;
/* aft_service_wait: until stop was asked for, or a thread failed (its error). aft_service_stop: asks; any thread. */
enum aft_err aft_service_wait(struct aft_service *s, struct aft_error *e) AFT_MUST_CHECK;
void aft_service_stop(struct aft_service *s);
/* aft_service_was_ready: every partition that was assigned was owned at some time. */
bool aft_service_was_ready(struct aft_service *s);
void aft_service_free(struct aft_service *s);

#endif
