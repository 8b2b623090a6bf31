/* config.c - `config show | check | doc`. In: the configuration. Out: every key with its origin, or nothing and the exit code, or
 * docs/CONFIGURATION.md. */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void
show_line(void *ctx, const char *key, const char *value, const char *origin)
{
    (void)ctx;
    printf("%s=%s    # %s\n", key, value, origin);
}

static void
show_json(void *ctx, const char *key, const char *value, const char *origin)
{
    json_object_set_new(ctx, key, json_pack("{s:s, s:s}", "value", value, "origin", origin));
}

static void
show(const struct cmd_line *l)
{
    if (!l->json) {
        aft_config_each(l->config, show_line, NULL);
        return;
    }
    json_t *all = json_object();
    aft_config_each(l->config, show_json, all);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static void
doc(bool metrics)
{
    struct aft_buffer page = {0};
    if (metrics)
        aft_metrics_markdown(&page);
    else
        aft_config_markdown(&page);
    fwrite(page.p, 1, page.n, stdout);
    aft_buffer_deinit(&page);
}

int
cmd_config(int argc, char **argv)
{
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, NULL, 0, &l);
    if (code >= 0)
        return code;
    const char *what = l.positional_n >= 1 ? l.positional[0] : "";
    bool metrics = l.positional_n == 2 && strcmp(l.positional[1], "metrics") == 0;
    code = 0;
    if (strcmp(what, "doc") == 0 && (l.positional_n == 1 || metrics)) {
        doc(metrics);
    } else if (l.positional_n != 1 || (strcmp(what, "show") != 0 && strcmp(what, "check") != 0)) {
        fputs("aftertouch config: want show, check or doc\n", stderr);
        code = 2;
    } else if (aft_config_check(l.config, &e) != AFT_OK) {
        code = cmd_fail(argv[0], &e);
    } else if (strcmp(what, "show") == 0) {
        show(&l);
    }
    cmd_line_free(&l);
    return code;
}
