"""Every option and argument of the library can be given from Python, and what the pages say of it is so."""
import ast
import inspect
import re

import pytest

import aftertouch
from aftertouch import Candidate, Client, ConfigurationError, Mode, Propensity, WrongArgument, _native
from conftest import ROOT

ARMS = [Candidate(f"arm-{i}") for i in range(4)]
# What Python says in its own way: sizes, counts, contexts of callbacks; and what is always so (a catalogue is Catalogue, masks are `mask`).
OTHERWISE = {"size", "properties_n", "clock", "on_failure_context", "spill_impressions", "user_id", "context_n", "candidates_n", "catalogue", "masks",
             "own_n", "prescored_bytes"}


def test_nothing_of_the_header_is_missing():
    options, request = inspect.signature(Client).parameters, inspect.signature(Client.decide).parameters
    assert {f for f, _ in _native.Options._fields_} - OTHERWISE <= set(options)
    assert {f for f, _ in _native.Request._fields_} - OTHERWISE <= set(request)
    assert {f for f, _ in _native.Info._fields_} - {"size"} == set(aftertouch.Info.__dataclass_fields__)
    assert {f for f, _ in _native.Failure._fields_} - {"key_bytes", "value_bytes"} == set(aftertouch.Failure.__dataclass_fields__)


def test_the_defaults_are_the_headers():
    text = re.search(r"#define AFT_CLIENT_OPTIONS\s+\\\n(.*?)\n    }\n", (ROOT / "client/aftertouch.h").read_text(), re.S).group(1)
    values = [v.strip() for v in re.sub(r"[\\{}]", "", text).split(",")]
    names = [f for f, _ in _native.Options._fields_]
    assert len(values) == len(names)
    ours = inspect.signature(Client).parameters
    for name, value in zip(names, values):
        if name in OTHERWISE:
            continue
        given = ours[name].default
        want = {"AFT_CLIENT_LIVE": Mode.LIVE, "true": True, "false": False, "64 << 20": 64 << 20}.get(value, None)
        want = want if want is not None else ast.literal_eval(value)
        assert given == want or (given is None and want == 0), name


@pytest.mark.parametrize("page", ["docs/PYTHON.md", "docs/ENGINE.md", "client/python/README.md"])
def test_the_pages_use_what_there_is(page):
    functions = {"Client": Client, "decide": Client.decide, "log_outcome": Client.log_outcome, "Candidate": Candidate}
    seen = 0
    for call, arguments in re.findall(r"\b(Client|decide|log_outcome|Candidate)\(([^()]*(?:\([^()]*\)[^()]*)*)\)", (ROOT / page).read_text()):
        for keyword in re.findall(r"(?<![\w\"])(\w+)=", arguments):
            assert keyword in inspect.signature(functions[call]).parameters, (page, call, keyword)
            seen += 1
    assert seen or page == "docs/ENGINE.md"


def test_everything_public_says_what_it_is():
    """Docstrings: of the package's classes, their methods and properties; of Client's options each by its name."""
    for name in aftertouch.__all__:
        thing = getattr(aftertouch, name)
        members = vars(thing).items() if inspect.isclass(thing) and thing.__module__.startswith("aftertouch") else []
        for member, x in [(None, thing), *members]:
            if member is None or (not member.startswith("_") and (inspect.isfunction(x) or isinstance(x, property))):
                assert inspect.getdoc(x), (name, member)
    said = set(re.findall(r"\w+", inspect.getdoc(Client) or ""))
    assert set(inspect.signature(Client).parameters) <= said


def test_modes():
    with Client(mode=Mode.APPRENTICE, engine_policy="rules") as client:
        d = client.decide("u", ARMS, k=2, mask={"arm-0": "done"})
        assert [s.arm_id for s in d.slots] == ["arm-1", "arm-2"] and [s.conditional for s in d.slots] == [1, 1]
        assert (d.design, d.policy, d.propensity) == ("deterministic", "rules", Propensity.EXACT)
    with Client(mode=Mode.LOG_ONLY) as client:
        d = client.decide("u", ARMS, k=2, propensities=[0.5, 0.25], propensities_kind=Propensity.ESTIMATED)
        assert [(s.conditional, s.prefix) for s in d.slots] == [(0.5, 0.5), (0.25, 0.125)]
        assert (d.design, d.propensity) == ("engine", Propensity.ESTIMATED)
        assert client.decide("u", ARMS).propensity == Propensity.UNKNOWN
        with pytest.raises(WrongArgument, match="one for each of 3 slots"):
            client.decide("u", ARMS, k=3, propensities=[0.5])


def test_a_requests_own():
    with Client() as client:
        client.decide("u", ARMS, own={"arm-1": {"price": 3.5, "sale": True}, 2: {"place": "top"}}, recent={"arm-0": 2, 3: 1})
        with pytest.raises(WrongArgument, match="feature x is given twice"):
            client.decide("u", [Candidate("a", {"x": 1})], own={"a": {"x": 2}})
        with pytest.raises(WrongArgument, match="no candidate"):
            client.decide("u", ARMS, recent={9: 1})
        for _ in range(200):  # what the request points to lives as long as the call
            client.decide("u", ARMS, own={i: {f"feature-{j}": f"value {i} {j}" * 20 for j in range(8)} for i in range(4)}).close()


def test_options_reach_the_library():
    for wrong, words in [(dict(shadow_model="next"), "needs options.model"), (dict(impressions_share=2.0), "impressions_share"),
                         (dict(history_bytes=1 << 20, history_short_days=30), "history_short_days"),
                         (dict(history_topic="aftertouch.history"), "needs a table")]:
        with pytest.raises(ConfigurationError, match=words):
            Client(**wrong)
    with Client(history_bytes=1 << 20, history_features=False) as client:
        client.decide("u", ARMS, context={"user.shown.7d": 1.0})  # nobody else's name
