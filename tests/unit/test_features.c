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
    struct aft_term terms[AFT_TERMS_MAX + AFT_INTERACTIONS_MAX];
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_settings_say_what_is_allowed),
        cmocka_unit_test(test_settings_read_back),
        cmocka_unit_test(test_terms),
        cmocka_unit_test(test_hashes_are_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
