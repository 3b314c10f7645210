"""What each condition says, and which reasons it may have: docs/conditions.md and the tests are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from chatbot_operator.plan.download.result import ABOUT_THE_FILE, ABOUT_THE_SOURCE
from chatbot_operator.reasons import CLUSTER_FAULTS, MODEL_FAULTS, ConditionType, Reason


@dataclass(frozen=True, slots=True)
class ConditionText:
    """`true` says what True means. `reasons` in the order of `Reason`."""

    true: str
    reasons: frozenset[Reason]


_STORAGE = frozenset(
    {
        Reason.NO_SUCH_CLAIM,
        Reason.NO_STORAGE_CLASS,
        Reason.CLAIM_PENDING,
        Reason.READ_WRITE_ONCE_ACROSS_NODES,
        Reason.VOLUME_ERROR,
        Reason.QUOTA_EXCEEDED,
        Reason.MISSING_RIGHT,
    }
)
_DOWNLOAD = (
    ABOUT_THE_SOURCE
    | ABOUT_THE_FILE
    | CLUSTER_FAULTS
    | {
        Reason.PENDING,
        Reason.DOWNLOADING,
        Reason.WAITING_FOR_STORAGE,
        Reason.SECRET_MISSING,
        Reason.NO_SUCH_CLAIM,
        Reason.NO_SPACE,
        Reason.VOLUME_ERROR,
        Reason.JOB_FAILED,
    }
)
_CONSUMER = MODEL_FAULTS | CLUSTER_FAULTS | {Reason.NO_ANSWER, Reason.PROGRESSING}
_ROLLOUT = _CONSUMER | {
    Reason.WAITING_FOR_DOWNLOAD,
    Reason.SOAKING,
    Reason.PAUSED,
    Reason.DEADLINE_EXCEEDED,
    Reason.ROLLED_BACK,
    Reason.RELEASE_CHANGED,
}

CONDITIONS: Mapping[ConditionType, ConditionText] = {
    ConditionType.READY: ConditionText(
        "Every consumer serves the spec's revision and has done so for long enough. Tickets hang on it.",
        _STORAGE | _DOWNLOAD | _ROLLOUT | {Reason.SERVING, Reason.NO_CONSUMER},
    ),
    ConditionType.AVAILABLE: ConditionText(
        "Every consumer has a ready pod that serves some verified revision. Pages hang on it.",
        _CONSUMER | {Reason.SERVING, Reason.NO_CONSUMER, Reason.WAITING_FOR_DOWNLOAD},
    ),
    ConditionType.DOWNLOADED: ConditionText("The file is on the volume.", _DOWNLOAD | {Reason.DOWNLOADED}),
    ConditionType.VERIFIED: ConditionText(
        "The file has the sum that the spec names. Unknown where it names none.",
        ABOUT_THE_FILE | {Reason.VERIFIED, Reason.UNVERIFIED, Reason.PENDING},
    ),
    ConditionType.STORAGE_READY: ConditionText("The claim is bound and can be used.", _STORAGE | {Reason.BOUND}),
    ConditionType.ROLLED_OUT: ConditionText(
        "Every consumer was brought to the spec's revision.", _ROLLOUT | {Reason.ROLLED_OUT, Reason.NO_CONSUMER}
    ),
    ConditionType.ROLLED_BACK: ConditionText(
        "The spec's revision was bad and was taken back; so it stays until a new spec or a retry. False is well.",
        MODEL_FAULTS | {Reason.NEVER, Reason.DEADLINE_EXCEEDED},
    ),
    ConditionType.SOURCE_REACHABLE: ConditionText(
        "The source delivered when it was asked last.", ABOUT_THE_SOURCE | {Reason.REACHABLE, Reason.PENDING}
    ),
}
