/* pool.c - decisions that wait to be used again, so that a warm client allocates nothing. Any thread, no lock.
 * A thread looks first where its own stack says, so that threads seldom meet at one place. */
#include <stdlib.h>

#include "client/client_inner.h"

enum { DECISION_BYTES_MAX = 16 << 20 };

static unsigned
first_place(void)
{
    char here;
    return (unsigned)(((uintptr_t)&here >> 20) * 0x9e3779b97f4a7c15u >> 32);
}

static struct aft_client_decision *
decision_new(void)
{
    struct aft_client_decision *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->scratch = aft_scratch_new();
    if (!d->scratch) {
        free(d);
        return NULL;
    }
    aft_arena_init(&d->arena, DECISION_BYTES_MAX);
    return d;
}

static void
decision_delete(struct aft_client_decision *d)
{
    aft_scratch_free(d->scratch);
    aft_scratch_free(d->shadow);
    aft_arena_deinit(&d->arena);
    aft_buffer_deinit(&d->record);
    free(d);
}

struct aft_client_decision *
afti_decisions_take(struct afti_pool *p)
{
    unsigned first = first_place();
    for (unsigned i = 0; i < AFTI_POOL_PLACES; i++) {
        _Atomic(struct aft_client_decision *) *place = &p->places[(first + i) % AFTI_POOL_PLACES];
        if (!atomic_load_explicit(place, memory_order_relaxed))
            continue;
        struct aft_client_decision *d = atomic_exchange(place, NULL);
        if (d)
            return d;
    }
    return decision_new();
}

void
afti_decisions_give(struct afti_pool *p, struct aft_client_decision *d)
{
    unsigned first = first_place();
    for (unsigned i = 0; i < AFTI_POOL_PLACES; i++) {
        struct aft_client_decision *none = NULL;
        if (atomic_compare_exchange_strong(&p->places[(first + i) % AFTI_POOL_PLACES], &none, d))
            return;
    }
    decision_delete(d);
}

void
afti_decisions_deinit(struct afti_pool *p)
{
    for (unsigned i = 0; i < AFTI_POOL_PLACES; i++) {
        struct aft_client_decision *d = atomic_exchange(&p->places[i], NULL);
        if (d)
            decision_delete(d);
    }
}
