/* test_0011 - an example is its impression and more: that of an impression as large as a record may be was a block that no reader takes, neither
 * the learner nor the joiner's next start, and both stopped at it for ever. Such an impression goes to the dead letters.
 */
#include "tests/world.h"

enum { TEXTS = 512 };

static char names[TEXTS][8], text[AFT_TEXT_BYTES_MAX];
static struct aft_feature context[TEXTS], item[TEXTS];
static uint32_t blocks, letters;

/* An impression whose record has about so many bytes. */
static void
put(struct world *w, const char *id, size_t bytes)
{
    struct aft_shown shown = {.arm_id = AFT_LITERAL("a"), .propensity = 1};
    struct aft_impression v = {.decision_id = aft_text(id),
                               .user_id = AFT_LITERAL("u"),
                               .timestamp_ms = w->now_ms,
                               .policy = AFT_LITERAL("p"),
                               .slate = &shown,
                               .slate_n = 1};
    size_t each = AFT_TEXT_BYTES_MAX + 10, n = (bytes - 100) / each;
    v.context = (struct aft_features){context, (uint32_t)(n < TEXTS ? n : TEXTS)};
    shown.features = (struct aft_features){item, (uint32_t)(n - v.context.n)};
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&w->value, &v);
    item[shown.features.n++] = (struct aft_feature){
        .name = AFT_LITERAL("rest"),
        .type = AFT_FEATURE_TEXT,
        .text = {(const uint8_t *)text, (bytes - w->value.n - 16) % AFT_TEXT_BYTES_MAX}};
    aft_buffer_reset(&w->value);
    aft_frame_put_single(&w->value, AFT_RECORD_IMPRESSION);
    aft_encode_impression(&w->value, &v);
    assert_in_range(w->value.n, bytes - 100, bytes);
    world_put(w, "topics.impressions", 0, "u", aft_buffer_bytes(&w->value));
    item[shown.features.n - 1] = item[0];
}

static void
block(void *ctx, const struct aft_record_in *r)
{
    (void)ctx;
    struct aft_block b;
    WORLD_OK(aft_decode_block(world_body(r), &b, &world_error)); /* what any reader does */
    blocks += b.n;
}

static void
letter(void *ctx, const struct aft_record_in *r)
{
    (void)ctx;
    (void)r;
    letters++;
}

static void
what_would_be_too_large_is_a_dead_letter(void **state)
{
    (void)state;
    struct world w;
    struct aft_task *t;
    bool busy;
    memset(text, 'x', sizeof text);
    for (int i = 0; i < TEXTS; i++) {
        sprintf(names[i], "f%03d", i);
        context[i] = item[i] = (struct aft_feature){.name = aft_text(names[i]),
                                                    .type = AFT_FEATURE_TEXT,
                                                    .text = {(const uint8_t *)text, sizeof text}};
    }
    world_open(&w, 1, 1);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = w.log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .owner = "a test"};
    put(&w, "the largest", AFT_IMPRESSION_BYTES_MAX);
    put(&w, "as large as a record", AFT_RECORD_BYTES_MAX);
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    for (int i = 0; i < 300; i++) {
        w.now_ms += 1000;
        WORLD_OK(aft_task_step(t, 0, &busy, &world_error));
    }
    aft_task_close(t);
    w.log->ops->poll(w.log, 0);
    world_each(&w, "topics.examples", 0, block, NULL);
    world_each(&w, "topics.dead.letters", 0, letter, NULL);
    assert_int_equal(blocks, 2); /* OPEN and SETTLE of one */
    assert_int_equal(letters, 1);
    store->ops->close(store);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_would_be_too_large_is_a_dead_letter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
