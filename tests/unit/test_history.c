/* test_history.c - the history of users in its topic: over a log in memory, whatever happens to its owners, what stands there in the end is
 * a plain recount of the inputs, and, where both go as far, the same bytes that one undisturbed owner writes.
 */
#include "tests/kit.h"

#include <string.h>

#include "consumer/history.h"

enum { USERS = 5, ARMS = 4, DAYS = 3, RECORDS_MAX = 4000, DAY = 86400000 };
static const int64_t start_ms = 1767225600000; /* 2026-01-01 */
static struct aft_error error;
#define OK(x)                              \
    do {                                   \
        if ((x) != AFT_OK)                 \
            fail_msg("%s", error.message); \
    } while (0)

static int64_t
now_ms(void *ctx)
{
    return *(int64_t *)ctx;
}

/* ---- what happens, and what was written of it */
struct happened {
    enum aft_log_kind log;
    int64_t offset, log_ms, ms;
    int user, arms[2], arms_n;
    char id[24], back[24], kind[24];
    bool erases;
};
struct world {
    int64_t ms;
    struct aft_memory_broker *broker;
    struct aft_log *log; /* the users' */
    struct aft_config *config;
    struct aft_random random;
    struct happened v[RECORDS_MAX];
    int n, ids;
    int64_t next[2];
    struct aft_buffer value;
};

static uint32_t
below(struct world *w, uint32_t n)
{
    return (uint32_t)aft_random_below(&w->random, n);
}

static struct world *
world_new(uint64_t seed)
{
    static const char *const set[][2] = {{"topics.partitions", "1"},
                                         {"topics.history", "history"},
                                         {"history.days", "3"},
                                         {"history.interval", "1s"}};
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->ms = start_ms;
    aft_random_init(&w->random, seed, 0);
    w->broker = aft_memory_broker_new((struct aft_clock){&w->ms, now_ms, now_ms});
    w->log = aft_log_memory(w->broker);
    w->config = aft_config_new();
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        OK(aft_config_set(w->config, set[i][0], set[i][1], &error));
    OK(aft_config_check(w->config, &error));
    OK(aft_topics_create(w->config, w->log, &error));
    return w;
}

static void
world_free(struct world *w)
{
    w->log->ops->close(w->log);
    aft_memory_broker_free(w->broker);
    aft_config_free(w->config);
    aft_buffer_deinit(&w->value);
    free(w);
}

static void
write_down(struct world *w, struct happened *x)
{
    char user[8];
    snprintf(user, sizeof user, "u%d", x->user);
    struct aft_append a = {.topic = x->log == AFT_IMPRESSIONS ? "impressions" : "outcomes",
                           .timestamp_ms = w->ms,
                           .key = aft_text(user),
                           .value = x->erases ? AFT_ABSENT : aft_buffer_bytes(&w->value)};
    assert_true(w->n < RECORDS_MAX);
    x->offset = w->next[x->log]++;
    x->log_ms = w->ms++;
    w->v[w->n++] = *x;
    OK(w->log->ops->append(w->log, &a, &error));
    w->log->ops->poll(w->log, 0);
}

static void
impression(struct world *w, struct happened *x)
{
    static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3"};
    char user[8];
    struct aft_shown slate[2];
    snprintf(user, sizeof user, "u%d", x->user);
    for (int i = 0; i < x->arms_n; i++)
        slate[i] =
            (struct aft_shown){.arm_id = aft_text(arms[x->arms[i]]), .slot = i, .propensity = 0.5};
    struct aft_impression v = {.decision_id = aft_text(x->id),
                               .user_id = aft_text(user),
                               .timestamp_ms = x->ms,
                               .policy = AFT_LITERAL("p"),
                               .slate = slate,
                               .slate_n = (uint32_t)x->arms_n};
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&w->value, &v);
    write_down(w, x);
}

