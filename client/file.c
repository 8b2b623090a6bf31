/* file.c - whole files: what the client keeps on disk is read at once and replaced at once. In: a path, bytes. Out: bytes, or an error
 * that names the path. Thread: any; one a path.
 *
 * I1 a file is written beside, synced, renamed, its directory synced: a reader sees the old one or the new one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "client/client_inner.h"

enum { PATH_BYTES_MAX = 4096 };

enum aft_err
afti_file_read(const char *path, struct aft_buffer *out, bool *missing, struct aft_error *e)
{
    *missing = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *missing = errno == ENOENT;
        return AFT_FAIL(e, AFT_E_IO, "cannot open %s: %s", path, strerror(errno));
    }
    for (;;) {
        ssize_t n = read(fd, aft_reserve(out, 1 << 16), 1 << 16);
        if (n < 0 && errno == EINTR)
            continue;
        int code = errno;
        if (n <= 0)
            close(fd);
        if (n < 0)
            return AFT_FAIL(e, AFT_E_IO, "cannot read %s: %s", path, strerror(code));
        if (n == 0)
            return AFT_OK;
        out->n += (size_t)n;
    }
}

static enum aft_err
write_all(int fd, struct aft_bytes b, const char *path, struct aft_error *e)
{
    while (b.n) {
        ssize_t n = write(fd, b.p, b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return AFT_FAIL(e, AFT_E_IO, "cannot write %s: %s", path, strerror(errno));
        b.p += n;
        b.n -= (size_t)n;
    }
    if (fsync(fd) != 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot sync %s: %s", path, strerror(errno));
    return AFT_OK;
}

static enum aft_err
sync_directory(const char *path, struct aft_error *e)
{
    char directory[PATH_BYTES_MAX];
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = '\0';
    int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return AFT_FAIL(e, AFT_E_IO, "cannot sync the directory of %s: %s", path, strerror(code));
    }
    close(fd);
    return AFT_OK;
}

enum aft_err
afti_file_replace(const char *path, struct aft_bytes b, struct aft_error *e)
{
    char beside[PATH_BYTES_MAX];
    int n = snprintf(beside, sizeof beside, "%s.new.%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof beside)
        return AFT_FAIL(e, AFT_E_IO, "the path %s is too long", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot create %s: %s", beside, strerror(errno));
    enum aft_err err = write_all(fd, b, beside, e);
    close(fd);
    if (err == AFT_OK && rename(beside, path) != 0)
        err = AFT_FAIL(e, AFT_E_IO, "cannot rename %s to %s: %s", beside, path, strerror(errno));
    if (err != AFT_OK) {
        unlink(beside);
        return err;
    }
    return sync_directory(path, e);
}
