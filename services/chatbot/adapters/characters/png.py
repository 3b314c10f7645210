"""Cards in PNG files: text chunks read and written, no pixel ever decoded.

Sources: PNG (third edition), 5.3 and 11.3.3; the card specifications, "Embedding": `chara` and `ccv3`, base64.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from chatbot.domain.errors import MalformedBody

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS: Final = 4_096
MAX_TEXT_BYTES: Final = 4 << 20
KEYWORDS: Final = ("ccv3", "chara")
"""The first that is there is read."""

_WIDTH: Final = 256
_HEIGHT: Final = 384
_GREY: Final = b"\xb0"
_TEXT_KINDS: Final = (b"tEXt", b"zTXt", b"iTXt")
Notes = list[tuple[str, str]]


def read_png(content: bytes, notes: Notes, dropped: Notes) -> tuple[str, bytes]:
    """Container (png or apng) and the card's JSON.

    Raises:
        MalformedBody: There is none, or the file is damaged.
    """
    found: dict[str, bytes] = {}
    kinds: set[bytes] = set()
    for kind, data in _chunks(content):
        kinds.add(kind)
        keyword = data.partition(b"\0")[0].decode("latin-1").lower()
        if keyword.startswith("chara-ext-asset_"):
            dropped.append(("file_dropped", keyword))
        if keyword in KEYWORDS:
            if keyword in found:
                notes.append(("duplicate_chunk", keyword))
            found[keyword] = _text(kind, data)
    chosen = next((keyword for keyword in KEYWORDS if keyword in found), None)
    if chosen is None:
        raise MalformedBody("no_card")
    if len(found) > 1:
        notes.append(("both_versions", chosen))
    dropped.append(("picture_dropped", "png"))
    return "apng" if b"acTL" in kinds else "png", _decoded(found[chosen])


def _text(kind: bytes, data: bytes) -> bytes:
    if kind != b"tEXt":
        raise MalformedBody("card_compressed_text")
    return data.partition(b"\0")[2]


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk; data only of texts, whose sums are checked."""
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(content):
            raise MalformedBody("card_damaged")
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content) or not kind.isalpha():
            raise MalformedBody("card_damaged")
        data = b""
        if kind in _TEXT_KINDS:
            data = content[at + 8 : end - 4]
            if zlib.crc32(data, zlib.crc32(kind)) != struct.unpack_from(">I", content, end - 4)[0]:
                raise MalformedBody("card_damaged")
        yield kind, data
        if kind == b"IEND":
            return
        at = end
    raise MalformedBody("card_too_much")


def _decoded(text: bytes) -> bytes:
    if len(text) > MAX_TEXT_BYTES:
        raise MalformedBody("card_too_much")
    text = b"".join(text.split()).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise MalformedBody("card_damaged") from None


def picture(texts: Mapping[str, bytes]) -> bytes:
    """A plain grey picture that carries texts, in base64 as the card specifications have it."""
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + _GREY * _WIDTH) * _HEIGHT, 9)
    carried = [(b"tEXt", keyword.encode() + b"\0" + base64.b64encode(text)) for keyword, text in texts.items()]
    chunks = [(b"IHDR", header), *carried, (b"IDAT", pixels), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
