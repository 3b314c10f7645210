"""README's install on a real node, with our images, behind a gateway: the first of the files that share it.

What may happen to it later is in test_real_node_*.py; all of them run on one cluster, in the order of their names.
"""

import hashlib
import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from parts import kube_load
from parts.kube_client import Refused, wait_for
from parts.kube_site import DEMO, Site

pytestmark = pytest.mark.timeout(900, func_only=True)
ROUTES_PORT = 8001
"""Of the Gateway API's listener, tests/cluster/gateway.yaml."""


def test_readme_leads_from_an_empty_cluster_to_an_answer(site: Site, figures) -> None:
    revision = hashlib.sha256(DEMO.read_bytes()).hexdigest()[:16]

    assert kube_load.page(site.office, "/info")["model"]["revision"] == revision
    assert site.model()["status"]["lastGoodRevision"] == revision
    log = site.node.say("kubectl logs -n chatbot-system deploy/chatbot-operator")
    assert "the watches ended" not in log, "it may watch as whoever it is in its container"
    figures(**site.seconds, snapshots=site.snapshots)


def test_helm_test_chats(site: Site) -> None:
    said = site.node.say("helm test chatbot -n chatbot --logs", 400)

    assert "FAILED" not in said
    for check in ("office: answer", "office: stream", "character: answer", "not found"):
        assert f"{check}: ok" in said, said


def test_a_conversation_is_remembered_in_the_trial_store(site: Site) -> None:
    assert kube_load.ask(site.office, "somebody", db_id="one") == "ok"
    assert kube_load.ask(site.office, "somebody", db_id="one") == "ok"


def test_a_hostile_pod_is_refused_beside_those_that_run(site: Site) -> None:
    container = {"name": "c", "image": "localhost/hello:1", "securityContext": {"privileged": True}}
    metadata = {"name": "hostile", "namespace": "chatbot"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}

    with pytest.raises(Refused) as refused:
        site.node.kube.create(pod)

    assert refused.value.status == 403 and "restricted" in refused.value.message


def fetched(url: str, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, media type and body."""
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request("GET", parts.path + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read().decode()


def streamed(url: str) -> str:
    """`ok`, or what was wrong with a stream."""
    try:
        return kube_load.stream(url, 50)
    except http.client.IncompleteRead:
        return "cut"


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_the_gateway_leads_to_the_pods(site: Site, kind: str) -> None:
    gateway = site.gateway if kind == "Ingress" else site.gateway.replace(":80", f":{ROUTES_PORT}")
    # a controller follows the API server in its own time
    wait_for(
        lambda: fetched(gateway, "/character/readyz")[0] == 200, what=lambda: fetched(gateway, "/character/readyz")
    )

    assert kube_load.ask(f"{gateway}/office", "somebody") == "ok"
    assert kube_load.ask(f"{gateway}/character", "somebody") == "ok"
    # docs/operations.md, "Gateways written in Go": one in a thousand of this model's answers is faster than Traefik
    wait_for(lambda: streamed(f"{gateway}/office") == "ok", 30, lambda: streamed(f"{gateway}/office"))
    assert fetched(gateway, "/office/info") == fetched(site.office, "/info")
    status, media, body = fetched(gateway, "/nowhere", Accept="text/html")
    assert (status, media) == (404, "text/html") and "<html" in body
    status, media, body = fetched(gateway, "/nowhere", Accept="application/json")
    assert (status, media, json.loads(body)["code"]) == (404, "application/problem+json", "not_found")
    assert fetched(gateway, "/office/metrics")[0] == 404, "metrics are not for callers"


def test_the_controllers_took_the_charts_objects(site: Site) -> None:
    (route,) = site.node.kube.find("HTTPRoute", "chatbot")
    told: list[dict[str, Any]] = route["status"]["parents"][0]["conditions"]

    assert {one["type"]: one["status"] for one in told} == {"Accepted": "True", "ResolvedRefs": "True"}
