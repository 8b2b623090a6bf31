/* aftertouch.h - libaftertouch: what a recommendation engine links. This header is the manual.
 *
 *      aft_client_open            follow the model: a snapshot topic, a file with the last good one, both, or neither
 *      aft_client_catalogue_new   candidates that many decisions share: checked and resolved once (or give them each time)
 *      aft_client_decide          context + candidates  ->  a slate with true probabilities
 *      aft_client_decision_mask   the re-ranking dropped some: the slate closes up, its probabilities stay exact
 *      aft_client_log_impression  what was shown, as it was decided (they agree by construction)
 *      aft_client_log_outcome     what the user did; never dropped in silence
 *      aft_client_close
 *
 * Ten lines to a first decision:
 *
 *      struct aft_client_options o = AFT_CLIENT_OPTIONS;
 *      o.bootstrap_servers = "localhost:9092";
 *      struct aft_client *client;
 *      struct aft_client_error why;
 *      if (aft_client_open(&o, &client, &why)) return complain(why.message);
 *
 *      struct aft_client_request r = AFT_CLIENT_REQUEST;
 *      r.user_id = user, r.device = "web", r.k = 3;
 *      r.context = context, r.context_n = 7, r.candidates = messages, r.candidates_n = 20;
 *      struct aft_client_decision *d;
 *      if (aft_client_decide(client, &r, &d, &why)) return fall_back(why.message);
 *      const struct aft_client_slate *s = aft_client_decision_slate(d);
 *      for (uint32_t i = 0; i < s->n; i++) render(s->slots[i].arm_id);
 *      aft_client_log_impression(client, d, &why);
 *      aft_client_decision_free(client, d);
 *
 * Threads: any number may use one client at once; one decision belongs to one thread at a time. Deciding takes no lock (with a
 *   history: one of sixteen, while this user's entries are copied) and, once warm, allocates nothing; a new snapshot is put in place
 *   beside it and neither waits for the other. A decision keeps the model that made it until it is freed.
 * Process: no globals, no signal handlers, nothing printed. Fork before open, not after. One thread of the library's own
 *   follows the snapshots when there are bootstrap servers.
 * Strings are UTF-8, end in NUL, are copied where they are kept: at most 255 bytes for ids and feature names, 4096 for texts.
 * Structs that may grow carry their size: begin from the AFT_CLIENT_... initialisers.
 * Times are milliseconds since 1970, UTC.
 * Errors: a function returns AFT_CLIENT_OK or a code, and fills *why (may be NULL) with a sentence that says how to mend it.
 */
#ifndef AFTERTOUCH_H
#define AFTERTOUCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define AFT_CLIENT_API __attribute__((visibility("default")))
#else
#define AFT_CLIENT_API
#endif

/* ---- errors */
enum aft_client_code {
    AFT_CLIENT_OK = 0,
    AFT_CLIENT_WRONG = 1,  /* an argument: nothing was done */
    AFT_CLIENT_AGAIN = 2,  /* the queue stayed full, or no answer in time: try again */
    AFT_CLIENT_CONFIG = 3, /* an option, or a property that librdkafka refuses */
    AFT_CLIENT_BROKER = 4,
    AFT_CLIENT_SNAPSHOT = 5, /* a snapshot is broken, forged, or of another model */
    AFT_CLIENT_IO = 6,
    AFT_CLIENT_FAILED = 7
};
struct aft_client_error {
    enum aft_client_code code;
    char message[400];
};

/* ---- opening */
struct aft_client;
struct aft_client_decision;

struct aft_client_property { /* librdkafka's own names */
    const char *name, *value;
};

/* on_failure: a record that was taken could not be delivered after all: a broker refused it for good, or the client closed before it was
 * delivered (and there is no spill file for it). It is given back, framed as it was sent, so that it can be kept elsewhere. Called from
 * aft_client_poll, _flush, _log_* or _close, in the calling thread. A call back into the same client from it is not allowed.
 * Once with an empty topic and value: the spill file cannot be read any more, what it held is lost (info.undelivered says how much). */
