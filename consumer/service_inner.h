/* service_inner.h - what the service*.c files share: `run`.
 *
 *   service.c          start, wait, stop, free
 *   service_worker.c   one thread: the group over impressions and outcomes, a task a partition
 *   service_learner.c  one thread: the group over the rounds topic; who is given its one partition learns
 *
 * Each thread has its own log handle. What they share is `stop` (atomic), the board (its own lock), and how a thread ended (lock).
 */
#ifndef AFT_CONSUMER_SERVICE_INNER_H
#define AFT_CONSUMER_SERVICE_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "consumer/consumer.h"

#define AFTI_IDLE_MS 20       /* how long a thread waits when nothing is to do */
#define AFTI_EAGER_MS 1       /* the worker, while records came in the last second: credit is waited for */
#define AFTI_STATUS_MS 2000   /* how often a status goes to the board */
#define AFTI_RETRY_MS 2000    /* before something that failed is tried again */
#define AFTI_TROUBLE_MS 10000 /* the same trouble is said again after so long */
/* A newer owner and no rebalance for so long: it was one that woke late (stopped before its EPOCH, gone from the group since), and the group
 * still means us: we take it back. So often in a row: somebody outside our group works on it. */
#define AFTI_FENCED_MS 10000
#define AFTI_FENCED_TIMES 5u

struct aft_service {
    const struct aft_config *config;
    struct aft_clock clock;
    enum aft_role role;
    char owner[128];
    atomic_bool stop;
    struct aft_board *board;
    struct aft_page *page;
    int32_t partitions;
    pthread_t worker, learner;
    bool has_worker, has_learner;
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

void *afti_worker_main(void *service);
void *afti_learner_main(void *service);

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
