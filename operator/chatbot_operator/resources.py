"""Typed views of a Model: its spec as validated by the CRD, and the status that the operator writes.

Times are UTC. How a status is written and read is in `chatbot_operator.plan.document`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from chatbot_operator import names
from chatbot_operator.names import ModelKind
from chatbot_operator.reasons import ConditionType, Reason

Strategy = Literal["RollingUpdate", "InPlace"]


@dataclass(frozen=True, slots=True)
class Source:
    """`spec.source`. `secret_name` is "" where no Secret is named."""

    url: str
    sha256: str = ""
    allow_unverified: bool = False
    secret_name: str = ""


@dataclass(frozen=True, slots=True)
class Storage:
    """`spec.storage`. `storage_class_name` None leaves the cluster's default, "" asks for none."""

    size: str = ""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    storage_class_name: str | None = None
    existing_claim: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """`spec.rollout`."""

    strategy: Strategy = "RollingUpdate"
    auto_rollback: bool = True
    progress_deadline_seconds: int = 900
    soak_seconds: int = 60
    min_tokens_per_second: float = 0.0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """`spec`."""

    source: Source
    storage: Storage
    rollout: Rollout = Rollout()
    revision_history_limit: int = 2
    kind: ModelKind = "Chat"

    @property
    def source_key(self) -> str:
        """Changes with what is to be downloaded."""
        return names.source_key(self.source.url, self.source.sha256, self.source.secret_name, self.kind)

    @property
    def marks(self) -> names.Marks:
        """How consumers are known and told."""
        return names.marks_of(self.kind)


@dataclass(frozen=True, slots=True)
class Condition:
    """A `metav1.Condition`."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str
    last_transition_time: datetime
    observed_generation: int


@dataclass(frozen=True, slots=True)
class DownloadStatus:
    """`status.download`; None where not known.

    Attributes:
        attempt: Number of the newest Job for `source_key`, 0 before the first.
        source_key: `names.source_key` of what the rest speaks of, "" before the first download.
    """

    bytes_total: int | None = None
    bytes_done: int | None = None
    bytes_per_second: int | None = None
    eta_seconds: int | None = None
    attempt: int = 0
    source_key: str = ""


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """`status.rollout`: the clocks of a rollout, kept here so that they survive the operator.

    Attributes:
        revision: Revision of the newest rollout.
        consumer: Deployment that is changed now, "" while no rollout runs.
        started_at: When the clock of `consumer` started.
        paused_seconds: Seconds of that clock that do not count.
        paused_since: Since when the clock stands, None while it runs. Without `consumer`: when a rollout was
            taken back because of the cluster.
        soak_until: When `consumer` will have served long enough, None while it does not serve.
        slow_since: When `consumer` was first seen slower than allowed.
        strategy: How the newest rollout is carried out, "" before the first.
        template_fingerprint: Fingerprint of the consumer's template when the clock started.
        attempt: Number of the newest rollout.
        retry_handled: Value of the retry annotation that was obeyed last.
    """

    revision: str = ""
    consumer: str = ""
    started_at: datetime | None = None
    paused_seconds: int = 0
    paused_since: datetime | None = None
    soak_until: datetime | None = None
    slow_since: datetime | None = None
    strategy: Strategy | Literal[""] = ""
    template_fingerprint: str = ""
    attempt: int = 0
    retry_handled: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """One line of `status.consumers`."""

    kind: str
    name: str
    revision: str = ""
    ready_replicas: int = 0
    replicas: int = 0


HistoryState = Literal["Downloaded", "Good", "Bad"]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of `status.history`, newest first."""

    revision: str
    sha256: str
    url: str
    state: HistoryState
    since: datetime


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """`status`. `phase` is not here: it is derived from the conditions when the status is written."""

    observed_generation: int = 0
    revision: str = ""
    last_good_revision: str = ""
    download: DownloadStatus = DownloadStatus()
    rollout: RolloutStatus = RolloutStatus()
    consumers: tuple[ConsumerStatus, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    conditions: Mapping[ConditionType, Condition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """A Model as it was read. `retry` is the value of its retry annotation, "" where there is none."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: ModelSpec
    status: ModelStatus
    retry: str = ""
    deleting: bool = False


def parse_time(text: str) -> datetime:
    """A Kubernetes timestamp (RFC 3339)."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def format_time(moment: datetime) -> str:
    """A Kubernetes timestamp with whole seconds (`metav1.Time`)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spec_from_dict(spec: Mapping[str, Any]) -> ModelSpec:
    """`spec` as the API server returns it, its defaults filled in."""
    source, storage, rollout = spec["source"], spec.get("storage", {}), spec.get("rollout", {})
    defaults = Rollout()
    return ModelSpec(
        source=Source(
            url=source["url"],
            sha256=source.get("sha256", ""),
            allow_unverified=source.get("allowUnverified", False),
            secret_name=source.get("secretRef", {}).get("name", ""),
        ),
        storage=Storage(
            size=storage.get("size", ""),
            access_mode=storage.get("accessMode", "ReadWriteOnce"),
            deletion_policy=storage.get("deletionPolicy", "Retain"),
            storage_class_name=storage.get("storageClassName"),
            existing_claim=storage.get("existingClaim", ""),
        ),
        rollout=Rollout(
            strategy=rollout.get("strategy", defaults.strategy),
            auto_rollback=rollout.get("autoRollback", defaults.auto_rollback),
            progress_deadline_seconds=rollout.get("progressDeadlineSeconds", defaults.progress_deadline_seconds),
            soak_seconds=rollout.get("soakSeconds", defaults.soak_seconds),
            min_tokens_per_second=rollout.get("minTokensPerSecond", defaults.min_tokens_per_second),
            paused=rollout.get("paused", defaults.paused),
        ),
        revision_history_limit=spec.get("revisionHistoryLimit", 2),
        kind="Embedding" if spec.get("kind") == "Embedding" else "Chat",
    )
