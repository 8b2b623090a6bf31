/* registry_http.c - the schema port over a Confluent-compatible registry: GET <url>/schemas/ids/<id> and <url>/schemas/guids/<guid>,
 * by libcurl. In: ids; out: schemas'
 * texts. And any other request to it, for registry_subjects_json.c. Basic authentication with a password from a file, read once at opening.
 *
 * What was found is kept (ids never change). What the registry does not know is asked again after ABSENT_MS, so that a flood of
 * records under a wrong id costs no flood of requests; what it did not answer after SILENT_MS: a record that waits is tried again and
 * again, and meanwhile the other partitions want to go on.
 *
 * I1 one request at a time: the curl handle and the cache are used under the mutex alone.
 * I2 at most KNOWN_MAX ids are kept: made-up ones cost bounded memory. The one that was asked for first goes first.
 * Threads: any; tasks share one.
 */
#define CURL_DISABLE_TYPECHECK /* its checks are no standard C */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "consumer/consumer.h"
#include "consumer/registry.h"

enum {
    ANSWER_BYTES_MAX = 4 << 20,
    ABSENT_MS = 5000,
    SILENT_MS = 500,
    CONNECT_MS = 1000,
    KNOWN_MAX = 1000,
    PASSWORD_BYTES_MAX = 1024
};

struct known {
    struct known *next;
    char name[40];           /* an id, or a GUID as it is written down */
    int64_t absent_until_ms; /* 0: it is there */
    struct aft_error why;    /* of absence, or of silence */
    struct aft_buffer json;
};

struct aft_registry {
    pthread_mutex_t mutex;
    CURL *curl;
    struct curl_slist *headers;
    struct known *known; /* the newest first */
    size_t known_n;
    struct aft_buffer answer;
    char said[CURL_ERROR_SIZE];
    char url[1024];
};

static int64_t
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}

static size_t
on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct aft_buffer *b = ctx;
    n *= size;
    if (b->n + n > ANSWER_BYTES_MAX)
        return 0; /* curl fails the transfer */
    aft_put_raw(b, (struct aft_bytes){(const uint8_t *)bytes, n});
    return n;
}

enum aft_err
afti_registry_status(const struct aft_registry *r, long status, struct aft_error *e)
{
    if (status == 200)
        return AFT_OK;
    if (status == 401 || status == 403)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "the registry at %s refuses us (HTTP %ld): check schema.registry.user and "
                        "schema.registry.password.file",
                        r->url, status);
    if (status == 429 || status >= 500)
        return AFT_FAIL(e, AFT_E_AGAIN,
                        "the registry at %s answers HTTP %ld: it is overloaded or broken, see its "
                        "own log",
                        r->url, status);
    return AFT_FAIL(e, AFT_E_CONFIG,
                    "%s answers HTTP %ld, as no Confluent-compatible registry does: "
                    "schema.registry.url must be its base address, with the path that some have "
                    "(/apis/ccompat/v7)",
                    r->url, status);
}

/* transfer: r->curl is set up but for the address; the answer is in r->answer. */
static enum aft_err
transfer(struct aft_registry *r, const char *path, long *status, struct aft_error *e)
{
    char url[sizeof r->url + AFTI_REGISTRY_PATH];
    snprintf(url, sizeof url, "%s%s", r->url, path);
    aft_buffer_reset(&r->answer);
    r->said[0] = '\0';
    curl_easy_setopt(r->curl, CURLOPT_URL, url);
    CURLcode code = curl_easy_perform(r->curl);
    if (code != CURLE_OK)
        return AFT_FAIL(e, AFT_E_AGAIN,
                        "the registry at %s does not answer (%s): bring it up, or mend "
                        "schema.registry.url",
                        r->url, r->said[0] ? r->said : curl_easy_strerror(code));
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, status);
    return AFT_OK;
}

enum aft_err
afti_registry_listed(const struct aft_registry *r, long status, struct aft_error *e)
{
    return status == 401 || status == 403 ? AFT_OK : afti_registry_status(r, status, e);
}

static enum aft_err
unknown(struct aft_registry *r, const char *name, struct aft_error *e)
{
    long status = 0;
    if (!afti_registry_own(afti_registry_code(aft_buffer_bytes(&r->answer)))) {
        AFT_TRY(transfer(r, "/subjects", &status, e));
        AFT_TRY(afti_registry_listed(r, status, e));
    }
    return AFT_FAIL(e, AFT_E_UNKNOWN_SCHEMA,
                    "the registry at %s knows no schema %s: was the record written against "
                    "another registry?",
                    r->url, name);
}

