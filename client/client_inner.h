/* client_inner.h - what the files of client/ share.
 *
 *   ids.c              decision and outcome ids, the baseline's side of a user
 *   model_cell.c       the model that decides now, exchanged under the deciders' hands
 *   pool.c             decisions that wait to be used again
 *   catalogue.c        candidates that many decisions share
 *   features.c         texts, features and candidates -> the house's nouns, copied and checked
 *   request.c          a request likewise
 *   decide.c           decide, mask late
 *   prescored.c        weights that were made before, in the place of the model's
 *   engine_slate.c     what is shown when the model does not decide: apprentice, log-only
 *   impression.c       a decision, an outcome -> records
 *   history.c          what users were shown and did lately: a bounded table
 *   history_follow.c   the same as the service publishes it: records of the history's topic into the table
 *   history_file.c     the same over a restart
 *   history_features.c its figures, for caps and as features
 *   snapshot_follow.c  records of the snapshots topic -> the next model
 *   shadow.c           another model that decides nothing: its probabilities
 *   snapshot_file.c    the last good snapshot on disk
 *   snapshot_container.c   one that `aftertouch snapshot export` or `learn` wrote
 *   spill_file.c       records that wait on disk until a broker takes them
 *   transport_kafka.c, producer_kafka.c   EDGE (librdkafka)
 *   client.c           open, close, poll, look
 */
#ifndef AFT_CLIENT_INNER_H
#define AFT_CLIENT_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/client.h"

/* ---- the model that decides now.
 * I1 a slot's model changes only while the slot is not current and nobody holds it.
 * Deciders take (two atomic operations, retried only when a swap falls between them) and never wait. One writer at a time. */
#define AFTI_CELL_SLOTS 64u
struct afti_model_slot {
    atomic_uint holders;
    struct aft_model *model;
    char pad[64 - sizeof(atomic_uint) - sizeof(void *)]; /* a cache line each */
};
struct afti_model_cell {
    struct afti_model_slot slots[AFTI_CELL_SLOTS];
    atomic_uint current;
};
void afti_cell_init(struct afti_model_cell *c, struct aft_model *m);
void afti_cell_deinit(struct afti_model_cell *c);
unsigned afti_cell_take(struct afti_model_cell *c);
void afti_cell_give(struct afti_model_cell *c, unsigned slot);
/* afti_cell_put takes ownership of m and frees what nobody holds any more; false (m stays the caller's): every slot is held. */
bool afti_cell_put(struct afti_model_cell *c, struct aft_model *m);

/* ---- ids */
enum afti_id_stream { AFTI_ID_DECISION, AFTI_ID_OUTCOME };
struct afti_ids {
    uint64_t seed;
    atomic_uint_fast64_t next[2];
};
enum aft_err afti_ids_init(struct afti_ids *ids, const uint64_t *seed, struct aft_error *e);
void afti_id_new(struct afti_ids *ids, enum afti_id_stream stream, char out[33]);
bool afti_on_baseline(double share, const char *salt, struct aft_bytes user);
/* afti_passes: whether a decision is logged, of which a share is. */
bool afti_passes(double share, struct aft_bytes decision);

/* ---- a catalogue: everything in its arena; read by any thread */
struct aft_client_catalogue {
    const struct aft_client *client;
    struct aft_arena own;
    struct aft_candidate *candidates;
    struct aft_bytes *subjects;
    uint32_t n;
    uint64_t revision;
    atomic_uint holders;
};
void afti_catalogue_hold(const struct aft_client_catalogue *k);

/* ---- names of a context, as this decision's place in the pool had them last: an engine's requests have mostly the same, in the same
 * order, and what is compared need not be copied again, nor be told apart from the others. A name is at v[i], with its NUL.
 * I1 the first n differ from each other. */
enum { AFTI_NAMES_KEPT = 64, AFTI_NAME_KEPT = 32 };
struct afti_names {
    uint32_t n;
    uint8_t bytes[AFTI_NAMES_KEPT]; /* without the NUL */
    char v[AFTI_NAMES_KEPT][AFTI_NAME_KEPT];
};

