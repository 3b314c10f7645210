"""The condition that every compiled kind has, and why it is as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

READY: Final = "Ready"
"""True is well: every ready pod that mounts the file serves this generation."""


class ReadyReason(StrEnum):
    """Why `Ready` is as it is."""

    APPLIED = "Applied"
    NO_CONSUMER = "NoConsumer"
    PROGRESSING = "Progressing"
    NO_ANSWER = "NoAnswer"
    REJECTED = "Rejected"
    TOO_LARGE = "TooLarge"
    WRITE_REFUSED = "WriteRefused"
    CARD_MISSING = "CardMissing"
    CARD_INVALID = "CardInvalid"


CARD_REASONS: Final = (ReadyReason.CARD_MISSING, ReadyReason.CARD_INVALID)
"""Of kinds that take a part of their text from a ConfigMap of somebody's own."""

WELL: Final = (ReadyReason.APPLIED, ReadyReason.NO_CONSUMER)

MEANINGS: Final[Mapping[ReadyReason, str]] = {
    ReadyReason.APPLIED: "Every ready pod that mounts the ConfigMap serves this generation.",
    ReadyReason.NO_CONSUMER: "It is in the ConfigMap; nobody mounts that. True all the same.",
    ReadyReason.PROGRESSING: "Some pods serve an older generation. The kubelet brings a change within about a minute.",
    ReadyReason.NO_ANSWER: "A ready pod does not say on its port 9090 what it serves.",
    ReadyReason.REJECTED: "A pod cannot use it and keeps what it had; the message is the pod's.",
    ReadyReason.TOO_LARGE: "It is too large, or all of the namespace are too many for a ConfigMap; the old one holds.",
    ReadyReason.WRITE_REFUSED: "The API server refused to write the ConfigMap; the message is the API server's.",
    ReadyReason.CARD_MISSING: "`cardFrom` names a ConfigMap or key that is not there. What was compiled before holds.",
    ReadyReason.CARD_INVALID: "What `cardFrom` names is no card (a JSON object). What was compiled before holds.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that holds and does not do what its author wanted; the text names the field and the remedy."""

    reason: StrEnum
    text: str
