"""The keeper of Tenants on an API server in memory: who has the last word, and what a refused write is called."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from chatbot_operator.cluster.api import CONFIG_MAPS, DEPLOYMENTS, MERGE, PODS, TENANTS, Api, Kind
from chatbot_operator.cluster.faults import Conflict, refusal
from chatbot_operator.cluster.pages import PodPages
from chatbot_operator.compiled.bundle import config_map, digest
from chatbot_operator.compiled.keeper import Keeper, key_of
from chatbot_operator.compiled.pages import ServedFile, ServedObject
from chatbot_operator.metrics import Metrics
from chatbot_operator.tenants.bundle import TENANTS as BUNDLE

Document = dict[str, Any]


class MemoryApi:
    """Objects of one namespace, with the versions that decide who may write.

    Attributes:
        before_write: Awaited before each write of a ConfigMap: what somebody else does meanwhile.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str], Document] = {}
        self.before_write: Callable[[], Awaitable[None]] | None = None
        self.refuses: Exception | None = None
        self.refuses_patches: Exception | None = None
        self.patches = 0
        self.has_kind = True
        self.writes: list[str] = []
        self.texts: list[str] = []
        self._version = 0

    def put(self, kind: Kind, document: Document) -> None:
        self._version += 1
        metadata = document["metadata"] | {"resourceVersion": str(self._version)}
        self.objects[kind, metadata["name"]] = document | {"metadata": metadata}

    def tenant(self, name: str = "acme", generation: int = 1, **spec: Any) -> None:
        metadata = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "generation": generation}
        self.put(TENANTS, {"metadata": metadata, "spec": spec})

    @property
    def text(self) -> str:
        return str(self.objects[CONFIG_MAPS, BUNDLE.config_map]["data"][BUNDLE.file])

    def ready(self, name: str = "acme") -> tuple[str, str]:
        found = self.objects[TENANTS, name]["status"]["conditions"][0]
        return found["status"], found["reason"]

    async def find(self, kind: Kind, namespace: str, selector: str = "", *, named: str = "") -> list[Document]:
        if kind == TENANTS and not self.has_kind:
            raise refusal(404, "NotFound", "the server could not find the requested resource")
        return copy.deepcopy([one for (of, name), one in self.objects.items() if of == kind and named in ("", name)])

    async def find_everywhere(self, kind: Kind, *, named: str = "") -> list[Document]:
        return await self.find(kind, "", named=named)

    async def create(self, kind: Kind, document: Document) -> None:
        await self._write(kind, document, is_new=True)

    async def apply(self, kind: Kind, document: Document) -> None:
        await self._write(kind, document, is_new=False)

    async def _write(self, kind: Kind, document: Document, *, is_new: bool) -> None:
        if self.before_write is not None:
            meanwhile, self.before_write = self.before_write, None
            await meanwhile()
        if self.refuses is not None:
            raise self.refuses
        there = self.objects.get((kind, document["metadata"]["name"]))
        if is_new != (there is None):
            raise refusal(409, "AlreadyExists", "")
        read = document["metadata"].get("resourceVersion")
        if read is not None and there is not None and there["metadata"]["resourceVersion"] != read:
            raise refusal(409, "Conflict", "")
        self.writes.append("file")
        self.texts.append(document["data"][BUNDLE.file])
        self.put(kind, document)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Document, flavour: str) -> None:
        if self.refuses_patches is not None:
            self.patches += 1
            raise self.refuses_patches
        assert flavour == MERGE
        self.patches += 1
        there = self.objects[kind, name]
        self.put(kind, there | {"metadata": there["metadata"] | patch["metadata"]})

    async def write_status(self, namespace: str, name: str, status: Document, version: str, kind: Kind) -> None:
        there = self.objects[kind, name]
        if there["metadata"]["resourceVersion"] != version:
            raise refusal(409, "Conflict", "")
        self.writes.append(f"status {name}")
        self.put(kind, there | {"status": status})


