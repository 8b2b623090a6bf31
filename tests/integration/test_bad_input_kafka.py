#!/usr/bin/env python3
"""What goes wrong around `aftertouch run` on a real broker: each is told in words with the right exit code, or waited over; after it is
mended the service goes on, and the examples are the oracle's: nothing is lost.

B1   records that are wrong: clocks years ahead, no key, no value, another magic, half a record, larger than the dead letters' topic allows
B2   the schema registry: down at the start, down while it runs, an id that it does not know
B3   retention that ate what was not read yet, while stopped and while running: exit 6
B4   a topic that is deleted (3), and made anew (6)
B5   partitions added: to one topic, to all (3)
B6   a state directory that cannot be written (1), a disk that is full at a commit (1)
B7   a block that the broker refuses: the task stops in words, and goes on when the topic allows it
B8   an owner fenced by one outside its group takes the partition back; one that was asleep for longer than its session joins again, and
     stops when it is told to; two groups on the same topics do no harm
B9   loss: a block missing from the examples (6), a byte changed in them (7 or 6), told with partition, offset, seq
B10  the broker stopped for longer than every timeout, and killed and started again

usage: test_bad_input_kafka.py [CASE...]       e.g. records loss
"""
import http.server
import io
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions

import live
from live import App, Service, Stream
from waiting import PATIENCE_S, free_port, until, until_none

DAY_MS = 86_400_000
PREFIX = f"bad-{os.getpid()}-{int(time.time())}."
admin = AdminClient({"bootstrap.servers": live.KAFKA})


def wait(what, futures):
    for name, f in futures.items():
        f.result(PATIENCE_S)
    return what


def alter(topic, **settings):
    entries = [ConfigEntry(k.replace("_", "."), str(v), incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
    wait(topic, admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)]))


def app_of(where, name, partitions=2, **settings):
    app = App(where, f"{PREFIX}{name}.", live.case(window_ms=2500, open_after_ms=500, orphan_after_ms=600), partitions, **settings)
    live.run(app, "topics", "create")
    return app


def streamed(app, seed, seconds, rate=60):
    stream = Stream(app, seed, rate)
    stream.start()
    time.sleep(seconds)
    stream.stop()
    return stream


def judged(app, *services, stop=True):
    """The service settles; what it wrote is the oracle's."""
    live.wait_settled(app, services)
    if stop:
        for s in services:
            s.stop()
    told = live.judge(app)
    return told["examples"]


