/* outbox.c - appends and their acknowledgements, counted. One thread: that of the log's handle.
 *
 * Invariant I3 of task_inner.h: acknowledgements of blocks come in the order of seq.
 */
#include "consumer/outbox.h"

#include <stdlib.h>

#define AGAIN_POLL_MS 10
#define AGAIN_TRIES 3000 /* half a minute of a full queue */

struct afti_slot {
    struct afti_outbox *box;
    enum afti_sent what;
    struct afti_end end;
    size_t bytes;
    struct afti_slot *next; /* free list */
};

struct afti_outbox *
afti_outbox_new(void)
{
    struct afti_outbox *box = calloc(1, sizeof *box);
    AFT_ASSERT(box != NULL);
    box->epoch_offset = box->marker_offset = -1;
    return box;
}

static void
outbox_free(struct afti_outbox *box)
{
    while (box->free) {
        struct afti_slot *s = box->free;
        box->free = s->next;
        free(s);
    }
    free(box);
}

void
afti_outbox_close(struct afti_outbox *box)
{
    box->closed = true;
    if (box->outstanding == 0)
        outbox_free(box);
}

enum aft_err
afti_outbox_failed(const struct afti_outbox *box, struct aft_error *e)
{
    if (box->failed.code == AFT_OK)
        return AFT_OK;
    *e = box->failed;
    return e->code;
}

static struct afti_slot *
slot_take(struct afti_outbox *box)
{
    struct afti_slot *s = box->free;
    if (s)
        box->free = s->next;
    else
        s = malloc(sizeof *s);
    AFT_ASSERT(s != NULL);
    box->outstanding++;
    return s;
}

static void
slot_done(struct afti_slot *s)
{
    struct afti_outbox *box = s->box;
    s->next = box->free;
    box->free = s;
    AFT_ASSERT(box->outstanding > 0);
    if (--box->outstanding == 0 && box->closed)
        outbox_free(box);
}

static void
acked(void *ctx, int64_t offset, const struct aft_error *err)
{
    struct afti_slot *s = ctx;
    struct afti_outbox *box = s->box;
    AFT_ASSERT(box->bytes >= s->bytes);
    box->bytes -= s->bytes;
    if (err) {
        if (box->failed.code == AFT_OK)
            box->failed = *err;
    } else if (s->what == AFTI_SENT_EPOCH) {
        box->epoch_offset = offset;
    } else if (s->what == AFTI_SENT_MARKER) {
        box->marker_offset = offset;
    } else if (s->what == AFTI_SENT_DEAD) {
        box->dead_acked++;
    } else if (s->what == AFTI_SENT_BLOCK && box->failed.code == AFT_OK) {
        AFT_INVARIANT(I3, s->end.seq > box->acked.seq && offset >= box->acked_offset);
        box->acked = s->end;
        box->acked_offset = offset + 1;
    }
    slot_done(s);
}

enum aft_err
afti_send(struct aft_log *log, struct afti_outbox *box, struct aft_append *a, enum afti_sent what,
          struct afti_end end, struct aft_error *e)
{
    size_t bytes = a->key.n + a->value.n;
    AFT_TRY(afti_outbox_failed(box, e)); /* nothing may stand behind what is missing */
    struct afti_slot *s = slot_take(box);
    *s = (struct afti_slot){box, what, end, bytes, NULL};
    a->acked = acked;
    a->ctx = s;
    enum aft_err err = AFT_OK;
    box->bytes += bytes;
    for (int i = 0; i < AGAIN_TRIES; i++) {
        err = log->ops->append(log, a, e);
        if (err != AFT_E_AGAIN)
            break;
        log->ops->poll(log, AGAIN_POLL_MS);
        if (box->failed.code != AFT_OK)
            break;
    }
    if (err == AFT_OK) {
        box->dead_sent += what == AFTI_SENT_DEAD;
        return AFT_OK;
    }
    box->bytes -= bytes;
    slot_done(s);
    AFT_TRY(afti_outbox_failed(box, e));
    if (err == AFT_E_AGAIN)
        return AFT_FAIL(e, AFT_E_BROKER,
                        "%s: the queue stayed full for half a minute; is the broker there?",
                        a->topic);
    return err;
}
