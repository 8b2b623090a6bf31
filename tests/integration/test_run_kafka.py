#!/usr/bin/env python3
"""`aftertouch run` on a real broker, stopped, killed and overtaken while records come in, by a foreign client.

R1  After SIGTERM, kill -9, a broker that is away for a while, and a second process with an empty disk that takes over: the examples are
    complete, seq = 0, 1, 2 ... without a gap, twice only byte for byte; every impression has one OPEN and one SETTLE, every click its credit.
R2  SIGTERM ends it with 0; a broker that is not there with 4, an unknown key with 3.
R3  What cannot be read stands in the dead letters with its origin and its own bytes.
R4  Snapshots come out whole, `snapshot list` and `show` tell of them, and they count every impression's arm.
R5  With join.one.core the worker and its connections may use one core alone, the learner all.
R6  /readyz, /metrics and the page answer; the group's committed offsets reach the ends.
"""
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import confluent_kafka

from foreign import Producer, Reader, Schema, latest_full_set, partition_of
from waiting import PATIENCE_S, free_port, until, until_none

AFT, KAFKA = os.environ["AFT_BIN"], os.environ["AFT_KAFKA"]
PREFIX = f"run-{os.getpid()}-{int(time.time())}."
TOPICS = ["impressions", "outcomes", "clock", "examples", "rounds", "snapshots", "dead.letters", "prescored"]
PARTITIONS = 3
SCHEMAS = {name: Schema(name) for name in ("impression", "outcome", "example_block", "snapshot")}


# Disorder is longer than it takes from a record's own time to its place in the topic, on a slow machine and behind a broker that was away:
# a click that comes later than that has no credit, and each click's is asked for here.
def configuration(where, name, port):
    settings = {"app.id": PREFIX + "app", "state.dir": where / name, "kafka.bootstrap.servers": KAFKA, "topics.partitions": PARTITIONS,
                "join.window": "3s", "join.grace": "500ms", "join.open.after": "500ms", "join.orphan.after": "1s",
                "join.disorder": "2s", "join.idle.after": "300ms", "commit.interval": "300ms", "learner.round.interval": "200ms",
                "snapshot.interval": "1s", "learner.model": "ridge", "features.bits": "10", "http.listen": f"127.0.0.1:{port}",
                "kafka.consumer.session.timeout.ms": "6000", "kafka.consumer.heartbeat.interval.ms": "1000",
                "join.one.core": "true" if name == "second" else "false"}
    settings.update({f"topics.{t}": PREFIX + t for t in TOPICS})
    path = where / f"{name}.conf"
    path.write_text("".join(f"{k}={v}\n" for k, v in settings.items()), encoding="utf-8")
    return path


class Process:
    def __init__(self, where, name):
        self.port, self.name = free_port(), name
        self.config = configuration(where, name, self.port)
        self.log = where / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([AFT, "run", "--config", str(self.config)], stdout=out, stderr=out)
        return self

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return answer.read().decode()

    def alive(self):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.tail()}"

    def says_ready(self):
        self.alive()
        try:
            return self.get("/readyz") == "ready\n"
        except OSError:
            return False

    def ready(self):
        until(self.says_ready, lambda _: f"{self.name} is not ready:\n{self.tail()}", every=0.1)
        return self

    def allowed(self):
        """How many cores each of its threads may use."""
        cores = []
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with contextlib.suppress(ProcessLookupError):  # ended meanwhile
                cores.append(len(os.sched_getaffinity(int(thread))))
        return cores

    def stop(self):
        self.alive()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"{self.name}: {code} after SIGTERM:\n{self.tail()}"

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self):
        return "".join(self.log.read_text(errors="replace").splitlines(True)[-30:])


