#!/usr/bin/env python3
"""Vowpal Wabbit and aftertouch on one stream, in one run: decisions per CPU-second, and the true click rate of the greedy arm.

    vw.py [DECISIONS [BUILD]] [--only NAME,...] [--seed N] [--file FILE.vw]
                                               pip install vowpalwabbit==9.11.9 numpy; BUILD: build/release

The stream is bench_learn's (50 arms of 200, 20 x 10 features, `-q UA`), as VW's text. VW reads and learns it by its own parser thread
(the code of its command line); ours is `import vw` with the same options, then `learn` with the configuration that import made of them.
CPU-seconds are of the whole process, reading and decoding included; import is on its own. What both do: score all arms, learn the one
that was shown. Under exploration VW also makes a distribution of the scores; `learn` has nobody to show it to and does not.
--file: another file, with actions that repeat; then there is no truth, and progressive estimates stand in its place (ours: DR).
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np

HOME = pathlib.Path(__file__).resolve().parents[3]
COMMON = "-q UA -b 18"
ROWS = {  # name: VW's options, settings of ours over what import makes of those
    "mtr": ("--cb_adf --cb_type mtr", {}),
    "mtr tuned": ("--cb_adf --cb_type mtr -l 0.05", {}),
    "mtr, ours unweighted": ("--cb_adf --cb_type mtr -l 0.05", {"learner.weighting": "none"}),
    "ips": ("--cb_adf --cb_type ips", {}),
    "ips tuned": ("--cb_adf --cb_type ips -l 0.05", {}),
    "dr": ("--cb_adf --cb_type dr", {}),
    "dr tuned": ("--cb_adf --cb_type dr -l 0.05", {}),
    "epsilon": ("--cb_explore_adf --cb_type mtr -l 0.05 --epsilon 0.05", {}),
    "squarecb": ("--cb_explore_adf --cb_type mtr -l 0.05 --squarecb --cb_min_cost -1 --cb_max_cost 0", {}),
    "softmax": ("--cb_explore_adf --cb_type mtr -l 0.05 --softmax --lambda 10", {}),
    "bag": ("--cb_explore_adf --cb_type mtr -l 0.05 --bag 5", {}),
    "cover": ("--cb_explore_adf --cb_type mtr -l 0.05 --cover 3", {}),
    "regcb": ("--cb_explore_adf --cb_type mtr -l 0.05 --regcb --cb_min_cost -1 --cb_max_cost 0", {}),
}


def timed(command):
    """CPU-seconds of a child, and its standard output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def vw_child(options, out):
    """In a process of its own: VW over its file, its average loss and CPU-seconds as JSON."""
    import vowpalwabbit
    start = resource.getrusage(resource.RUSAGE_SELF)
    w = vowpalwabbit.Workspace(f"{options} --quiet" + (f" -p {out}" if out else ""))
    loss = w.get_sum_loss() / w.get_weighted_examples()
    w.finish()
    end = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"loss": loss, "cpu": end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime}))


def vw(data, file, options, truth, timing=True):
    command = [sys.executable, __file__, "--child", f"{COMMON} {options} -d {file}"]
    told = json.loads(timed(command)[1]) if timing else {"cpu": None}
    if truth is None:
        return told["cpu"], -told["loss"], None
    timed(command + [str(data / "vw.out")])  # again, for what it would have shown
    lines = [line for line in (data / "vw.out").read_text().splitlines() if line.strip()]
    arms = [int(max((pair.split(":") for pair in line.split(" ")[0].split(",")), key=lambda p: float(p[1]) if len(p) > 1 else 1)[0]) if ":" in line
            else int(line.split(",")[0]) for line in lines]
    return told["cpu"], *rates(truth, arms)


def rates(truth, arms):
    arms = np.maximum(np.array(arms[:len(truth)]), 0)
    rate = truth[np.arange(len(arms)), arms]
    return rate.mean(), rate[-max(1, len(rate) // 10):].mean()


def ours(program, data, file, options, settings, truth):
    examples, config = data / "ours.avro", data / "ours.conf"
    importing, _ = timed([program, "import", "vw", file, "--examples", examples, "--out-config", config, "--vw", f"{COMMON} {options}"])
    missing = [line for line in config.read_text().splitlines() if "is left out" in line]
    command = [program, "learn", "--json", "--config", config, "--examples", examples, "--snapshot", data / "ours.snapshot"]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    cpu, told = timed(command)
    if truth is None:
        return importing, cpu, missing, json.loads(told)["progressive"]["dr"], None
    timed(command + ["--greedy", data / "greedy"])
    return importing, cpu, missing, *rates(truth, [int(x) for x in (data / "greedy").read_text().split()])


def compare(data, program, file, n, truth, names):
    for name in names:
        options, settings = ROWS[name]
        importing, cpu, missing, mine, mine_last = ours(program, data, file, options, settings, truth)
        peer, rate, last = vw(data, file, options, truth)
        quality = (f"true click rate {rate:.4f} against {mine:.4f} progressive, {last:.4f} against {mine_last:.4f} last tenth" if truth is not None
                   else f"progressive value {rate:.5f} against {mine:.5f}")
        print(f"{name}: vw {n / peer:.0f} decisions/cpu-s, aftertouch {n / cpu:.0f} from its file ({n / importing:.0f} imported), {peer / cpu:.1f} times; "
              f"{quality}", flush=True)
        for line in missing:
            print(f"    {line}", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("decisions", nargs="?", type=int, default=200000)
    p.add_argument("build", nargs="?", type=pathlib.Path, default=HOME / "build/release")
    p.add_argument("--only")
    p.add_argument("--seed", type=int, default=20261123)
    p.add_argument("--file", type=pathlib.Path)
    p.add_argument("--child", nargs="+")
    a = p.parse_args()
    if a.child:
        return vw_child(a.child[0], a.child[1] if len(a.child) > 1 else None)
    names = a.only.split(",") if a.only else list(ROWS)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA")) as folder:
        data, truth, file, n = pathlib.Path(folder), None, a.file, a.decisions
        if not file:
            subprocess.run([a.build / "bench/bench_learn", str(n), str(a.seed), folder], check=True)
            file, truth = data / "syn.vw", np.fromfile(data / "truth.f32", "<f4").reshape(-1, 50)
        else:
            n = sum(1 for line in file.open() if not line.strip())
        compare(data, a.build.resolve() / "bin/aftertouch", file, n, truth, names)


if __name__ == "__main__":
    main()
