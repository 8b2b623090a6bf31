#!/usr/bin/env python3
"""The demo as its first user sees it: it ends well, one seed gives one digest, another gives another, it is worth something,
and README.md shows what it prints.

    demo.py AFTERTOUCH [SEED]
"""
import json
import pathlib
import subprocess
import sys
import time


SIZE = 20  # the demo's own measure of how many participants; its default takes twice as long


def demo(program, seed):
    begin = time.monotonic()
    done = subprocess.run([program, "demo", "--json", "--seed", str(seed), "--seconds", str(SIZE)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    result = json.loads(done.stdout.strip().splitlines()[-1])
    result.pop("elapsed_s")  # all else is a function of the seed
    print(f"seed {seed}: {time.monotonic() - begin:.1f} s, digest {result['digest'][:16]}, uplift {result['uplift']}, fates {result['fates']}")
    return result


def as_the_readme_says(program):
    """Every line that README.md shows of the demo's screen is printed, in that order; how long it took is the machine's."""
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = readme.split("What one sees at the end:")[1].split("```")[1].strip().splitlines()
    done = subprocess.run([program, "demo"], capture_output=True, text=True, timeout=600, check=True)
    printed = iter([line.rstrip() for line in done.stdout.splitlines()])
    for line in shown:
        line = line.split(", in ")[0].rstrip()
        if line and not line.startswith("..."):
            assert any(p.split(", in ")[0].rstrip() == line for p in printed), f"README.md shows a line that the demo doesn't print, there:\n  {line}"
    print(f"README.md's {len(shown)} lines of the demo are what it prints")


def main():
    program, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20261123
    first, again, other = demo(program, seed), demo(program, seed), demo(program, seed + 1)
    assert first == again, f"one seed, two results:\n  {first}\n  {again}"
    assert first["digest"] != other["digest"], "two seeds, one digest"
    for result in (first, other):
        for measure in ("ctr", "value"):
            uplift = result["uplift"][measure]
            assert 0 < uplift["low"] <= uplift["estimate"] <= uplift["high"], f"uplift in {measure}: {uplift}"
    assert first["fates"]["credited"] > 0, first["fates"]
    as_the_readme_says(program)


if __name__ == "__main__":
    main()
