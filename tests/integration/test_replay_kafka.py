#!/usr/bin/env python3
"""Checkpoints and replays on a real broker, while records come in.

C1  A checkpoint is taken from a running service; after kill -9, with its disk wiped, the service goes on from it: no gap, nothing twice that
    differs. A second restore over it is refused.
C2  `replay --verify` of a service that runs, and of one that stopped, finds every example and snapshot the same, and writes to no topic.
C6  The state too: a checkpoint that was taken while it ran, and the state of the service that stopped, are what is computed again, as of their
    last commits and gone on from there; the state that a process works on is named as not compared.
C3  In a copy of the examples, a byte that was changed ends it with 7 and the place, a block that is missing with 6.
C4  A state made by `replay --into` is gone on from.
C5  `explain` tells of a live outcome beside the service that works on its state, and of settled ones from the examples: the weight that
    they were learned with, the round and the snapshot that took them in.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import confluent_kafka

from foreign import Reader
from test_run_kafka import AFT, KAFKA, PARTITIONS, PREFIX, SCHEMAS, TOPICS, Process, World, check_examples, read_examples, settled, verb
from waiting import PATIENCE_S


def run(process, *words, code=0):
    done = subprocess.run([AFT, *words, "--config", str(process.config)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == code, f"{words}: {done.returncode}, not {code}: {done.stdout} {done.stderr}"
    return done


def replayed(process, *words):
    return json.loads(run(process, "replay", "--verify", "--json", *words).stdout)


def wipe(where, process):
    shutil.rmtree(where / process.name / (PREFIX + "app"))


def ends():
    consumer = confluent_kafka.Consumer({"bootstrap.servers": KAFKA, "group.id": "nobody"})
    held = {(t, p): consumer.get_watermark_offsets(confluent_kafka.TopicPartition(PREFIX + t, p), 20)
            for t in TOPICS for p in range(1 if t in ("rounds", "snapshots") else PARTITIONS)}
    consumer.close()
    return held


def restored_while_running(where, world, process):
    """C1."""
    directory = where / "checkpoint"
    copying = subprocess.Popen([AFT, "checkpoint", "create", str(directory), "--config", str(process.config)], stdout=subprocess.PIPE, text=True)
    world.happen(300)
    said, _ = copying.communicate(timeout=PATIENCE_S)
    assert copying.returncode == 0 and said.count("made by the process that runs") == PARTITIONS, said
    world.happen(200)
    process.kill()
    world.happen(50)
    assert "not overwritten" in run(process, "checkpoint", "restore", str(directory), code=1).stderr
    wipe(where, process)
    refused = run(process, "checkpoint", "restore", str(directory), "--set", "join.window=4s", code=3)
    assert "join.*" in refused.stderr, refused.stderr
    assert run(process, "checkpoint", "restore", str(directory)).stdout.count("partition") == PARTITIONS
    process.start().ready()
    world.happen(200)


def held_same(done, least):
    """C6."""
    for p in done["partitions"]:
        held = p["compared_state"]
        assert held["held"] == "same" and held["decisions"] >= least and held["time"] > 0, held


def explained(process, what, name):
    return json.loads(run(process, "explain", what, name, "--json").stdout)


def explain_live(world, process):
    """C5: a click of now; in the state from when it is joined and committed until its impression is settled, a few seconds."""
    for turn in range(200):
        world.happen(20)
        if turn % 20 == 0:
            late = sorted(world.clicked, key=lambda d: int(d[1:]))[-1]
        done = subprocess.run([AFT, "explain", "outcome", "o" + late[1:], "--json", "--config", str(process.config)], capture_output=True, text=True, timeout=PATIENCE_S)
        state = json.loads(done.stdout)["state"] if done.stdout else None
        if state and state["touches"]:
            mine = [t for t in state["touches"] if t["decision_id"] == late]
            assert mine[0]["arm_id"] == world.shown[late] and mine[0]["share_ppm"] == 1000000 == state["shares_ppm"], state
            assert state["fate"] == "credited" and "names its decision" in state["why"] and not state["taken_back"], state
            return
    raise AssertionError(f"no late click is in the state: {done.stdout} {done.stderr}")


def explain_settled(world, process):
    """C5."""
    decision = sorted(world.clicked)[0]
    told = explained(process, "decision", decision)
    assert told["state"] is None and [e["phase"] for e in told["examples"]][-1] == "SETTLE", told
    item = told["examples"][-1]["items"][0]
    assert item["arm_id"] == world.shown[decision] and item["components"]["click"] == 1000000, item
    first, last = told["examples"][0], told["examples"][-1]
    assert first["items"][0]["learner"]["done"] == "learned" and first["items"][0]["learner"]["weight"] > 0, first
    assert 0 < first["learned"]["round"] <= last["learned"]["round"] <= last["learned"]["snapshot"]["round"], told
    assert f'"{decision}"' in run(process, "explain", "decision", decision).stdout
    assert "nor the examples" in run(process, "explain", "outcome", "never", code=1).stderr


def changed_copy(process, name, change):
    """A topic with the examples' blocks, changed by change(partition, number of the block, its bytes): None leaves it out."""
    topic = f"{PREFIX}{name}"
    verb(process, "topics", "create", "--set", f"topics.examples={topic}")
    producer, reader, count = confluent_kafka.Producer({"bootstrap.servers": KAFKA}), Reader(KAFKA, PREFIX + "examples"), {}
    for m in sorted(reader.read_to_end(PREFIX + "examples"), key=lambda m: (m.partition(), m.offset())):
        block = SCHEMAS["example_block"].decode(m.value())
        number = count[m.partition()] = count.get(m.partition(), -1) + (1 if block["examples"] else 0)
        value = change(m.partition(), number, block, m.value()) if block["examples"] else m.value()
        if value is not None:
            producer.produce(topic, value, m.key(), m.partition())
    assert producer.flush(60) == 0
    reader.close()
    return ["--set", f"topics.examples={topic}"]