def taken(app, service):
    """Until the group's committed offsets are the ends of both inputs: what stands there was read, and the state that knows of it is on disk."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": live.KAFKA, "group.id": f"{app.prefix}app"})
    topics = [confluent_kafka.TopicPartition(app.topic(t), p) for t in ("impressions", "outcomes") for p in range(app.partitions)]

    def left():
        service.alive()
        ends = {(t.topic, t.partition): consumer.get_watermark_offsets(t, 60)[1] for t in topics}
        return [(t.topic, t.partition, t.offset, end) for t in consumer.committed(topics, 60) if (end := ends[t.topic, t.partition]) > max(t.offset, 0)]

    until_none(left, lambda: f"{service.tail()}\n(topic, partition, committed, end)", every=0.2)
    consumer.close()


def plainly(app, topic, value, key, partition=None):
    producer = confluent_kafka.Producer({"bootstrap.servers": live.KAFKA, "message.max.bytes": 20_000_000})
    producer.produce(app.topic(topic), value, key, **({} if partition is None else {"partition": partition}))
    assert producer.flush(60) == 0


# ---------------------------------------------------------------- B1
def impression_of(app, number, ts=None, text=0):
    """One of our own, valid; text: so many features of 4 KB."""
    value = live.impression({"ts": ts or int(time.time() * 1000), "decision_id": f"{app.prefix}{number}", "user_id": f"odd-{number}", "session_id": None,
                             "deferred": False, "items": [{"arm": "a1", "subject": None, "propensity": 0.5}]})
    value["context"].update({f"t{i}": "x" * 4000 for i in range(text)})
    return value


def records(where):
    app = app_of(where, "records")
    alter(app.topic("impressions"), max_message_bytes=6_000_000)
    service = Service(app, "one").start().ready()
    stream = Stream(app, 1, 40)
    stream.start()
    encode, whole = live.SCHEMAS["impression"].encode, impression_of(app, "half")
    years = int(time.time() * 1000) + 10 * 365 * DAY_MS
    bad = [("impressions", encode(impression_of(app, "ahead", years)), b"odd"), ("impressions", b"nothing of ours", b"odd"),
           ("impressions", b"", b"odd"), ("impressions", encode(whole)[:-3], b"odd"), ("impressions", encode(whole) + b"x", b"odd"),
           ("impressions", None, None), ("outcomes", None, b"odd"), ("outcomes", b"\x01\x02\x03", None), ("impressions", b"\0\0\0\0\7abc", b"odd"),
           ("impressions", b"z" * 5_900_000, b"odd"), ("outcomes", b"y" * 1_048_000, b"k" * 400), ("outcomes", encode(whole), b"odd"),
           ("impressions", encode(impression_of(app, "over", text=250)) + b"q" * 4_000_000, b"odd")]
    for topic, value, key in bad:
        plainly(app, topic, value, key)
    good = [(impression_of(app, "nokey"), None), (impression_of(app, "large", text=250), b"odd-large"), (impression_of(app, "larger", text=500), b"odd-larger")]
    for value, key in good:
        plainly(app, "impressions", encode(value), key)
    time.sleep(1)
    stream.stop()
    count = judged(app, service)
    dead = [(m, dict(m.headers())) for of in live.everything(app.topic("dead.letters")).values() for m in of]
    for topic, value, key in bad:
        mine = [h for m, h in dead if h["aftertouch.topic"].decode() == app.topic(topic) and (m.value() or b"") == (value or b"")[:len(m.value() or b"")]
                and (len(value or b"") == len(m.value() or b"") or int(h.get("aftertouch.cut", -1)) == len(value))]
        assert mine and mine[0]["aftertouch.reason"] and mine[0]["aftertouch.detail"], f"{topic} {len(value or b'')} bytes, {value and value[:20]}: not there"
    chains = live.chains_of(app)
    there = {e["decision_id"] for c in chains.values() for e in c.examples}
    assert {v["decision_id"] for v, _ in good} <= there, "a large record or one without a key gave no example"
    return f"{len(bad)} wrong records, {count} examples"


# ---------------------------------------------------------------- B2
class Registry(http.server.ThreadingHTTPServer):
    """The part of a schema registry that readers use; down: it answers nothing but 503."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.down, self.schemas = True, {}
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


    def handle_error(self, *_):
        """Who asked was killed meanwhile: that is part of the test."""


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = None if self.server.down else self.server.schemas.get(self.path.split("?")[0].split("/schemas/", 1)[-1].removeprefix("ids/"))
        code, body = (503, {}) if self.server.down else (200, {"schema": known}) if known else (404, {"error_code": 40403, "message": "no such schema"})
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


def registry(where):
    down, app = Registry(), app_of(where, "registry", partitions=1)
    down.schemas = {"7": live.SCHEMAS["impression"].text, "8": live.SCHEMAS["outcome"].text,
                    "guids/00112233-4455-6677-8899-aabbccddeeff": live.SCHEMAS["impression"].text}
    framed = lambda number, value: b"\0" + struct.pack(">I", number) + live.SCHEMAS["impression"].body(value)
    port = free_port()
    service = Service(app, "one", schema__registry__url=down.url, http__listen=f"127.0.0.1:{port}").start().ready()
    streamed(app, 2, 0.5)
    plainly(app, "impressions", framed(7, impression_of(app, "waits")), b"odd")
    service.wait_for("waits at offset").wait_for(f"the registry at {down.url} answers HTTP 503")
    not_ready(service, port)
    time.sleep(1)
    given_up = [m.headers() for m in live.everything(app.topic("dead.letters"))[0] if m.key() == b"odd"]  # the stream's may be too far ahead
    assert not given_up, f"a record was given up while the registry was down: {given_up}"
    service.kill()  # and down at the start
    service.start()
    time.sleep(1)
    down.down = False
    plainly(app, "impressions", framed(99, impression_of(app, "unknown")), b"odd")
    by_header(app)
    streamed(app, 3, 1)
    count = judged(app, service)
    assert {e["decision_id"][-4:] for e in live.chains_of(app)[0].examples} >= {"head", "guid"}, "a record whose header names its schema gave no example"
    dead = [dict(m.headers()) for m in live.everything(app.topic("dead.letters"))[0]]
    assert [h for h in dead if h["aftertouch.reason"] == b"UNKNOWN_SCHEMA" and b"99" in h["aftertouch.detail"]], dead
    assert [e for e in live.chains_of(app)[0].examples if e["decision_id"].endswith("waits")], "the record that waited gave no example"
    return f"{count} examples"


