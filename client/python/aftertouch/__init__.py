"""aftertouch - decide, log and learn, over the C library that engines in C link (libaftertouch is inside the wheel).

    from aftertouch import Candidate, Client

    with Client("localhost:9092") as client:
        messages = [Candidate("walk", {"topic": "activity"}), Candidate("sleep", {"topic": "rest"})]
        with client.decide("user-1", messages, context={"days_since_enrol": 12}, device="web", k=1) as decision:
            show(decision.slots[0].arm_id)
            client.log_impression(decision)

`aftertouch.logs` reads logs and snapshots from container files (it wants the extra: pip install 'aftertouch[logs]').
"""
from .client import Candidate, Catalogue, Client, Decision, Failure, History, Info, Mode, Propensity, Slot, user_hash, version
from .errors import (AftertouchError, BrokerError, ConfigurationError, InputOutputError, SnapshotError, TryAgain, WrongArgument)

__all__ = ["AftertouchError", "BrokerError", "Candidate", "Catalogue", "Client", "ConfigurationError", "Decision", "Failure", "History", "Info",
           "InputOutputError", "Mode", "Propensity", "Slot", "SnapshotError", "TryAgain", "WrongArgument", "user_hash", "version"]
