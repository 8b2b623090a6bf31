#!/usr/bin/env python3
"""Vowpal Wabbit on the stream of bench_learn: decisions per CPU-second, and the true click rate of its greedy arm.

    vw.py [DECISIONS [BUILD]]     pip install vowpalwabbit==9.11.9 numpy; BUILD: build/release

The file is read and learned by VW's own parser thread (the code of its command line). Default rate and the tuned one (0.05).
"""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np
import vowpalwabbit

HOME = pathlib.Path(__file__).resolve().parents[3]
RULES = {"default": "", "tuned": " -l 0.05"}


def cpu():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def run(data, n, name, rate):
    base = f"--cb_adf --cb_type mtr -q UA -b 18 --quiet -d {data}/syn.vw{rate}"
    start = cpu()
    vowpalwabbit.Workspace(base).finish()
    speed = n / (cpu() - start)
    vowpalwabbit.Workspace(f"{base} -p {data}/out").finish()  # again, for what it would have shown
    truth = np.fromfile(data / "truth.f32", "<f4").reshape(-1, 50)
    shown = [int(line.split(":", 1)[0]) for line in (data / "out").read_text().splitlines() if line.strip()]
    rates = truth[np.arange(n), shown]
    print(f"vw {name}: {speed:.0f} decisions/cpu-s; true click rate {rates.mean():.4f} progressive, {rates[-(n // 10):].mean():.4f} last tenth", flush=True)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
    build = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HOME / "build/release"
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA")) as folder:
        data = pathlib.Path(folder)
        subprocess.run([build / "bench/bench_learn", str(n), "20261123", folder], check=True)
        for name, rate in RULES.items():
            run(data, n, name, rate)


if __name__ == "__main__":
    main()
