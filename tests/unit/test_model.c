/* test_model.c - the bytes of a model: what is cut, padded or absurd is refused and never read past; what is whole reads back. */
#include "tests/kit.h"

#include <string.h>

#include "tests/learn_kit.h"

static void
learn_some(struct aft_learner *l, int n)
{
    struct kit_world w;
    struct aft_error e;
    kit_world_init(&w, 5);
    for (int i = 0; i < n; i++) {
        struct aft_example x = kit_open(&w, NULL);
        assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
    }
    kit_world_deinit(&w);
}

/* The WEIGHTS plane of a learner, as an engine gets it. */
static void
weights_of(const char *model, struct aft_buffer *out)
{
    struct aft_learner_settings s;
    struct kit_follower f = {.set = aft_snapshot_set_new()};
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", model);
    struct aft_learner *l = kit_learner(&s);
    learn_some(l, 20);
    kit_publish(l, 1, &f);
    aft_put_raw(out, aft_snapshot_set_plane(f.set, AFT_PLANE_WEIGHTS));
    aft_snapshot_set_free(f.set);
    aft_learner_free(l);
}

static enum aft_err
decode(struct aft_bytes b, struct aft_buffer *again)
{
    struct aft_weights w;
    struct aft_error e;
    uint8_t *exact = malloc(b.n + 1); /* so that a sanitizer sees a read past the end */
    assert_non_null(exact);
    memcpy(exact, b.p, b.n);
    exact = realloc(exact, b.n ? b.n : 1);
    assert_non_null(exact);
    memset(&w, 0, sizeof w);
    enum aft_err err = aft_weights_decode((struct aft_bytes){exact, b.n}, &w, &e);
    if (err == AFT_OK && again)
        aft_weights_encode(&w, again);
    aft_weights_deinit(&w);
    free(exact);
    return err;
}

static void
test_reads_back_and_refuses(void **state)
{
    (void)state;
    struct aft_random r;
    aft_random_init(&r, kit_seed(31), 0);
    static const char *const models[] = {"ridge", "flow",  "flow-squared",
                                         "vw",    "bayes", "bayes-full"};
    for (int m = 0; m < 6; m++) {
        struct aft_buffer b = {0}, again = {0};
        weights_of(models[m], &b);
        assert_int_equal(decode(aft_buffer_bytes(&b), &again), AFT_OK);
        assert_true(aft_same(aft_buffer_bytes(&b), aft_buffer_bytes(&again)));
        for (size_t n = 0; n < b.n; n = n < 64 ? n + 1 : n + 97)
            assert_int_equal(decode((struct aft_bytes){b.p, n}, NULL), AFT_E_MALFORMED);
        aft_put_u8(&b, 0);
        assert_int_equal(decode(aft_buffer_bytes(&b), NULL), AFT_E_MALFORMED);
        b.n--;
        for (long i = 0; i < kit_rounds(1000);
             i++) { /* any bytes in the head: refused or harmless */
            struct aft_buffer bad = {0};
            aft_put_raw(&bad, aft_buffer_bytes(&b));
            for (int k = 0; k < 3; k++)
                bad.p[aft_random_below(&r, 48)] = (uint8_t)aft_random_u32(&r);
            (void)decode(aft_buffer_bytes(&bad), NULL);
            aft_buffer_deinit(&bad);
        }
        aft_buffer_deinit(&b);
        aft_buffer_deinit(&again);
    }
}

/* The golden state: the same examples give this digest from every compiler, at every -O, on every CPU. */
static void
test_digests_are_the_same_everywhere(void **state)
{
    (void)state;
    int wrong = 0;
    static const struct {
        const char *model, *scope, *digest;
    } golden[] = {
        {"ridge", "shared", "9ffb44b944f96400fc22dde1323ba438e1f8fc09271845fed8444de53ab808bb"},
        {"ridge", "per_arm", "5006f494ad3a3db7abcf68df84440797c624db90227d4c3b72e18ec613979d97"},
        {"flow", "shared", "135fdfe6cbbb96fff66cc0033e800aebf5f54f8a77e47689580669d0bef4f711"},
        {"flow-squared", "shared",
         "18865398ed374bdd7056971cea04bd221cccdfb0381dcb9ab33dad55fc49dcd0"},
        {"vw", "shared", "7244cf494a5712154bb2601f2220d50a9967ce04d7e32879d5e30defe8ccfa52"},
        {"bayes", "shared", "0f5f0a44ca5167c544ab3a3986399c2c094eff2901ae929af60cb3e13944af49"},
        {"bayes-full", "shared",
         "c955e2871ec5113a6aa25429d52fe55d9695c5da22a99f8bdc61a370d946e953"},
        {"bayes-full", "per_arm",
         "0621c572484d67b86fae6abf4436a4abdd4a9c94d28619b57901100f70295231"},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct aft_learner_settings s;
        struct aft_digest d;
        char hex[65];
        aft_learner_settings_default(&s);
        kit_set(&s, "features.interactions", "device*topic, device*slot");
        kit_set(&s, "features.buckets.days", "7,14,30,60");
        kit_set(&s, "learner.model", golden[i].model);
        kit_set(&s, "learner.scope", golden[i].scope);
        struct aft_learner *l = kit_learner(&s);
        learn_some(l, 2000);
        aft_learner_digest(l, &d);
        aft_hex(d.b, sizeof d.b, hex);
        if (strcmp(hex, golden[i].digest) != 0) {
            printf("{\"%s\", \"%s\", \"%s\"},\n", golden[i].model, golden[i].scope, hex);
            wrong++;
        }
        aft_learner_free(l);
    }
    assert_int_equal(wrong, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_back_and_refuses),
        cmocka_unit_test(test_digests_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
