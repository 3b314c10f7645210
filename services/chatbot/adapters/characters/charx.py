"""Cards in ZIP archives (CHARX), also behind a picture or a program: one entry read, nothing unpacked.

Python's `zipfile` bounds nothing: it believes sizes, and reads an entry whole before it notices. Sources: PKWARE
APPNOTE 6.3.10, 4.3; https://github.com/kwaroran/character-card-spec-v3, "CHARX".
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chatbot.adapters.characters.json_text import MAX_BYTES
from chatbot.domain.errors import MalformedBody

MAX_ENTRIES: Final = 4_096
CARD: Final = b"card.json"
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_MAX_COMMENT_BYTES: Final = 0xFFFF
_CENTRAL: Final = b"PK\x01\x02"
_LOCAL: Final = b"PK\x03\x04"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 1
_SHOWN_FILES: Final = 20


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says of a file."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    real_bytes: int
    offset: int


def end_of(content: bytes) -> int:
    """Where the archive's end record is; -1 where there is no archive."""
    at = content.rfind(_END, max(0, len(content) - _END_BYTES - _MAX_COMMENT_BYTES))
    return at if at >= 0 and at + _END_BYTES <= len(content) else -1


def read_charx(content: bytes, dropped: list[tuple[str, str]]) -> bytes:
    """The JSON of the card in an archive.

    Raises:
        MalformedBody: There is none, or the archive is damaged, encrypted or too much.
    """
    at = end_of(content)
    if at < 0:
        raise MalformedBody("no_card")
    _, disk, first_disk, here, count, size, offset, _ = struct.unpack_from("<4s4H2IH", content, at)
    if disk or first_disk or here != count or count == 0xFFFF or size > at:
        raise MalformedBody("card_damaged")
    if count > MAX_ENTRIES:
        raise MalformedBody("card_too_much")
    moved = at - size - offset  # by what stands before the archive
    if moved < 0:
        raise MalformedBody("card_damaged")
    entries = list(_entries(content, at - size, count, at))
    cards = [entry for entry in entries if entry.name == CARD]
    if not cards:
        raise MalformedBody("no_card")
    if len(cards) > 1:
        raise MalformedBody("card_damaged")
    others = [entry.name.decode("utf-8", "replace") for entry in entries if entry.name != CARD and entry.real_bytes]
    dropped += [("file_dropped", name) for name in others[:_SHOWN_FILES]]
    return _read(content, cards[0], moved)


def _entries(content: bytes, at: int, count: int, end: int) -> Iterator[_Entry]:
    for _ in range(count):
        if at + 46 > end or content[at : at + 4] != _CENTRAL:
            raise MalformedBody("card_damaged")
        flags, method, _time, crc, packed, real, n_name, n_extra, n_comment = struct.unpack_from(
            "<2HI3I3H", content, at + 8
        )
        offset = struct.unpack_from("<I", content, at + 42)[0]
        name = content[at + 46 : at + 46 + n_name]
        yield _Entry(name, flags, method, crc, packed, real, offset)
        at += 46 + n_name + n_extra + n_comment


def _read(content: bytes, entry: _Entry, moved: int) -> bytes:
    if entry.flags & _ENCRYPTED:
        raise MalformedBody("card_encrypted")
    if entry.method not in (_STORED, _DEFLATED):
        raise MalformedBody("card_damaged")
    if max(entry.real_bytes, entry.packed_bytes) > MAX_BYTES:
        raise MalformedBody("card_too_much")
    at = entry.offset + moved
    if content[at : at + 4] != _LOCAL or at + 30 > len(content):
        raise MalformedBody("card_damaged")
    n_name, n_extra = struct.unpack_from("<2H", content, at + 26)
    start = at + 30 + n_name + n_extra
    packed = content[start : start + entry.packed_bytes]
    text = packed if entry.method == _STORED else _inflated(packed)
    if len(text) != entry.real_bytes or zlib.crc32(text) != entry.crc:
        raise MalformedBody("card_damaged")
    return text


def _inflated(packed: bytes) -> bytes:
    """Never more than one byte above the bound, whatever the entry says of its size."""
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        text = unpacking.decompress(packed, MAX_BYTES + 1)
    except zlib.error:
        raise MalformedBody("card_damaged") from None
    if len(text) > MAX_BYTES:
        raise MalformedBody("card_too_much")
    if not unpacking.eof:
        raise MalformedBody("card_damaged")
    return text
