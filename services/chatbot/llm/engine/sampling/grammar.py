"""Text that follows a grammar: llama.cpp's GBNF, whose tokens are tested before they are accepted.

llama.cpp ends the process where a grammar accepts a token that it forbids. So a token goes in only behind a test of
that very token; and the usual choice is tested first, for looking at the whole vocabulary takes milliseconds.

Source: grammars/README.md of github.com/ggml-org/llama.cpp; the order of the two tests is its common/sampling.cpp's.
"""

from collections.abc import Iterable
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

MAX_GRAMMAR_BYTES = 256 * 1024


class InvalidGrammar(Exception):
    """It cannot be read, or is too long."""


class Grammar:
    """What one generation may still say. Freed once, by its chain.

    Attributes:
        handle: llama.cpp's sampler, None once freed.
    """

    def __init__(self, vocab: Any, text: str, never: Iterable[int]) -> None:
        """Read a grammar; in any thread.

        Args:
            vocab: llama.cpp's vocabulary.
            text: GBNF with a rule `root`.
            never: Control tokens that end nothing. llama.cpp compares their text like any other's, so a grammar that
                holds that text would let the token itself through (ADR 0010).

        Raises:
            InvalidGrammar: It cannot be read.
        """
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_GRAMMAR_BYTES:
            raise InvalidGrammar(f"more than {MAX_GRAMMAR_BYTES} bytes")
        if b"\0" in data:
            raise InvalidGrammar("a zero byte")
        self._never = np.array(sorted(never), np.int32)
        self.handle: Any = llama_cpp.llama_sampler_init_grammar(vocab, data, b"root")
        if not self.handle:  # ctypes gives an object that is false, not None
            raise InvalidGrammar("llama.cpp does not read it")

    def accept(self, token: int) -> None:
        """Go on behind a token that was tested."""
        llama_cpp.llama_sampler_accept(self.handle, token)

    def without_control(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Those of some tokens that are text, or an end."""
        return tokens[~np.isin(tokens, self._never)]

    def free(self) -> None:
        """Free it; a second call does nothing."""
        if self.handle is not None:
            llama_cpp.llama_sampler_free(self.handle)
            self.handle = None
