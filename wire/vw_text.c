/* vw_text.c - Vowpal Wabbit's text, one line at a time (vw_text.h). In: a line. Out: nouns that borrow from it and the arena.
 *
 * Invariants: I1 nothing outside the line is read. I2 no two features of a line have one name. I3 at most AFT_FEATURES_MAX.
 * Any thread. What VW does with odd lines was found by running 9.11.9 with --audit. */
#include <math.h>
#include <stdio.h>

#include "wire/codec.h"

enum { NUMBER_BYTES = 64, EXACT_DIGITS = 15, EXACT_POWER = 22, SLOTS = 2048 };

_Static_assert(SLOTS >= 2 * AFT_FEATURES_MAX, "the table of names always has a free place");

/* ---- numbers */
static bool
digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Digits into *m (the first 18 of them that count) and *power. Returns how many digits were there. */
static size_t
digits(struct aft_reader *r, bool fraction, uint64_t *m, int *power)
{
    size_t n = 0;
    for (; r->p != r->end && digit(*r->p); r->p++, n++) {
        if (*m < 100000000000000000u) {
            *m = *m * 10 + (uint64_t)(*r->p - '0');
            *power -= fraction;
        } else {
            *power += !fraction;
        }
    }
    return n;
}

static bool
exponent(struct aft_reader *r, int *power)
{
    int v = 0, sign = 1;
    if (r->p == r->end || (*r->p | 32) != 'e')
        return true;
    r->p++;
    if (r->p != r->end && (*r->p == '-' || *r->p == '+'))
        sign = *r->p++ == '-' ? -1 : 1;
    if (r->p == r->end)
        return false;
    for (; r->p != r->end && digit(*r->p); r->p++)
        v = v < 10000 ? v * 10 + (*r->p - '0') : v;
    *power += sign * v;
    return true;
}

static bool
number_slowly(struct aft_bytes b, double *out)
{
    char text[NUMBER_BYTES], *end;
    if (b.n >= sizeof text)
        return false;
    memcpy(text, b.p, b.n);
    text[b.n] = 0;
    *out = aft_number(text, &end);
    return end == text + b.n && isfinite(*out);
}

