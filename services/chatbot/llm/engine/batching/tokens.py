"""Rows of token ids."""

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]


def common_prefix(left: Tokens, right: Tokens) -> int:
    """Length of the longest common prefix."""
    shorter = min(len(left), len(right))
    differs = left[:shorter] != right[:shorter]
    return int(differs.argmax()) if differs.any() else shorter
