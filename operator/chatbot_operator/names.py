"""Every name, label and key of the operator, once. Names over 63 characters are cut with a hash."""

import hashlib

GROUP = "chatbot.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "Model"
PLURAL = "models"

TENANTS = "tenants"
"""Plural of the kind whose objects are compiled into one ConfigMap."""

TENANTS_LABEL = "chatbot.ai/tenants"
"""On Deployments and pod templates: the ConfigMap with policies of tenants that they mount."""

TENANTS_CONFIG_MAP = "chatbot-tenants"
"""Name of that ConfigMap, in every namespace."""

FIELD_MANAGER = "chatbot-operator"
"""Field manager of server-side apply and of every patch; shown by `kubectl get --show-managed-fields`."""

MODEL_LABEL = "chatbot.ai/model"
"""On Deployments and pod templates: the Model they consume. On Jobs and claims: the Model they belong to."""

REVISION_ANNOTATION = "chatbot.ai/model-revision"
"""On pod templates (RollingUpdate) or pods (InPlace): the revision to serve. The operator's only mark on a pod."""

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
"""Internal port of a consumer's pods: `GET /model` says what is served."""

_LONGEST_NAME = 63
_HASH_LENGTH = 8


def claim_name(model: str) -> str:
    """Name of the claim of a Model that does not bring its own."""
    return _bounded(f"model-{model}")


def config_map_name(model: str) -> str:
    """Name of the ConfigMap that tells new pods the last good revision."""
    return _bounded(f"model-{model}")


def source_key(url: str, sha256: str, secret_name: str) -> str:
    """8 hex characters that change with what is to be downloaded."""
    return hashlib.sha256("\0".join((url, sha256, secret_name)).encode()).hexdigest()[:_HASH_LENGTH]


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
