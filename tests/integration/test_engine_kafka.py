#!/usr/bin/env python3
"""The example engine (client/examples) and `aftertouch run` over a real broker, with browsers: a whole loop, disturbed and audited.

Browsers, a thread each, ask for slates and report what they did. Meanwhile the service is stopped in order, then killed, the broker is away
for a while, and the engine is stopped in order and started again. A browser repeats what was not answered with 200.

E1  No outcome that was answered with 200 is missing from the topic, nor any slate that was; a queue that is full was said (503).
E2  The examples are the oracle's over those very records.
E3  Every logged decision, decided again from the snapshot that it names, is the same slate with the same bits (golden_decide), and its
    probabilities follow from its logged weights (computed here a second time).
E4  What was shown fits what was claimed: chi-squared, per slot, one unit a draw.
E5  Masks: by rule, as the catalogue says; no user sees a message more than 4 times a month, over the engine's restart too; the key's epoch is
    the number of caps that the user's own exposures have reached; what another channel has shown to the full is masked after the draw.
E6  What the library's history put among the features is what the topic says this user had been shown over the engine's restart too.
E7  No record holds a person's identifier.

usage: test_engine_kafka.py [SEED]
"""
import collections
import http.client
import json
import math
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

import live
from waiting import PATIENCE_S, free_port, until

ROOT, BUILD, KAFKA = pathlib.Path(__file__).resolve().parents[2], pathlib.Path(os.environ["AFT_BUILD"]), os.environ["AFT_KAFKA"]
MESSAGES = {m["arm"]: m for m in json.loads((ROOT / "client/examples/messages.json").read_text(encoding="utf-8"))["messages"]}
BROWSERS, PAGES_A_SECOND, CAP, PARTITIONS = 10, 8, 4, 3
SLATES = 500  # at least, for the audit to see every mask and to tell shown from claimed


