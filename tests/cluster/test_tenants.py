"""Tenants on a real API server: one ConfigMap, pods that say what they serve, hands that meddle, and two operators."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from parts.kube_client import Document, Kube, Refused, wait_for
from parts.kube_cluster import operator_login
from parts.kube_objects import condition, consumer, tenant
from parts.kube_operator import Operator, running_operator
from parts.kube_pods import FakePods
from parts.kube_policies import CONFIG_MAP, FILE, LABEL
from parts.kube_proxy import api_proxy


def mounting(namespace: str, name: str = "office", replicas: int = 2) -> Document:
    """A Deployment that mounts the policies, on the fake nodes; it needs no Model."""
    document = consumer(namespace, name, replicas=replicas)
    template = document["spec"]["template"]
    del template["spec"]["containers"][0]["resources"]
    for metadata in (document["metadata"], template["metadata"]):
        metadata["labels"] = {"app": name, LABEL: CONFIG_MAP}
    return document


def compiled(kube: Kube, namespace: str) -> dict[str, Document]:
    """What the ConfigMap says, by tenant."""
    try:
        text = kube.get("ConfigMap", namespace, CONFIG_MAP)["data"][FILE]
    except Refused:
        return {}
    return {entry["name"]: entry for entry in json.loads(text)["tenants"]}


def told(kube: Kube, namespace: str, name: str = "acme", kind: str = "Ready") -> tuple[str, str]:
    found = condition(kube.get("Tenant", namespace, name), kind)
    return found.get("status", ""), found.get("reason", "")


def until(found: Callable[[], Any], wanted: Any, seconds: float = 60) -> None:
    wait_for(lambda: found() == wanted, seconds, lambda: f"{found()} instead of {wanted}")


@pytest.mark.timeout(300, func_only=True)
def test_tenants_become_one_file_that_pods_serve(kube: Kube, namespace: str, pods: FakePods) -> None:
    """From the first Tenant to the last; what is left for every change is a kubelet's minute."""
    with running_operator(operator_login(kube, namespace), namespace, pods.url) as operator:
        kube.create(
            tenant(namespace, limits={"tenant": {"requestsPerMinute": 10}, "perUser": {"requestsPerMinute": 20}})
        )
        until(lambda: told(kube, namespace), ("True", "NoConsumer"))
        assert told(kube, namespace, kind="LimitsConsistent") == ("False", "PerUserAboveTenant")

        pods.policies.holds = True
        kube.create(mounting(namespace))
        until(lambda: told(kube, namespace), ("False", "Progressing"))
        pods.policies.holds = False
        until(lambda: told(kube, namespace), ("True", "Applied"))

        kube.create(tenant(namespace, "other", suspended=True))
        until(lambda: told(kube, namespace, "other"), ("True", "Applied"))
        pods.policies.holds = True
        kube.patch("Tenant", namespace, "acme", {"spec": {"limits": {"perUser": {"requestsPerMinute": 5}}}})
        until(lambda: told(kube, namespace), ("False", "Progressing"))
        behind = kube.get("Tenant", namespace, "acme")["status"]
        pods.policies.holds = False
        until(lambda: told(kube, namespace), ("True", "Applied"))
        ahead = kube.get("Tenant", namespace, "acme")["status"]

        assert (behind["consumers"], behind["observedGeneration"]) == ([_office(1)], 2)
        assert ahead["consumers"] == [_office(2)]
        assert told(kube, namespace, kind="LimitsConsistent") == ("True", "Consistent")
        assert compiled(kube, namespace)["acme"]["limits"]["perUser"] == {"requestsPerMinute": 5}
        assert compiled(kube, namespace)["other"]["suspended"] is True
        assert '"level": "error"' not in operator.log


def test_what_a_hand_changes_is_mended_and_the_last_tenant_leaves_an_empty_file(
    kube: Kube, namespace: str, operator: Operator
) -> None:
    for name in ("acme", "other"):
        kube.create(tenant(namespace, name))
    until(lambda: set(compiled(kube, namespace)), {"acme", "other"})

    version = kube.get("ConfigMap", namespace, CONFIG_MAP)["metadata"]["resourceVersion"]
    kube.patch("ConfigMap", namespace, CONFIG_MAP, {"data": {FILE: "tenants: []"}})
    until(lambda: set(compiled_or_none(kube, namespace)), {"acme", "other"})
    kube.delete("ConfigMap", namespace, CONFIG_MAP)
    until(lambda: set(compiled(kube, namespace)), {"acme", "other"})
    assert kube.get("ConfigMap", namespace, CONFIG_MAP)["metadata"]["resourceVersion"] != version

    kube.delete("Tenant", namespace, "acme")
    until(lambda: set(compiled(kube, namespace)), {"other"})
    kube.delete("Tenant", namespace, "other")
    wait_for(lambda: not kube.find("Tenant", namespace), 30)  # no finalizer holds it
    until(lambda: kube.get("ConfigMap", namespace, CONFIG_MAP)["data"][FILE], '{"tenants":[]}\n')
    assert '"level": "error"' not in operator.log
    assert "Traceback" not in operator.log


def compiled_or_none(kube: Kube, namespace: str) -> dict[str, Document]:
    try:
        return compiled(kube, namespace)
    except ValueError:  # still what the hand wrote, which is no JSON
        return {}


