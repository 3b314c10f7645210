"""A file that may change at any time: what is broken or gone changes nothing but what is told.

The kubelet swaps a symbolic link, so a path leads to the old or to the new file and never to half of one
(https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically).
"""

import asyncio
import hashlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from chatbot.adapters.mounted.text import MOST_BYTES

LOOK_SECONDS: Final = 1.0
_DIGEST_CHARACTERS: Final = 16
_Version = tuple[int, int, int]


class FollowedFile(ABC):
    """Looks at a file, and takes it when it changed.

    Args:
        path: None: there is nothing to look at, for ever.
        gone: What to do where a file that was there is gone.
    """

    def __init__(self, path: Path | None, gone: str) -> None:
        self._path = path
        self._gone = gone
        self._version: _Version | None = None

    async def follow(self) -> None:
        """Look at the file every second, for ever; in a thread, since a large one takes a while."""
        while self._path is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the file if it changed."""
        if self._path is None:
            return
        try:
            version = _version(self._path)
            if version == self._version:
                return
            content = _read(self._path)
            self._version = version
            self._take(content, hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS])
        except FileNotFoundError:
            self._missing()
        except OSError as exc:
            self._version = None  # it may be readable without having changed
            self._keep(f"the file cannot be read: {exc.strerror}")
        except ValueError as exc:
            self._keep(str(exc))

    def _missing(self) -> None:
        self._version = None
        if self._holds:  # a ConfigMap that is gone must not take back what it said
            self._keep(f"the file is gone; {self._gone}")

    @property
    @abstractmethod
    def _holds(self) -> bool:
        """Whether a file was taken before."""

    @abstractmethod
    def _take(self, content: bytes, digest: str) -> None:
        """The file says this now.

        Raises:
            ValueError: It cannot be used; the text names the remedy.
        """

    @abstractmethod
    def _keep(self, message: str) -> None:
        """What was taken before goes on to hold, because of this."""


def _version(path: Path) -> _Version:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