struct aft_client_failure {
    const char *topic;
    const void *key, *value;
    size_t key_bytes, value_bytes;
    const char *reason;
    bool refused;    /* by the broker, for good; false: not delivered before the client closed */
    int64_t time_ms; /* the record's */
};

/* aft_client_mode: who decides what is shown. What is logged says so (design, propensity_kind, policy), so none can be taken for another.
 *
 *   mode         shown                                             logged as                                   learned from
 *   LIVE         the model's draw, or the baseline's               its probabilities; EXACT, or given draws    yes
 *   APPRENTICE   the first k eligible candidates, in the order     design "deterministic", propensity 1,       yes: what the engine
 *                given: what the engine would have shown           EXACT (a rule without chance has p = 1)     does teaches
 *   LOG_ONLY     the same; the engine may have drawn it itself     design "engine", the request's              only where they
 *                                                                  propensities, or 0 and UNKNOWN              are known
 * In the modes other than LIVE nobody is on the baseline, and no snapshot is claimed; snapshots are followed all the same, so that
 * info shows what going live would serve. */
enum aft_client_mode { AFT_CLIENT_LIVE, AFT_CLIENT_APPRENTICE, AFT_CLIENT_LOG_ONLY };

/* clang-format off */
struct aft_client_options {
    size_t size;
    const char *bootstrap_servers; /* NULL: no broker: nothing is followed, nothing can be logged */
    const char *snapshots_topic;   /* "aftertouch.snapshots"; NULL: follow none */
    const char *impressions_topic; /* "impressions" */
    const char *outcomes_topic;    /* "outcomes" */
    const char *model;             /* follow the snapshots of this model alone; NULL: the topic holds one */
    const struct aft_client_property *properties; /* for both ends; those that the promises rest on (acks, ...) are ours */
    uint32_t properties_n;
    const char *snapshot_file; /* the last good snapshot: loaded at open if it is there, replaced by each better one */
    const uint8_t *public_key; /* 32 bytes, Ed25519: take signed snapshots alone; NULL: any */
    int32_t wait_ms;           /* at open, wait at most so long for a first snapshot from the topic, or, where the file had one, for the
                                  topic's end; 0: do not */
    int32_t queue_ms;          /* how long log_* may block while the queue is full: 5000 */
    const char *policy;        /* the name logged for the model's decisions: "personalised" */
    const char *baseline;      /* and for those of the randomised baseline: "baseline" */
    double baseline_share;     /* of users, 0..1, decided uniformly at random: 0.1. A user stays on his side */
    const char *baseline_salt; /* another salt draws the sides anew: "aftertouch" */
    const uint64_t *seed;      /* of decision and outcome ids, for tests: the same seed makes the same ids again, and a record with an id
                                  that was there already counts as its repetition. NULL: the system's entropy */
    int64_t (*now_ms)(void *clock); /* NULL: the machine's clock */
    void *clock;
    void (*on_failure)(void *context, const struct aft_client_failure *what);
    void *on_failure_context;
    enum aft_client_mode mode; /* who decides: AFT_CLIENT_LIVE */
    const char *engine_policy; /* the name logged for the engine's own slates (the other modes): "engine" */
    /* Records that the queue stays too full for (queue_ms), or that come while no broker takes any (for queue_ms), go to this file, and
     * from it in order to the broker once it is back or at the next open. NULL: log_* says AFT_CLIENT_AGAIN, the caller keeps them.
     * One process and client each. A process's death loses nothing that log_* took since then, a machine's at most the last second;
     * some may be sent twice, which changes nothing (same ids). What waits in memory at close goes there too. */
    const char *spill_file;
    uint64_t spill_bytes;   /* how large it may become: 64 MiB. Then AFT_CLIENT_AGAIN */
    bool spill_impressions; /* impressions too; else outcomes alone */
    uint32_t impression_schema, outcome_schema; /* ids in a schema registry: values are framed as Confluent's do, 00 and the id
                                                   (`aftertouch registry push` prints them); 0: Avro single object, no registry */
    uint64_t history_bytes;      /* for the history of users (aft_client_history), taken at open; 0: none is kept; else 1 MB or more */
    uint32_t history_short_days; /* its windows: 7 */
    uint32_t history_long_days;  /* and 30; at most 366 */
    const char *history_click;   /* outcomes of this kind are clicks: "click" */
    const char *history_task;    /* and these say that the task of their subject is done: "key_task_completed" */
    bool history_features;       /* decisions get it as features: true */
    const char *history_file;    /* read at open, if it is there, and written at close; NULL: a restart forgets */
    /* Another model of the same topic (`model` is then needed) that decides nothing: each logged impression carries its digest and its
     * probability of every item shown, given those above (design.shadow), by which its worth can be estimated before it serves. In any
     * mode. aft_client_log_impression takes a scoring longer; deciding takes no longer. */
    const char *shadow_model;
    /* Of decisions, the share (0.001..1) whose impressions are logged, chosen by a hash of the decision id: 1; 0 is 1. The record carries it
     * (design.pass): who adds up must weigh by 1 / pass, as the learner does; rates under one share need no weight. What is passed over
     * cannot earn credit: its outcomes end as orphans, or as the credit of another impression of the same subject. */
    double impressions_share;
    /* Where engines are many processes: the topic in which the service keeps the history of users (its topics.history): what the others
     * logged then counts here too. Needs history_bytes for all users that matter. At open, wait_ms is also waited for its end. NULL: none. */
    const char *history_topic;
};
/* clang-format on */
#define AFT_CLIENT_OPTIONS                                                                        \
    {                                                                                             \
        sizeof(struct aft_client_options), 0, "aftertouch.snapshots", "impressions", "outcomes",  \
            0, 0, 0, 0, 0, 0, 5000, "personalised", "baseline", 0.1, "aftertouch", 0, 0, 0, 0, 0, \
            AFT_CLIENT_LIVE, "engine", 0, 64 << 20, false, 0, 0, 0, 7, 30, "click",               \
            "key_task_completed", true, 0, 0, 1, 0                                                \
    }

