/* A catalogue decides and logs what the same candidates would: bytes, masks, own features, how often each was shown, epochs; and it
 * lives as long as the decisions that were made with it. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "tests/snapshots.h"

enum { ARMS = 12, OWN = 3 };
static char ids[ARMS][8];
static const char *arms[ARMS];
static double theta[ARMS];
static struct aft_client_feature features[ARMS][OWN + 1];
static struct aft_client_candidate candidates[ARMS];

struct bed {
    struct memory_transport t;
    struct made_snapshot made;
    struct aft_client *c;
    struct aft_client_catalogue *k;
};

static void
make_candidates(void)
{
    static const char *const names[OWN] = {"price", "length", "format"};
    for (int a = 0; a < ARMS; a++) {
        snprintf(ids[a], sizeof ids[a], "arm%d", a);
        arms[a] = ids[a];
        theta[a] = 0.1 * a;
        for (int i = 0; i < OWN; i++)
            features[a][i] = (struct aft_client_feature){
                names[i], i == 2 ? AFT_CLIENT_TEXT : AFT_CLIENT_NUMBER, a + i, "card"};
        candidates[a] = (struct aft_client_candidate){.arm_id = arms[a],
                                                      .subject = a % 2 ? "task" : NULL,
                                                      .features = features[a],
                                                      .features_n = OWN};
    }
}

static void
begin(struct bed *b)
{
    static const uint64_t seed = 5;
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_error e;
    struct made_spec spec = {.round = 1,
                             .arms = arms,
                             .theta = theta,
                             .arms_n = ARMS,
                             .explore = "softmax",
                             .temperature = "0.2",
                             .key = "policy.repetition",
                             .value = "0.5"};
    *b = (struct bed){0};
    make_candidates();
    make_snapshot(&spec, &b->made);
    memory_give(&b->t, &b->made);
    struct aft_client_transport transport = memory_transport_of(&b->t);
    o.seed = &seed;
    o.baseline_share = 0;
    assert_int_equal(aft_client_open_over(&o, &transport, &b->c, &e), AFT_OK);
    assert_int_equal(aft_client_catalogue_new(b->c, candidates, ARMS, &b->k, NULL), AFT_CLIENT_OK);
}

static void
end(struct bed *b)
{
    aft_client_catalogue_free(b->k);
    assert_int_equal(aft_client_close(b->c, 0, NULL), AFT_CLIENT_OK);
    made_snapshot_deinit(&b->made);
    memory_transport_deinit(&b->t);
}

static struct aft_client_request
request_of(const struct bed *b, bool catalogue)
{
    static const struct aft_client_feature context[] = {{"days", AFT_CLIENT_NUMBER, 12, NULL}};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    r.user_id = "u";
    r.decision_id = "d1";
    r.device = "web";
    r.time_ms = 1767225600000;
    r.context = context;
    r.context_n = 1;
    if (catalogue) {
        r.catalogue = b->k;
    } else {
        r.candidates = candidates;
        r.candidates_n = ARMS;
    }
    return r;
}

/* Decides, drops one late, logs: the record goes to *out. */
static void
record_of(struct bed *b, const struct aft_client_request *r, struct aft_buffer *out)
{
    struct aft_client_decision *d;
    struct aft_client_error why;
    const uint32_t drop = 2;
    if (aft_client_decide(b->c, r, &d, &why) != AFT_CLIENT_OK)
        fail_msg("%s", why.message);
    aft_buffer_reset(&b->t.records[0]);
    assert_int_equal(aft_client_decision_mask(b->c, d, &drop, 1, "late", NULL), AFT_CLIENT_OK);
    assert_int_equal(aft_client_log_impression(b->c, d, NULL), AFT_CLIENT_OK);
    aft_client_decision_free(b->c, d);
    aft_buffer_reset(out);
    aft_put_raw(out, aft_buffer_bytes(&b->t.records[0]));
}

static void
same_record(struct bed *b, const struct aft_client_request *x, const struct aft_client_request *y)
{
    struct aft_buffer p = {0}, q = {0};
    record_of(b, x, &p);
    record_of(b, y, &q);
    assert_int_equal(p.n, q.n);
    assert_memory_equal(p.p, q.p, p.n);
    aft_buffer_deinit(&p);
    aft_buffer_deinit(&q);
}

static void
decides_as_candidates_do(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    struct aft_client_request plain = request_of(&b, false), by = request_of(&b, true);
    for (int again = 0; again < 3; again++)
        same_record(&b, &plain, &by);
    /* masks of the request are the candidates' own */
    const char *masks[ARMS] = {[4] = "done", [ARMS - 1] = "capped"};
    candidates[4].mask = "done";
    candidates[ARMS - 1].mask = "capped";
    by.masks = masks;
    same_record(&b, &plain, &by);
    candidates[4].mask = candidates[ARMS - 1].mask = NULL;
    plain.masks = masks;
    same_record(&b, &plain, &by);
    /* own features stand behind the candidate's others */
    struct aft_client_own own[] = {{7, {"seen", AFT_CLIENT_NUMBER, 3, NULL}},
                                   {5, {"new", AFT_CLIENT_FLAG, 1, NULL}},
                                   {7, {"mood", AFT_CLIENT_TEXT, 0, "calm"}}};
    struct aft_client_feature more[OWN + 2];
    memcpy(more, features[7], sizeof *more * OWN);
    more[OWN] = own[0].feature;
    more[OWN + 1] = own[2].feature;
    by.own = own;
    by.own_n = 3;
    candidates[7].features = more;
    candidates[7].features_n = OWN + 2;
    features[5][OWN] = own[1].feature;
    candidates[5].features_n = OWN + 1;
    same_record(&b, &plain, &by);
    end(&b);
}

