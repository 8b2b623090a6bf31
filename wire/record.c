/* record.c - our records: name, schema text, fingerprint. Any thread. */
#include "wire/fingerprints.h"
#include "wire/schema_texts.h"
#include "wire/wire.h"

struct record_row {
    const char *name;
    const unsigned char *text;
    const unsigned long *size;
    uint64_t fingerprint;
};

#define ROW(upper, lower)                                                           \
    [AFT_RECORD_##upper] = {#lower, aft_schema_##lower, &aft_schema_##lower##_size, \
                            AFTI_FINGERPRINT_##upper}
static const struct record_row rows[AFT_RECORD_COUNT] = {
    ROW(IMPRESSION, impression), ROW(OUTCOME, outcome),
    ROW(EXAMPLE, example),       ROW(EXAMPLE_BLOCK, example_block),
    ROW(CLOCK, clock),           ROW(ROUND, round),
    ROW(SNAPSHOT, snapshot),     ROW(SCORE_REQUEST, score_request),
    ROW(PRESCORED, prescored),   ROW(HISTORY, history),
};
#undef ROW

static const struct record_row *
row_of(enum aft_record r)
{
    AFT_ASSERT((unsigned)r < (unsigned)AFT_RECORD_COUNT);
    return &rows[r];
}

const char *
aft_record_name(enum aft_record r)
{
    return row_of(r)->name;
}

struct aft_bytes
aft_record_schema(enum aft_record r)
{
    const struct record_row *row = row_of(r);
    return (struct aft_bytes){row->text, *row->size};
}

uint64_t
aft_record_fingerprint(enum aft_record r)
{
    return row_of(r)->fingerprint;
}
