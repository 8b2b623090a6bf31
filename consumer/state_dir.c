/* state_dir.c - the state's directories and the small files beside them. Any thread; what is shared between processes is
 * renamed into
 * place, never written where it is read.
 */
#include "consumer/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES (256u << 10)

/* ---- names */
enum aft_err
afti_state_path(const struct aft_config *c, int32_t partition, const char *suffix,
                char out[AFTI_PATH_MAX], struct aft_error *e)
{
    const char *dir = aft_config_text(c, "state.dir"), *app = aft_config_text(c, "app.id");
    int n = partition < 0 ? snprintf(out, AFTI_PATH_MAX, "%s/%s", dir, app)
                          : snprintf(out, AFTI_PATH_MAX, "%s/%s/%d%s", dir, app, partition, suffix);
    return n < AFTI_PATH_MAX - 64
               ? AFT_OK
               : AFT_FAIL(e, AFT_E_CONFIG, "state.dir is too long a path; choose a shorter one");
}

enum aft_err
afti_state_make(const struct aft_config *c, struct aft_error *e)
{
    char path[AFTI_PATH_MAX];
    AFT_TRY(afti_state_path(c, -1, "", path, e));
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p = '\0';
        if (mkdir(path, 0750) != 0 && errno != EEXIST)
            return AFT_FAIL(
                e, AFT_E_IO,
                "cannot make the directory %s: %s; set state.dir to a place that we may write",
                path, strerror(errno));
        *p = end;
        if (end == '\0')
            return AFT_OK;
    }
}

static int
by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* A directory whose name is a number as we write it. */
static bool
partition_named(const char *directory, const char *name, int32_t *out)
{
    char path[AFTI_PATH_MAX], again[16], *end;
    struct stat s;
    long n = strtol(name, &end, 10);
    if (*end || n < 0 || n >= (long)AFT_PARTITIONS_MAX)
        return false;
    snprintf(again, sizeof again, "%ld", n);
    if (strcmp(again, name) != 0 ||
        snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return false;
    *out = (int32_t)n;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

enum aft_err
afti_directory_new(const char *path, struct aft_error *e)
{
    if (mkdir(path, 0750) == 0)
        return AFT_OK;
    int why = errno;
    return AFT_FAIL(e, AFT_E_IO, "cannot make the directory %s: %s%s", path, strerror(why),
                    why == EEXIST   ? "; it must not exist yet"
                    : why == ENOENT ? "; make the one above it first"
                                    : "");
}

enum aft_err
afti_state_partitions(const char *directory, int32_t **out, size_t *n, struct aft_error *e)
{
    *out = NULL;
    *n = 0;
    DIR *d = opendir(directory);
    if (!d && errno == ENOENT)
        return AFT_OK;
    if (!d)
        return AFT_FAIL(e, AFT_E_IO, "cannot read the directory %s: %s%s", directory,
                        strerror(errno), errno == EACCES ? "; run this as the service's user" : "");
    int32_t *found = malloc(AFT_PARTITIONS_MAX * sizeof *found);
    AFT_ASSERT(found != NULL);
    for (struct dirent *at; (at = readdir(d)) != NULL && *n < AFT_PARTITIONS_MAX;)
        *n += partition_named(directory, at->d_name, &found[*n]);
    closedir(d);
    qsort(found, *n, sizeof *found, by_number);
    *out = found;
    return AFT_OK;
}

/* RocksDB holds an fcntl lock on the file LOCK while a store is open. */
bool
afti_state_held(const char *store_directory)
{
    char path[AFTI_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/LOCK", store_directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool held = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(fd);
    return held;
}

/* ---- notes */
enum aft_err
afti_note_write(const char *path, const char *text, struct aft_error *e)
{
    char beside[AFTI_PATH_MAX + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *f = fopen(beside, "w");
    bool good = f && fprintf(f, "%s\n", text) > 0;
    if (f)
        good = fclose(f) == 0 && good;
    if (good && rename(beside, path) == 0)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_IO, "cannot write %s: %s", path, strerror(errno));
}

bool
afti_note_read(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool good = fgets(out, (int)cap, f) != NULL;
    fclose(f);
    if (good)
        out[strcspn(out, "\n")] = '\0';
    return good;
}

/* ---- flat directories */
static enum aft_err
file_copy(const char *from, const char *to, struct aft_error *e)
{
    char *bytes = malloc(COPY_BYTES);
    AFT_ASSERT(bytes != NULL);
    int in = open(from, O_RDONLY | O_CLOEXEC),
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    ssize_t n = in < 0 || out < 0 ? -1 : 1;
    while (n > 0) {
        n = read(in, bytes, COPY_BYTES);
        for (ssize_t at = 0, k; n > 0 && at < n; at += k)
            if ((k = write(out, bytes + at, (size_t)(n - at))) <= 0) {
                n = -1;
                break;
            }
    }
    bool good = n == 0 && fsync(out) == 0;
    int why = errno;
    if (in >= 0)
        close(in);
    if (out >= 0)
        good = close(out) == 0 && good;
    free(bytes);
    return good ? AFT_OK
                : AFT_FAIL(e, AFT_E_IO, "cannot copy %s to %s: %s", from, to, strerror(why));
}

static enum aft_err
entry_copy(const char *from, const char *to, const char *name, struct aft_error *e)
{
    char a[AFTI_PATH_MAX + 256], b[AFTI_PATH_MAX + 256];
    struct stat s;
    snprintf(a, sizeof a, "%s/%s", from, name);
    snprintf(b, sizeof b, "%s/%s", to, name);
    if (stat(a, &s) != 0 || !S_ISREG(s.st_mode))
        return AFT_OK; /* . and .. */
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, ".sst") == 0 && link(a, b) == 0)
        return AFT_OK;
    return file_copy(a, b, e);
}

enum aft_err
afti_flat_copy(const char *from, const char *to, struct aft_error *e)
{
    if (mkdir(to, 0750) != 0)
        return AFT_FAIL(e, AFT_E_IO, "cannot make the directory %s: %s", to, strerror(errno));
    DIR *d = opendir(from);
    if (!d)
        return AFT_FAIL(e, AFT_E_IO, "cannot read the directory %s: %s", from, strerror(errno));
    enum aft_err err = AFT_OK;
    for (struct dirent *at; err == AFT_OK && (at = readdir(d)) != NULL;)
        err = entry_copy(from, to, at->d_name, e);
    closedir(d);
    return err;
}

void
afti_flat_remove(const char *directory)
{
    char path[AFTI_PATH_MAX + 256];
    DIR *d = opendir(directory);
    if (!d)
        return;
    for (struct dirent *at; (at = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, at->d_name);
        unlink(path); /* . and .. refuse */
    }
    closedir(d);
    rmdir(directory);
}
