/* container_read_avro.c - reads container files (container_avro.h): ours, and whatever other writer's schema resolves.
 * Codec null is read here, block by block, bounded: a walk finds where a record ends, a plan makes its body canonical. Files
 * under another codec go through avro-c's reader: each value is written back to memory, then takes the same way. That way is slow
 * and trusts the file (avro-c is not safe on hostile bytes): it is for files that an operator names.
 *
 * Invariants: I1 a block is at most BLOCK_MAX bytes. I2 a record that does not resolve is passed over: the next call goes on
 * behind it. One thread a reader. */
#include <avro.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/container_avro.h"
#include "wire/plan_avro.h"
#include "wire/schema_avro.h"

enum { BLOCK_MAX = 256 << 20, META_MAX = 4 << 20, META_ENTRIES_MAX = 1024 };

struct aft_file_reader {
    FILE *f;
    char *path;
    bool enveloped;
    struct aft_buffer schema, codec; /* of the header */
    uint8_t sync[AFTI_SYNC_SIZE];
    struct aft_plan *walk, *plan; /* writer -> writer, writer -> ours */
    struct aft_buffer block, body;
    struct aft_reader rest; /* of the block */
    int64_t left;           /* records of the block that are still to come */
    avro_file_reader_t slow;
    avro_value_iface_t *slow_class;
    avro_value_t slow_value;
};

static enum aft_err
damaged(struct aft_file_reader *f, const char *what, struct aft_error *e)
{
    return AFT_FAIL(e, AFT_E_IO,
                    "%s near byte %ld: %s; the file is damaged or no Avro container file", f->path,
                    ftell(f->f), what);
}

/* ---- the header */
static bool
read_long(FILE *f, int64_t *out)
{
    uint8_t b[10];
    for (size_t n = 0; n < sizeof b; n++) {
        int c = fgetc(f);
        if (c == EOF)
            return false;
        b[n] = (uint8_t)c;
        if (c < 128) {
            struct aft_reader r = {b, b + n + 1};
            return aft_get_long(&r, out);
        }
    }
    return false;
}

static bool
read_bytes(FILE *f, struct aft_buffer *out)
{
    int64_t n;
    aft_buffer_reset(out);
    if (!read_long(f, &n) || n < 0 || n > META_MAX)
        return false;
    uint8_t *p =
        aft_reserve(out, (size_t)n + 1); /* never nothing: an empty buffer has no address */
    out->n = (size_t)n;
    return fread(p, 1, (size_t)n, f) == (size_t)n;
}

static bool
read_entry(struct aft_file_reader *f, struct aft_buffer *key, struct aft_buffer *value)
{
    if (!read_bytes(f->f, key) || !read_bytes(f->f, value))
        return false;
    struct aft_buffer *to = aft_same(aft_buffer_bytes(key), AFT_LITERAL("avro.schema")) ? &f->schema
                            : aft_same(aft_buffer_bytes(key), AFT_LITERAL("avro.codec")) ? &f->codec
                                                                                         : NULL;
    if (to) {
        aft_buffer_reset(to);
        aft_put_raw(to, aft_buffer_bytes(value));
    }
    return true;
}

static bool
read_entries(struct aft_file_reader *f, struct aft_buffer *key, struct aft_buffer *value)
{
    int64_t total = 0;
    for (;;) {
        int64_t n, size;
        if (!read_long(f->f, &n) || n == INT64_MIN || (n < 0 && !read_long(f->f, &size)))
            return false;
        n = n < 0 ? -n : n;
        if (n == 0)
            return true;
        if (n > META_ENTRIES_MAX - total)
            return false;
        for (total += n; n; n--)
            if (!read_entry(f, key, value))
                return false;
    }
}

static enum aft_err
read_header(struct aft_file_reader *f, struct aft_error *e)
{
    char magic[4];
    struct aft_buffer key = {0}, value = {0};
    if (fread(magic, 1, 4, f->f) != 4 || memcmp(magic, "Obj\001", 4) != 0)
        return damaged(f, "it does not begin with Obj 1", e);
    bool ok =
        read_entries(f, &key, &value) && fread(f->sync, 1, sizeof f->sync, f->f) == sizeof f->sync;
    aft_buffer_deinit(&key);
    aft_buffer_deinit(&value);
    if (!ok || !f->schema.n)
        return damaged(f, "its header is cut off or has no schema", e);
    if (!f->codec.n)
        aft_put_raw(&f->codec, AFT_LITERAL("null"));
    return AFT_OK;
}

