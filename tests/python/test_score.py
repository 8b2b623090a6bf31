"""`aftertouch score`: the same input, the same bytes; weights and marginals are those of the library, bit by bit; what is drawn from them."""
import io
import json
import random
import subprocess

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from aftertouch import Candidate, Catalogue, Client, WrongArgument

from conftest import ROOT

FROM, UNTIL = 1_777_593_600_000, 1_777_593_600_000 + 86_400_000
ARMS = [Candidate(f"arm-{i}" if i > 5 else ["walk", "run", "sleep", "breathe", "greens", "water"][i],
                  {"topic": ["activity", "rest", "food"][i % 3], "minutes": i / 4, "video": i % 2 == 0}) for i in range(12)]


def schema(name):
    return json.loads((ROOT / f"wire/schemas/{name}.avsc").read_text())


PRESCORED = fastavro.parse_schema(schema("prescored"))
HEAD = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(schema("prescored")), "CRC-64-AVRO"))


def framed(record):
    """A record of a container file as it stands in the topic."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PRESCORED, record)
    return HEAD + out.getvalue()


def requests(n=40):
    chance = random.Random("score")
    for i in range(n):
        yield {"user_id": f"user-{i}", "context": {"days": float(chance.randrange(90)), "plan": chance.choice(["free", "pro"]), "returning": chance.random() < 0.5},
               "device": chance.choice([None, "web", "app"]), "k": chance.choice([1, 2, 3]),
               "masks": {a.arm_id: "quiet hours" for a in ARMS if chance.random() < 0.1}}


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "catalogue.jsonl").write_text("".join(json.dumps({"arm_id": a.arm_id, "features": a.features}) + "\n" for a in ARMS))
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in requests()))
    return tmp_path


def score(program, where, snapshot, *more, out="out.avro", source="in.jsonl", code=0):
    command = [program, "score", "--snapshot", snapshot, "--in", str(where / source), "--out", out if out == "-" else str(where / out), "--valid-from", "2026-05-01T00:00:00Z", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done


def scored(program, where, snapshot, *more, **how):
    score(program, where, snapshot, "--candidates", str(where / "catalogue.jsonl"), *more, **how)
    with open(where / "out.avro", "rb") as f:
        return list(fastavro.reader(f))


@pytest.mark.parametrize("time", ["2026-13-45T99:00:00Z", "2026-02-30T00:00:00Z", "yesterday", "-1"])
def test_a_time_that_is_none(program, lines, snapshots, time):
    command = [program, "score", "--snapshot", snapshots["softmax"], "--in", lines / "in.jsonl", "--out", lines / "out.avro",
               "--candidates", lines / "catalogue.jsonl", f"--valid-from={time}"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and time in done.stderr, (done.returncode, done.stderr)


def test_equal_input_equal_bytes(program, lines, snapshots):
    made = []
    for name in ("a.avro", "b.avro", "c.jsonl", "d.jsonl"):
        score(program, lines, snapshots["softmax"], "--candidates", str(lines / "catalogue.jsonl"), out=name)
        made.append((lines / name).read_bytes())
    assert made[0] == made[1] and made[2] == made[3] and len(made[2].splitlines()) == 40
    with open(lines / "avro.in", "wb") as f:
        rows = [dict(r, candidates=[]) for r in requests()]
        fastavro.writer(f, fastavro.parse_schema(schema("score_request")), rows)
    score(program, lines, snapshots["softmax"], "--candidates", str(lines / "catalogue.jsonl"), out="e.avro", source="avro.in")
    assert (lines / "e.avro").read_bytes() == made[0]
    own = [dict(r, candidates=[{"arm_id": a.arm_id, "features": a.features} for a in ARMS]) for r in requests()]
    (lines / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in own))
    score(program, lines, snapshots["softmax"], out="f.jsonl", source="own.jsonl")
    weights = [[json.loads(x)["candidates"] for x in text.splitlines()] for text in (made[2], (lines / "f.jsonl").read_bytes())]
    for a, b in zip(*weights):
        assert [(c["arm_id"], c["log_weight"], c["marginals"]) for c in a] == [(c["arm_id"], c["log_weight"], c["marginals"]) for c in b]


@pytest.mark.parametrize("name", ["softmax", "uniform", "first", "epsilon", "squarecb", "squarecb-elim", "regcb-elim", "regcb-opt", "bagging",
                                  "cover", "ucb", "linucb", "thompson"])
def test_weights_and_marginals_are_the_librarys(program, lines, snapshots, name):
    records = scored(program, lines, snapshots[name], "--marginals", "3")
    with Client(snapshot_file=snapshots[name], baseline_share=0, now_ms=lambda: FROM) as client:
        for q, r in zip(requests(), records):
            key = f"{q['user_id']}/{FROM}"
            live = client.decide(q["user_id"], ARMS, context=q["context"], device=q["device"], k=q["k"], mask=q["masks"], key=key)
            weights = [-float("inf") if c["log_weight"] is None else c["log_weight"] for c in r["candidates"]]
            assert weights == live.log_weights and [c["mask"] for c in r["candidates"]] == [q["masks"].get(a.arm_id) for a in ARMS]
            for l, s in enumerate(live.slots):
                assert r["candidates"][s.candidate]["marginals"][l] == s.marginal
            assert (r["snapshot"], r["round"], r["propensity_kind"], r["design"]["kind"]) == (client.info().snapshot_id, 1, live.propensity.name, live.design)
            assert r["context"] == dict(q["context"], **({"device": q["device"]} if q["device"] else {}))
            for slot in range(min(3, q["k"])):
                assert sum(c["marginals"][slot] for c in r["candidates"] if c["marginals"]) == pytest.approx(1)
            later = client.decide(q["user_id"], ARMS, k=q["k"], prescored=framed(r))
            assert later.slots == live.slots and later.snapshot_id in (live.snapshot_id, r["snapshot"]) and (later.propensity, later.design) == (live.propensity, live.design)
            assert later.decision_id == key


def test_masks_when_it_is_rendered(program, lines, snapshots):
    records = scored(program, lines, snapshots["softmax"])
    with Client(snapshot_file=snapshots["softmax"], baseline_share=0, now_ms=lambda: FROM + 5) as client, \
            Client(baseline_share=0, now_ms=lambda: FROM + 5) as without:
        for q, r in zip(requests(), records):
            cap = {**q["masks"], "run": "cap", "arm-7": "cap"}
            live = client.decide(q["user_id"], ARMS, context=q["context"], device=q["device"], k=q["k"], mask=cap, key=r["design"]["key"])
            for who in (client, without):  # the model that a client follows does not matter
                later = who.decide(q["user_id"], Catalogue(reversed(ARMS)), k=q["k"], mask={"run": "cap", "arm-7": "cap"}, prescored=framed(r))
                assert sum(w > -1e30 for w in later.log_weights) == len(ARMS) - len(cap)
                assert later.snapshot_id == r["snapshot"] and later.round == 1
            in_order = client.decide(q["user_id"], ARMS, k=q["k"], mask={"run": "cap"}, prescored=framed(r))
            in_order.mask(["arm-7"], "cap")
            assert in_order.slots == live.slots


def test_what_a_prescored_decision_is(program, lines, snapshots):
    r = next(x for x in scored(program, lines, snapshots["softmax"]) if not any(c["mask"] for c in x["candidates"]))
    user, moment = r["user_id"], [FROM]
    with Client(baseline_share=0, now_ms=lambda: moment[0]) as client:
        once, again = (client.decide(user, ARMS, prescored=framed(r)) for _ in range(2))
        assert once.slots == again.slots and once.decision_id == again.decision_id == f"{user}/{FROM}"  # one unit
        epochs = [client.decide(user, ARMS, epoch=i, prescored=framed(r)) for i in range(1, 30)]
        assert epochs[0].decision_id == f"{user}/{FROM}#1" and len({tuple(e.slots) for e in epochs}) > 1
        own = client.decide(user, ARMS, decision_id="mine", prescored=framed(r))
        assert own.decision_id == "mine" and own.slots == once.slots
        new = client.decide(user, [*ARMS, Candidate("new")], k=8, prescored=framed(r))
        assert new.log_weights[-1] == -float("inf")
        for wrong, words in ((dict(context={"days": 1}), "leave context"), (dict(device="web"), "leave context"), (dict(user_id="other"), "of user"),
                             (dict(prescored=b"rubbish bytes"), "no value of the prescored topic"), (dict(prescored=framed(r)[:-3]), "Prescored"),
                             (dict(candidates=[Candidate("new")]), "eligible")):
            with pytest.raises(Exception, match=words):
                client.decide(**{"user_id": user, "candidates": ARMS, "prescored": framed(r), **wrong})
        moment[0] = UNTIL
        with pytest.raises(WrongArgument, match="valid from .* score again"):
            client.decide(user, ARMS, prescored=framed(r))
    with Client(baseline_share=1, now_ms=lambda: FROM) as client:
        d = client.decide(user, ARMS, k=1, prescored=framed(r))
        assert (d.design, d.policy, d.snapshot_id) == ("uniform", "baseline", None) and d.slots[0].conditional == pytest.approx(1 / len(ARMS))


def test_impressions_can_be_scored_again(program, lines, snapshots):
    rows = [{"decision_id": "d", "user_id": "u", "timestamp": 5, "policy": "p", "propensity_kind": "EXACT", "context": {"days": 3.0},
             "candidates": [{"arm_id": a.arm_id, "features": a.features, "log_weight": 0.5, "mask": None} for a in ARMS], "slate": []}]
    with open(lines / "impressions.avro", "wb") as f:
        fastavro.writer(f, fastavro.parse_schema(schema("impression")), rows)
    score(program, lines, snapshots["softmax"], source="impressions.avro")
    with open(lines / "out.avro", "rb") as f:
        r, = fastavro.reader(f)
    assert r["user_id"] == "u" and r["design"]["k"] == 3 and r["candidates"][3]["features"] == ARMS[3].features


@pytest.mark.parametrize("line, words", [
    ('{"user_id": "u", "kontext": {}}', 'line 2: there is no field "kontext"'), ('{"user_id": 5}', "line 2: user_id is no string"), ("{", "line 2:"),
    ("[]", "line 2: no JSON object"), ('{"user_id": "u", "k": 9}', "line 2: k is no whole number"), ('{"context": {}}', "line 2: user_id is missing"),
    ('{"user_id": "u", "context": {"a": [1]}}', "line 2: feature a is no number"), ('{"user_id": "u", "candidates": ["a", "a"]}', "user u: arm a is a candidate twice"),
    ('{"user_id": "u", "device": "web", "context": {"device": "app"}}', "user u: device stands in the request and in its context")])
def test_wrong_lines(program, lines, snapshots, line, words):
    (lines / "wrong.jsonl").write_text('{"user_id": "first"}\n' + line + "\n")
    done = score(program, lines, snapshots["softmax"], "--candidates", str(lines / "catalogue.jsonl"), source="wrong.jsonl", code=1)
    assert words in done.stderr and not (lines / "out.avro").exists()


def test_what_is_refused(program, lines, snapshots):
    catalogue = ("--candidates", str(lines / "catalogue.jsonl"))
    assert "weighs topics" in score(program, lines, snapshots["diverse"], *catalogue, code=1).stderr
    assert "no --candidates" in score(program, lines, snapshots["softmax"], code=1).stderr
    assert "--valid-for" in score(program, lines, snapshots["softmax"], "--valid-for", "long", code=2).stderr
    assert "--marginals" in score(program, lines, snapshots["softmax"], "--marginals", "4", code=2).stderr
    score(program, lines, str(lines / "in.jsonl"), code=1)
    assert subprocess.run([program, "score"], check=False, capture_output=True).returncode == 2


def test_who_has_no_candidate_is_counted(program, lines, snapshots):
    (lines / "none.jsonl").write_text(json.dumps({"user_id": "u", "masks": {a.arm_id: "x" for a in ARMS}}) + '\n{"user_id": "v"}\n')
    done = score(program, lines, snapshots["softmax"], "--candidates", str(lines / "catalogue.jsonl"), "--json", source="none.jsonl", out="-")
    assert json.loads(done.stderr)["users"] == 2 and json.loads(done.stderr)["without"] == 1
    assert [json.loads(x)["user_id"] for x in done.stdout.splitlines()] == ["v"]
