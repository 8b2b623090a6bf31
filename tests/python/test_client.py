"""The client from Python without a broker: what it decides, what it refuses and with which words, who frees what, threads."""
import collections
import gc
import importlib.metadata
import os
import shutil
import subprocess
import sys
import threading

import pytest

import aftertouch
from aftertouch import Candidate, Catalogue, Client, ConfigurationError, Propensity, SnapshotError, WrongArgument, _native
from conftest import ROOT

ARMS = [Candidate(f"arm-{i}", {"topic": "ab"[i % 2], "minutes": float(i), "video": i % 3 == 0}) for i in range(6)]


def test_uniform_without_a_snapshot():
    with Client(seed=1, now_ms=lambda: 1234, baseline_share=0) as client:
        d = client.decide("user", ARMS, context={"days": 3, "plan": "pro", "new": True}, k=2, device="web")
        assert [round(s.conditional, 12) for s in d.slots] == [round(1 / 6, 12), round(1 / 5, 12)]
        assert d.slots[1].prefix == pytest.approx(1 / 30) and d.slots[1].marginal == pytest.approx(1 / 6)
        assert (d.design, d.propensity, d.snapshot_id, d.round, d.time_ms) == ("uniform", Propensity.EXACT, None, 0, 1234)
        assert d.log_weights == [0.0] * 6 and d.user_id == "user" and len(d.decision_id) == 32
        info = client.info()
        assert (info.decisions, info.impressions, info.snapshot_id, info.snapshot_pinned) == (1, 0, "", False)
    with pytest.raises(WrongArgument, match="closed"):
        d.slots
    with pytest.raises(WrongArgument, match="closed"):
        client.decide("user", ARMS)


def test_the_same_seed_the_same_decisions():
    def run():
        with Client(seed=7, now_ms=lambda: 1) as client:
            return [(d.decision_id, tuple(d.slots)) for d in (client.decide(f"u{i}", ARMS) for i in range(20))]
    assert run() == run()


def test_the_shares_are_what_is_claimed():
    """Chi-squared of 20,000 first slots against the claimed marginals; 5 degrees of freedom, 0.1 % point 20.5. The seed is fixed."""
    with Client(seed=3, baseline_share=0) as client:
        catalogue, counts, n = Catalogue(ARMS), collections.Counter(), 20_000
        for _ in range(n):
            with client.decide("user", catalogue, k=1) as d:
                counts[d.slots[0].arm_id] += 1
    assert sum((counts[a.arm_id] - n / 6) ** 2 / (n / 6) for a in ARMS) < 20.5


def test_masks_before_and_after(snapshots):
    with Client(snapshot_file=snapshots["softmax"], baseline_share=0) as client:
        masked = {a.arm_id: "plan" for a in ARMS[2:]}
        before = client.decide("u", ARMS, key="k", mask=masked)
        after = client.decide("u", ARMS, key="k")
        after.mask(masked, "plan")
        assert before.slots == after.slots and {s.arm_id for s in after.slots} == {"arm-0", "arm-1"}
        with pytest.raises(WrongArgument, match="eligible"):
            after.mask([0, 1], "all")
        assert before.slots == after.slots  # as it was
        with pytest.raises(WrongArgument, match="no candidate"):
            after.mask(["nobody"], "x")
        with pytest.raises(WrongArgument, match="no candidate"):
            client.decide("u", ARMS, mask={99: "x"})


@pytest.mark.parametrize("arguments, words", [
    (dict(k=9), "k is 9"), (dict(k=-1), "k is -1"), (dict(context={"x": float("nan")}), "feature x is not finite"), (dict(user_id=""), "user_id"),
    (dict(candidates=[]), "0 candidates"), (dict(candidates=[ARMS[0], ARMS[0]]), "arm-0 is a candidate twice"),
    (dict(user_id="a\0b"), "NUL"), (dict(device="x" * 5000), "longer")])
def test_what_is_refused(arguments, words):
    with Client() as client:
        with pytest.raises(WrongArgument, match=words):
            client.decide(**{"user_id": "u", "candidates": ARMS, **arguments})
        with pytest.raises(WrongArgument, match="no broker"):
            client.log_outcome("u", "click")


def test_options_and_files_that_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="baseline_share"):
        Client(baseline_share=1.5)
    with pytest.raises(WrongArgument, match="32 bytes"):
        Client(public_key=b"short")
    (tmp_path / "broken").write_bytes(b"nothing of ours")
    with pytest.raises(SnapshotError):
        Client(snapshot_file=str(tmp_path / "broken"))
    with pytest.raises(ConfigurationError, match="no.such.property"):
        Client("localhost:1", properties={"no.such.property": "x"})


def test_what_a_callback_raises_comes_out():
    def broken():
        raise RuntimeError("my clock stopped")
    client = Client(now_ms=broken)
    with pytest.raises(RuntimeError, match="my clock stopped"):
        client.decide("u", ARMS)
    client.close()


def test_nothing_is_left_held():
    client = Client(seed=1)
    kept = [client.decide("u", ARMS) for _ in range(10)]
    for _ in range(1000):
        client.decide("u", ARMS)  # let go at once
    del kept[:5]
    gc.collect()
    client.close()  # with five open: the library would abort if one were still held
    client.close()
    kept[0].close()


