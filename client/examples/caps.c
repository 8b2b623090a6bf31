/* caps.c - how often each user saw each message in this calendar month (UTC). In memory, behind a lock a bucket; written to a file
 * when the engine stops and read when it starts: a line a user,
 *
 *      user month epoch arm=count arm=count ...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/examples/engine.h"

enum { LINE_BYTES = 16 << 10 };

static int
month_now(void)
{
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    return t.tm_year * 12 + t.tm_mon;
}

static uint32_t
bucket_of(const char *user)
{
    uint32_t h = 2166136261u; /* FNV-1a: a hash's hex digits need no better */
    for (; *user; user++)
        h = (h ^ (unsigned char)*user) * 16777619u;
    return h % CAPS_BUCKETS;
}

void
engine_caps_init(struct caps *c)
{
    for (int i = 0; i < CAPS_BUCKETS; i++) {
        pthread_mutex_init(&c->buckets[i].lock, NULL);
        c->buckets[i].first = NULL;
    }
}

void
engine_caps_free(struct caps *c)
{
    for (int i = 0; i < CAPS_BUCKETS; i++) {
        for (struct person *p = c->buckets[i].first, *next; p; p = next) {
            next = p->next;
            free(p);
        }
        pthread_mutex_destroy(&c->buckets[i].lock);
    }
}

struct person *
engine_caps_hold(struct caps *c, const char *user)
{
    uint32_t b = bucket_of(user);
    pthread_mutex_lock(&c->buckets[b].lock);
    struct person *p = c->buckets[b].first;
    while (p && strcmp(p->user, user) != 0)
        p = p->next;
    if (!p && (p = calloc(1, sizeof *p)) != NULL) {
        snprintf(p->user, sizeof p->user, "%s", user);
        p->next = c->buckets[b].first;
        c->buckets[b].first = p;
    }
    if (!p) {
        pthread_mutex_unlock(&c->buckets[b].lock);
        return NULL;
    }
    int month = month_now();
    if (p->month != month) { /* by date, not by the draw: no new epoch */
        memset(p->shown, 0, sizeof p->shown);
        p->month = month;
    }
    return p;
}

void
engine_caps_release(struct caps *c, const struct person *p)
{
    pthread_mutex_unlock(&c->buckets[bucket_of(p->user)].lock);
}

void
engine_caps_count(struct person *p, uint32_t message)
{
    p->epoch += ++p->shown[message] == CAP;
}

static void
save_person(FILE *f, const struct person *p, const struct catalogue *of)
{
    fprintf(f, "%s %d %u", p->user, p->month, p->epoch);
    for (uint32_t i = 0; i < of->n; i++)
        if (p->shown[i])
            fprintf(f, " %s=%u", of->messages[i].arm, p->shown[i]);
    fputc('\n', f);
}

bool
engine_caps_save(struct caps *c, const struct catalogue *of, const char *path)
{
    char beside[4096];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return false;
    FILE *f = fopen(beside, "w");
    if (!f)
        return false;
    for (int i = 0; i < CAPS_BUCKETS; i++) {
        pthread_mutex_lock(&c->buckets[i].lock);
        for (const struct person *p = c->buckets[i].first; p; p = p->next)
            save_person(f, p, of);
        pthread_mutex_unlock(&c->buckets[i].lock);
    }
    bool good = fflush(f) == 0 && fsync(fileno(f)) == 0;
    good = fclose(f) == 0 && good;
    return good && rename(beside, path) == 0;
}

/* A line back into an entry; false: it is none of ours. */
static bool
load_person(struct caps *c, const struct catalogue *of, char *line)
{
    char *rest, *user = strtok_r(line, " \n", &rest), *month = strtok_r(NULL, " \n", &rest),
                *epoch = strtok_r(NULL, " \n", &rest);
    if (!user || !month || !epoch || strlen(user) >= USER_BYTES)
        return false;
    struct person *p = engine_caps_hold(c, user);
    if (!p)
        return false;
    p->epoch = (uint32_t)strtoul(epoch, NULL, 10);
    bool current = strtol(month, NULL, 10) == p->month;
    for (char *word; (word = strtok_r(NULL, " \n", &rest)) != NULL;) {
        char *count = strchr(word, '=');
        if (count)
            *count++ = '\0';
        int i = count ? engine_catalogue_find(of, word) : -1; /* a message that went is forgotten */
        if (i >= 0 && current)
            p->shown[i] = (uint32_t)strtoul(count, NULL, 10);
    }
    engine_caps_release(c, p);
    return true;
}

bool
engine_caps_load(struct caps *c, const struct catalogue *of, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return access(path, F_OK) != 0; /* none yet: a first start */
    char line[LINE_BYTES];
    bool good = true;
    while (good && fgets(line, sizeof line, f))
        good = load_person(c, of, line);
    good = good && !ferror(f);
    fclose(f);
    return good;
}
