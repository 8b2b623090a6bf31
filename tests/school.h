/* school.h - learners over a log in memory, for tests of learning and of what it publishes: tasks make examples of a small world, learners
 * come, are killed, overtake one another.
 */
#ifndef AFT_TESTS_SCHOOL_H
#define AFT_TESTS_SCHOOL_H

#include "tests/world.h"

#include "consumer/learning_inner.h"

enum { PARTITIONS = 2 };

struct student {
    struct aft_log *log;
    struct aft_learning *learning;
};

static inline void
student_start(struct world *w, struct student *s)
{
    struct aft_learning_options o = {.config = w->config,
                                     .log = s->log,
                                     .clock = world_clock(w),
                                     .partitions = PARTITIONS,
                                     .owner = "a test"};
    WORLD_OK(aft_learning_open(&o, &s->learning, &world_error));
}

static inline void
student_kill(struct student *s)
{
    aft_learning_close(s->learning);
    s->learning = NULL;
    s->log->ops->poll(s->log, 0);
}

/* A step; the one who was overtaken, or lost its broker, is let go. */
static inline void
student_step(struct student *s, int *fenced)
{
    bool busy;
    struct aft_error e;
    enum aft_err err = aft_learning_step(s->learning, 0, &busy, &e);
    if (err == AFT_E_NOT_OWNER || err == AFT_E_BROKER) {
        *fenced += err == AFT_E_NOT_OWNER;
        student_kill(s);
    } else if (err != AFT_OK) {
        fail_msg("step: %s (%s)", e.message, aft_err_name(err));
    }
}

/* ---- examples: from tasks of their own, one a partition */
struct school {
    struct world w;
    struct aft_store *stores[PARTITIONS];
    struct aft_task *tasks[PARTITIONS];
};

static inline void
school_open(struct school *x, uint64_t seed)
{
    world_open(&x->w, seed, PARTITIONS);
    world_set(&x->w, "learner.round.interval", "2s");
    world_set(&x->w, "snapshot.interval", "9s");
    world_set(&x->w, "snapshot.delta.from", "0");
    world_set(&x->w, "learner.model", "ridge");
    world_set(&x->w, "features.bits", "10");
    WORLD_OK(aft_config_check(x->w.config, &world_error));
    for (int p = 0; p < PARTITIONS; p++) {
        struct aft_task_options o = {.config = x->w.config,
                                     .log = x->w.log,
                                     .store = x->stores[p] = aft_store_mem_new(),
                                     .clock = world_clock(&x->w),
                                     .partition = p,
                                     .owner = "a test"};
        WORLD_OK(aft_task_open(&o, &x->tasks[p], &world_error));
    }
}

static inline void
school_close(struct school *x)
{
    for (int p = 0; p < PARTITIONS; p++) {
        aft_task_close(x->tasks[p]);
        x->w.log->ops->poll(x->w.log, 0);
        x->stores[p]->ops->close(x->stores[p]);
    }
    world_close(&x->w);
}

static inline void
school_step(struct school *x)
{
    bool busy;
    int p = (int)aft_random_below(&x->w.r, PARTITIONS);
    for (int i = 0; i < 4; i++)
        world_happen(&x->w, p);
    WORLD_OK(aft_task_step(x->tasks[p], 0, &busy, &world_error));
}

#endif
