"""Condition types, their reasons, and those of Events: the closed lists that docs/conditions.md and people read."""

from enum import StrEnum


class ConditionType(StrEnum):
    """Conditions of a Model. All but SourceReachable and RolledBack are True when things are well."""

    READY = "Ready"
    AVAILABLE = "Available"
    DOWNLOADED = "Downloaded"
    VERIFIED = "Verified"
    STORAGE_READY = "StorageReady"
    ROLLED_OUT = "RolledOut"
    ROLLED_BACK = "RolledBack"
    SOURCE_REACHABLE = "SourceReachable"


class Reason(StrEnum):
    """Why a condition is as it is. One meaning each; the message brings numbers and the remedy."""

    # all is well
    SERVING = "Serving"
    NO_CONSUMER = "NoConsumer"
    DOWNLOADED = "Downloaded"
    VERIFIED = "Verified"
    UNVERIFIED = "Unverified"
    BOUND = "Bound"
    ROLLED_OUT = "RolledOut"
    REACHABLE = "Reachable"
    NEVER = "Never"

    # on the way
    PENDING = "Pending"
    DOWNLOADING = "Downloading"
    WAITING_FOR_STORAGE = "WaitingForStorage"
    WAITING_FOR_DOWNLOAD = "WaitingForDownload"
    PROGRESSING = "Progressing"
    SOAKING = "Soaking"
    PAUSED = "Paused"

    # the source
    BAD_URL = "BadUrl"
    SOURCE_NOT_ALLOWED = "SourceNotAllowed"
    UNAUTHORIZED = "Unauthorized"
    NOT_FOUND = "NotFound"
    UNREACHABLE = "Unreachable"
    STALLED = "Stalled"
    SERVER_ERROR = "ServerError"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    NOT_GGUF = "NotGGUF"
    WRONG_KIND = "WrongKind"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - the name of a reason

    # the volume
    NO_SPACE = "NoSpace"
    VOLUME_ERROR = "VolumeError"
    NO_SUCH_CLAIM = "NoSuchClaim"
    NO_STORAGE_CLASS = "NoStorageClass"
    CLAIM_PENDING = "ClaimPending"
    READ_WRITE_ONCE_ACROSS_NODES = "ReadWriteOnceAcrossNodes"

    # the cluster
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL = "ImagePull"
    MOUNT_FAILED = "MountFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    MISSING_RIGHT = "MissingRight"
    NODE_LOST = "NodeLost"
    JOB_FAILED = "JobFailed"

    # the model; the first eight are what a pod says at :9090/model
    MODEL_MISSING = "ModelMissing"
    MODEL_INVALID = "ModelInvalid"
    LOAD_FAILED = "LoadFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    LOAD_TIMEOUT = "LoadTimeout"
    ENGINE_CRASHED = "EngineCrashed"
    SMOKE_EMPTY = "SmokeEmpty"
    SMOKE_NAN = "SmokeNaN"
    TOO_SLOW = "TooSlow"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    NO_ANSWER = "NoAnswer"
    ROLLED_BACK = "RolledBack"

    # the release
    RELEASE_CHANGED = "ReleaseChanged"


class EventReason(StrEnum):
    """Reasons that only Events have. Every other Event has the reason of the condition that it tells of."""

    ROLLOUT_STARTED = "RolloutStarted"
    SERVICE_INTERRUPTED = "ServiceInterrupted"
    STRATEGY_CHANGED = "StrategyChanged"
    ANNOTATION_RESTORED = "AnnotationRestored"


MODEL_FAULTS = frozenset(
    {
        Reason.MODEL_MISSING,
        Reason.MODEL_INVALID,
        Reason.LOAD_FAILED,
        Reason.OUT_OF_MEMORY,
        Reason.LOAD_TIMEOUT,
        Reason.ENGINE_CRASHED,
        Reason.SMOKE_EMPTY,
        Reason.SMOKE_NAN,
        Reason.TOO_SLOW,
    }
)
"""Reasons that take a revision back and keep it from being tried again until a new spec or a retry."""

CLUSTER_FAULTS = frozenset(
    {
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL,
        Reason.MOUNT_FAILED,
        Reason.QUOTA_EXCEEDED,
        Reason.MISSING_RIGHT,
        Reason.NODE_LOST,
    }
)
"""Reasons that stop the deadline's clock; the rollout starts again by itself when they are gone."""
