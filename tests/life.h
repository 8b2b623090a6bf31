/* life.h - a world that was lived through: tasks that are killed now and then, a learner, until all is settled. What replays are tested on. */
#ifndef AFT_TESTS_LIFE_H
#define AFT_TESTS_LIFE_H

#include "tests/world.h"

enum { PARTITIONS = 2 };

struct life {
    struct world w;
    struct aft_store *stores[PARTITIONS];
    struct aft_task *tasks[PARTITIONS];
    struct aft_learning *learning;
    struct aft_digest state[PARTITIONS], model;
};

static inline void
task_start(struct life *x, int p)
{
    struct aft_task_options o = {.config = x->w.config,
                                 .log = x->w.log,
                                 .store = x->stores[p],
                                 .clock = world_clock(&x->w),
                                 .partition = p,
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &x->tasks[p], &world_error));
}

static inline void
task_kill(struct life *x, int p)
{
    aft_task_close(x->tasks[p]);
    x->w.log->ops->poll(x->w.log, 0);
}

static inline void
life_open(struct life *x, uint64_t seed)
{
    world_open(&x->w, seed, PARTITIONS);
    world_set(&x->w, "learner.round.interval", "2s");
    world_set(&x->w, "snapshot.interval", "9s");
    world_set(&x->w, "learner.model", "ridge");
    world_set(&x->w, "features.bits", "10");
    WORLD_OK(aft_config_check(x->w.config, &world_error));
    for (int p = 0; p < PARTITIONS; p++) {
        x->stores[p] = aft_store_mem_new();
        task_start(x, p);
    }
    struct aft_learning_options o = {.config = x->w.config,
                                     .log = x->w.log,
                                     .clock = world_clock(&x->w),
                                     .partitions = PARTITIONS,
                                     .owner = "a test"};
    WORLD_OK(aft_learning_open(&o, &x->learning, &world_error));
}

static inline void
life_step(struct life *x)
{
    bool busy;
    for (int p = 0; p < PARTITIONS; p++)
        WORLD_OK(aft_task_step(x->tasks[p], 0, &busy, &world_error));
    WORLD_OK(aft_learning_step(x->learning, 0, &busy, &world_error));
}

static inline void
life_live(struct life *x, int steps, int quiet)
{
    for (int i = 0; i < steps + quiet; i++) {
        if (i < steps)
            world_happen(&x->w, (int32_t)aft_random_below(&x->w.r, PARTITIONS));
        else
            x->w.now_ms += 500;
        life_step(x);
        if (aft_random_below(&x->w.r, 150) == 0) {
            int p = (int)aft_random_below(&x->w.r, PARTITIONS);
            task_kill(x, p);
            task_start(x, p);
        }
    }
}

static inline void
life_end(struct life *x)
{
    struct aft_task_status s;
    struct aft_learning_status l;
    for (int p = 0; p < PARTITIONS; p++) {
        for (int i = 0; i < 20; i++)
            life_step(x);
        WORLD_OK(aft_task_drain(x->tasks[p], &world_error));
        aft_task_status(x->tasks[p], true, &s);
        x->state[p] = s.state;
        assert_true(s.next_seq > 100);
    }
    WORLD_OK(aft_learning_finish(x->learning, &world_error));
    aft_learning_status(x->learning, &l);
    x->model = l.digest;
}

static inline void
life_close(struct life *x)
{
    aft_learning_close(x->learning);
    for (int p = 0; p < PARTITIONS; p++) {
        task_kill(x, p);
        x->stores[p]->ops->close(x->stores[p]);
    }
    world_close(&x->w);
}

#endif
