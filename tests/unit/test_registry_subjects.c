/* test_registry_subjects.c - subjects of a schema registry, against a stub of one in this process (libmicrohttpd): it keeps what is posted to
 * it, one version a subject; "no-value" it refuses (409), with "odd-value" nothing is compatible, "down-value" is answered by HTTP 503,
 * "strange-value" by no JSON. Subjects come escaped.
 */
#include "tests/kit.h"

#include <jansson.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/consumer.h"

enum { SUBJECTS_MAX = 8 };

static struct {
    char subject[64], *schema;
} kept[SUBJECTS_MAX];
static int kept_n;
static char last_url[300];

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static int
place_of(const char *subject)
{
    int i = 0;
    while (i < kept_n && strcmp(kept[i].subject, subject) != 0)
        i++;
    return i;
}

static enum MHD_Result
answer_kept(struct MHD_Connection *c, int i, bool with_schema)
{
    json_t *o =
        json_pack("{s:s, s:i, s:i}", "subject", kept[i].subject, "id", 10 + i, "version", 1);
    if (with_schema)
        json_object_set_new(o, "schema", json_string(kept[i].schema));
    char *text = json_dumps(o, 0);
    enum MHD_Result result = answer(c, 200, text);
    free(text);
    json_decref(o);
    return result;
}

static enum MHD_Result
keep(struct MHD_Connection *c, const char *subject, const char *body)
{
    if (strcmp(subject, "no-value") == 0)
        return answer(c, 409, "{\"error_code\": 409, \"message\": \"a field was lost\"}");
    int i = place_of(subject);
    json_t *o = json_loads(body, 0, NULL);
    assert_true(o && i < SUBJECTS_MAX);
    if (i == kept_n) {
        snprintf(kept[i].subject, sizeof kept[i].subject, "%s", subject);
        kept[i].schema = strdup(json_string_value(json_object_get(o, "schema")));
        kept_n++;
    }
    json_decref(o);
    char text[32];
    snprintf(text, sizeof text, "{\"id\": %d}", 10 + i);
    return answer(c, 200, text);
}

/* url: /subjects/S, /subjects/S/versions, /subjects/S/versions/latest, /compatibility/subjects/S/versions/latest */
static enum MHD_Result
route(struct MHD_Connection *c, const char *url, const char *body)
{
    char subject[64] = "";
    const char *at = strstr(url, "/subjects/") + strlen("/subjects/"), *end = strchr(at, '/');
    snprintf(subject, sizeof subject, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
    end = end ? end : "";
    if (strcmp(subject, "down-value") == 0)
        return answer(c, 503, "{}");
    if (strcmp(subject, "strange-value") == 0)
        return answer(c, 200, "<html>");
    if (strncmp(url, "/compatibility/", 15) == 0)
        return answer(c, 200,
                      strcmp(subject, "odd-value") == 0
                          ? "{\"is_compatible\": false, \"messages\": [\"READER_FIELD\", \"x\"]}"
                          : "{\"is_compatible\": true}");
    if (strcmp(end, "/versions") == 0)
        return keep(c, subject, body);
    int i = place_of(subject);
    return i < kept_n ? answer_kept(c, i, end[0] != '\0')
                      : answer(c, 404, "{\"error_code\": 40401, \"message\": \"no such subject\"}");
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
           const char *version, const char *body, size_t *body_n, void **state)
{
    (void)ctx, (void)method, (void)version;
    struct aft_buffer *b = *state;
    if (!b) {
        *state = calloc(1, sizeof *b);
        return MHD_YES;
    }
    if (*body_n) {
        aft_put_raw(b, (struct aft_bytes){(const uint8_t *)body, *body_n});
        *body_n = 0;
        return MHD_YES;
    }
    aft_put_u8(b, 0);
    snprintf(last_url, sizeof last_url, "%s", url);
    return route(c, url, (const char *)b->p);
}

static void
on_done(void *ctx, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    (void)ctx, (void)c, (void)code;
    if (*state)
        aft_buffer_deinit(*state);
    free(*state);
}

static void
subjects(void **state)
{
    (void)state;
    char url[64], why[300];
    struct aft_error e;
    struct aft_registry *r;
    struct aft_registered a, b;
    struct aft_buffer schema = {0};
    bool good = false;
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, NULL,
                         MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL, MHD_OPTION_END);
    assert_non_null(d);
    snprintf(url, sizeof url, "http://127.0.0.1:%u",
             MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
    struct aft_registry_options o = {.url = url, .timeout_ms = 2000};
    assert_int_equal(aft_registry_open(&o, &r, &e), AFT_OK);
    struct aft_bytes ours = aft_record_schema(AFT_RECORD_IMPRESSION);
    assert_int_equal(aft_registry_latest(r, "a-value", &a, &schema, &e), AFT_OK);
    assert_true(a.id == -1 && schema.n == 0);
    assert_int_equal(aft_registry_push(r, "a-value", ours, &a, &e), AFT_OK);
    assert_int_equal(aft_registry_push(r, "a-value", ours, &b, &e), AFT_OK);
    assert_true(a.id == 10 && a.version == 1 && b.id == a.id && b.version == a.version);
    assert_int_equal(aft_registry_latest(r, "a-value", &b, &schema, &e), AFT_OK);
    assert_true(b.id == a.id && aft_same(aft_buffer_bytes(&schema), ours));
    assert_int_equal(aft_registry_compatible(r, "a-value", ours, &good, why, &e), AFT_OK);
    assert_true(good);
    assert_int_equal(aft_registry_compatible(r, "odd-value", ours, &good, why, &e), AFT_OK);
    assert_true(!good && strstr(why, "READER_FIELD; x"));
    assert_int_equal(aft_registry_push(r, "no-value", ours, &b, &e), AFT_E_SCHEMA);
    assert_int_equal(aft_err_exit(e.code), 5);
    assert_non_null(strstr(e.message, "a field was lost"));
    assert_int_equal(aft_registry_push(r, "down-value", ours, &b, &e), AFT_E_AGAIN);
    assert_int_equal(aft_registry_push(r, "strange-value", ours, &b, &e), AFT_E_CONFIG);
    assert_int_equal(aft_registry_compatible(r, "strange-value", ours, &good, why, &e),
                     AFT_E_CONFIG);
    /* the port's own requests go on as before */
    struct aft_schema_port port = aft_registry_port(r);
    assert_null(aft_registry_port(NULL).by_id);
    assert_int_equal(aft_registry_push(r, "a b%-value", ours, &b, &e), AFT_OK);
    assert_string_equal(last_url, "/subjects/a b%-value"); /* as the stub's library reads it */
    char long_one[2000];
    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    assert_int_equal(aft_registry_push(r, long_one, ours, &b, &e), AFT_E_CONFIG);
    MHD_stop_daemon(d);
    assert_int_equal(aft_registry_push(r, "a-value", ours, &b, &e), AFT_E_AGAIN);
    assert_int_equal(port.by_id(port.ctx, 3, &schema, &e), AFT_E_AGAIN);
    aft_registry_close(r);
    aft_buffer_deinit(&schema);
    for (int i = 0; i < kept_n; i++)
        free(kept[i].schema);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(subjects)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