static enum aft_err
ask(struct aft_registry *r, const char *kind, const char *name, struct aft_buffer *json,
    struct aft_error *e)
{
    char path[80];
    long status = 0;
    snprintf(path, sizeof path, "/schemas/%s/%s", kind, name);
    AFT_TRY(transfer(r, path, &status, e));
    if (status == 404)
        return unknown(r, name, e);
    AFT_TRY(afti_registry_status(r, status, e));
    return afti_registry_answer(name, aft_buffer_bytes(&r->answer), json, e);
}

enum aft_err
afti_registry_request(struct aft_registry *r, const char *path, const char *body,
                      struct aft_buffer *answer, long *status, struct aft_error *e)
{
    pthread_mutex_lock(&r->mutex);
    struct curl_slist *headers =
        curl_slist_append(NULL, "Accept: application/vnd.schemaregistry.v1+json, application/json");
    headers = curl_slist_append(headers, "Content-Type: application/vnd.schemaregistry.v1+json");
    curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, headers);
    if (body) {
        curl_easy_setopt(r->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(r->curl, CURLOPT_POSTFIELDS, body); /* makes it a POST */
    }
    enum aft_err err = transfer(r, path, status, e);
    curl_easy_setopt(r->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, r->headers);
    curl_slist_free_all(headers);
    aft_buffer_reset(answer);
    if (err == AFT_OK)
        aft_put_raw(answer, aft_buffer_bytes(&r->answer));
    pthread_mutex_unlock(&r->mutex);
    return err;
}

static void
known_drop_last(struct aft_registry *r)
{
    struct known **at = &r->known;
    AFT_ASSERT(*at != NULL);
    while ((*at)->next)
        at = &(*at)->next;
    aft_buffer_deinit(&(*at)->json);
    free(*at);
    *at = NULL;
    r->known_n--;
}

static struct known *
known_of(struct aft_registry *r, const char *name)
{
    struct known *k = r->known;
    while (k && strcmp(k->name, name) != 0)
        k = k->next;
    if (k)
        return k;
    if (r->known_n == KNOWN_MAX) /* I2 */
        known_drop_last(r);
    r->known_n++;
    k = calloc(1, sizeof *k);
    AFT_ASSERT(k != NULL);
    *k = (struct known){.next = r->known, .absent_until_ms = 1};
    snprintf(k->name, sizeof k->name, "%s", name);
    r->known = k;
    return k;
}

static enum aft_err
by_name(struct aft_registry *r, const char *kind, const char *name, struct aft_buffer *json,
        struct aft_error *e)
{
    enum aft_err err = AFT_OK;
    pthread_mutex_lock(&r->mutex);
    struct known *k = known_of(r, name);
    if (k->absent_until_ms > now_ms()) {
        *e = k->why;
        err = e->code;
    } else if (k->absent_until_ms != 0) {
        aft_buffer_reset(&k->json);
        err = ask(r, kind, name, &k->json, e);
        if (err == AFT_OK) {
            k->absent_until_ms = 0;
        } else if (err == AFT_E_UNKNOWN_SCHEMA || err == AFT_E_AGAIN) {
            k->absent_until_ms = now_ms() + (err == AFT_E_AGAIN ? SILENT_MS : ABSENT_MS);
            k->why = *e;
        }
    }
    if (err == AFT_OK)
        aft_put_raw(json, aft_buffer_bytes(&k->json));
    pthread_mutex_unlock(&r->mutex);
    return err;
}

static enum aft_err
by_id(void *ctx, uint32_t id, struct aft_buffer *json, struct aft_error *e)
{
    char name[16];
    snprintf(name, sizeof name, "%u", id);
    return by_name(ctx, "ids", name, json, e);
}

