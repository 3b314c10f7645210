"""`chatbot-operator`: settings, connections, queue, tick, and Kopf as the watcher."""

import argparse
import asyncio
import logging
import random
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from chatbot_operator import __version__
from chatbot_operator.actor import Actor
from chatbot_operator.builders import JobSettings
from chatbot_operator.characters.bundle import CHARACTERS
from chatbot_operator.cluster.api import Api
from chatbot_operator.cluster.pages import PodPages
from chatbot_operator.cluster.reader import Key, Reader
from chatbot_operator.cluster.served import ModelPages
from chatbot_operator.compiled.keeper import Keeper, plural_of
from chatbot_operator.compiled.pages import MOST_BYTES, read
from chatbot_operator.handlers import Watcher
from chatbot_operator.metrics import Metrics
from chatbot_operator.names import ModelKind
from chatbot_operator.process.endpoints import endpoints
from chatbot_operator.process.environment import WrongEnvironment, load_settings, shown
from chatbot_operator.process.heartbeat import Heartbeat
from chatbot_operator.process.logs import set_up_logs
from chatbot_operator.process.tick import Tick
from chatbot_operator.reconcile import Reconciler, report
from chatbot_operator.settings import DownloadSettings, Settings
from chatbot_operator.tenants.bundle import TENANTS
from chatbot_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

_SWITCH_SECONDS = 0.0005
"""The watches' thread may hold the interpreter so long while this one has something to do.

A burst of events keeps that thread busy, and each read or write of a socket here waits that long for its turn: with
Python's own 5 ms to ask 600 pods what they serve took 1.1-3.2 times as long.
"""

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Look after Models until a signal ends it."""
    parser = argparse.ArgumentParser(
        prog="chatbot-operator", description="Looks after Models, Tenants and Characters (chatbot.ai/v1alpha1)."
    )
    parser.add_argument("--show-settings", action="store_true", help="print every setting and end")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
    except WrongEnvironment as wrong:
        print("\n".join(wrong.problems), file=sys.stderr)  # noqa: T201 - before there are logs
        return 2
    if options.show_settings:
        print(shown(settings))  # noqa: T201 - this is the command's answer
        return 0
    set_up_logs(settings.log.level)
    sys.setswitchinterval(_SWITCH_SECONDS)
    asyncio.run(operate(settings))
    return 0


async def operate(settings: Settings) -> None:
    """Run until a signal ends it. Safe to be killed at any point."""
    namespaces = _namespaces(settings)
    async with AsyncExitStack() as stack:
        api = await Api.connect(settings.api.kubeconfig, settings.api.timeout_seconds)
        stack.push_async_callback(api.close)
        urls: dict[ModelKind, str] = {"Chat": settings.pods.model_url, "Embedding": settings.pods.embedding_url}
        pages = {kind: ModelPages(url, settings.pods.timeout_seconds) for kind, url in urls.items()}
        for asked in pages.values():
            stack.push_async_callback(asked.close)
        metrics, heartbeat = Metrics(), Heartbeat()
        actor = Actor(api, job_settings(settings.download))
        reconciler = Reconciler(api, Reader(api, pages, _now), actor, metrics, _now)
        keepers = _keepers(stack, settings, api, metrics)

        async def work(key: Key) -> float | None:
            plural = plural_of(key)
            return await (keepers[plural].reconcile(key[0]) if plural else reconciler.reconcile(key))

        queue: WorkQueue[Key] = WorkQueue(work, report, random.Random())  # noqa: S311 - jitter
        tick = Tick(api, queue, heartbeat, namespaces, every_seconds=settings.work.tick_seconds, metrics=metrics)
        for keeper in keepers.values():
            tick.also(keeper.keys)
        await stack.enter_async_context(
            endpoints(settings.metrics.host, settings.metrics.port, metrics.registry, heartbeat)
        )
        watcher = Watcher(queue.add, api, namespaces)
        logger.info(
            "looking after Models, Tenants and Characters", extra={"namespace": ",".join(namespaces) or "(all)"}
        )
        await _until_a_signal(queue.run(settings.work.most_at_once), tick.run(), watcher.run())


def _keepers(stack: AsyncExitStack, settings: Settings, api: Api, metrics: Metrics) -> dict[str, Keeper]:
    """Plural of each compiled kind -> who keeps it; what they open is closed with the stack."""
    pods, found = settings.pods, {}
    for bundle, url in ((TENANTS, pods.policy_url), (CHARACTERS, pods.characters_url)):
        reading = partial(read, plural=bundle.plural)
        pages = PodPages(url, pods.timeout_seconds, reading, most_bytes=MOST_BYTES)
        stack.push_async_callback(pages.close)
        found[bundle.plural] = Keeper(bundle, api, pages, _namespaces(settings), metrics=metrics, now=_now)
    return found


async def _until_a_signal(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of the work until a signal comes; nothing of it ends by itself but by an error."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(one) for one in (stop.wait(), *work)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def job_settings(settings: DownloadSettings) -> JobSettings:
    """The settings in the words of the builders."""
    return JobSettings(
        image=settings.image,
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=tuple(settings.image_pull_secrets),
        hf_endpoint=settings.hf_endpoint,
        https_proxy=settings.https_proxy,
        ca_bundle_config_map=settings.ca_bundle_config_map,
        allow_networks=tuple(str(network) for network in settings.allow_networks),
        allow_hosts=tuple(settings.allow_hosts),
        priority_class_name=settings.priority_class_name,
        resources=settings.resources,
    )


def _namespaces(settings: Settings) -> tuple[str, ...]:
    """Namespaces to look after; none stands for all."""
    if settings.watch.cluster_wide:
        return ()
    if settings.watch.namespaces:
        return tuple(settings.watch.namespaces)
    return (_OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else "default",)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
