#!/usr/bin/env python3
"""libaftertouch as its users get it: what it shows, what it needs, its header alone, and how it is found once installed.

    abi.py LIBRARY HEADER [BUILD]      BUILD: the build directory, to install from
    abi.py --write HEADER              writes abi.txt anew

A1  The library exports the functions of the header, under one symbol version, and nothing else; its soname is libaftertouch.so.0.
A2  It needs libc, librdkafka, libsodium, and no other library of ours or of the service (a sanitizer's is let pass).
A3  The header compiles by itself as C99 and as C++11, every warning an error, and a program links against it.
A4  Every struct of the header has the fields of abi.txt, at the offsets and with the sizes and types that stand there, every enumerator its
    value, every function its prototype. A released line never changes: structs grow at their ends. What is new is written with --write
    and looked at.
A5  Installed, it is found by pkg-config (without the development packages of what it needs itself) and by find_package, and a program built so works in a fork, over a broker that is not
    there, and neither it nor the library prints anything.
A6  So does a program around the first lines of docs/ENGINE.md, word by word; the header's are the same.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

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
TEN_LINES = """
#include <aftertouch.h>
static int rendered;
static int complain(const char *message) { (void)message; return 2; }
static int fall_back(const char *message) { (void)message; return 3; }
static void render(const char *arm_id) { rendered += arm_id[0] == 'm'; }
int main(void)
{
    const char *user = "u";
    static const char ids[20][3] = {"ma", "mb", "mc", "md", "me", "mf", "mg", "mh", "mi", "mj",
                                    "mk", "ml", "mm", "mn", "mo", "mp", "mq", "mr", "ms", "mt"};
    static const char names[7][2] = {"a", "b", "c", "d", "e", "f", "g"};
    struct aft_client_feature context[7];
    struct aft_client_candidate messages[20];
    for (int i = 0; i < 7; i++)
        context[i] = (struct aft_client_feature){names[i], AFT_CLIENT_NUMBER, i, 0};
    for (int i = 0; i < 20; i++)
        messages[i] = (struct aft_client_candidate){ids[i], 0, 0, context, 7};
    %s
    struct aft_client_info info = AFT_CLIENT_INFO;
    aft_client_info(client, &info);
    aft_client_close(client, 0, 0);
    return rendered != 3 || info.decisions != 1 || info.impressions != 1;
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


def one_line(text):
    return re.sub(r"\* ", "*", " ".join(text.split()))


def fields(text):
    """Each struct that the header defines, with the names and types of its fields."""
    for name, body in re.findall(r"^struct (aft_client_\w+) \{\n(.*?)^\};", text, flags=re.S | re.M):
        found = []
        for declaration in map(one_line, filter(str.strip, body.split(";"))):
            pointer = re.search(r"\(\*\s*(\w+)\)", declaration)
            if pointer:
                found.append((pointer.group(1), declaration))
                continue
            kind = re.match(r"((?:const |struct |enum )*\w+) ", declaration).group(1)
            for part in declaration[len(kind):].split(","):
                stars, field = re.search(r"(\**)(\w+)\s*(?:\[\d+\])?$", part.strip()).groups()
                found.append((field, f"{kind} {stars}".strip()))
        yield name, found


def layout(header):
    text, lines = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S), []
    for body in re.findall(r"^enum aft_client_\w+ \{(.*?)\};", text, flags=re.S | re.M):
        lines += [f'printf("{x} %d\\n", {x});' for x in re.findall(r"\bAFT_CLIENT_\w+", body)]
    for name, found in fields(text):
        lines.append(f'printf("struct {name} %zu\\n", sizeof(struct {name}));')
        for field, kind in found:
            lines.append(f'printf("    {field} %zu %zu {kind}\\n", offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field}));')
    lines += [f'puts("{one_line(x)}");' for x in re.findall(r"^AFT_CLIENT_API (.*?);", text, flags=re.S | re.M)]
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
    raise AssertionError("the interface is not that of abi.txt; if it only grew: abi.py --write client/aftertouch.h\n" + "\n".join(lines))


def silent(program, environment):
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 0, f"{program}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert not done.stdout and not done.stderr, f"it printed {done.stdout!r} {done.stderr!r}"


def ten_lines(header):
    """The first lines of the page for engine teams, in a program; they are the header's."""
    page = header.parents[1] / "docs/ENGINE.md"
    lines = re.search(r"```c\n(.*?)```", page.read_text(), flags=re.S).group(1)
    manual = re.search(r"Ten lines to a first decision:\n(.*?)\n \*\n \* Threads", header.read_text(), flags=re.S).group(1)
    manual = textwrap.dedent(re.sub(r"^ \*", "", manual, flags=re.M)).strip()
    assert lines.strip() == manual, f"the first decision of {page} is not the header's"
    return TEN_LINES % lines


def installs(build, header):
    with tempfile.TemporaryDirectory() as where:
        to = pathlib.Path(where)
        run("cmake", "--install", build, "--prefix", to / "usr", "--component", "client")
        lib = next((to / "usr").rglob(SONAME)).parent
        environment = {**os.environ, "PKG_CONFIG_PATH": "", "PKG_CONFIG_LIBDIR": str(lib / "pkgconfig"), "LD_LIBRARY_PATH": str(lib)}
        (to / "engine.c").write_text(INSTALLED)
        flags = run("pkg-config", "--cflags", "--libs", "aftertouch", env=environment).split()
        run("cc", to / "engine.c", *flags, "-o", to / "by_pkg_config", env=environment)
        silent(to / "by_pkg_config", environment)
        (to / "first.c").write_text(ten_lines(header))
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", to / "first.c", *flags, "-o", to / "first", env=environment)
        silent(to / "first", environment)
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
        installs(sys.argv[3], header)
    print(f"{len(shown)} functions, needs {', '.join(found)}{', installs' if len(sys.argv) > 3 and not sanitized else ''}")


if __name__ == "__main__":
    main()
