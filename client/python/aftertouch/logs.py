"""logs.py - logs and snapshots from Avro container files, as columns. Wants numpy and fastavro (the extra `logs`).

Files of one log, enveloped ({offset, log_timestamp, key, value}) or plain; a null value (an erasure) is passed over. Each function
gives {column: numpy array}, one row a shown item (impressions, examples) or an outcome. Strings are object arrays (None: null), times
datetime64[ms], rewards integers of micro-units. `records` gives the whole records, features and candidates in them.
"""
from __future__ import annotations

import dataclasses
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, cast

import fastavro
import numpy as np

Columns = Dict[str, "np.ndarray[Any, Any]"]


def records(path: str) -> Iterator[Dict[str, Any]]:
    """The records of a container file, out of their envelopes."""
    with open(path, "rb") as f:
        reader = fastavro.reader(f)
        schema: Any = reader.writer_schema
        enveloped = [x["name"] for x in schema["fields"]] == ["offset", "log_timestamp", "key", "value"]
        for record in reader:
            body = record["value"] if enveloped else record  # type: ignore[index,call-overload]
            if body is not None:
                yield cast(Dict[str, Any], body)


_TIMES = {"timestamp", "fire"}
_TYPES: Mapping[str, Any] = {"slot": np.int32, "propensity": np.float64, "marginal": np.float64, "value": np.float64, "reward_micro": np.int64,
                             "delta_micro": np.int64, "seq": np.int64, "deferred": np.bool_, "pass": np.float64, "shadow_p": np.float64}
_DESIGN = ["pass", "shadow", "shadow_p"]


def _columns(rows: Sequence[Tuple[Any, ...]], names: Sequence[str]) -> Columns:
    out: Columns = {}
    for i, name in enumerate(names):
        values: List[Any] = [row[i] for row in rows]
        if name in _TIMES:
            out[name] = np.array([v.replace(tzinfo=None) for v in values], dtype="datetime64[ms]")
        elif name in _TYPES:
            out[name] = np.array([np.nan if v is None else v for v in values], dtype=_TYPES[name])
        else:
            column = np.empty(len(values), dtype=object)
            column[:] = values
            out[name] = column
    return out


def _design(record: Mapping[str, Any], slot: int) -> Tuple[Any, ...]:
    design = record.get("design") or {}
    passed, shadow = design.get("pass"), design.get("shadow")  # older files have no such fields
    if shadow is None or slot >= len(shadow["propensities"]):
        shadow = {"snapshot": None, "propensities": [None] * (slot + 1)}
    return (1.0 if passed is None else passed, shadow["snapshot"], shadow["propensities"][slot])


def _items(path: str, outer: Sequence[str], items: str, inner: Sequence[str]) -> Columns:
    rows = [tuple(r[n] for n in outer) + tuple(x[n] for n in inner) + _design(r, x["slot"]) for r in records(path) for x in r[items]]
    return _columns(rows, [*outer, *inner, *_DESIGN])


def impressions(path: str) -> Columns:
    """One row a shown item: decision_id, user_id, timestamp, session_id, policy, snapshot, propensity_kind, deferred, arm_id, slot,
    propensity, marginal (NaN: none), subject, pass (the probability with which the record was logged at all), shadow (digest of a model
    that did not decide, or None), shadow_p (its probability of this item, given those above; NaN: none)."""
    return _items(path, ["decision_id", "user_id", "timestamp", "session_id", "policy", "snapshot", "propensity_kind", "deferred"], "slate",
                  ["arm_id", "slot", "propensity", "marginal", "subject"])


def outcomes(path: str) -> Columns:
    """One row an outcome: outcome_id, user_id, timestamp, kind, value, decision_id, arm_id, subject, session_id, retracts."""
    names = ["outcome_id", "user_id", "timestamp", "kind", "value", "decision_id", "arm_id", "subject", "session_id", "retracts"]
    return _columns([tuple(r[n] for n in names) for r in records(path)], names)


def examples(path: str) -> Columns:
    """One row an item of an example: seq, phase, fire, decision_id, user_id, timestamp, policy, snapshot, propensity_kind, cause,
    arm_id, slot, propensity, marginal, reward_micro (so far), delta_micro (what this example changes), pass, shadow, shadow_p (as of
    `impressions`)."""
    outer = ["seq", "phase", "fire", "decision_id", "user_id", "timestamp", "policy", "snapshot", "propensity_kind", "cause"]
    return _items(path, outer, "items", ["arm_id", "slot", "propensity", "marginal", "reward_micro", "delta_micro"])


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a policy would have earned a decision, by a log that another made."""

    ips: float
    snips: float  # the same over the mean ratio: less variance, a little bias; 0 where no row has support
    effective_n: float  # so many rows of equal weight would say as much
    mean_ratio: float  # near 1, else the probabilities are not those of this log
    max_ratio: float


def off_policy(ratio: Any, reward: Any, passed: Any = 1.0) -> Estimate:
    """Inverse propensity estimates, a row a decision. ratio: the valued policy's probability of what was shown over the logged one;
    passed: the probability with which the decision was logged (the column `pass`), so that it stands for 1 / passed of them.

    For a shadow model, of the top slot: x = examples(...), t = (x["phase"] == "SETTLE") & (x["slot"] == 0),
    off_policy((x["shadow_p"] / x["propensity"])[t], x["reward_micro"][t] / 1e6, x["pass"][t])."""
    r = np.asarray(ratio, dtype=np.float64)
    stands = np.broadcast_to(1.0 / np.asarray(passed, dtype=np.float64), r.shape)
    if r.size == 0 or not (np.isfinite(r).all() and (r >= 0).all() and (stands >= 1).all()):
        raise ValueError("ratios must be finite and not negative, passed in (0, 1], and there must be some: leave out rows without a probability")
    w, whole = stands * r, stands.sum()
    earned = float((w * np.asarray(reward, dtype=np.float64)).sum())
    total, squares = float(w.sum()), float((w * w).sum())
    return Estimate(earned / whole, earned / total if total > 0 else 0.0, total * total / squares if squares > 0 else 0.0, total / whole, float(r.max()))


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What a snapshot file says about itself. It is read, not verified: `Client(snapshot_file=...)` verifies, and decides by it."""

    model: str
    round: int
    digest: str
    event_time: Any
    settings: Dict[str, str]
    arms: Dict[str, Dict[str, Any]]
    scoreboard: Dict[str, Dict[str, Any]]
    counts: Dict[str, int]
    kinds: Tuple[str, ...]  # of its sets, in order: "FULL", "DELTA", ...


def snapshot(path: str) -> Snapshot:
    """The newest set of a file that `aftertouch snapshot export` or `learn` wrote, with the arms of all links."""
    last: Optional[Dict[str, Any]] = None
    arms: Dict[str, Dict[str, Any]] = {}
    kinds: List[str] = []
    for r in records(path):
        m = r["manifest"]
        if m is None or r["kind"] == "PIN":
            continue
        if r["kind"] == "FULL":
            arms, kinds = {}, []
        kinds.append(r["kind"])
        arms.update({a["arm_id"]: a for a in m["arms"]})
        last = r
    if last is None:
        raise ValueError(f"{path} holds no manifest of a snapshot")
    m = last["manifest"]
    return Snapshot(last["model"], last["round"], m["digest"].hex(), m["event_time"], m["settings"], arms,
                    {p["policy"]: p for p in m["scoreboard"]}, m["counts"], tuple(kinds))
