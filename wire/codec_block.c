/* codec_block.c - ExampleBlock: bytes <-> struct aft_block, whose examples stay bytes until somebody asks for one.
 * Fields in order: epoch, partition, first_seq, hash (16 bytes: low then high, each little-endian), examples (one array block:
 * long n, examples back to back, 00). Examples split over several array blocks are refused: we are the topic's only writer,
 * and a plan's output is always one. Formats: codec.h. Any thread. */
#include "wire/codec.h"

static enum aft_err
examples(struct afti_in *in, struct aft_block *out)
{
    int64_t n, size = -1;
    AFT_TRY(afti_long(in, "examples", &n));
    if (n < 0) {
        AFT_TRY(afti_long(in, "examples", &size));
        if (n == INT64_MIN || size < 0)
            return afti_malformed(in, "examples");
        n = -n;
    }
    if (n > (int64_t)AFT_BLOCK_EXAMPLES_MAX)
        return afti_over(in, "examples", AFT_BLOCK_EXAMPLES_MAX);
    out->n = (uint32_t)n;
    out->examples = (struct aft_bytes){in->r.p, 0};
    if (n == 0)
        return AFT_OK;
    size_t left = aft_left(&in->r);
    if (left < (uint64_t)n + 1 || (size >= 0 && (uint64_t)size != left - 1) || in->r.end[-1] != 0)
        return afti_malformed(in, "examples");
    out->examples.n = left - 1;
    in->r.p = in->r.end;
    return AFT_OK;
}

enum aft_err
aft_decode_block(struct aft_bytes body, struct aft_block *out, struct aft_error *e)
{
    struct afti_in in;
    int64_t first;
    AFT_TRY(afti_open(&in, "ExampleBlock", body, NULL, e));
    AFT_TRY(afti_long(&in, "epoch", &out->epoch));
    AFT_TRY(afti_int(&in, "partition", &out->partition));
    AFT_TRY(afti_long(&in, "first_seq", &first));
    if (first < 0)
        return afti_wrong(&in, "first_seq", "is negative");
    out->first_seq = (uint64_t)first;
    if (!aft_get_le64(&in.r, &out->hash.low) || !aft_get_le64(&in.r, &out->hash.high))
        return afti_malformed(&in, "hash");
    AFT_TRY(examples(&in, out));
    return afti_close(&in);
}

void
aft_encode_block(struct aft_buffer *b, const struct aft_block *v)
{
    aft_put_long(b, v->epoch);
    aft_put_long(b, v->partition);
    aft_put_long(b, (int64_t)v->first_seq);
    aft_put_le64(b, v->hash.low);
    aft_put_le64(b, v->hash.high);
    afti_put_count(b, v->n);
    aft_put_raw(b, v->examples);
    afti_put_end(b);
}
