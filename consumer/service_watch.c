/* service_watch.c - what a status shows that somebody should see to, as lines in the log, at most once a minute a partition: records
 * with keys of other partitions, and which partitioner put them there; a log whose watermark has not moved for a minute while the
 * other one waits for it. In: statuses. Out: lines. Thread: the worker's.
 */
#include "consumer/service_inner.h"
#include "consumer/watch.h"

void
afti_watch(const struct aft_service *s, struct afti_held *h, const struct aft_task_status *status)
{
    char words[700];
    int64_t now = afti_now(s), wrong = status->keyed[0].wrong + status->keyed[1].wrong;
    if (h->watched_ms && now - h->watched_ms < AFTI_WATCH_MS)
        return;
    bool news = wrong > h->watched_wrong;
    if (news && aft_keyed_words(status->keyed, status->partition, words, sizeof words)) {
        aft_say("warn", "watch", "%s", words);
        h->watched_ms = now;
    }
    h->watched_wrong = wrong;
    for (int log = 0; log < 2; log++)
        if (afti_held_back(status, (enum aft_log_kind)log) &&
            status->wall_ms - status->moved_ms[log] >= AFTI_WATCH_MS) {
            afti_held_back_words(status, (enum aft_log_kind)log, words, sizeof words);
            aft_say("warn", "watch", "%s", words);
            h->watched_ms = now;
        }
}
