#!/usr/bin/env python3
"""Real clicks through a real broker, sent and read back by a foreign client.

    test_open_bandit.py AFTERTOUCH [--logs all|random/all,...] [--registry]

Open Bandit's small sample (arXiv:2008.07146; Apache-2.0; in PyPI's package obp 0.4.1): six logs of 10,000 impressions, 287
clicks. Each row becomes an impression, each click an outcome some minutes later (drawn from a fixed seed), some of them sent
twice, as producers do. They go through six partitions of a broker that this test starts; `aftertouch run` joins and learns.

O1  The clicks that were credited are the file's clicks, exactly: by the examples, and click by click.
O2  No example is missing and none is twice: seq = 0, 1, 2 ... in every partition, one OPEN and one SETTLE for each impression.
O3  An example says of its impression what was sent: user, time, arm, slot, propensity, features.
O4  The snapshot is whole: every part is there, its BLAKE2b-256 is in the manifest, and the manifest's own digest is right.
O5  The model learned every impression, and its manifest counts the clicks of every arm as the file does.
"""
import argparse
import collections
import csv
import datetime
import hashlib
import heapq
import io
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

from foreign import ROOT, Producer, Reader, Schema, latest_full_set, partition_of, set_digest
from waiting import PATIENCE_S, free_port

LOGS = {  # name: (clicks, first bytes of the csv's sha256)
    "random/all": (38, "7168295b6e0a9eab"), "random/men": (46, "ede6d08c6877f99c"), "random/women": (46, "e65f3bd3beb17664"),
    "bts/all": (42, "0ad874e4dbf6902f"), "bts/men": (69, "db6d1f7ed2d591ba"), "bts/women": (46, "e5d1b49a39b60858"),
}
ROWS, PARTITIONS = 10_000, 6
MINUTE = 60_000
WINDOW, GRACE, OPEN_AFTER, DISORDER = 60 * MINUTE, 5 * MINUTE, 10 * MINUTE, MINUTE
CONFIG = f"""app.id=open-bandit
topics.partitions={PARTITIONS}
join.window={WINDOW}ms
join.grace={GRACE}ms
join.open.after={OPEN_AFTER}ms
join.disorder={DISORDER}ms
join.idle.after=10m
reward.click.weight=1
reward.click.click=true
reward.click.count=first
learner.model=ridge
policy.explore=epsilon_greedy
snapshot.interval=2s
http.listen=
"""


# ---------------------------------------------------------------- the data
def package():
    """The wheel of obp, from the cache or from PyPI; nothing of it is installed or run."""
    cache = ROOT / ".cache" / "obp"
    wheel = cache / "obp-0.4.1-py3-none-any.whl"
    for pause in (5, 20, None):
        if wheel.exists():
            break
        done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
                               "--dest", str(cache), "obp==0.4.1"], check=pause is None, timeout=300)
        if done.returncode:
            time.sleep(pause)
    return zipfile.ZipFile(wheel)


def rows(wheel, name):
    """The rows of one log, after a look at its digest."""
    data = wheel.read(f"obp/dataset/obd/{name}/{name.split('/')[1]}.csv")
    digest = hashlib.sha256(data).hexdigest()
    assert digest.startswith(LOGS[name][1]), f"{name}: sha256 {digest} is not the file that this test was written for"
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"))))


def millis(text):
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def impression(name, number, row):
    features = {f"user_feature_{k}": row[f"user_feature_{k}"] for k in range(4)}
    crowd = hashlib.blake2b("/".join(features.values()).encode(), key=b"a secret of this test", digest_size=8).hexdigest()
    return {
        "decision_id": f"{name}/{number}", "user_id": f"{crowd}-{number % 40}", "timestamp": millis(row["timestamp"]), "session_id": None,
        "policy": name.split("/")[0], "snapshot": None, "propensity_kind": "EXACT", "deferred": False, "context": features,
        "candidates": [], "design": None,
        "slate": [{"arm_id": f"{name.split('/')[1]}-{row['item_id']}", "slot": int(row["position"]) - 1,
                   "propensity": float(row["propensity_score"]), "marginal": None, "subject": None, "features": {}}]}


def click(shown, delay):
    return {"outcome_id": f"click/{shown['decision_id']}", "user_id": shown["user_id"], "timestamp": shown["timestamp"] + delay,
            "kind": "click", "value": 1.0, "decision_id": shown["decision_id"], "arm_id": None, "subject": None,
            "session_id": None, "retracts": None}


def events(names):
    """(impressions, clicks), each in the order of their time."""
    wheel, chance = package(), random.Random(20191124)
    logs, clicks = [], []
    for name in names:
        log = []
        for number, row in enumerate(rows(wheel, name)):
            log.append(impression(name, number, row))
            if row["click"] == "1":
                clicks.append(click(log[-1], chance.randrange(1000, WINDOW - MINUTE)))
        assert len(log) == ROWS and sum(c["decision_id"].startswith(name) for c in clicks) == LOGS[name][0], name
        logs.append(log)
    return list(heapq.merge(*logs, key=lambda i: i["timestamp"])), sorted(clicks, key=lambda c: c["timestamp"])