def by_header(app):
    """As Confluent's newer serializers do: values without a frame, and the schema's id or GUID in a header."""
    producer, body = confluent_kafka.Producer({"bootstrap.servers": live.KAFKA}), live.SCHEMAS["impression"].body
    for name, header in (("head", b"\0" + struct.pack(">I", 7)), ("guid", b"\1" + bytes.fromhex("00112233445566778899aabbccddeeff"))):
        producer.produce(app.topic("impressions"), body(impression_of(app, name)), b"odd", headers=[("other", b"x"), ("__value_schema_id", header)])
    assert producer.flush(60) == 0


# ---------------------------------------------------------------- B3, B4, B5
def delete_records(topic, partitions):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": live.KAFKA, "group.id": "nobody"})
    ends = [confluent_kafka.TopicPartition(topic, p, consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, p), 20)[1])
            for p in range(partitions)]
    consumer.close()
    wait(topic, admin.delete_records(ends))


def retention(where):
    app = app_of(where, "retention")
    service = Service(app, "one").start().ready()
    streamed(app, 4, 1.5)
    taken(app, service)
    delete_records(app.topic("impressions"), 2)  # what was read may go
    service.stop()
    service.start().ready()
    service.stop()
    streamed(app, 5, 1)
    delete_records(app.topic("outcomes"), 2)
    service.start().ends_with(6, app.topic("outcomes"), "partition", "offset", "retention")
    other = app_of(where, "retention2", kafka__consumer__session__timeout__ms="60000")  # stopped for less: it stays in its group
    running = Service(other, "one").start().ready()
    streamed(other, 6, 1)
    taken(other, running)
    running.signal(signal.SIGSTOP)
    streamed(other, 7, 1, rate=200)
    delete_records(other.topic("impressions"), 2)
    running.signal(signal.SIGCONT)
    running.ends_with(6, other.topic("impressions"), "no longer holds offset", "retention")
    fresh = Service(app, "two", app__id=f"{app.prefix}again", topics__clock=app.topic("clock") + "2", topics__examples=app.topic("examples") + "2",
                    topics__rounds=app.topic("rounds") + "2", topics__snapshots=app.topic("snapshots") + "2")
    live.run(app, "topics", "create", *fresh.words)
    fresh.start().ready()  # the way out that was told
    fresh.stop()
    return "told twice"


def deleted(where):
    app = app_of(where, "deleted", kafka__topic__metadata__refresh__interval__ms="1000")
    service = Service(app, "one").start().ready()
    streamed(app, 8, 1.5)
    taken(app, service)
    wait("outcomes", admin.delete_topics([app.topic("outcomes")]))
    service.ends_with(3, app.topic("outcomes"), "does not exist", "topics create")
    live.run(app, "topics", "create")
    service.start().ends_with(6, app.topic("outcomes"), "holds 0 to 0")
    return "told twice"


def partitions(where):
    app = app_of(where, "partitions", kafka__topic__metadata__refresh__interval__ms="1000")
    service = Service(app, "one").start().ready()
    streamed(app, 9, 1.5)
    taken(app, service)
    wait("one", admin.create_partitions([NewPartitions(app.topic("impressions"), 4)]))
    service.ends_with(3, app.topic("impressions"))
    service.start().ends_with(3, "they must be equal")
    wait("all", admin.create_partitions([NewPartitions(app.topic(t), 4) for t in ("outcomes", "clock", "examples")]))
    service.start().ends_with(3, "has 4 partitions, and had 2", "new app.id")
    return "told three times"


