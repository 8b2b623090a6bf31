/* doctor.c - is everything as it must be? This machine: the signing key, the state's directory and whose state it is, memory, disk;
 * then, with a log, the topics and what a sample of records tells (doctor_sample.c).
 *
 * In: a checked configuration, a log. Out: findings. What is expected of memory and disk is an estimate, from what an open impression
 * was measured to take: 64 bytes of memory, and 1.3 x its payload on disk; the disk twice that while segments are rewritten.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "consumer/doctor.h"
#include "consumer/state_dir.h"
#include "consumer/watch.h"

#define OPEN_BYTES 64u
#define PARTITION_BYTES (128u << 20) /* segments at hand, buffers */
#define CLOCKS_APART_MS 2000

void
afti_find(const struct aft_findings *to, enum aft_finding_level level, enum aft_err code,
          const char *check, const char *format, ...)
{
    char words[900];
    struct aft_finding f = {.level = level, .check = check, .text = words};
    va_list ap;
    va_start(ap, format);
    vsnprintf(words, sizeof words, format, ap);
    va_end(ap);
    f.code = level != AFT_FINDING_FAIL ? AFT_OK : code != AFT_OK ? code : AFT_E_FAILED;
    to->finding(to->ctx, &f);
}

void
afti_found_error(const struct aft_findings *to, const char *check, const struct aft_error *e)
{
    afti_find(to, AFT_FINDING_FAIL, e->code, check, "%s", e->message);
}

/* ---- the signing key */
static void
find_key(const struct aft_config *c, const struct aft_findings *to)
{
    uint8_t key[64];
    bool there;
    struct stat s;
    struct aft_error e;
    const char *path = aft_config_text(c, "snapshot.signing.key");
    if (aft_signing_key(c, key, &there, &e) != AFT_OK) {
        afti_found_error(to, "signing", &e);
        return;
    }
    memset(key, 0, sizeof key);
    if (!there)
        afti_find(
            to, AFT_FINDING_WARN, AFT_OK, "signing",
            "snapshots are not signed: whoever may write to the topic can change what engines "
            "serve; snapshot.signing.key names a file with an Ed25519 key");
    else if (stat(path, &s) == 0 && (s.st_mode & (S_IRWXG | S_IRWXO)))
        afti_find(to, AFT_FINDING_FAIL, AFT_E_CONFIG, "signing",
                  "%s can be read by others than its owner (mode %03o): chmod 600 it, and make a "
                  "new key if somebody did",
                  path, (unsigned)(s.st_mode & 0777));
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "signing", "%s holds a key, for its owner alone",
                  path);
}

/* ---- the state */
struct states {
    int n;
};

static enum aft_err
one_state(void *ctx, int32_t partition, struct aft_joiner *j, struct aft_error *e)
{
    struct states *s = ctx;
    (void)partition, (void)j, (void)e;
    s->n++;
    return AFT_OK;
}

static void
find_state(const struct aft_config *c, const struct aft_findings *to)
{
    char path[AFTI_PATH_MAX], probe[AFTI_PATH_MAX + 16];
    struct aft_error e;
    struct states s = {0};
    const struct aft_state_visit visit = {&s, one_state};
    enum aft_err err = afti_state_make(c, &e);
    if (err == AFT_OK)
        err = afti_state_path(c, -1, "", path, &e);
    if (err == AFT_OK) {
        snprintf(probe, sizeof probe, "%s/.doctor", path);
        err = afti_note_write(probe, "may be removed", &e);
        unlink(probe);
    }
    if (err == AFT_OK)
        err = aft_state_each(c, &visit, &e);
    if (err != AFT_OK)
        afti_found_error(to, "state", &e);
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "state",
                  "%s may be written; it holds %d partition%s, of this application and "
                  "configuration",
                  path, s.n, s.n == 1 ? "" : "s");
}

/* ---- memory */
static uint64_t
memory_here(void)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE), limit;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "r"); /* "max", or bytes */
    unsigned long long n;
    if (f && fscanf(f, "%llu", &n) == 1 && (limit = n) < all)
        all = limit;
    if (f)
        fclose(f);
    return all;
}

