"""What pods of the fake nodes would answer about files that they mount: the services' own code, on the ConfigMaps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from chatbot.adapters.characters.curated_file import CuratedFile
from chatbot.adapters.tenants.file import PolicyFile
from chatbot.api.characters.curated_page import curation_fields
from chatbot.api.characters.objects import ObjectWords
from chatbot.api.operations import policy_fields
from chatbot.core.characters.curation.entries import EntryReader

from parts.kube_client import Document, Refused


@dataclass(frozen=True)
class Mounted:
    """One kind of file: where it comes from, who mounts it, and what pods say of it."""

    config_map: str
    file: str
    label: str
    follow: Callable[[Path], Any]
    fields: Callable[[Any], Document]


POLICIES: Final = Mounted("chatbot-tenants", "tenants.yaml", "chatbot.ai/tenants", PolicyFile, policy_fields)
CHARACTERS: Final = Mounted(
    "chatbot-characters",
    "characters.yaml",
    "chatbot.ai/characters",
    lambda path: CuratedFile(path, EntryReader(ObjectWords(), lambda: datetime.now(UTC)).read),
    curation_fields,
)
CONFIG_MAP, FILE, LABEL = POLICIES.config_map, POLICIES.file, POLICIES.label


class FakeMounts:
    """Answers for pods as a service does that mounts the ConfigMap where it is there.

    Args:
        read: `Kube.get`.
        mounted: What they mount.
        folder: Where it lies.

    Attributes:
        holds: While true, the kubelet brings nothing new.
    """

    def __init__(self, read: Callable[[str, str, str], Document], mounted: Mounted, folder: Path) -> None:
        self._read = read
        self._mounted = mounted
        self._folder = folder / mounted.config_map
        self._folder.mkdir()
        self._files: dict[str, Any] = {}
        self.holds = False

    def answer(self, namespace: str, name: str) -> Document | None:
        """What a pod says now."""
        try:
            pod = self._read("Pod", namespace, name)["metadata"]
        except Refused:
            return None
        path = self._folder / str(pod["uid"])
        if self._mounted.label in pod["labels"] and not self.holds:
            self._mount(namespace, path)
        file = self._files.get(pod["uid"])
        if file is None:
            file = self._files[pod["uid"]] = self._mounted.follow(path)
        file.look()
        return self._mounted.fields(file.status)

    def _mount(self, namespace: str, path: Path) -> None:
        try:
            text = self._read("ConfigMap", namespace, self._mounted.config_map)["data"][self._mounted.file]
        except (Refused, KeyError):
            path.unlink(missing_ok=True)
            return
        if not path.exists() or path.read_text() != text:
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").replace(path)
