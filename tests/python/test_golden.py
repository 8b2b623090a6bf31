"""tests/golden/decisions.json through Python: the same slates, the same bits, as the C test finds (tests/unit/test_golden_decisions.c)."""
import ctypes
import math
import struct

import pytest

from aftertouch import Candidate, Catalogue, Client


def double(x):
    return None if x is None else struct.pack(">d", x).hex()


def same(decision, expected):
    slots = decision.slots
    assert [s.arm_id for s in slots] == expected["slate"]
    for field in ("conditional", "prefix", "marginal"):
        assert [double(getattr(s, field)) for s in slots] == expected[field]
    assert [struct.pack(">f", w).hex() if math.isfinite(w) else None for w in decision.log_weights] == expected["log_weights"]
    assert (decision.policy, decision.baseline, decision.design, decision.propensity.name, decision.snapshot_id) == tuple(
        expected[x] for x in ("policy", "baseline", "design", "propensity", "snapshot_id"))


def decide(client, vector):
    ask = dict(vector["ask"])
    candidates = [Candidate(**c) for c in ask.pop("candidates")]
    with client.decide(ask.pop("user_id"), candidates, **ask) as d:
        same(d, vector["expect"])
        if "drop" in vector:
            d.mask(vector["drop"], "cap")
            same(d, vector["then"])
    bare = Catalogue(Candidate(c.arm_id, c.features) for c in candidates)
    with client.decide(vector["ask"]["user_id"], bare, mask={c.arm_id: c.mask for c in candidates if c.mask}, **ask) as d:
        same(d, vector["expect"])


def test_every_vector(golden, snapshots):
    seen = set()
    for vector in golden["vectors"]:
        name = vector["snapshot"]
        with Client(snapshot_file=name and snapshots[name], baseline_share=vector.get("baseline_share", 0)) as client:
            decide(client, vector)
        seen.add(name)
    assert seen == {None, *snapshots} and len(seen) == 15
    assert sum("drop" in v for v in golden["vectors"]) > 20


def philox(key, counter):
    k, c = list(key), list(counter)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def redrawn(key, weights, k):
    """docs/PYTHON.md, From a record to its slate: {candidate: weight} -> the first k of the race."""
    hashed, race = ctypes.CDLL("libxxhash.so.0").XXH3_64bits, {}
    hashed.restype, hashed.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
    seed = hashed(key.encode(), len(key.encode()))
    for i, w in weights.items():
        u = philox((seed & 0xFFFFFFFF, seed >> 32), (i // 2, 0, 1, 0))[2 * (i % 2):]
        race[i] = -math.log(((u[0] << 32 | u[1]) >> 12) * 2.0**-52 + 2.0**-53) / w
    return sorted(race, key=race.get)[:k]


def test_a_slate_follows_from_what_is_logged(golden):
    checked = 0
    for vector in golden["vectors"]:
        ask, expect = vector["ask"], vector["expect"]
        if expect["design"] != "plackett_luce":
            continue
        logs = {i: struct.unpack(">f", bytes.fromhex(x))[0] for i, x in enumerate(expect["log_weights"]) if x is not None}
        top, conditional = max(logs.values()), [struct.unpack(">d", bytes.fromhex(x))[0] for x in expect["conditional"]]
        soft = {i: math.exp(x - top) for i, x in logs.items()}
        soft = {i: x / sum(soft.values()) for i, x in soft.items()}
        arms = [c["arm_id"] for c in ask["candidates"]]
        first, n = soft[arms.index(expect["slate"][0])], len(logs)
        epsilon = 0.0 if abs(first - 1 / n) < 1e-9 else (conditional[0] - first) / (1 / n - first)  # a record has it: design.epsilon
        weights = {i: (1 - epsilon) * x + epsilon / n for i, x in soft.items()}
        assert [arms[i] for i in redrawn(ask["key"], weights, len(expect["slate"]))] == expect["slate"]
        for arm, p in zip(expect["slate"], conditional):
            assert p == pytest.approx(weights[arms.index(arm)] / sum(weights.values()), rel=1e-6)
            del weights[arms.index(arm)]
        checked += 1
    assert checked > 40
