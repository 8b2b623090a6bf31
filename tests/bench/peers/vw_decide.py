#!/usr/bin/env python3
"""Vowpal Wabbit's decision, in process: 50 arms x about 100 features, p50 and p99 from text and from parsed examples.

    vw_decide.py [DECISIONS]      pip install vowpalwabbit==9.11.9 numpy
"""
import random
import sys
import time

import numpy as np
import vowpalwabbit

ARMS = 50
POLICIES = ("--epsilon 0.05", "--squarecb", "--softmax --lambda 10")


def features(prefix, n):
    return " ".join(f"{prefix}{j}:{random.random():.3f}" for j in range(n))


def context():
    return ["shared |U " + features("u", 20)] + ["|A " + features("a", 80) for _ in range(ARMS)]


def measure(what, decide, inputs):
    took = []
    for x in inputs:
        start = time.perf_counter_ns()
        decide(x)
        took.append((time.perf_counter_ns() - start) / 1e3)
    print(f"vw {what}: p50 {np.percentile(took, 50):.1f} us, p99 {np.percentile(took, 99):.1f} us", flush=True)


def main():
    random.seed(7)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    contexts = [context() for _ in range(n)]
    for policy in POLICIES:
        vw = vowpalwabbit.Workspace(f"--cb_explore_adf {policy} --cb_type mtr --quiet -b 18")
        for c in contexts[:300]:
            arm = random.randrange(ARMS)
            vw.learn([*c[: arm + 1], f"0:{-random.randrange(2)}:0.02 {c[arm + 1]}", *c[arm + 2 :]])
        measure(f"{policy}, from text", vw.predict, contexts)
        parsed = [vw.parse(c) for c in contexts]
        measure(f"{policy}, parsed before", vw.predict, parsed)
        for p in parsed:
            vw.finish_example(p)
        vw.finish()


if __name__ == "__main__":
    main()
