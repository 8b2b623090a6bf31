#!/usr/bin/env python3
"""Vowpal Wabbit itself on the twelve streams of tests/bench/laws.h, beside ours with its defaults: true click rate of the greedy arm before
each decision was learned, of all and of the last tenth, and the ratio of regrets. One line a stream, then the geometric mean of the first ten.

    vw_streams.py [DECISIONS [BUILD]] [--only NAME,...] [--vw OPTIONS]       pip install vowpalwabbit==9.11.9 numpy; BUILD: build/release

OPTIONS: by default `--cb_adf --cb_type mtr -l 0.05`, whose rate was its best on the first stream. VW reads the stream as text, 1.3 GB for the
200,000 decisions of a stream (in BENCH_DATA, or the temporary folder); ours is bench_streams.
"""
import argparse
import math
import os
import pathlib
import re
import subprocess
import tempfile

import numpy as np
import vw

NAMES = ["base", "s1", "s2", "low", "drift", "eps05", "pl", "onehot", "scale", "idint", "steps", "waves"]
ALIKE = 10


def theirs(build, name, n, options):
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA")) as folder:
        data = pathlib.Path(folder)
        subprocess.run([build / "bench/bench_learn", str(n), name, folder], check=True)
        truth = np.fromfile(data / "truth.f32", "<f4").reshape(-1, 50)
        _, rate, last = vw.vw(data, data / "syn.vw", options, truth, timing=False)
        return rate, last, truth.max(axis=1).mean()


def ours(build, name, n):
    line = subprocess.run([build / "bench/bench_streams", str(n), name], capture_output=True, text=True, check=False).stdout.splitlines()[0]
    found = re.search(r"best ([\d.]+)\s+ours ([\d.]+) / ([\d.]+)", line)
    return [float(x) for x in found.groups()]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("decisions", nargs="?", type=int, default=200000)
    p.add_argument("build", nargs="?", type=pathlib.Path, default=vw.HOME / "build/release")
    p.add_argument("--only")
    p.add_argument("--vw", default="--cb_adf --cb_type mtr -l 0.05")
    a = p.parse_args()
    ratios = {}
    for name in a.only.split(",") if a.only else NAMES:
        best, mine, mine_last = ours(a.build, name, a.decisions)
        rate, last, same = theirs(a.build, name, a.decisions, a.vw)
        assert abs(best - same) < 2e-4, f"{name}: not the same stream: {best} and {same} are possible"
        ratios[name] = (best - mine) / (best - rate)
        print(f"{name:7} best {best:.4f}   ours {mine:.4f} / {mine_last:.4f}   VW {rate:.4f} / {last:.4f}   ratio of regrets {ratios[name]:.2f}", flush=True)
    alike = [r for name, r in ratios.items() if name in NAMES[:ALIKE]]
    if alike:
        print(f"geometric mean of {len(alike)}: {math.exp(sum(map(math.log, alike)) / len(alike)):.2f}, worst {max(alike):.2f}")


if __name__ == "__main__":
    main()
