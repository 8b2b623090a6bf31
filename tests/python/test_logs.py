"""aftertouch.logs: container files as columns; a snapshot's manifest."""
import datetime
import json
import random
import sys

import fastavro
import numpy as np
import pytest

from aftertouch import Client, logs

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/oracle"))
import as_avro  # noqa: E402  (a folder beside this one)
import policy_oracle  # noqa: E402


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


def test_what_the_design_says(tmp_path):
    design = {"kind": "plackett_luce", "temperature": 1.0, "epsilon": 0.05, "k": 2, "key": None, "pass": 0.25,
              "shadow": {"snapshot": "digest", "propensities": [0.75, 0.5, 0.25]}}
    path = str(tmp_path / "impressions.avro")
    write(path, "impression", [IMPRESSIONS[0], dict(IMPRESSIONS[2], design=design), dict(IMPRESSIONS[1], design=dict(design, shadow=None))], False)
    x = logs.impressions(path)
    assert list(x["pass"]) == [1, 0.25, 0.25, 0.25, 0.25, 0.25] and list(x["shadow"]) == [None, "digest", "digest", "digest", None, None]
    assert list(x["shadow_p"][1:4]) == [0.75, 0.5, 0.25] and np.isnan(x["shadow_p"][[0, 4, 5]]).all()
    t = (x["slot"] == 0) & (x["shadow"] == "digest")
    assert logs.off_policy((x["shadow_p"] / x["propensity"])[t], [2.0], x["pass"][t]).ips == 3.0


def test_off_policy():
    r = random.Random(8)
    rows = [(r.uniform(0, 12), r.choice([0, 0, 1, 0.05]), 0.0, 0.0, r.choice([1, 1, 0.3, 0.01])) for _ in range(50)]
    want = policy_oracle.ope(rows, 5.0, 2.0)
    got = logs.off_policy(*(np.array([x[i] for x in rows]) for i in (0, 1, 4)))
    assert [got.ips, got.snips, got.effective_n, got.mean_ratio] == pytest.approx([want[n] for n in ("ips", "snips", "ess", "mean_w")], rel=1e-12)
    assert got.max_ratio == want["max_w"] and logs.off_policy([1.0, 3.0], [0.0, 1.0]).ips == 1.5
    for wrong in (([], [], 1.0), ([np.nan], [1.0], 1.0), ([1.0], [1.0], 1.5), ([-1.0], [1.0], 1.0)):
        with pytest.raises(ValueError, match="leave out"):
            logs.off_policy(*wrong)


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
