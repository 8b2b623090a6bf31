#!/usr/bin/env python3
"""`aftertouch topics create|check`, `aftertouch cat` and `aftertouch doctor` on a real broker, with records of a foreign client.

V1  check names each topic that is not there and exits 3; create makes them; check passes; a compacted input is refused.
V2  cat gives back every record once: partition, offset, key, value; values by both frames, the writer's schema resolved by a registry.
V4  doctor looks at everything and fails at nothing that is in order; keys placed by librdkafka's default are named; no broker is exit 4.
V3  what is no record of ours is base64, with the reason; nulls are null; --partition, --from, --max and --follow do what they say.
"""
import base64
import http.server
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import confluent_kafka
import confluent_kafka.admin
import fastavro

from foreign import Schema, partition_of
from waiting import PATIENCE_S

AFT, KAFKA = os.environ["AFT_BIN"], os.environ["AFT_KAFKA"]
PREFIX = f"verbs-{os.getpid()}-{int(time.time())}."
TOPICS = ["impressions", "outcomes", "clock", "examples", "rounds", "snapshots", "dead.letters", "prescored"]
PARTITIONS, SCHEMA_ID = 3, 7


def aftertouch(*words, names=None, more=()):
    """Runs a verb over topics of our own; (exit code, stdout, stderr)."""
    command = [AFT, *words, "--set", f"kafka.bootstrap.servers={KAFKA}", "--set", f"topics.partitions={PARTITIONS}"]
    for topic in TOPICS:
        command += ["--set", f"topics.{topic}={(names or {}).get(topic, PREFIX + topic)}"]
    for setting in more:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout, done.stderr


def cat(topic, *words, more=()):
    code, out, err = aftertouch("cat", PREFIX + topic, *words, more=more)
    assert code == 0, f"cat exits {code}: {err}"
    return [json.loads(line) for line in out.splitlines()]


