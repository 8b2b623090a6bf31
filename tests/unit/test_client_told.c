/* test_client_told.c - the history of users over several engines: what each of them knows is at every moment what the topic told it and what
 * it logged itself, nothing twice; what is taken back counts no more, whoever logged it.
 */
#include "tests/kit.h"

#include <string.h>

#include "client/client.h"
#include "consumer/history.h"

enum { ENGINES = 2, USERS = 3, ARMS = 4, RECORDS_MAX = 5000, DAY = 86400000 };
static const int64_t start_ms = 1767225600000; /* 2026-01-01 */
static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3"};
static const char *const subjects[ARMS] = {"s0", "s1", "s0", "s2"};

/* ---- what was logged, by whom, and what was published of it */
struct fact {
    int engine, user, what, arms[3], arms_n, seq;
    int waits_for; /* for so many records of this user to come to its engine: it takes back what it knows by the topic alone */
    char id[40];
};
struct logged {
    enum aft_client_topic topic;
    uint8_t *p;
    size_t n;
};
struct published {
    uint8_t *key, *p;
    size_t key_n, n;
    int user, covers; /* so many of the logged records are in it */
};
struct world {
    struct fact facts[RECORDS_MAX];
    struct logged logged[RECORDS_MAX];
    struct published published[RECORDS_MAX];
    int facts_n, logged_n, published_n, folded;
    struct afti_fold *fold;
    struct engine {
        struct world *w;
        struct aft_client *c;
        int read, covers[USERS], told[USERS]; /* of `published` */
    } engines[ENGINES];
    struct aft_random random;
    int ids;
};

static uint8_t *
copy_of(struct aft_bytes b)
{
    uint8_t *p = malloc(b.n + 1);
    assert_non_null(p);
    if (b.n)
        memcpy(p, b.p, b.n);
    return p;
}

static enum aft_err
append(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
       struct aft_bytes value, struct aft_error *e)
{
    struct world *w = ((struct engine *)ctx)->w;
    (void)time_ms, (void)key, (void)e;
    assert_true(w->logged_n < RECORDS_MAX);
    w->logged[w->logged_n++] = (struct logged){topic, copy_of(value), value.n};
    return AFT_OK;
}

static void
poll_nothing(void *ctx, int timeout_ms)
{
    (void)ctx, (void)timeout_ms;
}

static uint64_t
nothing_waits(void *ctx)
{
    (void)ctx;
    return 0;
}

static enum aft_err
poll_history(void *ctx, int timeout_ms, aft_client_snapshot_sink sink, void *sink_ctx, bool *at_end,
             struct aft_error *e)
{
    struct engine *x = ctx;
    (void)timeout_ms, (void)e;
    for (; x->read < x->w->published_n; x->read++) {
        const struct published *r = &x->w->published[x->read];
        sink(sink_ctx, (struct aft_bytes){r->key, r->key_n},
             r->n ? (struct aft_bytes){r->p, r->n} : AFT_ABSENT);
        x->covers[r->user] = r->covers;
        x->told[r->user]++;
    }
    *at_end = true;
    return AFT_OK;
}

static uint32_t
below(struct world *w, uint32_t n)
{
    return (uint32_t)aft_random_below(&w->random, n);
}

static struct world *
world_new(uint64_t seed)
{
    const struct afti_fold_settings s = {"click", "key_task_completed", 30, 3600000};
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    aft_random_init(&w->random, seed, 0);
    w->fold = afti_fold_new(&s);
    for (int i = 0; i < ENGINES; i++) {
        struct engine *x = &w->engines[i];
        struct aft_client_transport t = {.ctx = x,
                                         .append = append,
                                         .poll = poll_nothing,
                                         .waiting = nothing_waits,
                                         .poll_history = poll_history};
        struct aft_client_options o = AFT_CLIENT_OPTIONS;
        struct aft_error e;
        uint64_t own = seed + (uint64_t)i;
        o.seed = &own;
        o.history_bytes = 16 << 20;
        o.history_topic = "history";
        x->w = w;
        if (aft_client_open_over(&o, &t, &x->c, &e) != AFT_OK)
            fail_msg("%s", e.message);
    }
    return w;
}

static void
world_free(struct world *w)
{
    for (int i = 0; i < ENGINES; i++)
        aft_client_close(w->engines[i].c, 0, NULL);
    for (int i = 0; i < w->logged_n; i++)
        free(w->logged[i].p);
    for (int i = 0; i < w->published_n; i++) {
        free(w->published[i].key);
        free(w->published[i].p);
    }
    afti_fold_free(w->fold);
    free(w);
}

