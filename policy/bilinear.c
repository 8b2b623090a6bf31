/* bilinear.c - a table of rows (things of the arm) by columns (terms of the context). One thread while it changes.
 * Invariants: I1 stride is a multiple of 8, floats beyond the used columns are 0; I2 rows x stride <= cells. */
#include <stdlib.h>

#include "policy/policy.h"

void
aft_bilinear_init(struct aft_bilinear *m, uint32_t bits)
{
    *m = (struct aft_bilinear){.cells = 1u << bits};
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

/* Lanes 0-3 and 4-7, then (0+4)+(2+6) + (1+5)+(3+7): the order is the same whatever the machine has. */
typedef float lanes __attribute__((vector_size(16)));

float
aft_bilinear_dot(const float *a, const float *b, uint32_t stride)
{
    lanes low = {0}, high = {0}, x, y;
    for (uint32_t i = 0; i < stride; i += 8) {
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        low += x * y;
        memcpy(&x, a + i + 4, sizeof x);
        memcpy(&y, b + i + 4, sizeof y);
        high += x * y;
    }
    low += high;
    return (low[0] + low[2]) + (low[1] + low[3]);
}

void
aft_weights_deinit(struct aft_weights *w)
{
    aft_linear_deinit(&w->linear);
    aft_bilinear_deinit(&w->bilinear);
}
