"""_native.py - aftertouch.h in ctypes: its structs field by field, its functions with their types, an error as an exception.

tests/python/test_layout.py compares every offset with the header's, by a C compiler.
"""
from __future__ import annotations

import ctypes as c
import pathlib

from .errors import BY_CODE, AftertouchError

Text = c.c_char_p


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 400)]


class Property(c.Structure):
    _fields_ = [("name", Text), ("value", Text)]


class Failure(c.Structure):
    _fields_ = [("topic", Text), ("key", c.c_void_p), ("value", c.c_void_p), ("key_bytes", c.c_size_t), ("value_bytes", c.c_size_t), ("reason", Text),
                ("refused", c.c_bool), ("time_ms", c.c_int64)]


NowFunction = c.CFUNCTYPE(c.c_int64, c.c_void_p)
FailureFunction = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Failure))


class Options(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("bootstrap_servers", Text), ("snapshots_topic", Text), ("impressions_topic", Text), ("outcomes_topic", Text),
        ("model", Text), ("properties", c.POINTER(Property)), ("properties_n", c.c_uint32), ("snapshot_file", Text), ("public_key", c.c_char_p),
        ("wait_ms", c.c_int32), ("queue_ms", c.c_int32), ("policy", Text), ("baseline", Text), ("baseline_share", c.c_double),
        ("baseline_salt", Text), ("seed", c.POINTER(c.c_uint64)), ("now_ms", NowFunction), ("clock", c.c_void_p),
        ("on_failure", FailureFunction), ("on_failure_context", c.c_void_p), ("mode", c.c_int), ("engine_policy", Text),
        ("spill_file", Text), ("spill_bytes", c.c_uint64), ("spill_impressions", c.c_bool), ("impression_schema", c.c_uint32),
        ("outcome_schema", c.c_uint32), ("history_bytes", c.c_uint64), ("history_short_days", c.c_uint32), ("history_long_days", c.c_uint32),
        ("history_click", Text), ("history_task", Text), ("history_features", c.c_bool), ("history_file", Text),
        ("shadow_model", Text), ("impressions_share", c.c_double), ("history_topic", Text),
    ]


NUMBER, TEXT, FLAG = 0, 1, 2


class Feature(c.Structure):
    _fields_ = [("name", Text), ("type", c.c_int), ("number", c.c_double), ("text", Text)]


class Candidate(c.Structure):
    _fields_ = [("arm_id", Text), ("subject", Text), ("mask", Text), ("features", c.POINTER(Feature)), ("features_n", c.c_uint32)]


class Own(c.Structure):
    _fields_ = [("candidate", c.c_uint32), ("feature", Feature)]


class Request(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("user_id", Text), ("session_id", Text), ("decision_id", Text), ("key", Text), ("device", Text),
        ("time_ms", c.c_int64), ("deferred", c.c_bool), ("k", c.c_uint32), ("context", c.POINTER(Feature)), ("context_n", c.c_uint32),
        ("candidates", c.POINTER(Candidate)), ("candidates_n", c.c_uint32), ("catalogue", c.c_void_p), ("masks", c.POINTER(Text)),
        ("recent", c.POINTER(c.c_float)), ("own", c.POINTER(Own)), ("own_n", c.c_uint32), ("propensities", c.POINTER(c.c_double)),
        ("propensities_kind", c.c_int), ("epoch", c.c_uint32), ("prescored", c.c_char_p), ("prescored_bytes", c.c_size_t),
    ]


class Slot(c.Structure):
    _fields_ = [
        ("arm_id", Text), ("candidate", c.c_uint32), ("conditional", c.c_double), ("prefix", c.c_double), ("marginal", c.c_double),
        ("has_marginal", c.c_bool),
    ]


class Slate(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("decision_id", Text), ("user_id", Text), ("policy", Text), ("snapshot_id", Text), ("round", c.c_int64),
        ("time_ms", c.c_int64), ("baseline", c.c_bool), ("propensity", c.c_int), ("design", Text), ("n", c.c_uint32), ("slots", c.POINTER(Slot)),
        ("log_weights", c.POINTER(c.c_float)), ("candidates_n", c.c_uint32),
    ]


class Outcome(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("outcome_id", Text), ("user_id", Text), ("time_ms", c.c_int64), ("kind", Text), ("value", c.c_double),
        ("decision_id", Text), ("arm_id", Text), ("subject", Text), ("session_id", Text), ("retracts", Text),
    ]


