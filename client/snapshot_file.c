/* snapshot_file.c - the last good snapshot on disk: what an engine starts from when the topic cannot be reached.
 *
 *   0   8   "AFTSNAP" 01
 *   8   4   number of records, le32
 *   12      each record: length le32, then its value as it stands in the topic (Avro single object): the full set, its deltas, the
 *           last pin; of each the parts first, the manifest last
 *   end-32  BLAKE2b-256 of everything before
 *
 * A container file (snapshot_container.c) may stand there in its place: it is read, and replaced by the next better snapshot.
 *
 * I1 the file is replaced whole: written beside, synced, renamed, its directory synced. A reader sees the old one or the new one.
 * Thread: the one that follows. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client_inner.h"

enum { HEAD_BYTES = 12, DIGEST_BYTES = 32, PATH_BYTES_MAX = 4096 };
static const uint8_t magic[8] = {'A', 'F', 'T', 'S', 'N', 'A', 'P', 1};

/* ---- saving */
struct saving {
    struct aft_buffer *out;
    uint32_t n;
};

static enum aft_err
put_record(void *ctx, struct aft_bytes body, struct aft_error *e)
{
    struct saving *s = ctx;
    size_t at = s->out->n;
    (void)e;
    aft_put_le32(s->out, 0);
    aft_frame_put_single(s->out, AFT_RECORD_SNAPSHOT);
    aft_put_raw(s->out, body);
    aft_store_le32(s->out->p + at, (uint32_t)(s->out->n - at - 4));
    s->n++;
    return AFT_OK;
}

static enum aft_err
put_set(struct aft_buffer *out, const struct aft_snapshot_set *set, struct aft_error *e)
{
    struct saving s = {.out = out};
    AFT_ASSERT(aft_snapshot_set_manifest(set) != NULL);
    aft_put_raw(out, (struct aft_bytes){magic, sizeof magic});
    aft_put_le32(out, 0);
    AFT_TRY(aft_snapshot_set_each(set, put_record, &s, e));
    aft_store_le32(out->p + sizeof magic, s.n);
    struct aft_digest digest;
    aft_digest_of(aft_buffer_bytes(out), &digest);
    aft_put_raw(out, (struct aft_bytes){digest.b, sizeof digest.b});
    return AFT_OK;
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

enum aft_err
afti_client_snapshot_save(const struct aft_snapshot_set *set, const char *path, struct aft_error *e)
{
    struct aft_buffer b = {0};
    enum aft_err err = put_set(&b, set, e);
    if (err == AFT_OK)
        err = afti_file_replace(path, aft_buffer_bytes(&b), e);
    aft_buffer_deinit(&b);
    return err;
}

/* ---- loading */
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
take_records(struct aft_client *c, struct aft_reader r, uint32_t n, const char *path,
             struct aft_error *e)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        bool whole = false;
        uint32_t size;
        struct aft_bytes value;
        if (!aft_get_le32(&r, &size) || !aft_get_raw(&r, size, &value))
            return AFT_FAIL(e, AFT_E_MALFORMED, "%s ends inside record %u", path, i);
        AFT_TRY(afti_follow_record(c, value, &whole, e));
        any = any || whole;
    }
    if (!any || aft_left(&r) != 0)
        return AFT_FAIL(e, AFT_E_MALFORMED, "%s holds no whole snapshot", path);
    return AFT_OK;
}

static enum aft_err
take_file(struct aft_client *c, struct aft_bytes b, const char *path, struct aft_error *e)
{
    struct aft_digest digest;
    if (afti_is_container(b))
        return afti_container_take(c, b, path, e);
    if (b.n < HEAD_BYTES + DIGEST_BYTES || memcmp(b.p, magic, sizeof magic) != 0)
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "%s is no snapshot file; remove it, or point snapshot_file elsewhere",
                        path);
    struct aft_bytes body = {b.p, b.n - DIGEST_BYTES};
    aft_digest_of(body, &digest);
    if (memcmp(digest.b, b.p + body.n, DIGEST_BYTES) != 0)
        return AFT_FAIL(e, AFT_E_MALFORMED, "%s is damaged (its digest differs); remove it", path);
    struct aft_reader r = {b.p + HEAD_BYTES, b.p + body.n};
    return take_records(c, r, aft_load_le32(b.p + sizeof magic), path, e);
}

enum aft_err
afti_client_snapshot_load(struct aft_client *c, const char *path, bool *missing,
                          struct aft_error *e)
{
    struct aft_buffer b = {0};
    enum aft_err err = afti_file_read(path, &b, missing, e);
    if (err == AFT_OK)
        err = take_file(c, aft_buffer_bytes(&b), path, e);
    aft_buffer_deinit(&b);
    return err;
}