/* aft_client_open starts from the file, if there is one, then follows the topic, if there are servers. With no snapshot at all it
 * decides uniformly at random over the eligible, with true probabilities: an engine can go live before the learner.
 * A snapshot_file that is there but broken is refused (AFT_CLIENT_SNAPSHOT) only when there is no topic to mend it from.
 * Free with aft_client_close. */
AFT_CLIENT_API enum aft_client_code aft_client_open(const struct aft_client_options *options,
                                                    struct aft_client **client,
                                                    struct aft_client_error *why);

/* aft_client_close flushes for at most timeout_ms, frees everything, and gives back what it could not deliver through on_failure;
 * AFT_CLIENT_AGAIN then says how many. All decisions must have been freed. */
AFT_CLIENT_API enum aft_client_code aft_client_close(struct aft_client *client, int32_t timeout_ms,
                                                     struct aft_client_error *why);

/* ---- deciding */
enum aft_client_type { AFT_CLIENT_NUMBER, AFT_CLIENT_TEXT, AFT_CLIENT_FLAG };
struct aft_client_feature {
    const char *name; /* each name once */
    enum aft_client_type type;
    double number;    /* finite; a flag: 0 or 1 */
    const char *text; /* of AFT_CLIENT_TEXT */
};

struct aft_client_candidate {
    const char *arm_id;
    const char *subject; /* the task it is about, or NULL */
    const char *mask;    /* NULL: eligible; else why it is not (it is logged) */
    const struct aft_client_feature *features;
    uint32_t features_n;
};

enum aft_client_propensity {
    AFT_CLIENT_EXACT,             /* the probabilities are those of the draw */
    AFT_CLIENT_EXACT_GIVEN_DRAWS, /* of the draw, given Thompson's keyed posterior draws */
    AFT_CLIENT_ESTIMATED,
    AFT_CLIENT_UNKNOWN
};

