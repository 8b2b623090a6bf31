/* world.h - the simulator: production's own task (consumer/task*.c, exactly as it is) over a log, a store and a clock made of faults.
 *
 *   world.c         a scenario from a seed: a random case, its configuration, the schedule of what happens next, the last owners
 *   inputs.c        what the producers write: the case's records, and such as nobody can read
 *   faulty_log.c    the broker, and a handle on it for each process: late, lost, repeated, refused, not answered
 *   faulty_store.c  what a machine's disk holds: versions, one for each atomic step
 *   judge.c         the reader's view of the examples against one joiner over the whole logs; conservation; dead letters
 *   campaign.c      many scenarios in a process of their own, so that an assertion that fails names its seed too
 *   decoders.c      for speed: decoders are kept from task to task
 *   mutants.c       production made wrong, for test_mutants alone
 *
 * Time is a number; one thread; nothing but the seed enters. A process dies between any two of its effects: after its fuse has burnt
 * down nothing that it still asks for happens, and when its step returns it is gone.
 *
 * What may happen to a record that was appended: it flies (in order, a topic of a handle), it lands (has its offset), it is
 * acknowledged. When its process dies, the first of those that fly may still land, whenever; the rest are lost.
 */
#ifndef AFT_TESTS_SIM_WORLD_H
#define AFT_TESTS_SIM_WORLD_H

#include <string.h>

#include "consumer/consumer.h"
#include "tests/join_cases.h"

enum sim_topic { SIM_IMPRESSIONS, SIM_OUTCOMES, SIM_CLOCK, SIM_EXAMPLES, SIM_DEAD, SIM_TOPICS };
enum { SIM_MACHINES = 3, SIM_LATE_MAX = 256 };

/* What is made wrong on purpose. Those before SIM_MUTANTS_OF_CODE change ports or the judge's reader; the others are mutants.c's. */
enum sim_mutant {
    SIM_SOUND,
    SIM_COMMIT_BEFORE_ACK, /* blocks count as written before they are */
    SIM_DEAD_BEFORE_ACK,   /* dead letters do */
    SIM_COMMIT_UNFENCED,   /* a commit does not look for newer epochs */
    SIM_READER_EPOCH,      /* the reader of examples takes stale blocks */
    SIM_READER_DEDUPE,     /* ... takes what it has already */
    SIM_MUTANTS_OF_CODE,
    SIM_LATE_AT_ARRIVAL = SIM_MUTANTS_OF_CODE, /* lateness by what arrived on the other log */
    SIM_NO_READBACK,                           /* a tick is used before it is read back */
    SIM_CLOCK_EPOCH,                           /* an owner counts ticks of stale owners */
    SIM_OWNER_EPOCH,                           /* an owner takes stale blocks for published */
    SIM_MUTANTS
};

#define SIM_STATS(X)   \
    X(scenarios)       \
    X(owners)          \
    X(kills)           \
    X(mid_step)        \
    X(drains)          \
    X(fenced)          \
    X(let_go)          \
    X(partitions_lost) \
    X(retried)         \
    X(commits)         \
    X(torn_commits)    \
    X(old_states)      \
    X(no_states)       \
    X(ticks)           \
    X(stale_ticks)     \
    X(examples)        \
    X(stale_blocks)    \
    X(stale_wrong)     \
    X(repeated)        \
    X(landed_late)     \
    X(lost)            \
    X(acks_lost)       \
    X(broken)          \
    X(dead)            \
    X(dead_repeated)
struct sim_stats {
#define X(name) uint64_t name;
    SIM_STATS(X)
#undef X
};

struct sim_verdict {
    bool wrong;
    char words[600];
};

/* A verdict's scenario is run again with trace to be understood. judging: told true before the judge's own joiner runs, false after
 * it (for mutants of code); may be NULL. */
struct sim_options {
    enum sim_mutant mutant;
    void (*judging)(bool on);
    bool trace; /* every effect as a line on stderr */
};

/* ---- records on their way */
struct sim_record {
    int64_t timestamp_ms;
    struct aft_bytes key, value;
    const struct aft_header *headers;
    uint32_t headers_n;
    struct aft_bytes body; /* of an input: canonical; absent: an erasure */
    bool unreadable;       /* of an input: no decoder can take it */
    bool rejected,
        dead; /* of an input: the judge's joiner refuses it; it was found among the dead letters */
};
struct sim_flight {
    struct sim_flight *next;
    struct sim_record r;
    void (*acked)(void *ctx, int64_t offset, const struct aft_error *err);
    void *ctx;
    int64_t offset;
};
struct sim_queue {
    struct sim_flight *head, *tail;
};
struct sim_late { /* what flies on after its process died */
    enum sim_topic topic;
    struct sim_queue queue;
};
struct sim_log {
    struct sim_record *v;
    size_t n, cap;
};

