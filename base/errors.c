/* errors.c - the table of errors.def as functions. Any thread. */
#include "base/errors.h"

#include <stdarg.h>
#include <stdio.h>

struct row {
    enum aft_err_class class;
    int exit;
    const char *name, *text;
};

static const struct row rows[AFT_ERR_COUNT] = {
    [AFT_OK] = {AFT_CLASS_NONE, 0, "OK", "ok"},
#define X(n, c, x, t) [AFT_E_##n] = {AFT_CLASS_##c, x, #n, t},
#include "base/errors.def"
#undef X
};

static const struct row *
row_of(enum aft_err code)
{
    unsigned i = (unsigned)code;
    return &rows[i < (unsigned)AFT_ERR_COUNT ? i : (unsigned)AFT_E_FAILED];
}

enum aft_err_class
aft_err_class(enum aft_err code)
{
    return row_of(code)->class;
}

int
aft_err_exit(enum aft_err code)
{
    return row_of(code)->exit;
}

const char *
aft_err_name(enum aft_err code)
{
    return row_of(code)->name;
}

const char *
aft_err_text(enum aft_err code)
{
    return row_of(code)->text;
}

void
aft_error_set(struct aft_error *e, enum aft_err code, const char *file, int line,
              const char *format, ...)
{
    va_list ap;
    e->code = code;
    e->file = file;
    e->line = line;
    va_start(ap, format);
    vsnprintf(e->message, sizeof e->message, format, ap);
    va_end(ap);
}
