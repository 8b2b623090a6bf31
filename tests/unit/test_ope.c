/* Off-policy estimates from logs of which a share was kept, and for a shadow model from what was logged beside the slate. What they are
 * without either is compared with the executable specification by tests/golden/golden_policy.c. */
#include "tests/kit.h"

#include <math.h>

#include "evaluate/evaluate.h"

enum { ROWS = 400000, SLOTS = 2 };

/* Two kinds of decisions: the second kind earns thrice as much, and its ratios are others. */
static struct aft_ope_row
row_of(struct aft_random *r, bool second)
{
    double ratio = (second ? 1.5 : 0.5) * 2 * aft_random_unit(r), rate = second ? 0.6 : 0.2;
    return (struct aft_ope_row){.ratio = ratio,
                                .reward = aft_random_unit(r) < rate,
                                .direct = second ? 0.5 : 0.3,
                                .q = second ? 0.5 : 0.3,
                                .pass = 1};
}

static void
assert_near(double got, double want, double within)
{
    if (!(fabs(got - want) < within))
        fail_msg("%g, not within %g of %g", got, within, want);
}

static void
a_share_of_the_log_says_what_all_of_it_says(void **state)
{
    (void)state;
    static struct aft_ope_row all[ROWS], kept[ROWS];
    struct aft_ope whole, share;
    struct aft_random r;
    uint32_t n = 0;
    aft_random_init(&r, kit_seed(5), 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        all[i] = row_of(&r, i % 2);
        kept[n] = all[i];
        kept[n].pass = i % 2 ? 0.3 : 1;
        n += i % 2 == 0 || aft_random_unit(&r) < 0.3;
    }
    aft_ope(all, ROWS, 2, 1, &whole);
    aft_ope(kept, n, 2, 1, &share);
    assert_true(n < ROWS * 0.7);
    /* without weights ips would be 0.28 here and not 0.5: standard errors are about 0.002 */
    assert_near(share.ips, whole.ips, 0.015);
    assert_near(share.snips, whole.snips, 0.015);
    assert_near(share.dm, whole.dm, 0.005);
    assert_near(share.dr, whole.dr, 0.015);
    assert_near(share.switch_dr, whole.switch_dr, 0.015);
    assert_near(share.dr_os, whole.dr_os, 0.015);
    assert_near(share.mean_ratio, whole.mean_ratio, 0.015);
    assert_true(share.effective_n < whole.effective_n && share.effective_n > whole.effective_n / 4);
}

static void
shares_of_slates_likewise(void **state)
{
    (void)state;
    static struct aft_slate_row all[SLOTS * ROWS], kept[SLOTS * ROWS];
    static uint32_t k[ROWS];
    static double pass[ROWS];
    struct aft_slate_ope whole, share;
    struct aft_random r;
    uint32_t n = 0;
    aft_random_init(&r, kit_seed(6), 0);
    for (uint32_t i = 0; i < ROWS; i++) {
        k[i] = SLOTS;
        for (uint32_t l = 0; l < SLOTS; l++) {
            struct aft_ope_row x = row_of(&r, i % 2);
            all[SLOTS * i + l] = (struct aft_slate_row){x.ratio, x.ratio / 2, x.reward};
            kept[SLOTS * n + l] = all[SLOTS * i + l];
        }
        pass[n] = i % 2 ? 0.3 : 1;
        n += i % 2 == 0 || aft_random_unit(&r) < 0.3;
    }
    aft_slate_ope(all, k, NULL, ROWS, &whole);
    aft_slate_ope(kept, k, pass, n, &share);
    assert_near(share.sips / whole.sips, 1, 0.03);
    assert_near(share.iips / whole.iips, 1, 0.03);
    assert_near(share.rips / whole.rips, 1, 0.03);
}

/* ---- a shadow's probabilities, as a client logs them */
struct logged {
    struct aft_example x;
    struct aft_example_item items[SLOTS];
    double shadow_p[SLOTS];
};

