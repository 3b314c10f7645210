"""Which file to serve: one fixed path, or the revision that a folder names and that may change at any time.

The folder is what a projected volume of Kubernetes shows: the kubelet swaps a symlink below it, so each reading
opens by path anew.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chatbot.domain.model import ModelState, ModelStatus
from chatbot.llm.supervision.model_file import Signature, published_sha256, sha256_of, signature_of

POLL_SECONDS = 1.0

_REVISION = re.compile(r"[0-9a-f]{16}")
_MAX_FILE_BYTES = 256
_log = logging.getLogger(__name__)


class ModelHost(Protocol):
    """What serves the file: `EngineHost`."""

    async def start(self, path: Path, revision: str = "", sha256: str = "") -> None:
        """Serve the first file."""

    async def swap(self, path: Path, revision: str, sha256: str = "") -> None:
        """Serve another file instead."""

    def no_model(self, message: str) -> None:
        """There is nothing to serve."""

    def identify(self, path: Path, sha256: str) -> None:
        """The sum of a file that was started without one."""

    def status(self) -> ModelStatus:
        """What is served now."""


class FixedModel:
    """One file; its revision is its own sum, which is computed beside the load.

    Args:
        path: A GGUF file.
        progress: Called from a thread with bytes hashed and bytes in all.
        poll_seconds: How often a file that could not be served is looked at again.
    """

    def __init__(
        self,
        path: Path,
        progress: Callable[[int, int], None] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._path = path
        self._progress = progress
        self.poll_seconds = poll_seconds
        self._is_started = False
        self._hashed: Signature | None = None

    async def follow(self, host: ModelHost) -> None:
        """Serve the file until cancelled."""
        await _look_for_ever(self, host)

    async def look(self, host: ModelHost) -> None:
        """Start the file at the first look; tell its sum then, and when another one lies there that may be loaded."""
        if not self._is_started:
            self._is_started = True
            await host.start(self._path)
        found = await asyncio.to_thread(signature_of, self._path)
        may_be_loaded_anew = self._hashed is None or host.status().state is not ModelState.SERVING
        if found is not None and found != self._hashed and may_be_loaded_anew:
            sha256 = await self._hash()
            if sha256:
                self._hashed = found
                host.identify(self._path, sha256)

    async def _hash(self) -> str:
        stop = threading.Event()
        try:
            return await asyncio.to_thread(sha256_of, self._path, progress=self._progress, stop=stop)
        finally:
            stop.set()  # where this was cancelled the thread must not read gigabytes on


class FollowedModel:
    """`<models>/<revision>/model.gguf`, the revision read from a folder every second.

    `model-revision` is followed while running. Where it is empty, `good-revision` is taken once, so that a process
    starts while nobody is there to name a revision.

    Args:
        models: Folder of the revisions.
        revisions: Folder with the two files.
        poll_seconds: How often they are read.
        otherwise: What to do where no Model object is wanted, for whoever reads that there is none.
    """

    def __init__(
        self,
        models: Path,
        revisions: Path,
        poll_seconds: float = POLL_SECONDS,
        otherwise: str = "set CHATBOT_MODEL_PATH to a GGUF file",
    ) -> None:
        self._models = models
        self._revisions = revisions
        self._otherwise = otherwise
        self.poll_seconds = poll_seconds
        self._chosen = ""
        self._complained: set[str] = set()

    async def follow(self, host: ModelHost) -> None:
        """Serve what is named, until cancelled."""
        await _look_for_ever(self, host)

    async def look(self, host: ModelHost) -> None:
        """Read the folder once, and tell the host where something else is named."""
        revision = self._named("model-revision") or self._chosen or self._named("good-revision")
        if not revision:
            host.no_model(
                f"No revision is named in {self._revisions}: apply a Model object that this service consumes, "
                f"or {self._otherwise}."
            )
        elif revision != self._chosen:
            path = self._models / revision / "model.gguf"
            sha256 = await asyncio.to_thread(published_sha256, path, revision)
            await (host.swap if self._chosen else host.start)(path, revision, sha256)
            self._chosen = revision

    def _named(self, name: str) -> str:
        """The revision in a file, "" where there is none or it is none: it becomes part of a path."""
        try:
            with (self._revisions / name).open("rb") as file:
                text = file.read(_MAX_FILE_BYTES).decode("ascii", "replace").strip()
        except OSError:
            return ""
        if _REVISION.fullmatch(text):
            self._complained.discard(name)
            return text
        if text and name not in self._complained:
            self._complained.add(name)
            _log.error("%s does not hold a revision: 16 lower-case hex characters are expected", name)
        return ""


async def _look_for_ever(source: FixedModel | FollowedModel, host: ModelHost) -> None:
    while True:
        try:
            await source.look(host)
        except Exception:  # no failure of a look may end the following
            _log.exception("looking for the model failed, going on")
        await asyncio.sleep(source.poll_seconds)
