"""Packed vectors: little-endian float32 numbers, of length 1."""

import math
import struct
from collections.abc import Sequence


def packed(numbers: Sequence[float]) -> bytes | None:
    """Numbers as a vector of length 1; None where they have no direction."""
    length = math.sqrt(math.fsum(number * number for number in numbers))
    if not math.isfinite(length) or length == 0:
        return None
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))


def shortened(vector: bytes | None, dimensions: int) -> bytes | None:
    """The first numbers of a vector, of length 1 again; None where they have no direction."""
    if vector is None or len(vector) == 4 * dimensions and any(vector):
        return vector
    return packed(struct.unpack(f"<{dimensions}f", vector[: 4 * dimensions]))
