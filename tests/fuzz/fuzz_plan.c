/* fuzz_plan.c - a schema and bytes from the fuzzer: the writer's schema is the input up to the first 00, the body what follows.
 * The reader is, by turns, the writer's own schema or each of ours. A plan that compiles runs or refuses; its output, read as the
 * reader's, goes through unchanged. */
#include <stdlib.h>

#include "wire/wire_avro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(const struct aft_schema *w, const struct aft_schema *r, struct aft_bytes body)
{
    struct aft_plan *there, *back;
    struct aft_error e;
    struct aft_buffer out = {0}, same = {0}, json = {0};
    if (aft_plan_compile(w, r, &there, &e))
        return;
    enum aft_err err = aft_plan_run(there, body, &out, NULL, &e);
    AFT_ASSERT(err == AFT_OK || aft_err_class(err) == AFT_CLASS_DATA);
    AFT_ASSERT(out.n <= AFT_RECORD_BYTES_MAX);
    if (err == AFT_OK && out.n && aft_plan_compile(r, r, &back, &e) == AFT_OK) {
        err = aft_plan_run(back, aft_buffer_bytes(&out), &same, NULL, &e);
        AFT_ASSERT(err == AFT_OK || err == AFT_E_LIMIT);
        AFT_ASSERT(err || aft_same(aft_buffer_bytes(&out), aft_buffer_bytes(&same)));
        err = aft_json_of(r, aft_buffer_bytes(&out), &json, &e);
        AFT_ASSERT(err == AFT_OK || err == AFT_E_LIMIT);
        aft_plan_free(back);
    }
    aft_plan_free(there);
    aft_buffer_deinit(&out);
    aft_buffer_deinit(&same);
    aft_buffer_deinit(&json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    struct aft_schema *w, *r;
    struct aft_error e;
    if (!end)
        return 0;
    struct aft_bytes body = {end + 1, size - (size_t)(end + 1 - data)};
    if (aft_schema_parse((struct aft_bytes){data, (size_t)(end - data)}, &w, &e))
        return 0;
    run(w, w, body);
    for (int i = 0; i < AFT_RECORD_COUNT; i++) {
        if (aft_schema_parse(aft_record_schema((enum aft_record)i), &r, &e))
            AFT_NEVER();
        run(w, r, body);
        aft_schema_free(r);
    }
    aft_schema_free(w);
    return 0;
}