static enum aft_err
by_guid(void *ctx, const uint8_t guid[AFT_GUID_BYTES], struct aft_buffer *json, struct aft_error *e)
{
    char name[40];
    size_t n = 0;
    for (size_t i = 0; i < AFT_GUID_BYTES; i++)
        n += (size_t)snprintf(name + n, sizeof name - n, "%s%02x",
                              i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", guid[i]);
    return by_name(ctx, "guids", name, json, e);
}

/* ---- opening */
static enum aft_err
password_use(struct aft_registry *r, const char *path, struct aft_error *e)
{
    char password[PASSWORD_BYTES_MAX];
    FILE *f = path && path[0] ? fopen(path, "r") : NULL;
    if (!f)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "schema.registry.password.file=%s cannot be read: it must hold the "
                        "password of schema.registry.user",
                        path ? path : "");
    size_t n = fread(password, 1, sizeof password - 1, f);
    fclose(f);
    while (n > 0 && (password[n - 1] == '\n' || password[n - 1] == '\r'))
        n--;
    password[n] = '\0';
    curl_easy_setopt(r->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(r->curl, CURLOPT_PASSWORD, password); /* curl keeps a copy */
    memset(password, 0, sizeof password);
    return AFT_OK;
}

static enum aft_err
prepare(struct aft_registry *r, const struct aft_registry_options *o, struct aft_error *e)
{
    size_t n = o->url ? strlen(o->url) : 0;
    while (n > 0 && o->url[n - 1] == '/')
        n--;
    if (n >= sizeof r->url || n < 8 ||
        (strncmp(o->url, "http://", 7) != 0 && strncmp(o->url, "https://", 8) != 0))
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "schema.registry.url=%s is no address: want http://host:port or https://...",
            o->url ? o->url : "");
    memcpy(r->url, o->url, n);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    r->curl = curl_easy_init();
    AFT_ASSERT(r->curl != NULL);
    r->headers =
        curl_slist_append(NULL, "Accept: application/vnd.schemaregistry.v1+json, application/json");
    curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(r->curl, CURLOPT_ERRORBUFFER, r->said);
    curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, &r->answer);
    curl_easy_setopt(r->curl, CURLOPT_TIMEOUT_MS, o->timeout_ms > 0 ? (long)o->timeout_ms : 5000L);
    curl_easy_setopt(r->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (!o->user || !o->user[0])
        return AFT_OK;
    curl_easy_setopt(r->curl, CURLOPT_USERNAME, o->user);
    return password_use(r, o->password_file, e);
}

enum aft_err
aft_registry_open(const struct aft_registry_options *o, struct aft_registry **out,
                  struct aft_error *e)
{
    struct aft_registry *r = calloc(1, sizeof *r);
    AFT_ASSERT(r != NULL && pthread_mutex_init(&r->mutex, NULL) == 0);
    enum aft_err err = prepare(r, o, e);
    if (err == AFT_OK)
        *out = r;
    else
        aft_registry_close(r);
    return err;
}

enum aft_err
aft_registry_of(const struct aft_config *c, struct aft_registry **out, struct aft_error *e)
{
    const struct aft_registry_options o = {.url = aft_config_text(c, "schema.registry.url"),
                                           .user = aft_config_text(c, "schema.registry.user"),
                                           .password_file =
                                               aft_config_text(c, "schema.registry.password.file")};
    *out = NULL;
    return o.url[0] ? aft_registry_open(&o, out, e) : AFT_OK;
}

struct aft_bytes
aft_schema_header(const struct aft_record_in *r)
{
    for (uint32_t i = r->headers_n; i > 0; i--)
        if (aft_same(r->headers[i - 1].name, aft_text(AFT_SCHEMA_HEADER)))
            return r->headers[i - 1].value;
    return AFT_ABSENT;
}

void
aft_schema_header_want(struct aft_schema_port port, struct aft_log *log, struct aft_log_reader *r)
{
    if (port.by_guid && log->ops->with_headers)
        log->ops->with_headers(r);
}

struct aft_schema_port
aft_registry_port(struct aft_registry *r)
{
    return r ? (struct aft_schema_port){.ctx = r, .by_id = by_id, .by_guid = by_guid}
             : (struct aft_schema_port){0};
}

void
aft_registry_close(struct aft_registry *r)
{
    if (!r)
        return;
    for (struct known *k = r->known, *next; k; k = next) {
        next = k->next;
        aft_buffer_deinit(&k->json);
        free(k);
    }
    curl_slist_free_all(r->headers);
    if (r->curl)
        curl_easy_cleanup(r->curl);
    aft_buffer_deinit(&r->answer);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}
