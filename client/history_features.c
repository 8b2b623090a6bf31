/* history_features.c - a user's entries -> figures of the two windows: for whoever asks (caps), and as features of a decision, which are
 * logged as they were used. Any thread.
 *
 *   context    user.shown.7d  user.shown.30d  user.clicks.7d  user.clicks.30d  user.tasks.30d       always
 *   candidate  arm.shown.7d   arm.shown.30d   arm.clicks.7d   arm.clicks.30d   arm.task.done        where they are not 0
 *
 * A window of n days is the day of the decision (UTC) and the n - 1 before it. The numbers in the names are the windows'. */
#include <math.h>
#include <stdio.h>

#include "client/client_inner.h"

enum { DAY_MS = 86400000, TABLE_MAX = 4 * AFTI_HISTORY_ENTRIES_MAX };
_Static_assert((AFTI_HISTORY_ENTRIES_MAX & (AFTI_HISTORY_ENTRIES_MAX - 1)) == 0, "a power of two");

uint16_t
afti_history_day(int64_t time_ms)
{
    int64_t day = time_ms / DAY_MS;
    return day < 0 ? 0 : day > UINT16_MAX ? UINT16_MAX : (uint16_t)day;
}

static uint64_t
arm_id(struct aft_bytes arm)
{
    return arm.p ? aft_hash64(arm, 0)
                 : 0; /* 0: an arm that is not known: it counts for the user alone */
}

uint64_t
afti_history_name(enum aft_history_what what, struct aft_bytes name)
{
    return what == AFT_HISTORY_DONE ? aft_hash64(name, 1) : arm_id(name);
}

/* ---- into the table */
void
afti_history_shown(struct aft_client *c, const struct aft_client_decision *d)
{
    struct afti_history_event v[AFT_SLATE_MAX];
    if (!c->history)
        return;
    uint64_t event = aft_history_id(aft_text(d->view.decision_id));
    for (uint32_t i = 0; i < d->drawn.n; i++)
        v[i] = (struct afti_history_event){
            .event = event,
            .id = arm_id(d->candidates[d->drawn.slots[i].candidate].arm_id),
            .day = afti_history_day(d->time_ms),
            .what = AFT_HISTORY_SHOWN};
    afti_history_log(c->history, d->user, v, d->drawn.n);
}

void
afti_history_outcome(struct aft_client *c, const struct aft_outcome *x)
{
    bool click = aft_same(x->kind, aft_text(c->options.history_click)),
         task = aft_same(x->kind, aft_text(c->options.history_task)) && x->subject.p;
    if (!c->history || !(click || task || x->retracts.p))
        return;
    struct afti_history_event v = {.event =
                                       aft_history_id(x->retracts.p ? x->retracts : x->outcome_id),
                                   .day = afti_history_day(x->timestamp_ms),
                                   .what = AFT_HISTORY_RETRACTED};
    if (!x->retracts.p) {
        v.what = click ? AFT_HISTORY_CLICKED : AFT_HISTORY_DONE;
        v.id = afti_history_name((enum aft_history_what)v.what, click ? x->arm_id : x->subject);
    }
    afti_history_log(c->history, x->user_id, &v, 1);
}

/* ---- out of it */
struct windows {
    uint32_t today, short_days, long_days;
};

static void
count(struct aft_client_history *h, const struct afti_history_entry *x, const struct windows *w)
{
    if (x->day > w->today || x->day + w->long_days <= w->today)
        return;
    bool lately = x->day + w->short_days > w->today;
    h->shown_short += lately ? x->shown : 0;
    h->clicks_short += lately ? x->clicks : 0;
    h->tasks_short += lately && x->done;
    h->shown_long += x->shown;
    h->clicks_long += x->clicks;
    h->tasks_long += x->done > 0;
}

static struct windows
windows_of(const struct aft_client *c, int64_t time_ms)
{
    return (struct windows){afti_history_day(time_ms), c->options.history_short_days,
                            c->options.history_long_days};
}

