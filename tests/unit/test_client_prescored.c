/* test_client_prescored.c - decisions from a prescored record: exactly those of the weights in it, whatever the client follows; damaged
 * records are refused. (What `aftertouch score` writes, and that it agrees with live decisions: tests/python/test_score.py.) */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "tests/snapshots.h"

enum { ARMS = 6, FROM = 1000000, UNTIL = 2000000 };
static const char *const arms[ARMS] = {"a0", "a1", "a2", "a3", "a4", "a5"};
static const float weights[ARMS] = {0.5F, -1.0F, 2.0F, 0.0F, 1.25F, -0.5F};

static int64_t
now(void *clock)
{
    (void)clock;
    return FROM + 5;
}

static struct aft_client *
open_client(struct memory_transport *t)
{
    struct aft_client *c;
    struct aft_error e;
    struct aft_client_transport transport = memory_transport_of(t);
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    o.now_ms = now;
    o.baseline_share = 0;
    if (aft_client_open_over(&o, &transport, &c, &e) != AFT_OK)
        fail_msg("%s", e.message);
    return c;
}

static void
make_record(struct aft_buffer *out)
{
    static struct aft_prescored_candidate c[ARMS];
    struct aft_feature hour = {
        .name = AFT_LITERAL("hour"), .type = AFT_FEATURE_NUMBER, .number = 8};
    for (int i = 0; i < ARMS; i++)
        c[i] = (struct aft_prescored_candidate){
            .arm_id = aft_text(arms[i]), .has_log_weight = i != 3, .log_weight = weights[i]};
    c[3].mask = AFT_LITERAL("plan");
    struct aft_prescored p = {.user_id = AFT_LITERAL("user"),
                              .snapshot = AFT_LITERAL("0123456789abcdef"),
                              .round = 7,
                              .valid_from_ms = FROM,
                              .valid_until_ms = UNTIL,
                              .context = {&hour, 1},
                              .candidates = c,
                              .candidates_n = ARMS,
                              .design = {.kind = AFT_LITERAL("plackett_luce"),
                                         .temperature = 0.1,
                                         .epsilon = 0.05,
                                         .k = 3,
                                         .key = AFT_LITERAL("user/1000000")}};
    aft_buffer_reset(out);
    aft_frame_put_single(out, AFT_RECORD_PRESCORED);
    aft_encode_prescored(out, &p);
}

static struct aft_client_request
request_of(const struct aft_buffer *record, struct aft_client_candidate *candidates)
{
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    for (int i = 0; i < ARMS; i++)
        candidates[i] = (struct aft_client_candidate){.arm_id = arms[i]};
    r.user_id = "user";
    r.candidates = candidates;
    r.candidates_n = ARMS;
    r.prescored = record->p;
    r.prescored_bytes = record->n;
    return r;
}

/* Conditionals by the formula, from the weights alone. */
static void
fits(const struct aft_client_slate *s, const bool *eligible)
{
    double w[ARMS], sum = 0, left = 1, n = 0;
    for (int i = 0; i < ARMS; i++) {
        w[i] = eligible[i] ? exp((double)weights[i]) : 0;
        sum += w[i];
        n += eligible[i];
    }
    for (int i = 0; i < ARMS; i++)
        w[i] = eligible[i] ? 0.95 * w[i] / sum + 0.05 / n : 0;
    for (uint32_t l = 0; l < s->n; l++) {
        uint32_t c = s->slots[l].candidate;
        assert_true(eligible[c]);
        assert_true(fabs(s->slots[l].conditional - w[c] / left) < 1e-12);
        left -= w[c];
    }
}

static void
weights_decide(void **state)
{
    (void)state;
    struct memory_transport t = {0};
    struct aft_client *c = open_client(&t);
    struct aft_client_error why;
    struct aft_client_candidate candidates[ARMS];
    struct aft_buffer record = {0};
    struct aft_client_decision *d;
    bool eligible[ARMS] = {true, true, true, false, true, true};
    const uint32_t dropped = 2;
    make_record(&record);
    struct aft_client_request r = request_of(&record, candidates);
    assert_int_equal(aft_client_decide(c, &r, &d, &why), AFT_CLIENT_OK);
    memset(record.p, 0, record.n); /* it was copied */
    const struct aft_client_slate *s = aft_client_decision_slate(d);
    assert_int_equal(s->n, 3);
    fits(s, eligible);
    assert_string_equal(s->decision_id, "user/1000000");
    assert_string_equal(s->snapshot_id, "0123456789abcdef");
    assert_string_equal(s->design, "plackett_luce");
    assert_int_equal(s->round, 7);
    assert_true(isinf(s->log_weights[3]) && s->log_weights[4] == weights[4]);
    assert_int_equal(aft_client_decision_mask(c, d, &dropped, 1, "cap", &why), AFT_CLIENT_OK);
    eligible[2] = false;
    fits(s, eligible);
    assert_int_equal(aft_client_log_impression(c, d, &why), AFT_CLIENT_OK);
    aft_client_decision_free(c, d);
    aft_buffer_deinit(&record);
    assert_int_equal(aft_client_close(c, 0, &why), AFT_CLIENT_OK);
    memory_transport_deinit(&t);
}

static void
damaged_records_are_refused(void **state)
{
    (void)state;
    struct memory_transport t = {0};
    struct aft_client *c = open_client(&t);
    struct aft_client_error why;
    struct aft_client_candidate candidates[ARMS];
    struct aft_buffer record = {0};
    struct aft_client_decision *d;
    make_record(&record);
    for (size_t n = 0; n < record.n; n++) { /* every cut, in memory of its own */
        uint8_t *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, record.p, n);
        struct aft_client_request r = request_of(&record, candidates);
        r.prescored = cut;
        r.prescored_bytes = n;
        assert_int_not_equal(aft_client_decide(c, &r, &d, &why), AFT_CLIENT_OK);
        assert_null(d);
        free(cut);
    }
    for (size_t i = 0; i < record.n;
         i++) { /* every byte changed: refused, or decided with true probabilities */
        record.p[i] ^= 0x55;
        struct aft_client_request r = request_of(&record, candidates);
        if (aft_client_decide(c, &r, &d, &why) == AFT_CLIENT_OK) {
            const struct aft_client_slate *s = aft_client_decision_slate(d);
            for (uint32_t l = 0; l < s->n; l++)
                assert_true(s->slots[l].conditional > 0 && s->slots[l].conditional <= 1);
            aft_client_decision_free(c, d);
        }
        record.p[i] ^= 0x55;
    }
    aft_buffer_deinit(&record);
    assert_int_equal(aft_client_close(c, 0, &why), AFT_CLIENT_OK);
    memory_transport_deinit(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights_decide),
                                       cmocka_unit_test(damaged_records_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
