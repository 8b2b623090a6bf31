#!/usr/bin/env python3
"""The joiner against the oracle, without container files.

    golden_join.py FIRST LAST GOLDEN_JOIN      each seed twice: in order; with random arrival, batches, commits and crashes
"""
import json
import os
import subprocess
import sys
import tempfile

from join_cases import make
from join_oracle import join


def write(d, config, imps, outs, clock):
    json.dump(config, open(os.path.join(d, "config.json"), "w"))
    for name, rows in (("impressions", imps), ("outcomes", outs), ("clock", clock)):
        open(os.path.join(d, name + ".jsonl"), "w").writelines(json.dumps(x) + "\n" for x in rows)


def compare(seed, want, dead, lines):
    got = [json.loads(line) for line in lines]
    tail = got.pop()
    for n, (w, g) in enumerate(zip(want.out, got)):
        if w != g:
            return f"seed {seed}, example {n}:\n  want {json.dumps(w)}\n  got  {json.dumps(g)}"
    if len(got) != len(want.out):
        return f"seed {seed}: {len(got)} examples, {len(want.out)} wanted"
    for name, w in (("fates", want.fates), ("counts", want.counts)):
        g = {k: v for k, v in tail[name].items() if v}
        w = {k: v for k, v in w.items() if v}
        if g != w:
            return f"seed {seed}: {name}\n  want {dict(sorted(w.items()))}\n  got  {dict(sorted(g.items()))}"
    return None if tail["dead"] == len(dead) else f"seed {seed}: {tail['dead']} dead, {len(dead)} wanted"


def main():
    first, last, golden = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    examples = 0
    with tempfile.TemporaryDirectory() as d:
        for seed in range(first, last + 1):
            case = make(seed)
            want, dead = join(*case)
            write(d, *case)
            for wild in ("0", str(seed + 1), str(seed + 1_000_000)):
                done = subprocess.run([golden, d, wild], capture_output=True, text=True)
                wrong = (f"seed {seed} (arrival {wild}): exit {done.returncode}: {done.stderr[-300:]}" if done.returncode
                         else compare(f"{seed} (arrival {wild})", want, dead, done.stdout.splitlines()))
                if wrong:
                    sys.exit(wrong)
            examples += len(want.out)
    print(f"seeds {first}..{last}: {examples} examples agree")


if __name__ == "__main__":
    main()
