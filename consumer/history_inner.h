/* history_inner.h - the fold's memory, shared by history_fold.c and history_forget.c alone. */
#ifndef AFT_CONSUMER_HISTORY_INNER_H
#define AFT_CONSUMER_HISTORY_INNER_H

#include "consumer/history.h"

enum { DAY_MS = 86400000 };
#define NO_NAME UINT32_MAX

struct event {
    uint64_t id;
    uint32_t name; /* of fold.names, or NO_NAME */
    uint16_t day;
    uint8_t what;
};
struct user {
    uint8_t *id; /* owned; the user stays for a while when his events are gone: history_forget.c */
    uint32_t id_n, n, cap;
    struct event *v;
    int64_t to[2], erased_ms; /* erased_ms: log time; INT64_MIN: never */
    uint16_t newest;
    bool dirty;
};
struct name {
    uint8_t *p; /* owned */
    uint32_t n;
};
struct afti_fold {
    struct afti_fold_settings s;
    struct user *users;
    uint32_t users_n, users_cap;
    struct name *names;
    uint32_t names_n, names_cap;
    struct aft_dict users_index, names_index; /* by hash -> number */
    uint32_t *dirty;
    uint32_t dirty_n, dirty_cap;
    uint64_t live, events;
    int64_t expired_day, read[2]; /* read: how far the logs were, when users were forgotten last */
};

/* Nothing is known of this user any more. */
void afti_fold_clear(struct afti_fold *f, struct user *u);

#endif