/* ---- a decision */
struct aft_client_decision {
    struct aft_client_slate view;
    struct aft_client_slot slots[AFT_SLATE_MAX];
    struct aft_scratch *scratch;
    struct aft_arena arena; /* what the request was, copied */
    struct afti_names names;
    struct aft_buffer record;
    struct aft_request request;
    struct aft_candidate *candidates; /* = request.candidates, ours to mark */
    struct aft_bytes *subjects;
    uint32_t *fresh;                        /* = request.fresh, ours to count */
    struct aft_client_catalogue *catalogue; /* held until the decision is freed; or NULL */
    struct aft_bytes user, session;
    struct aft_decision drawn;
    bool prescored; /* drawn from `given`, made from `scored` */
    struct aft_prescored scored;
    struct aft_given given;
    double propensities[AFT_SLATE_MAX]; /* the engine's own, where it gave any */
    enum aft_propensity_kind propensities_kind;
    bool has_propensities;
    struct aft_scratch *shadow; /* of the shadow's model, once there is one */
    double shadow_p[AFT_SLATE_MAX];
    char shadow_id[65];
    struct aft_shown
        shown[AFT_SLATE_MAX]; /* as it is logged: a try that is repeated takes no more memory */
    unsigned slot;            /* of the cell: the model is held until the decision is freed */
    int64_t time_ms;
    bool holds, deferred, logged;
};

/* ---- the pool: an array of places, each empty or with a decision, taken and filled by exchange: no lock, no ABA. */
#define AFTI_POOL_PLACES 256u
struct afti_pool {
    _Atomic(struct aft_client_decision *) places[AFTI_POOL_PLACES];
};
struct aft_client_decision *afti_decisions_take(struct afti_pool *p);
void afti_decisions_give(struct afti_pool *p, struct aft_client_decision *d);
void afti_decisions_deinit(struct afti_pool *p);

/* ---- history: entries of a user, an arm (or a subject that is done) and a day each */
#define AFTI_HISTORY_ENTRIES_MAX 512   /* of one user */
#define AFTI_HISTORY_BYTES_MIN 1048576 /* so that no user can crowd out all others of his shard */
#define AFTI_HISTORY_NAME 40
enum { AFTI_HISTORY_USER = 5, AFTI_HISTORY_ARM = 5, AFTI_HISTORY_NAMES = 10 }; /* features */
struct afti_history;
struct afti_history_entry {
    uint64_t id;                  /* of the arm; of the subject, where done */
    uint16_t day;                 /* since 1970 */
    uint16_t shown, clicks, done; /* how often; an entry that is done has neither of the others */
};
/* NULL: no memory. Everything is taken here; later calls take none. */
struct afti_history *afti_history_new(uint64_t bytes, uint32_t long_days);
void afti_history_free(struct afti_history *h);
struct afti_history_event {
    uint64_t
        event;   /* aft_history_id of the decision, of the outcome, of the one that is taken back */
    uint64_t id; /* as an entry's */
    uint16_t day;
    uint8_t what; /* enum aft_history_what */
};
struct afti_history_told { /* a record of the topic, and the ids of its entries' names */
    const struct aft_history *record;
    const uint64_t *ids;
};
/* afti_history_log: what was logged here; an outcome that was logged before changes nothing, one that is taken back counts no more. tell:
 * what the topic says of a user, in place of what was known, but for what was logged here and it does not hold yet. NULL: he was erased.
 * copy: all of a user's entries, at most AFTI_HISTORY_ENTRIES_MAX. */
void afti_history_log(struct afti_history *h, struct aft_bytes user,
                      const struct afti_history_event *events, uint32_t n);
void afti_history_tell(struct afti_history *h, struct aft_bytes user,
                       const struct afti_history_told *told);
uint32_t afti_history_copy(struct afti_history *h, struct aft_bytes user,
                           struct afti_history_entry *out);
