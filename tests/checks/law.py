#!/usr/bin/env python3
"""The law of the house (docs/ARCHITECTURE.md), proved from the includes and from the undefined symbols of the archives.

    law.py [--root DIR]                  the includes alone
    law.py [--root DIR] --lib DIR        the archives libaft_*.a in DIR too

L1  A folder includes only itself and the folders below it, and others only through their public header.
L2  A library's header is included only in the files named for that library.
L3  The core includes no system header that could bring in a clock, a file, a socket, a thread.
L4  The core's objects leave undefined only symbols of folders below them and those of CALLABLE: no clock, random source,
    environment, file, socket, thread, libm transcendental, standard output.
L5  Memory is taken from the heap only by the files of OWNERS.
L6  The core has no variable that lives outside a function call (no writable data in its objects).
"""
import argparse
import pathlib
import re
import subprocess
import sys

from tree import FOLDERS, files, report

ROOT = pathlib.Path(__file__).resolve().parents[2]
BELOW = {  # the law: who may include whom
    "base": {"base"},
    "wire": {"base", "wire"},
    "state": {"base", "wire", "state"},
    "attribution": {"base", "wire", "state", "attribution"},
    "policy": {"base", "wire", "policy"},
    "learner": {"base", "wire", "policy", "learner"},
    "evaluate": {"base", "wire", "policy", "learner", "evaluate"},
    "client": {"base", "wire", "policy", "client"},
    "log": {"base", "wire", "log"},
    "consumer": set(FOLDERS) - {"cmd"},
    "cmd": set(FOLDERS),
}
PUBLIC = {folder: {f"{folder}/{folder}.h"} for folder in FOLDERS}
PUBLIC["client"] = {"client/aftertouch.h", "client/client.h"}  # the installed one, and the port for the demo
SCHEMAS = "wire/wire_avro.h"  # the half of wire that needs Avro's library: for the service alone
SCHEMA_USERS = {"log", "consumer", "cmd"}

LIBRARIES = [  # header, which files may include it, in words
    (r"librdkafka/", r"_kafka\.[ch]$", "*_kafka.c"),
    (r"rocksdb/", r"_rocksdb\.[ch]$", "*_rocksdb.c"),
    (r"avro(\.h|/)", r"_avro\.[ch]$", "*_avro.c"),
    (r"jansson\.h", r"_(avro|json)\.[ch]$|^cmd/[^/]*\.c$", "*_avro.c, *_json.c, cmd/"),
    (r"(curl/|microhttpd\.h)", r"_http\.[ch]$", "*_http.c"),
    (r"sodium", r"_sodium\.[ch]$", "*_sodium.c"),
    (r"zlib\.h", r"_zlib\.[ch]$", "*_zlib.c"),
    (r"(sys/mman|sched)\.h", r"_linux\.[ch]$", "*_linux.c"),
    (r"xxhash\.h", r"^base/hash(_wide)?\.c$", "base/hash.c, base/hash_wide.c"),
]
CORE = ("base", "wire", "state", "attribution", "policy", "learner")
EDGE = re.compile(r"_(kafka|rocksdb|avro|http|sodium|zlib|linux)\.[ch]$")  # files that are named for a library, or for the system
PURE_HEADERS = {"inttypes.h", "limits.h", "float.h", "math.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
                "stdio.h", "stdlib.h", "string.h"}
ALSO = {"base/number.c": {"locale.h"}}

# __cpu_*: kernels in fixed lanes exist twice, for narrow and for wide vectors; both give the same bits (policy/lanes.h)
CALLABLE = set("""
    memchr memcmp memcpy memmove memset strchr strcmp strcpy strcspn strlen strncmp strnlen strrchr strspn strstr strtol
    strtoll strtoul strtoull snprintf vsnprintf sqrt floor ceil rint nearbyint lrint llrint fabs trunc ldexp frexp
    abort __stack_chk_fail __assert_fail _GLOBAL_OFFSET_TABLE_ bsearch qsort
    __divti3 __modti3 __udivti3 __umodti3 __divmodti4 __udivmodti4
    __cpu_model __cpu_indicator_init
    __memcpy_chk __memset_chk __memmove_chk __snprintf_chk __vsnprintf_chk __strcpy_chk
    """.split())
