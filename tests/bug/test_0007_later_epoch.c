/* test_0007 - a block whose epoch was changed to a later one made a reader drop all that followed as a stale owner's: loss in silence, for
 * as long as that owner lived. An epoch begins with its empty block, always: one that does not is refused as a loss.
 */
#include "tests/kit.h"

#include <stdio.h>

#include "tests/learn_kit.h"

static struct aft_buffer block;

/* The block of example `seq` alone, or (seq < 0) the empty one of the epoch. */
static enum aft_err
give(struct aft_rounds *r, struct kit_world *w, struct aft_hash128 *hash, int64_t epoch,
     int64_t seq)
{
    static int64_t offset;
    struct aft_error e;
    struct aft_buffer example = {0};
    if (seq >= 0) {
        struct aft_example x = kit_open(w, NULL);
        x.seq = (uint64_t)seq;
        aft_encode_example(&example, &x);
        *hash = aft_hash128(aft_buffer_bytes(&example), *hash);
    }
    struct aft_block b = {epoch, 0,        seq < 0 ? 0 : (uint64_t)seq,
                          *hash, seq >= 0, aft_buffer_bytes(&example)};
    aft_buffer_reset(&block);
    aft_encode_block(&block, &b);
    enum aft_err err = aft_rounds_block(r, 0, offset++, aft_buffer_bytes(&block), &e);
    aft_buffer_deinit(&example);
    return err;
}

static void
an_epoch_begins_with_its_empty_block(void **state)
{
    (void)state;
    struct kit_world w;
    struct aft_hash128 hash = {0};
    struct aft_rounds *r = aft_rounds_new(1);
    kit_world_init(&w, 1);
    assert_int_equal(give(r, &w, &hash, 4, 0),
                     AFT_OK); /* where a reader begins, it may be in the middle */
    assert_int_equal(give(r, &w, &hash, 4, 1), AFT_OK);
    assert_int_equal(give(r, &w, &hash, 7, -1), AFT_OK);
    assert_int_equal(give(r, &w, &hash, 7, 2), AFT_OK);
    assert_int_equal(give(r, &w, &hash, 71, 3), AFT_E_GAP);
    aft_rounds_free(r);
    aft_buffer_deinit(&block);
    kit_world_deinit(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_epoch_begins_with_its_empty_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
