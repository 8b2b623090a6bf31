"""client.py - the client as Python sees it: open, decide, mask, log, look, close. The rules are aftertouch.h's; this only translates.

Any number of threads may share a Client (the library's calls run without Python's global lock); a Decision belongs to one at a time.
"""
from __future__ import annotations

import ctypes as c
import dataclasses
import enum
import threading
import weakref
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union, cast

from . import _native as native
from .errors import AftertouchError, WrongArgument

Value = Union[float, int, bool, str]
Features = Mapping[str, Value]


class Propensity(enum.Enum):
    """What the probabilities are: see docs/POLICIES.md."""

    EXACT = 0
    EXACT_GIVEN_DRAWS = 1
    ESTIMATED = 2
    UNKNOWN = 3


class Mode(enum.Enum):
    """Who decides what is shown. APPRENTICE: the first k that are eligible, in the order given, propensity 1. LOG_ONLY: the same, as the
    engine drew it itself, with its propensities where it knows them."""

    LIVE = 0
    APPRENTICE = 1
    LOG_ONLY = 2


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Something that can be shown. mask: None where it is eligible, else why it is not (it is logged)."""

    arm_id: str
    features: Features = dataclasses.field(default_factory=dict)
    subject: Optional[str] = None
    mask: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Slot:
    """An item of a slate. conditional: given what stands above (what is logged as its propensity); prefix: of the slate down to here;
    marginal: of this arm in this slot at all, None where it is not computed (deep slots)."""

    arm_id: str
    candidate: int
    conditional: float
    prefix: float
    marginal: Optional[float]


@dataclasses.dataclass(frozen=True)
class Failure:
    """A record that was taken and could not be delivered; keep it elsewhere. key and value are what would have been the record's, time_ms
    its time. refused: by the broker, for good; else it was not delivered before the client closed."""

    topic: str
    key: bytes
    value: bytes
    reason: str
    refused: bool
    time_ms: int


@dataclasses.dataclass(frozen=True)
class Info:
    """aft_client_info: the model that decides, and what was counted since open."""

    snapshot_id: str
    round: int
    snapshots_applied: int
    snapshots_refused: int
    decisions: int
    impressions: int
    outcomes: int
    undelivered: int
    waiting: int
    last_refusal: str
    snapshot_event_ms: int
    snapshot_applied_ms: int
    snapshot_bytes: int
    snapshot_deltas: int
    refused_malformed: int
    refused_forged: int
    refused_torn: int
    refused_old: int
    refused_orphan: int
    refused_foreign: int
    snapshot_pinned: bool
    history_users: int
    history_forgotten: int
    history_records: int
    history_refused: int
    history_level: bool
    spilled: int
    spill_waiting: int
    passed_over: int
    shadow_applied: int


@dataclasses.dataclass(frozen=True)
class History:
    """What a user was shown, clicked and did in the short (7 days) and the long window (30), as this client logged it, and others where
    history_topic is followed; of one arm, or of all. tasks_*: the user's, not an arm's. known: there is anything of this user at all."""

    shown_short: int
    shown_long: int
    clicks_short: int
    clicks_long: int
    tasks_short: int
    tasks_long: int
    task_done: bool
    known: bool


def _text(s: Optional[str]) -> Optional[bytes]:
    if s is None:
        return None
    data = s.encode("utf-8")
    if b"\0" in data:  # a C string would end there
        raise WrongArgument(f"{s!r} holds a NUL character")
    return data


def _features(features: Features) -> "c.Array[native.Feature]":
    out = (native.Feature * len(features))()
    for f, (name, value) in zip(out, features.items()):
        f.name = _text(name)
        if isinstance(value, bool):
            f.type, f.number = native.FLAG, float(value)
        elif isinstance(value, str):
            f.type, f.text = native.TEXT, _text(value)
        else:
            f.type, f.number = native.NUMBER, float(value)
    return out


class _Made:
    """The library's own catalogue, of one client; freed when nobody holds it any more."""

    def __init__(self, client: "Client", array: "c.Array[native.Candidate]") -> None:
        self.pointer, why = c.c_void_p(), native.Error()
        native.check(native.library.aft_client_catalogue_new(client._open(), array, len(array), self.pointer, why), why)

    def __del__(self) -> None:
        if self.pointer:
            native.library.aft_client_catalogue_free(self.pointer)


