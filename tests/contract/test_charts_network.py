"""NetworkPolicies, evaluated against the table of connections: what is listed is allowed, everything else is not.

No cluster of the tests enforces policies (its network is a plain bridge), so they are evaluated here by the rules of
https://kubernetes.io/docs/concepts/services-networking/network-policies/.
"""

import json
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import pytest
import yaml
from parts.helm import CHARTS, CHOSEN, Helm, of_kind

PORTS = (53, 80, 443, 5432, 6443, 8002, 8003, 8080, 9090, 27017)
INTERNET = '{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16"]}}'
SEARCH = ["search.enabled=true", "search.searxngUrl=http://searxng.search:8080", f"search.peers=[{INTERNET}]"]
CHAT = [*CHOSEN, "openai.enabled=true", "openai.model=m", 'openai.cidrs=["203.0.113.0/24"]', *SEARCH]
WATCHING = ['watchNamespaces=["chatbot"]', 'downloads.allowNetworks=["10.8.0.0/24"]']


@dataclass(frozen=True)
class Place:
    """A pod, or an address outside the cluster."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict, hash=False)
    address: str = "10.0.0.1"


def part(component: str) -> Place:
    labels = {"app.kubernetes.io/name": "chatbot", "app.kubernetes.io/instance": "chatbot"}
    served = {"chatbot.ai/model": component} if component in ("office", "character") else {}
    return Place("chatbot", {**labels, "app.kubernetes.io/component": component, **served})


OPERATOR = {
    "app.kubernetes.io/name": "chatbot-operator",
    "app.kubernetes.io/instance": "chatbot-operator",
    "app.kubernetes.io/component": "operator",
}
PLACES = {
    **{component: part(component) for component in ("office", "character", "not-found", "mongodb", "test")},
    "operator": Place("chatbot-system", OPERATOR),
    "download": Place("chatbot", {"app.kubernetes.io/name": "chatbot-download"}),
    "gateway": Place("ingress-nginx"),
    "prometheus": Place("monitoring"),
    "dns": Place("kube-system", {"k8s-app": "kube-dns"}),
    "another namespace": Place("shop", {"app": "shop"}),
    "a stranger beside": Place("chatbot", {"app": "stranger"}),
    "openai": Place(address="203.0.113.7"),
    "internet": Place(address="198.51.100.9"),
    "metadata": Place(address="169.254.169.254"),
    "mirror": Place(address="10.8.0.5"),
    "private": Place(address="192.168.1.1"),
}
ALLOWED: set[tuple[str, str, int]] = {
    *product(["gateway", "test"], ["office"], [8002]),
    *product(["gateway", "test"], ["character"], [8003]),
    *product(["gateway", "test"], ["not-found"], [8080]),
    *product(["prometheus", "operator"], ["office", "character"], [9090]),
    *product(["office", "character"], ["mongodb"], [27017]),
    *product(["office", "character"], ["openai", "internet"], [80, 443, 8080]),
    *product(["office", "character", "test", "operator", "download"], ["dns"], [53]),
    ("prometheus", "operator", 9090),
    *product(["download"], ["internet", "openai"], [80, 443]),
    *product(["download"], ["mirror"], PORTS),
}
API_SERVER = {
    ("operator", place, port)
    for place in ("openai", "internet", "metadata", "mirror", "private")
    for port in (443, 6443)
}
"""The API server is wherever networkPolicy.apiServer.cidrs says; by default that is anywhere."""


@pytest.fixture(scope="session")
def policies(helm: Helm) -> list[dict[str, Any]]:
    """The policies of both charts, installed as the README says."""
    operator = helm.run(
        "template", "chatbot-operator", CHARTS / "chatbot-operator", "-n", "chatbot-system", *_json(WATCHING)
    )
    rendered = [document for document in yaml.safe_load_all(operator.stdout) if document]
    return of_kind([*rendered, *helm.render("chatbot", sets=CHAT)], "NetworkPolicy")


def _json(sets: list[str]) -> list[str]:
    return [part for pair in sets for part in ("--set-json", pair)]


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """A label selector; an empty one takes everything."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for row in selector.get("matchExpressions", []):
        assert row["operator"] == "Exists", "the only operator that the charts use"
        wanted = wanted and row["key"] in labels
    return wanted