static void
outcome(struct world *w, struct happened *x)
{
    char user[8], arm[8], subject[8];
    snprintf(user, sizeof user, "u%d", x->user);
    snprintf(arm, sizeof arm, "a%d", x->arms[0]);
    snprintf(subject, sizeof subject, "s%d", x->arms[0]);
    struct aft_outcome v = {.outcome_id = aft_text(x->id),
                            .user_id = aft_text(user),
                            .timestamp_ms = x->ms,
                            .kind = aft_text(x->kind),
                            .value_micro = AFT_MICRO,
                            .arm_id = x->arms_n ? aft_text(arm) : AFT_ABSENT,
                            .subject = aft_text(subject),
                            .retracts = x->back[0] ? aft_text(x->back) : AFT_ABSENT};
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_OUTCOME);
    aft_encode_outcome(&w->value, &v);
    write_down(w, x);
}

/* One thing that happens: in disorder, twice, far ahead of its time, taken back before or after it came. */
static void
happen(struct world *w)
{
    static const char *const kinds[] = {"click", "click", "key_task_completed", "page_viewed"};
    struct happened x = {.user = (int)below(w, USERS)}, back;
    if (below(w, 100) == 0)
        w->ms += DAY / 2;
    w->ms += below(w, 60000);
    x.ms = w->ms - (below(w, 20) == 0 ? below(w, 2 * DAY) : below(w, 500));
    if (below(w, 50) == 0)
        x.ms = w->ms + 3LL * 3600000;
    snprintf(x.id, sizeof x.id, "i%d", w->ids++);
    if (below(w, 60) == 0) {
        x.erases = true;
        write_down(w, &x);
    } else if (below(w, 2)) {
        x.arms_n = 1 + (int)below(w, 2);
        x.arms[0] = (int)below(w, ARMS);
        x.arms[1] = (x.arms[0] + 1) % ARMS;
        for (int twice = below(w, 10) == 0; twice >= 0; twice--)
            impression(w, &x);
    } else {
        x.log = AFT_OUTCOMES;
        snprintf(x.kind, sizeof x.kind, "%s", kinds[below(w, 4)]);
        x.arms_n = below(w, 5) > 0;
        x.arms[0] = (int)below(w, ARMS);
        bool taken_back = below(w, 6) == 0, before = below(w, 4) == 0;
        back = x;
        snprintf(back.back, sizeof back.back, "%s", x.id);
        snprintf(back.id, sizeof back.id, "b%d", w->ids);
        if (taken_back && before)
            outcome(w, &back);
        for (int twice = below(w, 10) == 0; twice >= 0; twice--)
            outcome(w, &x);
        if (taken_back && !before)
            outcome(w, &back);
    }
}

/* ---- the recount */
struct fact {
    int what, day;
    char name[8];
    uint64_t id;
};
struct facts {
    struct fact v[RECORDS_MAX];
    int n;
    int64_t to[2];
};

static int
by_all(const void *a, const void *b)
{
    const struct fact *x = a, *y = b;
    int c = x->what != y->what ? x->what - y->what : strcmp(x->name, y->name);
    if (c == 0)
        c = x->day - y->day;
    return c ? c : (x->id > y->id) - (x->id < y->id);
}

static const struct happened *
erasure_of(const struct world *w, int user)
{
    const struct happened *last = NULL;
    for (int i = 0; i < w->n; i++)
        if (w->v[i].user == user && w->v[i].erases)
            last = &w->v[i];
    return last;
}

static bool
taken_back(const struct world *w, const struct happened *x, int *day)
{
    for (int i = 0; i < w->n; i++)
        if (w->v[i].back[0] && strcmp(w->v[i].back, x->id) == 0) {
            int other = (int)(w->v[i].ms / DAY);
            *day = other > *day ? other : *day;
            return true;
        }
    return false;
}

static void
fact_add(struct facts *f, struct fact x)
{
    for (int i = 0; i < f->n; i++)
        if (by_all(&f->v[i], &x) == 0)
            return;
    f->v[f->n++] = x;
}

