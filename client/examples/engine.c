/* engine.c - a recommendation engine in four pages: options, start, wait for SIGTERM, stop in order.
 *
 * In order: no new requests; those at work are answered; what was taken is delivered; the caps are written. So an outcome that was
 * answered with 200 is in Kafka when the process ends with 0. What the broker refused for good, or could not take before the time
 * was up, is appended to --undelivered, a line a record: topic, key and value in hex; the exit code is then 1. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/examples/engine.h"

enum { KAFKA_MAX = 32, FLUSH_MS = 30000, HISTORY_BYTES = 64 << 20 };
static const char usage[] =
    "usage: engine --catalogue FILE --user-key FILE --kafka HOST:PORT [--OPTION VALUE]...\n"
    "  --catalogue FILE     the messages (messages.json)\n"
    "  --user-key FILE      16 to 64 bytes: users are logged by their hash under this key\n"
    "  --kafka HOST:PORT    the broker\n"
    "  --listen IP:PORT     127.0.0.1:8090\n"
    "  --snapshots, --impressions, --outcomes TOPIC\n"
    "  --snapshot-file FILE the last good model: to start from when no broker answers\n"
    "  --caps FILE          what users saw this month: read at the start, written at the end\n"
    "  --history FILE       what users saw and did, as features: likewise\n"
    "  --history-topic TOPIC  and what other engines' users saw, from the service\n"
    "  --undelivered FILE   what could not be delivered is kept here\n"
    "  --spill FILE         what the queue has no room for waits here, over a restart too; without "
    "it: 503\n"
    "  --baseline SHARE     of the users, decided at random: 0.1\n"
    "  --set NAME=VALUE     a property of librdkafka's; as often as needed\n";

struct options {
    struct aft_client_options client;
    struct aft_client_property properties[KAFKA_MAX];
    const char *catalogue, *user_key, *caps, *undelivered;
    char address[64];
    unsigned port;
};

static bool
take_property(struct options *o, char *text)
{
    char *value = strchr(text, '=');
    if (!value || o->client.properties_n == KAFKA_MAX)
        return false;
    *value++ = '\0';
    o->properties[o->client.properties_n++] = (struct aft_client_property){text, value};
    return true;
}

static bool
take_option(struct options *o, const char *name, char *value)
{
    const struct {
        const char *name, **to;
    } texts[] = {{"--catalogue", &o->catalogue},
                 {"--user-key", &o->user_key},
                 {"--kafka", &o->client.bootstrap_servers},
                 {"--snapshots", &o->client.snapshots_topic},
                 {"--impressions", &o->client.impressions_topic},
                 {"--outcomes", &o->client.outcomes_topic},
                 {"--snapshot-file", &o->client.snapshot_file},
                 {"--caps", &o->caps},
                 {"--history", &o->client.history_file},
                 {"--history-topic", &o->client.history_topic},
                 {"--spill", &o->client.spill_file},
                 {"--undelivered", &o->undelivered}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].to = value;
            return true;
        }
    if (strcmp(name, "--set") == 0)
        return take_property(o, value);
    char *end = value;
    if (strcmp(name, "--baseline") == 0) {
        o->client.baseline_share = strtod(value, &end);
        return end != value && *end == '\0';
    }
    char *colon = strrchr(value, ':');
    if (strcmp(name, "--listen") != 0 || !colon || (size_t)(colon - value) >= sizeof o->address)
        return false;
    snprintf(o->address, sizeof o->address, "%.*s", (int)(colon - value), value);
    o->port = (unsigned)strtoul(colon + 1, &end, 10);
    return *end == '\0' && o->port > 0 && o->port < 65536;
}

static bool
take_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !take_option(o, argv[i], argv[i + 1])) {
            fprintf(stderr, "engine: %s\n%s", argv[i], usage);
            return false;
        }
    if (o->catalogue && o->user_key && o->client.bootstrap_servers)
        return true;
    fputs(usage, stderr);
    return false;
}

static bool
read_key(struct engine *e, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    e->user_key_bytes = fread(e->user_key, 1, sizeof e->user_key, f);
    fclose(f);
    return e->user_key_bytes >= 16;
}

/* ---- what could not be delivered */
struct kept {
    const char *path;
    pthread_mutex_t lock; /* any thread may be told */
};

static void
hex(FILE *f, const void *bytes, size_t n)
{
    fputc(' ', f);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%02x", ((const unsigned char *)bytes)[i]);
}