def is_peer(peer: dict[str, Any], place: Place, namespace: str) -> bool:
    """Whether a NetworkPolicyPeer means a place."""
    if "ipBlock" in peer:
        block, address = peer["ipBlock"], ip_address(place.address)
        inside = not place.namespace and address in ip_network(block["cidr"])
        return inside and not any(address in ip_network(one) for one in block.get("except", []))
    if not place.namespace:
        return False
    if "namespaceSelector" in peer:
        here = matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": place.namespace})
    else:
        here = place.namespace == namespace
    return here and matches(peer.get("podSelector", {}), place.labels)


def permits(rule: dict[str, Any], side: str, place: Place, port: int, namespace: str) -> bool:
    """Whether one rule lets a connection pass; no ports and no peers mean all."""
    ports = [entry["port"] for entry in rule.get("ports", []) if entry["protocol"] == "TCP"]
    peers = rule.get(side, [])
    return (not rule.get("ports") or port in ports) and (not peers or any(is_peer(p, place, namespace) for p in peers))


def passes(policies: list[dict[str, Any]], source: Place, target: Place, port: int) -> bool:
    """Whether both ends let the connection through."""
    for direction, side, here, there in (("Egress", "to", source, target), ("Ingress", "from", target, source)):
        mine = [
            policy
            for policy in policies
            if here.namespace == policy["metadata"]["namespace"]
            and matches(policy["spec"]["podSelector"], here.labels)
            and direction in policy["spec"]["policyTypes"]
        ]
        rules = [(rule, p["metadata"]["namespace"]) for p in mine for rule in p["spec"].get(direction.lower()) or []]
        if mine and not any(permits(rule, side, there, port, namespace) for rule, namespace in rules):
            return False
    return True


def test_exactly_the_listed_connections_are_open(policies: list[dict[str, Any]]) -> None:
    ours = {"office", "character", "not-found", "mongodb", "test", "operator", "download"}
    tried = [
        (source, target, port)
        for source, target, port in product(PLACES, PLACES, PORTS)
        if source != target and {source, target} & ours and PLACES[source].namespace
    ]

    is_open = {row for row in tried if passes(policies, PLACES[row[0]], PLACES[row[1]], row[2])}

    assert len(tried) > 1000
    assert is_open == ALLOWED | API_SERVER


def test_every_pod_of_both_charts_is_under_a_policy(policies: list[dict[str, Any]]) -> None:
    for name in ("office", "character", "not-found", "mongodb", "test", "operator", "download"):
        place = PLACES[name]
        mine = [p for p in policies if p["metadata"]["namespace"] == place.namespace
                and matches(p["spec"]["podSelector"], place.labels)]  # fmt: skip

        assert len(mine) == 1, name
        assert mine[0]["spec"]["policyTypes"] == ["Ingress", "Egress"], name


def test_dns_is_asked_by_udp_too(policies: list[dict[str, Any]]) -> None:
    for policy in policies:
        asks = [rule for rule in policy["spec"].get("egress") or [] if {"port": 53, "protocol": "TCP"} in rule["ports"]]
        assert all({"port": 53, "protocol": "UDP"} in rule["ports"] for rule in asks)


def test_the_second_backend_is_closed_while_it_is_off(helm: Helm) -> None:
    closed = of_kind(helm.render("chatbot", sets=CHOSEN), "NetworkPolicy")

    assert not passes(closed, PLACES["office"], PLACES["openai"], 443)
    assert not passes(closed, PLACES["office"], PLACES["internet"], 443)


