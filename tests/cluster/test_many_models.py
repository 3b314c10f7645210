"""What many Models cost: calls of the API server, time, processor, memory; one change and one relist among them."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil
import pytest
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import operator_login
from parts.kube_mirror import mirror
from parts.kube_objects import GOOD_2, condition, consumer, model, volume
from parts.kube_operator import Operator, running_operator
from parts.kube_pods import fake_pods
from parts.kube_proxy import ApiProxy, WatchFault, api_proxy
from parts.kube_waiting import is_ready

_MOST_CALLS_OF_A_CHANGE = 150
_OBJECTS_OF_A_PAGE, _MOST_CALLS_OF_A_PAGE = 250, 30
_POLL_SECONDS = 2.0
_KINDS = 5


@dataclass
class Cost:
    """What something took."""

    seconds: float = 0.0
    calls: int = 0
    processor_seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.calls} calls, {self.processor_seconds:.1f} s of processor"


@contextmanager
def cost(proxy: ApiProxy, operator: Operator) -> Iterator[Cost]:
    """What the operator spends while the context lasts."""
    process, found = psutil.Process(operator.pid), Cost()
    started, calls, times = time.monotonic(), proxy.calls.total(), process.cpu_times()
    yield found
    ended = process.cpu_times()
    found.seconds = time.monotonic() - started
    found.calls = proxy.calls.total() - calls
    found.processor_seconds = ended.user + ended.system - times.user - times.system


def how_many_are_ready(kube: Kube, namespace: str) -> int:
    time.sleep(_POLL_SECONDS)  # a list of all is no small thing for the API server
    return sum(condition(document, "Ready").get("status") == "True" for document in kube.find("Model", namespace))


def is_alive(operator: Operator) -> bool:
    """True; a heart that stopped among so many would have it killed. A slow answer is no sign of that."""
    try:
        assert operator.get("/healthz").status_code == 200, operator.log[-2000:]
    except httpx.TimeoutException:
        assert operator.is_running
    return True


def until_quiet(proxy: ApiProxy) -> None:
    """Return when nothing but ticks is done."""

    def look() -> bool:
        before = len(proxy.writes)
        time.sleep(2 * _POLL_SECONDS)
        return len(proxy.writes) == before

    wait_for(look, 300)


def watches(proxy: ApiProxy) -> int:
    return sum(count for (verb, _, status), count in proxy.answers.items() if verb == "watch" and status == 200)


def add_many(kube: Kube, namespace: str, count: int) -> None:
    """Models, each with a consumer of its own."""

    def add(number: int) -> None:
        name = f"model-{number}"
        kube.create(volume(namespace, 10 + number))
        kube.create(consumer(namespace, f"service-{number}", name))
        kube.create(model(namespace, name))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(count)))


def relist(proxy: ApiProxy) -> None:
    """Every watch expires once, so that everything is listed anew."""
    seen = watches(proxy)
    proxy.watch_fault = WatchFault.GONE_EVENT
    proxy.cut()
    wait_for(lambda: proxy.faulty_watches >= _KINDS, 60)
    proxy.watch_fault = None
    wait_for(lambda: watches(proxy) >= seen + _KINDS, 120)
    until_quiet(proxy)


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
def test_many_models_cost_hardly_more_than_a_few(
    kube: Kube, namespace: str, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    count = int(os.environ.get("CHATBOT_TEST_MODELS", scale(25, 1000)))
    tick_seconds = scale(5, 30)
    login, tick = operator_login(kube, namespace), {"work_tick_seconds": str(tick_seconds)}
    with (
        mirror(kube, namespace) as seen,
        fake_pods(seen.get) as pods,
        api_proxy(login) as proxy,
        running_operator(login, namespace, pods.url, proxy.url, **tick) as operator,
    ):
        with cost(proxy, operator) as steady:
            add_many(kube, namespace, count)
            wait_for(
                lambda: is_alive(operator) and how_many_are_ready(kube, namespace) == count,
                120 + 2 * count,
                lambda: operator.log[-2000:],
            )
        until_quiet(proxy)
        writes = len(proxy.writes)
        figures(models=count, until_steady=steady, writes=writes, calls_per_model=round(steady.calls / count, 1))

        with cost(proxy, operator) as idle:
            time.sleep(2.2 * tick_seconds)
        with cost(proxy, operator) as change:
            kube.patch("Model", namespace, "model-7", {"spec": {"source": {"sha256": GOOD_2}}})
            wait_for(lambda: is_ready(kube, namespace, GOOD_2, "model-7"), 120)
        with cost(proxy, operator) as listing:
            relist(proxy)
        memory = psutil.Process(operator.pid).memory_info().rss
        figures(two_ticks=idle, a_change=change, a_relist=listing, memory_mib=memory >> 20)

        assert len(proxy.writes) < writes + 30, "nothing but the change was written"
        pages = count // _OBJECTS_OF_A_PAGE
        most = _MOST_CALLS_OF_A_CHANGE + pages * _MOST_CALLS_OF_A_PAGE
        assert max(idle.calls, change.calls, listing.calls) < most, "calls grow with pages, not with Models"
