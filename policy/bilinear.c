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

AFT_WIDE void
aft_bilinear_dots(const float *const a[2], const float *const b[2], uint32_t stride, float out[2])
{
    aft_wide_floats sum = {0}, other = {0}, x, y;
    for (uint32_t i = 0; i < stride; i += 8) {
        memcpy(&x, a[0] + i, sizeof x);
        memcpy(&y, b[0] + i, sizeof y);
        sum += x * y;
        memcpy(&x, a[1] + i, sizeof x);
        memcpy(&y, b[1] + i, sizeof y);
        other += x * y;
    }
    out[0] = aft_lanes_sum(&sum);
    out[1] = aft_lanes_sum(&other);
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