class Said:
    """What pods say."""

    def __init__(self, pages: dict[str, ServedFile]) -> None:
        self.pages = pages

    async def ask(self, pods: Iterable[Document]) -> dict[str, ServedFile]:
        names = [pod["metadata"]["uid"] for pod in pods]
        return {name: page for name, page in self.pages.items() if name in names}


def keeper(api: MemoryApi, said: Said | None = None, metrics: Metrics | None = None) -> Keeper:
    pages = cast(PodPages[ServedFile], said or Said({}))
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Keeper(BUNDLE, cast(Api, api), pages, [], metrics=metrics or Metrics(), now=lambda: now)


async def settle(one: Keeper) -> list[float | None]:
    """Looks until nothing but a change asks for another; how long each wanted to wait."""
    waits: list[float | None] = []
    while not waits or (waits[-1] is not None and waits[-1] < 1):
        waits.append(await one.reconcile("ns"))
        assert len(waits) < 20
    return waits


async def test_a_tenant_is_compiled_once_and_then_all_is_quiet() -> None:
    api, metrics = MemoryApi(), Metrics()
    api.tenant(suspended=True)
    one = keeper(api, metrics=metrics)
    await settle(one)
    await settle(one)

    assert '"suspended":true' in api.text
    assert api.ready() == ("True", "NoConsumer")
    assert api.writes == ["file", "status acme"]
    sample = metrics.registry.get_sample_value("chatbot_tenants", {"tenant_namespace": "ns", "ready": "true"})
    assert sample == 1


async def test_where_nobody_has_tenants_nothing_is_written() -> None:
    api = MemoryApi()
    await settle(keeper(api))
    api.has_kind = False
    await settle(keeper(api))

    assert api.writes == []


async def test_who_saw_older_tenants_never_has_the_last_word() -> None:
    """One reads generation 1; before it writes, another one reads and writes generation 2."""
    api = MemoryApi()
    api.tenant()
    await settle(keeper(api))
    api.tenant(generation=2, suspended=True)

    async def meanwhile() -> None:
        api.tenant(generation=3, services=["office"])
        await settle(keeper(api))

    api.before_write = meanwhile
    slow = keeper(api)
    waits = await settle(slow)

    assert [text.partition('"generation":')[2][0] for text in api.texts] == ["1", "3"]  # never back to 2
    assert waits[0] is not None  # it was told, and read again
    assert api.ready() == ("True", "NoConsumer")


async def test_two_that_create_the_file_at_once_make_one() -> None:
    api = MemoryApi()
    api.tenant()

    async def meanwhile() -> None:
        await settle(keeper(api))

    api.before_write = meanwhile
    await settle(keeper(api))

    assert api.writes == ["file", "status acme"]


@pytest.mark.parametrize("status", [403, 413, 422])
async def test_a_refused_file_is_told_and_tried_again(status: int) -> None:
    api, metrics = MemoryApi(), Metrics()
    api.tenant()
    api.refuses = refusal(status, "Forbidden", "exceeded quota: small.")
    one = keeper(api, metrics=metrics)
    labels = {"tenant": "acme", "tenant_namespace": "ns"}
    await settle(one)
    assert metrics.registry.get_sample_value("chatbot_tenant_not_ready", labels) == 1
    refused, message = api.ready(), api.objects[TENANTS, "acme"]["status"]["conditions"][0]["message"]
    api.refuses = None
    await settle(one)

    assert metrics.registry.get_sample_value("chatbot_tenant_not_ready", labels) is None
    assert refused == ("False", "WriteRefused")
    assert message == "to write the ConfigMap chatbot-tenants was refused: exceeded quota: small"
    assert api.ready() == ("True", "NoConsumer")