static void
facts_of_one(const struct world *w, const struct happened *x, struct facts *f)
{
    struct fact v = {.day = (int)(x->ms / DAY), .id = aft_history_id(aft_text(x->id))};
    for (int i = 0; x->log == AFT_IMPRESSIONS && i < x->arms_n; i++) {
        snprintf(v.name, sizeof v.name, "a%d", x->arms[i]);
        fact_add(f, v);
    }
    if (x->log == AFT_IMPRESSIONS)
        return;
    bool click = strcmp(x->kind, "click") == 0, task = strcmp(x->kind, "key_task_completed") == 0;
    if (!click && !task && !x->back[0])
        return;
    v.what = click ? AFT_HISTORY_CLICKED : AFT_HISTORY_DONE;
    if (x->back[0]) {
        v.what = AFT_HISTORY_RETRACTED;
        v.id = aft_history_id(aft_text(x->back));
    } else if (taken_back(w, x, &v.day))
        v.what = AFT_HISTORY_RETRACTED;
    else if (task || x->arms_n)
        snprintf(v.name, sizeof v.name, "%c%d", click ? 'a' : 's', x->arms[0]);
    fact_add(f, v);
}

static bool
counts(const struct happened *x, const struct happened *erased, int user)
{
    if (x->user != user || x->erases || x->ms - x->log_ms > 3600000)
        return false;
    bool plain = x->log == AFT_IMPRESSIONS || x->back[0] || strcmp(x->kind, "page_viewed") != 0;
    return plain && (!erased || x->log_ms > erased->log_ms);
}

static void
recount(const struct world *w, int user, struct facts *f)
{
    const struct happened *erased = erasure_of(w, user);
    int newest = 0, n = 0;
    *f = (struct facts){0};
    for (int i = 0; i < w->n; i++) {
        if (&w->v[i] == erased || counts(&w->v[i], NULL, user))
            f->to[w->v[i].log] = w->v[i].offset + 1;
        if (counts(&w->v[i], erased, user))
            facts_of_one(w, &w->v[i], f);
    }
    for (int i = 0; i < f->n; i++)
        newest = f->v[i].day > newest ? f->v[i].day : newest;
    for (int i = 0; i < f->n; i++)
        if (f->v[i].day > newest - DAYS)
            f->v[n++] = f->v[i];
    f->n = n;
    qsort(f->v, (size_t)f->n, sizeof *f->v, by_all);
}

/* ---- the topic */
struct topic {
    struct aft_buffer last[USERS]; /* of each user; n == 0: none, or a tombstone */
    int records;
};

static void
topic_read(struct world *w, const char *name, struct topic *t)
{
    struct aft_log_reader *r;
    struct aft_record_in v[64];
    uint32_t n;
    bool at_end = false;
    *t = (struct topic){0};
    OK(w->log->ops->reader_open(w->log, name, 0, 0, &r, &error));
    while (!at_end) {
        OK(w->log->ops->read(r, v, 64, 0, &n, &at_end, &error));
        for (uint32_t i = 0; i < n; i++) {
            if (v[i].key.p[0] == '\0')
                continue;
            struct aft_buffer *b = &t->last[v[i].key.p[1] - '0'];
            aft_buffer_reset(b);
            if (v[i].value.p)
                aft_put_raw(b, v[i].value);
            t->records++;
        }
    }
    w->log->ops->reader_close(r);
}

static void
topic_free(struct topic *t)
{
    for (int i = 0; i < USERS; i++)
        aft_buffer_deinit(&t->last[i]);
}

static void
flatten(const struct aft_history *x, struct facts *f)
{
    *f = (struct facts){.to = {x->to[0], x->to[1]}};
    for (uint32_t i = 0; i < x->entries_n; i++)
        for (uint32_t k = 0; k < x->entries[i].ids_n; k++) {
            struct fact *v = &f->v[f->n++];
            *v = (struct fact){.what = (int)x->entries[i].what,
                               .day = x->entries[i].day,
                               .id = x->entries[i].ids[k]};
            if (x->entries[i].name.p)
                memcpy(v->name, x->entries[i].name.p, x->entries[i].name.n);
        }
}

