/* doctor.c - `doctor`: everything that must be as it must, one line a check: ok, warn or fail, with how to mend it. In: the
 * configuration, this machine, the broker, the registry. Out: lines, or one JSON object; the exit code is the first failure's.
 */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>

struct told {
    bool json;
    json_t *list;
    enum aft_finding_level worst;
    enum aft_err first; /* failure */
    int count[AFT_FINDING_FAIL + 1];
};

static const char *const levels[] = {"ok", "warn", "fail"};

static void
finding(void *ctx, const struct aft_finding *f)
{
    struct told *t = ctx;
    t->count[f->level]++;
    if (f->level > t->worst)
        t->worst = f->level;
    if (f->level == AFT_FINDING_FAIL && t->first == AFT_OK)
        t->first = f->code;
    if (t->json)
        json_array_append_new(t->list, json_pack("{s:s, s:s, s:s}", "check", f->check, "status",
                                                 levels[f->level], "text", f->text));
    else
        printf("%-4s  %-13s %s\n", levels[f->level], f->check, f->text);
}

static void
say(struct told *t, const char *check, const char *text)
{
    finding(t, &(struct aft_finding){.check = check, .text = text});
}

static void
failed(struct told *t, const char *check, const struct aft_error *e)
{
    finding(t, &(struct aft_finding){AFT_FINDING_FAIL, e->code, check, e->message});
}

/* ---- the registry. It is there when it says that it knows no such id. */
static void
ask_registry(struct told *t, const struct aft_config *c, struct aft_registry **r)
{
    struct aft_error e;
    struct aft_buffer json = {0};
    char words[300];
    const char *url = aft_config_text(c, "schema.registry.url");
    if (aft_registry_of(c, r, &e) != AFT_OK) {
        failed(t, "registry", &e);
        return;
    }
    if (!*r) {
        say(t, "registry", "none is configured: values carry Avro's single-object frame");
        return;
    }
    struct aft_schema_port port = aft_registry_port(*r);
    enum aft_err err = port.by_id(port.ctx, INT32_MAX, &json, &e);
    aft_buffer_deinit(&json);
    if (err != AFT_OK && err != AFT_E_UNKNOWN_SCHEMA) {
        failed(t, "registry", &e);
        return;
    }
    snprintf(words, sizeof words, "%.200s answers", url);
    say(t, "registry", words);
}

/* ---- the broker */
static void
ask_broker(struct told *t, struct aft_log *log)
{
    struct aft_kafka_about about;
    struct aft_error e;
    char words[200];
    if (aft_log_kafka_about(log, &about, &e) != AFT_OK) {
        failed(t, "broker", &e);
        return;
    }
    snprintf(words, sizeof words, "%d broker%s, %s%s; librdkafka %s", about.brokers,
             about.brokers == 1 ? "" : "s",
             about.version[0] ? "version " : "of a version that is not told", about.version,
             about.client);
    say(t, "broker", words);
}

static void
look_around(struct told *t, const struct aft_config *c, struct aft_registry *registry)
{
    struct aft_error e;
    struct aft_log *log;
    const struct aft_findings to = {t, finding};
    const struct aft_kafka_options *kafka = aft_config_kafka(c);
    if (kafka->bootstrap[0] == '\0') {
        e.code = AFT_E_CONFIG;
        snprintf(e.message, sizeof e.message,
                 "kafka.bootstrap.servers is not set: which Kafka? (--set "
                 "kafka.bootstrap.servers=host:9092)");
        failed(t, "broker", &e);
        return;
    }
    if (aft_log_kafka_open(kafka, &log, &e) != AFT_OK) {
        failed(t, "broker", &e);
        return;
    }
    ask_broker(t, log);
    struct aft_doctor_log o = {.log = log, .clock = aft_clock_real()};
    o.schemas = aft_registry_port(registry);
    if (aft_doctor_log(c, &o, &to, &e) != AFT_OK)
        failed(t, "topic", &e);
    log->ops->close(log);
}

static void
work(struct told *t, struct aft_config *c)
{
    struct aft_error e;
    struct aft_registry *registry;
    const struct aft_findings to = {t, finding};
    if (aft_config_check(c, &e) != AFT_OK) {
        failed(t, "configuration", &e);
        return;
    }
    say(t, "configuration", "its keys and their relations are in order");
    aft_doctor_here(c, &to);
    ask_registry(t, c, &registry);
    look_around(t, c, registry);
    aft_registry_close(registry);
}

static void
print_end(const struct told *t)
{
    if (!t->json) {
        printf("%d ok, %d to look at, %d failed\n", t->count[AFT_FINDING_OK],
               t->count[AFT_FINDING_WARN], t->count[AFT_FINDING_FAIL]);
        return;
    }
    json_t *all = json_pack("{s:b, s:s, s:O}", "ok", t->worst != AFT_FINDING_FAIL, "worst",
                            levels[t->worst], "checks", t->list);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

int
cmd_doctor(int argc, char **argv)
{
    struct cmd_line l;
    int code = cmd_parse(argc, argv, NULL, 0, &l);
    if (code >= 0)
        return code;
    if (!cmd_options_alone(argv[0], &l)) {
        cmd_line_free(&l);
        return 2;
    }
    struct told t = {.json = l.json, .list = json_array()};
    work(&t, l.config);
    print_end(&t);
    json_decref(t.list);
    cmd_line_free(&l);
    return t.first == AFT_OK ? 0 : aft_err_exit(t.first);
}