def _office(generation: int) -> Document:
    return {"kind": "Deployment", "name": "office", "generation": generation}


@pytest.mark.timeout(300, func_only=True)
def test_two_operators_write_what_one_writes(kube: Kube, namespace: str, pods: FakePods) -> None:
    """Ten changes in a row, both operators at once: the newest Tenants have the last word, then all is quiet."""
    login = operator_login(kube, namespace)
    with (
        api_proxy(login) as proxy,
        running_operator(login, namespace, pods.url, proxy.url, work_tick_seconds="2") as one,
        running_operator(login, namespace, pods.url, proxy.url, work_tick_seconds="2") as other,
    ):
        kube.create(mounting(namespace, replicas=1))
        for name in ("acme", "other"):
            kube.create(tenant(namespace, name, limits={"tenant": {"concurrent": 1}}))
        for number in range(2, 12):
            for name in ("acme", "other"):
                kube.patch("Tenant", namespace, name, {"spec": {"limits": {"tenant": {"concurrent": number}}}})
        until(lambda: [told(kube, namespace, name) for name in ("acme", "other")], [("True", "Applied")] * 2)
        until(lambda: [each["limits"]["tenant"]["concurrent"] for each in compiled(kube, namespace).values()], [11, 11])
        writes = _until_quiet(proxy)

        assert one.is_running and other.is_running
        assert "Traceback" not in one.log + other.log
        assert writes < 2 * 2 * 11 * 3, "each change: the file and two statuses, by two operators at most"
        assert [kube.get("Tenant", namespace, name)["status"]["consumers"] for name in ("acme", "other")] == [
            [_office(11)], [_office(11)],
        ]  # fmt: skip


def _until_quiet(proxy: Any) -> int:
    """Number of writes, once none came for two ticks."""
    counts: list[int] = []

    def is_quiet() -> bool:
        counts.append(len(proxy.writes))
        return len(counts) > 50 and counts[-50] == counts[-1]

    wait_for(is_quiet, 60)
    return counts[-1]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"suspended": "no"}, "spec.suspended"),
    ({"services": []}, "spec.services"),
    ({"services": ["officer"]}, "supported values"),
    ({"services": ["office", "office"]}, "Duplicate value"),
    ({"backends": {"local": False, "openai": {"allowed": False}}}, "allow one of local and openai"),
    ({"backends": {"local": False, "openai": {"whenBudgetSpent": "Local"}}}, "needs local: true"),
    ({"backends": {"openai": {"whenBudgetSpent": "Ask"}}}, "supported values"),
    ({"backends": {"openai": {"models": []}}}, "spec.backends.openai.models"),
    ({"backends": {"openai": {"models": ["a b"]}}}, "names of models; * stands for any characters"),
    ({"limits": {"tenant": {"requestsPerMinute": 0}}}, "spec.limits.tenant.requestsPerMinute"),
    ({"limits": {"tenant": {"requestsPerMinute": "9"}}}, "spec.limits.tenant.requestsPerMinute"),
    ({"limits": {"perKey": {"burst": 5}}}, "burst: needs requestsPerMinute beside it"),
    ({"limits": {"perUser": {"tokensPerDay": 10**13}}}, "spec.limits.perUser.tokensPerDay"),
    ({"limits": {"tenant": {"usdPerDay": "0.00"}}}, "US dollars as text, above zero"),
    ({"limits": {"tenant": {"usdPerDay": "2,50"}}}, "US dollars as text"),
    ({"limits": {"tenant": {"usdPerDay": 25}}}, "spec.limits.tenant.usdPerDay"),
    ({"keys": {"maxLifetime": "90 days"}}, "a number of days, hours or minutes such as 90d"),
    ({"keys": {"maxLifetime": "0d"}}, "a number of days, hours or minutes such as 90d"),
    ({"fairSharing": {"weight": 0}}, "spec.fairSharing.weight"),
    ({"fairSharing": {"weight": 101}}, "spec.fairSharing.weight"),
    ({"privacy": {"localOnly": "yes"}}, "spec.privacy.localOnly"),
    ({"backends": {"local": False}, "privacy": {"localOnly": True}}, "localOnly: true needs backends.local: true"),
]


@pytest.mark.parametrize(
    ("spec", "named"), REFUSED, ids=[f"{n}-{next(iter(spec))}" for n, (spec, _) in enumerate(REFUSED)]
)
def test_the_api_server_refuses_what_makes_no_sense(
    kube: Kube, namespace: str, spec: dict[str, Any], named: str
) -> None:
    with pytest.raises(Refused) as refused:
        kube.create(tenant(namespace, **spec))

    assert refused.value.status == 422
    assert named in refused.value.message


def test_a_name_is_that_of_a_tenant(kube: Kube, namespace: str) -> None:
    with pytest.raises(Refused, match="at most 63 characters"):
        kube.create(tenant(namespace, "a" * 64))


def test_an_unknown_field_is_dropped_and_the_rest_holds(kube: Kube, namespace: str) -> None:
    """As the API server does with every object; `kubectl apply` warns."""
    kube.create(tenant(namespace, supended=True))

    assert kube.get("Tenant", namespace, "acme")["spec"] == {"suspended": False}
