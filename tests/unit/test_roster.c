/* test_roster.c - an example read by a roster is the example; a number under a revision means one thing; whatever memory there is,
 * whatever is cut off or changed. */
#include "tests/kit.h"

#include <string.h>

#include "wire/wire.h"

enum { ARMS = 40, FEATURES = 6, NUMBERS = 1 << 16 };

struct world {
    struct aft_random random;
    struct aft_arena slow, fast;
    char ids[ARMS][80], names[FEATURES][8], words[ARMS][FEATURES][12];
    struct aft_feature features[ARMS][FEATURES];
    struct aft_candidate arms[ARMS], offered[ARMS];
    struct aft_example_item item;
    uint64_t revision; /* of meaning[] */
    struct aft_buffer meaning[NUMBERS];
    uint32_t met;
};

static uint32_t
below(struct world *w, uint32_t n)
{
    return aft_random_below(&w->random, n);
}

static void
one_feature(struct world *w, uint32_t a, uint32_t j)
{
    struct aft_feature *f = &w->features[a][j];
    *f = (struct aft_feature){.name = aft_text(w->names[j]),
                              .type = (enum aft_feature_type)below(w, 3)};
    if (f->type == AFT_FEATURE_NUMBER)
        f->number = aft_random_normal(&w->random);
    else if (f->type == AFT_FEATURE_FLAG)
        f->flag = below(w, 2);
    else {
        snprintf(w->words[a][j], sizeof w->words[a][j], "%.*s%u", (int)below(w, 5), "word",
                 below(w, 3));
        f->text = aft_text(w->words[a][j]);
    }
}

/* Ids of 1 to 70 bytes, 0 to 6 features. */
static void
fill(struct world *w)
{
    for (uint32_t j = 0; j < FEATURES; j++)
        snprintf(w->names[j], sizeof w->names[j], "f%u", j);
    for (uint32_t a = 0; a < ARMS; a++) {
        snprintf(w->ids[a], sizeof w->ids[a], "%.*s%u", (int)below(w, 70),
                 "a name of seventy letters - a name of seventy letters - a name of seve", a);
        for (uint32_t j = 0; j < FEATURES; j++)
            one_feature(w, a, j);
        w->arms[a] = (struct aft_candidate){.arm_id = aft_text(w->ids[a]),
                                            .features = {w->features[a], below(w, FEATURES + 1)}};
    }
}

/* Some of the arms, some weights and masks; now and then an arm has become another; arm 0 always has. */
static struct aft_example
next_example(struct world *w)
{
    uint32_t n = 0;
    one_feature(w, 0, 0);
    w->arms[0].features.n = FEATURES;
    if (below(w, 4) == 0)
        one_feature(w, below(w, ARMS), below(w, FEATURES));
    for (uint32_t a = 0; a < ARMS; a++) {
        if (a && below(w, 3) == 0)
            continue;
        struct aft_candidate *c = &w->offered[n++];
        *c = w->arms[a];
        c->has_log_weight = below(w, 2);
        c->log_weight = (float)aft_random_normal(&w->random);
        if (below(w, 5) == 0)
            c->mask = AFT_LITERAL("capped");
    }
    w->item = (struct aft_example_item){
        .arm_id = w->offered[0].arm_id, .propensity = 0.5, .features = w->offered[0].features};
    return (struct aft_example){.decision_id = AFT_LITERAL("d"),
                                .user_id = AFT_LITERAL("u"),
                                .policy = AFT_LITERAL("p"),
                                .candidates = w->offered,
                                .candidates_n = n,
                                .items = &w->item,
                                .items_n = 1};
}

/* The decoded nouns, not the raw slices, as bytes. */
static void
put_anew(struct aft_buffer *b, struct aft_example x)
{
    aft_buffer_reset(b);
    x.raw_candidates = AFT_ABSENT;
    aft_encode_example(b, &x);
}

static void
numbers_mean_one_thing(struct world *w, const struct aft_example *x)
{
    struct aft_buffer b = {0};
    if (w->revision != x->revision)
        for (uint32_t i = 0; i < NUMBERS; i++)
            aft_buffer_reset(&w->meaning[i]);
    w->revision = x->revision;
    for (uint32_t i = 0; i < x->candidates_n; i++) {
        struct aft_candidate c = {.arm_id = x->candidates[i].arm_id,
                                  .features = x->candidates[i].features};
        struct aft_example bare = {.candidates = &c, .candidates_n = 1};
        struct aft_buffer *m = &w->meaning[x->candidates[i].known];
        put_anew(&b, bare);
        if (!x->candidates[i].known)
            continue;
        w->met += m->n > 0;
        if (m->n == 0)
            aft_put_raw(m, aft_buffer_bytes(&b));
        assert_true(aft_same(aft_buffer_bytes(m), aft_buffer_bytes(&b)));
    }
    aft_buffer_deinit(&b);
}

