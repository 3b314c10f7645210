"""What the API server showed about some Models of a namespace, read at one time."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chatbot_operator import names
from chatbot_operator.cluster import consumers, storage
from chatbot_operator.cluster.api import CLAIMS, CONFIG_MAPS, DEPLOYMENTS, JOBS, MODELS, PODS, Api, Kind
from chatbot_operator.cluster.faults import Missing
from chatbot_operator.cluster.sharing import Sharing
from chatbot_operator.plan.document import status_from_dict
from chatbot_operator.resources import Model, spec_from_dict

Document = dict[str, Any]

MOST_NAMED = 20
"""For more Models than this, whole lists are read instead of the objects of each."""

_MODELS_IN_A_PASS = 50


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Objects as they were read; those of Models that nobody asked about may be missing.

    Attributes:
        models: By name: those that were asked about, and those that share a claim with them.
        sharing: What is named on each of their claims, by its name.
        deployments: By the Model that they consume; so are their pods. A pod may consume one Model of each kind.
        jobs: By the Model that they bring; so are their pods.
        claims: By name.
        config_maps: By name.
    """

    models: Mapping[str, Model]
    sharing: Mapping[str, Sharing]
    deployments: Mapping[str, list[Document]]
    pods: Mapping[str, list[Document]]
    download_pods: Mapping[str, list[Document]]
    jobs: Mapping[str, list[Document]]
    claims: Mapping[str, Document]
    config_maps: Mapping[str, Document]


async def take(api: Api, namespace: str, wanted: frozenset[str]) -> Snapshot:
    """Read the wanted Models, those that share a claim with them, and everything that belongs to these."""
    documents = await api.find(MODELS, namespace)  # to know who shares a claim; only few of many are looked at closer
    models = await _near(documents, wanted)
    on_claim = _by_claim(models.values())
    if not models:
        return Snapshot({}, {}, {}, {}, {}, {}, {}, {})
    of_model, of_download = (_selector(label, set(models)) for label in (names.MODEL_LABEL, names.DOWNLOAD_LABEL))
    deployments, pods, download_pods, jobs, config_maps, claims = await asyncio.gather(
        _consuming(api, DEPLOYMENTS, namespace, models.values()),
        _consuming(api, PODS, namespace, models.values()),
        api.find(PODS, namespace, of_download),
        api.find(JOBS, namespace, of_model),
        api.find(CONFIG_MAPS, namespace, of_model),
        _claims(api, namespace, set(on_claim)),
    )
    naming = {name: [*deployments.get(name, ()), *pods.get(name, ())] for name in models}
    good = _by_name(config_maps)
    return Snapshot(
        models=models,
        sharing={claim: Sharing.of(each, _named(each, naming, good)) for claim, each in on_claim.items()},
        deployments=deployments,
        pods=pods,
        download_pods=_by_label(download_pods, names.DOWNLOAD_LABEL),
        jobs=_by_label(jobs, names.MODEL_LABEL),
        claims=claims,
        config_maps=good,
    )


async def _consuming(api: Api, kind: Kind, namespace: str, models: Iterable[Model]) -> Mapping[str, list[Document]]:
    """Objects that consume some Models, by Model: each kind of Model has a label of its own."""
    by_label: dict[str, set[str]] = {}
    for model in models:
        by_label.setdefault(model.spec.marks.label, set()).add(model.name)
    found = await asyncio.gather(*(api.find(kind, namespace, _selector(*each)) for each in by_label.items()))
    return {
        name: documents
        for (label, wanted), listed in zip(by_label.items(), found, strict=True)
        for name, documents in _by_label(listed, label).items()
        if name in wanted  # a whole list names Models of the other kind, too
    }


async def _near(documents: list[Document], wanted: frozenset[str]) -> dict[str, Model]:
    """The wanted Models and those that share a claim with them; of very many a few in each pass of the event loop."""
    claims = {storage.claim_named_in(each) for each in documents if each["metadata"]["name"] in wanted}
    models: dict[str, Model] = {}
    for document in documents:
        if storage.claim_named_in(document) not in claims:
            continue
        models[document["metadata"]["name"]] = model_from_dict(document)
        if len(models) % _MODELS_IN_A_PASS == 0:
            await asyncio.sleep(0)
    return models


def _by_claim(models: Iterable[Model]) -> dict[str, list[Model]]:
    sorted_out: dict[str, list[Model]] = {}
    for model in models:
        sorted_out.setdefault(storage.claim_of(model), []).append(model)
    return sorted_out


def _named(models: list[Model], naming: Mapping[str, list[Document]], config_maps: Mapping[str, Document]) -> set[str]:
    """Revisions that the Deployments, pods and ConfigMaps of some Models name."""
    named: set[str] = set()
    for model in models:
        named.update(*map(consumers.revisions_named, naming.get(model.name, ())))
        config_map = config_maps.get(names.config_map_name(model.name), {})
        named.add(config_map.get("data", {}).get(names.GOOD_REVISION_KEY, ""))
    return named


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
