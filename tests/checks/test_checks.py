#!/usr/bin/env python3
"""That the checks can fail: each planted violation must be found, and the same tree without it must pass.

    test_checks.py            (needs cc, ar, objdump for the part about archives)
"""
import contextlib
import io
import pathlib
import subprocess
import tempfile
import unittest

import law
import tidy

SOUND = "/* x.c - sound. */\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.dir.name)
        for folder in law.FOLDERS:
            self.put(f"{folder}/{folder}.h", f"/* {folder}.h */\n#ifndef AFT_{folder.upper()}_{folder.upper()}_H\n"
                     f"#define AFT_{folder.upper()}_{folder.upper()}_H\n#endif\n")

    def tearDown(self):
        self.dir.cleanup()

    def put(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


class Includes(Tree):
    def found(self, name, include):
        path = self.put(name, f"{SOUND}#include {include}\n")
        problems, _ = law.check_includes(self.root)
        path.unlink()
        return problems

    def test_up_is_refused(self):
        for name, include in [("base/a.c", '"wire/wire.h"'), ("wire/a.c", '"state/state.h"'), ("state/a.c", '"attribution/attribution.h"'),
                              ("policy/a.c", '"learner/learner.h"'), ("policy/a.c", '"state/state.h"'), ("state/a.c", '"policy/policy.h"'),
                              ("learner/a.c", '"evaluate/evaluate.h"'), ("client/a.c", '"learner/learner.h"'),
                              ("client/a.c", '"consumer/consumer.h"'), ("log/a.c", '"consumer/consumer.h"'), ("client/a.c", '"log/log.h"'),
                              ("consumer/a.c", '"cmd/cmd.h"'), ("base/a.h", '"tests/kit.h"')]:
            with self.subTest(name=name, include=include):
                self.assertEqual(1, len(self.found(name, include)))

    def test_down_is_allowed(self):
        for name, include in [("wire/a.c", '"base/base.h"'), ("attribution/a.c", '"state/state.h"'), ("evaluate/a.c", '"policy/policy.h"'),
                              ("cmd/a.c", '"evaluate/evaluate.h"'), ("cmd/a.c", '"client/aftertouch.h"'), ("consumer/a.c", '"wire/wire_avro.h"'),
                              ("state/a.c", '"state/inner.h"'), ("client/a.c", '"wire/wire.h"')]:
            with self.subTest(name=name, include=include):
                self.assertEqual([], self.found(name, include))

    def test_inner_headers_stay_inside(self):
        for name, include in [("state/a.c", '"wire/codec.h"'), ("wire/a.c", '"base/bytes.h"'), ("learner/a.c", '"wire/wire_avro.h"'),
                              ("cmd/a.c", '"client/client_inner.h"'), ("wire/a.c", '"codec.h"')]:
            with self.subTest(name=name, include=include):
                self.assertEqual(1, len(self.found(name, include)))

    def test_libraries_stay_at_their_edges(self):
        for header, home, elsewhere in [("librdkafka/rdkafka.h", "log/log_kafka.c", "log/log.c"),
                                        ("rocksdb/c.h", "state/store_rocksdb.c", "state/store.c"),
                                        ("avro.h", "wire/plan_avro.c", "wire/plan.c"), ("avro/io.h", "wire/plan_avro.c", "cmd/cat.c"),
                                        ("jansson.h", "wire/schema_avro.c", "wire/schema.c"), ("jansson.h", "cmd/cat.c", "consumer/page.c"),
                                        ("curl/curl.h", "consumer/registry_http.c", "consumer/registry.c"),
                                        ("microhttpd.h", "consumer/page_http.c", "consumer/page.c"),
                                        ("sodium.h", "base/digest_sodium.c", "base/digest.c"), ("xxhash.h", "base/hash.c", "wire/hash.c")]:
            with self.subTest(header=header):
                self.assertEqual([], self.found(home, f"<{header}>"))
                self.assertEqual(1, len(self.found(elsewhere, f"<{header}>")))

    def test_core_takes_no_system_header_with_effects(self):
        for header in ("time.h", "unistd.h", "pthread.h", "fcntl.h", "sys/socket.h", "signal.h", "stdatomic.h"):
            with self.subTest(header=header):
                self.assertEqual(1, len(self.found("learner/a.c", f"<{header}>")))
                self.assertEqual([], self.found("consumer/a.c", f"<{header}>"))


class Archives(Tree):
    """Small archives, compiled for the purpose, in the place of the real ones."""

    def found(self, folder, text, name="a"):
        lib = self.root / "lib"
        lib.mkdir(exist_ok=True)
        for each in law.CORE:
            body = text if each == folder else ""
            source = self.put(f"src/{name if each == folder else 'empty'}.c", SOUND + "const int aft_nothing_" + each + " = 1;\n" + body)
            made = source.with_name(source.name + ".o")
            subprocess.run(["cc", "-std=c11", "-O1", "-w", "-fno-builtin", "-fvisibility=hidden", "-c", source, "-o", made], check=True)
            archive = lib / f"libaft_{each}.a"
            archive.unlink(missing_ok=True)
            subprocess.run(["ar", "rcs", archive, made], check=True)
        problems, objects = law.check_archives(lib)
        self.assertEqual(len(law.CORE), objects)
        return problems

    def test_sound(self):
        self.assertEqual([], self.found("wire", "unsigned long strlen(const char *); int f(void) { return strlen(\"a\"); }"))

    def test_effects_are_refused(self):
        for call in ("time", "clock_gettime", "rand", "random", "getenv", "open", "fopen", "socket", "pthread_create", "pthread_mutex_lock",
                     "exp", "log", "pow", "printf", "puts", "getrandom", "arc4random", "usleep", "read", "nobody_knows_this"):
            with self.subTest(call=call):
                problems = self.found("attribution", f"int {call}(); int f(void) {{ return {call}(); }}")
                self.assertEqual(1, len(problems), problems)
                self.assertIn(f"attribution/a.c: calls {call}", problems[0])

    def test_heap_needs_an_owner(self):
        text = "void *malloc(unsigned long); void *f(void) { return malloc(1); }"
        self.assertEqual(1, len(self.found("policy", text)))
        self.assertEqual([], self.found("base", text, name="arena"))

    def test_speaking_is_for_assertions(self):
        text = "extern void *stderr; void *f(void) { return stderr; }"
        self.assertEqual(1, len(self.found("base", text)))
        self.assertEqual([], self.found("base", text, name="check"))

    def test_calls_go_down(self):
        self.assertEqual(1, len(self.found("wire", "extern const int aft_nothing_state; int f(void) { return aft_nothing_state; }")))
        self.assertEqual(1, len(self.found("policy", "extern const int aft_nothing_state; int f(void) { return aft_nothing_state; }")))
        self.assertEqual([], self.found("state", "extern const int aft_nothing_wire; int f(void) { return aft_nothing_wire; }"))

    def test_edges_may(self):
        self.assertEqual([], self.found("state", "int open(); int f(void) { return open(); }", name="store_rocksdb"))

    def test_owners_are_there(self):
        gone = [name for name in law.OWNERS if not (law.ROOT / name).is_file()]
        self.assertEqual([], gone, "OWNERS names files that are gone")

    def test_no_variables_outside_calls(self):
        for text in ("int counter; int f(void) { return counter++; }", "static int counter = 3; int f(void) { return counter++; }",
                     "int f(void) { static int n; return n++; }", "_Thread_local int counter; int f(void) { return counter++; }"):
            with self.subTest(text=text):
                problems = self.found("learner", text)
                self.assertEqual(1, len([p for p in problems if "outside every call" in p]), problems)
        self.assertEqual([], self.found("learner", 'static const char *const name[] = {"a", "b"}; const char *f(int i) { return name[i]; }'))

    def test_a_missing_archive_is_no_pass(self):
        with self.assertRaises(subprocess.CalledProcessError):
            law.check_archives(self.root / "nowhere")


class Tidy(Tree):
    def found(self, name, text):
        path = self.put(name, text)
        problems, _ = tidy.check(self.root)
        path.unlink()
        return problems

    def one(self, name, text, word):
        problems = self.found(name, text)
        self.assertEqual(1, len(problems), problems)
        self.assertIn(word, problems[0])

    def test_sound(self):
        self.assertEqual([], self.found("base/a.c", SOUND))

    def test_lengths(self):
        function = lambda n: "int\nf(int a,\n  int b)\n{\n" + "    a++;\n" * n + "}\n"
        self.assertEqual([], self.found("base/a.c", SOUND + function(66)))
        self.one("base/a.c", SOUND + function(67), "f is 71 lines")
        self.one("base/a.c", SOUND + "int a;\n" * 600, "601 lines")
        self.assertEqual([], self.found("base/a_tables.h", SOUND + "int a;\n" * 700))
        self.one("base/a.c", SOUND + "/*" + "a" * 160 + "*/\n", "columns")

    def test_leftovers(self):
        for word in ("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK", "not implement" "ed", "a stu" "b"):
            with self.subTest(word=word):
                self.one("base/a.c", SOUND + f"/* {word} */\n", "unfinished")
        self.assertEqual([], self.found("tests/a.sh", "# a.sh\nmktemp -d /tmp/a.XXXXXX # a stu" "b registry\n"))
        self.one("base/a.c", SOUND + '#define HERE "/ho' 'me/anna/data"\n', "one machine")
        self.one("base/a.c", SOUND + "\tint a;\n", "a tab")
        self.one("base/a.c", SOUND + "int a; \n", "line's end")
        self.one("base/a.c", SOUND + "int a;", "no newline")

    def test_openings_and_guards(self):
        self.one("base/a.c", "int a;\n", "opens with no comment")
        self.one("base/a.h", "/* a.h */\nint a;\n", "no guard")
        self.one("base/a.h", "/* a.h */\n#ifndef AFT_WIRE_WIRE_H\n#define AFT_WIRE_WIRE_H\n#endif\n", "too")
        self.assertEqual([], self.found("base/a.h", "/* a.h */\n#ifndef AFT_A_H\n#define AFT_A_H\n#endif\n"))

    def test_links(self):
        self.put("docs/B.md", "# The way of `x`, again\n")
        self.assertEqual([], self.found("docs/A.md", "[b](B.md) [c](B.md#the-way-of-x-again) [d](../base/base.h) [e](https://example.org/)\n"))
        self.one("docs/A.md", "[b](C.md)\n", "not there")
        self.one("docs/A.md", "[b](B.md#elsewhere)\n", "no such heading")

    def test_an_empty_tree_is_no_pass(self):
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(1, tidy.report([], {"files": 0}))


if __name__ == "__main__":
    unittest.main()
