"""The part of a file that is here already, and what the server called the version that it belongs to."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a remote file.

    Attributes:
        validator: Strong ETag, else Last-Modified, as sent in `If-Range`; "" where the server names neither.
        total_bytes: Its size, None where the server does not tell.
    """

    validator: str = ""
    total_bytes: int | None = None


class Partial:
    """`<name>.partial` and `<name>.partial.json`; readable by their owner only."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".partial")
        self._note = target.with_name(target.name + ".partial.json")

    @property
    def kept_bytes(self) -> int:
        """Bytes that can be gone on from: 0 where nobody knows what version they belong to."""
        version = self.version
        if not version.validator:
            return 0
        try:
            size = self.path.stat().st_size
        except OSError:
            return 0
        return size if version.total_bytes is None or size <= version.total_bytes else 0

    @property
    def version(self) -> Version:
        """The version of the kept bytes; an unreadable note is no version."""
        try:
            note = json.loads(self._note.read_text("utf-8"))
            validator, total_bytes = note["validator"], note["total_bytes"]
        except (OSError, ValueError, TypeError, KeyError):
            return Version()
        is_sane = isinstance(validator, str) and (total_bytes is None or isinstance(total_bytes, int))
        return Version(validator, total_bytes) if is_sane else Version()

    def begin(self, version: Version) -> BinaryIO:
        """Start from nothing with this version; returns the file, open for writing."""
        self.discard()
        self._note.write_text(json.dumps(asdict(version)), "utf-8")
        return os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def go_on(self) -> BinaryIO:
        """The file, open for writing at its end."""
        return self.path.open("ab")

    def discard(self) -> None:
        """Forget what is here. Idempotent."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def publish(self, target: Path) -> None:
        """Make the whole file visible under its name, durably: file, name, folder. Idempotent by rename."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self._note.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