MAY_CALL = {
    "base/check.c": {"stderr", "fprintf", "fflush", "__fprintf_chk"},  # a failed assertion's last words
    "base/number.c": {"newlocale", "uselocale", "freelocale", "strtod"},  # the one place that needs a locale: to be free of it
}
HEAP = {"malloc", "calloc", "realloc", "reallocarray", "free", "aligned_alloc", "posix_memalign", "strdup", "strndup"}
OWNERS = {  # files that own memory: what they own. It is taken at the start, or grows and is kept; no event takes any of its own
    "base/arena.c": "a batch's life", "base/bytes.c": "buffers",
    "state/index.c": "the index's rings", "state/segment.c": "segments not yet committed, and those read last",
    "state/gather.c": "ids on their way into the index, while it is read back",
    "state/store_mem.c": "the store in memory", "state/table.c": "hash tables",
    "attribution/joiner.c": "a joiner", "attribution/ledger.c": "the entry at hand", "attribution/order.c": "the reorder buffer",
    "attribution/timers.c": "activations that wait",
    "wire/roster.c": "candidates that were read",
    "policy/arm_stats.c": "what a model knows of arms", "policy/bilinear.c": "a bilinear model", "policy/decide.c": "a thread's scratch", "policy/delta.c": "an image's sections",
    "policy/dict.c": "dictionaries",
    "policy/format.c": "a plane that is being read", "policy/linear.c": "a linear model", "policy/model.c": "a model",
    "policy/plain.c": "arms that were encoded", "policy/quadratic.c": "a ridge model's forms",
    "policy/score.c": "a scratch's arrays", "policy/snapshot_chain.c": "a full set and its deltas",
    "policy/snapshot_parts.c": "parts that wait for their manifest", "policy/snapshot_pin.c": "a pin that is being made",
    "policy/snapshot_set.c": "a set",
    "learner/arms.c": "the arms", "learner/catalogue.c": "known candidates, resolved", "learner/forecast.c": "cohorts", "learner/health.c": "the weights of the last round", "learner/grid.c": "a bilinear model's planes",
    "learner/flow_batch.c": "a decision's rows",
    "learner/learner.c": "a learner", "learner/ridge.c": "the ridge model",
    "learner/rounds.c": "blocks that wait for their round",
    "learner/scoreboard.c": "the policies' sums", "learner/snapshot.c": "a snapshot that is being made",
    "learner/state.c": "a state that is being read",
}
WHY = [
    (r"(clock|time|gettimeofday|.*sleep)", "it reads a clock; take a struct aft_clock or a time as an argument"),
    (r".*rand.*|getentropy", "it is a random source; use base/random.h with a key"),
    (r"(secure_)?getenv|setenv|environ", "it reads the environment; take an option"),
    (r"f?open.*|fclose|fread|fwrite|read|write|close|unlink|rename|stat|mmap", "it touches a file; that belongs to an edge"),
    (r"socket|connect|bind|listen|accept|send.*|recv.*|poll|select|epoll.*", "it touches a socket; that belongs to an edge"),
    (r"pthread_.*|thrd_.*|mtx_.*|sem_.*|__tls.*", "it is a thread's; the core has none"),
    (r"(exp|log|pow|sin|cos|tan|tanh|lgamma|tgamma|erf).*", "its bits change with the CPU; use base/fmath.h"),
    (r"strto[dfl]+|atof|.*scanf|.*locale.*", "it reads the locale of its process; use base/number.h"),
    (r"v?printf|puts|putchar|stdout|fputs|fprintf|__printf_chk", "it prints; return the text or an error"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def folder_of(path):
    return path.parts[0] if len(path.parts) > 1 and path.parts[0] in FOLDERS else None


def check_project_include(path, target):
    """L1 for one include of a file of ours; None or what is wrong."""
    here, there = folder_of(path), target.split("/")[0]
    if there == "generated" or "/" not in target:
        return f'includes "{target}": write it with its folder'
    if there not in FOLDERS:
        return f'includes "{target}", which is no folder of the product'
    if there == here:
        return None
    if there not in BELOW[here]:
        return f'includes "{target}": {here} may know only {", ".join(sorted(BELOW[here] - {here})) or "itself"}'
    if target == SCHEMAS:
        return None if here in SCHEMA_USERS else f'includes "{target}": only {", ".join(sorted(SCHEMA_USERS))} may'
    if target not in PUBLIC[there]:
        return f'includes "{target}", an inner header of {there}: use "{sorted(PUBLIC[there])[0]}"'
    return None


def check_system_include(path, target):
    """L2 and L3 for one include of a system header; None or what is wrong."""
    for header, allowed, words in LIBRARIES:
        if re.match(header, target):
            return None if re.search(allowed, str(path)) else f"includes <{target}>: only {words} may"
    if folder_of(path) in CORE and not EDGE.search(path.name) and target not in PURE_HEADERS | ALSO.get(str(path), set()):
        return f"includes <{target}>: the core may include only {', '.join(sorted(PURE_HEADERS))}"
    return None


def check_includes(root):
    problems, seen = [], 0
    for path in files(root, ".c", ".h", ".def"):
        if folder_of(path) is None:
            continue
        text = (pathlib.Path(root) / path).read_text(encoding="utf-8")
        for m in INCLUDE.finditer(text):
            seen += 1
            wrong = check_project_include(path, m[1]) if m[1] else check_system_include(path, m[2])
            if wrong:
                problems.append(f"{path}:{text.count(chr(10), 0, m.start(0)) + 1}: {wrong}")
    return problems, seen


# ---------------------------------------------------------------- archives
def tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


WRITABLE = re.compile(r"\.(t?data|t?bss)(\.(?!rel\.ro)|$)|\*COM\*")


def members(archive):
    """{object name: (undefined symbols, defined symbols, writable variables)} of a static library."""
    out, name = {}, None
    for line in tool("objdump", "-t", str(archive)).splitlines():
        head = re.match(r"^(\S+\.o):\s+file format", line)
        if head:
            name = head[1]
            out[name] = (set(), set(), set())
            continue
        m = re.match(r"^[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]{16}\s+(?:\.hidden |0x\w\w )?(\S+)$", line)
        if not m or name is None:
            continue
        flags, section, symbol = m.groups()
        if section == "*UND*":
            out[name][0].add(symbol)
        elif "g" in flags or "w" in flags:
            out[name][1].add(symbol)
        if symbol != section and ("O" in flags or section.startswith(".t")) and WRITABLE.match(section):
            out[name][2].add(symbol)
    return out


def source_of(folder, name):
    return f"{folder}/{re.sub(r'[.]o$', '', name)}"


def why(symbol):
    for pattern, words in WHY:
        if re.fullmatch(pattern, symbol):
            return words
    return "it is not among what the core may call (CALLABLE in tests/checks/law.py)"


def check_object(folder, source, undefined, variables, below):
    """L4, L5, L6 for one object: below = symbols that the folders under it define."""
    edge = EDGE.search(source)
    for symbol in sorted(undefined - below):
        if symbol.startswith(("aft_", "afti_")):
            yield f"{source}: calls {symbol}, which no folder below {folder} defines"
        elif edge or symbol in CALLABLE or symbol in MAY_CALL.get(source, ()):
            continue
        elif symbol in HEAP:
            if source not in OWNERS:
                yield f"{source}: calls {symbol}: take an arena or a buffer, or say in OWNERS what this file owns"
        else:
            yield f"{source}: calls {symbol}: {why(symbol)}"
    for variable in sorted(variables if not edge else ()):
        yield f"{source}: {variable} is a variable outside every call: make it const or give it to the caller"


def check_archives(lib):
    lib, problems, objects = pathlib.Path(lib), [], 0
    archives = {folder: members(lib / f"libaft_{folder}.a") for folder in CORE}
    defined = {folder: set().union(*(d for _, d, _ in a.values())) for folder, a in archives.items()}
    for folder, archive in archives.items():
        below = set().union(*(defined[f] for f in BELOW[folder]))
        for name, (undefined, _, variables) in sorted(archive.items()):
            objects += 1
            source = "generated/schemas.c" if name.startswith("schemas.c") else source_of(folder, name)
            problems += check_object(folder, source, undefined, variables, below)
    return problems, objects


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=ROOT)
    parser.add_argument("--lib", help="the folder with libaft_*.a, e.g. build/release/lib")
    args = parser.parse_args()
    problems, includes = check_includes(args.root)
    checked = {"includes": includes}
    if args.lib:
        more, objects = check_archives(args.lib)
        problems, checked["objects"] = problems + more, objects
    return report(problems, checked)


if __name__ == "__main__":
    sys.exit(main())
