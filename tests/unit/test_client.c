/* The client library over a transport in memory: what is shown is what is claimed, masks late, baseline, swapping under threads,
 * broken snapshots, the file, the records. */
#include "tests/kit.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/snapshots.h"

enum { ARMS = 8, K = 3 };
static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"};
static const double theta[ARMS] = {0.3, 0.1, 0.0, -0.1, 0.2, 0.05, -0.3, 0.15};
static const struct aft_client_feature card[] = {{"format", AFT_CLIENT_TEXT, 0, "card"}};
static struct aft_client_candidate candidates[ARMS];
static const struct aft_client_feature context[] = {
    {"days_since_enrol", AFT_CLIENT_NUMBER, 12, NULL},
    {"age_band", AFT_CLIENT_TEXT, 0, "40s"},
    {"plan_match", AFT_CLIENT_FLAG, 1, NULL}};

static struct aft_client_request
request_of(const char *user)
{
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    for (uint32_t i = 0; i < ARMS; i++)
        candidates[i] = (struct aft_client_candidate){
            .arm_id = arms[i], .subject = i % 2 ? "task" : NULL, .features = card, .features_n = 1};
    r.user_id = user;
    r.device = "web";
    r.k = K;
    r.time_ms = 1767225600000;
    r.context = context;
    r.context_n = 3;
    r.candidates = candidates;
    r.candidates_n = ARMS;
    return r;
}

