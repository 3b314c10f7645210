"""From a Model's key to what planning needs. Keys that are due together are read together."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chatbot_operator import names
from chatbot_operator.cluster import consumers, downloads, snapshot, storage
from chatbot_operator.cluster.api import MODELS, Api
from chatbot_operator.cluster.faults import ApiFault, Unreachable
from chatbot_operator.cluster.served import ModelPages
from chatbot_operator.cluster.snapshot import Snapshot
from chatbot_operator.names import ModelKind
from chatbot_operator.observed import DownloadJob, Observed
from chatbot_operator.resources import Model

Document = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of a Model."""

_LEAST_GATHERING_SECONDS = 0.05
_MOST_GATHERING_SECONDS = 1.0


class Reader:
    """Reads Models with their surroundings.

    A read never begins before it was asked for, so what is returned is at least as new as the event that caused it.
    1,000 Models that are due at once cost the calls of one. A namespace is read once at a time: who comes meanwhile
    waits for the next read and shares it, so a slow API server is asked less often, not more. A read waits for company
    as long as the one before took: where there is much to read, half of the time is spent on it, and not all of it.
    """

    def __init__(self, api: Api, pages: Mapping[ModelKind, ModelPages], now: Callable[[], datetime]) -> None:
        self._api = api
        self._pages = pages
        self._now = now
        self._gathering: dict[str, tuple[set[str], asyncio.Task[Snapshot]]] = {}
        self._reading: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._took_seconds: dict[str, float] = {}
        self._turn = asyncio.Lock()

    async def read(self, key: Key) -> tuple[Model, Observed] | None:
        """A Model and what the cluster shows about it; None where there is no such Model.

        Raises:
            ApiFault: The API server refused to show something.
            Unreachable: It did not answer in time.
        """
        namespace, name = key
        seen = await self._snapshot(namespace, name)
        model = seen.models.get(name)
        return (model, await self._observed(model, seen)) if model else None

    async def read_model(self, key: Key) -> Model:
        """A Model alone, for when what belongs to it cannot be read.

        Raises:
            ApiFault: It is gone, or cannot be read either.
            Unreachable: The API server did not answer in time.
        """
        return snapshot.model_from_dict(await self._api.get(MODELS, *key))

    async def _snapshot(self, namespace: str, name: str) -> Snapshot:
        if namespace not in self._gathering:
            wanted: set[str] = set()
            self._gathering[namespace] = wanted, asyncio.create_task(self._take(namespace, wanted))
        wanted, task = self._gathering[namespace]
        wanted.add(name)
        return await asyncio.shield(task)

    async def _take(self, namespace: str, wanted: set[str]) -> Snapshot:
        async with self._reading[namespace]:
            loop, took_seconds = asyncio.get_running_loop(), self._took_seconds.get(namespace, 0.0)
            await asyncio.sleep(min(max(_LEAST_GATHERING_SECONDS, took_seconds), _MOST_GATHERING_SECONDS))
            del self._gathering[namespace]  # who comes from now on gets the next one
            started = loop.time()
            try:
                return await snapshot.take(self._api, namespace, frozenset(wanted))
            finally:
                self._took_seconds[namespace] = loop.time() - started

    async def _observed(self, model: Model, seen: Snapshot) -> Observed:
        deployments, pods = seen.deployments.get(model.name, []), seen.pods.get(model.name, [])
        served = await self._pages[model.spec.kind].ask(pod for pod in pods if consumers.is_alive(pod))
        await self._in_turn()
        now = self._now()
        claim = seen.claims.get(storage.claim_of(model))
        config_map = seen.config_maps.get(names.config_map_name(model.name))
        keep, keep_partials = seen.sharing[storage.claim_of(model)].kept_for(model)
        return Observed(
            claim=storage.claim(claim, model) if claim else None,
            jobs=tuple([await self._job(model, job, seen) for job in seen.jobs.get(model.name, [])]),
            consumers=tuple(consumers.consumer(d, pods, served, now, model.spec.kind) for d in _by_age(deployments)),
            good_revision=config_map.get("data", {}).get(names.GOOD_REVISION_KEY, "") if config_map else None,
            config_map_owned=config_map is not None and storage.is_owned(config_map, model),
            keep=keep,
            keep_partials=keep_partials,
        )

    async def _in_turn(self) -> None:
        """One Model in each pass of the event loop.

        What was read together is there for all at once. To plan a thousand in one pass would hold everything else up:
        probes, watches, and answers of pods, which would then seem silent.
        """
        async with self._turn:
            await asyncio.sleep(0)

    async def _job(self, model: Model, job: Document, seen: Snapshot) -> DownloadJob:
        pods = downloads.pods_of(job, seen.download_pods.get(model.name, []))
        writing = [pod for pod in pods if downloads.is_writing(pod)]
        line = await self._log_line(writing[-1]) if writing else ""
        return downloads.download_job(job, pods, line, self._now())

    async def _log_line(self, pod: Document) -> str:
        """No log is no error: then the progress is not known."""
        try:
            return await self._api.last_log_line(pod["metadata"]["namespace"], pod["metadata"]["name"])
        except (ApiFault, Unreachable):
            return ""


def _by_age(documents: list[Document]) -> list[Document]:
    """A fixed order, so that consumers are rolled out in the same one whoever looks."""
    return sorted(documents, key=lambda document: document["metadata"]["name"])