static void
keep(void *context, const struct aft_client_failure *what)
{
    struct kept *k = context;
    fprintf(stderr, "engine: a record for %s was not delivered: %s\n", what->topic, what->reason);
    pthread_mutex_lock(&k->lock);
    FILE *f = k->path ? fopen(k->path, "a") : NULL;
    if (f) {
        fputs(what->topic, f);
        hex(f, what->key, what->key_bytes);
        hex(f, what->value, what->value_bytes);
        fputc('\n', f);
        fclose(f);
    }
    pthread_mutex_unlock(&k->lock);
}

/* ---- start, wait, stop */
static void
wait_for_the_end(struct engine *e, const sigset_t *ends)
{
    while (sigtimedwait(ends, NULL, &(struct timespec){0, 100000000}) < 0)
        aft_client_poll(e->client, 0); /* delivery reports, while nothing is logged */
}

static bool
catalogue_of(struct engine *e, struct aft_client_error *why)
{
    struct aft_client_candidate all[MESSAGES_MAX];
    for (uint32_t i = 0; i < e->catalogue.n; i++) {
        const struct message *m = &e->catalogue.messages[i];
        all[i] = (struct aft_client_candidate){.arm_id = m->arm,
                                               .subject = m->subject,
                                               .features = m->features,
                                               .features_n = m->features_n};
    }
    return aft_client_catalogue_new(e->client, all, e->catalogue.n, &e->candidates, why) ==
           AFT_CLIENT_OK;
}

/* Delivers what was taken, then writes the caps. */
static int
finish(struct engine *e, const struct options *o)
{
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_flush(e->client, FLUSH_MS, NULL);
    aft_client_info(e->client, &info);
    aft_client_catalogue_free(e->candidates);
    bool good = aft_client_close(e->client, 0, NULL) == AFT_CLIENT_OK && info.undelivered == 0;
    if (o->caps && !engine_caps_save(&e->caps, &e->catalogue, o->caps)) {
        fprintf(stderr, "engine: %s cannot be written\n", o->caps);
        good = false;
    }
    fprintf(stderr, "engine: stopped; %llu impressions, %llu outcomes, %llu undelivered\n",
            (unsigned long long)info.impressions, (unsigned long long)info.outcomes,
            (unsigned long long)info.undelivered);
    return good ? 0 : 1;
}

static int
serve(struct engine *e, const struct options *o, const sigset_t *ends)
{
    struct aft_client_error why;
    if (aft_client_open(&o->client, &e->client, &why) != AFT_CLIENT_OK) {
        fprintf(stderr, "engine: %s\n", why.message);
        return 1;
    }
    struct engine_http *http = NULL;
    if (!catalogue_of(e, &why))
        fprintf(stderr, "engine: %s: %s\n", o->catalogue, why.message);
    else if (!(http = engine_http_start(e, o->address, (uint16_t)o->port)))
        fprintf(stderr, "engine: cannot listen on %s:%u\n", o->address, o->port);
    if (http) {
        fprintf(stderr, "engine: %u messages, http://%s:%u\n", e->catalogue.n, o->address, o->port);
        wait_for_the_end(e, ends);
        engine_http_stop(http);
    }
    int code = finish(e, o);
    return http ? code : 1;
}

static int
start(struct engine *e, const struct options *o, const sigset_t *ends)
{
    struct aft_client_error why;
    if (!engine_catalogue_load(&e->catalogue, o->catalogue, &why))
        fprintf(stderr, "engine: %s\n", why.message);
    else if (!read_key(e, o->user_key))
        fprintf(stderr, "engine: %s does not hold a key of 16 to 64 bytes\n", o->user_key);
    else if (o->caps && !engine_caps_load(&e->caps, &e->catalogue, o->caps))
        fprintf(stderr, "engine: %s cannot be read\n", o->caps);
    else
        return serve(e, o, ends);
    return 3;
}

int
main(int argc, char **argv)
{
    struct options o = {.client = AFT_CLIENT_OPTIONS, .address = "127.0.0.1", .port = 8090};
    if (!take_options(&o, argc, argv))
        return 2;
    o.client.properties = o.properties;
    o.client.queue_ms = 50;                 /* a browser waits: full means 503, soon */
    o.client.history_bytes = HISTORY_BYTES; /* what users saw lately, as features */
    o.client.on_failure = keep;
    struct kept kept = {.path = o.undelivered};
    pthread_mutex_init(&kept.lock, NULL);
    o.client.on_failure_context = &kept;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* for every thread that is started from here on */
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return 1;
    engine_caps_init(&e->caps);
    int code = start(e, &o, &ends);
    engine_caps_free(&e->caps);
    engine_catalogue_free(&e->catalogue);
    free(e);
    pthread_mutex_destroy(&kept.lock);
    return code;
}
