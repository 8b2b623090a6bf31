/* history_fold.c - the fold of a partition's users: history.h. In: impressions, outcomes, erasures, published records. Out: records.
 * Invariants H1 to H4: history.h. Who is forgotten: history_forget.c. A user takes about 100 bytes and 16 for each event. One thread. */
#include "consumer/history_inner.h"

#include <stdlib.h>

/* ---- life */
struct afti_fold *
afti_fold_new(const struct afti_fold_settings *s)
{
    struct afti_fold *f = calloc(1, sizeof *f);
    AFT_ASSERT(f != NULL && s->days > 0);
    f->s = *s;
    return f;
}

void
afti_fold_free(struct afti_fold *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->users_n; i++) {
        free(f->users[i].id);
        free(f->users[i].v);
    }
    for (uint32_t i = 0; i < f->names_n; i++)
        free(f->names[i].p);
    free(f->users);
    free(f->names);
    free(f->dirty);
    aft_dict_deinit(&f->users_index);
    aft_dict_deinit(&f->names_index);
    free(f);
}

/* Room for one more behind n. */
static void *
grown(void *v, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? 2 * *cap : 4;
    v = realloc(v, *cap * size);
    AFT_ASSERT(v != NULL);
    return v;
}

static uint8_t *
copy_of(struct aft_bytes b)
{
    uint8_t *p = malloc(b.n ? b.n : 1);
    AFT_ASSERT(p != NULL);
    memcpy(p, b.p, b.n);
    return p;
}

/* Equal hashes of different ids lie side by side: the next key is tried. */
static uint32_t
user_at(struct afti_fold *f, struct aft_bytes id, bool make)
{
    for (uint64_t key = aft_hash64(id, 0);; key++) {
        uint32_t at = aft_dict_find(&f->users_index, key);
        if (at != AFT_NOWHERE) {
            if (aft_same((struct aft_bytes){f->users[at].id, f->users[at].id_n}, id))
                return at;
            continue;
        }
        if (!make)
            return AFT_NOWHERE;
        at = aft_dict_add(&f->users_index, key);
        AFT_ASSERT(at == f->users_n);
        f->users = grown(f->users, f->users_n, &f->users_cap, sizeof *f->users);
        f->users[f->users_n++] =
            (struct user){.id = copy_of(id),
                          .id_n = (uint32_t)id.n,
                          .to = {f->read[0], f->read[1]}, /* of whom is forgotten, too */
                          .erased_ms = INT64_MIN};
        return at;
    }
}

static uint32_t
name_at(struct afti_fold *f, struct aft_bytes text)
{
    if (!text.p)
        return NO_NAME;
    for (uint64_t key = aft_hash64(text, 0);; key++) {
        uint32_t at = aft_dict_find(&f->names_index, key);
        if (at != AFT_NOWHERE) {
            if (aft_same((struct aft_bytes){f->names[at].p, f->names[at].n}, text))
                return at;
            continue;
        }
        at = aft_dict_add(&f->names_index, key);
        AFT_ASSERT(at == f->names_n);
        f->names = grown(f->names, f->names_n, &f->names_cap, sizeof *f->names);
        f->names[f->names_n++] = (struct name){copy_of(text), (uint32_t)text.n};
        return at;
    }
}

static struct aft_bytes
text_of(const struct afti_fold *f, uint32_t name)
{
    return name == NO_NAME ? AFT_ABSENT : (struct aft_bytes){f->names[name].p, f->names[name].n};
}

static void
soil(struct afti_fold *f, uint32_t at)
{
    if (f->users[at].dirty)
        return;
    f->users[at].dirty = true;
    f->dirty = grown(f->dirty, f->dirty_n, &f->dirty_cap, sizeof *f->dirty);
    f->dirty[f->dirty_n++] = at;
}

void
afti_fold_clear(struct afti_fold *f, struct user *u)
{
    f->events -= u->n;
    f->live -= u->n > 0;
    free(u->v);
    u->v = NULL;
    u->n = u->cap = 0;
    u->newest = 0;
}

/* ---- events */
static uint16_t
day_of(int64_t ms)
{
    int64_t day = ms / DAY_MS;
    return day < 0 ? 0 : day > UINT16_MAX ? UINT16_MAX : (uint16_t)day;
}

/* What is given up first, in an order that is the events' own. */
static bool
older(const struct afti_fold *f, const struct event *a, const struct event *b)
{
    if (a->day != b->day)
        return a->day < b->day;
    if (a->id != b->id)
        return a->id < b->id;
    return aft_compare(text_of(f, a->name), text_of(f, b->name)) < 0;
}

static void
drop(struct afti_fold *f, struct user *u, uint32_t i)
{
    u->v[i] = u->v[--u->n];
    f->events--;
}

