"""Every name, label and key of the operator, once. Names over 63 characters are cut with a hash."""

import hashlib
from dataclasses import dataclass
from typing import Literal

ModelKind = Literal["Chat", "Embedding"]
"""`spec.kind` of a Model: what its file is for. A pod may serve one of each."""

GROUP = "chatbot.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "Model"
PLURAL = "models"

TENANTS = "tenants"
"""Plural of the kind whose objects are compiled into one ConfigMap."""

CHARACTERS = "characters"
"""Plural of another such kind."""

TENANTS_LABEL = "chatbot.ai/tenants"
"""On Deployments and pod templates: the ConfigMap with policies of tenants that they mount."""

TENANTS_CONFIG_MAP = "chatbot-tenants"
"""Name of that ConfigMap, in every namespace."""

CHARACTERS_LABEL = "chatbot.ai/characters"
"""On Deployments and pod templates: the ConfigMap with Characters that they mount."""

CHARACTERS_CONFIG_MAP = "chatbot-characters"
"""Name of that ConfigMap, in every namespace."""

FIELD_MANAGER = "chatbot-operator"
"""Field manager of server-side apply and of every patch; shown by `kubectl get --show-managed-fields`."""

MODEL_LABEL = "chatbot.ai/model"
"""On Deployments and pod templates: the Model they consume. On Jobs and claims: the Model they belong to."""

REVISION_ANNOTATION = "chatbot.ai/model-revision"
"""On pod templates (RollingUpdate) or pods (InPlace): the revision to serve."""

RETRY_ANNOTATION = "chatbot.ai/retry"
"""On a Model: any new value tries a rolled-back or failed revision again."""

DOWNLOAD_LABEL = "chatbot.ai/download"
"""On pods of download Jobs: the Model they bring. Not `MODEL_LABEL`, which marks consumers."""

SOURCE_KEY_LABEL = "chatbot.ai/download-source"
"""On download Jobs: `source_key` of what they download."""

ATTEMPT_LABEL = "chatbot.ai/download-attempt"
"""On download Jobs: which attempt, from 1."""

GOOD_REVISION_KEY = "good-revision"
"""Key of the ConfigMap `model-<name>`; a pod reads it as a file beside its own annotation."""

METRICS_PORT = 9090
"""Internal port of a consumer's pods: `GET /model` and `GET /embedding` say what is served."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How the pods of one Deployment are told the revision of a kind of Model, apart from that of the other kind.

    Attributes:
        label: On Deployments and pod templates: the Model they consume.
        annotation: On pod templates or pods: the revision to serve.
        manager: Field manager of the annotation on a template. Server-side apply takes away what a manager no longer
            names, so with one for both each kind would take the other's annotation away.
    """

    label: str
    annotation: str
    manager: str


CHAT_MARKS = Marks(MODEL_LABEL, REVISION_ANNOTATION, FIELD_MANAGER)
EMBEDDING_MARKS = Marks("chatbot.ai/embedding-model", "chatbot.ai/embedding-revision", f"{FIELD_MANAGER}-embedding")
ALL_MARKS = (CHAT_MARKS, EMBEDDING_MARKS)


def marks_of(kind: ModelKind) -> Marks:
    """The marks of a kind of Model."""
    return EMBEDDING_MARKS if kind == "Embedding" else CHAT_MARKS


_LONGEST_NAME = 63
_HASH_LENGTH = 8


def claim_name(model: str) -> str:
    """Name of the claim of a Model that does not bring its own."""
    return _bounded(f"model-{model}")


def config_map_name(model: str) -> str:
    """Name of the ConfigMap that tells new pods the last good revision."""
    return _bounded(f"model-{model}")


def source_key(url: str, sha256: str, secret_name: str, kind: ModelKind = "Chat") -> str:
    """8 hex characters that change with what is to be downloaded, and what for: the file is checked for it."""
    parts = (url, sha256, secret_name) if kind == "Chat" else (url, sha256, secret_name, kind)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH_LENGTH]


def job_name(model: str, key: str, attempt: int) -> str:
    """Name of one attempt's Job; creating it twice fails, which makes creation safe to repeat."""
    return _bounded(f"dl-{model}-{key}-{attempt}")


def partial_key(model_uid: str, key: str) -> str:
    """Folder of a download's partial below `/models/.partial`."""
    return f"{model_uid}-{key}"


def _bounded(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{name[: _LONGEST_NAME - _HASH_LENGTH - 1].rstrip('-.')}-{digest}"