static void
logged_init(struct logged *l)
{
    *l = (struct logged){
        .items = {{.slot = 0, .propensity = 0.5}, {.slot = 1, .propensity = 0.25}},
        .shadow_p = {0.25, 0.5},
    };
    l->x = (struct aft_example){
        .items = l->items,
        .items_n = SLOTS,
        .propensity_kind = AFT_PROPENSITY_EXACT,
        .has_design = true,
        .design = {.shadow = AFT_LITERAL("digest"), .shadow_p = l->shadow_p, .shadow_n = SLOTS}};
}

static void
what_says_nothing_of_a_shadow(void **state)
{
    (void)state;
    struct logged l;
    struct aft_slate_row rows[AFT_SLATE_MAX];
    double pass;
    logged_init(&l);
    l.items[0].reward_micro = AFT_MICRO / 2;
    l.x.design.has_pass = true;
    l.x.design.pass = 0.3;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), SLOTS);
    assert_true(pass == 0.3 && rows[0].conditional == 0.5 && rows[0].reward == 0.5);
    assert_true(rows[1].conditional == 2 && rows[1].reward == 0 && isnan(rows[1].marginal));
    l.x.design.pass = 0;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.items[1].propensity = 0;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.x.propensity_kind = AFT_PROPENSITY_UNKNOWN;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.x.design.shadow = AFT_ABSENT;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.x.items_n = 1; /* not the whole slate */
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.items[1].slot = 0; /* two in one slot, none in the other */
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.shadow_p[0] = (double)NAN;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
    logged_init(&l);
    l.shadow_p[1] = 1.5;
    assert_int_equal(aft_ope_shadow(&l.x, rows, &pass), 0);
}

/* Uniform pairs of three arms are logged; arm i on top earns reward[i]; the shadow weighs them 5 : 3 : 2. */
static void
a_shadow_is_worth_what_it_would_have_earned(void **state)
{
    (void)state;
    static struct aft_slate_row rows[SLOTS * ROWS];
    static struct aft_ope_row tops[ROWS];
    static uint32_t k[ROWS];
    static double pass[ROWS];
    const double w[3] = {0.5, 0.3, 0.2}, reward[3] = {0.1, 0.5, 0.9};
    double truth = 0;
    struct aft_slate_ope slates;
    struct aft_ope top;
    struct aft_random r;
    aft_random_init(&r, kit_seed(7), 0);
    for (uint32_t i = 0; i < 3; i++)
        truth += w[i] * reward[i];
    for (uint32_t i = 0; i < ROWS; i++) {
        struct logged l;
        uint32_t first = aft_random_below(&r, 3),
                 second = (first + 1 + aft_random_below(&r, 2)) % 3;
        logged_init(&l);
        l.items[0].propensity = 1. / 3;
        l.items[1].propensity = 1. / 2;
        l.shadow_p[0] = w[first];
        l.shadow_p[1] = w[second] / (1 - w[first]);
        l.items[0].reward_micro = aft_random_unit(&r) < reward[first] ? AFT_MICRO : 0;
        k[i] = aft_ope_shadow(&l.x, rows + SLOTS * i, &pass[i]);
        assert_int_equal(k[i], SLOTS);
        tops[i] = (struct aft_ope_row){rows[SLOTS * i].conditional, rows[SLOTS * i].reward, 0, 0,
                                       pass[i]};
    }
    aft_slate_ope(rows, k, pass, ROWS, &slates);
    aft_ope(tops, ROWS, 1, 1, &top);
    assert_near(slates.rips, truth, 0.01);
    assert_near(slates.sips, truth, 0.01);
    assert_true(isnan(slates.iips));
    assert_near(top.ips, truth, 0.01);
    assert_near(top.snips, truth, 0.01);
    assert_near(top.mean_ratio, 1, 0.01);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_the_log_says_what_all_of_it_says),
        cmocka_unit_test(shares_of_slates_likewise),
        cmocka_unit_test(what_says_nothing_of_a_shadow),
        cmocka_unit_test(a_shadow_is_worth_what_it_would_have_earned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
