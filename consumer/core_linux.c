/* core_linux.c - a thread and all that it starts on one core.
 *
 * A record is written by the client's thread and read by the worker's. On two cores its lines of cache change hands, on one they don't:
 * an event costs a tenth less, and the thread that fetches takes from the worker a quarter of its core.
 * In: the core on which the caller runs. Out: its affinity; threads inherit it from the one that creates them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "consumer/consumer.h"

enum aft_err
aft_one_core(int *core, struct aft_error *e)
{
    cpu_set_t one;
    *core = sched_getcpu();
    if (*core < 0 || *core >= CPU_SETSIZE)
        return AFT_FAIL(
            e, AFT_E_CONFIG,
            "the system does not tell on which core a thread runs: unset join.one.core");
    CPU_ZERO(&one);
    CPU_SET(*core, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        return AFT_FAIL(e, AFT_E_CONFIG,
                        "the system keeps no thread on core %d (%s): unset join.one.core", *core,
                        strerror(errno));
    return AFT_OK;
}
