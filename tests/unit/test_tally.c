/* test_tally.c - shares of the greedy mass: who leads is followed by the best others, by enumeration over leaders and orders of
 * alike ones; the best of many values against sorting. */
#include "tests/kit.h"

#include <math.h>

#include "policy/inner.h"

enum { MOST = 9 };

static double
share_of(uint32_t rank, uint32_t k)
{
    double total = 0;
    for (uint32_t l = 0; l < k; l++)
        total += pow(0.2, l);
    return rank < k ? pow(0.2, rank) / total : 0;
}

/* The mean share of i, over the orders of alike ones, when `leader` leads. */
static double
follows(const double *value, uint32_t n, uint32_t k, uint32_t leader, uint32_t i)
{
    uint32_t better = 0, alike = 0;
    double sum = 0;
    if (i == leader)
        return share_of(0, k);
    for (uint32_t j = 0; j < n; j++) {
        better += j != leader && value[j] > value[i];
        alike += j != leader && value[j] == value[i];
    }
    for (uint32_t j = 0; j < alike; j++)
        sum += share_of(1 + better + j, k);
    return sum / alike;
}

static void
test_leaders_are_followed_by_the_best(void **state)
{
    (void)state;
    struct aft_scratch *s = aft_scratch_new();
    struct aft_random r;
    aft_random_init(&r, kit_seed(41), 0);
    for (long round = 0; round < kit_rounds(5000); round++) {
        uint32_t n = 1 + aft_random_below(&r, MOST), k = 1 + aft_random_below(&r, n < 8 ? n : 8);
        double p[MOST], sum = 0, all = 0;
        for (uint32_t i = 0; i < n; i++) {
            s->value[i] = aft_random_below(&r, 2) ? aft_random_below(&r, 3) : aft_random_unit(&r);
            sum += p[i] = aft_random_below(&r, 2) ? aft_random_unit(&r) : 0;
        }
        for (uint32_t i = 0; i < n; i++)
            p[i] = sum > 0 ? p[i] / sum : 1.0 / n;
        memset(s->tally, 0, n * sizeof *s->tally);
        afti_lead(s, p, n, k);
        for (uint32_t i = 0; i < n; i++) {
            double want = 0;
            for (uint32_t leader = 0; leader < n; leader++)
                want += p[leader] * follows(s->value, n, k, leader, i);
            assert_true(fabs(s->tally[i] - want) < 1e-12);
            all += s->tally[i];
        }
        assert_true(fabs(all - 1) < 1e-12);
    }
    aft_scratch_free(s);
}

/* Who leads for certain is the best: both ways to say so. */
static void
test_leading_and_spreading_agree(void **state)
{
    (void)state;
    struct aft_scratch *s = aft_scratch_new();
    struct aft_random r;
    aft_random_init(&r, kit_seed(42), 0);
    for (long round = 0; round < kit_rounds(5000); round++) {
        uint32_t n = 1 + aft_random_below(&r, 60);
        uint32_t k = 1 + aft_random_below(&r, n < AFTI_RANKS ? n : AFTI_RANKS);
        double p[60], lead[60], sum = 0;
        for (uint32_t i = 0; i < n; i++)
            s->value[i] = round % 2 ? aft_random_below(&r, 20) : aft_random_unit(&r);
        aft_epsilon_greedy(s->value, n, 0, p);
        memset(s->tally, 0, n * sizeof *s->tally);
        afti_lead(s, p, n, k);
        memcpy(lead, s->tally, n * sizeof *lead);
        memset(s->tally, 0, n * sizeof *s->tally);
        afti_spread(s, n, k, 1);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(fabs(s->tally[i] - lead[i]) < 1e-12);
            sum += s->tally[i];
        }
        assert_true(fabs(sum - 1) < 1e-12);
    }
    aft_scratch_free(s);
}

static void
test_the_best_are_the_best(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(43), 0);
    for (long round = 0; round < kit_rounds(20000); round++) {
        double value[AFT_CANDIDATES_MAX];
        uint32_t n = 1 + aft_random_below(&r, round % 100 ? 70 : AFT_CANDIDATES_MAX);
        uint32_t room = 1 + aft_random_below(&r, n < AFTI_RANKS + 1 ? n : AFTI_RANKS + 1);
        uint32_t best[AFTI_RANKS + 1], kinds = round % 3 ? UINT32_MAX : 1 + n;
        uint32_t distinct = 0, alike = 0; /* of values that fewer than `room` are better than */
        for (uint32_t i = 0; i < n; i++)
            value[i] = aft_random_below(&r, kinds);
        for (uint32_t i = n; i % 8; i++)
            value[i] = -(double)INFINITY;
        bool apart = afti_best_of(value, n, room, best);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t better = 0, same = 0;
            for (uint32_t j = 0; j < n; j++) {
                better += value[j] > value[i];
                same += value[j] == value[i];
            }
            alike += better + 1 < room && same > 1;
            if (apart && better < room) {
                distinct++;
                assert_true(value[best[better]] == value[i]);
            }
        }
        assert_true(apart == (alike == 0));
        assert_true(!apart || distinct >= room);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaders_are_followed_by_the_best),
        cmocka_unit_test(test_leading_and_spreading_agree),
        cmocka_unit_test(test_the_best_are_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