class World:
    """Impressions and clicks as they come, in real time; remembers what was sent."""

    def __init__(self):
        self.producer, self.chance = Producer(KAFKA), random.Random(7)
        self.shown, self.clicked = {}, set()

    def happen(self, count):
        for _ in range(count):
            now, number = int(time.time() * 1000), len(self.shown)
            user, decision, arm = f"user-{self.chance.randrange(40)}", f"d{number}", f"arm-{self.chance.randrange(5)}"
            self.shown[decision] = arm
            self.producer.send(PREFIX + "impressions", SCHEMAS["impression"].encode({
                "decision_id": decision, "user_id": user, "timestamp": now, "session_id": None, "policy": "p", "snapshot": None,
                "propensity_kind": "EXACT", "deferred": False, "context": {"day": 3.0}, "candidates": [], "design": None,
                "slate": [{"arm_id": arm, "slot": 0, "propensity": 0.2, "marginal": None, "subject": None, "features": {}}]}), user)
            if self.chance.random() < 0.4:
                self.clicked.add(decision)
                self.producer.send(PREFIX + "outcomes", SCHEMAS["outcome"].encode({
                    "outcome_id": f"o{number}", "user_id": user, "timestamp": now + 100, "kind": "click", "value": 1.0,
                    "decision_id": decision, "arm_id": None, "subject": None, "session_id": None, "retracts": None}), user)
            time.sleep(0.004)
        self.producer.flush()


def read_examples():
    """R1: what a reader of the examples does; returns the examples, and how many were there twice."""
    reader = Reader(KAFKA, PREFIX + "examples")
    epoch, kept, twice = collections.Counter(), collections.defaultdict(list), 0
    for message in reader.read_to_end(PREFIX + "examples"):
        block, p = SCHEMAS["example_block"].decode(message.value()), message.partition()
        if block["epoch"] < epoch[p]:
            continue
        epoch[p] = block["epoch"]
        for seq, example in enumerate(block["examples"], block["first_seq"]):
            assert seq <= len(kept[p]), f"partition {p}: seq {seq} after {len(kept[p]) - 1}"
            if seq < len(kept[p]):
                assert kept[p][seq] == example, f"partition {p}: seq {seq} was written twice, differently"
                twice += 1
            else:
                kept[p].append(example)
    reader.close()
    return [e for p in sorted(kept) for e in kept[p]], twice, sum(epoch[p] > 0 for p in range(PARTITIONS))


def settled(world, process):
    found = []

    def done():
        process.alive()
        found[:] = read_examples()
        return sum(e["phase"] == "SETTLE" for e in found[0]) >= len(world.shown)

    until(done, lambda _: f"{sum(e['phase'] == 'SETTLE' for e in found[0])} of {len(world.shown)} settled:\n{process.tail()}", every=0.5)
    return found[:2]


def check_examples(world, examples):
    phases, credited = collections.Counter(), set()
    for e in examples:
        phases[e["phase"], e["decision_id"]] += 1
        if e["phase"] == "SETTLE" and e["items"][0]["components"].get("click"):
            credited.add(e["decision_id"])
    for phase in ("OPEN", "SETTLE"):
        wrong = [d for d in world.shown if phases[phase, d] != 1]
        assert not wrong, f"{len(wrong)} impressions have not one {phase}: {wrong[:5]}"
    assert credited == world.clicked, f"{len(credited)} of {len(world.clicked)} clicks credited"


def check_dead_letters():
    """R3."""
    reader = Reader(KAFKA, PREFIX + "dead.letters")
    found = [m for m in reader.read_to_end(PREFIX + "dead.letters") if m.value() == b"nothing of ours"]
    reader.close()
    assert found, "the unreadable record is not in the dead letters"
    headers = dict(found[0].headers())
    assert found[0].key() == b"user-1" and headers["aftertouch.topic"].decode() == PREFIX + "outcomes"
    assert headers["aftertouch.reason"] == b"MAGIC" and headers["aftertouch.detail"], headers
    assert int(headers["aftertouch.partition"]) == partition_of(b"user-1", PARTITIONS) and int(headers["aftertouch.offset"]) >= 0


