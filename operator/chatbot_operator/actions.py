"""What planning decides: plain values that `builders` turns into documents and `cluster` into API calls.

Each is safe to carry out twice. What is not (attempts, verdicts, counters, Events) is in the status that is
written first, with the `resourceVersion` it was planned from; see docs/adr/0009.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chatbot_operator.reasons import EventReason, Reason
from chatbot_operator.resources import ModelStatus


@dataclass(frozen=True, slots=True)
class CreateClaim:
    """Create the claim `model-<name>`."""


@dataclass(frozen=True, slots=True)
class GrowClaim:
    """Raise the claim's requested size."""

    size: str


@dataclass(frozen=True, slots=True)
class SetOwnership:
    """Add this Model's ownerReference to claim and ConfigMap, or take it away (`deletionPolicy`)."""

    owned: bool


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create a download Job by name; that it is there already is success.

    Attributes:
        node_of: Consumer beside whose pods the Job must run (ReadWriteOnce), "" for anywhere.
        scheduling: `nodeSelector`, `tolerations` and `affinity` copied from a consumer.
    """

    name: str
    attempt: int
    keep: tuple[str, ...]
    keep_partials: tuple[str, ...]
    node_of: str = ""
    scheduling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job that nobody needs (another source, paused)."""

    name: str


@dataclass(frozen=True, slots=True)
class ApplyGoodRevision:
    """Apply the ConfigMap that new pods start with."""

    revision: str
    owned: bool


@dataclass(frozen=True, slots=True)
class AnnotateTemplate:
    """Server-side apply of the revision annotation on a Deployment's template; "" removes it (merge patch)."""

    deployment: str
    revision: str


@dataclass(frozen=True, slots=True)
class AnnotatePod:
    """Merge patch of the revision annotation on one pod."""

    pod: str
    uid: str
    revision: str


Action = (
    CreateClaim | GrowClaim | SetOwnership | CreateJob | DeleteJob | ApplyGoodRevision | AnnotateTemplate | AnnotatePod
)


@dataclass(frozen=True, slots=True)
class EventNote:
    """A Kubernetes Event about the Model."""

    type: Literal["Normal", "Warning"]
    reason: Reason | EventReason
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of planning.

    Attributes:
        status: What the status shall be; written before the actions, and only where it differs.
        actions: In the order in which they are carried out.
        events: Posted after the status was written, so once.
        again_in_seconds: When to look again although nothing changed; None leaves it to watches and the tick.
        rollout_result: `succeeded`, `rolled_back` or `aborted` where this plan ends a rollout, for the counter.
    """

    status: ModelStatus
    actions: tuple[Action, ...] = ()
    events: tuple[EventNote, ...] = ()
    again_in_seconds: float | None = None
    rollout_result: str = ""
