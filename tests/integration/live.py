"""What the tests over a live broker share: users who see and do things, the service as a process, and the judgement of what it wrote.

Stream     impressions and outcomes with disorder, duplicates, retractions, deferred ones, erasures, clocks far ahead, silences; what they are
           follows from a seed, when they happen from the clock.
App        a configuration under its own topics; Service: one process of it.
judge      reads the topics back, as any user can, and compares: the oracle's joiner over the very records (their offsets, the broker's
           timestamps, the ticks that count) against what stands in the examples topic.
"""
import collections
import ctypes
import io
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import fastavro

from foreign import Producer, Reader, Schema
from waiting import PATIENCE_S, until, until_none

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))
from as_avro import impression, millis, outcome, plain, properties  # noqa: E402  (a folder beside this one)
from join_oracle import join  # noqa: E402

AFT, KAFKA = os.environ["AFT_BIN"], os.environ["AFT_KAFKA"]
SCHEMAS = {name: Schema(name) for name in ("impression", "outcome", "example_block", "clock")}
SNAPSHOT = Schema("snapshot")
EXAMPLE = fastavro.parse_schema(json.loads(SCHEMAS["example_block"].text)["fields"][-1]["type"]["items"])
FUTURE_MS = 3_600_000
RECORD_BYTES_MAX = 4 << 20  # base/bounds.h
OWN = ["clock", "examples", "rounds", "snapshots", "dead.letters", "prescored"]


# ---------------------------------------------------------------- users
class Stream(threading.Thread):
    """Sends what happens until stop(); rate: impressions a second. What was sent is read back from the topics, not remembered."""

    def __init__(self, app, seed, rate):
        super().__init__(daemon=True)
        self.chance, self.rate, self.app = random.Random(f"stream {seed}"), rate, app
        self.producer, self.ending, self.failed = Producer(KAFKA), threading.Event(), None
        self.due, self.impressions, self.outcomes = [], 0, 0
        self.silent = {"impressions": 0.0, "outcomes": 0.0}

    def run(self):
        try:
            start, steps = time.monotonic(), 0
            while not self.ending.is_set():
                steps += 1
                self.step()
                time.sleep(max(0.0, start + steps * 0.02 - time.monotonic()))
        except BaseException as e:  # told by stop()
            self.failed = e

    def step(self):
        now, chance = int(time.time() * 1000), self.chance
        for log in self.silent:
            if chance.random() < 0.004:  # so long that the log counts as idle, and ticks are needed
                self.silent[log] = time.monotonic() + chance.choice([0.5, 1.0, 2.0])
        burst = 30 if chance.random() < 0.003 else 1
        for _ in range(burst if chance.random() < self.rate * 0.02 else 0):
            self.show(now)
        left = []
        for at, record in self.due:
            if at > now or self.silent["outcomes"] > time.monotonic():
                left.append((at, record))
            else:
                self.send("outcomes", outcome(record), record["user_id"])
                self.outcomes += 1
        self.due = left

    def show(self, now):
        chance, k, c = self.chance, self.impressions, self.app.case
        user = f"user-{chance.randrange(60)}"
        if self.silent["impressions"] > time.monotonic():
            return
        if chance.random() < 0.004:
            self.send("impressions", None, user)
            return
        arms = chance.sample(range(8), chance.choice([1, 2, 3]))
        record = {"ts": self.moment(now), "decision_id": f"d{k}", "user_id": user, "session_id": f"s{k // 5}", "deferred": chance.random() < 0.1,
                  "items": [{"arm": f"a{a}", "subject": f"subject-{a % 3}", "propensity": round(chance.uniform(0.02, 1), 4)} for a in arms]}
        for _ in range(2 if chance.random() < 0.04 else 1):
            self.send("impressions", impression(record), user)
        self.impressions += 1
        if record["deferred"] and chance.random() < 0.7:
            self.later(now, chance.randrange(500), {"outcome_id": f"v{k}", "kind": "rendered", "decision_id": record["decision_id"]}, user)
        for n in range(chance.choice([0, 0, 1, 1, 2, 4])):
            self.act(now, f"o{k}.{n}", record, chance.randrange(chance.choice([300, 3000, c["window_ms"] + 1500])))

    def act(self, now, name, record, delay):
        chance = self.chance
        o = {"outcome_id": name, "kind": chance.choice(["click", "click", "key_task_completed", "qualified_view_benefit", "mystery"])}
        if o["kind"] == "click" or chance.random() < 0.2:
            o["decision_id"] = record["decision_id"] if chance.random() < 0.95 else "nowhere"
            o["arm"] = chance.choice([i["arm"] for i in record["items"]] + [None])
        else:
            o["subject"], o["session_id"] = f"subject-{chance.randrange(4)}", chance.choice([record["session_id"], None])
        if chance.random() < 0.3:
            o["value_micro"] = chance.randrange(3_000_000)
        self.later(now, delay, o, record["user_id"])
        if chance.random() < 0.05:
            self.later(now, delay + chance.randrange(400), o, record["user_id"])
        if chance.random() < 0.05:
            self.later(now, delay + chance.randrange(900), {"outcome_id": name + "r", "kind": o["kind"], "retracts": name}, record["user_id"])

    def later(self, now, delay, o, user):
        self.due.append((now + delay, dict(o, ts=self.moment(now + delay), user_id=user)))

    def moment(self, now):
        """An event's own time: a little out of order, now and then too late, and now and then by a clock that is far ahead."""
        chance = self.chance
        dice = chance.random()
        return now + 3 * FUTURE_MS if dice < 0.003 else now - chance.randrange(4000) if dice < 0.03 else now - chance.randrange(150)

    def send(self, log, value, user):
        self.producer.send(self.app.topic(log), value and SCHEMAS[log[:-1]].encode(value), user)

    def stop(self):
        """Ends it; what was still to happen happens at once."""
        self.ending.set()
        self.join(PATIENCE_S)
        assert not self.is_alive() and not self.failed, self.failed
        for _, record in self.due:
            self.send("outcomes", outcome(record), record["user_id"])
        self.due = []
        self.producer.flush()


