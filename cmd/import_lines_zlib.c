/* import_lines_zlib.c - a gzip file, also one of several members, as the lines that were put into it. In: a file. Out: another one,
 * unnamed, that can be read twice. What is cut off or damaged is an error: half a log would look like a whole one. One thread. */
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "cmd/import_inner.h"

enum { CHUNK = 1 << 18 };

static enum aft_err
pour(gzFile in, FILE *to, const char *path, struct aft_error *e)
{
    uint8_t *chunk = malloc(CHUNK);
    enum aft_err err = AFT_OK;
    int n;
    AFT_ASSERT(chunk);
    while (err == AFT_OK && (n = gzread(in, chunk, CHUNK)) > 0)
        if (fwrite(chunk, 1, (size_t)n, to) != (size_t)n)
            err = AFT_FAIL(e, AFT_E_IO,
                           "a temporary copy of %s cannot be written: make room in /tmp", path);
    int code = Z_OK;
    const char *why = gzerror(in, &code);
    if (err == AFT_OK && code != Z_OK && code != Z_STREAM_END)
        err = AFT_FAIL(e, AFT_E_MALFORMED, "%s is damaged, or cut off (%s): `gzip -t` says so too",
                       path, why);
    free(chunk);
    return err;
}

enum aft_err
import_lines_gunzip(FILE *from, FILE *to, const char *path, struct aft_error *e)
{
    int fd = dup(fileno(from));
    gzFile in = fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 ? gzdopen(fd, "rb") : NULL;
    if (!in) {
        if (fd >= 0)
            close(fd);
        return AFT_FAIL(e, AFT_E_IO, "%s cannot be read again: unpack it first (gunzip)", path);
    }
    enum aft_err err = pour(in, to, path, e);
    if (gzclose(in) != Z_OK && err == AFT_OK)
        err = AFT_FAIL(e, AFT_E_MALFORMED, "%s is cut off: `gzip -t` says so too", path);
    if (err == AFT_OK && fflush(to) != 0)
        err = AFT_FAIL(e, AFT_E_IO, "a temporary copy of %s cannot be written: make room in /tmp",
                       path);
    return err;
}
