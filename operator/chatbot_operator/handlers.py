"""What Kopf is told to watch. Its only effect is a key on our queue: no object is ever written by Kopf.

Kopf's create, update and delete handlers, timers and daemons write finalizers and annotations, and an object with a
finalizer hangs in Terminating when the operator is gone first (docs/adr/0009).

Kopf has a thread and an event loop of its own: where it ends with an error it cancels every task of its loop that it
does not know, and the work must go on without watches.
"""

import asyncio
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import kopf

from chatbot_operator import names
from chatbot_operator.cluster.api import MODELS, Api
from chatbot_operator.cluster.faults import ApiFault, Missing, Unreachable
from chatbot_operator.cluster.reader import Key
from chatbot_operator.compiled.keeper import key_of

logger = logging.getLogger(__name__)

_SETTLING_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_AGAIN_SECONDS = 5.0
_LONGEST_AGAIN_SECONDS = 60.0
_FAREWELL_SECONDS = 2.0
_KINDS = (
    (names.GROUP, names.VERSION, names.PLURAL),
    ("apps", "v1", "deployments"),
    ("", "v1", "pods"),
    ("batch", "v1", "jobs"),
    ("", "v1", "persistentvolumeclaims"),
)
_LABELS = (*(marks.label for marks in names.ALL_MARKS), names.DOWNLOAD_LABEL)
_COMPILED = {
    names.TENANTS: (names.TENANTS_LABEL, names.TENANTS_CONFIG_MAP),
    names.CHARACTERS: (names.CHARACTERS_LABEL, names.CHARACTERS_CONFIG_MAP),
}
"""Kinds whose objects become one ConfigMap -> the label of who mounts it, and its value."""


class _Pauses:
    """Pauses between tries of Kopf's own calls: growing, jittered, without end; an outage is no reason to exit."""

    def __iter__(self) -> Iterator[float]:
        for number in itertools.count():
            yield min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(number, 8)) * random.uniform(0.5, 1.0)  # noqa: S311


class _NoMemory(kopf.DiffBaseStorage):
    """What Kopf compares for handlers of changes, of which there are none: a copy of every object at every event."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast(kopf.BodyEssence, {})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return


def registry(add: Callable[[Key, float], None], api: Api) -> kopf.OperatorRegistry:
    """Handlers that put a key on the queue, of a Model or of a namespace's objects of a kind; and the way to log in."""
    handlers = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**await api.connection())

    async def seen(namespace: str | None, name: str | None, **_: Any) -> None:
        add((namespace or "", name or ""), _SETTLING_SECONDS)

    async def belonging_seen(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        for key in _keys_of(namespace or "", labels):
            add(key, _SETTLING_SECONDS)

    async def compiled_seen(namespace: str | None, resource: kopf.Resource, **_: Any) -> None:
        add(key_of(resource.plural, namespace or ""), _SETTLING_SECONDS)

    kopf.on.login(registry=handlers)(login)
    models, *belongings = _KINDS
    kopf.on.event(*models, registry=handlers)(seen)
    for plural in _COMPILED:
        kopf.on.event(names.GROUP, names.VERSION, plural, registry=handlers)(compiled_seen)
    for kind in belongings:
        kopf.on.event(*kind, registry=handlers)(belonging_seen)
    return handlers


def _keys_of(namespace: str, labels: Mapping[str, str]) -> Iterator[Key]:
    """What an object with these labels belongs to."""
    for model in _models_named(labels):
        yield namespace, model
    for plural, (label, config_map) in _COMPILED.items():
        if labels.get(label) == config_map:
            yield key_of(plural, namespace)


def _models_named(labels: Mapping[str, str]) -> set[str]:
    """The Models that an object belongs to: a pod may consume one of each kind."""
    return {labels[label] for label in _LABELS if labels.get(label)}


def watch_settings() -> kopf.OperatorSettings:
    """Kopf as a watcher and nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.error_backoffs = _Pauses()
    settings.persistence.diffbase_storage = _NoMemory()
    return settings


class Watcher:
    """Watches, in a thread, until it is cancelled.

    Args:
        add: Puts a key on the queue; called in the event loop of `run`.
        api: Where to log in.
        namespaces: What to watch; none stands for everything.
    """

    def __init__(self, add: Callable[[Key, float], None], api: Api, namespaces: Sequence[str]) -> None:
        self._add = add
        self._api = api
        self._namespaces = namespaces

    async def run(self) -> None:
        """Watch; where the watches end the ticks go on, and they are started anew."""
        pause_seconds = _AGAIN_SECONDS
        while True:
            await self._until_models_are_known()
            started = time.monotonic()
            error = ""
            try:
                await self._watch_once()
            except Exception as failure:
                error = type(failure).__name__
            logger.warning("the watches ended; ticks go on, and the watches are started anew", extra={"error": error})
            lasted = time.monotonic() - started > _LONGEST_AGAIN_SECONDS
            await asyncio.sleep(_AGAIN_SECONDS if lasted else pause_seconds)
            pause_seconds = _AGAIN_SECONDS if lasted else min(2 * pause_seconds, _LONGEST_AGAIN_SECONDS)

    async def _watch_once(self) -> None:
        loop, stop = asyncio.get_running_loop(), threading.Event()
        ended: asyncio.Future[None] = loop.create_future()

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_exception(error) if error else ended.set_result(None)

        def tell(act: Callable[..., object], *arguments: object) -> None:
            try:
                loop.call_soon_threadsafe(act, *arguments)
            except RuntimeError:  # the operator's own loop is closed: it ends
                stop.set()

        def watch() -> None:
            try:
                asyncio.run(self._kopf(lambda key, delay: tell(self._add, key, delay), stop))
                tell(end, None)
            except BaseException as error:  # whatever it was, the other thread must hear of it
                tell(end, error)

        thread = threading.Thread(target=watch, name="watches", daemon=True)
        thread.start()
        try:
            await ended
        finally:
            stop.set()
            thread.join(_FAREWELL_SECONDS)

    async def _kopf(self, add: Callable[[Key, float], None], stop: threading.Event) -> None:
        try:
            await kopf.operator(
                registry=registry(add, self._api),
                settings=watch_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                stop_flag=stop,
                # Kopf would name itself after its user, who has no name in a container; only peering needs it
                identity=cast(Any, "chatbot-operator"),
            )
        finally:
            stop.set()  # Kopf waits for it in a thread of the loop's executor, and the loop ends only with that thread

    async def _until_models_are_known(self) -> None:
        """Wait for the resource: Kopf looks once which resources there are, and watches none that comes later."""
        while True:
            try:
                if self._namespaces:
                    await self._api.find(MODELS, self._namespaces[0])
                else:
                    await self._api.find_everywhere(MODELS)
            except Missing:
                logger.warning(
                    "the cluster does not know Models; install the CustomResourceDefinition models.chatbot.ai"
                )
            except (ApiFault, Unreachable):
                return
            else:
                return
            await asyncio.sleep(_AGAIN_SECONDS)
