/* page_http.c - GET /metrics, /healthz, /readyz and / over libmicrohttpd, in one thread of its library.
 * In: requests. Out: what the board holds. Nothing can be changed from here.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "consumer/board.h"

struct aft_page {
    struct MHD_Daemon *daemon;
    struct aft_board *board;
};

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *type, const struct aft_buffer *body)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body->n, body->p, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "Content-Security-Policy",
                            "default-src 'none'; style-src 'unsafe-inline'");
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result
handle(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
       const char *version, const char *upload, size_t *upload_size, void **connection)
{
    struct aft_board *board = ctx;
    struct aft_buffer body = {0};
    unsigned status = MHD_HTTP_OK;
    const char *type = "text/plain; charset=utf-8";
    (void)version, (void)upload, (void)upload_size, (void)connection;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
        aft_put_raw(&body, AFT_LITERAL("only GET\n"));
    } else if (strcmp(url, "/metrics") == 0) {
        type = "text/plain; version=0.0.4; charset=utf-8";
        aft_metrics_text(board, &body);
    } else if (strcmp(url, "/healthz") == 0) {
        aft_put_raw(&body, AFT_LITERAL("ok\n"));
    } else if (strcmp(url, "/readyz") == 0) {
        bool ready = aft_board_ready(board);
        status = ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
        aft_put_raw(&body, ready ? AFT_LITERAL("ready\n") : AFT_LITERAL("not ready\n"));
    } else if (strcmp(url, "/") == 0) {
        type = "text/html; charset=utf-8";
        afti_status_page(board, &body);
    } else {
        status = MHD_HTTP_NOT_FOUND;
        aft_put_raw(&body, AFT_LITERAL("there are /, /metrics, /healthz and /readyz\n"));
    }
    enum MHD_Result result = answer(c, status, type, &body);
    aft_buffer_deinit(&body);
    return result;
}

/* ADDRESS:PORT with a numeric address, [::1]:9464 too. */
static enum aft_err
resolve(const char *listen, struct addrinfo **out, struct aft_error *e)
{
    char host[256];
    const char *colon = strrchr(listen, ':');
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    if (!colon || (size_t)(colon - listen) >= sizeof host)
        return AFT_FAIL(e, AFT_E_CONFIG, "http.listen=%s: want ADDRESS:PORT", listen);
    const char *from = listen;
    size_t n = (size_t)(colon - listen);
    if (n >= 2 && from[0] == '[' && from[n - 1] == ']') {
        from++;
        n -= 2;
    }
    snprintf(host, sizeof host, "%.*s", (int)n, from);
    int failed = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, out);
    return failed ? AFT_FAIL(e, AFT_E_CONFIG,
                             "http.listen=%s: %s; give a numeric address, such as 127.0.0.1:9464",
                             listen, gai_strerror(failed))
                  : AFT_OK;
}

enum aft_err
aft_page_start(const char *listen, struct aft_board *board, struct aft_page **out,
               struct aft_error *e)
{
    struct addrinfo *address = NULL;
    *out = NULL;
    if (listen[0] == '\0')
        return AFT_OK;
    AFT_TRY(resolve(listen, &address, e));
    AFT_ASSERT(address != NULL);
    struct aft_page *p = calloc(1, sizeof *p);
    AFT_ASSERT(p != NULL);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD |
                     (address->ai_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0u);
    p->board = board;
    p->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, board, MHD_OPTION_SOCK_ADDR,
                                 address->ai_addr, MHD_OPTION_CONNECTION_LIMIT, 64u,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_END);
    int why = errno;
    freeaddrinfo(address);
    if (!p->daemon) {
        free(p);
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "http.listen=%s: cannot open the port (%s); choose another, or set it empty for none",
            listen, strerror(why));
    }
    *out = p;
    return AFT_OK;
}

int
aft_page_port(const struct aft_page *p)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(p->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

void
aft_page_stop(struct aft_page *p)
{
    if (!p)
        return;
    MHD_stop_daemon(p->daemon);
    free(p);
}
