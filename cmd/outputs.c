/* outputs.c - files that a verb writes: none of them is one that it reads, and none is left half written. In: the command line. */
#include "cmd/cmd.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
one_file(const char *a, const char *b)
{
    struct stat x, y;
    if (strcmp(a, b) == 0)
        return lstat(a, &x) != 0 ||
               S_ISREG(x.st_mode); /* /dev/null may be named as often as one likes */
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

enum aft_err
cmd_apart(const struct cmd_line *l, const char *option, struct aft_error *e)
{
    const char *path = cmd_given(l, option, 0), *other = NULL;
    if (!path || path[0] == '\0' || strcmp(path, "-") == 0)
        return AFT_OK;
    for (int i = 0; i < l->given_n && !other; i++)
        if (strcmp(l->given[i].name, option) != 0 && one_file(path, l->given[i].value))
            other = l->given[i].name;
    if (other)
        return AFT_FAIL(e, AFT_E_USAGE,
                        "--%s %s would be written over --%s: give it a file of its own", option,
                        path, other);
    for (int i = 0; i < l->positional_n; i++)
        if (one_file(path, l->positional[i]))
            return AFT_FAIL(e, AFT_E_USAGE,
                            "--%s %s would be written over what is read: give it a file of its own",
                            option, path);
    return AFT_OK;
}

void
cmd_discard(const char *path)
{
    struct stat s;
    if (lstat(path, &s) == 0 && S_ISREG(s.st_mode))
        (void)unlink(path);
}