/* Both ways over the first n bytes: the same verdict (but for odd numbers), the same place, the same example. */
static bool
same_both_ways(struct world *w, struct aft_roster *o, struct aft_bytes body, size_t n)
{
    struct aft_error e;
    struct aft_example slow, fast;
    struct aft_buffer a = {0}, b = {0};
    struct aft_reader by_all = {body.p, body.p + n}, by_roster = by_all;
    aft_arena_reset(&w->slow);
    aft_arena_reset(&w->fast);
    enum aft_err want = aft_decode_example(&by_all, &w->slow, &slow, &e);
    enum aft_err have = aft_decode_example_by(o, &by_roster, &w->fast, &fast, &e);
    assert_true(want == have ||
                want == AFT_E_VALUE); /* a roster's reader lets odd numbers through */
    if (want == AFT_OK) {
        assert_ptr_equal(by_all.p, by_roster.p);
        assert_true(aft_same(slow.raw_candidates, fast.raw_candidates));
        put_anew(&a, slow);
        put_anew(&b, fast);
        assert_true(aft_same(aft_buffer_bytes(&a), aft_buffer_bytes(&b)));
        numbers_mean_one_thing(w, &fast);
    }
    aft_buffer_deinit(&a);
    aft_buffer_deinit(&b);
    return want == AFT_OK;
}

/* `memory` bytes for the roster; returns how many revisions it went through. */
static uint64_t
go(struct world *w, size_t memory)
{
    struct aft_roster *o = aft_roster_new(memory);
    struct aft_buffer body = {0};
    w->met = 0;
    w->revision = 0;
    for (long i = kit_rounds(400); i > 0; i--) {
        struct aft_example x = next_example(w);
        aft_buffer_reset(&body);
        aft_encode_example(&body, &x);
        assert_true(same_both_ways(w, o, aft_buffer_bytes(&body), body.n));
        same_both_ways(w, o, aft_buffer_bytes(&body), below(w, (uint32_t)body.n));
        body.p[below(w, (uint32_t)body.n)] ^= (uint8_t)(1u << below(w, 8));
        same_both_ways(w, o, aft_buffer_bytes(&body), body.n);
    }
    aft_buffer_deinit(&body);
    aft_roster_free(o);
    return w->revision - AFT_ROSTER_REVISION;
}

static void
test_the_same_example(void **state)
{
    static struct world w;
    (void)state;
    aft_random_init(&w.random, kit_seed(31), 0);
    aft_arena_init(&w.slow, 1 << 20);
    aft_arena_init(&w.fast, 1 << 20);
    fill(&w);
    assert_int_equal(go(&w, 8 << 20), 0);
    assert_true(w.met > 12 * kit_rounds(400)); /* most are recognised */
    assert_true(go(&w, 30000) > 0 || kit_rounds(400) < 100);
    assert_true(w.met > kit_rounds(400));
    go(&w, 1000); /* no room for all: it rests, and nothing is wrong */
    go(&w, 0);
    assert_int_equal(w.met, 0);
    aft_arena_deinit(&w.slow);
    aft_arena_deinit(&w.fast);
    for (uint32_t i = 0; i < NUMBERS; i++)
        aft_buffer_deinit(&w.meaning[i]);
}

/* A list in several blocks is written anew, and is not what a roster keeps. */
static void
test_other_forms(void **state)
{
    (void)state;
    struct world *w = calloc(1, sizeof *w);
    struct aft_roster *o = aft_roster_new(1 << 20);
    struct aft_buffer b = {0};
    aft_arena_init(&w->slow, 1 << 20);
    aft_arena_init(&w->fast, 1 << 20);
    struct aft_feature f[2] = {{.name = AFT_LITERAL("a"), .number = 1},
                               {.name = AFT_LITERAL("b"), .number = 2}};
    struct aft_candidate c = {.arm_id = AFT_LITERAL("arm"), .features = {f, 2}};
    struct aft_example x = {.decision_id = AFT_LITERAL("d"),
                            .user_id = AFT_LITERAL("u"),
                            .candidates = &c,
                            .candidates_n = 1};
    aft_encode_example(&b, &x);
    uint8_t *at = b.p; /* two features: as one and one */
    while (memcmp(at, "\006arm\004", 5) != 0)
        at++;
    struct aft_buffer split = {0};
    aft_put_raw(&split, (struct aft_bytes){b.p, (size_t)(at + 4 - b.p)});
    aft_put_u8(&split, 2);
    aft_put_raw(&split, (struct aft_bytes){at + 5, 11});
    aft_put_u8(&split, 2);
    aft_put_raw(&split, (struct aft_bytes){at + 16, (size_t)(b.p + b.n - (at + 16))});
    for (int i = 0; i < 6; i++) {
        assert_true(same_both_ways(w, o, aft_buffer_bytes(&split), split.n));
        assert_true(same_both_ways(w, o, aft_buffer_bytes(&b), b.n));
    }
    assert_int_equal(w->met, 5); /* in the one form alone */
    aft_buffer_deinit(&b);
    aft_buffer_deinit(&split);
    aft_roster_free(o);
    for (uint32_t i = 0; i < NUMBERS; i++)
        aft_buffer_deinit(&w->meaning[i]);
    aft_arena_deinit(&w->slow);
    aft_arena_deinit(&w->fast);
    free(w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_example),
        cmocka_unit_test(test_other_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
