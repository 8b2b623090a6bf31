/* ahead_linux.c - a scan and its reader's thread. In: entries of a store. Out: blocks of what the work made of them, in order.
 *
 * Blocks stand in a ring, made in turn by the reader and read in turn by the taker; the counts of both are under the mutex, a block's
 * bytes are the reader's until it is counted as made, then the taker's until it is counted as freed.
 * Invariants: I1 freed <= made <= freed + AFT_AHEAD_BLOCKS; I2 behind `done` nothing is made; I3 a block is made of whole entries.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "state/state.h"

struct aft_ahead {
    struct aft_store *store;
    struct aft_store_scan *scan;
    struct aft_ahead_work work;
    struct aft_buffer ring[AFT_AHEAD_BLOCKS];
    bool beside, in_hand; /* a thread reads; the taker has a block */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* under the mutex */
    uint64_t made, freed;
    bool done, closing;
    struct aft_error end; /* what it ended with, once it is done */
};

static struct aft_buffer *
block_at(struct aft_ahead *a, uint64_t n)
{
    return &a->ring[n % AFT_AHEAD_BLOCKS];
}

/* fill makes one block; true: it is the last. */
static bool
fill(struct aft_ahead *a, struct aft_buffer *out, struct aft_error *e)
{
    struct aft_put at;
    bool end = false;
    e->code = AFT_OK;
    aft_buffer_reset(out);
    while (out->n < AFT_AHEAD_BLOCK_BYTES && !end) {
        if (a->store->ops->scan_next(a->scan, &at, &end, e) != AFT_OK)
            return true;
        if (!end && a->work.read(a->work.ctx, &at, out, &end, e) != AFT_OK)
            return true;
    }
    return end;
}

/* room waits until there is a block to make; false: nobody wants it any more. */
static bool
room(struct aft_ahead *a, uint64_t *n)
{
    pthread_mutex_lock(&a->mutex);
    AFT_INVARIANT(I2, !a->done);
    while (a->made - a->freed == AFT_AHEAD_BLOCKS && !a->closing)
        pthread_cond_wait(&a->changed, &a->mutex);
    *n = a->made;
    bool wanted = !a->closing;
    pthread_mutex_unlock(&a->mutex);
    return wanted;
}

static void
tell(struct aft_ahead *a, bool made, bool done, const struct aft_error *end)
{
    pthread_mutex_lock(&a->mutex);
    a->made += made;
    AFT_INVARIANT(I1, a->made - a->freed <= AFT_AHEAD_BLOCKS);
    a->done = done;
    a->end = *end;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->mutex);
}

/* anywhere: who stays on one core (join.one.core) reads ahead on another: on any of those that the process's first thread may use. */
static void
anywhere(void)
{
    cpu_set_t all;
    if (sched_getaffinity(getpid(), sizeof all, &all) == 0)
        (void)sched_setaffinity(0, sizeof all, &all); /* else it is where it is */
}

static void *
read_beside(void *ahead)
{
    struct aft_ahead *a = ahead;
    struct aft_error end = {.code = AFT_OK};
    uint64_t n;
    anywhere();
    for (bool done = false; !done && room(a, &n);) {
        done = fill(a, block_at(a, n), &end);
        tell(a, block_at(a, n)->n != 0, done, &end);
    }
    return NULL;
}

enum aft_err
aft_ahead_open(struct aft_store *store, struct aft_bytes from, const struct aft_ahead_work *work,
               bool beside, struct aft_ahead **out, struct aft_error *e)
{
    struct aft_store_scan *scan;
    AFT_TRY(store->ops->scan_open(store, from, &scan, e));
    struct aft_ahead *a = calloc(1, sizeof *a);
    AFT_ASSERT(a != NULL);
    a->store = store;
    a->scan = scan;
    a->work = *work;
    bool made =
        pthread_mutex_init(&a->mutex, NULL) == 0 && pthread_cond_init(&a->changed, NULL) == 0;
    AFT_ASSERT(made);
    a->beside = beside && pthread_create(&a->thread, NULL, read_beside, a) == 0;
    *out = a;
    return AFT_OK;
}

/* make: the next block, by whoever asks for it: where no thread does. */
static void
make(struct aft_ahead *a)
{
    struct aft_buffer *b = block_at(a, a->made);
    a->done = fill(a, b, &a->end);
    a->made += b->n != 0;
}

enum aft_err
aft_ahead_next(struct aft_ahead *a, struct aft_bytes *block, bool *end, struct aft_error *e)
{
    pthread_mutex_lock(&a->mutex);
    a->freed += a->in_hand;
    a->in_hand = false;
    pthread_cond_signal(&a->changed);
    if (!a->beside && !a->done)
        make(a);
    while (a->made == a->freed && !a->done)
        pthread_cond_wait(&a->changed, &a->mutex);
    *end = a->made == a->freed;
    enum aft_err failed = *end ? a->end.code : AFT_OK;
    if (failed)
        *e = a->end;
    a->in_hand = !*end;
    *block = *end ? AFT_ABSENT : aft_buffer_bytes(block_at(a, a->freed));
    pthread_mutex_unlock(&a->mutex);
    return failed;
}

void
aft_ahead_close(struct aft_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->mutex);
    a->closing = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->mutex);
    if (a->beside)
        pthread_join(a->thread, NULL);
    a->store->ops->scan_close(a->scan);
    for (int i = 0; i < AFT_AHEAD_BLOCKS; i++)
        aft_buffer_deinit(&a->ring[i]);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->mutex);
    free(a);
}
