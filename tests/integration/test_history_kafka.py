#!/usr/bin/env python3
"""The history of users over two engines, `run` and a real broker: its topic, a kill, an outage with spill files.

H1  Users go to and fro between two engines. Within the documented delay each engine knows what the other one logged; caps hold, and the features
    that were logged with a decision are the recount of what this user had met before it.
H2  `run` is killed with -9 in between, and started again: nothing is lost, nothing counted twice.
H3  The broker is away for longer than the queues hold: what was logged meanwhile waits in the spill files, and arrives: all of it, by user in its
    order, no outcome and no impression twice.
H4  In the end the topic holds of every user what a recount of the inputs says; `topics check` is content with it.
"""
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import live
from foreign import Schema
from waiting import PATIENCE_S

ROOT, BUILD = pathlib.Path(__file__).resolve().parents[2], pathlib.Path(os.environ["AFT_BUILD"])
USERS, ARMS, CAP, PARTITIONS, ROUNDS = 12, 6, 4, 2, 9
KILLED, AWAY = 3, 6  # in these rounds
QUEUE = 20
DELAY_S = 10.0  # at most; what it usually is is printed


class World:
    """What was logged, in its order, and what everybody must know of it."""

    def __init__(self, engines, seed):
        self.engines, self.chance, self.seq = engines, random.Random(seed), 0
        self.shown, self.clicks, self.done = collections.Counter(), {}, {}
        self.logged, self.expected = {"impressions": collections.defaultdict(list), "outcomes": collections.defaultdict(list)}, {}

    def visit(self, engine, user, may_retract):
        from aftertouch import Candidate
        arms = [f"a{i}" for i in range(ARMS)]
        mask = {a: "cap" for a in arms if engine.history(user, a).shown_long >= CAP}
        assert set(mask) == {a for a in arms if self.shown[user, a] >= CAP}, (user, mask)
        if len(mask) == ARMS:
            return
        with engine.decide(user, [Candidate(a, subject=f"s{a}") for a in arms], k=2, mask=mask) as d:
            slate = [s.arm_id for s in d.slots]
            self.expected[d.decision_id] = (self.total(user), {a: self.shown[user, a] for a in arms}, len(self.clicked(user)))
            engine.log_impression(d)
            self.logged["impressions"][user].append(d.decision_id)
        for a in slate:
            self.shown[user, a] += 1
        if self.chance.random() < 0.5:
            self.say(engine, user, "click", self.clicks, slate[0])
        if self.chance.random() < 0.2:
            self.say(engine, user, "key_task_completed", self.done, slate[-1])
        if may_retract and self.clicked(user) and self.chance.random() < 0.2:
            back = self.chance.choice(self.clicked(user))
            self.say(engine, user, "click", {}, self.clicks.pop(back)[1], retracts=back)

    def say(self, engine, user, kind, into, arm, **more):
        self.seq += 1
        name = f"o{self.seq}"
        engine.log_outcome(user, kind, outcome_id=name, arm_id=arm, subject=f"s{arm}", **more)
        self.logged["outcomes"][user].append(name)
        into[name] = (user, arm)

    def total(self, user):
        return sum(n for (u, _), n in self.shown.items() if u == user)

    def clicked(self, user):
        return [o for o, (u, _) in self.clicks.items() if u == user]

    def known(self, engine):
        for user in users():
            h = engine.history(user)
            if (h.shown_long, h.clicks_long) != (self.total(user), len(self.clicked(user))):
                return f"{user}: shown {h.shown_long} of {self.total(user)}, clicks {h.clicks_long} of {len(self.clicked(user))}"
            for u, arm in self.done.values():
                if u == user and not engine.history(user, subject=f"s{arm}").task_done:
                    return f"{user}: s{arm} is done"
        return ""

    def level(self, seconds):
        """Waits until every engine knows everything; how long it took."""
        begin = time.monotonic()
        while True:
            wrong = [w for w in (self.known(e) for e in self.engines) if w]
            if not wrong:
                return time.monotonic() - begin
            assert time.monotonic() - begin < seconds, f"after {seconds} s: {wrong}"
            for e in self.engines:
                e.poll()
            time.sleep(0.02)


def users():
    return [f"user-{i}" for i in range(USERS)]


def bindings(where):
    """The package as a wheel would bring it: beside the library."""
    shutil.copytree(ROOT / "client/python/aftertouch", where / "site/aftertouch")
    shutil.copy(BUILD / "lib/libaftertouch.so.0", where / "site/aftertouch/libaftertouch.so.0")
    sys.path.insert(0, str(where / "site"))