# ---------------------------------------------------------------- B6
def read_only(where):
    app = app_of(where, "readonly")
    app.state("one").mkdir()
    app.state("one").chmod(0o555)
    who = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    if who:  # the build may stand where only root comes
        who["executable"] = shutil.copy(live.AFT, where / "aftertouch")
    service = Service(app, "one").start(**who)
    service.ends_with(1, str(app.state("one")), "state.dir")
    app.state("one").chmod(0o777)
    streamed(app, 10, 1)
    service.start(**who).ready()
    return f"{judged(app, service)} examples"


def mounted(path, megabytes):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(path)], capture_output=True).returncode == 0


def fill(ballast):
    """Until not one page is free."""
    try:
        with open(ballast, "ab", buffering=0) as f:
            while f.write(b"x" * 4096):
                pass
    except OSError:
        pass


def full_disk(where):
    """A small file system where we may mount one; otherwise a bound on the size of files, which fails the same write."""
    app = app_of(where, "full", partitions=1, commit__interval="50ms")
    state, bound = app.state("one"), {}
    state.mkdir()
    small = mounted(state, 8)
    if not small:
        limit = 200 << 10
        bound = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), "restore_signals": False}
    try:
        service = Service(app, "one").start(**bound).ready()
        ballast = state / "ballast"
        if small:
            fill(ballast)
        stream = Stream(app, 11, 300)
        stream.start()
        service.ends_with(1, "disk", str(state))
        time.sleep(1)
        stream.stop()
        if small:
            fill(ballast)
            service.start().ends_with(1, str(state))  # nor is it opened
            ballast.unlink()
        service.start().ready()
        return f"{judged(app, service)} examples, {'a full file system' if small else 'a bound on files'}"
    finally:
        if small:
            service.kill()
            subprocess.run(["umount", "-l", str(state)], check=True)