static struct aft_client *
open_with(struct memory_transport *t, const struct aft_client_options *options)
{
    struct aft_client *c;
    struct aft_error e;
    struct aft_client_transport transport = memory_transport_of(t);
    if (aft_client_open_over(options, &transport, &c, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return c;
}

static struct aft_client_options
options_of(const uint64_t *seed)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    o.seed = seed;
    o.baseline_share = 0;
    o.queue_ms = 30;
    return o;
}

static struct made_spec
spec_of(int64_t round, const char *explore)
{
    return (struct made_spec){.round = round,
                              .arms = arms,
                              .theta = theta,
                              .arms_n = ARMS,
                              .explore = explore,
                              .temperature = "0.2"};
}

static struct aft_client_decision *
decide(struct aft_client *c, const struct aft_client_request *r)
{
    struct aft_client_decision *d;
    struct aft_client_error why;
    if (aft_client_decide(c, r, &d, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
    return d;
}

/* ---- shown against claimed */
struct
    claims { /* per slot and arm: how often shown; the marginal that was claimed. Per ordered pair on top: the same, prefix. */
    long shown[K][ARMS], pairs[ARMS][ARMS];
    double marginal[K][ARMS], prefix[ARMS][ARMS];
    long n;
};

static void
count(struct claims *x, const struct aft_client_slate *s)
{
    x->n++;
    double prefix = 1;
    for (uint32_t l = 0; l < s->n; l++) {
        uint32_t a = s->slots[l].candidate;
        x->shown[l][a]++;
        assert_true(s->slots[l].has_marginal);
        assert_true(s->slots[l].conditional > 0 && s->slots[l].conditional <= 1);
        prefix *= s->slots[l].conditional;
        assert_true(fabs(s->slots[l].prefix - prefix) < 1e-12);
        x->marginal[l][a] = s->slots[l].marginal;
    }
    uint32_t a = s->slots[0].candidate, b = s->slots[1].candidate;
    x->pairs[a][b]++;
    x->prefix[a][b] = s->slots[1].prefix;
}

/* Pearson's chi-squared over cells that the claim gives at least five; Wilson and Hilferty's normal score must stay below 5. */
static void
fits(const long *shown, const double *claimed, int cells, long n)
{
    double chi = 0, sum = 0;
    int used = 0;
    for (int i = 0; i < cells; i++) {
        double want = claimed[i] * (double)n;
        sum += claimed[i];
        if (want < 5)
            continue;
        chi += ((double)shown[i] - want) * ((double)shown[i] - want) / want;
        used++;
    }
    /* what was never shown has no claim here: its cells are improbable ones */
    assert_true(used > 2 && sum < 1 + 1e-9 && sum > 1 - 10.0 * cells / (double)n);
    double df = used - 1;
    double z = (cbrt(chi / df) - (1 - 2 / (9 * df))) / sqrt(2 / (9 * df));
    if (z > 5)
        fail_msg("chi-squared %.1f over %d cells", chi, used);
}

static void
all_fit(const struct claims *x)
{
    for (int l = 0; l < K; l++)
        fits(x->shown[l], x->marginal[l], ARMS, x->n);
    fits(&x->pairs[0][0], &x->prefix[0][0], ARMS * ARMS, x->n);
}

static void
shown_as_claimed(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(21);
    long rounds = kit_rounds(30000);
    const char *explorers[] = {"softmax", "epsilon_greedy", "uniform"};
    for (int i = 0; i < 3; i++) {
        static struct claims plain, masked;
        struct memory_transport t = {0};
        struct made_snapshot snapshot = {0};
        struct made_spec spec = spec_of(1, explorers[i]);
        make_snapshot(&spec, &snapshot);
        memory_give(&t, &snapshot);
        struct aft_client_options o = options_of(&seed);
        struct aft_client *c = open_with(&t, &o);
        struct aft_client_request r = request_of("u1");
        memset(&plain, 0, sizeof plain);
        memset(&masked, 0, sizeof masked);
        for (long n = 0; n < rounds; n++) {
            const uint32_t drop[] = {0, 5};
            struct aft_client_decision *d = decide(c, &r);
            assert_int_equal(aft_client_decision_slate(d)->propensity, AFT_CLIENT_EXACT);
            count(&plain, aft_client_decision_slate(d));
            assert_int_equal(aft_client_decision_mask(c, d, drop, 2, "capped", NULL),
                             AFT_CLIENT_OK);
            count(&masked, aft_client_decision_slate(d));
            aft_client_decision_free(c, d);
        }
        all_fit(&plain);
        all_fit(&masked);
        assert_int_equal(masked.shown[0][0] + masked.shown[1][0] + masked.shown[2][5], 0);
        assert_int_equal(aft_client_close(c, 0, NULL), AFT_CLIENT_OK);
        made_snapshot_deinit(&snapshot);
        memory_transport_deinit(&t);
    }
}

/* ---- a late mask is the early mask, bit for bit, and the survivors nearly always keep their order */
static void
late_is_early(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(22);
    struct memory_transport t = {0};
    struct made_snapshot snapshot = {0};
    struct made_spec spec = spec_of(1, "softmax");
    make_snapshot(&spec, &snapshot);
    memory_give(&t, &snapshot);
    struct aft_client_options o = options_of(&seed);
    struct aft_client *c = open_with(&t, &o);
    int kept = 0;
    for (int i = 0; i < 500; i++) {
        char id[32];
        struct aft_client_request r = request_of("u1");
        snprintf(id, sizeof id, "decision-%d", i);
        r.decision_id = id;
        struct aft_client_decision *late = decide(c, &r);
        const struct aft_client_slate *s = aft_client_decision_slate(late);
        uint32_t drop = s->slots[0].candidate, second = s->slots[1].candidate,
                 third = s->slots[2].candidate;
        assert_int_equal(aft_client_decision_mask(c, late, &drop, 1, "capped", NULL),
                         AFT_CLIENT_OK);
        kept += s->slots[0].candidate == second && s->slots[1].candidate == third;
        candidates[drop].mask = "capped";
        struct aft_client_decision *early = decide(c, &r);
        const struct aft_client_slate *x = aft_client_decision_slate(early);
        assert_int_equal(x->n, s->n);
        for (uint32_t l = 0; l < s->n; l++) {
            assert_int_equal(x->slots[l].candidate, s->slots[l].candidate);
            assert_true(x->slots[l].conditional == s->slots[l].conditional);
            assert_true(x->slots[l].marginal == s->slots[l].marginal);
        }
        aft_client_decision_free(c, late);
        aft_client_decision_free(c, early);
    }
    assert_in_range(kept, 480, 500); /* the floor is spread anew, so a few change places */
    aft_client_close(c, 0, NULL);
    made_snapshot_deinit(&snapshot);
    memory_transport_deinit(&t);
}

static void
a_mask_that_leaves_nobody_changes_nothing(void **state)
{
    (void)state;
    uint64_t seed = 3;
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7}, outside[] = {0, ARMS};
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_request r = request_of("u1");
    struct aft_client_error why;
    struct aft_client_decision *d = decide(c, &r);
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    struct aft_client_slot before[K];
    memcpy(before, s->slots, sizeof before);
    assert_int_equal(aft_client_decision_mask(c, d, all, ARMS, "all", &why), AFT_CLIENT_WRONG);
    assert_memory_equal(before, s->slots, sizeof before);
    assert_int_equal(aft_client_decision_mask(c, d, outside, 2, "x", &why), AFT_CLIENT_WRONG);
    assert_memory_equal(before, s->slots, sizeof before);
    assert_int_equal(aft_client_decision_mask(c, d, all, ARMS - 1, "most", &why), AFT_CLIENT_OK);
    assert_int_equal(s->n, 1);
    assert_true(s->slots[0].conditional == 1 && s->slots[0].candidate == 7);
    assert_int_equal(aft_client_log_impression(c, d, &why), AFT_CLIENT_OK);
    assert_int_equal(aft_client_log_impression(c, d, &why), AFT_CLIENT_WRONG);
    assert_int_equal(aft_client_decision_mask(c, d, all, 1, "late", &why), AFT_CLIENT_WRONG);
    aft_client_decision_free(c, d);
    aft_client_close(c, 0, NULL);
    memory_transport_deinit(&t);
}

/* ---- the baseline */
static void
baseline_is_sticky(void **state)
{
    (void)state;
    uint64_t seed = 4;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed);
    o.baseline_share = 0.1;
    struct aft_client *c = open_with(&t, &o);
    o.baseline_salt = "another experiment";
    struct aft_client *other = open_with(&t, &o);
    int on = 0, moved = 0, users = 20000;
    for (int i = 0; i < users; i++) {
        char user[32];
        snprintf(user, sizeof user, "user-%d", i);
        bool baseline = aft_client_is_baseline(c, user);
        on += baseline;
        moved += baseline != aft_client_is_baseline(other, user);
        if (i >= 300)
            continue;
        struct aft_client_request r = request_of(user);
        struct aft_client_decision *d = decide(c, &r);
        const struct aft_client_slate *s = aft_client_decision_slate(d);
        assert_true(s->baseline == baseline);
        assert_string_equal(s->policy, baseline ? "baseline" : "personalised");
        aft_client_decision_free(c, d);
    }
    assert_in_range(on, users * 9 / 100, users * 11 / 100); /* 4.7 standard errors */
    assert_in_range(moved, users * 15 / 100, users * 21 / 100);
    aft_client_close(c, 0, NULL);
    aft_client_close(other, 0, NULL);
    memory_transport_deinit(&t);
}

/* ---- threads decide while snapshots swap */
enum { ROUNDS = 60, THREADS = 4 };
struct race {
    struct aft_client *client;
    atomic_bool stop;
    atomic_long decided, wrong;
    float expected[ROUNDS + 1]
                  [ARMS]; /* log-weights under the snapshot of each round; 0: none yet */
};

static void *
decider(void *ctx)
{
    struct race *x = ctx;
    struct aft_client_decision *held[5] = {0};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    r.user_id = "u";
    r.k = K;
    r.candidates = candidates;
    r.candidates_n = ARMS;
    for (long n = 0; !atomic_load(&x->stop); n++) {
        struct aft_client_decision **d = &held[n % 5]; /* some are held for a while */
        aft_client_decision_free(x->client, *d);
        if (aft_client_decide(x->client, &r, d, NULL) != AFT_CLIENT_OK) {
            atomic_fetch_add(&x->wrong, 1);
            break;
        }
        const struct aft_client_slate *s = aft_client_decision_slate(*d);
        if (memcmp(s->log_weights, x->expected[s->round], sizeof x->expected[0]) != 0)
            atomic_fetch_add(&x->wrong, 1);
        const uint32_t drop = s->slots[0].candidate;
        aft_client_decision_mask(x->client, *d, &drop, 1, "capped", NULL); /* by the same model */
        if (s->slots[0].candidate == drop)
            atomic_fetch_add(&x->wrong, 1);
        atomic_fetch_add(&x->decided, 1);
    }
    for (int i = 0; i < 5; i++)
        aft_client_decision_free(x->client, held[i]);
    return NULL;
}

static void
expect(struct race *x, const struct made_snapshot *s, int round)
{
    struct aft_error e;
    bool whole = false;
    struct aft_model *m = NULL;
    struct aft_snapshot_set *set = aft_snapshot_set_new();
    struct aft_scratch *scratch = aft_scratch_new();
    struct aft_candidate plain[ARMS];
    struct aft_decision d;
    memset(plain, 0, sizeof plain);
    for (int i = 0; i < ARMS; i++)
        plain[i].arm_id = aft_text(arms[i]);
    struct aft_request r = {
        .candidates = plain, .candidates_n = ARMS, .k = K, .key = AFT_LITERAL("k")};
    struct aft_bytes part = aft_buffer_bytes(&s->part), manifest = aft_buffer_bytes(&s->manifest);
    part.p += 10, part.n -= 10, manifest.p += 10, manifest.n -= 10; /* the frame */
    assert_int_equal(aft_snapshot_set_add(set, part, &whole, &e), AFT_OK);
    assert_int_equal(aft_snapshot_set_add(set, manifest, &whole, &e), AFT_OK);
    assert_true(whole);
    assert_int_equal(aft_model_load(set, &m, &e), AFT_OK);
    assert_int_equal(aft_decide(m, scratch, &r, &d, &e), AFT_OK);
    memcpy(x->expected[round], d.log_weights, sizeof x->expected[0]);
    aft_model_free(m);
    aft_scratch_free(scratch);
    aft_snapshot_set_free(set);
}

static void
swaps_under_threads(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(23);
    static struct race x;
    static struct made_snapshot made[ROUNDS + 1];
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed);
    request_of("u");
    for (int i = 0; i < ARMS; i++)
        candidates[i].features_n = 0;
    for (int round = 1; round <= ROUNDS; round++) {
        double moved[ARMS];
        for (int i = 0; i < ARMS; i++)
            moved[i] = theta[i] * round;
        struct made_spec spec = spec_of(round, "softmax");
        spec.theta = moved;
        make_snapshot(&spec, &made[round]);
        expect(&x, &made[round], round);
    }
    x.client = open_with(&t, &o);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decider, &x), 0);
    for (int round = 1; round <= ROUNDS; round++) {
        memory_give(&t, &made[round]);
        aft_client_poll(x.client, 0);
        long before = atomic_load(&x.decided);
        while (atomic_load(&x.decided) < before + 20 && !atomic_load(&x.wrong))
            nanosleep(&(struct timespec){0, 200000}, NULL);
    }
    atomic_store(&x.stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(x.client, &info);
    assert_int_equal(atomic_load(&x.wrong), 0);
    assert_int_equal(info.round, ROUNDS);
    assert_int_equal(info.snapshots_applied, ROUNDS);
    assert_true(info.decisions >= 20 * ROUNDS);
    assert_int_equal(aft_client_close(x.client, 0, NULL), AFT_CLIENT_OK);
    for (int round = 1; round <= ROUNDS; round++)
        made_snapshot_deinit(&made[round]);
    memory_transport_deinit(&t);
}