# ---------------------------------------------------------------- the run
def closing_users():
    """One user for every partition."""
    users = {}
    for number in range(1000):
        users.setdefault(partition_of(f"closing-{number}".encode(), PARTITIONS), f"closing-{number}")
    return [users[p] for p in range(PARTITIONS)]


def feed(bootstrap, schemas, impressions, clicks):
    """Sends all in the order of time, every tenth click and every hundredth impression twice; then what closes every window.

    A log that is silent for join.idle.after no longer holds the other one back, and what it brings later is late: who loads an archive
    feeds both logs at one pace, or sets it high, as CONFIG does.
    """
    producer = Producer(bootstrap)
    every = [(i["timestamp"], "impressions", schemas["impression"], i, n % 100 == 0) for n, i in enumerate(impressions)]
    every += [(c["timestamp"], "outcomes", schemas["outcome"], c, n % 10 == 0) for n, c in enumerate(clicks)]
    for _, topic, schema, value, twice in sorted(every, key=lambda v: v[0]):
        for _ in range(2 if twice else 1):
            producer.send(topic, schema.encode(value), value["user_id"].encode())
    end = max(impressions[-1]["timestamp"], clicks[-1]["timestamp"]) + WINDOW + GRACE + OPEN_AFTER + 2 * DISORDER
    for user in closing_users():
        slate = [dict(impressions[-1]["slate"][0], arm_id="closing")]
        last = dict(impressions[-1], decision_id=f"closing/{user}", user_id=user, timestamp=end, slate=slate)
        producer.send("impressions", schemas["impression"].encode(last), user.encode())
        producer.send("outcomes", schemas["outcome"].encode(dict(click(last, 0), kind="closing")), user.encode())
    producer.flush()
    return producer.sent


class Service:
    """`aftertouch run` as a process; its talk goes to a file."""

    def __init__(self, program, config, log):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([program, "run", "--config", str(config)], stdout=out, stderr=out)

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the service ended with {self.process.returncode}:\n{self.tail()}")

    def stop(self):
        self.alive()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"after SIGTERM the service ended with {code}:\n{self.tail()}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self):
        return "".join(pathlib.Path(self.log).read_text(errors="replace").splitlines(True)[-20:])


class Sequence:
    """O2: what a reader of the examples must do, and must find: blocks of a stale epoch dropped, duplicates dropped, no gap."""

    def __init__(self):
        self.next, self.epoch, self.examples = collections.Counter(), collections.Counter(), []

    def take(self, partition, block):
        assert block["partition"] == partition, f"partition {partition} holds a block of {block['partition']}"
        if block["epoch"] < self.epoch[partition]:
            return
        self.epoch[partition] = block["epoch"]
        for number, example in enumerate(block["examples"], block["first_seq"]):
            assert example["seq"] == number, f"partition {partition}: seq {example['seq']} at place {number} of its block"
            if number < self.next[partition]:
                continue
            assert number == self.next[partition], f"partition {partition}: seq {number} follows {self.next[partition] - 1}"
            self.next[partition] += 1
            self.examples.append(example)


def settled(bootstrap, topic, schema, wanted, service, seconds):
    """Reads examples until so many impressions are settled."""
    reader, sequence, count = Reader(bootstrap, topic), Sequence(), 0
    end = time.monotonic() + seconds
    while count < wanted:
        assert time.monotonic() < end, f"{count} of {wanted} impressions were settled in {seconds} s; the service:\n{service.tail()}"
        service.alive()
        for message in reader.read(1):
            before = len(sequence.examples)
            sequence.take(message.partition(), schema.decode(message.value()))
            count += sum(e["phase"] == "SETTLE" for e in sequence.examples[before:])
    reader.close()
    return sequence.examples


