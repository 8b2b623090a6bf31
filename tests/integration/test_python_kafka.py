#!/usr/bin/env python3
"""The wheel and `aftertouch score` on a real broker: an engine in Python decides and logs, a service learns from it, the engine follows.

P1  What Python logged stands in the topics as it was decided, on the partition that Java's clients would choose.
P2  A snapshot that the service made of it reaches the client, which decides by it.
P3  `score --topic` writes a record a user, keyed and partitioned likewise; drawn from it, a decision is the live one, bit by bit.

The wheel is where `run` put it: BUILD/python/site.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(os.environ["AFT_BUILD"]) / "python/site"))

import live  # noqa: E402
from aftertouch import Candidate, Catalogue, Client  # noqa: E402  (the wheel)
from foreign import Schema, partition_of  # noqa: E402
from waiting import until  # noqa: E402

PARTITIONS, USERS = 3, 60
ARMS = Catalogue(Candidate(f"a{i}", {"topic": "xy"[i % 2], "minutes": float(i)}) for i in range(8))


def keyed(app, topic):
    for p, records in live.everything(app.topic(topic)).items():
        for m in records:
            assert p == partition_of(m.key(), PARTITIONS), (topic, m.key(), p)
            yield m


def engine(client):
    shown = {}
    for i in range(3 * USERS):
        with client.decide(f"user-{i % USERS}", ARMS, context={"days": float(i % 9)}, device="web") as d:
            client.log_impression(d)
            shown[d.decision_id] = [(s.arm_id, s.conditional, s.marginal) for s in d.slots]
            if d.slots[0].arm_id in ("a1", "a3"):
                client.log_outcome(d.user_id, "click", decision_id=d.decision_id, arm_id=d.slots[0].arm_id)
    client.flush()
    return shown


def as_decided(app, shown):
    seen = {}
    for m in keyed(app, "impressions"):
        v = live.SCHEMAS["impression"].decode(m.value())
        assert v["user_id"].encode() == m.key()
        seen[v["decision_id"]] = [(s["arm_id"], s["propensity"], s["marginal"]) for s in v["slate"]]
    assert seen == shown
    assert sum(1 for _ in keyed(app, "outcomes")) == sum(s[0][0] in ("a1", "a3") for s in shown.values()) > 0


def scored(app, where, client):
    live.run(app, "snapshot", "export", str(client.info().round), str(where / "s.avro"))
    (where / "catalogue.jsonl").write_text("".join(json.dumps({"arm_id": a.arm_id, "features": a.features}) + "\n" for a in ARMS.candidates))
    (where / "in.jsonl").write_text("".join(json.dumps({"user_id": f"user-{i}", "context": {"days": float(i % 9)}}) + "\n" for i in range(USERS)))
    now = int(time.time() * 1000)
    live.run(app, "score", "--snapshot", str(where / "s.avro"), "--in", str(where / "in.jsonl"), "--candidates", str(where / "catalogue.jsonl"), "--topic",
             "--valid-from", str(now - 60_000))
    found, schema = {}, Schema("prescored")
    with Client(snapshot_file=str(where / "s.avro"), baseline_share=0) as same:
        for m in keyed(app, "prescored"):
            user, v = m.key().decode(), schema.decode(m.value())
            later = same.decide(user, ARMS, prescored=m.value())
            there = same.decide(user, ARMS, context={"days": float(int(user[5:]) % 9)}, key=v["design"]["key"])
            assert later.slots == there.slots and later.log_weights == there.log_weights and v["snapshot"] == there.snapshot_id
            found[user] = later
        assert len(found) == USERS
    lines = live.run(app, "cat", app.topic("prescored")).stdout.splitlines()
    assert len(lines) == USERS and "log_weight" in lines[0]


def story(where):
    app = live.App(where, f"py-{os.getpid()}.", live.case(), PARTITIONS, learner__model="flow")
    live.run(app, "topics", "create")
    service = live.Service(app, "one").start().ready()
    try:
        failures = []
        with Client(live.KAFKA, snapshots_topic=app.topic("snapshots"), impressions_topic=app.topic("impressions"), outcomes_topic=app.topic("outcomes"),
                    seed=5, on_failure=failures.append) as client:
            shown = engine(client)
            as_decided(app, shown)
            print("P1", len(shown), "decisions", flush=True)
            until(lambda: client.info().snapshot_id, lambda _: f"no snapshot reaches the client:\n{service.tail()}")
            info = client.info()
            live_user = next(f"user-{i}" for i in range(USERS) if not client.is_baseline(f"user-{i}"))
            with client.decide(live_user, ARMS, context={"days": 1.0}) as d:
                assert d.snapshot_id and d.design == "plackett_luce" and d.round >= info.round
            print("P2 round", info.round, flush=True)
            assert not failures and client.info().undelivered == 0
            service.stop()
            scored(app, where, client)
            print("P3", flush=True)
    finally:
        service.kill()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        story(pathlib.Path(directory))