/* ---- a catalogue: candidates that many decisions share. Making one copies and checks everything once; deciding then neither copies
 * nor reads their features but scores them from a table that is laid once a snapshot (a fifth of the time at 80 features each). What
 * differs from request to request stands in the request: masks, own features, how often each was shown lately. */
struct aft_client_catalogue;

/* aft_client_catalogue_new: 1..1000 candidates, each arm once, with their features; their `mask` must be NULL. It never changes and
 * any number of threads may decide with it; a change of anything is a new one: make it, point requests to it, free the old one.
 * It belongs to this client. AFT_CLIENT_WRONG as for aft_client_decide. */
AFT_CLIENT_API enum aft_client_code
aft_client_catalogue_new(struct aft_client *client, const struct aft_client_candidate *candidates,
                         uint32_t candidates_n, struct aft_client_catalogue **catalogue,
                         struct aft_client_error *why);
/* aft_client_catalogue_free: once no call of aft_client_decide names it any more; decisions that were made with it live on. NULL is
 * allowed. */
AFT_CLIENT_API void aft_client_catalogue_free(struct aft_client_catalogue *catalogue);

/* A feature of one candidate for this request alone (what this user has seen of it, a price of today). */
struct aft_client_own {
    uint32_t candidate; /* its index */
    struct aft_client_feature feature;
};

/* clang-format off */
struct aft_client_request {
    size_t size;
    const char *user_id;     /* as it will be logged and keyed: see aft_client_user_hash */
    const char *session_id;  /* or NULL */
    const char *decision_id; /* unique; NULL: made by the library */
    const char *key;         /* of the draw: the same key, epoch, model and candidates, the same slate; NULL: the decision id */
    const char *device;      /* becomes the context's feature "device"; or NULL */
    int64_t time_ms;         /* 0: now */
    bool deferred;           /* counts as shown only once a "rendered" outcome says so (below the fold) */
    uint32_t k;              /* slots, 1..8; fewer eligible: a shorter slate */
    const struct aft_client_feature *context;
    uint32_t context_n;
    const struct aft_client_candidate *candidates; /* 1..1000; or NULL, and a catalogue */
    uint32_t candidates_n;
    const struct aft_client_catalogue *catalogue;  /* or NULL, and candidates */
    /* These are of the candidates, in their order, whether they stand here or in the catalogue. */
    const char *const *masks;         /* NULL: all eligible; one each: NULL, or why it is not (logged) */
    const float *recent;              /* NULL, or how often each was shown to this user lately: for policy.repetition */
    const struct aft_client_own *own; /* in any order; logged behind the candidate's other features */
    uint32_t own_n;
    /* AFT_CLIENT_LOG_ONLY alone: the probabilities by which the engine itself drew the first k eligible, each given those above, and what
     * they are worth; NULL: not known */
    const double *propensities;
    enum aft_client_propensity propensities_kind;
    uint32_t epoch;          /* of the key: see aft_client_decision_mask; 0 where draws are not capped by their own exposures */
    const void *prescored;   /* NULL, or this user's value of the prescored topic: see below */
    size_t prescored_bytes;
};
/* clang-format on */
#define AFT_CLIENT_REQUEST                                                                        \
    {                                                                                             \
        sizeof(struct aft_client_request), 0, 0, 0, 0, 0, 0, false, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, AFT_CLIENT_EXACT, 0, 0, 0                                                          \
    }
/* request.prescored: weights that `aftertouch score` made ahead of time (docs/ENGINE.md), as they stand in the topic. The client masks
 * and draws from them, whatever model it follows; the slate, its snapshot and round, and what is logged are the record's.
 *   candidates   those of now, in any order; one that was not scored is masked ("not prescored"), one that was masked stays so
 *   context      the record's: leave context, device, own and recent empty. A candidate's features are the record's where it holds some
 *   key          NULL: the record's, "<user>/<valid_from>": one draw for the whole window; decision_id NULL: that key too, so that all
 *                renderings of it are one decision, and count once. Change `epoch` with the masks in between
 *   moment       outside valid_from .. valid_until: AFT_CLIENT_WRONG; so is another user's record. The baseline's users are drawn
 *                uniformly among the same candidates */