@pytest.mark.parametrize("tool", ["weather.plan=non_commercial", 'news.feeds=["https://news.example/rss"]'])
def test_weather_and_news_reach_the_peers_of_search_without_it(helm: Helm, tool: str) -> None:
    opened = of_kind(helm.render("chatbot", sets=[*CHOSEN, tool, f"search.peers=[{INTERNET}]"]), "NetworkPolicy")

    assert passes(opened, PLACES["office"], PLACES["internet"], 443)
    assert not passes(opened, PLACES["office"], PLACES["internet"], 5432)
    assert not passes(opened, PLACES["not-found"], PLACES["internet"], 443)


WIKI = """
{"name": "wiki", "url": "http://wiki.shop/mcp", "tools": ["search"], "port": 8080,
 "peers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]}
"""
FAR = """
{"name": "far", "url": "https://mcp.example:5432/mcp", "tools": ["search"],
 "peers": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}
"""


def test_a_collector_is_reached_at_its_own_place_alone(helm: Helm) -> None:
    peer = '{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}'
    traces = ["traces.url=http://collector.shop:8080/v1/traces", "traces.port=8080"]
    opened = of_kind(helm.render("chatbot", sets=[*CHOSEN, *traces, f"traces.peers=[{peer}]"]), "NetworkPolicy")
    closed = of_kind(helm.render("chatbot", sets=CHOSEN), "NetworkPolicy")

    for service, other, port in product(("office", "character"), ("another namespace", "internet"), (8080, 443)):
        is_named = other == "another namespace" and port == 8080
        assert passes(opened, PLACES[service], PLACES[other], port) is is_named
        assert not passes(closed, PLACES[service], PLACES[other], port)
    assert "traces.peers" in helm.refusal("chatbot", sets=[*CHOSEN, *traces])


def test_administrators_reach_the_metrics_port_where_they_are_named_and_it_is_on(helm: Helm) -> None:
    """An empty list is nobody here, not everybody."""
    peer = '{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}'
    keys = ["mongodb.trial.enabled=true", "auth.pepperSecret=pepper", "auth.adminApi.enabled=true"]
    named = f"networkPolicy.administrators=[{peer}]"
    for sets, is_open in (([*keys, named], True), (keys, False), ([*CHOSEN, named], False)):
        policies = of_kind(helm.render("chatbot", sets=sets), "NetworkPolicy")
        for service, port in product(("office", "character"), (9090, 8002, 8003)):
            may = is_open and port == 9090
            assert passes(policies, PLACES["another namespace"], PLACES[service], port) is may
    assert "auth.pepperSecret" in helm.refusal("chatbot", sets=[*CHOSEN, "auth.adminApi.enabled=true"])


def test_no_gateway_leads_to_the_metrics_port(helm: Helm) -> None:
    """Metrics, model, policies and the administration of keys are for the inside."""
    pepper = ["mongodb.trial.enabled=true", "auth.pepperSecret=pepper", "auth.adminApi.enabled=true"]
    sets = [*pepper, "gateway.ingress.enabled=true", "gateway.httpRoute.enabled=true"]
    rendered = helm.render("chatbot", sets=[*sets, 'gateway.httpRoute.parentRefs=[{"name": "g"}]'])
    routes = json.dumps([of_kind(rendered, kind) for kind in ("Ingress", "HTTPRoute")])

    assert "HTTPRoute" in routes and "Ingress" in routes
    assert "9090" not in routes and '"metrics"' not in routes and "/admin" not in routes


@pytest.mark.parametrize("group", ["limits", "history"])
def test_a_redis_is_reached_at_its_own_place_alone(helm: Helm, group: str) -> None:
    peer = '{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}'
    redis = [f"{group}.redis.existingSecret=redis", f"{group}.redis.port=5432"]
    opened = of_kind(helm.render("chatbot", sets=[*CHOSEN, *redis, f"{group}.redis.peers=[{peer}]"]), "NetworkPolicy")
    before = of_kind(helm.render("chatbot", sets=CHOSEN), "NetworkPolicy")

    found = {
        (who, where, port)
        for who, where, port in product(PLACES, PLACES, PORTS)
        if passes(opened, PLACES[who], PLACES[where], port) and not passes(before, PLACES[who], PLACES[where], port)
    }
    assert found == {(who, "another namespace", 5432) for who in ("office", "character")}
    assert f"{group}.redis.peers" in helm.refusal("chatbot", sets=[*CHOSEN, *redis])


