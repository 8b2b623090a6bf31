/* doctor.h - what the files of the doctor share. Inner header of consumer/.
 *
 *   doctor.c          this machine: signing key, state directory, memory, disk
 *   doctor_sample.c   the newest records of both inputs: what they tell
 *   topics.c          the topics as they must be
 */
#ifndef AFT_CONSUMER_DOCTOR_H
#define AFT_CONSUMER_DOCTOR_H

#include "consumer/consumer.h"

/* afti_find: a finding in printf's form. code AFT_OK with FAIL: AFT_E_FAILED. */
void afti_find(const struct aft_findings *to, enum aft_finding_level level, enum aft_err code,
               const char *check, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* afti_found_error: a FAIL with the error's words and code. */
void afti_found_error(const struct aft_findings *to, const char *check, const struct aft_error *e);

/* afti_topics_find: *good = false and *e, the first thing that is wrong; fails when nobody answers. */
enum aft_err afti_topics_find(const struct aft_config *c, struct aft_log *log,
                              const struct aft_findings *to, bool *good,
                              struct aft_error *e) AFT_MUST_CHECK;

/* What the newest records tell, of all partitions together; by log. */
struct afti_sample {
    int64_t records[2], bytes[2], unreadable[2], foreign[2]; /* foreign: key is not the user id */
    struct aft_keyed keyed[2];
    struct aft_disorder disorder[2];
    int64_t newest_ms[2];    /* the log's own timestamp; INT64_MIN: none */
    struct aft_error why[2]; /* of the first that is unreadable */
    int64_t window_n,
        window_n_most; /* impressions in window + grace: all, of the fullest partition */
};
/* afti_sample_record: one of `log`, in the order of its partition. *most_ms: the partition's greatest time so far (INT64_MIN first). */
struct afti_sampling {
    struct aft_decoder *decoder;
    struct aft_arena *arena;
    enum aft_log_kind log;
    int32_t partition, partitions;
    int64_t most_ms;
    int64_t max_future_ms; /* what is further ahead of the log's time is a dead letter */
};
void afti_sample_record(struct afti_sample *s, struct afti_sampling *at,
                        const struct aft_record_in *in);
/* afti_sample_tell: findings `readable`, `keys`, `disorder`. */
void afti_sample_tell(const struct aft_config *c, const struct afti_sample *s,
                      const struct aft_findings *to);
/* afti_sample_take reads it. */
enum aft_err afti_sample_take(const struct aft_config *c, const struct aft_doctor_log *o,
                              struct afti_sample *s, struct aft_error *e) AFT_MUST_CHECK;

/* afti_doctor_disk: room on state.dir for what the window holds. */
void afti_doctor_disk(const struct aft_config *c, const struct afti_sample *s,
                      const struct aft_findings *to);

#endif