/* put: by the user's hash. each: all users, of each shard those first that were least lately used. */
void afti_history_put(struct afti_history *h, struct aft_hash128 user,
                      const struct afti_history_entry *entries, uint32_t n);
typedef void (*afti_history_sink)(void *ctx, struct aft_hash128 user,
                                  const struct afti_history_entry *v, uint32_t n);
void afti_history_each(struct afti_history *h, afti_history_sink sink, void *ctx);
/* history_file.c: AFT_E_IO. load: a file that is not there is AFT_OK: a first start. */
enum aft_err afti_history_save(struct afti_history *h, const char *path, struct aft_error *e);
enum aft_err afti_history_load(struct afti_history *h, const char *path, struct aft_error *e);
void afti_history_stats(struct afti_history *h, uint64_t *users, uint64_t *forgotten);

/* ---- following */
struct afti_follow {
    pthread_mutex_t lock; /* around everything here; deciders never take it */
    pthread_cond_t moved;
    pthread_t thread;
    bool running, stop, at_end;
    struct aft_snapshot_set *set;
    struct aft_model *pending; /* loaded, waiting for a free slot of the cell */
    int64_t pending_event_ms, event_ms,
        applied_ms;                  /* event: the latest that a model has learned from */
    struct aft_snapshot_stats stats; /* of the set, after its last record */
    char last_refusal[400];
    uint64_t applied, refused;
};

/* ---- following the history of users: history_follow.c. Another thread than the snapshots': neither waits for the other. */
struct afti_history_follow {
    pthread_t thread;
    bool running;
    atomic_bool stop, at_end;
    atomic_uint_fast64_t records, refused;
    struct aft_arena arena; /* that thread's */
};

/* ---- a model that decides nothing: shadow.c. start: by the options, before the first record. body: of a record of that model. put: the
 * pending one, where a slot is free. note: into the design of what will be logged. */
struct afti_shadow {
    struct aft_snapshot_set *set; /* NULL: there is no shadow */
    struct aft_model *pending;
    struct afti_model_cell cell;
    atomic_uint_fast64_t applied;
};
enum aft_err afti_shadow_start(struct aft_client *c, struct aft_error *e);
void afti_shadow_stop(struct aft_client *c);
void afti_shadow_put(struct aft_client *c);
enum aft_err afti_shadow_body(struct aft_client *c, struct aft_bytes body, struct aft_error *e);
enum aft_err afti_shadow_note(struct aft_client *c, struct aft_client_decision *d,
                              struct aft_error *e);

/* ---- the spill file: spill_file.c */
struct afti_spilled {
    enum aft_client_topic topic;
    int64_t time_ms;
    struct aft_bytes key, value;
};
struct afti_spill {
    pthread_mutex_t lock;
    int fd;                           /* -1: there is none */
    uint64_t max, read_at, end, held; /* held: records in the file, sent or not */
    int64_t synced_ms;
    bool unsynced;
    struct aft_buffer body, record;   /* read, written */
    atomic_uint_fast64_t left, taken; /* not yet sent again; put in since open */
};
/* afti_spill_open: what a file holds from before is left to be sent. AFT_E_IO, AFT_E_CONFIG (in use, another kind of file).
 * afti_spill_put: AFT_E_AGAIN: as large as it may be. afti_spill_drain: sends what can be sent now; any time. */
enum aft_err afti_spill_open(struct afti_spill *s, const char *path, uint64_t bytes_max,
                             struct aft_error *e);
void afti_spill_close(struct afti_spill *s);
enum aft_err afti_spill_put(struct afti_spill *s, const struct afti_spilled *r,
                            struct aft_error *e);
void afti_spill_drain(struct aft_client *c);
/* afti_spill_waiting: records that are in the file alone: not sent again yet, or lost since. */
uint64_t afti_spill_waiting(struct aft_client *c);