/* H2 */
static void
prune(struct afti_fold *f, struct user *u)
{
    for (uint32_t i = u->n; i-- > 0;)
        if (u->v[i].day + f->s.days <= u->newest)
            drop(f, u, i);
    while (u->n > AFT_HISTORY_EVENTS_MAX) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < u->n; i++)
            if (older(f, &u->v[i], &u->v[least]))
                least = i;
        drop(f, u, least);
    }
}

/* Whether x is there already, or takes another's place (H1). */
static bool
meets(struct user *u, const struct event *x)
{
    for (uint32_t i = 0; i < u->n; i++) {
        struct event *y = &u->v[i];
        bool shown = y->what == AFT_HISTORY_SHOWN;
        if (y->id != x->id || shown != (x->what == AFT_HISTORY_SHOWN) ||
            (shown && y->name != x->name))
            continue;
        if (x->what == AFT_HISTORY_RETRACTED || y->what == AFT_HISTORY_RETRACTED) {
            y->what = AFT_HISTORY_RETRACTED;
            y->name = NO_NAME;
            y->day = x->day > y->day ? x->day : y->day; /* of both: so in either order */
        }
        u->newest = y->day > u->newest ? y->day : u->newest;
        return true;
    }
    return false;
}

static void
put(struct afti_fold *f, struct user *u, const struct event *x)
{
    if (meets(u, x))
        return;
    u->v = grown(u->v, u->n, &u->cap, sizeof *u->v);
    f->live += u->n == 0;
    u->v[u->n++] = *x;
    f->events++;
    u->newest = x->day > u->newest ? x->day : u->newest;
}

/* The user whom a record of these times may change; AFT_NOWHERE: it may not (H3). */
static uint32_t
user_of(struct afti_fold *f, struct aft_bytes id, enum aft_log_kind log, int64_t event_ms,
        const struct afti_place *at)
{
    if (event_ms - at->log_ms > f->s.max_future_ms)
        return AFT_NOWHERE;
    uint32_t i = user_at(f, id, true);
    const struct user *u = &f->users[i];
    return at->offset < u->to[log] || at->log_ms <= u->erased_ms ? AFT_NOWHERE : i;
}

static void
changed(struct afti_fold *f, uint32_t at, enum aft_log_kind log, int64_t offset)
{
    prune(f, &f->users[at]);
    f->users[at].to[log] = offset + 1;
    soil(f, at);
}

void
afti_fold_impression(struct afti_fold *f, const struct aft_impression *x,
                     const struct afti_place *at)
{
    uint32_t i = user_of(f, x->user_id, AFT_IMPRESSIONS, x->timestamp_ms, at);
    if (i == AFT_NOWHERE)
        return;
    for (uint32_t k = 0; k < x->slate_n; k++) {
        struct event shown = {.id = aft_history_id(x->decision_id),
                              .name = name_at(f, x->slate[k].arm_id),
                              .day = day_of(x->timestamp_ms),
                              .what = AFT_HISTORY_SHOWN};
        put(f, &f->users[i], &shown);
    }
    changed(f, i, AFT_IMPRESSIONS, at->offset);
}

/* What an outcome is here; false: nothing. */
static bool
event_of(struct afti_fold *f, const struct aft_outcome *x, struct event *out)
{
    bool back = x->retracts.p != NULL, click = aft_same(x->kind, aft_text(f->s.click)),
         task = aft_same(x->kind, aft_text(f->s.task)) && x->subject.p;
    *out = (struct event){.id = aft_history_id(back ? x->retracts : x->outcome_id),
                          .name = NO_NAME,
                          .day = day_of(x->timestamp_ms),
                          .what = (uint8_t)(back    ? AFT_HISTORY_RETRACTED
                                            : click ? AFT_HISTORY_CLICKED
                                                    : AFT_HISTORY_DONE)};
    if (back || click || task)
        out->name = back ? NO_NAME : name_at(f, click ? x->arm_id : x->subject);
    return back || click || task;
}

void
afti_fold_outcome(struct afti_fold *f, const struct aft_outcome *x, const struct afti_place *at)
{
    struct event what;
    if (!event_of(f, x, &what))
        return;
    uint32_t i = user_of(f, x->user_id, AFT_OUTCOMES, x->timestamp_ms, at);
    if (i == AFT_NOWHERE)
        return;
    put(f, &f->users[i], &what);
    changed(f, i, AFT_OUTCOMES, at->offset);
}

