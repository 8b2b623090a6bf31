#!/usr/bin/env python3
"""Vowpal Wabbit and aftertouch in the closed loop of the simulated world: click rates over seeds, with intervals.

    vw_loop.py [BUILD] [--seeds N] [--participants N] [--only "NAME;..."]       pip install vowpalwabbit==9.11.9; BUILD: build/release

Each decides one tile a visit with what it knew at the day's beginning, and learns the day when it is over (bench/bench_loop.c). The same
seed is the same world for both; the interval is of the mean of the differences over the seeds (Student's t, 95 %). VW is tuned as on
the stream (-l 0.05; -q ua); ours has its defaults, with no weights. Regret is the best click rate there is less the one that came.
"""
import argparse
import math
import pathlib
import random
import statistics
import subprocess
import sys

import vowpalwabbit

HOME = pathlib.Path(__file__).resolve().parents[3]
T95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262, 20: 2.093}  # by seeds
COMMON = "--cb_explore_adf --cb_type mtr -q ua -b 18 -l 0.05 --quiet"
RANGE = "--cb_min_cost -1 --cb_max_cost 0"
ROWS = {  # VW's options; our policy.explore and settings
    "epsilon": ("--epsilon 0.05", "epsilon", ["policy.epsilon=0.05"]),
    "first": ("--first 500", "first", ["policy.first=500", "policy.epsilon=1e-6"]),
    "softmax": ("--softmax --lambda 10", "softmax", ["policy.temperature=0.1", "policy.epsilon=0.05"]),
    "squarecb": (f"--squarecb {RANGE}", "squarecb", ["policy.epsilon=1e-6"]),
    "regcb": (f"--regcb {RANGE}", "regcb-elim", ["policy.epsilon=1e-6"]),
    "regcb, c0 0.01": (f"--regcb --mellowness 0.01 {RANGE}", "regcb-elim", ["policy.epsilon=1e-6", "policy.c0=0.01"]),
    "regcb, c0 0.001": (f"--regcb --mellowness 0.001 {RANGE}", "regcb-elim", ["policy.epsilon=1e-6", "policy.c0=0.001"]),
    "bag": ("--bag 5", "bagging", ["learner.members=5", "policy.epsilon=0.05"]),
    "cover": ("--cover 3", "cover", ["learner.members=3", "learner.model=flow-squared", "policy.epsilon=0.05"]),
}


def event(lines):
    """The lines of an event up to its empty one."""
    out = []
    for line in lines:
        if not line.strip():
            break
        out.append(line.rstrip("\n"))
    return out


def vw_run(bench, options, seed, participants):
    w = vowpalwabbit.Workspace(f"{COMMON} {options} --random_seed {seed}")
    draw = random.Random(seed)
    child = subprocess.Popen([bench, "pipe", str(seed), str(participants)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while True:
        line = child.stdout.readline()
        if line.startswith("P"):
            p = [max(0.0, x) for x in w.predict(event(child.stdout))]
            total = sum(p)
            chosen = draw.choices(range(len(p)), p)[0]
            child.stdin.write(f"{chosen} {p[chosen] / total:.9g}\n")
            child.stdin.flush()
        elif line.startswith("L"):
            w.learn(event(child.stdout))
        else:
            break
    child.wait()
    w.finish()
    return [float(x) for x in line.split()[1:]]


def ours_run(bench, explore, settings, seed, participants):
    done = subprocess.run([bench, "ours", explore, str(seed), str(participants), *settings], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return [float(x) for x in done.stdout.split()]


def compare(bench, name, seeds, participants):
    options, explore, settings = ROWS[name]
    rates = []
    for seed in range(1, seeds + 1):
        try:
            mine = ours_run(bench, explore, settings, seed, participants)
        except RuntimeError as e:
            print(f"{name}: {e}", flush=True)
            return
        theirs = vw_run(bench, options, seed, participants)
        rates.append((theirs[0] / theirs[1], mine[0] / mine[1]))
    differences = [b - a for a, b in rates]
    half = T95.get(seeds, 1.96) * statistics.stdev(differences) / math.sqrt(seeds) if seeds > 1 else math.nan
    print(f"{name}: click rate vw {statistics.mean(a for a, _ in rates):.4f}, aftertouch {statistics.mean(b for _, b in rates):.4f}, "
          f"difference {statistics.mean(differences):+.4f} +- {half:.4f} over {seeds} worlds", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", nargs="?", type=pathlib.Path, default=HOME / "build/release")
    p.add_argument("--seeds", type=int, default=10)
    p.add_argument("--participants", type=int, default=600)
    p.add_argument("--only")
    a = p.parse_args()
    bench = a.build.resolve() / "bench/bench_loop"
    if not bench.exists():
        sys.exit(f"{bench} is not there: build the benchmarks first")
    for name in a.only.split(";") if a.only else ROWS:
        compare(bench, name, a.seeds, a.participants)


if __name__ == "__main__":
    main()
