"""Objects of one kind, compiled into one file of one ConfigMap: the same objects give the same bytes, whoever compiles.

What a kind needs besides is a `Bundle`; the rest of this folder does not know what the objects say.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatbot_operator import names
from chatbot_operator.tenants.consistency import Finding, findings

Document = dict[str, Any]

MOST_BYTES: Final = 1_000_000
"""A ConfigMap holds 1 MiB (core/v1, `ConfigMap.data`); some is left for its metadata."""

_DIGEST_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Bundle:
    """One kind that is compiled.

    Attributes:
        plural: Of the resource; also the field of the file that lists the objects.
        config_map: Name of the ConfigMap in each namespace.
        file: Key of the ConfigMap, and name of the file that pods see.
        consumers: Selects Deployments and pods that mount it.
        check: What contradicts itself in a spec.
    """

    plural: str
    config_map: str
    file: str
    consumers: str
    check: Callable[[Mapping[str, Any]], tuple[Finding, ...]]


TENANTS: Final = Bundle(
    plural=names.TENANTS,
    config_map=names.TENANTS_CONFIG_MAP,
    file="tenants.yaml",
    consumers=f"{names.TENANTS_LABEL}={names.TENANTS_CONFIG_MAP}",
    check=findings,
)


@dataclass(frozen=True, slots=True)
class Source:
    """An object as it was read. `status` is as it was written, {} where it has none."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: Mapping[str, Any]
    status: Mapping[str, Any]

    @classmethod
    def of(cls, document: Document) -> "Source":
        """From a document of the API server."""
        metadata = document["metadata"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            resource_version=metadata["resourceVersion"],
            spec=document.get("spec") or {},
            status=document.get("status") or {},
        )


def compiled(bundle: Bundle, sources: Iterable[Source]) -> str:
    """The file: JSON, which is YAML; one line for each object, in the order of their names."""
    entries = [
        json.dumps(
            {**source.spec, "name": source.name, "generation": source.generation, "uid": source.uid},
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        for source in sorted(sources, key=lambda source: source.name)
    ]
    listed = "\n" + ",\n".join(entries) + "\n" if entries else ""
    return f'{{"{bundle.plural}":[{listed}]}}\n'


def fits(text: str) -> bool:
    """Whether a ConfigMap can hold it."""
    return len(text.encode()) <= MOST_BYTES


def digest(text: str) -> str:
    """What a pod that serves this file calls it."""
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def config_map(bundle: Bundle, namespace: str, text: str, resource_version: str = "") -> Document:
    """The ConfigMap. With `resource_version` it is written only if it is still the one that was read."""
    metadata: Document = {
        "name": bundle.config_map,
        "namespace": namespace,
        "labels": {
            "app.kubernetes.io/name": f"chatbot-{bundle.plural}",
            "app.kubernetes.io/component": bundle.plural,
            "app.kubernetes.io/managed-by": names.FIELD_MANAGER,
        },
    }
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {bundle.file: text}}
