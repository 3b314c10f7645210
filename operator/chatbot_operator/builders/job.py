"""The Job that downloads one Model: `chatbot-download` with its order as arguments, and as few rights as possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatbot_operator import names
from chatbot_operator.actions import CreateJob
from chatbot_operator.builders.metadata import labels, owner_reference
from chatbot_operator.builders.placement import placement
from chatbot_operator.resources import Model

_CONTAINER = "download"
_USER_ID = 65532
_PODS_PER_ATTEMPT = 4
_KEPT_SECONDS = 86400
_FINAL_EXIT_CODES = [64, 65, 66]  # chatbot_operator.download.faults: asking again changes nothing
_CA_FOLDER = "/etc/ssl/chatbot"
_CA_FILE = "ca.crt"


def _default_resources() -> dict[str, Any]:
    return {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What is the same for every download of an installation.

    Attributes:
        image: The operator's own image.
        hf_endpoint: Mirror of the Hugging Face hub, "" for the hub itself.
        https_proxy: `http://host:port`, "" for none.
        ca_bundle_config_map: ConfigMap of the Model's namespace with certificate authorities in `ca.crt`, "" for none.
        allow_networks: CIDRs that may be reached although they are private.
        allow_hosts: The only hosts that may be asked; empty is every public one.
        resources: Requests and limits of the container.
    """

    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    hf_endpoint: str = ""
    https_proxy: str = ""
    ca_bundle_config_map: str = ""
    allow_networks: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    priority_class_name: str = ""
    resources: Mapping[str, Any] = field(default_factory=_default_resources)


def job(model: Model, action: CreateJob, settings: JobSettings) -> dict[str, Any]:
    """A Job to create, never to apply over another. That one of this name exists already is success."""
    key = model.spec.source_key
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": action.name,
            "namespace": model.namespace,
            "labels": labels(model, "download")
            | {names.SOURCE_KEY_LABEL: key, names.ATTEMPT_LABEL: str(action.attempt)},
            "ownerReferences": [owner_reference(model)],
        },
        "spec": {
            "backoffLimit": _PODS_PER_ATTEMPT,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": _failure_policy(),
            "template": {"metadata": {"labels": _pod_labels(model)}, "spec": _pod(model, action, settings)},
        },
    }


def _pod_labels(model: Model) -> dict[str, str]:
    """Without `names.MODEL_LABEL`: a download is no consumer, and must not attract itself by pod affinity."""
    return {
        "app.kubernetes.io/name": "chatbot-download",
        "app.kubernetes.io/component": "download",
        "app.kubernetes.io/managed-by": names.FIELD_MANAGER,
        names.DOWNLOAD_LABEL: model.name,
    }


def _failure_policy() -> dict[str, Any]:
    return {
        "rules": [
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": _CONTAINER, "operator": "In", "values": _FINAL_EXIT_CODES},
            },
            # a drained node is nobody's fault and uses up no try
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def _pod(model: Model, action: CreateJob, settings: JobSettings) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(model, action, settings)],
        "volumes": _volumes(model, settings),
        **placement(model, action),
    }
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if settings.priority_class_name:
        spec["priorityClassName"] = settings.priority_class_name
    return spec


def _container(model: Model, action: CreateJob, settings: JobSettings) -> dict[str, Any]:
    return {
        "name": _CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["chatbot-download"],
        "args": [_literal(argument) for argument in _arguments(model, action, settings)],
        "env": _environment(model, settings),
        "resources": dict(settings.resources),
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(model, settings),
    }


def _literal(argument: str) -> str:
    """Kubernetes replaces `$(HF_TOKEN)` in arguments, so an address could carry the token away; `$$` is a plain `$`."""
    return argument.replace("$", "$$")


def _arguments(model: Model, action: CreateJob, settings: JobSettings) -> list[str]:
    source = model.spec.source
    arguments = [source.url, "--volume=/models", f"--partial-key={names.partial_key(model.uid, model.spec.source_key)}"]
    arguments += [f"--kind={model.spec.kind}"]
    arguments += [f"--sha256={source.sha256}"] if source.sha256 else []
    arguments += ["--delete-unused", "--termination-log=/dev/termination-log"]
    arguments += _repeated("--keep", action.keep) + _repeated("--keep-partial", action.keep_partials)
    arguments += _repeated("--allow-network", settings.allow_networks) + _repeated("--allow-host", settings.allow_hosts)
    arguments += [f"--ca-bundle={_CA_FOLDER}/{_CA_FILE}"] if settings.ca_bundle_config_map else []
    return arguments


def _repeated(option: str, values: Sequence[str]) -> list[str]:
    return [f"{option}={value}" for value in values]


def _environment(model: Model, settings: JobSettings) -> list[dict[str, Any]]:
    plain = {"HF_ENDPOINT": settings.hf_endpoint, "HTTPS_PROXY": settings.https_proxy}
    variables: list[dict[str, Any]] = [{"name": name, "value": _literal(text)} for name, text in plain.items() if text]
    secret = model.spec.source.secret_name
    if secret:
        # Not optional: a missing Secret must be seen, instead of a refusal by the source.
        reference = {"name": secret, "key": "HF_TOKEN"}
        variables.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": reference}})
    return variables


def _volumes(model: Model, settings: JobSettings) -> list[dict[str, Any]]:
    claim = model.spec.storage.existing_claim or names.claim_name(model.name)
    volumes: list[dict[str, Any]] = [{"name": "models", "persistentVolumeClaim": {"claimName": claim}}]
    source_claim = _source_claim(model)
    if source_claim:
        volumes.append({"name": "source", "persistentVolumeClaim": {"claimName": source_claim}})
    if settings.ca_bundle_config_map:
        volumes.append({"name": "ca", "configMap": {"name": settings.ca_bundle_config_map}})
    return volumes


def _mounts(model: Model, settings: JobSettings) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [{"name": "models", "mountPath": "/models"}]
    if _source_claim(model):
        mounts.append({"name": "source", "mountPath": "/source", "readOnly": True})
    if settings.ca_bundle_config_map:
        mounts.append({"name": "ca", "mountPath": _CA_FOLDER, "readOnly": True})
    return mounts


def _source_claim(model: Model) -> str:
    """The claim in `pvc://claim/path`, "" for every other source."""
    scheme, _, rest = model.spec.source.url.partition("://")
    return rest.split("/")[0] if scheme == "pvc" else ""
