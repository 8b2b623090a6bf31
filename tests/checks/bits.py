#!/usr/bin/env python3
"""The same bits everywhere: tests/golden/core_bits.c and the core, by gcc and clang, unoptimised and at -O3, as on CPUs with and without
FMA and AVX2.

    bits.py BUILD [--jobs N]     BUILD: a build tree (its generated/schemas.c is used)

B1  Every build prints the same digests, on every CPU.
B2  There is a line for every kind of model, and no two kinds have the same state.
"""
import argparse
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
VARIANTS = [("gcc", "-O0"), ("gcc", "-O3"), ("clang", "-O0"), ("clang", "-O3")]
CPUS = {"this one": "", "no FMA": "glibc.cpu.hwcaps=-FMA,-FMA4,-FMA_Usable", "no AVX2": "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX,-FMA"}
FLAGS = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", '-DAFT_VERSION="0"', "-ffp-contract=off", "-fno-math-errno", f"-I{ROOT}"]


def sources(build):
    core = [f for folder in ("base", "wire", "policy", "learner") for f in sorted((ROOT / folder).glob("*.c")) if not f.stem.endswith("_avro")]
    return core + [build / "generated" / "schemas.c", ROOT / "tests" / "golden" / "core_bits.c"]


def compile_one(job):
    compiler, level, source, target = job
    wide = ["-mavx2"] if source.stem == "hash_wide" and platform.machine() == "x86_64" else []  # as CMakeLists.txt has it
    done = subprocess.run([compiler, level, *FLAGS, *wide, "-c", str(source), "-o", str(target)], capture_output=True, text=True, check=False)
    return f"{compiler} {level} {source}:\n{done.stderr}" if done.returncode else None


def make(build, where, jobs):
    """{(compiler, level): program}."""
    work, programs = [], {}
    for compiler, level in VARIANTS:
        objects = []
        for source in sources(build):
            objects.append(where / f"{compiler}{level}-{source.parent.name}-{source.stem}.o")
            work.append((compiler, level, source, objects[-1]))
        programs[compiler, level] = objects
    with ThreadPoolExecutor(jobs) as pool:
        wrong = [w for w in pool.map(compile_one, work) if w]
    assert not wrong, "\n".join(wrong)
    for (compiler, level), objects in programs.items():
        program = where / f"bits-{compiler}{level}"
        subprocess.run([compiler, level, *map(str, objects), "-o", str(program), "-lsodium", "-lm"], check=True)
        programs[compiler, level] = program
    return programs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    first, runs = None, 0
    with tempfile.TemporaryDirectory(prefix="aftertouch-bits-") as where:
        for variant, program in make(args.build.resolve(), pathlib.Path(where), args.jobs).items():
            for cpu, tunables in CPUS.items():
                done = subprocess.run([program], env=dict(os.environ, GLIBC_TUNABLES=tunables), capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{variant}, {cpu}: {done.returncode}: {done.stderr}"
                lines = done.stdout.splitlines()
                first = first or (f"{variant}, {cpu}", lines)
                for ours, theirs in zip(lines, first[1]):
                    assert ours == theirs, f"{variant}, {cpu}:\n  {ours}\n{first[0]}:\n  {theirs}"
                assert len(lines) == len(first[1]), f"{variant}, {cpu}: {len(lines)} lines, {first[0]} has {len(first[1])}"
                runs += 1
    states = [line.split() for line in first[1] if line.startswith("learner ")]
    kinds = {words[1] for words in states}
    digests = {words[-1] for words in states if words[2] == "learner.half.life=1h"}
    assert len(kinds) >= 6 and len(digests) == len(kinds), f"{len(digests)} states of {len(kinds)} kinds of models"
    print(f"{runs} runs of {len(VARIANTS)} builds: {len(first[1])} digests each, of {len(kinds)} kinds of models, all the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
