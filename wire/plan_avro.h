/* plan_avro.h - the program that a plan is: made by plan_avro.c, run by plan_run_avro.c.
 *
 * A code is {op, a, b}; pc is an index into codes. Input is read in the writer's order. What needs no change is only walked
 * over: it stays pending between `mark` and `p` and is copied in one piece when something else must be written.
 *
 *   END                     back to the caller (CALL, REORDER, the whole)
 *   JUMP a                  go on at a
 *   BOOL INT LONG BYTES     one value, checked, unchanged (a string too is BYTES)
 *   RAW a                   a bytes, unchanged (float, double, fixed)
 *   ENUM a                  an index below a, unchanged
 *   INT_FLOAT INT_DOUBLE LONG_FLOAT LONG_DOUBLE FLOAT_DOUBLE   a promotion
 *   ENUM_MAP a b            an index below b; table[a + index] is the reader's, or AFTI_NONE
 *   UNION a b               a branch below b; table[a + 2 branch] says what becomes of the index (enum afti_branch, or
 *                           AFTI_TO + the reader's branch), table[a + 2 branch + 1] where the branch's code is
 *   LIST a                  blocks of items; the item's code follows and ends with NEXT; then go on at a
 *   NEXT a                  an item is over; the next begins at a
 *   CALL a                  a record by subroutine: table[a] is its pc
 *   REORDER a               a record whose fields change places: table[a] = pc to go on at, then writer's n, reader's n,
 *                           n times (pc that walks over a writer's field, 1 if the reader takes it), n times
 *                           (writer's field or AFTI_NONE, pc)
 *   SKIP, KEEP              between them input is read and dropped
 *   EMIT a b                b bytes of constants from a
 *   FAIL a                  the writer's value has no place in the reader; constants from a, NUL-terminated, say which
 */
#ifndef AFT_WIRE_PLAN_AVRO_H
#define AFT_WIRE_PLAN_AVRO_H

#include "wire/schema_avro.h"

enum afti_op {
    AFTI_OP_END,
    AFTI_OP_JUMP,
    AFTI_OP_BOOL,
    AFTI_OP_INT,
    AFTI_OP_LONG,
    AFTI_OP_BYTES,
    AFTI_OP_RAW,
    AFTI_OP_ENUM,
    AFTI_OP_INT_FLOAT,
    AFTI_OP_INT_DOUBLE,
    AFTI_OP_LONG_FLOAT,
    AFTI_OP_LONG_DOUBLE,
    AFTI_OP_FLOAT_DOUBLE,
    AFTI_OP_ENUM_MAP,
    AFTI_OP_UNION,
    AFTI_OP_LIST,
    AFTI_OP_NEXT,
    AFTI_OP_CALL,
    AFTI_OP_REORDER,
    AFTI_OP_SKIP,
    AFTI_OP_KEEP,
    AFTI_OP_EMIT,
    AFTI_OP_FAIL
};

enum afti_branch { AFTI_SAME, AFTI_DROP, AFTI_TO };

struct afti_code {
    enum afti_op op;
    uint32_t a, b;
};

enum {
    AFTI_CODES_MAX = 1 << 16,
    AFTI_CELLS_MAX = 1 << 20,
    AFTI_INLINE_MAX = 512, /* past so many, records become subroutines */
    AFTI_REORDER_FIELDS_MAX =
        256 /* fields of a writer's record whose order changes (they are kept on the stack) */
};

struct aft_plan {
    struct afti_code *code;
    uint32_t code_n, code_cap;
    uint32_t *table;
    uint32_t table_n, table_cap;
    struct aft_buffer constants;
    uint32_t start;
    bool identity;
};

/* afti_varint writes an Avro long to place and returns what it wrote. */
static inline struct aft_bytes
afti_varint(uint8_t place[10], int64_t v)
{
    uint64_t u = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    size_t n = 0;
    for (; u > 127; u >>= 7)
        place[n++] = (uint8_t)(u | 128);
    place[n++] = (uint8_t)u;
    return (struct aft_bytes){place, n};
}

/* afti_plan_measure walks over one record of the writer's at the front of body: *used bytes. Nothing is written. */
enum aft_err afti_plan_measure(const struct aft_plan *p, struct aft_bytes body, size_t *used,
                               struct aft_error *e);

#endif
