/* eta.h - how long a long work still takes, from how far it has come: the rate since it really began (what opens before is not counted), told
 * only once it is one: after SETTLE_MS of work. Pure. */
#ifndef AFT_CMD_ETA_H
#define AFT_CMD_ETA_H

#include <stdbool.h>
#include <stdint.h>

#define CMD_ETA_SETTLE_MS 2000

struct cmd_eta {
    bool begun;
    int64_t begun_ms, begun_done; /* at the first look that saw anything done */
};

/* cmd_eta_look: at now_ms, `done` of `all` are done. *rate: a second; false: not known yet, nor is *left_s. */
static inline bool
cmd_eta_look(struct cmd_eta *t, int64_t now_ms, int64_t done, int64_t all, double *rate,
             double *left_s)
{
    if (!t->begun && done > 0)
        *t = (struct cmd_eta){true, now_ms, done};
    if (!t->begun || now_ms - t->begun_ms < CMD_ETA_SETTLE_MS || done <= t->begun_done)
        return false;
    *rate = (double)(done - t->begun_done) * 1000.0 / (double)(now_ms - t->begun_ms);
    *left_s = done < all ? (double)(all - done) / *rate : 0;
    return true;
}

#endif
