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
        {"ridge", "shared", "988d50b7ade89f846e4b27f4a6a9f3f412fc8040f6a5061e0b1fa8eabbee6c0a"},
        {"ridge", "per_arm", "8f0ebb69e76f7668fb4b72fd6c711194f824e0f4aa7b430c1470050d0ec10a67"},
        {"flow", "shared", "fdd24a2bafbbd039c0302a1535245d82716feb9c503b532cf851e3c4cfd692a1"},
        {"flow-squared", "shared",
         "989befa5c7230352ade429e2059e14244e52f24dd296d5ea7f9144c2e960af9f"},
        {"vw", "shared", "5ad8f6f5541ee7e794620a9fe22850dd63f22f3fcfbfe00fbbda3eefa6e61b29"},
        {"bayes", "shared", "e6ca870b8ae77636f33b9e449f6876194323ae2855d83e948301ce25a5307d6b"},
        {"bayes-full", "shared",
         "bc20a07e86ae6db5f3550f7bd1f4e11685d329ccfd350cd7494e0a8fd37bfd4c"},
        {"bayes-full", "per_arm",
         "e43a0f1b7b91ecc86921b4376605bfa13fc229fe3932eda150c7985381a36161"},
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