/* clang-format off */
struct aft_client_slot {
    const char *arm_id;
    uint32_t candidate; /* index into the request's candidates */
    double conditional; /* probability of this arm here, given what stands above: the logged propensity; 0: not known */
    double prefix;      /* of the slate from the top down to here */
    double marginal;    /* of this arm in this slot at all; valid when has_marginal */
    bool has_marginal;
};
/* clang-format on */

struct aft_client_slate {
    size_t size;
    const char *decision_id, *user_id;
    const char *policy;      /* the policy's name, or the baseline's */
    const char *snapshot_id; /* hex digest of the model that decided; NULL: none yet */
    int64_t round;           /* the learner's round behind that snapshot */
    int64_t time_ms;
    bool baseline;
    enum aft_client_propensity propensity;
    const char *design; /* "plackett_luce", "uniform", "diverse", "deterministic", "engine" */
    uint32_t n;
    const struct aft_client_slot *slots; /* the top first */
    const float *
        log_weights; /* one a candidate; minus infinity: not eligible; all 0 where no model decided */
    uint32_t candidates_n;
};

/* aft_client_decide: *decision is the caller's until aft_client_decision_free. AFT_CLIENT_WRONG: no eligible candidate, k out of
 * range, a feature that is not finite, an arm twice, too many or too long. */
AFT_CLIENT_API enum aft_client_code aft_client_decide(struct aft_client *client,
                                                      const struct aft_client_request *request,
                                                      struct aft_client_decision **decision,
                                                      struct aft_client_error *why);

/* aft_client_decision_slate: lives as long as the decision; a mask changes it in place. */
AFT_CLIENT_API const struct aft_client_slate *
aft_client_decision_slate(const struct aft_client_decision *decision);

/* aft_client_decision_mask drops candidates after the draw, before the impression is logged: the slate is drawn again with the same
 * key among the survivors. They keep the race that they ran (Gumbel ranks by key and candidate: Yellott 1977), so the rest of the
 * slate moves up and, but for the floor that is spread anew, stays in its order; the probabilities are exactly those of having
 * decided among the survivors, as if the mask had been there from the start.
 * That is exact when the rule does not depend on the draw: name every candidate that the rule would drop, shown or not (a rule asked
 * only about the items on the slate leaves the others in the denominators): plan rules, compliance, campaign dates, a cap on another
 * channel's exposures.
 * A cap that exposures from this same draw reached does depend on it. It only bites where a draw is used again: one key for many
 * decisions (request.key, "the user's draw of this week"), so that the slate stays the same for days. A message then is capped
 * because that draw kept showing it, and the survivors' races are no longer those of a fresh draw: given that it won, they are known
 * to have lost. So count request.epoch up whenever such a cap changes the mask: the key becomes "<key>#<epoch>" (from epoch 1 on; logged
 * so), the draw is a new one, and its probabilities are exact again. Where each decision has its own key (NULL: the decision id)
 * there is nothing to do: earlier exposures came from other draws, and a cap on them is a rule like any other.
 * AFT_CLIENT_APPRENTICE: the slate closes up in its order. AFT_CLIENT_LOG_ONLY: AFT_CLIENT_WRONG, mask before.
 * On an error (nobody left) the decision is as it was. */
AFT_CLIENT_API enum aft_client_code
aft_client_decision_mask(struct aft_client *client, struct aft_client_decision *decision,
                         const uint32_t *candidates, uint32_t candidates_n, const char *reason,
                         struct aft_client_error *why);

/* aft_client_decision_free gives it back; NULL is allowed. */
AFT_CLIENT_API void aft_client_decision_free(struct aft_client *client,
                                             struct aft_client_decision *decision);

/* ---- logging. A record is taken (queued for delivery with acks=all, idempotent) or an error says that it is not. Where a broker has lost what
 * it needs to know of the idempotent producer, which ends it for good, another one takes its place and what was not delivered: the same
 * records may then be sent twice, which changes nothing (same ids). */
