/* engine_http.c - EDGE (libmicrohttpd): the engine's three addresses.
 *
 *      GET or POST /slate?user=U&device=web&session=S&NAME=VALUE...   body (POST): {"context": {}, "done": [], "elsewhere": {}}
 *      POST /outcome       {"user", "kind", "id", "decision", "arm", "subject", "session", "value"}
 *      GET /healthz
 *
 * 200: it is done: an outcome is in the library's queue, which is emptied before the engine stops.
 * 503: it is not; try again (with the same id). 400: it never will be. Threads: a pool of libmicrohttpd's own. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/examples/engine.h"

enum { BODY_BYTES_MAX = 64 << 10, THREADS = 4 };

struct engine_http {
    struct engine *engine;
    struct MHD_Daemon *daemon;
};
struct body {
    size_t n;
    bool too_long;
    char bytes[BODY_BYTES_MAX];
};
struct fields { /* of the query, on their way into a visit */
    const struct engine *engine;
    struct visit *visit;
    struct aft_client_error *why;
    bool good;
};

/* Takes text (from malloc; NULL: no memory). */
static enum MHD_Result
answer(struct MHD_Connection *to, unsigned status, char *text)
{
    struct MHD_Response *r =
        text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r) {
        free(text);
        return MHD_NO; /* closes the connection: the caller knows that it is not done */
    }
    MHD_add_response_header(r, "Content-Type", "application/json");
    enum MHD_Result done = MHD_queue_response(to, status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result
refuse(struct MHD_Connection *to, const struct aft_client_error *why)
{
    return answer(
        to, why->code == AFT_CLIENT_WRONG ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_SERVICE_UNAVAILABLE,
        engine_error_json(why->message));
}

static enum MHD_Result
field(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct fields *f = ctx;
    (void)kind;
    f->good = engine_visit_field(f->engine, f->visit, name, value, f->why);
    return f->good ? MHD_YES : MHD_NO;
}

static enum MHD_Result
slate(struct engine *e, struct MHD_Connection *c, const struct body *body)
{
    struct visit v = {.context_n = 0};
    struct aft_client_error why = {AFT_CLIENT_WRONG, "user is missing"};
    struct fields f = {e, &v, &why, true};
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, field, &f);
    if (!f.good || !v.user[0] ||
        (body->n > 0 && !engine_visit_body(e, &v, body->bytes, body->n, &why)))
        return refuse(c, &why);
    struct aft_client_decision *d;
    if (engine_slate(e, &v, &d, &why) != AFT_CLIENT_OK)
        return refuse(c, &why);
    char *text = engine_slate_json(e, d);
    aft_client_decision_free(e->client, d);
    return answer(c, MHD_HTTP_OK, text);
}

static enum MHD_Result
outcome(struct engine *e, struct MHD_Connection *c, const struct body *body)
{
    struct reported r;
    struct aft_client_error why;
    if (!engine_outcome_body(e, &r, body->bytes, body->n, &why) ||
        engine_outcome(e, &r, &why) != AFT_CLIENT_OK)
        return refuse(c, &why);
    return answer(c, MHD_HTTP_OK, engine_error_json("none"));
}

static enum MHD_Result
route(struct engine *e, struct MHD_Connection *c, const char *path, const char *method,
      const struct body *body)
{
    bool post = strcmp(method, "POST") == 0;
    if (body->too_long)
        return answer(c, MHD_HTTP_CONTENT_TOO_LARGE, engine_error_json("the body is too long"));
    if (strcmp(path, "/slate") == 0 && (post || strcmp(method, "GET") == 0))
        return slate(e, c, body);
    if (strcmp(path, "/outcome") == 0 && post)
        return outcome(e, c, body);
    if (strcmp(path, "/healthz") == 0)
        return answer(c, MHD_HTTP_OK, engine_health_json(e));
    return answer(c, MHD_HTTP_NOT_FOUND, engine_error_json("/slate, POST /outcome, /healthz"));
}

/* libmicrohttpd calls with the head, then with each piece of the body, then with none. */
static enum MHD_Result
handle(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
       const char *version, const char *piece, size_t *piece_n, void **request)
{
    struct engine_http *h = ctx;
    struct body *b = *request;
    (void)version;
    if (!b) {
        *request = calloc(1, sizeof *b);
        return *request ? MHD_YES : MHD_NO;
    }
    if (*piece_n == 0)
        return route(h->engine, c, path, method, b);
    if (*piece_n > sizeof b->bytes - b->n)
        b->too_long = true;
    else {
        memcpy(b->bytes + b->n, piece, *piece_n);
        b->n += *piece_n;
    }
    *piece_n = 0;
    return MHD_YES;
}

static void
completed(void *ctx, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode code)
{
    (void)ctx, (void)c, (void)code;
    free(*request);
}

struct engine_http *
engine_http_start(struct engine *e, const char *address, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct engine_http *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->engine = e;
    if (inet_pton(AF_INET, address, &at.sin_addr) == 1)
        h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, port, NULL, NULL, handle, h,
                                     MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_THREAD_POOL_SIZE,
                                     (unsigned)THREADS, MHD_OPTION_NOTIFY_COMPLETED, completed,
                                     NULL, MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_END);
    if (h->daemon)
        return h;
    free(h);
    return NULL;
}

void
engine_http_stop(struct engine_http *h)
{
    MHD_socket s = MHD_quiesce_daemon(h->daemon); /* nobody new */
    MHD_stop_daemon(h->daemon);                   /* waits for whoever is being answered */
    if (s != MHD_INVALID_SOCKET)
        close(s);
    free(h);
}
