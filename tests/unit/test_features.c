/* test_features.c - nouns to terms: stable hashes, buckets, interactions, the slot; and the settings that declare them. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "policy/policy.h"

static struct aft_error e;

static void
set(struct aft_policy_settings *s, const char *key, const char *value)
{
    bool known = false;
    assert_int_equal(aft_policy_set(s, key, value, &known, &e), AFT_OK);
    assert_true(known);
}

static void
refused(const char *key, const char *value, const char *hint)
{
    struct aft_policy_settings s;
    bool known = false;
    aft_policy_settings_default(&s);
    assert_int_equal(aft_policy_set(&s, key, value, &known, &e), AFT_E_CONFIG);
    if (!strstr(e.message, hint))
        fail_msg("%s=%s: \"%s\" lacks \"%s\"", key, value, e.message, hint);
}

static void
test_bad_settings_say_what_is_allowed(void **state)
{
    (void)state;
    refused("policy.explore", "greedy", "epsilon_greedy");
    refused("learner.model", "forest", "ridge, flow");
    refused("policy.epsilon", "0", "1e-06 to 1");
    refused("policy.epsilon", "nan", "number");
    refused("policy.draws", "1.5", "whole");
    refused("features.bits", "40", "24");
    refused("features.interactions", "a*", "pairs");
    refused("features.interactions", "a*b c*d, e", "pairs");
    refused("features.buckets.days", "7,7", "ascending");
    struct aft_policy_settings s;
    bool known = true;
    aft_policy_settings_default(&s);
    assert_int_equal(aft_policy_set(&s, "policy.epsilom", "1", &known, &e), AFT_OK);
    assert_false(known);
}

struct reread {
    struct aft_policy_settings s;
    char last[128];
};

static void
read_back(void *ctx, const char *key, const char *value)
{
    struct reread *r = ctx;
    assert_true(strcmp(r->last, key) < 0); /* sorted */
    snprintf(r->last, sizeof r->last, "%s", key);
    set(&r->s, key, value);
}

static void
test_settings_read_back(void **state)
{
    (void)state;
    struct aft_policy_settings s;
    struct reread r = {.last = ""};
    aft_policy_settings_default(&s);
    aft_policy_settings_default(&r.s);
    set(&s, "features.interactions", " days * topic,device*slot ");
    set(&s, "features.buckets.days", "7, 14.5,30");
    set(&s, "features.buckets.age", "-1,0.1");
    set(&s, "policy.explore", "thompson");
    set(&s, "policy.epsilon", "0.1");
    aft_policy_settings_each(&s, read_back, &r);
    assert_memory_equal(&s, &r.s, sizeof s);
}

static struct aft_feature
number(const char *name, double v)
{
    return (struct aft_feature){.name = aft_text(name), .type = AFT_FEATURE_NUMBER, .number = v};
}

static struct aft_feature
text(const char *name, const char *v)
{
    return (struct aft_feature){
        .name = aft_text(name), .type = AFT_FEATURE_TEXT, .text = aft_text(v)};
}

struct plan {
    struct aft_features_plan plan;
    struct aft_encoded context, arm;
    struct aft_term terms[AFT_TERMS_MAX];
};

static uint32_t
shared(struct plan *p, const struct aft_feature *f, uint32_t n, int32_t slot)
{
    assert_int_equal(aft_encode_context(&p->plan, (struct aft_features){f, n}, &p->context, &e),
                     AFT_OK);
    return aft_terms_shared(&p->plan, &p->context, slot, p->terms);
}

static uint32_t
own(struct plan *p, const char *id, const struct aft_feature *f, uint32_t n, bool crosses)
{
    assert_int_equal(
        aft_encode_arm(&p->plan, aft_text(id), (struct aft_features){f, n}, &p->arm, &e), AFT_OK);
    return aft_terms_own(&p->plan, &p->context, &p->arm, 0, true, crosses, p->terms);
}

/* A pair's term among n, by the names of its two sides; 0 when it is not there. */
static double
product(const struct plan *p, uint32_t n, double value)
{
    double found = 0;
    for (uint32_t i = 0; i < n; i++)
        found += p->terms[i].value == value;
    return found;
}

/* A namespace on a side: every feature of it, each pair once, in whatever order the features come. */
static void
test_namespaces(void **state)
{
    (void)state;
    static struct plan p, q;
    struct aft_policy_settings s;
    aft_policy_settings_default(&s);
    set(&s, "features.interactions", "U*U, U*A, ^*A, U^c*slot");
    aft_features_plan_init(&p.plan, &s);
    aft_features_plan_init(&q.plan, &s);
    struct aft_feature f[] = {number("U^a", 2), number("U^b", 3), number("x", 5), number("U^c", 7)};
    struct aft_feature turned[] = {f[3], f[1], f[2], f[0]};
    struct aft_feature a[] = {number("A^d", 11), number("A", 13), number("B^e", 17)};
    uint32_t n = shared(&p, f, 4, 0), m = shared(&q, turned, 4, 0);
    assert_int_equal(n, 1 + 4 + 3); /* 4, 6, 9: c is named by a pair itself */
    assert_int_equal(m, n);
    assert_true(product(&p, n, 4) == 1 && product(&p, n, 6) == 1 && product(&p, n, 9) == 1);
    for (uint32_t i = 0; i < n; i++) {
        bool there = false;
        for (uint32_t j = 0; j < m; j++)
            there |= p.terms[i].hash == q.terms[j].hash && p.terms[i].value == q.terms[j].value;
        assert_true(there);
    }
    n = own(&p, "arm", a, 3, true); /* identity, 3, U x A: 2 x 2, ^ x A: 1 x 2 */
    assert_int_equal(n, 4 + 4 + 2);
    assert_true(product(&p, n, 22) == 1 && product(&p, n, 33) == 1 && product(&p, n, 26) == 1);
    assert_true(product(&p, n, 39) == 1 && product(&p, n, 55) == 1 && product(&p, n, 65) == 1);
    assert_int_equal(own(&p, "arm", a, 3, false), 4); /* a bilinear model has those by itself */
    n = shared(&p, f, 4, 2);
    assert_int_equal(n, 1 + 4 + 1 + 3 + 1); /* the slot, and U^c x slot */
}

