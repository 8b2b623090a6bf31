/* history_forget.c - whom and what the fold forgets, so that its memory is that of the window and not of all time. One thread.
 *
 *   users whose events have all left the window   their events go; their records in the topic go by its retention
 *   of these, who needs nothing more              they go themselves
 *   names that no event has any more              likewise
 *
 * I1  A user who goes is one whose every record below `read` was folded, so a record that comes is new, and who was not erased within the
 *     window: his place, taken again, begins at `read` (H3). */
#include "consumer/history_inner.h"

#include <stdlib.h>

static void
number(struct aft_dict *d, struct aft_bytes text, uint32_t as)
{
    uint64_t key = aft_hash64(text, 0);
    while (aft_dict_find(d, key) != AFT_NOWHERE)
        key++;
    uint32_t at = aft_dict_add(d, key);
    AFT_ASSERT(at == as);
}

/* I1 */
static bool
needed(const struct afti_fold *f, const struct user *u, int64_t today)
{
    bool erased = u->erased_ms != INT64_MIN && u->erased_ms / DAY_MS + f->s.days >= today;
    return u->n > 0 || u->dirty || erased || u->to[0] > f->read[0] || u->to[1] > f->read[1];
}

static void
forget_users(struct afti_fold *f, int64_t today)
{
    uint32_t n = 0;
    aft_dict_deinit(&f->users_index);
    f->dirty_n = 0;
    for (uint32_t i = 0; i < f->users_n; i++) {
        struct user u = f->users[i];
        if (!needed(f, &u, today)) {
            free(u.id);
            free(u.v);
            continue;
        }
        number(&f->users_index, (struct aft_bytes){u.id, u.id_n}, n);
        if (u.dirty)
            f->dirty[f->dirty_n++] = n;
        f->users[n++] = u;
    }
    f->users_n = n;
}

/* new_of[i]: the number of the name i from now on, or NO_NAME. */
static void
forget_names(struct afti_fold *f, uint32_t *new_of)
{
    uint32_t n = 0;
    aft_dict_deinit(&f->names_index);
    for (uint32_t i = 0; i < f->names_n; i++) {
        struct name x = f->names[i];
        if (new_of[i] == NO_NAME) {
            free(x.p);
            continue;
        }
        number(&f->names_index, (struct aft_bytes){x.p, x.n}, n);
        new_of[i] = n;
        f->names[n++] = x;
    }
    f->names_n = n;
}

static void
sweep_names(struct afti_fold *f)
{
    uint32_t *new_of = malloc((f->names_n + 1) * sizeof *new_of);
    AFT_ASSERT(new_of != NULL);
    memset(new_of, 0xff, f->names_n * sizeof *new_of);
    for (uint32_t i = 0; i < f->users_n; i++)
        for (uint32_t k = 0; k < f->users[i].n; k++)
            if (f->users[i].v[k].name != NO_NAME)
                new_of[f->users[i].v[k].name] = 0;
    forget_names(f, new_of);
    for (uint32_t i = 0; i < f->users_n; i++)
        for (uint32_t k = 0; k < f->users[i].n; k++)
            if (f->users[i].v[k].name != NO_NAME)
                f->users[i].v[k].name = new_of[f->users[i].v[k].name];
    free(new_of);
}

void
afti_fold_expire(struct afti_fold *f, int64_t log_ms, const int64_t read[2])
{
    int64_t today = log_ms / DAY_MS;
    if (today <= f->expired_day)
        return;
    f->expired_day = today;
    for (uint32_t i = 0; i < f->users_n; i++) {
        struct user *u = &f->users[i];
        if (u->n > 0 && !u->dirty && u->newest + (int64_t)f->s.days < today)
            afti_fold_clear(f, u);
    }
    memcpy(f->read, read, sizeof f->read);
    forget_users(f, today);
    sweep_names(f);
}
