"""Reads a GGUF header far enough to know that the file is one and is all there.

The reader is bounded: whatever the bytes are, it allocates little and ends. Format: the GGUF specification in
the ggml repository (docs/gguf.md), versions 2 and 3, little-endian.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chatbot_operator.download.faults import Corrupt, Reason

_MAX_ENTRIES = 1 << 16
_MAX_TENSORS = 1 << 16
_MAX_NAME_BYTES = 1 << 16
_MAX_STRING_BYTES = 1 << 24
_MAX_ARRAY = 1 << 24
_MAX_DEPTH = 2
_DEFAULT_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
# ggml type -> (elements of a block, bytes of a block); ggml.h and ggml-common.h. Types not listed are not bounded.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the check learned.

    Attributes:
        architecture: "" where the file does not say.
        pooling: `<architecture>.pooling_type`: how rows become one vector; 0 where the file names none.
        has_chat_template: Whether the file says how a dialogue is written for it.
    """

    version: int
    architecture: str
    tensors: int
    pooling: int = 0
    has_chat_template: bool = False


def _bad(what: str) -> Corrupt:
    return Corrupt(Reason.NOT_GGUF, f"The file is not a usable GGUF: {what}. Check the address and the file there.")


class _Reader:
    """Bounded little-endian reads."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise _bad("it ends inside its header")
        return data

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0])

    def bounded(self, code: str, limit: int, what: str) -> int:
        value = self.number(code)
        if value > limit:
            raise _bad(f"{what} is out of bounds")
        return value

    def text(self, limit: int = _MAX_STRING_BYTES) -> bytes:
        return self.take(self.bounded("Q", limit, "the length of a string"))

    def value(self, kind: int, depth: int = 0) -> object:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            self._array(depth)
            return None
        if kind not in _SCALARS:
            raise _bad("it has a value of an unknown type")
        return struct.unpack("<" + _SCALARS[kind], self.take(struct.calcsize("<" + _SCALARS[kind])))[0]

    def _array(self, depth: int) -> None:
        kind = self.number("I")
        count = self.bounded("Q", _MAX_ARRAY, "the length of an array")
        if depth >= _MAX_DEPTH:
            raise _bad("its arrays are nested too deep")
        if kind in _SCALARS:
            self.take(count * struct.calcsize("<" + _SCALARS[kind]))
            return
        for _ in range(count):
            self.value(kind, depth + 1)

    def position(self) -> int:
        return self._file.tell()


def check(file: Path) -> GgufHeader:
    """Check magic, version, metadata and that every tensor lies inside the file.

    Raises:
        Corrupt: The file is not a GGUF that llama.cpp could read; the message says what is wrong.
    """
    size_bytes = file.stat().st_size
    with file.open("rb") as stream:
        reader = _Reader(stream)
        if reader.take(4) != b"GGUF":
            raise _bad("it does not begin with the magic GGUF")
        version = reader.number("I")
        if version not in (2, 3):
            raise _bad("its version is neither 2 nor 3")
        tensors = reader.bounded("Q", _MAX_TENSORS, "the number of tensors")
        metadata = _metadata(reader)
        end = _tensors_end(reader, tensors)
        alignment = _alignment(metadata)
        start = -(-reader.position() // alignment) * alignment
    if tensors == 0:
        raise _bad("it has no tensors")
    if start + end > size_bytes:
        raise _bad("tensors lie beyond its end, so it was cut")
    return _header(version, tensors, metadata)


def _header(version: int, tensors: int, metadata: dict[bytes, object]) -> GgufHeader:
    told = metadata.get(b"general.architecture", b"")
    architecture = told if isinstance(told, bytes) else b""
    pooling = metadata.get(architecture + b".pooling_type", 0)
    return GgufHeader(
        version,
        architecture.decode("ascii", "replace"),
        tensors,
        pooling=pooling if isinstance(pooling, int) else 0,
        has_chat_template=bool(metadata.get(b"tokenizer.chat_template")),
    )


def _metadata(reader: _Reader) -> dict[bytes, object]:
    """The scalar and string entries; arrays are checked and dropped."""
    found: dict[bytes, object] = {}
    for _ in range(reader.bounded("Q", _MAX_ENTRIES, "the number of metadata entries")):
        key = reader.text(_MAX_NAME_BYTES)
        value = reader.value(reader.number("I"))
        if key in found:
            raise _bad("it has a metadata key twice")
        found[key] = value
    return found


def _alignment(metadata: dict[bytes, object]) -> int:
    alignment = metadata.get(b"general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment > 1 << 20 or alignment & (alignment - 1):
        raise _bad("its alignment is not a power of two")
    return alignment


def _tensors_end(reader: _Reader, count: int) -> int:
    """Offset of the last byte of tensor data, relative to its start, as far as the types are known."""
    end = 0
    for _ in range(count):
        reader.text(_MAX_NAME_BYTES)
        dimensions = [reader.number("Q") for _ in range(reader.bounded("I", 4, "the rank of a tensor"))]
        kind, offset = reader.number("I"), reader.number("Q")
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        block, block_bytes = _BLOCKS.get(kind, (1, 0))
        end = max(end, offset + elements // block * block_bytes)
    return end
