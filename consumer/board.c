/* board.c - how everything stands: statuses copied in under a lock, a few times a second, so that no reader ever waits for work
 * nor work for a reader. Any thread. */
#include "consumer/board.h"

#include <stdio.h>
#include <stdlib.h>

struct aft_board *
aft_board_new(struct aft_clock clock)
{
    struct aft_board *b = calloc(1, sizeof *b);
    AFT_ASSERT(b != NULL);
    pthread_mutex_init(&b->lock, NULL);
    b->started_ms = clock.wall_ms(clock.ctx);
    return b;
}

void
aft_board_free(struct aft_board *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b->tasks);
    free(b->histories);
    free(b);
}

static size_t
place_of(const struct aft_board *b, int32_t partition)
{
    size_t i = 0;
    while (i < b->tasks_n && b->tasks[i].partition < partition)
        i++;
    return i;
}

void
aft_board_task(struct aft_board *b, const struct aft_task_status *s)
{
    pthread_mutex_lock(&b->lock);
    size_t i = place_of(b, s->partition);
    if (i == b->tasks_n || b->tasks[i].partition != s->partition) {
        if (b->tasks_n == b->tasks_cap) {
            b->tasks_cap = b->tasks_cap ? 2 * b->tasks_cap : 8;
            b->tasks = realloc(b->tasks, b->tasks_cap * sizeof *b->tasks);
            AFT_ASSERT(b->tasks != NULL);
        }
        memmove(b->tasks + i + 1, b->tasks + i, (b->tasks_n - i) * sizeof *b->tasks);
        b->tasks_n++;
    }
    b->tasks[i] = *s;
    pthread_mutex_unlock(&b->lock);
}

void
aft_board_drop(struct aft_board *b, int32_t partition)
{
    pthread_mutex_lock(&b->lock);
    size_t i = place_of(b, partition);
    if (i < b->tasks_n && b->tasks[i].partition == partition) {
        b->tasks_n--;
        memmove(b->tasks + i, b->tasks + i + 1, (b->tasks_n - i) * sizeof *b->tasks);
    }
    pthread_mutex_unlock(&b->lock);
}

void
aft_board_history(struct aft_board *b, const struct aft_historian_status *s)
{
    pthread_mutex_lock(&b->lock);
    size_t i = 0;
    while (i < b->histories_n && b->histories[i].partition != s->partition)
        i++;
    if (i == b->histories_n) {
        b->histories = realloc(b->histories, (i + 1) * sizeof *b->histories);
        AFT_ASSERT(b->histories != NULL);
        b->histories_n++;
    }
    b->histories[i] = *s;
    pthread_mutex_unlock(&b->lock);
}

void
aft_board_history_drop(struct aft_board *b, int32_t partition)
{
    pthread_mutex_lock(&b->lock);
    for (size_t i = b->histories_n; i-- > 0;)
        if (b->histories[i].partition == partition)
            b->histories[i] = b->histories[--b->histories_n];
    pthread_mutex_unlock(&b->lock);
}

void
aft_board_learning(struct aft_board *b, const struct aft_learning_status *s)
{
    pthread_mutex_lock(&b->lock);
    b->learns = true;
    b->learning = *s;
    pthread_mutex_unlock(&b->lock);
}

void
aft_board_state(struct aft_board *b, bool ready, const char *trouble)
{
    pthread_mutex_lock(&b->lock);
    b->ready = ready;
    snprintf(b->trouble, sizeof b->trouble, "%s", trouble);
    pthread_mutex_unlock(&b->lock);
}

bool
aft_board_ready(struct aft_board *b)
{
    pthread_mutex_lock(&b->lock);
    bool ready = b->ready;
    pthread_mutex_unlock(&b->lock);
    return ready;
}
