/* fuzz_frame.c - any bytes as a framed value, and as a body of each of our records: refused as data or decoded; what was decoded
 * and encoded anew decodes again to the same bytes. First byte: which record. */
#include <stdlib.h>

#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes body as record r and appends its encoding. */
static enum aft_err
again(enum aft_record r, struct aft_bytes body, struct aft_arena *a, struct aft_buffer *b)
{
    struct aft_error e;
    struct aft_reader reader = aft_reader(body);
    union {
        struct aft_impression impression;
        struct aft_outcome outcome;
        struct aft_example example;
        struct aft_block block;
        struct aft_clock_record clock;
        struct aft_round_record round;
        struct aft_snapshot_record snapshot;
        struct aft_score_request request;
        struct aft_prescored prescored;
        struct aft_history history;
    } v;
    switch (r) {
    case AFT_RECORD_IMPRESSION:
        AFT_TRY(aft_decode_impression(body, a, &v.impression, &e));
        aft_encode_impression(b, &v.impression);
        return AFT_OK;
    case AFT_RECORD_OUTCOME:
        AFT_TRY(aft_decode_outcome(body, a, &v.outcome, &e));
        aft_encode_outcome(b, &v.outcome);
        return AFT_OK;
    case AFT_RECORD_EXAMPLE:
        AFT_TRY(aft_decode_example(&reader, a, &v.example, &e));
        aft_encode_example(b, &v.example);
        return AFT_OK;
    case AFT_RECORD_EXAMPLE_BLOCK:
        AFT_TRY(aft_decode_block(body, &v.block, &e));
        aft_encode_block(b, &v.block);
        return AFT_OK;
    case AFT_RECORD_CLOCK:
        AFT_TRY(aft_decode_clock(body, &v.clock, &e));
        aft_encode_clock(b, &v.clock);
        return AFT_OK;
    case AFT_RECORD_ROUND:
        AFT_TRY(aft_decode_round(body, a, &v.round, &e));
        aft_encode_round(b, &v.round);
        return AFT_OK;
    case AFT_RECORD_SCORE_REQUEST:
        AFT_TRY(aft_decode_score_request(body, a, &v.request, &e));
        aft_encode_score_request(b, &v.request);
        return AFT_OK;
    case AFT_RECORD_PRESCORED:
        AFT_TRY(aft_decode_prescored(body, a, &v.prescored, &e));
        aft_encode_prescored(b, &v.prescored);
        return AFT_OK;
    case AFT_RECORD_HISTORY:
        AFT_TRY(aft_decode_history(body, a, &v.history, &e));
        aft_encode_history(b, &v.history);
        return AFT_OK;
    default:
        AFT_TRY(aft_decode_snapshot(body, a, &v.snapshot, &e));
        aft_encode_snapshot(b, &v.snapshot);
        return AFT_OK;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aft_arena arena;
    struct aft_buffer first = {0}, second = {0};
    struct aft_frame frame;
    struct aft_error e;
    if (size == 0)
        return 0;
    enum aft_record r = (enum aft_record)(data[0] % AFT_RECORD_COUNT);
    struct aft_bytes body = {data + 1, size - 1};
    enum aft_err err = aft_frame_parse(body, &frame, &e);
    AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
    aft_arena_init(&arena, 32u << 20);
    err = again(r, body, &arena, &first);
    AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
    if (err == AFT_OK) {
        AFT_ASSERT(again(r, aft_buffer_bytes(&first), &arena, &second) == AFT_OK);
        AFT_ASSERT(aft_same(aft_buffer_bytes(&first), aft_buffer_bytes(&second)));
    }
    aft_arena_deinit(&arena);
    aft_buffer_deinit(&first);
    aft_buffer_deinit(&second);
    return 0;
}
