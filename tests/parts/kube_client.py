"""A small client of the API server for tests: plain documents, one deadline per call, waiting on conditions."""

import base64
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
import yaml

Document = dict[str, Any]
T = TypeVar("T")

_PATHS = {
    "Model": ("apis/chatbot.ai/v1alpha1", "models"),
    "Tenant": ("apis/chatbot.ai/v1alpha1", "tenants"),
    "Character": ("apis/chatbot.ai/v1alpha1", "characters"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "Job": ("apis/batch/v1", "jobs"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Pod": ("api/v1", "pods"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "PersistentVolume": ("api/v1", "persistentvolumes"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Event": ("api/v1", "events"),
    "Secret": ("api/v1", "secrets"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "Node": ("api/v1", "nodes"),
    "Namespace": ("api/v1", "namespaces"),
    "Service": ("api/v1", "services"),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "Ingress": ("apis/networking.k8s.io/v1", "ingresses"),
    "IngressClass": ("apis/networking.k8s.io/v1", "ingressclasses"),
    "GatewayClass": ("apis/gateway.networking.k8s.io/v1", "gatewayclasses"),
    "Gateway": ("apis/gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": ("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "PrometheusRule": ("apis/monitoring.coreos.com/v1", "prometheusrules"),
    "ServiceMonitor": ("apis/monitoring.coreos.com/v1", "servicemonitors"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
}
MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API server said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Login:
    """Where the API server is and who one is."""

    server: str
    ca_file: str
    token: str = ""
    certificate: tuple[str, str] | None = None

    def kubeconfig(self, server: str = "", namespace: str = "default") -> Document:
        """The same as a kubeconfig, at another address if one is given."""
        cluster = {"server": server or self.server}
        if cluster["server"].startswith("https"):
            cluster["certificate-authority"] = self.ca_file
        context = {"cluster": "test", "user": "me", "namespace": namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }


def login_from(kubeconfig: Path) -> Login:
    """The current context of a kubeconfig with a token or a client certificate."""
    document = yaml.safe_load(kubeconfig.read_text())
    named = {kind: {entry["name"]: entry for entry in document[kind]} for kind in ("clusters", "users", "contexts")}
    context = named["contexts"][document["current-context"]]["context"]
    cluster, user = named["clusters"][context["cluster"]]["cluster"], named["users"][context["user"]]["user"]
    certificate = _file(user, "client-certificate"), _file(user, "client-key")
    return Login(
        server=cluster["server"],
        ca_file=_file(cluster, "certificate-authority") or "",
        token=user.get("token", ""),
        certificate=(certificate[0], certificate[1]) if certificate[0] and certificate[1] else None,
    )


def _file(entry: Document, name: str) -> str | None:
    if name in entry:
        return str(entry[name])
    if f"{name}-data" not in entry:
        return None
    with tempfile.NamedTemporaryFile(delete=False, suffix=".pem") as file:
        file.write(base64.b64decode(entry[f"{name}-data"]))
    return file.name


class Kube:
    """Reads and writes objects as whoever logged in."""

    def __init__(self, login: Login) -> None:
        self.login = login
        context = ssl.create_default_context(cafile=login.ca_file or None)
        if login.certificate:
            context.load_cert_chain(*login.certificate)
        headers = {"Authorization": f"Bearer {login.token}"} if login.token else {}
        self._http = httpx.Client(base_url=login.server, verify=context, headers=headers, timeout=30, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, flavour: str = "application/json") -> Document:
        """One call; `Refused` for every status from 400."""
        content = None if body is None else httpx.Response(200, json=body).content
        answer = self._http.request(method, path, content=content, headers={"Content-Type": flavour})
        if answer.status_code >= 400:
            raise Refused(
                answer.status_code, answer.json().get("message", "") if answer.text[:1] == "{" else answer.text
            )
        return dict(answer.json())

    def lines(self, path: str) -> Iterator[str]:
        """What a call answers line by line, as long as the API server goes on: a watch."""
        with self._http.stream("GET", path) as answer:
            yield from answer.iter_lines()

    def create(self, document: Document) -> Document:
        """Create an object; its status is not kept."""
        return self.call("POST", _path(document["kind"], document["metadata"].get("namespace", "")), document)

    def get(self, kind: str, namespace: str, name: str) -> Document:
        return self.call("GET", _path(kind, namespace, name))

    def find(self, kind: str, namespace: str = "", **query: str) -> list[Document]:
        """All objects of a kind, of one namespace or of all."""
        return list(self.call("GET", f"{_path(kind, namespace)}?{urlencode(query)}").get("items", []))

    def patch(
        self, kind: str, namespace: str, name: str, patch: Any, *, sub: str = "", flavour: str = MERGE
    ) -> Document:
        """Merge patch, of a subresource if one is named."""
        return self.call("PATCH", _path(kind, namespace, name) + (f"/{sub}" if sub else ""), patch, flavour)

    def delete(self, kind: str, namespace: str, name: str, **options: object) -> None:
        self.call("DELETE", _path(kind, namespace, name), options or None)

    def is_there(self, kind: str, namespace: str, name: str) -> bool:
        try:
            self.get(kind, namespace, name)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        return True

    def token(self, namespace: str, service_account: str) -> str:
        """A token of a ServiceAccount, as a pod of it would get."""
        path = f"{_path('ServiceAccount', namespace, service_account)}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        return str(self.call("POST", path, body)["status"]["token"])


def _path(kind: str, namespace: str, name: str = "") -> str:
    prefix, plural = _PATHS[kind]
    place = f"namespaces/{namespace}/" if namespace and kind != "Namespace" else ""
    return f"/{prefix}/{place}{plural}" + (f"/{name}" if name else "")


def wait_for(look: Callable[[], T], seconds: float = 60.0, what: Callable[[], object] = lambda: "") -> T:
    """Return what the look returns as soon as that is true.

    Args:
        what: Called when time is up, to tell in the failure what there was instead.
    """
    ends_at = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < ends_at, f"not within {seconds} s: {what()}"
        time.sleep(0.1)
    return found