/* Of every user the recount, already in its order. */
static void
is_the_recount(struct world *w, const struct topic *t)
{
    static struct facts should, is;
    struct aft_arena arena;
    aft_arena_init(&arena, 1 << 20);
    for (int user = 0; user < USERS; user++) {
        struct aft_history x = {.user_id = AFT_LITERAL("")};
        struct aft_frame frame;
        recount(w, user, &should);
        if (t->last[user].n == 0) {
            assert_int_equal(should.n, 0);
            continue;
        }
        OK(aft_frame_parse(aft_buffer_bytes(&t->last[user]), &frame, &error));
        OK(aft_decode_history(frame.body, &arena, &x, &error));
        flatten(&x, &is);
        assert_int_equal(is.n, should.n);
        for (int i = 0; i < is.n; i++)
            assert_int_equal(by_all(&is.v[i], &should.v[i]), 0);
        for (int log = 0; log < 2; log++) /* farther, where he was forgotten in between (H3) */
            assert_true(is.to[log] >= should.to[log] && is.to[log] <= w->next[log]);
        aft_arena_reset(&arena);
    }
    aft_arena_deinit(&arena);
}

static void
same_bytes(const struct aft_buffer *a, const struct aft_buffer *b)
{
    struct aft_history x[2] = {{.user_id = AFT_ABSENT}, {.user_id = AFT_ABSENT}};
    const struct aft_buffer *of[2] = {a, b};
    struct aft_arena arena;
    aft_arena_init(&arena, 1 << 20);
    for (int i = 0; i < 2 && of[i]->n; i++) {
        struct aft_frame frame;
        OK(aft_frame_parse(aft_buffer_bytes(of[i]), &frame, &error));
        OK(aft_decode_history(frame.body, &arena, &x[i], &error));
    }
    bool as_far = memcmp(x[0].to, x[1].to, sizeof x[0].to) == 0;
    assert_true(!as_far || aft_same(aft_buffer_bytes(a), aft_buffer_bytes(b))); /* H4 */
    aft_arena_deinit(&arena);
}

/* ---- owners */
struct owner {
    struct aft_log *log;
    struct aft_historian *h;
};

static void
owner_start(struct world *w, struct owner *o)
{
    static int births;
    static char name[24];
    snprintf(name, sizeof name, "owner %d", ++births);
    o->log = aft_log_memory(w->broker);
    struct aft_historian_options options = {
        .config = w->config, .log = o->log, .clock = {&w->ms, now_ms, now_ms}, .owner = name};
    OK(aft_historian_open(&options, &o->h, &error));
}

static void
owner_kill(struct owner *o)
{
    aft_historian_close(o->h);
    if (o->log) {
        o->log->ops->poll(o->log, 0); /* what it waited for comes to nobody */
        o->log->ops->close(o->log);
    }
    *o = (struct owner){0};
}

static void
owner_step(struct owner *o)
{
    bool busy;
    OK(aft_historian_step(o->h, &busy, &error));
}

static void
settle(struct world *w, struct owner *o)
{
    struct aft_historian_status s = {0};
    for (int i = 0; i < 200; i++) {
        owner_step(o);
        w->ms += 100;
    }
    aft_historian_status(o->h, &s);
    assert_true(s.works && s.dirty == 0 && s.unreadable == 0);
    assert_int_equal(s.published[0], w->next[0]);
    assert_int_equal(s.published[1], w->next[1]);
}

static void
killed_and_doubled(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(61);
    for (long round = 0; round < kit_rounds(30); round++) {
        struct world *w = world_new(seed + (uint64_t)round);
        struct owner owners[2] = {{0}};
        struct topic t, again;
        for (int step = 0; step < 1500; step++) {
            struct owner *o = &owners[below(w, 20) == 0];
            if (below(w, 3) == 0)
                happen(w);
            if (o->h && below(w, 60) == 0)
                owner_kill(o);
            else if (!o->h && (o == owners || below(w, 10) == 0))
                owner_start(w, o);
            else if (o->h)
                owner_step(o);
        }
        owner_kill(&owners[1]);
        if (!owners[0].h)
            owner_start(w, &owners[0]);
        settle(w, &owners[0]);
        owner_kill(&owners[0]);
        topic_read(w, "history", &t);
        is_the_recount(w, &t);
        /* and whoever folds it all in one go writes the same */
        OK(aft_config_set(w->config, "topics.history", "again", &error));
        OK(aft_config_check(w->config, &error));
        OK(aft_topics_create(w->config, w->log, &error));
        owner_start(w, &owners[0]);
        settle(w, &owners[0]);
        owner_kill(&owners[0]);
        topic_read(w, "again", &again);
        assert_true(again.records <= USERS);
        is_the_recount(w, &again);
        for (int i = 0; i < USERS; i++)
            same_bytes(&t.last[i], &again.last[i]);
        topic_free(&t);
        topic_free(&again);
        world_free(w);
    }
}