/* Up to 15 digits and a power of ten up to 22 are exact, so that one rounding is the correct one. */
bool
aft_vw_number(struct aft_bytes b, double *out)
{
    static const double tens[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct aft_reader r = aft_reader(b);
    uint64_t m = 0;
    int power = 0;
    bool negative = r.p != r.end && *r.p == '-';
    r.p += r.p != r.end && (*r.p == '-' || *r.p == '+');
    size_t n = digits(&r, false, &m, &power);
    if (r.p != r.end && *r.p == '.') {
        r.p++;
        n += digits(&r, true, &m, &power);
    }
    if (n == 0 || !exponent(&r, &power) || r.p != r.end)
        return false;
    if (m >= 1000000000000000u || power > EXACT_POWER || power < -EXACT_POWER)
        return number_slowly(b, out);
    *out = power < 0 ? (double)m / tens[-power] : (double)m * tens[power];
    *out = negative ? -*out : *out;
    return true;
}

/* ---- words */
static bool
blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next word of r up to a blank or `stop`; empty at the end. */
static struct aft_bytes
word(struct aft_reader *r, uint8_t stop)
{
    while (r->p != r->end && blank(*r->p))
        r->p++;
    const uint8_t *from = r->p;
    while (r->p != r->end && !blank(*r->p) && *r->p != stop)
        r->p++;
    return (struct aft_bytes){from, (size_t)(r->p - from)};
}

/* ---- the head */
#define SHOWN(b) (int)((b).n < 60 ? (b).n : 60), (const char *)(b).p

static struct aft_bytes
part(struct aft_bytes *w)
{
    const uint8_t *colon = w->n ? memchr(w->p, ':', w->n) : NULL;
    struct aft_bytes p = {w->p, colon ? (size_t)(colon - w->p) : w->n};
    size_t used = p.n + (colon != NULL);
    *w = (struct aft_bytes){w->p + used, w->n - used};
    return p;
}

static enum aft_err
label(struct aft_bytes w, struct aft_vw_label *out, struct aft_error *e)
{
    struct aft_bytes rest = w, action = part(&rest), cost = part(&rest), probability = part(&rest);
    double number = 0;
    *out = (struct aft_vw_label){.has_cost = cost.n > 0, .has_probability = probability.n > 0};
    bool good = aft_vw_number(action, &number) && number >= 0 && number <= UINT32_MAX &&
                number == floor(number) && rest.n == 0;
    out->action = good ? (uint32_t)number : 0;
    good = good && (!out->has_cost || aft_vw_number(cost, &out->cost)) &&
           (!out->has_probability || (out->has_cost && aft_vw_number(probability, &number)));
    out->probability = out->has_probability ? number : 0;
    if (good)
        return AFT_OK;
    return AFT_FAIL(e, AFT_E_MALFORMED,
                    "\"%.*s\" is no label: write action:cost:probability in numbers before the "
                    "first '|', like 0:-1:0.25",
                    SHOWN(w));
}

static bool
foreign(struct aft_bytes w)
{
    static const char *const words[] = {"ccb", "slates", "ca"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (aft_same(w, aft_text(words[i])))
            return true;
    return false;
}

static enum aft_err
put_label(struct aft_vw_line *out, struct aft_bytes w, struct aft_vw_label *v, struct aft_error *e)
{
    if (foreign(w))
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "labels of type \"%.*s\" are no contextual-bandit labels: only lines of "
                        "--cb_adf and --cb can be imported",
                        SHOWN(w));
    if (out->kind == AFT_VW_SHARED)
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "a shared line has no cost: put \"%.*s\" on the action that was taken",
                        SHOWN(w));
    if (out->labels_n == AFT_CANDIDATES_MAX)
        return AFT_FAIL(e, AFT_E_LIMIT, "more than %u labels on a line", AFT_CANDIDATES_MAX);
    return label(w, &v[out->labels_n++], e);
}

/* Whether a word is what an event cannot do without. */
static bool
needed(struct aft_bytes w)
{
    struct aft_vw_label l;
    struct aft_error ignored;
    return aft_same(w, AFT_LITERAL("shared")) || label(w, &l, &ignored) == AFT_OK;
}

/* A label before a tab would be lost. */
static enum aft_err
check_dropped(struct aft_bytes dropped, struct aft_error *e)
{
    struct aft_reader r = aft_reader(dropped);
    struct aft_bytes w;
    while ((w = word(&r, '|')).n)
        if (needed(w))
            return AFT_FAIL(e, AFT_E_MALFORMED,
                            "\"%.*s\" stands before a tab, and VW drops that: put a space there "
                            "instead of the tab",
                            SHOWN(w));
    return AFT_OK;
}

/* A word that touches the '|' is a tag for VW, whatever it looks like: a label there would be lost. */
static enum aft_err
check_tag(struct aft_bytes tag, struct aft_error *e)
{
    bool quoted = tag.n && tag.p[0] == '\'';
    if (!quoted && needed(tag))
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        "\"%.*s\" touches the '|', which makes it a tag: put a space between",
                        SHOWN(tag));
    return AFT_OK;
}

static enum aft_err
read_head(struct aft_bytes head, struct aft_arena *a, struct aft_vw_line *out, struct aft_error *e)
{
    struct aft_reader r = aft_reader(head);
    struct aft_bytes w;
    struct aft_vw_label *v = NULL;
    while ((w = word(&r, '|')).n) {
        bool touches = r.p == r.end, quoted = w.p[0] == '\'';
        if (touches || quoted) {
            AFT_TRY(check_tag(w, e));
            out->tag = (struct aft_bytes){w.p + quoted, w.n - quoted};
        } else if (aft_same(w, AFT_LITERAL("shared")) && out->labels_n == 0) {
            out->kind = AFT_VW_SHARED;
        } else {
            size_t most = AFT_CANDIDATES_MAX < head.n ? AFT_CANDIDATES_MAX : head.n;
            if (!v && !(v = aft_arena_take(a, most * sizeof *v)))
                return AFT_FAIL(e, AFT_E_LIMIT, "the arena is full: the line is too long");
            AFT_TRY(put_label(out, w, v, e));
        }
    }
    out->labels = v;
    return AFT_OK;
}

