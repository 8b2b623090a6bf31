"""The verb `snapshot` over a real broker and a service that publishes fulls and deltas.

S1  list shows fulls and deltas, each whole; show, diff and export answer; what is wrong is said with exit code 1 or 2
S2  pin, rollback and unpin: what list marks as pinned; the learner goes on; a pin of an exported file
S3  snapshot.keep, low from a second start on: older ones are deleted with tombstones; every round that is listed whole can be exported
"""
import json
import os
import pathlib
import tempfile

import fastavro

import live
from waiting import until

PARTITIONS = 2


def listed(app):
    return [json.loads(line) for line in live.run(app, "snapshot", "list", "--json").stdout.splitlines()]


def wait_for(app, what):
    return until(lambda: (rows := listed(app)) and what(rows) and rows, lambda _: f"of {listed(app)[-3:]}", every=0.5)


def kinds(rows):
    return {r["kind"] for r in rows if r["whole"]}


def story(where):
    app = live.App(where, f"snap-{os.getpid()}.", live.case(), PARTITIONS, learner__model="flow", snapshot__full__interval="4s",
                   snapshot__delta__from="0", snapshot__keep="1000")
    live.run(app, "topics", "create")
    service, stream = live.Service(app, "one"), live.Stream(app, 7, 40)
    stream.start()
    service.start()
    try:
        rows = wait_for(app, lambda rows: len([r for r in rows if r["whole"]]) >= 5 and kinds(rows) == {"full", "delta"})
        assert [r["round"] for r in rows] == sorted({r["round"] for r in rows})
        first, last = [r for r in rows if r["whole"]][-4], rows[-1]
        file = where / "exported.avro"
        live.run(app, "snapshot", "export", str(first["round"]), str(file))
        with open(file, "rb") as f:
            records = list(fastavro.reader(f))
        assert records[-1]["round"] == first["round"] and records[-1]["manifest"] and records[0]["kind"] == "FULL"
        shown = json.loads(live.run(app, "snapshot", "show", first["digest"][:12], "--json").stdout)
        assert shown["round"] == first["round"]
        diff = json.loads(live.run(app, "snapshot", "diff", str(first["round"]), str(last["round"]), "--json").stdout)
        assert diff["rows"]["changed"] > 0 and diff["counts"]["learned"] > 0 and diff["arms"], diff
        assert f"count    learned: +{diff['counts']['learned']}" in live.run(app, "snapshot", "diff", str(first["round"]), str(last["round"])).stdout
        live.run(app, "snapshot", "show", "123456789", code=1)
        live.run(app, "snapshot", "pin", code=2)
        assert f"in {file}" in live.run(app, "snapshot", "pin", "123456789", "--file", str(file), code=1).stderr
        assert "goes with pin" in live.run(app, "snapshot", "list", "--file", str(file), code=2).stderr
        assert live.run(app, "snapshot", "list").stdout.split("\n")[0].split() == ["round", "kind", "digest", "latest", "event", "arms", "bytes", "state"]

        live.run(app, "snapshot", "rollback", str(first["round"]), "--why", "a test")
        rows = wait_for(app, lambda rows: rows[-1]["round"] > last["round"])
        assert [r["round"] for r in rows if r["pinned"]] in ([first["round"]], []), rows
        live.run(app, "snapshot", "rollback", str(rows[-1]["round"]), code=1)
        service.stop()
        app.settings["snapshot.keep"] = "2"
        service.start()
        wait_for(app, lambda rows: rows[0]["round"] > first["round"])  # S3: the pinned one is gone from the list, not from the pin
        assert json.loads(live.run(app, "snapshot", "pin", "--file", str(file), "--json").stdout)["pinned"]["round"] == first["round"]
        assert "nothing is pinned" in live.run(app, "snapshot", "unpin").stdout
        assert "nothing is pinned" in live.run(app, "snapshot", "unpin").stdout
        stream.stop()
        live.wait_settled(app, [service])
        service.stop()
    finally:
        service.kill()
    rows = listed(app)
    for row in [r for r in rows if r["whole"]][-4:]:
        live.run(app, "snapshot", "export", str(row["round"]), str(where / "another.avro"))
    assert rows[-1]["whole"] and not any(r["pinned"] for r in rows)
    assert len([r for r in rows if r["kind"] == "full"]) == 2, rows
    print(f"{len(rows)} snapshots listed, rounds {rows[0]['round']} to {rows[-1]['round']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aftertouch-snapshots-") as directory:
        story(pathlib.Path(directory))