void
afti_fold_erase(struct afti_fold *f, struct aft_bytes user, const struct afti_place *at)
{
    uint32_t i = user_at(f, user, true);
    struct user *u = &f->users[i];
    if (at->offset < u->to[AFT_IMPRESSIONS])
        return;
    afti_fold_clear(f, u);
    u->erased_ms = at->log_ms;
    u->to[AFT_IMPRESSIONS] = at->offset + 1;
    soil(f, i);
}

/* ---- what is published */
static void
unite(struct afti_fold *f, struct user *u, const struct aft_history *x)
{
    for (uint32_t i = 0; i < x->entries_n; i++)
        for (uint32_t k = 0; k < x->entries[i].ids_n; k++) {
            struct event v = {.id = x->entries[i].ids[k],
                              .name = name_at(f, x->entries[i].name),
                              .day = x->entries[i].day,
                              .what = (uint8_t)x->entries[i].what};
            put(f, u, &v);
        }
    prune(f, u); /* a shorter window may be configured now */
    for (int log = 0; log < 2; log++)
        u->to[log] = x->to[log] > u->to[log] ? x->to[log] : u->to[log];
}

/* A later record that is older is one of an owner that slept; two that know each more than the other are put together. */
void
afti_fold_load(struct afti_fold *f, struct aft_bytes user, const struct aft_history *x)
{
    uint32_t at = user_at(f, user, true); /* may move the users */
    struct user *u = &f->users[at];
    bool less =
        x->to[0] < u->to[0] || x->to[1]<u->to[1], more = x->to[0]> u->to[0] || x->to[1] > u->to[1];
    if (less)
        soil(f, at);
    else
        afti_fold_clear(f, u);
    if (more || !less)
        unite(f, u, x);
}

void
afti_fold_foreign(struct afti_fold *f, struct aft_bytes user, const struct aft_history *x)
{
    uint32_t at = user_at(f, user, false);
    if (at == AFT_NOWHERE)
        return;
    const struct user *u = &f->users[at];
    if (u->to[0] > x->to[0] || u->to[1] > x->to[1])
        soil(f, at);
}

uint32_t
afti_fold_dirty(const struct afti_fold *f)
{
    return f->dirty_n;
}

/* ---- records out */
struct sorting {
    struct aft_bytes name;
    const struct event *v;
};

static int
by_place(const void *a, const void *b)
{
    const struct sorting *x = a, *y = b;
    if (x->v->what != y->v->what)
        return x->v->what < y->v->what ? -1 : 1;
    int c = !x->name.p || !y->name.p ? (x->name.p != NULL) - (y->name.p != NULL)
                                     : aft_compare(x->name, y->name);
    if (c != 0)
        return c;
    if (x->v->day != y->v->day)
        return x->v->day < y->v->day ? -1 : 1;
    return x->v->id < y->v->id ? -1 : x->v->id > y->v->id;
}

static void
encode(const struct afti_fold *f, const struct user *u, struct aft_buffer *b)
{
    struct sorting sorted[AFT_HISTORY_EVENTS_MAX];
    struct aft_history_entry entries[AFT_HISTORY_EVENTS_MAX];
    uint64_t ids[AFT_HISTORY_EVENTS_MAX];
    struct aft_history x = {.user_id = {u->id, u->id_n}, .to = {u->to[0], u->to[1]}};
    AFT_INVARIANT(H2, u->n <= AFT_HISTORY_EVENTS_MAX);
    for (uint32_t i = 0; i < u->n; i++)
        sorted[i] = (struct sorting){text_of(f, u->v[i].name), &u->v[i]};
    qsort(sorted, u->n, sizeof *sorted, by_place);
    for (uint32_t i = 0; i < u->n; i++) {
        const struct event *v = sorted[i].v;
        ids[i] = v->id;
        if (i == 0 || v->what != sorted[i - 1].v->what || v->name != sorted[i - 1].v->name ||
            v->day != sorted[i - 1].v->day)
            entries[x.entries_n++] =
                (struct aft_history_entry){.name = sorted[i].name,
                                           .ids = &ids[i],
                                           .what = (enum aft_history_what)v->what,
                                           .day = v->day};
        entries[x.entries_n - 1].ids_n++;
    }
    x.entries = entries;
    aft_encode_history(b, &x);
}

bool
afti_fold_next(struct afti_fold *f, struct aft_buffer *b, struct afti_folded *out)
{
    if (f->dirty_n == 0)
        return false;
    struct user *u = &f->users[f->dirty[--f->dirty_n]];
    u->dirty = false;
    *out = (struct afti_folded){{u->id, u->id_n}, {u->to[0], u->to[1]}, u->n == 0};
    if (!out->empty)
        encode(f, u, b);
    return true;
}

struct afti_fold_stats
afti_fold_stats(const struct afti_fold *f)
{
    return (struct afti_fold_stats){f->live, f->events, f->users_n, f->names_n};
}