/* ---- what engines do */
static const char *
user_name(int user)
{
    static const char *const names[USERS] = {"u0", "u1", "u2"};
    return names[user];
}

static struct fact *
fact_new(struct world *w, int engine, int user, int what)
{
    struct fact *f = &w->facts[w->facts_n++];
    *f = (struct fact){.engine = engine, .user = user, .what = what, .seq = w->logged_n};
    return f;
}

static void
shows(struct world *w, int engine, int user, int64_t now)
{
    struct aft_client *c = w->engines[engine].c;
    struct aft_client_candidate v[ARMS];
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_decision *d;
    for (int i = 0; i < ARMS; i++)
        v[i] = (struct aft_client_candidate){.arm_id = arms[i], .subject = subjects[i]};
    r.user_id = user_name(user), r.time_ms = now, r.candidates = v, r.candidates_n = ARMS;
    assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    struct fact *f = fact_new(w, engine, user, AFT_HISTORY_SHOWN);
    for (uint32_t i = 0; i < s->n; i++)
        f->arms[f->arms_n++] = (int)s->slots[i].candidate;
    assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
    aft_client_decision_free(c, d);
}

static void
says(struct world *w, const struct fact *f, const char *retracts, int64_t now)
{
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    x.outcome_id = retracts ? NULL : f->id;
    x.user_id = user_name(f->user);
    x.kind = f->what == AFT_HISTORY_CLICKED ? "click" : "key_task_completed";
    x.time_ms = now;
    x.arm_id = arms[f->arms[0]], x.subject = subjects[f->arms[0]];
    x.retracts = retracts;
    assert_int_equal(aft_client_log_outcome(w->engines[f->engine].c, &x, NULL), AFT_CLIENT_OK);
}

/* A click or a task; now and then twice, or one of before taken back, by any engine. */
static void
reports(struct world *w, int engine, int user, int64_t now)
{
    if (w->facts_n > 0 && below(w, 4) == 0) {
        struct fact was = w->facts[below(w, (uint32_t)w->facts_n)];
        if (was.what != AFT_HISTORY_CLICKED && was.what != AFT_HISTORY_DONE)
            return;
        struct fact *f = fact_new(w, engine, was.user, AFT_HISTORY_RETRACTED);
        const struct engine *x = &w->engines[engine];
        memcpy(f->id, was.id, sizeof f->id);
        f->waits_for = was.seq < x->covers[was.user] ? x->told[was.user] + 1 : 0;
        was.engine = engine;
        says(w, &was, was.id, now);
        return;
    }
    struct fact *f =
        fact_new(w, engine, user, below(w, 3) ? AFT_HISTORY_CLICKED : AFT_HISTORY_DONE);
    snprintf(f->id, sizeof f->id, "o%d", w->ids++);
    f->arms[f->arms_n++] = (int)below(w, ARMS);
    for (int twice = below(w, 6) == 0; twice >= 0; twice--)
        says(w, f, NULL, now);
}

/* ---- what the service does of it */
static void
fold_one(struct world *w, const struct logged *x)
{
    struct aft_frame frame;
    struct aft_arena arena;
    struct aft_error e;
    struct aft_impression i;
    struct aft_outcome o;
    struct afti_place at = {w->folded, start_ms + 100LL * DAY};
    aft_arena_init(&arena, 1 << 20);
    assert_int_equal(aft_frame_parse((struct aft_bytes){x->p, x->n}, &frame, &e), AFT_OK);
    if (x->topic == AFT_CLIENT_IMPRESSIONS) {
        assert_int_equal(aft_decode_impression(frame.body, &arena, &i, &e), AFT_OK);
        afti_fold_impression(w->fold, &i, &at);
    } else {
        assert_int_equal(aft_decode_outcome(frame.body, &arena, &o, &e), AFT_OK);
        afti_fold_outcome(w->fold, &o, &at);
    }
    aft_arena_deinit(&arena);
    w->folded++;
}

static void
publish(struct world *w, int upto)
{
    struct aft_buffer b = {0};
    struct afti_folded x;
    while (w->folded < upto)
        fold_one(w, &w->logged[w->folded]);
    for (;;) {
        aft_buffer_reset(&b);
        aft_frame_put_single(&b, AFT_RECORD_HISTORY);
        if (!afti_fold_next(w->fold, &b, &x))
            break;
        assert_true(w->published_n < RECORDS_MAX);
        w->published[w->published_n++] =
            (struct published){copy_of(x.user),   copy_of(aft_buffer_bytes(&b)),
                               x.user.n,          x.empty ? 0 : b.n,
                               x.user.p[1] - '0', w->folded};
    }
    aft_buffer_deinit(&b);
}