def other_schema():
    """An outcome as somebody else writes it: other order, a field we do not know, the defaults left out."""
    return {"type": "record", "name": "Outcome", "namespace": "io.aftertouch", "fields": [
        {"name": "kind", "type": "string"}, {"name": "campaign", "type": "int"}, {"name": "user_id", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "outcome_id", "type": "string"}]}


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry that knows one schema."""

    def do_GET(self):
        found = self.path == f"/schemas/ids/{SCHEMA_ID}"
        body = json.dumps({"schema": json.dumps(other_schema())} if found else {"error_code": 40403}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def check_topics():
    code, out, err = aftertouch("topics", "check")
    assert code == 3, code
    assert all(PREFIX + t in out for t in TOPICS) and "topics create" in err
    code, out, err = aftertouch("topics", "create")
    assert code == 0, err
    code, out, err = aftertouch("topics", "check", "--json")
    told = json.loads(out)
    assert code == 0 and told["ok"] and len(told["lines"]) == len(TOPICS), out
    code, out, err = aftertouch("topics", "check", names={"impressions": PREFIX + "prescored", "prescored": PREFIX + "none"})
    assert code == 3 and "cleanup.policy" in err, err
    made = confluent_kafka.admin.AdminClient({"bootstrap.servers": KAFKA}).list_topics(timeout=60).topics
    counts = {t: len(made[PREFIX + t].partitions) for t in TOPICS}
    assert counts == {t: 1 if t in ("rounds", "snapshots") else PARTITIONS for t in TOPICS}, counts


def produce():
    """Outcomes in both frames, then a null, then bytes that are nothing; what was sent, by partition in order."""
    producer = confluent_kafka.Producer({"bootstrap.servers": KAFKA, "partitioner": "murmur2_random"})
    mine, other = Schema("outcome"), fastavro.parse_schema(other_schema())
    sent = {p: [] for p in range(PARTITIONS)}
    for i in range(30):
        user = f"user-{i}"
        value = {"outcome_id": f"o{i}", "user_id": user, "timestamp": 1_700_000_000_000 + i, "kind": "click"}
        if i % 2:
            body = io.BytesIO()
            fastavro.schemaless_writer(body, other, dict(value, campaign=i))
            framed = b"\0" + SCHEMA_ID.to_bytes(4, "big") + body.getvalue()
        else:
            value["value"] = i / 4
            framed = mine.encode(value)
        producer.produce(PREFIX + "outcomes", framed, user)
        sent[partition_of(user.encode(), PARTITIONS)].append((user, value))
    for key, value in (("user-0", None), ("user-0", b"\xff\xfe no frame")):
        producer.produce(PREFIX + "outcomes", value, key, headers={"trace": b"abc"})
        sent[partition_of(key.encode(), PARTITIONS)].append((key, value))
    assert producer.flush(60) == 0
    return sent


def check_values(sent, registry):
    lines = cat("outcomes", more=registry)
    assert len(lines) == sum(map(len, sent.values()))
    for partition, records in sent.items():
        here = [line for line in lines if line["partition"] == partition]
        assert [line["offset"] for line in here] == list(range(len(records)))
        for line, (key, value) in zip(here, records):
            assert line["key"] == key and abs(line["timestamp"] / 1000 - time.time()) < 3600, line
            if isinstance(value, dict):
                assert "error" not in line, line
                got = line["value"]
                assert all(got[name] == value[name] for name in ("outcome_id", "user_id", "timestamp", "kind")), (got, value)
                assert got["value"] == value.get("value", 1.0), got  # our schema's default where the writer had none
            elif value is None:
                assert line["value"] is None and "error" not in line and line["headers"] == {"trace": "abc"}, line
            else:
                assert base64.b64decode(line["value"]["base64"]) == value and line["error"], line
    without = cat("outcomes")  # no registry: Confluent's frame cannot be read, and is given as it is
    assert sum("error" in line for line in without) == 15 + 1, "only what needs the registry, and what is nothing"


def check_options(sent):
    some = next(p for p, records in sent.items() if len(records) > 3)
    one = cat("outcomes", "--partition", str(some))
    assert len(one) == len(sent[some]) and {line["partition"] for line in one} == {some}
    assert [line["offset"] for line in cat("outcomes", "--partition", str(some), "--from", "2", "--max", "1")] == [2]
    assert cat("outcomes", "--from", "latest") == []
    assert json.loads(aftertouch("cat", "clock")[1] or "null") is None and aftertouch("cat", "clock")[0] == 0  # topics.clock: it is empty
    code, _, err = aftertouch("cat", PREFIX + "outcomes", "--partition", str(some), "--from", "999")
    assert code == 6 and "999" in err, (code, err)
    for words, expected in ((["cat", "no-such-topic"], 3), (["cat"], 2), (["topics", "destroy"], 2),
                            (["cat", PREFIX + "outcomes", "--partition", "77"], 2)):
        code, _, err = aftertouch(*words)
        assert code == expected and err, (words, code, err)


def check_follow():
    command = [AFT, "cat", PREFIX + "rounds", "--follow", "--max", "1", "--set", f"kafka.bootstrap.servers={KAFKA}"]
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    assert following.poll() is None, "it does not wait at the end"
    producer = confluent_kafka.Producer({"bootstrap.servers": KAFKA})
    producer.produce(PREFIX + "rounds", b"plain", None)
    assert producer.flush(60) == 0
    out, _ = following.communicate(timeout=PATIENCE_S)
    line = json.loads(out)
    assert following.returncode == 0 and line["key"] is None and base64.b64decode(line["value"]["base64"]) == b"plain", out


def check_doctor(registry):
    """V4. The outcomes are keyed by murmur2; then impressions as librdkafka's default places them."""
    with tempfile.TemporaryDirectory(prefix="aftertouch-doctor-") as directory:
        more = [registry, f"state.dir={directory}"]
        code, out, err = aftertouch("doctor", "--json", more=more)
        told = json.loads(out)
        found = {(c["check"], c["status"]) for c in told["checks"]}
        assert code == 0 and told["ok"] and told["worst"] == "warn", (out, err)
        for check in ("configuration", "state", "memory", "registry", "broker", "topic", "keys", "disorder", "clock", "open", "disk"):
            assert (check, "ok") in found, (check, out)
        text = {c["check"]: c["text"] for c in told["checks"]}
        assert "1 broker, " in text["broker"] and "librdkafka " in text["broker"], text["broker"]
        assert any("2 of the newest 32 would be dead letters" in c["text"] for c in told["checks"]), out
        producer = confluent_kafka.Producer({"bootstrap.servers": KAFKA, "partitioner": "consistent_random"})
        for i in range(300):
            producer.produce(PREFIX + "impressions", b"not even a frame", f"user-{i}")
        assert producer.flush(60) == 0
        code, out, _ = aftertouch("doctor", more=more)
        assert code == 1 and "partitioner=murmur2_random. A user's impressions and outcomes meet only in one partition" in out, (code, out)
        assert "fail  records" in out and "fail  keys" in out, out
        code, out, _ = aftertouch("doctor", more=[*more, "kafka.bootstrap.servers=127.0.0.1:1"])
        assert code == 4 and "fail  broker" in out, (code, out)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    check_topics()
    sent = produce()
    check_values(sent, [f"schema.registry.url=http://127.0.0.1:{server.server_port}"])
    check_options(sent)
    check_follow()
    check_doctor(f"schema.registry.url=http://127.0.0.1:{server.server_port}")
    print("V1 V2 V3 V4 hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