enum aft_err
aft_vw_head(struct aft_bytes line, struct aft_arena *a, struct aft_vw_line *out,
            struct aft_error *e)
{
    struct aft_reader all = aft_reader(line);
    *out = (struct aft_vw_line){.kind = AFT_VW_ACTION};
    if (word(&all, 0).n == 0) {
        out->kind = AFT_VW_BLANK;
        return AFT_OK;
    }
    while (blank(line.p[line.n - 1]))
        line.n--;
    const uint8_t *bar = memchr(line.p, '|', line.n);
    if (!bar)
        return AFT_FAIL(e, AFT_E_MALFORMED,
                        line.p[0] == '{' ? "this is VW's JSON, no line of text"
                                         : "no '|' on this line: features stand behind one");
    out->features = (struct aft_bytes){bar, (size_t)(line.p + line.n - bar)};
    struct aft_bytes head = {line.p, (size_t)(bar - line.p)};
    const uint8_t *tab = head.n ? memchr(head.p, '\t', head.n) : NULL;
    if (tab) { /* VW drops what stands before a tab */
        AFT_TRY(check_dropped((struct aft_bytes){head.p, (size_t)(tab - head.p)}, e));
        head = (struct aft_bytes){tab + 1, (size_t)(bar - tab - 1)};
    }
    return read_head(head, a, out, e);
}

/* ---- features */
struct names {
    struct aft_arena *arena;
    struct aft_feature *v;
    uint32_t n, cap, anonymous;
    struct aft_bytes space; /* the namespace's name */
    double weight;
    uint16_t slot[SLOTS]; /* index + 1 of a feature, by the hash of its name */
    struct aft_error *e;
};

static uint16_t *
slot_of(struct names *s, struct aft_bytes name)
{
    uint32_t i = (uint32_t)aft_hash64(name, 0) % SLOTS;
    while (s->slot[i] && !aft_same(s->v[s->slot[i] - 1].name, name))
        i = (i + 1) % SLOTS;
    return &s->slot[i];
}

/* "ns^" and up to two pieces with `between`; too long: cut, and closed with the hash of the whole. */
static enum aft_err
name_of(struct names *s, struct aft_bytes first, const char *between, struct aft_bytes second,
        struct aft_bytes *out)
{
    size_t n = (s->space.n ? s->space.n + 1 : 0) + first.n + strlen(between) + second.n;
    struct aft_buffer b = {aft_arena_take(s->arena, n + 20), 0, n + 20};
    if (!b.p)
        return AFT_FAIL(s->e, AFT_E_LIMIT, "the arena is full: the line is too long");
    aft_put_raw(&b, s->space);
    if (s->space.n)
        aft_put_u8(&b, '^');
    aft_put_raw(&b, first);
    aft_put_raw(&b, aft_text(between));
    aft_put_raw(&b, second);
    if (n > AFT_ID_BYTES_MAX) {
        unsigned long long h = aft_hash64(aft_buffer_bytes(&b), 0);
        snprintf((char *)b.p + AFT_ID_BYTES_MAX - 17, 18, "~%016llx", h);
        b.n = AFT_ID_BYTES_MAX;
    }
    *out = aft_buffer_bytes(&b);
    return AFT_OK;
}