/* ---- what an engine must know */
static bool
knows(const struct engine *x, const struct fact *f, int engine)
{
    return f->seq < x->covers[f->user] || (f->engine == engine && x->told[f->user] >= f->waits_for);
}

static bool
stands(const struct world *w, int engine, const struct fact *f)
{
    const struct engine *x = &w->engines[engine];
    for (int i = 0; i < w->facts_n; i++)
        if (w->facts[i].what == AFT_HISTORY_RETRACTED && strcmp(w->facts[i].id, f->id) == 0 &&
            knows(x, &w->facts[i], engine))
            return false;
    return knows(x, f, engine);
}

static void
agrees(const struct world *w, int engine, int user, int arm, int64_t now)
{
    struct aft_client_history h = AFT_CLIENT_HISTORY;
    uint32_t shown = 0, clicks = 0;
    bool done = false;
    for (int i = 0; i < w->facts_n; i++) {
        const struct fact *f = &w->facts[i];
        if (f->user != user || f->what == AFT_HISTORY_RETRACTED || !stands(w, engine, f))
            continue;
        for (int k = 0; f->what == AFT_HISTORY_SHOWN && k < f->arms_n; k++)
            shown += f->arms[k] == arm;
        clicks += f->what == AFT_HISTORY_CLICKED && f->arms[0] == arm;
        done |= f->what == AFT_HISTORY_DONE && strcmp(subjects[f->arms[0]], subjects[arm]) == 0;
    }
    assert_int_equal(aft_client_history(w->engines[engine].c, user_name(user), arms[arm],
                                        subjects[arm], now, &h, NULL),
                     AFT_CLIENT_OK);
    assert_int_equal(h.shown_long, shown);
    assert_int_equal(h.clicks_long, clicks);
    assert_int_equal(h.task_done, done);
}

static void
engines_agree(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(71);
    for (long round = 0; round < kit_rounds(20); round++) {
        struct world *w = world_new(seed + (uint64_t)round);
        int64_t now = start_ms;
        for (int step = 0; step < 600; step++) {
            int engine = (int)below(w, ENGINES), user = (int)below(w, USERS);
            now += below(w, 3600000);
            switch (below(w, 5)) {
            case 0:
            case 1:
                shows(w, engine, user, now);
                break;
            case 2:
                reports(w, engine, user, now);
                break;
            case 3:
                publish(w, w->folded + (int)below(w, (uint32_t)(w->logged_n - w->folded) + 1));
                break;
            default:
                aft_client_poll(w->engines[engine].c, 0);
            }
            agrees(w, (int)below(w, ENGINES), (int)below(w, USERS), (int)below(w, ARMS), now);
        }
        publish(w, w->logged_n);
        for (int i = 0; i < ENGINES; i++) {
            struct aft_client_info info = AFT_CLIENT_INFO;
            aft_client_poll(w->engines[i].c, 0);
            for (int user = 0; user < USERS; user++)
                for (int arm = 0; arm < ARMS; arm++)
                    agrees(w, i, user, arm, now);
            aft_client_info(w->engines[i].c, &info);
            assert_true(info.history_records >= USERS && info.history_level);
            assert_int_equal(info.history_refused, 0);
        }
        world_free(w);
    }
}

static void
erased_users_are_forgotten(void **state)
{
    (void)state;
    struct world *w = world_new(3);
    struct aft_client_history h = AFT_CLIENT_HISTORY;
    struct aft_client_info info = AFT_CLIENT_INFO;
    shows(w, 0, 0, start_ms);
    struct afti_place at = {1, start_ms};
    afti_fold_erase(w->fold, AFT_LITERAL("u0"), &at);
    publish(w, 0);
    w->published[w->published_n++] = (struct published){
        copy_of(AFT_LITERAL("u1")), copy_of(AFT_LITERAL("not a history")), 2, 13, 1, 0};
    aft_client_poll(w->engines[0].c, 0);
    assert_int_equal(aft_client_history(w->engines[0].c, "u0", NULL, NULL, start_ms, &h, NULL),
                     AFT_CLIENT_OK);
    assert_false(h.known);
    aft_client_info(w->engines[0].c, &info);
    assert_int_equal(info.history_refused, 1);
    world_free(w);
}

static void
the_options_fit(void **state)
{
    (void)state;
    struct aft_client *c;
    struct aft_client_error why;
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    o.history_topic = "history";
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_CONFIG);
    assert_non_null(strstr(why.message, "history_bytes"));
    o.history_bytes = 1 << 20;
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_CONFIG);
    assert_non_null(strstr(why.message, "bootstrap_servers"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_agree),
        cmocka_unit_test(erased_users_are_forgotten),
        cmocka_unit_test(the_options_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
