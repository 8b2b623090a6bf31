/* check.c - how an assertion ends the process: one line on stderr, then abort(). Any thread. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
aft_check_failed(const char *file, int line, const char *kind, const char *what)
{
    fprintf(stderr, "aftertouch: %s failed at %s:%d: %s\n", kind, file, line, what);
    abort();
}