enum aft_client_code
aft_client_history(struct aft_client *c, const char *user_id, const char *arm_id_or_null,
                   const char *subject, int64_t time_ms, struct aft_client_history *history,
                   struct aft_client_error *why)
{
    struct aft_error e;
    struct afti_history_entry v[AFTI_HISTORY_ENTRIES_MAX];
    struct aft_client_history x = AFT_CLIENT_HISTORY;
    if (!c->history)
        return afti_client_public(
            AFT_FAIL(&e, AFT_E_USAGE, "no history is kept; set options.history_bytes"), &e, why);
    if (!user_id)
        return afti_client_public(AFT_FAIL(&e, AFT_E_USAGE, "no user given"), &e, why);
    uint32_t n = afti_history_copy(c->history, aft_text(user_id), v);
    struct windows w = windows_of(c, time_ms ? time_ms : afti_client_now(c));
    uint64_t arm = arm_id(aft_text(arm_id_or_null)),
             task = subject ? aft_hash64(aft_text(subject), 1) : 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!arm_id_or_null || (v[i].id == arm && !v[i].done))
            count(&x, &v[i], &w);
        x.task_done |= subject && v[i].done && v[i].id == task && v[i].day <= w.today;
    }
    x.known = n > 0;
    size_t size = history->size < sizeof x ? history->size : sizeof x;
    x.size = size;
    memcpy(history, &x, size);
    return AFT_CLIENT_OK;
}

/* ---- as features */
struct figures { /* of what this user met: an open table by id, in the decision's arena */
    struct figure {
        uint64_t id;
        bool used, done;
        struct aft_client_history h;
    } * v;
    uint32_t size; /* a power of two, half full at most */
    struct aft_client_history all;
};

static struct figure *
figure_at(const struct figures *f, uint64_t id)
{
    uint32_t at = (uint32_t)(id >> 32) & (f->size - 1);
    while (f->v[at].used && f->v[at].id != id)
        at = (at + 1) & (f->size - 1);
    return &f->v[at];
}

