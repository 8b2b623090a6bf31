#!/usr/bin/env python3
"""libaftertouch as its users get it: what it shows, what it needs, and its header alone, in C and in C++.

    abi.py LIBRARY HEADER

A1  The library exports the functions of the header, under one symbol version, and nothing else.
A2  It needs libc, librdkafka, libsodium, and no other library of ours or of the service (a sanitizer's is let pass).
A3  The header compiles by itself as C99 and as C++11, every warning an error, and a program links against it.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

VERSION = "AFTERTOUCH_0"
NEEDED = re.compile(r"^(lib(c|m|rdkafka|sodium|pthread|gcc_s|asan|ubsan|tsan)\.so|ld-linux)")
PROGRAM = """
#include "aftertouch.h"
int main(void)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client_outcome x = AFT_CLIENT_OUTCOME;
    struct aft_client_info i = AFT_CLIENT_INFO;
    return o.size == 0 || r.k != 3 || x.value != 1.0 || i.size == 0 || aft_client_version()[0] == 0;
}
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stderr}"
    return done.stdout


def exports(library, header):
    declared = set(re.findall(r"\b(aft_client_\w+)\s*\(", re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)))
    shown = set()
    for line in run("nm", "-D", "--defined-only", library).splitlines():
        name, _, version = line.split()[-1].partition("@@")
        if name == VERSION:
            continue
        assert version == VERSION, f"{name} has the version {version!r}, not {VERSION}"
        shown.add(name)
    assert shown == declared, f"exported and not declared: {sorted(shown - declared)}; declared and not exported: {sorted(declared - shown)}"
    return shown


def needs(library):
    found = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", library))
    wrong = [n for n in found if not NEEDED.match(n)]
    assert not wrong, f"needs {wrong}"
    return found


def compiles(library, header):
    sanitized = "asan" in str(needs(library)) or "tsan" in str(needs(library))
    with tempfile.TemporaryDirectory() as where:
        source = pathlib.Path(where, "program.c")
        source.write_text(PROGRAM)
        flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{header.parent}"]
        run("cc", "-std=c99", *flags, "-c", source, "-o", f"{where}/c.o")
        run("c++", "-x", "c++", "-std=c++11", *flags, "-c", source, "-o", f"{where}/cpp.o")
        if sanitized:
            return
        run("cc", f"{where}/c.o", library, f"-Wl,-rpath,{library.parent}", "-o", f"{where}/program")
        run(f"{where}/program")


def main():
    library, header = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    shown = exports(library, header)
    found = needs(library)
    compiles(library, header)
    print(f"{len(shown)} functions, needs {', '.join(found)}")


if __name__ == "__main__":
    main()
