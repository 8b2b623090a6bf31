/* commit.c - the bytes of a commit record; format in commit.h. Pure. */
#include "state/commit.h"

static const uint8_t magic[4] = {'A', 'F', 'C', '1'};

static void
put_marks(struct aft_buffer *b, const struct aft_commit_record *c)
{
    for (int i = 0; i < 2; i++) {
        aft_put_long(b, c->logs[i].next_offset);
        aft_put_long(b, c->logs[i].most_ms);
        aft_put_long(b, c->logs[i].tick_ms);
        aft_put_long(b, c->logs[i].future);
    }
    aft_put_long(b, c->place_e);
    aft_put_long(b, c->place_log);
    aft_put_long(b, c->place_offset);
    aft_put_long(b, c->fired_ms);
}

void
aft_commit_encode(struct aft_buffer *b, const struct aft_commit_record *c)
{
    size_t start = b->n;
    aft_put_raw(b, (struct aft_bytes){magic, sizeof magic});
    aft_put_long(b, AFT_COMMIT_FORMAT);
    aft_put_long(b, c->partition);
    aft_put_bytes(b, c->app_id);
    aft_put_raw(b, (struct aft_bytes){c->config.b, sizeof c->config.b});
    put_marks(b, c);
    aft_put_long(b, (int64_t)c->seq);
    aft_put_le64(b, c->hash.low);
    aft_put_le64(b, c->hash.high);
    aft_put_long(b, (int64_t)c->first_segment);
    aft_put_long(b, (int64_t)c->last_segment);
    AFT_ASSERT(c->counts_n <= AFT_COMMIT_COUNTS_MAX);
    aft_put_long(b, c->counts_n);
    for (uint32_t i = 0; i < c->counts_n; i++)
        aft_put_long(b, c->counts[i]);
    if (c->rider.p)
        aft_put_bytes(b, c->rider);
    else
        aft_put_long(b, -1);
    aft_put_le64(b, aft_hash64((struct aft_bytes){b->p + start, b->n - start}, 0));
}

static bool
get_u64(struct aft_reader *r, uint64_t *out)
{
    int64_t v;
    if (!aft_get_long(r, &v))
        return false;
    *out = (uint64_t)v;
    return true;
}

static bool
get_marks(struct aft_reader *r, struct aft_commit_record *c)
{
    int64_t log;
    for (int i = 0; i < 2; i++)
        if (!aft_get_long(r, &c->logs[i].next_offset) || !aft_get_long(r, &c->logs[i].most_ms) ||
            !aft_get_long(r, &c->logs[i].tick_ms) || !aft_get_long(r, &c->logs[i].future))
            return false;
    if (!aft_get_long(r, &c->place_e) || !aft_get_long(r, &log) ||
        !aft_get_long(r, &c->place_offset) || !aft_get_long(r, &c->fired_ms))
        return false;
    c->place_log = (uint8_t)log;
    return log == 0 || log == 1;
}

static bool
get_rest(struct aft_reader *r, struct aft_commit_record *c)
{
    int64_t n, rider;
    if (!get_u64(r, &c->seq) || !aft_get_le64(r, &c->hash.low) || !aft_get_le64(r, &c->hash.high) ||
        !get_u64(r, &c->first_segment) || !get_u64(r, &c->last_segment) || !aft_get_long(r, &n) ||
        n < 0 || n > AFT_COMMIT_COUNTS_MAX)
        return false;
    c->counts_n = (uint32_t)n;
    for (uint32_t i = 0; i < c->counts_n; i++)
        if (!aft_get_long(r, &c->counts[i]))
            return false;
    c->rider = AFT_ABSENT;
    if (!aft_get_long(r, &rider))
        return false;
    return rider < 0 || aft_get_raw(r, (size_t)rider, &c->rider);
}

/* Numbers that some state can have: what is computed with them cannot overflow. */
static bool
possible(const struct aft_commit_record *c)
{
    const int64_t times[] = {c->logs[0].most_ms, c->logs[0].tick_ms, c->logs[1].most_ms,
                             c->logs[1].tick_ms, c->place_e,         c->fired_ms};
    const int64_t most = INT64_C(1)
                         << 55; /* beyond what dates can name, far from an int64_t's end */
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] != INT64_MIN && (times[i] < -most || times[i] > most))
            return false;
    for (int i = 0; i < 2; i++)
        if (c->logs[i].next_offset < 0 || c->logs[i].future < 0)
            return false;
    return c->seq <= INT64_MAX && c->last_segment < UINT32_MAX && c->place_e <= c->fired_ms;
}

enum aft_err
aft_commit_decode(struct aft_bytes value, struct aft_commit_record *c, struct aft_error *e)
{
    *c = (struct aft_commit_record){0};
    if (value.n < sizeof magic + 8 || memcmp(value.p, magic, sizeof magic) != 0 ||
        aft_load_le64(value.p + value.n - 8) !=
            aft_hash64((struct aft_bytes){value.p, value.n - 8}, 0))
        return AFT_FAIL(
            e, AFT_E_CORRUPT,
            "the state's last commit record is damaged or not ours: restore a checkpoint, "
            "or start with an empty state directory to rebuild it from the logs");
    struct aft_reader r = aft_reader((struct aft_bytes){value.p + 4, value.n - 12});
    struct aft_bytes digest;
    int64_t format, partition;
    if (!aft_get_long(&r, &format) || format != AFT_COMMIT_FORMAT)
        return AFT_FAIL(
            e, AFT_E_CORRUPT,
            "the state has a format that this version (format %d) does not read: use the "
            "version that wrote it, or rebuild the state from the logs",
            AFT_COMMIT_FORMAT);
    if (!aft_get_long(&r, &partition) || !aft_get_bytes(&r, AFT_TEXT_BYTES_MAX, &c->app_id) ||
        !aft_get_raw(&r, sizeof c->config.b, &digest) || !get_marks(&r, c) || !get_rest(&r, c))
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "the state's last commit record ends too early: restore a checkpoint");
    if (!possible(c))
        return AFT_FAIL(e, AFT_E_CORRUPT,
                        "the state's last commit record holds numbers that no state has: restore a "
                        "checkpoint, or start with an empty state directory");
    c->partition = (int32_t)partition;
    memcpy(c->config.b, digest.p, digest.n);
    return AFT_OK;
}
