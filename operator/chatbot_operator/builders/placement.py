"""Where a download's pod may run: where the pods that will read the model run."""

from typing import Any

from chatbot_operator.actions import CreateJob
from chatbot_operator.resources import Model


def placement(model: Model, action: CreateJob) -> dict[str, Any]:
    """`nodeSelector`, `tolerations` and `affinity` of the pod.

    Of a consumer's affinity only the part about nodes is taken: the parts about pods spread the consumer's own.
    """
    scheduling = action.scheduling
    spec = {key: scheduling[key] for key in ("nodeSelector", "tolerations") if scheduling.get(key)}
    affinity: dict[str, Any] = {}
    node_affinity = (scheduling.get("affinity") or {}).get("nodeAffinity")
    if node_affinity:
        affinity["nodeAffinity"] = node_affinity
    if action.node_of:
        affinity["podAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [_beside_consumers(model)]}
    return {**spec, "affinity": affinity} if affinity else spec


def _beside_consumers(model: Model) -> dict[str, Any]:
    return {
        "labelSelector": {"matchLabels": {model.spec.marks.label: model.name}},
        "topologyKey": "kubernetes.io/hostname",
    }
