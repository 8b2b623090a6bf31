/* json_pull.c - a pull reader for JSON (json_pull.h). Invariants: I1 nothing outside the bytes is read. I2 no recursion. */
#include "wire/json_pull.h"

static void
skip_blank(struct aft_reader *r)
{
    while (r->p != r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'))
        r->p++;
}

static enum aft_err
broken(const struct aft_reader *r, const char *wanted, struct aft_error *e)
{
    size_t n = aft_left(r);
    return AFT_FAIL(e, AFT_E_MALFORMED,
                    "no JSON: %s is wanted at \"%.*s\": mend or leave out this line", wanted,
                    (int)(n < 30 ? n : 30), (const char *)r->p);
}

/* Behind the quote that ends the text; r stands behind the one that begins it. */
static bool
pass_text(struct aft_reader *r)
{
    while (r->p != r->end && *r->p != '"') {
        r->p += *r->p == '\\';
        if (r->p == r->end)
            return false;
        r->p++;
    }
    if (r->p == r->end)
        return false;
    r->p++;
    return true;
}

static bool
pass_nested(struct aft_reader *r)
{
    uint32_t depth = 0;
    do {
        if (r->p == r->end)
            return false;
        uint8_t c = *r->p++;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (c == '"' && !pass_text(r))
            return false;
    } while (depth);
    return true;
}

static enum afti_json_type
word_type(struct aft_bytes w)
{
    return aft_same(w, AFT_LITERAL("true"))    ? AFTI_JSON_TRUE
           : aft_same(w, AFT_LITERAL("false")) ? AFTI_JSON_FALSE
           : aft_same(w, AFT_LITERAL("null"))  ? AFTI_JSON_NULL
                                               : AFTI_JSON_NUMBER;
}

static bool
ends_word(uint8_t c)
{
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum aft_err
value(struct aft_reader *r, struct afti_json *out, struct aft_error *e)
{
    skip_blank(r);
    const uint8_t *from = r->p;
    if (r->p == r->end)
        return broken(r, "a value", e);
    if (*from == '"') {
        r->p++;
        if (!pass_text(r))
            return broken(&(struct aft_reader){from, r->end}, "the end of the text", e);
        *out = (struct afti_json){AFTI_JSON_TEXT, {from + 1, (size_t)(r->p - from) - 2}};
        return AFT_OK;
    }
    if (*from == '{' || *from == '[') {
        if (!pass_nested(r))
            return broken(&(struct aft_reader){from, r->end}, "a bracket for the one", e);
        *out = (struct afti_json){*from == '{' ? AFTI_JSON_OBJECT : AFTI_JSON_ARRAY,
                                  {from, (size_t)(r->p - from)}};
        return AFT_OK;
    }
    while (r->p != r->end && !ends_word(*r->p))
        r->p++;
    out->raw = (struct aft_bytes){from, (size_t)(r->p - from)};
    out->type = word_type(out->raw);
    return out->raw.n ? AFT_OK : broken(r, "a value", e);
}

enum aft_err
afti_json_one(struct aft_bytes b, struct afti_json *out, struct aft_error *e)
{
    struct aft_reader r = aft_reader(b);
    AFT_TRY(value(&r, out, e));
    skip_blank(&r);
    return r.p == r.end ? AFT_OK : broken(&r, "the line's end", e);
}

struct afti_json_walk
afti_json_walk(const struct afti_json *v)
{
    AFT_ASSERT(v->type == AFTI_JSON_OBJECT || v->type == AFTI_JSON_ARRAY);
    struct aft_reader r = aft_reader(v->raw);
    r.p++;
    return (struct afti_json_walk){r, v->type == AFTI_JSON_OBJECT ? '}' : ']', false};
}

static enum aft_err
member_key(struct afti_json_walk *w, struct aft_bytes *key, struct aft_error *e)
{
    struct afti_json name;
    skip_blank(&w->r);
    if (w->r.p == w->r.end || *w->r.p != '"')
        return broken(&w->r, "a key in quotes", e);
    AFT_TRY(value(&w->r, &name, e));
    skip_blank(&w->r);
    if (w->r.p == w->r.end || *w->r.p != ':')
        return broken(&w->r, "':'", e);
    w->r.p++;
    *key = name.raw;
    return AFT_OK;
}

enum aft_err
afti_json_next(struct afti_json_walk *w, struct aft_bytes *key, struct afti_json *v,
               struct aft_error *e)
{
    *v = (struct afti_json){AFTI_JSON_NONE, AFT_ABSENT};
    skip_blank(&w->r);
    if (w->r.p != w->r.end && *w->r.p == w->close) {
        w->r.p++; /* nothing stands behind it: the slice ends there */
        return w->r.p == w->r.end ? AFT_OK : broken(&w->r, "one bracket for each", e);
    }
    if (w->begun && (w->r.p == w->r.end || *w->r.p != ','))
        return broken(&w->r, w->close == '}' ? "',' or '}'" : "',' or ']'", e);
    w->r.p += w->begun;
    w->begun = true;
    if (w->close == '}')
        AFT_TRY(member_key(w, key, e));
    return value(&w->r, v, e);
}

/* ---- texts */
static void
put_utf8(struct aft_buffer *b, uint32_t c)
{
    if (c < 0x80) {
        aft_put_u8(b, (uint8_t)c);
    } else if (c < 0x800) {
        aft_put_u8(b, (uint8_t)(0xc0 | c >> 6));
        aft_put_u8(b, (uint8_t)(0x80 | (c & 63)));
    } else {
        if (c >= 0x10000) {
            aft_put_u8(b, (uint8_t)(0xf0 | c >> 18));
            aft_put_u8(b, (uint8_t)(0x80 | (c >> 12 & 63)));
        } else {
            aft_put_u8(b, (uint8_t)(0xe0 | c >> 12));
        }
        aft_put_u8(b, (uint8_t)(0x80 | (c >> 6 & 63)));
        aft_put_u8(b, (uint8_t)(0x80 | (c & 63)));
    }
}

/* Four hexadecimal digits; what is none counts as 0. */
static uint32_t
hex4(struct aft_reader *r)
{
    uint32_t v = 0;
    for (int i = 0; i < 4 && r->p != r->end; i++) {
        uint8_t c = *r->p++;
        v = v << 4 | (uint32_t)(c >= '0' && c <= '9'                 ? c - '0'
                                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                     : 0);
    }
    return v;
}

/* A character written as \uXXXX, in two halves past 65535; half a one is U+FFFD. */
static uint32_t
escaped(struct aft_reader *r)
{
    uint32_t c = hex4(r);
    if (c < 0xd800 || c > 0xdfff)
        return c;
    if (c > 0xdbff || aft_left(r) < 6 || r->p[0] != '\\' || r->p[1] != 'u')
        return 0xfffd;
    r->p += 2;
    uint32_t low = hex4(r);
    return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00)
                                          : 0xfffd;
}

static uint32_t
plain(uint8_t c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

void
afti_json_put(struct aft_buffer *b, struct aft_bytes raw, bool safe)
{
    struct aft_reader r = aft_reader(raw);
    while (r.p != r.end) {
        uint8_t c = *r.p++;
        size_t at = b->n;
        if (c == '\\' && r.p != r.end) {
            uint8_t what = *r.p++;
            put_utf8(b, what == 'u' ? escaped(&r) : plain(what));
        } else {
            aft_put_u8(b, c);
        }
        if (safe && (b->p[at] <= ' ' || b->p[at] == '|' || b->p[at] == ':'))
            b->p[at] = '_';
    }
}
