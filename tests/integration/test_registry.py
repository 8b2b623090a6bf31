#!/usr/bin/env python3
"""`registry push` and `check` against a real registry (tests/kafka/schema-registry), and a record under the id that it gave.

R1  Nothing there: check says so and passes. push gives every subject an id; again: the same ids and versions; check passes.
R2  A record in the registry's frame, under the id that push printed, is read (`cat`).
R3  A subject under which something else stands: check ends with 5 and names it, and so does push where the registry refuses.
R4  The registry is away: said in words.

It brings up the registry by itself, which is a large download the first time: run it by its name.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from foreign import Producer, Schema
from waiting import PATIENCE_S, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
AFT, KAFKA = os.environ["AFT_BIN"], os.environ["AFT_KAFKA"]
REGISTRY, PORT = str(ROOT / "tests" / "kafka" / "schema-registry"), str(free_port())
CONTENT = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
TOPICS = 7


def run(config, *words, code=0):
    done = subprocess.run([AFT, *words, "--config", str(config)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == code, f"{words}: {done.returncode}, not {code}: {done.stdout} {done.stderr}"
    return done


def asked(url, path, body, method="POST"):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), CONTENT, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def pushed(config):
    subjects = json.loads(run(config, "registry", "push", "--json").stdout)["subjects"]
    assert len(subjects) == TOPICS and all(s["ok"] and s["id"] > 0 and s["version"] == 1 for s in subjects), subjects
    return {s["subject"]: s["id"] for s in subjects}


def story(where, url):
    config = where / "aftertouch.conf"
    config.write_text(f"app.id=r\nkafka.bootstrap.servers={KAFKA}\nschema.registry.url={url}\nstate.dir={where}/state\nhttp.listen=\n"
                      "topics.impressions=registered.impressions\ntopics.outcomes=registered.outcomes\ntopics.partitions=1\n", encoding="utf-8")
    assert run(config, "registry", "check").stdout.count("not there") == TOPICS  # R1
    ids = pushed(config)
    assert pushed(config) == ids
    assert run(config, "registry", "check").stdout.count("ok ") == TOPICS
    run(config, "topics", "create")  # R2
    schema = Schema("impression")
    schema.head = b"\0" + ids["registered.impressions-value"].to_bytes(4, "big")
    producer = Producer(KAFKA)
    producer.send("registered.impressions", schema.encode({
        "decision_id": "by-id", "user_id": "u", "timestamp": 1_700_000_000_000, "session_id": None, "policy": "p", "snapshot": None,
        "propensity_kind": "EXACT", "deferred": False, "context": {}, "candidates": [],
        "slate": [{"arm_id": "a", "slot": 0, "propensity": 1.0, "marginal": None, "subject": None, "features": {}}], "design": None}), "u")
    producer.flush()
    assert '"by-id"' in run(config, "cat", "registered.impressions").stdout
    other = "--set", "topics.outcomes=other"  # R3
    asked(url, "/subjects/other-value/versions", {"schema": '"int"'})
    asked(url, "/config/other-value", {"compatibility": "BACKWARD"}, "PUT")
    found = run(config, "registry", "check", *other, code=5)
    assert "other-value" in found.stderr and "cannot be read" in found.stdout, found
    assert "refuses" in run(config, "registry", "push", *other, code=5).stderr
    run(config, "registry", "check")
    away = run(config, "registry", "push", "--set", "schema.registry.url=http://127.0.0.1:9", code=4)  # R4
    assert "does not answer" in away.stderr, away.stderr
    print(f"{ids}; R1 to R4 hold")


if __name__ == "__main__":
    try:
        address = subprocess.run([REGISTRY, "start", "--port", PORT], check=True, stdout=subprocess.PIPE, text=True, timeout=600).stdout.split()[-1]
        with tempfile.TemporaryDirectory(prefix="aftertouch-registry-") as directory:
            story(pathlib.Path(directory), address)
    finally:
        subprocess.run([REGISTRY, "stop", "--port", PORT], check=False, timeout=60)
    sys.exit(0)
