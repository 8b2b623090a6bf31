/* demo_config.c - the configuration of a demo: what it wants where the user said nothing. In: the keys as given. Out: checked. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/demo.h"

enum { USERS_PER_SECOND = 40 };

struct pair {
    const char *key, *value;
};
/* clang-format off */
static const struct pair wanted[] = {
    {"topics.partitions", "4"},
    {"join.window", "14d"},
    {"join.grace", "6h"},
    {"join.open.after", "10m"},
    {"join.disorder", "1m"},
    {"features.buckets.days_since_enrol", "7,21,45"},
    {"features.interactions", "topic*days_since_enrol, topic*age_band, topic*plan_match, topic*auto_enrolled, "
                              "topic*prior_plan, format*device, tone*age_band"},
    {"learner.model", "ridge"},      /* late credit is exact */
    {"learner.weighting", "none"},  /* the model has the right features: 1/p would only add noise */
    {"policy.temperature", "0.01"}, /* a tile is worth about 0.02 */
};
static const struct pair by_world_time[] = {
    {"app.id", "demo"},
    {"join.idle.after", "1d"},
    {"commit.interval", "1h"},
    {"learner.round.interval", "12h"},
    {"snapshot.interval", "1d"},
    {"snapshot.full.interval", "1d"},
};
static const struct pair by_wall_time[] = {
    {"join.idle.after", "10m"},
    {"commit.interval", "1s"},
    {"learner.round.interval", "300ms"},
    {"snapshot.interval", "1s"},
    {"snapshot.full.interval", "1s"},
};
/* clang-format on */
static const struct pair rewards[] = {
    {"reward.click.weight", "0.05"},
    {"reward.click.count", "first"},
    {"reward.click.click", "true"},
    {"reward.key_task_completed.weight", "1.0"},
    {"reward.key_task_completed.rule", "last_touch"},
    {"reward.key_task_completed.match", "subject"},
    {"reward.qualified_view_benefit.weight", "0.2"},
    {"reward.qualified_view_benefit.count", "first"},
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

const char *const demo_topics[] = {"topics.impressions",  "topics.outcomes",  "topics.clock",
                                   "topics.examples",     "topics.rounds",    "topics.snapshots",
                                   "topics.dead.letters", "topics.prescored", NULL};

struct given { /* is this key, or are any rewards, the user's own? */
    const char *key;
    bool key_given, rewards_given;
};

static void
look(void *ctx, const char *key, const char *value, const char *origin)
{
    struct given *g = ctx;
    (void)value;
    if (strcmp(origin, "default") == 0)
        return;
    g->key_given |= g->key && strcmp(key, g->key) == 0;
    g->rewards_given |= strncmp(key, "reward.", 7) == 0;
}

static enum aft_err
want(struct aft_config *c, const char *key, const char *value, struct aft_error *e)
{
    struct given g = {.key = key};
    aft_config_each(c, look, &g);
    return g.key_given ? AFT_OK : aft_config_set(c, key, value, e);
}

static enum aft_err
want_all(struct aft_config *c, const struct pair *v, size_t n, struct aft_error *e)
{
    for (size_t i = 0; i < n; i++)
        AFT_TRY(want(c, v[i].key, v[i].value, e));
    return AFT_OK;
}

/* Over a broker: topics and an application of this run's own, named by the moment it began. */
static enum aft_err
want_broker(struct aft_config *c, struct demo_options *o, struct aft_error *e)
{
    struct aft_clock real = aft_clock_real();
    char app[sizeof o->prefix], value[128];
    snprintf(app, sizeof app, "aftertouch-demo-%llx-%lx",
             (unsigned long long)real.wall_ms(real.ctx), (long)getpid());
    snprintf(o->prefix, sizeof o->prefix, "%.46s.", app);
    AFT_TRY(aft_config_set(c, "kafka.bootstrap.servers", o->kafka, e));
    AFT_TRY(want(c, "app.id", app, e));
    for (size_t i = 0; demo_topics[i]; i++) {
        snprintf(value, sizeof value, "%s%s", o->prefix, demo_topics[i] + strlen("topics."));
        AFT_TRY(want(c, demo_topics[i], value, e));
    }
    return want_all(c, by_wall_time, COUNT(by_wall_time), e);
}

enum aft_err
demo_defaults(struct aft_config *c, struct demo_options *o, struct aft_error *e)
{
    char text[DEMO_PATH_MAX + 8];
    struct given g = {0};
    aft_config_each(c, look, &g);
    for (size_t i = 0; !g.rewards_given && i < COUNT(rewards); i++)
        AFT_TRY(aft_config_set(c, rewards[i].key, rewards[i].value, e));
    snprintf(text, sizeof text, "%s/state", o->directory);
    AFT_TRY(want(c, "state.dir", text, e));
    snprintf(text, sizeof text, "127.0.0.1:%d", o->port);
    AFT_TRY(want(c, "http.listen", o->port >= 0 ? text : "", e));
    AFT_TRY(o->kafka ? want_broker(c, o, e) : want_all(c, by_world_time, COUNT(by_world_time), e));
    AFT_TRY(want_all(c, wanted, COUNT(wanted), e));
    return aft_config_check(c, e);
}

uint32_t
demo_participants(const struct demo_options *o)
{
    return (uint32_t)o->seconds * USERS_PER_SECOND;
}
