/* container_avro.c - writes container files (container_avro.h), codec null.
 * Written by hand: avro-c's file writer prints the schema without defaults and logical types, so that other readers would see
 * plain longs for times. The sync marker is a digest of the schema, so that the same records make the same file, byte for byte.
 * One thread a writer. */
#include "wire/container_avro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire/schema_avro.h"

enum { BLOCK_BYTES = 256 << 10 };

struct aft_file_writer {
    FILE *f;
    char *path;
    bool enveloped;
    uint8_t sync[AFTI_SYNC_SIZE];
    struct aft_buffer block;
    int64_t count;
};

static void
put(struct aft_buffer *b, const char *s)
{
    aft_put_raw(b, aft_text(s));
}

enum aft_err
afti_file_schema(enum aft_record r, bool enveloped, struct aft_buffer *out, struct aft_error *e)
{
    struct aft_schema *s;
    if (!enveloped) {
        aft_put_raw(out, aft_record_schema(r));
        return AFT_OK;
    }
    AFT_TRY(aft_schema_parse(aft_record_schema(r), &s, e));
    put(out, "{\"type\":\"record\",\"name\":\"");
    put(out, s->root->last);
    put(out, "Record\",\"namespace\":\"io.aftertouch.file\",\"fields\":["
             "{\"name\":\"offset\",\"type\":\"long\"},"
             "{\"name\":\"log_timestamp\",\"type\":{\"type\":\"long\",\"logicalType\":"
             "\"timestamp-millis\"}},"
             "{\"name\":\"key\",\"type\":[\"null\",\"bytes\"],\"default\":null},"
             "{\"name\":\"value\",\"type\":[\"null\",");
    aft_put_raw(out, aft_record_schema(r));
    put(out, "],\"default\":null}]}");
    aft_schema_free(s);
    return AFT_OK;
}

static enum aft_err
failed(struct aft_file_writer *f, const char *what, struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_IO, "%s %s: %s; mend the file system and write it again", what,
                    f->path, strerror(errno));
}

static enum aft_err
write_all(struct aft_file_writer *f, struct aft_bytes b, struct aft_error *e)
{
    return fwrite(b.p, 1, b.n, f->f) == b.n ? AFT_OK : failed(f, "cannot write", e);
}

static enum aft_err
write_header(struct aft_file_writer *f, enum aft_record r, struct aft_error *e)
{
    struct aft_buffer schema = {0}, head = {0};
    struct aft_digest digest;
    enum aft_err err = afti_file_schema(r, f->enveloped, &schema, e);
    if (!err) {
        aft_digest_of(aft_buffer_bytes(&schema), &digest);
        memcpy(f->sync, digest.b, sizeof f->sync);
        put(&head, "Obj\001");
        aft_put_long(&head, 2);
        aft_put_bytes(&head, AFT_LITERAL("avro.schema"));
        aft_put_bytes(&head, aft_buffer_bytes(&schema));
        aft_put_bytes(&head, AFT_LITERAL("avro.codec"));
        aft_put_bytes(&head, AFT_LITERAL("null"));
        aft_put_u8(&head, 0);
        aft_put_raw(&head, (struct aft_bytes){f->sync, sizeof f->sync});
        err = write_all(f, aft_buffer_bytes(&head), e);
    }
    aft_buffer_deinit(&schema);
    aft_buffer_deinit(&head);
    return err;
}

static void
writer_free(struct aft_file_writer *f)
{
    aft_buffer_deinit(&f->block);
    free(f->path);
    free(f);
}

enum aft_err
aft_file_create(const char *path, enum aft_record r, bool enveloped, struct aft_file_writer **out,
                struct aft_error *e)
{
    struct aft_file_writer *f = calloc(1, sizeof *f);
    AFT_ASSERT(f != NULL);
    f->path = strdup(path);
    AFT_ASSERT(f->path != NULL);
    f->enveloped = enveloped;
    f->f = fopen(path, "wb");
    enum aft_err err = f->f ? write_header(f, r, e) : failed(f, "cannot create", e);
    if (err) {
        if (f->f)
            fclose(f->f);
        writer_free(f);
        return err;
    }
    *out = f;
    return AFT_OK;
}

static enum aft_err
write_block(struct aft_file_writer *f, struct aft_error *e)
{
    struct aft_buffer head = {0};
    if (f->count == 0)
        return AFT_OK;
    aft_put_long(&head, f->count);
    aft_put_long(&head, (int64_t)f->block.n);
    enum aft_err err = write_all(f, aft_buffer_bytes(&head), e);
    aft_buffer_deinit(&head);
    AFT_TRY(err);
    aft_put_raw(&f->block, (struct aft_bytes){f->sync, sizeof f->sync});
    AFT_TRY(write_all(f, aft_buffer_bytes(&f->block), e));
    aft_buffer_reset(&f->block);
    f->count = 0;
    return AFT_OK;
}

enum aft_err
aft_file_append(struct aft_file_writer *f, const struct aft_file_record *rec, struct aft_error *e)
{
    struct aft_buffer *b = &f->block;
    if (f->enveloped) {
        aft_put_long(b, rec->offset);
        aft_put_long(b, rec->log_timestamp_ms);
        aft_put_long(b, rec->key.p != NULL);
        if (rec->key.p)
            aft_put_bytes(b, rec->key);
        aft_put_long(b, rec->body.p != NULL);
    } else if (!rec->body.p) {
        return AFT_FAIL(e, AFT_E_USAGE,
                        "%s: a plain container file cannot hold a null value; write it enveloped",
                        f->path);
    }
    aft_put_raw(b, rec->body);
    f->count++;
    return b->n >= BLOCK_BYTES ? write_block(f, e) : AFT_OK;
}

enum aft_err
aft_file_finish(struct aft_file_writer *f, struct aft_error *e)
{
    enum aft_err err = write_block(f, e);
    if (!err && (fflush(f->f) != 0 || fsync(fileno(f->f)) != 0))
        err = failed(f, "cannot flush", e);
    if (fclose(f->f) != 0 && !err)
        err = failed(f, "cannot close", e);
    writer_free(f);
    return err;
}
