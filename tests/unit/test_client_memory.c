/* Once warm, deciding, masking and encoding an impression take nothing from the heap: malloc and its kin are counted. Under a
 * sanitizer, which brings its own malloc, the count is of nothing, so there the test says so and stops. */
#include "tests/kit.h"

#include <string.h>

#include "tests/snapshots.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define COUNTED 0
static unsigned long taken;
#else
#define COUNTED 1
static unsigned long taken;
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *
malloc(size_t n)
{
    taken++;
    return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
    taken++;
    return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
    taken++;
    return __libc_realloc(p, n);
}
#endif

enum { ARMS = 50 };
static const char *arms[ARMS];
static char names[ARMS][8];
static double theta[ARMS];

static struct aft_client *
open_client(struct made_snapshot *made, const char *explore, struct memory_transport *t)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client *c;
    struct aft_error e;
    static const uint64_t seed = 3;
    struct made_spec spec = {.round = 1,
                             .arms = arms,
                             .theta = theta,
                             .arms_n = ARMS,
                             .explore = explore,
                             .temperature = "0.2"};
    make_snapshot(&spec, made);
    memory_give(t, made);
    struct aft_client_transport transport = memory_transport_of(t);
    o.seed = &seed;
    o.baseline_share = 0;
    assert_int_equal(aft_client_open_over(&o, &transport, &c, &e), AFT_OK);
    return c;
}

/* Candidates each time, or from a catalogue with masks and features of the request's own. */
static void
once(struct aft_client *c, const struct aft_client_catalogue *catalogue)
{
    static const struct aft_client_feature context[] = {{"days", AFT_CLIENT_NUMBER, 12, NULL},
                                                        {"age_band", AFT_CLIENT_TEXT, 0, "40s"}};
    static const uint32_t drop[] = {3, 4};
    struct aft_client_candidate candidates[ARMS];
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_decision *d;
    static const struct aft_client_own own[] = {{7, {"seen", AFT_CLIENT_NUMBER, 2, NULL}},
                                                {9, {"seen", AFT_CLIENT_NUMBER, 1, NULL}}};
    static const char *masks[ARMS] = {[11] = "capped"};
    static const float recent[ARMS] = {[7] = 2, [9] = 1};
    for (int i = 0; i < ARMS; i++)
        candidates[i] =
            (struct aft_client_candidate){.arm_id = arms[i], .features = context, .features_n = 2};
    r.user_id = "u";
    r.context = context;
    r.context_n = 2;
    r.candidates = catalogue ? NULL : candidates;
    r.candidates_n = catalogue ? 0 : ARMS;
    if (catalogue) {
        r.catalogue = catalogue;
        r.own = own;
        r.own_n = 2;
        r.masks = masks;
        r.recent = recent;
        r.epoch = 3;
    }
    assert_int_equal(aft_client_decide(c, &r, &d, NULL), AFT_CLIENT_OK);
    assert_int_equal(aft_client_decision_mask(c, d, drop, 2, "capped", NULL), AFT_CLIENT_OK);
    aft_client_log_impression(c, d, NULL);
    aft_client_decision_free(c, d);
}

static struct aft_client_catalogue *
catalogue_of(struct aft_client *c)
{
    static const struct aft_client_feature own[] = {{"price", AFT_CLIENT_NUMBER, 12, NULL},
                                                    {"format", AFT_CLIENT_TEXT, 0, "card"}};
    struct aft_client_candidate v[ARMS];
    struct aft_client_catalogue *k;
    for (int i = 0; i < ARMS; i++)
        v[i] = (struct aft_client_candidate){.arm_id = arms[i], .features = own, .features_n = 2};
    assert_int_equal(aft_client_catalogue_new(c, v, ARMS, &k, NULL), AFT_CLIENT_OK);
    return k;
}

static void
warm_takes_nothing(void **state)
{
    (void)state;
    static const char *const explorers[] = {"softmax", "epsilon_greedy", "linucb", "thompson",
                                            "uniform"};
    for (int i = 0; i < ARMS; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        arms[i] = names[i];
        theta[i] = 0.01 * i;
    }
    for (size_t x = 0; x < sizeof explorers / sizeof *explorers; x++) {
        struct memory_transport t = {0};
        struct made_snapshot made = {0};
        struct aft_client *c = open_client(&made, explorers[x], &t);
        struct aft_client_catalogue *catalogue = catalogue_of(c);
        for (int i = 0; i < 20; i++)
            once(c, i % 2 ? catalogue : NULL);
        aft_buffer_reset(&t.records[0]); /* the transport's own memory is warm, too */
        unsigned long before = taken;
        for (int i = 0; i < 10; i++)
            once(c, i % 2 ? catalogue : NULL);
        printf("%s: %lu allocations in 10 decisions\n", explorers[x], taken - before);
        assert_int_equal(taken - before, 0);
        aft_client_catalogue_free(catalogue);
        aft_client_close(c, 0, NULL);
        made_snapshot_deinit(&made);
        memory_transport_deinit(&t);
    }
}

static void
the_count_counts(void **state)
{
    (void)state;
    unsigned long before = taken;
    void *volatile p = malloc(10);
    free(p);
    if (!COUNTED) {
        printf("a sanitizer's malloc is not counted: this test says nothing here\n");
        return;
    }
    assert_true(taken > before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_count_counts),
        cmocka_unit_test(warm_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
