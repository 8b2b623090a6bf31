/* import_lines.c - a file's lines, twice over, within bounded memory. In: a path, or "-". Out: slices that live until the next call.
 * What cannot be read twice (a pipe, or what gzip made) is copied to an unnamed temporary file first. One thread. */
#include "cmd/import_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

static enum aft_err
io(const struct import_lines *l, const char *what, struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_IO, "%s %s: %s", what, l->path, strerror(errno));
}

/* A copy that can be read again. */
static enum aft_err
spool(struct import_lines *l, struct aft_error *e)
{
    FILE *copy = tmpfile();
    size_t n;
    if (!copy)
        return io(l, "a temporary copy of", e);
    while ((n = fread(l->buffer, 1, CHUNK, l->file)) > 0)
        if (fwrite(l->buffer, 1, n, copy) != n) {
            fclose(copy);
            return io(l, "a temporary copy of", e);
        }
    bool bad = ferror(l->file) || fflush(copy) != 0;
    if (l->file != stdin)
        fclose(l->file);
    l->file = copy;
    return bad ? io(l, "reading", e) : AFT_OK;
}

/* What gzip made is known by its first bytes. */
static enum aft_err
unpack(struct import_lines *l, struct aft_error *e)
{
    uint8_t head[2] = {0};
    rewind(l->file);
    size_t n = fread(head, 1, 2, l->file);
    rewind(l->file);
    if (n < 2 || head[0] != 0x1f || head[1] != 0x8b)
        return AFT_OK;
    FILE *lines = tmpfile();
    if (!lines)
        return io(l, "a temporary copy of", e);
    enum aft_err err = import_lines_gunzip(l->file, lines, l->path, e);
    fclose(l->file);
    l->file = lines;
    rewind(lines);
    return err;
}

enum aft_err
import_lines_open(struct import_lines *l, const char *path, struct aft_error *e)
{
    *l = (struct import_lines){.path = path, .cap = 2 * CHUNK};
    l->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!l->file)
        return io(l, "reading", e);
    l->buffer = malloc(l->cap);
    AFT_ASSERT(l->buffer);
    if (l->file == stdin || fseeko(l->file, 0, SEEK_SET) != 0)
        AFT_TRY(spool(l, e));
    return unpack(l, e);
}

void
import_lines_close(struct import_lines *l)
{
    if (l->file && l->file != stdin)
        fclose(l->file);
    free(l->buffer);
}

void
import_lines_rewind(struct import_lines *l)
{
    rewind(l->file);
    l->from = l->to = 0;
    l->number = 0;
    l->end = false;
}

/* More bytes behind those that are there. */
static enum aft_err
fill(struct import_lines *l, struct aft_error *e)
{
    memmove(l->buffer, l->buffer + l->from, l->to - l->from);
    l->to -= l->from;
    l->from = 0;
    if (l->cap - l->to < CHUNK) {
        if (l->to > AFT_RECORD_BYTES_MAX)
            return AFT_FAIL(e, AFT_E_LIMIT, "%s:%llu: the line is longer than %u bytes", l->path,
                            (unsigned long long)l->number + 1, AFT_RECORD_BYTES_MAX);
        l->cap *= 2;
        l->buffer = realloc(l->buffer, l->cap);
        AFT_ASSERT(l->buffer);
    }
    size_t n = fread(l->buffer + l->to, 1, CHUNK, l->file);
    l->to += n;
    l->end = n == 0;
    return l->end && ferror(l->file) ? io(l, "reading", e) : AFT_OK;
}

enum aft_err
import_lines_next(struct import_lines *l, struct aft_bytes *line, bool *end, struct aft_error *e)
{
    const uint8_t *stop = NULL;
    size_t seen = 0;
    while (!stop) {
        size_t have = l->to - l->from;
        stop = have > seen ? memchr(l->buffer + l->from + seen, '\n', have - seen) : NULL;
        seen = have;
        if (stop || l->end)
            break;
        AFT_TRY(fill(l, e));
    }
    *end = !stop && seen == 0;
    size_t n = stop ? (size_t)(stop - (l->buffer + l->from)) : seen;
    *line = (struct aft_bytes){l->buffer + l->from, n};
    l->from += n + (stop != NULL);
    if (l->number++ == 0 && n >= 3 && memcmp(line->p, "\xef\xbb\xbf", 3) == 0)
        *line = (struct aft_bytes){line->p + 3, n - 3}; /* a byte order mark */
    return AFT_OK;
}
