/* model_cell.c - the model that decides now. Deciders: any thread. afti_cell_put: one thread at a time.
 *
 * take: read current, count oneself into its slot, look again. Still current: the slot cannot change until we give it back.
 *       Not current any more: count out, try again; the model was not touched.
 * put:  frees models of slots that are neither current nor held, writes into one such slot, makes it current.
 * Why it is right (all operations sequentially consistent): a decider that passed its second look had counted itself in while the
 * slot was current, so a writer that later finds it not current also finds it held. One that fails its second look never reads
 * the model, so its passing count may at worst make a writer choose another slot.
 * I1 a slot's model changes only while the slot is not current and nobody holds it. */
#include "client/client_inner.h"

void
afti_cell_init(struct afti_model_cell *c, struct aft_model *m)
{
    for (unsigned i = 0; i < AFTI_CELL_SLOTS; i++) {
        atomic_init(&c->slots[i].holders, 0);
        c->slots[i].model = NULL;
    }
    c->slots[0].model = m;
    atomic_init(&c->current, 0);
}

void
afti_cell_deinit(struct afti_model_cell *c)
{
    for (unsigned i = 0; i < AFTI_CELL_SLOTS; i++) {
        AFT_INVARIANT(I1, atomic_load(&c->slots[i].holders) == 0);
        if (c->slots[i].model)
            aft_model_free(c->slots[i].model);
        c->slots[i].model = NULL;
    }
}

unsigned
afti_cell_take(struct afti_model_cell *c)
{
    for (;;) {
        unsigned i = atomic_load(&c->current);
        atomic_fetch_add(&c->slots[i].holders, 1);
        if (atomic_load(&c->current) == i)
            return i;
        atomic_fetch_sub(&c->slots[i].holders, 1);
    }
}

void
afti_cell_give(struct afti_model_cell *c, unsigned slot)
{
    unsigned before = atomic_fetch_sub(&c->slots[slot].holders, 1);
    AFT_INVARIANT(I1, before > 0);
}

bool
afti_cell_put(struct afti_model_cell *c, struct aft_model *m)
{
    unsigned now = atomic_load(&c->current), place = AFTI_CELL_SLOTS;
    for (unsigned i = 0; i < AFTI_CELL_SLOTS; i++) {
        struct afti_model_slot *s = &c->slots[i];
        if (i == now || atomic_load(&s->holders) != 0)
            continue;
        if (s->model)
            aft_model_free(s->model);
        s->model = NULL;
        place = i;
    }
    if (place == AFTI_CELL_SLOTS)
        return false;
    c->slots[place].model = m;
    atomic_store(&c->current, place);
    return true;
}