def losses(process):
    """C3."""
    where = {}

    def one_byte(partition, number, block, value):
        if (partition, number) != (1, 5):
            return value
        example = block["examples"][0]
        where.update(seq=block["first_seq"], decision=example["decision_id"])
        at = value.index(example["user_id"].encode())
        return value[:at] + b"X" + value[at + 1:]

    found = run(process, "replay", "--verify", "--json", *changed_copy(process, "changed", one_byte), code=7)
    place = json.loads(found.stdout)["divergence"]
    assert place == {"of": "examples", "partition": 1, "seq": where["seq"], "decision_id": where["decision"], "field": "user_id"}, place
    assert where["decision"] in found.stderr and "user_id" in found.stderr, found.stderr
    missing = lambda partition, number, block, value: None if (partition, number) == (2, 4) else value
    found = run(process, "replay", "--verify", *changed_copy(process, "missing", missing), code=6)
    assert "partition 2" in found.stderr and "missing" in found.stderr, found.stderr


def story(where):
    world, process = World(), Process(where, "replayed")
    verb(process, "topics", "create")
    try:
        process.start().ready()
        while not read_examples()[0]:  # so that a checkpoint of now holds decisions
            world.happen(100)
        restored_while_running(where, world, process)
        live = replayed(process, "--state", str(where / "checkpoint"))  # C2: it runs, and more comes in
        held_same(live, 1)  # C6
        assert sum(p["compared"] for p in live["partitions"]) > 300, live
        explain_live(world, process)
        examples, twice = settled(world, process)
        check_examples(world, examples)
        process.stop()
        before = ends()
        whole = replayed(process)
        held_same(whole, 0)  # all is settled
        assert ends() == before, "a replay wrote to a topic"
        examples, _, _ = read_examples()
        assert sum(p["compared"] for p in whole["partitions"]) == len(examples), whole
        assert whole["model"]["rounds"] > 0 and whole["model"]["snapshots_compared"] > 0, whole["model"]
        losses(process)
        explain_settled(world, process)
        wipe(where, process)  # C4
        run(process, "replay", "--into", str(where / "into"))
        run(process, "checkpoint", "restore", str(where / "into"))
        process.start().ready()
        world.happen(200)
        examples, _ = settled(world, process)
        check_examples(world, examples)
        process.stop()
        replayed(process)
    finally:
        process.kill()
    print(f"{len(world.shown)} impressions, {len(examples)} examples, {twice} written again; {whole['model']}; C1 to C6 hold")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aftertouch-replay-") as directory:
        sys.exit(story(pathlib.Path(directory)))
