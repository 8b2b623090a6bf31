#!/usr/bin/env python3
"""The demo as its first user sees it: it ends well, one seed gives one digest, another gives another, and it is worth something.

    demo.py AFTERTOUCH [SEED]
"""
import json
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


if __name__ == "__main__":
    main()
