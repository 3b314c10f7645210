"""What many Models cost: calls of the API server, time, memory."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import operator_login
from parts.kube_objects import GOOD_2, condition, consumer, model, revision_of, volume
from parts.kube_operator import running_operator
from parts.kube_pods import FakePods
from parts.kube_proxy import ApiProxy, api_proxy

_MOST_CALLS_OF_A_CHANGE = 150


def how_many_are_ready(kube: Kube, namespace: str) -> int:
    return sum(condition(document, "Ready").get("status") == "True" for document in kube.find("Model", namespace))


def calls_during(proxy: ApiProxy, seconds: float) -> int:
    before = proxy.calls.total()
    time.sleep(seconds)
    return proxy.calls.total() - before


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
def test_many_models_cost_hardly_more_than_a_few(
    kube: Kube,
    namespace: str,
    pods: FakePods,
    scale: Callable[[int, int], int],
    figures: Callable[..., None],
) -> None:
    count = scale(25, 1000)
    login = operator_login(kube, namespace)

    def add(number: int) -> None:
        name = f"model-{number}"
        kube.create(volume(namespace, 10 + number))
        kube.create(consumer(namespace, f"service-{number}", name))
        kube.create(model(namespace, name))

    with api_proxy(login) as proxy, running_operator(login, namespace, pods.url, proxy.url) as operator:
        started = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(count)))
        wait_for(lambda: how_many_are_ready(kube, namespace) == count, 120 + 2 * count, lambda: operator.log[-2000:])
        steady_seconds = time.monotonic() - started
        calls = proxy.calls.total()
        wait_for(lambda: calls_during(proxy, 6) < _MOST_CALLS_OF_A_CHANGE, 120)
        idle_calls = calls_during(proxy, 15) / 3  # the tick is every 5 s here

        before, changed = proxy.calls.total(), time.monotonic()
        kube.patch("Model", namespace, "model-7", {"spec": {"source": {"sha256": GOOD_2}}})
        wait_for(lambda: _is_changed(kube, namespace), 120)
        change_seconds = time.monotonic() - changed
        change_calls = proxy.calls.total() - before - idle_calls * change_seconds / 5

        memory = psutil.Process(operator.pid).memory_info().rss
        figures(
            models=count,
            seconds_to_steady=round(steady_seconds, 1),
            calls_per_model=round(calls / count, 1),
            calls_per_tick=round(idle_calls, 1),
            calls_of_a_change=round(change_calls),
            seconds_of_a_change=round(change_seconds, 1),
            memory_mib=memory >> 20,
        )
        assert idle_calls < _MOST_CALLS_OF_A_CHANGE
        assert change_calls < _MOST_CALLS_OF_A_CHANGE + 2 * count


def _is_changed(kube: Kube, namespace: str) -> bool:
    document = kube.get("Model", namespace, "model-7")
    is_it = document["status"].get("lastGoodRevision") == revision_of(GOOD_2)
    return is_it and condition(document, "Ready")["status"] == "True"