class Engine:
    """The engine as a process; port: it listens there again after a restart."""

    def __init__(self, app, where):
        self.where, self.port, self.process = where, free_port(), None
        self.log = where / "engine.log"
        (where / "user.key").write_bytes(b"a key of the test's own, 32 byte")
        self.command = [BUILD / "examples/engine", "--catalogue", ROOT / "client/examples/messages.json", "--user-key", where / "user.key",
                        "--kafka", KAFKA, "--listen", f"127.0.0.1:{self.port}", "--caps", where / "caps", "--snapshot-file", where / "snapshot",
                        "--undelivered", where / "undelivered", "--history", where / "history", "--set", "queue.buffering.max.messages=60", "--set", "linger.ms=5"]
        for topic in ("snapshots", "impressions", "outcomes"):
            self.command += [f"--{topic}", app.topic(topic)]

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([str(w) for w in self.command], stdout=out, stderr=out)

        def healthy():
            assert self.process.poll() is None, self.log.read_text()
            try:
                return self.health()
            except OSError:
                return None

        return until(healthy, lambda _: self.log.read_text())

    def health(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        c.request("GET", "/healthz")
        try:
            return json.loads(c.getresponse().read())
        finally:
            c.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"the engine ended with {code}:\n{self.log.read_text()[-2000:]}"

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Browser(threading.Thread):
    """One after another, people look at pages. What was answered with 200 is remembered."""

    def __init__(self, engine, seed, number):
        super().__init__(daemon=True)
        self.engine, self.number, self.chance = engine, number, random.Random(f"browser {seed} {number}")
        self.ending, self.failed, self.connection = threading.Event(), None, None
        self.slates, self.outcomes, self.answers, self.people = {}, {}, collections.Counter(), {}

    def run(self):
        try:
            page = 0
            while not self.ending.is_set():
                self.page(page)
                page += 1
                self.ending.wait(self.chance.expovariate(PAGES_A_SECOND))
        except BaseException as e:  # told by stop()
            self.failed = e

    def ask(self, method, path, body=None):
        """Again and again until it is answered with 200: 503, and no answer at all, mean that it is not done."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if not self.connection:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=30)
                self.connection.request(method, path, json.dumps(body) if body else None)
                answer = self.connection.getresponse()
                text, status = answer.read(), answer.status
            except (OSError, http.client.HTTPException):
                self.connection, status, text = None, "none", b""
            self.answers[status] += 1
            if status == 200:
                return json.loads(text)
            assert status in (503, "none") and time.monotonic() < end, f"{method} {path} {body}: {status} {text}"
            time.sleep(0.05)

    def person(self, page):
        """A dozen pages a person; two in each browser come back at the end, so that a restart is between their visits."""
        name = f"person-{self.number}-{page // 12}" if self.chance.random() < 0.8 else f"person-{self.number}-{self.chance.randrange(2)}"
        if name not in self.people:
            chance = random.Random(name)
            context = {"enrolled": chance.random() < 0.7, "age": chance.randrange(21, 66), "contribution": float(chance.randrange(0, 12)),
                       "days_since_enrol": chance.randrange(0, 200)}
            self.people[name] = {"context": context, "done": chance.sample(["beneficiary", "contact", "roth"], chance.randrange(3)),
                                 "elsewhere": {"paperless": chance.choice([0, 3, 4]), "rollover": chance.choice([0, 9])}}
        return name, self.people[name]

    def page(self, page):
        chance, (name, profile) = self.chance, self.person(page)
        device, session = chance.choice(["web", "web", "app"]), f"s{page // 2}"
        path = f"/slate?user={name}&device={device}&session={session}"
        if chance.random() < 0.1:  # the context in the address, nothing done
            slate = self.ask("GET", path + "".join(f"&{k}={json.dumps(v)}" for k, v in profile["context"].items()))
        else:
            slate = self.ask("POST", path, profile)
        if not slate["decision"]:
            assert slate["tiles"] == []
            self.answers["empty"] += 1
            return
        arms = [t["arm"] for t in slate["tiles"]]
        assert len(set(arms)) == len(arms) <= {"web": 3, "app": 2}[device], slate
        self.slates[slate["decision"]] = arms
        for slot, arm in enumerate(arms):
            if chance.random() < (0.05 + 0.5 * (list(MESSAGES).index(arm) % 3 == 0)) / (1 + slot):
                self.report(name, slate["decision"], arm, session)

    def report(self, name, decision, arm, session):
        click = {"user": name, "kind": "click", "id": f"{decision}.{arm}", "decision": decision, "arm": arm}
        self.ask("POST", "/outcome", click)
        self.outcomes[click["id"]] = decision
        if self.chance.random() < 0.3:
            task = {"user": name, "kind": "key_task_completed", "id": f"{decision}.{arm}.done", "subject": MESSAGES[arm]["subject"],
                    "session": session, "value": 2.5}
            self.ask("POST", "/outcome", task)
            self.outcomes[task["id"]] = None

    def stop(self):
        self.ending.set()
        self.join(2 * PATIENCE_S)
        assert not self.is_alive() and not self.failed, self.failed


def disturbed(app, where, seed):
    """Returns the browsers, when all is settled and stopped."""
    service, engine = live.Service(app, "one"), Engine(app, where)
    browsers = [Browser(engine, seed, k) for k in range(BROWSERS)]
    met = lambda status: sum(b.answers[status] for b in browsers)
    try:
        service.start().ready()
        engine.start()
        for b in browsers:
            b.start()
        time.sleep(3)
        service.stop()
        service.start().ready()
        time.sleep(1.5)
        service.kill()
        service.start().ready()
        time.sleep(1.5)
        subprocess.run(os.environ["AFT_KAFKA_PAUSE"], shell=True, check=True)  # the broker is away: queues fill
        until(lambda: met(503), "no queue is full, and the broker is away")
        time.sleep(1)
        subprocess.run(os.environ["AFT_KAFKA_CONT"], shell=True, check=True)
        until(lambda: engine.health()["round"] > 0, lambda _: f"the engine has no snapshot: {engine.health()}\n{service.tail()}", every=0.2)
        time.sleep(1)
        before = met("none")
        engine.stop()
        until(lambda: met("none") > before, "no browser finds the engine away")
        health = engine.start()
        assert health["round"] > 0, f"it did not start from its file: {health}"
        time.sleep(3)
        until(lambda: sum(len(b.slates) for b in browsers) >= SLATES or any(b.failed for b in browsers), "too few slates", every=0.2)
        for b in browsers:
            b.stop()
        engine.stop()
        live.wait_settled(app, [service])
        service.stop()
    finally:
        engine.kill()
        service.kill()
    assert not (where / "undelivered").exists(), "something was not delivered"
    return browsers


# ---------------------------------------------------------------- the audit
def check_taken(browsers, impressions, outcomes):
    """E1, E7."""
    shown = {v["decision_id"]: [s["arm_id"] for s in v["slate"]] for v in impressions}
    told = collections.Counter(v["outcome_id"] for v in outcomes)
    answers = sum((b.answers for b in browsers), collections.Counter())
    for b in browsers:
        wrong = [d for d, arms in b.slates.items() if shown.get(d) != arms]
        assert not wrong, f"{len(wrong)} slates that were answered are not in the topic as they were: {wrong[:3]}"
        lost = [o for o in b.outcomes if o not in told]
        assert not lost, f"{len(lost)} outcomes that were answered with 200 are lost: {lost[:3]}"
    assert answers[503] > 0 and answers["none"] > 0, f"neither a full queue nor the engine's restart was met: {answers}"
    people = [v["user_id"] for v in impressions + outcomes]
    assert all(len(u) == 32 and int(u, 16) >= 0 for u in people)
    return answers


def check_credit(app, outcomes):
    """E2, and: each click of a decision that settled is in its reward, if it did not wait for its place in the topic (the broker was away)."""
    figures, clicks = live.judge(app), set()
    for m in outcomes:
        v = live.SCHEMAS["outcome"].decode(m.value())
        if v["kind"] == "click" and m.timestamp()[1] - live.millis(v["timestamp"]) < 1000:
            clicks.add(v["decision_id"])
    credited = {e["decision_id"] for c in live.chains_of(app).values() for e in c.examples
                if e["phase"] == "SETTLE" and any("click" in i["components"] for i in e["items"])}
    assert clicks and len(clicks - credited) <= len(clicks) // 20, f"{len(clicks - credited)} of {len(clicks)} clicked decisions have no click's credit"
    return dict(figures, prompt_clicks=len(clicks), without_credit=len(clicks - credited))


def check_again(where, records):
    """E3, first half."""
    for topic in ("snapshots", "impressions"):
        with open(where / topic, "wb") as f:
            for m in records[topic]:
                if m.value():
                    f.write(struct.pack("<I", len(m.value())) + m.value())
    done = subprocess.run([BUILD / "bin/golden_decide", where / "snapshots", where / "impressions"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    figures = json.loads(done.stdout)
    assert figures["agree"] > figures["uniform"] > 0, figures
    return figures


def weights_of(v):
    """docs/POLICIES.md: the floored weights of who was eligible, by arm, from what was logged."""
    logged = {c["arm_id"]: c["log_weight"] for c in v["candidates"] if c["log_weight"] is not None}
    assert set(logged) == {c["arm_id"] for c in v["candidates"] if c["mask"] is None}
    top, epsilon = max(logged.values()), v["design"]["epsilon"]
    total = sum(math.exp(x - top) for x in logged.values())
    return {a: (1 - epsilon) * math.exp(x - top) / total + epsilon / len(logged) for a, x in logged.items()}


def conditionals(v):
    """[{arm: probability in this slot, given what stands above}]"""
    left, out = weights_of(v), []
    for s in v["slate"]:
        total = sum(left.values())
        out.append({a: w / total for a, w in left.items()})
        del left[s["arm_id"]]
    return out


def solve(m, d):
    """x of m x = d, by elimination; m is symmetric and positive definite."""
    m, n = [row[:] + [y] for row, y in zip(m, d)], len(d)
    for i in range(n):
        for j in range(i + 1, n):
            f = m[j][i] / m[i][i]
            m[j] = [a - f * b for a, b in zip(m[j], m[i])]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][j] * x[j] for j in range(i + 1, n))) / m[i][i]
    return x


def normal_score(shown, claims):
    """Chi-squared of what was shown, an arm a draw, against the draws' own claims: claims differ from draw to draw, so the covariance of the
    counts is the sum of the draws' covariances. By Wilson and Hilferty as a normal score. Arms that are claimed too seldom are one cell."""
    claimed, counts = sum(map(collections.Counter, claims), collections.Counter()), collections.Counter(shown)
    cells = sorted(a for a in claimed if claimed[a] >= 5)
    rows = [[p.get(a, 0.0) for a in cells] for p in claims]
    if all(abs(sum(row) - 1) < 1e-9 for row in rows):
        cells.pop()  # it follows from the others
    df = len(cells)
    covariance = [[sum(row[i] * ((i == j) - row[j]) for row in rows) for j in range(df)] for i in range(df)]
    off = [counts[a] - claimed[a] for a in cells]
    chi = sum(a * b for a, b in zip(off, solve(covariance, off)))
    return ((chi / df) ** (1 / 3) - (1 - 2 / (9 * df))) / math.sqrt(2 / (9 * df))


def check_claims(impressions):
    """E3, second half; E4."""
    seen, scores, planted = set(), [], []
    shown, claims, moved = ([[] for _ in range(3)] for _ in range(3))
    for v in impressions:
        p = conditionals(v)
        for s, q in zip(v["slate"], p):
            assert abs(s["propensity"] - q[s["arm_id"]]) < 1e-9, f"{v['decision_id']}: {s['propensity']}, from its weights {q[s['arm_id']]}"
        if v["design"]["key"] in seen:
            continue
        seen.add(v["design"]["key"])
        for slot, (s, q) in enumerate(zip(v["slate"], p)):
            shown[slot].append(s["arm_id"])
            moved[slot].append(min(q) if len(seen) % 2 == 0 else s["arm_id"])
            claims[slot].append(q)
    for slot in range(3):
        scores.append(normal_score(shown[slot], claims[slot]))
        assert scores[-1] < 5, f"slot {slot}: score {scores[-1]}: shown {collections.Counter(shown[slot])}"
        planted.append(normal_score(moved[slot], claims[slot]))
        assert planted[-1] > 5, "the check would not find half of the draws moved"
    return {"draws": len(seen), "scores": [round(s, 2) for s in scores], "half moved": [round(s, 1) for s in planted]}


def rule_mask(m, v, context):
    if context["device"] not in m.get("devices", ["web", "app"]):
        return "device"
    for rule in m.get("when", []):
        value = context[rule["feature"]]
        if rule.get("is", value) != value or value < rule.get("min", -math.inf) or value > rule.get("max", math.inf):
            return "eligibility"
    return None


def check_masks(impressions):
    """E5; impressions of a user in the order of his partition."""
    shown, epochs, reasons = collections.defaultdict(collections.Counter), collections.Counter(), collections.Counter()
    for v in impressions:
        user, context = v["user_id"], v["context"]
        key, _, epoch = v["design"]["key"].partition("#")
        assert key == f"{user}/{v['session_id']}"
        assert int(epoch or 0) == epochs[user], f"{v['decision_id']}: epoch {epoch}, {epochs[user]} caps were reached"
        for c in v["candidates"]:
            want, mask = rule_mask(MESSAGES[c["arm_id"]], v, context), c["mask"]
            if mask not in ("done", want):
                assert want is None and mask in ("cap", "cap elsewhere"), f"{v['decision_id']}: {c['arm_id']} is masked {mask}, not {want}"
            assert (mask == "cap") <= (shown[user][c["arm_id"]] >= CAP) and (mask is None) <= (shown[user][c["arm_id"]] < CAP)
            reasons[mask] += 1
        for s in v["slate"]:
            shown[user][s["arm_id"]] += 1
            epochs[user] += shown[user][s["arm_id"]] == CAP
    assert max(max(c.values()) for c in shown.values()) == CAP
    assert all(reasons[r] for r in ("device", "eligibility", "done", "cap", "cap elsewhere", None)), reasons
    return {"epochs": sum(epochs.values())}


def check_history(impressions):
    """E6; all within a week, so the windows hold everything."""
    of_user, of_arm, told = collections.Counter(), collections.Counter(), 0
    for v in impressions:
        user = v["user_id"]
        for window in ("7d", "30d"):
            assert v["context"][f"user.shown.{window}"] == of_user[user], f"{v['decision_id']}: {v['context']}, {of_user[user]} were shown"
            for c in v["candidates"]:
                assert c["features"].get(f"arm.shown.{window}", 0) == of_arm[user, c["arm_id"]], f"{v['decision_id']}: {c}"
        told += v["context"]["user.clicks.7d"] > 0 and any("arm.clicks.7d" in c["features"] for c in v["candidates"])
        of_user[user] += len(v["slate"])
        of_arm.update((user, s["arm_id"]) for s in v["slate"])
    assert told > 0, "no decision knew of a click"
    return {"knew of clicks": told}


def story(where, seed):
    app = live.App(where, f"engine-{os.getpid()}-{int(time.time())}.", live.case(window_ms=3000), PARTITIONS, learner__model="flow", snapshot__interval="300ms")
    live.run(app, "topics", "create")
    start = time.monotonic()
    browsers = disturbed(app, where, seed)
    print(f"{time.monotonic() - start:.0f} s until all was settled", flush=True)
    start, values = time.monotonic(), {}
    records = {t: [m for part in live.everything(app.topic(t)).values() for m in part] for t in ("impressions", "outcomes", "snapshots")}
    for topic in ("impressions", "outcomes"):
        assert not any(b"person-" in m.value() or b"person-" in m.key() for m in records[topic])
        values[topic] = [live.SCHEMAS[topic[:-1]].decode(m.value()) for m in records[topic]]
    print("answers", dict(check_taken(browsers, values["impressions"], values["outcomes"])), flush=True)
    print("masks", check_masks(values["impressions"]), flush=True)
    print("history", check_history(values["impressions"]), flush=True)
    print("decided again", check_again(where, records), flush=True)
    print("shown as claimed", check_claims(values["impressions"]), flush=True)
    print("joined", check_credit(app, records["outcomes"]), flush=True)
    print(f"{time.monotonic() - start:.0f} s of audit", flush=True)


if __name__ == "__main__":
    the_seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 30)
    print(f"seed {the_seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="aftertouch-engine-") as directory:
        story(pathlib.Path(directory), the_seed)
