/* test_schema_header.c - values without a frame, whose schema is named in their record's header: by id and by GUID, as Confluent's newer
 * serializers write them; what such a header may hold; a task that reads such records, and the dead letter of one that it cannot read.
 */
#include "tests/world.h"

#include "wire/wire_avro.h"

static const uint8_t guid_header[] = {1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t id_header[] = {0, 0, 0, 0, 7};

struct asked {
    unsigned ids, guids;
};

static enum aft_err
by_id(void *ctx, uint32_t id, struct aft_buffer *json, struct aft_error *e)
{
    ((struct asked *)ctx)->ids++;
    if (id != 7)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA, "no schema %u", id);
    aft_put_raw(json, aft_record_schema(AFT_RECORD_IMPRESSION));
    return AFT_OK;
}

static enum aft_err
by_guid(void *ctx, const uint8_t guid[AFT_GUID_BYTES], struct aft_buffer *json, struct aft_error *e)
{
    ((struct asked *)ctx)->guids++;
    if (memcmp(guid, guid_header + 1, AFT_GUID_BYTES) != 0)
        return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA, "no such GUID");
    aft_put_raw(json, aft_record_schema(AFT_RECORD_IMPRESSION));
    return AFT_OK;
}

static struct aft_bytes
impression(struct world *w, const char *id)
{
    struct aft_shown only = {.arm_id = AFT_LITERAL("a1"), .propensity = 0.5};
    struct aft_impression v = {.decision_id = aft_text(id),
                               .user_id = AFT_LITERAL("u"),
                               .timestamp_ms = w->now_ms,
                               .policy = AFT_LITERAL("p"),
                               .propensity_kind = AFT_PROPENSITY_EXACT,
                               .slate = &only,
                               .slate_n = 1};
    aft_buffer_reset(&w->value);
    aft_encode_impression(&w->value, &v);
    return aft_buffer_bytes(&w->value);
}

static void
put(struct world *w, const char *id, const uint8_t *header, size_t n)
{
    const struct aft_header headers[] = {{AFT_LITERAL("trace"), AFT_LITERAL("x")},
                                         {AFT_LITERAL(AFT_SCHEMA_HEADER), {header, n}}};
    struct aft_append a = {.topic = aft_config_text(w->config, "topics.impressions"),
                           .partition = 0,
                           .timestamp_ms = -1,
                           .key = AFT_LITERAL("u"),
                           .value = impression(w, id),
                           .headers = headers,
                           .headers_n = 2};
    WORLD_OK(w->log->ops->append(w->log, &a, &world_error));
    w->log->ops->poll(w->log, 0);
}

/* The dead letter holds what it takes to read the value again. */
static void
dead_letter_is_whole(struct world *w)
{
    struct aft_log_reader *reader;
    struct aft_record_in in[4];
    uint32_t n;
    bool at_end;
    WORLD_OK(w->log->ops->reader_open(w->log, aft_config_text(w->config, "topics.dead.letters"), 0,
                                      0, &reader, &world_error));
    if (w->log->ops->with_headers)
        w->log->ops->with_headers(reader);
    WORLD_OK(w->log->ops->read(reader, in, 4, 0, &n, &at_end, &world_error));
    assert_int_equal(n, 1);
    assert_true(aft_same(aft_schema_header(&in[0]), AFT_LITERAL("\1 strange")));
    w->log->ops->reader_close(reader);
}

static void
a_task_reads_them(void **state)
{
    (void)state;
    struct world w;
    struct asked asked = {0};
    struct aft_task *t;
    struct aft_task_status s;
    bool busy;
    world_open(&w, 3, 1);
    put(&w, "by-id", id_header, sizeof id_header);
    put(&w, "by-guid", guid_header, sizeof guid_header);
    put(&w, "by-guid-again", guid_header, sizeof guid_header);
    put(&w, "strange", (const uint8_t *)"\1 strange", 9);
    struct aft_log *log = aft_log_memory(w.broker);
    struct aft_store *store = aft_store_mem_new();
    struct aft_task_options o = {.config = w.config,
                                 .log = log,
                                 .store = store,
                                 .clock = world_clock(&w),
                                 .schemas = {.ctx = &asked, .by_id = by_id, .by_guid = by_guid},
                                 .owner = "a test"};
    WORLD_OK(aft_task_open(&o, &t, &world_error));
    for (int i = 0; i < 200; i++) {
        w.now_ms += 100;
        WORLD_OK(aft_task_step(t, 0, &busy, &world_error));
    }
    aft_task_status(t, false, &s);
    assert_int_equal(s.consumed[AFT_IMPRESSIONS], 4);
    assert_true(s.dead_letters == 1 && s.dead_letters_by[AFT_E_MAGIC] == 1);
    assert_true(asked.ids == 1 && asked.guids == 1);
    dead_letter_is_whole(&w);
    aft_task_close(t);
    log->ops->poll(log, 0);
    store->ops->close(store);
    log->ops->close(log);
    world_close(&w);
}

static void
what_a_header_may_hold(void **state)
{
    (void)state;
    static const uint8_t bytes[20] = {0};
    struct aft_frame f;
    struct aft_error e;
    struct aft_bytes value = AFT_LITERAL("body");
    for (size_t n = 0; n <= sizeof bytes; n++)
        for (unsigned first = 0; first < 3; first++) {
            uint8_t header[sizeof bytes];
            memcpy(header, bytes, sizeof bytes);
            header[0] = (uint8_t)first;
            bool good = (n == 5 && first == 0) || (n == 17 && first == 1);
            enum aft_err err = aft_frame_of_header((struct aft_bytes){header, n}, value, &f, &e);
            assert_int_equal(err, good ? AFT_OK : AFT_E_MAGIC);
            if (good)
                assert_true(aft_same(f.body, value));
        }
    assert_int_equal(aft_frame_of_header((struct aft_bytes){id_header, 5}, value, &f, &e), AFT_OK);
    assert_true(f.kind == AFT_FRAME_CONFLUENT && f.id == 7);
    struct aft_bytes huge = {bytes, (size_t)AFT_RECORD_BYTES_MAX + 1};
    assert_int_equal(aft_frame_of_header((struct aft_bytes){id_header, 5}, huge, &f, &e),
                     AFT_E_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_header_may_hold),
                                       cmocka_unit_test(a_task_reads_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
