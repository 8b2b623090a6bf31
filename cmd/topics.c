/* topics.c - `topics create | check`. In: the configuration and its Kafka. Out: a line a topic, what is wrong with it, the exit code. */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void
line_text(void *ctx, const char *text)
{
    (void)ctx;
    puts(text);
}

static void
line_json(void *ctx, const char *text)
{
    json_array_append_new(ctx, json_string(text));
}

/* check prints what there is; with --json one object: {"ok": ..., "lines": [...], "error": ...}. */
static enum aft_err
check(const struct cmd_line *l, struct aft_log *log, struct aft_error *e)
{
    if (!l->json)
        return aft_topics_check(l->config, log, line_text, NULL, e);
    json_t *lines = json_array();
    enum aft_err err = aft_topics_check(l->config, log, line_json, lines, e);
    json_t *all = json_pack("{s:b, s:o}", "ok", err == AFT_OK, "lines", lines);
    if (err != AFT_OK)
        json_object_set_new(all, "error", json_string(e->message));
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return err;
}

static enum aft_err
work(const struct cmd_line *l, int which, struct aft_error *e)
{
    struct aft_log *log;
    AFT_TRY(aft_config_check(l->config, e));
    AFT_TRY(aft_log_kafka_open(aft_config_kafka(l->config), &log, e));
    enum aft_err err = which == 0 ? aft_topics_create(l->config, log, e) : AFT_OK;
    if (err == AFT_OK)
        err = check(l, log, e);
    log->ops->close(log);
    return err;
}

static const struct cmd_either either = {{"create", "check"}, 0, "create or check", work};

int
cmd_topics(int argc, char **argv)
{
    return cmd_either(argc, argv, &either);
}