/* ---- open, close */
static enum aft_err
compile_with(struct aft_file_reader *f, const struct aft_schema *writer, enum aft_record r,
             struct aft_error *e)
{
    struct aft_buffer text = {0};
    struct aft_schema *reader = NULL;
    enum aft_err err = afti_file_schema(r, f->enveloped, &text, e);
    if (!err)
        err = aft_schema_parse(aft_buffer_bytes(&text), &reader, e);
    if (!err)
        err = aft_plan_compile(writer, writer, &f->walk, e);
    if (!err)
        err = aft_plan_compile(writer, reader, &f->plan, e);
    aft_schema_free(reader);
    aft_buffer_deinit(&text);
    return err;
}

static enum aft_err
open_slow(struct aft_file_reader *f, struct aft_error *e)
{
    enum aft_err err = AFT_OK;
    afti_avro_lock();
    if (avro_file_reader(f->path, &f->slow)) {
        f->slow = NULL;
        err = AFT_FAIL(e, AFT_E_IO, "%s: avro-c cannot read it: %.300s; write it with codec null",
                       f->path, avro_strerror());
    } else {
        avro_schema_t schema = avro_file_reader_get_writer_schema(f->slow);
        f->slow_class = avro_generic_class_from_schema(schema);
        AFT_ASSERT(f->slow_class != NULL);
        avro_generic_value_new(f->slow_class, &f->slow_value);
        avro_schema_decref(schema);
    }
    afti_avro_unlock();
    return err;
}

static enum aft_err
open_into(struct aft_file_reader *f, enum aft_record r, struct aft_error *e)
{
    struct aft_schema *writer;
    f->f = fopen(f->path, "rb");
    if (!f->f)
        return AFT_FAIL(e, AFT_E_IO, "cannot open %s: %s; check the path", f->path,
                        strerror(errno));
    AFT_TRY(read_header(f, e));
    AFT_TRY(aft_schema_parse(aft_buffer_bytes(&f->schema), &writer, e));
    enum aft_err err = compile_with(f, writer, r, e);
    aft_schema_free(writer);
    if (err) {
        struct aft_error why = *e;
        return AFT_FAIL(e, err, "%s: %s", f->path, why.message);
    }
    return aft_same(aft_buffer_bytes(&f->codec), AFT_LITERAL("null")) ? AFT_OK : open_slow(f, e);
}

enum aft_err
aft_file_open(const char *path, enum aft_record r, bool enveloped, struct aft_file_reader **out,
              struct aft_error *e)
{
    struct aft_file_reader *f = calloc(1, sizeof *f);
    AFT_ASSERT(f != NULL);
    f->path = strdup(path);
    AFT_ASSERT(f->path != NULL);
    f->enveloped = enveloped;
    enum aft_err err = open_into(f, r, e);
    if (err) {
        aft_file_close(f);
        return err;
    }
    *out = f;
    return AFT_OK;
}

void
aft_file_close(struct aft_file_reader *f)
{
    if (!f)
        return;
    if (f->f)
        fclose(f->f);
    if (f->slow) {
        afti_avro_lock();
        avro_value_decref(&f->slow_value);
        avro_value_iface_decref(f->slow_class);
        avro_file_reader_close(f->slow);
        afti_avro_unlock();
    }
    aft_plan_free(f->walk);
    aft_plan_free(f->plan);
    aft_buffer_deinit(&f->schema);
    aft_buffer_deinit(&f->codec);
    aft_buffer_deinit(&f->block);
    aft_buffer_deinit(&f->body);
    free(f->path);
    free(f);
}

/* ---- records */
static enum aft_err
next_block(struct aft_file_reader *f, bool *end, struct aft_error *e)
{
    int64_t size;
    int c = fgetc(f->f);
    *end = c == EOF && !ferror(f->f);
    if (*end)
        return AFT_OK;
    ungetc(c, f->f);
    if (!read_long(f->f, &f->left) || !read_long(f->f, &size) || f->left < 0 || size < 0 ||
        size > BLOCK_MAX)
        return damaged(f, "a block's head is cut off or asks too much", e);
    aft_buffer_reset(&f->block);
    uint8_t *p = aft_reserve(&f->block, (size_t)size + AFTI_SYNC_SIZE);
    if (fread(p, 1, (size_t)size + AFTI_SYNC_SIZE, f->f) != (size_t)size + AFTI_SYNC_SIZE)
        return damaged(f, "a block is cut off", e);
    if (memcmp(p + size, f->sync, AFTI_SYNC_SIZE) != 0)
        return damaged(f, "a block does not end with the file's sync marker", e);
    f->rest = (struct aft_reader){p, p + size};
    return AFT_OK;
}

