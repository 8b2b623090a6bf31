/* world.c - a scenario: from a seed a case, a configuration, a weather; then whatever happens; then, in calm, the last owners.
 *
 * In: a seed. Out: topics full of what all the owners wrote, for judge.c. Everything is drawn from one stream, in one thread, so a seed
 * gives the same scenario each time.
 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>

enum { ARENA_BYTES = 512 << 20, QUIET_STEPS = 4000, ROUNDS_MIN = 150, ROUNDS_MORE = 450 };

#define START_MS INT64_C(1700000000000)

/* ---- words and memory */
void *
sim_take(struct sim_world *w, size_t n)
{
    void *p = aft_arena_take(&w->arena, n ? n : 1);
    AFT_ASSERT(p != NULL);
    return p;
}

struct aft_bytes
sim_copy(struct sim_world *w, struct aft_bytes b)
{
    if (!b.p)
        return AFT_ABSENT;
    uint8_t *p = sim_take(w, b.n);
    if (b.n)
        memcpy(p, b.p, b.n);
    return (struct aft_bytes){p, b.n};
}

void
sim_wrong(struct sim_world *w, const char *format, ...)
{
    va_list args;
    if (w->verdict->wrong)
        return;
    w->verdict->wrong = true;
    va_start(args, format);
    vsnprintf(w->verdict->words, sizeof w->verdict->words, format, args);
    va_end(args);
}

