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

static enum aft_err
work(const struct cmd_line *l, int which, struct aft_error *e)
{
    const char *directory = l->positional[1];
    struct told told = {l->json, json_array()};
    struct aft_lines lines = {&told, line};
    enum aft_err err = aft_config_check(l->config, e);
    if (err == AFT_OK)
        err = which == 0 ? aft_checkpoint_create(l->config, directory, &lines, e)
                         : aft_checkpoint_restore(l->config, directory, &lines, e);
    if (err == AFT_OK && l->json)
        print(&told, l->positional[0], directory);
    json_decref(told.lines);
    return err;
}

static const struct cmd_either either = {
    {"create", "restore"}, 1, "create DIR, or restore DIR", work};

int
cmd_checkpoint(int argc, char **argv)
{
    return cmd_either(argc, argv, &either);
}
