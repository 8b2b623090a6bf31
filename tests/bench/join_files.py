#!/usr/bin/env python3
"""The offline joiner as its users run it: container files in, examples out, one core. CPU seconds of the whole process per million events.

    join_files.py AFTERTOUCH [IMPRESSIONS]      needs fastavro; default 200000 impressions and a tenth as many outcomes

The data is that of the Kafka Streams peer (peers/streams): last touch in 14 days, users a tenth of the impressions, 30 days, from a seed.
"""
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

HOME = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tests/oracle"))
import as_avro  # noqa: E402  (the writer of enveloped files)
import fastavro  # noqa: E402

DAY = 86_400_000
START = 1_760_000_000_000
CONFIG = """app.id=bench
join.window=14d
join.grace=1h
join.open.after=10m
join.disorder=10s
reward.conversion.weight=1.0
reward.conversion.rule=last_touch
"""


def events(n):
    """(impressions, outcomes), each a list of (time, record), in order of arrival: three in ten up to 5 s out of order."""
    r = random.Random(20261123)
    users, every = max(1, n // 10), 10
    late = lambda t: t - (r.randrange(5000) if r.random() < 0.3 else 0)
    impressions, outcomes = [], []
    for i in range(n):
        at, user = START + i * 30 * DAY // n, f"u{r.randrange(users):015d}"
        impressions.append((at, {
            "decision_id": f"d{i:015d}", "user_id": user, "timestamp": late(at), "session_id": None, "policy": "bench",
            "snapshot": None, "propensity_kind": "EXACT", "deferred": False, "context": {"device": "web"}, "candidates": [],
            "slate": [{"arm_id": f"a{r.randrange(200)}", "slot": 0, "propensity": 0.25, "marginal": None, "subject": None,
                       "features": {}}], "design": None}))
        if i % every == 0:
            t = at + int(r.expovariate(1) * DAY)
            outcomes.append((t, {"outcome_id": f"o{i:015d}", "user_id": user, "timestamp": late(t), "kind": "conversion", "value": 1.0,
                                 "decision_id": None, "arm_id": None, "subject": None, "session_id": None, "retracts": None}))
    outcomes.sort(key=lambda p: p[0])
    return impressions, outcomes


def write(path, name, rows):
    schema = as_avro.envelope(name, as_avro.schema(str(HOME / "wire/schemas"), name.lower()))
    wrapped = ({"offset": k, "log_timestamp": at, "key": v["user_id"].encode(), "value": v} for k, (at, v) in enumerate(rows))
    with open(path, "wb") as f:
        fastavro.writer(f, schema, wrapped)


def cpu(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    program, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    impressions, outcomes = events(n)
    total = len(impressions) + len(outcomes)
    with tempfile.TemporaryDirectory() as d:
        at = lambda name: os.path.join(d, name)
        write(at("impressions.avro"), "Impression", impressions)
        write(at("outcomes.avro"), "Outcome", outcomes)
        pathlib.Path(at("join.conf")).write_text(CONFIG)
        for emit in ("rewarded", "all"):
            seconds = cpu([program, "join", "--config", at("join.conf"), "--set", f"join.emit={emit}", "--impressions",
                           at("impressions.avro"), "--outcomes", at("outcomes.avro"), "--examples", at("examples.avro")])
            print(f"join of files, {total} events, emit={emit}: {seconds / total * 1e6:.3f} CPU-s per M events")


if __name__ == "__main__":
    main()
