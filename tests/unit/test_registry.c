/* test_registry.c - the schema registry's port, against a stub of a registry in this process (libmicrohttpd) that answers by id:
 * 1 a schema, 2 one with references, 3 Protobuf, 4 HTTP 500, 5 no JSON, 6 JSON that is no answer, 7 wants alice:secret, else 404. */
#include "tests/kit.h"

#include <microhttpd.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "consumer/consumer.h"

static const char schema_text[] = "{\"type\": \"string\"}";
static unsigned asked;

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result
authenticated(struct MHD_Connection *c)
{
    char *password = NULL, *user = MHD_basic_auth_get_username_password(c, &password);
    bool good = user && password && strcmp(user, "alice") == 0 && strcmp(password, "secret") == 0;
    MHD_free(user);
    MHD_free(password);
    return good ? answer(c, 200, "{\"schema\": \"\\\"int\\\"\"}") : answer(c, 401, "{}");
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
           const char *version, const char *body, size_t *body_n, void **state)
{
    (void)ctx, (void)method, (void)version, (void)body, (void)body_n, (void)state;
    asked++;
    if (strcmp(url, "/base/schemas/guids/00112233-4455-6677-8899-aabbccddeeff") == 0)
        return answer(c, 200, "{\"schema\": \"\\\"long\\\"\"}");
    if (strcmp(url, "/base/schemas/ids/1") == 0)
        return answer(c, 200, "{\"schema\": \"{\\\"type\\\": \\\"string\\\"}\", \"other\": 1}");
    if (strcmp(url, "/base/schemas/ids/2") == 0)
        return answer(c, 200, "{\"schema\": \"\\\"int\\\"\", \"references\": [{\"name\": \"x\"}]}");
    if (strcmp(url, "/base/schemas/ids/3") == 0)
        return answer(c, 200, "{\"schema\": \"syntax\", \"schemaType\": \"PROTOBUF\"}");
    if (strcmp(url, "/base/schemas/ids/4") == 0)
        return answer(c, 500, "{}");
    if (strcmp(url, "/base/schemas/ids/5") == 0)
        return answer(c, 200, "<html>");
    if (strcmp(url, "/base/schemas/ids/6") == 0)
        return answer(c, 200, "{\"id\": 6}");
    if (strcmp(url, "/base/schemas/ids/7") == 0)
        return authenticated(c);
    if (strcmp(url, "/base/subjects") == 0)
        return answer(c, 200, "[]");
    if (strcmp(url, "/base/schemas/ids/98") == 0)
        return answer(c, 404, "{\"message\": \"some registries have no codes\"}");
    if (strncmp(url, "/base/", 6) == 0)
        return answer(c, 404, "{\"error_code\": 40403}");
    if (strcmp(url, "/guarded/subjects") == 0)
        return answer(c, 403, "{}");
    return answer(c, 404, "{\"error_code\": 404, \"message\": \"HTTP 404 Not Found\"}");
}

static struct MHD_Daemon *
stub_start(char url[64])
{
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
                                            on_request, NULL, MHD_OPTION_END);
    assert_non_null(d);
    unsigned port = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port;
    snprintf(url, 64, "http://127.0.0.1:%u/base/", port);
    return d;
}

