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
 * I1 the file is replaced whole (file.c). A reader sees the old one or the new one.
 * Thread: the one that follows. */
#include "client/client_inner.h"

enum { HEAD_BYTES = 12, DIGEST_BYTES = 32 };
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
