"""Small changes to objects: the revision annotation, the ConfigMap of the good revision, ownership."""

from typing import Any

from chatbot_operator import names
from chatbot_operator.builders.metadata import labels, owner_reference
from chatbot_operator.resources import Model


def config_map(model: Model, revision: str, *, owned: bool) -> dict[str, Any]:
    """The ConfigMap that new pods start with, for server-side apply with `names.FIELD_MANAGER`, forced."""
    metadata: dict[str, Any] = {
        "name": names.config_map_name(model.name),
        "namespace": model.namespace,
        "labels": labels(model, "model"),
    }
    if owned:
        metadata["ownerReferences"] = [owner_reference(model)]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {names.GOOD_REVISION_KEY: revision},
    }


def template_annotation(model: Model, deployment: str, revision: str) -> dict[str, Any]:
    """The annotation of a Deployment's pod template, for forced server-side apply with the manager of its kind.

    Nothing else is in the document, so nothing else is ever owned or changed.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment, "namespace": model.namespace},
        "spec": {"template": {"metadata": {"annotations": {model.spec.marks.annotation: revision}}}},
    }


def no_template_annotation(model: Model) -> dict[str, Any]:
    """Merge patch that removes the annotation, whoever set it last: apply takes away only what it owns alone."""
    return {"spec": {"template": {"metadata": {"annotations": {model.spec.marks.annotation: None}}}}}


def pod_annotation(model: Model, uid: str, revision: str) -> dict[str, Any]:
    """Merge patch of one pod's annotation; "" removes it. The UID keeps a pod of the same name out of it."""
    return {"metadata": {"uid": uid, "annotations": {model.spec.marks.annotation: revision or None}}}


def ownership(model: Model, *, owned: bool) -> dict[str, Any]:
    """Strategic merge patch that adds or takes away this Model's ownerReference and leaves others alone."""
    reference = owner_reference(model) if owned else {"uid": model.uid, "$patch": "delete"}
    return {"metadata": {"ownerReferences": [reference]}}
