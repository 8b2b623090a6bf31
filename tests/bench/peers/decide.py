#!/usr/bin/env python3
"""Ours beside theirs, in one run, one after the other: a decision among 50 arms, and how many times quicker ours is.

    decide.py BUILD [DECISIONS = 5000]      pip install vowpalwabbit==9.11.9 mabwiser==2.7.4 river==0.26.1 numpy

Ours is bench_client: from an engine's request to a slate of three with all probabilities. Vowpal Wabbit (vw_decide.py) gets parsed examples
and gives the probabilities of one slot; MABWiser and River (linucb.py) give the one arm. Their times hold the Python call, some microseconds.
"""
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TIMES = re.compile(r"^(.*?):?\s+p50\s+([\d.]+) us, p99\s+([\d.]+) us(?:, mean\s+([\d.]+) us)?")
RATE = re.compile(r"^(.*): (\d+) /s$")
PAIRS = [  # theirs, ours: p50 over p50
    ("vw --epsilon 0.05, parsed before", "linear, greedy, 20 + 80, a catalogue"),
    ("vw --epsilon 0.05, parsed before", "swapped, linear, greedy, 20 + 80, a catalogue"),
    ("vw --softmax --lambda 10, parsed before", "linear, softmax, 20 + 80, a catalogue"),
    ("vw --softmax --lambda 10, parsed before", "linear, softmax, 20 + 80, candidates each time"),
    ("vw --softmax --lambda 10, from text", "linear, softmax, 20 + 80, candidates each time"),
    ("vw --squarecb, parsed before", "linear, squarecb, 20 + 80, a catalogue"),
]
RATES = [  # theirs, ours: microseconds a decision, on average
    ("mabwiser LinUCB decide", "LinUCB, an arm each, d = 50"),
    ("mabwiser LinTS decide", "Thompson, an arm each, d = 50"),
    ("river LinUCBDisjoint decide", "LinUCB, an arm each, d = 50"),
]


def run(*command):
    """The lines of one program, shown as they come."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            yield line.rstrip("\n")
    assert process.returncode == 0, f"{command} ended with {process.returncode}"


def main():
    bench, n = pathlib.Path(sys.argv[1]) / "bench/bench_client", sys.argv[2] if len(sys.argv) > 2 else "5000"
    p50, mean = {}, {}
    print(f"load {os.getloadavg()[0]:.1f} at the start")
    for command in ([bench, n], [sys.executable, HERE / "vw_decide.py", "1500"], [sys.executable, HERE / "linucb.py"]):
        for line in run(*map(str, command)):
            if m := TIMES.match(line):
                p50[m[1]], mean[m[1]] = float(m[2]), float(m[4] or 0)
            elif m := RATE.match(line):
                mean[m[1]] = 1e6 / float(m[2])
    print(f"load {os.getloadavg()[0]:.1f} at the end", "| theirs | us | ours | us | ratio |", "|---|---|---|---|---|", sep="\n")
    for pairs, figure, unit in ((PAIRS, p50, "p50"), (RATES, mean, "mean")):
        for theirs, ours in pairs:
            if theirs in figure:
                print(f"| {theirs} | {figure[theirs]:.1f} {unit} | {ours} | {figure[ours]:.2f} | {figure[theirs] / figure[ours]:.0f} |")
            else:
                print(f"| {theirs} | not installed | {ours} | {figure[ours]:.2f} | |")


if __name__ == "__main__":
    main()