/* ---- producer_kafka.c: records to a broker. Any thread. open takes the configuration. kept: a spill file has it until it is delivered. */
struct rd_kafka_conf_s;
struct afti_producer;
enum aft_err afti_producer_open(struct rd_kafka_conf_s *conf, struct afti_producer **out,
                                struct aft_error *e);
void afti_producer_close(struct afti_producer *p);
void afti_producer_listen(struct afti_producer *p, aft_client_failure_sink sink, void *sink_ctx);
enum aft_err afti_producer_send(struct afti_producer *p, const char *topic,
                                const struct afti_spilled *r, bool kept, struct aft_error *e);
void afti_producer_poll(struct afti_producer *p, int timeout_ms);
uint64_t afti_producer_waiting(struct afti_producer *p);
uint64_t afti_producer_resending(struct afti_producer *p);
uint64_t afti_producer_lost(struct afti_producer *p, bool forget);
bool afti_producer_away(struct afti_producer *p, int32_t ms);

struct aft_client {
    struct aft_client_options options; /* strings in `own` */
    struct aft_arena own;
    struct aft_client_transport transport;
    struct afti_model_cell cell;
    struct afti_pool pool;
    struct afti_ids ids;
    struct afti_follow follow;
    struct afti_spill spill;
    struct afti_shadow shadow;
    uint8_t public_key[32];
    struct afti_history *history; /* NULL: none is kept */
    struct afti_history_follow history_follow;
    char history_names[AFTI_HISTORY_NAMES]
                      [AFTI_HISTORY_NAME]; /* of the user's features, then of the arms' */
    atomic_uint_fast64_t decisions, impressions, outcomes, undelivered, held, catalogues,
        passed_over;
};

/* request.c: fills the decision's request from the public one (whose ids a prescored record completes). AFT_E_VALUE, AFT_E_LIMIT. */
enum aft_err afti_request_take(struct aft_client *c, struct aft_client_decision *d,
                               struct aft_client_request *r, struct aft_error *e);

/* prescored.c. take: r->prescored is read and checked; r gets its key and decision id. match: once the candidates are taken, each gets
 * its weight or a mask. */
enum aft_err afti_prescored_take(const struct aft_client *c, struct aft_client_decision *d,
                                 struct aft_client_request *r, struct aft_error *e);
enum aft_err afti_prescored_match(struct aft_client_decision *d, struct aft_error *e);

/* afti_request_arm_stats: what the model's snapshot knows of the candidates, where it asks for that, beside their own features (an engine's
 * own of the same name stands). AFT_E_LIMIT. */
enum aft_err afti_request_arm_stats(struct aft_client_decision *d, const struct aft_model *m,
                                    struct aft_error *e);

/* features.c: into the arena, with a NUL behind; absent (an id: AFT_E_VALUE) where there is none. `what` is for the message.
 * value: what a feature says but its name. once: AFT_E_VALUE where a name stands there twice. room: for n features and one more.
 * candidates: each arm once; alike as struct aft_request's. */
enum aft_err afti_take_text(struct aft_arena *a, const char *s, size_t max, const char *what,
                            struct aft_bytes *out, struct aft_error *e);
enum aft_err afti_take_id(struct aft_arena *a, const char *s, const char *what,
                          struct aft_bytes *out, struct aft_error *e);
enum aft_err afti_take_value(struct aft_arena *a, const struct aft_client_feature *f,
                             struct aft_feature *out, struct aft_error *e);
enum aft_err afti_take_feature(struct aft_arena *a, const struct aft_client_feature *f,
                               struct aft_feature *out, struct aft_error *e);
enum aft_err afti_names_once(const struct aft_feature *v, uint32_t n, struct aft_error *e);
enum aft_err afti_features_room(struct aft_arena *a, uint32_t n, struct aft_feature **v,
                                struct aft_error *e);
struct afti_candidates {
    struct aft_candidate *v;
    struct aft_bytes *subjects;
    uint32_t alike;
};
enum aft_err afti_candidates_take(struct aft_arena *a, const struct aft_client_candidate *v,
                                  uint32_t n, struct afti_candidates *out, struct aft_error *e);

