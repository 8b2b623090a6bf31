/* test_0017 - a record waits for a schema registry that does not answer: the partition stood still, and nothing said so, neither a line nor
 * the status. And a registry that refuses us (a wrong password) made dead letters of good records: that is no fault of theirs.
 */
#include "tests/world.h"

enum said { SILENT, REFUSES, ANSWERS };

static enum aft_err
by_id(void *ctx, uint32_t id, struct aft_buffer *json, struct aft_error *e)
{
    enum said *said = ctx;
    if (*said == SILENT)
        return AFT_FAIL(e, AFT_E_AGAIN, "the registry does not answer for schema %u", id);
    if (*said == REFUSES)
        return AFT_FAIL(e, AFT_E_CONFIG, "the registry refuses us (HTTP 401)");
    aft_put_raw(json, aft_record_schema(AFT_RECORD_IMPRESSION));
    return AFT_OK;
}

/* An impression in the registry's frame, under id 7. */
static void
put_framed(struct world *w)
{
    struct aft_shown only = {.arm_id = AFT_LITERAL("a1"), .propensity = 0.5};
    struct aft_impression v = {.decision_id = AFT_LITERAL("waits"),
                               .user_id = AFT_LITERAL("u"),
                               .timestamp_ms = w->now_ms,
                               .policy = AFT_LITERAL("p"),
                               .propensity_kind = AFT_PROPENSITY_EXACT,
                               .slate = &only,
                               .slate_n = 1};
    aft_buffer_reset(&w->value);
    aft_frame_put_confluent(&w->value, 7);
    aft_encode_impression(&w->value, &v);
    world_put(w, "topics.impressions", 0, "u", aft_buffer_bytes(&w->value));
}

struct one {
    struct world w;
    struct aft_log *log;
    struct aft_store *store;
    struct aft_task *task;
    enum said said;
};

static void
one_open(struct one *o)
{
    struct aft_task_options t = {.owner = "a test"};
    world_open(&o->w, 3, 1);
    put_framed(&o->w);
    o->log = t.log = aft_log_memory(o->w.broker);
    o->store = t.store = aft_store_mem_new();
    t.config = o->w.config;
    t.clock = world_clock(&o->w);
    t.schemas = (struct aft_schema_port){.ctx = &o->said, .by_id = by_id};
    WORLD_OK(aft_task_open(&t, &o->task, &world_error));
}

static void
one_close(struct one *o)
{
    aft_task_close(o->task);
    o->log->ops->poll(o->log, 0);
    o->store->ops->close(o->store);
    o->log->ops->close(o->log);
    world_close(&o->w);
}

static enum aft_err
steps(struct one *o, int n)
{
    enum aft_err err = AFT_OK;
    bool busy;
    for (int i = 0; i < n && err == AFT_OK; i++)
        err = aft_task_step(o->task, 0, &busy, &world_error);
    return err;
}

static void
what_it_waits_for_is_told(void **state)
{
    (void)state;
    struct one o = {.said = SILENT};
    struct aft_task_status s;
    one_open(&o);
    WORLD_OK(steps(&o, 40));
    aft_task_status(o.task, false, &s);
    assert_true(s.owner && s.consumed[AFT_IMPRESSIONS] == 0);
    assert_non_null(strstr(s.waits_for, "does not answer for schema 7"));
    assert_non_null(strstr(s.waits_for, aft_config_text(o.w.config, "topics.impressions")));
    assert_non_null(strstr(s.waits_for, "offset 0"));
    o.said = ANSWERS;
    WORLD_OK(steps(&o, 10));
    aft_task_status(o.task, false, &s);
    assert_true(s.consumed[AFT_IMPRESSIONS] == 1 && s.dead_letters == 0);
    assert_string_equal(s.waits_for, "");
    one_close(&o);
}

static void
a_refusal_is_no_fault_of_the_record(void **state)
{
    (void)state;
    struct one o = {.said = REFUSES};
    struct aft_task_status s;
    one_open(&o);
    assert_int_equal(steps(&o, 40), AFT_E_CONFIG);
    assert_non_null(strstr(world_error.message, "401"));
    aft_task_status(o.task, false, &s);
    assert_int_equal(s.dead_letters, 0);
    o.said = ANSWERS; /* it was not remembered */
    WORLD_OK(steps(&o, 10));
    aft_task_status(o.task, false, &s);
    assert_true(s.consumed[AFT_IMPRESSIONS] == 1 && s.dead_letters == 0);
    one_close(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_it_waits_for_is_told),
                                       cmocka_unit_test(a_refusal_is_no_fault_of_the_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
