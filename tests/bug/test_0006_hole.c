/* test_0006 - a record that is not written leaves no hole: what was sent after it came back as a failure went to the log all the same, and
 * stood behind the missing one. After a failure an outbox sends nothing any more.
 */
#include "tests/kit.h"

#include "consumer/outbox.h"

struct log {
    struct aft_log log;
    struct aft_append last;
    int appended;
    bool full; /* AFT_E_AGAIN, and the failure comes from the poll */
};

static void
refuse(struct log *l)
{
    struct aft_error why;
    (void)AFT_FAIL(&why, AFT_E_BROKER, "too large");
    l->last.acked(l->last.ctx, -1, &why);
}

static enum aft_err
log_append(struct aft_log *log, const struct aft_append *a, struct aft_error *e)
{
    struct log *l = (struct log *)log;
    if (l->full && l->appended == 1)
        return AFT_FAIL(e, AFT_E_AGAIN, "full");
    l->last = *a;
    l->appended++;
    return AFT_OK;
}

static void
log_poll(struct aft_log *log, int timeout_ms)
{
    struct log *l = (struct log *)log;
    (void)timeout_ms;
    refuse(l);
    l->full = false;
}

static void
nothing_behind_what_failed(void **state)
{
    static const struct aft_log_ops ops = {.append = log_append, .poll = log_poll};
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct aft_error e;
        struct log l = {.log = {&ops}, .full = full};
        struct afti_outbox *box = afti_outbox_new();
        struct aft_append a = {.topic = "examples", .value = AFT_LITERAL("block")};
        assert_int_equal(afti_send(&l.log, box, &a, AFTI_SENT_BLOCK, (struct afti_end){1, {0}}, &e),
                         AFT_OK);
        if (!full)
            refuse(&l);
        assert_int_equal(afti_send(&l.log, box, &a, AFTI_SENT_BLOCK, (struct afti_end){2, {0}}, &e),
                         AFT_E_BROKER);
        assert_string_equal(e.message, "too large");
        assert_int_equal(l.appended, 1);
        assert_int_equal(box->outstanding, 0);
        assert_int_equal(box->bytes, 0);
        afti_outbox_close(box);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_behind_what_failed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
