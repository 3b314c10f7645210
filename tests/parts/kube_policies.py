"""What pods of the fake nodes would answer about policies of tenants: the services' own code, on the ConfigMap."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from chatbot.adapters.tenants.file import PolicyFile
from chatbot.api.operations import policy_fields

from parts.kube_client import Document, Refused

CONFIG_MAP, FILE, LABEL = "chatbot-tenants", "tenants.yaml", "chatbot.ai/tenants"


class FakePolicies:
    """Answers `/<namespace>/<pod>/policy` as a service does that mounts the ConfigMap where it is there.

    Args:
        read: `Kube.get`.

    Attributes:
        holds: While true, the kubelet brings nothing new.
    """

    def __init__(self, read: Callable[[str, str, str], Document]) -> None:
        self._read = read
        self._folder = Path(tempfile.mkdtemp(prefix="chatbot-policies-"))
        self._files: dict[str, PolicyFile] = {}
        self.holds = False

    def answer(self, namespace: str, name: str) -> Document | None:
        """What a pod says now."""
        try:
            pod = self._read("Pod", namespace, name)["metadata"]
        except Refused:
            return None
        path = self._folder / str(pod["uid"])
        if LABEL in pod["labels"] and not self.holds:
            self._mount(namespace, path)
        file = self._files.get(pod["uid"])
        if file is None:
            file = self._files[pod["uid"]] = PolicyFile(path)
        file.look()
        return policy_fields(file.status)

    def _mount(self, namespace: str, path: Path) -> None:
        try:
            text = self._read("ConfigMap", namespace, CONFIG_MAP)["data"][FILE]
        except (Refused, KeyError):
            path.unlink(missing_ok=True)
            return
        if not path.exists() or path.read_text() != text:
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").replace(path)