/* ---- broken snapshots never replace a good one */
static void
refused(struct memory_transport *t, struct aft_client *c, const struct made_snapshot *s,
        int64_t still)
{
    struct aft_client_info before = AFT_CLIENT_INFO, after = AFT_CLIENT_INFO;
    aft_client_info(c, &before);
    memory_give(t, s);
    aft_client_poll(c, 0);
    aft_client_info(c, &after);
    assert_true(after.snapshots_refused > before.snapshots_refused);
    assert_int_equal(after.snapshots_applied, before.snapshots_applied);
    assert_int_equal(after.round, still);
    assert_string_equal(after.snapshot_id, before.snapshot_id);
    assert_true(after.last_refusal[0] != 0);
}

static void
broken_is_refused(void **state)
{
    (void)state;
    uint64_t seed = kit_seed(24);
    struct aft_random random;
    struct memory_transport t = {0};
    struct made_snapshot good = {0}, bad = {0};
    struct made_spec first = spec_of(5, "softmax"), next = spec_of(6, "softmax"),
                     older = spec_of(4, "softmax");
    struct aft_client_options o = options_of(&seed);
    aft_random_init(&random, seed, 0);
    make_snapshot(&first, &good);
    memory_give(&t, &good);
    struct aft_client *c = open_with(&t, &o);
    make_snapshot(&older, &bad);
    refused(&t, c, &bad, 5);
    for (int i = 0; i < 300; i++) { /* any one byte changed */
        next.round = 6 + i;
        make_snapshot(&next, &bad);
        struct aft_buffer *b = i % 2 ? &bad.part : &bad.manifest;
        b->p[aft_random_below(&random, (uint32_t)b->n)] ^=
            (uint8_t)(1u << aft_random_below(&random, 8));
        refused(&t, c, &bad, 5);
    }
    for (int i = 0; i < 100; i++) { /* cut anywhere */
        next.round = 1000 + i;
        make_snapshot(&next, &bad);
        struct aft_buffer *b = i % 2 ? &bad.part : &bad.manifest;
        b->n = aft_random_below(&random, (uint32_t)b->n);
        refused(&t, c, &bad, 5);
    }
    next.round = 2000;
    make_snapshot(&next, &bad);
    memory_give(&t, &bad);
    aft_client_poll(c, 0);
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(c, &info);
    assert_int_equal(info.round, 2000);
    aft_client_close(c, 0, NULL);
    made_snapshot_deinit(&good);
    made_snapshot_deinit(&bad);
    memory_transport_deinit(&t);
}

