#!/usr/bin/env python3
"""libaftertouch as its users get it: what it shows, what it needs, its header alone, and how it is found once installed.

    abi.py LIBRARY HEADER [BUILD]      BUILD: the build directory, to install from
    abi.py --write HEADER              writes abi.txt anew

A1  The library exports the functions of the header, under one symbol version, and nothing else; its soname is libaftertouch.so.0.
A2  It needs libc, librdkafka, libsodium, and no other library of ours or of the service (a sanitizer's is let pass).
A3  The header compiles by itself as C99 and as C++11, every warning an error, and a program links against it.
A4  Every struct of the header has the fields of abi.txt, at the offsets and with the sizes that stand there. A released line never
    changes: structs grow at their ends. What is new is written with --write and looked at.
A5  Installed, it is found by pkg-config (without the development packages of what it needs itself) and by find_package, and a program built so works in a fork, over a broker that is not
    there, and neither it nor the library prints anything.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

VERSION, SONAME = "AFTERTOUCH_0", "libaftertouch.so.0"
TABLE = pathlib.Path(__file__).with_name("abi.txt")
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
INSTALLED = """
#include <aftertouch.h>
#include <sys/wait.h>
#include <unistd.h>
static int back;
static void on_failure(void *context, const struct aft_client_failure *what) { (void)context, (void)what, back++; }
static int work(void)
{
    struct aft_client_options o = AFT_CLIENT_OPTIONS;
    struct aft_client_candidate arms[2] = {{"a", 0, 0, 0, 0}, {"b", 0, 0, 0, 0}};
    struct aft_client_request r = AFT_CLIENT_REQUEST;
    struct aft_client *c;
    struct aft_client_decision *d;
    o.bootstrap_servers = "127.0.0.1:9";
    o.on_failure = on_failure;
    o.wait_ms = 200;
    r.user_id = "u", r.candidates = arms, r.candidates_n = 2;
    if (aft_client_open(&o, &c, 0) || aft_client_decide(c, &r, &d, 0)) return 2;
    if (aft_client_decision_slate(d)->n != 2 || aft_client_log_impression(c, d, 0)) return 3;
    aft_client_decision_free(c, d);
    return aft_client_close(c, 100, 0) != AFT_CLIENT_AGAIN || back != 1 ? 4 : 0;
}
int main(void)
{
    int status = 9;
    pid_t child = fork();
    if (child == 0) _exit(work());
    int mine = work();
    return mine || waitpid(child, &status, 0) != child ? 5 : status != 0;
}
"""
CMAKE = """
cmake_minimum_required(VERSION 3.13)
project(engine C)
find_package(aftertouch 0.1 REQUIRED)
add_executable(engine engine.c)
target_link_libraries(engine PRIVATE aftertouch::client)
"""


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}"
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
    dynamic = run("readelf", "-d", library)
    found = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    wrong = [n for n in found if not NEEDED.match(n)]
    assert not wrong, f"needs {wrong}"
    assert re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) == [SONAME], f"its soname is not {SONAME}"
    return found


def compiles(library, header, sanitized):
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


def fields(header):
    """Each struct that the header defines, with the names of its fields."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    for name, body in re.findall(r"^struct (aft_client_\w+) \{\n(.*?)^\};", text, flags=re.S | re.M):
        names = []
        for declaration in filter(str.strip, body.split(";")):
            pointer = re.search(r"\(\*\s*(\w+)\)", declaration)
            if pointer:
                names.append(pointer.group(1))
                continue
            names += [re.search(r"(\w+)\s*(\[\d+\])?\s*$", part).group(1) for part in declaration.split(",")]
        yield name, names


def layout(header):
    lines = []
    for name, names in fields(header):
        lines.append(f'printf("struct {name} %zu\\n", sizeof(struct {name}));')
        for field in names:
            lines.append(f'printf("    {field} %zu %zu\\n", offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field}));')
    with tempfile.TemporaryDirectory() as where:
        source = pathlib.Path(where, "layout.c")
        source.write_text('#include <stdio.h>\n#include "aftertouch.h"\nint main(void)\n{\n' + "\n".join(lines) + "\nreturn 0;\n}\n")
        run("cc", f"-I{header.parent}", source, "-o", f"{where}/layout")
        return run(f"{where}/layout")


def same_layout(header):
    found, want = layout(header), TABLE.read_text()
    if found == want:
        return
    lines = [f"- {x}" for x in want.splitlines() if x not in found.splitlines()] + [f"+ {x}" for x in found.splitlines() if x not in want.splitlines()]
    raise AssertionError("the structs are not those of abi.txt; if they only grew: abi.py --write client/aftertouch.h\n" + "\n".join(lines))


def silent(program, environment):
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 0, f"{program}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert not done.stdout and not done.stderr, f"it printed {done.stdout!r} {done.stderr!r}"


def installs(build):
    with tempfile.TemporaryDirectory() as where:
        to = pathlib.Path(where)
        run("cmake", "--install", build, "--prefix", to / "usr", "--component", "client")
        lib = next((to / "usr").rglob(SONAME)).parent
        environment = {**os.environ, "PKG_CONFIG_PATH": "", "PKG_CONFIG_LIBDIR": str(lib / "pkgconfig"), "LD_LIBRARY_PATH": str(lib)}
        (to / "engine.c").write_text(INSTALLED)
        flags = run("pkg-config", "--cflags", "--libs", "aftertouch", env=environment).split()
        run("cc", to / "engine.c", *flags, "-o", to / "by_pkg_config", env=environment)
        silent(to / "by_pkg_config", environment)
        (to / "CMakeLists.txt").write_text(CMAKE)
        run("cmake", "-S", to, "-B", to / "build", f"-DCMAKE_PREFIX_PATH={to}/usr")
        run("cmake", "--build", to / "build")
        silent(to / "build/engine", environment)


def main():
    if sys.argv[1] == "--write":
        TABLE.write_text(layout(pathlib.Path(sys.argv[2]).resolve()))
        return
    library, header = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    shown = exports(library, header)
    found = needs(library)
    sanitized = "asan" in str(found) or "tsan" in str(found)
    compiles(library, header, sanitized)
    same_layout(header)
    if len(sys.argv) > 3 and not sanitized:
        installs(sys.argv[3])
    print(f"{len(shown)} functions, needs {', '.join(found)}{', installs' if len(sys.argv) > 3 and not sanitized else ''}")


if __name__ == "__main__":
    main()
