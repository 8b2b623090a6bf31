#!/usr/bin/env python3
"""Runs benchmarks and makes one table of them: each figure is the median of the runs, with their spread beside it.

    table.py BUILD [--quick] [NAME ...]

A benchmark is BUILD/bench/bench_NAME; it prints one line for each thing it measures, words and numbers. Two lines of different runs
are the same thing when their words are alike. Sizes for --quick are in QUICK: a benchmark's own arguments.
"""
import argparse
import collections
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
ELSEWHERE = {"forecast", "loop"}  # programs that others drive: forecast.py, peers/vw_loop.py
QUICK = {"decode": ["2000", "1"], "join": ["20000", "2000", "2000"], "learn": ["4000"], "decide": ["500"]}


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} × {cpu or platform.machine()}, {platform.freedesktop_os_release()['PRETTY_NAME']}, load {load:.1f} at the start"


def versions():
    out = [subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]]
    for library in ("rdkafka", "avro-c", "rocksdb"):
        done = subprocess.run(["pkg-config", "--modversion", library], capture_output=True, text=True, check=False)
        out.append(f"{library} {done.stdout.strip() or 'not there'}")
    return ", ".join(out)


def lines(command):
    """The lines that one run prints, as (words, [numbers as text])."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return [(NUMBER.sub("#", line.rstrip()), NUMBER.findall(line)) for line in done.stdout.splitlines() if NUMBER.search(line)]


def value(text):
    return float(text.replace(",", ""))


def like(number, sample):
    """The number with as many decimals as the sample has."""
    decimals = len(sample.split(".")[1].split("e")[0]) if "." in sample else 0
    return f"{number:,.{decimals}f}"


def medians(runs):
    """(line with medians, spread in per cent) for each thing that every run measured."""
    seen = collections.OrderedDict()
    for run in runs:
        for words, numbers in run:
            seen.setdefault(words, []).append(numbers)
    for words, rows in seen.items():
        columns = list(zip(*rows))
        middle = [statistics.median(map(value, c)) for c in columns]
        spread = max(((max(map(value, c)) - min(map(value, c))) / m * 100 for c, m in zip(columns, middle) if m), default=0)
        parts = words.split("#")
        text = parts[0] + "".join(like(m, c[0]) + rest for m, c, rest in zip(middle, columns, parts[1:]))
        yield re.sub(r" {2,}", " · ", text.strip()), spread


def table(name, command, times):
    runs = [lines(command) for _ in range(times)]
    for text, spread in medians(runs):
        print(f"| {name} | {text} | {spread:.0f} % |", flush=True)


def commands(build, quick):
    """{name: command} of what was built; a benchmark brings its peer along where that is a library."""
    found = {p.name.removeprefix("bench_"): [str(p)] for p in sorted((build / "bench").glob("bench_*")) if p.name.removeprefix("bench_") not in ELSEWHERE}
    for name, arguments in QUICK.items():
        if quick and name in found:
            found[name] += arguments
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_intermixed_args()
    found = commands(args.build, args.quick)
    unknown = set(args.names) - set(found)
    if unknown or not found:
        sys.exit(f"no benchmark {', '.join(sorted(unknown)) or 'at all'}; there are: {', '.join(sorted(found))}")
    times = 1 if args.quick else 3
    print(f"{machine()}; {versions()}; medians of {times}\n\n| benchmark | figures | spread |\n|---|---|---|")
    for name, command in found.items():
        if not args.names or name in args.names:
            table(name, command, times)


if __name__ == "__main__":
    main()