/* ---- an owner that slept writes what is old: it is written over, by whoever owns now or starts next */
static void
wakes(struct world *w, const struct topic *old)
{
    for (int i = 0; i < USERS; i++) {
        char user[8];
        snprintf(user, sizeof user, "u%d", i);
        struct aft_append a = {.topic = "history",
                               .timestamp_ms = -1,
                               .key = aft_text(user),
                               .value =
                                   old->last[i].n ? aft_buffer_bytes(&old->last[i]) : AFT_ABSENT};
        OK(w->log->ops->append(w->log, &a, &error));
        w->log->ops->poll(w->log, 0);
    }
}

static void
the_newer_record_wins(void **state)
{
    (void)state;
    struct world *w = world_new(7);
    struct owner now = {0};
    struct topic old, t;
    struct aft_historian_status before, after;
    for (int i = 0; i < 40; i++)
        happen(w);
    owner_start(w, &now);
    settle(w, &now);
    topic_read(w, "history", &old);
    for (int i = 0; i < 100; i++)
        happen(w);
    settle(w, &now);
    for (int next = 0; next < 2; next++) {
        aft_historian_status(now.h, &before);
        wakes(w, &old);
        if (next) {
            owner_kill(&now);
            owner_start(w, &now);
            before.records = 0;
        }
        settle(w, &now);
        aft_historian_status(now.h, &after);
        assert_int_equal(after.records - before.records, USERS);
        topic_read(w, "history", &t);
        is_the_recount(w, &t);
        topic_free(&t);
    }
    topic_free(&old);
    owner_kill(&now);
    world_free(w);
}

/* ---- bounds, and the window */
static uint32_t
events_of(struct afti_fold *f)
{
    return (uint32_t)afti_fold_stats(f).events;
}

static void
bounded(void **state)
{
    (void)state;
    const struct afti_fold_settings s = {"click", "task", 30, 1000};
    struct afti_fold *f = afti_fold_new(&s);
    struct aft_buffer b = {0};
    struct afti_folded out;
    for (int i = 0; i < 2000; i++) {
        char id[16];
        snprintf(id, sizeof id, "o%d", i);
        struct aft_outcome x = {.outcome_id = aft_text(id),
                                .user_id = AFT_LITERAL("heavy"),
                                .timestamp_ms = start_ms + i * 60000LL,
                                .kind = AFT_LITERAL("click")};
        struct afti_place at = {i, x.timestamp_ms};
        afti_fold_outcome(f, &x, &at);
        afti_fold_outcome(f, &x, &at); /* H3 */
    }
    assert_int_equal(events_of(f), AFT_HISTORY_EVENTS_MAX);
    assert_true(afti_fold_next(f, &b, &out) && !out.empty);
    assert_false(afti_fold_next(f, &b, &out));
    struct aft_history x;
    struct aft_arena arena;
    aft_arena_init(&arena, 1 << 20);
    OK(aft_decode_history(aft_buffer_bytes(&b), &arena, &x, &error));
    assert_int_equal(x.to[AFT_OUTCOMES], 2000);
    assert_int_equal(x.entries[x.entries_n - 1].day, (start_ms + 1999 * 60000LL) / DAY);
    struct afti_fold *other = afti_fold_new(&s);
    afti_fold_load(other, x.user_id, &x);
    assert_int_equal(events_of(other), AFT_HISTORY_EVENTS_MAX);
    assert_int_equal(afti_fold_dirty(other), 0);
    afti_fold_expire(other, start_ms + 40LL * DAY, x.to);
    assert_int_equal(afti_fold_stats(other).users, 0);
    afti_fold_free(other);
    afti_fold_free(f);
    aft_arena_deinit(&arena);
    aft_buffer_deinit(&b);
}

