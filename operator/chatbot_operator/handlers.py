"""What Kopf is told to watch. Its only effect is a key on our queue: no object is ever written by Kopf.

Kopf's create, update and delete handlers, timers and daemons write finalizers and annotations, and an object with a
finalizer hangs in Terminating when the operator is gone first (docs/adr/0009).
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import kopf

from chatbot_operator import names
from chatbot_operator.cluster.api import Api
from chatbot_operator.cluster.reader import Key

_SETTLING_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_KINDS = (
    (names.GROUP, names.VERSION, names.PLURAL),
    ("apps", "v1", "deployments"),
    ("", "v1", "pods"),
    ("batch", "v1", "jobs"),
    ("", "v1", "persistentvolumeclaims"),
)


class _Pauses:
    """Pauses between tries of Kopf's own calls: growing, jittered, without end; an outage is no reason to exit."""

    def __iter__(self) -> Iterator[float]:
        for number in itertools.count():
            yield min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(number, 8)) * random.uniform(0.5, 1.0)  # noqa: S311


def registry(add: Callable[[Key, float], None], api: Api) -> kopf.OperatorRegistry:
    """Handlers that put the Model's key on the queue, and the way to log in."""
    handlers = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(**await api.connection())

    async def seen(namespace: str | None, name: str | None, **_: Any) -> None:
        add((namespace or "", name or ""), _SETTLING_SECONDS)

    async def belonging_seen(namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        model = labels.get(names.MODEL_LABEL) or labels.get(names.DOWNLOAD_LABEL)
        if model:
            add((namespace or "", model), _SETTLING_SECONDS)

    kopf.on.login(registry=handlers)(login)
    models, *belongings = _KINDS
    kopf.on.event(*models, registry=handlers)(seen)
    for kind in belongings:
        kopf.on.event(*kind, registry=handlers)(belonging_seen)
    return handlers


def watch_settings() -> kopf.OperatorSettings:
    """Kopf as a watcher and nothing else."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.error_backoffs = _Pauses()
    return settings