/* More products than there is room for: as many as there is. */
static void
test_many_pairs(void **state)
{
    (void)state;
    static struct plan p;
    static struct aft_feature f[AFT_FEATURES_MAX];
    static char names[AFT_FEATURES_MAX][8];
    struct aft_policy_settings s;
    aft_policy_settings_default(&s);
    set(&s, "features.interactions", "U*U, U*arm");
    aft_features_plan_init(&p.plan, &s);
    for (unsigned i = 0; i < AFT_FEATURES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "U^%u", i);
        f[i] = number(names[i], 2);
    }
    assert_int_equal(shared(&p, f, AFT_FEATURES_MAX, 1), AFT_TERMS_MAX);
    assert_int_equal(own(&p, "arm", f, AFT_FEATURES_MAX, true), AFT_TERMS_MAX);
}

static void
test_terms(void **state)
{
    (void)state;
    struct plan p;
    struct aft_policy_settings s;
    aft_policy_settings_default(&s);
    set(&s, "features.buckets.days", "7,14");
    set(&s, "features.interactions", "days*topic, device*slot, device*arm, device*days");
    aft_features_plan_init(&p.plan, &s);
    struct aft_feature context[] = {number("days", 7), text("device", "web"), number("pay", 2.5),
                                    number("zero", 0)};
    /* constant, days in [7,14), device, pay; device*days */
    assert_int_equal(shared(&p, context, 4, 0), 5);
    assert_true(p.terms[1].value == 1 && !p.terms[1].number);
    assert_true(p.terms[3].value == 2.5 && p.terms[3].number);
    uint64_t second = p.terms[1].hash;
    context[0].number = 13.9;
    shared(&p, context, 4, 0);
    assert_true(p.terms[1].hash == second);
    context[0].number = 14;
    shared(&p, context, 4, 0);
    assert_true(p.terms[1].hash != second);
    assert_int_equal(shared(&p, context, 4, 2), 7); /* the slot, and device*slot */
    /* identity, topic; days*topic, device*arm */
    struct aft_feature arm[] = {text("topic", "save")};
    assert_int_equal(own(&p, "a", arm, 1, true), 4);
    assert_int_equal(own(&p, "a", arm, 1, false), 2);
    /* a name of the context and the same name of an arm are different terms */
    struct aft_feature same[] = {number("pay", 2.5)};
    shared(&p, context, 4, 0);
    uint64_t of_context = p.terms[3].hash;
    own(&p, "a", same, 1, true);
    assert_true(p.terms[1].hash != of_context);
    context[2].number = (double)INFINITY;
    assert_int_equal(aft_encode_context(&p.plan, (struct aft_features){context, 4}, &p.context, &e),
                     AFT_E_VALUE);
    assert_non_null(strstr(e.message, "pay"));
}

/* For ever: a client of another language and an old snapshot rely on these. */
static void
test_hashes_are_stable(void **state)
{
    (void)state;
    struct plan p;
    struct aft_policy_settings s;
    aft_policy_settings_default(&s);
    set(&s, "features.interactions", "device*topic");
    aft_features_plan_init(&p.plan, &s);
    struct aft_feature context[] = {text("device", "web"), number("pay", 2.5)};
    struct aft_feature arm[] = {text("topic", "save")};
    uint64_t h = 0;
    uint32_t n = shared(&p, context, 2, 1);
    for (uint32_t i = 0; i < n; i++)
        h = h * 31 + p.terms[i].hash;
    n = own(&p, "arm-1", arm, 1, true);
    for (uint32_t i = 0; i < n; i++)
        h = h * 31 + p.terms[i].hash;
    assert_true(h == 0x036dd9cab3856e68);
}

/* Names as people give them, alike but for a digit or two, do not push each other out of a table that has room for them. */
static void
test_names_keep_their_places(void **state)
{
    (void)state;
    static const char *const before[] = {"u", "a", "arm", "feature_", "user.f", "page"};
    enum { N = 60 };
    for (size_t p = 0; p < sizeof before / sizeof *before; p++) {
        static struct aft_known table[AFT_NAMES];
        char names[N][24];
        uint32_t kept = 0;
        memset(table, 0, sizeof table);
        for (uint32_t i = 0; i < N; i++) {
            snprintf(names[i], sizeof names[i], "%s%u%s", before[p], i % 100,
                     p == 5 ? "views" : "");
            assert_non_null(aft_known_take(table, AFT_NAMES, aft_text(names[i])));
        }
        for (uint32_t i = 0; i < N; i++)
            kept += aft_known_find(table, AFT_NAMES, aft_text(names[i])) != NULL;
        if (kept < N - 4)
            fail_msg("of 60 names like %s0 %u are kept", before[p], kept);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_settings_say_what_is_allowed),
        cmocka_unit_test(test_settings_read_back),
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_many_pairs),
        cmocka_unit_test(test_hashes_are_stable),
        cmocka_unit_test(test_names_keep_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
