"""The volume: revisions, partial files, what may be deleted, and publishing by rename.

/models/<revision>/{model.gguf, revision.json}     a revision, whole; never changed once it is there
/models/.partial/<key>/{model.gguf, source.json}   what has arrived so far
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from chatbot_operator.download.faults import Interrupted, NoSpace, Reason

REVISION_LENGTH = 16
MARGIN_BYTES = 64 * 2**20
_REVISION = re.compile(rf"[0-9a-f]{{{REVISION_LENGTH}}}")
_YOUNGEST_DELETED_SECONDS = 600
_OLDEST_PARTIAL_SECONDS = 7 * 86400


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """`revision.json`: written last, so a folder that has it is whole. `size_bytes` of model.gguf."""

    sha256: str
    size_bytes: int
    url: str
    architecture: str


def revision_of(sha256: str) -> str:
    """The name of a content: the first 16 hex characters of its sha256."""
    return sha256[:REVISION_LENGTH]


class Volume:
    """A mounted claim. Every method is safe to repeat and safe against another Job doing the same."""

    def __init__(self, root: Path, now: float | None = None) -> None:
        self._root = root
        self._now = time.time() if now is None else now

    def published(self, sha256: str) -> RevisionRecord | None:
        """The record of a whole revision with exactly this content, or None."""
        folder = self._root / revision_of(sha256)
        record = _read_record(folder)
        if record is None or record.sha256 != sha256:
            return None
        file = folder / "model.gguf"
        return record if file.is_file() and file.stat().st_size == record.size_bytes else None

    def file_of(self, record: RevisionRecord) -> Path:
        """The file of a published revision."""
        return self._root / revision_of(record.sha256) / "model.gguf"

    def partial(self, key: str) -> Path:
        """The folder for what has arrived of one download; made where it is missing.

        Raises:
            Interrupted: The volume cannot be written.
        """
        folder = self._root / ".partial" / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise Interrupted(
                Reason.VOLUME, "The volume cannot be written; check its access mode and fsGroup."
            ) from exc
        return folder

    def delete_unused(self, keep: Iterable[str], keep_partials: Iterable[str]) -> list[str]:
        """Delete revisions that nobody names and partials that nobody names or that are a week old.

        Only folders with a record older than ten minutes go: a younger one may be about to be named.

        Args:
            keep: Revisions that Deployments, pods, ConfigMaps or Models name.
            keep_partials: Keys of partials that Models name.

        Returns:
            Names of the deleted folders.
        """
        kept, partials = set(keep), set(keep_partials)
        unused = [folder for folder in self._revisions() if folder.name not in kept and self._is_settled(folder)]
        stale = [folder for folder in self._partials() if folder.name not in partials or self._is_stale(folder)]
        for folder in stale:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in unused:
            # Out of sight first: nobody ever sees half a revision.
            hidden = self.partial(f"deleted-{folder.name}") / "revision"
            folder.rename(hidden)
            shutil.rmtree(hidden.parent, ignore_errors=True)
        return [folder.name for folder in (*stale, *unused)]

    def require_space(self, missing_bytes: int) -> None:
        """Refuse before the first byte where the rest of the file does not fit.

        Raises:
            NoSpace: Free space is below the missing bytes x 1.05 + 64 MiB.
        """
        free = shutil.disk_usage(self._root).free
        needed = int(missing_bytes * 1.05) + MARGIN_BYTES
        if free < needed:
            raise NoSpace(
                Reason.NO_SPACE,
                f"The volume has {free / 2**30:.2f} GiB free, {needed / 2**30:.2f} GiB are needed; "
                "raise spec.storage.size.",
            )

    def publish(self, partial: Path, record: RevisionRecord) -> None:
        """Make a verified partial visible under its revision, all at once.

        A folder that is there already with the same sum is success, whoever made it.

        Raises:
            Interrupted: The volume refuses the rename.
        """
        target = self._root / revision_of(record.sha256)
        _write_durably(partial / "revision.json", json.dumps(asdict(record)))
        (partial / "source.json").unlink(missing_ok=True)
        _sync_folder(partial)
        try:
            partial.rename(target)
        except OSError as exc:
            if self.published(record.sha256) is None:
                raise Interrupted(Reason.VOLUME, "The revision could not be published on the volume.") from exc
            shutil.rmtree(partial, ignore_errors=True)
        _sync_folder(self._root)

    def _is_settled(self, folder: Path) -> bool:
        record = folder / "revision.json"
        return record.is_file() and self._now - record.stat().st_mtime > _YOUNGEST_DELETED_SECONDS

    def _revisions(self) -> list[Path]:
        return [folder for folder in self._root.iterdir() if _REVISION.fullmatch(folder.name)]

    def _partials(self) -> list[Path]:
        return list((self._root / ".partial").glob("*"))

    def _is_stale(self, folder: Path) -> bool:
        newest = max(entry.stat().st_mtime for entry in [folder, *folder.iterdir()])
        return self._now - newest > _OLDEST_PARTIAL_SECONDS


def _read_record(folder: Path) -> RevisionRecord | None:
    try:
        return RevisionRecord(**json.loads((folder / "revision.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write_durably(file: Path, text: str) -> None:
    with file.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