class Catalogue:
    """Candidates made ready once, for many decisions, by any threads and clients: the library copies and checks them at a client's first
    decision, and afterwards reads their features no more (aft_client_catalogue_new). Immutable; what is not eligible for a decision goes
    into decide's `mask`."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates: Tuple[Candidate, ...] = tuple(candidates)
        self._index = {x.arm_id: i for i, x in enumerate(self.candidates)}
        self._array = (native.Candidate * len(self.candidates))()
        self._keep = []
        for to, x in zip(self._array, self.candidates):
            features = _features(x.features)
            self._keep.append(features)
            to.arm_id, to.subject, to.mask = _text(x.arm_id), _text(x.subject), _text(x.mask)
            to.features, to.features_n = features, len(features)
        self._masked = any(x.mask is not None for x in self.candidates)
        self._lock, self._made = threading.Lock(), weakref.WeakKeyDictionary[Client, _Made]()

    def __len__(self) -> int:
        return len(self.candidates)

    def index(self, candidate: Union[int, str]) -> int:
        """The place of an arm, by its id or by the place itself."""
        if isinstance(candidate, int):
            return candidate
        if candidate not in self._index:
            raise WrongArgument(f"there is no candidate {candidate!r}")
        return self._index[candidate]

    def masked(self, mask: Mapping[Union[int, str], str]) -> "c.Array[native.Candidate]":
        """The array for one decision; it lives on this catalogue's memory."""
        if not mask:
            return self._array
        array = type(self._array).from_buffer_copy(self._array)
        for candidate, reason in mask.items():
            array[self._place(candidate)].mask = _text(reason)
        return array

    def _of(self, client: "Client") -> _Made:
        """As this client's library knows it: without masks."""
        with self._lock:
            if client not in self._made:
                array = type(self._array).from_buffer_copy(self._array)
                for x in array:
                    x.mask = None
                self._made[client] = _Made(client, array)
            return self._made[client]

    def _masks(self, mask: Mapping[Union[int, str], str]) -> "Optional[c.Array[native.Text]]":
        """The candidates' own masks and those of one decision, which come before them; None: all are eligible."""
        if not mask and not self._masked:
            return None
        reasons = (native.Text * len(self.candidates))(*(_text(x.mask) for x in self.candidates))
        for candidate, reason in mask.items():
            reasons[self._place(candidate)] = _text(reason)
        return reasons

    def _place(self, candidate: Union[int, str]) -> int:
        at = self.index(candidate)
        if not 0 <= at < len(self.candidates):
            raise WrongArgument(f"there is no candidate {at} (of {len(self.candidates)})")
        return at

    def _own(self, own: Mapping[Union[int, str], Features]) -> "c.Array[native.Own]":
        rows = [native.Own(self._place(candidate), f) for candidate, features in own.items() for f in _features(features)]
        return (native.Own * len(rows))(*rows)

    def _recent(self, recent: Mapping[Union[int, str], float]) -> "c.Array[c.c_float]":
        array = (c.c_float * len(self.candidates))()
        for candidate, often in recent.items():
            array[self._place(candidate)] = often
        return array


