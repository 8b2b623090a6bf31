/* placeholder until written */
#include "cmd/demo.h"
enum aft_err
demo_broker_run(struct aft_config *c, const struct demo_options *o, struct demo_result *out,
                struct aft_error *e)
{
    (void)c;
    (void)o;
    (void)out;
    return AFT_FAIL(e, AFT_E_FAILED, "not yet");
}
