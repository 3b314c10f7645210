"""The operator as a process, with a ServiceAccount's rights."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from parts.kube_client import Login, wait_for
from parts.kube_cluster import free_ports

_READY_SECONDS = 180


class Operator:
    """One process of `chatbot-operator`; it can be killed and started again with the same settings."""

    def __init__(self, login: Login, namespace: str, pods_url: str, server: str = "", **settings: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chatbot-operator-"))
        kubeconfig = self._folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(login.kubeconfig(server, namespace)))
        self.port = free_ports(1)[0]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("CHATBOT_")} | {
            "CHATBOT_OPERATOR_API_KUBECONFIG": str(kubeconfig),
            "CHATBOT_OPERATOR_WATCH_NAMESPACES": f'["{namespace}"]',
            "CHATBOT_OPERATOR_PODS_MODEL_URL": pods_url,
            "CHATBOT_OPERATOR_PODS_EMBEDDING_URL": pods_url.replace("/model", "/embedding"),
            "CHATBOT_OPERATOR_PODS_POLICY_URL": pods_url.replace("/model", "/policy"),
            "CHATBOT_OPERATOR_PODS_CHARACTERS_URL": pods_url.replace("/model", "/characters"),
            "CHATBOT_OPERATOR_METRICS_HOST": "127.0.0.1",
            "CHATBOT_OPERATOR_METRICS_PORT": str(self.port),
            "CHATBOT_OPERATOR_WORK_TICK_SECONDS": "5",
            "PYTHONSAFEPATH": "1",
            **{f"CHATBOT_OPERATOR_{name.upper()}": value for name, value in settings.items()},
        }
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._changing = threading.Lock()

    def start(self) -> None:
        """Start it; returns at once."""
        command = [Path(sys.executable).parent / "chatbot-operator"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it with SIGKILL, wherever it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def restart(self) -> None:
        """SIGKILL, and a new process with the same settings; who asks meanwhile whether it runs waits."""
        with self._changing:
            self.kill()
            self.start()

    def stop(self) -> int:
        """Ask it to end with SIGTERM; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=30)

    def remove(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        with self._changing:
            return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def get(self, path: str) -> httpx.Response:
        """A page of its internal port."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5, trust_env=False)

    def wait_until_up(self) -> None:
        """Return when it answers."""
        wait_for(self._answers, _READY_SECONDS, lambda: self.log[-3000:])

    def _answers(self) -> bool:
        assert self.is_running, self.log[-3000:]
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
            return False


@contextmanager
def running_operator(
    login: Login, namespace: str, pods_url: str, server: str = "", **settings: str
) -> Iterator[Operator]:
    """An operator that runs while the context lasts; `settings` are `section_name="value"`."""
    operator = Operator(login, namespace, pods_url, server, **settings)
    operator.start()
    try:
        operator.wait_until_up()
        yield operator
    finally:
        operator.remove()