/* log w -= policy.repetition x recent, to the bit of a float of the sum. */
static void
recent_lowers_the_weight(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    struct aft_client_request by = request_of(&b, true);
    struct aft_client_decision *fresh, *tired;
    float recent[ARMS] = {[3] = 2};
    assert_int_equal(aft_client_decide(b.c, &by, &fresh, NULL), AFT_CLIENT_OK);
    by.recent = recent;
    assert_int_equal(aft_client_decide(b.c, &by, &tired, NULL), AFT_CLIENT_OK);
    recent[3] = 1000; /* it was copied */
    const uint32_t drop = 0;
    assert_int_equal(aft_client_decision_mask(b.c, tired, &drop, 1, "late", NULL), AFT_CLIENT_OK);
    const float *x = aft_client_decision_slate(fresh)->log_weights;
    const float *y = aft_client_decision_slate(tired)->log_weights;
    assert_true(fabs((double)x[3] - (double)y[3] - 1) < 1e-6);
    for (int i = 1; i < ARMS; i++)
        assert_true(i == 3 || x[i] == y[i]);
    aft_client_decision_free(b.c, fresh);
    aft_client_decision_free(b.c, tired);
    end(&b);
}

static void
an_epoch_is_another_key(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    struct aft_client_request by = request_of(&b, true), named = by;
    by.key = "week-7";
    named.key = "week-7#3";
    by.epoch = 3;
    same_record(&b, &by, &named);
    /* and draws anew: over many users some slates differ, and without an epoch none does */
    int moved = 0;
    for (int i = 0; i < 50; i++) {
        char key[16];
        struct aft_client_decision *d[3];
        snprintf(key, sizeof key, "w%d", i);
        by.key = key;
        for (uint32_t j = 0; j < 3; j++) {
            by.epoch = j == 2;
            assert_int_equal(aft_client_decide(b.c, &by, &d[j], NULL), AFT_CLIENT_OK);
        }
        uint32_t top[3];
        for (uint32_t j = 0; j < 3; j++) {
            top[j] = aft_client_decision_slate(d[j])->slots[0].candidate;
            aft_client_decision_free(b.c, d[j]);
        }
        assert_int_equal(top[0], top[1]);
        moved += top[2] != top[0];
    }
    assert_true(moved > 10);
    end(&b);
}

static void
outlives_its_owner(void **state)
{
    (void)state;
    struct bed b;
    begin(&b);
    struct aft_client_request by = request_of(&b, true);
    struct aft_client_decision *d;
    assert_int_equal(aft_client_decide(b.c, &by, &d, NULL), AFT_CLIENT_OK);
    aft_client_catalogue_free(b.k);
    b.k = NULL;
    aft_client_catalogue_free(NULL);
    assert_int_equal(aft_client_log_impression(b.c, d, NULL), AFT_CLIENT_OK); /* reads features */
    aft_client_decision_free(b.c, d);
    end(&b);
}

static void
wrong_is_said(void **state)
{
    (void)state;
    struct bed b, other;
    struct aft_client_catalogue *k;
    struct aft_client_decision *d;
    struct aft_client_error why;
    begin(&b);
    begin(&other);
    struct aft_client_own beyond = {ARMS, {"x", AFT_CLIENT_NUMBER, 1, NULL}},
                          twice = {2, {"price", AFT_CLIENT_NUMBER, 1, NULL}};
    const double p[3] = {1, 1, 1};
    struct aft_client_request good = request_of(&b, true), r;
#define WRONG(change)                                                         \
    r = good;                                                                 \
    change;                                                                   \
    assert_int_equal(aft_client_decide(b.c, &r, &d, &why), AFT_CLIENT_WRONG); \
    assert_null(d)
    WRONG((r.candidates = candidates, r.candidates_n = ARMS));
    WRONG(r.catalogue = other.k);
    WRONG((r.own = &beyond, r.own_n = 1));
    WRONG((r.own = &twice, r.own_n = 1));
    WRONG(r.propensities = p);
    r = good; /* and a good one still is */
    assert_int_equal(aft_client_decide(b.c, &r, &d, &why), AFT_CLIENT_OK);
    aft_client_decision_free(b.c, d);
    candidates[1].mask = "done";
    assert_int_equal(aft_client_catalogue_new(b.c, candidates, ARMS, &k, &why), AFT_CLIENT_WRONG);
    candidates[1].mask = NULL;
    candidates[1].arm_id = arms[2];
    assert_int_equal(aft_client_catalogue_new(b.c, candidates, ARMS, &k, &why), AFT_CLIENT_WRONG);
    assert_int_equal(aft_client_catalogue_new(b.c, NULL, 3, &k, &why), AFT_CLIENT_WRONG);
    assert_int_equal(aft_client_catalogue_new(b.c, candidates, 0, &k, &why), AFT_CLIENT_WRONG);
    end(&other);
    end(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_as_candidates_do),
        cmocka_unit_test(recent_lowers_the_weight),
        cmocka_unit_test(an_epoch_is_another_key),
        cmocka_unit_test(outlives_its_owner),
        cmocka_unit_test(wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
