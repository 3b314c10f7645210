"""The claim that holds the revisions of a Model."""

from typing import Any

from chatbot_operator import names
from chatbot_operator.builders.metadata import labels, owner_reference
from chatbot_operator.resources import Model


def claim(model: Model) -> dict[str, Any]:
    """A PersistentVolumeClaim to create. That one of this name exists already is success."""
    storage = model.spec.storage
    spec: dict[str, Any] = {
        "accessModes": [storage.access_mode],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class_name is not None:
        # Left out, the cluster's default is filled in; "" means that there shall be none.
        spec["storageClassName"] = storage.storage_class_name
    metadata: dict[str, Any] = {
        "name": names.claim_name(model.name),
        "namespace": model.namespace,
        "labels": labels(model, "model"),
    }
    if storage.deletion_policy == "Delete":
        metadata["ownerReferences"] = [owner_reference(model)]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def claim_size(size: str) -> dict[str, Any]:
    """Merge patch that asks for more room."""
    return {"spec": {"resources": {"requests": {"storage": size}}}}