# ---------------------------------------------------------------- B7, B8
def page(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def not_ready(service, port):
    """/readyz says 503, once the state of things has come to the page, and goes on saying it."""
    until(lambda: page(port, "/readyz") == 503, lambda _: f"it says that it is ready:\n{service.tail()}")
    for _ in range(20):
        time.sleep(0.1)
        assert page(port, "/readyz") == 503, f"it says that it is ready again:\n{service.tail()}"


def refused(where):
    app = app_of(where, "refused")
    port = free_port()
    service = Service(app, "one", http__listen=f"127.0.0.1:{port}").start().ready()
    streamed(app, 12, 1)
    alter(app.topic("examples"), max_message_bytes=600)
    stream = Stream(app, 13, 60)
    stream.start()
    service.wait_for("max.message.bytes")
    time.sleep(3)
    service.alive()
    not_ready(service, port)
    alter(app.topic("examples"), max_message_bytes=1_000_000)
    stream.stop()
    return f"{judged(app, service)} examples"


def fenced(where):
    app = app_of(where, "fenced", partitions=1)
    service = Service(app, "one").start().ready()
    streamed(app, 14, 1)
    epoch = live.SCHEMAS["clock"].encode({"epoch": -1, "kind": "EPOCH", "log": None, "at_offset": None, "watermark": None, "owner": "one that woke late"})
    plainly(app, "clock", epoch, None, 0)
    service.wait_for("somebody newer owns it")
    epoch = live.Schema("round").encode({"epoch": -1, "kind": "EPOCH", "round": 0, "ends": [], "publish": "NONE", "decision": None, "owner": "one that woke late"})
    plainly(app, "rounds", epoch, None, 0)
    service.wait_for("somebody newer learns")
    streamed(app, 15, 1)
    count = judged(app, service, stop=False)
    until(lambda: learned_of(app) == count, lambda _: f"{learned_of(app)} of {count} examples learned:\n{service.tail()}", every=0.5)
    service.stop()
    return f"{count} examples, all learned"


def learned_of(app):
    """Examples that the last published model has learned."""
    manifests = [live.SNAPSHOT.decode(m.value()) for of in live.everything(app.topic("snapshots")).values() for m in of if m.value()]
    last = max((m for m in manifests if m["manifest"]), key=lambda m: m["round"], default=None)
    return last and sum(end["next_seq"] for end in last["manifest"]["ends"])


def two_groups(where):
    app = app_of(where, "groups")
    one, two = Service(app, "one"), Service(app, "two", app__id=f"{app.prefix}other", topics__rounds=app.topic("rounds") + "2",
                                            topics__snapshots=app.topic("snapshots") + "2")
    live.run(app, "topics", "create", *two.words)
    one.start().ready()
    stream = Stream(app, 16, 40)
    stream.start()
    two.start().ready()
    one.wait_for("somebody newer owns it")
    two.wait_for("somebody newer owns it")  # the first takes it back
    two.kill()
    stream.stop()
    return f"{judged(app, one)} examples"


def held(service):
    """So many partitions it held when it last spoke of them."""
    counts = re.findall(r"partitions (?:assigned|lost|revoked), (\d+) held now", service.said())
    return int(counts[-1]) if counts else 0


def woken(where):
    """Stopped for longer than its session; it finds its partitions taken, joins again, and can still be stopped in order."""
    app = app_of(where, "woken")
    one, two = Service(app, "one").start().ready(), Service(app, "two").start()
    stream = Stream(app, 19, 40)
    stream.start()
    two.ready()
    for n in (1, 2):
        until(lambda: held(one) > 0, lambda _: f"it owns nothing:\n{one.tail()}")
        one.signal(signal.SIGSTOP)
        until(lambda: held(two) == app.partitions, lambda _: f"nobody takes over from who sleeps:\n{two.tail()}")
        one.signal(signal.SIGCONT)
        one.wait_for(" partitions lost", n)
    stream.stop()
    return f"{judged(app, one, two)} examples"


# ---------------------------------------------------------------- B9
def copied(app, name, change):
    """A copy of the examples topic under another name, changed by change(partition, number of the block with examples, value)."""
    topic = f"{app.prefix}{name}"
    settings = {f"topics__{t}": f"{topic}.{t}" for t in ("rounds", "snapshots")}
    learner = Service(app, name, "--role", "learn", topics__examples=topic, **settings)
    live.run(app, "topics", "create", *learner.words[:-2])
    producer = confluent_kafka.Producer({"bootstrap.servers": live.KAFKA})
    for p, of in sorted(live.everything(app.topic("examples")).items()):
        number, offset = -1, 0
        for m in of:
            number += bool(live.block_of(m.value())[3])
            value = change(p, number, offset, m.value()) if live.block_of(m.value())[3] else m.value()
            if value is not None:
                producer.produce(topic, value, m.key(), p)
                offset += 1
    assert producer.flush(60) == 0
    return learner


def zigzag(number):
    """Avro's long, of one that is not negative."""
    left, out = number << 1, b""
    while left > 127:
        left, out = left >> 7, out + bytes([left & 127 | 128])
    return out + bytes([left])


def loss(where):
    app, place = app_of(where, "loss"), {}
    service = Service(app, "one").start().ready()
    streamed(app, 17, 4)
    judged(app, service)

    def missing(p, number, offset, value):
        if (p, number) != (1, 3):
            return value
        place.update(offset=offset, seq=live.block_of(value)[1])
        return None

    learner = copied(app, "missing", missing).start()
    learner.ends_with(6, "partition 1", f"offset {place['offset']}:", f"expected seq {place['seq']}")

    def changed(at):
        def change(p, number, offset, value):
            if (p, number) != (0, 4):
                return value
            _, first, _, examples = live.block_of(value)
            place.update(offset=offset, seq=first, last=first + len(examples))
            where_at = at(value, examples)
            return value[:where_at] + bytes([value[where_at] ^ 1]) + value[where_at + 1:]
        return change

    inside = lambda value, examples: value.index(examples[0][0]["user_id"].encode()) + 2
    learner = copied(app, "byte", changed(inside)).start()
    learner.ends_with(7, "partition 0", f"offset {place['offset']}:", f"seq {place['last']}")
    learner = copied(app, "magic", changed(lambda value, _: 1)).start()
    learner.ends_with(6, "partition 0", f"offset {place['offset']} ", f"seq {place['seq']}")
    epoch_up = lambda value, _: len(live.SCHEMAS["example_block"].head)  # zigzag: the lowest bit makes it negative
    learner = copied(app, "epoch", changed(epoch_up)).start()
    learner.ends_with(6, "partition 0", f"seq {place['seq']}")

    def later_epoch(p, number, offset, value):
        if (p, number) != (0, 4):
            return value
        head = live.SCHEMAS["example_block"].head
        place.update(offset=offset, seq=live.block_of(value)[1])
        body = io.BytesIO(value[len(head):])
        epoch = live.read_long(body) + 32
        return head + zigzag(epoch) + body.read()

    learner = copied(app, "later", later_epoch).start()
    learner.ends_with(6, "partition 0", f"offset {place['offset']}:", f"seq {place['seq']}")
    return "told five times"


# ---------------------------------------------------------------- B10
def broker(where):
    """On a broker of its own, with few topics: one that is killed looks at all of them when it starts again."""
    kafka = pathlib.Path(__file__).resolve().parents[1] / "kafka" / "kafka"
    port = subprocess.run([kafka, "port"], check=True, capture_output=True, text=True).stdout.strip()
    try:
        at = subprocess.run([kafka, "start", "--port", port, "--heap", "256m", "--config", "group.min.session.timeout.ms=500"], check=True,
                            capture_output=True, text=True, timeout=300).stdout.split()[-1]
        node = f"{kafka} node --port {port}"
        env = dict(os.environ, AFT_KAFKA=at, AFT_KAFKA_PAUSE=f"{node} pause 1", AFT_KAFKA_CONT=f"{node} cont 1", TMPDIR=str(where))
        done = subprocess.run([sys.executable, __file__, "away"], env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
        return done.stdout.split("away: ")[-1].strip()
    finally:
        subprocess.run([kafka, "stop", "--port", port, "--purge"], check=False, capture_output=True)


def away(where):
    app = app_of(where, "broker", kafka__socket__timeout__ms="6000")
    one, two = Service(app, "one").start().ready(), Service(app, "two").start()
    stream = Stream(app, 18, 40)
    stream.start()
    two.ready()  # who looks at the broker for the first time ends when it is away
    time.sleep(3)
    subprocess.run(os.environ["AFT_KAFKA_PAUSE"], shell=True, check=True)
    time.sleep(60 if os.environ.get("AFT_LONG") else 15)
    subprocess.run(os.environ["AFT_KAFKA_CONT"], shell=True, check=True)
    time.sleep(3)
    node = os.environ["AFT_KAFKA_CONT"].rsplit(" ", 2)[0]
    subprocess.run(f"{node} kill 1", shell=True, check=True)
    time.sleep(3)
    subprocess.run(f"{node} start 1", shell=True, check=True)
    time.sleep(3)
    stream.stop()
    return f"{judged(app, one, two)} examples"


CASES = [broker, records, registry, retention, deleted, partitions, read_only, full_disk, refused, fenced, woken, two_groups, loss]  # side by side
INNER = [away]  # run by broker


def main(where, chosen):
    failed = []

    def one(case):
        start, folder = time.monotonic(), where / case.__name__
        folder.mkdir()
        folder.chmod(0o755)
        try:
            said = case(folder)
            print(f"ok    {time.monotonic() - start:4.0f} s  {case.__name__}: {said}", flush=True)
        except BaseException as e:
            failed.append(case.__name__)
            print(f"FAIL  {time.monotonic() - start:4.0f} s  {case.__name__}: {type(e).__name__}: {e}", flush=True)
        finally:
            for s in Service.started:
                if s.app.where == folder:
                    s.kill()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, [c for c in CASES if not chosen or c.__name__ in chosen]))
    for case in INNER:
        if case.__name__ in chosen:
            one(case)
    return f"failed: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aftertouch-bad-", ignore_cleanup_errors=True) as directory:
        pathlib.Path(directory).chmod(0o755)
        sys.exit(main(pathlib.Path(directory), sys.argv[1:]))