/* aft_client_log_impression: the slate as it stands now; once a decision (a second call is AFT_CLIENT_WRONG). With impressions_share, OK
 * for one that is passed over, too. */
AFT_CLIENT_API enum aft_client_code aft_client_log_impression(struct aft_client *client,
                                                              struct aft_client_decision *decision,
                                                              struct aft_client_error *why);

struct aft_client_outcome {
    size_t size;
    const char *
        outcome_id; /* unique: a repeat changes nothing, so retry with the same; NULL: made by the library */
    const char *user_id;
    int64_t time_ms; /* 0: now */
    const char
        *kind;    /* "click", "key_task_completed", ...: what the service's configuration names */
    double value; /* 1.0 */
    const char *
        decision_id; /* the decision it belongs to; NULL where the service must find out whose credit it is */
    const char *arm_id, *subject, *session_id; /* or NULL */
    const char *retracts;                      /* the outcome id that this takes back, or NULL */
};
#define AFT_CLIENT_OUTCOME                                                \
    {                                                                     \
        sizeof(struct aft_client_outcome), 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 0 \
    }

/* aft_client_log_outcome blocks at most queue_ms while the queue is full; then it goes to the spill file where there is one (and the next
 * ones at once, behind it), else AFT_CLIENT_AGAIN, and it was not taken. */
AFT_CLIENT_API enum aft_client_code aft_client_log_outcome(struct aft_client *client,
                                                           const struct aft_client_outcome *outcome,
                                                           struct aft_client_error *why);

/* aft_client_poll serves delivery reports (call it now and then; the log_ functions do too). aft_client_flush waits until all that was
 * taken is delivered: AFT_CLIENT_AGAIN after timeout_ms. */
AFT_CLIENT_API void aft_client_poll(struct aft_client *client, int32_t timeout_ms);
AFT_CLIENT_API enum aft_client_code aft_client_flush(struct aft_client *client, int32_t timeout_ms,
                                                     struct aft_client_error *why);

/* ---- the history of users: what each was shown, clicked and did lately, as this client logged it, and others did. For caps, and as features.
 *
 * With options.history_bytes a table of users is kept, of that size, one way or another 150 bytes for a user with up to seven (arm, day)
 * pairs and 120 for every seven more; when it is full, who was not met for longest is forgotten. Counted when taken: an
 * impression's arms (a deferred one's too), clicks by their arm_id, tasks done by their subject; an outcome that is logged again (the
 * same id) is not counted again, and one that is taken back (retracts) counts no more, while this client still has its own events by
 * their ids (an eighth of the table: 40 bytes each, the newest). A window of 7 days is the UTC day of the decision and the six before it.
 * An entry is a day's: at most 512 are kept of a user, the oldest give way. It is a function of what was logged, in its order, and of the
 * times given; nothing is read from the clock.
 *
 * With options.history_features (and a table) each decision gets, and logs as they were used,
 *      in the context       user.shown.7d  user.shown.30d  user.clicks.7d  user.clicks.30d  user.tasks.30d
 *      of each candidate    arm.shown.7d   arm.shown.30d   arm.clicks.7d   arm.clicks.30d   arm.task.done (its subject's)
 * those of candidates only where they are not 0; the numbers in the names are those of the windows. "policy.repetition.feature =
 * arm.shown.7d" lets a policy tire of what a user has seen. A request that gives one of these names itself is AFT_CLIENT_WRONG.
 *
 * For caps: ask before deciding, and mask. Where one key serves many decisions, a cap that their own exposures reached wants a new
 * request.epoch: see aft_client_decision_mask.
 *
 * options.history_file keeps it over a restart: written by aft_client_close (AFT_CLIENT_IO where that fails), read by aft_client_open
 * (AFT_CLIENT_IO where it is damaged). It holds hashes of users and arms, no ids.
 *
 * Several processes: each knows what it logged itself; send a user to the same one, or set options.history_topic: a thread of the library's
 * own follows what the service publishes of every user (a second or so after it was logged). What a decision is made with then is what
 * that topic says of the user, and what this client logged itself and is not in it yet, nothing twice: events are known by the ids of
 * their decisions and outcomes. A retraction of what is known by the topic alone counts with the user's next record. */