async def test_a_fault_that_is_no_refusal_is_tried_later() -> None:
    api, metrics = MemoryApi(), Metrics()
    api.tenant()
    api.refuses = refusal(500, "InternalError", "etcd")

    with pytest.raises(Exception, match="500"):
        await keeper(api, metrics=metrics).reconcile("ns")
    assert metrics.registry.get_sample_value("chatbot_reconcile_seconds_count", {"outcome": "refused"}) == 1


async def test_ready_pods_of_consumers_are_asked() -> None:
    api = MemoryApi()
    api.tenant(generation=4)
    api.put(DEPLOYMENTS, {"metadata": {"name": "office", "namespace": "ns"}})
    for name, state in (("a", "True"), ("b", "True"), ("c", "False")):
        api.put(PODS, pod(name, state))
    said = Said({"a": ServedFile("serving", objects={"uid-acme": ServedObject(4)})})
    waits = await settle(keeper(api, said))
    behind = api.objects[TENANTS, "acme"]["status"]
    said.pages["b"] = said.pages["a"]
    await settle(keeper(api, said))

    assert behind["conditions"][0]["reason"] == "NoAnswer"
    assert "office: 1 of 2 ready pods" in behind["conditions"][0]["message"]
    assert waits[-1] == 5.0  # nothing tells when the kubelet is through
    assert api.ready() == ("True", "Applied")


def with_pods(*names: str) -> MemoryApi:
    """One tenant, and an office with ready pods."""
    api = MemoryApi()
    api.tenant()
    api.put(DEPLOYMENTS, {"metadata": {"name": "office", "namespace": "ns"}})
    for name in names:
        api.put(PODS, pod(name, "True"))
    return api


def told(api: MemoryApi, name: str) -> str:
    """Which file a pod was told of."""
    return str(api.objects[PODS, name]["metadata"].get("annotations", {}).get("chatbot.ai/tenants-told", ""))


async def test_pods_that_are_behind_are_told_of_a_file_once_so_that_the_kubelet_comes() -> None:
    api = with_pods("a", "b", "silent")
    said = Said({"a": ServedFile("serving", "old"), "b": ServedFile("none")})
    one = keeper(api, said)
    await settle(one)
    await settle(one)
    first = digest(api.text)
    said.pages["a"] = said.pages["b"] = ServedFile("serving", first)
    await settle(one)

    assert (told(api, "a"), told(api, "b"), told(api, "silent")) == (first, first, "")
    assert api.patches == 2, "not again while they are on their way, nor when they are there"
    api.tenant(generation=2, suspended=True)
    await settle(one)
    assert told(api, "a") == told(api, "b") == digest(api.text) != first


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (404, 4), (409, 4)])
async def test_a_pod_that_cannot_be_told_stops_nothing(status: int, tries: int) -> None:
    """Without the right nobody is asked again; who is gone, or changes just now, is met at the next look."""
    api = with_pods("a", "b")
    api.refuses_patches = refusal(status, "", "no")
    one = keeper(api, Said({"a": ServedFile("none"), "b": ServedFile("none")}))
    await settle(one)
    await settle(one)

    assert api.patches == tries
    assert api.ready() == ("False", "Progressing")


async def test_namespaces_whose_last_tenant_is_gone_are_still_looked_at() -> None:
    api = MemoryApi()
    api.tenant()
    api.put(CONFIG_MAPS, config_map(BUNDLE, "elsewhere", "x"))

    assert await keeper(api).keys() == [key_of("tenants", "elsewhere"), key_of("tenants", "ns")]


def pod(name: str, ready: str) -> Document:
    owner = {"kind": "ReplicaSet", "name": "office-hash"}
    metadata = {"name": name, "namespace": "ns", "uid": name, "labels": {"pod-template-hash": "hash"}}
    return {
        "metadata": metadata | {"ownerReferences": [owner]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_a_conflict_is_what_the_memory_raises() -> None:
    """Or the tests above would prove nothing."""
    api = MemoryApi()
    api.tenant()

    with pytest.raises(Conflict):
        asyncio.run(api.write_status("ns", "acme", {}, "0", TENANTS))
