/* gather.c - filling an index: ids of touches are gathered by the part of their table, and put in there many at a time.
 *
 * A part is one of 64 stretches of neighbouring lines. Put one after the other into 200 MB, hashes cost a walk through the page table and
 * a line from memory each, and only a few can be on their way at once. Gathered, they find the part's pages at hand, and its lines are
 * asked for well ahead.
 * Invariant: I1 what goes to one part is put in the order in which it came, so that of touches of one id the one that
 * lives is put last.
 */
#include <stdlib.h>

#include "state/index_inner.h"

enum { PARTS = 64, EACH = 256, AHEAD = 16 };

struct gathered {
    uint64_t low;
    uint32_t high, number;
};
struct part {
    uint32_t n;
    struct gathered put[EACH];
};
struct aft_gather {
    bool twice; /* two live touches had one id */
    struct part part[PARTS];
};

void
aft_index_gather(struct aft_index *x)
{
    AFT_ASSERT(!x->gather);
    x->gather = calloc(1, sizeof *x->gather);
    AFT_ASSERT(x->gather != NULL);
}

static void
put(struct aft_index *x, const struct gathered *g)
{
    uint64_t n = aft_widen(g->number, x->tail), other;
    struct aft_ids_probe ended;
    x->gather->twice |=
        aft_index_find_end(x, (struct aft_hash128){g->low, g->high}, &other, &ended);
    if (n >= x->gone && !x->gather->twice)
        aft_ids_put_at(&x->ids, g->low, n, x->gone, x->tail, &ended);
}

static void
put_part(struct aft_index *x, struct part *p)
{
    for (uint32_t i = 0; i < AHEAD && i < p->n; i++)
        AFT_IDS_EXPECT(&x->ids, p->put[i].low);
    for (uint32_t i = 0; i < p->n; i++) {
        if (i + AHEAD < p->n)
            AFT_IDS_EXPECT(&x->ids, p->put[i + AHEAD].low);
        put(x, &p->put[i]);
    }
    p->n = 0;
}

void
afti_gather(struct aft_index *x, struct aft_hash128 id, uint64_t n)
{
    /* neighbours in the table: one shard, and the next bits of the place in there (ids.h) */
    struct part *p = &x->gather->part[id.low >> AFT_IDS_SHIFT << 3 | (id.low >> 28 & 7)];
    p->put[p->n++] = (struct gathered){id.low, (uint32_t)id.high, (uint32_t)n};
    if (p->n == EACH)
        put_part(x, p);
}

bool
aft_index_gathered(struct aft_index *x, bool more)
{
    AFT_ASSERT(x->gather);
    for (uint32_t i = 0; i < PARTS; i++)
        put_part(x, &x->gather->part[i]);
    bool once = !x->gather->twice;
    if (!more) {
        free(x->gather);
        x->gather = NULL;
    }
    return once;
}
