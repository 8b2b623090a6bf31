/* engine.h - a small recommendation engine over libaftertouch: which of a plan's onboarding messages a participant sees.
 *
 *      engine.c          options, start, stop in order
 *      engine_http.c     EDGE (libmicrohttpd): /slate, /outcome, /healthz
 *      slate.c           who may see what (masks), the decision, its log record: the part to read first
 *      caps.c            how often a user saw a message this month, kept over a restart
 *      engine_json.c     EDGE (jansson): the catalogue, bodies of requests, answers
 *
 * Threads: HTTP's, any number; a user's visits are one after another (caps.c has the locks).
 */
#ifndef AFT_CLIENT_EXAMPLES_ENGINE_H
#define AFT_CLIENT_EXAMPLES_ENGINE_H

#include <pthread.h>

#include "client/aftertouch.h"

#define MESSAGES_MAX 64
#define FEATURES_MAX 24
#define CAP 4 /* exposures of a message a month */
#define USER_BYTES 33
#define TEXT_BYTES 128

/* ---- the catalogue: read once, never changed */
enum rule_kind { RULE_IS, RULE_MIN, RULE_MAX };
struct rule { /* about a feature of the participant; one that is not known fails it */
    const char *feature;
    enum rule_kind kind;
    double number;
};
struct message {
    const char *arm, *subject, *title, *url;
    bool web, app;
    struct aft_client_feature features[FEATURES_MAX];
    struct rule rules[FEATURES_MAX];
    uint32_t features_n, rules_n;
};
struct catalogue {
    void *json; /* owns the texts */
    struct message messages[MESSAGES_MAX];
    uint32_t n;
};
/* engine_catalogue_load: false: *why says what is wrong. engine_catalogue_find: its index, or -1. */
bool engine_catalogue_load(struct catalogue *c, const char *path, struct aft_client_error *why);
void engine_catalogue_free(struct catalogue *c);
int engine_catalogue_find(const struct catalogue *c, const char *arm);

/* ---- what a user saw this month */
struct person {
    struct person *next;
    char user[USER_BYTES];
    int month;      /* years * 12 + months */
    uint32_t epoch; /* how many caps this user's own exposures have reached, ever */
    uint32_t shown[MESSAGES_MAX];
};
#define CAPS_BUCKETS 1024
struct caps {
    struct {
        pthread_mutex_t lock;
        struct person *first;
    } buckets[CAPS_BUCKETS];
};
void engine_caps_init(struct caps *c);
void engine_caps_free(struct caps *c);
/* engine_caps_hold: the user's entry, locked until engine_caps_release; NULL: no memory (nothing is locked). */
struct person *engine_caps_hold(struct caps *c, const char *user);
void engine_caps_release(struct caps *c, const struct person *p);
/* engine_caps_count: one more exposure of a message; a cap that it reaches begins another epoch. */
void engine_caps_count(struct person *p, uint32_t message);
bool engine_caps_save(struct caps *c, const struct catalogue *of, const char *path);
bool engine_caps_load(struct caps *c, const struct catalogue *of, const char *path);

/* ---- a visit, an outcome, as they come over HTTP */
struct visit {
    char user[USER_BYTES]; /* the keyed hash: no log holds the identifier */
    char session[TEXT_BYTES];
    bool app;
    char texts[FEATURES_MAX][2][TEXT_BYTES]; /* names and texts of the context */
    struct aft_client_feature context[FEATURES_MAX];
    uint32_t context_n;
    bool done[MESSAGES_MAX];          /* by message: its task is done */
    uint32_t elsewhere[MESSAGES_MAX]; /* by message: shown this month by mail or telephone */
};
struct reported {
    char user[USER_BYTES];
    char id[TEXT_BYTES], kind[TEXT_BYTES], decision[TEXT_BYTES], arm[TEXT_BYTES],
        subject[TEXT_BYTES], session[TEXT_BYTES]; /* empty: not given */
    double value;
};

struct engine {
    struct aft_client *client;
    struct catalogue catalogue;
    struct aft_client_catalogue *candidates; /* the same, as the library has read it */
    struct caps caps;
    unsigned char user_key[64];
    size_t user_key_bytes;
};

/* engine_visit_field: user, device, session, or a feature of the context, as text (true, false, a number, else a text). */
bool engine_visit_field(const struct engine *e, struct visit *v, const char *name, const char *text,
                        struct aft_client_error *why);
bool engine_visit_body(const struct engine *e, struct visit *v, const char *body, size_t n,
                       struct aft_client_error *why);
bool engine_outcome_body(const struct engine *e, struct reported *r, const char *body, size_t n,
                         struct aft_client_error *why);
/* Answers, to be freed with free(). decision NULL: nobody is eligible, an empty slate. */
char *engine_slate_json(const struct engine *e, const struct aft_client_decision *decision);
char *engine_error_json(const char *message);
char *engine_health_json(struct engine *e);

/* ---- slate.c. engine_slate decides and logs; *decision (or NULL: nobody is eligible) is freed by the caller. */
enum aft_client_code engine_slate(struct engine *e, const struct visit *v,
                                  struct aft_client_decision **decision,
                                  struct aft_client_error *why);
enum aft_client_code engine_outcome(struct engine *e, const struct reported *r,
                                    struct aft_client_error *why);

/* ---- engine_http.c. engine_http_stop refuses new requests and waits for those at work. */
struct engine_http;
struct engine_http *engine_http_start(struct engine *e, const char *address, uint16_t port);
void engine_http_stop(struct engine_http *h);

#endif
