"""Reads and checks a GGUF's header before llama.cpp sees the file.

llama.cpp's own reader has had memory bugs for hostile files, and it ends the process for some of them. This one is
plain Python with a bound on every count, so a broken file costs a message and no crash. It reads no weights.

Source: docs/gguf.md of github.com/ggml-org/ggml, versions 2 and 3, little endian.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatbot.llm.engine.native.library import block_sizes

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_ENTRIES = 65_536
_MAX_ARRAY = 4_000_000
_MAX_KEPT_ARRAY = 4096
_MAX_NAME_BYTES = 63
_MAX_KEY_BYTES = 65_535
_MAX_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32


class InvalidGguf(Exception):
    """The file is no usable GGUF; the message says where it breaks."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What is known of a file without loading it.

    Attributes:
        metadata: Values by key; an array longer than 4,096 elements, or of strings, is only its length.
        weight_bytes: Bytes of all tensors.
        vocabulary_size: Length of the token list; 0 where the file has none.
    """

    metadata: dict[str, Any]
    weight_bytes: int
    vocabulary_size: int

    @property
    def architecture(self) -> str:
        """Architecture name, the prefix of its sizes' keys."""
        return str(self.metadata.get("general.architecture", ""))

    def size(self, key: str, default: int) -> int:
        """A size of the architecture; of a size per layer the largest."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, list):
            value = max(value, default=default)
        return int(value) if isinstance(value, int | float) else default


def read_gguf_header(path: Path) -> GgufHeader:
    """Read the header and check that every tensor lies inside the file.

    Raises:
        InvalidGguf: The file is empty, cut off or not a GGUF.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise InvalidGguf("the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _Reader(content).header()
            except struct.error as exc:
                raise InvalidGguf(f"the file ends inside its header, after {len(content)} bytes") from exc


class _Reader:
    """A cursor over the mapped file."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = 0

    def header(self) -> GgufHeader:
        if self._content[:4] != b"GGUF":
            raise InvalidGguf("the file does not begin with the four bytes GGUF")
        self._at = 4
        version = self._scalar("<I")
        if version not in (2, 3):
            raise InvalidGguf(f"GGUF version {version} is not supported, only 2 and 3")
        n_tensors, n_keys = self._count(_MAX_ENTRIES, "tensors"), self._count(_MAX_ENTRIES, "keys")
        metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            key = self._string(_MAX_KEY_BYTES)
            if key in metadata:
                raise InvalidGguf("a metadata key comes twice")
            metadata[key] = self._value(self._scalar("<I"))
        if not metadata.get("general.architecture"):
            raise InvalidGguf("the metadata names no architecture")
        weight_bytes = self._tensors(n_tensors, _alignment(metadata))
        tokens = metadata.get("tokenizer.ggml.tokens", 0)
        return GgufHeader(metadata, weight_bytes, tokens if isinstance(tokens, int) else len(tokens))

    def _tensors(self, n_tensors: int, alignment: int) -> int:
        """Sum of the tensors' bytes; they lie one after the other, each start aligned, in the order of the list."""
        names: set[str] = set()
        expected_offset = total = end = 0
        for _ in range(n_tensors):
            name = self._string(_MAX_NAME_BYTES)
            size = self._tensor_bytes()
            if name in names:
                raise InvalidGguf("a tensor's name comes twice")
            if self._scalar("<Q") != expected_offset:
                raise InvalidGguf("a tensor does not start where the one before it ends")
            names.add(name)
            total += size
            end = expected_offset + size
            expected_offset += -(-size // alignment) * alignment
        data_start = -(-self._at // alignment) * alignment
        if n_tensors == 0:
            raise InvalidGguf("the file has no tensors")
        if data_start + end > len(self._content):
            raise InvalidGguf(f"the file is cut off: it has {len(self._content)} bytes, its tensors need {total}")
        return total

    def _tensor_bytes(self) -> int:
        n_dimensions = self._scalar("<I")
        if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
            raise InvalidGguf(f"a tensor has {n_dimensions} dimensions")
        shape = [int(self._scalar("<Q")) for _ in range(n_dimensions)]
        block, block_bytes = block_sizes(self._scalar("<I"))
        if block == 0:
            raise InvalidGguf("a tensor has a type that this version of llama.cpp does not know")
        elements = 1
        for length in shape:
            elements *= length
        if not 0 < elements < 1 << 48 or shape[0] % block:
            raise InvalidGguf("a tensor has an impossible shape")
        return elements // block * block_bytes

    def _value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._string(len(self._content))
        if kind != _ARRAY:
            raise InvalidGguf(f"a metadata value has the unknown type {kind}")
        return self._array(self._scalar("<I"))

    def _array(self, kind: int) -> Any:
        length = self._count(_MAX_ARRAY, "elements of an array")
        if kind == _STRING:
            for _ in range(length):
                self._skip(self._scalar("<Q"))
            return length
        if kind not in _SCALARS:
            raise InvalidGguf(f"an array has elements of type {kind}")
        size = struct.calcsize(_SCALARS[kind])
        start = self._at
        self._skip(length * size)
        if length > _MAX_KEPT_ARRAY:
            return length
        return list(struct.unpack_from(f"<{length}{_SCALARS[kind][1]}", self._content, start))

    def _scalar(self, layout: str) -> Any:
        (value,) = struct.unpack_from(layout, self._content, self._at)
        self._at += struct.calcsize(layout)
        return value

    def _count(self, limit: int, what: str) -> int:
        count = int(self._scalar("<Q"))
        if count > limit:
            raise InvalidGguf(f"the header claims {count} {what}, more than {limit}")
        return count

    def _string(self, limit: int) -> str:
        length = int(self._scalar("<Q"))
        if length > limit:
            raise InvalidGguf(f"the header has a string of {length} bytes")
        start = self._at
        self._skip(length)
        return self._content[start : self._at].decode("utf-8", "replace")

    def _skip(self, n_bytes: int) -> None:
        if n_bytes > len(self._content) - self._at:
            raise InvalidGguf(f"the file ends inside its header, after {len(self._content)} bytes")
        self._at += n_bytes


def _alignment(metadata: dict[str, Any]) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 1 <= value <= 1 << 20 or value & (value - 1):
        raise InvalidGguf("general.alignment is not a power of two")
    return value
