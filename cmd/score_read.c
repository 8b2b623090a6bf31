/* score_read.c - the input of `score`: a container file of ScoreRequest (or of any record that resolves to it, such as Impression), or
 * lines of JSON; and the catalogue, lines of JSON too. Empty lines are passed over. One thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/score.h"

enum { ARENA_BYTES = 64 << 20, CATALOGUE_BYTES = 64 << 20 };

struct score_reader {
    const char *path;
    FILE *lines;
    struct aft_file_reader *file;
    struct aft_arena arena;
    char *text;
    size_t cap;
    int64_t line, read, size; /* size: of a regular file of lines, or 0 */
};

static enum aft_err
next_line(struct score_reader *r, size_t *n, bool *end, struct aft_error *e)
{
    for (;;) {
        errno = 0;
        ssize_t got = getline(&r->text, &r->cap, r->lines);
        if (got < 0 && ferror(r->lines))
            return AFT_FAIL(e, AFT_E_IO, "%s: %s", r->path, strerror(errno));
        *end = got < 0;
        if (*end)
            return AFT_OK;
        r->line++;
        r->read += got;
        *n = (size_t)got;
        if (r->text[strspn(r->text, " \t\r\n")] != '\0' || memchr(r->text, '\0', *n))
            return AFT_OK;
    }
}

static enum aft_err
placed(const struct score_reader *r, enum aft_err err, struct aft_error *e)
{
    struct aft_error inner = *e;
    return AFT_FAIL(e, err, "%s, %s %lld: %.300s", r->path, r->lines ? "line" : "record",
                    (long long)r->line, inner.message);
}

static bool
is_container(FILE *f)
{
    char head[4] = "";
    size_t n = fread(head, 1, sizeof head, f);
    rewind(f);
    return n == sizeof head && memcmp(head, "Obj\001", 4) == 0;
}

enum aft_err
score_open(const char *path, struct score_reader **out, struct aft_error *e)
{
    struct stat st;
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "rb");
    if (!f)
        return AFT_FAIL(e, AFT_E_IO, "%s: %s", path, strerror(errno));
    struct score_reader *r = calloc(1, sizeof *r);
    AFT_ASSERT(r != NULL);
    r->path = standard ? "standard input" : path;
    aft_arena_init(&r->arena, ARENA_BYTES);
    if (!standard && is_container(f)) {
        fclose(f);
        enum aft_err err = aft_file_open(path, AFT_RECORD_SCORE_REQUEST, false, &r->file, e);
        if (err != AFT_OK) {
            score_close(r);
            return err;
        }
    } else {
        r->lines = f;
        r->size = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0;
    }
    *out = r;
    return AFT_OK;
}

enum aft_err
score_next(struct score_reader *r, struct aft_score_request *out, bool *end, struct aft_error *e)
{
    enum aft_err err;
    aft_arena_reset(&r->arena);
    if (r->lines) {
        size_t n = 0;
        AFT_TRY(next_line(r, &n, end, e));
        err = *end ? AFT_OK : score_json_request(r->text, n, &r->arena, out, e);
    } else {
        struct aft_file_record f;
        AFT_TRY(aft_file_next(r->file, &f, end, e));
        r->line += !*end;
        err = *end ? AFT_OK : aft_decode_score_request(f.body, &r->arena, out, e);
    }
    return err == AFT_OK ? AFT_OK : placed(r, err, e);
}

double
score_part(const struct score_reader *r)
{
    return r->size > 0 ? (double)r->read / (double)r->size : -1;
}

void
score_close(struct score_reader *r)
{
    if (!r)
        return;
    if (r->lines && r->lines != stdin)
        fclose(r->lines);
    if (r->file)
        aft_file_close(r->file);
    aft_arena_deinit(&r->arena);
    free(r->text);
    free(r);
}

/* ---- the catalogue */
void
score_catalogue_init(struct score_catalogue *c)
{
    *c = (struct score_catalogue){.n = 0};
    aft_arena_init(&c->arena, CATALOGUE_BYTES);
}

void
score_catalogue_deinit(struct score_catalogue *c)
{
    aft_arena_deinit(&c->arena);
}

static enum aft_err
take_lines(struct score_catalogue *c, struct score_reader *r, struct aft_error *e)
{
    c->v = aft_arena_take(&c->arena, sizeof *c->v * AFT_CANDIDATES_MAX);
    AFT_ASSERT(c->v != NULL);
    for (;;) {
        size_t n = 0;
        bool end = false;
        AFT_TRY(next_line(r, &n, &end, e));
        if (end)
            return AFT_OK;
        if (c->n == AFT_CANDIDATES_MAX)
            return AFT_FAIL(e, AFT_E_LIMIT, "%s has more than %u candidates", r->path,
                            AFT_CANDIDATES_MAX);
        enum aft_err err = score_json_candidate(r->text, n, &c->arena, &c->v[c->n], e);
        if (err == AFT_OK && c->v[c->n].mask.p)
            err = AFT_FAIL(e, AFT_E_VALUE, "a mask is a user's: put it into the requests");
        if (err != AFT_OK)
            return placed(r, err, e);
        c->n++;
    }
}

enum aft_err
score_catalogue_read(struct score_catalogue *c, const char *path, struct aft_error *e)
{
    struct score_reader *r;
    AFT_TRY(score_open(path, &r, e));
    enum aft_err err = r->lines ? take_lines(c, r, e)
                                : AFT_FAIL(e, AFT_E_VALUE, "%s is no file of JSON lines", path);
    score_close(r);
    AFT_TRY(err);
    return c->n ? AFT_OK : AFT_FAIL(e, AFT_E_VALUE, "%s holds no candidate", path);
}