/* engine_slate.c: the engine's own slate, by the client's mode: the first of the eligible in their order, into d->drawn. AFT_E_VALUE: none
 * is eligible. */
enum aft_err afti_engine_slate(const struct aft_client *c, struct aft_client_decision *d,
                               struct aft_error *e);

/* impression.c: appends, polling while the queue is full, for at most queue_ms. */
enum aft_err afti_client_append(struct aft_client *c, enum aft_client_topic topic, int64_t time_ms,
                                struct aft_bytes key, struct aft_bytes value, struct aft_error *e);
void afti_undelivered(void *client, const struct aft_client_failure *what);
/* afti_refused: counts it, and gives it back to on_failure. */
void afti_refused(struct aft_client *c, const struct aft_client_failure *what);
const char *afti_client_topic_name(const struct aft_client *c, enum aft_client_topic topic);

/* history_features.c. start: by the options. shown, outcome: what was logged. extend: features of this user behind the request's own, in
 * the decision's arena; d->user and d->time_ms are known. */
uint16_t afti_history_day(int64_t time_ms);
enum aft_err afti_history_start(struct aft_client *c, struct aft_error *e);
void afti_history_shown(struct aft_client *c, const struct aft_client_decision *d);
void afti_history_outcome(struct aft_client *c, const struct aft_outcome *x);
enum aft_err afti_history_extend(struct aft_client *c, struct aft_client_decision *d,
                                 struct aft_client_request *r, struct aft_error *e);

uint64_t afti_history_name(enum aft_history_what what, struct aft_bytes name);

/* history_follow.c. poll: only without a thread of our own. */
enum aft_err afti_history_follow_start(struct aft_client *c, struct aft_error *e);
void afti_history_follow_stop(struct aft_client *c);
void afti_history_follow_poll(struct aft_client *c);

/* snapshot_follow.c */
enum aft_err afti_follow_start(struct aft_client *c, struct aft_error *e);
void afti_follow_stop(struct aft_client *c);
/* afti_follow_poll: hands new records to the set; only without a thread of our own. */
void afti_follow_poll(struct aft_client *c, int timeout_ms);
/* afti_follow_record: one framed record, under the lock. AFT_OK also for one that completes nothing. */
enum aft_err afti_follow_record(struct aft_client *c, struct aft_bytes value, bool *whole,
                                struct aft_error *e);

/* afti_follow_body: the same without its frame. */
enum aft_err afti_follow_body(struct aft_client *c, struct aft_bytes body, bool *whole,
                              struct aft_error *e);

/* snapshot_container.c: every record of an Avro container file; AFT_E_MALFORMED. afti_is_container: it begins as one. */
bool afti_is_container(struct aft_bytes file);
enum aft_err afti_container_take(struct aft_client *c, struct aft_bytes file, const char *path,
                                 struct aft_error *e);

/* snapshot_file.c. load: AFT_E_IO (*missing = true: there is no such file), AFT_E_MALFORMED. save: atomic, durable. */
enum aft_err afti_client_snapshot_load(struct aft_client *c, const char *path, bool *missing,
                                       struct aft_error *e);
enum aft_err afti_client_snapshot_save(const struct aft_snapshot_set *set, const char *path,
                                       struct aft_error *e);

/* file.c. read: the whole of it; *missing: there is none (AFT_E_IO). replace: atomic, durable. */
enum aft_err afti_file_read(const char *path, struct aft_buffer *out, bool *missing,
                            struct aft_error *e);
enum aft_err afti_file_replace(const char *path, struct aft_bytes b, struct aft_error *e);

/* outside.c: the time by the client's clock, the time to wait by, and errors in the public codes. */
int64_t afti_client_now(const struct aft_client *c);
int64_t afti_monotonic_ms(void);
enum aft_client_code afti_client_public(enum aft_err err, const struct aft_error *e,
                                        struct aft_client_error *why);

#endif
