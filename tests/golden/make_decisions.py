#!/usr/bin/env python3
"""Makes tests/golden/decisions.json anew: golden decisions of every explorer, which C, Python and any other client must repeat bit by bit.

    PYTHONPATH=build/release/python/site .cache/venv/bin/python tests/golden/make_decisions.py build/release/bin/aftertouch

The file, whose shape docs/PYTHON.md explains: small snapshots (as `learn` writes them, in base64), and vectors: what was asked, and what came
out, doubles and floats as the hexadecimal digits of their IEEE bits. Run it when a format or a law changes on purpose, and say so in the
commit: a change of these bits is a change for every engine.
"""
import base64
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import fastavro

from aftertouch import Candidate, Client

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARMS = {"walk": {"topic": "activity", "minutes": 3.0, "video": True}, "run": {"topic": "activity", "minutes": 9.5, "video": False},
        "sleep": {"topic": "rest", "minutes": 4.25, "video": False}, "breathe": {"topic": "rest", "minutes": 1.0, "video": True},
        "greens": {"topic": "food", "minutes": 6.0, "video": False}, "water": {"topic": "food", "minutes": 0.5, "video": False}}
BASE = ["features.bits=10", "features.interactions=days*topic,arm*plan", "learner.weighting=none"]
MODELS = {  # a snapshot each: the name, and what differs from the defaults
    "softmax": [], "uniform": ["policy.explore=uniform"], "first": ["policy.explore=first", "policy.first=100"],
    "epsilon": ["policy.explore=epsilon", "policy.epsilon.decay=0.25"], "squarecb": ["policy.explore=squarecb"],
    "squarecb-elim": ["policy.explore=squarecb-elim", "learner.model=ridge"], "regcb-elim": ["policy.explore=regcb-elim", "learner.model=ridge"],
    "regcb-opt": ["policy.explore=regcb-opt"], "bagging": ["policy.explore=bagging"],
    "cover": ["policy.explore=cover", "learner.model=ridge", "learner.members=3"], "ucb": ["policy.explore=ucb", "learner.model=ridge"],
    "linucb": ["policy.explore=linucb", "learner.model=ridge", "learner.scope=per_arm"], "thompson": ["policy.explore=thompson", "learner.model=bayes"],
    "diverse": ["policy.diversity=0.2", "policy.coverage=food", "policy.min.exposure=0.02", "policy.repetition=0.5",
                "policy.slots.app=2"],
}


def draw_context(chance):
    return {"days": float(chance.randrange(90)), "plan": chance.choice(["free", "pro"]), "returning": chance.random() < 0.5}


def examples(path):
    """300 decisions by a uniform policy, half of them settled: what is learned matters little, that it differs by context does."""
    chance, schema = random.Random("golden"), fastavro.parse_schema(json.loads((ROOT / "wire/schemas/example.avsc").read_text()))
    rows, late = [], []
    for i in range(300):
        context, arm = draw_context(chance), chance.choice(list(ARMS))
        likes = {"activity": context["days"] / 90, "rest": 0.3 if context["plan"] == "pro" else 0.1, "food": 0.2 if context["returning"] else 0.05}
        reward = 1_000_000 if chance.random() < likes[ARMS[arm]["topic"]] else 0
        item = {"arm_id": arm, "slot": 0, "propensity": 1 / len(ARMS), "marginal": 1 / len(ARMS), "features": ARMS[arm], "reward_micro": 0,
                "delta_micro": 0, "components": {}}
        row = {"phase": "OPEN", "fire": 1000 * i, "decision_id": f"d{i}", "user_id": f"u{i % 40}", "timestamp": 1000 * i, "policy": "personalised",
               "snapshot": None, "propensity_kind": "EXACT", "cause": None, "context": context,
               "candidates": [{"arm_id": a, "features": f, "log_weight": 0.0, "mask": None} for a, f in ARMS.items()], "items": [item],
               "design": {"kind": "uniform", "temperature": 1.0, "epsilon": 0.0, "k": 1, "key": f"d{i}"}}
        rows.append(row)
        if i % 2:
            paid = dict(item, reward_micro=reward, delta_micro=reward, components={"click": reward} if reward else {})
            late.append(dict(row, phase="REVISE", cause=f"o{i}", items=[paid]))
            late.append(dict(row, phase="SETTLE", items=[dict(paid, delta_micro=0)]))
    for n, row in enumerate(late):
        row["fire"] = 400_000 + n
    with open(path, "wb") as f:
        fastavro.writer(f, schema, [dict(row, seq=n) for n, row in enumerate(rows + late)])