# ---------------------------------------------------------------- the service
def case(**changes):
    """A configuration as the oracle reads it: seconds where the product has days."""
    kinds = {"rendered": {"weight_micro": 0, "rule": "last_touch", "activates": True},
             "click": {"weight_micro": 50_000, "rule": "last_touch", "click": True, "count": "first"},
             "key_task_completed": {"weight_micro": 1_000_000, "rule": "position_based", "match": "subject", "prefer_clicked": True,
                                    "half_life_ms": 2000, "reward_half_life_ms": 2000},
             "qualified_view_benefit": {"weight_micro": 200_000, "rule": "time_decay", "half_life_ms": 900}}
    return dict({"window_ms": 4000, "grace_ms": 500, "open_after_ms": 700, "orphan_after_ms": 1000, "disorder_ms": 200,
                 "max_future_ms": FUTURE_MS, "kinds": kinds}, **changes)


class App:
    """One app.id: its topics, its settings. inputs: whose impressions and outcomes it reads (its own if none)."""

    def __init__(self, where, prefix, the_case, partitions, inputs=None, **settings):
        self.where, self.prefix, self.case, self.partitions = where, prefix, the_case, partitions
        self.inputs = inputs.prefix if inputs else prefix
        self.settings = {"kafka.bootstrap.servers": KAFKA, "topics.partitions": partitions, "join.idle.after": "300ms", "commit.interval": "150ms",
                         "learner.round.interval": "100ms", "snapshot.interval": "500ms", "learner.model": "ridge", "features.bits": "10",
                         "http.listen": "", "kafka.consumer.session.timeout.ms": "1500", "kafka.consumer.heartbeat.interval.ms": "300",
                         "kafka.reconnect.backoff.max.ms": "300"}
        self.settings.update({k.replace("__", "."): v for k, v in settings.items()})

    def topic(self, name):
        return (self.inputs if name in ("impressions", "outcomes") else self.prefix) + name

    def configuration(self, name):
        path = self.where / f"{self.prefix}{name}.conf"
        settings = dict(self.settings, **{f"topics.{t}": self.topic(t) for t in OWN + ["impressions", "outcomes"]})
        settings["state.dir"] = self.where / f"{self.prefix}{name}"
        lines = properties(self.case).replace("app.id=oracle\n", f"app.id={self.prefix}app\n") + "".join(f"{k}={v}\n" for k, v in settings.items())
        path.write_text(lines, encoding="utf-8")
        return path

    def state(self, name):
        return self.where / f"{self.prefix}{name}"