def engine_of(app, where, name):
    from aftertouch import Client
    return Client(live.KAFKA, snapshots_topic=None, impressions_topic=app.topic("impressions"), outcomes_topic=app.topic("outcomes"),
                  history_bytes=4 << 20, history_topic=app.settings["topics.history"], spill_file=str(where / f"{name}.spill"), queue_ms=100,
                  wait_ms=60_000, properties={"queue.buffering.max.messages": str(QUEUE), "linger.ms": "5", "reconnect.backoff.max.ms": "300"})


def as_logged(app, log, world):
    """H3: all that was logged, each once, by user in its order."""
    field, got = {"impressions": "decision_id", "outcomes": "outcome_id"}[log], collections.defaultdict(list)
    values = [live.SCHEMAS[log[:-1]].decode(m.value()) for records in live.everything(app.topic(log)).values() for m in records]
    for v in values:
        got[v["user_id"]].append(v[field])
    assert got == world.logged[log], f"{log}: not what was logged, or not in its order"
    return values


def features_are_right(impressions, world):
    """H1."""
    shown = collections.Counter()
    for v in impressions:
        total, arms, clicks = world.expected[v["decision_id"]]
        context = v["context"]
        assert (context["user.shown.30d"], context["user.clicks.30d"]) == (total, clicks), (v["decision_id"], context, total, clicks)
        for c in v["candidates"]:
            assert c["features"].get("arm.shown.30d", 0) == arms[c["arm_id"]], (v["decision_id"], c, arms)
        shown.update((v["user_id"], s["arm_id"]) for s in v["slate"])
    assert max(shown.values()) <= CAP, shown.most_common(3)
    return shown


def topic_is_right(app, world, shown):
    """H4."""
    schema, last = Schema("history"), {}
    for records in live.everything(app.settings["topics.history"]).values():
        for m in records:
            last[m.key()] = schema.decode(m.value())
    for user in users():
        counts = collections.Counter()
        for x in last[user.encode()]["entries"]:
            assert x["ids"] == sorted(set(x["ids"]))
            counts[x["what"], x["name"]] += len(x["ids"])
        for a in (f"a{i}" for i in range(ARMS)):
            assert counts["SHOWN", a] == shown[user, a], (user, a, counts)
            assert counts["CLICKED", a] == sum(v == (user, a) for v in world.clicks.values()), (user, a, counts)
            assert counts["DONE", f"s{a}"] == sum(v == (user, a) for v in world.done.values()), (user, a, counts)


def story(where, seed):
    prefix = f"history-{os.getpid()}-{int(time.time())}."
    app = live.App(where, prefix, live.case(), PARTITIONS, topics__history=f"{prefix}history", history__interval="200ms")
    live.run(app, "topics", "create")
    assert f"{prefix}history" in live.run(app, "topics", "check").stdout
    service = live.Service(app, "one").start().ready()
    bindings(where)
    engines = [engine_of(app, where, name) for name in ("left", "right")]
    assert all(e.info().history_level for e in engines)
    world, took = World(engines, seed), {}
    try:
        for turn in range(ROUNDS):
            if turn == AWAY:
                subprocess.run(os.environ["AFT_KAFKA_PAUSE"], shell=True, check=True)
            for user in users():
                if turn == KILLED and user == users()[USERS // 2]:
                    service.kill()
                for _ in range(3 if turn == AWAY else 1):
                    world.visit(engines[turn % 2], user, turn != AWAY)
            if turn == AWAY:
                spilled = engines[turn % 2].info().spilled
                assert spilled > 0, "the queue held it all"
                subprocess.run(os.environ["AFT_KAFKA_CONT"], shell=True, check=True)
            if turn == KILLED:
                service.start().ready()
            took[turn] = world.level(PATIENCE_S if turn in (0, KILLED, AWAY) else DELAY_S)
        for e in engines:
            e.flush(60_000)
            assert e.info().spill_waiting == 0
        shown = features_are_right(as_logged(app, "impressions", world), world)
        as_logged(app, "outcomes", world)
        assert shown == world.shown
        service.stop()
        topic_is_right(app, world, shown)
    finally:
        for e in engines:
            e.close(5000)
        service.kill()
    usual = sorted(s for t, s in took.items() if t not in (0, KILLED, AWAY))
    print(f"{sum(shown.values())} exposures of {USERS} users, {world.seq} outcomes; {spilled} records spilled")
    print(f"until every engine knew: usually {usual[len(usual) // 2]:.2f} s, at most {usual[-1]:.2f} s; over the kill {took[KILLED]:.1f} s, the outage {took[AWAY]:.1f} s")


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as where:
        story(pathlib.Path(where), seed)


if __name__ == "__main__":
    main()
