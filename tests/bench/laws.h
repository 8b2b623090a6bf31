/* laws.h - the twelve laws of bench_streams and peers/vw_streams.py: ten of one kind, two that no bilinear model can say. */
#ifndef AFT_TESTS_BENCH_LAWS_H
#define AFT_TESTS_BENCH_LAWS_H

#include "tests/bench/stream.h"

static const struct stream_law laws[] = {
    {.name = "base", .seed = 20261123},
    {.name = "s1", .seed = 1},
    {.name = "s2", .seed = 2},
    {.name = "low", .seed = 3, .bias = -3.4, .crosses = .5},
    {.name = "drift", .seed = 4, .drift = .7},
    {.name = "eps05", .seed = 5, .epsilon = .05},
    {.name = "pl", .seed = 6, .epsilon = .05, .temperature = 1},
    {.name = "onehot", .seed = 7, .one_hot = true},
    {.name = "scale", .seed = 8, .scaled = true},
    {.name = "idint", .seed = 9, .identity = .3},
    {.name = "steps", .seed = 10, .truth = STREAM_STEPS},
    {.name = "waves", .seed = 11, .truth = STREAM_WAVES},
};
enum { LAWS = sizeof laws / sizeof *laws, ALIKE = 10 };

#endif