static enum aft_err
append(struct names *s, uint16_t *slot, struct aft_feature f)
{
    if (s->n == AFT_FEATURES_MAX)
        return AFT_FAIL(s->e, AFT_E_LIMIT,
                        "more than %u features on one line: leave some out (--ignore)",
                        AFT_FEATURES_MAX);
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? 4 * s->cap : 32;
        struct aft_feature *v = aft_arena_take(s->arena, cap * sizeof *v);
        if (!v)
            return AFT_FAIL(s->e, AFT_E_LIMIT, "the arena is full: the line is too long");
        if (s->n)
            memcpy(v, s->v, s->n * sizeof *v);
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = f;
    *slot = (uint16_t)s->n;
    AFT_INVARIANT(I3, s->n <= AFT_FEATURES_MAX);
    return AFT_OK;
}

static enum aft_err
add_number(struct names *s, struct aft_bytes name, double value)
{
    uint16_t *slot = slot_of(s, name);
    if (!*slot)
        return append(
            s, slot,
            (struct aft_feature){.name = name, .type = AFT_FEATURE_NUMBER, .number = value});
    struct aft_feature *f = &s->v[*slot - 1];
    if (f->type != AFT_FEATURE_NUMBER)
        return AFT_FAIL(s->e, AFT_E_MALFORMED, "feature %.*s is a number and a text on one line",
                        SHOWN(name));
    f->number += value;
    return isfinite(f->number)
               ? AFT_OK
               : AFT_FAIL(s->e, AFT_E_VALUE, "the values of %.*s are too large", SHOWN(name));
}

/* The second value of a text feature: the first one becomes a number "f=v" too, in its place; a text without bytes stays as the
 * sign that this has happened. */
static enum aft_err
split_text(struct names *s, struct aft_bytes key, uint16_t at)
{
    AFT_ASSERT(at && s->v);
    struct aft_bytes first = s->v[at - 1].text, name;
    if (first.n == 0)
        return AFT_OK;
    AFT_TRY(name_of(s, key, "=", first, &name));
    s->v[at - 1].text = (struct aft_bytes){first.p, 0};
    return add_number(s, name, 1);
}

static enum aft_err
add_text(struct names *s, struct aft_bytes key, struct aft_bytes value, double weight)
{
    struct aft_bytes name;
    AFT_TRY(name_of(s, key, "", AFT_ABSENT, &name));
    uint16_t *slot = slot_of(s, name);
    bool taken = *slot != 0;
    if (taken && s->v[*slot - 1].type == AFT_FEATURE_TEXT)
        AFT_TRY(split_text(s, key, *slot));
    if (!taken && weight == 1 && value.n <= AFT_TEXT_BYTES_MAX)
        return append(s, slot,
                      (struct aft_feature){.name = name, .type = AFT_FEATURE_TEXT, .text = value});
    AFT_TRY(name_of(s, key, "=", value, &name));
    return add_number(s, name, weight);
}

static bool
not_a_number(struct aft_bytes b)
{
    char low[10];
    size_t n = 0, at = b.n && (b.p[0] == '-' || b.p[0] == '+');
    for (; at < b.n && n < sizeof low - 1; at++)
        low[n++] = (char)(b.p[at] | 32);
    low[n] = 0;
    return strcmp(low, "nan") == 0 || strcmp(low, "inf") == 0 || strcmp(low, "infinity") == 0;
}

static enum aft_err
add_anonymous(struct names *s, double value)
{
    char text[16];
    struct aft_bytes name;
    snprintf(text, sizeof text, "%u", s->anonymous++);
    AFT_TRY(name_of(s, aft_text(text), "", AFT_ABSENT, &name));
    return value == 0 ? AFT_OK : add_number(s, name, value);
}