static void
find_memory(const struct aft_config *c, const struct aft_findings *to)
{
    double open = (double)aft_config_int(c, "join.max.open"), gb = 1 << 30;
    double one = open * OPEN_BYTES + PARTITION_BYTES, here = (double)memory_here();
    if (one > 0.8 * here)
        afti_find(to, AFT_FINDING_WARN, AFT_OK, "memory",
                  "a partition with join.max.open=%.0f impressions takes about %.1f GB, and there "
                  "are %.1f GB here: lower join.max.open, or spread users over more partitions and "
                  "machines",
                  open, one / gb, here / gb);
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "memory",
                  "a partition with join.max.open=%.0f impressions takes about %.1f GB; %.1f GB "
                  "here hold %.0f such",
                  open, one / gb, here / gb, here * 0.8 / one);
}

void
aft_doctor_here(const struct aft_config *c, const struct aft_findings *to)
{
    find_key(c, to);
    find_state(c, to);
    find_memory(c, to);
}

/* ---- with a log */
static void
find_open(const struct aft_config *c, const struct afti_sample *s, const struct aft_findings *to)
{
    int64_t bound = aft_config_int(c, "join.max.open");
    double share = (double)s->window_n_most / (double)bound;
    if (share >= 0.8)
        afti_find(to, share > 1 ? AFT_FINDING_FAIL : AFT_FINDING_WARN, AFT_E_CONFIG, "open",
                  "the fullest partition holds %lld impressions of the last window + grace, and "
                  "join.max.open is %lld, beyond which the joiner refuses: raise it",
                  (long long)s->window_n_most, (long long)bound);
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "open",
                  "the fullest partition holds %lld impressions of the last window + grace; "
                  "join.max.open is %lld",
                  (long long)s->window_n_most, (long long)bound);
}

void
afti_doctor_disk(const struct aft_config *c, const struct afti_sample *s,
                 const struct aft_findings *to)
{
    char path[AFTI_PATH_MAX];
    struct statvfs v;
    struct aft_error e;
    double gb = 1 << 30, each = s->records[0] ? (double)s->bytes[0] / (double)s->records[0] : 0;
    double want = 2 * 1.3 * each * (double)s->window_n;
    if (afti_state_path(c, -1, "", path, &e) != AFT_OK || statvfs(path, &v) != 0) {
        afti_find(to, AFT_FINDING_WARN, AFT_OK, "disk", "room for state.dir cannot be told: %s",
                  strerror(errno));
        return;
    }
    double room = (double)v.f_bavail * (double)v.f_frsize;
    bool less = room < want;
    afti_find(to, less ? AFT_FINDING_WARN : AFT_FINDING_OK, AFT_OK, "disk",
              "%.1f GB free for state.dir; all partitions with %lld impressions of the last window "
              "+ grace, %.0f bytes each, take up to %.1f GB%s",
              room / gb, (long long)s->window_n, each, want / gb,
              less ? ": make room, or spread the partitions over more machines" : "");
}

/* A record that the broker stamps is not newer than its clock; how much older, nobody tells. */
static void
find_clock(const struct aft_config *c, const struct aft_doctor_log *o, const struct afti_sample *s,
           const struct aft_findings *to)
{
    struct aft_topic_facts f;
    struct aft_error e;
    const char *topic = aft_config_text(c, "topics.impressions");
    int64_t newest = s->newest_ms[s->newest_ms[1] > s->newest_ms[0]],
            age = newest == INT64_MIN ? 0 : o->clock.wall_ms(o->clock.ctx) - newest;
    if (o->log->ops->topic_facts(o->log, topic, &f, &e) != AFT_OK || newest == INT64_MIN)
        return;
    if (age < -CLOCKS_APART_MS)
        afti_find(to, AFT_FINDING_WARN, AFT_OK, "clock",
                  "the newest record stands %lld ms in our future: %s; set the clocks by NTP",
                  (long long)-age,
                  f.log_append_time ? "the broker's clock and ours differ"
                                    : "a producer's clock and ours differ");
    else
        afti_find(to, AFT_FINDING_OK, AFT_OK, "clock",
                  "the newest record was stamped %lld ms ago%s; nothing stands in our future",
                  (long long)(age < 0 ? 0 : age), f.log_append_time ? " by the broker" : "");
}

enum aft_err
aft_doctor_log(const struct aft_config *c, const struct aft_doctor_log *o,
               const struct aft_findings *to, struct aft_error *e)
{
    struct afti_sample s;
    bool good = false;
    AFT_TRY(afti_topics_find(c, o->log, to, &good, e));
    AFT_TRY(afti_sample_take(c, o, &s, e));
    afti_sample_tell(c, &s, to);
    find_clock(c, o, &s, to);
    find_open(c, &s, to);
    afti_doctor_disk(c, &s, to);
    return AFT_OK;
}