static enum aft_err
next_plain(struct aft_file_reader *f, struct aft_bytes *record, bool *end, struct aft_error *e)
{
    size_t used;
    while (f->left == 0) {
        if (aft_left(&f->rest))
            return damaged(f, "a block holds more bytes than its records", e);
        AFT_TRY(next_block(f, end, e));
        if (*end)
            return AFT_OK;
    }
    struct aft_error why;
    struct aft_bytes rest = {f->rest.p, aft_left(&f->rest)};
    if (afti_plan_measure(f->walk, rest, &used, &why))
        return damaged(f, why.message, e);
    *record = (struct aft_bytes){f->rest.p, used};
    f->rest.p += used;
    f->left--;
    return AFT_OK;
}

/* A record through avro-c: read, then written back to memory. Holds avro-c's lock. */
static enum aft_err
next_slow(struct aft_file_reader *f, struct aft_bytes *record, bool *end, struct aft_error *e)
{
    size_t size;
    avro_value_reset(&f->slow_value);
    int rc = avro_file_reader_read_value(f->slow, &f->slow_value);
    *end = rc == EOF;
    if (*end)
        return AFT_OK;
    if (rc || avro_value_sizeof(&f->slow_value, &size) || size > BLOCK_MAX)
        return damaged(f, avro_strerror(), e);
    aft_buffer_reset(&f->block);
    char *place = (char *)aft_reserve(&f->block, size + 1);
    avro_writer_t w = avro_writer_memory(place, (int64_t)size + 1);
    rc = avro_value_write(w, &f->slow_value);
    size = (size_t)avro_writer_tell(w);
    avro_writer_free(w);
    *record = (struct aft_bytes){f->block.p, size};
    return rc ? damaged(f, avro_strerror(), e) : AFT_OK;
}

static enum aft_err
open_envelope(struct aft_file_reader *f, struct aft_bytes b, struct aft_file_record *out,
              struct aft_error *e)
{
    struct aft_reader r = aft_reader(b);
    int64_t has_key, has_value;
    bool ok = aft_get_long(&r, &out->offset) && aft_get_long(&r, &out->log_timestamp_ms) &&
              aft_get_long(&r, &has_key) && (!has_key || aft_get_bytes(&r, BLOCK_MAX, &out->key)) &&
              aft_get_long(&r, &has_value);
    if (!ok)
        return damaged(f, "a record's envelope", e);
    if (has_value)
        out->body = (struct aft_bytes){r.p, aft_left(&r)};
    return AFT_OK;
}

enum aft_err
aft_file_next(struct aft_file_reader *f, struct aft_file_record *out, bool *end,
              struct aft_error *e)
{
    struct aft_bytes record = AFT_ABSENT;
    enum aft_err err;
    *end = false;
    *out = (struct aft_file_record){0};
    if (f->slow) {
        afti_avro_lock();
        err = next_slow(f, &record, end, e);
        afti_avro_unlock();
    } else {
        err = next_plain(f, &record, end, e);
    }
    if (err || *end)
        return err;
    if (!aft_plan_identity(f->plan)) {
        aft_buffer_reset(&f->body);
        AFT_TRY(aft_plan_run(f->plan, record, &f->body, NULL, e));
        record = aft_buffer_bytes(&f->body);
    }
    if (f->enveloped)
        return open_envelope(f, record, out, e);
    out->body = record;
    return AFT_OK;
}

enum aft_err
aft_file_batch(struct aft_file_reader *f, struct aft_bytes *bodies, uint32_t *n, bool *end,
               struct aft_error *e)
{
    struct aft_file_record one;
    AFT_ASSERT(!f->enveloped);
    *n = 1;
    if (f->slow || !aft_plan_identity(f->plan)) {
        AFT_TRY(aft_file_next(f, &one, end, e));
        *bodies = one.body;
        return AFT_OK;
    }
    *end = false;
    while (f->left == 0) {
        if (aft_left(&f->rest))
            return damaged(f, "a block holds more bytes than its records", e);
        AFT_TRY(next_block(f, end, e));
        if (*end)
            return AFT_OK;
    }
    if (f->left > UINT32_MAX)
        return damaged(f, "a block says that it holds more records than it can", e);
    *bodies = (struct aft_bytes){f->rest.p, aft_left(&f->rest)};
    *n = (uint32_t)f->left;
    f->rest.p = f->rest.end;
    f->left = 0;
    return AFT_OK;
}