struct aft_client_history {
    size_t size;
    uint32_t shown_short, shown_long; /* how often, in the short and in the long window */
    uint32_t clicks_short, clicks_long;
    uint32_t tasks_short,
        tasks_long; /* subjects that were done in it, by their last day; of the user, not of an arm */
    bool task_done; /* the given subject's, as far back as the table goes */
    bool known;     /* there is anything of this user at all */
};
#define AFT_CLIENT_HISTORY                                        \
    {                                                             \
        sizeof(struct aft_client_history), 0, 0, 0, 0, 0, 0, 0, 0 \
    }
/* aft_client_history: of one arm, or of all (arm_id NULL); subject may be NULL; time_ms 0: now. AFT_CLIENT_WRONG: no history is kept. Any
 * thread. */
AFT_CLIENT_API enum aft_client_code aft_client_history(struct aft_client *client,
                                                       const char *user_id, const char *arm_id,
                                                       const char *subject, int64_t time_ms,
                                                       struct aft_client_history *history,
                                                       struct aft_client_error *why);

/* ---- looking */
struct aft_client_info {
    size_t size;
    char snapshot_id[65]; /* of the model that decides now; empty: none yet */
    int64_t round;
    uint64_t snapshots_applied,
        snapshots_refused; /* refused: torn, forged, older; the one before stayed */
    uint64_t decisions, impressions, outcomes, undelivered, waiting;
    char last_refusal
        [400]; /* why the last refused snapshot (or save of the file) failed; empty: none */
    int64_t snapshot_event_ms;   /* the latest event that the model has learned from; 0: none yet */
    int64_t snapshot_applied_ms; /* since when it decides, by the client's clock */
    uint64_t snapshot_bytes;     /* of the last snapshot that was taken, full or delta */
    uint64_t snapshot_deltas;    /* of those applied, so many were deltas */
    uint64_t refused_malformed, refused_forged, refused_torn, refused_old, refused_orphan,
        refused_foreign;             /* docs/SNAPSHOTS.md says what each means */
    bool snapshot_pinned;            /* somebody pinned what is served */
    uint64_t spilled, spill_waiting; /* records that went to the spill file; that wait in it */
    uint64_t history_users, history_forgotten; /* in the table of histories; made to give way */
    uint64_t passed_over;                      /* impressions that impressions_share left out */
    uint64_t shadow_applied;                   /* snapshots of the shadow's model */
    uint64_t history_records, history_refused; /* of history_topic: taken; no histories */
    bool history_level; /* it was read to its end once: caps know what others logged */
};
#define AFT_CLIENT_INFO                                                                           \
    {                                                                                             \
        sizeof(struct aft_client_info), {0}, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, false, 0, 0, 0, 0, 0, 0, 0, 0, false                                            \
    }
AFT_CLIENT_API void aft_client_info(struct aft_client *client, struct aft_client_info *info);

/* aft_client_is_baseline: whether this user's decisions are the randomised baseline's. Sticky: a function of salt and user alone. */
AFT_CLIENT_API bool aft_client_is_baseline(const struct aft_client *client, const char *user_id);

/* aft_client_user_hash: 32 hex digits and a NUL; BLAKE2b-128 of a person's identifier under a secret key of 16..64 bytes, so that
 * no log holds the identifier. AFT_CLIENT_WRONG for another key length. */
AFT_CLIENT_API enum aft_client_code aft_client_user_hash(const void *key, size_t key_bytes,
                                                         const char *identifier, char out[33],
                                                         struct aft_client_error *why);

/* aft_client_version: "0.1.0". */
AFT_CLIENT_API const char *aft_client_version(void);

#ifdef __cplusplus
}
#endif
#endif
