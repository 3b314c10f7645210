"""The whole of one download: resume, verify, publish. Safe to repeat at any point, safe beside a twin."""

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from chatbot_operator.download import gguf_header
from chatbot_operator.download.faults import Corrupt, DownloadFault, Interrupted, NoSpace, Reason
from chatbot_operator.download.fetch import Fetcher, Part, Transport, must_start_anew
from chatbot_operator.download.kind import Kind, require_kind
from chatbot_operator.download.progress import Progress
from chatbot_operator.download.source import MountedSource, RemoteSource
from chatbot_operator.download.volume import RevisionRecord, Volume, revision_of

_TRIES_WITHOUT_PROGRESS = 5
_BACKOFF_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 60.0
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What to bring.

    Attributes:
        url: As the Model names it, for the record.
        sha256: Expected sum, or "" where the Model allows an unverified one.
        partial_key: Folder of the partial: `<Model UID>-<8 hex>`.
        kind: What the model is for; None is not checked.
        delete_unused: Whether to delete what neither `keep` (revisions) nor `keep_partials` names.
    """

    url: str
    source: RemoteSource | MountedSource
    sha256: str
    partial_key: str
    delete_unused: bool = False
    keep: tuple[str, ...] = ()
    keep_partials: tuple[str, ...] = ()
    source_mount: Path = Path("/source")
    kind: Kind | None = None


@dataclass(slots=True)
class _Arrived:
    """What is on the volume so far."""

    file: BinaryIO
    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.size_bytes, self.digest = 0, hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        try:
            self.file.write(chunk)
        except OSError as exc:
            raise _write_fault(exc) from exc
        self.digest.update(chunk)
        self.size_bytes += len(chunk)


class Download:
    """Carries out one order."""

    def __init__(self, order: Order, volume: Volume, transport: Transport, progress: Progress) -> None:
        self._order = order
        self._volume = volume
        self._transport = transport
        self._progress = progress
        self._attempt = 1
        self.sleep: Callable[[float], None] = time.sleep

    def run(self) -> RevisionRecord:
        """Bring the file, or find that it is there already.

        Raises:
            DownloadFault: With the reason; what has arrived is kept unless it is wrong.
        """
        if self._order.sha256 and (record := self._volume.published(self._order.sha256)):
            self._checked(self._volume.file_of(record))  # another Model brought it, maybe for something else
            return record
        partial = self._volume.partial(self._order.partial_key)
        try:
            with (partial / "model.gguf").open("a+b") as file:
                arrived = self._kept(partial, file)
                self._fill(partial, arrived)
                _flush(file)
            return self._verify_and_publish(partial, arrived)
        finally:
            self._progress.finish()

    def _kept(self, partial: Path, file: BinaryIO) -> _Arrived:
        """What an earlier try left, hashed again; nothing where it came from elsewhere."""
        arrived = _Arrived(file)
        if _noted(partial).get("url") != self._order.url:
            arrived.restart()
            return arrived
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            arrived.digest.update(chunk)
            arrived.size_bytes += len(chunk)
        return arrived

    def _fill(self, partial: Path, arrived: _Arrived) -> None:
        if isinstance(self._order.source, MountedSource):
            self._copy(self._order.source, arrived)
            return
        fetcher = Fetcher(self._order.source, self._transport)
        try:
            self._fetch_with_retries(fetcher, partial, arrived)
        finally:
            fetcher.close()

    def _copy(self, source: MountedSource, arrived: _Arrived) -> None:
        file = source.file(self._order.source_mount)
        arrived.restart()
        self._make_room(file.stat().st_size)
        with file.open("rb") as stream:
            self._receive(arrived, iter(lambda: stream.read(_CHUNK_BYTES), b""), file.stat().st_size)

    def _fetch_with_retries(self, fetcher: Fetcher, partial: Path, arrived: _Arrived) -> None:
        fruitless = 0
        while True:
            before = arrived.size_bytes
            try:
                self._fetch_once(fetcher, partial, arrived)
                return
            except Interrupted as fault:
                if must_start_anew(fault):
                    arrived.restart()
                fruitless = 0 if arrived.size_bytes > before else fruitless + 1
                if fruitless >= _TRIES_WITHOUT_PROGRESS:
                    raise
                self._attempt += 1
                self._progress.interrupted(str(fault.reason), str(fault))
                self.sleep(_backoff_seconds(fruitless))

    def _fetch_once(self, fetcher: Fetcher, partial: Path, arrived: _Arrived) -> None:
        validator = _noted(partial).get("validator", "")
        if arrived.size_bytes and not (validator or self._order.sha256):
            arrived.restart()  # nothing would tell whether the rest belongs to the same file
        with fetcher.part(arrived.size_bytes, validator) as part:
            if part.offset != arrived.size_bytes:
                arrived.restart()
            _note(partial, {"url": self._order.url, "validator": part.validator})
            self._make_room((part.total_bytes or 0) - part.offset)
            self._receive(arrived, part.chunks, part.total_bytes)
            _require_whole(part, arrived)

    def _make_room(self, missing_bytes: int) -> None:
        if self._order.delete_unused:
            self._volume.delete_unused(self._order.keep, (*self._order.keep_partials, self._order.partial_key))
        self._volume.require_space(missing_bytes)

    def _receive(self, arrived: _Arrived, chunks: Iterator[bytes], total_bytes: int | None) -> None:
        self._progress.update(arrived.size_bytes, total_bytes, self._attempt)
        for chunk in chunks:
            arrived.add(chunk)
            self._progress.update(arrived.size_bytes, total_bytes, self._attempt)
            if total_bytes is not None and arrived.size_bytes > total_bytes:
                arrived.restart()
                raise Interrupted(Reason.SERVER_ERROR, "The source sent more than it announced.")

    def _verify_and_publish(self, partial: Path, arrived: _Arrived) -> RevisionRecord:
        sha256 = arrived.digest.hexdigest()
        try:
            if self._order.sha256 and sha256 != self._order.sha256:
                raise Corrupt(
                    Reason.CHECKSUM,
                    f"The sha256 is {sha256}, expected {self._order.sha256}. Check spec.source.sha256 and the source.",
                )
            header = self._checked(partial / "model.gguf")
        except Corrupt:
            (partial / "model.gguf").unlink(missing_ok=True)  # never resumed, never served
            raise
        record = RevisionRecord(sha256, arrived.size_bytes, self._order.url, header.architecture)
        self._volume.publish(partial, record)
        return record

    def _checked(self, file: Path) -> gguf_header.GgufHeader:
        header = gguf_header.check(file)
        if self._order.kind is not None:
            require_kind(header, self._order.kind)
        return header


def summary(record: RevisionRecord) -> dict[str, object]:
    """What the operator reads from the termination message of a download that succeeded."""
    return {"revision": revision_of(record.sha256), "sha256": record.sha256, "bytes": record.size_bytes}


def failure(fault: DownloadFault) -> dict[str, object]:
    """What the operator reads from the termination message of a download that failed."""
    return {"reason": str(fault.reason), "message": str(fault)}


def _require_whole(part: Part, arrived: _Arrived) -> None:
    if part.total_bytes is not None and arrived.size_bytes < part.total_bytes:
        raise Interrupted(Reason.UNREACHABLE, "The connection ended before the file did.")


def _backoff_seconds(fruitless: int) -> float:
    """Exponential with full jitter, so that many Jobs do not come back at once."""
    longest: float = min(_LONGEST_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2**fruitless)
    return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter, no secret


def _write_fault(exc: OSError) -> DownloadFault:
    if exc.errno in (28, 122):  # ENOSPC, EDQUOT
        return NoSpace(Reason.NO_SPACE, "The volume is full; raise spec.storage.size.")
    return Interrupted(Reason.VOLUME, f"The volume cannot be written ({exc.strerror}).")


def _flush(file: BinaryIO) -> None:
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as exc:
        raise _write_fault(exc) from exc


def _noted(partial: Path) -> dict[str, str]:
    try:
        noted = json.loads((partial / "source.json").read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _note(partial: Path, source: dict[str, str]) -> None:
    (partial / "source.json").write_text(json.dumps(source))
