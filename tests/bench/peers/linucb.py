#!/usr/bin/env python3
"""LinUCB and its kin elsewhere, d = 50, 50 arms, one at a time: MABWiser and River, decisions and updates per second.

    linucb.py                     pip install mabwiser==2.7.4 river==0.26.1 numpy
"""
import time
import warnings

import numpy as np

D, ARMS, SEEN = 50, 50, 5000


def per_second(what, n, work):
    start = time.perf_counter()
    for i in range(n):
        work(i)
    print(f"{what}: {n / (time.perf_counter() - start):.0f} /s", flush=True)


def mabwiser(x, arm, reward):
    from mabwiser.mab import MAB, LearningPolicy

    for name, policy in (("LinUCB", LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0)), ("LinTS", LearningPolicy.LinTS(alpha=1.0, l2_lambda=1.0))):
        m = MAB(list(range(ARMS)), policy, seed=1)
        m.fit(arm.tolist(), reward.tolist(), x)
        per_second(f"mabwiser {name} decide", 500, lambda i: m.predict(x[i : i + 1]))
        per_second(f"mabwiser {name} update", 200, lambda i: m.partial_fit([int(arm[i])], [float(reward[i])], x[i : i + 1]))


def river(x, arm, reward):
    from river import bandit

    rows = [{f"x{j}": float(v) for j, v in enumerate(row)} for row in x[:500]]
    policy = bandit.LinUCBDisjoint(alpha=1.0, seed=1)
    arms = list(range(ARMS))
    per_second("river LinUCBDisjoint update", 500, lambda i: policy.update(int(arm[i]), rows[i], float(reward[i])))
    per_second("river LinUCBDisjoint decide", 100, lambda i: policy.pull(arms, context=rows[i]))


def main():
    warnings.filterwarnings("ignore")
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, (SEEN, D))
    arm, reward = rng.integers(0, ARMS, SEEN), rng.integers(0, 2, SEEN).astype(float)
    for peer in (mabwiser, river):
        try:
            peer(x, arm, reward)
        except ImportError as e:
            print(f"{e.name} is not installed")


if __name__ == "__main__":
    main()
