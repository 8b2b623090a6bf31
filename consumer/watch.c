/* watch.c - whose partitioner put the keys where they are; which log holds which back. In: keys with their partitions, statuses.
 * Out: counts, words for a person. Pure; any thread.
 *
 * For the join it matters that a user's impressions and outcomes lie in the same partition: two topics with equally many partitions, and
 * producers that agree on the partitioner, whichever it is. By ours (Java's murmur2) we tell; a key that leads elsewhere by it is tried
 * with what other clients do by default:
 *   murmur2   (murmur2(key) & 0x7fffffff) mod n           Java's clients, librdkafka's murmur2_random, kafkajs, kafka-python
 *   crc32     crc32(key) mod n, IEEE 802.3                librdkafka's default consistent_random: C, Python, Go, .NET by Confluent
 *   fnv1a     |fnv1a(key) as int32| mod n                 Go's sarama and kafka-go
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "consumer/watch.h"

enum { EVERY_ONE = 1024, THEN_EACH = 16, ENOUGH = 20 };
#define MOST 0.95 /* a share that explains; chance is one of n */

/* ---- partitioners */
static uint32_t
crc32_ieee(struct aft_bytes b)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < b.n; i++) {
        c ^= b.p[i];
        for (int j = 0; j < 8; j++)
            c = (c >> 1) ^ (0xedb88320u & -(c & 1));
    }
    return ~c;
}

static uint32_t
fnv1a_absolute(struct aft_bytes b)
{
    uint32_t h = 0x811c9dc5u;
    for (size_t i = 0; i < b.n; i++)
        h = (h ^ b.p[i]) * 0x01000193u;
    return h & 0x80000000u ? 0u - h : h;
}

int32_t
afti_partition_by(enum aft_partitioner by, struct aft_bytes key, int32_t partitions)
{
    switch (by) {
    case AFT_BY_MURMUR2:
        return aft_partition_of(key, partitions);
    case AFT_BY_CRC32:
        return (int32_t)(crc32_ieee(key) % (uint32_t)partitions);
    case AFT_BY_FNV1A:
        return (int32_t)(fnv1a_absolute(key) % (uint32_t)partitions);
    case AFT_BY_NONE:
        break;
    }
    AFT_NEVER();
}

const char *
aft_partitioner_name(enum aft_partitioner by)
{
    static const char *const names[] = {"murmur2", "crc32", "fnv1a", "none"};
    return names[by];
}

void
afti_keyed_take(struct aft_keyed *k, struct aft_bytes key, int32_t partition, int32_t partitions)
{
    if (!key.p || key.n == 0)
        return;
    k->keys++;
    if (partitions == 1 || afti_partition_by(AFT_BY_MURMUR2, key, partitions) == partition)
        return;
    if (k->wrong++ >= EVERY_ONE && k->wrong % THEN_EACH != 0)
        return;
    k->tried++;
    for (int by = AFT_BY_CRC32; by < AFT_BY_NONE; by++)
        k->fits[by] += afti_partition_by((enum aft_partitioner)by, key, partitions) == partition;
}

enum aft_partitioner
aft_keyed_by(const struct aft_keyed *k)
{
    if ((double)k->wrong <= (1 - MOST) * (double)k->keys)
        return AFT_BY_MURMUR2;
    for (int by = AFT_BY_CRC32; by < AFT_BY_NONE; by++)
        if (k->tried >= ENOUGH && (double)k->fits[by] >= MOST * (double)k->tried)
            return (enum aft_partitioner)by;
    return AFT_BY_NONE;
}

/* What explains it and what to do, and what it means for the join. */
static void
verdict(const struct aft_keyed keyed[2], char *out, size_t cap)
{
    static const char *const mend[] = {
        "few, so some producer differs from the others, or records were moved",
        "keys look as if produced with librdkafka's default: set partitioner=murmur2_random",
        "keys look as if produced with fnv1a, the default of Go's sarama and kafka-go: choose "
        "their murmur2 partitioner",
        "no partitioner known here explains it: is the key the user id, and was the topic given "
        "more partitions when it held records already?",
    };
    const enum aft_partitioner by[2] = {aft_keyed_by(&keyed[0]), aft_keyed_by(&keyed[1])};
    bool agree = by[0] == by[1] && keyed[0].keys && keyed[1].keys;
    const char *join = ". A user's impressions and outcomes meet only in one partition: now they "
                       "do not, and little is matched";
    if (by[0] == AFT_BY_MURMUR2 && by[1] == AFT_BY_MURMUR2)
        join = "";
    else if (agree && by[0] != AFT_BY_NONE)
        join = ". Both topics agree, so users' records meet all the same; whatever else writes to "
               "them must do as they do";
    snprintf(out, cap, "%s%s", mend[by[0] == AFT_BY_MURMUR2 ? by[1] : by[0]], join);
}

bool
aft_keyed_words(const struct aft_keyed keyed[2], int32_t partition, char *out, size_t cap)
{
    char where[40] = "", what[400];
    if (keyed[0].wrong == 0 && keyed[1].wrong == 0)
        return false;
    if (partition >= 0)
        snprintf(where, sizeof where, "partition %d: ", partition);
    verdict(keyed, what, sizeof what);
    snprintf(out, cap,
             "%s%" PRId64 " of %" PRId64 " impressions and %" PRId64 " of %" PRId64
             " outcomes have a key that Java's partitioner (murmur2) puts elsewhere: %s",
             where, keyed[0].wrong, keyed[0].keys, keyed[1].wrong, keyed[1].keys, what);
    return true;
}

/* ---- who holds whom back */
static const char *const logs[2] = {"impressions", "outcomes"};

bool
afti_held_back(const struct aft_task_status *s, enum aft_log_kind log)
{
    int other = 1 - (int)log;
    return s->waiting[other] > 0 && s->watermark_ms[other] > s->watermark_ms[log];
}

void
afti_utc(int64_t ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == INT64_MIN || !gmtime_r(&seconds, &tm) ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "-", sizeof "-");
}

void
afti_held_back_words(const struct aft_task_status *s, enum aft_log_kind log, char *out, size_t cap)
{
    char at[32], since[32];
    int other = 1 - (int)log;
    afti_utc(s->watermark_ms[log], at);
    afti_utc(s->moved_ms[log], since);
    if (s->watermark_ms[log] == INT64_MIN)
        snprintf(out, cap,
                 "partition %d: the %s hold the %s back: none of them was read yet, and %" PRIu64
                 " records wait for them, since %s",
                 s->partition, logs[log], logs[other], s->waiting[other], since);
    else
        snprintf(out, cap,
                 "partition %d: the %s hold the %s back: their watermark stands at %s, %" PRId64
                 " s behind, and moved last at %s; %" PRIu64 " records wait for it",
                 s->partition, logs[log], logs[other], at,
                 (s->watermark_ms[other] - s->watermark_ms[log]) / 1000, since, s->waiting[other]);
}
