"""`aftertouch registry push | check` against a stub of a schema registry: which subjects, in which words, with which exit code.
(The verbs against a real registry: tests/integration/test_registry.py, which downloads one.)"""
import http.server
import json
import os
import subprocess
import threading

import pytest

AFT = os.environ.get("AFT_BIN", "build/release/bin/aftertouch")


class Answer(http.server.BaseHTTPRequestHandler):
    """Keeps one version a subject."""

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def kept(self, subject):
        known = self.server.subjects
        return {"subject": subject, "id": 10 + list(known).index(subject), "version": 1, "schema": known[subject]}

    def do_GET(self):
        subject = self.path.split("/")[2]
        if self.server.down:
            self.answer(503, {})
        elif subject in self.server.subjects:
            self.answer(200, self.kept(subject))
        else:
            self.answer(404, {"error_code": 40401, "message": "no such subject"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.down:
            self.answer(503, {})
        elif self.path.startswith("/compatibility/"):
            self.answer(200, {"is_compatible": True})
        else:
            subject = self.path.split("/")[2]
            self.server.subjects.setdefault(subject, body["schema"])
            self.answer(200, self.kept(subject))

    def log_message(self, *_):
        pass


@pytest.fixture(name="registry")
def a_registry():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.subjects, server.down = {}, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


def verb(url, word, *settings):
    sets = [w for s in (f"schema.registry.url={url}", "kafka.bootstrap.servers=127.0.0.1:9", *settings) for w in ("--set", s)]
    return subprocess.run([AFT, "registry", word, "--json", *sets], capture_output=True, text=True, timeout=60, check=False)


def subjects_of(done):
    assert done.returncode == 0, done.stderr
    return {s["subject"] for s in json.loads(done.stdout)["subjects"]}


OURS = {"impressions-value", "outcomes-value", *(f"aftertouch.{t}-value" for t in ("clock", "examples", "rounds", "snapshots", "prescored"))}


def test_a_subject_for_each_topic_that_the_configuration_names(registry):
    assert subjects_of(verb(registry.url, "push")) == OURS
    assert subjects_of(verb(registry.url, "check")) == OURS
    with_history = OURS | {"seen-value"}
    assert subjects_of(verb(registry.url, "push", "topics.history=seen")) == with_history
    assert subjects_of(verb(registry.url, "check", "topics.history=seen")) == with_history
    assert json.loads(registry.subjects["seen-value"])["name"] == "History"


@pytest.mark.parametrize("word", ["push", "check"])
def test_a_registry_that_is_away_is_exit_4(registry, word):
    nobody = verb("http://127.0.0.1:9", word)
    assert nobody.returncode == 4, nobody.stderr
    assert "http://127.0.0.1:9 does not answer" in nobody.stderr and "schema.registry.url" in nobody.stderr
    assert "trying on" not in nobody.stderr, "it does not"
    assert nobody.stderr.startswith("aftertouch registry: ")
    registry.down = True
    busy = verb(registry.url, word)
    assert busy.returncode == 4 and "503" in busy.stderr and "trying on" not in busy.stderr, busy.stderr
