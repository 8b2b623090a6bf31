/* service_inner.h - what the service*.c files share: `run`.
 *
 *   service.c          start, wait, stop, free
 *   service_worker.c   one thread: the group over impressions and outcomes, a task a partition
 *   core_linux.c       the worker and all that it starts on one core, where configured
 *   service_standby.c  beside the owners: a task a partition that follows, watched until its owner is gone
 *   service_watch.c    what a status shows that somebody should see to, in the log
 *   service_history.c  one thread: a group over impressions and outcomes; the history of their users into a topic, where one is named
 *   service_learner.c  one thread: the group over the rounds topic; who is given its one partition learns
 *
 * Each thread has its own log handle. What they share is `stop` (atomic), the board (its own lock), and how a thread ended (lock).
 */
#ifndef AFT_CONSUMER_SERVICE_INNER_H
#define AFT_CONSUMER_SERVICE_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "consumer/consumer.h"

#define AFTI_IDLE_MS 20 /* how long a thread waits when nothing is to do */
#define AFTI_EAGER_MS \
    1 /* the worker, while records came in the last second: credit is waited for */
#define AFTI_STATUS_MS 2000   /* how often a status goes to the board */
#define AFTI_RETRY_MS 2000    /* before something that failed is tried again */
#define AFTI_WATCH_MS 60000   /* how often it is said what somebody should see to */
#define AFTI_TROUBLE_MS 10000 /* the same trouble is said again after so long */
/* A newer owner and no rebalance for so long: it was one that woke late (stopped before its EPOCH, gone from the group since), and the group
 * still means us: we take it back. So often in a row: somebody outside our group works on it. */
#define AFTI_FENCED_MS 10000
#define AFTI_FENCED_TIMES 5u

struct aft_service {
    bool standby;       /* run --standby */
    atomic_bool active; /* a standby that took over: the learner may join its group */
    const struct aft_config *config;
    struct aft_clock clock;
    enum aft_role role;
    char owner[128];
    atomic_bool stop;
    struct aft_board *board;
    struct aft_page *page;
    int32_t partitions;
    pthread_t worker, learner, history;
    bool has_worker, has_learner, has_history;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping; /* under lock, as are the next two */
    bool was_ready;
    struct aft_error failed;       /* the first thread's that failed */
    struct aft_registry *registry; /* NULL: none is configured */
    struct aft_schema_port schemas;
};

/* How long something goes wrong, and when it was last said. */
struct afti_trouble {
    int64_t said_ms;
    bool now;
};

/* When and how often somebody newer took what the group gave us. */
struct afti_fence {
    int64_t since_ms, last_ms; /* since_ms 0: it is ours */
    uint32_t times;
};
/* afti_fenced: it happened; false when it happened too often. afti_fence_waits: it is not yet time to take it back. */
bool afti_fenced(struct afti_fence *f, int64_t now_ms);
bool afti_fence_waits(struct afti_fence *f, int64_t now_ms);

/* ---- the worker, between service_worker.c and service_standby.c */
struct afti_held {
    int32_t partition;
    struct aft_store *store;
    struct aft_task *task; /* NULL: closed, to be opened again at reopen_ms */
    int64_t reopen_ms, status_ms;
    struct afti_fence fence;
    int64_t told[2];                  /* offsets the group knows */
    int64_t erased, erased_committed; /* users, at the last look; surely in the state on disk */
    uint64_t commits;                 /* at the last look */
    int64_t beat_ms;                  /* when we gave a sign last */
    int64_t marked[2];                /* offsets in it */
    uint64_t beats;
    bool owner, assigned;              /* assigned: by the group */
    bool waits;                        /* for the schema registry */
    int64_t watched_ms, watched_wrong; /* when something was last said of it; wrong keys then */
    /* of a standby */
    bool ours;  /* assigned, or taken over from an owner that was gone */
    bool noted; /* the last note is of the newest epoch */
    char note[AFT_NOTE_MAX];
    int64_t life_ms, epoch, taken_ms; /* life_ms: the last sign of the owner */
    uint64_t published_seq;
};

struct afti_worker {
    struct aft_service *s;
    struct aft_log *log;
    struct aft_group *group; /* NULL: a standby that watches */
    struct afti_held *held;
    size_t held_n, held_cap;
    bool assigned;
    struct afti_trouble trouble;
    char words[400];
    int64_t beat_interval_ms;
    struct aft_mark *marks; /* of a standby: both topics, one after the other */
    char marks_name[280];   /* under which owners say where they are */
    int64_t look_ms, join_ms;
};

/* afti_worker_join: from now on a member of the group. */
enum aft_err afti_worker_join(struct afti_worker *w, struct aft_error *e) AFT_MUST_CHECK;
struct afti_held *afti_held_add(struct afti_worker *w, int32_t partition);
void afti_held_close(struct afti_worker *w, struct afti_held *h, bool drain);

/* afti_watch: what is to be seen to is said, at most once a minute: keys in wrong partitions, a log that the other one waits for. */
void afti_watch(const struct aft_service *s, struct afti_held *h,
                const struct aft_task_status *status);

void afti_standby_begin(struct afti_worker *w);
/* afti_standby_watch: several times a second: what the owners told the group goes to the tasks; who is silent is taken over from. */
enum aft_err afti_standby_watch(struct afti_worker *w, struct aft_error *e) AFT_MUST_CHECK;
/* afti_standby_assigned: the group gave us partitions; what we took and were not given goes to whom it was given to. */
void afti_standby_assigned(struct afti_worker *w);
void afti_standby_let_go(struct afti_worker *w, struct afti_held *h, bool drain);
/* afti_standby_level: it follows, and is where its owner is. */
bool afti_standby_level(const struct afti_held *h);

void *afti_worker_main(void *service);
void *afti_learner_main(void *service);
void *afti_history_main(void *service);

/* afti_service_failed: a thread cannot go on; the whole service stops. */
void afti_service_failed(struct aft_service *s, const struct aft_error *e);
bool afti_service_stopping(struct aft_service *s);
/* afti_service_state: to the board, and remembered that we were ready once. */
void afti_service_state(struct aft_service *s, bool ready, const char *trouble);
/* afti_passing: trouble that may pass by itself: said now and then, waited over. */
bool afti_passing(enum aft_err err);
void afti_trouble(struct aft_service *s, struct afti_trouble *t, const char *where,
                  const struct aft_error *e);
int64_t afti_now(const struct aft_service *s);

#endif
