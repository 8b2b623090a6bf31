/* bilinear.c - a table of rows (things of the arm) by columns (terms of the context). One thread while it changes.
 * Invariants: I1 stride is a multiple of 8, floats beyond the used columns are 0; I2 rows x stride <= cells. */
#include <stdlib.h>

#include "policy/policy.h"

void
aft_bilinear_init(struct aft_bilinear *m, uint32_t bits, uint32_t members)
{
    *m = (struct aft_bilinear){.cells = 1u << bits, .members = members};
}

void
aft_bilinear_deinit(struct aft_bilinear *m)
{
    aft_dict_deinit(&m->rows);
    aft_dict_deinit(&m->columns);
    free(m->w);
    free(m->v);
    *m = (struct aft_bilinear){0};
}

float
aft_bilinear_dot(const float *a, const float *b, uint32_t stride)
{
    return aft_dot8(a, b, stride);
}

void
aft_weights_init(struct aft_weights *w, enum aft_model_kind kind, uint32_t members)
{
    AFT_ASSERT(members >= 1 && members <= AFT_MEMBERS_MAX);
    *w = (struct aft_weights){.kind = kind, .members = members, .voters = members};
}

void
aft_weights_deinit(struct aft_weights *w)
{
    aft_linear_deinit(&w->linear);
    aft_bilinear_deinit(&w->bilinear);
}