def test_threads():
    with Client(seed=1, baseline_share=0) as client:
        catalogue, failed = Catalogue(ARMS), []

        def work(n):
            try:
                for i in range(500):
                    with client.decide(f"u{n}.{i}", catalogue, k=3) as d:
                        assert len({s.arm_id for s in d.slots}) == 3
            except BaseException as e:
                failed.append(e)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failed and client.info().decisions == 2000


def test_small_things():
    assert aftertouch.version() == importlib.metadata.version("aftertouch")
    a, b = aftertouch.user_hash(b"k" * 32, "ann@example.org"), aftertouch.user_hash(b"l" * 32, "ann@example.org")
    assert len(a) == 32 and a != b
    with pytest.raises(WrongArgument, match="16"):
        aftertouch.user_hash(b"short", "ann")
    with Client(baseline_share=0.5) as client:
        share = sum(client.is_baseline(f"user-{i}") for i in range(2000)) / 2000
        assert 0.45 < share < 0.55


def test_history():
    with Client(seed=1, history_bytes=1 << 20, baseline_share=0) as client:
        nobody = client.history("user", "arm-1", subject="task", time_ms=86_400_000)
        assert (nobody.shown_short, nobody.clicks_long, nobody.task_done, nobody.known) == (0, 0, False, False)
        with client.decide("user", ARMS, context={"plan": "pro"}) as d:  # with its features, and with the user's
            assert len(d.slots) == 3
        with pytest.raises(WrongArgument, match="user.shown.7d"):
            client.decide("user", ARMS, context={"user.shown.7d": 1.0})
        assert client.info().history_users == 0
    with Client() as client, pytest.raises(WrongArgument, match="history_bytes"):
        client.history("user")
    with pytest.raises(ConfigurationError, match="history_bytes"):
        Client(history_bytes=1000)


def test_a_catalogue_is_made_once_for_each_client(snapshots, monkeypatch):
    """And serves as a list does: own masks, those of a decision, another client; it outlives the clients, and is freed with the last holder."""
    calls = collections.Counter()
    for name in ("aft_client_catalogue_new", "aft_client_catalogue_free"):
        function = getattr(_native.library, name)
        monkeypatch.setattr(_native.library, name, lambda *a, f=function, n=name: (calls.update([n]), f(*a))[1])
    arms = [Candidate("walk", {"minutes": 3.0}), Candidate("run", {"minutes": 9.5}, mask="done"), Candidate("sleep"), Candidate("water")]
    catalogue = Catalogue(arms)
    for _ in range(2):
        with Client(snapshot_file=snapshots["softmax"], baseline_share=0) as client:
            for i in range(20):
                mask = {"walk": "cap"} if i % 2 else {}
                ours = client.decide("u", catalogue, k=2, key=str(i), mask=mask, own={"sleep": {"price": 2.0}}, context={"days": 3.0})
                listed = client.decide("u", arms, k=2, key=str(i), mask=mask, own={"sleep": {"price": 2.0}}, context={"days": 3.0})
                assert ours.slots == listed.slots and ours.log_weights == listed.log_weights
                assert {s.arm_id for s in ours.slots} <= {"sleep", "water", "walk"} - set(mask)
        with pytest.raises(WrongArgument, match="closed"):
            client.decide("u", catalogue)
    assert calls == {"aft_client_catalogue_new": 2} or calls == {"aft_client_catalogue_new": 2, "aft_client_catalogue_free": 1}
    del client, ours, listed, catalogue
    gc.collect()
    assert calls == {"aft_client_catalogue_new": 2, "aft_client_catalogue_free": 2}


def test_a_wrong_catalogue_is_refused_by_each_decision():
    with Client() as client:
        for wrong, why in (([], "0 candidates"), ([Candidate("a"), Candidate("a")], "twice")):
            catalogue = Catalogue(wrong)
            for _ in range(2):
                with pytest.raises(WrongArgument, match=why):
                    client.decide("u", catalogue)


@pytest.mark.parametrize("named", [None, "lib/mine.so", "/lib/mine.so"])
def test_the_wheel_takes_the_library_that_is_named(named, tmp_path):
    """pip builds in client/python, so a path from where it was called, as the page had it once, would not be found."""
    name = named or "build/release/lib/libaftertouch.so.0"
    library = str(tmp_path) + name if name.startswith("/") else str(tmp_path / name)
    shutil.copytree(ROOT / "client/python", tmp_path / "client/python", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    os.makedirs(os.path.dirname(library))
    with open(library, "wb") as f:
        f.write(b"a library")
    environment = {k: v for k, v in os.environ.items() if k != "AFTERTOUCH_LIBRARY"}
    if named:
        environment["AFTERTOUCH_LIBRARY"] = library if named.startswith("/") else named
    subprocess.run([sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", tmp_path / "out"], cwd=tmp_path / "client/python",
                   env=environment, check=True, capture_output=True)
    assert (tmp_path / "out/aftertouch/libaftertouch.so.0").read_bytes() == b"a library"


def test_a_broken_file_is_a_broken_snapshot_wherever_it_is_broken(snapshots, tmp_path):
    with open(snapshots["softmax"], "rb") as f:
        data = f.read()
    broken, words = str(tmp_path / "broken.avro"), set()
    for i in range(0, len(data), max(1, len(data) // 150)):
        for bad in (data[:i], data[:i] + bytes([data[i] ^ 1]) + data[i + 1:]):
            with open(broken, "wb") as f:
                f.write(bad)
            with pytest.raises(SnapshotError) as refusal:
                Client(snapshot_file=broken)
            words.add(str(refusal.value)[:12])
    assert len(words) > 1