class Decision:
    """A slate and all that its record needs. Free it with `close`, a `with`, or by letting it go."""

    def __init__(self, client: "Client", pointer: c.c_void_p, catalogue: Catalogue) -> None:
        self._client, self._catalogue = client, catalogue
        self._pointer: Optional[c.c_void_p] = pointer
        client._decisions.add(self)

    def _view(self) -> native.Slate:
        if self._pointer is None:
            raise WrongArgument("the decision is closed")
        return cast(native.Slate, native.library.aft_client_decision_slate(self._pointer).contents)

    @property
    def decision_id(self) -> str:
        """The one that was given, or that the library made: outcomes name it."""
        return str(self._view().decision_id.decode())

    @property
    def user_id(self) -> str:
        """As it is logged and keyed."""
        return str(self._view().user_id.decode())

    @property
    def policy(self) -> str:
        """The name that is logged: the policy's, or the baseline's."""
        return str(self._view().policy.decode())

    @property
    def snapshot_id(self) -> Optional[str]:
        """The hex digest of the model that decided; None: there is none yet, or the user is the baseline's."""
        snapshot = self._view().snapshot_id
        return snapshot.decode() if snapshot is not None else None

    @property
    def round(self) -> int:
        """The learner's round behind the snapshot; 0: there is none yet."""
        return int(self._view().round)

    @property
    def time_ms(self) -> int:
        """When it was decided: the time that was given, or the client's clock."""
        return int(self._view().time_ms)

    @property
    def baseline(self) -> bool:
        """Whether the user is one of the randomised baseline's."""
        return bool(self._view().baseline)

    @property
    def propensity(self) -> Propensity:
        """What the probabilities are."""
        return Propensity(self._view().propensity)

    @property
    def design(self) -> str:
        """How it was drawn: "plackett_luce", "uniform", "diverse", "deterministic", "engine"."""
        return str(self._view().design.decode())

    @property
    def slots(self) -> List[Slot]:
        """The top first."""
        v = self._view()
        return [Slot(s.arm_id.decode(), s.candidate, s.conditional, s.prefix, s.marginal if s.has_marginal else None) for s in v.slots[:v.n]]

    @property
    def log_weights(self) -> List[float]:
        """One a candidate; minus infinity: not eligible. What the draw was made from, and what is logged."""
        v = self._view()
        return cast(List[float], v.log_weights[:v.candidates_n])

    def mask(self, candidates: Iterable[Union[int, str]], reason: str) -> None:
        """Drops candidates (arm ids, or places) after the draw: the slate closes up and its probabilities are exactly those of having
        decided without them. Name every candidate that your rule would drop, shown or not."""
        self._view()
        places = [self._catalogue.index(x) for x in candidates]
        if any(p < 0 for p in places):
            raise WrongArgument("a candidate's place is not negative")
        why = native.Error()
        array = (c.c_uint32 * len(places))(*places)
        code = native.library.aft_client_decision_mask(self._client._open(), self._pointer, array, len(places), _text(reason), why)
        native.check(code, why)

    def close(self) -> None:
        """Gives it back to the library. More than once is allowed."""
        with self._client._lock:
            pointer, self._pointer = self._pointer, None
            if pointer is not None:
                native.library.aft_client_decision_free(self._client._pointer, pointer)

    def __enter__(self) -> "Decision":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()