/* ---- a process's handle; a machine; its disk */
struct sim_machine;
struct sim_handle {
    struct aft_log log;
    struct sim_world *w;
    struct sim_machine *m;
    struct sim_queue flying[SIM_TOPICS], landed[SIM_TOPICS], early[SIM_TOPICS];
    bool stuck[SIM_TOPICS]; /* no acknowledgement comes any more */
    bool works;             /* its task reads the inputs: it owns the partition, or did */
    bool broken;            /* its producer cannot go on: nothing is appended any more */
    bool follows_clock;     /* a reader of the clock topic has begun to read */
};
struct sim_version { /* of a store: never changed once made */
    struct aft_put *v;
    size_t n;
};
struct sim_disk {
    struct aft_store base;
    struct sim_machine *m;
    const struct sim_version *now;
};
struct sim_machine {
    struct sim_world *w;
    struct sim_handle *handle; /* NULL: no process */
    struct aft_task *task;
    struct sim_disk disk;
    bool deaf;     /* reads nothing of the clock topic */
    bool dead;     /* the fuse has burnt down */
    uint32_t fuse; /* effects until then; 0: it does not burn */
    int64_t skew_ms;
};

/* How rough it is: chances in a thousand, drawn for each scenario. */
struct sim_weather {
    uint32_t land, ack, silent, timeout, again, stuck, twice, broken, burn, kill, lose, start,
        drain, deaf, hear, sluggish, tear, meanwhile;
    uint32_t batch_max, crowd, machines, wander;
    int slow; /* the topic that takes its time */
    int64_t jump_ms[4];
};

struct sim_world {
    struct aft_random r;
    struct sim_options o;
    struct sim_weather weather;
    bool calm; /* the last owners: no faults */
    struct aft_arena arena;
    struct join_case c;
    struct aft_config *config;
    int64_t now_ms;
    struct sim_log topic[SIM_TOPICS];
    size_t produced[2]; /* records of the case */
    struct sim_machine machine[SIM_MACHINES];
    struct sim_late late[SIM_LATE_MAX];
    size_t late_n;
    const struct sim_version **versions; /* every one that ever was on a disk */
    size_t versions_n, versions_cap;
    struct sim_stats *stats;
    struct sim_verdict *verdict;
};

/* sim_run: one scenario. Only the first thing that is wrong is told. */
void sim_run(uint64_t seed, const struct sim_options *o, struct sim_stats *stats,
             struct sim_verdict *verdict);

/* sim_campaign: `rounds` scenarios from seed on, in a process of their own, until one is wrong. *seed: of that one. A process that
 * dies is wrong too. */
struct sim_report {
    uint64_t seed;
    struct sim_stats stats;
    struct sim_verdict verdict;
};
void sim_campaign(uint64_t seed, uint64_t rounds, const struct sim_options *o,
                  struct sim_report *out);

/* ---- shared between the files above */
static inline bool
sim_chance(struct sim_world *w, uint32_t in_a_thousand)
{
    return !w->calm && aft_random_below(&w->r, 1000) < in_a_thousand;
}
void *sim_take(struct sim_world *w, size_t n);
struct aft_bytes sim_copy(struct sim_world *w, struct aft_bytes b);
void sim_wrong(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(const struct sim_world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *sim_topic_name(const struct sim_world *w, enum sim_topic t);

int sim_number(const struct sim_machine *m);

/* inputs.c */
void sim_produce(struct sim_world *w, enum aft_log_kind log, uint32_t n);
/* world.c: between any two effects of a process: others go on. */
void sim_meanwhile(struct sim_world *w);
/* sim_effect: one more effect of this machine's process. False: it is dead, nothing happens. */
bool sim_effect(struct sim_machine *m);

/* faulty_log.c */
struct sim_handle *sim_handle_open(struct sim_world *w, struct sim_machine *m);
/* sim_handle_die: the process is gone (its task was closed before). */
void sim_handle_die(struct sim_handle *h);
int64_t sim_log_push(struct sim_world *w, enum sim_topic t, const struct sim_record *r);
void sim_land_some(struct sim_world *w);
void sim_land_late(struct sim_world *w, size_t i);

/* faulty_store.c */
void sim_disk_init(struct sim_disk *d, struct sim_machine *m);
void sim_disk_put(struct sim_disk *d, const struct sim_version *v);

/* judge.c: last: the state that the last owner came to. */
void sim_judge(struct sim_world *w, const struct aft_task_status *last);

#endif
