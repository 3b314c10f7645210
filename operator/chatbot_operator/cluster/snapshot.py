"""What the API server showed about some Models of a namespace, read at one time."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chatbot_operator import names
from chatbot_operator.cluster import storage
from chatbot_operator.cluster.api import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, JOBS, MODELS, PODS, Api, Kind
from chatbot_operator.cluster.faults import Missing
from chatbot_operator.plan.document import status_from_dict
from chatbot_operator.resources import Model, spec_from_dict

Document = dict[str, Any]

MOST_NAMED = 20
"""For more Models than this, whole lists are read instead of the objects of each."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Objects as they were read; those of Models that nobody asked about may be missing.

    Attributes:
        models: By name: those that were asked about, and those that share a claim with them.
        sharing: The same by the claim that they are on.
        deployments: By the Model that they consume; so are their pods.
        jobs: By the Model that they bring; so are their pods.
        claims: By name.
        config_maps: By name.
    """

    models: Mapping[str, Model]
    sharing: Mapping[str, list[Model]]
    deployments: Mapping[str, list[Document]]
    pods: Mapping[str, list[Document]]
    download_pods: Mapping[str, list[Document]]
    jobs: Mapping[str, list[Document]]
    claims: Mapping[str, Document]
    config_maps: Mapping[str, Document]


async def take(api: Api, namespace: str, wanted: frozenset[str]) -> Snapshot:
    """Read the wanted Models, those that share a claim with them, and everything that belongs to these."""
    documents = await api.find(MODELS, namespace)  # to know who shares a claim; only few of many are looked at closer
    wanted_claims = {storage.claim_named_in(each) for each in documents if each["metadata"]["name"] in wanted}
    near = (model_from_dict(each) for each in documents if storage.claim_named_in(each) in wanted_claims)
    models = {model.name: model for model in near}
    sharing: dict[str, list[Model]] = defaultdict(list)
    for model in models.values():
        sharing[storage.claim_of(model)].append(model)
    involved, claims = set(models), set(sharing)
    if not involved:
        return Snapshot(models, sharing, {}, {}, {}, {}, {}, {})
    of_model, of_download = (_selector(label, involved) for label in (names.MODEL_LABEL, names.DOWNLOAD_LABEL))
    deployments, pods, download_pods, jobs, config_maps, found_claims = await asyncio.gather(
        api.find(DEPLOYMENTS, namespace, of_model),
        api.find(PODS, namespace, of_model),
        api.find(PODS, namespace, of_download),
        api.find(JOBS, namespace, of_model),
        api.find(CONFIG_MAPS, namespace, of_model),
        _claims(api, namespace, claims),
    )
    return Snapshot(
        models=models,
        sharing=sharing,
        deployments=_by_label(deployments, names.MODEL_LABEL),
        pods=_by_label(pods, names.MODEL_LABEL),
        download_pods=_by_label(download_pods, names.DOWNLOAD_LABEL),
        jobs=_by_label(jobs, names.MODEL_LABEL),
        claims=found_claims,
        config_maps=_by_name(config_maps),
    )


def model_from_dict(document: Document) -> Model:
    """A Model as the API server returns it."""
    metadata = document["metadata"]
    return Model(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        resource_version=metadata["resourceVersion"],
        spec=spec_from_dict(document["spec"]),
        status=status_from_dict(document.get("status", {})),
        retry=(metadata.get("annotations") or {}).get(names.RETRY_ANNOTATION, ""),
        deleting="deletionTimestamp" in metadata,
    )


def _selector(label: str, values: set[str]) -> str:
    return label if len(values) > MOST_NAMED else f"{label} in ({','.join(sorted(values))})"


async def _claims(api: Api, namespace: str, wanted: set[str]) -> dict[str, Document]:
    if len(wanted) > MOST_NAMED:
        return _by_name(await api.find(CLAIMS, namespace))
    found = await asyncio.gather(*(_get_if_there(api, CLAIMS, namespace, name) for name in wanted))
    return _by_name(document for document in found if document)


async def _get_if_there(api: Api, kind: Kind, namespace: str, name: str) -> Document | None:
    try:
        return await api.get(kind, namespace, name)
    except Missing:
        return None


def _by_label(documents: Iterable[Document], label: str) -> dict[str, list[Document]]:
    sorted_out: dict[str, list[Document]] = {}
    for document in documents:
        sorted_out.setdefault(document["metadata"]["labels"][label], []).append(document)
    return sorted_out


def _by_name(documents: Iterable[Document]) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for document in documents}