def test_a_qdrant_is_reached_at_its_own_place_alone(helm: Helm) -> None:
    peer = '{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}'
    qdrant = ["documents.qdrant.url=http://qdrant.shop:6333", "documents.qdrant.port=5432"]
    opened = of_kind(
        helm.render("chatbot", sets=[*CHOSEN, *qdrant, f"documents.qdrant.peers=[{peer}]"]), "NetworkPolicy"
    )
    before = of_kind(helm.render("chatbot", sets=CHOSEN), "NetworkPolicy")

    found = {
        (who, where, port)
        for who, where, port in product(PLACES, PLACES, PORTS)
        if passes(opened, PLACES[who], PLACES[where], port) and not passes(before, PLACES[who], PLACES[where], port)
    }
    assert found == {(who, "another namespace", 5432) for who in ("office", "character")}
    assert "documents.qdrant.peers" in helm.refusal("chatbot", sets=[*CHOSEN, *qdrant])
    off = helm.render("chatbot", sets=[*CHOSEN, *qdrant, "documents.enabled=false"])
    assert "qdrant" not in str(of_kind(off, "Deployment"))


def test_an_embedding_api_is_reached_at_its_own_place_alone(helm: Helm) -> None:
    peer = '{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}'
    api = ["embedding.url=http://vectors.shop/v1", "embedding.model=m", "embedding.port=8080"]
    opened = of_kind(helm.render("chatbot", sets=[*CHOSEN, *api, f"embedding.peers=[{peer}]"]), "NetworkPolicy")
    closed = of_kind(helm.render("chatbot", sets=CHOSEN), "NetworkPolicy")

    for service, other, port in product(("office", "character"), ("another namespace", "internet"), (8080, 443)):
        is_named = other == "another namespace" and port == 8080
        assert passes(opened, PLACES[service], PLACES[other], port) is is_named
        assert not passes(closed, PLACES[service], PLACES[other], port)


def test_a_tool_server_is_reached_by_those_that_may_call_tools_at_its_own_place_alone(helm: Helm) -> None:
    named = of_kind(helm.render("chatbot", sets=[*CHOSEN, f"tools.mcp=[{WIKI}, {FAR}]"]), "NetworkPolicy")
    before = of_kind(helm.render("chatbot", sets=CHOSEN), "NetworkPolicy")

    opened = {
        row
        for row in product(PLACES, PLACES, PORTS)
        if row[0] != row[1] and all(PLACES[name].namespace or name in ("openai", "internet") for name in row[:2])
        and passes(named, PLACES[row[0]], PLACES[row[1]], row[2])
        and not passes(before, PLACES[row[0]], PLACES[row[1]], row[2])
    }  # fmt: skip

    assert opened == {("office", "another namespace", 8080), ("office", "openai", 5432)}


@pytest.mark.parametrize("chart", ["chatbot", "chatbot-operator"])
def test_the_table_of_the_readme_names_every_row(chart: str) -> None:
    rows = yaml.safe_load((CHARTS / chart / "files/connections.yaml").read_text())
    readme = (CHARTS / chart / "README.md").read_text()

    for row in rows:
        assert f"| {', '.join(row['from'])} | {', '.join(row['to'])} |" in readme


def test_policies_can_be_switched_off(helm: Helm) -> None:
    for chart, chosen in (("chatbot", CHOSEN), ("chatbot-operator", ())):
        assert of_kind(helm.render(chart, sets=[*chosen, "networkPolicy.enabled=false"]), "NetworkPolicy") == []
