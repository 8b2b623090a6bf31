"""aftertouch.logs: container files as columns; a snapshot's manifest."""
import datetime
import json
import sys

import fastavro
import numpy as np
import pytest

from aftertouch import Client, logs

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/oracle"))
import as_avro  # noqa: E402  (a folder beside this one)


def schema(name):
    return json.loads((ROOT / f"wire/schemas/{name}.avsc").read_text())


def write(path, name, rows, enveloped):
    s = as_avro.envelope(name.title(), schema(name)) if enveloped else fastavro.parse_schema(schema(name))
    with open(path, "wb") as f:
        fastavro.writer(f, s, [{"offset": i, "log_timestamp": 0, "key": b"u", "value": r} for i, r in enumerate(rows)] if enveloped else rows)


IMPRESSIONS = [as_avro.impression({"decision_id": f"d{i}", "user_id": "u", "ts": 1000 + i, "session_id": None, "deferred": i == 1,
                                   "items": [{"arm": f"a{j}", "propensity": 0.5 ** (j + 1), "subject": None} for j in range(i + 1)]}) for i in range(3)]


@pytest.mark.parametrize("enveloped", [False, True])
def test_impressions(tmp_path, enveloped):
    path = str(tmp_path / "impressions.avro")
    write(path, "impression", IMPRESSIONS + ([None] if enveloped else []), enveloped)
    x = logs.impressions(path)
    assert list(x["decision_id"]) == ["d0", "d1", "d1", "d2", "d2", "d2"] and list(x["slot"]) == [0, 0, 1, 0, 1, 2]
    assert x["propensity"].dtype == np.float64 and list(x["propensity"]) == [0.5, 0.5, 0.25, 0.5, 0.25, 0.125]
    assert np.isnan(x["marginal"]).all() and list(x["deferred"]) == [False, True, True, False, False, False]
    assert x["timestamp"][0] == np.datetime64(1000, "ms") and x["session_id"][0] is None
    assert [r["context"]["device"] for r in logs.records(path)] == ["web"] * 3


def test_outcomes(tmp_path):
    path = str(tmp_path / "outcomes.avro")
    write(path, "outcome", [as_avro.outcome({"outcome_id": "o", "user_id": "u", "ts": 5, "kind": "click", "value_micro": 250_000})], False)
    x = logs.outcomes(path)
    assert list(x["value"]) == [0.25] and list(x["kind"]) == ["click"] and x["decision_id"][0] is None and len(x) == 10


def test_no_rows(tmp_path):
    path = str(tmp_path / "none.avro")
    write(path, "outcome", [], False)
    assert logs.outcomes(path)["value"].shape == (0,)


def test_examples(tmp_path):
    sys.path.insert(0, str(ROOT / "tests/golden"))
    import make_decisions
    path = tmp_path / "examples.avro"
    make_decisions.examples(path)
    x = logs.examples(str(path))
    assert list(x["seq"]) == list(range(600)) and x["reward_micro"].dtype == np.int64
    learned = x["delta_micro"].sum()
    assert learned == x["reward_micro"][x["phase"] == "SETTLE"].sum() > 0


def test_snapshot(snapshots):
    s = logs.snapshot(snapshots["softmax"])
    assert s.round == 1 and s.settings["policy.explore"] == "softmax" and s.kinds == ("FULL",)
    assert set(s.arms) == {"walk", "run", "sleep", "breathe", "greens", "water"} and sum(a["exposures"] for a in s.arms.values()) == 300
    assert isinstance(s.event_time, datetime.datetime) and s.counts["learned"] == 300
    with Client(snapshot_file=snapshots["softmax"]) as client:
        assert client.info().snapshot_id == s.digest and client.info().round == s.round
    with pytest.raises(ValueError, match="no manifest"):
        logs.snapshot(write_empty(snapshots))


def write_empty(snapshots):
    path = snapshots["softmax"] + ".empty"
    with open(path, "wb") as f:
        fastavro.writer(f, fastavro.parse_schema(schema("snapshot")), [])
    return path
