/* snapshot_container.c - an exported snapshot, an Avro container file of snapshot records, -> the set that is followed. Of the format only
 * what we write is read: codec null, our own schema word by word; the records verify themselves.
 *
 *   "Obj" 01, metadata (map of bytes), sync (16 bytes); blocks: long count, long size, `count` bodies back to back, sync
 *
 * Thread: the one that follows. */
#include "client/client_inner.h"

enum { SYNC_BYTES = 16, ARENA_MAX = 64 << 20 };

bool
afti_is_container(struct aft_bytes file)
{
    return file.n >= 4 && memcmp(file.p, "Obj\001", 4) == 0;
}

static enum aft_err
broken(const char *path, struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_MALFORMED,
                    "%s is damaged, or no container file of snapshots as `aftertouch snapshot "
                    "export` of this version writes it; export it again",
                    path);
}

/* A list's count, as Avro writes it: negative, its bytes follow. */
static bool
get_count(struct aft_reader *r, int64_t *n)
{
    int64_t size;
    if (!aft_get_long(r, n) || *n == INT64_MIN || (*n < 0 && !aft_get_long(r, &size)))
        return false;
    *n = *n < 0 ? -*n : *n;
    return true;
}

/* The metadata, up to the sync marker; false: not ours. */
static bool
get_head(struct aft_reader *r, struct aft_bytes *sync)
{
    int64_t n;
    struct aft_bytes key, value;
    bool schema = false;
    while (get_count(r, &n)) {
        if (n == 0)
            return schema && aft_get_raw(r, SYNC_BYTES, sync);
        for (; n > 0; n--) {
            if (!aft_get_bytes(r, AFT_ID_BYTES_MAX, &key) || !aft_get_bytes(r, 1 << 20, &value))
                return false;
            if (aft_same(key, AFT_LITERAL("avro.schema")))
                schema = aft_same(value, aft_record_schema(AFT_RECORD_SNAPSHOT));
            if (aft_same(key, AFT_LITERAL("avro.codec")) && !aft_same(value, AFT_LITERAL("null")))
                return false;
        }
    }
    return false;
}

/* Where records cannot be found any more, it is broken; what the set says of one is what it says. */
static enum aft_err
take_block(struct aft_client *c, struct aft_reader block, int64_t count, const char *path,
           struct aft_error *e)
{
    struct aft_arena a;
    enum aft_err err = AFT_OK;
    aft_arena_init(&a, ARENA_MAX);
    for (; count > 0 && err == AFT_OK; count--) {
        struct aft_bytes body;
        struct aft_error why;
        bool whole;
        aft_arena_reset(&a);
        err = aft_snapshot_front(&block, &a, &body, &why) == AFT_OK ? AFT_OK : broken(path, e);
        if (err == AFT_OK)
            err = afti_follow_body(c, body, &whole, e);
    }
    aft_arena_deinit(&a);
    AFT_TRY(err);
    return aft_left(&block) ? broken(path, e) : AFT_OK;
}

enum aft_err
afti_container_take(struct aft_client *c, struct aft_bytes file, const char *path,
                    struct aft_error *e)
{
    struct aft_reader r = {file.p + 4, file.p + file.n};
    struct aft_bytes sync, block, end;
    int64_t count;
    if (!get_head(&r, &sync))
        return broken(path, e);
    while (aft_left(&r)) {
        if (!aft_get_long(&r, &count) || count < 0 || !aft_get_bytes(&r, aft_left(&r), &block) ||
            !aft_get_raw(&r, SYNC_BYTES, &end) || !aft_same(end, sync))
            return broken(path, e);
        AFT_TRY(take_block(c, aft_reader(block), count, path, e));
    }
    if (!aft_snapshot_set_manifest(c->follow.set))
        return AFT_FAIL(e, AFT_E_MALFORMED, "%s holds no whole snapshot", path);
    return AFT_OK;
}