static enum aft_err
figures_of(struct aft_client *c, struct aft_client_decision *d, struct figures *f,
           struct aft_error *e)
{
    struct afti_history_entry v[AFTI_HISTORY_ENTRIES_MAX];
    uint32_t n = afti_history_copy(c->history, d->user, v);
    struct windows w = windows_of(c, d->time_ms);
    *f = (struct figures){.size = 4};
    while (f->size < 2 * n)
        f->size *= 2;
    AFT_ASSERT(f->size <= TABLE_MAX);
    f->v = aft_arena_take(&d->arena, sizeof *f->v * f->size);
    if (!f->v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    memset(f->v, 0, sizeof *f->v * f->size);
    for (uint32_t i = 0; i < n; i++) {
        struct figure *x = figure_at(f, v[i].id);
        x->used = true;
        x->id = v[i].id;
        x->done |= v[i].done && v[i].day <= w.today;
        count(&x->h, &v[i], &w);
        count(&f->all, &v[i], &w);
    }
    return AFT_OK;
}

static uint32_t
numbers_of(const struct aft_client_history *h, bool zeros, char (*names)[AFTI_HISTORY_NAME],
           struct aft_client_feature *out)
{
    const uint32_t v[] = {h->shown_short, h->shown_long, h->clicks_short, h->clicks_long};
    uint32_t n = 0;
    for (int i = 0; i < 4; i++)
        if (zeros || v[i])
            out[n++] = (struct aft_client_feature){names[i], AFT_CLIENT_NUMBER, v[i], NULL};
    return n;
}

static enum aft_err
extend_context(struct aft_client *c, struct aft_client_decision *d, const struct figures *f,
               struct aft_client_request *r, struct aft_error *e)
{
    struct aft_client_feature *v =
        aft_arena_take(&d->arena, sizeof *v * (r->context_n + AFTI_HISTORY_USER));
    if (!v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    if (r->context_n)
        memcpy(v, r->context, sizeof *v * r->context_n);
    uint32_t n = r->context_n + numbers_of(&f->all, true, c->history_names, v + r->context_n);
    v[n++] = (struct aft_client_feature){c->history_names[4], AFT_CLIENT_NUMBER, f->all.tasks_long,
                                         NULL};
    r->context = v;
    r->context_n = n;
    return AFT_OK;
}

/* An arm's and its subject's figures, those that are not 0, into out; how many. */
static uint32_t
own_of(struct aft_client *c, const struct figures *f, struct aft_bytes arm,
       struct aft_bytes subject, struct aft_client_feature *out)
{
    const struct figure *x = figure_at(f, arm_id(arm));
    uint32_t n = x->used ? numbers_of(&x->h, false, c->history_names + AFTI_HISTORY_USER, out) : 0;
    if (subject.p && figure_at(f, aft_hash64(subject, 1))->done)
        out[n++] = (struct aft_client_feature){c->history_names[AFTI_HISTORY_NAMES - 1],
                                               AFT_CLIENT_FLAG, 1, NULL};
    return n;
}

static enum aft_err
extend_own(struct aft_client *c, struct aft_client_decision *d, const struct figures *f,
           struct aft_client_request *r, struct aft_error *e)
{
    const struct aft_client_catalogue *k = r->catalogue;
    uint32_t candidates_n = k ? k->n : r->candidates_n;
    uint64_t room = r->own_n + (uint64_t)candidates_n * AFTI_HISTORY_ARM;
    struct aft_client_own *v = aft_arena_take(&d->arena, sizeof *v * (room ? room : 1));
    if (!v)
        return AFT_FAIL(e, AFT_E_LIMIT, "the request is too big");
    if (r->own_n)
        memcpy(v, r->own, sizeof *v * r->own_n);
    uint32_t n = r->own_n;
    for (uint32_t i = 0; i < candidates_n; i++) {
        struct aft_client_feature own[AFTI_HISTORY_ARM];
        struct aft_bytes arm = k ? k->candidates[i].arm_id : aft_text(r->candidates[i].arm_id),
                         subject = k ? k->subjects[i] : aft_text(r->candidates[i].subject);
        uint32_t more = own_of(c, f, arm, subject, own);
        for (uint32_t j = 0; j < more; j++)
            v[n++] = (struct aft_client_own){i, own[j]};
    }
    r->own = v;
    r->own_n = n;
    return AFT_OK;
}

enum aft_err
afti_history_extend(struct aft_client *c, struct aft_client_decision *d,
                    struct aft_client_request *r, struct aft_error *e)
{
    struct figures f;
    if (!c->history || !c->options.history_features)
        return AFT_OK;
    if ((!r->catalogue && (!r->candidates || r->candidates_n > AFT_CANDIDATES_MAX)) ||
        r->context_n > AFT_FEATURES_MAX)
        return AFT_OK; /* refused where requests are checked */
    AFT_TRY(figures_of(c, d, &f, e));
    AFT_TRY(extend_context(c, d, &f, r, e));
    return extend_own(c, d, &f, r, e);
}

/* ---- open */
enum aft_err
afti_history_start(struct aft_client *c, struct aft_error *e)
{
    static const char *const figures[] = {"shown", "clicks"}, *const of[] = {"user", "arm"};
    const struct aft_client_options *o = &c->options;
    if (o->history_bytes == 0 && o->history_topic)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "options.history_topic needs a table: set history_bytes, 1 MB or more");
    if (o->history_bytes == 0)
        return AFT_OK;
    if (o->history_bytes < AFTI_HISTORY_BYTES_MIN)
        return AFT_FAIL(e, AFT_E_CONFIG, "options.history_bytes is %llu; give 0 or at least %d",
                        (unsigned long long)o->history_bytes, AFTI_HISTORY_BYTES_MIN);
    if (o->history_short_days < 1 || o->history_short_days >= o->history_long_days ||
        o->history_long_days > 366)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "options.history_short_days must be 1 or more and less than "
                        "history_long_days, and that at most 366");
    for (int i = 0; i < 8; i++) {
        uint32_t days = i % 2 ? o->history_long_days : o->history_short_days;
        snprintf(c->history_names[i < 4 ? i : i + 1], AFTI_HISTORY_NAME, "%s.%s.%ud", of[i / 4],
                 figures[i / 2 % 2], days);
    }
    snprintf(c->history_names[4], AFTI_HISTORY_NAME, "user.tasks.%ud", o->history_long_days);
    snprintf(c->history_names[AFTI_HISTORY_NAMES - 1], AFTI_HISTORY_NAME, "arm.task.done");
    c->history = afti_history_new(o->history_bytes, o->history_long_days);
    if (!c->history)
        return AFT_FAIL(e, AFT_E_NOMEM, "no memory for %llu bytes of history",
                        (unsigned long long)o->history_bytes);
    return o->history_file ? afti_history_load(c->history, o->history_file, e) : AFT_OK;
}
