#!/usr/bin/env python3
"""What no compiler looks at: the shape of files and functions, leftovers, names, links.

    tidy.py [--root DIR]

T1  A C file has at most 600 lines (generated tables aside; a test, which is a list of cases, 900), a function at most 70, a line at
    most 150 columns (clang-format holds code to 100).
T2  A file of ours opens with a comment that says what it is.
T3  No marker of unfinished work.
T4  No tab, no space at a line's end, a newline at the end of the file; text is UTF-8.
T5  No path of somebody's machine.
T6  Every header has a guard, and no two have the same: the second would be empty wherever the first is.
T7  Every link of a Markdown page to a file, and to a heading of a page, leads somewhere.
"""
import argparse
import pathlib
import re
import sys

from tree import FOLDERS, files, report

FILE_LINES, TEST_LINES, FUNCTION_LINES, COLUMNS = 600, 900, 70, 150
GENERATED = re.compile(r"_tables\.h$")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|WI" r"P)\b|not (?:yet )?implement" r"ed|unimplement" r"ed", re.I)
STUB = re.compile(r"\bstu" r"bs?\b", re.I)  # the tests may speak of a server that stands in for another; the product has none
MACHINE = re.compile(r"(?<![\w.{}$~/-])/(?:work|root|home/\w+|Users|mnt|workspace)/")
TEXT = (".c", ".h", ".def", ".py", ".sh", ".md", ".cmake", ".avsc", ".json", ".txt", ".conf", ".yml", ".yaml", ".java", ".xml",
        ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore", "LICENSE", "demo", "test", "run")
COMMENT = {".c": ("/*",), ".h": ("/*",), ".def": ("/*",), ".py": ("#!", '"""', "#"), ".sh": ("#",), ".cmake": ("#",)}


def functions(text):
    """(name, first line, lines) of each function: its name stands at a line's start, its braces alone at theirs."""
    lines = text.split("\n")
    head = None
    for number, line in enumerate(lines, 1):
        m = re.match(r"^(?:[A-Za-z_][\w \*]*[ \*])?([A-Za-z_]\w*)\(", line)
        if m and not line.rstrip().endswith(";"):
            head = (m[1], number)
        elif line.startswith("}"):
            if head:
                yield head[0], head[1], number - head[1] + 1
            head = None
        elif line.endswith(";") and not line.startswith((" ", "\t")):
            head = None


def check_shape(path, text):
    if path.suffix in (".c", ".h") and not GENERATED.search(path.name):
        count = text.count("\n")
        most = TEST_LINES if path.parts[0] == "tests" else FILE_LINES
        if count > most:
            yield f"{path}: {count} lines; at most {most}: does it still have one sentence? Split it by what it says"
        for name, first, length in functions(text):
            if length > FUNCTION_LINES:
                yield f"{path}:{first}: {name} is {length} lines long; at most {FUNCTION_LINES}"
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > COLUMNS:
                yield f"{path}:{number}: {len(line)} columns; at most {COLUMNS}"


def check_opening(path, text):
    starts = COMMENT.get(path.suffix)
    if path.name in ("demo", "test", "run"):
        starts = ("#!",)
    if starts and text and not text.startswith(starts):
        yield f"{path}:1: opens with no comment: say what it is, what flows in and out"


def check_leftovers(path, text):
    if path.name == "LICENSE":
        return
    for number, line in enumerate(text.split("\n"), 1):
        if UNFINISHED.search(line) or (path.parts[0] in FOLDERS and STUB.search(line)):
            yield f"{path}:{number}: a marker of unfinished work: {line.strip()[:80]}"
        if MACHINE.search(line):
            yield f"{path}:{number}: a path of one machine: {line.strip()[:80]}"
        if "\t" in line:
            yield f"{path}:{number}: a tab"
        if line != line.rstrip():
            yield f"{path}:{number}: a space at the line's end"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at the end"


def check_guards(root, paths):
    seen = {}
    for path in paths:
        if path.suffix != ".h" or GENERATED.search(path.name):
            continue
        m = re.search(r"^#ifndef (\w+)\n#define \1$", (root / path).read_text(encoding="utf-8", errors="replace"), re.M)
        if not m:
            yield f"{path}: has no guard (#ifndef AFT_..._H, #define AFT_..._H)"
        elif m[1] in seen:
            yield f"{path}: its guard {m[1]} is that of {seen[m[1]]} too"
        else:
            seen[m[1]] = path


# ---------------------------------------------------------------- links
def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    out = set()
    for heading in re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", lambda m: m[1] or "", heading).strip().lower()
        out.add(re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", plain)))
    return out


def check_links(root, path, text):
    for m in re.finditer(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = m[1].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        number = text.count("\n", 0, m.start()) + 1
        there = (root / path).parent / target if target else root / path
        if not there.exists():
            yield f"{path}:{number}: links to {m[1]}, which is not there"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
            yield f"{path}:{number}: links to {m[1]}, but that page has no such heading"


def check_file(root, path):
    try:
        text = (root / path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as e:
        return [f"{path}: is not UTF-8: {e}"]
    problems = []
    for check in (check_shape, check_opening, check_leftovers):
        problems += check(path, text)
    if path.suffix == ".md":
        problems += check_links(root, path, text)
    return problems


def check(root):
    root = pathlib.Path(root)
    paths = [p for p in files(root) if p.suffix in TEXT or p.name in TEXT]
    problems = [line for path in paths for line in check_file(root, path)] + list(check_guards(root, paths))
    return problems, {"files": len(paths), "C files": sum(p.suffix == ".c" for p in paths)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    return report(*check(parser.parse_args().root))


if __name__ == "__main__":
    sys.exit(main())
