"""The model's vocabulary: byte pieces, ends of generation, and tokenising without control tokens.

Text of a user must never become a control token, whatever it contains and however the file marks its tokens: as in
Meta's reference (`ChatFormat` of github.com/meta-llama/llama3), content is encoded with no special tokens allowed.
"""

import ctypes
import re
from collections.abc import Iterable
from typing import Any

import llama_cpp

_CONTROL = 1 << 3  # LLAMA_TOKEN_ATTR_CONTROL of llama.h
_USER_DEFINED = 1 << 4  # LLAMA_TOKEN_ATTR_USER_DEFINED: matched in text even with parse_special=False
_UNKNOWN = 1 << 0
_PIECE_BYTES = 64


class Vocabulary:
    """Tokens of one model. All methods may be called from any thread.

    Attributes:
        handle: llama.cpp's own.
        n_tokens: Size.
        pieces: Bytes of each token; b"" for control tokens. A piece may hold a part of a character.
        ends: Tokens that end a generation.
        control: Ids of control tokens and of every other token that only a scaffold may use.
        byte_tokens: A token for each of the 256 bytes; none at all where the model lacks one.
        begin: Token that begins a prompt, or None where the model wants none.
        is_sentencepiece: Whether a text's first piece carries a space of the tokenizer's own.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.n_tokens = int(llama_cpp.llama_vocab_n_tokens(handle))
        ids = range(self.n_tokens)
        attributes = [int(llama_cpp.llama_vocab_get_attr(handle, token)) for token in ids]
        self.ends = frozenset(token for token in ids if llama_cpp.llama_vocab_is_eog(handle, token))
        named = {token for token in ids if attributes[token] & (_CONTROL | _USER_DEFINED)}
        self._named = {_text(handle, token): token for token in sorted(named, reverse=True)}
        control = {token for token in ids if attributes[token] & (_CONTROL | _UNKNOWN)}
        self.pieces = [b"" if token in control else _piece(handle, token) for token in ids]
        marked = {token for text, token in self._named.items() if text.startswith("<|") and text.endswith("|>")}
        roles = ("bos", "eos", "eot", "sep", "pad", "mask")
        special = {int(getattr(llama_cpp, f"llama_vocab_{role}")(handle)) for role in roles}
        self.control = frozenset(control | marked | special & named | self.ends)
        by_byte = {piece: token for token, piece in enumerate(self.pieces) if len(piece) == 1}
        self.byte_tokens = tuple(by_byte.values()) if len(by_byte) == 256 else ()
        begin = int(llama_cpp.llama_vocab_bos(handle))
        self.begin = begin if begin >= 0 and llama_cpp.llama_vocab_get_add_bos(handle) else None
        self.is_sentencepiece = llama_cpp.llama_vocab_type(handle) == llama_cpp.LLAMA_VOCAB_TYPE_SPM

    def named(self, text: str) -> int | None:
        """Id of a control or user-defined token by its text."""
        return self._named.get(text)

    def reserve(self, tokens: Iterable[int]) -> None:
        """Add tokens of a scaffold to `control`, so that no content ever becomes one of them."""
        self.control = self.control | frozenset(tokens)

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text: no control token is among them, no begin token is added."""
        tokens = self._encode(text)
        if self.control.isdisjoint(tokens):
            return tokens
        # A file that marks its control tokens as user-defined has them matched inside text: cut their texts apart.
        texts = sorted((re.escape(name) for name, token in self._named.items() if token in self.control), key=len)
        parts = re.sub("|".join(reversed(texts)), lambda match: _apart(match[0]), text).split("\0") if texts else [text]
        return [token for part in parts for token in self._encode(part) if token not in self.control]

    def decode(self, tokens: Iterable[int]) -> bytes:
        """Bytes of tokens; control tokens have none."""
        return b"".join(self.pieces[token] for token in tokens)

    def _encode(self, text: str) -> list[int]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 2
        buffer = (ctypes.c_int32 * size)()
        count = int(llama_cpp.llama_tokenize(self.handle, data, len(data), buffer, size, False, False))
        if count < 0:  # a tokenizer that makes more tokens than there are bytes; it says how many
            size = -count
            buffer = (ctypes.c_int32 * size)()
            count = int(llama_cpp.llama_tokenize(self.handle, data, len(data), buffer, size, False, False))
        return list(buffer[: max(0, count)])


def _apart(text: str) -> str:
    return text[:1] + "\0" + text[1:]


def _text(handle: Any, token: int) -> str:
    text: bytes = llama_cpp.llama_vocab_get_text(handle, token) or b""
    return text.decode("utf-8", "replace")


def _piece(handle: Any, token: int) -> bytes:
    size = _PIECE_BYTES
    buffer = ctypes.create_string_buffer(size)
    length = int(llama_cpp.llama_token_to_piece(handle, token, buffer, size, 0, False))
    if length < 0:  # longer than the buffer: the result is the negative of what it needs
        size = -length
        buffer = ctypes.create_string_buffer(size)
        length = int(llama_cpp.llama_token_to_piece(handle, token, buffer, size, 0, False))
    return buffer.raw[: max(0, length)]