/* ---- the file */
static void
starts_from_the_file(void **state)
{
    (void)state;
    uint64_t seed = 7;
    char folder[64], path[80];
    kit_file(folder, path, "client");
    struct memory_transport t = {0};
    struct made_snapshot made = {0};
    struct made_spec spec = spec_of(9, "softmax");
    make_snapshot(&spec, &made);
    memory_give(&t, &made);
    struct aft_client_options o = options_of(&seed);
    o.snapshot_file = path;
    struct aft_client *live = open_with(&t, &o), *again = NULL;
    struct aft_client_error why;
    if (aft_client_open(&o, &again, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
    struct aft_client_request r = request_of("u1");
    r.decision_id = "d";
    struct aft_client_decision *a = decide(live, &r), *b = decide(again, &r);
    const struct aft_client_slate *x = aft_client_decision_slate(a),
                                  *y = aft_client_decision_slate(b);
    assert_string_equal(x->snapshot_id, y->snapshot_id);
    assert_int_equal(y->round, 9);
    assert_memory_equal(x->log_weights, y->log_weights, sizeof(float) * ARMS);
    assert_int_equal(x->slots[2].candidate, y->slots[2].candidate);
    assert_int_equal(aft_client_log_impression(again, b, &why),
                     AFT_CLIENT_WRONG); /* no broker: said */
    aft_client_decision_free(live, a);
    aft_client_decision_free(again, b);
    aft_client_close(live, 0, NULL);
    aft_client_close(again, 0, NULL);
    /* damaged: refused where nothing can mend it, mended where a topic can */
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, 200, SEEK_SET);
    fputc(0xAA, f);
    fclose(f);
    assert_int_equal(aft_client_open(&o, &again, &why), AFT_CLIENT_SNAPSHOT);
    memory_give(&t, &made);
    live = open_with(&t, &o);
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(live, &info);
    assert_int_equal(info.round, 9);
    assert_int_equal(info.snapshots_refused, 1);
    aft_client_close(live, 0, NULL);
    assert_int_equal(aft_client_open(&o, &again, &why), AFT_CLIENT_OK);
    aft_client_close(again, 0, NULL);
    kit_remove(folder);
    assert_int_equal(aft_client_open(&o, &again, &why), AFT_CLIENT_OK); /* nothing yet: uniform */
    aft_client_close(again, 0, NULL);
    made_snapshot_deinit(&made);
    memory_transport_deinit(&t);
}

/* ---- the records say what was decided */
static struct aft_bytes
first_record(const struct memory_transport *t, int topic)
{
    struct aft_bytes all = aft_buffer_bytes(&t->records[topic]);
    return (struct aft_bytes){all.p + 4, aft_load_le32(all.p)};
}

static void
record_is_the_decision(void **state)
{
    (void)state;
    uint64_t seed = 8;
    struct memory_transport t = {0};
    struct made_snapshot made = {0};
    struct made_spec spec = spec_of(2, "softmax");
    struct aft_arena arena;
    struct aft_impression x;
    struct aft_frame frame;
    struct aft_error e;
    aft_arena_init(&arena, 1 << 20);
    make_snapshot(&spec, &made);
    memory_give(&t, &made);
    struct aft_client_options o = options_of(&seed);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_request r = request_of("u1");
    candidates[2].mask = "done";
    r.session_id = "s1";
    struct aft_client_decision *d = decide(c, &r);
    const uint32_t drop = 1;
    assert_int_equal(aft_client_decision_mask(c, d, &drop, 1, "capped", NULL), AFT_CLIENT_OK);
    assert_int_equal(aft_client_log_impression(c, d, NULL), AFT_CLIENT_OK);
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    assert_int_equal(aft_frame_parse(first_record(&t, AFT_CLIENT_IMPRESSIONS), &frame, &e), AFT_OK);
    assert_true(frame.fingerprint == aft_record_fingerprint(AFT_RECORD_IMPRESSION));
    if (aft_decode_impression(frame.body, &arena, &x, &e) != AFT_OK)
        fail_msg("%s", e.message);
    assert_true(aft_same(x.decision_id, aft_text(s->decision_id)));
    assert_true(aft_same(x.user_id, AFT_LITERAL("u1")) &&
                aft_same(x.session_id, AFT_LITERAL("s1")));
    assert_true(aft_same(x.policy, AFT_LITERAL("personalised")));
    assert_true(aft_same(x.snapshot, aft_text(s->snapshot_id)));
    assert_int_equal(x.timestamp_ms, 1767225600000);
    assert_int_equal(x.context.n, 4); /* the device is one of them */
    assert_int_equal(x.candidates_n, ARMS);
    assert_true(aft_same(x.candidates[2].mask, AFT_LITERAL("done")));
    assert_true(aft_same(x.candidates[1].mask, AFT_LITERAL("capped")));
    assert_true(x.candidates[0].has_log_weight && !x.candidates[1].has_log_weight);
    assert_true(x.candidates[0].log_weight == s->log_weights[0]);
    assert_int_equal(x.slate_n, s->n);
    for (uint32_t l = 0; l < s->n; l++) {
        assert_true(aft_same(x.slate[l].arm_id, aft_text(s->slots[l].arm_id)));
        assert_int_equal(x.slate[l].slot, l);
        assert_true(x.slate[l].propensity == s->slots[l].conditional);
        assert_true(x.slate[l].has_marginal && x.slate[l].marginal == s->slots[l].marginal);
        assert_true(aft_same(x.slate[l].subject,
                             s->slots[l].candidate % 2 ? AFT_LITERAL("task") : AFT_ABSENT));
        assert_int_equal(x.slate[l].features.n, 1);
    }
    assert_true(x.has_design && x.design.k == K && aft_same(x.design.key, x.decision_id));
    aft_client_decision_free(c, d);
    aft_client_close(c, 0, NULL);
    aft_arena_deinit(&arena);
    made_snapshot_deinit(&made);
    memory_transport_deinit(&t);
}

static void
outcomes_are_taken_or_refused(void **state)
{
    (void)state;
    uint64_t seed = 9;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_outcome out = AFT_CLIENT_OUTCOME;
    struct aft_client_error why;
    struct aft_client_info info = AFT_CLIENT_INFO;
    struct aft_outcome x;
    struct aft_arena arena;
    struct aft_frame frame;
    struct aft_error e;
    out.user_id = "u1";
    out.kind = "click";
    out.time_ms = 5;
    out.value = 2.5;
    out.decision_id = "d1";
    t.full = 2; /* full for a moment: it waits, then is taken */
    assert_int_equal(aft_client_log_outcome(c, &out, &why), AFT_CLIENT_OK);
    assert_int_equal(t.appended[AFT_CLIENT_OUTCOMES], 1);
    t.full = UINT32_MAX; /* full for good: the caller is told, nothing was taken */
    assert_int_equal(aft_client_log_outcome(c, &out, &why), AFT_CLIENT_AGAIN);
    assert_int_equal(t.appended[AFT_CLIENT_OUTCOMES], 1);
    t.full = 0;
    aft_arena_init(&arena, 1 << 16);
    assert_int_equal(aft_frame_parse(first_record(&t, AFT_CLIENT_OUTCOMES), &frame, &e), AFT_OK);
    assert_int_equal(aft_decode_outcome(frame.body, &arena, &x, &e), AFT_OK);
    assert_true(aft_same(x.kind, AFT_LITERAL("click")) && x.value_micro == 2500000);
    assert_true(x.outcome_id.n == 32 && aft_same(x.decision_id, AFT_LITERAL("d1")) &&
                !x.retracts.p);
    out.kind = NULL;
    assert_int_equal(aft_client_log_outcome(c, &out, &why), AFT_CLIENT_WRONG);
    out.kind = "click";
    out.value = (double)INFINITY;
    assert_int_equal(aft_client_log_outcome(c, &out, &why), AFT_CLIENT_WRONG);
    aft_client_info(c, &info);
    assert_int_equal(info.outcomes, 1);
    aft_client_close(c, 0, NULL);
    aft_arena_deinit(&arena);
    memory_transport_deinit(&t);
}

static void
wrong_is_said(void **state)
{
    (void)state;
    uint64_t seed = 10;
    struct memory_transport t = {0};
    struct aft_client_options o = options_of(&seed);
    struct aft_client *c = open_with(&t, &o);
    struct aft_client_decision *d;
    struct aft_client_error why;
    const struct aft_client_feature nan_feature = {"x", AFT_CLIENT_NUMBER, (double)NAN, NULL},
                                    twice[] = {card[0], card[0]};
    struct aft_client_request good = request_of("u1"), r;
#define WRONG(change)                                                       \
    r = good;                                                               \
    change;                                                                 \
    assert_int_equal(aft_client_decide(c, &r, &d, &why), AFT_CLIENT_WRONG); \
    assert_null(d);                                                         \
    assert_true(why.message[0] != 0)
    WRONG(r.user_id = NULL);
    WRONG(r.user_id = "");
    WRONG(r.k = 0);
    WRONG(r.k = 9);
    WRONG(r.candidates_n = 0);
    WRONG(r.size = sizeof r + 8);
    WRONG((r.context = &nan_feature, r.context_n = 1));
    WRONG((r.context = twice, r.context_n = 2));
    WRONG(candidates[3].arm_id = candidates[4].arm_id);
    char out[33], key[16] = "0123456789abcde";
    assert_int_equal(aft_client_user_hash(key, 15, "p", out, &why), AFT_CLIENT_WRONG);
    assert_int_equal(aft_client_user_hash(key, 16, "p", out, &why), AFT_CLIENT_OK);
    assert_int_equal(strlen(out), 32);
    aft_client_close(c, 0, NULL);
    o.baseline_share = 1.5;
    assert_int_equal(aft_client_open(&o, &c, &why), AFT_CLIENT_CONFIG);
    memory_transport_deinit(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown_as_claimed),
        cmocka_unit_test(late_is_early),
        cmocka_unit_test(a_mask_that_leaves_nobody_changes_nothing),
        cmocka_unit_test(baseline_is_sticky),
        cmocka_unit_test(swaps_under_threads),
        cmocka_unit_test(broken_is_refused),
        cmocka_unit_test(starts_from_the_file),
        cmocka_unit_test(record_is_the_decision),
        cmocka_unit_test(outcomes_are_taken_or_refused),
        cmocka_unit_test(wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