# ---------------------------------------------------------------- what must hold
def check_examples(examples, impressions, clicks):
    """O1, O2, O3."""
    sent, clicked = {i["decision_id"]: i for i in impressions}, {c["decision_id"] for c in clicks}
    phases, credit, credited = collections.Counter(), collections.Counter(), set()
    for e in examples:
        if e["decision_id"].startswith("closing/"):
            continue
        i, [item] = sent[e["decision_id"]], e["items"]
        shown = i["slate"][0]
        seen = (e["user_id"], round(e["timestamp"].timestamp() * 1000), e["policy"], e["propensity_kind"], e["context"], e["candidates"],
                item["arm_id"], item["slot"], item["propensity"], item["features"])
        want = (i["user_id"], i["timestamp"], i["policy"], "EXACT", i["context"], [], shown["arm_id"], shown["slot"], shown["propensity"], {})
        assert seen == want, f"{e['decision_id']}: {seen}, sent was {want}"
        phases[e["phase"], e["decision_id"]] += 1
        credit[e["decision_id"]] += item["delta_micro"]
        if e["phase"] == "SETTLE":
            components = {k: v for k, v in item["components"].items() if v}
            assert components == ({"click": 1_000_000} if e["decision_id"] in clicked else {}), f"{e['decision_id']}: {components}"
            assert item["reward_micro"] == credit[e["decision_id"]], f"{e['decision_id']}: the changes do not add up to the reward"
            credited |= {e["decision_id"]} if components else set()
    for phase in ("OPEN", "SETTLE"):
        wrong = [d for d in sent if phases[phase, d] != 1]
        assert not wrong, f"{len(wrong)} impressions have not exactly one {phase}, e.g. {wrong[:3]}"
    assert credited == clicked and sum(credit.values()) == 1_000_000 * len(clicked), f"{len(credited)} clicks credited of {len(clicked)}"
    return sum(phases.values())


def check_snapshot(schema, values, impressions, clicks):
    """O4, O5. Returns (round, parts, bytes)."""
    record, parts = latest_full_set(schema, values)
    manifest = record["manifest"]
    assert manifest["set_digest"] == set_digest(schema, record), "the manifest's own digest is wrong"
    assert [e["partition"] for e in manifest["ends"]] == list(range(PARTITIONS)), "the manifest lacks ends of partitions"
    shown, arm_of = collections.Counter(), {}
    for i in impressions:
        arm_of[i["decision_id"]] = i["slate"][0]["arm_id"]
        shown[i["slate"][0]["arm_id"]] += 1
    hits = collections.Counter(arm_of[c["decision_id"]] for c in clicks)
    arms = {a["arm_id"]: (a["exposures"], a["clicks"]) for a in manifest["arms"]}
    wrong = [(a, arms.get(a), (shown[a], hits[a])) for a in shown if arms.get(a) != (shown[a], hits[a])]
    assert not wrong, f"{len(wrong)} arms are counted otherwise than in the file, e.g. {wrong[:3]}"
    return record["round"], len(parts), sum(len(p["data"]) for p in parts)


def run(program, bootstrap, names, registry, where):
    schemas = {name: Schema(name) for name in ("impression", "outcome", "example_block", "snapshot")}
    config = where / "aftertouch.conf"
    config.write_text(CONFIG + f"kafka.bootstrap.servers={bootstrap}\nstate.dir={where}/state\n"
                      + (f"schema.registry.url={registry}\n" if registry else ""), encoding="utf-8")
    if registry:
        schemas["impression"].register(registry, "impressions-value")
        schemas["outcome"].register(registry, "outcomes-value")
    subprocess.run([program, "topics", "create", "--config", str(config)], check=True, timeout=PATIENCE_S)
    impressions, clicks = events(names)
    service = Service(program, config, where / "service.log")
    try:
        sent = feed(bootstrap, schemas, impressions, clicks)
        examples = settled(bootstrap, "aftertouch.examples", schemas["example_block"], len(impressions), service, 600)
        service.stop()
    finally:
        service.kill()
    count = check_examples(examples, impressions, clicks)
    reader = Reader(bootstrap, "aftertouch.snapshots")
    values = [m.value() for m in reader.read_to_end("aftertouch.snapshots") if m.value() is not None]
    reader.close()
    number, parts, size = check_snapshot(schemas["snapshot"], values, impressions, clicks)
    print(f"{', '.join(names)}: {sent} records sent, {len(impressions)} impressions and {len(clicks)} clicks among them; "
          f"{count} examples; {len(clicks)} clicks credited; snapshot of round {number}: {parts} parts, {size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--logs", default=",".join(LOGS))
    parser.add_argument("--registry", action="store_true", help="Confluent framing, with a schema registry that this test starts")
    args = parser.parse_args()
    program = str(pathlib.Path(args.program).resolve())
    kafka, registry = (str(ROOT / "tests" / "kafka" / tool) for tool in ("kafka", "schema-registry"))
    started = lambda tool, port: subprocess.run([tool, "start", "--port", str(port)], check=True, stdout=subprocess.PIPE, text=True,
                                                timeout=600).stdout.split()[-1]
    url = None
    port, registry_port = int(subprocess.run([kafka, "port"], check=True, stdout=subprocess.PIPE, text=True).stdout), free_port()
    try:
        bootstrap = started(kafka, port)
        url = started(registry, registry_port) if args.registry else None
        with tempfile.TemporaryDirectory(prefix="aftertouch-bandit-") as where:
            run(program, bootstrap, args.logs.split(","), url, pathlib.Path(where))
    finally:
        subprocess.run([kafka, "stop", "--port", str(port)], check=False, timeout=120)
        if args.registry:
            subprocess.run([registry, "stop", "--port", str(registry_port)], check=False, timeout=60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
