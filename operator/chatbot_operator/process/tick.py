"""The periodic look at every Model: it finds what a lost watch did not tell, and it is the operator's sign of life."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from chatbot_operator.cluster.api import MODELS, Api, Document
from chatbot_operator.cluster.faults import ApiFault, Unreachable
from chatbot_operator.cluster.reader import Key
from chatbot_operator.metrics import Metrics
from chatbot_operator.process.heartbeat import Heartbeat
from chatbot_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)


class Tick:
    """Has the queue work through every Model, and beats.

    Args:
        namespaces: Where to look; none stands for everywhere.
        every_seconds: Time between two ticks, a tenth more or less.
        metrics: Counts lists that failed: without a list no Model is looked at, and nothing else would tell.
    """

    def __init__(
        self,
        api: Api,
        queue: WorkQueue[Key],
        heartbeat: Heartbeat,
        namespaces: Sequence[str],
        *,
        every_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._api = api
        self._queue = queue
        self._heartbeat = heartbeat
        self._namespaces = namespaces
        self._every_seconds = every_seconds
        self._metrics = metrics
        self._more: list[Callable[[], Awaitable[list[Key]]]] = []

    def also(self, keys: Callable[[], Awaitable[list[Key]]]) -> None:
        """Look at these keys, too, with each tick; they are asked for anew each time, and never raise."""
        self._more.append(keys)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self._queue.work_through(await self._keys(), self._heartbeat.beat)
            self._heartbeat.beat()
            await asyncio.sleep(self._every_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def _keys(self) -> list[Key]:
        """Every Model of every namespace that can be read, and whatever else there is to look at."""
        found = [await self._models(namespace) for namespace in self._namespaces or ("",)]
        keys = [(model["metadata"]["namespace"], model["metadata"]["name"]) for models in found for model in models]
        return keys + [key for more in self._more for key in await more()]

    async def _models(self, namespace: str) -> list[Document]:
        """An API server that is down, or a right that is missing, is no failure of ours: that it was asked counts."""
        started = time.monotonic()
        try:
            return await (self._api.find(MODELS, namespace) if namespace else self._api.find_everywhere(MODELS))
        except (ApiFault, Unreachable) as error:
            logger.warning("Models could not be listed: %s", error, extra={"namespace": namespace or "(all)"})
            outcome = "unreachable" if isinstance(error, Unreachable) else "refused"
            self._metrics.reconcile_seconds.labels(outcome).observe(time.monotonic() - started)
            return []
