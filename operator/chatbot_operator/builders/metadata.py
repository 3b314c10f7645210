"""Metadata that every object of the operator carries."""

from typing import Any

from chatbot_operator import names
from chatbot_operator.resources import Model


def labels(model: Model, component: str) -> dict[str, str]:
    """Recommended labels of Kubernetes, and the Model that the object belongs to."""
    return {
        "app.kubernetes.io/name": f"chatbot-{component}",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": names.FIELD_MANAGER,
        names.MODEL_LABEL: model.name,
    }


def owner_reference(model: Model) -> dict[str, Any]:
    """Ties an object's life to the Model's. Never `blockOwnerDeletion`: it would need more rights."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": model.name,
        "uid": model.uid,
        "controller": True,
    }
