#!/usr/bin/env python3
"""`aftertouch run`, killed at random moments on a real broker, while events flow.

Two applications read the same impressions and outcomes, each with two processes in its consumer group: `all` (every example, dynamic
members) and `rewarded` (join.emit=rewarded, other rules, static members). Each process is started, and after a while (at once, within 50 ms,
while it works) killed with SIGKILL and started again; now and then with an empty disk; now and then stopped in order; now and then paused
for longer than the session timeout, so that another one takes over and a stale owner wakes and goes on writing.

K1  The examples, taken as any reader takes them, are the oracle's over the same records, timestamps and ticks: none missing, none twice that
    differs, chain unbroken, in both applications.
K2  No process ends by itself.
K3  `replay --verify`: state, examples and every published snapshot computed again without a disturbance are the same.
K4  A learner that learns the same rounds from nothing, undisturbed, publishes a snapshot with the same digest.

usage: test_kill_kafka.py [SEED]       environment: AFT_KILLS (default 100; 1000 with ./test --long)
"""
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import live
from waiting import until

KILLS = int(os.environ.get("AFT_KILLS") or (1000 if os.environ.get("AFT_LONG") else 100))
PARTITIONS = 3
SESSION_S = 1.5


class Tormentor(threading.Thread):
    """Runs one process of an app, and kills it, until there were enough kills in all."""

    def __init__(self, service, seed, counts, lock):
        super().__init__(daemon=True)
        self.service, self.chance, self.counts, self.lock, self.failed = service, random.Random(f"{seed} {service.name}"), counts, lock, None

    def run(self):
        try:
            while self.counts["kills"] < KILLS and not self.counts["failed"]:
                self.round()
        except BaseException as e:  # told by the main thread
            self.failed = e
            self.count("failed")

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            self.service.alive()

    def round(self):
        service, chance, dice = self.service, self.chance, self.chance.random()
        service.start()
        if dice < 0.2:
            self.pause(chance.random() * 0.05)
        elif dice < 0.5:
            self.pause(chance.random() * 2.0)
        else:
            self.worked()
            if dice < 0.62:
                service.signal(signal.SIGSTOP)
                time.sleep(SESSION_S + chance.random() * 1.5)
                service.signal(signal.SIGCONT)
                self.count("pauses")
                self.pause(chance.random() * 1.5)
                if chance.random() < 0.2:  # who woke late can still be stopped in order
                    service.stop()
                    self.count("stops")
            elif dice < 0.68:
                service.stop()
                self.count("stops")
            else:
                self.pause(chance.random() * 1.5)
                self.count("kills at work")
        if service.process.poll() is None:
            service.kill()
            self.count("kills")
        if chance.random() < 0.15:
            shutil.rmtree(service.app.state(service.name), ignore_errors=True)
            self.count("empty disks")

    def worked(self):
        """Until it owns what the group gave it, or for a while: the group may be busy with the dead."""
        end = time.monotonic() + 6
        while 'msg="ready"' not in self.service.said() and time.monotonic() < end:
            self.pause(0.05)


def torment(services, seed):
    counts, lock = {"kills": 0, "failed": 0}, threading.Lock()
    threads = [Tormentor(s, seed, counts, lock) for s in services]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
        if t.failed:
            raise t.failed
    return counts


def manifests(app, topic=None):
    """{round: digest of the learner} of the whole snapshots in the topic."""
    out = {}
    for records in live.everything(topic or app.topic("snapshots")).values():
        for m in records:
            record = live.SNAPSHOT.decode(m.value()) if m.value() else None
            if record and record["manifest"]:
                out[record["round"]] = record["manifest"]["digest"]
    return out


def learned_again(app, name):
    """K4."""
    topic = app.topic("snapshots") + ".again"
    live.run(app, "topics", "create", "--set", f"topics.snapshots={topic}")
    (final, digest), learner = max(manifests(app).items()), live.Service(app, name, "--role", "learn", topics__snapshots=topic, snapshot__interval="0s")
    learner.start()

    def reached():
        learner.alive()
        return max(manifests(app, topic), default=0) >= final

    until(reached, lambda _: f"round {max(manifests(app, topic), default=0)} of {final}:\n{learner.tail()}", every=0.3)
    again = manifests(app, topic)
    learner.stop()
    assert again.get(final) == digest, f"round {final}: {again.get(final, b'').hex()} undisturbed, {digest.hex()} published"
    return final


def story(where, seed):
    prefix = f"kill-{os.getpid()}-{int(time.time())}."
    every = live.App(where, prefix + "a.", live.case(), PARTITIONS)
    kinds = dict(live.case()["kinds"], key_task_completed={"weight_micro": 1_000_000, "rule": "shapley", "match": "session"})
    some = live.App(where, prefix + "b.", live.case(kinds=kinds, open_after_ms=0), PARTITIONS, every, join__emit="rewarded", learner__model="flow")
    for app in (every, some):
        live.run(app, "topics", "create")
    services = [live.Service(every, "one"), live.Service(every, "two")]
    services += [live.Service(some, name, kafka__group__instance__id=f"{prefix}{name}") for name in ("three", "four")]
    stream, start = live.Stream(every, seed, 40), time.monotonic()
    stream.start()
    try:
        counts = torment(services, seed)
        chaos_s = time.monotonic() - start
        for s in services:
            s.start()
        stream.stop()
        for app, mine in ((every, services[:2]), (some, services[2:])):
            live.wait_settled(app, mine)
        for s in services:
            s.stop()
    finally:
        for s in services:
            s.kill()
    print(f"{stream.impressions} impressions, {stream.outcomes} outcomes; {chaos_s:.0f} s of {counts}", flush=True)
    for app in (every, some):
        print(f"{app.prefix}: {live.judge(app)}", flush=True)
        live.run(app, "replay", "--verify", name="one" if app is every else "three")
        print(f"  replay --verify agrees; learned again to round {learned_again(app, 'again')} with the same digest", flush=True)


if __name__ == "__main__":
    the_seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 30)
    print(f"seed {the_seed}, {KILLS} kills", flush=True)
    with tempfile.TemporaryDirectory(prefix="aftertouch-kill-") as directory:
        story(pathlib.Path(directory), the_seed)
