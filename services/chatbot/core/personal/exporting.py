"""All that is kept about a person, as one zip that is written while it is read: never whole in memory, never on a disk.

conversations.ndjson, documents.ndjson, …   a line of JSON each row
manifest.json                               {"stores": [{"store", "file", "rows", "sha256"}], …}
"""

import asyncio
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import IO, Any, Final

from chatbot.domain.personal.stores import Person, PersonalData, Row

_AT_ONCE_BYTES: Final = 1 << 18


class _Tail(io.RawIOBase):
    """What was written and not taken yet; it cannot be sought in, so the archive says all sizes behind its entries."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


async def exported(
    person: Person, stores: Sequence[PersonalData], at: float, left_out: Sequence[str] = ()
) -> AsyncIterator[bytes]:
    """The archive, piece by piece.

    Args:
        person: Whose.
        stores: All that keep anything about people.
        at: Time of the export, Unix seconds.
        left_out: Names of others, for the manifest.

    Raises:
        StoreUnavailable: A store failed; the archive has no end then, so nobody takes it for a whole one.
    """
    tail, lines = _Tail(), []
    with zipfile.ZipFile(tail, "w", zipfile.ZIP_DEFLATED) as archive:
        for store in stores:
            told = {"store": store.name, "file": f"{store.name}.ndjson"}
            digest, rows = hashlib.sha256(), 0
            with archive.open(_entry(told["file"], at), "w", force_zip64=True) as entry:
                async for count, text in _texts(store, person):
                    rows += count
                    await asyncio.to_thread(_write, entry, digest, text)
                    yield tail.take()
            lines.append({**told, "rows": rows, "sha256": digest.hexdigest()})
        made_at = datetime.fromtimestamp(at, UTC).isoformat()
        manifest = {"made_at": made_at, "stores": lines, "left_out": list(left_out)}
        archive.writestr(_entry("manifest.json", at), json.dumps(manifest, indent=2))
    yield tail.take()


async def _texts(store: PersonalData, person: Person) -> AsyncIterator[tuple[int, bytes]]:
    """Lines, some at a time, with their number."""
    text, count = bytearray(), 0
    async for row in store.export(person):
        text += _line(row)
        count += 1
        if len(text) >= _AT_ONCE_BYTES:
            yield count, bytes(text)
            text, count = bytearray(), 0
    yield count, bytes(text)


def _line(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def _write(entry: IO[bytes], digest: Any, text: bytes) -> None:
    digest.update(text)
    entry.write(text)


def _entry(name: str, at: float) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, datetime.fromtimestamp(at, UTC).timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