def verb(process, *words):
    done = subprocess.run([AFT, *words, "--config", str(process.config)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr}"
    return done.stdout


def exposures():
    """(round, {arm: so often shown}) of the newest full snapshot."""
    reader = Reader(KAFKA, PREFIX + "snapshots")
    manifest, _ = latest_full_set(SCHEMAS["snapshot"], [m.value() for m in reader.read_to_end(PREFIX + "snapshots") if m.value()])
    reader.close()
    return manifest["round"], {a["arm_id"]: a["exposures"] for a in manifest["manifest"]["arms"]}


def learned(world, process):
    """Until the newest snapshot knows of everything."""
    def done():
        process.alive()
        return sum(exposures()[1].values()) >= len(world.shown)

    until(done, lambda _: f"the newest snapshot counts {exposures()} of {len(world.shown)}:\n{process.tail()}", every=0.5)


def check_snapshots(world, process):
    """R4."""
    newest, arms = exposures()
    assert arms == collections.Counter(world.shown.values()), f"{arms}"
    listed = [json.loads(line) for line in verb(process, "snapshot", "list", "--json").splitlines()]
    assert listed and listed[-1]["round"] == newest and listed[-1]["whole"], listed[-1:]
    assert f"round      {newest}" in verb(process, "snapshot", "show")
    assert json.loads(verb(process, "snapshot", "show", str(newest), "--json"))["round"] == newest


def check_page(process, world):
    """R5."""
    metrics = process.get("/metrics")
    values = {m[1]: float(m[2]) for m in re.finditer(r"^(\S+) (\S+)$", metrics, re.M)}
    fates = sum(v for k, v in values.items() if k.startswith("aftertouch_outcomes_total"))
    assert fates >= len(world.clicked), fates
    assert values["aftertouch_ready"] == 1 and values["aftertouch_learner_round"] > 0
    assert "<title>aftertouch" in process.get("/") and process.get("/healthz") == "ok\n"
    topics = [confluent_kafka.TopicPartition(PREFIX + t, p) for t in ("impressions", "outcomes") for p in range(PARTITIONS)]
    consumer = confluent_kafka.Consumer({"bootstrap.servers": KAFKA, "group.id": PREFIX + "app"})
    behind = lambda: [(at.topic, at.partition, at.offset, end) for at in consumer.committed(topics, 60)
                      if (end := consumer.get_watermark_offsets(at, 60)[1]) > max(at.offset, 0)]
    until_none(behind, lambda: "the group is behind the ends (topic, partition, committed, end)", every=0.2)
    consumer.close()


def check_cores(process, cores):
    """The second has join.one.core, the first has not: a worker, its two clients (three threads each and more), its store's thread."""
    allowed = process.allowed()
    assert cores == 1 or max(allowed) == cores, f"{process.name}: all threads on fewer cores than there are: {allowed}"
    wanted = 6 if process.name == "second" else 0 if cores > 1 else len(allowed)
    assert allowed.count(1) >= wanted and (wanted or 1 not in allowed), f"{process.name}: {allowed} cores for its threads"


def check_refusals(where):
    """R2."""
    run = lambda *words: subprocess.run([AFT, "run", *words], capture_output=True, text=True, timeout=PATIENCE_S)
    done = run("--set", f"kafka.bootstrap.servers=127.0.0.1:{free_port()}", "--set", "http.listen=")
    assert done.returncode == 4, (done.returncode, done.stderr)
    done = run("--set", "join.windw=3s")
    assert done.returncode == 3 and "join.window" in done.stderr, (done.returncode, done.stderr)
    assert run("--role", "nobody").returncode == 2
    assert run().returncode == 3


def story(where):
    world, first, second = World(), Process(where, "first"), Process(where, "second")
    verb(first, "topics", "create")
    try:
        first.start().ready()
        world.happen(200)
        world.producer.send(PREFIX + "outcomes", b"nothing of ours", "user-1")
        first.stop()
        world.happen(200)
        first.start().ready()
        world.happen(200)
        first.kill()
        world.happen(100)
        first.start().ready()
        assert "open impressions back from the state in" in first.log.read_text(), first.tail()
        world.happen(100)
        subprocess.run(os.environ["AFT_KAFKA_PAUSE"], shell=True, check=True)  # the broker is away for a while
        time.sleep(8)
        subprocess.run(os.environ["AFT_KAFKA_CONT"], shell=True, check=True)
        world.happen(100)
        first.alive()  # it waited for the broker
        second.start()
        world.happen(400)
        second.ready()
        world.happen(200)
        check_cores(first, len(os.sched_getaffinity(0)))
        check_cores(second, len(os.sched_getaffinity(0)))
        first.kill()  # the second, with little or nothing on its disk, takes over all
        world.happen(200)
        examples, twice = settled(world, second)
        check_examples(world, examples)
        learned(world, second)
        check_page(second, world)
        second.stop()
        check_snapshots(world, second)
        check_dead_letters()
        again, _, _ = read_examples()
        assert again[:len(examples)] == examples or len(again) == len(examples), "examples changed after the end"
    finally:
        first.kill()
        second.kill()
    check_refusals(where)
    print(f"{len(world.shown)} impressions, {len(world.clicked)} clicks: {len(examples)} examples, {twice} written again; R1 to R6 hold")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aftertouch-run-") as directory:
        sys.exit(story(pathlib.Path(directory)))
