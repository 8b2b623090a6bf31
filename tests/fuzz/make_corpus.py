#!/usr/bin/env python3
"""Makes the fuzzers' first inputs, tests/fuzz/corpus: good records, so that the fuzzers begin behind the first check. Needs fastavro.

    make_corpus.py AFTERTOUCH          the program makes the models among them; writes the same files every time; run it again when a schema has changed
"""
import io
import json
import pathlib
import subprocess
import sys
import tempfile

import fastavro

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
sys.path.insert(0, str(HERE.parent / "oracle"))

import as_avro  # noqa: E402  (found by the paths above)
from foreign import Schema  # noqa: E402

FEATURES = {"days": 3.5, "device": "web", "new": True}
DESIGN = {"kind": "plackett_luce", "temperature": 0.1, "epsilon": 0.05, "k": 2, "key": "d1"}
CANDIDATE = {"arm_id": "a1", "features": FEATURES, "log_weight": -1.5, "mask": None}
SHOWN = {"arm_id": "a1", "slot": 0, "propensity": 0.25, "marginal": 0.25, "subject": "investments", "features": {"format": "tile"}}
ITEM = {"arm_id": "a1", "slot": 0, "propensity": 0.25, "marginal": None, "features": {}, "reward_micro": 50_000, "delta_micro": 50_000,
        "components": {"click": 1_000_000}}
EXAMPLE = {"seq": 0, "phase": "OPEN", "fire": 1_700_000_600_000, "decision_id": "d1", "user_id": "u1", "timestamp": 1_700_000_000_000,
           "policy": "personalised", "snapshot": "ab" * 32, "propensity_kind": "EXACT", "cause": "o1", "context": FEATURES,
           "candidates": [CANDIDATE], "items": [ITEM], "design": DESIGN}
END = {"partition": 0, "next_seq": 1, "next_offset": 2}
MANIFEST = {
    "digest": bytes(32), "parent": None, "set_digest": bytes(32), "signature": None, "configuration": bytes(32), "event_time": 0,
    "ends": [dict(END, hash=bytes(16))], "part_digests": [bytes(32)], "settings": {"features.bits": "18"},
    "arms": [{"arm_id": "a1", "exposures": 1, "clicks": 1, "reward_micro": 1, "first_seen": 0}],
    "scoreboard": [{"policy": "baseline", "decisions": 1, "items": 3, "clicks": 1.0, "value": 0.5, "sums": {"clicks2": 1.0}}],
    "counts": {"learned": 1}}
RECORDS = [  # in the order of enum aft_record
    ("impression", {"decision_id": "d1", "user_id": "u1", "timestamp": 1_700_000_000_000, "session_id": "s", "policy": "personalised",
                    "snapshot": None, "propensity_kind": "EXACT", "deferred": False, "context": FEATURES, "candidates": [CANDIDATE],
                    "slate": [SHOWN], "design": DESIGN}),
    ("outcome", {"outcome_id": "o1", "user_id": "u1", "timestamp": 1_700_000_000_500, "kind": "click", "value": 1.0, "decision_id": "d1",
                 "arm_id": "a1", "subject": None, "session_id": None, "retracts": None}),
    ("example", EXAMPLE),
    ("example_block", {"epoch": 7, "partition": 0, "first_seq": 0, "hash": bytes(16), "examples": [EXAMPLE, dict(EXAMPLE, seq=1)]}),
    ("clock", {"epoch": 7, "kind": "TICK", "log": "OUTCOMES", "at_offset": 3, "watermark": 1_700_000_000_000, "owner": None}),
    ("round", {"epoch": 7, "kind": "ROUND", "round": 1, "ends": [END], "publish": "FULL", "decision": None, "owner": None}),
    ("snapshot", {"model": "default", "round": 1, "kind": "FULL", "part": 1, "parts": 1, "plane": "MANIFEST", "data": b"",
                  "manifest": MANIFEST, "note": None}),
]
HISTORY = {"user_id": "u1", "impressions_to": 7, "outcomes_to": 3, "entries": [
    {"what": "SHOWN", "name": "a1", "day": 20454, "ids": [1, 2 ** 47]}, {"what": "RETRACTED", "name": None, "day": 20455, "ids": [5]}]}
HISTORY_NUMBER = 9  # in enum aft_record
CONFIG = b"""# a comment
app.id=one
join.window = 14d
join.disorder=250ms
reward.click.weight=0.05
reward.key_task_completed.rule=time_decay
features.interactions=days*topic, slot*device
features.buckets.days=1, 7, 30
kafka.bootstrap.servers=localhost:9092
kafka.consumer.fetch.min.bytes=1
policy.epsilon=0.05
learner.model=ridge
snapshot.interval=10s
"""


def put(folder, name, data):
    path = HERE / "corpus" / folder
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(data)


def container(schema, rows):
    out = io.BytesIO()
    fastavro.writer(out, schema, rows, codec="null", sync_marker=b"0123456789abcdef")
    return out.getvalue()


def models(program):
    """What the program learns from two examples: the weights of each kind of model."""
    schema = fastavro.parse_schema(json.loads(Schema("example").text))
    with tempfile.TemporaryDirectory() as folder:
        examples, snapshot = pathlib.Path(folder, "examples"), pathlib.Path(folder, "snapshot")
        examples.write_bytes(container(schema, [EXAMPLE, dict(EXAMPLE, seq=1)]))
        for choice, (model, scope) in enumerate([("flow", "shared"), ("ridge", "shared"), ("ridge", "per_arm")]):
            subprocess.run([program, "learn", "--examples", examples, "--snapshot", snapshot, "--set", f"learner.model={model}",
                            "--set", f"learner.scope={scope}"], check=True, stdout=subprocess.DEVNULL)
            with open(snapshot, "rb") as f:
                parts = [r["data"] for r in fastavro.reader(f) if r["plane"] == "WEIGHTS"]
            put("snapshot", f"{model}-{scope}", bytes([(0, 1, 3)[choice] + 4 * 2]) + b"".join(parts))


def main():
    for number, (name, value) in enumerate(RECORDS):
        schema = Schema(name)
        put("frame", f"{name}.body", bytes([number]) + schema.body(value))
        put("frame", f"{name}.framed", bytes([number]) + schema.encode(value))
        put("plan", name, json.dumps(json.loads(schema.text)).encode() + b"\0" + schema.body(value))
        put("writer", name, bytes([number, 0]) + schema.body(value))
        put("writer", f"{name}.changed", bytes([number, 2, 1, 0, 2, 9]) + schema.body(value))
    put("frame", "history.body", bytes([HISTORY_NUMBER]) + Schema("history").body(HISTORY))
    outcome = json.loads(Schema("outcome").text)
    value = RECORDS[1][1]
    put("container", "plain", container(fastavro.parse_schema(outcome), [value, dict(value, outcome_id="o2")]))
    put("config", "every-form", CONFIG)
    clock, rounds = (Schema(name).body(RECORDS[number][1]) for number, name in ((4, "clock"), (5, "round")))
    put("journal", "both", b"".join(bytes([topic, len(body)]) + body for topic, body in ((0, clock), (1, rounds))))
    models(sys.argv[1])
    rows = [{"offset": n, "log_timestamp": 0, "key": b"u1", "value": v} for n, v in enumerate([value, None])]
    put("container", "enveloped", container(as_avro.envelope("Outcome", outcome), rows))


if __name__ == "__main__":
    main()
