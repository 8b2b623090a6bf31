#!/usr/bin/env python3
"""`aftertouch score` over many users and 50 messages: users per second, memory, bytes. Wants fastavro.

    score.py AFTERTOUCH [--users N] [--marginals N]

The model: `flow` with its defaults, 10 context features and 6 of each message, learned from 20,000 decisions made from a seed. Prints a table.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import tempfile
import time

import fastavro

ROOT = pathlib.Path(__file__).resolve().parents[2]
MESSAGES = 50


def message(i):
    return {"topic": f"topic-{i % 8}", "format": ["card", "story", "quiz"][i % 3], "minutes": 1 + i % 7 / 2, "video": i % 2 == 0, "age_days": float(i), "level": f"l{i % 4}"}


def context(chance):
    return {"days_since_enrol": float(chance.randrange(90)), "age_band": f"{chance.randrange(2, 8)}0s", "plan": chance.choice(["free", "pro", "team"]), "returning": chance.random() < 0.5,
            "tasks_done": float(chance.randrange(12)), "hour": float(chance.randrange(24)), "language": chance.choice(["en", "es", "zh"]),
            "streak": float(chance.randrange(20)), "minutes_last_week": round(chance.random() * 100, 1), "goal": f"goal-{chance.randrange(5)}"}


def learn(program, where):
    chance, schema = random.Random("bench"), fastavro.parse_schema(json.loads((ROOT / "wire/schemas/example.avsc").read_text()))
    arms = {f"message-{i}": message(i) for i in range(MESSAGES)}
    candidates = [{"arm_id": a, "features": f, "log_weight": 0.0, "mask": None} for a, f in arms.items()]

    def rows():
        for i in range(20_000):
            x, arm = context(chance), chance.choice(list(arms))
            reward = 1_000_000 if chance.random() < 0.05 + 0.01 * (x["streak"] if arms[arm]["topic"] < "topic-4" else x["tasks_done"]) else 0
            yield {"seq": i, "phase": "OPEN", "fire": i, "decision_id": f"d{i}", "user_id": f"u{i}", "timestamp": i, "policy": "p", "propensity_kind": "EXACT", "context": x,
                   "candidates": candidates, "design": None,
                   "items": [{"arm_id": arm, "slot": 0, "propensity": 1 / MESSAGES, "features": arms[arm], "reward_micro": reward, "delta_micro": reward, "components": {}}]}
    with open(where / "examples.avro", "wb") as f:
        fastavro.writer(f, schema, rows())
    subprocess.run([program, "learn", "--examples", where / "examples.avro", "--snapshot", where / "snapshot.avro", "--set", "features.interactions=plan*topic,streak*topic"],
                   check=True, stdout=subprocess.DEVNULL)
    (where / "catalogue.jsonl").write_text("".join(json.dumps({"arm_id": a, "features": f}) + "\n" for a, f in arms.items()))


def users(where, n):
    chance = random.Random("users")
    texts = [json.dumps(context(chance)) for _ in range(5000)]
    with open(where / "in.jsonl", "w", encoding="utf-8") as f:
        for i in range(n):
            f.write(f'{{"user_id": "{i * 0x9E3779B97F4A7C15 % 2**64:016x}", "context": {texts[i % 5000]}, "device": "web", "k": 3}}\n')


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("--users", type=int, default=1_000_000)
    p.add_argument("--marginals", default="0,1,3")
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as where:
        where = pathlib.Path(where)
        learn(options.program, where)
        users(where, options.users)
        print("| marginals of | users | wall s | CPU s | users per CPU-s | peak MB | input MB | output MB |\n|---|---|---|---|---|---|---|---|")
        for slots in options.marginals.split(","):
            begun = time.monotonic()
            process = subprocess.Popen([options.program, "score", "--snapshot", where / "snapshot.avro", "--in", where / "in.jsonl", "--candidates", where / "catalogue.jsonl",
                                        "--out", where / "out.avro", "--marginals", slots], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0
            cpu = usage.ru_utime + usage.ru_stime
            print(f"| {slots} slots | {options.users:,} | {time.monotonic() - begun:.1f} | {cpu:.1f} | {options.users / cpu:,.0f} | {usage.ru_maxrss / 1024:.0f} | "
                  f"{(where / 'in.jsonl').stat().st_size / 1e6:.0f} | {(where / 'out.avro').stat().st_size / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