def run(app, *words, name="verb", code=0, seconds=PATIENCE_S):
    """A verb of the program, to its end."""
    done = subprocess.run([AFT, *words, "--config", str(app.configuration(name))], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == code, f"{words}: {done.returncode}, not {code}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return done


class Service:
    """One process of an app; name: its state directory and its log. started: all of them, for who must see to it that none is left."""

    started = []

    def __init__(self, app, name, *words, **settings):
        self.app, self.name, self.words = app, name, [w for k, v in settings.items() for w in ("--set", f"{k.replace('__', '.')}={v}")] + list(words)
        self.log, self.process, self.since = app.where / f"{app.prefix}{name}.log", None, 0

    def start(self, **popen):
        self.since = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen([AFT, "run", "--config", str(self.app.configuration(self.name)), *self.words], stdout=out, stderr=out,
                                            **popen)
        Service.started.append(self)
        return self

    def said(self):
        """What this start has written so far."""
        with open(self.log, "rb") as f:
            f.seek(self.since)
            return f.read().decode(errors="replace")

    def tail(self):
        """What went wrong, and the last lines before it: short, for whoever reads it may see the head of a message alone."""
        lines = self.log.read_text(errors="replace").splitlines(True)
        bad = [x for x in lines if "level=info" not in x and "level=warn" not in x]
        return "".join(bad[-8:] + ["...\n"] + lines[-12:])

    def alive(self):
        assert self.process.poll() is None, f"{self.name} ended by itself with {self.process.returncode}:\n{self.tail()}"

    def wait_for(self, words, times=1):
        """Until it has said it so many times since it was started."""
        def there():
            if (said := self.said().count(words) >= times):
                return said
            self.alive()
        until(there, lambda _: f"{self.name} does not say '{words}' ({times}):\n{self.tail()}", every=0.02)
        return self

    def ready(self):
        return self.wait_for('msg="ready"')

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.alive()
        self.process.send_signal(signal.SIGTERM)
        code = self.ended()
        early = code == 130 and 'msg="ready"' not in self.said()  # so it is documented
        assert code == 0 or early, f"{self.name}: {code} after SIGTERM:\n{self.tail()}"

    def ended(self):
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end within {PATIENCE_S} s:\n{self.tail()}") from None

    def ends_with(self, code, *words):
        """It ends by itself with this exit code, and its last words hold these."""
        got = self.ended()
        assert got == code, f"{self.name}: exit {got}, not {code}:\n{self.tail()}"
        missing = [w for w in words if w not in self.said()]
        assert not missing, f"{self.name} does not say {missing}:\n{self.tail()}"


# ---------------------------------------------------------------- what stands in the topics
def everything(topic):
    """Records of a topic by partition, in their order."""
    reader = Reader(KAFKA, topic)
    out = collections.defaultdict(list)
    for m in reader.read_to_end(topic):
        out[m.partition()].append(m)
    reader.close()
    return out


def single_object(log, value):
    """A value in the registry's frame (ours alone have one in the tests: ids 7 and 8), in Avro's own."""
    return SCHEMAS[log[:-1]].head + value[5:] if value[:5] in (b"\0\0\0\0\7", b"\0\0\0\0\10") else value


def inputs_of(app, log):
    """The log as the oracle reads it, by partition; what does not decode is left out."""
    out = collections.defaultdict(list)
    for p, records in everything(app.topic(log)).items():
        for m in records:
            common = {"offset": m.offset(), "log_ts": m.timestamp()[1]}
            if m.value() is None:
                if m.key() and log == "impressions":
                    out[p].append(dict(common, ts=0, erase=True, user_id=m.key().decode()))
                continue
            try:
                named = "__value_schema_id" in dict(m.headers() or [])
                value = SCHEMAS[log[:-1]].decode(SCHEMAS[log[:-1]].head + m.value() if named else single_object(log, m.value()))
            except (AssertionError, EOFError, IndexError, ValueError, StopIteration):
                continue
            if len(m.value()) > RECORD_BYTES_MAX:
                continue
            out[p].append(dict(common, **(as_impression if log == "impressions" else as_outcome)(value)))
    return out


def as_impression(v):
    return {"ts": millis(v["timestamp"]), "decision_id": v["decision_id"], "user_id": v["user_id"], "session_id": v["session_id"],
            "deferred": v["deferred"], "items": [{"arm": s["arm_id"], "subject": s["subject"], "propensity": s["propensity"]} for s in v["slate"]]}


def as_outcome(v):
    return {"ts": millis(v["timestamp"]), "outcome_id": v["outcome_id"], "user_id": v["user_id"], "kind": v["kind"],
            "value_micro": round(v["value"] * 1e6), "decision_id": v["decision_id"], "arm": v["arm_id"], "subject": v["subject"],
            "session_id": v["session_id"], "retracts": v["retracts"]}


def ticks_of(app):
    """({partition: ticks that count}, epochs in all, ticks that do not count): a tick counts if its epoch is the latest epoch record's."""
    ticks, epochs, stale = collections.defaultdict(list), 0, 0
    for p, records in everything(app.topic("clock")).items():
        epoch = -1
        for m in records:
            r = SCHEMAS["clock"].decode(m.value())
            if r["kind"] == "EPOCH":
                epoch, epochs = m.offset(), epochs + 1
            elif r["epoch"] == epoch:
                ticks[p].append({"log": r["log"].lower(), "at_offset": r["at_offset"], "watermark": millis(r["watermark"])})
            else:
                stale += 1
    return ticks, epochs, stale


class Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_128bits_withSeed
xxh3.restype, xxh3.argtypes = Hash, [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
MASK = (1 << 64) - 1


def chained(body, low, high):
    """base/hash.c: the chain's next value."""
    h = xxh3(body, len(body), low ^ high * 0x9E3779B97F4A7C15 & MASK)
    return h.low ^ high, h.high ^ (low << 1 & MASK | low >> 63)


def read_long(body):
    """Avro's zigzag."""
    n = shift = 0
    while True:
        byte = body.read(1)[0]
        n |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (n >> 1) ^ -(n & 1)


def block_of(framed):
    """(epoch, first seq, hash, [(example, its bytes)]) of a record of the examples topic."""
    head = SCHEMAS["example_block"].head
    assert framed.startswith(head), framed[:10].hex()
    body = io.BytesIO(framed[len(head):])
    epoch, _, first_seq, chain, examples = read_long(body), read_long(body), read_long(body), struct.unpack("<QQ", body.read(16)), []
    while (count := read_long(body)) != 0:
        if count < 0:
            read_long(body)
        for _ in range(abs(count)):
            at = body.tell()
            example = fastavro.schemaless_reader(body, EXAMPLE)
            examples.append((example, body.getvalue()[at:body.tell()]))
    assert body.tell() == len(body.getvalue()), "bytes behind the block"
    return epoch, first_seq, chain, examples


class Chain:
    """A reader of one partition's examples: duplicates are dropped and must be the same, stale blocks too; a gap or a wrong hash is an error."""

    def __init__(self, partition):
        self.partition, self.epoch, self.bodies, self.hashes, self.examples = partition, -1, [], [(0, 0)], []
        self.twice, self.stale, self.stale_differ = 0, 0, 0

    def take(self, m):
        epoch, first_seq, chain, examples = block_of(m.value())
        if epoch < self.epoch:
            self.stale += len(examples)
            self.stale_differ += sum(self.bodies[seq:seq + 1] != [body] for seq, (_, body) in enumerate(examples, first_seq))
            return
        self.epoch = epoch
        for seq, (example, body) in enumerate(examples, first_seq):
            where = f"partition {self.partition} offset {m.offset()} seq {seq}"
            assert seq == example["seq"] <= len(self.bodies), f"{where}: expected {len(self.bodies)}"
            if seq < len(self.bodies):
                assert self.bodies[seq] == body, f"{where} was written twice, differently"
                self.twice += 1
                continue
            self.bodies.append(body)
            self.examples.append(example)
            self.hashes.append(chained(body, *self.hashes[-1]))
        if examples:
            assert self.hashes[first_seq + len(examples)] == chain, f"partition {self.partition} offset {m.offset()}: the chain is broken"


def chains_of(app, topic=None):
    out = {p: Chain(p) for p in range(app.partitions)}
    for p, records in everything(topic or app.topic("examples")).items():
        for m in records:
            out[p].take(m)
    return out


def expected(app):
    """({partition: the oracle's examples}, {(topic, partition, offset) of what is too far ahead}, is anything left open)."""
    impressions, outcomes, (ticks, epochs, stale) = inputs_of(app, "impressions"), inputs_of(app, "outcomes"), ticks_of(app)
    rewarded = app.settings.get("join.emit") == "rewarded"
    examples, dead, left = {}, set(), 0
    for p in range(app.partitions):
        joiner, ahead = join(app.case, impressions[p], outcomes[p], ticks[p])
        out = [x for x in joiner.out if not rewarded or any(x["reward_micro"]) or any(x["delta_micro"])]
        examples[p] = [dict(x, seq=seq) for seq, x in enumerate(out)]
        left += len(joiner.imps)
        dead |= {(app.topic("impressions" if d["log"] == 0 else "outcomes"), p, d["offset"]) for d in ahead}
    return examples, dead, {"open": left, "epochs": epochs, "ticks": sum(map(len, ticks.values())), "stale ticks": stale}


def wait_settled(app, services):
    """Until ticks have carried both watermarks of every partition past all that may still happen, and what they brought is written."""
    after = app.case["window_ms"] + app.case["grace_ms"] + app.case["open_after_ms"] + app.case["orphan_after_ms"] + 1000
    last = collections.defaultdict(int)
    for log in ("impressions", "outcomes"):
        for p, records in inputs_of(app, log).items():
            last[p] = max([last[p]] + [r["ts"] for r in records if r["ts"] <= r["log_ts"] + app.case["max_future_ms"]])

    def waits():
        for s in services:
            s.alive()
        ticks, _, _ = ticks_of(app)
        reached = {(p, log): max([t["watermark"] for t in ticks[p] if t["log"] == log], default=0) for p in last for log in ("impressions", "outcomes")}
        return [(p, log, last[p] + after - at) for (p, log), at in reached.items() if at <= last[p] + after]

    tails = lambda: "\n".join(s.tail() for s in services)
    until_none(waits, lambda: f"{tails()}\n(partition, log, ms that its watermark lacks)")
    want = {p: len(examples) for p, examples in expected(app)[0].items()}

    def lacks():
        for s in services:
            s.alive()
        there = {p: len(c.examples) for p, c in chains_of(app).items()}
        return [(p, there[p], want[p]) for p in want if there[p] < want[p]]

    until_none(lacks, lambda: f"{tails()}\n(partition, examples written, examples that the oracle has)")
    time.sleep(1.0)  # for what is learned of them; who asks for more waits for it


def judge(app):
    """The examples are the oracle's, the dead letters what is too far ahead. Returns figures for people."""
    chains, (want, ahead, told) = chains_of(app), expected(app)
    for p, chain in chains.items():
        got = [plain(x) for x in chain.examples]
        for w, g in zip(want[p], got):
            assert w == g, f"{app.prefix} partition {p}:\n  want {json.dumps(w)}\n  got  {json.dumps(g)}"
        assert len(got) == len(want[p]), f"{app.prefix} partition {p}: {len(got)} examples, the oracle has {len(want[p])}"
    found = collections.Counter()
    for records in everything(app.topic("dead.letters")).values():
        for m in records:
            h = dict(m.headers())
            found[h["aftertouch.topic"].decode(), int(h["aftertouch.partition"]), int(h["aftertouch.offset"])] += 1
    missing = [d for d in ahead if d not in found]
    assert not missing, f"{len(missing)} records that are too far ahead are not in the dead letters: {missing[:3]}"
    assert told["open"] == 0, told
    return dict(told, examples=sum(len(c.examples) for c in chains.values()), twice=sum(c.twice for c in chains.values()),
                stale=sum(c.stale for c in chains.values()), stale_differ=sum(c.stale_differ for c in chains.values()), dead=len(found))
