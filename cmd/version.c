/* version.c - `version`: what runs here. */
#include "cmd/cmd.h"

#include <stdio.h>

int
cmd_version(int argc, char **argv)
{
    struct cmd_line l;
    int code = cmd_parse(argc, argv, NULL, 0, &l);
    if (code >= 0)
        return code;
    code = cmd_options_alone(argv[0], &l) ? 0 : 2;
    if (code == 0)
        printf(l.json ? "{\"version\": \"%s\"}\n" : "aftertouch %s\n", AFT_VERSION);
    cmd_line_free(&l);
    return code;
}
