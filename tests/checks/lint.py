#!/usr/bin/env python3
"""clang-tidy over the product's sources, several at once, with the commands of a clang build; what was clean stays remembered.

    lint.py BUILD [--jobs N] [--cache DIR]      BUILD has compile_commands.json, e.g. build/clang

A file is clean for as long as its bytes, those of every project header it includes, its command, .clang-tidy and the tool's
version are what they were: their digest is a file's name in the cache.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

from tree import FOLDERS, report

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def reached(path, seen):
    """The project's files that path includes, itself too, into seen."""
    if path in seen or not path.is_file():
        return seen
    seen.add(path)
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        reached(ROOT / name, seen)
    return seen


def key(command, version):
    digest = hashlib.sha256((version + command["command"]).encode())
    digest.update((ROOT / ".clang-tidy").read_bytes())
    for path in sorted(reached(pathlib.Path(command["file"]), set())):
        digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def lint(command, build, cache, version):
    """The findings of one file, empty when it is clean."""
    mark = cache / key(command, version)
    if mark.exists():
        return ""
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), command["file"]], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        mark.touch()
        return ""
    return done.stdout.strip() or done.stderr.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--cache", default=ROOT / ".cache" / "lint")
    args = parser.parse_args()
    cache = pathlib.Path(args.cache)
    cache.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
    commands = [c for c in json.loads((pathlib.Path(args.build) / "compile_commands.json").read_text())
                if pathlib.Path(c["file"]).is_relative_to(ROOT) and pathlib.Path(c["file"]).relative_to(ROOT).parts[0] in FOLDERS]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(lambda c: lint(c, args.build, cache, version), commands))
    return report([text for text in found if text], {"files": len(commands)})


if __name__ == "__main__":
    sys.exit(main())
