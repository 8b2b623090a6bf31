"""tests/golden/decisions.json through Python: the same slates, the same bits, as the C test finds (tests/unit/test_golden_decisions.c)."""
import math
import struct

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
