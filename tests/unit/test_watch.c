/* test_watch.c - keys tell which partitioner put them where they are; a status tells which log holds which back, and since when.
 * The partitioners' values are those of the clients themselves, written down.
 */
#include "tests/kit.h"

#include <stdio.h>
#include <string.h>

#include "consumer/watch.h"

/* zlib's crc32 and Go's fnv1a of well-known texts. */
static void
known_values(void **state)
{
    (void)state;
    enum { MANY = 1 << 20 };
    const struct aft_bytes check = aft_text("123456789"), foobar = aft_text("foobar");
    assert_int_equal(afti_partition_by(AFT_BY_CRC32, check, MANY), 0xcbf43926u % MANY);
    /* fnv1a("foobar") = 0xbf9cf968: negative as a 32-bit number */
    assert_int_equal(afti_partition_by(AFT_BY_FNV1A, foobar, MANY), (0u - 0xbf9cf968u) % MANY);
    /* fnv1a("hello") = 0x4f9f2cab: positive */
    assert_int_equal(afti_partition_by(AFT_BY_FNV1A, aft_text("hello"), MANY), 0x4f9f2cabu % MANY);
    assert_int_equal(afti_partition_by(AFT_BY_MURMUR2, foobar, 7), aft_partition_of(foobar, 7));
}

static void
keys_by(struct aft_keyed *k, enum aft_partitioner by, int32_t partition, int n)
{
    for (int i = 0; n > 0; i++) {
        char id[24];
        snprintf(id, sizeof id, "user-%d", i);
        if (by != AFT_BY_NONE && afti_partition_by(by, aft_text(id), 3) != partition)
            continue;
        afti_keyed_take(k, aft_text(id), partition, 3);
        n--;
    }
}

static void
partitioners_told_apart(void **state)
{
    (void)state;
    char words[700];
    for (int by = AFT_BY_MURMUR2; by <= AFT_BY_NONE; by++)
        for (int32_t p = 0; p < 3; p++) {
            struct aft_keyed k[2] = {0};
            keys_by(&k[0], (enum aft_partitioner)by, p, 5000);
            keys_by(&k[1], (enum aft_partitioner)by, p, 300);
            afti_keyed_take(&k[1], AFT_ABSENT, p, 3);
            assert_int_equal(aft_keyed_by(&k[0]), by);
            assert_int_equal(aft_keyed_by(&k[1]), by);
            assert_int_equal(k[1].keys, 300);
            bool wrong = aft_keyed_words(k, p, words, sizeof words);
            assert_int_equal(wrong, by != AFT_BY_MURMUR2);
            if (by == AFT_BY_CRC32)
                assert_non_null(strstr(words, "set partitioner=murmur2_random. Both topics agree"));
            if (by == AFT_BY_NONE)
                assert_non_null(strstr(words, "more partitions"));
        }
}

/* One topic by Java, the other by librdkafka's default: nothing meets. A few strays are no partitioner. */
static void
they_do_not_meet(void **state)
{
    (void)state;
    char words[700];
    struct aft_keyed k[2] = {0};
    keys_by(&k[0], AFT_BY_MURMUR2, 1, 500);
    keys_by(&k[1], AFT_BY_CRC32, 1, 500);
    assert_true(aft_keyed_words(k, 1, words, sizeof words));
    assert_non_null(strstr(words, "partition 1: 0 of 500 impressions"));
    assert_non_null(strstr(words, "murmur2_random. A user's impressions and outcomes meet only"));
    memset(k, 0, sizeof k);
    keys_by(&k[0], AFT_BY_MURMUR2, 1, 500);
    keys_by(&k[0], AFT_BY_NONE, 1, 10);
    assert_int_equal(aft_keyed_by(&k[0]), AFT_BY_MURMUR2);
    assert_true(aft_keyed_words(k, -1, words, sizeof words));
    assert_non_null(strstr(words, "few, so some producer differs"));
}

static void
held_back(void **state)
{
    (void)state;
    char words[400];
    struct aft_task_status s = {.partition = 4,
                                .watermark_ms = {2000000, 1000000},
                                .moved_ms = {0, 1767225600000},
                                .waiting = {7, 0}};
    assert_true(afti_held_back(&s, AFT_OUTCOMES));
    assert_false(afti_held_back(&s, AFT_IMPRESSIONS));
    afti_held_back_words(&s, AFT_OUTCOMES, words, sizeof words);
    assert_string_equal(words, "partition 4: the outcomes hold the impressions back: their "
                               "watermark stands at 1970-01-01T00:16:40Z, 1000 s behind, and moved "
                               "last at 2026-01-01T00:00:00Z; 7 records wait for it");
    s.watermark_ms[1] = INT64_MIN;
    afti_held_back_words(&s, AFT_OUTCOMES, words, sizeof words);
    assert_non_null(strstr(words, "none of them was read yet, and 7 records wait"));
    s.waiting[0] = 0;
    assert_false(afti_held_back(&s, AFT_OUTCOMES));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(partitioners_told_apart),
        cmocka_unit_test(they_do_not_meet),
        cmocka_unit_test(held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
