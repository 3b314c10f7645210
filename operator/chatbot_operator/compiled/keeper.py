"""One look at the objects of one kind in one namespace: read, plan, write the ConfigMap, write the statuses.

The ConfigMap is read before the objects and written only if it is still the one that was read. So of two operators the
one that saw older objects never has the last word: whoever wrote in between makes the other read again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from chatbot_operator.cluster.api import CONFIG_MAPS, DEPLOYMENTS, PODS, Api
from chatbot_operator.cluster.consumers import is_alive, is_ready, pods_of
from chatbot_operator.cluster.faults import ApiFault, Conflict, Missing, Unreachable
from chatbot_operator.cluster.looks import timed_look
from chatbot_operator.cluster.pages import PodPages
from chatbot_operator.cluster.reader import Key
from chatbot_operator.compiled.bundle import Bundle, Source, config_map, digest
from chatbot_operator.compiled.hastening import Hastener
from chatbot_operator.compiled.pages import ServedFile
from chatbot_operator.compiled.plan import Consumer, Observed, is_ready_status, plan
from chatbot_operator.metrics import Metrics

Document = dict[str, Any]
SayingPod = tuple[Document, ServedFile | None]
logger = logging.getLogger(__name__)

_AFTER_A_CONFLICT_SECONDS: Final = 0.2
_REFUSABLE: Final = (403, 413, 422)
_LONGEST_REFUSAL: Final = 500
_MARK: Final = "/"


def key_of(plural: str, namespace: str) -> Key:
    """The key of a namespace's objects of a kind on the queue; no Model has such a name."""
    return namespace, _MARK + plural


def plural_of(key: Key) -> str:
    """The kind that a key is of; "" for that of a Model."""
    return key[1].removeprefix(_MARK) if key[1].startswith(_MARK) else ""


class Keeper:
    """Keeps the ConfigMap of every namespace true, and says in each object's status who serves it.

    Args:
        bundle: The kind.
        pages: Asks pods what they serve.
        namespaces: Where; none stands for everywhere.
        now: UTC.
    """

    def __init__(
        self,
        bundle: Bundle,
        api: Api,
        pages: PodPages[ServedFile],
        namespaces: Sequence[str],
        *,
        metrics: Metrics,
        now: Callable[[], datetime],
    ) -> None:
        self._bundle = bundle
        self._api = api
        self._pages = pages
        self._namespaces = namespaces
        self._metrics = metrics
        self._now = now
        self._hastener = Hastener(api, bundle.told_annotation)
        self._refusals: dict[str, str] = {}

    async def keys(self) -> list[Key]:
        """A key for each namespace that has objects, or a ConfigMap of some that are gone."""
        if self._namespaces:
            return [key_of(self._bundle.plural, namespace) for namespace in self._namespaces]
        try:
            found = await self._api.find_everywhere(self._bundle.kind)
            found += await self._api.find_everywhere(CONFIG_MAPS, named=self._bundle.config_map)
        except (ApiFault, Unreachable) as error:
            logger.warning("%s could not be listed: %s", self._bundle.plural, error)
            return []
        return [
            key_of(self._bundle.plural, namespace)
            for namespace in sorted({one["metadata"]["namespace"] for one in found})
        ]

    async def reconcile(self, namespace: str) -> float | None:
        """Look at the objects of a namespace once.

        Returns:
            Seconds until it should be looked at again, None where nothing but a change asks for it.

        Raises:
            ApiFault: The API server refused what should not be refused.
            Unreachable: It did not answer in time.
        """
        with timed_look(self._metrics) as look:
            again, look.outcome = await self._look(namespace)
        return again

    async def _look(self, namespace: str) -> tuple[float | None, str]:
        there = await self._config_map(namespace)  # before the objects: see above
        sources = await self._bundle.complete(self._api, namespace, await self._sources(namespace))
        text = (there or {}).get("data", {}).get(self._bundle.file)
        deployments, pods = await self._consumers(namespace) if sources else ([], [])
        refusal = self._refusals.get(namespace, "")
        observed = Observed(_consumers(deployments, pods), text, refusal)
        planned = plan(self._bundle, sources, observed, self._now())
        try:
            if planned.text is not None:
                await self._write(namespace, planned.text, there)
                if self._refusals.get(namespace, "") != refusal:
                    return _AFTER_A_CONFLICT_SECONDS, "ok"  # to say it
            await self._hastener.hasten(namespace, pods, digest(planned.text or text or ""))
            await self._write_statuses(sources, planned.statuses)
        except Conflict:  # changed since it was read: read again, plan again
            return _AFTER_A_CONFLICT_SECONDS, "conflict"
        others = [one.name for one in sources if not is_ready_status(planned.statuses.get(one.name, one.status))]
        ready = len(sources) - len(others)
        self._metrics.saw_compiled(self._bundle.plural, namespace, ready=ready, others=others)
        return planned.again_in_seconds, "ok"

    async def _config_map(self, namespace: str) -> Document | None:
        found = await self._api.find(CONFIG_MAPS, namespace, named=self._bundle.config_map)
        return found[0] if found else None

    async def _sources(self, namespace: str) -> list[Source]:
        try:
            found = await self._api.find(self._bundle.kind, namespace)
        except Missing:  # the cluster does not know the kind
            return []
        return [Source.of(one) for one in found if "deletionTimestamp" not in one["metadata"]]

    async def _consumers(self, namespace: str) -> tuple[list[Document], list[SayingPod]]:
        """Deployments that mount the file, and ready pods that do with what they say."""
        selector = self._bundle.consumers
        deployments, pods = await asyncio.gather(
            self._api.find(DEPLOYMENTS, namespace, selector), self._api.find(PODS, namespace, selector)
        )
        ready = [pod for pod in pods if is_alive(pod) and is_ready(pod)]
        said = await self._pages.ask(ready)
        return deployments, [(pod, said.get(pod["metadata"]["uid"])) for pod in ready]

    async def _write(self, namespace: str, text: str, there: Document | None) -> None:
        """Write the ConfigMap, or remember why not."""
        version = there["metadata"]["resourceVersion"] if there else ""
        document = config_map(self._bundle, namespace, text, version)
        try:
            await (self._api.apply(CONFIG_MAPS, document) if version else self._api.create(CONFIG_MAPS, document))
        except ApiFault as fault:
            if fault.status not in _REFUSABLE:
                raise
            told = fault.message[:_LONGEST_REFUSAL].rstrip(".")
            self._refusals[namespace] = f"to write the ConfigMap {self._bundle.config_map} was refused: {told}"
            return
        self._refusals.pop(namespace, None)
        logger.info("%s are written", self._bundle.config_map, extra={"namespace": namespace})

    async def _write_statuses(self, sources: Sequence[Source], statuses: Mapping[str, Document]) -> None:
        for source in sources:
            status = statuses.get(source.name)
            if status is None:
                continue
            try:
                await self._api.write_status(
                    source.namespace, source.name, status, source.resource_version, kind=self._bundle.kind
                )
            except Missing:  # deleted meanwhile
                continue


def _consumers(deployments: Sequence[Document], pods: Sequence[SayingPod]) -> tuple[Consumer, ...]:
    said = {pod["metadata"]["uid"]: page for pod, page in pods}
    ready = [pod for pod, _ in pods]
    return tuple(
        Consumer(one["metadata"]["name"], tuple(said[pod["metadata"]["uid"]] for pod in pods_of(one, ready)))
        for one in sorted(deployments, key=lambda document: document["metadata"]["name"])
    )