class Info(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("snapshot_id", c.c_char * 65), ("round", c.c_int64), ("snapshots_applied", c.c_uint64),
        ("snapshots_refused", c.c_uint64), ("decisions", c.c_uint64), ("impressions", c.c_uint64), ("outcomes", c.c_uint64),
        ("undelivered", c.c_uint64), ("waiting", c.c_uint64), ("last_refusal", c.c_char * 400), ("snapshot_event_ms", c.c_int64),
        ("snapshot_applied_ms", c.c_int64), ("snapshot_bytes", c.c_uint64), ("snapshot_deltas", c.c_uint64), ("refused_malformed", c.c_uint64),
        ("refused_forged", c.c_uint64), ("refused_torn", c.c_uint64), ("refused_old", c.c_uint64), ("refused_orphan", c.c_uint64),
        ("refused_foreign", c.c_uint64), ("snapshot_pinned", c.c_bool), ("spilled", c.c_uint64), ("spill_waiting", c.c_uint64),
        ("history_users", c.c_uint64), ("history_forgotten", c.c_uint64),
        ("passed_over", c.c_uint64), ("shadow_applied", c.c_uint64),
        ("history_records", c.c_uint64), ("history_refused", c.c_uint64), ("history_level", c.c_bool),
    ]


class History(c.Structure):
    _fields_ = [
        ("size", c.c_size_t), ("shown_short", c.c_uint32), ("shown_long", c.c_uint32), ("clicks_short", c.c_uint32), ("clicks_long", c.c_uint32),
        ("tasks_short", c.c_uint32), ("tasks_long", c.c_uint32), ("task_done", c.c_bool), ("known", c.c_bool),
    ]


# The name of each struct in the header, for the comparison of layouts.
STRUCTS = {
    "aft_client_error": Error, "aft_client_property": Property, "aft_client_failure": Failure, "aft_client_options": Options,
    "aft_client_feature": Feature, "aft_client_candidate": Candidate, "aft_client_own": Own, "aft_client_request": Request, "aft_client_slot": Slot,
    "aft_client_slate": Slate, "aft_client_outcome": Outcome, "aft_client_info": Info, "aft_client_history": History,
}

_P, _E = c.c_void_p, c.POINTER(Error)
FUNCTIONS = {
    "aft_client_open": (c.c_int, [c.POINTER(Options), c.POINTER(_P), _E]),
    "aft_client_close": (c.c_int, [_P, c.c_int32, _E]),
    "aft_client_catalogue_new": (c.c_int, [_P, c.POINTER(Candidate), c.c_uint32, c.POINTER(_P), _E]),
    "aft_client_catalogue_free": (None, [_P]),
    "aft_client_catalogue_new": (c.c_int, [_P, c.POINTER(Candidate), c.c_uint32, c.POINTER(_P), _E]),
    "aft_client_catalogue_free": (None, [_P]),
    "aft_client_decide": (c.c_int, [_P, c.POINTER(Request), c.POINTER(_P), _E]),
    "aft_client_decision_slate": (c.POINTER(Slate), [_P]),
    "aft_client_decision_mask": (c.c_int, [_P, _P, c.POINTER(c.c_uint32), c.c_uint32, Text, _E]),
    "aft_client_decision_free": (None, [_P, _P]),
    "aft_client_log_impression": (c.c_int, [_P, _P, _E]),
    "aft_client_log_outcome": (c.c_int, [_P, c.POINTER(Outcome), _E]),
    "aft_client_poll": (None, [_P, c.c_int32]),
    "aft_client_flush": (c.c_int, [_P, c.c_int32, _E]),
    "aft_client_history": (c.c_int, [_P, Text, Text, Text, c.c_int64, c.POINTER(History), _E]),
    "aft_client_info": (None, [_P, c.POINTER(Info)]),
    "aft_client_is_baseline": (c.c_bool, [_P, Text]),
    "aft_client_user_hash": (c.c_int, [c.c_char_p, c.c_size_t, Text, c.c_char * 33, _E]),
    "aft_client_version": (Text, []),
}


def load() -> c.CDLL:
    """The library that lies beside this file."""
    library = c.CDLL(str(pathlib.Path(__file__).resolve().parent / "libaftertouch.so.0"))
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


library = load()


def check(code: int, why: Error) -> None:
    """Raises what a code other than 0 means, with the library's sentence."""
    if code:
        raise BY_CODE.get(code, AftertouchError)(why.message.decode("utf-8", "replace"))
