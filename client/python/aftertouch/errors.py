"""errors.py - what can go wrong, by what the caller should do about it. The sentence is the library's own."""
from __future__ import annotations


class AftertouchError(Exception):
    """Something failed inside the library. `code` is aft_client_code's number, str(e) its sentence."""

    code = 7


class WrongArgument(AftertouchError, ValueError):
    """An argument is wrong; nothing was done."""

    code = 1


class TryAgain(AftertouchError):
    """The queue stayed full, or no answer came in time: the record was not taken, try again."""

    code = 2


class ConfigurationError(AftertouchError):
    """An option, or a property that librdkafka refuses."""

    code = 3


class BrokerError(AftertouchError):
    """The broker cannot be reached, or refuses."""

    code = 4


class SnapshotError(AftertouchError):
    """A snapshot is broken, forged, or of another model."""

    code = 5


class InputOutputError(AftertouchError):
    """A file could not be read or written."""

    code = 6


BY_CODE = {e.code: e for e in (WrongArgument, TryAgain, ConfigurationError, BrokerError, SnapshotError, InputOutputError)}
