"""What the cluster shows about one Model, in plain values: the input of planning beside spec and time.

Absent things are None or empty. Times are UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chatbot_operator.reasons import Reason


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim that holds the model.

    Attributes:
        phase: Pending, Bound or Lost.
        size: Requested size, as written.
        owned: Whether this Model's ownerReference is on it.
        problem: What an Event or condition of the claim says is wrong, with its text; None while nothing does.
    """

    name: str
    phase: str
    size: str
    access_modes: tuple[str, ...]
    owned: bool
    problem: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The last progress line of a download; None where it is not known.

    Attributes:
        trouble: Reason and text of a failure after which the downloader tries again by itself, not trusted yet.
    """

    bytes_done: int | None = None
    bytes_total: int | None = None
    bytes_per_second: int | None = None
    eta_seconds: int | None = None
    trouble: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DownloadJob:
    """One attempt.

    Attributes:
        source_key: `names.source_key` of what it downloads.
        state: active, succeeded or failed.
        result: The JSON object of the termination message: `{revision, sha256, bytes}`, or `{reason, message}`.
        finished_at: When it succeeded or failed, None while it is active.
        problem: Why its pod does not run, where it does not.
    """

    name: str
    source_key: str
    attempt: int
    state: str
    created_at: datetime
    result: dict[str, object] | None = None
    progress: Progress = Progress()
    finished_at: datetime | None = None
    problem: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What `GET :9090/model` of a pod answered."""

    state: str
    revision: str
    expected: str
    reason: str = ""
    message: str = ""
    tokens_per_second: float = 0.0
    engine_restarts: int = 0


@dataclass(frozen=True, slots=True)
class ConsumerPod:
    """A pod of a consumer.

    Attributes:
        annotation: Value of the revision annotation, "" where it is not set.
        served: None where the pod does not answer.
        problem: Why the cluster does not run it (unschedulable, image, mount, quota, node), with its text.
        template_hash: The label `pod-template-hash`.
    """

    name: str
    uid: str
    node: str
    ready: bool
    annotation: str
    created_at: datetime
    template_hash: str = ""
    served: ServedModel | None = None
    problem: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class Consumer:
    """A Deployment with the label `chatbot.ai/model`.

    Attributes:
        annotation: Revision annotation of its pod template, "" where it is not set.
        template_fingerprint: Hash of the pod template without the revision annotation: a change of it is the
            release's doing, not ours.
        settled: Whether the Deployment controller has seen its latest generation and all replicas are updated.
        pods: Its pods that are not being deleted.
        problem: Why the cluster makes no pods for it (quota), with its text.
        can_surge: Whether a new pod may start before an old one ends (`maxSurge` above zero).
        scheduling: `nodeSelector`, `tolerations` and `affinity` of its pod template, as they are written there.
    """

    name: str
    uid: str
    replicas: int
    ready_replicas: int
    annotation: str
    template_fingerprint: str
    settled: bool
    pods: tuple[ConsumerPod, ...] = ()
    problem: tuple[Reason, str] | None = None
    can_surge: bool = True
    scheduling: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the API server refused when it was asked last: by a quota, by a policy, or for want of a right.

    Attributes:
        claim: To create, grow or own the claim.
        job: To create or delete a download Job.
        marks: To annotate a template or a pod.
        good_revision: To write the ConfigMap.
    """

    claim: tuple[Reason, str] | None = None
    job: tuple[Reason, str] | None = None
    marks: tuple[Reason, str] | None = None
    good_revision: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that planning looks at.

    Attributes:
        good_revision: Value in the ConfigMap `model-<name>`, None where it does not exist.
        config_map_owned: Whether this Model's ownerReference is on the ConfigMap.
        keep: Revisions on the claim that anything else names: other Models, pods, Deployments, ConfigMaps.
        keep_partials: Partials that other Models on the claim name.
        refused: What could not be done when it was tried last.
    """

    claim: Claim | None = None
    jobs: tuple[DownloadJob, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    good_revision: str | None = None
    config_map_owned: bool = False
    keep: tuple[str, ...] = ()
    keep_partials: tuple[str, ...] = ()
    refused: Refusals = Refusals()
