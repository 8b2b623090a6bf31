/* decoders.c - for speed: a scenario opens a dozen tasks, and each would parse its four schemas again, ten times dearer than all the
 * rest. The linker (--wrap, tests/CMakeLists.txt) leads a task's aft_decoder_new and aft_decoder_free here: a decoder that was given
 * back is used again. It knows nothing but plans of schemas, and with no registry nothing that a scenario could change.
 */
#include "tests/sim/world.h"

enum { KEPT_MAX = 64 };
static struct kept {
    enum aft_record record;
    bool used;
    struct aft_decoder *decoder;
} kept[KEPT_MAX];

enum aft_err __real_aft_decoder_new(enum aft_record r, struct aft_schema_port port,
                                    struct aft_decoder **out, struct aft_error *e);
void __real_aft_decoder_free(struct aft_decoder *d);
enum aft_err __wrap_aft_decoder_new(enum aft_record r, struct aft_schema_port port,
                                    struct aft_decoder **out, struct aft_error *e);
void __wrap_aft_decoder_free(struct aft_decoder *d);

enum aft_err
__wrap_aft_decoder_new(enum aft_record r, struct aft_schema_port port, struct aft_decoder **out,
                       struct aft_error *e)
{
    AFT_ASSERT(!port.by_id && !port.by_fingerprint);
    for (int i = 0; i < KEPT_MAX; i++) {
        if (kept[i].used || (kept[i].decoder && kept[i].record != r))
            continue;
        if (!kept[i].decoder)
            AFT_TRY(__real_aft_decoder_new(r, port, &kept[i].decoder, e));
        kept[i].record = r;
        kept[i].used = true;
        *out = kept[i].decoder;
        return AFT_OK;
    }
    AFT_NEVER();
}

void
__wrap_aft_decoder_free(struct aft_decoder *d)
{
    int i = 0;
    if (!d)
        return;
    while (i < KEPT_MAX && kept[i].decoder != d)
        i++;
    AFT_ASSERT(i < KEPT_MAX && kept[i].used);
    kept[i].used = false;
}
