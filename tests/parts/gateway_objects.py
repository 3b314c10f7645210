"""What the API server is told for the gateway suite: the rendered chart's gateway objects, and where its pods are.

The Deployments stay away: slices of the tests' own point the chart's Services at processes on this machine, which is
all that a gateway looks at.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from parts.helm import CHARTS, CHOSEN, NEIGHBOURS, Document, environment, helm, pods
from parts.kube_client import Kube, Refused, wait_for

KINDS = ("Service", "Ingress", "HTTPRoute")
GATEWAY = "public"
_SLICE_OWNER = {"endpointslice.kubernetes.io/managed-by": "gateway-suite"}


def rendered(release: str, namespace: str, sets: Sequence[str]) -> list[Document]:
    """The chart with both of its gateways, as Helm renders it for a cluster that has the Gateway API."""
    both = (
        f"gateway.ingress.className={namespace}",
        "gateway.httpRoute.enabled=true",
        f'gateway.httpRoute.parentRefs=[{{"name": "{GATEWAY}"}}]',
    )
    pairs = [
        part
        for pair in (*CHOSEN, *both, *sets)
        for part in ("--set-json" if "=[" in pair or "={" in pair else "--set", pair)
    ]
    known = [part for kind in NEIGHBOURS for part in ("-a", kind)]
    told = helm().run("template", release, CHARTS / "chatbot", "-n", namespace, *pairs, *known)
    assert told.returncode == 0, told.stderr
    return [document for document in yaml.safe_load_all(told.stdout) if document]


def environments(documents: Sequence[Document]) -> dict[str, dict[str, str]]:
    """Variables of the pods of office and character."""
    return {
        name: environment(pod)
        for full_name, pod in pods(documents).items()
        for name in ("office", "character")
        if full_name.endswith(f"-{name}")
    }


def components(documents: Sequence[Document]) -> dict[str, str]:
    """Name of a component -> name of its Service, of those behind the gateway."""
    label = "app.kubernetes.io/component"
    services = {d["metadata"]["labels"][label]: d["metadata"]["name"] for d in documents if d["kind"] == "Service"}
    return {name: services[name] for name in ("office", "character", "not-found")}


def apply(kube: Kube, documents: Sequence[Document]) -> None:
    """Create what a gateway reads of a release."""
    for document in documents:
        if document["kind"] in KINDS:
            kube.create(document)


def point(kube: Kube, service: tuple[str, str], address: str, port: int, name: str = "") -> None:
    """Say that a pod of a Service is at an address; again to move it.

    Args:
        service: Namespace and name.
        name: Of the slice; the Service's where none is given.
    """
    namespace, of = service
    name = name or of
    document = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": of, **_SLICE_OWNER},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
    try:
        kube.create(document)
    except Refused as refused:
        assert refused.status == 409, refused
        kube.patch("EndpointSlice", namespace, name, {"ports": document["ports"], "endpoints": document["endpoints"]})


def withdraw(kube: Kube, namespace: str, name: str) -> None:
    """Take a slice away."""
    kube.delete("EndpointSlice", namespace, name)


@contextmanager
def gateway_api(kube: Kube, files: Sequence[Path]) -> Iterator[None]:
    """The kinds of the Gateway API, which a cluster may lack; those that were missing go again."""
    made = []
    for file in files:
        document = yaml.safe_load(file.read_text())
        if document["spec"]["group"] != "gateway.networking.k8s.io":
            continue
        try:
            kube.create(document)
            made.append(document["metadata"]["name"])
        except Refused as refused:
            assert refused.status == 409, refused
    wait_for(lambda: _is_known(kube, "Gateway") and _is_known(kube, "HTTPRoute"))
    try:
        yield
    finally:
        for name in made:
            kube.delete("CustomResourceDefinition", "", name)


def _is_known(kube: Kube, kind: str) -> bool:
    try:
        kube.find(kind, "default")
    except Refused:
        return False
    return True


@contextmanager
def classes(kube: Kube, namespace: str, controller: str, port: int) -> Iterator[None]:
    """An IngressClass named as the namespace, a GatewayClass, and a Gateway with one listener."""
    ingress_class = _document("networking.k8s.io/v1", "IngressClass", namespace, {"controller": controller})
    gateway_class = _document(
        "gateway.networking.k8s.io/v1", "GatewayClass", namespace, {"controllerName": "traefik.io/gateway-controller"}
    )
    listeners = [{"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Same"}}}]
    gateway = _document(
        "gateway.networking.k8s.io/v1", "Gateway", GATEWAY, {"gatewayClassName": namespace, "listeners": listeners}
    )
    gateway["metadata"]["namespace"] = namespace
    for document in (ingress_class, gateway_class, gateway):
        kube.create(document)
    try:
        yield
    finally:
        kube.delete("IngressClass", "", namespace)
        kube.delete("GatewayClass", "", namespace)


def _document(version: str, kind: str, name: str, spec: Mapping[str, object]) -> Document:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