/* Users, arms and subjects come and go for a year: what is held is the window's, and who comes back is counted on. */
static void
held_is_the_window(void **state)
{
    (void)state;
    const struct afti_fold_settings s = {"click", "task", 30, 1000};
    struct afti_fold *f = afti_fold_new(&s);
    struct aft_buffer b = {0};
    struct afti_folded out;
    int64_t read[2] = {0, 0};
    for (int day = 0; day < 365; day++) {
        for (int i = 0; i < 20; i++) {
            char id[24], user[24], arm[24];
            snprintf(id, sizeof id, "o%d.%d", day, i);
            snprintf(user, sizeof user, i ? "u%d" : "r%d",
                     i ? day * 20 + i : day % 100); /* r: return */
            snprintf(arm, sizeof arm, "a%d", day * 20 + i);
            struct aft_outcome x = {.outcome_id = aft_text(id),
                                    .user_id = aft_text(user),
                                    .timestamp_ms = start_ms + day * (int64_t)DAY,
                                    .kind = AFT_LITERAL("click"),
                                    .arm_id = aft_text(arm)};
            const struct afti_place at = {read[1]++, x.timestamp_ms};
            afti_fold_outcome(f, &x, &at);
        }
        while (afti_fold_next(f, &b, &out))
            aft_buffer_reset(&b);
        afti_fold_expire(f, start_ms + day * (int64_t)DAY, read);
        struct afti_fold_stats is = afti_fold_stats(f);
        if (is.held > 20 * 32 || is.names > 20 * 32)
            fail_msg("day %d: %d users, %d names", day, (int)is.held, (int)is.names);
    }
    /* r0 was here on days 0, 100, 200 and 300: one event stands, under its own arm's name, behind all that was read */
    struct aft_outcome x = {.outcome_id = AFT_LITERAL("last"),
                            .user_id = AFT_LITERAL("r0"),
                            .timestamp_ms = start_ms + 365 * (int64_t)DAY,
                            .kind = AFT_LITERAL("click"),
                            .arm_id = AFT_LITERAL("a6000")};
    struct afti_place at = {read[1], x.timestamp_ms};
    afti_fold_outcome(f, &x, &at);
    at.offset = 7; /* read again: nothing (H3) */
    x.outcome_id = AFT_LITERAL("o0.0");
    afti_fold_outcome(f, &x, &at);
    assert_true(afti_fold_next(f, &b, &out) && !afti_fold_dirty(f));
    struct aft_history record;
    struct aft_arena arena;
    aft_arena_init(&arena, 1 << 20);
    OK(aft_decode_history(aft_buffer_bytes(&b), &arena, &record, &error));
    assert_int_equal(record.entries_n, 1);
    assert_int_equal(record.entries[0].ids_n, 1);
    assert_true(aft_same(record.entries[0].name, AFT_LITERAL("a6000")));
    assert_int_equal(record.to[AFT_OUTCOMES], read[1] + 1);
    afti_fold_free(f);
    aft_arena_deinit(&arena);
    aft_buffer_deinit(&b);
}

/* An engine whose clock jumped by a year stamps one record with it: the others' histories stay what they are. */
static void
a_clock_that_jumped(void **state)
{
    (void)state;
    struct world *w = world_new(9);
    struct owner now = {0};
    struct topic t;
    for (int i = 0; i < 60; i++)
        happen(w);
    owner_start(w, &now);
    settle(w, &now);
    int64_t clock = w->ms;
    w->ms += 365LL * DAY;
    struct happened x = {
        .log = AFT_OUTCOMES, .user = 0, .kind = "page_viewed", .id = "jump", .ms = w->ms};
    outcome(w, &x);
    w->ms = clock;
    settle(w, &now);
    for (int i = 0; i < 20; i++)
        happen(w);
    settle(w, &now);
    topic_read(w, "history", &t);
    is_the_recount(w, &t);
    topic_free(&t);
    owner_kill(&now);
    world_free(w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounded),
        cmocka_unit_test(held_is_the_window),
        cmocka_unit_test(a_clock_that_jumped),
        cmocka_unit_test(the_newer_record_wins),
        cmocka_unit_test(killed_and_doubled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
