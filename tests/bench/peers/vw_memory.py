#!/usr/bin/env python3
"""Vowpal Wabbit and aftertouch from memory, in turns of some 50 ms on one core: decisions per CPU-second of learning alone.

    vw_memory.py [SECONDS [BUILD]] [--core N] [--only "NAME;..."] [--json FILE]  pip install vowpalwabbit==9.11.9; BUILD: build/release

The stream is bench_learn's (50 arms of 200, 20 x 10 features, `-q UA`). What both do: score all arms, learn the one that was shown.
Ours: bench_learn, examples made beforehand, so many at a time as it is asked for. VW in two ways:
  parsed   ten decisions parsed beforehand, then learned one by one from Python, given back, the next ten: CPU time of the learning
  thread   VW's own driver over its file, as its command line runs it, stopped after each turn: CPU time of the thread that learns, on
           that core; its parser has another
Both have learned WARM decisions before. Turns are paired, in an order that is drawn, so that both meet the machine as it is: given are
the ratio of the sums, the median of the pairs and their quartiles, and an interval of the median (95 %, bootstrap).
"""
import argparse
import contextlib
import itertools
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HOME = pathlib.Path(__file__).resolve().parents[3]
BATCH, SLICE_S, WARM, FILE = 10, 0.05, 5000, 20000
COMMON = "-q UA -b 18 --quiet"
RANGE = "--cb_min_cost -1 --cb_max_cost 0"
ROWS = {  # name: VW's options, bench_learn's way
    "mtr, ours flow": ("--cb_adf --cb_type mtr -l 0.05", 0),
    "mtr, ours VW's rule (iwr)": ("--cb_adf --cb_type mtr -l 0.05", 2),
    "ips": ("--cb_adf --cb_type ips -l 0.05", 3),
    "dr": ("--cb_adf --cb_type dr -l 0.05", 4),
    "bag 5": ("--cb_explore_adf --cb_type mtr -l 0.05 --bag 5", 10),
    "cover 3": ("--cb_explore_adf --cb_type mtr -l 0.05 --cover 3", 6),
    "softmax": ("--cb_explore_adf --cb_type mtr -l 0.05 --softmax --lambda 10", 7),
    "squarecb": (f"--cb_explore_adf --cb_type mtr -l 0.05 --squarecb {RANGE}", 8),
    "regcb": (f"--cb_explore_adf --cb_type mtr -l 0.05 --regcb {RANGE}", 9),
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


def parsed_child(options, path):
    """Reads how many decisions to learn, a line each; answers CPU-seconds. Begins anew at the file's end."""
    import vowpalwabbit
    w = vowpalwabbit.Workspace(f"{COMMON} {options}")
    source = itertools.cycle(list(events(path)))
    for line in sys.stdin:
        took = 0
        for _ in range(int(line) // BATCH):
            parsed = [w.parse(e) for e in itertools.islice(source, BATCH)]
            from_s = time.process_time()
            for e in parsed:
                w.learn(e)
            took += time.process_time() - from_s
            for e in parsed:
                w.finish_example(e)
        print(took, flush=True)


class Asked:
    """A process that learns so many decisions when it is told to."""

    def __init__(self, command, core):
        self.child = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(self.child.pid, {core})

    def learn(self, n):
        self.child.stdin.write(f"{n}\n")
        self.child.stdin.flush()
        return float(self.child.stdout.readline())

    def slice(self):
        """How many decisions make a turn; after WARM of them."""
        self.learn(min(WARM, 2000))
        each = self.learn(200) / 200
        self.learn(min(WARM, max(0, int(2 / each))))
        return max(BATCH, int(SLICE_S / each) // BATCH * BATCH)

    def end(self):
        self.child.stdin.close()
        self.child.wait()


def paired(a, b, seconds):
    """[(decisions / s of a, of b, decisions and seconds of each)], in turns until both had `seconds`."""
    n, m, pairs, spent = a.slice(), b.slice(), [], 0
    while spent < seconds:
        order = [(0, a, n), (1, b, m)]
        random.shuffle(order)
        took = {k: (x.learn(count), count) for k, x, count in order}
        spent += took[0][0] + took[1][0]
        pairs.append((took[0][1] / took[0][0], took[1][1] / took[1][0], took[0], took[1]))
    return pairs


def thread_pairs(ours, options, path, n, core):
    """VW's driver over its file, stopped and let on again: its learning thread's CPU time over the whole file, ours between. One pair."""
    code = ("import time, vowpalwabbit; print(time.thread_time(), flush=True); "
            f"w = vowpalwabbit.Workspace({f'{COMMON} {options} -d {path}'!r}); w.finish()")
    mine, count = [0.0, 0], ours.slice()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    before = float(child.stdout.readline())  # Python's own start
    task, cpu = pathlib.Path(f"/proc/{child.pid}/task"), 0
    while child.poll() is None:
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until and child.poll() is None:
            time.sleep(0.005)
            for thread in task.iterdir() if task.exists() else []:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread.name), {core if int(thread.name) == child.pid else 1 - core})
            with contextlib.suppress(OSError, IndexError):
                cpu = max(cpu, int((task / str(child.pid) / "schedstat").read_text().split()[0]))
        if child.poll() is None:
            child.send_signal(signal.SIGSTOP)
            mine[0] += ours.learn(count)
            mine[1] += count
            child.send_signal(signal.SIGCONT)
    return n / (cpu / 1e9 - before), mine[1] / max(mine[0], 1e-9)


def interval(values):
    """The median, and 95 % of it by bootstrap."""
    medians = sorted(statistics.median(random.choices(values, k=len(values))) for _ in range(1000))
    return statistics.median(values), medians[25], medians[974]


def thousands(v):
    return f"{v / 1000:.1f} k" if v < 100000 else f"{v / 1000:.0f} k"


def compare(bench, path, seed, seconds, core, name):
    options, way = ROWS[name]
    mine = Asked([bench, 0, seed, way, "asked"], core)
    peer = Asked([sys.executable, __file__, "--child", options, path], core)
    pairs = paired(mine, peer, seconds)
    peer.end()
    ratios = sorted(a / b for a, b, _, _ in pairs)
    sums = [sum(p[2 + k][1] for p in pairs) / sum(p[2 + k][0] for p in pairs) for k in (0, 1)]
    middle, low, high = interval(ratios)
    thread, beside = thread_pairs(mine, options, path, FILE, core)
    mine.end()
    told = {"name": name, "pairs": len(pairs), "ours": sums[0], "parsed": sums[1], "sums": sums[0] / sums[1], "median": middle, "low": low,
            "high": high, "quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]], "thread": thread, "beside": beside,
            "thread_ratio": beside / thread}
    print(f"| {name} | {thousands(sums[1])} | {thousands(thread)} | {thousands(sums[0])} | {told['sums']:.0f} | {middle:.1f} ({low:.1f} to "
          f"{high:.1f}; quartiles {told['quartiles'][0]:.0f}, {told['quartiles'][1]:.0f}) | {beside / thread:.0f} |", flush=True)
    return told


def main():
    p = argparse.ArgumentParser()
    p.add_argument("seconds", nargs="?", type=float, default=20)
    p.add_argument("build", nargs="?", type=pathlib.Path, default=HOME / "build/release")
    p.add_argument("--core", type=int, default=0)
    p.add_argument("--seed", type=int, default=20261123)
    p.add_argument("--only")
    p.add_argument("--json", type=pathlib.Path)
    p.add_argument("--child", nargs=2)
    a = p.parse_args()
    if a.child:
        parsed_child(a.child[0], pathlib.Path(a.child[1]))
        return
    bench, told = a.build.resolve() / "bench/bench_learn", []
    names = a.only.split(";") if a.only else list(ROWS)
    print(f"load {os.getloadavg()[0]:.1f}; {a.seconds:.0f} CPU-seconds a row, turns of {SLICE_S * 1000:.0f} ms; decisions per CPU-s")
    print("| | VW, parsed | VW, thread | ours | sums, to parsed | median of pairs | to thread |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DATA")) as folder:
        subprocess.run([bench, str(FILE), str(a.seed), folder], check=True)
        for name in names:
            told.append(compare(bench, pathlib.Path(folder) / "syn.vw", a.seed, a.seconds, a.core, name))
    print(f"load {os.getloadavg()[0]:.1f}")
    if a.json:
        a.json.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
