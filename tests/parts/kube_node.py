"""A cluster with one real node (tests/cluster/node.sh) and this product's images on it: what runs there runs.

One per machine, since its addresses are fixed: whoever comes second waits.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from parts.gateway_traefik import traefik
from parts.helm import helm
from parts.kube_client import Document, Kube, login_from, wait_for
from parts.kube_cluster import SCRIPTS, binary
from parts.mongo_server import build as mongo_server
from parts.needs import left_out, need

ROOT = Path(__file__).parents[2]
HOST = "10.200.0.1"
"""This machine, as pods see it."""
_TOOLS = {
    "buildah": "buildah", "conntrack": "conntrack", "containerd": "containerd", "debootstrap": "debootstrap",
    "ip": "iproute2", "jlink": "openjdk-17-jdk-headless", "nft": "nftables", "runc": "runc", "unshare": "util-linux",
}  # fmt: skip
_IMAGES_SECONDS = 3600
_UP_SECONDS = 300


@dataclass(frozen=True)
class Node:
    """The cluster and a person at its keyboard.

    Attributes:
        kube: Its administrator.
        folder: Logs, volumes, kubeconfig.
        commands: A folder with `kubectl` and `helm`, for PATH.
    """

    kube: Kube
    folder: Path
    commands: Path

    def say(self, command: str, timeout_seconds: float = 180) -> str:
        """Run a command line in the repository's root as the administrator; what it said.

        Raises:
            AssertionError: It failed; the text is what it said.
        """
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.folder / "admin.kubeconfig"),
            "PATH": f"{self.commands}:{os.environ['PATH']}",
        }
        told = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_seconds,
        )  # fmt: skip
        assert told.returncode == 0, f"{command}: {told.stdout}\n{told.stderr}"
        return told.stdout

    def tag_image(self, name: str, other: str) -> None:
        """Give an image that is there another name, too; another image that has that name loses it."""
        names = [f"docker.io/library/{name}", f"docker.io/library/{other}"]
        command = ["ctr", "-n", "k8s.io", "images", "tag", "--force", *names]
        subprocess.run(
            [SCRIPTS / "node.sh", "exec", self.folder, *command], check=True, capture_output=True, timeout=60
        )

    def volume(self, name: str, size: str = "5Gi") -> Path:
        """A volume on the node's disk for the next claim that fits: there is no provisioner.

        Returns:
            Its folder on this machine.
        """
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True)
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
        spec = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        }
        self.kube.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
        return folder

    def address(self, service: str, namespace: str = "chatbot") -> str:
        """`http://host:port` of a Service's port `http`; this machine has a route there."""
        spec = self.kube.call("GET", f"/api/v1/namespaces/{namespace}/services/{service}")["spec"]
        port = next(entry["port"] for entry in spec["ports"] if entry["name"] == "http")
        return f"http://{spec['clusterIP']}:{port}"

    def pods(self, component: str, namespace: str = "chatbot") -> list[Document]:
        """The pods of a component that are not on their way out."""
        found = self.kube.find("Pod", namespace, labelSelector=f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@contextmanager
def running_node() -> Iterator[Node]:
    """The cluster, with the images of tests/cluster/images.sh; nothing of it stays."""
    _can_run()
    with Path(tempfile.gettempdir(), "chatbot-node.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        environment = {**os.environ, "KUBE": binary(), "IMAGES": _images()}
        folder = Path(tempfile.mkdtemp(prefix="chatbot-node-"))
        script = SCRIPTS / "node.sh"
        try:
            subprocess.run(
                [script, "up", folder],
                env=environment, check=True, timeout=_UP_SECONDS, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            kube = Kube(login_from(folder / "admin.kubeconfig"))
            wait_for(lambda: _is_ready(kube), 120, lambda: kube.find("Node"))
            yield Node(kube, folder, _commands(folder, environment["KUBE"]))
            kube.close()
        finally:
            subprocess.run([script, "down", folder], env=environment, check=True, timeout=60)
            if "CHATBOT_TEST_KEEP" not in os.environ:
                shutil.rmtree(folder, ignore_errors=True)


def _can_run() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        left_out("a real node needs root on Linux; run as root, or in a container with SYS_ADMIN and NET_ADMIN")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:  # noqa: S607
        left_out("a real node needs network namespaces, and `unshare --net` is refused here")
    for tool, package in _TOOLS.items():
        need(tool, f"apt-get install {package} (or `make deps`)")
    if not Path("/usr/lib/cni/bridge").exists():
        left_out("the CNI plugins are missing; get them: apt-get install containernetworking-plugins (or `make deps`)")


def _images() -> str:
    if given := os.environ.get("CHATBOT_TEST_IMAGES"):  # a folder of archives, for one who builds them himself
        return given
    environment = {**os.environ, "MONGO_SERVER": str(mongo_server()), "TRAEFIK": traefik()}
    built = subprocess.run(
        [SCRIPTS / "images.sh"], env=environment, capture_output=True, text=True, timeout=_IMAGES_SECONDS
    )
    assert built.returncode == 0, f"tests/cluster/images.sh: {built.stderr[-2000:]}"
    return built.stdout.strip()


def _is_ready(kube: Kube) -> bool:
    conditions = [entry for node in kube.find("Node") for entry in node["status"].get("conditions", [])]
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _commands(folder: Path, kube: str) -> Path:
    """`kubectl` and `helm` under their own names."""
    commands = folder / "bin"
    commands.mkdir()
    (commands / "kubectl").symlink_to(kube)
    (commands / "helm").symlink_to(helm().path)
    return commands


class _Files(SimpleHTTPRequestHandler):
    """Files of a folder; besides `/status/<code>/…`, `/stall/…` (goes silent) and `/huge/…` (a petabyte, it says)."""

    def do_GET(self) -> None:
        kind, code, *_ = [*self.path.split("/")[1:], ""]
        if kind == "status":
            self.send_error(int(code))
        elif kind in ("stall", "huge"):
            self.send_response(200)
            self.send_header("Content-Length", str(10**15 if kind == "huge" else 10**6))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"GGUF" + bytes(1000))
                time.sleep(90)
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """Serve a folder to pods, as a mirror of a model hub; its address."""
    server = ThreadingHTTPServer((HOST, 0), partial(_Files, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
