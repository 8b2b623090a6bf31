/* index_outcomes.c - outcomes seen, for duplicates and retractions, and those that wait for their impression.
 *
 * Invariants: I1 both rings are in order of e, so the oldest is forgotten first; I2 seen_ids holds the ring of seen;
 * I3 waiting_ids has one entry a decision with a live waiting outcome: the newest such outcome ever.
 */
#include "state/index.h"
#include "state/index_inner.h"

uint64_t
aft_index_see(struct aft_index *x, const struct aft_seen *s)
{
    if (x->seen_tail - x->seen_head == x->seen_cap)
        x->seen =
            afti_ring_widen(x->seen, sizeof *x->seen, x->seen_head, x->seen_tail, &x->seen_cap);
    uint64_t n = x->seen_tail++;
    AFT_INVARIANT(I1, n == x->seen_head || aft_index_seen(x, n - 1)->e <= s->e);
    *aft_index_seen(x, n) = *s;
    aft_ids_put(&x->seen_ids, s->id.low, n, x->seen_head, n);
    return n;
}

bool
aft_index_seen_before(const struct aft_index *x, struct aft_hash128 id, uint64_t *n)
{
    uint32_t low;
    for (struct aft_ids_probe p = aft_ids_probe(&x->seen_ids, id.low); aft_ids_next(&p, &low);) {
        *n = aft_widen(low, x->seen_tail);
        if (*n >= x->seen_head && *n < x->seen_tail && aft_same_id(aft_index_seen(x, *n)->id, id))
            return true;
    }
    return false;
}

void
aft_index_forget(struct aft_index *x)
{
    AFT_ASSERT(x->seen_head < x->seen_tail);
    AFT_INVARIANT(I2, !aft_index_seen(x, x->seen_head)->waiting);
    x->seen_head++;
}

bool
aft_index_awaits(const struct aft_index *x, struct aft_hash128 decision, uint64_t *n)
{
    uint32_t low;
    if (x->waiting_ids.used == 0)
        return false;
    for (struct aft_probe p = aft_probe(&x->waiting_ids, decision.low); aft_probe_next(&p, &low);) {
        *n = aft_widen(low, x->waiting_tail);
        if (aft_same_id(aft_index_waiting(x, *n)->decision, decision))
            return true;
    }
    return false;
}

uint64_t
aft_index_wait(struct aft_index *x, const struct aft_waiting *w)
{
    if (x->waiting_tail - x->waiting_head == x->waiting_cap)
        x->waiting = afti_ring_widen(x->waiting, sizeof *x->waiting, x->waiting_head,
                                     x->waiting_tail, &x->waiting_cap);
    uint64_t n = x->waiting_tail++, newest;
    struct aft_waiting *to = aft_index_waiting(x, n);
    *to = *w;
    to->before = 0;
    to->live = true;
    if (aft_index_awaits(x, w->decision, &newest)) {
        to->before = (uint32_t)(n - newest);
        aft_table_move(&x->waiting_ids, w->decision.low, (uint32_t)newest, (uint32_t)n);
    } else {
        aft_table_put(&x->waiting_ids, w->decision.low, (uint32_t)n);
    }
    return n;
}

/* anyone_waits: is there a live one in the chain that begins at n? */
static bool
anyone_waits(const struct aft_index *x, uint64_t n)
{
    for (;;) {
        const struct aft_waiting *w = aft_index_waiting(x, n);
        if (w->live)
            return true;
        if (w->before == 0 || n - w->before < x->waiting_head)
            return false;
        n -= w->before;
    }
}

void
aft_index_waited(struct aft_index *x, uint64_t n)
{
    struct aft_waiting *w = aft_index_waiting(x, n);
    uint64_t newest;
    AFT_ASSERT(w->live);
    w->live = false;
    aft_index_seen(x, w->outcome)->waiting = false;
    bool there = aft_index_awaits(x, w->decision, &newest);
    AFT_INVARIANT(I3, there);
    if (!anyone_waits(x, newest)) {
        there = aft_table_remove(&x->waiting_ids, w->decision.low, (uint32_t)newest);
        AFT_INVARIANT(I3, there);
    }
}

bool
aft_index_waiting_of(const struct aft_index *x, uint64_t outcome, uint64_t *n)
{
    uint64_t low = x->waiting_head, high = x->waiting_tail;
    while (low < high) { /* outcomes ascend in the ring */
        uint64_t middle = low + (high - low) / 2;
        if (aft_index_waiting(x, middle)->outcome < outcome)
            low = middle + 1;
        else
            high = middle;
    }
    *n = low;
    return low < x->waiting_tail && aft_index_waiting(x, low)->outcome == outcome &&
           aft_index_waiting(x, low)->live;
}
