"""Text that follows a grammar: llama.cpp's GBNF, whose tokens are tested before they are accepted.

llama.cpp ends the process where a grammar accepts a token that it forbids. So a token goes in only behind a test of
that very token; and the usual choice is tested first, for looking at the whole vocabulary takes milliseconds.

Source: grammars/README.md of github.com/ggml-org/llama.cpp; the order of the two tests is its common/sampling.cpp's.
"""

import codecs
from collections.abc import Collection
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from chatbot.llm.engine.native.candidates import Candidates
from chatbot.llm.engine.text.vocabulary import Vocabulary

MAX_GRAMMAR_BYTES = 256 * 1024
_MAY_END = (b"}", b"]", b'"')
"""Last bytes of what JSON is whole behind."""


class InvalidGrammar(Exception):
    """It cannot be read, or is too long."""


class Grammar:
    """What one generation may still say. Freed once, by its chain.

    Attributes:
        handle: llama.cpp's sampler, None once freed.
    """

    def __init__(self, vocabulary: Vocabulary, text: str, writable: Collection[int] = ()) -> None:
        """Read a grammar; in any thread.

        Args:
            vocabulary: Of the model.
            text: GBNF with a rule `root`.
            writable: Tokens of a scaffold that may stand where the grammar has their text.

        Raises:
            InvalidGrammar: It cannot be read.
        """
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_GRAMMAR_BYTES:
            raise InvalidGrammar(f"more than {MAX_GRAMMAR_BYTES} bytes")
        if b"\0" in data:
            raise InvalidGrammar("a zero byte")
        # llama.cpp compares the text of control tokens like any other's: a grammar that holds that text would let the
        # token itself through. Ends are no text to it.
        self._may_be = np.ones(vocabulary.n_tokens, np.bool_)
        self._may_be[list(vocabulary.control - vocabulary.ends - frozenset(writable))] = False
        self._pieces = vocabulary.pieces
        self._bytes = np.array(vocabulary.byte_tokens, np.int32)
        self._probe = Candidates(max(1, len(self._bytes)))
        self._no_logits = np.broadcast_to(np.float32(0), vocabulary.n_tokens)
        self._last = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.handle: Any = llama_cpp.llama_sampler_init_grammar(vocabulary.handle, data, b"root")
        if not self.handle:  # ctypes gives an object that is false, not None
            raise InvalidGrammar("llama.cpp does not read it")

    def accept(self, token: int) -> None:
        """Go on behind a token that was tested."""
        llama_cpp.llama_sampler_accept(self.handle, token)
        self._last = self._pieces[token]
        self._decoder.decode(self._last)

    def is_over(self) -> bool:
        """Whether nothing but the end can follow, as is known behind a value of JSON: the end need not be computed.

        Whatever goes on begins with a byte, and none is allowed.
        """
        if not len(self._bytes) or not self._last.endswith(_MAY_END):
            return False
        return not len(self._probe.allowed(self.handle, self._bytes, self._no_logits))

    def takes(self, token: int) -> bool:
        """Whether a token may follow; an end may not."""
        one = np.array([token], np.int32)
        if not self._pieces[token] or not self.is_text(token) or not len(self.without_control(one)):
            return False
        return bool(len(self._probe.allowed(self.handle, one, self._no_logits)))

    def is_text(self, token: int) -> bool:
        """Whether it goes on in UTF-8: llama.cpp takes overlong forms for the characters that they stand for."""
        state = self._decoder.getstate()
        try:
            self._decoder.decode(self._pieces[token])
        except UnicodeDecodeError:
            return False
        finally:
            self._decoder.setstate(state)
        return True

    def without_control(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Those of some tokens that are text, or an end."""
        kept: NDArray[np.integer[Any]] = tokens[self._may_be[tokens]]
        return kept

    def free(self) -> None:
        """Free it; a second call does nothing."""
        if self.handle is not None:
            llama_cpp.llama_sampler_free(self.handle)
            self.handle = None