def bits(x):
    return None if x is None else struct.pack(">d", x).hex()


def shown(d):
    return {"policy": d.policy, "baseline": d.baseline, "propensity": d.propensity.name, "design": d.design, "snapshot_id": d.snapshot_id,
            "slate": [s.arm_id for s in d.slots], "conditional": [bits(s.conditional) for s in d.slots], "prefix": [bits(s.prefix) for s in d.slots],
            "marginal": [bits(s.marginal) for s in d.slots],
            "log_weights": [struct.pack(">f", w).hex() if math.isfinite(w) else None for w in d.log_weights]}


def vectors(name, client, chance, count):
    for i in range(count):
        ids = chance.sample(list(ARMS), chance.choice([4, 5, 6]))
        masked = {a: "quiet hours" for a in ids[:1]} if chance.random() < 0.3 else {}
        ask = {"user_id": f"user-{chance.randrange(50)}", "key": f"{name}/{i}", "device": chance.choice([None, "web", "app"]), "k": chance.choice([1, 2, 3]),
               "context": draw_context(chance), "candidates": [{"arm_id": a, "features": ARMS[a], "mask": masked.get(a)} for a in ids]}
        with client.decide(ask["user_id"], [Candidate(**c) for c in ask["candidates"]], context=ask["context"], k=ask["k"], device=ask["device"],
                           key=ask["key"]) as d:
            vector = {"snapshot": name, "ask": ask, "expect": shown(d)}
            if chance.random() < 0.5:
                hidden = [c for c, a in enumerate(ids) if a not in masked and a not in {s.arm_id for s in d.slots}]
                dropped = [d.slots[0].candidate, *hidden[1:2]]
                d.mask(dropped, "cap")
                vector.update(drop=dropped, then=shown(d))
            yield vector


def main(program):
    chance, out = random.Random("vectors"), {"snapshots": {}, "vectors": []}
    with tempfile.TemporaryDirectory() as where:
        where = pathlib.Path(where)
        examples(where / "examples.avro")
        for name, settings in MODELS.items():
            file = where / f"{name}.avro"
            sets = [x for s in BASE + settings for x in ("--set", s)]
            subprocess.run([program, "learn", "--examples", where / "examples.avro", "--snapshot", file, *sets], check=True, stdout=subprocess.DEVNULL)
            out["snapshots"][name] = base64.b64encode(file.read_bytes()).decode()
            with Client(snapshot_file=str(file), baseline_share=0) as client:
                out["vectors"] += vectors(name, client, chance, 5)
        with Client(snapshot_file=str(where / "softmax.avro"), baseline_share=1) as client:
            out["vectors"] += [dict(v, baseline_share=1) for v in vectors("softmax", client, chance, 3)]
        with Client(baseline_share=0) as client:
            out["vectors"] += [dict(v, snapshot=None) for v in vectors("none", client, chance, 3)]
    rows = ",\n".join("  " + json.dumps(v) for v in out["vectors"])
    snapshots = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in out["snapshots"].items())
    (ROOT / "tests/golden/decisions.json").write_text(f'{{"snapshots": {{\n{snapshots}}},\n "vectors": [\n{rows}]}}\n')
    print(f"{len(out['vectors'])} vectors, {len(out['snapshots'])} snapshots of {sum(map(len, out['snapshots'].values()))} characters")


if __name__ == "__main__":
    main(sys.argv[1])
