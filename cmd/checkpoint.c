/* checkpoint.c - `checkpoint create DIR | restore DIR`: the state of every partition, copied out (also from under a running
 * service) and
 * back in. A line a partition on stdout; with --json one object. */
#include "cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct told {
    bool json;
    json_t *lines;
};

static void
line(void *ctx, const char *text)
{
    struct told *t = ctx;
    if (t->json)
        json_array_append_new(t->lines, json_string(text));
    else
        puts(text);
}

static void
print(const struct told *t, const char *what, const char *directory)
{
    json_t *o =
        json_pack("{s:s, s:s, s:O}", "did", what, "directory", directory, "partitions", t->lines);
    char *text = json_dumps(o, JSON_COMPACT);
    if (text)
        puts(text);
    free(text);
    json_decref(o);
}

int
cmd_checkpoint(int argc, char **argv)
{
    struct cmd_line l;
    struct aft_error e;
    int code = cmd_parse(argc, argv, NULL, 0, &l);
    if (code >= 0)
        return code;
    const char *what = l.positional_n == 2 ? l.positional[0] : "";
    bool create = strcmp(what, "create") == 0, restore = strcmp(what, "restore") == 0;
    struct told told = {l.json, json_array()};
    struct aft_lines lines = {&told, line};
    code = 0;
    if (!create && !restore) {
        fputs("aftertouch checkpoint: want create DIR, or restore DIR\n", stderr);
        code = 2;
    } else if (aft_config_check(l.config, &e) != AFT_OK ||
               (create ? aft_checkpoint_create(l.config, l.positional[1], &lines, &e)
                       : aft_checkpoint_restore(l.config, l.positional[1], &lines, &e)) != AFT_OK) {
        code = cmd_fail(argv[0], &e);
    } else if (l.json) {
        print(&told, what, l.positional[1]);
    }
    json_decref(told.lines);
    cmd_line_free(&l);
    return code;
}
