/* test_snapshot_size.c - a delta is as big as what changed: 100 rows of 100,000. And what it makes of the full one is the state, whole. */
#include "tests/kit.h"

#include "tests/learn_kit.h"

enum { ROWS = 100000, CHANGED = 100, CONTEXT = 40, SHOWN = 20 };

struct bytes {
    struct aft_snapshot_set *set;
    uint64_t n;
    uint32_t records;
};

static enum aft_err
take(void *ctx, struct aft_bytes key, struct aft_bytes body, struct aft_error *e)
{
    struct bytes *b = ctx;
    bool whole;
    b->n += key.n + body.n;
    b->records++;
    assert_true(body.n <= AFT_PART_BYTES_MAX);
    return aft_snapshot_set_add(b->set, body, &whole, e);
}

/* One decision that shows arms first .. first + n - 1, in a context of CONTEXT flags. */
static void
show(struct aft_learner *l, uint32_t first, uint32_t n)
{
    static struct aft_feature context[CONTEXT];
    static char names[CONTEXT][16], ids[SHOWN][16];
    struct aft_example_item items[SHOWN];
    struct aft_error e;
    for (uint32_t i = 0; i < CONTEXT; i++) {
        snprintf(names[i], sizeof names[i], "f%u", i);
        context[i] = (struct aft_feature){
            .name = aft_text(names[i]), .type = AFT_FEATURE_FLAG, .flag = true};
    }
    for (uint32_t i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "arm-%u", first + i);
        items[i] = (struct aft_example_item){.arm_id = aft_text(ids[i]),
                                             .slot = (int32_t)i,
                                             .propensity = 0.5,
                                             .reward_micro = i % 2 ? AFT_MICRO : 0};
    }
    struct aft_example x = {.phase = AFT_OPEN,
                            .decision_id = AFT_LITERAL("d"),
                            .user_id = AFT_LITERAL("u"),
                            .policy = AFT_LITERAL("p"),
                            .context = {context, CONTEXT},
                            .items = items,
                            .items_n = n};
    assert_int_equal(aft_learner_learn(l, &x, &e), AFT_OK);
}

static void
publish(struct aft_learner *l, int64_t round, struct bytes *b)
{
    struct aft_error e;
    struct aft_publish_spec spec = {.model = AFT_LITERAL("m"),
                                    .round = round,
                                    .kind = round == 1 ? AFT_SNAPSHOT_FULL : AFT_SNAPSHOT_DELTA};
    b->n = b->records = 0;
    if (aft_learner_publish(l, &spec, take, b, &e) != AFT_OK)
        fail_msg("%s", e.message);
}

static void
test_in_proportion(void **state)
{
    (void)state;
    struct aft_learner_settings s;
    struct aft_error e;
    struct bytes b = {.set = aft_snapshot_set_new()};
    aft_learner_settings_default(&s);
    kit_set(&s, "learner.model", "flow");
    kit_set(&s, "features.bits", "24");
    struct aft_learner *l = kit_learner(&s), *again = kit_learner(&s);
    for (uint32_t i = 0; i < ROWS; i += SHOWN)
        show(l, i, SHOWN);
    publish(l, 1, &b);
    uint64_t full = b.n;
    for (uint32_t i = 0; i < CHANGED; i++)
        show(l, i * 997, 1);
    publish(l, 2, &b);
    /* a row: weights, variances, information, of all members (policy/format.c) */
    const uint8_t *head = aft_snapshot_set_plane(b.set, AFT_PLANE_WEIGHTS).p;
    uint64_t stride = (uint64_t)aft_load_le32(head + 28) * aft_load_le32(head + 8);
    uint64_t rows = (uint64_t)CHANGED * 3 * stride * sizeof(float);
    printf("full %llu bytes, delta %llu bytes in %u records, %d changed rows hold %llu\n",
           (unsigned long long)full, (unsigned long long)b.n, b.records, CHANGED,
           (unsigned long long)rows);
    assert_true(stride >= CONTEXT && full > ROWS * 3 * stride * sizeof(float));
    assert_true(b.n > rows && b.n < 2 * rows);
    assert_int_equal(aft_learner_restore(again, b.set, &e), AFT_OK); /* it proves the digest */
    publish(l, 3, &b);                                               /* nothing changed */
    assert_true(b.n < 16384);
    aft_learner_free(l);
    aft_learner_free(again);
    aft_snapshot_set_free(b.set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_in_proportion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
