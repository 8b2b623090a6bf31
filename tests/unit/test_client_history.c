/* The history of users: windows against a plain list of events, bounded memory, least lately used first, features that are logged as
 * they were used, a policy that tires. */
#include "tests/kit.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/snapshots.h"

enum { ARMS = 6, K = 3, DAY = 86400000 };
static const int64_t start_ms = 1767225600000; /* 2026-01-01 */
static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3", "a4", "a5"};
static const char *const subjects[ARMS] = {"t0", "t1", NULL, "t0", "t2", NULL};

static struct aft_client *
open_with(struct memory_transport *t, const struct aft_client_options *o)
{
    struct aft_client *c;
    struct aft_error e;
    struct aft_client_transport transport = memory_transport_of(t);
    if (aft_client_open_over(o, &transport, &c, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return c;
}

static struct aft_client_options
options_of(const uint64_t *seed, uint64_t bytes)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    o.seed = seed;
    o.baseline_share = 0;
    o.history_bytes = bytes;
    return o;
}

static struct aft_client_decision *
decide(struct aft_client *c, const char *user, int64_t time_ms)
{
    struct aft_client_candidate candidates[ARMS];
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_decision *d;
    struct aft_client_error why;
    for (int i = 0; i < ARMS; i++)
        candidates[i] = (struct aft_client_candidate){.arm_id = arms[i], .subject = subjects[i]};
    r.user_id = user;
    r.k = K;
    r.time_ms = time_ms;
    r.candidates = candidates;
    r.candidates_n = ARMS;
    if (aft_client_decide(c, &r, &d, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
    return d;
}

static void
report(struct aft_client *c, const char *user, const char *kind, int i, int64_t time_ms)
{
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    x.user_id = user;
    x.kind = kind;
    x.time_ms = time_ms;
    x.arm_id = i < 0 ? NULL : arms[i];
    x.subject = i < 0 ? NULL : subjects[i];
    assert_int_equal(aft_client_log_outcome(c, &x, NULL), AFT_CLIENT_OK);
}

static struct aft_client_history
history_of(struct aft_client *c, const char *user, const char *arm, const char *subject,
           int64_t time_ms)
{
    struct aft_client_history h = AFT_CLIENT_HISTORY;
    struct aft_client_error why;
    if (aft_client_history(c, user, arm, subject, time_ms, &h, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
    assert_int_equal(h.size, sizeof h);
    return h;
}

/* ---- against a list */
struct event {
    int user, arm, what; /* 0 shown, 1 click, 2 task */
    int64_t day;
};
struct list {
    struct event v[20000];
    int n;
};

static uint32_t
count(const struct list *l, int user, int arm, int what, int64_t today, int days)
{
    uint32_t n = 0;
    for (int i = 0; i < l->n; i++)
        n += l->v[i].user == user && (arm == ARMS || l->v[i].arm == arm) && l->v[i].what == what &&
             l->v[i].day <= today && l->v[i].day > today - days;
    return n;
}

static void
agrees(struct aft_client *c, const struct list *l, int user, int arm, int64_t today)
{
    char name[16];
    snprintf(name, sizeof name, "u%d", user);
    struct aft_client_history h = history_of(c, name, arm == ARMS ? NULL : arms[arm],
                                             arm == ARMS ? NULL : subjects[arm], today * DAY + 7);
    assert_int_equal(h.shown_short, count(l, user, arm, 0, today, 7));
    assert_int_equal(h.shown_long, count(l, user, arm, 0, today, 30));
    assert_int_equal(h.clicks_short, count(l, user, arm, 1, today, 7));
    assert_int_equal(h.clicks_long, count(l, user, arm, 1, today, 30));
    bool done = false; /* of the subject, whichever arm's */
    for (int i = 0; arm < ARMS && subjects[arm] && i < l->n; i++)
        done |= l->v[i].user == user && l->v[i].what == 2 && l->v[i].day <= today &&
                strcmp(subjects[l->v[i].arm], subjects[arm]) == 0;
    assert_int_equal(h.task_done, done);
}

static void
windows_are_right(void **state)
{
    (void)state;
    static struct list l;
    struct aft_random random;
    uint64_t seed = kit_seed(41);
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed, 4 << 20);
    struct aft_client *c = open_with(&t, &o);
    int64_t day = start_ms / DAY;
    aft_random_init(&random, seed, 0);
    for (long round = 0; round < kit_rounds(3000) && l.n < 19990; round++) {
        char user[16];
        int u = (int)aft_random_below(&random, 8);
        snprintf(user, sizeof user, "u%d", u);
        day += aft_random_below(&random, 60) == 0;
        int64_t now = day * DAY + aft_random_below(&random, DAY);
        struct aft_client_decision *d = decide(c, user, now);
        const struct aft_client_slate *s = aft_client_decision_slate(d);
        int top = (int)s->slots[0].candidate;
        if (aft_random_below(&random, 10)) { /* some are never logged, so never counted */
            assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
            for (uint32_t i = 0; i < s->n; i++)
                l.v[l.n++] = (struct event){u, (int)s->slots[i].candidate, 0, day};
        }
        aft_client_decision_free(c, d);
        if (aft_random_below(&random, 3) == 0) {
            report(c, user, "click", top, now);
            l.v[l.n++] = (struct event){u, top, 1, day};
        }
        if (aft_random_below(&random, 40) == 0 && subjects[top]) {
            report(c, user, "key_task_completed", top, now);
            l.v[l.n++] = (struct event){u, top, 2, day};
        }
        report(c, user, "page_viewed", top, now); /* of no kind that counts */
        agrees(c, &l, (int)aft_random_below(&random, 8), (int)aft_random_below(&random, ARMS + 1),
               day);
    }
    struct aft_client_history never = history_of(c, "nobody", NULL, "t0", start_ms);
    assert_false(never.known || never.task_done || never.shown_long);
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

static void
clicks_without_an_arm_are_the_users(void **state)
{
    (void)state;
    uint64_t seed = 1;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed, 1 << 20);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_outcome taken_back = AFT_CLIENT_OUTCOME;
    report(c, "u", "click", -1, start_ms);
    report(c, "u", "key_task_completed", 0, start_ms);
    report(c, "u", "key_task_completed", 3, start_ms + 8LL * DAY); /* the same subject again */
    taken_back.user_id = "u", taken_back.kind = "click", taken_back.retracts = "o";
    assert_int_equal(aft_client_log_outcome(c, &taken_back, NULL), AFT_CLIENT_OK);
    struct aft_client_history h = history_of(c, "u", NULL, "t0", start_ms + 8LL * DAY);
    assert_int_equal(h.clicks_long, 1);
    assert_int_equal(h.clicks_short, 0);
    assert_int_equal(h.tasks_long, 1);
    assert_true(h.task_done && h.known);
    assert_int_equal(history_of(c, "u", "a0", NULL, start_ms).clicks_long, 0);
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

/* ---- memory is bounded: who was not met for longest goes first, a heavy user keeps what is newest */
static void
bounded(void **state)
{
    (void)state;
    uint64_t seed = 2;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed, 1 << 20);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_info info = AFT_CLIENT_INFO;
    for (int i = 0; i < 12000; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        report(c, user, "click", 0, start_ms);
        report(c, "faithful", "click", i % ARMS, start_ms + i / 400 * (int64_t)DAY);
    }
    aft_client_info(c, &info);
    assert_in_range(info.history_users, 5000, (1 << 20) / 164 + 1);
    assert_true(info.history_forgotten + info.history_users >= 12000);
    assert_false(history_of(c, "u0", NULL, NULL, start_ms).known);
    assert_true(history_of(c, "u11999", NULL, NULL, start_ms).known);
    int64_t end = start_ms + 29LL * DAY;
    assert_int_equal(history_of(c, "faithful", NULL, NULL, end).clicks_short, 2800);
    aft_client_close(c, 0, NULL);
    o.history_bytes = 8 << 20; /* one user with more days and arms than are kept */
    c = open_with(&t, &o);
    for (int i = 0; i < 40; i++)
        for (int a = 0; a < 50; a++) {
            struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
            char arm[16];
            snprintf(arm, sizeof arm, "many%d", a);
            x.user_id = "heavy", x.kind = "click", x.arm_id = arm;
            x.time_ms = start_ms + i * (int64_t)DAY;
            assert_int_equal(aft_client_log_outcome(c, &x, NULL), AFT_CLIENT_OK);
        }
    struct aft_client_history h = history_of(c, "heavy", NULL, NULL, start_ms + 39LL * DAY);
    assert_int_equal(h.clicks_short, 350);
    assert_in_range(h.clicks_long, 500, 512); /* the newest of 1,500 */
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

/* ---- features: as used, as logged */
static const struct aft_feature *
feature(const struct aft_features *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (aft_same(f->v[i].name, aft_text(name)))
            return &f->v[i];
    return NULL;
}

static void
last_impression(const struct memory_transport *t, struct aft_arena *a, struct aft_impression *x)
{
    struct aft_bytes all = aft_buffer_bytes(&t->records[AFT_CLIENT_IMPRESSIONS]);
    struct aft_frame frame;
    struct aft_error e;
    struct aft_bytes value = {0};
    while (all.n >= 4) {
        value = (struct aft_bytes){all.p + 4, aft_load_le32(all.p)};
        all.p += 4 + value.n, all.n -= 4 + value.n;
    }
    assert_int_equal(aft_frame_parse(value, &frame, &e), AFT_OK);
    assert_int_equal(aft_decode_impression(frame.body, a, x, &e), AFT_OK);
}

static void
features_are_logged(void **state)
{
    (void)state;
    uint64_t seed = 3;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed, 1 << 20);
    struct aft_arena arena;
    struct aft_impression x;
    aft_arena_init(&arena, 1 << 20);
    o.history_short_days = 3;
    struct aft_client *c = open_with(&t, &o);
    for (int i = 0; i < 2; i++) {
        struct aft_client_decision *d = decide(c, "u", start_ms + i * 5LL * DAY);
        assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
        aft_client_decision_free(c, d);
    }
    report(c, "u", "click", 1, start_ms + 5LL * DAY);
    report(c, "u", "key_task_completed", 3, start_ms + 5LL * DAY);
    struct aft_client_decision *d = decide(c, "u", start_ms + 6LL * DAY);
    assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
    aft_client_decision_free(c, d);
    last_impression(&t, &arena, &x);
    assert_int_equal(x.context.n, 5);
    assert_true(feature(&x.context, "user.shown.3d")->number == 3);
    assert_true(feature(&x.context, "user.shown.30d")->number == 6);
    assert_true(feature(&x.context, "user.clicks.3d")->number == 1);
    assert_true(feature(&x.context, "user.tasks.30d")->number == 1);
    for (uint32_t i = 0; i < ARMS; i++) {
        const struct aft_features *f = &x.candidates[i].features;
        struct aft_client_history h = AFT_CLIENT_HISTORY;
        aft_client_history(c, "u", arms[i], NULL, start_ms + 6LL * DAY, &h, NULL);
        for (uint32_t l = 0; l < x.slate_n; l++) /* this very impression is counted since */
            h.shown_long -= aft_same(x.slate[l].arm_id, aft_text(arms[i]));
        const struct aft_feature *shown = feature(f, "arm.shown.30d");
        assert_true(h.shown_long ? shown && shown->number == h.shown_long : !shown);
        assert_true((feature(f, "arm.clicks.3d") != NULL) == (i == 1));
        assert_true((feature(f, "arm.task.done") != NULL) == (i == 0 || i == 3));
    }
    aft_client_close(c, 0, NULL);
    o.history_features = false;
    c = open_with(&t, &o);
    d = decide(c, "u", start_ms);
    assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
    aft_client_decision_free(c, d);
    last_impression(&t, &arena, &x);
    assert_int_equal(x.context.n, 0);
    aft_client_close(c, 0, NULL);
    aft_arena_deinit(&arena);
    memory_transport_deinit(&t);
}

/* ---- a catalogue's decision and one with candidates given are the same */
static void
catalogues_are_alike(void **state)
{
    (void)state;
    uint64_t seed = 4;
    struct memory_transport t = {0};
    struct made_snapshot made = {0};
    static const double theta[ARMS] = {0.3, 0.1, 0.0, -0.1, 0.2, 0.05};
    struct made_spec spec = {.round = 1,
                             .arms = arms,
                             .theta = theta,
                             .arms_n = ARMS,
                             .explore = "softmax",
                             .temperature = "0.2"};
    make_snapshot(&spec, &made);
    memory_give(&t, &made);
    struct aft_client_options o = options_of(&seed, 1 << 20);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_candidate v[ARMS];
    struct aft_client_catalogue *k;
    struct aft_client_own own = {2, {"price", AFT_CLIENT_NUMBER, 2, NULL}};
    for (int i = 0; i < ARMS; i++)
        v[i] = (struct aft_client_candidate){.arm_id = arms[i], .subject = subjects[i]};
    assert_int_equal(aft_client_catalogue_new(c, v, ARMS, &k, NULL), AFT_CLIENT_OK);
    for (int i = 0; i < 50; i++) {
        struct aft_client_request r = AFT_CLIENT_REQUEST;
        struct aft_client_decision *a, *b;
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        r.user_id = "u", r.key = key, r.time_ms = start_ms;
        r.own = &own, r.own_n = 1;
        r.candidates = v, r.candidates_n = ARMS;
        assert_int_equal(aft_client_decide(c, &r, &a, NULL), AFT_CLIENT_OK);
        r.candidates = NULL, r.catalogue = k;
        assert_int_equal(aft_client_decide(c, &r, &b, NULL), AFT_CLIENT_OK);
        const struct aft_client_slate *x = aft_client_decision_slate(a),
                                      *y = aft_client_decision_slate(b);
        assert_memory_equal(x->log_weights, y->log_weights, sizeof(float) * ARMS);
        assert_int_equal(x->slots[0].candidate, y->slots[0].candidate);
        assert_int_equal(aft_client_log_impression(c, a, NULL), AFT_CLIENT_OK);
        report(c, "u", "click", i % ARMS, start_ms);
        aft_client_decision_free(c, a);
        aft_client_decision_free(c, b);
    }
    assert_int_equal(history_of(c, "u", NULL, NULL, start_ms).shown_long, 150);
    aft_client_catalogue_free(k);
    aft_client_close(c, 0, NULL);
    made_snapshot_deinit(&made);
    memory_transport_deinit(&t);
}

/* ---- over a restart */
static void
the_file_keeps_it(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(42);
    char folder[64], path[80], user[16];
    kit_file(folder, path, "history");
    struct memory_transport t = {0};
    struct aft_random random;
    struct aft_client_options o = options_of(&seed, 4 << 20);
    struct aft_client_history before[50], after;
    o.history_file = path;
    struct aft_client *c = open_with(&t, &o);
    aft_random_init(&random, seed, 0);
    for (int i = 0; i < 2000; i++) {
        snprintf(user, sizeof user, "u%u", aft_random_below(&random, 50));
        report(c, user, aft_random_below(&random, 5) ? "click" : "key_task_completed",
               (int)(aft_random_below(&random, 2)), start_ms + i / 50 * (int64_t)DAY);
    }
    int64_t end = start_ms + 39LL * DAY;
    for (int i = 0; i < 50; i++) {
        snprintf(user, sizeof user, "u%d", i);
        before[i] = history_of(c, user, NULL, "t0", end);
    }
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    c = open_with(&t, &o);
    for (int i = 0; i < 50; i++) {
        snprintf(user, sizeof user, "u%d", i);
        after = history_of(c, user, NULL, "t0", end);
        assert_memory_equal(&before[i], &after,
                            offsetof(struct aft_client_history, known) + sizeof after.known);
    }
    assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
    FILE *f = fopen(path, "r+b"); /* damaged: said, not passed over */
    assert_non_null(f);
    fseek(f, 40, SEEK_SET);
    int was = fgetc(f);
    fseek(f, 40, SEEK_SET);
    fputc(was ^ 1, f);
    fclose(f);
    struct aft_client_error why;
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_IO);
    assert_non_null(strstr(why.message, "damaged"));
    kit_remove(folder);
    o.history_file = "/nowhere/history";
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_OK);
    assert_int_equal(aft_client_close(c, 0, &why), AFT_CLIENT_IO);
    memory_transport_deinit(&t);
}

/* ---- many threads, one table */
static enum aft_err
append_nothing(void *ctx, enum aft_client_topic topic, int64_t time_ms, struct aft_bytes key,
               struct aft_bytes value, struct aft_error *e)
{
    (void)ctx, (void)topic, (void)time_ms, (void)key, (void)value, (void)e;
    return AFT_OK;
}

static void *
many(void *ctx)
{
    struct aft_client *c = ctx;
    for (int i = 0; i < 300; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i % 40);
        struct aft_client_decision *d = decide(c, user, start_ms);
        aft_client_decision_free(c, d);
        report(c, user, "click", i % ARMS, start_ms);
    }
    return NULL;
}

static void
threads_share_it(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct aft_client_transport nowhere = {.append = append_nothing};
    struct aft_client_options o = options_of(&seed, 1 << 20);
    struct aft_client *c;
    struct aft_error e;
    assert_int_equal(aft_client_open_over(&o, &nowhere, &c, &e), AFT_OK);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    uint32_t clicks = 0;
    for (int i = 0; i < 40; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        clicks += history_of(c, user, NULL, NULL, start_ms).clicks_long;
    }
    assert_int_equal(clicks, 1200);
    aft_client_close(c, 0, NULL);
}

static void
wrong_is_said(void **state)
{
    (void)state;
    uint64_t seed = 6;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed, 0);
    struct aft_client_history h = AFT_CLIENT_HISTORY;
    struct aft_client_error why;
    struct aft_client *c = open_with(&t, &o);
    assert_int_equal(aft_client_history(c, "u", NULL, NULL, 0, &h, &why), AFT_CLIENT_WRONG);
    aft_client_close(c, 0, NULL);
    o.history_bytes = 1000;
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_CONFIG);
    o.history_bytes = 1 << 20;
    o.history_long_days = 7;
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_CONFIG);
    o.history_long_days = 30;
    c = open_with(&t, &o);
    const struct aft_client_feature mine = {"user.shown.7d", AFT_CLIENT_NUMBER, 1, NULL};
    const struct aft_client_candidate one = {.arm_id = "a0"};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_decision *d;
    r.user_id = "u", r.candidates = &one, r.candidates_n = 1, r.context = &mine, r.context_n = 1;
    assert_int_equal(aft_client_decide(c, &r, &d, &why), AFT_CLIENT_WRONG);
    assert_non_null(strstr(why.message, "user.shown.7d"));
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_right),
        cmocka_unit_test(clicks_without_an_arm_are_the_users),
        cmocka_unit_test(bounded),
        cmocka_unit_test(features_are_logged),
        cmocka_unit_test(catalogues_are_alike),
        cmocka_unit_test(the_file_keeps_it),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
