/* inputs.c - what the producers write: the case's records in their order of arrival, framed; between them such as nobody can read.
 *
 * In: struct join_case. Out: records of the two input topics, with the canonical body beside the value for the judge.
 */
#include "tests/sim/world.h"

static struct aft_bytes
framed(struct sim_world *w, enum aft_log_kind log, struct aft_bytes body)
{
    struct aft_buffer b = {0};
    aft_frame_put_single(&b, log == AFT_IMPRESSIONS ? AFT_RECORD_IMPRESSION : AFT_RECORD_OUTCOME);
    aft_put_raw(&b, body);
    struct aft_bytes v = sim_copy(w, aft_buffer_bytes(&b));
    aft_buffer_deinit(&b);
    return v;
}

/* Bytes of no frame; a null value that erases nobody, or that is no outcome. */
static void
produce_unreadable(struct sim_world *w, enum aft_log_kind log, int64_t now_ms)
{
    struct sim_record r = {.timestamp_ms = now_ms, .key = aft_text("user-0-of-all")};
    switch (aft_random_below(&w->r, 3)) {
    case 0:
        r.value = AFT_LITERAL("\xC3\x01 no");
        break;
    case 1:
        r.value = AFT_LITERAL("neither frame");
        break;
    default:
        if (log == AFT_IMPRESSIONS)
            r.key = AFT_ABSENT;
        break;
    }
    r.unreadable = true;
    sim_log_push(w, log == AFT_IMPRESSIONS ? SIM_IMPRESSIONS : SIM_OUTCOMES, &r);
}

void
sim_produce(struct sim_world *w, enum aft_log_kind log, uint32_t n)
{
    for (; n > 0 && w->produced[log] < w->c.n[log]; n--) {
        const struct case_record *v = &w->c.log[log][w->produced[log]++];
        struct sim_record r = {.timestamp_ms = v->arrival, .key = aft_text(v->user)};
        if (!v->erase) {
            struct aft_bytes body = {v->body, v->body_n};
            r.body = body; /* lives as long as the case */
            r.value = framed(w, log, body);
        }
        if (aft_random_below(&w->r, 25) == 0)
            produce_unreadable(w, log, v->arrival);
        sim_log_push(w, log == AFT_IMPRESSIONS ? SIM_IMPRESSIONS : SIM_OUTCOMES, &r);
    }
}