void
sim_trace(const struct sim_world *w, const char *format, ...)
{
    va_list args;
    if (!w->o.trace)
        return;
    va_start(args, format);
    fprintf(stderr, "%+lld ", (long long)(w->now_ms - START_MS));
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int
sim_number(const struct sim_machine *m)
{
    return (int)(m - m->w->machine);
}

const char *
sim_topic_name(const struct sim_world *w, enum sim_topic t)
{
    static const char *const keys[SIM_TOPICS] = {"topics.impressions", "topics.outcomes",
                                                 "topics.clock", "topics.examples",
                                                 "topics.dead.letters"};
    return aft_config_text(w->config, keys[t]);
}

static int64_t
now(void *machine)
{
    const struct sim_machine *m = machine;
    return m->w->now_ms + m->skew_ms;
}

/* ---- the configuration of a case */
__attribute__((format(printf, 3, 4))) static void
set(struct sim_world *w, const char *key, const char *format, ...)
{
    char value[64];
    struct aft_error e;
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (aft_config_set(w->config, key, value, &e) != AFT_OK)
        sim_wrong(w, "%s=%s: %s", key, value, e.message);
}

static void
set_kind(struct sim_world *w, const struct aft_kind *k)
{
    static const char *const rules[] = {"last_touch", "first_touch",    "linear",
                                        "time_decay", "position_based", "shapley"};
    static const char *const matches[] = {"user", "subject", "session"};
    char key[96];
#define SET(what, ...)                                         \
    do {                                                       \
        snprintf(key, sizeof key, "reward.%s." what, k->name); \
        set(w, key, __VA_ARGS__);                              \
    } while (0)
    SET("weight", "%lld.%06lld", (long long)(k->weight_micro / AFT_MICRO),
        (long long)(k->weight_micro % AFT_MICRO));
    SET("rule", "%s", rules[k->rule]);
    SET("match", "%s", matches[k->match]);
    SET("count", "%s", k->count_first ? "first" : "every");
    SET("click", "%s", k->click ? "true" : "false");
    SET("activates", "%s", k->activates ? "true" : "false");
    SET("prefer.clicked", "%s", k->prefer_clicked ? "true" : "false");
    SET("delay.half.life", "%lldms", (long long)k->delay_half_life_ms);
    if (k->half_life_ms)
        SET("half.life", "%lldms", (long long)k->half_life_ms);
#undef SET
}

static void
configure(struct sim_world *w, int64_t idle_ms)
{
    const struct aft_join_config *j = &w->c.config;
    struct aft_error e;
    w->config = aft_config_new();
    set(w, "join.window", "%lldms", (long long)j->window_ms);
    set(w, "join.grace", "%lldms", (long long)j->grace_ms);
    set(w, "join.open.after", "%lldms", (long long)j->open_after_ms);
    set(w, "join.orphan.after", "%lldms", (long long)j->orphan_after_ms);
    set(w, "join.disorder", "%lldms", (long long)j->disorder_ms);
    set(w, "join.max.future", "%lldms", (long long)j->max_future_ms);
    set(w, "join.max.open", "%llu", (unsigned long long)j->open_max);
    set(w, "join.idle.after", "%lldms", (long long)idle_ms);
    set(w, "join.emit", "%s", aft_random_below(&w->r, 4) ? "all" : "rewarded");
    set(w, "commit.interval", "100ms");
    set(w, "commit.bytes", "%s", aft_random_below(&w->r, 3) ? "4MB" : "1KB");
    for (uint32_t i = 0; i < j->kinds_n; i++)
        set_kind(w, &j->kinds[i]);
    if (aft_config_check(w->config, &e) != AFT_OK)
        sim_wrong(w, "configuration: %s", e.message);
}

/* drawn one after the other: in one initialiser the order would be the compiler's. */
static void
forecast(struct sim_world *w, int64_t idle_ms)
{
    struct aft_random *r = &w->r;
    struct sim_weather *x = &w->weather;
#define DRAW(name, ...) x->name = (uint32_t)CASE_PICK(r, __VA_ARGS__)
    DRAW(land, 1000, 700, 300);
    DRAW(ack, 1000, 700, 300);
    DRAW(silent, 0, 50, 400);
    DRAW(timeout, 0, 0, 20, 100);
    DRAW(again, 0, 100);
    DRAW(stuck, 0, 2, 20);
    DRAW(twice, 0, 0, 30);
    DRAW(broken, 0, 0, 2);
    DRAW(burn, 0, 10, 40);
    DRAW(kill, 0, 5, 20);
    DRAW(start, 10, 50, 300);
    DRAW(drain, 0, 10);
    DRAW(lose, 100, 300, 900);
    DRAW(deaf, 0, 20, 100);
    DRAW(hear, 3, 30);
    DRAW(sluggish, 0, 800, 950); /* a deaf one's turns that it misses */
    DRAW(tear, 0, 30, 100);
    DRAW(meanwhile, 0, 50, 200);
    DRAW(batch_max, 2, 8, 50);
    DRAW(crowd, 1, 2, 2, 3);
    DRAW(machines, 1, SIM_MACHINES, SIM_MACHINES);
    DRAW(wander, 0, 100, 400);
    x->slow = (int)aft_random_below(r, 2 * SIM_TOPICS); /* as often none as one */
    if (aft_random_below(r, 6) == 0) { /* haunted: paused owners come back and go on writing */
        DRAW(deaf, 100, 300);
        DRAW(sluggish, 900);
        DRAW(machines, SIM_MACHINES);
        DRAW(crowd, SIM_MACHINES);
        DRAW(start, 300);
        DRAW(burn, 0);
        DRAW(silent, 0);
    }
#undef DRAW
    const int64_t jumps[4] = {60, 150, idle_ms / 2, 2 * idle_ms};
    memcpy(x->jump_ms, jumps, sizeof jumps);
}

/* ---- processes */
static void
process_kill(struct sim_machine *m)
{
    if (m->handle)
        sim_trace(m->w, "machine %d: its process is gone", sim_number(m));
    aft_task_close(m->task);
    m->task = NULL;
    if (m->handle)
        sim_handle_die(m->handle);
    m->handle = NULL;
    m->dead = m->deaf = false;
    m->fuse = 0;
}

static void
task_failed(struct sim_machine *m, const struct aft_error *e)
{
    struct sim_stats *s = m->w->stats;
    sim_trace(m->w, "machine %d: %s", sim_number(m), e->message);
    if (m->dead || (e->code == AFT_E_BROKER && m->handle->broken)) {
        process_kill(m);
    } else if (e->code == AFT_E_NOT_OWNER) {
        aft_task_close(m->task);
        m->task = NULL;
        s->fenced++;
    } else if (aft_err_class(e->code) == AFT_CLASS_RETRY) {
        s->retried++; /* the same step is asked for again, as the service does */
    } else {
        sim_wrong(m->w, "a task fails: %s (%s, %s:%d)", e->message, aft_err_name(e->code), e->file,
                  e->line);
    }
}

/* A new process finds its machine's disk, or now and then an older state from anywhere, or nothing. */
static void
disk_found(struct sim_machine *m)
{
    struct sim_world *w = m->w;
    if (aft_random_below(&w->r, 1000) >= w->weather.wander)
        return;
    if (w->versions_n == 0 || aft_random_below(&w->r, 4) == 0) {
        w->stats->no_states++;
        sim_disk_init(&m->disk, m);
    } else {
        w->stats->old_states++;
        m->disk.now = w->versions[aft_random_below(&w->r, (uint32_t)w->versions_n)];
    }
}

static void
process_start(struct sim_machine *m)
{
    struct sim_world *w = m->w;
    struct aft_error e;
    if (!m->handle) {
        m->handle = sim_handle_open(w, m);
        disk_found(m);
    }
    struct aft_task_options o = {.config = w->config,
                                 .log = &m->handle->log,
                                 .store = &m->disk.base,
                                 .clock = {m, now, now},
                                 .owner = "a machine"};
    m->handle->works = m->deaf = false;
    w->stats->owners++;
    sim_trace(w, "machine %d: a task begins", sim_number(m));
    if (aft_task_open(&o, &m->task, &e) != AFT_OK) {
        m->task = NULL;
        task_failed(m, &e);
    }
}

static bool
process_step(struct sim_machine *m)
{
    struct aft_error e;
    bool busy = true;
    enum aft_err err = aft_task_step(m->task, 0, &busy, &e);
    if (err != AFT_OK)
        task_failed(m, &e);
    else if (m->dead)
        process_kill(m);
    return busy;
}

/* A rebalance; the process lives on. Revoked: all is written, acknowledged and committed, if that succeeds in time. Lost: nothing is. */
static void
process_let_go(struct sim_machine *m, bool lost)
{
    struct aft_error e;
    m->w->stats->drains += !lost;
    if (lost)
        m->w->stats->partitions_lost++;
    else if (aft_task_drain(m->task, &e) != AFT_OK)
        task_failed(m, &e);
    else
        m->w->stats->let_go++;
    if (m->dead)
        process_kill(m);
    aft_task_close(m->task);
    m->task = NULL;
}

/* ---- whatever happens */
void
sim_meanwhile(struct sim_world *w)
{
    struct aft_random *r = &w->r;
    uint32_t n;
    switch (aft_random_below(r, 4)) {
    case 0:
        n = 1 + aft_random_below(r, 6);
        sim_produce(w, (enum aft_log_kind)aft_random_below(r, 2), n);
        break;
    case 1:
        n = aft_random_below(r, 4);
        w->now_ms += aft_random_below(r, (uint32_t)w->weather.jump_ms[n] + 1);
        break;
    default:
        sim_land_some(w);
        break;
    }
}

bool
sim_effect(struct sim_machine *m)
{
    if (m->dead)
        return false;
    if (m->fuse && --m->fuse == 0) {
        m->dead = true;
        m->w->stats->mid_step++;
        return false;
    }
    if (sim_chance(m->w, m->w->weather.meanwhile))
        sim_meanwhile(m->w);
    return true;
}

static void
machine_turn(struct sim_machine *m)
{
    struct sim_world *w = m->w;
    const struct sim_weather *x = &w->weather;
    uint32_t crowd = 0;
    for (int i = 0; i < SIM_MACHINES; i++)
        crowd += w->machine[i].task != NULL;
    if (!m->task) {
        if (crowd == 0 || (crowd < x->crowd && sim_chance(w, x->start)))
            process_start(m);
        return;
    }
    if (m->deaf && sim_chance(w, x->sluggish))
        return;
    if (sim_chance(w, x->kill)) {
        w->stats->kills++;
        process_kill(m);
        return;
    }
    if (sim_chance(w, x->drain)) {
        process_let_go(m, aft_random_below(&w->r, 3) == 0);
        return;
    }
    bool may =
        m->handle->works || sim_chance(w, 50); /* seldom while it starts: it would not get far */
    m->deaf = m->deaf ? !sim_chance(w, x->hear) : may && sim_chance(w, x->deaf);
    if (m->fuse == 0 && sim_chance(w, x->burn))
        m->fuse = 1 + aft_random_below(&w->r, 40);
    for (uint32_t n = 1 + aft_random_below(&w->r, 4); n > 0 && m->task; n--)
        process_step(m);
}

static void
storm(struct sim_world *w)
{
    uint32_t rounds = ROUNDS_MIN + aft_random_below(&w->r, ROUNDS_MORE);
    for (uint32_t i = 0; i < rounds && !w->verdict->wrong; i++) {
        if (aft_random_below(&w->r, 3) == 0)
            sim_meanwhile(w);
        else
            machine_turn(&w->machine[aft_random_below(&w->r, w->weather.machines)]);
    }
}

/* ---- the last owners, in calm */
static void
run_until_quiet(struct sim_machine *m, struct aft_task_status *s)
{
    struct aft_error e;
    *s = (struct aft_task_status){0};
    for (int i = 0, quiet = 0; i < QUIET_STEPS && m->task; i++) {
        quiet = process_step(m) ? 0 : quiet + 1;
        if (quiet < 3)
            continue;
        if (aft_task_drain(m->task, &e) != AFT_OK) {
            sim_wrong(m->w, "the last drain fails: %s", e.message);
            return;
        }
        aft_task_status(m->task, true, s);
        if (s->owner && s->caught_up && s->published_seq == s->next_seq)
            return;
    }
    sim_wrong(m->w,
              "the last owner does not come to rest: owner %d, caught up %d, %llu of %llu "
              "examples acknowledged",
              s->owner, s->caught_up, (unsigned long long)s->published_seq,
              (unsigned long long)s->next_seq);
}

static void
close_windows(struct sim_world *w, struct sim_machine *m)
{
    const struct aft_join_config *j = aft_config_join(w->config);
    int64_t all = j->window_ms + j->grace_ms + j->open_after_ms + j->orphan_after_ms;
    for (int i = 0; i < 8; i++) {
        w->now_ms += all / 6 + aft_config_int(w->config, "join.idle.after");
        for (int k = 0; k < 4 && m->task; k++)
            process_step(m);
    }
}

/* The first goes on from its machine's disk, or from what it finds; what all have written so far is judged then. */
static void
last_owner(struct sim_world *w, struct aft_task_status *s)
{
    struct sim_machine *m = &w->machine[0];
    process_start(m);
    if (aft_random_below(&w->r, 3)) {
        run_until_quiet(m, s);
        close_windows(w, m);
    }
    if (!w->verdict->wrong)
        run_until_quiet(m, s);
    process_kill(m);
    if (!w->verdict->wrong)
        sim_judge(w, s);
}

/* One more, from any state or none, while no clock moves: it comes to the same, and writes no example. */
static void
one_more(struct sim_world *w, const struct aft_task_status *first)
{
    struct sim_machine *m = &w->machine[1];
    struct aft_task_status s;
    size_t written = w->topic[SIM_EXAMPLES].n;
    w->weather.wander = 1000;
    process_start(m);
    run_until_quiet(m, &s);
    process_kill(m);
    if (w->verdict->wrong)
        return;
    if (memcmp(&s.state, &first->state, sizeof s.state) != 0)
        sim_wrong(w, "two last owners of the same logs hold different states");
    if (w->topic[SIM_EXAMPLES].n != written + 1)
        sim_wrong(w, "an owner that should only catch up wrote examples");
}

static void
last_owners(struct sim_world *w)
{
    struct aft_task_status s;
    w->calm = true;
    for (int log = 0; log < 2; log++)
        sim_produce(w, (enum aft_log_kind)log, UINT32_MAX);
    for (int i = 0; i < SIM_MACHINES; i++)
        process_kill(&w->machine[i]);
    while (w->late_n && aft_random_below(&w->r, 20))
        sim_land_late(w, aft_random_below(&w->r, (uint32_t)w->late_n));
    last_owner(w, &s);
    if (!w->verdict->wrong)
        one_more(w, &s);
}

/* ---- a scenario */
void
sim_run(uint64_t seed, const struct sim_options *o, struct sim_stats *stats,
        struct sim_verdict *verdict)
{
    struct sim_world *w = calloc(1, sizeof *w);
    AFT_ASSERT(w != NULL);
    *verdict = (struct sim_verdict){0};
    w->o = *o;
    w->stats = stats;
    w->verdict = verdict;
    w->now_ms = START_MS;
    aft_random_init(&w->r, seed, 4);
    aft_arena_init(&w->arena, ARENA_BYTES);
    case_make(&w->c, seed);
    int64_t idle_ms =
        CASE_PICK(&w->r, 200, w->c.config.window_ms / 100, w->c.config.window_ms / 10);
    configure(w, idle_ms);
    forecast(w, idle_ms);
    for (int i = 0; i < SIM_MACHINES; i++) {
        w->machine[i].w = w;
        w->machine[i].skew_ms = aft_random_below(&w->r, 1000000);
        sim_disk_init(&w->machine[i].disk, &w->machine[i]);
    }
    storm(w);
    if (!verdict->wrong)
        last_owners(w);
    for (int i = 0; i < SIM_MACHINES; i++)
        process_kill(&w->machine[i]);
    stats->scenarios++;
    case_free(&w->c);
    aft_config_free(w->config);
    aft_arena_deinit(&w->arena);
    free(w);
}
