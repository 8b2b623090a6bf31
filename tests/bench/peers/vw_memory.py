#!/usr/bin/env python3
"""Vowpal Wabbit and aftertouch from memory, in one run: decisions per CPU-second of learning alone, neither reading nor parsing.

    vw_memory.py [DECISIONS [BUILD]] [--rounds N] [--only "NAME;..."]     pip install vowpalwabbit==9.11.9; BUILD: build/release

The stream is bench_learn's (50 arms of 200, 20 x 10 features, `-q UA`). What both do: score all arms, learn the one that was shown.
VW in two ways, each in a process of its own:
  parsed   ten decisions parsed beforehand, then learned one by one from Python, given back, the next ten: CPU time of the learning
  thread   VW's own driver over its file, as its command line runs it: CPU time of the thread that learns, the parser's left out
Ours: bench_learn, examples made beforehand, fifty at a time. Turns alternate, --rounds times. `all`: of all the time, VW's quicker way
against ours, the median and the range. `quickest`: what the quickest tenth of the batches did on either side, the best of the rounds: that
is what is left of both when others disturb. Under exploration VW makes a distribution of the scores, too; for those rows ours is also
given with a whole decision made and drawn from a snapshot besides (`decided`), which is more than VW does.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

HOME = pathlib.Path(__file__).resolve().parents[3]
BATCH = 10
COMMON = "-q UA -b 18 --quiet"
RANGE = "--cb_min_cost -1 --cb_max_cost 0"
ROWS = {  # name: VW's options, bench_learn's way, our decisions for each of VW's
    "mtr, ours flow": ("--cb_adf --cb_type mtr -l 0.05", 0, 10),
    "mtr, ours VW's rule (iwr)": ("--cb_adf --cb_type mtr -l 0.05", 2, 10),
    "ips": ("--cb_adf --cb_type ips -l 0.05", 3, 4),
    "dr": ("--cb_adf --cb_type dr -l 0.05", 4, 4),
    "bag 5": ("--cb_explore_adf --cb_type mtr -l 0.05 --bag 5", 10, 4),
    "cover 3": ("--cb_explore_adf --cb_type mtr -l 0.05 --cover 3", 6, 2),
    "softmax": ("--cb_explore_adf --cb_type mtr -l 0.05 --softmax --lambda 10", 7, 10),
    "squarecb": (f"--cb_explore_adf --cb_type mtr -l 0.05 --squarecb {RANGE}", 8, 10),
    "regcb": (f"--cb_explore_adf --cb_type mtr -l 0.05 --regcb {RANGE}", 9, 10),
}


def events(path):
    """Lists of lines, one a decision."""
    out = []
    for line in path.open():
        if line.strip():
            out.append(line.rstrip("\n"))
        elif out:
            yield out
            out = []


def quickest(took, each):
    """What the quickest tenth of the times did at least, each for so many."""
    return each / sorted(took)[len(took) // 10]


def vw_parsed(options, path):
    import vowpalwabbit
    w = vowpalwabbit.Workspace(f"{COMMON} {options}")
    all_events, took = list(events(path)), []
    for at in range(0, len(all_events), BATCH):
        parsed = [w.parse(e) for e in all_events[at:at + BATCH]]
        from_s = time.process_time()
        for e in parsed:
            w.learn(e)
        took.append(time.process_time() - from_s)
        for e in parsed:
            w.finish_example(e)
    w.finish()
    return len(all_events) / sum(took), quickest(took, BATCH)


def vw_thread(options, path):
    import vowpalwabbit
    n = sum(1 for _ in events(path))
    from_s = time.thread_time()
    w = vowpalwabbit.Workspace(f"{COMMON} {options} -d {path}")  # runs its driver in this thread, its parser in another
    took = time.thread_time() - from_s
    learned = w.get_weighted_examples()
    w.finish()
    if learned != n:
        raise RuntimeError(f"VW learned {learned} of {n} decisions")
    return n / took, 0


def peer(how, options, path):
    done = subprocess.run([sys.executable, __file__, "--child", how, options, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ours(bench, n, seed, way):
    """Of all the time, of the quickest tenth; the same with decisions, or None."""
    done = subprocess.run([bench, str(n), str(seed), str(way)], capture_output=True, text=True, check=True)
    rates = [(float(x), float(y)) for x, y in re.findall(r": (\d+) decisions/cpu-s, (\d+) in the quickest tenth", done.stdout)]
    return rates[0], rates[1] if len(rates) > 1 else None


def thousands(v):
    return f"{v / 1000:.1f} k" if v < 100000 else f"{v / 1000:.0f} k"


def pair(v, w):
    return f"{thousands(v)} / {thousands(w)}"


def cell(turns, which):
    """Ours, all / quickest; the ratios to VW's."""
    mine = [t[which] for t in turns]
    ratios = sorted(m[0] / max(t[0][0], t[1][0]) for m, t in zip(mine, turns))
    fast = max(m[1] for m in mine), max(t[0][1] for t in turns)
    return (f"{pair(statistics.median(m[0] for m in mine), fast[0])} | {statistics.median(ratios):.0f} ({ratios[0]:.0f} to {ratios[-1]:.0f}) "
            f"/ {fast[0] / fast[1]:.0f}")


def compare(bench, path, n, seed, rounds, name):
    options, way, times = ROWS[name]
    turns = []
    for _ in range(rounds):
        turns.append((peer("parsed", options, path), peer("thread", options, path), *ours(bench, n * times, seed, way)))
    parsed, thread = (statistics.median(t[i][0] for t in turns) for i in range(2))
    print(f"| {name} | {pair(parsed, max(t[0][1] for t in turns))} | {thousands(thread)} | {cell(turns, 2)} "
          f"| {cell(turns, 3) if turns[0][3] else ' | '} |", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("decisions", nargs="?", type=int, default=5000)
    p.add_argument("build", nargs="?", type=pathlib.Path, default=HOME / "build/release")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seed", type=int, default=20261123)
    p.add_argument("--only")
    p.add_argument("--child", nargs=3)
    a = p.parse_args()
    if a.child:
        how, options, path = a.child
        print(json.dumps({"parsed": vw_parsed, "thread": vw_thread}[how](options, pathlib.Path(path))))
        return
    bench = a.build.resolve() / "bench/bench_learn"
    names = a.only.split(";") if a.only else list(ROWS)
    print(f"load {os.getloadavg()[0]:.1f}; VW {a.decisions} decisions a turn, {a.rounds} turns; decisions per CPU-s")
    print("| | VW, parsed: all / quickest | VW, thread | ours | ratio | ours, decided | ratio |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA")) as folder:
        subprocess.run([bench, str(a.decisions), str(a.seed), folder], check=True)
        for name in names:
            compare(bench, pathlib.Path(folder) / "syn.vw", a.decisions, a.seed, a.rounds, name)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
