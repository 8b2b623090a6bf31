"""What a user's own program does with our topics, with nothing of ours but the published schemas: frames, produce, read back.

Clients: confluent-kafka and fastavro from PyPI. The schemas are wire/schemas/*.avsc.
"""
import hashlib
import io
import json
import pathlib
import urllib.request

import confluent_kafka
import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

ROOT = pathlib.Path(__file__).resolve().parents[2]
SINGLE_OBJECT = b"\xc3\x01"


class Schema:
    """A record's schema with its two frames: Avro single object, or Confluent's once it is registered."""

    def __init__(self, name):
        self.text = (ROOT / "wire" / "schemas" / f"{name}.avsc").read_text(encoding="utf-8")
        self.parsed = fastavro.parse_schema(json.loads(self.text))
        mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(self.text)), "CRC-64-AVRO"))
        self.head = SINGLE_OBJECT + mark

    def register(self, url, subject):
        """Registers the schema; from then on values carry the registry's id."""
        request = urllib.request.Request(f"{url}/subjects/{subject}/versions", json.dumps({"schema": self.text}).encode(),
                                         {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            self.head = b"\0" + json.load(answer)["id"].to_bytes(4, "big")

    def body(self, value):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed, value)
        return out.getvalue()

    def encode(self, value):
        return self.head + self.body(value)

    def decode(self, framed):
        """The value of a framed record that we wrote; its whole body must be used up."""
        assert framed.startswith(self.head), f"begins with {framed[:10].hex()}, not {self.head.hex()}"
        body = io.BytesIO(framed[len(self.head):])
        value = fastavro.schemaless_reader(body, self.parsed)
        assert body.tell() == len(framed) - len(self.head), f"{len(framed) - len(self.head) - body.tell()} bytes behind the value"
        return value


def murmur2(key):
    """The hash of Java's default partitioner (org.apache.kafka.common.utils.Utils.murmur2), as an unsigned 32-bit number."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at:at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


class Producer:
    """An ordinary idempotent producer that partitions as Java's clients do; a failed delivery is an error."""

    def __init__(self, bootstrap):
        self.producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 20,
                                                  "enable.idempotence": True, "queue.buffering.max.messages": 200_000})
        self.failures, self.sent = [], 0

    def delivered(self, error, message):
        if error:
            self.failures.append(f"{message.topic()}: {error}")

    def send(self, topic, value, key):
        while True:
            try:
                self.producer.produce(topic, value, key, on_delivery=self.delivered)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.sent += 1
        self.producer.poll(0)

    def flush(self):
        left = self.producer.flush(180)
        assert not left and not self.failures, f"{left} records not sent; {self.failures[:3]}"


class Reader:
    """Reads every partition of a topic from its beginning, without a group."""

    def __init__(self, bootstrap, topic):
        self.consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "foreign-reader", "enable.auto.commit": False,
                                                  "auto.offset.reset": "earliest", "check.crcs": True})
        partitions = self.consumer.list_topics(topic, 60).topics[topic].partitions
        self.consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
        self.partitions = sorted(partitions)

    def read(self, seconds):
        """The records that arrive within so long, or earlier when there are some."""
        messages = self.consumer.consume(500, seconds)
        for m in messages:
            assert not m.error(), m.error()
        return messages

    def read_to_end(self, topic):
        """All that is in the topic now."""
        left = {p for p in self.partitions if self.ends(topic, p)[1] > self.ends(topic, p)[0]}
        ends = {p: self.ends(topic, p)[1] for p in left}
        out = []
        while left:
            for m in self.read(0.1):  # a longer wait is for a full batch
                out.append(m)
            left = {p for p in left if self.position(topic, p) < ends[p]}
        return out

    def ends(self, topic, partition):
        return self.consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, partition), 60)

    def position(self, topic, partition):
        return self.consumer.position([confluent_kafka.TopicPartition(topic, partition)])[0].offset

    def close(self):
        self.consumer.close()


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def latest_full_set(schema, values):
    """(manifest record, [part records]) of the last whole full snapshot among the framed values of the topic; asserts its digests.

    A part's digest is over its whole body, as it stands behind the frame. Parts and manifest are matched by their round, which
    is in their keys too. Deltas and pins are passed over.
    """
    parts, found = {}, None
    for value in values:
        record = schema.decode(value)
        if record["kind"] != "FULL":
            continue
        if record["manifest"] is None:
            parts[record["round"], record["part"]] = (record, blake2b(value[len(schema.head):]))
        else:
            mine = [parts.get((record["round"], k)) for k in range(record["parts"])]
            if all(mine):
                found = (record, mine)
    assert found, "there is no whole full snapshot in the topic"
    manifest, parts = found
    assert manifest["part"] == manifest["parts"] == len(parts) > 0, "the manifest's number of parts is wrong"
    assert [digest for _, digest in parts] == manifest["manifest"]["part_digests"], "a part's digest is not what the manifest says"
    return manifest, [record for record, _ in parts]


def set_digest(schema, record):
    """The digest that the manifest must carry: over its record with the digest zeroed and without the signature."""
    bare = dict(record, manifest=dict(record["manifest"], set_digest=bytes(32), signature=None))
    return blake2b(schema.body(bare))