static enum aft_err
add_word(struct names *s, struct aft_bytes w)
{
    struct aft_bytes value = w, name = part(&value);
    double v = 1;
    bool valued = name.n < w.n, number = valued && aft_vw_number(value, &v);
    if (valued && !number && (value.n == 0 || not_a_number(value)))
        return AFT_FAIL(s->e, AFT_E_VALUE,
                        "feature %.*s has no finite value: give it one, or leave it out", SHOWN(w));
    v *= s->weight;
    if (!isfinite(v))
        return AFT_FAIL(s->e, AFT_E_VALUE, "feature %.*s is too large", SHOWN(w));
    if (name.n == 0)
        return add_anonymous(s, v);
    if (valued && !number) /* VW does not weigh those */
        return add_text(s, name, value, 1);
    const uint8_t *equals = memchr(name.p, '=', name.n);
    if (v == 0)
        return AFT_OK;
    if (equals && equals != name.p && equals + 1 != name.p + name.n) {
        struct aft_bytes key = {name.p, (size_t)(equals - name.p)};
        return add_text(s, key, (struct aft_bytes){equals + 1, name.n - key.n - 1}, v);
    }
    AFT_TRY(name_of(s, name, "", AFT_ABSENT, &name));
    return add_number(s, name, v);
}

/* A namespace's head: its name, if it touches the '|', and its weight. */
static enum aft_err
open_namespace(struct names *s, struct aft_reader *r)
{
    struct aft_bytes none = {r->p, 0};
    bool touches = r->p != r->end && !blank(*r->p) && *r->p != '|';
    struct aft_bytes w = touches ? word(r, '|') : none, name = part(&w);
    s->space = name;
    s->weight = 1;
    s->anonymous = 0;
    if (w.n && !(aft_vw_number(w, &s->weight)))
        return AFT_FAIL(s->e, AFT_E_MALFORMED,
                        "the weight of namespace %.*s is \"%.*s\": must be a number, like |ns:0.5",
                        SHOWN(name), SHOWN(w));
    if (name.n > 64)
        return AFT_FAIL(s->e, AFT_E_LIMIT, "the namespace's name %.*s... is past 64 bytes",
                        SHOWN(name));
    return AFT_OK;
}

/* The signs that split_text left are no features. */
static void
drop_signs(struct names *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->v[i].type != AFT_FEATURE_TEXT || s->v[i].text.n)
            s->v[n++] = s->v[i];
    s->n = n;
}

enum aft_err
aft_vw_features(struct aft_bytes text, const struct aft_vw_filter *filter, struct aft_arena *a,
                struct aft_features *out, struct aft_error *e)
{
    struct names s = {.arena = a, .weight = 1, .e = e};
    struct aft_reader r = aft_reader(text);
    bool skip = false;
    while (r.p != r.end) {
        if (*r.p == '|') {
            r.p++;
            AFT_TRY(open_namespace(&s, &r));
            skip = filter && filter->skip[s.space.n ? s.space.p[0] : ' '];
            continue;
        }
        struct aft_bytes w = word(&r, '|');
        if (w.n && !skip)
            AFT_TRY(add_word(&s, w));
    }
    drop_signs(&s);
    *out = (struct aft_features){s.v, s.n};
    return AFT_OK;
}

bool
aft_vw_namespace(struct aft_bytes *text, struct aft_bytes *name)
{
    const uint8_t *bar = text->n ? memchr(text->p, '|', text->n) : NULL;
    if (!bar)
        return false;
    struct aft_reader r = {bar + 1, text->p + text->n};
    bool touches = r.p != r.end && !blank(*r.p) && *r.p != '|';
    struct aft_bytes w = touches ? word(&r, '|') : (struct aft_bytes){r.p, 0};
    *name = part(&w);
    *text = (struct aft_bytes){r.p, (size_t)(r.end - r.p)};
    return true;
}

/* ---- pieces of an example */
void
aft_vw_put_features(struct aft_buffer *b, struct aft_features f)
{
    afti_put_features(b, f);
}

void
aft_vw_put_candidate(struct aft_buffer *b, struct aft_bytes arm_id, struct aft_bytes features)
{
    aft_put_bytes(b, arm_id);
    aft_put_raw(b, features);
    aft_put_long(b, 0); /* no log-weight */
    aft_put_long(b, 0); /* no mask */
}