static int64_t
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        enum aft_err err;
    } want[] = {{1, AFT_OK},       {2, AFT_E_UNKNOWN_SCHEMA},  {3, AFT_E_UNKNOWN_SCHEMA},
                {4, AFT_E_AGAIN},  {5, AFT_E_CONFIG},          {6, AFT_E_CONFIG},
                {7, AFT_E_CONFIG}, {98, AFT_E_UNKNOWN_SCHEMA}, {99, AFT_E_UNKNOWN_SCHEMA}};
    char url[64];
    struct aft_error e;
    struct aft_registry *r;
    struct MHD_Daemon *d = stub_start(url);
    struct aft_registry_options o = {.url = url, .timeout_ms = 60000};
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_OK);
    struct aft_schema_port port = aft_registry_port(r);
    int64_t begun = now_ms();
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct aft_buffer json = {0};
        assert_int_equal(port.by_id(port.ctx, want[i].id, &json, &e), want[i].err);
        if (want[i].err == AFT_OK)
            assert_true(aft_same(aft_buffer_bytes(&json), aft_text(schema_text)));
        else
            assert_int_equal(json.n, 0);
        aft_buffer_deinit(&json);
    }
    /* what is known, and for a while what is unknown, is not asked for again; what may pass by itself is, twice a second at most */
    unsigned before = asked;
    struct aft_buffer json = {0};
    assert_int_equal(port.by_id(port.ctx, 1, &json, &e), AFT_OK);
    assert_int_equal(port.by_id(port.ctx, 99, &json, &e), AFT_E_UNKNOWN_SCHEMA);
    assert_in_range(asked - before, 0, (now_ms() - begun) / 5000);
    before = asked;
    assert_int_equal(port.by_id(port.ctx, 4, &json, &e), AFT_E_AGAIN);
    assert_in_range(asked - before, 0, (now_ms() - begun) / 500);
    nanosleep(&(struct timespec){0, 600000000}, NULL);
    before = asked;
    begun = now_ms();
    for (int i = 0; i < 100; i++)
        assert_int_equal(port.by_id(port.ctx, 4, &json, &e), AFT_E_AGAIN);
    assert_in_range(asked - before, 1, 1 + (now_ms() - begun) / 500);
    for (uint32_t id = 100; id < 1200;
         id++) /* made-up ids are kept in bounded room: what was known may be asked for anew */
        assert_int_equal(port.by_id(port.ctx, id, &json, &e), AFT_E_UNKNOWN_SCHEMA);
    before = asked;
    assert_int_equal(port.by_id(port.ctx, 1, &json, &e), AFT_OK);
    assert_int_equal(asked, before + 1);
    static const uint8_t guid[AFT_GUID_BYTES] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                                 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    static const uint8_t other[AFT_GUID_BYTES] = {1};
    aft_buffer_reset(&json);
    assert_int_equal(port.by_guid(port.ctx, guid, &json, &e), AFT_OK);
    assert_true(aft_same(aft_buffer_bytes(&json), AFT_LITERAL("\"long\"")));
    assert_int_equal(port.by_guid(port.ctx, other, &json, &e), AFT_E_UNKNOWN_SCHEMA);
    assert_non_null(strstr(e.message, "01000000-0000-0000-0000-000000000000"));
    MHD_stop_daemon(d);
    assert_int_equal(port.by_id(port.ctx, 4, &json, &e), AFT_E_AGAIN); /* nobody there */
    assert_int_equal(port.by_id(port.ctx, 1, &json, &e), AFT_OK);
    aft_buffer_deinit(&json);
    aft_registry_close(r);
}

/* A 404 from what is no registry's base address is no word on the schema: a record is not given up for it. */
static void
another_base(void **state)
{
    (void)state;
    char url[64], other[96];
    struct aft_error e;
    struct aft_registry *r;
    struct aft_buffer json = {0};
    struct aft_registered found;
    struct MHD_Daemon *d = stub_start(url);
    struct aft_registry_options o = {.url = other, .timeout_ms = 60000};
    *strstr(url, "base/") = '\0';
    snprintf(other, sizeof other, "%snowhere", url);
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_OK);
    struct aft_schema_port port = aft_registry_port(r);
    for (unsigned before = asked, i = 1; i < 3; i++) { /* it is not remembered */
        assert_int_equal(port.by_id(port.ctx, 1, &json, &e), AFT_E_CONFIG);
        assert_non_null(strstr(e.message, "must be its base address"));
        assert_int_equal(asked, before + 2 * i);
    }
    assert_int_equal(aft_registry_latest(r, "impressions-value", &found, &json, &e), AFT_E_CONFIG);
    aft_registry_close(r);
    snprintf(other, sizeof other, "%sguarded", url); /* a registry, whose list is not for us */
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_OK);
    port = aft_registry_port(r);
    assert_int_equal(port.by_id(port.ctx, 1, &json, &e), AFT_E_UNKNOWN_SCHEMA);
    assert_int_equal(aft_registry_latest(r, "impressions-value", &found, &json, &e), AFT_OK);
    assert_int_equal(found.id, -1);
    aft_registry_close(r);
    aft_buffer_deinit(&json);
    MHD_stop_daemon(d);
}

static void
basic_authentication(void **state)
{
    (void)state;
    char url[64], path[] = "/tmp/aft-test-registry-XXXXXX";
    struct aft_error e;
    struct aft_registry *r;
    struct aft_buffer json = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    struct MHD_Daemon *d = stub_start(url);
    struct aft_registry_options o = {.url = url, .user = "alice", .password_file = path};
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_OK);
    struct aft_schema_port port = aft_registry_port(r);
    assert_int_equal(port.by_id(port.ctx, 7, &json, &e), AFT_OK);
    assert_true(aft_same(aft_buffer_bytes(&json), aft_text("\"int\"")));
    aft_registry_close(r);
    o.user = "bob";
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_OK);
    port = aft_registry_port(r);
    assert_int_equal(port.by_id(port.ctx, 7, &json, &e), AFT_E_CONFIG);
    assert_non_null(strstr(e.message, "schema.registry.user"));
    assert_null(strstr(e.message, "secret"));
    aft_registry_close(r);
    aft_buffer_deinit(&json);
    MHD_stop_daemon(d);
    unlink(path);
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_E_CONFIG); /* no such file */
    o.user = NULL;
    o.url = "localhost:8081";
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_E_CONFIG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers), cmocka_unit_test(another_base),
                                       cmocka_unit_test(basic_authentication)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
