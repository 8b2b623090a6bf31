/* What a list of candidates says alike (client/features.c) is so, and what it says is what was given: names by the same strings or by copies
 * of them, other names among them, words, numbers that are too large, fewer features or more. */
#include "tests/kit.h"

#include <math.h>
#include <string.h>

#include "client/client_inner.h"

enum { ARMS = 6, OWN = 12, NAME = 8 };

struct list {
    char ids[ARMS][NAME], names[ARMS][OWN][NAME], odd[ARMS][OWN][NAME];
    struct aft_client_feature features[ARMS][OWN];
    struct aft_client_candidate arms[ARMS];
    uint32_t alike;
};

/* A feature that ends what is alike, one time in `seldom`. */
static bool
disturb(struct aft_random *rng, struct aft_client_feature *f, const char *odd, uint32_t seldom)
{
    if (aft_random_below(rng, seldom))
        return false;
    switch (aft_random_below(rng, 4)) {
    case 0:
        f->name = odd;
        return true;
    case 1:
        f->type = AFT_CLIENT_TEXT;
        f->text = "word";
        return true;
    case 2:
        f->type = AFT_CLIENT_FLAG;
        f->number = 1;
        return true;
    default:
        f->number = -1.5e30;
        return true;
    }
}

static void
make_list(struct aft_random *rng, struct list *l)
{
    uint32_t n = 1 + aft_random_below(rng, OWN);
    bool copies = aft_random_below(rng, 2);
    *l = (struct list){.alike = n};
    for (uint32_t a = 0; a < ARMS; a++) {
        uint32_t mine = aft_random_below(rng, 8) ? n : aft_random_below(rng, OWN + 1), alike = 0;
        snprintf(l->ids[a], NAME, "arm%u", a);
        for (uint32_t j = 0; j < OWN; j++) {
            snprintf(l->names[a][j], NAME, "f%u", j);
            snprintf(l->odd[a][j], NAME, "x%u.%u", a, j);
        }
        for (uint32_t j = 0; j < mine; j++) {
            struct aft_client_feature *f = &l->features[a][j];
            *f = (struct aft_client_feature){l->names[copies ? a : 0][j], AFT_CLIENT_NUMBER,
                                             aft_random_normal(rng), NULL};
            if (!disturb(rng, f, l->odd[a][j], 4 * ARMS * OWN))
                alike += alike == j;
        }
        l->alike = alike < l->alike ? alike : l->alike;
        l->arms[a] = (struct aft_client_candidate){
            .arm_id = l->ids[a], .features = l->features[a], .features_n = mine};
    }
}

static void
same_feature(const struct aft_feature *f, const struct aft_client_feature *g)
{
    assert_string_equal((const char *)f->name.p, g->name);
    assert_int_equal(f->name.n, strlen(g->name));
    assert_int_equal(f->type, g->type);
    if (g->type == AFT_CLIENT_NUMBER)
        assert_true(f->number == g->number);
    else if (g->type == AFT_CLIENT_FLAG)
        assert_true(f->flag);
    else
        assert_string_equal((const char *)f->text.p, g->text);
}

static void
check(const struct list *l, const struct afti_candidates *taken)
{
    assert_in_range(taken->alike, 0, OWN);
    for (uint32_t a = 0; a < ARMS; a++) {
        const struct aft_features *f = &taken->v[a].features, *first = &taken->v[0].features;
        assert_int_equal(f->n, l->arms[a].features_n);
        assert_true(taken->alike <= f->n);
        for (uint32_t j = 0; j < f->n; j++)
            same_feature(&f->v[j], &l->features[a][j]);
        for (uint32_t j = 0; j < taken->alike; j++) {
            assert_ptr_equal(f->v[j].name.p, first->v[j].name.p);
            assert_int_equal(f->v[j].name.n, first->v[j].name.n);
            assert_int_equal(f->v[j].type, AFT_FEATURE_NUMBER);
            assert_true(fabs(f->v[j].number) <= AFT_ALIKE_MAX);
        }
    }
}

static void
what_is_alike_is_so(void **state)
{
    (void)state;
    static struct list l;
    struct aft_random rng;
    struct aft_arena arena;
    struct aft_error e;
    struct afti_candidates taken;
    long all = 0, some = 0;
    aft_arena_init(&arena, 1 << 20);
    aft_random_init(&rng, kit_seed(23), 0);
    for (long round = kit_rounds(5000); round > 0; round--) {
        aft_arena_reset(&arena);
        make_list(&rng, &l);
        if (afti_candidates_take(&arena, l.arms, ARMS, &taken, &e) != AFT_OK)
            fail_msg("%s", e.message);
        check(&l, &taken);
        assert_int_equal(taken.alike, l.alike);
        all += taken.alike == taken.v[0].features.n;
        some += taken.alike < taken.v[0].features.n;
    }
    assert_true(all > 0 && some > 0);
    aft_arena_deinit(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_alike_is_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