class Client:
    """libaftertouch's client. The options are those of aft_client_options, with its defaults; use it in a `with`.

    bootstrap_servers  None: no broker; nothing is followed, nothing can be logged
    snapshots_topic    None: follow none; model: its snapshots alone, None: the topic holds one model's
    impressions_topic, outcomes_topic        where log_impression and log_outcome write
    wait_ms            at open, wait at most so long for a first snapshot; queue_ms: how long log_* may block while the queue is full
    policy, baseline   the names that are logged for the model's decisions and for the randomised baseline's
    baseline_share     of users, 0 to 1, decided uniformly at random; baseline_salt: another one draws the sides anew
    snapshot_file      the last good snapshot: read at open, replaced by each better one. One that `aftertouch snapshot export` or
                       `learn` wrote will do
    properties         librdkafka's own
    public_key         32 bytes, Ed25519: take signed snapshots alone
    seed               of decision and outcome ids, for tests; None: the system's entropy
    history_bytes      for a table of what users were shown and did (see history), 1 MB or more; decisions then get it as features, and log
                       them as they were used. 0: none is kept
    history_file       keeps the table over a restart: written by close, read at open
    history_topic      where the service keeps the history of users (topics.history): what other engines logged counts too; info().history_level
                       once it was read to its end
    history_short_days, history_long_days    its windows; history_click, history_task: kinds of outcomes that count as clicks, as tasks done
    history_features   decisions get it as features; False: it is kept for caps alone
    spill_file         outcomes and impressions that the queue has no room for, or that no broker takes, wait there, over a restart too
    spill_bytes        how large that may become
    mode               who decides; engine_policy: the name that is logged where it is not the model
    shadow_model       another model of the topic that decides nothing, whose probabilities each impression carries; `model` is then needed
    impressions_share  the share of decisions whose impressions are logged, 0.001 to 1
    impression_schema, outcome_schema        ids in a schema registry (`aftertouch registry push`); 0: values need no registry
    now_ms             the clock; None: the machine's
    on_failure         called from log_*, poll, flush and close with what could not be delivered. What it raises comes out of that call

    Without any snapshot every decision is uniform over the eligible, with true probabilities.
    """

    def __init__(self, bootstrap_servers: Optional[str] = None, *, snapshots_topic: Optional[str] = "aftertouch.snapshots",
                 impressions_topic: str = "impressions", outcomes_topic: str = "outcomes", model: Optional[str] = None,
                 properties: Optional[Mapping[str, str]] = None, snapshot_file: Optional[str] = None, public_key: Optional[bytes] = None,
                 wait_ms: int = 0, queue_ms: int = 5000, policy: str = "personalised", baseline: str = "baseline",
                 baseline_share: float = 0.1, baseline_salt: str = "aftertouch", seed: Optional[int] = None, history_bytes: int = 0,
                 history_file: Optional[str] = None, history_topic: Optional[str] = None, history_short_days: int = 7, history_long_days: int = 30,
                 history_click: str = "click", history_task: str = "key_task_completed", history_features: bool = True,
                 spill_file: Optional[str] = None, spill_bytes: int = 64 << 20, mode: Mode = Mode.LIVE, engine_policy: str = "engine",
                 shadow_model: Optional[str] = None, impressions_share: float = 1.0, impression_schema: int = 0, outcome_schema: int = 0,
                 now_ms: Optional[Callable[[], int]] = None, on_failure: Optional[Callable[[Failure], None]] = None) -> None:
        self._pointer: Optional[c.c_void_p] = None
        self._lock = threading.RLock()
        self._decisions: "weakref.WeakSet[Decision]" = weakref.WeakSet()
        self._raised: List[BaseException] = []
        if public_key is not None and len(public_key) != 32:
            raise WrongArgument(f"a public key has 32 bytes, not {len(public_key)}")
        pairs = [native.Property(_text(k), _text(v)) for k, v in (properties or {}).items()]
        o = native.Options(size=c.sizeof(native.Options), bootstrap_servers=_text(bootstrap_servers), snapshots_topic=_text(snapshots_topic),
                           impressions_topic=_text(impressions_topic), outcomes_topic=_text(outcomes_topic), model=_text(model),
                           properties=(native.Property * len(pairs))(*pairs), properties_n=len(pairs), snapshot_file=_text(snapshot_file),
                           public_key=public_key, wait_ms=wait_ms, queue_ms=queue_ms, policy=_text(policy), baseline=_text(baseline),
                           baseline_share=baseline_share, baseline_salt=_text(baseline_salt), mode=mode.value, engine_policy=_text(engine_policy),
                           spill_file=_text(spill_file), spill_bytes=spill_bytes, spill_impressions=True, impression_schema=impression_schema,
                           outcome_schema=outcome_schema, history_bytes=history_bytes, history_short_days=history_short_days,
                           history_long_days=history_long_days, history_click=_text(history_click), history_task=_text(history_task),
                           history_features=history_features, history_file=_text(history_file), shadow_model=_text(shadow_model),
                           impressions_share=impressions_share, history_topic=_text(history_topic))
        if seed is not None:
            o.seed = c.pointer(c.c_uint64(seed))
        if now_ms is not None:
            o.now_ms = native.NowFunction(lambda _: self._guarded(now_ms, 0))
        if on_failure is not None:
            o.on_failure = native.FailureFunction(lambda _, what: self._guarded(lambda: on_failure(_failure(what.contents)), None))
        self._options = o  # the callbacks live as long as the client
        pointer, why = c.c_void_p(), native.Error()
        self._done(native.library.aft_client_open(o, pointer, why), why)
        self._pointer = pointer

    def _guarded(self, function: Callable[[], object], otherwise: object) -> object:
        try:
            return function()
        except BaseException as e:  # cannot pass through C: raised by the call that we are in
            self._raised.append(e)
            return otherwise

    def _done(self, code: int, why: native.Error) -> None:
        if self._raised:
            raise self._raised.pop(0)
        native.check(code, why)

    def _open(self) -> c.c_void_p:
        if self._pointer is None:
            raise WrongArgument("the client is closed")
        return self._pointer

    def decide(self, user_id: str, candidates: Union[Catalogue, Sequence[Candidate]], *, context: Optional[Features] = None, k: int = 3,
               device: Optional[str] = None, session_id: Optional[str] = None, decision_id: Optional[str] = None, key: Optional[str] = None,
               time_ms: int = 0, deferred: bool = False, mask: Optional[Mapping[Union[int, str], str]] = None, epoch: int = 0,
               prescored: Optional[bytes] = None, own: Optional[Mapping[Union[int, str], Features]] = None,
               recent: Optional[Mapping[Union[int, str], float]] = None, propensities: Optional[Sequence[float]] = None,
               propensities_kind: Propensity = Propensity.EXACT) -> Decision:
        """Draws a slate of k among the candidates that are eligible. mask: {arm id or place: reason} for this decision alone; own: {arm id
        or place: features} likewise (a price of today), logged behind the candidate's others; recent: {arm id or place: how often it was
        shown to this user lately}, for policy.repetition. propensities: in Mode.LOG_ONLY alone, those by which the engine drew the first k
        that are eligible, each given those above, and what they are worth.
        user_id is logged and keyed as it is: use user_hash where it would be a person's identifier. epoch: of the key, to be counted up
        when a cap that this key's own exposures reached changes the mask. prescored: this user's value of the prescored topic
        (`aftertouch score`); the context is then the record's, and so is the key where none is given."""
        listed = not isinstance(candidates, Catalogue)  # given each time: the library copies them
        catalogue = candidates if isinstance(candidates, Catalogue) else Catalogue(candidates)
        if not 0 <= k < 2**32:
            raise WrongArgument(f"k is {k}; give 1 to 8")
        features = _features(context or {})
        array, n = (catalogue.masked(mask or {}), len(catalogue)) if listed else (None, 0)
        made, masks = (None, None) if listed else (catalogue._of(self), catalogue._masks(mask or {}))
        mine = catalogue._own(own or {})
        shown = catalogue._recent(recent) if recent is not None else None
        if propensities is not None and len(propensities) < k:
            raise WrongArgument(f"{len(propensities)} propensities; give one for each of {k} slots")
        r = native.Request(size=c.sizeof(native.Request), user_id=_text(user_id), session_id=_text(session_id), decision_id=_text(decision_id),
                           key=_text(key), device=_text(device), time_ms=time_ms, deferred=deferred, k=k, context=features,
                           context_n=len(features), candidates=array, candidates_n=n, catalogue=made.pointer if made else None,
                           masks=masks, recent=shown, own=mine, own_n=len(mine),
                           propensities=(c.c_double * len(propensities))(*propensities) if propensities is not None else None,
                           propensities_kind=propensities_kind.value, epoch=epoch, prescored=prescored, prescored_bytes=len(prescored or b""))
        pointer, why = c.c_void_p(), native.Error()
        code = native.library.aft_client_decide(self._open(), r, pointer, why)
        decision = Decision(self, pointer, catalogue) if code == 0 else None  # owned before anything is raised
        self._done(code, why)
        assert decision is not None
        return decision

    def log_impression(self, decision: Decision) -> None:
        """Logs the slate as it stands now; once a decision. TryAgain: the queue stayed full, it was not taken."""
        decision._view()
        why = native.Error()
        self._done(native.library.aft_client_log_impression(self._open(), decision._pointer, why), why)

    def log_outcome(self, user_id: str, kind: str, *, value: float = 1.0, outcome_id: Optional[str] = None, time_ms: int = 0,
                    decision_id: Optional[str] = None, arm_id: Optional[str] = None, subject: Optional[str] = None,
                    session_id: Optional[str] = None, retracts: Optional[str] = None) -> None:
        """Logs what the user did. outcome_id makes a retry harmless: a repeat changes nothing. decision_id: the decision that it belongs
        to; None where the service must find out whose credit it is."""
        o = native.Outcome(c.sizeof(native.Outcome), _text(outcome_id), _text(user_id), time_ms, _text(kind), value, _text(decision_id),
                           _text(arm_id), _text(subject), _text(session_id), _text(retracts))
        why = native.Error()
        self._done(native.library.aft_client_log_outcome(self._open(), o, why), why)

    def poll(self, timeout_ms: int = 0) -> None:
        """Serves delivery reports; call it now and then."""
        native.library.aft_client_poll(self._open(), timeout_ms)
        self._done(0, native.Error())

    def flush(self, timeout_ms: int = 10000) -> None:
        """Waits until all that was taken is delivered; TryAgain after timeout_ms."""
        why = native.Error()
        self._done(native.library.aft_client_flush(self._open(), timeout_ms, why), why)

    def info(self) -> Info:
        """What decides now, and counts."""
        x = native.Info(size=c.sizeof(native.Info))
        native.library.aft_client_info(self._open(), x)
        fields: Dict[str, object] = {f.name: getattr(x, f.name) for f in dataclasses.fields(Info)}
        return Info(**{k: v.decode() if isinstance(v, bytes) else v for k, v in fields.items()})  # type: ignore[arg-type]

    def history(self, user_id: str, arm_id: Optional[str] = None, *, subject: Optional[str] = None, time_ms: int = 0) -> History:
        """What this user met lately: of an arm, or of all. For caps: ask, then mask. subject: whose task is asked about."""
        x, why = native.History(size=c.sizeof(native.History)), native.Error()
        self._done(native.library.aft_client_history(self._open(), _text(user_id), _text(arm_id), _text(subject), time_ms, x, why), why)
        return History(*(getattr(x, f.name) for f in dataclasses.fields(History)))

    def is_baseline(self, user_id: str) -> bool:
        """Whether this user's decisions are the randomised baseline's."""
        return bool(native.library.aft_client_is_baseline(self._open(), _text(user_id)))

    def close(self, timeout_ms: int = 10000) -> None:
        """Flushes for at most timeout_ms and ends; open decisions are closed. TryAgain: some records could not be delivered (they went
        to on_failure). More than once is allowed."""
        with self._lock:
            for decision in list(self._decisions):
                decision.close()
            pointer, self._pointer = self._pointer, None
            if pointer is None:
                return
            why = native.Error()
            self._done(native.library.aft_client_close(pointer, timeout_ms, why), why)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.close()
        except AftertouchError:
            if kind is None:  # else the first error is the one to tell
                raise

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close(0)


def _failure(x: native.Failure) -> Failure:
    return Failure((x.topic or b"").decode(), c.string_at(x.key, x.key_bytes) if x.key else b"",
                   c.string_at(x.value, x.value_bytes) if x.value else b"", (x.reason or b"").decode("utf-8", "replace"), x.refused, x.time_ms)


def user_hash(key: bytes, identifier: str) -> str:
    """32 hex digits: a person's identifier under a secret key of 16 to 64 bytes, so that no log holds the identifier."""
    out, why = (c.c_char * 33)(), native.Error()
    native.check(native.library.aft_client_user_hash(key, len(key), _text(identifier), out, why), why)
    return out.value.decode()


def version() -> str:
    """The library's, and this package's."""
    return str(native.library.aft_client_version().decode())
