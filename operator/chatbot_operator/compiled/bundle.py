"""Objects of one kind, compiled into one file of one ConfigMap: the same objects give the same bytes, whoever compiles.

What a kind needs besides is a `Bundle`; the rest of this folder does not know what the objects say.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatbot_operator import names
from chatbot_operator.cluster.api import Api, Kind
from chatbot_operator.compiled.pages import ServedObject
from chatbot_operator.compiled.reasons import Finding, ReadyReason

Document = dict[str, Any]

MOST_BYTES: Final = 1_000_000
"""A ConfigMap holds 1 MiB (core/v1, `ConfigMap.data`); some is left for its metadata."""

CARD_FROM: Final = "cardFrom"
"""Field of a spec that names a key of a ConfigMap, whose JSON stands in the entry as `card`."""

_DIGEST_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Source:
    """An object as it was read. `status` is as it was written, {} where it has none.

    Attributes:
        card: What `cardFrom` of its spec leads to; None where it has none, or nothing that can be used.
        problem: Why it cannot be compiled; what was compiled before holds then.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    card: Mapping[str, Any] | None = None
    problem: tuple[ReadyReason, str] | None = None

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

    @property
    def card_digest(self) -> str:
        """Changes with the card, which has no generation; "" without one."""
        return "" if self.card is None else digest(_dump(self.card))

    @property
    def entry(self) -> str:
        """Its line of the file."""
        said = {name: value for name, value in self.spec.items() if name != CARD_FROM}
        card = {"card": self.card, "cardDigest": self.card_digest} if self.card is not None else {}
        return _dump({**said, **card, "name": self.name, "generation": self.generation, "uid": self.uid})


Complete = Callable[[Api, str, Sequence[Source]], Awaitable[Sequence[Source]]]


async def _as_they_are(_api: Api, _namespace: str, sources: Sequence[Source]) -> Sequence[Source]:
    return sources


@dataclass(frozen=True, slots=True)
class Bundle:
    """One kind that is compiled.

    Attributes:
        kind: Where the API server has it; its plural is also the field of the file that lists the objects.
        config_map: Name of the ConfigMap in each namespace.
        file: Key of the ConfigMap, and name of the file that pods see.
        label: On Deployments and pods that mount the ConfigMap, with its name as the value.
        page: Path on a pod's port 9090 that tells what is served.
        setting: Of the services: the file.
        second: The condition beside `Ready`, and its reason where nothing was found.
        check: What holds and does not do what its author wanted, from a spec and from what a pod says of it.
        told: More fields of the status, from what a pod says that serves it and from the status before.
        complete: Adds what objects of a namespace name and do not hold themselves.
        most_entry_bytes: Of one object in the file.
    """

    kind: Kind
    config_map: str
    file: str
    label: str
    page: str
    setting: str
    second: tuple[str, str]
    check: Callable[[Mapping[str, Any], Sequence[ServedObject]], tuple[Finding, ...]]
    told: Callable[[Sequence[ServedObject], Mapping[str, Any]], Document] = lambda _pages, _before: {}
    complete: Complete = _as_they_are
    most_entry_bytes: int = MOST_BYTES

    @property
    def plural(self) -> str:
        """Of the resource."""
        return self.kind.plural

    @property
    def told_annotation(self) -> str:
        """On pods: digest of the file that they were told of, see `hastening`."""
        return f"{self.label}-told"

    @property
    def consumers(self) -> str:
        """Selects Deployments and pods that mount it."""
        return f"{self.label}={self.config_map}"


def compiled(bundle: Bundle, sources: Iterable[Source], before: str | None = None) -> str:
    """The file: JSON, which is YAML; one line for each object, in the order of their names.

    Args:
        bundle: Their kind.
        sources: The objects.
        before: The file as it is: objects that cannot be compiled now stand as they stood there.
    """
    sources = sorted(sources, key=lambda source: source.name)
    old = dict(_entries(bundle, before)) if before and any(source.problem for source in sources) else {}
    entries = [old.get(source.uid, "") if source.problem else source.entry for source in sources]
    entries = [entry for entry in entries if entry]
    listed = "\n" + ",\n".join(entries) + "\n" if entries else ""
    return f'{{"{bundle.plural}":[{listed}]}}\n'


def bounded(bundle: Bundle, source: Source) -> Source:
    """The object; one that is too large has that as its problem."""
    size = 0 if source.problem else len(source.entry.encode())
    if size <= bundle.most_entry_bytes:
        return source
    told = f"it takes {size} bytes, one may take {bundle.most_entry_bytes}: shorten its texts, or its card"
    return without_use(source, ReadyReason.TOO_LARGE, told)


def without_use(source: Source, reason: ReadyReason, text: str) -> Source:
    """The object with a problem; the text ends without a period."""
    return Source(
        source.namespace, source.name, source.uid, source.generation, source.resource_version, source.spec,
        source.status, problem=(reason, text),
    )  # fmt: skip


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


def _entries(bundle: Bundle, text: str) -> Iterator[tuple[str, str]]:
    """UID and line of each object that a file has; none where it is not one of ours."""
    try:
        listed = json.loads(text)[bundle.plural]
        for entry in listed:
            yield str(entry["uid"]), _dump(entry)
    except (ValueError, RecursionError, KeyError, TypeError):
        return


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
