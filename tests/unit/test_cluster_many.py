"""Reading for many Models: together, a namespace once at a time, in pages, and then each in its turn."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from chatbot_operator.actor import Actor
from chatbot_operator.cluster import storage
from chatbot_operator.cluster.api import CONFIG_MAPS, DEPLOYMENTS, MODELS, PODS, Api, Kind
from chatbot_operator.cluster.reader import Reader
from chatbot_operator.cluster.served import ModelPages
from chatbot_operator.main import job_settings
from chatbot_operator.metrics import Metrics
from chatbot_operator.names import ModelKind
from chatbot_operator.observed import Observed
from chatbot_operator.reconcile import Reconciler
from chatbot_operator.settings import DownloadSettings
from parts.kube_objects import GOOD_1, GOOD_2, consumer, model, revision_of
from parts.virtual_time import run_virtual

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class SlowApi(Api):
    """An API server without objects, of which every list takes a while."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), 1.0)
        self.at_once = self.most_at_once = self.lists_of_models = 0

    async def find(self, kind: Kind, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.lists_of_models += kind is MODELS
        await asyncio.sleep(4)
        self.at_once -= 1
        return []


def test_a_slow_api_server_is_asked_once_at_a_time_however_many_ask() -> None:
    async def scene() -> SlowApi:
        api = SlowApi()
        reader = Reader(api, {}, lambda: NOW)

        async def ask(number: int) -> None:
            await asyncio.sleep(number * 0.1)
            assert await reader.read(("space", f"model-{number}")) is None

        await asyncio.gather(*(ask(number) for number in range(100)))
        return api

    api = run_virtual(scene())

    assert api.most_at_once == 1
    assert api.lists_of_models == 3, "at 0, 5 and 10 s: after one that took long, the next waits a second for company"


class PagedApi(Api):
    """An API server that gives three objects in pages of two."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None), 1.0)
        self.asked: list[dict[str, list[str]]] = []

    async def _exchange(self, method: str, path: str, body: Any, flavour: str) -> tuple[int, str]:
        self.asked.append(parse_qs(urlsplit(path).query))
        is_first = "continue" not in self.asked[-1]
        numbers, more = (("1", "2"), "more") if is_first else (("3",), "")
        items = [{"metadata": {"name": number, "managedFields": [{"manager": "somebody"}]}} for number in numbers]
        return 200, json.dumps({"items": items, "metadata": {"continue": more}})


async def test_a_list_is_read_page_by_page() -> None:
    api = PagedApi()

    found = await api.find(MODELS, "space", "chatbot.ai/model")

    assert found == [{"metadata": {"name": number}} for number in "123"], "without who owns which field"
    assert [asked.get("continue") for asked in api.asked] == [None, ["more"]]
    assert all(asked["labelSelector"] == ["chatbot.ai/model"] and int(asked["limit"][0]) > 0 for asked in api.asked)


class SilentClient:
    """An API server that answers what is read and takes for ever over what is written."""

    def __init__(self) -> None:
        self.writes = 0

    async def param_serialize(self, method: str, path: str, **_: object) -> tuple[str, str, None, None, None]:
        return method, path, None, None, None

    async def call_api(self, method: str, *_: object, **__: object) -> Any:
        if method != "GET":
            self.writes += 1
            await asyncio.Event().wait()
        return self

    status = 200

    async def read(self) -> bytes:
        return b'{"items": []}'


async def test_reading_does_not_wait_behind_what_many_models_write() -> None:
    client = SilentClient()
    api = Api(cast(Any, client), 1.0)
    writes = [asyncio.create_task(api.write_status("space", f"model-{number}", {}, "1")) for number in range(1000)]
    await asyncio.sleep(0.01)

    assert await asyncio.wait_for(api.find(MODELS, "space"), 60) == []

    assert 0 < client.writes < 50, "of a thousand few are under way at once"
    for write in writes:
        write.cancel()
    await asyncio.gather(*writes, return_exceptions=True)


class FullApi(Api):
    """An API server that has objects, and gives all of a kind with the label that was asked for."""

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        super().__init__(cast(Any, None), 1.0)
        self._objects = objects

    async def find(self, kind: Kind, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        label, found = selector.partition(" ")[0], self._objects.get(kind.plural, [])
        return [one for one in found if not label or label in one["metadata"].get("labels", ())]

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        return next(one for one in self._objects[kind.plural] if one["metadata"]["name"] == name)


def made(document: dict[str, Any], uid: str) -> dict[str, Any]:
    """An object as the API server gives it."""
    document["metadata"] |= {"uid": uid, "generation": 1, "resourceVersion": "1"}
    return document


def models_on_one_claim(*sums: str) -> list[dict[str, Any]]:
    place = {"existingClaim": "shared", "size": ""}
    names = (f"model-{number}" for number in range(len(sums)))
    return [made(model("space", name, sha256, storage=place), name) for name, sha256 in zip(names, sums, strict=True)]


CLAIM = {"metadata": {"name": "shared"}, "spec": {}}


class NoPages(ModelPages):
    """Nobody answers."""

    def __init__(self) -> None:
        return

    async def ask(self, pods: object) -> dict[str, Any]:
        return {}


def nobody() -> dict[ModelKind, ModelPages]:
    """For Models of every kind."""
    return {"Chat": NoPages(), "Embedding": NoPages()}


async def seen(api: Api, names: list[str]) -> list[Observed]:
    reader = Reader(api, nobody(), lambda: NOW)
    found = await asyncio.gather(*(reader.read(("space", name)) for name in names))
    return [observed for _, observed in filter(None, found)]


async def test_models_that_were_read_together_are_given_out_one_in_each_pass_of_the_event_loop() -> None:
    documents = [made(model("space", f"model-{number}"), str(number)) for number in range(200)]
    reader = Reader(FullApi(models=documents), nobody(), lambda: NOW)
    given_out = asyncio.Queue[str]()

    async def read(name: str) -> None:
        assert await reader.read(("space", name))
        given_out.put_nowait(name)

    async with asyncio.TaskGroup() as group:
        for number in range(200):
            group.create_task(read(f"model-{number}"))
        most, total = 0, 0
        while total < 200:
            await asyncio.sleep(0)  # a pass
            count = given_out.qsize()
            total += count
            most = max(most, count)
            for _ in range(count):
                given_out.get_nowait()

    assert most == 1


async def test_a_model_keeps_what_anything_else_on_its_claim_names() -> None:
    third, fourth = "4" * 64, "5" * 64
    models = models_on_one_claim(GOOD_1, GOOD_1, GOOD_2)
    annotations = {"annotations": {"chatbot.ai/model-revision": revision_of(third)}}
    deployment = made(consumer("space", "office", "model-2"), "office")
    deployment["spec"]["template"]["metadata"] |= annotations
    pod = {"metadata": {"labels": {"chatbot.ai/model": "model-0"}, "uid": "pod", **annotations}, "spec": {}}
    labels = {"labels": {"chatbot.ai/model": "model-1"}}
    good = {"metadata": {"name": "model-model-1", **labels}, "data": {"good-revision": revision_of(fourth)}}
    lists = {kind.plural: [one] for kind, one in ((DEPLOYMENTS, deployment), (PODS, pod), (CONFIG_MAPS, good))}

    observed = await seen(FullApi(models=models, **lists, persistentvolumeclaims=[CLAIM]), ["model-0", "model-2"])

    always = {revision_of(third), revision_of(fourth)}
    assert [set(one.keep) for one in observed] == [
        always | {revision_of(GOOD_1), revision_of(GOOD_2)},
        always | {revision_of(GOOD_1)},
    ], "what a Model alone wants is not something else's wish"
    assert [len(one.keep_partials) for one in observed] == [2, 2]


async def test_a_pod_that_consumes_a_model_of_each_kind_is_seen_by_both_and_by_no_other() -> None:
    documents = [made(model("space", name, GOOD_1), name) for name in ("llama", "bge", "other")]
    documents[1]["spec"]["kind"] = "Embedding"
    both = {"chatbot.ai/model": "llama", "chatbot.ai/embedding-model": "bge"}
    crossed = {"chatbot.ai/model": "bge", "chatbot.ai/embedding-model": "llama"}
    deployments = [made(consumer("space", name), name) for name in ("office", "crossed")]
    for deployment, labels in zip(deployments, (both, crossed), strict=True):
        deployment["metadata"]["labels"] = labels
    annotations = {"chatbot.ai/model-revision": "a" * 16, "chatbot.ai/embedding-revision": "b" * 16}
    deployments[0]["spec"]["template"]["metadata"]["annotations"] = annotations

    claims = [{"metadata": {"name": f"model-{name}"}, "spec": {}} for name in ("llama", "bge", "other")]
    api = FullApi(models=documents, deployments=deployments, persistentvolumeclaims=claims)

    observed = await seen(api, ["llama", "bge", "other"])

    assert [[(each.name, each.annotation) for each in one.consumers] for one in observed] == [
        [("office", "a" * 16)],
        [("office", "b" * 16)],
        [],
    ]


async def test_models_on_one_claim_are_asked_what_they_want_a_few_times_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    revisions_of = storage.revisions_of

    def counting(model: Any) -> set[str]:
        nonlocal asked
        asked += 1
        return revisions_of(model)

    monkeypatch.setattr(storage, "revisions_of", counting)
    models = models_on_one_claim(*[GOOD_1] * 100)

    await seen(FullApi(models=models, persistentvolumeclaims=[CLAIM]), [f"model-{number}" for number in range(100)])

    assert asked == 200, "not 100 x 100"


class SlowlyWriting(FullApi):
    """Every write takes a second, and so few are answered at once as a client asks for."""

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        super().__init__(**objects)
        self.statuses = 0

    async def write_status(self, *_: object) -> dict[str, Any]:
        self.statuses += 1
        return await self._write()

    async def create(self, *_: object) -> dict[str, Any]:
        return await self._write()

    async def _write(self) -> dict[str, Any]:
        async with self._writes:
            await asyncio.sleep(1)
        return {}


def test_of_many_models_the_first_are_through_before_the_last_have_begun() -> None:
    async def scene() -> list[int]:
        documents = [made(model("space", f"model-{number}"), str(number)) for number in range(500)]
        api = SlowlyWriting(models=documents)
        actor = Actor(api, job_settings(DownloadSettings()))
        reconciler = Reconciler(api, Reader(api, nobody(), lambda: NOW), actor, Metrics(), lambda: NOW)
        begun: list[int] = []

        async def look(number: int) -> None:
            await reconciler.reconcile(("space", f"model-{number}"))
            begun.append(api.statuses)

        await asyncio.gather(*(look(number) for number in range(500)))
        return begun

    begun = run_virtual(scene())

    assert begun[0] <= 40, "not all of them"
    assert len(begun) == begun[-1] == 500
