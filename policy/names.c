/* names.c - what was found out about a name, kept by its bytes (names.h). One thread a table.
 * Invariants: I1 an entry in use holds the whole name: its two words and its length. */
#include "policy/policy.h"

struct aft_known *
aft_known_take(struct aft_known *table, uint32_t size, struct aft_bytes b)
{
    uint64_t low, high;
    if (!aft_name_words(b, &low, &high))
        return NULL;
    uint32_t i = aft_name_slot(low, high, b.n, size);
    if (table[i].n) /* the older of the two goes */
        table[i ^ 1] = table[i];
    table[i] = (struct aft_known){.low = low,
                                  .high = high,
                                  .at = AFT_NOWHERE,
                                  .seen = UINT32_MAX,
                                  .side = -1,
                                  .bucket = -1,
                                  .n = (uint32_t)b.n};
    AFT_INVARIANT(I1, aft_known_find(table, size, b) == &table[i]);
    return &table[i];
}
