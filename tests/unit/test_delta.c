/* test_delta.c - whatever two images hold, the delta makes the second of the first; it is small where little changed; a delta that was
 * cut, padded, changed or made for another image is refused. */
#include "tests/kit.h"

#include "policy/policy.h"

enum { ROW = 96 };

static void
some_bytes(struct aft_random *r, struct aft_buffer *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        aft_put_u8(out, (uint8_t)aft_random_below(r, 256));
}

/* An image like a plane: a head, keys, rows. Rows and keys begin as those of `like`, where it has some. */
struct table {
    uint32_t rows;
    uint8_t key[64][8], row[64][ROW];
};

static void
image_of(const struct table *t, struct aft_image *m)
{
    aft_image_reset(m);
    aft_put_le32(&m->bytes, t->rows);
    aft_image_section(m, 1, 8);
    for (uint32_t i = 0; i < t->rows; i++)
        aft_put_raw(&m->bytes, (struct aft_bytes){t->key[i], 8});
    aft_image_section(m, 2, ROW);
    for (uint32_t i = 0; i < t->rows; i++)
        aft_put_raw(&m->bytes, (struct aft_bytes){t->row[i], ROW});
}

static void
change(struct aft_random *r, struct table *t, uint32_t changed, uint32_t added)
{
    for (uint32_t i = 0; i < changed && t->rows; i++)
        t->row[aft_random_below(r, t->rows)][aft_random_below(r, ROW)] ^= 1;
    for (uint32_t i = 0; i < added && t->rows < 64; i++, t->rows++)
        for (uint32_t j = 0; j < ROW; j++)
            t->row[t->rows][j] = t->key[t->rows][j % 8] = (uint8_t)aft_random_below(r, 256);
}

static void
check(const struct aft_image *a, const struct aft_image *b, struct aft_buffer *delta)
{
    struct aft_buffer made = {0};
    struct aft_error e;
    aft_buffer_reset(delta);
    aft_delta_encode(a, b, delta);
    if (aft_delta_apply(aft_buffer_bytes(delta), aft_buffer_bytes(&a->bytes), &made, &e) != AFT_OK)
        fail_msg("%s", e.message);
    assert_true(aft_same(aft_buffer_bytes(&made), aft_buffer_bytes(&b->bytes)));
    aft_buffer_deinit(&made);
}

static void
test_any_two_images(void **state)
{
    (void)state;
    struct aft_random r;
    static struct table t;
    struct aft_image a = {0}, b = {0}, none = {0};
    struct aft_buffer delta = {0};
    aft_random_init(&r, kit_seed(1), 0);
    for (long i = 0; i < kit_rounds(300); i++) {
        t.rows = 0;
        change(&r, &t, 0, aft_random_below(&r, 40));
        image_of(&t, &a);
        change(&r, &t, aft_random_below(&r, 5), aft_random_below(&r, 3));
        image_of(&t, &b);
        check(&a, &b, &delta);
        check(&b, &a, &delta);
        check(&none, &a, &delta);
        check(&a, &none, &delta);
        b.sections_n = aft_random_below(&r, 3); /* sections decide how small, not whether right */
        check(&a, &b, &delta);
        aft_buffer_reset(&b.bytes);
        some_bytes(&r, &b.bytes, aft_random_below(&r, 2000));
        b.sections_n = 0;
        check(&a, &b, &delta);
    }
    aft_image_deinit(&a);
    aft_image_deinit(&b);
    aft_buffer_deinit(&delta);
}

static void
test_small_where_little_changed(void **state)
{
    (void)state;
    struct aft_random r;
    static struct table t;
    struct aft_image a = {0}, b = {0};
    struct aft_buffer delta = {0};
    aft_random_init(&r, kit_seed(2), 0);
    change(&r, &t, 0, 60);
    image_of(&t, &a);
    t.row[3][0]++, t.row[17][95]++;
    change(&r, &t, 0, 1); /* keys grow, rows move */
    image_of(&t, &b);
    check(&a, &b, &delta);
    assert_true(delta.n >= 36 + 3 * ROW && delta.n < 36 + 3 * ROW + 60);
    check(&a, &a, &delta);
    assert_true(delta.n < 60);
    aft_image_deinit(&a);
    aft_image_deinit(&b);
    aft_buffer_deinit(&delta);
}

static void
test_broken_deltas(void **state)
{
    (void)state;
    struct aft_random r;
    static struct table t;
    struct aft_image a = {0}, b = {0};
    struct aft_buffer delta = {0}, made = {0};
    struct aft_error e;
    aft_random_init(&r, kit_seed(3), 0);
    change(&r, &t, 0, 20);
    image_of(&t, &a);
    change(&r, &t, 4, 2);
    image_of(&t, &b);
    check(&a, &b, &delta);
    struct aft_bytes from = aft_buffer_bytes(&a.bytes), d = aft_buffer_bytes(&delta);
    for (size_t n = 0; n < d.n; n++) {
        aft_buffer_reset(&made);
        assert_int_not_equal(aft_delta_apply((struct aft_bytes){d.p, n}, from, &made, &e), AFT_OK);
    }
    for (long i = 0; i < kit_rounds(5000); i++) {
        uint8_t *at = delta.p + aft_random_below(&r, (uint32_t)delta.n), was = *at;
        *at ^= (uint8_t)(1 + aft_random_below(&r, 255));
        aft_buffer_reset(&made);
        enum aft_err err = aft_delta_apply(d, from, &made, &e);
        /* a copy of nothing may begin elsewhere: then what is made is the same */
        assert_true(err != AFT_OK || aft_same(aft_buffer_bytes(&made), aft_buffer_bytes(&b.bytes)));
        assert_true(made.n <= AFT_IMAGE_BYTES_MAX);
        *at = was;
    }
    aft_buffer_reset(&made);
    from.n--;
    assert_int_equal(aft_delta_apply(d, from, &made, &e), AFT_E_VALUE);
    from.n++;
    a.bytes.p[70] ^= 1; /* another image of the same size */
    aft_buffer_reset(&made);
    assert_int_equal(aft_delta_apply(d, from, &made, &e), AFT_E_VALUE);
    aft_put_u8(&delta, 0);
    aft_buffer_reset(&made);
    assert_int_equal(aft_delta_apply(aft_buffer_bytes(&delta), from, &made, &e), AFT_E_MALFORMED);
    aft_image_deinit(&a);
    aft_image_deinit(&b);
    aft_buffer_deinit(&delta);
    aft_buffer_deinit(&made);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_two_images),
        cmocka_unit_test(test_small_where_little_changed),
        cmocka_unit_test(test_broken_deltas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
