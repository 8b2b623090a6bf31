"""What is claimed of a slate, against all slates that could have been: every law by plain enumeration, of the weights that are logged.

Nothing here is the library's: docs/POLICIES.md, a product for each slate, sums over them."""
import collections
import math

import pytest

from aftertouch import Candidate, Catalogue, Client

EPSILON = 0.05
ARMS = {"walk": "activity", "run": "activity", "sleep": "rest", "breathe": "rest", "greens": "food", "water": "food"}
IDS, TOPICS = list(ARMS), list(ARMS.values())
CANDIDATES = Catalogue([Candidate(a, {"topic": t, "minutes": 3.0}) for a, t in ARMS.items()])


def enumerate_slates(eligible, k, conditionals):
    """{slate: its conditional probabilities}; conditionals(above, left) -> {candidate: probability}."""
    slates = {(): ()}
    for _ in range(min(k, len(eligible))):
        slates = {s + (i,): p + (q,) for s, p in slates.items() for i, q in conditionals(s, [j for j in eligible if j not in s]).items()}
    return slates


def softmax_of(log_weights):
    top = max(log_weights)
    weights = {i: math.exp(x - top) for i, x in enumerate(log_weights) if x > -math.inf}
    return {i: w / sum(weights.values()) for i, w in weights.items()}


def plain(log_weights, epsilon):
    w = softmax_of(log_weights)
    w = {i: (1 - epsilon) * x + epsilon / len(w) for i, x in w.items()}
    return w, lambda above, left: {i: w[i] / sum(w[j] for j in left) for i in left}


def diverse(log_weights, epsilon, repeat=0.2, wanted=("food",), uncovered=0.1):
    w = softmax_of(log_weights)

    def conditionals(above, left):
        shown = [TOPICS[j] for j in above]
        missing = [t for t in wanted if t not in shown and any(TOPICS[j] == t for j in left)]
        b = {i: w[i] * repeat ** shown.count(TOPICS[i]) * (uncovered if missing and TOPICS[i] not in missing else 1) for i in left}
        return {i: (1 - epsilon) * b[i] / sum(b.values()) + epsilon / len(left) for i in left}
    return w, conditionals


def check(d, k):
    law = diverse if d.design == "diverse" else plain
    w, conditionals = law(d.log_weights, 0 if d.design == "uniform" else EPSILON)
    slates, marginal = enumerate_slates(list(w), k, conditionals), collections.Counter()
    for slate, p in slates.items():
        for slot, i in enumerate(slate):
            marginal[slot, i] += math.prod(p)
    assert sum(map(math.prod, slates.values())) == pytest.approx(1, abs=1e-12)
    shown = tuple(s.candidate for s in d.slots)
    for slot, s in enumerate(d.slots):
        assert s.conditional == pytest.approx(slates[shown][slot], rel=1e-12)
        assert s.prefix == pytest.approx(math.prod(slates[shown][:slot + 1]), rel=1e-12)
        assert (s.marginal is None) == (slot > 2 and d.design != "diverse")
        if s.marginal is not None:
            assert s.marginal == pytest.approx(marginal[slot, s.candidate], rel=1e-12)


@pytest.mark.parametrize("name", ["softmax", "diverse", "thompson", "squarecb", "bagging", "uniform"])
def test_claims_are_sums_over_all_slates(snapshots, name):
    with Client(snapshot_file=snapshots[name], baseline_share=0, seed=4) as client:
        for i in range(24):
            k = 1 + i % 4
            with client.decide("u", CANDIDATES, k=k, context={"days": float(3 * i), "plan": ["free", "pro"][i % 2]}, recent={"walk": i % 3}) as d:
                check(d, k)
                d.mask([IDS[i % 6], "sleep"], "dropped")
                check(d, k)


def test_least_exposure(snapshots):
    """policy.min.exposure = 0.02 stands in the snapshot `diverse`: in the top slot of one that is to be covered, nobody has less."""
    with Client(snapshot_file=snapshots["diverse"], baseline_share=0, seed=4) as client:
        for i in range(20):
            with client.decide("u", CANDIDATES, k=1, context={"days": float(i)}) as d:
                w = plain(d.log_weights, EPSILON)[0]
                assert min(w.values()) >= 0.02 * (1 - 1e-6)
