/* history_file.c - the history of users over a restart: written at close, read at open. One thread.
 *
 * The file, little-endian (docs/FORMATS.md):
 *      8  "AFTHIST1"
 *      users, each shard's least lately used first, until 32 bytes are left:
 *          16 hash of the user id (XXH3-128)   2 entries, each:  8 id   2 day   2 shown   2 clicks   2 done
 *      32 BLAKE2b-256 of all before
 * Read into a table of another size it is as if those users had been met in that order. */
#include "client/client_inner.h"

static const uint8_t magic[8] = "AFTHIST1";
enum { DIGEST_BYTES = 32, ENTRY_BYTES = 16 };

static void
put_user(void *ctx, struct aft_hash128 user, const struct afti_history_entry *v, uint32_t n)
{
    struct aft_buffer *b = ctx;
    aft_put_le64(b, user.low);
    aft_put_le64(b, user.high);
    aft_put_le16(b, (uint16_t)n);
    for (uint32_t i = 0; i < n; i++) {
        aft_put_le64(b, v[i].id);
        aft_put_le16(b, v[i].day);
        aft_put_le16(b, v[i].shown);
        aft_put_le16(b, v[i].clicks);
        aft_put_le16(b, v[i].done);
    }
}

enum aft_err
afti_history_save(struct afti_history *h, const char *path, struct aft_error *e)
{
    struct aft_buffer b = {0};
    struct aft_digest digest;
    aft_put_raw(&b, (struct aft_bytes){magic, sizeof magic});
    afti_history_each(h, put_user, &b);
    aft_digest_of(aft_buffer_bytes(&b), &digest);
    aft_put_raw(&b, (struct aft_bytes){digest.b, DIGEST_BYTES});
    enum aft_err err = afti_file_replace(path, aft_buffer_bytes(&b), e);
    aft_buffer_deinit(&b);
    return err;
}

/* The next user; false: what is left is none. */
static bool
get_user(struct aft_bytes *left, struct aft_hash128 *user, struct afti_history_entry *v,
         uint32_t *n)
{
    if (left->n < 18)
        return false;
    *user = (struct aft_hash128){aft_load_le64(left->p), aft_load_le64(left->p + 8)};
    *n = aft_load_le16(left->p + 16);
    if (*n > AFTI_HISTORY_ENTRIES_MAX || left->n - 18 < (size_t)*n * ENTRY_BYTES)
        return false;
    for (uint32_t i = 0; i < *n; i++) {
        const uint8_t *p = left->p + 18 + (size_t)i * ENTRY_BYTES;
        v[i] = (struct afti_history_entry){.id = aft_load_le64(p),
                                           .day = aft_load_le16(p + 8),
                                           .shown = aft_load_le16(p + 10),
                                           .clicks = aft_load_le16(p + 12),
                                           .done = aft_load_le16(p + 14)};
    }
    size_t bytes = 18 + (size_t)*n * ENTRY_BYTES;
    left->p += bytes, left->n -= bytes;
    return true;
}

static enum aft_err
take(struct afti_history *h, struct aft_bytes file, const char *path, struct aft_error *e)
{
    struct afti_history_entry v[AFTI_HISTORY_ENTRIES_MAX];
    struct aft_hash128 user;
    struct aft_digest digest;
    uint32_t n;
    if (file.n < sizeof magic + DIGEST_BYTES || memcmp(file.p, magic, sizeof magic) != 0)
        return AFT_FAIL(e, AFT_E_IO,
                        "%s is no history file; remove it, or point history_file elsewhere", path);
    struct aft_bytes body = {file.p, file.n - DIGEST_BYTES};
    aft_digest_of(body, &digest);
    if (memcmp(digest.b, file.p + body.n, DIGEST_BYTES) != 0)
        return AFT_FAIL(e, AFT_E_IO, "%s is damaged (its digest differs); remove it", path);
    body.p += sizeof magic, body.n -= sizeof magic;
    while (get_user(&body, &user, v, &n))
        afti_history_put(h, user, v, n);
    if (body.n > 0)
        return AFT_FAIL(e, AFT_E_IO, "%s has %zu bytes that are no user; remove it", path, body.n);
    return AFT_OK;
}

enum aft_err
afti_history_load(struct afti_history *h, const char *path, struct aft_error *e)
{
    struct aft_buffer b = {0};
    bool missing = false;
    enum aft_err err = afti_file_read(path, &b, &missing, e);
    if (err == AFT_OK)
        err = take(h, aft_buffer_bytes(&b), path, e);
    aft_buffer_deinit(&b);
    return missing ? AFT_OK : err;
}
