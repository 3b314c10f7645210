"""Watches that are cut, go silent, expire or never begin: no change is lost, and the operator stays alive."""

import json

import pytest
from parts.kube_client import Kube, wait_for
from parts.kube_cluster import operator_login
from parts.kube_objects import GOOD_2, consumer, model
from parts.kube_operator import running_operator
from parts.kube_pods import FakePods
from parts.kube_proxy import WatchFault, api_proxy
from parts.kube_waiting import until_ready

KINDS = 6
"""Kinds that the operator watches."""


def test_no_change_is_lost_when_watches_are_cut(kube: Kube, namespace: str, pods: FakePods) -> None:
    login = operator_login(kube, namespace)
    with api_proxy(login) as proxy, running_operator(login, namespace, pods.url, proxy.url) as operator:
        wait_for(lambda: proxy.calls["GET models"] >= 2)

        proxy.cut()
        kube.create(consumer(namespace))
        kube.create(model(namespace))
        until_ready(kube, namespace, seconds=120)

        assert operator.get("/healthz").status_code == 200


def test_no_change_is_lost_when_watches_never_begin(kube: Kube, namespace: str, pods: FakePods) -> None:
    login = operator_login(kube, namespace)
    with api_proxy(login) as proxy:
        proxy.is_undiscoverable = True
        with running_operator(login, namespace, pods.url, proxy.url) as operator:
            kube.create(consumer(namespace))
            kube.create(model(namespace))
            until_ready(kube, namespace, seconds=120)

            assert operator.get("/healthz").status_code == 200


@pytest.mark.parametrize("fault", WatchFault, ids=lambda fault: fault.name.lower().replace("_", " "))
def test_no_change_is_lost_when_watches_are_faulty(
    kube: Kube, namespace: str, pods: FakePods, fault: WatchFault
) -> None:
    """They are faulty for a whole story, then recover: the operator is the same process and watches again."""
    login = operator_login(kube, namespace)
    with api_proxy(login) as proxy, running_operator(login, namespace, pods.url, proxy.url) as operator:
        wait_for(lambda: _watching(proxy.answers) >= KINDS, 30, lambda: operator.log[-2000:])
        proxy.watch_fault = fault
        proxy.cut()
        wait_for(lambda: proxy.faulty_watches >= 2, 30, lambda: operator.log[-2000:])
        kube.create(consumer(namespace))
        kube.create(model(namespace))
        until_ready(kube, namespace, seconds=120)

        assert (proxy.expired_watches > 0) == (fault is WatchFault.EXPIRED)
        proxy.watch_fault = None
        proxy.cut()
        seen = _watching(proxy.answers)
        wait_for(lambda: _watching(proxy.answers) >= seen + KINDS, 60, lambda: operator.log[-2000:])
        kube.patch("Model", namespace, "demo", {"spec": {"source": {"sha256": GOOD_2}}})
        until_ready(kube, namespace, GOOD_2, seconds=120)

        assert operator.get("/healthz").status_code == 200
        lines = [json.loads(line) for line in operator.log.splitlines()]
        own = [line for line in lines if line["logger"].startswith("chatbot_operator")]
        assert [line for line in own if line["level"] == "error"] == []


def _watching(answers: dict[tuple[str, str, int], int]) -> int:
    """How many watches began."""
    return sum(count for (verb, _, status), count in answers.items() if verb == "watch" and status == 200)
