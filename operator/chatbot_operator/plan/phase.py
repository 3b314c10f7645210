"""One word for people about a Model. Programs read the conditions."""

from collections.abc import Mapping

from chatbot_operator.reasons import ConditionType, Reason
from chatbot_operator.resources import Condition

_ON_THE_WAY = {
    Reason.DOWNLOADING: "Downloading",
    Reason.PENDING: "Pending",
    Reason.WAITING_FOR_STORAGE: "Pending",
    Reason.CLAIM_PENDING: "Pending",
    Reason.PROGRESSING: "RollingOut",
    Reason.SOAKING: "Soaking",
    Reason.PAUSED: "Paused",
    Reason.ROLLED_BACK: "RolledBack",
}


def phase(conditions: Mapping[ConditionType, Condition]) -> str:
    """Derive the phase: Ready, a word for what is under way, or Failed."""
    ready = conditions.get(ConditionType.READY)
    if ready is None:
        return "Pending"
    if ready.status == "True":
        return "Ready"
    return _ON_THE_WAY.get(ready.reason, "Failed")
