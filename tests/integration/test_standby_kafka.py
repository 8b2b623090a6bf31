#!/usr/bin/env python3
"""`run --standby` on a real broker: followed, killed, taken over, judged by the oracle.

S1  A standby follows everything that the owner committed, writes to no topic, and has compared every example.
S2  The owner is killed with -9 while events flow: the standby owns every partition long before the group knows that the owner is dead; a process
    that starts cold and waits for the group takes longer. Several times over, the dead one coming back as the next standby.
S3  In the end the examples are the oracle's, no gap, and `replay --verify` agrees.
S4  A standby whose chain is not the published one ends with 7 and the place, one with the state of other topics with 6 or 7; the owner goes on.
"""
import os
import pathlib
import random
import re
import sys
import tempfile
import time
import urllib.request

import confluent_kafka

import live
from waiting import PATIENCE_S, free_port, until

PARTITIONS = 2
SESSION_S = 10
AFTER_S = 1.5


class Twin(live.App):
    """The same app.id, configuration and state directories over other topics: what its processes leave is a wrong state of the first."""

    def topic(self, name):
        return "other-" + super().topic(name)


class Watched(live.Service):
    def __init__(self, app, name, *words, **settings):
        self.port = free_port()
        super().__init__(app, name, *words, http__listen=f"127.0.0.1:{self.port}", **settings)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            return {m[1]: float(m[2]) for m in re.finditer(r"^(\S+) (\S+)$", answer.read().decode(), re.M)}

    def all(self, name):
        values = self.metrics()
        return [values.get(f'aftertouch_{name}{{partition="{p}"}}', 0) for p in range(PARTITIONS)]

    def owns(self):
        try:
            return sum(self.all("owned")) == PARTITIONS
        except OSError:
            return False

    def owned_after(self):
        """Seconds until it owns everything."""
        begin = time.monotonic()

        def owns():
            self.alive()
            return self.owns()

        until(owns, lambda _: f"{self.name} does not own everything:\n{self.tail()}", every=0.02)
        return time.monotonic() - begin


def follows(standby, owner):
    """S1."""
    def level():
        checked, there = standby.all("standby_checked_examples_total"), owner.all("examples_published_total")
        return all(c > 50 and c >= t - 200 for c, t in zip(checked, there)) and sum(standby.all("standby")) == PARTITIONS

    until(level, lambda _: f"checked {standby.all('standby_checked_examples_total')} of {owner.all('examples_published_total')}\n{standby.tail()}", every=0.5)
    assert sum(standby.all("owned")) == 0


def story(where, seed):
    app = live.App(where, f"standby-{os.getpid()}-{int(time.time())}.", live.case(), PARTITIONS, standby__after=f"{int(AFTER_S * 1000)}ms",
                   kafka__consumer__session__timeout__ms=SESSION_S * 1000)
    live.run(app, "topics", "create")
    owner, standby = Watched(app, "one"), Watched(app, "two", "--standby")
    services, stream, warm = [owner, standby], live.Stream(app, seed, 40), []
    stream.start()
    try:
        owner.start().ready()
        standby.start().ready()
        for _ in range(3):
            time.sleep(3)
            follows(standby, owner)
            owner.kill()
            warm.append(standby.owned_after())
            owner, standby = standby, Watched(app, owner.name, "--standby")
            services.append(standby)
            standby.start().ready()
        said = [int(n) for s in services[:2] for n in re.findall(r"taken over in (\d+) ms", s.log.read_text())]
        time.sleep(2)
        standby.stop()
        owner.kill()
        member, cold = Watched(app, "three"), Watched(app, "four")
        services += [member, cold]
        member.start().owned_after()
        begin = time.monotonic()
        member.kill()
        cold.start().owned_after()
        cold_s = time.monotonic() - begin
        stream.stop()
        live.wait_settled(app, [cold])
        cold.stop()
        told = live.judge(app)
        live.run(app, "replay", "--verify", name="four")
        diverges(where, app, seed, cold)
    finally:
        for s in services:
            s.kill()
    print(f"{told}")
    print(f"from kill -9 to owning everything: warm {['%.2f' % s for s in warm]} s (of them {AFTER_S} s of silence; the takeovers themselves {said} ms), "
          f"cold {cold_s:.2f} s (session {SESSION_S} s)")
    assert max(warm) < min(cold_s, 0.8 * SESSION_S) and max(said) < 1000 * SESSION_S / 3, "no warm takeover"


def diverges(where, app, seed, owner):
    """S4."""
    twin = Twin(where, app.prefix, app.case, PARTITIONS, standby__after="1500ms")
    live.run(twin, "topics", "create", name="liar")
    other, stream = live.Service(twin, "liar"), live.Stream(twin, seed + 1, 60)
    try:
        other.start().ready()
        stream.start()
        time.sleep(3)
        stream.stop()
        time.sleep(1)
        other.stop()
        owner.words = [*owner.words, "--role", "join"]  # the learner would stop at the forged block too
        owner.start().ready()
        liar = live.Service(app, "liar", "--standby").start()
        code = liar.ended()  # by what is published already, no further event needed
        assert code in (6, 7) and "partition" in liar.said(), f"{code}: {liar.tail()}"
        honest = live.Service(app, "two", "--standby", "--role", "join").start().ready()
        forge(app)
        honest.ends_with(7, "partition 0", "the first that differs is one of")
        owner.alive()
    finally:
        other.kill()


def forge(app):
    """Somebody writes examples that the owner does not compute; then the owner has something to write."""
    last = [m for m in live.everything(app.topic("examples"))[0]][-1]
    block = live.SCHEMAS["example_block"].decode(last.value())
    seq = len(live.chains_of(app)[0].bodies)
    chain = max((c for c in live.chains_of(app).values()), key=lambda c: len(c.examples))
    example = dict(chain.examples[0], seq=seq)
    forged = dict(block, first_seq=seq, hash=bytes(16), examples=[example])
    producer = confluent_kafka.Producer({"bootstrap.servers": live.KAFKA})
    producer.produce(app.topic("examples"), live.SCHEMAS["example_block"].encode(forged), partition=0)
    assert producer.flush(60) == 0
    stream = live.Stream(app, 5, 60)
    stream.impressions = 1_000_000  # decisions that nobody has seen yet
    stream.start()
    time.sleep(3)
    stream.stop()


if __name__ == "__main__":
    the_seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1 << 30)
    print(f"seed {the_seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="aftertouch-standby-") as directory:
        story(pathlib.Path(directory), the_seed)
